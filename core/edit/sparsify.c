/*
 * sparsify.c - magnitude pruning: exactly k = floor(sparsity * n) entries of smallest magnitude become +0, the others
 * stay.
 *
 * Han et al. 2015, arXiv:1506.02626. n counts the elements of one tensor, or with scope "model" of all selected tensors
 * together, in the order of their names. Of equal magnitudes the entry with the lower index goes first, so the count is
 * exact. The floor has a slack of 4 ulp: 0.29 of 100 is 29 (merge.md A4). Tensors that the patterns do not select stay
 * as they are, byte for byte.
 */
#include "core/base/text.h"
#include "core/edit/_select.h"
#include "core/merge/_policies.h"
#include "core/methods/method.h"

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

static bool matches(const struct am_args *args, const char *list, const char *name)
{
    size_t n;
    const char *const *patterns = am_arg_list(args, list, &n);
    for (size_t i = 0; i < n; i++)
        if (am_glob(patterns[i], name))
            return true;
    return false;
}

static bool selects(const struct am_args *args, const struct am_tensor_info *t)
{
    return matches(args, "include", t->name) && !matches(args, "exclude", t->name);
}

static bool unchanged(const struct am_args *args, const struct am_tensor_info *t)
{
    (void)t;
    return am_arg_real(args, "sparsity") == 0;
}

static int stat(const struct am_window *w, const void *sofar, void *acc, unsigned pass)
{
    (void)pass;
    am_select_count(sofar, acc, w->x[0], w->n, w->index);
    return 0;
}

static int merge(void *into, const void *from, unsigned pass)
{
    (void)pass;
    am_select_merge(into, from);
    return 0;
}

static int between(void *acc, uint64_t elements, const struct am_args *args, unsigned pass, unsigned round)
{
    (void)pass, (void)round;
    double slack = 1 + 4 * 0x1p-52;
    double k = floor(am_arg_real(args, "sparsity") * (double)elements * slack);
    return am_select_next(acc, (uint64_t)k, elements) ? AM_AGAIN : 0;
}

static int apply(const struct am_window *w, const void *acc)
{
    am_select_zero(acc, w->x[0], w->out, w->n, w->index);
    return 0;
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
              .acc_bytes = sizeof(struct am_select)},
    .params = params,
    .common = am_policies,
    .selects = selects,
    .unchanged = unchanged,
    .stat = stat,
    .merge = merge,
    .between = between,
    .apply = apply,
};
