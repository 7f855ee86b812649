/*
 * reader.c - read-only connections, one for each thread that asks. A thread that ends closes its own; am_readers_free()
 * the rest, when no thread reads any more.
 */
#include "storage/db.h"
#include "storage/store_priv.h"

#include <stdlib.h>
#include <string.h>

struct reader {
    struct am_db *db;
    struct am_readers *all;
    struct reader *prev, *next;
};

struct am_readers {
    char *db_path;
    pthread_key_t key;
    pthread_mutex_t mutex;
    struct reader *first;
};

static void thread_ends(void *arg)
{
    struct reader *r = arg;
    pthread_mutex_lock(&r->all->mutex);
    if (r->prev)
        r->prev->next = r->next;
    else
        r->all->first = r->next;
    if (r->next)
        r->next->prev = r->prev;
    pthread_mutex_unlock(&r->all->mutex);
    am_db_close(r->db);
    free(r);
}

struct am_readers *am_readers_new(const char *db_path)
{
    struct am_readers *all = calloc(1, sizeof *all);
    if (!all)
        return NULL;
    all->db_path = strdup(db_path);
    if (!all->db_path || pthread_key_create(&all->key, thread_ends) != 0) {
        free(all->db_path);
        free(all);
        return NULL;
    }
    pthread_mutex_init(&all->mutex, NULL);
    return all;
}

struct am_db *am_readers_get(struct am_readers *all)
{
    struct reader *r = pthread_getspecific(all->key);
    if (r)
        return r->db;
    r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    char why[256];
    r->all = all;
    r->db = am_db_open(all->db_path, false, why, sizeof why);
    if (!r->db || pthread_setspecific(all->key, r) != 0) {
        am_db_close(r->db);
        free(r);
        return NULL;
    }
    pthread_mutex_lock(&all->mutex);
    r->next = all->first;
    if (r->next)
        r->next->prev = r;
    all->first = r;
    pthread_mutex_unlock(&all->mutex);
    return r->db;
}

void am_readers_free(struct am_readers *all)
{
    if (!all)
        return;
    pthread_key_delete(all->key);
    for (struct reader *r = all->first, *next; r; r = next) {
        next = r->next;
        am_db_close(r->db);
        free(r);
    }
    pthread_mutex_destroy(&all->mutex);
    free(all->db_path);
    free(all);
}

int am_snapshot_begin(struct am_db *db)
{
    return am_db_exec(db, "BEGIN", "");
}

void am_snapshot_end(struct am_db *db)
{
    if (am_db_in_transaction(db) && am_db_exec(db, "COMMIT", "") < 0)
        am_db_script(db, "ROLLBACK");
}
