/*
 * predictions_csv.c - a table of answers as lines of a prediction set (predictions.h): RFC 4180, a head line, columns
 * by name. Numbers are classes; names become classes only by a list that is given, because two tables that number their
 * names each by itself cannot be compared.
 */
#include "cli/csv.h"
#include "cli/predictions.h"

#include "core/base/buf.h"
#include "core/base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LABELS_MAX = 65536 };

struct table {
    const struct am_cli *c;
    const struct am_push *p;
    struct am_csv csv;
    FILE *out;
    int id, label, pred; /* columns; id -1: rows are numbered */
    char *names;         /* of --labels, cut in place */
    char **name;
    size_t labels;
    uint64_t rows;
};

static int bad(const struct table *t, const char *what)
{
    am_say_error(t->c, NULL, "%s, line %ld: %s", t->p->path, t->csv.line, what);
    return AM_EXIT_ERROR;
}

static int find_columns(struct table *t)
{
    const char *id = t->p->id ? t->p->id : "id", *label = t->p->label ? t->p->label : "label",
               *pred = t->p->pred ? t->p->pred : "pred";
    struct am_buf all;
    int more = 1;
    t->id = t->label = t->pred = -1;
    am_buf_init(&all, 1024);
    for (int i = 0; more == 1 && i < AM_CSV_COLUMNS_MAX; i++) {
        if ((more = am_csv_next(&t->csv)) < 0)
            break;
        const char *name = t->csv.cell.data;
        t->id = am_streq(name, id) ? i : t->id;
        t->label = am_streq(name, label) ? i : t->label;
        t->pred = am_streq(name, pred) ? i : t->pred;
        am_buf_printf(&all, "%s%s", i ? ", " : "", name);
    }
    const char *missing = t->id < 0 && !am_streq(id, "#") ? id : t->label < 0 ? label : t->pred < 0 ? pred : NULL;
    if (missing)
        am_say_error(t->c, "say which columns they are: --id NAME (or '#': number the rows), --label NAME, --pred NAME",
                     "%s has no column %s; it has %s", t->p->path, missing, all.data ? all.data : "none");
    am_buf_done(&all);
    return missing ? AM_EXIT_ERROR : 0;
}

static int cut_labels(struct table *t)
{
    if (!t->p->labels)
        return 0;
    t->names = am_xdup(t->p->labels);
    t->name = am_xalloc((strlen(t->names) + 1) * sizeof *t->name);
    for (char *p = t->names, *end; p && t->labels < LABELS_MAX; p = end) {
        if ((end = strchr(p, ',')))
            *end++ = 0;
        t->name[t->labels++] = p;
    }
    return 0;
}

/* false: it is no class. */
static bool class_of(const struct table *t, const char *text, long long *ret)
{
    for (size_t i = 0; i < t->labels; i++)
        if (am_streq(t->name[i], text)) {
            *ret = (long long)i;
            return true;
        }
    char *end;
    errno = 0;
    *ret = strtoll(text, &end, 10);
    return !t->labels && *text && *end == 0 && errno == 0;
}

static int put_row(struct table *t, const char *id, const char *label, const char *pred)
{
    long long y, p;
    char number[32];
    bool good = class_of(t, label, &y);
    if (!good || !class_of(t, pred, &p)) {
        am_say_error(t->c, "give the names of all classes in one order for all sets: --labels cat,dog,...",
                     "%s, line %ld: \"%.100s\" is no %s", t->p->path, t->csv.line, good ? pred : label,
                     t->labels ? "name of --labels" : "number of a class");
        return AM_EXIT_ERROR;
    }
    snprintf(number, sizeof number, "%llu", (unsigned long long)t->rows);
    AM_CLEANUP(am_jsonp)
    json_t *row = json_pack("{s:s,s:I,s:I}", "id", t->id < 0 ? number : id, "y", (json_int_t)y, "p", (json_int_t)p);
    AM_CLEANUP(am_xfreep) char *text = row ? json_dumps(row, JSON_COMPACT) : NULL;
    if (!text)
        return bad(t, "the id is not UTF-8");
    t->rows++;
    return fprintf(t->out, "%s\n", text) < 0 ? bad(t, "the temporary file cannot be written") : 0;
}

static int copy_row(struct table *t)
{
    AM_CLEANUP(am_xfreep) char *id = NULL;
    AM_CLEANUP(am_xfreep) char *label = NULL;
    AM_CLEANUP(am_xfreep) char *pred = NULL;
    int more = 1, i = 0;
    for (; more == 1; i++) {
        if ((more = am_csv_next(&t->csv)) == -2)
            return bad(t, "a cell is longer than 64 KiB: is a quote missing?");
        if (more == -1)
            return i ? bad(t, "the last row has no end") : -1;
        char **to = i == t->id ? &id : i == t->label ? &label : i == t->pred ? &pred : NULL;
        if (to && !*to)
            *to = am_xdup(t->csv.cell.data);
    }
    if (i == 1 && t->csv.cell.len == 0)
        return 0; /* an empty line */
    if ((t->id >= 0 && !id) || !label || !pred) {
        t->csv.line--;
        return bad(t, "the row has too few cells");
    }
    return put_row(t, id, label, pred);
}

/* The header comes first and says how many rows follow, so it is written last, into room that was left for it. */
static int put_header(struct table *t, char *room, size_t cap)
{
    const struct am_push *p = t->p;
    AM_CLEANUP(am_jsonp)
    json_t *h = json_pack("{s:s,s:s,s:s*,s:I}", "schema", "amend.preds/1", "task", p->task ? p->task : "classification",
                          "split", p->split, "n", (json_int_t)t->rows);
    json_t *labels = t->labels ? json_array() : NULL;
    for (size_t i = 0; i < t->labels; i++)
        json_array_append_new(labels, json_string(t->name[i]));
    if (labels)
        json_object_set_new(h, "labels", labels);
    am_push_names(t->c, p, h);
    AM_CLEANUP(am_xfreep) char *text = json_dumps(h, JSON_COMPACT);
    size_t n = text ? strlen(text) : cap;
    if (n >= cap)
        return bad(t, "the names of --labels do not fit the header");
    memset(room, ' ', cap);
    memcpy(room, text, n);
    room[cap - 1] = '\n';
    rewind(t->out);
    return fwrite(room, 1, cap, t->out) == cap ? 0 : bad(t, "the temporary file cannot be written");
}

static int convert(struct table *t)
{
    size_t cap = 4096 + (t->p->labels ? 4 * strlen(t->p->labels) : 0);
    AM_CLEANUP(am_xfreep) char *room = am_xalloc(cap);
    int rc = find_columns(t);
    if (rc == 0)
        rc = cut_labels(t);
    memset(room, ' ', cap);
    if (rc == 0 && fwrite(room, 1, cap, t->out) != cap)
        rc = bad(t, "the temporary file cannot be written");
    while (rc == 0)
        rc = copy_row(t);
    return rc < 0 ? put_header(t, room, cap) : rc;
}

int am_push_csv(const struct am_cli *c, struct am_push *p, FILE *in)
{
    if (!p->version || !p->dataset)
        return am_say_usage(c, "a .csv needs --version and --dataset: it does not say whose answers to what it holds");
    p->file = tmpfile();
    if (!p->file) {
        am_say_error(c, NULL, "cannot make a temporary file: %s", strerror(errno));
        return AM_EXIT_ERROR;
    }
    struct table t = {.c = c, .p = p, .csv = {.in = in, .line = 1}, .out = p->file};
    am_buf_init(&t.csv.cell, AM_CSV_CELL_MAX);
    int rc = convert(&t);
    am_buf_done(&t.csv.cell);
    free(t.names);
    free(t.name);
    return rc;
}
