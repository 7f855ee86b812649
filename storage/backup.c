/*
 * backup.c - see backup.h.
 */
#include "storage/backup.h"
#include "storage/db.h"
#include "storage/migrate.h"
#include "storage/store_priv.h"

#include "core/base/clock.h"
#include "core/base/sys.h"
#include "core/base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEP_PAGES = 256 };

struct copy {
    char *folder, *name, *part_name, *part; /* "/x", "y.db", "y.db.part", "/x/y.db.part" */
    int dir;
    sqlite3 *to;
    sqlite3_backup *backup;
    int left, pages; /* after the last step */
    bool ended;
    int64_t at;
    char *why;
    size_t why_cap;
};

static int fail(struct copy *c, int rc, const char *what)
{
    snprintf(c->why, c->why_cap, "cannot %s %s/%s: %s", what, c->folder, c->name, strerror(errno));
    return rc;
}

static int fail_sqlite(struct copy *c, int sqlite_rc)
{
    snprintf(c->why, c->why_cap, "cannot copy the database to %s/%s: %s", c->folder, c->name,
             sqlite3_errstr(sqlite_rc));
    return (sqlite_rc & 0xff) == SQLITE_FULL ? -AM_E_DISK : -AM_E_INTERNAL;
}

/* ---- where to ---- */

static bool inside(const char *data_dir, const char *sub, const char *real)
{
    char *path = NULL, *own = NULL;
    if (asprintf(&path, "%s/%s", data_dir, sub) >= 0)
        own = realpath(path, NULL);
    size_t n = own ? strlen(own) : 0;
    bool yes = n && strncmp(real, own, n) == 0 && (real[n] == '/' || real[n] == 0);
    free(own);
    free(path);
    return yes;
}

static int check_folder(const char *data_dir, const char *folder, char *why, size_t why_cap)
{
    struct stat st;
    char *real = realpath(folder, NULL);
    int rc = 0;
    if (!real || am_sys_stat(AT_FDCWD, real, &st) < 0 || !S_ISDIR(st.st_mode)) {
        snprintf(why, why_cap, "there is no folder %s; make it, then try again", folder);
        rc = -AM_E_NOT_FOUND;
    } else if (inside(data_dir, "blobs", real) || inside(data_dir, "staging", real) || inside(data_dir, "logs", real)) {
        snprintf(why, why_cap, "%s belongs to the store, which clears it; give another folder", folder);
        rc = -AM_E_PATH_NOT_ALLOWED;
    }
    free(real);
    return rc;
}

int am_backup_target(const char *data_dir, const char *target, char *why, size_t why_cap)
{
    struct stat st;
    const char *slash = strrchr(target, '/');
    if (target[0] != '/' || !am_plain_name_ok(slash + 1) || strlen(slash + 1) > 240) {
        snprintf(why, why_cap, "the target must be the absolute path of a file (got \"%.200s\")", target);
        return -AM_E_PATH_NOT_ALLOWED;
    }
    char *folder = strndup(target, slash == target ? 1 : (size_t)(slash - target));
    int rc = folder ? check_folder(data_dir, folder, why, why_cap) : -AM_E_OUT_OF_MEMORY;
    free(folder);
    if (rc == 0 && am_sys_stat(AT_FDCWD, target, &st) == 0) {
        snprintf(why, why_cap, "%s exists and a backup replaces nothing; give another name", target);
        rc = -AM_E_CONFLICT;
    }
    return rc;
}

/* ---- the copy: opened, filled, put in place ---- */

static int split(struct copy *c, const char *target)
{
    const char *slash = strrchr(target, '/');
    c->folder = strndup(target, slash == target ? 1 : (size_t)(slash - target));
    c->name = strdup(slash + 1);
    if (!c->name || asprintf(&c->part_name, "%s.part", c->name) < 0)
        c->part_name = NULL;
    if (asprintf(&c->part, "%s.part", target) < 0)
        c->part = NULL;
    return c->folder && c->part_name && c->part ? 0 : -AM_E_OUT_OF_MEMORY;
}

static int copy_open(struct copy *c, const char *target)
{
    AM_TRY(split(c, target));
    c->dir = am_sys_open(AT_FDCWD, c->folder, O_RDONLY | O_DIRECTORY, 0);
    if (c->dir < 0)
        return fail(c, c->dir, "write");
    am_sys_unlink(c->dir, c->part_name); /* of an attempt that was killed */
    /* made here so that it has our mode, not that of the umask */
    AM_CLEANUP(am_sys_closep) int fd = am_sys_open(c->dir, c->part_name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0640);
    if (fd < 0)
        return fail(c, fd, "write");
    int rc = sqlite3_open_v2(c->part, &c->to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    /* synced once, when it is whole, by us and on our thread: the writer must not wait for it */
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(c->to, "PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY", NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : fail_sqlite(c, rc);
}

static int copy_begin(struct am_db *db, void *arg)
{
    struct copy *c = arg;
    c->backup = sqlite3_backup_init(c->to, "main", am_db_handle(db), "main");
    return c->backup ? 0 : fail_sqlite(c, sqlite3_errcode(c->to));
}

/* What was committed before the last step is in the copy: the writer runs the steps and nothing else meanwhile. */
static int copy_step(struct am_db *db, void *arg)
{
    struct copy *c = arg;
    (void)db;
    int64_t now = am_now_ms();
    int rc = sqlite3_backup_step(c->backup, STEP_PAGES);
    c->left = sqlite3_backup_remaining(c->backup);
    c->pages = sqlite3_backup_pagecount(c->backup);
    if (rc == SQLITE_DONE) {
        c->at = now;
        c->ended = true;
        rc = sqlite3_backup_finish(c->backup);
        c->backup = NULL;
    }
    return rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED ? 0 : fail_sqlite(c, rc);
}

static int copy_drop(struct am_db *db, void *arg)
{
    struct copy *c = arg;
    (void)db;
    sqlite3_backup_finish(c->backup);
    c->backup = NULL;
    return 0;
}

/* A file for itself: opened by anybody, it needs no -wal beside it. */
static int copy_close(struct copy *c)
{
    int rc = sqlite3_exec(c->to, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
    int closed = sqlite3_close(c->to);
    c->to = NULL;
    rc = rc == SQLITE_OK ? closed : rc;
    return rc == SQLITE_OK ? 0 : fail_sqlite(c, rc);
}

static int copy_publish(struct copy *c, struct am_backed_up *ret)
{
    struct stat st;
    AM_TRY(copy_close(c));
    AM_CLEANUP(am_sys_closep) int fd = am_sys_open(c->dir, c->part_name, O_RDWR | O_NOFOLLOW, 0);
    if (fd < 0 || fstat(fd, &st) < 0)
        return fail(c, -AM_E_INTERNAL, "read back");
    int rc = am_sys_fsync(fd);
    if (rc < 0)
        return fail(c, rc, "sync");
    if (am_sys_stat(c->dir, c->name, &(struct stat){0}) == 0) {
        snprintf(c->why, c->why_cap, "%s/%s appeared meanwhile and a backup replaces nothing", c->folder, c->name);
        return -AM_E_CONFLICT;
    }
    rc = am_sys_rename(c->dir, c->part_name, c->dir, c->name);
    if (rc == 0)
        rc = am_sys_fsync(c->dir);
    if (rc < 0)
        return fail(c, rc, "put in place");
    *ret = (struct am_backed_up){.bytes = st.st_size, .at = c->at};
    return 0;
}

static void copy_done(struct copy *c)
{
    sqlite3_close(c->to);
    if (c->dir >= 0 && c->part_name)
        am_sys_unlink(c->dir, c->part_name); /* gone already when all went well */
    am_sys_closep(&c->dir);
    free(c->folder);
    free(c->name);
    free(c->part_name);
    free(c->part);
}

/* ---- online ---- */

static int fill(struct copy *c, struct am_store *s, const struct am_work *work)
{
    int rc = am_store_aside(s, copy_begin, c);
    while (rc == 0 && !c->ended) {
        rc = am_work_stopped(work) ? -AM_E_CANCELLED : am_store_aside(s, copy_step, c);
        am_work_tell(work, (struct am_work_step){.phase = "copy",
                                                 .unit = "pages",
                                                 .done = (uint64_t)(c->pages - c->left),
                                                 .total = (uint64_t)c->pages});
    }
    if (c->backup) {
        int dropped = am_store_aside(s, copy_drop, c);
        if (dropped < 0) /* the writer is gone, and with it whoever else could use its connection */
            copy_drop(NULL, c);
    }
    return rc;
}

/* 1: a whole database of ours lies at the target (a file of that name is never half-written). */
static int is_left_over(const char *target, struct am_backed_up *ret)
{
    struct stat st;
    char why[256];
    int64_t application = 0;
    if (am_sys_stat(AT_FDCWD, target, &st) < 0 || !S_ISREG(st.st_mode))
        return 0;
    struct am_db *db = am_db_open(target, false, why, sizeof why);
    int rc = db ? am_db_int(db, &application, "PRAGMA application_id", "") : -AM_E_INTERNAL;
    am_db_close(db);
    if (rc <= 0 || application != AM_APPLICATION_ID)
        return 0;
    *ret = (struct am_backed_up){.bytes = st.st_size,
                                 .at = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000};
    return 1;
}

int am_backup(struct am_store *s, const char *target, bool again, const struct am_work *work, struct am_backed_up *ret,
              char *why, size_t why_cap)
{
    struct copy c = {.dir = -1, .why = why, .why_cap = why_cap};
    snprintf(why, why_cap, "the backup stopped");
    if (again && is_left_over(target, ret))
        return 0;
    AM_TRY(am_backup_target(s->path, target, why, why_cap));
    int rc = copy_open(&c, target);
    rc = rc < 0 ? rc : fill(&c, s, work);
    rc = rc < 0 ? rc : copy_publish(&c, ret);
    copy_done(&c);
    return rc;
}

/* ---- old ones ---- */

/* How many there are, and the name of the first: the oldest, when they are named after their time. */
static int look_into(const char *folder, const char *prefix, uint64_t *ret_n, char first[256])
{
    int fd = am_sys_open(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        am_sys_close(fd);
        return -AM_E_INTERNAL;
    }
    *ret_n = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        if (!am_starts(e->d_name, prefix) || !am_ends(e->d_name, ".db"))
            continue;
        if (*ret_n == 0 || strcmp(e->d_name, first) < 0)
            snprintf(first, 256, "%s", e->d_name);
        ++*ret_n;
    }
    closedir(dir);
    return 0;
}

int am_backup_rotate(const char *target, const char *prefix, uint64_t keep, int64_t *ret_removed)
{
    char first[256] = "";
    uint64_t n = 0;
    int64_t removed = 0;
    const char *slash = strrchr(target, '/');
    char *folder = strndup(target, slash == target ? 1 : (size_t)(slash - target));
    int rc = folder ? look_into(folder, prefix, &n, first) : -AM_E_OUT_OF_MEMORY;
    AM_CLEANUP(am_sys_closep) int dir = rc < 0 ? -1 : am_sys_open(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY, 0);
    if (rc == 0 && dir < 0)
        rc = dir;
    while (rc == 0 && n > keep && (rc = am_sys_unlink(dir, first)) == 0) {
        removed++;
        rc = look_into(folder, prefix, &n, first);
    }
    free(folder);
    if (rc == 0)
        *ret_removed = removed;
    return rc;
}

/* ---- offline ---- */

static int copy_all(struct copy *c, const char *db_path)
{
    struct am_db *db = am_db_open(db_path, true, c->why, c->why_cap);
    if (!db)
        return -AM_E_INTERNAL;
    int rc = copy_begin(db, c);
    while (rc == 0 && !c->ended)
        rc = copy_step(db, c);
    if (c->backup)
        copy_drop(db, c);
    am_db_close(db);
    return rc;
}

static int copy_offline(struct copy *c, int dir, const char *data_dir, const char *target, struct am_backed_up *ret)
{
    struct stat st;
    char *db_path = NULL;
    if (am_sys_stat(dir, "amendd.db", &st) < 0) {
        snprintf(c->why, c->why_cap, "there is no database in %s", data_dir);
        return -AM_E_NOT_FOUND;
    }
    AM_TRY(am_backup_target(data_dir, target, c->why, c->why_cap));
    if (asprintf(&db_path, "%s/amendd.db", data_dir) < 0)
        return -AM_E_OUT_OF_MEMORY;
    int rc = copy_open(c, target);
    rc = rc < 0 ? rc : copy_all(c, db_path);
    rc = rc < 0 ? rc : copy_publish(c, ret);
    free(db_path);
    return rc;
}

int am_backup_offline(const char *data_dir, const char *target, struct am_backed_up *ret, bool *ret_busy, char *why,
                      size_t why_cap)
{
    struct copy c = {.dir = -1, .why = why, .why_cap = why_cap};
    *ret_busy = false;
    AM_CLEANUP(am_sys_closep) int dir = am_sys_open(AT_FDCWD, data_dir, O_RDONLY | O_DIRECTORY, 0);
    if (dir < 0) {
        snprintf(why, why_cap, "cannot open data_dir %s: %s", data_dir, strerror(errno));
        return dir;
    }
    AM_CLEANUP(am_sys_closep) int lock = am_lock_take(dir, data_dir, why, why_cap);
    if (lock < 0) {
        *ret_busy = lock == -AM_E_CONFLICT;
        return lock;
    }
    int rc = copy_offline(&c, dir, data_dir, target, ret);
    copy_done(&c);
    return rc;
}
