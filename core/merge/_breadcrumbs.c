/*
 * _breadcrumbs.c - the sparsifier of breadcrumbs and breadcrumbs_ties (_breadcrumbs.h).
 */
#include "core/merge/_breadcrumbs.h"

#include "core/base/err.h"
#include "core/merge/_select.h"
#include "core/tensor/kernels.h"

#include <string.h>

const char *const am_breadcrumbs_granularity[] = {"tensor", "row", NULL};

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
const struct am_canonical am_breadcrumbs_canonical = {.to = {"drop_low", "drop_high"}, .form = forms};

static struct am_crumb_bounds bounds_of(const struct am_crumb_shares *s, uint64_t n)
{
    if (isnan(s->density)) {
        uint64_t low = am_select_share(s->low, n), high = am_select_share(s->high, n);
        return (struct am_crumb_bounds){.inner = high, .outer = n - (low < n - high ? low : n - high)};
    }
    if (s->density >= 1)
        return (struct am_crumb_bounds){.inner = 0, .outer = n};
    if (s->rules) { /* and where nothing goes at the top, mergekit keeps nothing at all */
        uint64_t kept = am_select_truncated(s->density, n), cut = am_select_truncated(s->gamma, n);
        cut = cut > n - kept ? n - kept : cut;
        return (struct am_crumb_bounds){.inner = cut, .outer = cut ? cut + kept : 0};
    }
    uint64_t target = am_select_share(s->density, n), top = am_select_share(s->gamma, n);
    if (target == 0 && s->density > 0 && n > 0)
        target = 1;
    if (top > n - target)
        top = n - target;
    return (struct am_crumb_bounds){.inner = top, .outer = top + target};
}

static bool rows(const struct am_args *args)
{
    return strcmp(am_arg_text(args, "granularity"), "row") == 0;
}

static struct am_crumb_shares shares_of(const struct am_args *args, size_t i)
{
    return (struct am_crumb_shares){.density = am_arg_input_real(args, "density", i),
                                    .gamma = am_arg_input_real(args, "gamma", i),
                                    .low = am_arg_input_real(args, "drop_low", i),
                                    .high = am_arg_input_real(args, "drop_high", i),
                                    .rules = am_compat(args) != AM_COMPAT_NONE};
}

void am_breadcrumbs_prepare(const struct am_scope_info *s, void *local)
{
    struct am_breadcrumbs_local *l = local;
    am_frame_prepare(s, &l->frame);
    l->rows = rows(s->args);
    l->elements = s->elements;
    for (size_t i = 0; i < s->inputs; i++) {
        l->share[i] = shares_of(s->args, i);
        l->keep[i] = bounds_of(&l->share[i], s->elements);
    }
}

/* How many of the largest entries rank r of input i is about; false: no need to look. */
static bool searched(const struct am_breadcrumbs_local *l, size_t i, size_t r, uint64_t *ret)
{
    const struct am_crumb_bounds *b = &l->keep[i];
    *ret = r == AM_CRUMB_OUTER ? b->outer : b->inner;
    return !l->rows && b->inner<b->outer && * ret> 0 && *ret < l->elements;
}

_Static_assert(AM_CRUMB_RANKS <= AM_KEY_RANGES, "counted together");

static int count_input(const struct am_window *w, const struct am_selects *known, struct am_selects *acc, size_t i)
{
    const struct am_breadcrumbs_local *l = w->local;
    struct am_select_round round[AM_CRUMB_RANKS];
    struct am_part part;
    size_t ranks = 0;
    uint64_t k;
    for (size_t r = 0; r < AM_CRUMB_RANKS; r++) {
        size_t at = i * AM_CRUMB_RANKS + r;
        const struct am_select *mine = known ? &known->rank[at] : NULL;
        if (searched(l, i, r, &k) && am_select_part(mine, l->elements, w, &part))
            round[ranks++] = (struct am_select_round){mine, &acc->rank[at]};
    }
    return ranks ? am_frame_count(w, i, round, ranks, &part) : 0;
}

size_t am_breadcrumbs_look(const struct am_window *w, const void *sofar, unsigned pass, size_t *ret_first)
{
    (void)pass;
    const struct am_breadcrumbs_local *l = w->local;
    return am_selects_look(sofar, l->elements, w, ret_first);
}

int am_breadcrumbs_stat(const struct am_window *w, const void *sofar, void *acc, unsigned pass)
{
    (void)pass;
    struct am_selects *ranks = acc;
    am_selects_begin(ranks, w->inputs * AM_CRUMB_RANKS, ((const struct am_breadcrumbs_local *)w->local)->elements, w);
    for (size_t i = 0; i < w->inputs; i++) {
        int rc = count_input(w, sofar, acc, i);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int am_breadcrumbs_between(void *acc, const struct am_scope_info *s, const void *local, unsigned pass, unsigned round)
{
    (void)pass, (void)round;
    const struct am_breadcrumbs_local *l = local;
    struct am_selects *ranks = acc;
    int again = 0;
    uint64_t k;
    for (size_t at = 0; at < s->inputs * AM_CRUMB_RANKS; at++) {
        if (!searched(l, at / AM_CRUMB_RANKS, at % AM_CRUMB_RANKS, &k))
            continue;
        int rc = am_select_next(&ranks->rank[at], k, l->elements, AM_EQUALS_FIRST);
        if (rc < 0)
            return rc;
        again |= rc;
    }
    return again ? AM_AGAIN : 0;
}

static size_t keep_row(const struct am_window *w, const void *acc, size_t input, float *d)
{
    (void)acc;
    const struct am_breadcrumbs_local *l = w->local;
    struct am_crumb_bounds b = bounds_of(&l->share[input], w->n);
    struct am_edge outer = am_select_row(d, w->n, b.outer), inner = am_select_row(d, w->n, b.inner);
    return am_select_band(d, d, w->n, &outer, &inner);
}

static bool edges(const struct am_window *w, const void *acc, size_t input, struct am_edge *edge)
{
    const struct am_breadcrumbs_local *l = w->local;
    const struct am_selects *ranks = acc;
    const struct am_crumb_bounds *b = &l->keep[input];
    uint64_t k;
    if (l->rows)
        return false;
    edge[AM_CRUMB_OUTER] = b->inner < b->outer ? am_edge_all : am_edge_none;
    edge[AM_CRUMB_INNER] = am_edge_none;
    for (size_t r = 0; r < AM_CRUMB_RANKS; r++)
        if (searched(l, input, r, &k))
            edge[r] = am_select_edge(&ranks->rank[input * AM_CRUMB_RANKS + r], w);
    return true;
}

static const struct am_sparsifier sparsifier = {.edges = edges, .keep = keep_row};

int am_breadcrumbs_apply(const struct am_window *w, const void *acc)
{
    am_frame_apply(w, acc, &sparsifier);
    return 0;
}

bool am_breadcrumbs_apply_bf16(const struct am_window *w, const void *acc, uint16_t *out)
{
    return am_frame_apply_bf16(w, acc, &sparsifier, out);
}

static void report_thresholds(const struct am_scope_info *s, const struct am_selects *ranks, struct am_report *r)
{
    double low[AM_MAX_INPUTS], high[AM_MAX_INPUTS];
    for (size_t i = 0; i < s->inputs; i++) {
        const struct am_select *outer = &ranks->rank[i * AM_CRUMB_RANKS + AM_CRUMB_OUTER],
                               *inner = &ranks->rank[i * AM_CRUMB_RANKS + AM_CRUMB_INNER];
        low[i] = outer->stage == AM_SELECT_DONE ? (double)am_select_threshold(outer) : 0;
        high[i] = inner->stage == AM_SELECT_DONE ? (double)am_select_threshold(inner) : INFINITY;
    }
    am_report_put_list(r, "threshold", low, s->inputs);
    am_report_put_list(r, "threshold_high", high, s->inputs);
}

static void report_emptied(const struct am_scope_info *s, struct am_report *r)
{
    for (size_t i = 0; i < s->inputs && !rows(s->args); i++) {
        struct am_crumb_shares share = shares_of(s->args, i);
        struct am_crumb_bounds b = bounds_of(&share, s->elements);
        if (share.rules && share.density > 0 && s->elements > 0 && b.outer == 0)
            am_report_warn(r, "compat-effects",
                           "as in mergekit, a model's whole difference is dropped where gamma of the tensor is less "
                           "than one entry; compat \"none\" keeps the middle");
    }
}

void am_breadcrumbs_report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
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
        struct am_crumb_shares share = shares_of(s->args, i);
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
