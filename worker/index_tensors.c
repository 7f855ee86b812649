/*
 * index_tensors.c - a dataset in safetensors: `inputs` [N, ...] and, about the same N rows, `ids`, `labels`, `weights`
 * and `groups`; other tensors are kept and not looked at. See index.h. Numbers are read in blocks, so memory does not
 * grow with the samples.
 */
#include "worker/index.h"

#include "core/base/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1 << 20, ID_WIDTH_MAX = 4096, FAULTS_A_TENSOR = 30 };

struct tensors {
    struct am_index *x;
    const struct am_index_source *s;
    struct am_st st;
    char *block;
};

static bool is_float(uint8_t dtype)
{
    return dtype == AM_F16 || dtype == AM_BF16 || dtype == AM_F32 || dtype == AM_F64;
}

static bool is_whole(uint8_t dtype)
{
    static const uint8_t all[] = {AM_U8, AM_I8, AM_U16, AM_I16, AM_U32, AM_I32, AM_U64, AM_I64};
    return memchr(all, dtype, sizeof all) != NULL;
}

/* Not NaN and not infinite: not all bits of the exponent are set. */
static bool is_finite(uint8_t dtype, const char *at)
{
    uint16_t h;
    uint32_t s;
    uint64_t d;
    switch (dtype) {
    case AM_F16:
        memcpy(&h, at, sizeof h);
        return (h & 0x7c00) != 0x7c00;
    case AM_BF16:
        memcpy(&h, at, sizeof h);
        return (h & 0x7f80) != 0x7f80;
    case AM_F32:
        memcpy(&s, at, sizeof s);
        return (s & 0x7f800000u) != 0x7f800000u;
    default:
        memcpy(&d, at, sizeof d);
        return (d & 0x7ff0000000000000u) != 0x7ff0000000000000u;
    }
}

static bool is_positive(uint8_t dtype, const char *at)
{
    size_t n = am_dtype_bits((enum am_dtype)dtype) / 8;
    bool zero = true;
    for (size_t i = 0; i < n; i++)
        zero = zero && ((unsigned char)at[i] & (i + 1 == n ? 0x7f : 0xff)) == 0;
    return !zero && !((unsigned char)at[n - 1] & 0x80);
}

/* A whole number as text, the way it is written in an id. */
static size_t whole_text(uint8_t dtype, const char *at, char out[24])
{
    size_t n = am_dtype_bits((enum am_dtype)dtype) / 8;
    bool is_signed = dtype == AM_I8 || dtype == AM_I16 || dtype == AM_I32 || dtype == AM_I64;
    uint64_t v = 0;
    memcpy(&v, at, n);
    if (is_signed && n < 8 && v >> (8 * n - 1))
        v |= ~(uint64_t)0 << (8 * n);
    return (size_t)(is_signed ? snprintf(out, 24, "%" PRId64, (int64_t)v) : snprintf(out, 24, "%" PRIu64, v));
}

/* ---- walking a tensor ---- */

typedef int row_fn(struct tensors *t, const struct am_st_entry *e, const char *row, uint64_t bytes);

static int tell(struct tensors *t, uint64_t row, uint64_t at)
{
    return t->s->step ? t->s->step(t->s->ctx, row, at) : 0;
}

/* Calls fn for each row, which is not longer than a block; x->n is its number. */
static int each_row(struct tensors *t, const struct am_st_entry *e, uint64_t rows, row_fn *fn)
{
    uint64_t bytes = (e->end - e->begin) / rows, block = BLOCK / bytes, faults = t->x->f->total;
    int rc = 0;
    for (uint64_t i = 0; i < rows; i += block) {
        uint64_t n = rows - i < block ? rows - i : block;
        AM_TRY(t->s->read(t->s->ctx, t->block, (size_t)(n * bytes), e->begin + i * bytes));
        for (uint64_t k = 0; k < n; k++) {
            t->x->n = (size_t)(i + k);
            int one = fn(t, e, t->block + k * bytes, bytes);
            if (one < 0 && one != -AM_E_MALFORMED_DATASET)
                return one;
            rc = rc < 0 ? rc : one;
        }
        AM_TRY(tell(t, i + n, e->begin + (i + n) * bytes));
        if (t->x->f->total > faults + FAULTS_A_TENSOR)
            break; /* enough is known of this one */
    }
    return rc;
}

/* Every number of a tensor whose rows may be of any length; one fault a row. */
static int check_finite(struct tensors *t, const struct am_st_entry *e, uint64_t rows)
{
    size_t size = am_dtype_bits((enum am_dtype)e->dtype) / 8, faults = t->x->f->total;
    uint64_t row_bytes = (e->end - e->begin) / rows, told = UINT64_MAX;
    for (uint64_t at = e->begin; at < e->end && t->x->f->total <= faults + FAULTS_A_TENSOR; at += BLOCK) {
        uint64_t left = e->end - at, n = left < BLOCK ? left : BLOCK;
        AM_TRY(t->s->read(t->s->ctx, t->block, (size_t)n, at));
        for (uint64_t k = 0; k + size <= n; k += size) {
            if (is_finite(e->dtype, t->block + k))
                continue;
            uint64_t row = (at + k - e->begin) / row_bytes;
            if (row != told)
                am_index_bad(t->x, (int64_t)row, e->name,
                             "%s has a number that is NaN or infinite (number %" PRIu64 " of the row)", e->name,
                             ((at + k - e->begin) % row_bytes) / size);
            told = row;
        }
        AM_TRY(tell(t, (at + n - e->begin) / row_bytes, at + n));
    }
    return t->x->f->total > faults ? -AM_E_MALFORMED_DATASET : 0;
}

/* ---- the tensors that mean something ---- */

static int take_label(struct tensors *t, const struct am_st_entry *e, const char *row, uint64_t bytes)
{
    char text[24];
    (void)bytes;
    size_t n = whole_text(e->dtype, row, text);
    int64_t v = n < 12 ? strtoll(text, NULL, 10) : INT64_MAX;
    if (v < -1 || v > INT32_MAX)
        return am_index_bad(t->x, (int64_t)t->x->n, "labels", "a class is a number from -1 to %d (got %s)", INT32_MAX,
                            text);
    t->x->label[t->x->n] = (int32_t)v;
    return 0;
}

static int take_id_text(struct tensors *t, const struct am_st_entry *e, const char *row, uint64_t bytes)
{
    size_t n = strnlen(row, (size_t)bytes);
    (void)e;
    for (size_t i = n; i < bytes; i++)
        if (row[i])
            return am_index_bad(t->x, (int64_t)t->x->n, "ids", "the id goes on behind a NUL");
    return am_index_put_id(t->x, row, n);
}

static int take_id_number(struct tensors *t, const struct am_st_entry *e, const char *row, uint64_t bytes)
{
    char text[24];
    (void)bytes;
    return am_index_put_id(t->x, text, whole_text(e->dtype, row, text));
}

static int take_weight(struct tensors *t, const struct am_st_entry *e, const char *row, uint64_t bytes)
{
    (void)bytes;
    return is_finite(e->dtype, row) && is_positive(e->dtype, row)
               ? 0
               : am_index_bad(t->x, (int64_t)t->x->n, "weights", "the weight is not a number above 0");
}

static int take_group(struct tensors *t, const struct am_st_entry *e, const char *row, uint64_t bytes)
{
    char text[24];
    struct am_index_field *f;
    (void)bytes;
    whole_text(e->dtype, row, text);
    AM_TRY(am_index_field(t->x, "groups", &f));
    return am_index_field_put(t->x, f, "int", text);
}

/* The tensor of that name, when it is about `rows` rows; *ret NULL: there is none. */
static int find(struct tensors *t, const char *name, uint64_t rows, const struct am_st_entry **ret)
{
    *ret = am_st_find(&t->st, name);
    if (!*ret || ((*ret)->rank > 0 && (*ret)->shape[0] == rows && (*ret)->end > (*ret)->begin))
        return 0;
    uint64_t have = (*ret)->rank ? (*ret)->shape[0] : 0;
    *ret = NULL;
    return am_index_bad(t->x, -1, name, "%s has %" PRIu64 " rows and inputs has %" PRIu64, name, have, rows);
}

static int wrong_kind(struct tensors *t, const struct am_st_entry *e, const char *want)
{
    return am_index_bad(t->x, -1, e->name, "%s must be %s (it is %s of rank %u)", e->name, want,
                        am_dtype_name((enum am_dtype)e->dtype), e->rank);
}

static int number_rows(struct tensors *t, uint64_t rows)
{
    for (t->x->n = 0; t->x->n < rows; t->x->n++)
        AM_TRY(am_index_put_row_id(t->x));
    return 0;
}

static int read_ids(struct tensors *t, uint64_t rows)
{
    const struct am_st_entry *e;
    AM_TRY(find(t, "ids", rows, &e));
    if (!e && t->x->row_ids)
        return number_rows(t, rows);
    if (!e)
        return am_index_bad(t->x, -1, "ids",
                            "there is no tensor ids: what names each sample for good; ids=row numbers the rows");
    t->x->own_ids = true;
    if (e->rank == 2 && e->dtype == AM_U8 && e->shape[1] <= ID_WIDTH_MAX)
        return each_row(t, e, rows, take_id_text);
    if (e->rank == 1 && (e->dtype == AM_U64 || e->dtype == AM_I64))
        return each_row(t, e, rows, take_id_number);
    return wrong_kind(t, e, "U64 or I64 [N], or U8 [N, W] with texts padded with NUL, W at most 4096");
}

static int read_labels(struct tensors *t, uint64_t rows)
{
    const struct am_st_entry *e;
    AM_TRY(find(t, "labels", rows, &e));
    if (!e)
        return 0;
    if (e->rank > 2 || (!is_whole(e->dtype) && !is_float(e->dtype) && e->dtype != AM_BOOL_))
        return wrong_kind(t, e, "numbers [N] or [N, C]");
    t->x->labels = e->rank == 1 && is_whole(e->dtype) ? AM_LABELS_NUMBER : AM_LABELS_OTHER;
    if (t->x->labels == AM_LABELS_NUMBER)
        return each_row(t, e, rows, take_label);
    return is_float(e->dtype) ? check_finite(t, e, rows) : 0;
}

static int read_weights(struct tensors *t, uint64_t rows)
{
    const struct am_st_entry *e;
    AM_TRY(find(t, "weights", rows, &e));
    if (!e)
        return 0;
    return e->rank == 1 && is_float(e->dtype) ? each_row(t, e, rows, take_weight)
                                              : wrong_kind(t, e, "floating-point numbers [N]");
}

static int read_groups(struct tensors *t, uint64_t rows)
{
    const struct am_st_entry *e;
    AM_TRY(find(t, "groups", rows, &e));
    if (!e)
        return 0;
    return e->rank == 1 && is_whole(e->dtype) ? each_row(t, e, rows, take_group)
                                              : wrong_kind(t, e, "whole numbers [N]");
}

/* Every tensor with its shape; groups has its values, too. */
static int list_fields(struct tensors *t, uint64_t rows)
{
    for (size_t i = 0; i < t->st.n; i++) {
        const struct am_st_entry *e = &t->st.v[i];
        struct am_index_field *f;
        t->x->n = 0;
        AM_TRY(am_index_field(t->x, e->name, &f));
        f->kind = am_dtype_name((enum am_dtype)e->dtype);
        f->rows = rows;
        f->shape = json_array();
        for (unsigned k = 0; k < e->rank; k++)
            json_array_append_new(f->shape, json_integer((json_int_t)e->shape[k]));
    }
    return 0;
}

static int keep_first(int rc, int next)
{
    return rc == 0 || (rc == -AM_E_MALFORMED_DATASET && next < 0) ? next : rc;
}

static int read_all(struct tensors *t, const struct am_st_entry *inputs, uint64_t rows)
{
    struct am_index *x = t->x;
    if (rows > AM_INDEX_ROWS_MAX)
        return am_index_bad(x, -1, "inputs", "a dataset has at most %d rows", AM_INDEX_ROWS_MAX);
    for (x->n = 0; x->cap < rows; x->n = x->cap)
        AM_TRY(am_index_grow(x));
    for (uint64_t i = 0; i < rows; i++)
        x->label[i] = AM_INDEX_NO_LABEL;
    memset(x->ids.id_at, 0, (size_t)(rows + 1) * sizeof *x->ids.id_at);
    int rc = read_ids(t, rows);
    for (uint64_t i = 0; i < rows; i++) /* those behind the last that was looked at are empty */
        if (x->ids.id_at[i + 1] < x->ids.id_at[i])
            x->ids.id_at[i + 1] = x->ids.id_at[i];
    static int (*const parts[])(struct tensors *, uint64_t) = {read_labels, read_weights, read_groups, list_fields};
    for (size_t i = 0; i < sizeof parts / sizeof *parts && (rc == 0 || rc == -AM_E_MALFORMED_DATASET); i++)
        rc = keep_first(rc, parts[i](t, rows));
    if ((rc == 0 || rc == -AM_E_MALFORMED_DATASET) && is_float(inputs->dtype))
        rc = keep_first(rc, check_finite(t, inputs, rows));
    x->n = (size_t)rows;
    return x->f->total && rc == 0 ? -AM_E_MALFORMED_DATASET : rc;
}

static int check_inputs(struct tensors *t, const struct am_st_entry **ret)
{
    const struct am_st_entry *e = am_st_find(&t->st, "inputs");
    if (!e)
        return am_index_bad(t->x, -1, "inputs", "there is no tensor inputs: the samples, [N, ...]");
    if (e->rank == 0 || e->end == e->begin)
        return am_index_bad(t->x, -1, "inputs", "inputs holds no sample; its shape is [N, ...] with N above 0");
    if (!is_float(e->dtype) && !is_whole(e->dtype) && e->dtype != AM_BOOL_)
        return am_index_bad(t->x, -1, "inputs", "inputs is %s; it must be BOOL, a whole number, F16, BF16, F32 or F64",
                            am_dtype_name((enum am_dtype)e->dtype));
    *ret = e;
    return 0;
}

static int read_header(struct tensors *t)
{
    struct am_faults f = {0};
    int rc = am_st_read(&t->st, t->s->read, t->s->ctx, t->s->bytes, AM_ST_LIMITS_DEFAULT, "the upload", &f);
    for (size_t i = 0; rc == -AM_E_MALFORMED && i < f.n; i++)
        am_fault_add(t->x->f, AM_E_MALFORMED_DATASET,
                     (struct am_where){.pointer = "#", .reason = f.v[i].reason, .tensor = f.v[i].tensor}, "%s",
                     f.v[i].detail);
    am_faults_done(&f);
    return rc == -AM_E_MALFORMED ? -AM_E_MALFORMED_DATASET : rc;
}

int am_index_tensors(struct am_index *x, const struct am_index_source *s)
{
    struct tensors t = {.x = x, .s = s, .block = malloc(s->bytes < BLOCK ? (size_t)s->bytes + 1 : BLOCK)};
    const struct am_st_entry *inputs = NULL;
    int rc = t.block ? read_header(&t) : -AM_E_OUT_OF_MEMORY;
    if (rc == 0)
        rc = check_inputs(&t, &inputs);
    if (rc == 0)
        rc = read_all(&t, inputs, inputs->shape[0]);
    am_st_done(&t.st);
    free(t.block);
    return rc;
}
