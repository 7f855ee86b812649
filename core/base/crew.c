/*
 * crew.c - see crew.h. One lock, a ring of jobs that wait for a thread, two conditions: something to do, something
 * done.
 */
#include "core/base/crew.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define THREADS_MAX 256

struct am_crew {
    pthread_mutex_t lock;
    pthread_cond_t to_do, done;
    pthread_t thread[THREADS_MAX];
    unsigned threads;
    am_crew_task *work, *follow;
    void *arg;
    enum am_crew_stage *stage; /* of each slot */
    size_t slots;
    size_t *waiting, first, n; /* a ring: given, and no thread has begun */
    size_t behind;             /* whose turn it is to follow */
    bool following;            /* one thread is at it */
    size_t awaited;            /* by the caller, which is not woken for others; `slots`: none */
    enum am_crew_stage until;
    bool over;
};

/* All with the lock. */

static void reach(struct am_crew *c, size_t job, enum am_crew_stage stage)
{
    c->stage[job] = stage;
    if (c->awaited == job && stage >= c->until)
        pthread_cond_signal(&c->done);
}

/* The lock is let go meanwhile. */
static void work_on(struct am_crew *c, size_t job)
{
    pthread_mutex_unlock(&c->lock);
    c->work(c->arg, job);
    pthread_mutex_lock(&c->lock);
    reach(c, job, c->follow ? AM_CREW_WORKED : AM_CREW_FOLLOWED);
}

/* Whoever ends the job before looks here again, so nobody needs to be told that one can follow. */
static bool can_follow(const struct am_crew *c)
{
    return c->follow && !c->following && c->stage[c->behind] == AM_CREW_WORKED;
}

static void follow_next(struct am_crew *c)
{
    size_t job = c->behind;
    c->following = true;
    pthread_mutex_unlock(&c->lock);
    c->follow(c->arg, job);
    pthread_mutex_lock(&c->lock);
    c->following = false;
    c->behind = (job + 1) % c->slots;
    reach(c, job, AM_CREW_FOLLOWED);
}

/* false: there is nothing that this thread could do. */
static bool serve_one(struct am_crew *c)
{
    if (can_follow(c)) {
        follow_next(c);
        return true;
    }
    if (c->n == 0)
        return false;
    size_t job = c->waiting[c->first];
    c->first = (c->first + 1) % c->slots;
    c->n--;
    work_on(c, job);
    return true;
}

static void *serve(void *arg)
{
    struct am_crew *c = arg;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        if (serve_one(c))
            continue;
        if (c->over) /* what can follow later is with the thread that works on it */
            break;
        pthread_cond_wait(&c->to_do, &c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

struct am_crew *am_crew_new(unsigned threads, size_t slots, am_crew_task *work, am_crew_task *follow, void *arg)
{
    struct am_crew *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->work = work;
    c->follow = follow;
    c->arg = arg;
    c->slots = c->awaited = slots;
    c->stage = calloc(slots, sizeof(*c->stage));
    c->waiting = calloc(slots, sizeof(*c->waiting));
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->to_do, NULL);
    pthread_cond_init(&c->done, NULL);
    bool made = c->stage && c->waiting;
    while (made && c->threads < threads && c->threads < THREADS_MAX) {
        if (pthread_create(&c->thread[c->threads], NULL, serve, c) != 0)
            break;
        c->threads++;
    }
    if (made)
        return c;
    am_crew_free(c);
    return NULL;
}

void am_crew_do(struct am_crew *c, size_t job)
{
    pthread_mutex_lock(&c->lock);
    c->stage[job] = AM_CREW_GIVEN;
    work_on(c, job);
    if (c->behind == job && can_follow(c))
        follow_next(c);
    pthread_mutex_unlock(&c->lock);
}

void am_crew_give(struct am_crew *c, size_t job)
{
    if (c->threads == 0) {
        am_crew_do(c, job);
        return;
    }
    pthread_mutex_lock(&c->lock);
    c->stage[job] = AM_CREW_GIVEN;
    c->waiting[(c->first + c->n++) % c->slots] = job;
    pthread_cond_signal(&c->to_do);
    pthread_mutex_unlock(&c->lock);
}

void am_crew_wait(struct am_crew *c, size_t job, enum am_crew_stage stage)
{
    pthread_mutex_lock(&c->lock);
    c->awaited = job;
    c->until = stage;
    while (c->stage[job] < stage)
        pthread_cond_wait(&c->done, &c->lock);
    c->awaited = c->slots;
    pthread_mutex_unlock(&c->lock);
}

void am_crew_free(struct am_crew *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->over = true;
    pthread_cond_broadcast(&c->to_do);
    pthread_mutex_unlock(&c->lock);
    for (unsigned i = 0; i < c->threads; i++)
        pthread_join(c->thread[i], NULL);
    pthread_cond_destroy(&c->to_do);
    pthread_cond_destroy(&c->done);
    pthread_mutex_destroy(&c->lock);
    free(c->stage);
    free(c->waiting);
    free(c);
}
