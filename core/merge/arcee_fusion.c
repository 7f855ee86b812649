/*
 * arcee_fusion.c - takes from a model the elements that matter most, and all others from the base.
 *
 * As in mergekit (merge.md A22). For each row (last axis; a tensor of one axis, or none, is one row) p = softmax(x) +
 * 1e-8 and s = softmax(b) + 1e-8 give kl = sum p ln(p/s); the importance of an element is |x - b| * kl of its row. The
 * threshold is median + 1.5 (q3 - q1) over the tensor, quantile q being the value at ascending place floor(q (n - 1));
 * out = x where the importance is >= threshold, else b. Unlike mergekit, which looks at random samples of a million,
 * the quantiles are exact (_select.h). kl is f64 and rounded once; importances and the threshold are f32. Rounding can
 * leave kl below 0 for nearly equal rows; that counts as 0.
 */
#include "core/base/err.h"
#include "core/merge/_policies.h"
#include "core/merge/_select.h"
#include "core/methods/report.h"
#include "core/tensor/kernels.h"

static const char *const quantile_choices[] = {"exact", NULL};

static const struct am_param params[] = {
    {.name = "quantiles",
     .kind = AM_CHOICE,
     .choices = quantile_choices,
     .def = "\"exact\"",
     .unit = "none",
     .flags = AM_ADVANCED,
     .doc = "how the threshold's quantiles are found: over all elements of the tensor"},
    {0},
};

enum { LOWER, MEDIAN, UPPER, RANKS };
static const double quantile[RANKS] = {0.25, 0.5, 0.75};

enum pass { ROWS, QUANTILES };

struct wish { /* local */
    uint64_t elements;
};

struct fusion {      /* accumulator */
    bool begun;      /* the first round of the quantiles is over */
    float threshold; /* after between() */
    struct am_selects select;
};

enum { ELEMENTS, FUSED, COUNTS }; /* tally */

static void prepare(const struct am_scope_info *s, void *local)
{
    ((struct wish *)local)->elements = s->elements;
}

static const struct am_selects *selects_of(const struct fusion *f)
{
    return f && f->begun ? &f->select : NULL;
}

static size_t look(const struct am_window *w, const void *sofar, unsigned pass, size_t *ret_first)
{
    const struct wish *wish = w->local;
    return pass == ROWS ? w->n : am_selects_look(selects_of(sofar), wish->elements, w, ret_first);
}

static struct am_softmax softmax(const float *x, size_t n, float *high, float *low)
{
    struct am_softmax s = {.high = high, .low = low, .max = (double)am_max_f32(x, n)};
    double sum = 0;
    for (size_t at = 0; at < n; at += AM_TILE)
        sum += am_block_exp(x + at, s.max, n - at < AM_TILE ? n - at : AM_TILE, high + at, low + at);
    s.inverse = 1 / sum;
    return s;
}

static double divergence(const struct am_window *w)
{
    struct am_softmax p = softmax(w->x[0], w->n, w->scratch[0], w->scratch[1]);
    struct am_softmax s = softmax(w->base, w->n, w->scratch[2], w->scratch[3]);
    double kl = 0;
    for (size_t at = 0; at < w->n; at += AM_TILE)
        kl += am_block_kl(&p, &s, at, w->n - at < AM_TILE ? w->n - at : AM_TILE);
    return kl < 0 ? 0 : kl;
}

_Static_assert(RANKS <= AM_KEY_RANGES, "counted together");

static int count(const struct am_window *w, const struct am_selects *known, struct fusion *acc)
{
    const struct wish *wish = w->local;
    struct am_select_round round[RANKS];
    struct am_part part;
    size_t ranks = 0;
    am_selects_begin(&acc->select, RANKS, wish->elements, w);
    for (size_t r = 0; r < RANKS; r++) {
        const struct am_select *mine = known ? &known->rank[r] : NULL;
        if (am_select_part(mine, wish->elements, w, &part))
            round[ranks++] = (struct am_select_round){mine, &acc->select.rank[r]};
    }
    if (ranks == 0)
        return 0;
    am_importance_f32(w->scratch[0], (float)*w->row, w->x[0] + part.first, w->base + part.first, part.n);
    return am_select_count(round, ranks, w->scratch[0], &part);
}

static int stat(const struct am_window *w, const void *sofar, void *acc, unsigned pass)
{
    if (pass == QUANTILES)
        return count(w, selects_of(sofar), acc);
    *w->row = divergence(w);
    return 0;
}

static int merge(void *into, const void *from, unsigned pass)
{
    const struct fusion *f = from;
    return f->select.n ? am_selects_merge(&((struct fusion *)into)->select, &f->select, pass) : 0;
}

/* Where of equals the rank ends does not matter: the value is known as soon as the bracket is one key. */
static int next(struct am_select *s, double q, uint64_t n)
{
    uint64_t k = n - (uint64_t)floor(q * (double)(n - 1)); /* from the top */
    int rc = am_select_next(s, k, n + 1, AM_EQUALS_FIRST); /* n + 1: "all of them" would not be looked for */
    if (rc > 0 && s->stage == AM_SELECT_EQUAL) {
        s->stage = AM_SELECT_DONE;
        return 0;
    }
    return rc;
}

static int between(void *acc, const struct am_scope_info *s, const void *local, unsigned pass, unsigned round)
{
    struct fusion *f = acc;
    int again = 0;
    (void)local, (void)round;
    if (pass == ROWS || s->elements == 0)
        return 0;
    f->begun = true;
    for (size_t r = 0; r < RANKS; r++) {
        int rc = next(&f->select.rank[r], quantile[r], s->elements);
        if (rc < 0)
            return rc;
        again |= rc;
    }
    if (again)
        return AM_AGAIN;
    float spread = am_select_threshold(&f->select.rank[UPPER]) - am_select_threshold(&f->select.rank[LOWER]);
    spread *= 1.5f;
    f->threshold = am_select_threshold(&f->select.rank[MEDIAN]) + spread;
    return 0;
}

static int apply(const struct am_window *w, const void *acc)
{
    const struct fusion *f = acc;
    w->tally[ELEMENTS] += (double)w->n;
    w->tally[FUSED] += (double)am_fuse_f32(w->out, (float)*w->row, f->threshold, w->x[0], w->base, w->n);
    return 0;
}

static void report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
{
    const struct fusion *f = acc;
    am_report_put(r, "fused", tally[ELEMENTS] > 0 ? tally[FUSED] / tally[ELEMENTS] : 0);
    if (s->tensor.name && f)
        am_report_put(r, "threshold", (double)f->threshold);
}

const struct am_method am_method_merge_arcee_fusion = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "arcee_fusion",
    .since = "0.1",
    .paper = "",
    .summary = "take the elements that matter most from a model, the rest from the base",
    .needs = {.min_inputs = 1,
              .max_inputs = 1,
              .base = AM_YES,
              .passes = 2,
              .acc = {.fixed = sizeof(struct fusion) + RANKS * sizeof(struct am_select)},
              .lists = {.fixed = RANKS},
              .tally = {.fixed = COUNTS},
              .report = {.fixed = 2},
              .scratch = {.fixed = 4},
              .local_bytes = sizeof(struct wish),
              .rows_when = {{"quantiles", "exact"}},
              .row_doubles = 1},
    .params = params,
    .common = am_policies,
    .prepare = prepare,
    .look = look,
    .stat = stat,
    .merge = merge,
    .between = between,
    .apply = apply,
    .report = report,
};
