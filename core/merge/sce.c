/*
 * sce.c - select, calculate, erase: the coordinates in which the models differ most are kept, each model weighs by the
 * energy of its differences from the base, and entries against the elected sign are left out.
 *
 * Wan et al., FuseChat, 2024 (merge.md A21). d_i = fl(x_i - b). With select_topk < 1 the k = floor(select_topk *
 * count of non-zero variances) elements of largest variance over the models stay (_select.h), all others are zero in
 * every d_i. q_i = mean(d_i^2) over the tensor, divided by their sum; equal where that sum is no more than
 * weight_floor. The sign of sum(d_i) is elected, + for 0; out = fl(b + sum(q_i d_i) / max(sum(q_i), 1e-6)) over those
 * with it. compat "rules" (mergekit): a floor of 1e-6, which for small differences makes all weights equal, and k
 * without slack.
 *
 * The variance over the models is f32 (kernels.h), energies are f64. The number of non-zero variances is known after
 * the first look at all elements; what a sample looks for is estimated from it.
 */
#include "core/merge/_exact.h"
#include "core/merge/_policies.h"
#include "core/merge/_select.h"
#include "core/methods/report.h"
#include "core/tensor/kernels.h"

#include <string.h>

#define FLOOR 1e-6

static const struct am_param params[] = {
    {.name = "select_topk",
     .kind = AM_REAL,
     .min = 0,
     .max = 1,
     .def = "1.0",
     .unit = "fraction",
     .flags = AM_OPEN_MIN,
     .doc = "share of each tensor's elements that is kept, largest variance over the models first"},
    {.name = "weight_floor",
     .kind = AM_REAL,
     .min = 0,
     .max = 1e6,
     .def = "0.0",
     .unit = "none",
     .flags = AM_ADVANCED,
     .doc = "tensors whose mean squared differences sum to no more than this weigh all models equally"},
    {0},
};

struct wish { /* local */
    double topk, floor;
    bool rules;
    struct am_exact exact; /* compat */
    uint64_t elements;
};

enum stage { SELECT, ENERGY, KNOWN };

struct sums { /* accumulator */
    enum stage stage;
    bool all;               /* nothing is left out */
    uint64_t seen, nonzero; /* elements whose variance was looked at in this round, and of them those above 0 */
    uint64_t k;
    double energy[AM_MAX_INPUTS];
    float q[AM_MAX_INPUTS];
    size_t inputs;
    struct am_selects select; /* one rank, by variance */
};

enum { ELEMENTS, KEPT, CONFLICTS, COUNTS }; /* tally */

static void prepare(const struct am_scope_info *s, void *local)
{
    struct wish *w = local;
    w->topk = am_arg_real(s->args, "select_topk");
    w->floor = am_arg_real(s->args, "weight_floor");
    w->rules = am_compat(s->args) != AM_COMPAT_NONE;
    w->floor = w->rules && w->floor < FLOOR ? FLOOR : w->floor;
    w->exact = am_exact_of(s->args);
    w->elements = s->elements;
}

/* Where the scope stands for this window: before the first round the parameters say it. */
static enum stage stage_of(const struct sums *sofar, const struct wish *w)
{
    return sofar ? sofar->stage : w->topk < 1 ? SELECT : ENERGY;
}

static size_t look(const struct am_window *w, const void *sofar, unsigned pass, size_t *ret_first)
{
    const struct wish *wish = w->local;
    const struct sums *known = sofar;
    (void)pass;
    if (stage_of(known, wish) != SELECT)
        return w->n;
    return am_selects_look(known ? &known->select : NULL, wish->elements, w, ret_first);
}

/* The differences of n elements from `first` on, in the scratch. */
static void differences(const struct am_window *w, size_t first, size_t n)
{
    const struct wish *wish = w->local;
    for (size_t i = 0; i < w->inputs; i++)
        if (wish->exact.on)
            am_exact_delta(&wish->exact, w->scratch[i], w->x[i] + first, w->base + first, n);
        else if (w->x16)
            am_sub_bf16(w->scratch[i], w->x16[i] + first, w->base16 + first, n);
        else
            am_sub_f32(w->scratch[i], w->x[i] + first, w->base + first, n);
}

static float *variance(const struct am_window *w, size_t n)
{
    float *v = w->scratch[w->inputs];
    am_variance_f32(v, (const float *const *)w->scratch, w->inputs, n);
    am_exact_round(&((const struct wish *)w->local)->exact, v, n);
    return v;
}

static int count(const struct am_window *w, const struct sums *known, struct sums *acc)
{
    const struct wish *wish = w->local;
    const struct am_select *mine = known ? &known->select.rank[0] : NULL;
    struct am_part part;
    am_selects_begin(&acc->select, 1, wish->elements, w);
    if (!am_select_part(mine, wish->elements, w, &part))
        return 0;
    differences(w, part.first, part.n);
    const float *v = variance(w, part.n);
    acc->seen += part.n;
    acc->nonzero += part.n - am_count_equal(v, part.n, 0);
    const struct am_select_round round = {mine, &acc->select.rank[0]};
    return am_select_count(&round, 1, v, &part);
}

/* Leaves what is not selected out of the differences in the scratch; returns how many elements stay. */
static size_t erase(const struct am_window *w, const struct sums *known)
{
    if (known->all)
        return w->n;
    float *v = variance(w, w->n);
    struct am_edge edge = am_select_edge(&known->select.rank[0], w);
    size_t kept = am_select_band(v, v, w->n, &edge, NULL);
    for (size_t i = 0; i < w->inputs; i++)
        am_erase_f32(w->scratch[i], v, w->n);
    return kept;
}

/* Of the differences of input i. */
static double energy_of_all(const struct am_window *w, size_t i)
{
    return w->x16 ? am_delta_square_bf16(w->scratch[i], w->x16[i], w->base16, w->n)
                  : am_delta_square(w->scratch[i], w->x[i], w->base, w->n);
}

/* The same of those that are left in the scratch. */
static double energy_of(const struct am_window *w, size_t i)
{
    const struct wish *wish = w->local;
    double sum = 0;
    if (!wish->exact.on)
        return am_block_dot(w->scratch[i], w->scratch[i], w->n);
    float square[AM_TILE];
    am_exact_mul(&wish->exact, square, w->scratch[i], w->scratch[i], w->n);
    for (size_t k = 0; k < w->n; k++)
        sum += (double)square[k];
    return sum;
}

static int stat(const struct am_window *w, const void *sofar, void *acc, unsigned pass)
{
    const struct sums *known = sofar;
    struct sums *s = acc;
    (void)pass;
    s->inputs = w->inputs;
    if (stage_of(known, w->local) == SELECT)
        return count(w, known, s);
    bool all = !known && !((const struct wish *)w->local)->exact.on;
    if (!all)
        differences(w, 0, w->n);
    if (known)
        erase(w, known);
    for (size_t i = 0; i < w->inputs; i++)
        s->energy[i] += all ? energy_of_all(w, i) : energy_of(w, i);
    return 0;
}

static int merge(void *into, const void *from, unsigned pass)
{
    struct sums *s = into;
    const struct sums *t = from;
    s->seen += t->seen;
    s->nonzero += t->nonzero;
    for (size_t i = 0; i < t->inputs; i++)
        s->energy[i] += t->energy[i];
    return t->select.n ? am_selects_merge(&s->select, &t->select, pass) : 0;
}

static uint64_t share(const struct wish *w, uint64_t n)
{
    if (w->exact.on)
        return (uint64_t)((float)n * (float)w->topk);
    return w->rules ? (uint64_t)((double)n * w->topk) : am_select_share(w->topk, n);
}

/* After a round of selecting. */
static int select_more(struct sums *s, const struct wish *w)
{
    uint64_t k = share(w, s->nonzero), n = w->elements;
    if (s->seen < n) { /* a sample: what it says of the tensor */
        k = (uint64_t)(w->topk * (double)s->nonzero / (double)(s->seen ? s->seen : 1) * (double)n);
        k = k < 1 ? 1 : k >= n ? n - 1 : k;
    }
    s->k = k;
    bool exact = s->seen == n;
    s->seen = s->nonzero = 0;
    if (exact && (k == 0 || k == n)) {
        s->all = k == n;
        s->stage = k == 0 ? KNOWN : ENERGY;
        return k == 0 ? 0 : AM_AGAIN;
    }
    int rc = am_select_next(&s->select.rank[0], k, n, AM_EQUALS_FIRST);
    if (rc == 0)
        s->stage = ENERGY;
    return rc < 0 ? rc : AM_AGAIN;
}

/* compat "exact" (merge.md B18): m_i = R(R(sum of R(d_i^2)) / n), q_i = R(m_i / R(sum of m_i)). */
static void weights_exact(const struct am_exact *e, const struct am_scope_info *info, double floor, struct sums *s)
{
    float mean[AM_MAX_INPUTS], sum = 0;
    for (size_t i = 0; i < info->inputs; i++) {
        mean[i] = am_exact_scalar(e, s->energy[i]) / am_exact_scalar(e, (double)info->elements);
        am_exact_round(e, &mean[i], 1);
        sum += mean[i];
    }
    am_exact_round(e, &sum, 1);
    for (size_t i = 0; i < info->inputs; i++) {
        s->q[i] = (double)sum < floor ? 1 / (float)info->inputs : mean[i] / sum;
        am_exact_round(e, &s->q[i], 1);
    }
}

static int between(void *acc, const struct am_scope_info *info, const void *local, unsigned pass, unsigned round)
{
    struct sums *s = acc;
    const struct wish *w = local;
    double sum = 0;
    (void)pass;
    if (round == 0)
        s->stage = stage_of(NULL, w);
    if (info->elements == 0)
        return 0;
    if (s->stage == SELECT)
        return select_more(s, w);
    s->all |= w->topk >= 1;
    s->k = s->all ? info->elements : s->k;
    if (w->exact.on) {
        weights_exact(&w->exact, info, w->floor, s);
        s->stage = KNOWN;
        return 0;
    }
    for (size_t i = 0; i < info->inputs; i++)
        sum += s->energy[i] / (double)info->elements;
    for (size_t i = 0; i < info->inputs; i++)
        s->q[i] =
            sum <= w->floor ? (float)(1 / (double)info->inputs) : (float)(s->energy[i] / (double)info->elements / sum);
    s->stage = KNOWN;
    return 0;
}

/* am_weigh_f32 of the differences in the scratch, as compat "exact" has it: R(b + R(R(sum of R(q d)) / R(sum of q))).
 */
static size_t weigh_exact(const struct am_window *w, const struct am_exact *e, const float *q)
{
    float elected[AM_TILE] = {0}, part[AM_TILE], sum[AM_TILE] = {0}, least = am_exact_scalar(e, FLOOR);
    bool against[AM_TILE] = {0};
    size_t conflicts = 0;
    for (size_t i = 0; i < w->inputs; i++)
        am_add_f32(elected, elected, w->scratch[i], w->n);
    am_exact_round(e, elected, w->n);
    memset(w->out, 0, w->n * sizeof(*w->out));
    for (size_t i = 0; i < w->inputs; i++) {
        const float *d = w->scratch[i];
        am_exact_scale(e, part, q[i], d, w->n);
        for (size_t k = 0; k < w->n; k++) {
            bool with = elected[k] >= 0 ? d[k] > 0 : d[k] < 0;
            w->out[k] += with ? part[k] : 0;
            sum[k] += with ? q[i] : 0;
            against[k] |= !with && d[k] != 0;
        }
    }
    am_exact_round(e, w->out, w->n);
    am_exact_round(e, sum, w->n);
    for (size_t k = 0; k < w->n; k++) {
        w->out[k] /= sum[k] < least ? least : sum[k];
        conflicts += against[k];
    }
    am_exact_round(e, w->out, w->n);
    am_exact_copy(e, part, w->base, w->n);
    am_exact_add(e, w->out, part, w->out, w->n);
    return conflicts;
}

static int apply(const struct am_window *w, const void *acc)
{
    const struct sums *s = acc;
    const struct wish *wish = w->local;
    w->tally[ELEMENTS] += (double)w->n;
    const float *base = w->base16 ? w->out : w->base;
    if (w->base16)
        am_load_f32(AM_BF16, w->base16, w->out, w->n);
    else if (s->k == 0)
        am_copy_f32(w->out, w->base, w->n);
    if (s->k == 0)
        return 0;
    differences(w, 0, w->n);
    w->tally[KEPT] += (double)erase(w, s);
    if (wish->exact.on)
        w->tally[CONFLICTS] += (double)weigh_exact(w, &wish->exact, s->q);
    else
        w->tally[CONFLICTS] +=
            (double)am_weigh_f32(s->q, w->inputs, w->out, base, (const float *const *)w->scratch, w->n);
    return 0;
}

static void report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
{
    const struct sums *told = acc;
    double q[AM_MAX_INPUTS], norm[AM_MAX_INPUTS], n = tally[ELEMENTS];
    am_report_put(r, "kept", tally[KEPT]);
    am_report_put(r, "sign_conflict", n > 0 ? tally[CONFLICTS] / n : 0);
    if (!s->tensor.name || !told)
        return;
    for (size_t i = 0; i < s->inputs; i++) {
        q[i] = (double)told->q[i];
        norm[i] = sqrt(told->energy[i]);
    }
    am_report_put_list(r, "weight", q, s->inputs);
    am_report_put_list(r, "delta_norm", norm, s->inputs);
}

const struct am_method am_method_merge_sce = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "sce",
    .since = "0.1",
    .paper = "arXiv:2408.07990",
    .summary = "keep what varies most, weigh models by energy, leave out minority signs",
    .needs = {.min_inputs = 1,
              .base = AM_YES,
              .passes = 1,
              .bf16 = true,
              .acc = {.fixed = sizeof(struct sums) + sizeof(struct am_select)},
              .lists = {.fixed = 1},
              .tally = {.fixed = COUNTS},
              .report = {.fixed = 2, .per_input = 2},
              .scratch = {.fixed = 1, .per_input = 1},
              .local_bytes = sizeof(struct wish),
              .symmetric = true},
    .params = params,
    .common = am_policies_mergekit,
    .prepare = prepare,
    .look = look,
    .stat = stat,
    .merge = merge,
    .between = between,
    .apply = apply,
    .report = report,
};
