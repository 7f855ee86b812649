/*
 * nearswap.c - moves the base toward a model where the two are near: w = min(t / max(|b - x|, 1e-6), 1),
 * out = w * x + (1 - w) * b.
 *
 * As in mergekit (merge.md A23). Elements that differ by t or less become the model's, bit for bit; all others move by
 * about t. f32, one rounding per operation. t = 0 gives the base.
 */
#include "core/merge/_exact.h"
#include "core/merge/_policies.h"
#include "core/methods/method.h"
#include "core/methods/report.h"
#include "core/tensor/kernels.h"

static const struct am_param params[] = {
    {.name = "t",
     .kind = AM_REAL,
     .min = 0,
     .max = 1e6,
     .unit = "none",
     .flags = AM_REQUIRED,
     .doc = "how far an element may move; those that differ by less become the model's (typical: 0.0001)"},
    {0},
};

struct wish { /* local */
    float t;
    struct am_exact exact; /* compat */
};

enum { ELEMENTS, SWAPPED, COUNTS }; /* tally */

static bool unchanged(const struct am_args *args, const struct am_tensor_info *tensor)
{
    (void)tensor;
    return (float)am_arg_real(args, "t") == 0;
}

static void prepare(const struct am_scope_info *s, void *local)
{
    *(struct wish *)local = (struct wish){(float)am_arg_real(s->args, "t"), am_exact_of(s->args)};
}

/* compat "exact" (merge.md B18): w = R(R(1 / max(R(|b - x|), 1e-6)) * t), out = R(R(w x) + R(R(1 - w) b)). */
static size_t apply_exact(const struct am_window *w, const struct wish *wish)
{
    const struct am_exact *e = &wish->exact;
    float x[AM_TILE], b[AM_TILE], share[AM_TILE], least = am_exact_scalar(e, 1e-6);
    size_t swapped = 0;
    am_exact_copy(e, x, w->x[0], w->n);
    am_exact_copy(e, b, w->base, w->n);
    am_exact_sub(e, share, b, x, w->n);
    for (size_t i = 0; i < w->n; i++)
        share[i] = 1 / (fabsf(share[i]) < least ? least : fabsf(share[i]));
    am_exact_round(e, share, w->n);
    am_exact_scale(e, share, am_exact_scalar(e, wish->t), share, w->n);
    for (size_t i = 0; i < w->n; i++) {
        share[i] = share[i] > 1 ? 1 : share[i];
        swapped += share[i] == 1;
    }
    am_exact_mul(e, x, share, x, w->n);
    for (size_t i = 0; i < w->n; i++)
        share[i] = 1 - share[i];
    am_exact_round(e, share, w->n);
    am_exact_mul(e, b, share, b, w->n);
    am_exact_add(e, w->out, x, b, w->n);
    return swapped;
}

static int apply(const struct am_window *w, const void *acc)
{
    const struct wish *wish = w->local;
    (void)acc;
    w->tally[ELEMENTS] += (double)w->n;
    if (wish->exact.on) {
        w->tally[SWAPPED] += (double)apply_exact(w, wish);
        return 0;
    }
    if (wish->t == 0) /* w = 0; 0 * x + b would turn -0 into +0 */
        am_copy_f32(w->out, w->base, w->n);
    else
        w->tally[SWAPPED] += (double)am_nearswap_f32(w->out, wish->t, w->x[0], w->base, w->n);
    return 0;
}

static void report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
{
    (void)s, (void)acc;
    am_report_put(r, "swapped", tally[ELEMENTS] > 0 ? tally[SWAPPED] / tally[ELEMENTS] : 0);
}

const struct am_method am_method_merge_nearswap = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "nearswap",
    .since = "0.1",
    .paper = "",
    .summary = "take the model where it is near the base, stay near the base elsewhere",
    .needs = {.min_inputs = 1,
              .max_inputs = 1,
              .base = AM_YES,
              .tally = {.fixed = COUNTS},
              .report = {.fixed = 1},
              .local_bytes = sizeof(struct wish)},
    .params = params,
    .common = am_policies_mergekit,
    .unchanged = unchanged,
    .prepare = prepare,
    .apply = apply,
    .report = report,
};
