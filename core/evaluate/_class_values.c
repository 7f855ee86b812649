/*
 * _class_values.c - see _numbers.h: the metrics of compat.md 3 with their intervals: closed forms for single samples,
 * the bootstrap for weights and for samples that belong together.
 */
#include "core/compat/intervals.h"
#include "core/compat/normal.h"
#include "core/evaluate/_numbers.h"

#include <stdlib.h>

struct metric { /* behind a statistic of the bootstrap */
    enum am_metric_id id;
    bool compared;
};

static struct am_maybe statistic(const double *sums, const void *arg)
{
    const struct metric *m = arg;
    return am_metric_of(m->id, sums, m->compared).ratio;
}

/* Both parts of it change from resample to resample. */
static bool is_ratio(enum am_metric_id id)
{
    return id == AM_METRIC_RELATIVE_NFR || id == AM_METRIC_NFI || id == AM_METRIC_BTC || id == AM_METRIC_BEC_NEW ||
           id == AM_METRIC_BEC_OLD;
}

void am_value_boot(struct am_value *v, const struct am_boot_answer *a, bool bca)
{
    v->method = bca ? "bca" : "percentile";
    v->interval = a->two_sided;
    v->one_sided = a->one_sided;
    v->limited = a->limited;
    if (!v->reason)
        v->reason = a->reason;
}

void am_value_put(struct am_compared *c, const struct am_value *v)
{
    if (c->values < AM_VALUES_MAX)
        c->value[c->values++] = *v;
}

static struct am_value plain_value(enum am_metric_id id, const struct am_compared *c)
{
    struct am_metric m = am_metric_of(id, c->weighed, c->cells.compared);
    return (struct am_value){.name = am_metric_name(id), .value = m.ratio, .reason = m.reason};
}

static void close_form(enum am_metric_id id, const struct am_compared *c, struct am_value *v)
{
    struct am_metric m = am_metric_of(id, c->weighed, c->cells.compared);
    if (!v->value.known)
        return;
    if (id == AM_METRIC_ACCURACY_DELTA) {
        double b = c->weighed[AM_CELL_B], up = c->weighed[AM_CELL_C];
        v->method = "tango";
        v->interval = am_tango(b, up, m.denominator, AM_Z_TWO_SIDED);
        v->one_sided = am_tango(b, up, m.denominator, AM_Z_ONE_SIDED);
        return;
    }
    v->method = "wilson";
    v->interval = am_wilson(m.numerator, m.denominator, AM_Z_TWO_SIDED);
    v->one_sided = am_wilson(m.numerator, m.denominator, AM_Z_ONE_SIDED);
}

static int closed_values(const struct am_compare_how *how, struct am_compared *c)
{
    const struct metric relative = {AM_METRIC_RELATIVE_NFR, c->cells.compared};
    const struct am_boot_ask ask = {.statistic = statistic, .arg = &relative, .bca = true};
    struct am_boot_answer answer;
    AM_TRY(am_boot_classes(&how->boot, c->weighed, AM_CELLS, &ask, 1, &answer));
    for (unsigned i = 0; i < AM_METRICS; i++) {
        struct am_value v = plain_value(i, c);
        if (i != AM_METRIC_RELATIVE_NFR)
            close_form(i, c, &v);
        else if (v.value.known)
            am_value_boot(&v, &answer, true);
        am_value_put(c, &v);
    }
    return 0;
}

/* ---- weights, clusters, decisions ---- */

static void cell_sums(const void *arg, size_t i, double *sums)
{
    const struct am_compared *c = arg;
    for (unsigned k = 0; k < AM_CELLS; k++)
        sums[k] = c->cell[i] == k ? 1 : 0;
}

int am_drawn_values(const struct am_compare_how *how, const double *rows, size_t units, struct am_compared *c)
{
    struct metric metric[AM_METRICS];
    struct am_boot_ask ask[AM_METRICS];
    struct am_boot_answer answer[AM_METRICS];
    for (unsigned i = 0; i < AM_METRICS; i++) {
        metric[i] = (struct metric){i, c->cells.compared};
        ask[i] = (struct am_boot_ask){.statistic = statistic, .arg = &metric[i], .bca = is_ratio(i)};
    }
    AM_TRY(am_boot_units(&how->boot, rows, units, AM_CELLS, ask, AM_METRICS, answer));
    for (unsigned i = 0; i < AM_METRICS; i++) {
        struct am_value v = plain_value(i, c);
        if (v.value.known)
            am_value_boot(&v, &answer[i], ask[i].bca);
        am_value_put(c, &v);
    }
    return 0;
}

int am_class_values(const struct am_join *j, const struct am_grouping *g, const struct am_compare_how *how,
                    struct am_compared *c)
{
    if (!g->weight && !g->unit)
        return closed_values(how, c);
    double *rows = am_grouped_rows(g, j->n, AM_CELLS, cell_sums, c);
    int rc = rows ? am_drawn_values(how, rows, g->units, c) : -AM_E_OUT_OF_MEMORY;
    free(rows);
    return rc;
}
