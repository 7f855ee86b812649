/*
 * hold.c - a request that waits for a job. HTTP threads serve many connections each, so none may sleep in a handler:
 * the connection is suspended and a thread of its own waits (am_req_wait_job in http.h).
 */
#include "server/http.h"

#include <microhttpd.h>
#include <string.h>

#define HOLDS_MAX 16
#define STACK_BYTES ((size_t)512 << 10)

static void *wait_for_job(void *arg)
{
    struct am_req *r = arg;
    struct am_server *s = r->srv;
    r->hold.ended = am_engine_wait(s->engine, r->hold.uid, r->hold.ms);
    MHD_resume_connection(r->conn); /* from here on the request is not ours */
    atomic_fetch_sub(&s->held, 1);
    return NULL;
}

static int start_thread(struct am_req *r)
{
    pthread_attr_t attr;
    if (pthread_attr_init(&attr) != 0)
        return -AM_E_OUT_OF_MEMORY;
    int rc = pthread_attr_setstacksize(&attr, STACK_BYTES);
    if (rc == 0)
        rc = pthread_create(&r->hold.thread, &attr, wait_for_job, r);
    pthread_attr_destroy(&attr);
    return rc == 0 ? 0 : -AM_E_OUT_OF_MEMORY;
}

int am_req_wait_job(struct am_req *r, const char *uid, int64_t ms, am_after_wait *then)
{
    struct am_server *s = r->srv;
    /* counted first: am_http_stop() sees this wait, or this sees that the service stops */
    bool room = atomic_fetch_add(&s->held, 1) < HOLDS_MAX;
    if (room && !atomic_load(&s->draining)) {
        r->hold = (struct am_hold){.then = then, .ms = ms};
        snprintf(r->hold.uid, sizeof r->hold.uid, "%s", uid);
        MHD_suspend_connection(r->conn);
        r->hold.threaded = start_thread(r) == 0;
        if (!r->hold.threaded) {
            MHD_resume_connection(r->conn);
            atomic_fetch_sub(&s->held, 1);
        }
        return MHD_YES;
    }
    atomic_fetch_sub(&s->held, 1);
    return then(r, uid, am_engine_wait(s->engine, uid, 0));
}

int am_hold_answer(struct am_req *r)
{
    struct am_hold h = r->hold;
    am_hold_done(r);
    return h.then(r, h.uid, h.ended);
}

void am_hold_done(struct am_req *r)
{
    if (r->hold.threaded)
        pthread_join(r->hold.thread, NULL);
    r->hold = (struct am_hold){.then = NULL};
}
