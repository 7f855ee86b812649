/*
 * repack.c - see repack.h. The order: read all of it against its hash, copy and hash, fsync, read back and compare,
 * rename into the store, then one transaction that looks at the readers once more and moves their spans. A crash leaves
 * a file without a row.
 */
#include "storage/repack.h"
#include "storage/blobs.h"
#include "storage/models_priv.h"

#include "core/base/grow.h"
#include "core/base/hash.h"
#include "core/base/sys.h"
#include "core/base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1 << 20 };
#define STAGED "packed"

struct range {
    int64_t at, bytes, to; /* of the old blob; where it lies in the new one */
};

struct repack {
    struct am_store *s;
    const struct am_purge *in;
    const struct am_work *work;
    unsigned char sha[32];
    struct range *range;
    size_t n, cap;
    int64_t bytes, kept;
    unsigned char *block, *other;
    char blob[65];
};

static void repack_done(struct repack *p)
{
    free(p->range);
    free(p->block);
    free(p->other);
}

/* Spans come by their offset; those that touch or overlap are one range. */
static int take_span(struct repack *p, int64_t at, int64_t bytes)
{
    struct range *last = p->n ? &p->range[p->n - 1] : NULL;
    if (last && at <= last->at + last->bytes) {
        int64_t end = at + bytes > last->at + last->bytes ? at + bytes : last->at + last->bytes;
        p->kept += end - (last->at + last->bytes);
        last->bytes = end - last->at;
        return 0;
    }
    AM_TRY(am_grow(&p->range, p->n, &p->cap, sizeof *p->range));
    p->range[p->n++] = (struct range){.at = at, .bytes = bytes, .to = p->kept};
    p->kept += bytes;
    return 0;
}

#define READ_BY_OTHERS                                                                                                 \
    "(EXISTS (SELECT 1 FROM prediction_file p WHERE p.layout = s.layout)"                                              \
    " OR EXISTS (SELECT 1 FROM dataset_file d WHERE d.layout = s.layout)"                                              \
    " OR EXISTS (SELECT 1 FROM report_file p WHERE p.layout = s.layout) OR EXISTS (SELECT 1 FROM file f JOIN version"  \
    " v ON v.id = f.version WHERE f.layout = s.layout AND NOT " AM_SQL_PURGED "))"

static int find_ranges(struct am_db *db, struct repack *p)
{
    size_t n = sizeof p->sha;
    p->n = 0;
    p->kept = 0;
    AM_STMT st = am_db_bind(
        db, "SELECT s.offset, s.bytes FROM span s WHERE s.blob = ?1 AND " READ_BY_OTHERS " ORDER BY s.offset", "bii",
        p->sha, n, p->in->model, p->in->version);
    int rc;
    while ((rc = am_db_row(st)) > 0)
        AM_TRY(take_span(p, sqlite3_column_int64(st, 0), sqlite3_column_int64(st, 1)));
    return rc;
}

/* Calls fn for each block of the ranges, in the order of the new blob. */
static int each_block(struct repack *p, int from, const char *phase,
                      int (*fn)(struct repack *p, int64_t to, size_t n, void *arg), void *arg)
{
    for (size_t i = 0; i < p->n; i++) {
        for (int64_t done = 0; done < p->range[i].bytes; done += BLOCK) {
            int64_t left = p->range[i].bytes - done, to = p->range[i].to + done;
            size_t n = left < BLOCK ? (size_t)left : BLOCK;
            am_work_tell(p->work,
                         (struct am_work_step){
                             .phase = phase, .unit = "bytes", .done = (uint64_t)to, .total = (uint64_t)p->kept});
            if (am_work_stopped(p->work))
                return -AM_E_CANCELLED;
            AM_TRY(am_sys_pread(from, p->block, n, (uint64_t)(p->range[i].at + done)));
            AM_TRY(fn(p, to, n, arg));
        }
    }
    return 0;
}

struct target {
    int fd;
    struct am_hash *hash;
};

static int copy_block(struct repack *p, int64_t to, size_t n, void *arg)
{
    struct target *t = arg;
    am_hash_put(t->hash, p->block, n);
    return am_sys_pwrite(t->fd, p->block, n, (uint64_t)to);
}

static int compare_block(struct repack *p, int64_t to, size_t n, void *arg)
{
    struct target *t = arg;
    AM_TRY(am_sys_pread(t->fd, p->other, n, (uint64_t)to));
    return memcmp(p->block, p->other, n) == 0 ? 0 : -AM_E_CANNOT_WRITE;
}

static int copy(struct repack *p, int from, int staging)
{
    AM_CLEANUP(am_hash_freep) struct am_hash *h = am_hash_new(AM_SHA256);
    if (!h)
        return -AM_E_OUT_OF_MEMORY;
    AM_CLEANUP(am_sys_closep) int fd = am_sys_open(staging, STAGED, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0640);
    if (fd < 0)
        return fd;
    struct target t = {fd, h};
    AM_TRY(each_block(p, from, "pack", copy_block, &t));
    AM_TRY(am_sys_fsync(fd));
    am_hash_hex(h, p->blob);
    return each_block(p, from, "compare", compare_block, &t);
}

/* ---- the transaction ---- */

static int same_ranges(struct am_db *db, const struct repack *p)
{
    AM_CLEANUP(repack_done) struct repack now = {.in = p->in};
    memcpy(now.sha, p->sha, sizeof now.sha);
    AM_TRY(find_ranges(db, &now));
    bool same = now.n == p->n && memcmp(now.range, p->range, p->n * sizeof *p->range) == 0;
    return same ? 0 : -AM_E_CONFLICT;
}

/* A worker that runs has the old blob open, and its result may name spans of it. */
static int no_job(struct am_db *db, const struct repack *p)
{
    int64_t one;
    size_t n = sizeof p->sha;
    int rc = am_db_int(db, &one,
                       "SELECT 1 FROM span s JOIN file f ON f.layout = s.layout JOIN job_version j ON j.version ="
                       " f.version WHERE s.blob = ?1 LIMIT 1",
                       "b", p->sha, n);
    return rc > 0 ? -AM_E_VERSION_IN_USE : rc;
}

static int move_spans(struct am_db *db, void *arg)
{
    struct repack *p = arg;
    unsigned char to[32];
    size_t n = sizeof to;
    AM_TRY(am_unhex(p->blob, sizeof to, to));
    AM_TRY(no_job(db, p));
    AM_TRY(same_ranges(db, p));
    AM_TRY(am_db_exec(db, "INSERT INTO blob (sha256, bytes, created_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                      "bii", to, n, p->kept, p->in->now));
    for (size_t i = 0; i < p->n; i++)
        AM_TRY(am_db_exec(db,
                          "UPDATE span AS s SET blob = ?4, offset = s.offset + ?5 WHERE s.blob = ?1 AND s.offset >= ?6"
                          " AND s.offset < ?7 AND " READ_BY_OTHERS,
                          "biibiii", p->sha, n, p->in->model, p->in->version, to, n, p->range[i].to - p->range[i].at,
                          p->range[i].at, p->range[i].at + p->range[i].bytes));
    AM_TRY(am_blob_recount(db, p->sha, 0));
    return am_blob_recount(db, to, 0);
}

/* Its name is its hash: what is copied must not make damage look sound. */
static int check_whole(struct repack *p, int from, const char *sha256)
{
    AM_CLEANUP(am_hash_freep) struct am_hash *h = am_hash_new(AM_SHA256);
    char hex[65];
    if (!h)
        return -AM_E_OUT_OF_MEMORY;
    for (int64_t at = 0; at < p->bytes; at += BLOCK) {
        size_t n = p->bytes - at < BLOCK ? (size_t)(p->bytes - at) : BLOCK;
        am_work_tell(p->work, (struct am_work_step){
                                  .phase = "read", .unit = "bytes", .done = (uint64_t)at, .total = (uint64_t)p->bytes});
        if (am_work_stopped(p->work))
            return -AM_E_CANCELLED;
        AM_TRY(am_sys_pread(from, p->block, n, (uint64_t)at));
        am_hash_put(h, p->block, n);
    }
    am_hash_hex(h, hex);
    return am_streq(hex, sha256) ? 0 : -AM_E_STORE_DAMAGED;
}

static int pack(struct repack *p, const char *sha256, char *why, size_t why_cap)
{
    AM_CLEANUP(am_sys_closep) int from = am_blob_open(p->s, sha256);
    AM_CLEANUP(am_sys_closep) int staging = from < 0 ? from : am_staging_make(p->s, p->in->staging);
    if (from < 0 || staging < 0)
        return from < 0 ? -AM_E_STORE_DAMAGED : staging;
    p->block = malloc(BLOCK);
    p->other = malloc(BLOCK);
    if (!p->block || !p->other)
        return -AM_E_OUT_OF_MEMORY;
    AM_TRY(check_whole(p, from, sha256));
    AM_TRY(copy(p, from, staging));
    struct am_blob_move move = {.staged = STAGED, .sha256 = p->blob, .bytes = p->kept};
    int rc = am_blobs_publish(p->s, staging, &move, 1, why, why_cap);
    rc = rc < 0 ? rc : am_store_write(p->s, move_spans, p);
    am_blobs_unpin(p->s, staging);
    return rc;
}

int am_repack(struct am_store *s, struct am_db *db, const struct am_purge *in, const char *sha256, int64_t bytes,
              const struct am_work *work, struct am_repacked *ret, char *why, size_t why_cap)
{
    AM_CLEANUP(repack_done) struct repack p = {.s = s, .in = in, .work = work, .bytes = bytes};
    struct am_repacked done = {0};
    AM_TRY(am_unhex(sha256, sizeof p.sha, p.sha));
    AM_TRY(find_ranges(db, &p));
    done.kept = p.kept;
    done.whole = p.kept == bytes;
    if (p.kept > 0 && !done.whole) {
        AM_TRY(no_job(db, &p)); /* asked again in the transaction; here it spares the copy */
        int rc = pack(&p, sha256, why, why_cap);
        am_staging_drop(s, in->staging);
        AM_TRY(rc);
        done.packed = true;
        memcpy(done.blob, p.blob, sizeof done.blob);
    }
    *ret = done;
    return 0;
}
