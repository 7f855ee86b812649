/*
 * job_patch.c - PATCH of a job: its place in the line and its metadata while it waits, and whether lists show it after
 * its end.
 */
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/table/body.h"
#include "core/table/members.h"
#include "server/api/api.h"
#include "server/reply.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

struct patch {
    struct am_job_change change;
    const char *uid;
    int64_t rev;
    bool terminal, queued;
};

static int take_row(void *ctx, const struct am_job_row *j)
{
    struct patch *p = ctx;
    p->rev = j->rev;
    p->terminal = am_state_terminal(j->state);
    p->queued = j->state == AM_QUEUED;
    return 0;
}

static int write_change(struct am_db *db, void *arg)
{
    struct patch *p = arg;
    p->change.now = am_now_ms();
    return am_job_change(db, p->uid, p->rev, &p->change);
}

/* The ETag of a job is its row's revision, and after that what is no part of the row: progress, place in the line. What
   a PATCH depends on is the row. */
static bool names_row(struct am_req *r, int64_t rev)
{
    char tag[32];
    int n = snprintf(tag, sizeof tag, "\"%lld-", (long long)rev);
    const char *given = am_req_header(r, MHD_HTTP_HEADER_IF_MATCH);
    return given && (strcmp(given, "*") == 0 || strncmp(given, tag, (size_t)n) == 0);
}

static void read_body(struct patch *p, json_t *body, char **ret_metadata, struct am_faults *f)
{
    static const char *const known[] = {"priority", "metadata", "archived", NULL};
    am_members_known(body, "#", known, f);
    p->change = (struct am_job_change){.priority = -1, .archived = -1, .by = "local"};
    p->change.priority = (int)am_member_int(body, "#", "priority", 0, 100, -1, f);
    if (json_object_get(body, "archived"))
        p->change.archived = am_member_bool(body, "#", "archived", false, f);
    json_t *metadata = am_member_object(body, "#", "metadata", false, f);
    am_metadata_check(metadata, f);
    *ret_metadata = metadata ? json_dumps(metadata, JSON_COMPACT) : NULL;
    p->change.metadata = *ret_metadata;
    if (json_object_size(body) == 0)
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = "#"},
                     "nothing to change; give priority, metadata or archived");
}

/* What the state of the job does not allow. */
static void check_state(const struct patch *p, struct am_faults *f)
{
    if (p->change.priority >= 0 && !p->queued)
        am_fault_add(f, AM_E_CONFLICT, (struct am_where){.pointer = "#/priority"},
                     "the priority of a job can be changed only while it is queued");
    if (p->change.metadata && !p->queued)
        am_fault_add(f, AM_E_CONFLICT, (struct am_where){.pointer = "#/metadata"},
                     "the metadata of a job can be changed only while it is queued");
    if (p->change.archived >= 0 && !p->terminal)
        am_fault_add(f, AM_E_CONFLICT, (struct am_where){.pointer = "#/archived"},
                     "a job can be put away only when it has ended; cancel it first");
}

static int answer(struct am_req *r, int rc)
{
    char etag[64];
    int queued = MHD_NO;
    struct am_db *db = am_reader(r, &queued);
    if (!db)
        return queued;
    json_t *job = am_job_load(r, db, r->arg[0], etag);
    if (job && rc == 0) {
        am_engine_wake(r->srv->engine);
        return am_reply_resource(r, job, etag);
    }
    json_decref(job);
    if (rc == -AM_E_PRECONDITION_FAILED || rc == -AM_E_CONFLICT)
        return am_reply_problem(r, AM_E_PRECONDITION_FAILED,
                                "the job has changed meanwhile: its ETag is now \"%s\"; read it again", etag);
    return am_reply_error(r, rc < 0 ? rc : -AM_E_INTERNAL, "the job could not be changed");
}

/* The ETag is that of the row, or the answer says so. */
static bool is_fresh(struct am_req *r, const struct patch *p, int *ret_queued)
{
    char etag[64];
    if (names_row(r, p->rev))
        return true;
    json_t *job = am_job_load(r, am_store_read(r->srv->store), p->uid, etag);
    json_decref(job);
    return am_req_if_match(r, etag, ret_queued);
}

static int apply(struct am_req *r, struct patch *p, struct am_faults *f)
{
    char *metadata = NULL;
    int queued = MHD_NO;
    if (!is_fresh(r, p, &queued))
        return queued;
    read_body(p, r->json, &metadata, f);
    check_state(p, f);
    if (f->n) {
        queued = am_reply_faults(r, f);
    } else {
        p->change.ageing_ms = (int64_t)r->srv->cfg->ageing_seconds * 1000;
        queued = answer(r, am_store_write(r->srv->store, write_change, p));
    }
    free(metadata);
    return queued;
}

int am_api_job_patch(struct am_req *r)
{
    int queued = MHD_NO;
    struct patch p = {.uid = r->arg[0]};
    struct am_faults f = {0};
    struct am_db *db = am_reader(r, &queued);
    if (!db)
        return queued;
    int rc = am_job_get(db, p.uid, take_row, &p);
    if (rc < 0)
        return am_reply_no_job(r, rc);
    queued = apply(r, &p, &f);
    am_faults_done(&f);
    return queued;
}
