/*
 * facts.c - the body of a report and its slice rows as the facts of a decision (decide.h).
 */
#include "core/base/err.h"
#include "core/base/text.h"
#include "core/compat/cells.h"
#include "core/gate/decide_parts.h"

#include <stdlib.h>

#define OF_SLICE 4 /* values of a slice row */

static struct am_maybe number(const json_t *v)
{
    return json_is_number(v) ? am_known(json_number_value(v)) : (struct am_maybe){false, 0};
}

static struct am_interval pair(const json_t *low, const json_t *high)
{
    bool known = json_is_number(low) && json_is_number(high);
    return known ? (struct am_interval){true, json_number_value(low), json_number_value(high)}
                 : (struct am_interval){false, 0, 0};
}

static double member(const json_t *o, const char *name)
{
    return json_number_value(json_object_get(o, name));
}

/* jansson's iterators are not const; nothing is changed. */
static json_t *loose(const json_t *v)
{
    return (json_t *)(uintptr_t)v;
}

static size_t add_values(struct am_gate_value *to, const json_t *values, const char *report)
{
    size_t n = 0;
    const char *name;
    json_t *v;
    json_object_foreach(loose(values), name, v)
    {
        const json_t *two = json_object_get(v, "interval");
        to[n++] = (struct am_gate_value){
            .report = report,
            .name = name,
            .value = number(json_object_get(v, "value")),
            .one_sided = pair(json_object_get(v, "lower95"), json_object_get(v, "upper95")),
            .two_sided = pair(json_array_get(two, 0), json_array_get(two, 1)),
        };
    }
    return n;
}

/* A report is of the tasks whose rules it has the values for. */
static unsigned task_of(const json_t *values)
{
    return (json_object_get(values, "accuracy_delta") ? AM_GATE_CLASSES : 0) |
           (json_object_get(values, "score_delta") ? AM_GATE_TEXTS : 0) |
           (json_object_get(values, "cross_delta") ? AM_GATE_RETRIEVAL : 0);
}

static void add_slice(struct am_gate_slice *s, struct am_gate_value *to, const json_t *row)
{
    struct am_maybe before = number(json_object_get(row, "accuracy_old"));
    struct am_maybe after = number(json_object_get(row, "accuracy_new"));
    struct am_maybe delta = {before.known && after.known, after.value - before.value};
    const json_t *two = json_object_get(row, "interval");
    to[0] = (struct am_gate_value){.name = "nfr",
                                   .value = number(json_object_get(row, "nfr")),
                                   .one_sided = pair(json_object_get(row, "lower95"), json_object_get(row, "upper95")),
                                   .two_sided = pair(json_array_get(two, 0), json_array_get(two, 1))};
    to[1] = (struct am_gate_value){
        .name = "accuracy_delta",
        .value = delta,
        .one_sided = pair(json_object_get(row, "delta_lower95"), json_object_get(row, "delta_upper95"))};
    to[2] = (struct am_gate_value){.name = "accuracy_old", .value = before};
    to[3] = (struct am_gate_value){.name = "accuracy_new", .value = after};
    const json_t *p = json_object_get(row, "p_regression");
    *s = (struct am_gate_slice){.key = json_string_value(json_object_get(row, "key")),
                                .value = json_string_value(json_object_get(row, "value")),
                                .n = (uint64_t)member(row, "n"),
                                .p_regression = json_is_number(p) ? json_number_value(p) : 1,
                                .values = to,
                                .values_n = OF_SLICE};
}

/* A report of its own is of a comparison on part of the ids when more than 1 % are of one side alone (compat.md 2.2).
 */
static void add_ids(struct am_gate_facts *f, const json_t *ids)
{
    double both = member(ids, "both"), alone = member(ids, "old_only") + member(ids, "new_only");
    f->ids_matched = both + alone > 0 ? both / (both + alone) : 0;
    f->partial = alone * 100 > both + alone;
}

/* The intervals have a closed form only where every sample was drawn by itself. */
static bool drawn_by_sample(const json_t *report)
{
    const char *unit = json_string_value(json_object_get(json_object_get(report, "method_record"), "unit"));
    return !json_is_true(json_object_get(report, "weighted")) && !json_is_number(json_object_get(report, "clusters")) &&
           (!unit || am_streq(unit, "sample"));
}

/* Others, and cells of decisions of which a sample has several, are extrapolated from their bounds. */
static void add_cells(struct am_gate_facts_read *f, const json_t *report)
{
    const json_t *c = json_object_get(report, "cells");
    double a_diff = member(c, "a_diff"),
           all = member(c, "a") + member(c, "b") + member(c, "c") + member(c, "d_same") + member(c, "d_diff");
    if (!c || !drawn_by_sample(report) || all < member(report, "n") || all > member(report, "n"))
        return;
    f->cells[AM_CELL_A_SAME] = member(c, "a") - a_diff;
    f->cells[AM_CELL_A_DIFF] = a_diff;
    f->cells[AM_CELL_B] = member(c, "b");
    f->cells[AM_CELL_C] = member(c, "c");
    f->cells[AM_CELL_D_SAME] = member(c, "d_same");
    f->cells[AM_CELL_D_DIFF] = member(c, "d_diff");
    f->facts.cells = f->cells;
}

/* The first version of a model: rules about differences have nothing to look at, others have. */
static void fill_alone(struct am_gate_facts_read *f, const struct am_gate_input *in)
{
    f->facts = (struct am_gate_facts){
        .task = AM_GATE_CLASSES, .doubt = AM_GATE_NO_OLD, .finite = in->finite, .leak = in->leak};
}

static void fill(struct am_gate_facts_read *f, const struct am_gate_input *in)
{
    const json_t *values = json_object_get(in->report, "values"), *n_eff = json_object_get(in->report, "n_eff");
    bool weighted = json_is_true(json_object_get(in->report, "weighted"));
    size_t slices = json_array_size(in->slices), n = add_values(f->value, values, NULL);
    for (size_t i = 0; i < json_array_size(in->others); i++) {
        const json_t *other = json_array_get(in->others, i);
        n += add_values(f->value + n, json_object_get(other, "values"),
                        json_string_value(json_object_get(other, "method")));
    }
    f->facts = (struct am_gate_facts){.task = task_of(values),
                                      .n = weighted && json_is_number(n_eff) ? json_number_value(n_eff)
                                                                             : member(in->report, "n"),
                                      .values = f->value,
                                      .values_n = n,
                                      .slices = f->slice,
                                      .critical = in->critical,
                                      .critical_n = in->critical_n,
                                      .doubt = in->doubt,
                                      .finite = in->finite,
                                      .leak = in->leak};
    f->facts.noise_floor = number(json_object_get(json_object_get(in->report, "noise_floor"), "nfr"));
    add_ids(&f->facts, json_object_get(in->report, "ids"));
    add_cells(f, in->report);
    for (size_t i = 0; i < slices; i++) {
        const json_t *row = json_array_get(in->slices, i);
        struct am_gate_slice *s = &f->slice[f->facts.slices_n];
        add_slice(s, f->value + n + OF_SLICE * f->facts.slices_n, row);
        f->facts.slices_n += s->key && s->value;
    }
}

int am_gate_facts_read(struct am_gate_facts_read *ret, const struct am_gate_input *in)
{
    const json_t *values = json_object_get(in->report, "values");
    size_t n = json_object_size(values), slices = json_array_size(in->slices);
    if (in->report && (!json_is_object(values) || !json_is_number(json_object_get(in->report, "n"))))
        return -AM_E_INVALID_PARAMS;
    for (size_t i = 0; i < json_array_size(in->others); i++)
        n += json_object_size(json_object_get(json_array_get(in->others, i), "values"));
    *ret = (struct am_gate_facts_read){.value = calloc(n + OF_SLICE * slices + 1, sizeof(*ret->value)),
                                       .slice = calloc(slices + 1, sizeof(*ret->slice))};
    if (!ret->value || !ret->slice) {
        am_gate_facts_done(ret);
        return -AM_E_OUT_OF_MEMORY;
    }
    in->report ? fill(ret, in) : fill_alone(ret, in);
    return 0;
}

void am_gate_facts_done(struct am_gate_facts_read *f)
{
    free(f->value);
    free(f->slice);
    *f = (struct am_gate_facts_read){.value = NULL};
}
