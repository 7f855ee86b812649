/*
 * index_rows.c - the rows of a dataset in memory: their ids, room for their numbers, their order, and faults. See
 * index.h.
 */
#include "worker/index.h"

#include "core/base/grow.h"
#include "core/base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST = 1024, PIECE_MAX = 800 };

int am_index_bad(const struct am_index *x, int64_t row, const char *member, const char *fmt, ...)
{
    char text[PIECE_MAX], pointer[400], at[64] = "";
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (row < 0)
        snprintf(pointer, sizeof pointer, "#%s%.300s", member ? "/" : "", member ? member : "");
    else
        snprintf(pointer, sizeof pointer, "#/%" PRId64 "%s%.300s", row, member ? "/" : "", member ? member : "");
    if (row >= 0 && x->format == AM_INDEX_JSONL)
        snprintf(at, sizeof at, "row %" PRId64 " (line %" PRId64 "): ", row, row + 1);
    else if (row >= 0)
        snprintf(at, sizeof at, "row %" PRId64 ": ", row);
    return am_fault_add(x->f, AM_E_MALFORMED_DATASET, (struct am_where){.pointer = pointer}, "%s%s", at, text);
}

int am_index_grow(struct am_index *x)
{
    if (x->n < x->cap)
        return 0;
    size_t cap = x->cap ? 2 * x->cap : FIRST;
    AM_TRY(am_resize(&x->ids.id_at, cap + 1, sizeof *x->ids.id_at));
    AM_TRY(am_resize(&x->label, cap, sizeof *x->label));
    if (x->format == AM_INDEX_JSONL)
        AM_TRY(am_resize(&x->line, cap + 1, sizeof *x->line));
    if (!x->ids.ids) { /* there is a place for ids even when all of them are bad */
        AM_TRY(am_resize(&x->ids.ids, FIRST, 1));
        x->ids.ids_cap = FIRST;
        x->ids.id_at[0] = 0;
    }
    x->cap = cap;
    return 0;
}

int am_index_put_id(struct am_index *x, const char *id, size_t len)
{
    struct am_pack_cols *c = &x->ids;
    c->id_at[x->n + 1] = c->ids_n; /* a bad one counts as empty */
    if (len < 1 || len > AM_PACK_ID_MAX)
        return am_index_bad(x, (int64_t)x->n, "id", len ? "the id has %zu bytes; it may have %d" : "the id is empty",
                            len, AM_PACK_ID_MAX);
    if (!am_utf8_ok(id, len) || memchr(id, 0, len))
        return am_index_bad(x, (int64_t)x->n, "id", "the id is not UTF-8 without NUL");
    if (len > c->ids_cap - c->ids_n) {
        size_t cap = 2 * c->ids_cap + len;
        AM_TRY(am_resize(&c->ids, cap, 1));
        c->ids_cap = cap;
    }
    memcpy(c->ids + c->ids_n, id, len);
    c->ids_n += len;
    c->id_at[x->n + 1] = c->ids_n;
    return 0;
}

int am_index_put_row_id(struct am_index *x)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%zu", x->n);
    return am_index_put_id(x, text, (size_t)n);
}

uint32_t *am_index_order(const struct am_index *x, int *ret_rc)
{
    struct am_pack_cols c = x->ids;
    c.n = x->n;
    uint32_t *order = calloc(c.n + 1, sizeof *order);
    int rc = order ? am_pack_sort(&c, order) : -AM_E_OUT_OF_MEMORY;
    for (size_t i = 1; rc != -AM_E_OUT_OF_MEMORY && i < c.n; i++) {
        size_t a = order[i - 1], b = order[i];
        if (c.id_at[a + 1] > c.id_at[a] && am_pack_same_id(&c, a, b))
            rc = am_index_bad(x, (int64_t)b, "id", "the id \"%.*s\" is that of row %zu already",
                              (int)(c.id_at[b + 1] - c.id_at[b]), c.ids + c.id_at[b], a);
    }
    if (rc == 0)
        return order;
    free(order);
    *ret_rc = rc;
    return NULL;
}

void am_index_done(struct am_index *x)
{
    for (size_t i = 0; i < x->fields; i++) {
        free(x->field[i].name);
        free(x->field[i].value);
        json_decref(x->field[i].shape);
        am_pack_dict_done(&x->field[i].values);
    }
    free(x->ids.ids);
    free(x->ids.id_at);
    free(x->label);
    free(x->line);
    am_pack_dict_done(&x->names);
    memset(x, 0, sizeof *x);
}
