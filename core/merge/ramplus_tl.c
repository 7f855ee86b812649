/*
 * ramplus_tl.c - ram, with what a model alone changed made a little larger, the more so the more of its other changes
 * overlap with those of others.
 *
 * RAM+ with tensor-local factors, arXiv:2601.13572 (merge.md A25). Per tensor and model: rho = shared / max(unique,
 * epsilon), counts of the elements that it changes with others and alone; lambda = 1 + r * min(rho, alpha);
 * its unique changes count lambda times. The counts are integers, so any split of the work gives the same factors.
 */
#include "core/merge/_policies.h"
#include "core/merge/_ram.h"

static const struct am_param params[] = {
    AM_RAM_EPSILON,
    {.name = "r",
     .kind = AM_REAL,
     .min = 0,
     .max = 1e6,
     .def = "0.1",
     .unit = "factor",
     .doc = "how much of a model's share of overlap its unique changes are enlarged by"},
    {.name = "alpha",
     .kind = AM_REAL,
     .min = 0,
     .max = 1e6,
     .def = "0.2",
     .unit = "none",
     .doc = "bound of the overlap, shared / unique, that counts"},
    {0},
};

struct wish { /* local */
    double r, alpha, floor;
    float epsilon;
    struct am_exact exact; /* compat */
};

struct each {
    uint64_t kept, unique;
};
struct overlap { /* accumulator */
    uint64_t inputs;
    float factor[AM_MAX_INPUTS]; /* after between() */
    struct each of[];
};

static void prepare(const struct am_scope_info *s, void *local)
{
    double epsilon = am_arg_real(s->args, "epsilon");
    *(struct wish *)local = (struct wish){.r = am_arg_real(s->args, "r"),
                                          .alpha = am_arg_real(s->args, "alpha"),
                                          .floor = epsilon,
                                          .epsilon = (float)epsilon,
                                          .exact = am_exact_of(s->args)};
}

static int stat(const struct am_window *w, const void *sofar, void *acc, unsigned pass)
{
    const struct wish *wish = w->local;
    struct overlap *o = acc;
    uint64_t kept[AM_MAX_INPUTS] = {0}, unique[AM_MAX_INPUTS] = {0};
    (void)sofar, (void)pass;
    struct am_ram how = {.epsilon = wish->epsilon, .inputs = w->inputs};
    if (wish->exact.on)
        am_ram_count_exact(w, &how, &wish->exact, kept, unique);
    else
        am_ram_count(&how, w->base, w->x, w->n, kept, unique);
    o->inputs = w->inputs;
    for (size_t i = 0; i < w->inputs; i++) {
        o->of[i].kept += kept[i];
        o->of[i].unique += unique[i];
    }
    return 0;
}

static int merge(void *into, const void *from, unsigned pass)
{
    struct overlap *o = into;
    const struct overlap *p = from;
    (void)pass;
    for (size_t i = 0; i < p->inputs; i++) {
        o->of[i].kept += p->of[i].kept;
        o->of[i].unique += p->of[i].unique;
    }
    return 0;
}

static double factor(const struct wish *w, const struct each *e)
{
    double shared = (double)(e->kept - e->unique), unique = (double)e->unique, rho = w->alpha;
    if (shared == 0)
        rho = 0;
    else if (unique > 0 || w->floor > 0)
        rho = shared / (unique > w->floor ? unique : w->floor);
    return 1 + w->r * (rho < w->alpha ? rho : w->alpha);
}

static int between(void *acc, const struct am_scope_info *s, const void *local, unsigned pass, unsigned round)
{
    struct overlap *o = acc;
    (void)pass, (void)round;
    for (size_t i = 0; i < s->inputs; i++)
        o->factor[i] = (float)factor(local, &o->of[i]);
    return 0;
}

static int apply(const struct am_window *w, const void *acc)
{
    const struct wish *wish = w->local;
    const struct overlap *o = acc;
    am_ram_apply(w, &(struct am_ram){.unique = o->factor, .epsilon = wish->epsilon, .inputs = w->inputs}, &wish->exact,
                 true);
    return 0;
}

static void report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
{
    const struct overlap *o = acc;
    double unique[AM_MAX_INPUTS], factors[AM_MAX_INPUTS];
    am_ram_report(s, tally, r);
    if (!o || !s->tensor.name)
        return;
    for (size_t i = 0; i < s->inputs; i++) {
        unique[i] = (double)o->of[i].unique;
        factors[i] = (double)o->factor[i];
    }
    am_report_put_list(r, "unique", unique, s->inputs);
    am_report_put_list(r, "factor", factors, s->inputs);
}

const struct am_method am_method_merge_ramplus_tl = {
    .abi = AM_METHOD_ABI,
    .type = AM_MERGE,
    .name = "ramplus_tl",
    .since = "0.1",
    .paper = "arXiv:2601.13572",
    .summary = "ram, with unique changes enlarged by each model's overlap with others",
    .needs = {.min_inputs = 1,
              .base = AM_YES,
              .passes = 1,
              .acc = {.fixed = sizeof(struct overlap), .per_input = sizeof(struct each)},
              .tally = {.fixed = AM_RAM_TALLY},
              .report = {.fixed = 2, .per_input = 2},
              .local_bytes = sizeof(struct wish),
              .symmetric = true},
    .params = params,
    .common = am_policies_mergekit,
    .prepare = prepare,
    .stat = stat,
    .merge = merge,
    .between = between,
    .apply = apply,
    .report = report,
};
