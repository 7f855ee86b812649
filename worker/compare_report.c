/*
 * compare_report.c - the body of a comparison's report (compat.md 7.1). See compare.h. Nothing in it tells of the job,
 * of time or of threads: the same sets, parameters and seed give the same bytes.
 */
#include "core/base/text.h"
#include "core/compat/draw.h"
#include "core/compat/normal.h"
#include "worker/compare.h"

#include <stdio.h>

json_t *am_compare_real(struct am_maybe v)
{
    return v.known ? json_real(v.value) : json_null();
}

json_t *am_compare_pair(struct am_interval v)
{
    return v.known ? json_pack("[f,f]", v.lower, v.upper) : json_null();
}

json_t *am_compare_value(const struct am_value *v)
{
    if (!v->value.known)
        return json_pack("{s:n,s:s}", "value", "reason", v->reason ? v->reason : "undefined");
    json_t *o =
        json_pack("{s:f,s:o,s:o,s:o,s:s?,s:s*}", "value", v->value.value, "interval", am_compare_pair(v->interval),
                  "lower95", am_compare_real((struct am_maybe){v->one_sided.known, v->one_sided.lower}), "upper95",
                  am_compare_real((struct am_maybe){v->one_sided.known, v->one_sided.upper}), "method", v->method,
                  "reason", v->reason);
    return o;
}

static json_t *values_json(const struct am_compared *n)
{
    json_t *o = json_object();
    for (size_t i = 0; i < n->values; i++)
        json_object_set_new(o, n->value[i].name, am_compare_value(&n->value[i]));
    return o;
}

static json_t *cells_json(const struct am_cells *c)
{
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "a", (json_int_t)c->a, "a_diff", (json_int_t)c->a_diff, "b",
                     (json_int_t)c->b, "c", (json_int_t)c->c, "d_same", (json_int_t)c->d_same, "d_diff",
                     (json_int_t)c->d_diff);
}

/* The same members as sums of weights. */
static json_t *weighed_json(const struct am_comparing *c)
{
    const double *w = c->numbers.weighed;
    if (!c->grouping.weight)
        return json_null();
    return json_pack("{s:f,s:f,s:f,s:f,s:f,s:f}", "a", w[AM_CELL_A_SAME] + w[AM_CELL_A_DIFF], "a_diff",
                     w[AM_CELL_A_DIFF], "b", w[AM_CELL_B], "c", w[AM_CELL_C], "d_same", w[AM_CELL_D_SAME], "d_diff",
                     w[AM_CELL_D_DIFF]);
}

static json_t *tests_json(const struct am_comparing *c)
{
    const struct am_mcnemar *m = &c->numbers.mcnemar;
    const struct am_wilcoxon *w = &c->numbers.wilcoxon;
    const struct am_cells *n = &c->numbers.cells;
    if (c->how.texts)
        return json_pack("{s:{s:f,s:f,s:f,s:I,s:I,s:s}}", "wilcoxon", "z", w->z, "p", w->p.p, "log10_p", w->p.log10_p,
                         "n", (json_int_t)w->n, "zeros", (json_int_t)w->zeros, "verdict",
                         w->p.p >= 0.05                 ? "no_difference_shown"
                         : w->rank_plus > w->rank_minus ? "better"
                                                        : "worse");
    return json_pack("{s:{s:I,s:I,s:f,s:f,s:f,s:f,s:f,s:s}}", "mcnemar", "b", (json_int_t)n->b, "c", (json_int_t)n->c,
                     "p_exact", m->exact.p, "p_mid", m->mid.p, "log10_p_exact", m->exact.log10_p, "log10_p_mid",
                     m->mid.log10_p, "p_regression", m->regression.p, "verdict", am_verdict(m->mid.p, n->b, n->c));
}

/* A number that was given goes before what the replicates show. */
static json_t *noise_json(const struct am_comparing *c)
{
    const json_t *given = json_object_get(c->params, "noise_floor"),
                 *source = json_object_get(c->params, "noise_floor_source");
    const char *text = json_string_value(source);
    if (json_is_number(given))
        return json_pack("{s:f,s:n,s:s,s:s?}", "nfr", json_number_value(given), "expected_nfr", "why", "given",
                         "source", text && *text ? text : NULL);
    return json_pack("{s:o,s:o,s:s,s:n}", "nfr", am_compare_real(c->numbers.noise), "expected_nfr",
                     am_compare_real(c->numbers.noise_expected), "why", c->numbers.noise_why, "source");
}

/* The name of a class; an answer that could not be read is -1. */
static json_t *class_json(const struct am_comparing *c, int32_t class)
{
    const struct am_packed_meta *m = &c->set[c->set[AM_OLD].plain.labels_n ? AM_OLD : AM_NEW].plain;
    if (class >= 0 && (size_t) class < m->labels_n)
        return json_string(m->labels[class]);
    return json_sprintf("%d", (int)class);
}

static json_t *pairs_json(const struct am_comparing *c)
{
    json_t *list = json_array();
    for (size_t i = 0; i < c->numbers.pairs; i++) {
        const struct am_flip_pair *p = &c->numbers.pair[i];
        json_array_append_new(list, json_pack("{s:o,s:o,s:I}", "from", class_json(c, p->from), "to",
                                              class_json(c, p->to), "n", (json_int_t)p->n));
    }
    return list;
}

/* Replicates of one id may all be flips; the list names it once. */
static bool is_listed(const struct am_comparing *c, size_t at)
{
    size_t id = am_join_id(&c->join, c->numbers.exemplar[at]);
    for (size_t i = 0; i < at; i++)
        if (am_join_id(&c->join, c->numbers.exemplar[i]) == id)
            return true;
    return false;
}

static json_t *exemplars_json(const struct am_comparing *c)
{
    const struct am_ids *ids = c->join.ids;
    json_t *list = json_array();
    for (size_t i = 0; i < c->numbers.exemplars; i++) {
        if (is_listed(c, i))
            continue;
        size_t id = am_join_id(&c->join, c->numbers.exemplar[i]);
        json_array_append_new(list, json_stringn(ids->bytes + ids->at[id], am_id_len(ids, id)));
    }
    return json_pack("{s:o}", "negative_flips", list);
}

/* Of intervals from the bootstrap: all of a report are of one size, so one sampler made them. */
static const char *sampler(const struct am_comparing *c)
{
    for (size_t i = 0; i < c->numbers.values; i++)
        if (c->numbers.value[i].limited)
            return AM_SAMPLER_LIMIT;
    return AM_SAMPLER;
}

static json_t *record_json(const struct am_comparing *c)
{
    return json_pack("{s:f,s:f,s:I,s:I,s:s,s:s,s:s,s:I}", "z", AM_Z_TWO_SIDED, "z_one_sided", AM_Z_ONE_SIDED,
                     "bootstrap", (json_int_t)c->how.boot.replicates, "seed", (json_int_t)c->seed, "sampler",
                     sampler(c), "program", AM_VERSION, "unit", c->grouping.what, "decisions",
                     (json_int_t)c->numbers.decisions);
}

json_t *am_compare_report(const struct am_comparing *c)
{
    const struct am_join *j = &c->join;
    json_t *o = json_pack(
        "{s:s,s:s,s:I,s:{s:I,s:I,s:I},s:f,s:b,s:o,s:I,s:o,s:o,s:o,s:o,s:o,s:I,s:o,s:o,s:o,s:O,s:O,s:O?}", "type",
        "evaluate", "method", "compare", "n", (json_int_t)j->n, "ids", "both", (json_int_t)j->n, "old_only",
        (json_int_t)j->only[AM_OLD], "new_only", (json_int_t)j->only[AM_NEW], "n_eff", c->grouping.n_eff, "weighted",
        c->grouping.weight != NULL, "clusters",
        c->grouping.clusters ? json_integer((json_int_t)c->grouping.clusters) : json_null(), "judge_noise",
        (json_int_t)j->judge_noise, "cells", cells_json(&c->numbers.cells), "weighted_cells", weighed_json(c), "values",
        values_json(&c->numbers), "tests", tests_json(c), "noise_floor", noise_json(c), "slices", (json_int_t)c->slices,
        "confusion_flips", pairs_json(c), "exemplars", exemplars_json(c), "method_record", record_json(c), "warnings",
        c->warnings, "groups", c->groups, "found_slices", c->found);
    if (o)
        json_object_update_missing(o, (json_t *)(uintptr_t)c->about);
    return o;
}
