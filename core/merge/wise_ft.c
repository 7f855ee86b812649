/*
 * wise_ft.c - between a base and one fine-tune of it, on the straight line: out = (1 - alpha) * b + alpha * x.
 *
 * WiSE-FT (Wortsman et al., CVPR 2022, arXiv:2109.01903; merge.md A9): what the fine-tune gained on its own data is
 * mostly kept, and what it lost on other data comes mostly back. Shapes: b, x and out have the same shape. f32, one
 * rounding per operation; 1 - alpha is taken in f64 and rounded once. alpha 0 gives the base, 1 the fine-tune, bit for
 * bit. The same as linear over both with the weights 1 - alpha and alpha.
 */
#include "core/merge/_policies.h"
#include "core/methods/method.h"
#include "core/tensor/kernels.h"

static const struct am_param params[] = {
    {.name = "alpha",
     .kind = AM_REAL,
     .min = 0,
     .max = 1,
     .def = "0.5",
     .unit = "fraction",
     .doc = "place between the two: 0 is the base, 1 the fine-tune"},
    {0},
};

static bool unchanged(const struct am_args *args, const struct am_tensor_info *tensor)
{
    (void)tensor;
    return am_arg_real(args, "alpha") == 0;
}

struct local {
    float base, model; /* their factors */
};

static void prepare(const struct am_scope_info *s, void *local)
{
    double alpha = am_arg_real(s->args, "alpha");
    *(struct local *)local = (struct local){(float)(1 - alpha), (float)alpha};
}

static int apply(const struct am_window *w, const void *acc)
{
    const struct local *l = w->local;
    (void)acc;
    if (l->base == 0)
        am_copy_f32(w->out, w->x[0], w->n); /* 0 * b + x would turn -0 into +0 */
    else
        am_blend_f32(w->out, l->base, w->base, l->model, w->x[0], w->n);
    return 0;
}

const struct am_method am_method_merge_wise_ft = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "wise_ft",
    .since = "0.1",
    .paper = "arXiv:2109.01903",
    .summary = "straight line between a base and one fine-tune of it",
    .needs = {.min_inputs = 1,
              .max_inputs = 1,
              .base = AM_YES,
              .local_bytes = sizeof(struct local),
              .unchanged_at = {"alpha", 0}},
    .params = params,
    .common = am_policies,
    .unchanged = unchanged,
    .prepare = prepare,
    .apply = apply,
};
