/*
 * passthrough.c - one model as it is, or scaled: for copies, conversions to another dtype, and recipes whose `scale`
 * concerns some tensors only.
 *
 * merge.md A24. A tensor with scale 1 whose dtype stays is not computed: the result refers to the model's bytes. Else
 * out = fl(scale * x).
 */
#include "core/merge/_policies.h"
#include "core/methods/method.h"
#include "core/tensor/kernels.h"

static const struct am_param params[] = {
    {.name = "scale",
     .kind = AM_REAL,
     .min = -1e6,
     .max = 1e6,
     .def = "1.0",
     .unit = "factor",
     .flags = AM_PER_INPUT,
     .doc = "factor of the model's tensors; 1 leaves them as they are, and nothing is written"},
    {0},
};

struct wish { /* local */
    float scale;
};

static float scale(const struct am_args *args)
{
    return (float)am_arg_input_real(args, "scale", 0);
}

static bool unchanged(const struct am_args *args, const struct am_tensor_info *tensor)
{
    (void)tensor;
    return scale(args) == 1;
}

static void prepare(const struct am_scope_info *s, void *local)
{
    ((struct wish *)local)->scale = scale(s->args);
}

static int apply(const struct am_window *w, const void *acc)
{
    const struct wish *wish = w->local;
    (void)acc;
    if (wish->scale == 1)
        am_copy_f32(w->out, w->x[0], w->n);
    else
        am_scale_f32(w->out, wish->scale, w->x[0], w->n);
    return 0;
}

const struct am_method am_method_merge_passthrough = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "passthrough",
    .since = "0.1",
    .paper = "",
    .summary = "one model as it is, or scaled",
    .needs = {.min_inputs = 1,
              .max_inputs = 1,
              .base = AM_NO,
              .unchanged_at = {"scale", 1},
              .local_bytes = sizeof(struct wish)},
    .params = params,
    .common = am_policies,
    .unchanged = unchanged,
    .prepare = prepare,
    .apply = apply,
};
