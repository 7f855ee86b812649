/*
 * report_line.c - what stands on the page of a report about a line of versions: the matrix of scores and what each
 * update broke (report_parts.h).
 */
#include "server/report_parts.h"

#include <stdio.h>

enum { COLUMNS_MAX = 16 };

/* A row a version, so tasks are columns; their names stand above, by number. */
static void put_tasks(struct am_doc *d, const json_t *tasks)
{
    json_t *t;
    size_t i;
    am_doc_items(d, true);
    json_array_foreach(tasks, i, t)
    {
        double random;
        am_doc_item(d, NULL);
        am_doc_putf(d, "task %zu: ", i + 1);
        am_doc_name(d, am_text_of(t, "name", "?"));
        am_doc_put(d, ", samples ");
        am_put_count(d, json_object_get(t, "n"));
        if (am_number_of(t, "random", &random)) {
            am_doc_put(d, "; untrained ");
            am_put_number(d, AM_UNIT_SHARE, random);
        }
        am_doc_item_end(d);
    }
    am_doc_items(d, false);
}

static void put_cell(struct am_doc *d, const json_t *cell)
{
    double value;
    am_doc_cell(d);
    if (!am_number_of(cell, "value", &value)) {
        am_doc_put(d, "not measured");
        return;
    }
    am_put_number(d, AM_UNIT_SHARE, value);
    am_doc_put(d, " ");
    am_put_interval(d, AM_UNIT_SHARE, json_object_get(cell, "interval"));
}

static void put_row(struct am_doc *d, const json_t *version, const json_t *row)
{
    json_t *cell;
    size_t j;
    am_doc_row(d, NULL);
    am_doc_cell(d);
    am_doc_name(d, am_text_of(version, "version", "?"));
    json_array_foreach(row, j, cell) if (j < COLUMNS_MAX) put_cell(d, cell);
    am_doc_cell(d);
    am_put_count(d, json_object_get(version, "memory_bytes"));
    am_doc_row_end(d);
}

static void put_matrix(struct am_doc *d, const json_t *report)
{
    const json_t *tasks = json_object_get(report, "tasks"), *versions = json_object_get(report, "versions");
    const char *heads[COLUMNS_MAX + 3] = {"version"};
    char text[COLUMNS_MAX][32];
    size_t n = json_array_size(tasks) < COLUMNS_MAX ? json_array_size(tasks) : COLUMNS_MAX, i;
    json_t *row;
    for (i = 0; i < n; i++) {
        snprintf(text[i], sizeof text[i], ">task %zu", i + 1);
        heads[1 + i] = text[i];
    }
    heads[1 + n] = ">new bytes";
    heads[2 + n] = NULL;
    am_doc_heading(d, "Scores");
    put_tasks(d, tasks);
    am_doc_table(d, "accuracy of each version on each task, with its 95 % interval; versions oldest first", heads);
    json_array_foreach(json_object_get(report, "matrix"), i, row) put_row(d, json_array_get(versions, i), row);
    am_doc_table_end(d);
}

static void put_update(struct am_doc *d, const json_t *u)
{
    double nfr;
    am_doc_row(d, NULL);
    am_doc_cell(d);
    am_doc_put(d, "to version ");
    am_put_count(d, json_object_get(u, "version"));
    am_doc_cell(d);
    if (am_number_of(u, "nfr", &nfr))
        am_put_number(d, AM_UNIT_SHARE, nfr);
    else
        am_doc_put(d, "undefined");
    am_doc_cell(d);
    am_put_count(d, json_object_get(u, "flips"));
    am_doc_cell(d);
    am_put_count(d, json_object_get(u, "samples"));
    am_doc_row_end(d);
}

void am_report_line(struct am_doc *d, const json_t *report)
{
    static const char *const heads[] = {"update", ">negative flips", ">right before, wrong after", ">samples", NULL};
    const json_t *updates = json_object_get(report, "updates");
    json_t *u;
    size_t i;
    if (!json_array_size(json_object_get(report, "matrix")))
        return;
    put_matrix(d, report);
    if (!json_array_size(updates))
        return;
    am_doc_heading(d, "What each update broke");
    am_doc_table(d, "samples of earlier tasks", heads);
    json_array_foreach(updates, i, u) put_update(d, u);
    am_doc_table_end(d);
}
