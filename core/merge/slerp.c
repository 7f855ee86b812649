/*
 * slerp.c - interpolates two tensors along the arc between their directions: t = 0 gives the base v0, t = 1 the model
 * v1.
 *
 * Shoemake, SIGGRAPH 1985, on whole tensors as in mergekit. With c = cos(v0, v1) and a = acos(c):
 * out = sin((1-t)a)/sin(a) * v0 + sin(t*a)/sin(a) * v1, on the vectors as they are: norms are not interpolated. For
 * |c| > dot_threshold, and where sin(a) is 0, out = (1-t)*v0 + t*v1. The sums are f64, the factors are rounded to f32
 * once, the rest is f32 with one rounding per operation. A vector whose norm is at most 1e-8 counts as orthogonal, so
 * that the other one is scaled by the sine.
 */
#include "core/base/math.h"
#include "core/merge/_policies.h"
#include "core/methods/method.h"
#include "core/methods/report.h"
#include "core/tensor/kernels.h"

#define TINY_NORM 1e-8

static const struct am_param params[] = {
    {.name = "t",
     .kind = AM_REAL,
     .min = -1e6,
     .max = 1e6,
     .unit = "factor",
     .flags = AM_REQUIRED,
     .doc = "place on the arc: 0 is the base, 1 the model; outside of 0 to 1 it extrapolates"},
    {.name = "dot_threshold",
     .kind = AM_REAL,
     .min = 0,
     .max = 1,
     .def = "0.9995",
     .unit = "none",
     .flags = AM_ADVANCED,
     .doc = "tensors whose cosine is above this, or below its negative, are interpolated along the straight line"},
    {0},
};

struct wish { /* local */
    double t, threshold;
};

struct arc {          /* accumulator */
    double p, q0, q1; /* <v0, v1>; <v0, v0> and <v1, v1>, after between() the norms */
    double cosine;    /* from here on: after between() */
    float s0, s1;
    bool straight;
};

enum { STRAIGHT, TENSORS, COUNTS }; /* tally: tensors on the straight line, and all that were computed */

static bool unchanged(const struct am_args *args, const struct am_tensor_info *tensor)
{
    (void)tensor;
    return am_arg_real(args, "t") == 0;
}

static void prepare(const struct am_scope_info *s, void *local)
{
    *(struct wish *)local =
        (struct wish){.t = am_arg_real(s->args, "t"), .threshold = am_arg_real(s->args, "dot_threshold")};
}

static int stat(const struct am_window *w, const void *sofar, void *acc, unsigned pass)
{
    struct arc *a = acc;
    (void)sofar, (void)pass;
    struct am_dots dots =
        w->x16 ? am_block_dots_bf16(w->base16, w->x16[0], w->n) : am_block_dots(w->base, w->x[0], w->n);
    a->p += dots.xy;
    a->q0 += dots.xx;
    a->q1 += dots.yy;
    return 0;
}

static int merge(void *into, const void *from, unsigned pass)
{
    struct arc *a = into;
    const struct arc *b = from;
    (void)pass;
    a->p += b->p;
    a->q0 += b->q0;
    a->q1 += b->q1;
    return 0;
}

static int between(void *acc, const struct am_scope_info *s, const void *local, unsigned pass, unsigned round)
{
    struct arc *a = acc;
    const struct wish *w = local;
    (void)s, (void)pass, (void)round;
    a->q0 = sqrt(a->q0);
    a->q1 = sqrt(a->q1);
    double c = a->p / ((a->q0 > TINY_NORM ? a->q0 : 1) * (a->q1 > TINY_NORM ? a->q1 : 1));
    a->cosine = c > 1 ? 1 : c < -1 ? -1 : c; /* rounding may lead past the end */
    a->straight = fabs(a->cosine) > w->threshold || fabs(a->cosine) == 1;
    if (a->straight) {
        a->s0 = (float)(1 - w->t);
        a->s1 = (float)w->t;
    } else {
        double angle = am_acos(a->cosine), sine = am_sin(angle);
        a->s0 = (float)(am_sin((1 - w->t) * angle) / sine);
        a->s1 = (float)(am_sin(w->t * angle) / sine);
    }
    return 0;
}

static void copy(float *out, const struct am_window *w)
{
    if (w->x16)
        am_load_f32(AM_BF16, w->x16[0], out, w->n);
    else
        am_copy_f32(out, w->x[0], w->n);
}

static void tell(const struct am_window *w, const struct arc *a)
{
    if (w->first > 0)
        return;
    w->tally[STRAIGHT] += a->straight;
    w->tally[TENSORS] += 1;
}

static bool apply_bf16(const struct am_window *w, const void *acc, uint16_t *out)
{
    const struct arc *a = acc;
    if (((const struct wish *)w->local)->t == 1 || !am_blend_to_bf16(out, a->s0, w->base16, a->s1, w->x16[0], w->n))
        return false;
    tell(w, a);
    return true;
}

static int apply(const struct am_window *w, const void *acc)
{
    const struct arc *a = acc;
    const struct wish *wish = w->local;
    tell(w, a);
    if (wish->t == 1)
        copy(w->out, w); /* 0 * v0 + v1 would turn -0 into +0 */
    else if (w->x16)
        am_blend_bf16(w->out, a->s0, w->base16, a->s1, w->x16[0], w->n);
    else
        am_blend_f32(w->out, a->s0, w->base, a->s1, w->x[0], w->n);
    return 0;
}

static void report_tensor(const struct am_scope_info *s, const struct arc *a, struct am_report *r)
{
    am_report_put(r, "cosine", a->cosine);
    am_report_put(r, "straight", a->straight);
    am_report_put(r, "norm_base", a->q0);
    am_report_put(r, "norm_model", a->q1);
    if (a->cosine < -am_arg_real(s->args, "dot_threshold") || a->cosine == -1)
        am_report_warn(r, "antiparallel",
                       "the base and the model are nearly opposite, so the straight line between them passes near zero "
                       "and the result may be small; check that they come from the same training");
    if ((a->q0 > TINY_NORM) != (a->q1 > TINY_NORM))
        am_report_warn(
            r, "zero-norm",
            "the tensor is zero in one of the two, so it counts as orthogonal and the other one is scaled by "
            "sin(t*pi/2) or sin((1-t)*pi/2)");
}

static void report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
{
    double t = am_arg_real(s->args, "t");
    if (s->tensor.name) {
        report_tensor(s, acc, r);
        return;
    }
    am_report_put(r, "straight", tally[STRAIGHT]);
    am_report_put(r, "tensors", tally[TENSORS]);
    if (t < 0 || t > 1)
        am_report_warn(r, "t-outside-unit",
                       "t is outside of 0 to 1: the result lies beyond one of the two versions; check that this is "
                       "meant");
}

const struct am_method am_method_merge_slerp = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "slerp",
    .since = "0.1",
    .paper = "",
    .summary = "spherical interpolation between two versions, tensor by tensor",
    .needs = {.min_inputs = 1,
              .max_inputs = 1,
              .base = AM_YES,
              .passes = 1,
              .acc = {.fixed = sizeof(struct arc)},
              .bf16 = true,
              .tally = {.fixed = COUNTS},
              .report = {.fixed = 4},
              .local_bytes = sizeof(struct wish)},
    .params = params,
    .common = am_policies,
    .unchanged = unchanged,
    .prepare = prepare,
    .stat = stat,
    .merge = merge,
    .between = between,
    .apply = apply,
    .apply_bf16 = apply_bf16,
    .report = report,
};
