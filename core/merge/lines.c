/*
 * lines.c - task arithmetic whose factor grows with the depth, so that early layers, which are general, move less:
 * out = b + (alpha + beta * l / (L - 1)) * sum(w_i * (x_i - b)) in layer l of L; outside the layers the factor is
 * alpha.
 *
 * Wang et al., ICLR 2025, arXiv:2410.17146. Shapes: b, every x_i and out have the same shape. f32, one rounding per
 * operation, sums from left to right in the order of the request. With beta 0 this is task_arithmetic with
 * lambda = alpha, bit for bit. Layers: core/methods/depth.h; a model with one layer has it at depth 1.
 */
#include "core/merge/_policies.h"
#include "core/methods/depth.h"
#include "core/methods/method.h"
#include "core/methods/report.h"
#include "core/tensor/kernels.h"

static const struct am_param params[] = {
    {.name = "weight",
     .kind = AM_REAL,
     .min = -1e6,
     .max = 1e6,
     .def = "1.0",
     .unit = "factor",
     .flags = AM_PER_INPUT,
     .doc = "factor of each model's difference from the base"},
    {.name = "alpha",
     .kind = AM_REAL,
     .min = -1e6,
     .max = 1e6,
     .def = "0.3",
     .unit = "factor",
     .doc = "factor in the first layer and outside the layers; with several tasks the paper takes 1 / their number"},
    {.name = "beta",
     .kind = AM_REAL,
     .min = -1e6,
     .max = 1e6,
     .def = "0.7",
     .unit = "factor",
     .doc = "added from the first layer to the last; for one fine-tune the paper takes 1 - alpha"},
    {0},
};

struct local {
    float weight[AM_MAX_INPUTS], factor;
};

static double factor_of(const struct am_scope_info *s)
{
    double alpha = am_arg_real(s->args, "alpha"), beta = am_arg_real(s->args, "beta");
    if (s->layer == AM_NO_LAYER)
        return alpha;
    return s->layers > 1 ? alpha + beta * (double)s->layer / (double)(s->layers - 1) : alpha + beta;
}

static bool unchanged(const struct am_args *args, const struct am_tensor_info *t)
{
    (void)t;
    return (float)am_arg_real(args, "alpha") == 0 && (float)am_arg_real(args, "beta") == 0;
}

static void prepare(const struct am_scope_info *s, void *local)
{
    struct local *l = local;
    for (size_t i = 0; i < s->inputs; i++)
        l->weight[i] = (float)am_arg_input_real(s->args, "weight", i);
    l->factor = (float)factor_of(s);
}

static int apply(const struct am_window *w, const void *acc)
{
    (void)acc;
    const struct local *l = w->local;
    if (l->factor == 0) {
        am_copy_f32(w->out, w->base, w->n); /* b + 0 would turn -0 into +0 */
        return 0;
    }
    am_sub_f32(w->out, w->x[0], w->base, w->n);
    am_scale_f32(w->out, l->weight[0], w->out, w->n);
    for (size_t i = 1; i < w->inputs; i++)
        am_axpy_diff_f32(w->out, l->weight[i], w->x[i], w->base, w->n);
    if (l->factor != 1)
        am_scale_f32(w->out, l->factor, w->out, w->n);
    am_add_f32(w->out, w->base, w->out, w->n);
    return 0;
}

static void report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
{
    (void)acc, (void)tally;
    if (s->tensor.name) {
        am_report_put(r, "factor", factor_of(s));
        return;
    }
    am_report_put(r, "layers", (double)s->layers);
    if (s->layers == 0)
        am_report_warn(
            r, "no-layers",
            "no tensor has a name with a number of its layer, so every factor is alpha; task_arithmetic does "
            "the same");
}

const struct am_method am_method_merge_lines = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "lines",
    .since = "0.1",
    .paper = "arXiv:2410.17146",
    .summary = "base plus differences from it whose factor grows with the depth of the layer",
    .needs = {.min_inputs = 1,
              .base = AM_YES,
              .report = {.fixed = 1},
              .local_bytes = sizeof(struct local),
              .symmetric = true},
    .params = params,
    .common = am_policies,
    .unchanged = unchanged,
    .prepare = prepare,
    .apply = apply,
    .report = report,
};
