/*
 * vfs_log.c - says when the log has been synced: the last step of a commit before others can see it (db.h:
 * am_db_commit). The default VFS, whatever it is, with one function of log files put in front: what takes long in a
 * commit is this sync, and until it ends the state of before is the only one there is. (SQLite's hooks come before the
 * sync or after the change is visible.)
 */
#include "storage/db.h"

#include <pthread.h>

#define LOG_HEADER 32 /* bytes */

static sqlite3_vfs *base, vfs; /* set once */
static sqlite3_io_methods own; /* of log files: the base's, but for the sync */
static int (*base_sync)(sqlite3_file *file, int flags);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* while they are set */

static _Thread_local struct {
    void (*fn)(void *arg);
    void *arg;
} watch;

static int sync_log(sqlite3_file *file, int flags)
{
    int rc = base_sync(file, flags);
    sqlite3_int64 size = 0;
    if (rc != SQLITE_OK || !watch.fn)
        return rc;
    /* a log that begins anew has its header synced first, alone: the commit is not there yet */
    if (file->pMethods->xFileSize(file, &size) != SQLITE_OK || size > LOG_HEADER)
        watch.fn(watch.arg);
    return rc;
}

static int open_file(sqlite3_vfs *v, sqlite3_filename name, sqlite3_file *file, int flags, int *ret_flags)
{
    int rc = base->xOpen(v, name, file, flags, ret_flags);
    if (rc != SQLITE_OK || !(flags & SQLITE_OPEN_WAL) || !file->pMethods)
        return rc;
    pthread_mutex_lock(&lock);
    if (!base_sync) {
        own = *file->pMethods;
        base_sync = own.xSync;
        own.xSync = sync_log;
    }
    if (file->pMethods->xSync == base_sync)
        file->pMethods = &own;
    pthread_mutex_unlock(&lock);
    return SQLITE_OK;
}

static void set_up(void)
{
    base = sqlite3_vfs_find(NULL);
    if (!base)
        return;
    vfs = *base;
    vfs.pNext = NULL;
    vfs.zName = "amend";
    vfs.xOpen = open_file;
    sqlite3_vfs_register(&vfs, 0);
}

const char *am_vfs_log(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_up);
    return base ? vfs.zName : NULL;
}

int am_db_commit(struct am_db *db, void (*synced)(void *arg), void *arg)
{
    watch.fn = synced;
    watch.arg = arg;
    int rc = am_db_script(db, "COMMIT");
    watch.fn = NULL;
    return rc;
}
