/*
 * dataset_csv.c - a table of text as JSON Lines: each column a member, named by the head line. See dataset.h. Cells
 * stay texts; the column of ids becomes `id`, that of classes `label`, as a number where it is one.
 */
#include "cli/csv.h"
#include "cli/dataset.h"

#include "core/base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct table {
    const struct am_cli *c;
    const struct am_dataset_push *p;
    const char *path;
    struct am_csv csv;
    char **name; /* of the columns, as members; "" is left out */
    size_t columns;
    FILE *out;
};

static int bad(const struct table *t, const char *what)
{
    am_say_error(t->c, NULL, "%s, line %ld: %s", t->path, t->csv.line, what);
    return AM_EXIT_ERROR;
}

static void name_column(struct table *t, const char *cell)
{
    const struct am_dataset_push *p = t->p;
    const char *name = cell;
    if (p->ids && !p->row_ids && am_streq(cell, p->ids))
        name = "id";
    else if (p->class && am_streq(cell, p->class))
        name = "label";
    else if (p->row_ids && am_streq(cell, "id"))
        name = ""; /* the rows are numbered */
    t->name = am_xgrow(t->name, (t->columns + 1) * sizeof *t->name);
    t->name[t->columns++] = am_xdup(name);
}

static bool has(const struct table *t, const char *name)
{
    for (size_t i = 0; i < t->columns; i++)
        if (am_streq(t->name[i], name))
            return true;
    return false;
}

static int read_head(struct table *t)
{
    int more = 1;
    while (more == 1) {
        if ((more = am_csv_next(&t->csv)) < 0)
            return bad(t, "there is no whole head line");
        if (t->columns == AM_CSV_COLUMNS_MAX)
            return bad(t, "more than 4096 columns");
        name_column(t, t->csv.cell.data);
    }
    if (!t->p->row_ids && !has(t, "id")) {
        am_say_error(t->c, "say --ids COLUMN, or --ids row: number the rows", "%s has no column %s", t->path,
                     t->p->ids ? t->p->ids : "id");
        return AM_EXIT_ERROR;
    }
    if (t->p->class && !has(t, "label"))
        return bad(t, "the column of --class is not there");
    return 0;
}

static json_t *value_of(const char *name, const char *cell)
{
    uint64_t v;
    bool number =
        am_streq(name, "label") && (cell[0] != '0' || !cell[1]) && strlen(cell) < 10 && am_parse_u64(cell, &v) == 0;
    return number ? json_integer((json_int_t)v) : json_string(cell);
}

/* -1: the end. */
static int copy_row(struct table *t)
{
    AM_CLEANUP(am_jsonp) json_t *row = json_object();
    size_t i = 0;
    for (int more = 1; more == 1; i++) {
        if ((more = am_csv_next(&t->csv)) == -2)
            return bad(t, "a cell has no end, or more than 64 KiB: is a quote missing?");
        if (more == -1)
            return i ? bad(t, "the last row has no end") : -1;
        if (more == 0 && i == 0 && t->csv.cell.len == 0)
            return 0; /* an empty line */
        if (i == t->columns)
            return bad(t, "the row has more cells than the head line");
        const char *name = t->name[i];
        if (name[0] && json_object_set_new(row, name, value_of(name, t->csv.cell.data)) < 0)
            return bad(t, "a cell is not UTF-8");
    }
    if (i < t->columns)
        return bad(t, "the row has too few cells");
    AM_CLEANUP(am_xfreep) char *text = json_dumps(row, JSON_COMPACT);
    return text && fprintf(t->out, "%s\n", text) > 0 ? 0 : bad(t, "the temporary file cannot be written");
}

static int convert(struct table *t)
{
    int rc = read_head(t);
    while (rc == 0)
        rc = copy_row(t);
    return rc < 0 ? 0 : rc;
}

int am_dataset_csv(const struct am_cli *c, struct am_dataset_push *p)
{
    struct am_source s;
    if (p->files > 1)
        return am_say_usage(c, "one table at a time");
    int rc = am_source_open(c, p->file[0], &s);
    if (rc) {
        am_source_done(&s);
        return rc;
    }
    struct table t = {.c = c, .p = p, .path = s.path, .csv = {.in = s.in, .line = 1}};
    am_buf_init(&t.csv.cell, AM_CSV_CELL_MAX);
    p->lines = true;
    p->out = t.out = tmpfile();
    if (p->out)
        rc = convert(&t);
    else {
        am_say_error(c, NULL, "cannot make a temporary file: %s", strerror(errno));
        rc = AM_EXIT_ERROR;
    }
    am_buf_done(&t.csv.cell);
    for (size_t i = 0; i < t.columns; i++)
        free(t.name[i]);
    free(t.name);
    am_source_done(&s);
    return rc;
}
