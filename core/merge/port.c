/*
 * port.c - carries what a fine-tune learned from its old base over to a new base: out = b + scale * (ft - old).
 *
 * PortLLM: Khan et al., ICLR 2025, arXiv:2410.10870. x = {the fine-tune, the base it was tuned from}; b is the new
 * base. f32, one rounding per operation. With b = old it gives the fine-tune, bit for bit where ft - old is exact (but
 * that -0 becomes +0); scale 0 gives the new base. Tensors that the patterns do not select are those of the new base.
 *
 * An adapter is a change already: then out = b + scale * s * B * A, and tensors that it leaves alone are those of b.
 *
 * The report tells how well the change fits: its size and that of the drift b - old, both relative to old, and the
 * cosine between them. No SVD here: the full change is carried, whatever its rank.
 */
#include "core/merge/_patterns.h"
#include "core/merge/_policies.h"
#include "core/methods/method.h"
#include "core/methods/report.h"
#include "core/tensor/kernels.h"

static const struct am_param params[] = {
    {.name = "scale",
     .kind = AM_REAL,
     .min = -1e6,
     .max = 1e6,
     .def = "1.0",
     .unit = "factor",
     .doc = "factor of the change that is carried; negative takes it away"},
    {.name = "include",
     .kind = AM_LIST,
     .def = "[\"*\"]",
     .unit = "none",
     .doc = "shell patterns; tensors whose name matches one get the change"},
    {.name = "exclude",
     .kind = AM_LIST,
     .def = "[]",
     .unit = "none",
     .doc = "shell patterns; tensors whose name matches one stay those of the new base"},
    {0},
};

enum { OLD_OLD, CHANGE_CHANGE, DRIFT_DRIFT, CHANGE_DRIFT, SUMS }; /* tally: dot products */

struct wish { /* local */
    float scale;
};

static bool unchanged(const struct am_args *args, const struct am_tensor_info *t)
{
    (void)t;
    return (float)am_arg_real(args, "scale") == 0;
}

static void prepare(const struct am_scope_info *s, void *local)
{
    *(struct wish *)local = (struct wish){.scale = (float)am_arg_real(s->args, "scale")};
}

static int apply(const struct am_window *w, const void *acc)
{
    const float *tuned = w->x[0], *old = w->x[1];
    float scale = ((const struct wish *)w->local)->scale, *change = w->out, *drift = w->scratch[0];
    (void)acc;
    if (w->change)
        am_copy_f32(change, tuned, w->n);
    else
        am_sub_f32(change, tuned, old, w->n);
    am_sub_f32(drift, w->base, old, w->n);
    w->tally[OLD_OLD] += am_block_dot(old, old, w->n);
    w->tally[CHANGE_CHANGE] += am_block_dot(change, change, w->n);
    w->tally[DRIFT_DRIFT] += am_block_dot(drift, drift, w->n);
    w->tally[CHANGE_DRIFT] += am_block_dot(change, drift, w->n);
    if (scale != 1)
        am_scale_f32(change, scale, change, w->n);
    am_add_f32(w->out, w->base, change, w->n);
    return 0;
}

static void report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
{
    double old = sqrt(tally[OLD_OLD]), change = sqrt(tally[CHANGE_CHANGE]), drift = sqrt(tally[DRIFT_DRIFT]);
    (void)acc;
    am_report_put(r, "norm_base_old", old);
    am_report_put(r, "norm_delta", change);
    am_report_put(r, "relative", change / old);
    am_report_put(r, "drift", drift / old);
    am_report_put(r, "cosine", tally[CHANGE_DRIFT] / (change * drift));
    if (s->tensor.name && drift > change && tally[CHANGE_DRIFT] < 0)
        am_report_warn(r, "drift-conflict",
                       "the new base moved further from the old base than the fine-tune did, and against it, so the "
                       "change may not fit there; evaluate the result, or leave such tensors out with exclude");
}

const struct am_method am_method_merge_port = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "port",
    .since = "0.1",
    .paper = "arXiv:2410.10870",
    .summary = "carry what a fine-tune learned over to a newer base",
    .needs = {.min_inputs = 1,
              .max_inputs = 1,
              .base = AM_YES,
              .task = AM_YES,
              .tally = {.fixed = SUMS},
              .report = {.fixed = 5},
              .scratch = {.fixed = 1},
              .local_bytes = sizeof(struct wish)},
    .params = params,
    .common = am_policies,
    .selects = am_patterns_select,
    .unchanged = unchanged,
    .prepare = prepare,
    .apply = apply,
    .report = report,
};
