/*
 * ties.c - trim, elect sign, merge: of each model's difference from the base the largest entries stay, each element
 * elects a sign, and the entries that agree are averaged.
 *
 * Yadav et al., NeurIPS 2023, arXiv:2306.01708. Shapes: b, every x_i and out have the same shape. Exactly
 * k = floor(density * n) entries of each tensor's difference are kept, at least one for density > 0; of equal
 * magnitudes the lowest index first (merge.md A4). The frame of task arithmetic does the rest (_frame.h). A zero sum
 * elects +, where the paper's code asks the whole tensor's majority.
 */
#include "core/base/err.h"
#include "core/merge/_frame.h"
#include "core/merge/_policies.h"
#include "core/merge/_select.h"
#include "core/tensor/kernels.h"

static const char *const consensus_choices[] = {"sum", "count", NULL};

static const struct am_param params[] = {
    {.name = "weight",
     .kind = AM_REAL,
     .min = -1e6,
     .max = 1e6,
     .unit = "factor",
     .flags = AM_REQUIRED | AM_PER_INPUT,
     .doc = "factor of each model's difference from the base; a negative one also turns its vote"},
    {.name = "density",
     .kind = AM_REAL,
     .min = 0,
     .max = 1,
     .def = "1.0",
     .unit = "fraction",
     .flags = AM_PER_INPUT,
     .doc = "share of each tensor's difference that is kept, largest magnitudes first (paper: 0.2)"},
    {.name = "normalize",
     .kind = AM_BOOL,
     .def = "true",
     .unit = "none",
     .doc = "divide each element by the sum of the weights that took part in it"},
    {.name = "lambda",
     .kind = AM_REAL,
     .min = -1e6,
     .max = 1e6,
     .def = "1.0",
     .unit = "factor",
     .doc = "factor of the merged difference"},
    {.name = "consensus",
     .kind = AM_CHOICE,
     .choices = consensus_choices,
     .def = "\"sum\"",
     .unit = "none",
     .flags = AM_ADVANCED,
     .doc = "the elected sign of an element: of the sum of the weighted entries, or of most of them"},
    {0},
};

static const struct am_rule rules[] = {{AM_RULE_SUM_NOT_ZERO, "weight", "normalize"}, {AM_RULE_END, NULL, NULL}};

struct local {
    struct am_frame frame; /* first: am_frame_apply() reads it */
    uint64_t elements;
    uint64_t keep[AM_MAX_INPUTS]; /* of `elements` */
};

static void prepare(const struct am_scope_info *s, void *local)
{
    struct local *l = local;
    am_frame_prepare(s, &l->frame);
    l->elements = s->elements;
    for (size_t i = 0; i < s->inputs; i++) {
        double density = am_arg_input_real(s->args, "density", i);
        uint64_t k =
            am_compat(s->args) ? am_select_truncated(density, s->elements) : am_select_share(density, s->elements);
        l->keep[i] = k == 0 && density > 0 && s->elements > 0 ? 1 : k;
    }
}

static bool searched(const struct local *l, size_t i)
{
    return l->keep[i] > 0 && l->keep[i] < l->elements;
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
    const struct local *l = w->local;
    const struct am_selects *known = sofar;
    struct am_selects *select = acc;
    struct am_part part;
    am_selects_begin(select, w->inputs, l->elements, w);
    for (size_t i = 0; i < w->inputs; i++) {
        const struct am_select *mine = known ? &known->rank[i] : NULL;
        if (!searched(l, i) || !am_select_part(mine, l->elements, w, &part))
            continue;
        const struct am_select_round round = {mine, &select->rank[i]};
        AM_TRY(am_frame_count(w, i, &round, 1, &part));
    }
    return 0;
}

static int between(void *acc, const struct am_scope_info *s, const void *local, unsigned pass, unsigned round)
{
    (void)pass, (void)round;
    const struct local *l = local;
    struct am_selects *select = acc;
    int again = 0;
    for (size_t i = 0; i < s->inputs; i++) {
        int rc = searched(l, i) ? am_select_next(&select->rank[i], l->keep[i], l->elements, AM_EQUALS_FIRST) : 0;
        if (rc < 0)
            return rc;
        again |= rc;
    }
    return again ? AM_AGAIN : 0;
}

static bool trim(const struct am_window *w, const void *acc, size_t input, struct am_edge *edge)
{
    const struct local *l = w->local;
    const struct am_selects *select = acc;
    edge[0] = l->keep[input] ? am_edge_all : am_edge_none;
    edge[1] = am_edge_none;
    if (searched(l, input))
        edge[0] = am_select_edge(&select->rank[input], w);
    return true;
}

static const struct am_sparsifier sparsifier = {.edges = trim};

static int apply(const struct am_window *w, const void *acc)
{
    am_frame_apply(w, acc, &sparsifier);
    return 0;
}

static bool apply_bf16(const struct am_window *w, const void *acc, uint16_t *out)
{
    return am_frame_apply_bf16(w, acc, &sparsifier, out);
}

static void report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
{
    const struct am_selects *select = acc;
    double threshold[AM_MAX_INPUTS];
    bool none = false;
    am_frame_report(s, tally, r);
    for (size_t i = 0; i < s->inputs; i++) {
        double density = am_arg_input_real(s->args, "density", i);
        threshold[i] = density > 0 ? 0 : NAN;
        if (select && select->rank[i].stage == AM_SELECT_DONE)
            threshold[i] = (double)am_select_threshold(&select->rank[i]);
        none |= density == 0;
    }
    if (s->tensor.name)
        am_report_put_list(r, "threshold", threshold, s->inputs);
    else if (none)
        am_report_warn(r, "density-zero", "a model with density 0 adds nothing; leave it out or raise its density");
}

const struct am_method am_method_merge_ties = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "ties",
    .since = "0.1",
    .paper = "arXiv:2306.01708",
    .summary = "trim differences from the base, elect signs, average what agrees",
    .needs = {.min_inputs = 1,
              .base = AM_YES,
              .passes = 1,
              AM_SELECTS_NEEDS(1),
              .bf16 = true,
              .tally = AM_FRAME_TALLY,
              .report = {.fixed = 2, .per_input = 3},
              .scratch = AM_FRAME_SCRATCH,
              .local_bytes = sizeof(struct local),
              .symmetric = true},
    .params = params,
    .common = am_policies_mergekit,
    .rules = rules,
    .unchanged = am_frame_unchanged,
    .prepare = prepare,
    .look = look,
    .stat = stat,
    .merge = am_selects_merge,
    .between = between,
    .apply = apply,
    .apply_bf16 = apply_bf16,
    .report = report,
};
