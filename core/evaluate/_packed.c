/*
 * _packed.c - see _packed.h: the columns.
 */
#include "core/evaluate/_packed.h"

#include "core/base/sys.h"
#include "core/base/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PART = 262144 };

int am_packed_bad(struct am_faults *f, const char *name, const char *what, const char *why)
{
    return am_fault_add(f, AM_E_STORE_DAMAGED, (struct am_where){.file = name, .tensor = what},
                        "the stored prediction set %s is damaged: %s %s; upload it again", name, what, why);
}

static int read_at(void *ctx, void *buf, size_t n, uint64_t off)
{
    return am_sys_pread(((struct am_packed *)ctx)->fd, buf, n, off);
}

int am_packed_open(struct am_packed *ret, int fd, uint64_t bytes, const char *name, struct am_faults *f)
{
    struct am_packed p = {.fd = fd, .bytes = bytes, .name = name};
    struct am_faults inner = {0};
    int rc = am_st_read(&p.head, read_at, &p, bytes, AM_ST_LIMITS_DEFAULT, name, &inner);
    if (rc == -AM_E_MALFORMED)
        rc = am_packed_bad(f, name, "its header", inner.n ? inner.v[0].detail : "cannot be read");
    am_faults_done(&inner);
    if (rc < 0)
        return rc;
    *ret = p;
    return 0;
}

/* A column of `rows` elements. 1: there is none. */
static int find(const struct am_packed *p, const char *name, uint8_t dtype, uint64_t rows, struct am_faults *f,
                const struct am_st_entry **ret)
{
    const struct am_st_entry *e = am_st_find(&p->head, name);
    if (!e)
        return 1;
    if (e->dtype != dtype || e->rank != 1 || e->shape[0] != rows)
        return am_packed_bad(f, p->name, name, "has another dtype or shape than the set says");
    *ret = e;
    return 0;
}

/* ---- the values that a column may hold ---- */

struct range {
    bool real;
    int64_t low, high; /* of whole numbers, both included */
    bool none;         /* real: NaN is allowed */
    bool above_zero;   /* real */
};

static bool whole_ok(const int32_t *v, size_t n, const struct range *r)
{
    for (size_t i = 0; i < n; i++)
        if (v[i] < r->low || v[i] > r->high)
            return false;
    return true;
}

static bool real_ok(const float *v, size_t n, const struct range *r)
{
    for (size_t i = 0; i < n; i++)
        if (isinf(v[i]) || (isnan(v[i]) && !r->none) || (r->above_zero && !(v[i] > 0)))
            return false;
    return true;
}

static int load_column(struct am_packed *p, unsigned col, const char *name, const struct range *r, struct am_faults *f)
{
    const struct am_st_entry *e;
    int rc = find(p, name, r->real ? AM_F32 : AM_I32, p->rows, f, &e);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    void *v = malloc(p->rows * 4);
    if (!v)
        return -AM_E_OUT_OF_MEMORY;
    p->col[col] = v;
    if (am_sys_pread(p->fd, v, p->rows * 4, e->begin) < 0)
        return am_packed_bad(f, p->name, name, "cannot be read");
    if (!(r->real ? real_ok(v, p->rows, r) : whole_ok(v, p->rows, r)))
        return am_packed_bad(f, p->name, name, "has a value outside its range");
    return 0;
}

static int load_columns(struct am_packed *p, struct am_faults *f)
{
    const struct am_packed_meta *m = p->meta;
    int64_t top = m->labels_n ? (int64_t)m->labels_n - 1 : INT32_MAX - 1;
    const struct {
        unsigned col;
        const char *name;
        struct range range;
    } columns[] = {
        {AM_PACKED_Y, "y", {.low = 0, .high = top}},
        {AM_PACKED_P, "p", {.low = -1, .high = top}},
        {AM_PACKED_S, "s", {.real = true}},
        {AM_PACKED_LP, "lp", {.real = true, .none = true}},
        {AM_PACKED_W, "w", {.real = true, .above_zero = true}},
        {AM_PACKED_K, "k", {.low = 0, .high = INT32_MAX}},
        {AM_PACKED_CLUSTER, "cluster", {.low = -1, .high = (int64_t)m->clusters - 1}},
    };
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        AM_TRY(load_column(p, columns[i].col, columns[i].name, &columns[i].range, f));
    for (unsigned i = 0; i < m->keys; i++) {
        const struct range range = {.low = -1, .high = (int64_t)m->key[i].values_n - 1};
        AM_TRY(load_column(p, AM_PACKED_SLICE + i, m->key[i].tensor, &range, f));
        if (!p->col[AM_PACKED_SLICE + i])
            return am_packed_bad(f, p->name, m->key[i].tensor, "is not there");
    }
    return 0;
}

static int load_correct(struct am_packed *p, struct am_faults *f)
{
    const struct am_st_entry *e;
    size_t words = (p->rows + 63) / 64;
    int rc = find(p, "correct", AM_U64, words, f, &e);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    p->correct = malloc(words * 8);
    if (!p->correct)
        return -AM_E_OUT_OF_MEMORY;
    if (am_sys_pread(p->fd, p->correct, words * 8, e->begin) < 0)
        return am_packed_bad(f, p->name, "correct", "cannot be read");
    if (p->rows % 64)
        p->correct[words - 1] &= (UINT64_C(1) << (p->rows % 64)) - 1;
    return 0;
}

/* Rows are in the order of (id, k): the number of the id grows by 0 or 1, and k within one id. */
static bool next_ok(const struct am_packed *p, size_t i, int64_t before, int64_t id)
{
    const int32_t *k = am_packed_i32(p, AM_PACKED_K);
    if (id == before + 1)
        return true;
    return id == before && i > 0 && k && k[i - 1] < k[i];
}

static int load_ids(struct am_packed *p, struct am_faults *f)
{
    const struct am_st_entry *e = NULL;
    int64_t part[PART / 8], last = -1;
    bool plain = p->meta->ids == p->rows;
    int rc = find(p, "row", AM_I64, p->rows, f, &e);
    if (rc != 0)
        return rc < 0 ? rc : am_packed_bad(f, p->name, "row", "is not there");
    if (!plain && !(p->id = malloc(p->rows * sizeof *p->id)))
        return -AM_E_OUT_OF_MEMORY;
    for (size_t at = 0; at < p->rows;) {
        size_t n = p->rows - at < PART / 8 ? p->rows - at : PART / 8;
        if (am_sys_pread(p->fd, part, n * 8, e->begin + at * 8) < 0)
            return am_packed_bad(f, p->name, "row", "cannot be read");
        for (size_t i = 0; i < n; i++, last = part[i - 1]) {
            if (!next_ok(p, at + i, last, part[i]))
                return am_packed_bad(f, p->name, "row", "is not in the order of the ids");
            if (p->id)
                p->id[at + i] = (uint32_t)part[i];
        }
        at += n;
    }
    if (last + 1 != (int64_t)p->meta->ids)
        return am_packed_bad(f, p->name, "row", "does not name every id");
    return 0;
}

int am_packed_load(struct am_packed *p, const struct am_packed_meta *meta, struct am_faults *f)
{
    p->meta = meta;
    if (meta->rows < 1 || meta->rows > AM_PACKED_ROWS_MAX || meta->ids < 1 || meta->ids > meta->rows)
        return am_packed_bad(f, p->name, "its metadata", "counts rows and ids that cannot be");
    p->rows = (size_t)meta->rows;
    AM_TRY(load_columns(p, f));
    AM_TRY(load_correct(p, f));
    return load_ids(p, f);
}

void am_packed_done(struct am_packed *p)
{
    am_st_done(&p->head);
    free(p->correct);
    free(p->id);
    for (unsigned i = 0; i < AM_PACKED_COLS; i++)
        free(p->col[i]);
    *p = (struct am_packed){.fd = -1};
}
