/*
 * crew.c - see crew.h. One lock, a ring of waiting job numbers for each stage, two conditions: something to do,
 * something done.
 */
#include "core/base/crew.h"

#include <pthread.h>
#include <stdlib.h>

#define THREADS_MAX 256

struct queue {
    size_t *job, first, n;
};

struct am_crew {
    pthread_mutex_t lock;
    pthread_cond_t to_do, done;
    pthread_t thread[THREADS_MAX];
    unsigned threads;
    am_crew_task *work, *follow;
    void *arg;
    bool *ended; /* of each slot */
    size_t slots;
    struct queue given, passed;
    bool following; /* one thread is at it */
    size_t awaited; /* by the caller; `slots`: none. Waking it for others would cost more than small jobs take */
    bool over;
};

static void put(const struct am_crew *c, struct queue *q, size_t job)
{
    q->job[(q->first + q->n++) % c->slots] = job;
}

static size_t take(const struct am_crew *c, struct queue *q)
{
    size_t job = q->job[q->first];
    q->first = (q->first + 1) % c->slots;
    q->n--;
    return job;
}

/* With the lock, which is let go meanwhile. false: there is nothing that this thread could do. */
static bool serve_one(struct am_crew *c)
{
    bool follow = c->passed.n > 0 && !c->following;
    if (!follow && c->given.n == 0)
        return false;
    size_t job = take(c, follow ? &c->passed : &c->given);
    c->following |= follow;
    pthread_mutex_unlock(&c->lock);
    (follow ? c->follow : c->work)(c->arg, job);
    pthread_mutex_lock(&c->lock);
    if (follow)
        c->following = false;
    c->ended[job] = true;
    if (c->awaited == job)
        pthread_cond_signal(&c->done);
    return true;
}

static void *serve(void *arg)
{
    struct am_crew *c = arg;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        if (serve_one(c))
            continue;
        if (c->over) /* what is passed on still is with the thread that follows */
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
    c->ended = calloc(slots, sizeof(*c->ended));
    c->given.job = calloc(slots, sizeof(size_t));
    c->passed.job = calloc(slots, sizeof(size_t));
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->to_do, NULL);
    pthread_cond_init(&c->done, NULL);
    bool made = c->ended && c->given.job && c->passed.job;
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
    c->work(c->arg, job);
    c->ended[job] = true; /* only the caller looks at a job that was not given */
}

void am_crew_give(struct am_crew *c, size_t job)
{
    if (c->threads == 0) {
        am_crew_do(c, job);
        return;
    }
    pthread_mutex_lock(&c->lock);
    c->ended[job] = false;
    put(c, &c->given, job);
    pthread_cond_signal(&c->to_do);
    pthread_mutex_unlock(&c->lock);
}

void am_crew_pass(struct am_crew *c, size_t job, bool small)
{
    pthread_mutex_lock(&c->lock);
    bool here = c->threads == 0 || (small && c->passed.n == 0 && !c->following);
    c->ended[job] = here;
    if (!here) {
        put(c, &c->passed, job);
        pthread_cond_signal(&c->to_do);
    }
    pthread_mutex_unlock(&c->lock);
    if (here) /* only the caller passes jobs on, so nobody follows meanwhile */
        c->follow(c->arg, job);
}

bool am_crew_ended(struct am_crew *c, size_t job)
{
    pthread_mutex_lock(&c->lock);
    bool ended = c->ended[job];
    pthread_mutex_unlock(&c->lock);
    return ended;
}

void am_crew_wait(struct am_crew *c, size_t job)
{
    pthread_mutex_lock(&c->lock);
    c->awaited = job;
    while (!c->ended[job])
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
    free(c->given.job);
    free(c->passed.job);
    free(c->ended);
    free(c);
}
