/*
 * writer.c - the one thread that writes and checkpoints. Whatever waits when it looks becomes one transaction, each
 * command in a savepoint of its own, so one bad command does not undo its neighbours; all wait for the same COMMIT. The
 * thread owns the connection; a command lives on the stack of the caller that waits for it.
 */
#include "core/base/clock.h"
#include "core/base/failpoint.h"
#include "storage/db.h"
#include "storage/store_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define QUEUE_MAX 1024
#define CHECKPOINT_FRAMES 1000

struct command {
    int (*fn)(struct am_db *db, void *arg);
    void *arg;
    int rc;
    bool done;
    pthread_cond_t woken;
    struct command *next;
};

struct am_writer {
    struct am_db *db;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wanted;
    struct command *first, **last;
    struct command *aside, **aside_last; /* run outside a transaction, one between two groups */
    unsigned waiting;
    bool stop;
    int frames_done; /* of the log, at the last checkpoint */
    atomic_uint_fast64_t generation;
    void (*told)(void *arg);
    void *told_arg;
    struct am_hist commits;
    atomic_int frames; /* of the log, for those who ask */
};

am_hist_bounds am_commit_bounds = {500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000, 5000000, 0};

/* am_store_generation() is odd from before something becomes visible until after it has. */
static void before_visible(void *arg)
{
    struct am_writer *w = arg;
    atomic_fetch_or(&w->generation, 1);
}

static void after_visible(struct am_writer *w)
{
    before_visible(w);
    atomic_fetch_add(&w->generation, 1);
}

static void run_one(struct am_db *db, struct command *c)
{
    c->rc = am_db_script(db, "SAVEPOINT command");
    if (c->rc < 0)
        return;
    c->rc = c->fn(db, c->arg);
    if (!am_db_in_transaction(db))
        return; /* SQLite undid everything; run_group() sees it */
    if (c->rc < 0)
        am_db_script(db, "ROLLBACK TO command");
    int rc = am_db_script(db, "RELEASE command");
    if (rc < 0 && c->rc >= 0)
        c->rc = rc;
}

static void fail_group(struct am_db *db, struct command *group, int rc)
{
    if (am_db_in_transaction(db))
        am_db_script(db, "ROLLBACK");
    for (struct command *c = group; c; c = c->next) {
        if (c->rc >= 0)
            c->rc = rc;
    }
}

static void run_group(struct am_writer *w, struct command *group)
{
    struct am_db *db = w->db;
    int rc = am_db_script(db, "BEGIN IMMEDIATE");
    if (rc < 0) {
        fail_group(db, group, rc);
        return;
    }
    for (struct command *c = group; c; c = c->next) {
        run_one(db, c);
        if (!am_db_in_transaction(db)) {
            fail_group(db, group, c->rc < 0 ? c->rc : -AM_E_INTERNAL);
            return;
        }
    }
    am_failpoint("writer.before_commit");
    rc = am_db_commit(db, before_visible, w);
    after_visible(w);
    am_failpoint("writer.after_commit");
    if (rc < 0)
        fail_group(db, group, rc);
}

static void run_timed(struct am_writer *w, struct command *group)
{
    int64_t began = am_mono_us();
    run_group(w, group);
    am_hist_add(&w->commits, am_commit_bounds, am_mono_us() - began);
}

static void keep_log_short(struct am_writer *w)
{
    int frames = am_db_wal_frames(w->db);
    atomic_store(&w->frames, frames);
    if (frames < w->frames_done)
        w->frames_done = 0; /* the log has started again */
    if (frames - w->frames_done < CHECKPOINT_FRAMES)
        return;
    am_db_checkpoint(w->db, false);
    w->frames_done = frames;
}

static void empty_log(struct am_writer *w)
{
    if (am_db_checkpoint(w->db, true) == 0)
        w->frames_done = 0;
    atomic_store(&w->frames, am_db_wal_frames(w->db));
}

/* Waits for work with the mutex held; false: nothing came for a second although the log could be emptied. */
static bool wait_for_work(struct am_writer *w)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec++;
    while (!w->first && !w->aside && !w->stop) {
        if (am_db_wal_frames(w->db) == 0)
            pthread_cond_wait(&w->wanted, &w->mutex);
        else if (pthread_cond_timedwait(&w->wanted, &w->mutex, &until) == ETIMEDOUT && !w->first && !w->aside &&
                 !w->stop)
            return false;
    }
    return true;
}

static struct command *take_all(struct am_writer *w)
{
    struct command *group = w->first;
    w->first = NULL;
    w->last = &w->first;
    for (struct command *c = group; c; c = c->next)
        w->waiting--;
    return group;
}

static struct command *take_aside(struct am_writer *w)
{
    struct command *c = w->aside;
    if (!c)
        return NULL;
    w->aside = c->next;
    if (!w->aside)
        w->aside_last = &w->aside;
    c->next = NULL;
    w->waiting--;
    return c;
}

static void wake_all(struct command *group)
{
    for (struct command *c = group, *next; c; c = next) {
        next = c->next; /* the caller's stack is gone once it wakes, but not before the mutex is free */
        c->done = true;
        pthread_cond_signal(&c->woken);
    }
}

static void *work(void *arg)
{
    struct am_writer *w = arg;
    pthread_mutex_lock(&w->mutex);
    for (;;) {
        bool wanted = wait_for_work(w);
        struct command *aside = take_aside(w), *group = take_all(w);
        if (wanted && !group && !aside)
            break;
        pthread_mutex_unlock(&w->mutex);
        if (group)
            run_timed(w, group);
        else if (!aside)
            empty_log(w);
        pthread_mutex_lock(&w->mutex);
        wake_all(group);
        void (*told)(void *arg) = group ? w->told : NULL;
        void *told_arg = w->told_arg;
        pthread_mutex_unlock(&w->mutex);
        if (told)
            told(told_arg);
        keep_log_short(w);
        if (aside) {
            before_visible(w);
            aside->rc = aside->fn(w->db, aside->arg);
            after_visible(w);
        }
        pthread_mutex_lock(&w->mutex);
        wake_all(aside);
    }
    pthread_mutex_unlock(&w->mutex);
    empty_log(w);
    return NULL;
}

struct am_writer *am_writer_start(struct am_db *db)
{
    struct am_writer *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->db = db;
    w->last = &w->first;
    w->aside_last = &w->aside;
    pthread_condattr_t mono;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wanted, &mono);
    pthread_condattr_destroy(&mono);
    pthread_mutex_init(&w->mutex, NULL);
    if (pthread_create(&w->thread, NULL, work, w) != 0) {
        pthread_cond_destroy(&w->wanted);
        pthread_mutex_destroy(&w->mutex);
        free(w);
        return NULL;
    }
    return w;
}

static int run_and_wait(struct am_writer *w, struct command ***last, int (*fn)(struct am_db *db, void *arg), void *arg)
{
    if (pthread_equal(pthread_self(), w->thread))
        return -AM_E_INTERNAL; /* a command that waits for a command would wait for ever */
    struct command c = {.fn = fn, .arg = arg, .woken = PTHREAD_COND_INITIALIZER};
    pthread_mutex_lock(&w->mutex);
    if (w->stop || w->waiting >= QUEUE_MAX) {
        int rc = w->stop ? -AM_E_SHUTTING_DOWN : -AM_E_QUEUE_FULL;
        pthread_mutex_unlock(&w->mutex);
        return rc;
    }
    **last = &c;
    *last = &c.next;
    w->waiting++;
    pthread_cond_signal(&w->wanted);
    while (!c.done)
        pthread_cond_wait(&c.woken, &w->mutex);
    pthread_mutex_unlock(&w->mutex);
    pthread_cond_destroy(&c.woken);
    return c.rc;
}

int am_writer_run(struct am_writer *w, int (*fn)(struct am_db *db, void *arg), void *arg)
{
    return run_and_wait(w, &w->last, fn, arg);
}

int am_writer_aside(struct am_writer *w, int (*fn)(struct am_db *db, void *arg), void *arg)
{
    return run_and_wait(w, &w->aside_last, fn, arg);
}

uint64_t am_writer_generation(const struct am_writer *w)
{
    return atomic_load(&w->generation);
}

void am_writer_on_commit(struct am_writer *w, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&w->mutex);
    w->told = fn;
    w->told_arg = arg;
    pthread_mutex_unlock(&w->mutex);
}

void am_writer_load(struct am_writer *w, struct am_store_load *ret)
{
    pthread_mutex_lock(&w->mutex);
    ret->waiting = w->waiting;
    pthread_mutex_unlock(&w->mutex);
    ret->wal_frames = atomic_load(&w->frames);
    ret->commits = &w->commits;
}

void am_writer_stop(struct am_writer *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->mutex);
    w->stop = true;
    pthread_cond_signal(&w->wanted);
    pthread_mutex_unlock(&w->mutex);
    pthread_join(w->thread, NULL);
    am_db_close(w->db);
    pthread_cond_destroy(&w->wanted);
    pthread_mutex_destroy(&w->mutex);
    free(w);
}
