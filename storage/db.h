/*
 * db.h - SQLite as storage/ uses it: one statement at a time, values bound by a format, always reset on scope exit.
 * Private to storage/. Not a pool (store.h) and not a query builder.
 * Ownership: a statement belongs to its connection's cache; am_stmt_resetp() gives it back. A text whose statement is
 * being stepped gets a second statement, so walks may nest; between am_db_bind() and the first am_db_row() nothing else
 * is prepared.
 */
#ifndef AM_STORAGE_DB_H
#define AM_STORAGE_DB_H

#include "core/base/err.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct am_db; /* one connection with its statement cache; used by one thread at a time */

/* A reader ends a statement that runs longer than this. */
#define AM_DB_READ_MS 2000

struct am_db *am_db_open(const char *path, bool writable, char *why, size_t why_cap); /* NULL: the reason is in `why` */
void am_db_close(struct am_db *db);
/* COMMIT; synced(arg) is called when it is on the disk and about to become visible to readers, perhaps earlier, and not
   when there is nothing to commit. For the writer's connection. */
int am_db_commit(struct am_db *db, void (*synced)(void *arg), void *arg);
const char *am_vfs_log(void); /* vfs_log.c: the VFS of such a connection, NULL = the default one */
const char *am_db_why(struct am_db *db);
int am_db_err(struct am_db *db);                     /* the last error as -AM_E_..., 0 when there is none */
int am_db_script(struct am_db *db, const char *sql); /* several statements */

/*
 * Prepares (cached by text) and binds. `types`: i = int64_t, t = const char * (NULL binds NULL), r = double,
 * b = const void *, size_t; n = NULL (takes no argument). NULL result: error already noted in the connection.
 */
sqlite3_stmt *am_db_bind(struct am_db *db, const char *sql, const char *types, ...);
int am_db_row(sqlite3_stmt *st); /* 1 = a row, 0 = done, negative = error (SQLITE_FULL -> -AM_E_DISK, constraint ->
                                    -AM_E_CONFLICT) */
void am_stmt_resetp(sqlite3_stmt **st);
#define AM_STMT AM_CLEANUP(am_stmt_resetp) sqlite3_stmt *
int am_db_exec(struct am_db *db, const char *sql, const char *types, ...); /* bind, run to the end, reset */
/* The first column of the first row as a number; *ret is left alone and 0 returned when there is no row, else 1. */
int am_db_int(struct am_db *db, int64_t *ret, const char *sql, const char *types, ...);
int64_t am_db_last_id(struct am_db *db);
int64_t am_db_changes(struct am_db *db);

const char *am_col_text(sqlite3_stmt *st, int col); /* borrowed until the next step; NULL stays NULL */
bool am_db_in_transaction(struct am_db *db);
bool am_db_is_writable(struct am_db *db);
/* A walk that makes headway: a reader's statements get their time anew. */
void am_db_headway(struct am_db *db);
sqlite3 *am_db_handle(struct am_db *db); /* for what has no function here: the backup */
/* A reader whose statements may take long (a check of the whole file): they end when stop(arg) says so, not by time. */
void am_db_patient(struct am_db *db, bool (*stop)(void *arg), void *arg);

/* The log of the writer's connection. */
int am_db_wal_frames(const struct am_db *db);          /* as of the last commit */
int am_db_checkpoint(struct am_db *db, bool truncate); /* -AM_E_CONFLICT: a reader is in the way, nothing lost */
uint64_t am_db_busy_total(void); /* how often SQLite was busy or locked, all connections of this process */
int am_db_copy(struct am_db *db, const char *path); /* online copy of the whole database into a new file */

#endif
