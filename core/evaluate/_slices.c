/*
 * _slices.c - see _numbers.h: the keys by which a comparison is looked at in parts.
 */
#include "core/base/text.h"
#include "core/evaluate/_numbers.h"

#include <stdlib.h>

enum { LABELS_MAX = 65536 };

static bool has_key(const struct am_slice_key *k, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++)
        if (am_streq(k[i].key, key))
            return true;
    return false;
}

size_t am_slice_keys(const struct am_join *j, struct am_slice_key *ret)
{
    size_t n = 0;
    for (int side = 0; side < 2; side++) {
        const struct am_packed_meta *m = j->set[side]->meta;
        for (unsigned i = 0; i < m->keys; i++) {
            if (has_key(ret, n, m->key[i].key))
                continue;
            ret[n++] = (struct am_slice_key){.key = m->key[i].key,
                                             .values = m->key[i].values_n,
                                             .text = m->key[i].values,
                                             .value = am_packed_i32(j->set[side], AM_PACKED_SLICE + i)};
        }
    }
    return n;
}

bool am_slice_label(const struct am_join *j, struct am_slice_key *ret, bool *ret_many)
{
    const int32_t *y = am_join_column(j, AM_PACKED_Y);
    const struct am_packed_meta *m = j->set[j->set[AM_OLD]->meta->labels_n ? AM_OLD : AM_NEW]->meta;
    int32_t top = -1;
    *ret_many = false;
    for (size_t i = 0; y && i < j->n; i++)
        top = y[i] > top ? y[i] : top;
    *ret_many = top >= LABELS_MAX;
    if (top < 0 || top >= LABELS_MAX)
        return false;
    *ret = (struct am_slice_key){.key = "label", .values = (size_t)top + 1, .value = y};
    if (m->labels_n > (size_t)top)
        ret->text = m->labels;
    return true;
}

int am_slice_rows(const struct am_join *j, const struct am_slice_key *k, struct am_slice **ret)
{
    struct am_slice_counts *counts = calloc(k->values + 1, sizeof *counts);
    struct am_slice *rows = calloc(k->values + 1, sizeof *rows);
    int rc =
        counts && rows ? am_slices_count(j->ok[0], j->ok[1], k->value, j->n, k->values, counts) : -AM_E_OUT_OF_MEMORY;
    if (rc == 0)
        rc = am_slices_of(counts, k->values, rows);
    free(counts);
    if (rc < 0)
        free(rows);
    else
        *ret = rows;
    return rc;
}
