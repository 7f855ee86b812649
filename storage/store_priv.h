/*
 * store_priv.h - what the files of storage/ share about an open store. Nobody else includes it.
 */
#ifndef AM_STORAGE_STORE_PRIV_H
#define AM_STORAGE_STORE_PRIV_H

#include "storage/store.h"

#include <pthread.h>
#include <stdatomic.h>

struct am_writer;
struct am_readers;

/* pins.c: the digests that publications are about to name; the collector leaves their files alone. */
struct am_pin {
    int owner;
    unsigned char sha[32];
};
struct am_pins {
    pthread_mutex_t mutex;
    struct am_pin *v;
    size_t n, cap;
};
void am_pins_init(struct am_pins *p);
void am_pins_done(struct am_pins *p);
int am_pins_add(struct am_pins *p, int owner, const char *sha256);

struct am_health { /* check.c */
    pthread_mutex_t mutex;
    int64_t at;
    char finding[256]; /* empty: sound */
};

struct am_store {
    char *path, *db_path;
    int dir, lock, blobs, staging, logs;
    atomic_bool folder_synced[256]; /* blobs/ab is known to be durable in blobs/ (blobs.c) */
    struct am_writer *writer;
    struct am_readers *readers;
    struct am_pins pins;
    struct am_health health;
};

/* lock.c: opens <dir>/LOCK and takes it; the descriptor, or a negative error and a sentence. Closing it gives the lock
 * back. */
int am_lock_take(int dir, const char *path, char *why, size_t why_cap);

/* writer.c: the thread owns `db` from here on and closes it. */
struct am_writer *am_writer_start(struct am_db *db);
int am_writer_run(struct am_writer *w, int (*fn)(struct am_db *db, void *arg), void *arg);
int am_writer_aside(struct am_writer *w, int (*fn)(struct am_db *db, void *arg), void *arg);
uint64_t am_writer_generation(const struct am_writer *w);
void am_writer_on_commit(struct am_writer *w, void (*fn)(void *arg), void *arg);
void am_writer_load(struct am_writer *w, struct am_store_load *ret);
void am_writer_stop(struct am_writer *w); /* runs what is queued, checkpoints, ends the thread */

/* reader.c: one connection a thread, closed when the thread ends or here. */
struct am_readers *am_readers_new(const char *db_path);
struct am_db *am_readers_get(struct am_readers *r);
void am_readers_free(struct am_readers *r);

#endif
