/*
 * db.c - connections, the statement cache and the translation of SQLite's errors.
 * A connection owns its statements; nothing here is shared between threads.
 */
#include "storage/db.h"

#include "core/base/clock.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CACHE 128 /* a merge of 100 models walks over all of them at once */

struct entry {
    sqlite3_stmt *st;
    const void *hint; /* where the text was when it was prepared: literals are found by that, and compared once */
    uint64_t used;
};

struct am_db {
    sqlite3 *sq;
    bool writable;
    int wal_frames;
    int64_t deadline;        /* am_mono_ms() after which a reader's statement ends */
    bool (*stop)(void *arg); /* instead of the deadline */
    void *stop_arg;
    uint64_t clock;
    struct entry cache[CACHE];
};

/* trusted_schema stays on: with it off SQLite 3.40 refuses json_valid() in a CHECK, and only this program writes the
 * schema. */
static const char writer_pragmas[] =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
    "PRAGMA cell_size_check=ON; PRAGMA mmap_size=0; PRAGMA journal_size_limit=67108864; PRAGMA wal_autocheckpoint=0;";
static const char reader_pragmas[] = "PRAGMA query_only=ON; PRAGMA foreign_keys=ON; PRAGMA wal_autocheckpoint=0;"
                                     "PRAGMA cache_size=-256; PRAGMA mmap_size=0;";

static atomic_uint_least64_t busy;

uint64_t am_db_busy_total(void)
{
    return atomic_load(&busy);
}

static int translate(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_FULL:
        return -AM_E_DISK;
    case SQLITE_CONSTRAINT:
        return -AM_E_CONFLICT;
    case SQLITE_NOMEM:
        return -AM_E_OUT_OF_MEMORY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -AM_E_STORE_DAMAGED;
    case SQLITE_TOOBIG:
        return -AM_E_TOO_LARGE;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        atomic_fetch_add(&busy, 1);
        return -AM_E_INTERNAL;
    default:
        return -AM_E_INTERNAL;
    }
}

static int too_long(void *arg)
{
    const struct am_db *db = arg;
    return db->stop ? db->stop(db->stop_arg) : am_mono_ms() > db->deadline;
}

static int count_frames(void *arg, sqlite3 *sq, const char *name, int frames)
{
    (void)sq;
    (void)name;
    ((struct am_db *)arg)->wal_frames = frames;
    return SQLITE_OK;
}

/* Without the counters of memory no malloc takes a lock that all threads share. */
static void set_up(void)
{
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

struct am_db *am_db_open(const char *path, bool writable, char *why, size_t why_cap)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, set_up);
    struct am_db *db = calloc(1, sizeof *db);
    if (!db) {
        snprintf(why, why_cap, "cannot open %s: out of memory", path);
        return NULL;
    }
    db->writable = writable;
    db->deadline = INT64_MAX;
    int flags = SQLITE_OPEN_NOMUTEX | (writable ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY);
    int rc = sqlite3_open_v2(path, &db->sq, flags, writable ? am_vfs_log() : NULL);
    if (rc == SQLITE_OK) {
        sqlite3_extended_result_codes(db->sq, 1);
        sqlite3_busy_timeout(db->sq, 5000);
        rc = sqlite3_exec(db->sq, writable ? writer_pragmas : reader_pragmas, NULL, NULL, NULL);
    }
    if (rc != SQLITE_OK) {
        snprintf(why, why_cap, "cannot open %s: %s", path, db->sq ? sqlite3_errmsg(db->sq) : sqlite3_errstr(rc));
        am_db_close(db);
        return NULL;
    }
    if (writable)
        sqlite3_wal_hook(db->sq, count_frames, db);
    else
        sqlite3_progress_handler(db->sq, 10000, too_long, db);
    return db;
}

void am_db_close(struct am_db *db)
{
    if (!db)
        return;
    for (size_t i = 0; i < CACHE; i++)
        sqlite3_finalize(db->cache[i].st);
    sqlite3_close_v2(db->sq);
    free(db);
}

const char *am_db_why(struct am_db *db)
{
    return sqlite3_errmsg(db->sq);
}

int am_db_err(struct am_db *db)
{
    return translate(sqlite3_errcode(db->sq));
}

int am_db_script(struct am_db *db, const char *sql)
{
    return translate(sqlite3_exec(db->sq, sql, NULL, NULL, NULL));
}

/* Not one that a walk stands on. */
static struct entry *find(struct am_db *db, const char *sql, bool by_hint)
{
    for (struct entry *e = db->cache; e < db->cache + CACHE; e++)
        if (e->st && (!by_hint || e->hint == sql) && strcmp(sqlite3_sql(e->st), sql) == 0 && !sqlite3_stmt_busy(e->st))
            return e;
    return NULL;
}

static struct entry *least_used(struct am_db *db)
{
    struct entry *oldest = NULL;
    for (struct entry *e = db->cache; e < db->cache + CACHE; e++)
        if ((!oldest || e->used < oldest->used) && !(e->st && sqlite3_stmt_busy(e->st)))
            oldest = e;
    return oldest;
}

static sqlite3_stmt *cached(struct am_db *db, const char *sql)
{
    struct entry *e = find(db, sql, true);
    if (e || (e = find(db, sql, false))) {
        e->used = ++db->clock;
        sqlite3_reset(e->st);
        return e->st;
    }
    struct entry *oldest = least_used(db);
    sqlite3_stmt *st = NULL;
    /* NULL only when a hundred walks are nested: refused rather than leaked */
    if (!oldest || sqlite3_prepare_v3(db->sq, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL) != SQLITE_OK)
        return NULL;
    sqlite3_finalize(oldest->st);
    *oldest = (struct entry){.st = st, .hint = sql, .used = ++db->clock};
    return st;
}

static int bind_all(sqlite3_stmt *st, const char *types, va_list ap)
{
    int rc = SQLITE_OK;
    for (int at = 1; *types && rc == SQLITE_OK; types++, at++) {
        const char *text;
        const void *bytes;
        switch (*types) {
        case 'i':
            rc = sqlite3_bind_int64(st, at, va_arg(ap, int64_t));
            break;
        case 'r':
            rc = sqlite3_bind_double(st, at, va_arg(ap, double));
            break;
        case 't':
            text = va_arg(ap, const char *);
            rc = text ? sqlite3_bind_text64(st, at, text, strlen(text), SQLITE_TRANSIENT, SQLITE_UTF8)
                      : sqlite3_bind_null(st, at);
            break;
        case 'b':
            bytes = va_arg(ap, const void *);
            rc = sqlite3_bind_blob64(st, at, bytes, va_arg(ap, size_t), SQLITE_TRANSIENT);
            break;
        case 'n':
            rc = sqlite3_bind_null(st, at);
            break;
        default:
            rc = SQLITE_MISUSE;
        }
    }
    return rc;
}

static sqlite3_stmt *bind_list(struct am_db *db, const char *sql, const char *types, va_list ap)
{
    sqlite3_stmt *st = cached(db, sql);
    if (st && bind_all(st, types, ap) != SQLITE_OK)
        return NULL;
    am_db_headway(db);
    return st;
}

sqlite3_stmt *am_db_bind(struct am_db *db, const char *sql, const char *types, ...)
{
    va_list ap;
    va_start(ap, types);
    sqlite3_stmt *st = bind_list(db, sql, types, ap);
    va_end(ap);
    return st;
}

int am_db_row(sqlite3_stmt *st)
{
    if (!st)
        return -AM_E_INTERNAL;
    int rc = sqlite3_step(st);
    return rc == SQLITE_ROW ? 1 : translate(rc);
}

void am_stmt_resetp(sqlite3_stmt **st)
{
    if (!*st)
        return;
    sqlite3_reset(*st);
    sqlite3_clear_bindings(*st);
    *st = NULL;
}

int am_db_exec(struct am_db *db, const char *sql, const char *types, ...)
{
    va_list ap;
    va_start(ap, types);
    AM_STMT st = bind_list(db, sql, types, ap);
    va_end(ap);
    int rc;
    while ((rc = am_db_row(st)) > 0)
        ;
    return rc;
}

int am_db_int(struct am_db *db, int64_t *ret, const char *sql, const char *types, ...)
{
    va_list ap;
    va_start(ap, types);
    AM_STMT st = bind_list(db, sql, types, ap);
    va_end(ap);
    int rc = am_db_row(st);
    if (rc > 0)
        *ret = sqlite3_column_int64(st, 0);
    return rc;
}

int64_t am_db_last_id(struct am_db *db)
{
    return sqlite3_last_insert_rowid(db->sq);
}

int64_t am_db_changes(struct am_db *db)
{
    return sqlite3_changes64(db->sq);
}

const char *am_col_text(sqlite3_stmt *st, int col)
{
    return (const char *)sqlite3_column_text(st, col);
}

bool am_db_in_transaction(struct am_db *db)
{
    return !sqlite3_get_autocommit(db->sq);
}

bool am_db_is_writable(struct am_db *db)
{
    return sqlite3_db_readonly(db->sq, "main") == 0;
}

void am_db_headway(struct am_db *db)
{
    if (!db->writable)
        db->deadline = am_mono_ms() + AM_DB_READ_MS;
}

sqlite3 *am_db_handle(struct am_db *db)
{
    return db->sq;
}

void am_db_patient(struct am_db *db, bool (*stop)(void *arg), void *arg)
{
    db->stop = stop;
    db->stop_arg = arg;
}

int am_db_wal_frames(const struct am_db *db)
{
    return db->wal_frames;
}

int am_db_checkpoint(struct am_db *db, bool truncate)
{
    /* TRUNCATE would wait for readers with everybody's commits behind it: it only tries */
    sqlite3_busy_timeout(db->sq, 0);
    int mode = truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;
    int rc = sqlite3_wal_checkpoint_v2(db->sq, NULL, mode, NULL, NULL);
    sqlite3_busy_timeout(db->sq, 5000);
    if (rc == SQLITE_OK && truncate)
        db->wal_frames = 0;
    return (rc & 0xff) == SQLITE_BUSY ? -AM_E_CONFLICT : translate(rc);
}

int am_db_copy(struct am_db *db, const char *path)
{
    sqlite3 *to = NULL;
    int rc = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_backup *copy = sqlite3_backup_init(to, "main", db->sq, "main");
        if (copy) {
            sqlite3_backup_step(copy, -1);
            sqlite3_backup_finish(copy);
        }
        rc = sqlite3_errcode(to);
    }
    sqlite3_close(to);
    return translate(rc);
}
