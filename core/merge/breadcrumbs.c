/*
 * breadcrumbs.c - of each model's difference from the base the smallest and the largest entries go, the rest is summed:
 * out = b + lambda * sum(w_i * m_i * (x_i - b)).
 *
 * Davari and Belilovsky, ECCV 2024, arXiv:2312.06795. Shapes: b, every x_i and out have the same shape. Of n entries
 * in the order of merge.md A4 (of equal magnitudes the lowest index is the largest) floor(drop_low * n) go at the
 * bottom and floor(drop_high * n) at the top; where density is given, exactly floor(density * n) stay, at least one,
 * and the top gives way to it. n counts a tensor, or each row of it. Nothing is rescaled. With nothing dropped this is
 * task_arithmetic, bit for bit. The other ways to write the two shares become drop_low and drop_high when a job is
 * submitted (`canonical`).
 */
#include "core/merge/_frame.h"
#include "core/merge/_policies.h"
#include "core/merge/_select.h"
#include "core/tensor/kernels.h"

#include <string.h>

static const char *const consensus_choices[] = {"none", "sum", "count", NULL};
static const char *const granularity_choices[] = {"tensor", "row", NULL};

#define SHARE(n, lo, hi, more, text)                                                                                   \
    {                                                                                                                  \
        .name = n, .kind = AM_REAL, .min = lo, .max = hi, .def = "null", .unit = "fraction",                           \
        .flags = AM_PER_INPUT | (more), .doc = text                                                                    \
    }

static const struct am_param params[] = {
    {.name = "weight",
     .kind = AM_REAL,
     .min = -1e6,
     .max = 1e6,
     .unit = "factor",
     .flags = AM_REQUIRED | AM_PER_INPUT,
     .doc = "factor of each model's difference from the base"},
    SHARE("density", 0, 1, 0, "share that is kept; 1 (nothing is dropped) when no other way to say it is used"),
    SHARE("gamma", 0, 1, AM_OPEN_MAX, "with density: share of the largest that is dropped, 0.01 when not given"),
    SHARE("drop_low", 0, 1, AM_OPEN_MAX, "share of the smallest that is dropped, in place of density (paper: 0.85)"),
    SHARE("drop_high", 0, 1, AM_OPEN_MAX, "with drop_low: share of the largest that is dropped (paper: 0.01)"),
    SHARE("beta", 0, 1, AM_OPEN_MAX | AM_ADVANCED, "the paper's way: share of the smallest that is dropped"),
    SHARE("gamma_paper", 0, 1, AM_OPEN_MIN | AM_ADVANCED, "with beta: 1 - the share of the largest that is dropped"),
    SHARE("top_k_keep", 0, 1, AM_OPEN_MIN | AM_ADVANCED,
          "the authors' code's way: share that is kept after top_k_remove; sets granularity to row"),
    SHARE("top_k_remove", 0, 1, AM_OPEN_MAX | AM_ADVANCED, "with top_k_keep: share of the largest that is dropped"),
    {.name = "granularity",
     .kind = AM_CHOICE,
     .choices = granularity_choices,
     .def = "\"tensor\"",
     .unit = "none",
     .doc = "count and compare within each tensor, or within each row (last axis)"},
    {.name = "lambda",
     .kind = AM_REAL,
     .min = -1e6,
     .max = 1e6,
     .def = "1.0",
     .unit = "factor",
     .doc = "factor of the merged difference; the paper's alpha (0.3 to 0.4)"},
    {.name = "normalize", .kind = AM_BOOL, .def = "false", .unit = "none", .doc = "divide by the sum of the weights"},
    {.name = "consensus",
     .kind = AM_CHOICE,
     .choices = consensus_choices,
     .def = "\"none\"",
     .unit = "none",
     .flags = AM_ADVANCED,
     .doc = "elect a sign for each element by sum or count, and leave out what disagrees"},
    {0},
};

static const struct am_rule rules[] = {{AM_RULE_SUM_NOT_ZERO, "weight", "normalize"}, {AM_RULE_END, NULL, NULL}};

static const struct am_form forms[] = {
    {.name = {"density", "gamma"}, .def = {1.0, 0.01}, .to = {{1, -1, -1}, {0, 0, 1}}, .stays = true, .shrinks = true},
    {.name = {"drop_low", "drop_high"}, .def = {NAN, NAN}, .to = {{0, 1, 0}, {0, 0, 1}}},
    {.name = {"beta", "gamma_paper"}, .def = {NAN, NAN}, .to = {{0, 1, 0}, {1, 0, -1}}},
    {.name = {"top_k_keep", "top_k_remove"},
     .def = {NAN, NAN},
     .to = {{1, -1, -1}, {0, 0, 1}},
     .sets = {"granularity", "row"}},
    {.name = {NULL, NULL}},
};
static const struct am_canonical canonical = {.to = {"drop_low", "drop_high"}, .form = forms};

struct shares {
    double density, gamma, low, high; /* density NaN: low and high count */
    bool rules;                       /* mergekit's */
};
struct bounds {
    uint64_t inner, outer; /* in the order of magnitudes the entries from number `inner` to before `outer` are kept */
};
enum { OUTER, INNER, RANKS };

struct local {
    struct am_frame frame; /* first: am_frame_apply() reads it */
    bool rows;
    uint64_t elements;
    struct shares share[AM_MAX_INPUTS];
    struct bounds keep[AM_MAX_INPUTS]; /* of `elements`; not with rows */
};

static struct bounds bounds_of(const struct shares *s, uint64_t n)
{
    if (isnan(s->density)) {
        uint64_t low = am_select_share(s->low, n), high = am_select_share(s->high, n);
        return (struct bounds){.inner = high, .outer = n - (low < n - high ? low : n - high)};
    }
    if (s->density >= 1)
        return (struct bounds){.inner = 0, .outer = n};
    if (s->rules) { /* and where nothing goes at the top, mergekit keeps nothing at all */
        uint64_t kept = am_select_truncated(s->density, n), cut = am_select_truncated(s->gamma, n);
        cut = cut > n - kept ? n - kept : cut;
        return (struct bounds){.inner = cut, .outer = cut ? cut + kept : 0};
    }
    uint64_t target = am_select_share(s->density, n), top = am_select_share(s->gamma, n);
    if (target == 0 && s->density > 0 && n > 0)
        target = 1;
    if (top > n - target)
        top = n - target;
    return (struct bounds){.inner = top, .outer = top + target};
}

static bool rows(const struct am_args *args)
{
    return strcmp(am_arg_text(args, "granularity"), "row") == 0;
}

static struct shares shares_of(const struct am_args *args, size_t i)
{
    return (struct shares){.density = am_arg_input_real(args, "density", i),
                           .gamma = am_arg_input_real(args, "gamma", i),
                           .low = am_arg_input_real(args, "drop_low", i),
                           .high = am_arg_input_real(args, "drop_high", i),
                           .rules = am_compat(args) != AM_COMPAT_NONE};
}

static void prepare(const struct am_scope_info *s, void *local)
{
    struct local *l = local;
    am_frame_prepare(s, &l->frame);
    l->rows = rows(s->args);
    l->elements = s->elements;
    for (size_t i = 0; i < s->inputs; i++) {
        l->share[i] = shares_of(s->args, i);
        l->keep[i] = bounds_of(&l->share[i], s->elements);
    }
}

/* How many of the largest entries rank r of input i is about; false: no need to look. */
static bool searched(const struct local *l, size_t i, size_t r, uint64_t *ret)
{
    const struct bounds *b = &l->keep[i];
    *ret = r == OUTER ? b->outer : b->inner;
    return !l->rows && b->inner<b->outer && * ret> 0 && *ret < l->elements;
}

static int count_input(const struct am_window *w, const struct am_selects *known, struct am_selects *acc, size_t i)
{
    const struct local *l = w->local;
    struct am_part part, have = {0};
    uint64_t k;
    for (size_t r = 0; r < RANKS; r++) {
        size_t at = i * RANKS + r;
        const struct am_select *mine = known ? &known->rank[at] : NULL;
        if (!searched(l, i, r, &k) || !am_select_part(mine, l->elements, w, &part))
            continue;
        if (part.first != have.first || part.n != have.n)
            am_frame_delta(&l->frame, w->scratch[0], w->x[i] + part.first, w->base + part.first, part.n);
        have = part;
        int rc = am_select_count(mine, &acc->rank[at], w->scratch[0], &part);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static size_t look(const struct am_window *w, const void *sofar, unsigned pass, size_t *ret_first)
{
    (void)pass;
    const struct local *l = w->local;
    return am_selects_look(sofar, l->elements, w, ret_first);
}

static int stat(const struct am_window *w, const void *sofar, void *acc, unsigned pass)
{
    (void)pass;
    struct am_selects *ranks = acc;
    am_selects_begin(ranks, w->inputs * RANKS, ((const struct local *)w->local)->elements, w);
    for (size_t i = 0; i < w->inputs; i++) {
        int rc = count_input(w, sofar, acc, i);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int between(void *acc, const struct am_scope_info *s, const void *local, unsigned pass, unsigned round)
{
    (void)pass, (void)round;
    const struct local *l = local;
    struct am_selects *ranks = acc;
    int again = 0;
    uint64_t k;
    for (size_t at = 0; at < s->inputs * RANKS; at++) {
        if (!searched(l, at / RANKS, at % RANKS, &k))
            continue;
        int rc = am_select_next(&ranks->rank[at], k, l->elements, AM_EQUALS_FIRST);
        if (rc < 0)
            return rc;
        again |= rc;
    }
    return again ? AM_AGAIN : 0;
}

static size_t keep_row(const struct local *l, size_t input, float *d, size_t n)
{
    struct bounds b = bounds_of(&l->share[input], n);
    struct am_edge outer = am_select_row(d, n, b.outer), inner = am_select_row(d, n, b.inner);
    return am_select_band(d, d, n, &outer, &inner);
}

static size_t keep(const struct am_window *w, const void *acc, size_t input, float *d)
{
    const struct local *l = w->local;
    const struct am_selects *ranks = acc;
    const struct bounds *b = &l->keep[input];
    struct am_edge edge[RANKS] = {am_edge_all, am_edge_none};
    uint64_t k;
    if (l->rows)
        return keep_row(l, input, d, w->n);
    if (b->inner >= b->outer) {
        memset(d, 0, w->n * sizeof(*d));
        return 0;
    }
    if (b->inner == 0 && b->outer == l->elements)
        return w->n;
    for (size_t r = 0; r < RANKS; r++)
        if (searched(l, input, r, &k))
            edge[r] = am_select_edge(&ranks->rank[input * RANKS + r], w);
    return am_select_band(d, d, w->n, &edge[OUTER], &edge[INNER]);
}

static int apply(const struct am_window *w, const void *acc)
{
    am_frame_apply(w, acc, keep);
    return 0;
}

static void report_thresholds(const struct am_scope_info *s, const struct am_selects *ranks, struct am_report *r)
{
    double low[AM_MAX_INPUTS], high[AM_MAX_INPUTS];
    for (size_t i = 0; i < s->inputs; i++) {
        const struct am_select *outer = &ranks->rank[i * RANKS + OUTER], *inner = &ranks->rank[i * RANKS + INNER];
        low[i] = outer->stage == AM_SELECT_DONE ? (double)am_select_threshold(outer) : 0;
        high[i] = inner->stage == AM_SELECT_DONE ? (double)am_select_threshold(inner) : INFINITY;
    }
    am_report_put_list(r, "threshold", low, s->inputs);
    am_report_put_list(r, "threshold_high", high, s->inputs);
}

static void report_emptied(const struct am_scope_info *s, struct am_report *r)
{
    for (size_t i = 0; i < s->inputs && !rows(s->args); i++) {
        struct shares share = shares_of(s->args, i);
        struct bounds b = bounds_of(&share, s->elements);
        if (share.rules && share.density > 0 && s->elements > 0 && b.outer == 0)
            am_report_warn(r, "compat-effects",
                           "as in mergekit, a model's whole difference is dropped where gamma of the tensor is less "
                           "than one entry; compat \"none\" keeps the middle");
    }
}

static void report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
{
    bool zero = false, noop = false;
    am_frame_report(s, tally, r);
    if (s->tensor.name) {
        if (acc && !rows(s->args))
            report_thresholds(s, acc, r);
        report_emptied(s, r);
        return;
    }
    for (size_t i = 0; i < s->inputs; i++) {
        struct shares share = shares_of(s->args, i);
        zero |= share.density == 0;
        noop |= isnan(share.density) ? share.low == 0 && share.high == 0 : share.density >= 1;
    }
    if (zero)
        am_report_warn(r, "density-zero", "a model with density 0 adds nothing; leave it out or raise its density");
    if (noop)
        am_report_warn(r, "breadcrumbs-noop",
                       "nothing is dropped of a model, so this is task_arithmetic for it; set density below 1, or "
                       "drop_low and drop_high");
}

const struct am_method am_method_merge_breadcrumbs = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "breadcrumbs",
    .since = "0.1",
    .paper = "arXiv:2312.06795",
    .summary = "drop the smallest and the largest differences from the base, add the rest",
    .needs = {.min_inputs = 1,
              .base = AM_YES,
              .passes = 1,
              AM_SELECTS_NEEDS(RANKS),
              .tally = AM_FRAME_TALLY,
              .report = {.fixed = 2, .per_input = 4},
              .scratch = AM_FRAME_SCRATCH,
              .local_bytes = sizeof(struct local),
              .by_row = true,
              .symmetric = true},
    .params = params,
    .common = am_policies_mergekit,
    .rules = rules,
    .canonical = &canonical,
    .unchanged = am_frame_unchanged,
    .prepare = prepare,
    .look = look,
    .stat = stat,
    .merge = am_selects_merge,
    .between = between,
    .apply = apply,
    .report = report,
};
