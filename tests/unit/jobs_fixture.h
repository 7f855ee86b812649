/*
 * jobs_fixture.h - rows of the queue for the tests of it: made, claimed, moved. Each test program includes it once.
 */
#ifndef AM_TESTS_JOBS_FIXTURE_H
#define AM_TESTS_JOBS_FIXTURE_H

#include "tests/unit/store_fixture.h"

#include "core/base/text.h"

#include <time.h>

#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static inline int call_job(struct am_db *db, void *arg)
{
    return am_job_insert(db, arg);
}

static inline struct am_job_new job_of(const char *uid, const char *type, int priority)
{
    return (struct am_job_new){.uid = uid,
                               .type = type,
                               .method = "linear",
                               .created_by = "ci",
                               .spec = "{\"a\":1}",
                               .publish = "{\"model\":\"demo/out\"}",
                               .spec_sha256 = SHA_A,
                               .priority = priority,
                               .now = 1000,
                               .planned_seconds = -1,
                               .queue_limit = 1000000};
}

static inline int add_job(struct fixture *f, const char *uid, const char *type, int priority)
{
    struct am_job_new j = job_of(uid, type, priority);
    return am_store_write(f->s, call_job, &j);
}

static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct move_call {
    const char *uid;
    enum am_job_state to;
    const char *error;
    enum am_job_state after;
};
static inline int call_finish(struct am_db *db, void *arg)
{
    struct move_call *c = arg;
    return am_job_finish(db, c->uid, c->to, 9000, NULL, c->error, NULL);
}
static inline int finish(struct fixture *f, const char *uid, enum am_job_state to)
{
    return am_store_write(f->s, call_finish, &(struct move_call){.uid = uid, .to = to});
}
static inline int call_cancel(struct am_db *db, void *arg)
{
    struct move_call *c = arg;
    return am_job_cancel(db, c->uid, 8000, "o\"ps", &c->after);
}
static inline int cancel(struct fixture *f, const char *uid, enum am_job_state *ret)
{
    struct move_call c = {.uid = uid, .after = AM_STATES};
    int rc = am_store_write(f->s, call_cancel, &c);
    *ret = c.after;
    return rc;
}

struct claim_call {
    enum am_lane lane;
    int64_t at; /* 0: 7000 */
    char uid[64];
    int attempt;
    int64_t next;
    double ms; /* of the claim, without the commit */
};
static inline int keep_claim(void *ctx, const struct am_job_row *j)
{
    struct claim_call *c = ctx;
    snprintf(c->uid, sizeof c->uid, "%s", j->uid);
    c->attempt = j->attempt;
    assert_int_equal(j->state, AM_RUNNING);
    assert_int_equal(j->started_at, c->at ? c->at : 7000);
    assert_int_equal(j->not_before, 0);
    return 0;
}
static inline int call_claim(struct am_db *db, void *arg)
{
    struct claim_call *c = arg;
    double t = now();
    int rc = am_job_claim(db, c->lane, c->at ? c->at : 7000, keep_claim, c, &c->next);
    c->ms = (now() - t) * 1e3;
    return rc;
}

/* The uid claimed at `at`, or "" when there was none. */
static inline const char *claim(struct fixture *f, enum am_lane lane, int64_t at)
{
    static struct claim_call c;
    c = (struct claim_call){.lane = lane, .at = at};
    int rc = am_store_write(f->s, call_claim, &c);
    assert_int_equal(rc, c.uid[0] != '\0');
    return c.uid;
}

struct requeue_call {
    const char *uid, *reason;
    int64_t now;
};
static inline int call_requeue(struct am_db *db, void *arg)
{
    struct requeue_call *c = arg;
    return am_job_requeue(db, c->uid, c->now, 1000, c->reason);
}

static inline int call_recover(struct am_db *db, void *arg)
{
    return am_job_recover(db, 9500, 2, arg);
}

/* State, reason of the last requeue, failures, the time it waits for. */
static inline int keep_reason(void *ctx, const struct am_job_row *j)
{
    snprintf(ctx, 200, "%s %s %d %d", am_state_name(j->state), j->requeued ? j->requeued : "-", j->failures,
             (int)j->not_before);
    return 0;
}

#endif
