/*
 * engine_lost.c - workers that outlive their kill, as a process in state D does: the slot goes on without them, and
 * their staging is left alone, since they may still write there. So that they cannot pile up, nothing is started while
 * as many are lost as there are slots.
 */
#include "server/engine_priv.h"

#include "server/log.h"

#include <stdio.h>
#include <stdlib.h>

static void count(struct am_engine *e, int change)
{
    pthread_mutex_lock(&e->lock);
    e->losses += (unsigned)change;
    pthread_mutex_unlock(&e->lock);
}

static void on_gone(void *arg)
{
    struct am_lost *l = arg;
    struct am_engine *e = l->e;
    if (e) {
        struct am_lost **at = &e->lost;
        while (*at != l)
            at = &(*at)->next;
        *at = l->next;
        count(e, -1);
        am_log(AM_LOG_WARN, "worker that could not be killed has ended after all job=%s attempt=%d", l->uid,
               l->attempt);
        am_engine_pump(e);
    }
    free(l);
}

bool am_slot_forget(struct am_slot *s)
{
    struct am_engine *e = s->e;
    struct am_lost *l = calloc(1, sizeof *l);
    struct am_exec_about about;
    if (!l)
        return false;
    *l = (struct am_lost){.e = e, .attempt = s->job.attempt, .next = e->lost};
    snprintf(l->uid, sizeof l->uid, "%s", s->job.uid);
    e->lost = l;
    count(e, 1);
    e->executor->describe(s->exec, &about);
    am_log(AM_LOG_ERROR, "worker was killed and does not end, it is given up job=%s attempt=%d pid=%lld%s", s->job.uid,
           s->job.attempt, (long long)about.id,
           am_engine_choked(e) ? "; no other is started until one of those ends" : "");
    e->executor->forget(s->exec, on_gone, l);
    return true;
}

void am_engine_forget_all(struct am_engine *e)
{
    for (struct am_lost *l = e->lost; l; l = l->next)
        l->e = NULL;
    e->lost = NULL;
}

bool am_engine_choked(const struct am_engine *e)
{
    return e->losses >= e->slots;
}

unsigned am_engine_lost(struct am_engine *e, bool *ret_choked)
{
    pthread_mutex_lock(&e->lock);
    unsigned n = e->losses;
    *ret_choked = am_engine_choked(e);
    pthread_mutex_unlock(&e->lock);
    return n;
}
