/*
 * selection.c - see selection.h. Criteria are looked at one after the other, each in one walk over its column; what is
 * held is a bit for each sample.
 */
#include "server/selection.h"

#include "core/base/draw.h"
#include "core/base/hash.h"
#include "core/base/text.h"
#include "core/table/members.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANGES_MAX = 1000 };

struct choice {
    struct am_data *s;
    struct am_faults *f;
    struct am_selected *sel;
    unsigned char *bit; /* of what is chosen so far */
    size_t bytes;
    char at[32]; /* "#" or "#/except" */
};

static bool has(const unsigned char *bit, uint64_t i)
{
    return bit[i / 8] >> (i % 8) & 1;
}

static void drop(unsigned char *bit, uint64_t i)
{
    bit[i / 8] = (unsigned char)(bit[i / 8] & ~(1u << (i % 8)));
}

static int bad(const struct choice *c, const char *member, const char *what)
{
    char pointer[64];
    snprintf(pointer, sizeof pointer, "%s/%s", c->at, member);
    return am_fault_add(c->f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = pointer}, "%s", what);
}

/* ---- ids ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int find_ids(struct choice *c, const char **id, size_t n, unsigned char *found)
{
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (i && am_streq(id[i], id[i - 1]))
            continue;
        int rc = am_ids_find(&c->s->ids, id[i], at, &at);
        AM_TRY(rc);
        if (rc > 0) {
            found[at / 8] = (unsigned char)(found[at / 8] | 1u << (at % 8));
            continue;
        }
        if (c->sel->unknown_total++ < AM_UNKNOWN_MAX)
            json_array_append_new(c->sel->unknown, json_string(id[i]));
    }
    return 0;
}

static int take_ids(struct choice *c, json_t *list)
{
    size_t n = json_array_size(list), i;
    json_t *v;
    const char **id = calloc(n + 1, sizeof *id);
    unsigned char *found = calloc(1, c->bytes);
    int rc = id && found ? 0 : -AM_E_OUT_OF_MEMORY;
    json_array_foreach(list, i, v)
    {
        if (rc == 0 && !json_is_string(v))
            rc = bad(c, "ids", "ids must be a list of texts");
        else if (rc == 0)
            id[i] = json_string_value(v);
    }
    if (rc == 0) {
        qsort(id, n, sizeof *id, by_text);
        rc = find_ids(c, id, n, found);
    }
    for (i = 0; rc == 0 && i < c->bytes; i++)
        c->bit[i] &= found[i];
    free(id);
    free(found);
    return rc;
}

/* ---- classes, where ---- */

static int by_number(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* Keeps those whose number in the column is one of `want`, which is sorted here. */
static int keep_by(struct choice *c, const char *column, int32_t *want, size_t n)
{
    struct am_column col;
    AM_TRY(am_data_column(c->s, column, &col));
    qsort(want, n, sizeof *want, by_number);
    for (uint64_t i = 0; i < col.n; i++) {
        int32_t v;
        AM_TRY(am_column_get(&col, i, &v));
        if (!bsearch(&v, want, n, sizeof *want, by_number))
            drop(c->bit, i);
    }
    return 0;
}

static int take_classes(struct choice *c, json_t *list)
{
    const json_t *names = json_object_get(c->s->about, "names");
    bool texts = json_is_array(names);
    size_t n = json_array_size(list), i, k = 0;
    json_t *v;
    if (!json_is_integer(json_object_get(json_object_get(c->s->about, "columns"), "label")))
        return bad(c, "classes", "the labels of this dataset are no classes, or it has none");
    int32_t *want = calloc(n + 1, sizeof *want);
    int rc = want ? 0 : -AM_E_OUT_OF_MEMORY;
    json_array_foreach(list, i, v)
    {
        json_int_t number =
            texts && json_is_string(v) ? am_data_rank(names, json_string_value(v)) : json_integer_value(v);
        if (rc == 0 && !(texts ? json_is_string(v) : json_is_integer(v)))
            rc = bad(c, "classes",
                     texts ? "classes of this dataset are texts" : "classes of this dataset are whole numbers");
        if (rc == 0 && number >= -1 && number <= INT32_MAX && !(texts && number < 0))
            want[k++] = (int32_t)number; /* a class that no row has chooses none */
    }
    if (rc == 0)
        rc = keep_by(c, "label", want, k);
    free(want);
    return rc;
}

/* The number of a value in its field, -1: no row has it, -2: it is of another kind. */
static int64_t value_of(const json_t *field, const json_t *v)
{
    const char *kind = json_string_value(json_object_get(field, "kind"));
    char number[32];
    const char *text = json_string_value(v);
    bool fits = am_streq(kind, json_is_integer(v) ? "int" : json_is_boolean(v) ? "bool" : "text");
    if (json_is_integer(v)) {
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        text = number;
    } else if (json_is_boolean(v))
        text = json_is_true(v) ? "true" : "false";
    return fits && text ? am_data_rank(json_object_get(field, "values"), text) : -2;
}

static int take_where_one(struct choice *c, const char *name, json_t *value)
{
    const json_t *field = json_object_get(json_object_get(c->s->about, "where"), name);
    char what[200];
    int32_t want[RANGES_MAX];
    size_t n = json_is_array(value) ? json_array_size(value) : 1, k = 0;
    if (!field) {
        snprintf(what, sizeof what,
                 "rows cannot be chosen by %.80s; GET .../versions/{rev} lists the fields, those with `values`", name);
        return bad(c, "where", what);
    }
    if (n > RANGES_MAX)
        return bad(c, "where", "at most 1000 values of a field");
    for (size_t i = 0; i < n; i++) {
        int64_t number = value_of(field, json_is_array(value) ? json_array_get(value, i) : value);
        if (number == -2) {
            snprintf(what, sizeof what, "the values of %.80s are of kind %s", name,
                     json_string_value(json_object_get(field, "kind")));
            return bad(c, "where", what);
        }
        if (number >= 0)
            want[k++] = (int32_t)number;
    }
    return keep_by(c, json_string_value(json_object_get(field, "column")), want, k);
}

static int take_where(struct choice *c, json_t *where)
{
    const char *name;
    json_t *value;
    json_object_foreach(where, name, value) AM_TRY(take_where_one(c, name, value));
    return 0;
}

/* ---- rows ---- */

struct range {
    json_int_t from, to;
};

static int by_from(const void *a, const void *b)
{
    json_int_t x = ((const struct range *)a)->from, y = ((const struct range *)b)->from;
    return (x > y) - (x < y);
}

/* In order, none of them upon another. */
static size_t merge_ranges(struct range *v, size_t n)
{
    size_t k = 0;
    qsort(v, n, sizeof *v, by_from);
    for (size_t i = 0; i < n; i++) {
        if (k == 0 || v[i].from > v[k - 1].to)
            v[k++] = v[i];
        else if (v[i].to > v[k - 1].to)
            v[k - 1].to = v[i].to;
    }
    return k;
}

static int by_row(const void *row, const void *range)
{
    const struct range *v = range;
    json_int_t at = *(const uint32_t *)row;
    return at < v->from ? -1 : at >= v->to;
}

static int take_rows(struct choice *c, json_t *list)
{
    struct range v[RANGES_MAX];
    size_t n = json_array_size(list);
    if (n > RANGES_MAX)
        return bad(c, "rows", "at most 1000 ranges");
    for (size_t i = 0; i < n; i++) {
        json_t *pair = json_array_get(list, i), *a = json_array_get(pair, 0), *b = json_array_get(pair, 1);
        v[i] = (struct range){json_integer_value(a), json_integer_value(b)};
        if (json_array_size(pair) != 2 || !json_is_integer(a) || !json_is_integer(b) || v[i].from < 0 ||
            v[i].to < v[i].from || v[i].to > c->s->rows)
            return bad(c, "rows", "rows must list pairs [from, to), from 0 to the number of rows");
    }
    n = merge_ranges(v, n);
    for (uint64_t i = 0; i < c->s->row.n; i++) {
        uint32_t row;
        AM_TRY(am_column_get(&c->s->row, i, &row));
        if (!bsearch(&row, v, n, sizeof *v, by_row))
            drop(c->bit, i);
    }
    return 0;
}

/* ---- all of it ---- */

static int take_criteria(struct choice *c, json_t *o)
{
    json_t *ids = am_member_array(o, c->at, "ids", false, c->f),
           *classes = am_member_array(o, c->at, "classes", false, c->f),
           *where = am_member_object(o, c->at, "where", false, c->f),
           *rows = am_member_array(o, c->at, "rows", false, c->f);
    memset(c->bit, 0xff, c->bytes);
    for (uint64_t i = (uint64_t)c->s->rows; i < 8 * (uint64_t)c->bytes; i++)
        drop(c->bit, i);
    if (c->f->total)
        return -AM_E_INVALID_PARAMS;
    if (ids)
        AM_TRY(take_ids(c, ids));
    if (classes)
        AM_TRY(take_classes(c, classes));
    if (where)
        AM_TRY(take_where(c, where));
    return rows ? take_rows(c, rows) : 0;
}

static void count(struct am_selected *sel, size_t bytes)
{
    sel->count = 0;
    for (size_t i = 0; i < bytes; i++)
        sel->count += (uint64_t)__builtin_popcount(sel->entry[i]);
}

static int leave_out(struct choice *c, json_t *except)
{
    struct choice x = *c;
    snprintf(x.at, sizeof x.at, "#/except");
    if (json_object_size(except) == 0)
        return bad(&x, "", "except must say what is left out: ids, classes, where or rows");
    x.bit = malloc(c->bytes);
    int rc = x.bit ? take_criteria(&x, except) : -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; rc == 0 && i < c->bytes; i++)
        c->bit[i] = (unsigned char)(c->bit[i] & ~x.bit[i]);
    free(x.bit);
    return rc;
}

static int draw(struct choice *c, json_t *sample)
{
    int64_t n = am_member_int(sample, "#/sample", "n", 1, INT64_MAX, 0, c->f),
            seed = am_member_int(sample, "#/sample", "seed", 0, INT64_MAX, 0, c->f);
    if (!json_object_get(sample, "n"))
        return am_fault_add(c->f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/sample/n"},
                            "n is missing: how many samples are drawn");
    if (c->f->total)
        return -AM_E_INVALID_PARAMS;
    count(c->sel, c->bytes);
    if ((uint64_t)n > c->sel->count)
        return am_fault_add(c->f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/sample/n"},
                            "%" PRId64 " samples cannot be drawn out of %" PRIu64, n, c->sel->count);
    struct am_draw d = am_draw_begin((uint64_t)seed, (uint64_t)n, c->sel->count);
    for (uint64_t i = 0; i < (uint64_t)c->s->rows; i++)
        if (has(c->bit, i) && !am_draw_next(&d))
            drop(c->bit, i);
    return 0;
}

void am_selection_check(json_t *selection, struct am_faults *f)
{
    static const char *const all[] = {"dataset", "ids", "classes", "where", "rows", "except", "sample", NULL},
                             *const of_except[] = {"ids", "classes", "where", "rows", NULL},
                             *const of_sample[] = {"n", "seed", NULL};
    am_members_known(selection, "#", all, f);
    am_members_known(json_object_get(selection, "except"), "#/except", of_except, f);
    am_members_known(json_object_get(selection, "sample"), "#/sample", of_sample, f);
}

int am_select(struct am_selected *ret, struct am_data *s, json_t *selection, struct am_faults *f)
{
    size_t bytes = ((size_t)s->rows + 7) / 8;
    *ret = (struct am_selected){.entry = malloc(bytes), .unknown = json_array()};
    if (!ret->entry || !ret->unknown)
        return -AM_E_OUT_OF_MEMORY;
    struct choice c = {.s = s, .f = f, .sel = ret, .bit = ret->entry, .bytes = bytes, .at = "#"};
    json_t *except = am_member_object(selection, "#", "except", false, f),
           *sample = am_member_object(selection, "#", "sample", false, f);
    AM_TRY(take_criteria(&c, selection));
    if (except)
        AM_TRY(leave_out(&c, except));
    if (sample)
        AM_TRY(draw(&c, sample));
    count(ret, bytes);
    return 0;
}

/* ---- the digest ---- */

/* The header that the worker writes in front of a dictionary. */
static void put_header(struct am_hash *h, uint64_t n, uint64_t bytes)
{
    char text[400] = "";
    unsigned char size[8];
    uint64_t len = (uint64_t)snprintf(text, sizeof text,
                                      "{\"__metadata__\":{\"amend\":\"ids/1\"},\"offsets\":{\"dtype\":\"U64\","
                                      "\"shape\":[%" PRIu64 "],\"data_offsets\":[0,%" PRIu64 "]},\"bytes\":{\"dtype\":"
                                      "\"U8\",\"shape\":[%" PRIu64 "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}}",
                                      n + 1, 8 * (n + 1), bytes, 8 * (n + 1), 8 * (n + 1) + bytes);
    for (; len % 8; len++)
        text[len] = ' ';
    for (unsigned i = 0; i < 8; i++)
        size[i] = (unsigned char)(len >> (8 * i));
    am_hash_put(h, size, sizeof size);
    am_hash_put(h, text, (size_t)len);
}

static int put_offsets(struct am_hash *h, const struct am_selected *sel, struct am_data *s, uint64_t *ret_bytes,
                       bool hash)
{
    uint64_t at = 0, from, to;
    if (hash)
        am_hash_put(h, &at, sizeof at);
    for (uint64_t i = 0; i < s->ids.n; i++) {
        if (!has(sel->entry, i))
            continue;
        AM_TRY(am_column_get(&s->ids.offset, i, &from));
        AM_TRY(am_column_get(&s->ids.offset, i + 1, &to));
        at += to - from;
        if (hash)
            am_hash_put(h, &at, sizeof at);
    }
    *ret_bytes = at;
    return 0;
}

static int put_ids(struct am_hash *h, const struct am_selected *sel, struct am_data *s)
{
    char id[AM_SAMPLE_ID_MAX + 1];
    for (uint64_t i = 0; i < s->ids.n; i++) {
        if (!has(sel->entry, i))
            continue;
        AM_TRY(am_ids_get(&s->ids, i, id));
        am_hash_put(h, id, strlen(id));
    }
    return 0;
}

int am_selected_digest(const struct am_selected *sel, struct am_data *s, char ret[65])
{
    uint64_t bytes = 0;
    struct am_hash *h AM_CLEANUP(am_hash_freep) = am_hash_new(AM_SHA256);
    if (!h)
        return -AM_E_OUT_OF_MEMORY;
    AM_TRY(put_offsets(h, sel, s, &bytes, false));
    put_header(h, sel->count, bytes);
    AM_TRY(put_offsets(h, sel, s, &bytes, true));
    AM_TRY(put_ids(h, sel, s));
    am_hash_hex(h, ret);
    return 0;
}

void am_selected_done(struct am_selected *sel)
{
    free(sel->entry);
    json_decref(sel->unknown);
    *sel = (struct am_selected){0};
}
