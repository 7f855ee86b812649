/*
 * gate_needed.c - how many samples a rule needs: before anything ran (without a flip), and after it was inconclusive
 * (if the rates stay as they are).
 */
#include "core/base/text.h"
#include "core/compat/gate_parts.h"
#include "core/compat/intervals.h"
#include "core/compat/metrics.h"
#include "core/compat/normal.h"
#include "core/compat/samples.h"

#include <math.h>

#define SAMPLES_MAX 1e12 /* more than that settles nothing in practice */

/* The metric whose bounds follow from cells in closed form, or AM_METRICS. */
static enum am_metric_id closed_form(const struct am_gate_value *v, const double *cells)
{
    if (!cells || v->report)
        return AM_METRICS;
    unsigned id = 0;
    while (id < AM_METRICS && !am_streq(am_metric_name((enum am_metric_id)id), v->name))
        id++;
    bool closed = id < AM_METRICS && (id == AM_METRIC_ACCURACY_DELTA || am_metric_is_share((enum am_metric_id)id));
    return closed ? (enum am_metric_id)id : AM_METRICS;
}

/* One-sided bounds that `n` samples at the present rates would give: by formula where there is one, else the distances
   to the value shrink with the root of n. */
static struct am_interval bounds_at(const struct am_gate_value *v, double now, double n, const double *cells)
{
    enum am_metric_id id = closed_form(v, cells);
    if (id == AM_METRICS) {
        double shrink = sqrt(now / n), x = v->value.value;
        return (struct am_interval){true, x - (x - v->one_sided.lower) * shrink, x + (v->one_sided.upper - x) * shrink};
    }
    double scaled[AM_CELLS], all = 0;
    for (int k = 0; k < AM_CELLS; k++)
        all += cells[k];
    for (int k = 0; k < AM_CELLS; k++)
        scaled[k] = cells[k] * n / all;
    struct am_metric m = am_metric_of(id, scaled, true);
    if (id == AM_METRIC_ACCURACY_DELTA)
        return am_tango(scaled[AM_CELL_B], scaled[AM_CELL_C], n, AM_Z_ONE_SIDED);
    return am_wilson(m.numerator, m.denominator, AM_Z_ONE_SIDED);
}

static bool settled(const struct am_gate_rule *rule, const struct am_gate_value *v, double limit, double now, double n,
                    const double *cells)
{
    return am_gate_compare(rule, v->value.value, bounds_at(v, now, n, cells), limit) != AM_GATE_INCONCLUSIVE;
}

struct am_maybe am_gate_needed(const struct am_gate_rule *rule, const struct am_gate_value *v, double limit, double n,
                               const double *cells)
{
    double low = floor(n), high = low;
    if (!(n >= 1) || !v->one_sided.known || rule->form != AM_GATE_VALUE)
        return (struct am_maybe){false, 0};
    do {
        high *= 2;
        if (high > SAMPLES_MAX) /* the value lies on the limit */
            return (struct am_maybe){false, 0};
    } while (!settled(rule, v, limit, n, high, cells));
    while (high - low > 1) {
        double middle = floor((low + high) / 2);
        if (settled(rule, v, limit, n, middle, cells))
            high = middle;
        else
            low = middle;
    }
    return am_known(high);
}

/* Without a flip accuracy_delta and the rates of flips are 0, and these are their bounds; a limit that asks for more
   than 0 takes positive flips. Other values, and limits that no bound can miss, may pass with any number. */
static uint64_t least_of_value(const struct am_gate_rule *r)
{
    bool upwards = r->op == AM_GATE_GT || r->op == AM_GATE_GE;
    if (r->report || r->bound == AM_GATE_POINT || r->slice)
        return 0;
    if (am_streq(r->value, "accuracy_delta") && upwards && r->bound == AM_GATE_LOWER)
        return r->limit >= 1 ? UINT64_MAX : r->limit >= 0 || r->limit <= -1 ? 0 : am_samples_margin(-r->limit);
    bool share = am_streq(r->value, "nfr") || am_streq(r->value, "nfr_mc");
    if (share && !upwards && r->bound == AM_GATE_UPPER && !(r->noise_factor > 0))
        return r->limit >= 1 ? 0 : am_samples_nfr(r->limit);
    return 0;
}

static uint64_t least_of(const struct am_gate_rule *r)
{
    if (r->form == AM_GATE_VALUE)
        return least_of_value(r);
    uint64_t least = r->form == AM_GATE_ANY_OF && r->any_of_n > 0 ? UINT64_MAX : 0;
    for (size_t i = 0; r->form == AM_GATE_ANY_OF && i < r->any_of_n; i++) {
        uint64_t n = least_of(&r->any_of[i]);
        least = n < least ? n : least;
    }
    return least;
}

uint64_t am_gate_least_samples(const struct am_gate_policy *policy, unsigned tasks, size_t *ret_rule)
{
    uint64_t most = policy->min_samples;
    size_t rule = policy->rules_n;
    for (size_t i = 0; i < policy->rules_n; i++) {
        unsigned of = policy->rules[i].tasks;
        uint64_t n = !of || (tasks & ~of) == 0 ? least_of(&policy->rules[i]) : 0;
        if (n > most) {
            most = n;
            rule = i;
        }
    }
    if (ret_rule)
        *ret_rule = rule;
    return most;
}
