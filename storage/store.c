/*
 * store.c - opening and closing the data folder in the right order: folder, LOCK, database, migrations, writer. A
 * failure at any step undoes the steps before it. The store owns all descriptors.
 */
#include "storage/db.h"
#include "storage/migrate.h"
#include "storage/store_priv.h"

#include "core/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

static int open_dir(int at, const char *name)
{
    return am_sys_open(at, name, O_RDONLY | O_DIRECTORY, 0);
}

static int make_dir(const char *path, int at, const char *name, char *why, size_t why_cap)
{
    int rc = am_sys_mkdir(at, name, 0750);
    if (rc == 0)
        rc = open_dir(at, name);
    if (rc < 0 && at == AT_FDCWD)
        snprintf(why, why_cap, "cannot use data_dir %s: %s", path, strerror(errno));
    else if (rc < 0)
        snprintf(why, why_cap, "cannot use %s/%s: %s", path, name, strerror(errno));
    return rc;
}

static const char *network_fs(int dir)
{
    struct statfs fs;
    if (fstatfs(dir, &fs) != 0)
        return NULL;
    switch ((unsigned long)fs.f_type & 0xffffffffUL) {
    case 0x6969UL:
        return "NFS";
    case 0x517bUL:
        return "SMB";
    case 0xff534d42UL:
        return "CIFS";
    case 0xfe534d42UL:
        return "SMB2";
    default:
        return NULL;
    }
}

static int check_devices(struct am_store *s, char *why, size_t why_cap)
{
    const char *fs = network_fs(s->dir);
    if (fs) {
        snprintf(why, why_cap,
                 "data_dir %s is on a network file system (%s), where SQLite's locks are not safe. Use a local disk.",
                 s->path, fs);
        return -AM_E_CONFLICT;
    }
    struct stat blobs, staging;
    AM_TRY(am_sys_stat(s->blobs, ".", &blobs));
    AM_TRY(am_sys_stat(s->staging, ".", &staging));
    if (blobs.st_dev != staging.st_dev) {
        snprintf(why, why_cap,
                 "%s/blobs and %s/staging are on different file systems, so a result could not be renamed into the "
                 "store. Put both "
                 "on one.",
                 s->path, s->path);
        return -AM_E_CONFLICT;
    }
    return 0;
}

static int open_folders(struct am_store *s, char *why, size_t why_cap)
{
    AM_TRY(s->dir = make_dir(s->path, AT_FDCWD, s->path, why, why_cap));
    AM_TRY(s->lock = am_lock_take(s->dir, s->path, why, why_cap));
    AM_TRY(s->blobs = make_dir(s->path, s->dir, "blobs", why, why_cap));
    AM_TRY(s->staging = make_dir(s->path, s->dir, "staging", why, why_cap));
    AM_TRY(s->logs = make_dir(s->path, s->dir, "logs", why, why_cap));
    AM_TRY(check_devices(s, why, why_cap));
    /* made here so that it has our mode, not that of the umask */
    AM_CLEANUP(am_sys_closep) int db = am_sys_open(s->dir, "amendd.db", O_RDWR | O_CREAT | O_NOFOLLOW, 0640);
    if (db < 0) {
        snprintf(why, why_cap, "cannot open %s: %s", s->db_path, strerror(errno));
        return db;
    }
    return am_sys_fsync(s->dir);
}

static int open_database(struct am_store *s, char *why, size_t why_cap)
{
    struct am_db *db = am_db_open(s->db_path, true, why, why_cap);
    if (!db)
        return -AM_E_INTERNAL;
    int rc = am_migrate(db, s->db_path, am_migrations, why, why_cap);
    if (rc == 0) {
        s->readers = am_readers_new(s->db_path);
        s->writer = s->readers ? am_writer_start(db) : NULL;
        if (s->writer)
            return 0;
        rc = -AM_E_OUT_OF_MEMORY;
    }
    am_db_close(db);
    return rc;
}

struct am_store *am_store_open(const char *data_dir, char *why, size_t why_cap)
{
    snprintf(why, why_cap, "cannot open the store in %s", data_dir);
    struct am_store *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->dir = s->lock = s->blobs = s->staging = s->logs = -1;
    am_pins_init(&s->pins);
    pthread_mutex_init(&s->health.mutex, NULL);
    s->path = strdup(data_dir);
    if (!s->path || asprintf(&s->db_path, "%s/amendd.db", data_dir) < 0)
        s->db_path = NULL;
    if (s->db_path && open_folders(s, why, why_cap) == 0 && open_database(s, why, why_cap) == 0)
        return s;
    am_store_close(s);
    return NULL;
}

void am_store_close(struct am_store *s)
{
    if (!s)
        return;
    /* readers first: the log can be emptied only when nobody reads it */
    am_readers_free(s->readers);
    am_writer_stop(s->writer);
    am_sys_closep(&s->blobs);
    am_sys_closep(&s->staging);
    am_sys_closep(&s->logs);
    am_sys_closep(&s->lock);
    am_sys_closep(&s->dir);
    am_pins_done(&s->pins);
    pthread_mutex_destroy(&s->health.mutex);
    free(s->db_path);
    free(s->path);
    free(s);
}

int am_store_dirfd(const struct am_store *s)
{
    return s->dir;
}

int am_store_staging(const struct am_store *s)
{
    return s->staging;
}

int am_store_logs(const struct am_store *s)
{
    return s->logs;
}

const char *am_store_path(const struct am_store *s)
{
    return s->path;
}

int am_store_write(struct am_store *s, int (*fn)(struct am_db *db, void *arg), void *arg)
{
    return am_writer_run(s->writer, fn, arg);
}

void am_store_on_commit(struct am_store *s, void (*fn)(void *arg), void *arg)
{
    am_writer_on_commit(s->writer, fn, arg);
}

int am_store_aside(struct am_store *s, int (*fn)(struct am_db *db, void *arg), void *arg)
{
    return am_writer_aside(s->writer, fn, arg);
}

uint64_t am_store_generation(const struct am_store *s)
{
    return am_writer_generation(s->writer);
}

struct am_db *am_store_read(struct am_store *s)
{
    return am_readers_get(s->readers);
}

static int writable(struct am_db *db, void *arg)
{
    (void)arg;
    return am_db_is_writable(db) ? 0 : -AM_E_INTERNAL;
}

int am_store_check(struct am_store *s)
{
    return am_store_write(s, writable, NULL);
}

void am_store_load(struct am_store *s, struct am_store_load *ret)
{
    *ret = (struct am_store_load){.busy = am_db_busy_total()};
    am_writer_load(s->writer, ret);
}

const char *am_store_sqlite_version(void)
{
    return sqlite3_libversion();
}

bool am_store_sqlite_wal_reset_bug(void)
{
    int v = sqlite3_libversion_number();
    bool repaired = (v >= 3044006 && v < 3045000) || (v >= 3050007 && v < 3051000);
    return v >= 3007000 && v < 3051003 && !repaired;
}
