/*
 * compare_spec.c - the spec of mode `compare`. See compare.h.
 */
#include "core/base/text.h"
#include "worker/compare.h"
#include "worker/spec_parts.h"

enum { THREADS_MAX = 1024 };

static int take_file(struct am_comparing *c, json_t *o, int *ret_fd, uint64_t *ret_bytes)
{
    AM_TRY(am_spec_u64(o, "bytes", ret_bytes));
    return am_spec_fd(c->fds, json_object_get(o, "fd"), ret_fd);
}

int am_compare_spec_set(struct am_comparing *c, json_t *o, const char *name, const char *pointer,
                        struct am_compare_set *ret)
{
    static const char *const member[] = {"packed", "ids"};
    struct am_compare_set set = {.name = name, .header = json_object_get(o, "header"), .packed = {.fd = -1}};
    for (int i = 0; i < 2; i++) {
        int rc = take_file(c, json_object_get(o, member[i]), &set.fd[i], &set.bytes[i]);
        if (rc == -AM_E_BAD_SPEC)
            return am_spec_bad(&c->s->faults, pointer, "must have packed and ids, each with fd and bytes");
        AM_TRY(rc);
    }
    if (!json_is_object(set.header))
        return am_spec_bad(&c->s->faults, pointer, "must have header");
    *ret = set;
    return 0;
}

static double real_of(const json_t *params, const char *name, double otherwise)
{
    const json_t *v = json_object_get(params, name);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

static uint64_t count_of(const json_t *params, const char *name, uint64_t otherwise)
{
    const json_t *v = json_object_get(params, name);
    return json_is_integer(v) && json_integer_value(v) >= 0 ? (uint64_t)json_integer_value(v) : otherwise;
}

/* The daemon has checked the parameters; these bounds are what this program can do. */
static int take_params(struct am_comparing *c)
{
    struct am_faults *f = &c->s->faults;
    uint64_t replicates = count_of(c->params, "bootstrap", 2000), exemplars = count_of(c->params, "exemplars", 100);
    if (replicates < AM_BOOT_MIN || replicates > AM_BOOT_MAX)
        return am_spec_bad(f, "#/params/bootstrap", "must be from 200 to 100000");
    if (exemplars > 1000)
        return am_spec_bad(f, "#/params/exemplars", "must be at most 1000");
    c->how = (struct am_compare_how){
        .boot = {.replicates = (uint32_t)replicates, .seed = c->seed, .threads = c->threads},
        .epsilon = real_of(c->params, "epsilon", 0),
        .tau = real_of(c->params, "tau", 0.5),
        .higher_is_better = true,
        .micro = am_streq(json_string_value(json_object_get(c->params, "multilabel")), "micro"),
        .exemplars = (size_t)exemplars,
    };
    return c->how.epsilon >= 0 ? 0 : am_spec_bad(f, "#/params/epsilon", "must be at least 0");
}

int am_compare_spec(struct am_comparing *c)
{
    struct am_faults *f = &c->s->faults;
    json_t *options = json_object_get(c->root, "options"), *gate = json_object_get(c->root, "gate");
    uint64_t threads = 0;
    c->params = json_object_get(c->root, "params");
    c->about = json_object_get(c->root, "about");
    c->gate = json_is_object(gate) ? gate : NULL;
    if (!am_streq(json_string_value(json_object_get(c->root, "method")), "compare"))
        return am_spec_bad(f, "#/method", "must be compare");
    if (!json_is_object(c->params) || !json_is_object(c->about))
        return am_spec_bad(f, "#/params", "and #/about must be objects");
    if (am_spec_u64(options, "threads", &threads) < 0 || threads < 1 || threads > THREADS_MAX ||
        am_spec_u64(options, "seed", &c->seed) < 0)
        return am_spec_bad(f, "#/options", "must have threads from 1 to 1024, and seed");
    c->threads = (unsigned)threads;
    AM_TRY(am_compare_spec_set(c, json_object_get(c->root, "old"), "old", "#/old", &c->set[AM_OLD]));
    AM_TRY(am_compare_spec_set(c, json_object_get(c->root, "new"), "new", "#/new", &c->set[AM_NEW]));
    AM_TRY(am_compare_gate_spec(c));
    return take_params(c);
}
