/*
 * compare_samples.c - samples.safetensors: every sample of a comparison with its cell, in the order of (id, k). See
 * compare.h; the tensors are in contract.md.
 */
#include "core/base/text.h"
#include "worker/compare.h"
#include "worker/sink.h"

#include <stdio.h>
#include <stdlib.h>

enum { FIXED = 12, TENSORS = FIXED + AM_COMPARE_KEYS };

struct tensor { /* what stands behind an am_st_out */
    char name[24];
    const void *four; /* a column of 4 bytes a sample; NULL: ids, cell or d */
};

struct list {
    struct tensor t[TENSORS];
    struct am_st_out v[TENSORS];
    size_t n;
    uint64_t rows, places, bytes; /* shapes */
};

static void add(struct list *l, const char *name, uint8_t dtype, const uint64_t *shape, const void *four)
{
    struct tensor *t = &l->t[l->n];
    snprintf(t->name, sizeof t->name, "%s", name);
    t->four = four;
    l->v[l->n++] = (struct am_st_out){.name = t->name, .shape = shape, .dtype = dtype, .rank = 1};
}

static void add_column(struct list *l, const char *name, uint8_t dtype, const void *four)
{
    if (four)
        add(l, name, dtype, &l->rows, four);
}

static uint64_t id_bytes(const struct am_join *j)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < j->n; i++)
        sum += am_id_len(j->ids, am_join_id(j, i));
    return sum;
}

static void list_tensors(const struct am_comparing *c, struct list *l)
{
    const struct am_join *j = &c->join;
    const struct am_packed *old = j->set[AM_OLD], *new = j->set[AM_NEW];
    l->rows = j->n;
    l->places = l->rows + 1;
    l->bytes = id_bytes(j);
    add(l, "offsets", AM_U64, &l->places, NULL);
    add(l, "bytes", AM_U8, &l->bytes, NULL);
    add(l, "cell", AM_U8, &l->rows, NULL);
    if (c->numbers.d)
        add(l, "d", AM_F32, &l->rows, NULL);
    add_column(l, "y", AM_I32, am_join_column(j, AM_PACKED_Y));
    add_column(l, "k", AM_I32, am_join_column(j, AM_PACKED_K));
    add_column(l, "old_p", AM_I32, old->col[AM_PACKED_P]);
    add_column(l, "new_p", AM_I32, new->col[AM_PACKED_P]);
    if (c->how.texts) {
        add_column(l, "old_s", AM_F32, old->col[AM_PACKED_S]);
        add_column(l, "new_s", AM_F32, new->col[AM_PACKED_S]);
    }
    add_column(l, "old_lp", AM_F32, old->col[AM_PACKED_LP]);
    add_column(l, "new_lp", AM_F32, new->col[AM_PACKED_LP]);
    for (size_t i = 0, at = 0; i < c->keys; i++) {
        char name[24];
        if (!c->key[i].text || am_streq(c->key[i].key, "label"))
            continue;
        snprintf(name, sizeof name, "slice.%02zu", at++);
        add_column(l, name, AM_I32, c->key[i].value);
    }
}

/* {"key":{"tensor":"slice.00","values":[...]}} */
static json_t *slices_json(const struct am_comparing *c)
{
    json_t *o = json_object();
    for (size_t i = 0, at = 0; i < c->keys; i++) {
        const struct am_slice_key *k = &c->key[i];
        if (!k->text || am_streq(k->key, "label"))
            continue;
        char name[24];
        json_t *values = json_array();
        for (size_t v = 0; v < k->values; v++)
            json_array_append_new(values, json_string(k->text[v]));
        snprintf(name, sizeof name, "slice.%02zu", at++);
        json_object_set_new(o, k->key, json_pack("{s:s,s:o}", "tensor", name, "values", values));
    }
    return o;
}

static char *meta_text(const struct am_comparing *c)
{
    const struct am_compare_set *named = &c->set[c->set[AM_OLD].plain.labels_n ? AM_OLD : AM_NEW];
    json_t *o = json_pack("{s:s,s:I,s:O,s:O,s:o}", "schema", "amend.samples/1", "rows", (json_int_t)c->join.n, "task",
                          json_object_get(named->meta, "task"), "labels", json_object_get(named->meta, "labels"),
                          "slices", slices_json(c));
    char *text = o ? json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_decref(o);
    return text;
}

static int put_offsets(const struct am_join *j, struct am_sink *s)
{
    uint64_t at = 0;
    AM_TRY(am_sink_put(s, &at, sizeof at));
    for (size_t i = 0; i < j->n; i++) {
        at += am_id_len(j->ids, am_join_id(j, i));
        AM_TRY(am_sink_put(s, &at, sizeof at));
    }
    return 0;
}

static int put_ids(const struct am_join *j, struct am_sink *s)
{
    for (size_t i = 0; i < j->n; i++) {
        size_t id = am_join_id(j, i);
        AM_TRY(am_sink_put(s, j->ids->bytes + j->ids->at[id], am_id_len(j->ids, id)));
    }
    return 0;
}

static int put_d(const struct am_comparing *c, struct am_sink *s)
{
    for (size_t i = 0; i < c->join.n; i++) {
        float d = (float)c->numbers.d[i];
        AM_TRY(am_sink_put(s, &d, sizeof d));
    }
    return 0;
}

static int put_tensor(const struct am_comparing *c, const struct tensor *t, struct am_sink *s)
{
    if (t->four)
        return am_sink_put(s, t->four, c->join.n * 4);
    if (am_streq(t->name, "offsets"))
        return put_offsets(&c->join, s);
    if (am_streq(t->name, "bytes"))
        return put_ids(&c->join, s);
    return am_streq(t->name, "d") ? put_d(c, s) : am_sink_put(s, c->numbers.cell, c->join.n);
}

static int put_all(const struct am_comparing *c, struct list *l, struct am_sink *s)
{
    char *meta = meta_text(c);
    int rc = meta ? am_sink_header(s, l->v, l->n, "amend", meta) : -AM_E_OUT_OF_MEMORY;
    free(meta);
    for (size_t i = 0; i < l->n && rc == 0; i++) /* v is in the order of the file now */
        for (size_t k = 0; k < l->n && rc == 0; k++)
            if (l->v[i].name == l->t[k].name)
                rc = put_tensor(c, &l->t[k], s);
    return rc;
}

int am_compare_put_samples(struct am_comparing *c, unsigned number)
{
    struct list list = {.n = 0};
    struct am_sink sink = {.fd = -1};
    struct am_staged staged;
    list_tensors(c, &list);
    int rc = am_sink_open(&sink, c->s->staging, c->first + number);
    if (rc == 0)
        rc = put_all(c, &list, &sink);
    if (rc == 0)
        rc = am_sink_end(&sink, &staged);
    if (rc == 0)
        rc = am_result_put(&c->s->result, am_compare_record(c, "samples.safetensors", &staged));
    am_sink_done(&sink);
    return rc;
}
