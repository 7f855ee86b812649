/*
 * ram.c - adds the models' differences from the base, element by element: what one model alone changed goes in whole,
 * what several changed is averaged over those.
 *
 * Reinforced agent merging, arXiv:2601.13572 (merge.md A25). d_i = fl(x_i - b) counts where |d_i| > epsilon; with c of
 * them out = fl(b + fl(sum(d_i) / c)). f32, sums in the order of the request; c = 0 gives the base.
 */
#include "core/merge/_policies.h"
#include "core/merge/_ram.h"

static const struct am_param params[] = {AM_RAM_EPSILON, {0}};

struct wish { /* local */
    float epsilon, one[AM_MAX_INPUTS];
    struct am_exact exact; /* compat */
};

static void prepare(const struct am_scope_info *s, void *local)
{
    struct wish *w = local;
    w->epsilon = (float)am_arg_real(s->args, "epsilon");
    w->exact = am_exact_of(s->args);
    for (size_t i = 0; i < s->inputs; i++)
        w->one[i] = 1;
}

static int apply(const struct am_window *w, const void *acc)
{
    const struct wish *wish = w->local;
    (void)acc;
    am_ram_apply(w, &(struct am_ram){.unique = wish->one, .epsilon = wish->epsilon, .inputs = w->inputs}, &wish->exact,
                 false);
    return 0;
}

static void report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
{
    (void)acc;
    am_ram_report(s, tally, r);
}

const struct am_method am_method_merge_ram = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "ram",
    .since = "0.1",
    .paper = "arXiv:2601.13572",
    .summary = "add what one model alone changed, average what several changed",
    .needs = {.min_inputs = 1,
              .base = AM_YES,
              .tally = {.fixed = AM_RAM_TALLY},
              .report = {.fixed = 2},
              .local_bytes = sizeof(struct wish),
              .symmetric = true},
    .params = params,
    .common = am_policies_mergekit,
    .prepare = prepare,
    .apply = apply,
    .report = report,
};
