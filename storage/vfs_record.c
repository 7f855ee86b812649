/*
 * vfs_record.c - test builds only (-DAM_RECORD): a SQLite VFS around the system's own that records changes of the
 * database and its log, and makes calls fail, as core/base/sys_record.h says. It is the default VFS while one of the
 * two is asked for. The wal-index (-shm) is left out: SQLite rebuilds it from the log.
 */
#include "core/base/sys_record.h"

#ifdef AM_RECORD

#include <errno.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>

struct shim_file {
    sqlite3_file base;
    const char *name;
    uint64_t inode;
    bool new_log; /* SQLite syncs the folder along with the first sync of a log that it made */
    sqlite3_file *real;
};

static sqlite3_vfs shim;
static sqlite3_io_methods methods;

static sqlite3_vfs *real_vfs(void)
{
    return shim.pAppData;
}

static struct shim_file *self(sqlite3_file *f)
{
    return (struct shim_file *)(void *)f;
}

static sqlite3_file *real(sqlite3_file *f)
{
    return self(f)->real;
}

static int injected(const char *call, int io)
{
    int e = am_inject_next(call, false);
    if (e == ENOSPC)
        return SQLITE_FULL;
    return e ? io : SQLITE_OK;
}

static const char *folder_of(const char *path, char *out, size_t cap)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    n = n < cap ? n : cap - 1;
    memcpy(out, path, n);
    out[n] = 0;
    return out;
}

/* ---- files ---- */

static int shim_close(sqlite3_file *f)
{
    int e = injected("close", SQLITE_IOERR_CLOSE);
    int rc = real(f)->pMethods ? real(f)->pMethods->xClose(real(f)) : SQLITE_OK;
    return e ? e : rc;
}

static int shim_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at)
{
    return real(f)->pMethods->xRead(real(f), to, n, at);
}

static int shim_write(sqlite3_file *f, const void *from, int n, sqlite3_int64 at)
{
    int e = injected("pwrite64", SQLITE_IOERR_WRITE);
    if (e)
        return e;
    am_record_lock();
    int rc = real(f)->pMethods->xWrite(real(f), from, n, at);
    if (rc == SQLITE_OK)
        am_record_put(&(struct am_record_op){
            .op = "write", .inode = self(f)->inode, .a = at, .b = n, .data = from, .data_n = (size_t)n});
    am_record_unlock();
    return rc;
}

static int shim_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    int e = injected("ftruncate", SQLITE_IOERR_TRUNCATE);
    if (e)
        return e;
    am_record_lock();
    int rc = real(f)->pMethods->xTruncate(real(f), size);
    if (rc == SQLITE_OK)
        am_record_put(&(struct am_record_op){.op = "truncate", .inode = self(f)->inode, .a = size});
    am_record_unlock();
    return rc;
}

static int shim_sync(sqlite3_file *f, int flags)
{
    struct shim_file *s = self(f);
    char dir[1024];
    int e = injected("fdatasync", SQLITE_IOERR_FSYNC);
    am_record_lock();
    int rc = e ? e : s->real->pMethods->xSync(s->real, flags);
    am_record_put(
        &(struct am_record_op){.op = rc == SQLITE_OK ? "sync" : "syncfail", .inode = s->inode, .name = s->name});
    if (rc == SQLITE_OK && s->new_log) {
        s->new_log = false;
        am_record_put(&(struct am_record_op){.op = "syncdir", .name = folder_of(s->name, dir, sizeof dir)});
    }
    am_record_unlock();
    return rc;
}

static int shim_size(sqlite3_file *f, sqlite3_int64 *ret)
{
    return real(f)->pMethods->xFileSize(real(f), ret);
}

static int shim_lock(sqlite3_file *f, int level)
{
    return real(f)->pMethods->xLock(real(f), level);
}

static int shim_unlock(sqlite3_file *f, int level)
{
    return real(f)->pMethods->xUnlock(real(f), level);
}

static int shim_reserved(sqlite3_file *f, int *ret)
{
    return real(f)->pMethods->xCheckReservedLock(real(f), ret);
}

static int shim_control(sqlite3_file *f, int op, void *arg)
{
    return real(f)->pMethods->xFileControl(real(f), op, arg);
}

static int shim_sector(sqlite3_file *f)
{
    return real(f)->pMethods->xSectorSize(real(f));
}

static int shim_device(sqlite3_file *f)
{
    return real(f)->pMethods->xDeviceCharacteristics(real(f));
}

static int shim_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **ret)
{
    return real(f)->pMethods->xShmMap(real(f), page, size, extend, ret);
}

static int shim_shm_lock(sqlite3_file *f, int at, int n, int flags)
{
    return real(f)->pMethods->xShmLock(real(f), at, n, flags);
}

static void shim_shm_barrier(sqlite3_file *f)
{
    real(f)->pMethods->xShmBarrier(real(f));
}

static int shim_shm_unmap(sqlite3_file *f, int remove)
{
    return real(f)->pMethods->xShmUnmap(real(f), remove);
}

static sqlite3_io_methods methods = {
    .iVersion = 2, /* without memory maps of the database */
    .xClose = shim_close,
    .xRead = shim_read,
    .xWrite = shim_write,
    .xTruncate = shim_truncate,
    .xSync = shim_sync,
    .xFileSize = shim_size,
    .xLock = shim_lock,
    .xUnlock = shim_unlock,
    .xCheckReservedLock = shim_reserved,
    .xFileControl = shim_control,
    .xSectorSize = shim_sector,
    .xDeviceCharacteristics = shim_device,
    .xShmMap = shim_shm_map,
    .xShmLock = shim_shm_lock,
    .xShmBarrier = shim_shm_barrier,
    .xShmUnmap = shim_shm_unmap,
};

/* ---- names ---- */

static int shim_open(sqlite3_vfs *v, sqlite3_filename name, sqlite3_file *f, int flags, int *out)
{
    struct shim_file *s = self(f);
    struct stat st;
    (void)v;
    memset(s, 0, sizeof *s);
    s->real = (sqlite3_file *)(void *)(s + 1);
    s->name = name ? name : "";
    int e = injected("openat", SQLITE_CANTOPEN);
    if (e)
        return e == SQLITE_FULL ? SQLITE_CANTOPEN : e;
    am_record_lock();
    bool was = name && stat(name, &st) == 0;
    int rc = real_vfs()->xOpen(real_vfs(), name, s->real, flags, out);
    if (rc == SQLITE_OK && name && stat(name, &st) == 0) {
        s->inode = st.st_ino;
        s->new_log = !was && (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL));
        if (!was)
            am_record_put(&(struct am_record_op){.op = "create", .name = name, .inode = st.st_ino});
    }
    am_record_unlock();
    if (rc == SQLITE_OK)
        f->pMethods = &methods;
    return rc;
}

static int shim_delete(sqlite3_vfs *v, const char *name, int sync_dir)
{
    char dir[1024];
    (void)v;
    int e = injected("unlink", SQLITE_IOERR_DELETE);
    if (e)
        return e;
    am_record_lock();
    int rc = real_vfs()->xDelete(real_vfs(), name, sync_dir);
    if (rc == SQLITE_OK)
        am_record_put(&(struct am_record_op){.op = "unlink", .name = name});
    if (rc == SQLITE_OK && sync_dir)
        am_record_put(&(struct am_record_op){.op = "syncdir", .name = folder_of(name, dir, sizeof dir)});
    am_record_unlock();
    return rc;
}

static int shim_access(sqlite3_vfs *v, const char *name, int flags, int *ret)
{
    (void)v;
    return real_vfs()->xAccess(real_vfs(), name, flags, ret);
}

static int shim_full_path(sqlite3_vfs *v, const char *name, int n, char *out)
{
    (void)v;
    return real_vfs()->xFullPathname(real_vfs(), name, n, out);
}

__attribute__((constructor(300))) static void vfs_record_begin(void)
{
    if (!getenv("AMEND_RECORD") && !getenv("AMEND_INJECT"))
        return;
    sqlite3_vfs *def = sqlite3_vfs_find(NULL);
    if (!def)
        return;
    shim = *def; /* everything not named here is the system's own */
    shim.pNext = NULL;
    shim.zName = "record";
    shim.pAppData = def;
    shim.szOsFile = (int)sizeof(struct shim_file) + def->szOsFile;
    shim.xOpen = shim_open;
    shim.xDelete = shim_delete;
    shim.xAccess = shim_access;
    shim.xFullPathname = shim_full_path;
    sqlite3_vfs_register(&shim, 1);
}

#endif
