/*
 * pack_cols.c - rows as growing columns. See pack.h. A column costs memory from the first row that has it; rows before
 * and without it hold its "none". What the rows have in common (all with a p, or none) is held to here.
 */
#include "worker/pack.h"

#include "core/base/grow.h"
#include "core/base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SORT_BYTES = 44, CAP_FIRST = 64 }; /* of a row, while the rows are put in order and written */

size_t am_pack_col_bytes(const struct am_pack_cols *c, enum am_pack_col col)
{
    switch (col) {
    case AM_COL_Y_DIGEST:
    case AM_COL_DIGEST:
        return 32;
    case AM_COL_Y_BITS:
    case AM_COL_P_BITS:
        return (c->h->labels + 63) / 64 * 8;
    case AM_COL_CORRECT:
        return 1;
    case AM_COL_TOP_CLASS:
    case AM_COL_TOP_LOGIT:
        return (size_t)AM_PACK_TOP_MAX * 4;
    default:
        return 4;
    }
}

/* "None": no class, no number, weight 1, no bits. */
static void fill(const struct am_pack_cols *c, enum am_pack_col col, size_t from, size_t to)
{
    size_t bytes = am_pack_col_bytes(c, col);
    char *at = (char *)c->col[col] + from * bytes;
    float f = col == AM_COL_W ? 1.0f : NAN;
    if (col == AM_COL_W || col == AM_COL_LP)
        for (size_t i = from; i < to; i++, at += 4)
            memcpy(at, &f, 4);
    else
        memset(at, col == AM_COL_CLUSTER || col == AM_COL_TOP_CLASS || col >= AM_COL_SLICE ? 0xff : 0,
               (to - from) * bytes);
}

static uint64_t memory_of(const struct am_pack_cols *c, size_t cap, size_t ids_cap, enum am_pack_col one_more)
{
    uint64_t sum = ids_cap + (uint64_t)cap * (8 + SORT_BYTES) + am_pack_dict_memory(&c->clusters);
    for (unsigned i = 0; i < AM_COLS; i++)
        if (c->col[i] || i == one_more)
            sum += (uint64_t)cap * am_pack_col_bytes(c, i);
    return sum;
}

static int check_budget(const struct am_pack_cols *c, size_t cap, size_t ids_cap, enum am_pack_col one_more,
                        struct am_faults *f)
{
    if (memory_of(c, cap, ids_cap, one_more) <= c->budget)
        return 0;
    return am_fault_add(f, AM_E_TOO_LARGE, (struct am_where){.pointer = ""},
                        "after %zu rows the set needs more memory than a worker may have (%llu MiB); send it in "
                        "parts, or raise workers.memory_max",
                        c->n, (unsigned long long)(c->budget >> 20));
}

static int grow_rows(struct am_pack_cols *c, struct am_faults *f)
{
    size_t cap = c->cap + c->cap / 2 + CAP_FIRST;
    if (c->n < c->cap)
        return 0;
    if (c->h->n > c->n && cap > c->h->n) /* the header knows */
        cap = (size_t)c->h->n;
    AM_TRY(check_budget(c, cap, c->ids_cap, AM_COLS, f));
    AM_TRY(am_resize(&c->id_at, cap + 1, sizeof *c->id_at));
    for (unsigned i = 0; i < AM_COLS; i++)
        if (c->col[i])
            AM_TRY(am_resize(&c->col[i], cap, am_pack_col_bytes(c, i)));
    c->cap = cap;
    return 0;
}

/* The place of the present row in a column, which is made when it is not there. */
static int place(struct am_pack_cols *c, enum am_pack_col col, struct am_faults *f, void **ret)
{
    if (!c->col[col]) {
        AM_TRY(check_budget(c, c->cap, c->ids_cap, col, f));
        AM_TRY(am_resize(&c->col[col], c->cap, am_pack_col_bytes(c, col)));
        fill(c, col, 0, c->n + 1);
    }
    *ret = (char *)c->col[col] + c->n * am_pack_col_bytes(c, col);
    return 0;
}

static int put(struct am_pack_cols *c, enum am_pack_col col, const void *value, size_t bytes, struct am_faults *f)
{
    void *at;
    AM_TRY(place(c, col, f, &at));
    memcpy(at, value, bytes);
    return 0;
}

static int put_f32(struct am_pack_cols *c, enum am_pack_col col, double v, struct am_faults *f)
{
    float single = (float)v;
    return put(c, col, &single, sizeof single, f);
}

static int put_id(struct am_pack_cols *c, const char *id, struct am_faults *f)
{
    size_t n = strlen(id);
    if (n > c->ids_cap - c->ids_n) {
        size_t cap = c->ids_cap + c->ids_cap / 2 + n + 65536;
        AM_TRY(check_budget(c, c->cap, cap, AM_COLS, f));
        AM_TRY(am_resize(&c->ids, cap, 1));
        c->ids_cap = cap;
    }
    memcpy(c->ids + c->ids_n, id, n);
    c->id_at[c->n] = c->ids_n;
    c->ids_n += n;
    c->id_at[c->n + 1] = c->ids_n;
    return 0;
}

static int put_set(struct am_pack_cols *c, enum am_pack_col col, const json_t *set, struct am_faults *f)
{
    void *at;
    json_t *v;
    size_t i;
    AM_TRY(place(c, col, f, &at));
    uint64_t *bits = at;
    memset(bits, 0, am_pack_col_bytes(c, col));
    json_array_foreach(set, i, v) bits[json_integer_value(v) / 64] |= 1ull << (json_integer_value(v) % 64);
    return 0;
}

static int put_value(struct am_pack_cols *c, const struct am_pack_value *v, enum am_pack_col number,
                     enum am_pack_col digest, enum am_pack_col bits, struct am_faults *f)
{
    if (v->kind == AM_PACK_INT)
        return put(c, number, &v->number, sizeof v->number, f);
    if (v->kind == AM_PACK_HASH)
        return put(c, digest, v->hash, sizeof v->hash, f);
    return v->kind == AM_PACK_SET ? put_set(c, bits, v->set, f) : 0;
}

/* ok decides; without it the two are compared. -1: neither is known. */
static int is_correct(const struct am_pack_cols *c, const struct am_pack_row *r)
{
    if (r->ok >= 0)
        return r->ok;
    if (!r->y.kind || !r->p.kind)
        return -1;
    if (r->y.kind == AM_PACK_INT)
        return r->y.number == r->p.number;
    if (r->y.kind == AM_PACK_HASH)
        return memcmp(r->y.hash, r->p.hash, sizeof r->y.hash) == 0;
    size_t bytes = am_pack_col_bytes(c, AM_COL_Y_BITS);
    return memcmp((char *)c->col[AM_COL_Y_BITS] + c->n * bytes, (char *)c->col[AM_COL_P_BITS] + c->n * bytes, bytes) ==
           0;
}

static int put_slices(struct am_pack_cols *c, const struct am_pack_row *r, uint64_t line, struct am_faults *f)
{
    const char *key;
    json_t *value;
    json_object_foreach(r->slices, key, value)
    {
        uint32_t k, v;
        int rc = am_pack_dict_take(&c->slice_keys, key, AM_PACK_SLICES_MAX, &k);
        if (rc == -AM_E_TOO_LARGE)
            return am_pack_bad(f, line, "g", "more than %d keys of slices in the set; \"%.60s\" is one too many",
                               AM_PACK_SLICES_MAX, key);
        AM_TRY(rc);
        rc = am_pack_dict_take(&c->slice[k], json_string_value(value), AM_PACK_SLICE_VALUES_MAX, &v);
        if (rc == -AM_E_TOO_LARGE)
            return am_pack_bad(f, line, "g", "more than %d values of the slice \"%.60s\" in the set",
                               AM_PACK_SLICE_VALUES_MAX, key);
        AM_TRY(rc);
        AM_TRY(put(c, AM_COL_SLICE + k, &v, sizeof v, f));
    }
    return 0;
}

static int put_rest(struct am_pack_cols *c, const struct am_pack_row *r, struct am_faults *f)
{
    uint32_t cluster;
    if (r->has_s)
        AM_TRY(put_f32(c, AM_COL_S, r->s, f));
    if (r->has_lp)
        AM_TRY(put_f32(c, AM_COL_LP, r->lp, f));
    if (r->w != 1)
        AM_TRY(put_f32(c, AM_COL_W, r->w, f));
    if (r->k)
        AM_TRY(put(c, AM_COL_K, &r->k, sizeof r->k, f));
    if (r->top) {
        AM_TRY(put(c, AM_COL_TOP_CLASS, r->top_class, r->top * 4, f));
        AM_TRY(put(c, AM_COL_TOP_LOGIT, r->top_logit, r->top * 4, f));
    }
    if (!r->cluster)
        return 0;
    AM_TRY(am_pack_dict_take(&c->clusters, r->cluster, INT32_MAX, &cluster));
    return put(c, AM_COL_CLUSTER, &cluster, sizeof cluster, f);
}

/* Columns that are there already hold "none" for this row first. */
static void clear_row(struct am_pack_cols *c)
{
    for (unsigned i = 0; i < AM_COLS; i++)
        if (c->col[i])
            fill(c, i, c->n, c->n + 1);
}

static int check_shape(struct am_pack_cols *c, const struct am_pack_row *r, uint64_t line, struct am_faults *f)
{
    unsigned shape = (unsigned)r->y.kind | (unsigned)r->p.kind << 2 | (r->ok >= 0 ? 16u : 0) | (r->has_s ? 32u : 0);
    if (!c->shape_line) {
        c->shape = shape;
        c->shape_line = line;
    }
    if (shape == c->shape)
        return 0;
    unsigned differ = shape ^ c->shape;
    const char *what = differ & 3 ? "y" : differ & 12 ? "p" : differ & 16 ? "ok" : "s";
    return am_pack_bad(f, line, what,
                       "%s is there in one of this line and line %llu only, or of another kind; all lines of a set "
                       "have the same of y, p, ok and s",
                       what, (unsigned long long)c->shape_line);
}

int am_pack_cols_add(struct am_pack_cols *c, const struct am_pack_row *r, uint64_t line, struct am_faults *f)
{
    uint32_t number = (uint32_t)line;
    AM_TRY(check_shape(c, r, line, f));
    AM_TRY(grow_rows(c, f));
    clear_row(c);
    AM_TRY(put_id(c, r->id, f));
    AM_TRY(put(c, AM_COL_LINE, &number, sizeof number, f));
    AM_TRY(put_value(c, &r->y, AM_COL_Y, AM_COL_Y_DIGEST, AM_COL_Y_BITS, f));
    AM_TRY(put_value(c, &r->p, AM_COL_P, AM_COL_DIGEST, AM_COL_P_BITS, f));
    int correct = is_correct(c, r);
    if (correct >= 0)
        AM_TRY(put(c, AM_COL_CORRECT, &(unsigned char){(unsigned char)correct}, 1, f));
    AM_TRY(put_rest(c, r, f));
    if (r->slices)
        AM_TRY(put_slices(c, r, line, f));
    c->n++;
    return 0;
}

void am_pack_cols_done(struct am_pack_cols *c)
{
    free(c->ids);
    free(c->id_at);
    for (unsigned i = 0; i < AM_COLS; i++)
        free(c->col[i]);
    am_pack_dict_done(&c->clusters);
    am_pack_dict_done(&c->slice_keys);
    for (unsigned i = 0; i < AM_PACK_SLICES_MAX; i++)
        am_pack_dict_done(&c->slice[i]);
    *c = (struct am_pack_cols){0};
}
