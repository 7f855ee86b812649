/*
 * task_negation.c - takes away what fine-tuning on the forget set adds: out = x - lambda * (ft - pre).
 *
 * Ilharco et al., ICLR 2023, arXiv:2212.04089. x is the model, ft a version fine-tuned on the data to forget, pre the
 * version that ft was tuned from (often x itself). Shapes: all the same. f32, one rounding per operation. lambda 0
 * gives x bit for bit. Approximate unlearning: nothing proves that the data has no influence left.
 */
#include "core/merge/_policies.h"
#include "core/methods/method.h"
#include "core/tensor/kernels.h"

static const struct am_param params[] = {
    {.name = "lambda",
     .kind = AM_REAL,
     .min = 0,
     .max = 1,
     .unit = "factor",
     .flags = AM_REQUIRED,
     .doc = "share of the difference taken away (no default: the largest safe value must be found on control data)"},
    {0},
};

static bool unchanged(const struct am_args *args, const struct am_tensor_info *t)
{
    (void)t;
    return (float)am_arg_real(args, "lambda") == 0;
}

static void prepare(const struct am_scope_info *s, void *local)
{
    *(float *)local = (float)am_arg_real(s->args, "lambda");
}

static int apply(const struct am_window *w, const void *acc)
{
    (void)acc;
    const float *model = w->x[0], *tuned = w->x[1];
    float lambda = *(const float *)w->local;
    if (lambda == 0) {
        am_copy_f32(w->out, model, w->n); /* x - (-0) would turn -0 into +0 */
        return 0;
    }
    am_sub_f32(w->out, tuned, w->base, w->n);
    am_scale_f32(w->out, lambda, w->out, w->n);
    am_sub_f32(w->out, model, w->out, w->n);
    return 0;
}

const struct am_method am_method_unlearn_task_negation = {
    .abi = AM_METHOD_ABI,
    .type = AM_UNLEARN,
    .name = "task_negation",
    .since = "0.1",
    .paper = "arXiv:2212.04089",
    .summary = "subtract what fine-tuning on the forget set added",
    .needs = {.min_inputs = 1, .max_inputs = 1, .task = AM_YES, .local_bytes = sizeof(float)},
    .params = params,
    .common = am_policies,
    .unchanged = unchanged,
    .prepare = prepare,
    .apply = apply,
};
