/*
 * _join.c - see _join.h: which samples both sets have.
 */
#include "core/evaluate/_join.h"

#include <stdlib.h>
#include <string.h>

struct sides {
    const struct am_packed *set[2];
    const struct am_ids *ids[2];
};

static size_t id_of(const struct am_packed *p, size_t row)
{
    return p->id ? p->id[row] : row;
}

static int compare(const struct sides *s, size_t i, size_t k)
{
    size_t a = id_of(s->set[0], i), b = id_of(s->set[1], k);
    int d = s->ids[0] == s->ids[1] ? (a > b) - (a < b) : am_id_compare(s->ids[0], a, s->ids[1], b);
    if (d)
        return d;
    const int32_t *x = am_packed_i32(s->set[0], AM_PACKED_K), *y = am_packed_i32(s->set[1], AM_PACKED_K);
    int32_t j = x ? x[i] : 0, l = y ? y[k] : 0;
    return (j > l) - (j < l);
}

/* Both are sorted by (id, k): one walk through the two. */
static void walk(const struct sides *s, struct am_join *j)
{
    size_t i = 0, k = 0, n[2] = {s->set[0]->rows, s->set[1]->rows};
    while (i < n[0] && k < n[1]) {
        int d = compare(s, i, k);
        if (d == 0) {
            j->at[0][j->n] = (uint32_t)i;
            j->at[1][j->n++] = (uint32_t)k;
        }
        i += d <= 0;
        k += d >= 0;
    }
    j->only[0] = n[0] - j->n;
    j->only[1] = n[1] - j->n;
}

/* Sets of the same samples need no walk. */
static bool same_rows(const struct sides *s)
{
    const struct am_packed *a = s->set[0], *b = s->set[1];
    const void *x = a->col[AM_PACKED_K], *y = b->col[AM_PACKED_K];
    if (s->ids[0] != s->ids[1] || a->rows != b->rows || !x != !y)
        return false;
    if (a->id && memcmp(a->id, b->id, a->rows * sizeof *a->id) != 0)
        return false;
    return !x || memcmp(x, y, a->rows * 4) == 0;
}

/* Rows ascend, so a column is thinned out in place. */
static void keep(struct am_packed *p, const uint32_t *at, size_t n)
{
    for (unsigned c = 0; c < AM_PACKED_COLS; c++) {
        uint32_t *v = p->col[c];
        for (size_t i = 0; v && i < n; i++)
            v[i] = v[at[i]];
    }
    for (size_t i = 0; p->id && i < n; i++)
        p->id[i] = p->id[at[i]];
    for (size_t i = 0; p->correct && i < n; i++) {
        uint64_t bit = UINT64_C(1) << (i % 64);
        bool on = am_bit(p->correct, at[i]);
        p->correct[i / 64] = on ? p->correct[i / 64] | bit : p->correct[i / 64] & ~bit;
    }
    if (p->correct && n % 64)
        p->correct[n / 64] &= (UINT64_C(1) << (n % 64)) - 1;
}

static int check_share(const struct am_join *j, bool allow_partial, struct am_faults *f)
{
    uint64_t alone = j->only[0] + j->only[1], all = j->n + alone;
    if (j->n == 0)
        return am_fault_add(f, AM_E_DATASET_MISMATCH, (struct am_where){.reason = "ids"},
                            "no sample is in both prediction sets (%llu in old, %llu in new): their ids are not of the "
                            "same dataset",
                            (unsigned long long)j->only[0], (unsigned long long)j->only[1]);
    if (alone * 100 <= all || allow_partial)
        return 0;
    return am_fault_add(f, AM_E_DATASET_MISMATCH, (struct am_where){.reason = "ids"},
                        "%llu of %llu samples are in one prediction set only (%llu in old, %llu in new), more than 1 "
                        "%%; upload both over the same samples, or set params.allow_partial, which no gate passes",
                        (unsigned long long)alone, (unsigned long long)all, (unsigned long long)j->only[0],
                        (unsigned long long)j->only[1]);
}

static int join(struct am_join *j, const struct sides *s, bool allow_partial, struct am_faults *f)
{
    size_t most = s->set[0]->rows < s->set[1]->rows ? s->set[0]->rows : s->set[1]->rows;
    if (same_rows(s)) {
        j->n = most;
        return 0;
    }
    for (int side = 0; side < 2; side++)
        if (!(j->at[side] = malloc(most * sizeof *j->at[side] + 1)))
            return -AM_E_OUT_OF_MEMORY;
    walk(s, j);
    AM_TRY(check_share(j, allow_partial, f));
    for (int side = 0; side < 2; side++)
        keep(j->set[side], j->at[side], j->n);
    return 0;
}

int am_join_sets(struct am_join *ret, struct am_packed *old_set, const struct am_ids *old_ids,
                 struct am_packed *new_set, const struct am_ids *new_ids, bool allow_partial, struct am_faults *f)
{
    struct sides s = {.set = {old_set, new_set}, .ids = {old_ids, new_ids}};
    struct am_join j = {.set = {old_set, new_set}, .ids = old_ids};
    int rc = join(&j, &s, allow_partial, f);
    if (rc < 0) {
        am_join_done(&j);
        return rc;
    }
    j.ok[0] = old_set->correct;
    j.ok[1] = new_set->correct;
    *ret = j;
    return 0;
}

const void *am_join_column(const struct am_join *j, unsigned col)
{
    return j->set[AM_OLD]->col[col] ? j->set[AM_OLD]->col[col] : j->set[AM_NEW]->col[col];
}

void am_join_done(struct am_join *j)
{
    for (int side = 0; side < 2; side++) {
        free(j->at[side]);
        free(j->made[side]);
    }
    free(j->diff);
    *j = (struct am_join){0};
}
