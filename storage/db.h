/*
 * db.h - SQLite as storage/ uses it: one statement at a time, values bound by a format, always reset on scope exit.
 * Private to storage/. Not a pool (store.h) and not a query builder.
 * Ownership: a statement belongs to its connection's cache; am_st_resetp() gives it back.
 */
#ifndef AM_STORAGE_DB_H
#define AM_STORAGE_DB_H

#include "core/base/err.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

struct am_db; /* one connection with its statement cache; used by one thread at a time */

struct am_db *am_db_open(const char *path, bool writable); /* NULL: logged by the caller; see am_db_why */
void am_db_close(struct am_db *db);
const char *am_db_why(struct am_db *db);
int am_db_script(struct am_db *db, const char *sql); /* several statements */

/*
 * Prepares (cached by text) and binds. `types`: i = int64_t, t = const char * (NULL binds NULL), r = double,
 * b = const void *, size_t; n = NULL (takes no argument). NULL result: error already noted in the connection.
 */
sqlite3_stmt *am_db_bind(struct am_db *db, const char *sql, const char *types, ...);
int am_db_row(sqlite3_stmt *st);  /* 1 = a row, 0 = done, negative = error (SQLITE_FULL -> -AM_E_DISK, constraint -> -AM_E_CONFLICT) */
void am_stmt_resetp(sqlite3_stmt **st);
int am_db_exec(struct am_db *db, const char *sql, const char *types, ...); /* bind, run to the end, reset */
int64_t am_db_last_id(struct am_db *db);
int64_t am_db_changes(struct am_db *db);

#endif
