/*
 * restore.c - a backup into the place of the database (see backup.h).
 *
 * The order, so that a crash at any point leaves either the old database or the new one: the copy is whole and checked
 * before anything else is touched; the old database is copied, not moved, so there is no moment without one (a daemon
 * would begin an empty one); the old -wal goes before the new file comes, since SQLite would apply it to whatever lies
 * beside it.
 */
#include "storage/backup.h"
#include "storage/db.h"
#include "storage/migrate.h"
#include "storage/store_priv.h"

#include "core/base/sys.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DB "amendd.db"
#define NEW "amendd.db.restore"
#define OLD "amendd.db.before-restore"
enum { BLOCK = 1 << 20 };

struct restore {
    const char *data_dir, *file;
    int dir, blobs; /* blobs -1: there are none */
    bool force;
    void (*missing)(void *ctx, const char *sha256, int64_t bytes);
    void *ctx;
    struct am_restored sum;
    char *why;
    size_t why_cap;
};

static int fail(struct restore *r, int rc, const char *what, const char *name)
{
    snprintf(r->why, r->why_cap, "cannot %s %s: %s", what, name, strerror(errno));
    return rc;
}

/* ---- files ---- */

static int pour(int from, int to)
{
    char *block = malloc(BLOCK);
    ssize_t n = block ? 1 : -AM_E_OUT_OF_MEMORY;
    int rc = 0;
    while (rc == 0 && n > 0) {
        n = am_sys_read(from, block, BLOCK);
        if (n > 0)
            rc = am_sys_write(to, block, (size_t)n);
    }
    free(block);
    return rc < 0 ? rc : n < 0 ? (int)n : 0;
}

/* A synced copy of `from` (any path) as `name` in the data folder. */
static int copy_in(struct restore *r, const char *from, const char *name)
{
    AM_CLEANUP(am_sys_closep) int in = am_sys_open(r->dir, from, O_RDONLY, 0);
    if (in < 0)
        return fail(r, in, "read", from);
    am_sys_unlink(r->dir, name);
    AM_CLEANUP(am_sys_closep) int out = am_sys_open(r->dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0640);
    if (out < 0)
        return fail(r, out, "write", name);
    int rc = pour(in, out);
    rc = rc < 0 ? rc : am_sys_fsync(out);
    return rc < 0 ? fail(r, rc, "copy to", name) : 0;
}

static bool is_there(int dir, const char *name)
{
    struct stat st;
    return am_sys_stat(dir, name, &st) == 0;
}

static void remove_new(struct restore *r)
{
    static const char *const names[] = {NEW, NEW "-wal", NEW "-shm", NEW "-journal"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        am_sys_unlink(r->dir, names[i]);
}

/* ---- is it a backup, and is what it names there? ---- */

static int check_whole(struct restore *r, struct am_db *db)
{
    AM_STMT st = am_db_bind(db, "PRAGMA integrity_check(1)", "");
    int rc = am_db_row(st);
    if (rc > 0 && am_streq(am_col_text(st, 0), "ok"))
        return 0;
    snprintf(r->why, r->why_cap, "%s is damaged: %s. Nothing was changed.", r->file,
             rc > 0 ? am_col_text(st, 0) : am_db_why(db));
    return -AM_E_STORE_DAMAGED;
}

static int check_kind(struct restore *r, struct am_db *db)
{
    int64_t application = 0, version = 0, newest = 0;
    while (am_migrations[newest].name)
        newest++;
    AM_TRY(am_db_int(db, &application, "PRAGMA application_id", ""));
    AM_TRY(am_db_int(db, &version, "PRAGMA user_version", ""));
    if (application != AM_APPLICATION_ID || version < 1) {
        snprintf(r->why, r->why_cap, "%s is not a database of amend. Nothing was changed.", r->file);
        return -AM_E_CONFLICT;
    }
    if (version > newest) {
        snprintf(
            r->why, r->why_cap,
            "%s has version %lld; this program knows versions up to %lld. Use a newer amendd. Nothing was changed.",
            r->file, (long long)version, (long long)newest);
        return -AM_E_CONFLICT;
    }
    return 0;
}

static int check_blobs(struct restore *r, struct am_db *db)
{
    AM_STMT st = am_db_bind(db,
                            "SELECT lower(hex(sha256)), bytes FROM blob b"
                            " WHERE EXISTS (SELECT 1 FROM span s WHERE s.blob = b.sha256) ORDER BY sha256",
                            "");
    int rc;
    while ((rc = am_db_row(st)) > 0) {
        char path[80];
        struct stat file;
        int64_t bytes = sqlite3_column_int64(st, 1);
        snprintf(path, sizeof path, "%.2s/%s", am_col_text(st, 0), am_col_text(st, 0));
        r->sum.blobs++;
        if (r->blobs >= 0 && am_sys_stat(r->blobs, path, &file) == 0 && S_ISREG(file.st_mode) && file.st_size == bytes)
            continue;
        r->sum.missing++;
        r->missing(r->ctx, am_col_text(st, 0), bytes);
    }
    AM_TRY(rc);
    if (!r->sum.missing || r->force)
        return 0;
    snprintf(r->why, r->why_cap,
             "%lld of the %lld blobs that %s names are not in %s/blobs or have another size. Bring them back, or give "
             "--force to restore without them. Nothing was changed.",
             (long long)r->sum.missing, (long long)r->sum.blobs, r->file, r->data_dir);
    return -AM_E_NOT_FOUND;
}

static int count(struct restore *r, struct am_db *db)
{
    AM_TRY(am_db_int(db, &r->sum.jobs, "SELECT count(*) FROM job WHERE type <> 'task'", ""));
    AM_TRY(am_db_int(db, &r->sum.versions, "SELECT count(*) FROM version WHERE number IS NOT 0", ""));
    return 0;
}

static int check_new(struct restore *r)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/" NEW, r->data_dir);
    struct am_db *db = am_db_open(path, true, r->why, r->why_cap);
    if (!db) {
        snprintf(r->why, r->why_cap, "%s cannot be read as a database. Nothing was changed.", r->file);
        return -AM_E_CONFLICT;
    }
    int rc = check_whole(r, db);
    rc = rc < 0 ? rc : check_kind(r, db);
    rc = rc < 0 ? rc : check_blobs(r, db);
    rc = rc < 0 ? rc : count(r, db);
    am_db_close(db); /* also empties its log into it and removes -wal and -shm */
    return rc;
}

/* ---- into place ---- */

/* Best effort: an old database that cannot be read is kept with its log as it is. */
static void empty_old_log(struct restore *r)
{
    char path[4096], why[256];
    snprintf(path, sizeof path, "%s/" DB, r->data_dir);
    struct am_db *db = am_db_open(path, true, why, sizeof why);
    if (db)
        am_db_checkpoint(db, true);
    am_db_close(db);
}

static int keep_old(struct restore *r)
{
    if (!is_there(r->dir, DB))
        return 0;
    empty_old_log(r);
    AM_TRY(copy_in(r, DB, OLD));
    am_sys_unlink(r->dir, OLD "-wal");
    if (is_there(r->dir, DB "-wal"))
        AM_TRY(copy_in(r, DB "-wal", OLD "-wal"));
    r->sum.kept = true;
    return am_sys_fsync(r->dir);
}

static int swap(struct restore *r)
{
    am_sys_unlink(r->dir, DB "-shm");
    int rc = am_sys_unlink(r->dir, DB "-wal");
    if (rc < 0 && rc != -AM_E_NOT_FOUND)
        return fail(r, rc, "remove", DB "-wal");
    AM_CLEANUP(am_sys_closep) int fd = am_sys_open(r->dir, NEW, O_RDWR | O_NOFOLLOW, 0);
    if (fd < 0)
        return fail(r, fd, "read", NEW);
    rc = am_sys_fsync(fd); /* the check wrote to it */
    rc = rc < 0 ? rc : am_sys_fsync(r->dir);
    rc = rc < 0 ? rc : am_sys_rename(r->dir, NEW, r->dir, DB);
    rc = rc < 0 ? rc : am_sys_fsync(r->dir);
    return rc < 0 ? fail(r, rc, "put in place", DB) : 0;
}

static int run(struct restore *r)
{
    char wal[4096];
    struct stat st;
    snprintf(wal, sizeof wal, "%s-wal", r->file);
    if (am_sys_stat(AT_FDCWD, wal, &st) == 0 && st.st_size > 0) {
        snprintf(r->why, r->why_cap,
                 "%s lies beside %s: that is a database in use, not a backup. Make one: amendd backup FILE", wal,
                 r->file);
        return -AM_E_CONFLICT;
    }
    AM_TRY(copy_in(r, r->file, NEW));
    AM_TRY(check_new(r));
    AM_TRY(keep_old(r));
    return swap(r);
}

int am_restore(const char *data_dir, const char *file, bool force,
               void (*missing)(void *ctx, const char *sha256, int64_t bytes), void *ctx, struct am_restored *ret,
               char *why, size_t why_cap)
{
    struct restore r = {.data_dir = data_dir,
                        .file = file,
                        .force = force,
                        .missing = missing,
                        .ctx = ctx,
                        .why = why,
                        .why_cap = why_cap};
    AM_CLEANUP(am_sys_closep) int dir = am_sys_open(AT_FDCWD, data_dir, O_RDONLY | O_DIRECTORY, 0);
    if (dir < 0) {
        snprintf(why, why_cap, "cannot open data_dir %s: %s", data_dir, strerror(errno));
        return dir;
    }
    AM_CLEANUP(am_sys_closep) int lock = am_lock_take(dir, data_dir, why, why_cap);
    if (lock < 0)
        return lock;
    AM_CLEANUP(am_sys_closep) int blobs = am_sys_open(dir, "blobs", O_RDONLY | O_DIRECTORY, 0);
    r.dir = dir;
    r.blobs = blobs;
    int rc = run(&r);
    remove_new(&r);
    if (rc == 0)
        *ret = r.sum;
    return rc;
}
