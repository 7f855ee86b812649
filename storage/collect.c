/*
 * collect.c - see collect.h. The order for a blob: one transaction deletes its row where no span names it, COMMIT, then
 * the file, then the folder's fsync. A crash between leaves a file without a row, which the next run finds. What guards
 * against a publication of the same bytes at the same moment is in pins.c.
 */
#include "storage/collect.h"
#include "storage/blobs.h"
#include "storage/db.h"
#include "storage/jobs.h"
#include "storage/life.h"
#include "storage/store_priv.h"

#include "core/base/sys.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 256, FOLDERS = 256 };

struct collector {
    struct am_store *s;
    struct am_db *db;
    const struct am_collect *in;
    const struct am_work *work;
    struct am_collected sum;
    uint64_t seen;
    char folder[3]; /* of blobs/, while it is walked */
    bool removed;   /* something of that folder */
};

static int step(struct collector *c, const char *phase, uint64_t done, uint64_t total, const char *unit)
{
    am_work_tell(c->work, (struct am_work_step){.phase = phase, .unit = unit, .done = done, .total = total});
    return am_work_stopped(c->work) ? -AM_E_CANCELLED : 0;
}

static int64_t age_ms(const struct collector *c, const struct stat *st)
{
    return c->in->now - ((int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000);
}

/* 1: a row names the blob. On a connection of the collector's own, so each answer is as of now. */
static int has_row(void *ctx, const char *sha256)
{
    struct collector *c = ctx;
    unsigned char sha[32];
    int64_t one;
    AM_TRY(am_unhex(sha256, sizeof sha, sha));
    return am_db_int(c->db, &one, "SELECT 1 FROM blob WHERE sha256 = ?1", "b", sha, sizeof sha);
}

/* ---- versions and models whose grace is over ---- */

struct due {
    int64_t version[BATCH], model[BATCH], now;
    int versions, models, done;
};

/* One a transaction: the tensors of a version may be many rows, and everybody's commits wait for this one. */
static int expunge_one(struct am_db *db, void *arg)
{
    struct due *d = arg;
    /* what is not collected, because others read from it or it is young, a purge can still find */
    AM_TRY(am_db_exec(db,
                      "INSERT OR IGNORE INTO purge_held (blob, model) SELECT s.blob, v.model FROM version v"
                      " JOIN file f ON f.version = v.id JOIN span s ON s.layout = f.layout WHERE v.id = ?1",
                      "i", d->version[d->done]));
    return am_version_expunge(db, d->version[d->done], d->now);
}

static int expunge_models(struct am_db *db, void *arg)
{
    struct due *d = arg;
    for (int i = 0; i < d->models; i++)
        AM_TRY(am_model_expunge(db, d->model[i], d->now));
    return 0;
}

static int collect_versions(struct collector *c, struct due *d)
{
    int64_t before = c->in->now - c->in->grace_ms, after = 0;
    d->now = c->in->now;
    do {
        AM_TRY(am_expunge_due(c->db, before, after, BATCH, d->version, &d->versions));
        for (d->done = 0; d->done < d->versions; d->done++) {
            AM_TRY(step(c, "versions", (uint64_t)c->sum.versions, 0, "versions"));
            AM_TRY(am_store_write(c->s, expunge_one, d));
            after = d->version[d->done];
            c->sum.versions++;
        }
    } while (d->versions == BATCH);
    do {
        AM_TRY(am_models_due(c->db, before, BATCH, d->model, &d->models));
        AM_TRY(am_store_write(c->s, expunge_models, d));
    } while (d->models == BATCH);
    return 0;
}

/* ---- blobs with a row that no span names ---- */

struct batch {
    unsigned char sha[BATCH][32];
    int64_t bytes[BATCH], before;
    bool gone[BATCH];
    size_t n;
};

static int find_batch(struct collector *c, struct batch *b, const unsigned char after[32], size_t after_bytes)
{
    AM_STMT st = am_db_bind(c->db,
                            "SELECT sha256, bytes FROM blob b WHERE sha256 > ?1 AND created_at <= ?2"
                            " AND NOT EXISTS (SELECT 1 FROM span s WHERE s.blob = b.sha256)"
                            " ORDER BY sha256 LIMIT ?3",
                            "bii", after, after_bytes, b->before, (int64_t)BATCH);
    int rc = 0;
    b->n = 0;
    while (b->n < BATCH && (rc = am_db_row(st)) > 0) {
        memcpy(b->sha[b->n], sqlite3_column_blob(st, 0), 32);
        b->bytes[b->n++] = sqlite3_column_int64(st, 1);
    }
    return rc < 0 ? rc : 0;
}

/* The conditions once more: a publication may have named it since. */
static int delete_rows(struct am_db *db, void *arg)
{
    struct batch *b = arg;
    size_t n = 32;
    for (size_t i = 0; i < b->n; i++) {
        AM_TRY(am_db_exec(db,
                          "DELETE FROM blob WHERE sha256 = ?1 AND created_at <= ?2"
                          " AND NOT EXISTS (SELECT 1 FROM span WHERE blob = ?1)"
                          " AND NOT EXISTS (SELECT 1 FROM model_blob WHERE blob = ?1)",
                          "bi", b->sha[i], n, b->before));
        b->gone[i] = am_db_changes(db) == 1;
        if (b->gone[i])
            AM_TRY(am_db_exec(db, "DELETE FROM purge_held WHERE blob = ?1", "b", b->sha[i], n));
    }
    return 0;
}

static int unlink_batch(struct collector *c, const struct batch *b)
{
    bool folder[FOLDERS] = {0};
    for (size_t i = 0; i < b->n; i++) {
        char hex[AM_SHA256_LEN + 1];
        if (!b->gone[i])
            continue;
        am_hex(b->sha[i], 32, hex);
        int rc = am_blob_remove(c->s, hex, has_row, c);
        AM_TRY(rc);
        folder[b->sha[i][0]] |= rc > 0;
        c->sum.blobs += rc > 0;
        c->sum.blob_bytes += rc > 0 ? b->bytes[i] : 0;
    }
    for (unsigned i = 0; i < FOLDERS; i++) {
        char name[3];
        snprintf(name, sizeof name, "%02x", i);
        if (folder[i])
            AM_TRY(am_sys_fsync_dir(c->s->blobs, name));
    }
    return 0;
}

static int collect_rows(struct collector *c, struct batch *b)
{
    unsigned char after[32] = {0};
    size_t after_bytes = 0;
    b->before = c->in->now - c->in->grace_ms;
    do {
        AM_TRY(step(c, "blobs", (uint64_t)c->sum.blobs, 0, "blobs"));
        AM_TRY(find_batch(c, b, after, after_bytes));
        if (b->n == 0)
            return 0;
        AM_TRY(am_store_write(c->s, delete_rows, b));
        AM_TRY(unlink_batch(c, b));
        memcpy(after, b->sha[b->n - 1], 32);
        after_bytes = sizeof after;
    } while (b->n == BATCH);
    return 0;
}

/* ---- folders ---- */

/* Calls fn(c, dir, name) for each entry. A folder that is not there has none. */
static int each(struct collector *c, int at, const char *path, int (*fn)(struct collector *, int dir, const char *name))
{
    int fd = am_sys_open(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (fd < 0)
        return fd == -AM_E_NOT_FOUND ? 0 : fd;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        am_sys_close(fd);
        return -AM_E_INTERNAL;
    }
    int rc = 0;
    for (struct dirent *e; rc == 0 && (e = readdir(dir));) {
        if (!am_streq(e->d_name, ".") && !am_streq(e->d_name, ".."))
            rc = fn(c, fd, e->d_name);
    }
    closedir(dir);
    return rc;
}

static int look_at_file(struct collector *c, int dir, const char *name)
{
    struct stat st;
    if (++c->seen % 1000 == 0 && am_work_stopped(c->work))
        return -AM_E_CANCELLED;
    if (!am_is_hex(name, AM_SHA256_LEN) || strncmp(name, c->folder, 2) != 0 || am_sys_stat(dir, name, &st) < 0 ||
        !S_ISREG(st.st_mode) || age_ms(c, &st) < c->in->grace_ms)
        return 0;
    int rc = has_row(c, name); /* asked once more when it is removed; here it spares the mutex */
    if (rc == 0)
        rc = am_blob_remove(c->s, name, has_row, c);
    else if (rc > 0)
        return 0;
    AM_TRY(rc);
    c->removed |= rc > 0;
    c->sum.orphans += rc > 0;
    c->sum.orphan_bytes += rc > 0 ? st.st_size : 0;
    return 0;
}

static int collect_orphans(struct collector *c)
{
    for (unsigned i = 0; i < FOLDERS; i++) {
        AM_TRY(step(c, "orphans", i, FOLDERS, "folders"));
        snprintf(c->folder, sizeof c->folder, "%02x", i);
        c->removed = false;
        AM_TRY(each(c, c->s->blobs, c->folder, look_at_file));
        if (c->removed)
            AM_TRY(am_sys_fsync_dir(c->s->blobs, c->folder));
    }
    return 0;
}

/* ---- logs and staging: named "<uid>.<attempt>" ---- */

struct owner {
    enum am_job_state state;
    int attempt;
    int64_t finished_at;
};

static int take_owner(void *ctx, const struct am_job_row *row)
{
    *(struct owner *)ctx = (struct owner){row->state, row->attempt, row->finished_at};
    return 0;
}

/* 1: the job of that name is there; 0: it is not, or the name is none of ours. */
static int find_owner(struct collector *c, const char *name, struct owner *ret, uint64_t *ret_attempt)
{
    char uid[64], number[16];
    const char *dot = strchr(name, '.');
    if (!dot || (size_t)(dot - name) >= sizeof uid)
        return 0;
    snprintf(uid, sizeof uid, "%.*s", (int)(dot - name), name);
    snprintf(number, sizeof number, "%.*s", (int)strcspn(dot + 1, "."), dot + 1);
    if (am_parse_u64(number, ret_attempt) < 0)
        return 0;
    int rc = am_job_get(c->db, uid, take_owner, ret);
    return rc == 0 ? 1 : rc == -AM_E_NOT_FOUND ? 0 : rc;
}

static int look_at_log(struct collector *c, int dir, const char *name)
{
    struct stat st;
    struct owner owner;
    uint64_t attempt;
    if (!am_ends(name, ".log") || am_sys_stat(dir, name, &st) < 0 || !S_ISREG(st.st_mode) ||
        age_ms(c, &st) < c->in->keep_logs_ms)
        return 0;
    int rc = find_owner(c, name, &owner, &attempt);
    if (rc < 0 || (rc > 0 && !am_state_terminal(owner.state)))
        return rc < 0 ? rc : 0;
    AM_TRY(am_sys_unlink(dir, name));
    c->sum.logs++;
    c->sum.log_bytes += st.st_size;
    return 0;
}

/* The row says running before its folder is made, so a folder that is seen here and whose row does not say so belongs
 * to nobody. One whose job has just ended may belong to a worker that could not be killed and is still at it. */
static int look_at_staging(struct collector *c, int dir, const char *name)
{
    struct owner owner;
    uint64_t attempt = 0;
    (void)dir;
    if (am_starts(name, AM_STAGING_UPLOAD)) /* of a request that is at work now: older ones went at the start */
        return 0;
    int rc = find_owner(c, name, &owner, &attempt);
    AM_TRY(rc);
    bool runs = rc > 0 && (owner.state == AM_RUNNING || owner.state == AM_CANCELLING);
    bool ended = rc > 0 && am_state_terminal(owner.state) && c->in->now - owner.finished_at < c->in->grace_ms;
    if ((runs || ended) && attempt == (uint64_t)owner.attempt)
        return 0;
    AM_TRY(am_sys_rmtree(c->s->staging, name));
    c->sum.staging++;
    return 0;
}

static int run(struct collector *c)
{
    struct due *d = calloc(1, sizeof *d);
    int gone = d ? collect_versions(c, d) : -AM_E_OUT_OF_MEMORY;
    free(d);
    AM_TRY(gone);
    struct batch *b = calloc(1, sizeof *b);
    int rc = b ? collect_rows(c, b) : -AM_E_OUT_OF_MEMORY;
    free(b);
    AM_TRY(rc);
    AM_TRY(collect_orphans(c));
    AM_TRY(step(c, "logs", 0, 0, "files"));
    AM_TRY(each(c, c->s->logs, ".", look_at_log));
    AM_TRY(step(c, "staging", 0, 0, "folders"));
    return each(c, c->s->staging, ".", look_at_staging);
}

int am_collect(struct am_store *s, const struct am_collect *in, const struct am_work *work, struct am_collected *ret,
               char *why, size_t why_cap)
{
    struct collector c = {.s = s, .in = in, .work = work};
    c.db = am_db_open(s->db_path, false, why, why_cap);
    if (!c.db)
        return -AM_E_INTERNAL;
    am_db_patient(c.db, work->stop, work->arg);
    int rc = run(&c);
    if (rc < 0)
        snprintf(why, why_cap, "the collector stopped after %lld files: %s (%s)",
                 (long long)(c.sum.blobs + c.sum.orphans + c.sum.logs), am_err_title(rc),
                 rc == -AM_E_CANCELLED ? "asked to" : strerror(errno));
    else
        *ret = c.sum;
    am_db_close(c.db);
    return rc;
}
