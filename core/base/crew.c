/*
 * crew.c - see crew.h. One lock, a ring of waiting job numbers, two conditions: something to do, something done.
 */
#include "core/base/crew.h"

#include <pthread.h>
#include <stdlib.h>

#define THREADS_MAX 256

struct am_crew {
    pthread_mutex_t lock;
    pthread_cond_t to_do, done;
    pthread_t thread[THREADS_MAX];
    unsigned threads;
    void (*work)(void *arg, size_t job);
    void *arg;
    bool *ended; /* of each slot */
    size_t *waiting, slots, first, n;
    size_t awaited; /* by the caller; `slots`: none. Waking it for others would cost more than small jobs take */
    bool over;
};

static void *serve(void *arg)
{
    struct am_crew *c = arg;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        while (c->n == 0 && !c->over)
            pthread_cond_wait(&c->to_do, &c->lock);
        if (c->n == 0)
            break;
        size_t job = c->waiting[c->first];
        c->first = (c->first + 1) % c->slots;
        c->n--;
        pthread_mutex_unlock(&c->lock);
        c->work(c->arg, job);
        pthread_mutex_lock(&c->lock);
        c->ended[job] = true;
        if (c->awaited == job)
            pthread_cond_signal(&c->done);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

struct am_crew *am_crew_new(unsigned threads, size_t slots, void (*work)(void *arg, size_t job), void *arg)
{
    struct am_crew *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->work = work;
    c->arg = arg;
    c->slots = c->awaited = slots;
    c->ended = calloc(slots, sizeof(*c->ended));
    c->waiting = calloc(slots, sizeof(*c->waiting));
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->to_do, NULL);
    pthread_cond_init(&c->done, NULL);
    while (c->ended && c->waiting && c->threads < threads && c->threads < THREADS_MAX) {
        if (pthread_create(&c->thread[c->threads], NULL, serve, c) != 0)
            break;
        c->threads++;
    }
    if (c->ended && c->waiting)
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
    c->waiting[(c->first + c->n++) % c->slots] = job;
    pthread_cond_signal(&c->to_do);
    pthread_mutex_unlock(&c->lock);
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
    pthread_cond_destroy(&c->done);
    pthread_cond_destroy(&c->to_do);
    pthread_mutex_destroy(&c->lock);
    free(c->waiting);
    free(c->ended);
    free(c);
}
