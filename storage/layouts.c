/*
 * layouts.c - contents: one row for each distinct file content, its spans over blobs, and the tensors found in it.
 */
#include "storage/db.h"
#include "storage/models_priv.h"

#include "core/base/buf.h"
#include "core/base/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SHA 32
#define DTYPES_MAX 64

static int find(struct am_db *db, const unsigned char sha[SHA], int64_t *ret_id, int64_t *ret_bytes)
{
    AM_STMT st = am_db_bind(db, "SELECT id, bytes FROM layout WHERE sha256 = ?1", "b", sha, (size_t)SHA);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc;
    *ret_id = sqlite3_column_int64(st, 0);
    *ret_bytes = sqlite3_column_int64(st, 1);
    return 1;
}

int am_layout_find(struct am_db *db, const char *sha256, int64_t *ret_layout)
{
    unsigned char sha[SHA];
    int64_t id = 0, bytes;
    AM_TRY(am_unhex(sha256, SHA, sha));
    AM_TRY(find(db, sha, &id, &bytes));
    *ret_layout = id;
    return 0;
}

static int take_blob(struct am_db *db, const unsigned char sha[SHA], int64_t bytes, int64_t now, int64_t *new_bytes)
{
    size_t n = SHA;
    AM_TRY(am_db_exec(db, "INSERT INTO blob (sha256, bytes, created_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                      "bii", sha, n, bytes, now));
    *new_bytes += am_db_changes(db) > 0 ? bytes : 0;
    return 0;
}

static int put_span(struct am_db *db, int64_t layout, int64_t seq, int64_t at, const unsigned char sha[SHA],
                    const struct am_span_new *s)
{
    return am_db_exec(db, "INSERT INTO span (layout, seq, at, blob, offset, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                      "iiibii", layout, seq, at, sha, (size_t)SHA, s->offset, s->bytes);
}

/* The blob of a span is there (or made), has the length that is said, and holds the span. */
static int check_span(struct am_db *db, const unsigned char sha[SHA], const struct am_span_new *s, int64_t now,
                      int64_t *new_bytes)
{
    int64_t have = 0;
    if (s->blob_bytes >= 0)
        AM_TRY(take_blob(db, sha, s->blob_bytes, now, new_bytes));
    int rc = am_db_int(db, &have, "SELECT bytes FROM blob WHERE sha256 = ?1", "b", sha, (size_t)SHA);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    if (s->blob_bytes >= 0 && s->blob_bytes != have)
        return -AM_E_CONFLICT;
    bool inside = s->offset >= 0 && s->bytes > 0 && s->offset <= have && s->bytes <= have - s->offset;
    return inside ? 0 : -AM_E_INVALID_REQUEST;
}

static int put_spans(struct am_db *db, int64_t layout, const struct am_file_new *f, int64_t now, int64_t *new_bytes)
{
    int64_t at = 0;
    for (size_t i = 0; i < f->spans; i++) {
        const struct am_span_new *s = &f->span[i];
        unsigned char sha[SHA];
        AM_TRY(am_unhex(s->blob, SHA, sha));
        AM_TRY(check_span(db, sha, s, now, new_bytes));
        AM_TRY(put_span(db, layout, (int64_t)i, at, sha, s));
        if (__builtin_add_overflow(at, s->bytes, &at))
            return -AM_E_INVALID_REQUEST;
    }
    return at == f->bytes ? 0 : -AM_E_INVALID_REQUEST;
}

static int make(struct am_db *db, const unsigned char sha[SHA], const struct am_file_new *f, int64_t now,
                int64_t *ret_layout, int64_t *new_bytes)
{
    AM_TRY(am_db_exec(db, "INSERT INTO layout (bytes, sha256) VALUES (?1, ?2)", "ib", f->bytes, sha, (size_t)SHA));
    int64_t id = am_db_last_id(db);
    if (f->spans) {
        AM_TRY(put_spans(db, id, f, now, new_bytes));
    } else if (f->bytes > 0) {
        const struct am_span_new whole = {.bytes = f->bytes};
        AM_TRY(take_blob(db, sha, f->bytes, now, new_bytes));
        AM_TRY(put_span(db, id, 0, 0, sha, &whole));
    }
    *ret_layout = id;
    return 0;
}

int am_layout_take(struct am_db *db, const struct am_file_new *f, int64_t now, int64_t *ret_layout, int64_t *new_bytes)
{
    unsigned char sha[SHA];
    AM_TRY(am_unhex(f->sha256, SHA, sha));
    int64_t id = 0, bytes = 0;
    int rc = find(db, sha, &id, &bytes);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return f->layout > 0 ? -AM_E_CONFLICT : make(db, sha, f, now, ret_layout, new_bytes);
    /* a hash with two lengths, or another layout than the caller meant, is a fault of the caller: nothing is written */
    if (bytes != f->bytes || (f->layout > 0 && f->layout != id))
        return -AM_E_CONFLICT;
    *ret_layout = id;
    return 0;
}

/* Product of a JSON list of whole numbers: "[2,3]" -> 6, "[]" -> 1. */
static int elements(const char *shape, int64_t *ret)
{
    int64_t n = 1;
    const char *p = shape;
    if (*p++ != '[')
        return -AM_E_INVALID_REQUEST;
    while (*p && *p != ']') {
        char digits[24];
        size_t len = strspn(p += strspn(p, " "), "0123456789");
        uint64_t v;
        if (len == 0 || len >= sizeof digits)
            return -AM_E_INVALID_REQUEST;
        memcpy(digits, p, len);
        digits[len] = '\0';
        if (am_parse_u64(digits, &v) < 0 || v > INT64_MAX || __builtin_mul_overflow(n, (int64_t)v, &n))
            return -AM_E_INVALID_REQUEST;
        p += len;
        p += strspn(p, " ");
        if (*p == ',')
            p++;
        else if (*p != ']')
            return -AM_E_INVALID_REQUEST;
    }
    if (!am_streq(p, "]"))
        return -AM_E_INVALID_REQUEST;
    *ret = n;
    return 0;
}

struct tally {
    const char *dtype;
    int64_t n;
};

static int count(struct tally tally[DTYPES_MAX], size_t *used, const struct am_tensor_new *t)
{
    int64_t n;
    AM_TRY(elements(t->shape, &n));
    for (size_t i = 0; i < *used; i++) {
        if (am_streq(tally[i].dtype, t->dtype))
            return __builtin_add_overflow(tally[i].n, n, &tally[i].n) ? -AM_E_INVALID_REQUEST : 0;
    }
    /* a dtype is a short word; what is not would have to be escaped below */
    if (*used == DTYPES_MAX || !*t->dtype ||
        strspn(t->dtype, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != strlen(t->dtype))
        return -AM_E_INVALID_REQUEST;
    tally[(*used)++] = (struct tally){t->dtype, n};
    return 0;
}

static int parameters(const struct am_tensor_new *t, size_t n, struct am_buf *out)
{
    struct tally tally[DTYPES_MAX];
    size_t used = 0;
    for (size_t i = 0; i < n; i++)
        AM_TRY(count(tally, &used, &t[i]));
    AM_TRY(am_buf_puts(out, "{"));
    for (size_t i = 0; i < used; i++)
        AM_TRY(am_buf_printf(out, "%s\"%s\":%" PRId64, i ? "," : "", tally[i].dtype, tally[i].n));
    return am_buf_puts(out, "}");
}

int am_tensors_insert(struct am_db *db, const char *sha256, const struct am_tensor_new *t, size_t n)
{
    int64_t layout = 0, known = 0, bytes = 0;
    AM_TRY(am_layout_find(db, sha256, &layout));
    if (!layout)
        return -AM_E_NOT_FOUND;
    AM_TRY(am_db_int(db, &known, "SELECT tensors IS NOT NULL FROM layout WHERE id = ?1", "i", layout));
    AM_TRY(am_db_int(db, &bytes, "SELECT bytes FROM layout WHERE id = ?1", "i", layout));
    if (known)
        return 0;
    AM_CLEANUP(am_buf_done) struct am_buf text;
    am_buf_init(&text, 8192);
    AM_TRY(parameters(t, n, &text));
    for (size_t i = 0; i < n; i++) {
        if (t[i].begin < 0 || t[i].bytes < 0 || t[i].begin > bytes || t[i].bytes > bytes - t[i].begin)
            return -AM_E_INVALID_REQUEST;
        AM_TRY(am_db_exec(
            db, "INSERT INTO tensor (layout, name, dtype, shape, begin, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            "itttii", layout, t[i].name, t[i].dtype, t[i].shape, t[i].begin, t[i].bytes));
    }
    return am_db_exec(db, "UPDATE layout SET tensors = ?2, parameters = ?3 WHERE id = ?1", "iit", layout, (int64_t)n,
                      text.data);
}
