/*
 * continual_report.c - the body of a report about a line of versions (compat.md 13). See continual.h. Nothing in it
 * tells of the job, of time or of threads: the same sets, parameters and seed give the same bytes.
 */
#include "core/compat/draw.h"
#include "core/compat/normal.h"
#include "worker/continual.h"

/* {"version","task"}: numbers from 1; version 0: the score of a model that was not trained. */
static json_t *missing_json(const struct am_missing *list, size_t n)
{
    json_t *o = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(o,
                              json_pack("{s:I,s:I}", "version", (json_int_t)list[i].i, "task", (json_int_t)list[i].j));
    return o;
}

/* What the versions' files take, which the spec says; null: a version whose files are not here any more. */
static json_t *memory_json(const struct am_continuing *c)
{
    const json_t *versions = json_object_get(c->about, "versions");
    json_t *each = json_array(), *v, *last = NULL;
    size_t i;
    json_array_foreach(versions, i, v)
    {
        last = json_object_get(v, "memory_bytes");
        json_array_append(each, last);
    }
    json_t *o = json_pack("{s:O?,s:n,s:n,s:n,s:s,s:o}", "value", last, "interval", "lower95", "upper95", "method",
                          "exact", "versions", each);
    return o;
}

static json_t *values_json(const struct am_continuing *c)
{
    json_t *o = json_object();
    for (size_t k = 0; k < AM_LINE_VALUES; k++) {
        json_t *v = am_compare_value(&c->numbers.value[k]);
        if (!c->numbers.value[k].value.known && c->numbers.missing_n[k])
            json_object_set_new(v, "missing", missing_json(c->numbers.missing[k], c->numbers.missing_n[k]));
        json_object_set_new(o, c->numbers.value[k].name, v);
    }
    json_object_set_new(o, "memory_bytes", memory_json(c));
    return o;
}

static json_t *cell_json(const struct am_continuing *c, size_t version, size_t task)
{
    const struct am_line_cell *cell = &c->numbers.cell[version * c->line.tasks + task];
    if (!c->line.task[task].ok[version])
        return json_null();
    json_t *o = am_compare_value(&cell->value);
    json_object_set_new(o, "n", json_integer((json_int_t)c->line.task[task].n));
    json_object_set_new(o, "right", json_integer((json_int_t)cell->right));
    json_object_set(o, "predictions", json_array_get(c->task[task].predictions, version));
    return o;
}

/* A row a version, oldest first; a column a task. */
static json_t *matrix_json(const struct am_continuing *c)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < c->line.tasks; i++) {
        json_t *row = json_array();
        for (size_t j = 0; j < c->line.tasks; j++)
            json_array_append_new(row, cell_json(c, i, j));
        json_array_append_new(rows, row);
    }
    return rows;
}

static json_t *all_missing(const struct am_continuing *c)
{
    json_t *o = json_array();
    for (size_t i = 0; i < c->line.tasks; i++)
        for (size_t j = 0; j < c->line.tasks; j++)
            if (!c->line.task[j].ok[i])
                json_array_append_new(o,
                                      json_pack("{s:I,s:I}", "version", (json_int_t)i + 1, "task", (json_int_t)j + 1));
    return o;
}

static json_t *updates_json(const struct am_continuing *c)
{
    json_t *list = json_array();
    for (size_t i = 1; i < c->line.tasks; i++) {
        const struct am_line_update *u = &c->numbers.update[i];
        json_array_append_new(list, json_pack("{s:I,s:o,s:o,s:o}", "version", (json_int_t)i + 1, "flips",
                                              am_compare_real((struct am_maybe){u->known, u->flips}), "samples",
                                              am_compare_real((struct am_maybe){u->known, u->samples}), "nfr",
                                              am_compare_real((struct am_maybe){u->known, u->nfr})));
    }
    return list;
}

static json_t *tasks_json(const struct am_continuing *c)
{
    json_t *list = json_array();
    for (size_t j = 0; j < c->line.tasks; j++) {
        const struct am_line_task *t = &c->line.task[j];
        json_array_append_new(list, json_pack("{s:s,s:o,s:I,s:b,s:s?}", "name", c->task[j].name, "random",
                                              am_compare_real(t->random), "n", (json_int_t)t->n, "weighted",
                                              t->grouping.weight != NULL, "unit", t->grouping.what));
    }
    return list;
}

static uint64_t all_samples(const struct am_continuing *c)
{
    uint64_t n = 0;
    for (size_t j = 0; j < c->line.tasks; j++)
        n += c->line.task[j].n;
    return n;
}

json_t *am_continual_report(const struct am_continuing *c)
{
    json_t *record = json_pack("{s:f,s:f,s:I,s:I,s:s,s:s}", "z", AM_Z_TWO_SIDED, "z_one_sided", AM_Z_ONE_SIDED,
                               "bootstrap", (json_int_t)c->boot.replicates, "seed", (json_int_t)c->boot.seed, "sampler",
                               AM_SAMPLER, "program", AM_VERSION);
    json_t *o = json_pack("{s:s,s:s,s:I,s:o,s:o,s:o,s:o,s:o,s:o,s:[]}", "type", "evaluate", "method", "continual", "n",
                          (json_int_t)all_samples(c), "tasks", tasks_json(c), "matrix", matrix_json(c), "missing",
                          all_missing(c), "updates", updates_json(c), "values", values_json(c), "method_record", record,
                          "warnings");
    if (o)
        json_object_update_missing(o, (json_t *)(uintptr_t)c->about);
    return o;
}
