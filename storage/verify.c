/*
 * verify.c - see verify.h. Rows are copied out page by page, so that no statement is open while bytes are read; a blob
 * that the collector removed meanwhile has no row to mark and is no finding.
 */
#include "storage/verify.h"
#include "storage/blobs.h"
#include "storage/db.h"
#include "storage/store_priv.h"

#include "core/base/clock.h"
#include "core/base/grow.h"
#include "core/base/hash.h"
#include "core/base/sys.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So many bytes after which it is written down what was read: a crash costs no more. */
#define NOTE_BYTES ((int64_t)1 << 30)

enum { BLOCK = 1 << 20, PAGE = 256 };

struct blob {
    char sha[AM_SHA256_LEN + 1];
    int64_t bytes;
};

struct span {
    char blob[AM_SHA256_LEN + 1];
    int64_t offset, bytes;
};

struct verify {
    struct am_store *s;
    struct am_db *db;
    const struct am_verify_scope *scope;
    const struct am_work *work;
    int (*found)(void *ctx, struct am_db *db, const struct am_damage *d);
    void *ctx;
    unsigned char *block;
    struct am_verified sum;
    uint64_t bytes_total;
    const char *phase;
};

static void tell(struct verify *v)
{
    am_work_tell(v->work, (struct am_work_step){.phase = v->phase,
                                                .unit = "bytes",
                                                .done = (uint64_t)v->sum.bytes,
                                                .total = v->bytes_total,
                                                .bytes_done = (uint64_t)v->sum.bytes,
                                                .bytes_total = v->bytes_total});
}

/* ---- reading ---- */

/* Too few descriptors or too little memory is no damage. */
static bool is_ours(int rc)
{
    return rc == -AM_E_OUT_OF_MEMORY || errno == EMFILE || errno == ENFILE;
}

static int hash_range(struct verify *v, int fd, int64_t offset, int64_t bytes, struct am_hash *h)
{
    for (int64_t done = 0; done < bytes;) {
        size_t n = bytes - done < BLOCK ? (size_t)(bytes - done) : BLOCK;
        if (am_work_stopped(v->work))
            return -AM_E_CANCELLED;
        AM_TRY(am_sys_pread(fd, v->block, n, (uint64_t)(offset + done)));
        am_hash_put(h, v->block, n);
        /* what is read once and never again must not push out what others read */
        posix_fadvise(fd, offset + done, (off_t)n, POSIX_FADV_DONTNEED);
        done += (int64_t)n;
        v->sum.bytes += (int64_t)n;
        tell(v);
    }
    return 0;
}

/* *reason: NULL when whole. Negative: the verify cannot go on. */
static int look_at(struct verify *v, const struct blob *b, const char **reason)
{
    struct stat st;
    char hex[AM_SHA256_LEN + 1];
    *reason = NULL;
    errno = 0;
    AM_CLEANUP(am_sys_closep) int fd = am_blob_open(v->s, b->sha);
    if (fd < 0 && is_ours(fd))
        return fd;
    if (fd < 0 || fstat(fd, &st) < 0) {
        *reason = fd == -AM_E_NOT_FOUND ? "missing" : "unreadable";
        return 0;
    }
    if (!S_ISREG(st.st_mode) || st.st_size != b->bytes) {
        *reason = "size";
        return 0;
    }
    AM_CLEANUP(am_hash_freep) struct am_hash *h = am_hash_new(AM_SHA256);
    if (!h)
        return -AM_E_OUT_OF_MEMORY;
    int rc = hash_range(v, fd, 0, b->bytes, h);
    if (rc == -AM_E_CANCELLED)
        return rc;
    if (rc < 0) {
        *reason = rc == -AM_E_STORE_DAMAGED ? "size" : "unreadable";
        return 0;
    }
    am_hash_hex(h, hex);
    *reason = am_streq(hex, b->sha) ? NULL : "sha256";
    return 0;
}

/* ---- what is found ---- */

struct mark {
    const struct am_damage *damage;
    bool was;
};

static int write_mark(struct am_db *db, void *arg)
{
    struct mark *m = arg;
    int rc = am_damage_mark(db, m->damage, am_now_ms(), &m->was);
    return rc > 0 ? 0 : rc;
}

static int note(struct verify *v, const struct am_damage *d, bool marked)
{
    if (!d->reason && !marked)
        return 0; /* most of all blobs: nothing to write */
    struct mark m = {.damage = d};
    int rc = am_store_write(v->s, write_mark, &m);
    if (rc == -AM_E_NOT_FOUND)
        return 0; /* collected while it was read */
    AM_TRY(rc);
    v->sum.repaired += !d->reason && m.was;
    if (!d->reason)
        return 0;
    v->sum.damaged++;
    return v->found(v->ctx, v->db, d);
}

/* ---- blobs ---- */

#define BLOB_COLUMNS "SELECT lower(hex(b.sha256)), b.bytes, b.damage IS NOT NULL FROM blob b WHERE b.sha256 > ?1 AND "
static const char all_blobs[] = BLOB_COLUMNS "?2 = 0 ORDER BY b.sha256 LIMIT ?3";
static const char its_blobs[] =
    BLOB_COLUMNS "b.sha256 IN (SELECT s.blob FROM file f JOIN span s ON s.layout = f.layout WHERE f.version = ?2)"
                 " ORDER BY b.sha256 LIMIT ?3";

/* Nothing that was read a moment ago is before; so each page is what the one before has left. */
static const char due_blobs[] =
    "SELECT lower(hex(b.sha256)), b.bytes, b.damage IS NOT NULL FROM blob b INDEXED BY blob_read"
    " WHERE ifnull(b.verified_at, b.created_at) <= ?1 ORDER BY ifnull(b.verified_at, b.created_at) LIMIT ?2";

struct page {
    struct blob v[PAGE];
    bool marked[PAGE];
    size_t n, noted; /* how many of them have it in their rows that they were read */
};

static sqlite3_stmt *ask_page(struct verify *v, unsigned char after[32], size_t after_bytes)
{
    const struct am_verify_scope *s = v->scope;
    if (s->before)
        return am_db_bind(v->db, due_blobs, "ii", s->before, (int64_t)PAGE);
    return am_db_bind(v->db, s->version ? its_blobs : all_blobs, "bii", after, after_bytes, s->version, (int64_t)PAGE);
}

static int next_page(struct verify *v, struct page *p, unsigned char after[32], size_t after_bytes)
{
    AM_STMT st = ask_page(v, after, after_bytes);
    int rc;
    p->n = p->noted = 0;
    while (p->n < PAGE && (rc = am_db_row(st)) != 0) {
        AM_TRY(rc);
        snprintf(p->v[p->n].sha, sizeof p->v[0].sha, "%s", am_col_text(st, 0));
        p->v[p->n].bytes = sqlite3_column_int64(st, 1);
        p->marked[p->n++] = sqlite3_column_int(st, 2) != 0;
    }
    return 0;
}

struct noted {
    const struct page *page;
    size_t end;
};

static int write_noted(struct am_db *db, void *arg)
{
    const struct noted *n = arg;
    int64_t now = am_now_ms();
    for (size_t i = n->page->noted; i < n->end; i++) {
        unsigned char sha[32];
        AM_TRY(am_unhex(n->page->v[i].sha, sizeof sha, sha));
        AM_TRY(am_db_exec(db, "UPDATE blob SET verified_at = ?2 WHERE sha256 = ?1", "bi", sha, sizeof sha, now));
    }
    return 0;
}

/* It is in the rows now that all before `end` were read. */
static int note_read(struct verify *v, struct page *p, size_t end)
{
    struct noted n = {p, end};
    if (end > p->noted)
        AM_TRY(am_store_write(v->s, write_noted, &n));
    p->noted = end;
    return 0;
}

static bool is_spent(const struct verify *v)
{
    return v->scope->before && v->sum.bytes >= v->scope->budget;
}

static int read_one(struct verify *v, const struct page *p, size_t i)
{
    struct am_damage d = {.sha256 = p->v[i].sha};
    AM_TRY(look_at(v, &p->v[i], &d.reason));
    AM_TRY(note(v, &d, p->marked[i]));
    v->sum.blobs++;
    return 0;
}

static int read_page(struct verify *v, struct page *p)
{
    int64_t noted = v->sum.bytes;
    int rc = 0;
    size_t i = 0;
    while (i < p->n && (i == 0 || !is_spent(v)) && (rc = read_one(v, p, i)) == 0) {
        i++;
        if (v->sum.bytes - noted < NOTE_BYTES)
            continue;
        AM_TRY(note_read(v, p, i));
        noted = v->sum.bytes;
    }
    int wrote = note_read(v, p, i); /* also of one that was asked to stop: what was read was read */
    return rc < 0 ? rc : wrote;
}

static int verify_blobs(struct verify *v, struct page *p)
{
    unsigned char after[32] = {0};
    size_t after_bytes = 0;
    v->phase = "hash";
    for (;;) {
        AM_TRY(next_page(v, p, after, after_bytes));
        int rc = read_page(v, p);
        if (rc < 0 || p->n < PAGE || is_spent(v))
            return rc;
        AM_TRY(am_unhex(p->v[PAGE - 1].sha, sizeof after, after));
        after_bytes = sizeof after;
    }
}

/* ---- assembled files ---- */

/* Not those that are one whole blob of their own name; and not over broken blobs, which are told of already. */
static const char next_assembled[] =
    "SELECT l.id, lower(hex(l.sha256)), l.bytes, l.damage IS NOT NULL FROM layout l WHERE l.id > ?1 AND l.bytes > 0"
    " AND (?2 = 0 OR l.id IN (SELECT layout FROM file WHERE version = ?2))"
    " AND NOT EXISTS (SELECT 1 FROM span s WHERE s.layout = l.id AND s.seq = 0 AND s.blob = l.sha256"
    " AND s.bytes = l.bytes)"
    " AND NOT EXISTS (SELECT 1 FROM span s JOIN blob b ON b.sha256 = s.blob WHERE s.layout = l.id"
    " AND b.damage IS NOT NULL) ORDER BY l.id LIMIT 1";

struct assembled {
    int64_t id;
    struct blob content; /* as a whole */
    bool marked;
    struct span *span;
    size_t spans, cap;
};

static int take_span(struct assembled *a, sqlite3_stmt *st)
{
    AM_TRY(am_grow(&a->span, a->spans, &a->cap, sizeof *a->span));
    struct span *s = &a->span[a->spans++];
    snprintf(s->blob, sizeof s->blob, "%s", am_col_text(st, 0));
    s->offset = sqlite3_column_int64(st, 1);
    s->bytes = sqlite3_column_int64(st, 2);
    return 0;
}

/* 1 = there is one, 0 = no more. */
static int find_assembled(struct verify *v, struct assembled *a)
{
    AM_STMT st = am_db_bind(v->db, next_assembled, "ii", a->id, v->scope->version);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc;
    a->id = sqlite3_column_int64(st, 0);
    snprintf(a->content.sha, sizeof a->content.sha, "%s", am_col_text(st, 1));
    a->content.bytes = sqlite3_column_int64(st, 2);
    a->marked = sqlite3_column_int(st, 3) != 0;
    a->spans = 0;
    AM_STMT list = am_db_bind(v->db, "SELECT lower(hex(blob)), offset, bytes FROM span WHERE layout = ?1 ORDER BY seq",
                              "i", a->id);
    while ((rc = am_db_row(list)) > 0)
        AM_TRY(take_span(a, list));
    return rc < 0 ? rc : 1;
}

static int hash_spans(struct verify *v, const struct assembled *a, struct am_hash *h)
{
    AM_CLEANUP(am_sys_closep) int fd = -1;
    for (size_t i = 0; i < a->spans; i++) {
        const struct span *s = &a->span[i];
        if (i == 0 || !am_streq(s->blob, a->span[i - 1].blob)) {
            am_sys_closep(&fd);
            fd = am_blob_open(v->s, s->blob);
            if (fd < 0)
                return fd;
        }
        AM_TRY(hash_range(v, fd, s->offset, s->bytes, h));
    }
    return 0;
}

static int verify_assembled(struct verify *v)
{
    struct assembled a = {0};
    char hex[AM_SHA256_LEN + 1];
    int rc;
    v->phase = "hash_assembled";
    while ((rc = find_assembled(v, &a)) > 0) {
        AM_CLEANUP(am_hash_freep) struct am_hash *h = am_hash_new(AM_SHA256);
        rc = h ? hash_spans(v, &a, h) : -AM_E_OUT_OF_MEMORY;
        if (rc == -AM_E_OUT_OF_MEMORY || rc == -AM_E_CANCELLED || (rc < 0 && is_ours(rc)))
            break;
        am_hash_hex(h, hex);
        bool whole = rc == 0 && am_streq(hex, a.content.sha);
        struct am_damage d = {.sha256 = a.content.sha, .assembled = true, .reason = whole ? NULL : "sha256"};
        rc = note(v, &d, a.marked);
        if (rc < 0)
            break;
        v->sum.assembled++;
    }
    free(a.span);
    return rc;
}

/* ---- all of it ---- */

int am_verify_due(struct am_db *db, int64_t before)
{
    int64_t one;
    return am_db_int(db, &one,
                     "SELECT 1 FROM blob INDEXED BY blob_read WHERE ifnull(verified_at, created_at) <= ?1 LIMIT 1", "i",
                     before);
}

static int count_due(struct verify *v)
{
    int64_t n = 0;
    AM_TRY(am_db_int(v->db, &n,
                     "SELECT ifnull(sum(bytes), 0) FROM blob INDEXED BY blob_read"
                     " WHERE ifnull(verified_at, created_at) <= ?1",
                     "i", v->scope->before));
    v->bytes_total = (uint64_t)(n < v->scope->budget ? n : v->scope->budget);
    return 0;
}

static int count_bytes(struct verify *v)
{
    int64_t n = 0;
    if (v->scope->before)
        return count_due(v);
    AM_TRY(am_db_int(v->db, &n,
                     v->scope->version
                         ? "SELECT ifnull(sum(bytes), 0) FROM blob WHERE sha256 IN"
                           " (SELECT s.blob FROM file f JOIN span s ON s.layout = f.layout WHERE f.version = ?1)"
                         : "SELECT ifnull(sum(bytes), 0) FROM blob WHERE ?1 = 0",
                     "i", v->scope->version));
    v->bytes_total = (uint64_t)n;
    return 0;
}

static int run(struct verify *v)
{
    struct page *p = malloc(sizeof *p);
    v->block = malloc(BLOCK);
    int rc = p && v->block ? count_bytes(v) : -AM_E_OUT_OF_MEMORY;
    rc = rc < 0 ? rc : verify_blobs(v, p);
    v->bytes_total = 0; /* what assembled files add is not known before */
    if (!v->scope->before)
        rc = rc < 0 ? rc : verify_assembled(v);
    free(v->block);
    free(p);
    return rc;
}

int am_verify(struct am_store *s, const struct am_verify_scope *scope, const struct am_work *work,
              int (*found)(void *ctx, struct am_db *db, const struct am_damage *d), void *ctx, struct am_verified *ret,
              char *why, size_t why_cap)
{
    struct verify v = {.s = s, .scope = scope, .work = work, .found = found, .ctx = ctx};
    v.db = am_db_open(s->db_path, false, why, why_cap);
    if (!v.db)
        return -AM_E_INTERNAL;
    am_db_patient(v.db, work->stop, work->arg);
    int rc = run(&v);
    if (rc < 0)
        snprintf(why, why_cap, "the verify stopped after %lld blobs: %s", (long long)v.sum.blobs, am_err_title(rc));
    else
        *ret = v.sum;
    am_db_close(v.db);
    return rc;
}
