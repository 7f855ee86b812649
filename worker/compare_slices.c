/*
 * compare_slices.c - which keys a comparison is looked at by, and slices.ndjson. See compare.h.
 */
#include "core/base/text.h"
#include "core/gate/decide.h"
#include "core/table/canon.h"
#include "worker/compare.h"
#include "worker/sink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct am_slice_key *)a)->key, ((const struct am_slice_key *)b)->key);
}

static void take_label(struct am_comparing *c)
{
    bool many = false;
    for (size_t i = 0; i < c->keys; i++)
        if (am_streq(c->key[i].key, "label")) {
            am_compare_warn(c, "label-shadowed", "g has a key named label: it stands in place of the classes");
            return;
        }
    if (am_slice_label(&c->join, &c->key[c->keys], &many))
        c->keys++;
    else if (many)
        am_compare_warn(c, "many-labels", "there are more classes than slices can be told of; label is left out");
}

static bool asks_for(const json_t *list, const char *key)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *one = json_string_value(json_array_get(list, i));
        if (am_streq(one, "*") || am_streq(one, key))
            return true;
    }
    return false;
}

/* `flip` and `label` are always known: the pairs of classes, and the classes where the task has them. */
static int check_asked(const struct am_comparing *c, const json_t *list, const char *pointer)
{
    struct am_faults *f = &c->s->faults;
    size_t before = f->total;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *one = json_string_value(json_array_get(list, i));
        bool known = !one || am_streq(one, "*") || am_streq(one, "flip") || am_streq(one, "label");
        for (size_t k = 0; k < c->keys && !known; k++)
            known = am_streq(c->key[k].key, one);
        if (!known)
            am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = pointer},
                         "no sample has the slice key \"%.100s\"; a line of the prediction set names it in g", one);
    }
    return f->total > before ? -AM_E_INVALID_PARAMS : 0;
}

int am_compare_keys(struct am_comparing *c)
{
    const json_t *list = json_object_get(c->params, "slices");
    size_t kept = 0;
    c->keys = am_slice_keys(&c->join, c->key);
    take_label(c);
    qsort(c->key, c->keys, sizeof *c->key, by_key);
    AM_TRY(check_asked(c, list, "#/params/slices"));
    for (size_t i = 0; json_is_array(list) && i < c->keys; i++)
        if (asks_for(list, c->key[i].key))
            c->key[kept++] = c->key[i];
    if (json_is_array(list))
        c->keys = kept;
    return 0;
}

static json_t *row_json(const struct am_comparing *c, const struct am_slice_key *k, const char *value,
                        const struct am_slice *r)
{
    static const struct am_maybe none = {false, 0};
    bool texts = c->how.texts; /* then only flips are known, no accuracy */
    struct am_interval delta = texts ? (struct am_interval){false, 0, 0} : r->delta_one_sided;
    return json_pack(
        "{s:s,s:s,s:I,s:o,s:o,s:I,s:I,s:o,s:o,s:o,s:o,s:o,s:f,s:f,s:f,s:o,s:o,s:b,s:s}", "key", k->key, "value", value,
        "n", (json_int_t)r->counts.n, "accuracy_old", am_compare_real(texts ? none : r->accuracy_old), "accuracy_new",
        am_compare_real(texts ? none : r->accuracy_new), "b", (json_int_t)r->counts.b, "c", (json_int_t)r->counts.c,
        "nfr", am_compare_real(r->nfr), "interval", am_compare_pair(r->interval), "lower95",
        am_compare_real((struct am_maybe){r->one_sided.known, r->one_sided.lower}), "upper95",
        am_compare_real((struct am_maybe){r->one_sided.known, r->one_sided.upper}), "harm", am_compare_real(r->harm),
        "p_mid", r->test.mid.p, "q", r->q, "p_regression", r->test.regression.p, "delta_lower95",
        am_compare_real((struct am_maybe){delta.known, delta.lower}), "delta_upper95",
        am_compare_real((struct am_maybe){delta.known, delta.upper}), "small", r->small, "verdict", r->verdict);
}

/* A row that a rule of the gate is about is kept for the decision. */
static int keep_row(struct am_comparing *c, json_t *row)
{
    if (!c->gate || !row ||
        !am_gate_wants_slice(&c->policy.policy, json_string_value(json_object_get(row, "key")),
                             json_string_value(json_object_get(row, "value"))))
        return 0;
    return json_array_append(c->gate_slices, row) < 0 ? -AM_E_OUT_OF_MEMORY : 0;
}

static int put_row(struct am_comparing *c, struct am_sink *sink, json_t *row)
{
    int kept = keep_row(c, row);
    char *text = row ? am_canon(row) : NULL;
    int rc = text && kept == 0 ? am_sink_put(sink, text, strlen(text)) : -AM_E_OUT_OF_MEMORY;
    free(text);
    json_decref(row);
    return rc < 0 ? rc : am_sink_put(sink, "\n", 1);
}

struct named {        /* moved by qsort, so nothing points into it */
    const char *text; /* NULL: `number` */
    size_t value;
    char number[24];
};

static const char *text_of(const struct named *n)
{
    return n->text ? n->text : n->number;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(text_of(a), text_of(b));
}

/* The values that a sample of both sets has, by name. */
static size_t sort_values(const struct am_slice_key *k, const struct am_slice *rows, struct named *ret)
{
    size_t n = 0;
    for (size_t v = 0; v < k->values; v++) {
        if (rows[v].counts.n == 0)
            continue;
        ret[n].value = v;
        ret[n].text = k->text ? k->text[v] : NULL;
        snprintf(ret[n].number, sizeof ret[n].number, "%zu", v);
        n++;
    }
    qsort(ret, n, sizeof *ret, by_text);
    return n;
}

static int put_key(struct am_comparing *c, struct am_sink *sink, const struct am_slice_key *k)
{
    struct am_slice *rows = NULL;
    struct named *name = calloc(k->values + 1, sizeof *name);
    int rc = name ? am_slice_rows(&c->join, k, &rows) : -AM_E_OUT_OF_MEMORY;
    size_t n = rc == 0 ? sort_values(k, rows, name) : 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = put_row(c, sink, row_json(c, k, text_of(&name[i]), &rows[name[i].value]));
    c->slices += n;
    free(name);
    free(rows);
    return rc;
}

int am_compare_put_slices(struct am_comparing *c, unsigned number)
{
    struct am_sink sink = {.fd = -1};
    struct am_staged staged;
    int rc = am_sink_open(&sink, c->s->staging, c->first + number);
    for (size_t i = 0; rc == 0 && i < c->keys; i++)
        rc = put_key(c, &sink, &c->key[i]);
    if (rc == 0)
        rc = am_sink_end(&sink, &staged);
    if (rc == 0)
        rc = am_result_put(&c->s->result, am_compare_record(c, "slices.ndjson", &staged));
    am_sink_done(&sink);
    return rc;
}
