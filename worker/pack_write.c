/*
 * pack_write.c - the two files of a packed prediction set, in safetensors. See pack.h and contract.md, which lists the
 * tensors. The same rows give the same bytes, whatever the order of the lines.
 */
#include "worker/pack.h"

#include "core/table/plan_compare.h"
#include "worker/sink.h"

#include <stdlib.h>
#include <string.h>

enum { TENSORS = AM_COLS + 1 };

struct writer {
    struct am_pack_cols *c;
    const uint32_t *order;
    struct am_sink sink;
};

static int put(struct writer *w, const void *bytes, size_t n)
{
    return am_sink_put(&w->sink, bytes, n);
}

/* ---- ids: the dictionary ---- */

static bool is_new(const struct writer *w, size_t i)
{
    return i == 0 || !am_pack_same_id(w->c, w->order[i - 1], w->order[i]);
}

static int put_ids(struct writer *w)
{
    const struct am_pack_cols *c = w->c;
    for (size_t i = 0; i < c->n; i++) {
        size_t row = w->order[i];
        if (is_new(w, i))
            AM_TRY(put(w, c->ids + c->id_at[row], (size_t)(c->id_at[row + 1] - c->id_at[row])));
    }
    return 0;
}

static int put_offsets(struct writer *w)
{
    const struct am_pack_cols *c = w->c;
    uint64_t at = 0;
    AM_TRY(put(w, &at, sizeof at));
    for (size_t i = 0; i < c->n; i++) {
        size_t row = w->order[i];
        if (!is_new(w, i))
            continue;
        at += c->id_at[row + 1] - c->id_at[row];
        AM_TRY(put(w, &at, sizeof at));
    }
    return 0;
}

static int write_ids(struct writer *w, struct am_pack_counts *ret)
{
    const struct am_pack_cols *c = w->c;
    uint64_t ids = 0, bytes = 0;
    for (size_t i = 0; i < c->n; i++)
        if (is_new(w, i)) {
            ids++;
            bytes += c->id_at[w->order[i] + 1] - c->id_at[w->order[i]];
        }
    const uint64_t places = ids + 1;
    struct am_st_out v[] = {{.name = "bytes", .shape = &bytes, .dtype = AM_U8, .rank = 1},
                            {.name = "offsets", .shape = &places, .dtype = AM_U64, .rank = 1}};
    AM_TRY(am_sink_header(&w->sink, v, 2, "amend", "ids/1"));
    AM_TRY(put_offsets(w)); /* the wider dtype comes first */
    AM_TRY(put_ids(w));
    ret->ids = ids;
    ret->offsets_at = v[0].begin;
    ret->bytes_at = v[1].begin;
    return 0;
}

/* ---- packed: the columns ---- */

struct tensor { /* what stands behind an am_st_out */
    char name[24];
    enum am_pack_col col; /* AM_COLS: row */
    uint64_t shape[2];
};

static const struct {
    enum am_pack_col col;
    const char *name;
    uint8_t dtype;
    uint8_t bytes; /* of an element */
} kinds[] = {
    {AM_COL_Y, "y", AM_I32, 4},
    {AM_COL_P, "p", AM_I32, 4},
    {AM_COL_Y_DIGEST, "y_digest", AM_U8, 1},
    {AM_COL_DIGEST, "digest", AM_U8, 1},
    {AM_COL_Y_BITS, "y_bits", AM_U64, 8},
    {AM_COL_P_BITS, "p_bits", AM_U64, 8},
    {AM_COL_CORRECT, "correct", AM_U64, 8},
    {AM_COL_S, "s", AM_F32, 4},
    {AM_COL_LP, "lp", AM_F32, 4},
    {AM_COL_W, "w", AM_F32, 4},
    {AM_COL_K, "k", AM_I32, 4},
    {AM_COL_CLUSTER, "cluster", AM_I32, 4},
    {AM_COL_TOP_CLASS, "top_class", AM_I32, 4},
    {AM_COL_TOP_LOGIT, "top_logit", AM_F32, 4},
};
#define KINDS (sizeof kinds / sizeof *kinds)

static uint64_t words_of(const struct am_pack_cols *c)
{
    return ((uint64_t)c->n + 63) / 64;
}

static void list_one(struct tensor *t, struct am_st_out *v, uint8_t dtype, uint64_t rows, uint64_t width)
{
    t->shape[0] = rows;
    t->shape[1] = width;
    *v = (struct am_st_out){.name = t->name, .shape = t->shape, .dtype = dtype, .rank = width > 1 ? 2 : 1};
}

/* Bit columns stay matrices when they are one word wide. */
static size_t list_tensors(const struct am_pack_cols *c, const uint32_t *slice_rank, struct tensor *t,
                           struct am_st_out *v)
{
    size_t n = 0;
    t[n] = (struct tensor){.name = "row", .col = AM_COLS};
    list_one(&t[n], &v[n], AM_I64, c->n, 1);
    n++;
    for (size_t i = 0; i < KINDS; i++) {
        enum am_pack_col col = kinds[i].col;
        if (!c->col[col])
            continue;
        t[n] = (struct tensor){.col = col};
        memcpy(t[n].name, kinds[i].name, strlen(kinds[i].name) + 1);
        if (col == AM_COL_CORRECT)
            list_one(&t[n], &v[n], AM_U64, words_of(c), 1);
        else
            list_one(&t[n], &v[n], kinds[i].dtype, c->n, am_pack_col_bytes(c, col) / kinds[i].bytes);
        if (col == AM_COL_Y_BITS || col == AM_COL_P_BITS)
            v[n].rank = 2;
        n++;
    }
    for (size_t i = 0; i < c->slice_keys.n; i++) {
        t[n] = (struct tensor){.col = AM_COL_SLICE + (enum am_pack_col)i};
        snprintf(t[n].name, sizeof t[n].name, "slice.%02u", slice_rank[i]);
        list_one(&t[n], &v[n], AM_I32, c->n, 1);
        n++;
    }
    return n;
}

static int put_correct(struct writer *w)
{
    const unsigned char *ok = w->c->col[AM_COL_CORRECT];
    for (size_t i = 0; i < w->c->n; i += 64) {
        uint64_t word = 0;
        for (size_t k = 0; k < 64 && i + k < w->c->n; k++)
            word |= (uint64_t)ok[w->order[i + k]] << k;
        AM_TRY(put(w, &word, sizeof word));
    }
    return 0;
}

static int put_rows(struct writer *w)
{
    int64_t at = -1;
    for (size_t i = 0; i < w->c->n; i++) {
        at += is_new(w, i);
        AM_TRY(put(w, &at, sizeof at));
    }
    return 0;
}

static int put_tensor(struct writer *w, enum am_pack_col col)
{
    if (col == AM_COLS)
        return put_rows(w);
    if (col == AM_COL_CORRECT)
        return put_correct(w);
    size_t bytes = am_pack_col_bytes(w->c, col);
    for (size_t i = 0; i < w->c->n; i++)
        AM_TRY(put(w, (const char *)w->c->col[col] + w->order[i] * bytes, bytes));
    return 0;
}

/* Numbers in the order of first use become ranks: they no longer tell of the order of the lines. */
static int number_by_rank(struct am_pack_cols *c, enum am_pack_col col, const struct am_pack_dict *d)
{
    int32_t *v = c->col[col];
    uint32_t *rank = am_pack_dict_ranks(d);
    if (!rank)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; v && i < c->n; i++)
        if (v[i] >= 0)
            v[i] = (int32_t)rank[v[i]];
    free(rank);
    return 0;
}

/* {"key":{"tensor":"slice.00","values":[...]}} */
static json_t *slices_json(const struct am_pack_cols *c, const uint32_t *rank)
{
    json_t *o = json_object();
    for (size_t i = 0; i < c->slice_keys.n; i++) {
        char name[24];
        snprintf(name, sizeof name, "slice.%02u", rank[i]);
        json_object_set_new(o, am_pack_dict_text(&c->slice_keys, i),
                            json_pack("{s:s,s:o}", "tensor", name, "values", am_pack_dict_sorted(&c->slice[i])));
    }
    return o;
}

/* What a reader needs beside the columns; nothing of who uploaded it, so that the same answers are the same file. */
static char *meta_text(const struct am_pack_cols *c, const uint32_t *rank, const char *ids_sha256, uint64_t ids)
{
    const json_t *h = c->h->json;
    json_t *o =
        json_pack("{s:s,s:I,s:I,s:s,s:I,s:o,s:O,s:O,s:O,s:O}", "schema", "amend.packed/1", "rows", (json_int_t)c->n,
                  "ids", (json_int_t)ids, "ids_sha256", ids_sha256, "clusters", (json_int_t)c->clusters.n, "slices",
                  slices_json(c, rank), "task", json_object_get(h, "task"), "metric", json_object_get(h, "metric"),
                  "higher_is_better", json_object_get(h, "higher_is_better"), "labels", json_object_get(h, "labels"));
    char *text = o ? json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(o);
    return text;
}

static uint32_t has(unsigned col)
{
    static const uint32_t bits[AM_COL_SLICE] = {[AM_COL_Y] = AM_HAS_Y,
                                                [AM_COL_P] = AM_HAS_P,
                                                [AM_COL_S] = AM_HAS_S,
                                                [AM_COL_LP] = AM_HAS_LP,
                                                [AM_COL_W] = AM_HAS_W,
                                                [AM_COL_K] = AM_HAS_K,
                                                [AM_COL_CLUSTER] = AM_HAS_CLUSTER,
                                                [AM_COL_TOP_CLASS] = AM_HAS_TOP};
    return col < AM_COL_SLICE ? bits[col] : col < AM_COLS ? AM_HAS_SLICE : 0;
}

static int write_packed(struct writer *w, const uint32_t *rank, const char *ids_sha256, struct am_pack_counts *counts)
{
    struct tensor t[TENSORS];
    struct am_st_out v[TENSORS];
    size_t n = list_tensors(w->c, rank, t, v);
    char *meta = meta_text(w->c, rank, ids_sha256, counts->ids);
    int rc = meta ? am_sink_header(&w->sink, v, n, "amend", meta) : -AM_E_OUT_OF_MEMORY;
    free(meta);
    for (size_t i = 0; i < n && rc == 0; i++) /* v is in the order of the file now */
        for (size_t k = 0; k < n && rc == 0; k++)
            if (v[i].name == t[k].name) {
                counts->row_at = t[k].col == AM_COLS ? v[i].begin : counts->row_at;
                counts->y_at = t[k].col == AM_COL_Y ? v[i].begin : counts->y_at;
                counts->columns += has(t[k].col);
                rc = put_tensor(w, t[k].col);
            }
    return rc;
}

static int rank_texts(struct am_pack_cols *c)
{
    AM_TRY(number_by_rank(c, AM_COL_CLUSTER, &c->clusters));
    for (size_t i = 0; i < c->slice_keys.n; i++)
        AM_TRY(number_by_rank(c, AM_COL_SLICE + (enum am_pack_col)i, &c->slice[i]));
    return 0;
}

static int64_t count_correct(const struct am_pack_cols *c)
{
    const unsigned char *ok = c->col[AM_COL_CORRECT];
    int64_t n = 0;
    for (size_t i = 0; ok && i < c->n; i++)
        n += ok[i];
    return ok ? n : -1;
}

int am_pack_write_ids(struct am_pack_cols *c, const uint32_t *order, int dir, unsigned number, struct am_staged *ret,
                      struct am_pack_counts *ret_counts)
{
    struct writer w = {.c = c, .order = order, .sink.fd = -1};
    struct am_pack_counts counts = *ret_counts;
    int rc = am_sink_open(&w.sink, dir, number);
    if (rc == 0)
        rc = write_ids(&w, &counts);
    if (rc == 0)
        rc = am_sink_end(&w.sink, ret);
    am_sink_done(&w.sink);
    if (rc == 0)
        *ret_counts = counts;
    return rc;
}

int am_pack_write(struct am_pack_cols *c, const uint32_t *order, int dir, unsigned first, struct am_staged ret[2],
                  struct am_pack_counts *ret_counts)
{
    struct writer w = {.c = c, .order = order, .sink.fd = -1};
    struct am_pack_counts counts = {.correct = count_correct(c)};
    struct am_staged ids, packed;
    uint32_t *rank = am_pack_dict_ranks(&c->slice_keys);
    int rc = rank ? rank_texts(c) : -AM_E_OUT_OF_MEMORY;
    if (rc == 0)
        rc = am_pack_write_ids(c, order, dir, first, &ids, &counts);
    if (rc == 0)
        rc = am_sink_open(&w.sink, dir, first + 1);
    if (rc == 0)
        rc = write_packed(&w, rank, ids.sha256, &counts);
    if (rc == 0)
        rc = am_sink_end(&w.sink, &packed);
    am_sink_done(&w.sink);
    free(rank);
    if (rc < 0)
        return rc;
    ret[0] = ids;
    ret[1] = packed;
    *ret_counts = counts;
    return 0;
}
