/*
 * index_write.c - the columns of a dataset as a safetensors file, and what the daemon keeps of them. See index.h;
 * contract.md lists the columns. The same rows give the same bytes.
 */
#include "worker/index.h"

#include "core/base/text.h"

#include <stdlib.h>
#include <string.h>

enum { COLUMNS = AM_INDEX_CHOICES_MAX + 4 };

struct column {
    char name[16];
    uint64_t shape;
    const int32_t *value; /* by row, to be laid out in the order of the ids; NULL: row, entry or line */
};

struct columns {
    struct column v[COLUMNS];
    struct am_st_out out[COLUMNS];
    size_t n;
};

static void add(struct columns *c, const char *name, uint8_t dtype, uint64_t n, const int32_t *value)
{
    struct column *k = &c->v[c->n];
    *k = (struct column){.shape = n, .value = value};
    snprintf(k->name, sizeof k->name, "%s", name);
    c->out[c->n++] = (struct am_st_out){.name = k->name, .shape = &k->shape, .dtype = dtype, .rank = 1};
}

static bool has_classes(const struct am_index *x)
{
    return x->labels == AM_LABELS_NUMBER || x->labels == AM_LABELS_TEXT;
}

static void list(const struct am_index *x, struct columns *c)
{
    char name[16];
    unsigned k = 0;
    add(c, "row", AM_U32, x->n, NULL);
    add(c, "entry", AM_U32, x->n, NULL);
    if (x->format == AM_INDEX_JSONL)
        add(c, "line", AM_U64, (uint64_t)x->n + 1, NULL);
    if (has_classes(x))
        add(c, "label", AM_I32, x->n, x->label);
    for (size_t i = 0; i < x->fields; i++)
        if (x->field[i].value) {
            snprintf(name, sizeof name, "field.%02u", k++);
            add(c, name, AM_I32, x->n, x->field[i].value);
        }
}

static int put_column(const struct am_index *x, const struct column *c, const uint32_t *order, uint32_t *by_entry,
                      struct am_buf *out)
{
    size_t n = x->n;
    if (am_streq(c->name, "line"))
        return am_buf_put(out, x->line, (n + 1) * sizeof *x->line);
    if (am_streq(c->name, "row"))
        return am_buf_put(out, order, n * sizeof *order);
    for (size_t i = 0; i < n; i++)
        if (c->value)
            by_entry[i] = (uint32_t)c->value[order[i]];
        else
            by_entry[order[i]] = (uint32_t)i;
    return am_buf_put(out, by_entry, n * sizeof *by_entry);
}

static int put_all(const struct am_index *x, struct columns *c, const uint32_t *order, uint32_t *scratch,
                   struct am_buf *out, json_t *places)
{
    for (size_t i = 0; i < c->n; i++) /* `out` is in the order of the file now */
        for (size_t k = 0; k < c->n; k++)
            if (c->out[i].name == c->v[k].name) {
                json_object_set_new(places, c->v[k].name, json_integer((json_int_t)c->out[i].begin));
                AM_TRY(put_column(x, &c->v[k], order, scratch, out));
            }
    return 0;
}

int am_index_write_rows(struct am_index *x, const uint32_t *order, const char *ids_sha256, struct am_buf *out,
                        json_t **ret_columns)
{
    struct columns c = {.n = 0};
    char meta[120];
    uint32_t *scratch = calloc(x->n + 1, sizeof *scratch);
    json_t *places = json_object();
    list(x, &c);
    snprintf(meta, sizeof meta, "{\"ids_sha256\":\"%s\",\"schema\":\"amend.rows/1\"}", ids_sha256);
    int rc = scratch && places ? am_st_write_header(c.out, c.n, "amend", meta, out) : -AM_E_OUT_OF_MEMORY;
    if (rc == 0)
        rc = put_all(x, &c, order, scratch, out, places);
    free(scratch);
    if (rc < 0)
        json_decref(places);
    else
        *ret_columns = places;
    return rc;
}

/* ---- what is told of it ---- */

static int by_number(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* How many classes there are; -1: out of memory. */
static int64_t count_classes(const struct am_index *x)
{
    if (x->labels == AM_LABELS_TEXT)
        return (int64_t)x->names.n;
    int32_t *sorted = malloc((x->n + 1) * sizeof *sorted);
    int64_t n = 0;
    if (!sorted)
        return -1;
    memcpy(sorted, x->label, x->n * sizeof *sorted);
    qsort(sorted, x->n, sizeof *sorted, by_number);
    for (size_t i = 0; i < x->n; i++) /* -1 says that the class is not known */
        n += sorted[i] >= 0 && (i == 0 || sorted[i] != sorted[i - 1]);
    free(sorted);
    return n;
}

static json_t *field_json(const struct am_index_field *f)
{
    return json_pack("{s:s,s:s,s:O?,s:I,s:o}", "name", f->name, "kind", f->kind ? f->kind : "null", "shape", f->shape,
                     "rows", (json_int_t)f->rows, "values",
                     f->value ? json_integer((json_int_t)f->values.n) : json_null());
}

json_t *am_index_about(const struct am_index *x, const json_t *columns, const struct am_pack_counts *ids)
{
    json_t *fields = json_array(), *where = json_object(), *places = json_deep_copy(columns);
    int64_t classes = has_classes(x) ? count_classes(x) : 0;
    unsigned k = 0;
    for (size_t i = 0; i < x->fields; i++) {
        char name[16];
        json_array_append_new(fields, field_json(&x->field[i]));
        if (!x->field[i].value)
            continue;
        snprintf(name, sizeof name, "field.%02u", k++);
        json_object_set_new(where, x->field[i].name,
                            json_pack("{s:s,s:s,s:o}", "column", name, "kind",
                                      x->format == AM_INDEX_JSONL ? x->field[i].kind : "int", "values",
                                      am_pack_dict_sorted(&x->field[i].values)));
    }
    json_object_set_new(places, "ids.offsets", json_integer((json_int_t)ids->offsets_at));
    json_object_set_new(places, "ids.bytes", json_integer((json_int_t)ids->bytes_at));
    return json_pack("{s:s,s:s,s:I,s:o,s:s,s:o,s:o,s:o,s:o}", "schema", "amend.about/1", "format",
                     x->format == AM_INDEX_JSONL ? "jsonl" : "safetensors", "rows", (json_int_t)x->n, "classes",
                     classes > 0 ? json_integer(classes) : json_null(), "ids", x->own_ids ? "own" : "row", "names",
                     x->labels == AM_LABELS_TEXT ? am_pack_dict_sorted(&x->names) : json_null(), "fields", fields,
                     "where", where, "columns", places);
}
