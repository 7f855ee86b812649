/*
 * purge.c - see purge.h. First the blobs that others read too are packed anew, one transaction each; then the versions
 * lose their files; then the blobs that nothing names any more are removed, row before file as the collector does it.
 * What is to be removed stands in the table doomed before the first version loses its files, so a purge that is killed
 * between goes on; one that is cancelled stops before a version, and not before the blobs of those it has done. What
 * had to stay stands in purge_held, so that the next purge looks at it again.
 */
#include "storage/purge.h"
#include "storage/blobs.h"
#include "storage/life.h"
#include "storage/repack.h"

#include "core/base/grow.h"
#include "core/base/sys.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRIES = 3, BATCH = 256 };

struct blob {
    char sha256[65], packed[65];
    int64_t bytes, kept;
    bool whole, gone;
    const char *why; /* it has to stay */
};

struct purge {
    struct am_store *s;
    struct am_db *db; /* of its own: the statements of a large purge may take long */
    const struct am_purge *in;
    const struct am_work *work;
    struct blob *v;
    size_t n, cap, at;
    int64_t id[BATCH];
    int ids, done;
    bool stopped; /* before the last version */
    struct am_purged sum;
    char *why;
    size_t why_cap;
};

static int step(struct purge *p, const char *phase, size_t done, size_t total, const char *unit)
{
    am_work_tell(p->work, (struct am_work_step){.phase = phase, .unit = unit, .done = done, .total = total});
    return am_work_stopped(p->work) ? -AM_E_CANCELLED : 0;
}

static int take_blob(struct purge *p, sqlite3_stmt *st)
{
    AM_TRY(am_grow(&p->v, p->n, &p->cap, sizeof *p->v));
    struct blob *b = &p->v[p->n++];
    *b = (struct blob){.bytes = sqlite3_column_int64(st, 1)};
    am_hex(sqlite3_column_blob(st, 0), 32, b->sha256);
    return 0;
}

static int find_blobs(struct purge *p)
{
    AM_STMT st = am_db_bind(p->db,
                            "SELECT DISTINCT b.sha256, b.bytes FROM version v JOIN file f ON"
                            " f.version = v.id JOIN span s ON s.layout = f.layout JOIN blob b ON b.sha256 = s.blob"
                            " WHERE v.model = ?2 AND " AM_SQL_PURGED
                            " UNION SELECT b.sha256, b.bytes FROM purge_held h JOIN blob b ON b.sha256 = h.blob"
                            " WHERE h.model = ?2 AND EXISTS (SELECT 1 FROM span s WHERE s.blob = h.blob) ORDER BY 1",
                            "nii", p->in->model, p->in->version);
    int rc;
    while ((rc = am_db_row(st)) > 0)
        AM_TRY(take_blob(p, st));
    return rc;
}

/* Left by a purge that was killed, or that had to leave them: nothing names them now, and their row may be gone. */
static int find_doomed(struct purge *p)
{
    AM_STMT st = am_db_bind(p->db,
                            "SELECT d.blob, ifnull(b.bytes, 0) FROM (SELECT blob FROM doomed UNION SELECT blob FROM"
                            " purge_held WHERE model = ?1) d LEFT JOIN blob b ON b.sha256 = d.blob"
                            " WHERE NOT EXISTS (SELECT 1 FROM span s WHERE s.blob = d.blob)",
                            "i", p->in->model);
    int rc;
    while ((rc = am_db_row(st)) > 0)
        AM_TRY(take_blob(p, st));
    return rc;
}

/* Whether the next purge is to look at it again. */
static int note_held(struct am_db *db, const struct purge *p, const struct blob *b)
{
    unsigned char sha[32];
    size_t n = sizeof sha;
    AM_TRY(am_unhex(b->sha256, sizeof sha, sha));
    if (b->why)
        return am_db_exec(db, "INSERT OR IGNORE INTO purge_held (blob, model) VALUES (?1, ?2)", "bi", sha, n,
                          p->in->model);
    return am_db_exec(db, "DELETE FROM purge_held WHERE blob = ?1 AND (model = ?2 OR ?3)", "bii", sha, n, p->in->model,
                      (int64_t)b->gone);
}

static int doom(struct am_db *db, void *arg)
{
    struct purge *p = arg;
    for (size_t i = 0; i < p->n; i++) {
        unsigned char sha[32];
        size_t n = sizeof sha;
        AM_TRY(am_unhex(p->v[i].sha256, sizeof sha, sha));
        if (p->v[i].why || p->v[i].whole)
            AM_TRY(note_held(db, p, &p->v[i]));
        else
            AM_TRY(am_db_exec(db, "INSERT OR IGNORE INTO doomed (blob) VALUES (?1)", "b", sha, n));
    }
    return 0;
}

/* Its readers may change while it is copied; a blob that many jobs work on is given up after some tries. */
static int pack(struct purge *p, struct blob *b)
{
    struct am_repacked r = {0};
    int rc = -AM_E_CONFLICT;
    for (int i = 0; rc == -AM_E_CONFLICT && i < TRIES; i++)
        rc = am_repack(p->s, p->db, p->in, b->sha256, b->bytes, p->work, &r, p->why, p->why_cap);
    if (rc == -AM_E_VERSION_IN_USE)
        b->why = "a job that has not ended reads it; purge again when it has";
    else if (rc == -AM_E_CONFLICT)
        b->why = "other versions began or ended to read it meanwhile; purge again";
    else if (rc == -AM_E_STORE_DAMAGED)
        b->why = "it is damaged, and what others read of it cannot be copied; verify the store";
    else if (rc < 0)
        return rc;
    b->kept = r.kept;
    b->whole = r.whole;
    if (r.packed && rc == 0)
        memcpy(b->packed, r.blob, sizeof b->packed);
    return 0;
}

static int pack_all(struct purge *p)
{
    for (size_t i = 0; i < p->n; i++) {
        AM_TRY(step(p, "pack", i, p->n, "blobs"));
        AM_TRY(pack(p, &p->v[i]));
    }
    return 0;
}

/* ---- the versions ---- */

static int expunge(struct am_db *db, void *arg)
{
    struct purge *p = arg;
    return am_version_expunge(db, p->id[p->done], p->in->now);
}

static int expunge_model(struct am_db *db, void *arg)
{
    struct purge *p = arg;
    return am_model_expunge(db, p->in->model, p->in->now);
}

static int find_versions(struct purge *p)
{
    AM_STMT st = am_db_bind(p->db,
                            "SELECT v.id FROM version v WHERE v.model = ?2 AND " AM_SQL_PURGED
                            " AND v.gone_at IS NULL AND v.number IS NOT 0 ORDER BY v.id LIMIT 256",
                            "nii", p->in->model, p->in->version);
    int rc = 0;
    for (p->ids = 0; p->ids < BATCH && (rc = am_db_row(st)) > 0;)
        p->id[p->ids++] = sqlite3_column_int64(st, 0);
    return p->ids == BATCH ? 0 : rc;
}

static int expunge_all(struct purge *p)
{
    do {
        AM_TRY(find_versions(p));
        for (p->done = 0; p->done < p->ids; p->done++) {
            if (step(p, "versions", (size_t)p->sum.versions, 0, "versions") < 0) {
                p->stopped = true;
                return 0;
            }
            AM_TRY(am_store_write(p->s, expunge, p));
            p->sum.versions++;
        }
    } while (p->ids == BATCH);
    int rc = p->in->version ? 0 : am_store_write(p->s, expunge_model, p);
    return rc < 0 ? rc : 0;
}

/* ---- the blobs ---- */

static int delete_row(struct am_db *db, void *arg)
{
    struct purge *p = arg;
    struct blob *b = &p->v[p->at];
    unsigned char sha[32];
    size_t n = sizeof sha;
    AM_TRY(am_unhex(b->sha256, sizeof sha, sha));
    AM_TRY(am_db_exec(db,
                      "DELETE FROM blob WHERE sha256 = ?1 AND NOT EXISTS (SELECT 1 FROM span WHERE blob = ?1)"
                      " AND NOT EXISTS (SELECT 1 FROM model_blob WHERE blob = ?1)",
                      "b", sha, n));
    int64_t one;
    int rc = am_db_int(db, &one, "SELECT 1 FROM blob WHERE sha256 = ?1", "b", sha, n);
    b->gone = rc == 0;
    return rc < 0 ? rc : 0;
}

static int undoom(struct am_db *db, void *arg)
{
    const struct purge *p = arg;
    unsigned char sha[32];
    size_t n = sizeof sha;
    AM_TRY(am_unhex(p->v[p->at].sha256, sizeof sha, sha));
    AM_TRY(note_held(db, p, &p->v[p->at]));
    return am_db_exec(db, "DELETE FROM doomed WHERE blob = ?1", "b", sha, n);
}

static int has_row(void *ctx, const char *sha256)
{
    struct purge *p = ctx;
    unsigned char sha[32];
    size_t n = sizeof sha;
    int64_t one;
    AM_TRY(am_unhex(sha256, sizeof sha, sha));
    return am_db_int(p->db, &one, "SELECT 1 FROM blob WHERE sha256 = ?1", "b", sha, n);
}

static int remove_one(struct purge *p, struct blob *b)
{
    char folder[3];
    if (b->why || b->whole)
        return 0;
    AM_TRY(am_store_write(p->s, delete_row, p));
    if (!b->gone) {
        b->why = p->stopped ? "the purge was stopped before all its versions; purge again"
                            : "another version began to read it meanwhile; purge again";
        return am_store_write(p->s, undoom, p);
    }
    int rc = am_blob_remove(p->s, b->sha256, has_row, p);
    AM_TRY(rc);
    snprintf(folder, sizeof folder, "%.2s", b->sha256);
    AM_TRY(am_sys_fsync_dir(p->s->blobs, folder));
    /* kept: pinned by a publication of the same bytes, or named by it already */
    struct stat st;
    char path[80];
    snprintf(path, sizeof path, "%.2s/%s", b->sha256, b->sha256);
    if (rc == 0 && am_sys_stat(p->s->blobs, path, &st) == 0)
        b->why = "the same bytes are being published by a job; purge again when it has ended";
    return am_store_write(p->s, undoom, p);
}

static void count(struct purge *p, const struct blob *b)
{
    struct am_purged *s = &p->sum;
    s->shared += b->whole;
    s->held += b->why != NULL;
    if (b->why || b->whole)
        return;
    s->removed++;
    s->removed_bytes += b->bytes - b->kept;
    s->packed += b->packed[0] != 0;
    s->packed_bytes += b->kept;
}

static int remove_all(struct purge *p, int (*blob)(void *, struct am_db *, const struct am_purge_blob *), void *ctx)
{
    for (p->at = 0; p->at < p->n; p->at++) {
        struct blob *b = &p->v[p->at];
        am_work_tell(p->work, (struct am_work_step){.phase = "blobs", .unit = "blobs", .done = p->at, .total = p->n});
        AM_TRY(remove_one(p, b));
        count(p, b);
        AM_TRY(blob(ctx, p->db,
                    &(struct am_purge_blob){.sha256 = b->sha256,
                                            .bytes = b->bytes,
                                            .packed = b->packed[0] ? b->packed : NULL,
                                            .kept = b->kept,
                                            .why = b->whole ? "shared" : b->why}));
    }
    return 0;
}

int am_purge_readers(struct am_db *db, const struct am_purge *in, const char *sha256, int limit,
                     int (*row)(void *ctx, const char *model, const char *commit), void *ctx)
{
    unsigned char sha[32];
    size_t n = sizeof sha;
    AM_TRY(am_unhex(sha256, sizeof sha, sha));
    AM_STMT st =
        am_db_bind(db,
                   "SELECT m.name, lower(hex(v.oid)) FROM version v JOIN model m ON m.id = v.model WHERE v.id IN"
                   " (SELECT f.version FROM span s JOIN file f ON f.layout = s.layout WHERE s.blob = ?1)"
                   " AND NOT " AM_SQL_PURGED " ORDER BY v.id LIMIT ?4",
                   "biii", sha, n, in->model, in->version, (int64_t)limit);
    int rc;
    while ((rc = am_db_row(st)) > 0)
        AM_TRY(row(ctx, am_col_text(st, 0), am_col_text(st, 1)));
    return rc;
}

int am_purge(struct am_store *s, const struct am_purge *in, const struct am_work *work,
             int (*blob)(void *ctx, struct am_db *db, const struct am_purge_blob *b), void *ctx, struct am_purged *ret,
             char *why, size_t why_cap)
{
    struct purge p = {.s = s, .in = in, .work = work, .why = why, .why_cap = why_cap};
    p.db = am_db_open(s->db_path, false, why, why_cap);
    if (!p.db)
        return -AM_E_INTERNAL;
    am_db_patient(p.db, work->stop, work->arg);
    why[0] = 0;
    int rc = find_blobs(&p);
    rc = rc < 0 ? rc : pack_all(&p);
    rc = rc < 0 ? rc : find_doomed(&p);
    rc = rc < 0 ? rc : am_store_write(s, doom, &p);
    rc = rc < 0 ? rc : expunge_all(&p);
    rc = rc < 0 ? rc : remove_all(&p, blob, ctx);
    if (rc == 0 && p.stopped)
        rc = -AM_E_CANCELLED;
    if (rc == 0)
        *ret = p.sum;
    else if (!why[0])
        snprintf(why, why_cap, "the purge stopped after %lld versions and %lld blobs: %s. Purge again to go on.",
                 (long long)p.sum.versions, (long long)p.sum.removed, am_err_title(rc));
    am_db_close(p.db);
    free(p.v);
    return rc;
}
