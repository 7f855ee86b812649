/*
 * store.h - the durable state: one folder with LOCK, amendd.db, blobs/, staging/ and logs/.
 *
 * One writer thread owns the only connection that writes and checkpoints; am_store_write() hands it a function and
 * waits for the commit (synchronous=FULL). Functions that wait at the same time share one transaction, each in a
 * savepoint of its own. Readers get a read-only connection of their own for each thread. LOCK is taken before the
 * database is opened.
 *
 * Ownership: am_store_open() gives an object for am_store_close(). Thread-safe unless said.
 */
#ifndef AM_STORAGE_STORE_H
#define AM_STORAGE_STORE_H

#include "core/base/err.h"
#include "core/base/hist.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct am_store;
struct am_db;

/* Creates the folder's contents when missing, takes LOCK, migrates, starts the writer. On failure NULL and a sentence
   in `why`
   ("/var/lib/amendd is in use by amendd with pid 4711 on host x since ..."). */
struct am_store *am_store_open(const char *data_dir, char *why, size_t why_cap);
/* Waits for the queue, TRUNCATE checkpoint, closes readers, writer, LOCK. */
void am_store_close(struct am_store *s);

int am_store_dirfd(const struct am_store *s);   /* of data_dir */
int am_store_staging(const struct am_store *s); /* directory descriptors */
int am_store_logs(const struct am_store *s);
const char *am_store_path(const struct am_store *s);

/* Runs fn(db, arg) on the writer inside a savepoint and returns after COMMIT: fn's result, or the commit's error.
   A negative result of fn rolls back its savepoint only. */
int am_store_write(struct am_store *s, int (*fn)(struct am_db *db, void *arg), void *arg);
/* Runs fn(db, arg) on the writer's connection outside any transaction, between two groups of commands, and returns fn's
   result. For the steps of a backup: each holds up everybody's commits, so it is to be short. */
int am_store_aside(struct am_store *s, int (*fn)(struct am_db *db, void *arg), void *arg);
/* A number that changes with every commit, before am_store_write() returns; odd while one becomes visible. Two reads
   of one even number, one before and one after reading rows, mean that the rows are those of this number's state. */
uint64_t am_store_generation(const struct am_store *s);
/* Calls fn(arg) on the writer's thread after every commit, so it must be quick; NULL: no more (a call may still be on
   its way until am_store_close()). */
void am_store_on_commit(struct am_store *s, void (*fn)(void *arg), void *arg);
/* This thread's read-only connection (opened on first use). NULL: the database cannot be opened. */
struct am_db *am_store_read(struct am_store *s);
/* Between these, all reads on a read connection see one state of the database (and cost less: one lock for all). Not
   for long: the log cannot be emptied meanwhile. */
int am_snapshot_begin(struct am_db *db);
void am_snapshot_end(struct am_db *db);

/* Is the writer alive and the database writable? 0 or a negative error. */
int am_store_check(struct am_store *s);
/* What the last check of the database found (storage/check.h). true: nothing, or none has ended yet; else one sentence
   in `why`. *ret_at (may be NULL): when it ended, 0 = not yet. */
bool am_store_is_sound(struct am_store *s, int64_t *ret_at, char *why, size_t why_cap);
/* How busy the database is. */
struct am_store_load {
    unsigned waiting;              /* commands before the writer */
    int wal_frames;                /* of the log, as of the last commit */
    uint64_t busy;                 /* how often SQLite said that somebody is in the way, in this process */
    const struct am_hist *commits; /* groups of commands with their commit; lives as long as the store */
};
extern am_hist_bounds am_commit_bounds;
void am_store_load(struct am_store *s, struct am_store_load *ret);
const char *am_store_sqlite_version(void);
bool am_store_sqlite_wal_reset_bug(void); /* linked SQLite in 3.7.0 .. 3.51.2 (fixed also in 3.44.6 and 3.50.7) */

#endif
