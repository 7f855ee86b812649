/*
 * index_fields.c - what the rows of a dataset have beside their ids: members or tensors, and which of them rows can be
 * chosen by. See index.h. Those with few short values become columns; the others are only told of.
 */
#include "worker/index.h"

#include "core/base/text.h"

#include <stdlib.h>
#include <string.h>

int am_index_field(struct am_index *x, const char *name, struct am_index_field **ret)
{
    for (size_t i = 0; i < x->fields; i++)
        if (am_streq(x->field[i].name, name)) {
            *ret = &x->field[i];
            return 0;
        }
    *ret = NULL;
    if (strlen(name) > AM_INDEX_NAME_MAX)
        return am_index_bad(x, (int64_t)x->n, NULL, "the name %.60s... is longer than %d bytes", name,
                            AM_INDEX_NAME_MAX);
    if (x->fields == AM_INDEX_FIELDS_MAX)
        return am_index_bad(x, (int64_t)x->n, NULL, "%.60s is one more than the %d names that a dataset may have", name,
                            AM_INDEX_FIELDS_MAX);
    struct am_index_field f = {.name = strdup(name), .choosable = true};
    if (!f.name)
        return -AM_E_OUT_OF_MEMORY;
    x->field[x->fields] = f;
    *ret = &x->field[x->fields++];
    return 0;
}

static void close_field(struct am_index *x, struct am_index_field *f)
{
    x->choices -= f->value != NULL;
    free(f->value);
    f->value = NULL;
    f->cap = 0;
    f->choosable = false;
    am_pack_dict_done(&f->values);
}

/* Room for row n; the rows before that have none are -1. */
static int make_room(const struct am_index *x, struct am_index_field *f)
{
    if (f->cap > x->n)
        return 0;
    size_t cap = x->cap > x->n ? x->cap : x->n + 1;
    int32_t *v = reallocarray(f->value, cap, sizeof *v);
    if (!v)
        return -AM_E_OUT_OF_MEMORY;
    memset(v + f->cap, 0xff, (cap - f->cap) * sizeof *v);
    f->value = v;
    f->cap = cap;
    return 0;
}

int am_index_field_put(struct am_index *x, struct am_index_field *f, const char *kind, const char *text)
{
    uint32_t number;
    f->rows++;
    if (f->kind && !am_streq(f->kind, kind))
        kind = "mixed";
    f->kind = kind;
    if (!f->choosable)
        return 0;
    size_t len = text ? strlen(text) : 0;
    bool fits = text && !am_streq(kind, "mixed") && len <= AM_INDEX_VALUE_BYTES &&
                f->values.bytes + len < AM_INDEX_VALUES_BYTES && (f->value || x->choices < AM_INDEX_CHOICES_MAX);
    if (fits && !f->value)
        x->choices++;
    if (fits) {
        AM_TRY(make_room(x, f));
        int rc = am_pack_dict_take(&f->values, text, AM_INDEX_VALUES_MAX, &number);
        if (rc == 0)
            f->value[x->n] = (int32_t)number;
        if (rc != -AM_E_TOO_LARGE)
            return rc;
    }
    close_field(x, f);
    return 0;
}

static int by_rank(int32_t *v, size_t n, const struct am_pack_dict *d)
{
    uint32_t *rank = am_pack_dict_ranks(d);
    if (!rank)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < n; i++)
        if (v[i] >= 0)
            v[i] = (int32_t)rank[v[i]];
    free(rank);
    return 0;
}

int am_index_fields_end(struct am_index *x)
{
    for (size_t i = 0; i < x->fields; i++) {
        struct am_index_field *f = &x->field[i];
        if (!f->value)
            continue;
        size_t n = x->n;
        if (f->cap < n) { /* the last rows do not have it */
            x->n--;
            AM_TRY(make_room(x, f));
            x->n++;
        }
        AM_TRY(by_rank(f->value, n, &f->values));
    }
    if (x->labels == AM_LABELS_TEXT)
        AM_TRY(by_rank(x->label, x->n, &x->names));
    return 0;
}
