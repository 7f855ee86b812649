/*
 * sparsify.c - magnitude pruning: exactly k = floor(sparsity * n) entries of smallest magnitude become +0, the others
 * stay.
 *
 * Han et al. 2015, arXiv:1506.02626. n counts the elements of one tensor, or with scope "model" of all selected tensors
 * together, in the order of their names. Of equal magnitudes the entry with the lower index goes first, so the count is
 * exact. The floor has a slack of 4 ulp: 0.29 of 100 is 29 (merge.md A4). Tensors that the patterns do not select stay
 * as they are, byte for byte.
 */
#include "core/merge/_patterns.h"
#include "core/merge/_policies.h"
#include "core/merge/_select.h"
#include "core/methods/method.h"
#include "core/methods/report.h"

#include <string.h>

static const char *const scopes[] = {"tensor", "model", NULL};

static const struct am_param params[] = {
    {.name = "sparsity",
     .kind = AM_REAL,
     .min = 0,
     .max = 1,
     .unit = "fraction",
     .flags = AM_REQUIRED,
     .doc = "share of the entries set to zero, smallest magnitudes first"},
    {.name = "scope",
     .kind = AM_CHOICE,
     .choices = scopes,
     .def = "\"tensor\"",
     .unit = "none",
     .doc = "count and compare within each tensor, or over all selected tensors together"},
    {.name = "include",
     .kind = AM_LIST,
     .def = "[\"*\"]",
     .unit = "none",
     .doc = "shell patterns; tensors whose name matches one are selected"},
    {.name = "exclude",
     .kind = AM_LIST,
     .def = "[]",
     .unit = "none",
     .doc = "shell patterns; tensors whose name matches one are left as they are"},
    {0},
};

static bool unchanged(const struct am_args *args, const struct am_tensor_info *t)
{
    (void)t;
    return am_arg_real(args, "sparsity") == 0;
}

/* local: how many elements the scope has; 0, which every window may know, for the whole model */
static void prepare(const struct am_scope_info *s, void *local)
{
    bool model = strcmp(am_arg_text(s->args, "scope"), "model") == 0;
    *(uint64_t *)local = model ? 0 : s->elements;
}

static int stat(const struct am_window *w, const void *sofar, void *acc, unsigned pass)
{
    (void)pass;
    struct am_part part;
    if (!am_select_part(sofar, *(const uint64_t *)w->local, w, &part))
        return 0;
    const struct am_select_round round = {sofar, acc};
    return am_select_count(&round, 1, w->x[0] + part.first, &part);
}

static int merge(void *into, const void *from, unsigned pass)
{
    (void)pass;
    am_select_merge(into, from);
    return 0;
}

static int between(void *acc, const struct am_scope_info *s, const void *local, unsigned pass, unsigned round)
{
    (void)local, (void)pass, (void)round;
    uint64_t zeros = am_select_share(am_arg_real(s->args, "sparsity"), s->elements);
    int rc = am_select_next(acc, s->elements - zeros, s->elements, AM_EQUALS_LAST);
    return rc < 0 ? rc : rc ? AM_AGAIN : 0;
}

static int apply(const struct am_window *w, const void *acc)
{
    struct am_edge edge = am_select_edge(acc, w);
    w->tally[0] += (double)am_select_band(w->out, w->x[0], w->n, &edge, NULL);
    return 0;
}

static void report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
{
    (void)acc;
    am_report_put(r, "kept", tally[0]);
    am_report_put(r, "elements", (double)s->elements);
}

const struct am_method am_method_edit_sparsify = {
    .abi = AM_METHOD_ABI,
    .type = AM_EDIT,
    .name = "sparsify",
    .since = "0.1",
    .paper = "arXiv:1506.02626",
    .summary = "set an exact share of the smallest weights to zero",
    .needs = {.min_inputs = 1,
              .max_inputs = 1,
              .scope = AM_SCOPE_BY_PARAM,
              .passes = 1,
              .acc = {.fixed = sizeof(struct am_select)},
              .tally = {.fixed = 1},
              .report = {.fixed = 2},
              .local_bytes = sizeof(uint64_t)},
    .params = params,
    .common = am_policies,
    .selects = am_patterns_select,
    .unchanged = unchanged,
    .prepare = prepare,
    .stat = stat,
    .merge = merge,
    .between = between,
    .apply = apply,
    .report = report,
};
