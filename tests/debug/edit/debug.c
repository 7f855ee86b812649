/*
 * debug.c - a method that misbehaves on purpose, in the way its parameter says (_acts.h). Test-only.
 */
#include "core/base/text.h"
#include "core/merge/_policies.h"
#include "core/methods/method.h"
#include "tests/debug/edit/_acts.h"

#define ACTS(X)                                                                                                        \
    X(segv)                                                                                                            \
    X(abort)                                                                                                           \
    X(silent)                                                                                                          \
    X(spin)                                                                                                            \
    X(ignore_term)                                                                                                     \
    X(exit_zero)                                                                                                       \
    X(close_records)                                                                                                   \
    X(memory)                                                                                                          \
    X(descriptors)                                                                                                     \
    X(disk)                                                                                                            \
    X(fork)                                                                                                            \
    X(exec)                                                                                                            \
    X(socket)                                                                                                          \
    X(store_file)                                                                                                      \
    X(kill_daemon)                                                                                                     \
    X(garbage)                                                                                                         \
    X(long_line)                                                                                                       \
    X(many_records)                                                                                                    \
    X(flood_log)                                                                                                       \
    X(result_good)                                                                                                     \
    X(result_no_end)                                                                                                   \
    X(result_outside)                                                                                                  \
    X(result_other_bytes)                                                                                              \
    X(result_wrong_hash)                                                                                               \
    X(result_spans)                                                                                                    \
    X(result_gaps)                                                                                                     \
    X(result_other_spans)                                                                                              \
    X(done_then_fail)

#define NAME(act) #act,
#define FUNCTION(act) am_act_##act,
static const char *const names[] = {ACTS(NAME) NULL};
static int (*const functions[])(void) = {ACTS(FUNCTION)};

static const struct am_param params[] = {
    {.name = "act", .kind = AM_CHOICE, .choices = names, .unit = "none", .flags = AM_REQUIRED, .doc = "what to do"},
    {0},
};

/* local: the number of the act */
static void prepare(const struct am_scope_info *s, void *local)
{
    size_t *act = local;
    while (names[*act] && !am_streq(names[*act], am_arg_text(s->args, "act")))
        ++*act;
}

static int apply(const struct am_window *w, const void *acc)
{
    (void)acc;
    for (size_t i = 0; i < w->n; i++)
        w->out[i] = w->x[0][i];
    size_t act = *(const size_t *)w->local;
    return names[act] ? functions[act]() : 0;
}

const struct am_method am_method_edit_debug = {
    .abi = AM_METHOD_ABI,
    .type = AM_EDIT,
    .name = "debug",
    .since = "0.1",
    .paper = "",
    .summary = "test-only: misbehaves on purpose",
    .needs = {.min_inputs = 1, .max_inputs = 1, .local_bytes = sizeof(size_t)},
    .params = params,
    .common = am_policies,
    .prepare = prepare,
    .apply = apply,
};
