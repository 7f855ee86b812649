/*
 * common.c - what several handlers need: stored JSON, times, lists, the version that a URL names.
 */
#include "core/base/text.h"
#include "server/api/api.h"
#include "server/reply.h"

#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

json_t *am_json_list(json_t *data, const char *next)
{
    return json_pack("{s:s, s:o, s:b, s:s?}", "object", "list", "data", data, "has_more", next != NULL, "next", next);
}

struct am_db *am_page_reader(struct am_req *r, int64_t *ret_limit, int64_t *ret_after, int *ret_queued)
{
    bool good = am_req_int(r, "limit", 1, 100, 20, ret_limit, ret_queued) &&
                (!ret_after || am_req_int(r, "after", 1, INT64_MAX - 1, 0, ret_after, ret_queued));
    return good ? am_reader(r, ret_queued) : NULL;
}

static int not_listed(struct am_req *r, int rc, json_t *data /* stolen */, const char *what)
{
    char text[80];
    snprintf(text, sizeof text, "the %s could not be listed", what);
    json_decref(data);
    return am_reply_error(r, rc, text);
}

int am_reply_page(struct am_req *r, int rc, json_t *data, int64_t limit, const char *key, const char *what)
{
    if (rc < 0)
        return not_listed(r, rc, data, what);
    json_t *cursor = NULL;
    char number[24];
    if (json_array_size(data) > (size_t)limit) {
        json_array_remove(data, (size_t)limit);
        cursor = json_incref(json_object_get(json_array_get(data, (size_t)limit - 1), key));
    }
    snprintf(number, sizeof number, "%lld", (long long)json_integer_value(cursor));
    json_t *list = am_json_list(data, json_is_integer(cursor) ? number : json_string_value(cursor));
    json_decref(cursor);
    return am_reply_json(r, 200, list, NULL);
}

int am_rows_add(struct am_rows *rows, int64_t id, json_t *entry)
{
    rows->last = id;
    return am_json_add(rows->data, entry);
}

/* The last row is the first one not shown: pages do not shift under the reader. */
int am_reply_rows(struct am_req *r, int rc, struct am_rows *rows, int64_t limit, const char *what)
{
    if (rc < 0)
        return not_listed(r, rc, rows->data, what);
    char next[32];
    bool more = json_array_size(rows->data) > (size_t)limit;
    if (more)
        json_array_remove(rows->data, (size_t)limit);
    snprintf(next, sizeof next, "%lld", (long long)rows->last + 1);
    return am_reply_json(r, 200, am_json_list(rows->data, more ? next : NULL), NULL);
}

void am_model_id(const struct am_req *r, char out[200])
{
    snprintf(out, 200, "%.96s/%.96s", r->arg[0], r->arg[1]);
}

struct am_db *am_reader(struct am_req *r, int *ret_queued)
{
    struct am_db *db = am_store_read(r->srv->store);
    if (!db)
        *ret_queued = am_reply_problem(r, AM_E_INTERNAL, "the database cannot be read; see the log and GET /readyz");
    return db;
}

bool am_accepts_jobs(struct am_req *r, int *ret_queued)
{
    char why[400];
    bool sound = am_store_is_sound(r->srv->store, NULL, why, sizeof why);
    if (!sound)
        *ret_queued = am_reply_problem(r, AM_E_STORE_DAMAGED, "%s", why);
    return sound;
}

struct names {
    char text[32][128];
    const char *v[32];
    size_t n;
};

static int keep_name(void *ctx, const char *name)
{
    struct names *k = ctx;
    if (k->n == 32)
        return 0;
    snprintf(k->text[k->n], sizeof k->text[0], "%s", name);
    k->v[k->n] = k->text[k->n];
    k->n++;
    return 0;
}

/* What Hub clients read to tell a missing repository from a missing revision (hub.md 5). Harmless on /v1. */
static int reply_missing(struct am_req *r, int code, const char *hub_code, const char *detail)
{
    const char *headers[] = {"X-Error-Code", hub_code, NULL};
    return am_reply_problem_full(r, code, detail, NULL, headers);
}

int am_reply_no_model(struct am_req *r, const char *name)
{
    char detail[500];
    am_model_deleted(r, am_store_read(r->srv->store), name, detail, sizeof detail);
    if (!detail[0])
        snprintf(detail, sizeof detail, "no model %s; GET /v1/models lists what is here", name);
    return reply_missing(r, AM_E_NOT_FOUND, "RepoNotFound", detail);
}

int am_find_version(struct am_req *r, int64_t *ret_version, bool *ret_fixed, int *ret_queued)
{
    char model[200], detail[800];
    struct am_db *db = am_reader(r, ret_queued);
    if (!db)
        return -AM_E_INTERNAL;
    am_model_id(r, model);
    int rc = am_rev_resolve(db, model, r->arg[2], ret_version, ret_fixed);
    if (rc == -AM_E_REVISION_NOT_FOUND) {
        struct names k = {.n = 0};
        am_rev_names(db, model, keep_name, &k);
        const char *near = am_nearest(r->arg[2], k.v, k.n);
        am_version_deleted(r, db, model, r->arg[2], detail, sizeof detail);
        if (!detail[0])
            snprintf(detail, sizeof detail,
                     "%s has no revision \"%.100s\"%s%s%s; GET /v1/models/%s/refs lists its refs", model, r->arg[2],
                     near ? "; did you mean " : "", near ? near : "", near ? "?" : "", model);
        *ret_queued = reply_missing(r, AM_E_REVISION_NOT_FOUND, "RevisionNotFound", detail);
    } else if (rc == -AM_E_NOT_FOUND)
        *ret_queued = am_reply_no_model(r, model);
    else if (rc < 0)
        *ret_queued = am_reply_error(r, rc, "the database could not answer");
    return rc;
}

static int reply_waited(struct am_req *r, const char *uid, bool over)
{
    int queued = MHD_NO;
    (void)over;
    struct am_db *db = am_reader(r, &queued);
    if (!db)
        return queued;
    json_t *job = am_job_load(r, db, uid, NULL);
    return job ? am_reply_accepted(r, job) : am_reply_problem(r, AM_E_INTERNAL, "the job %s cannot be read", uid);
}

int am_reply_accepted(struct am_req *r, json_t *job)
{
    char location[100];
    int64_t ms = r->waited ? 0 : am_req_prefer_ms(r, 0);
    if (ms > 0) {
        char uid[64];
        snprintf(uid, sizeof uid, "%s", json_string_value(json_object_get(job, "id")));
        json_decref(job);
        return am_req_wait_job(r, uid, ms, reply_waited);
    }
    snprintf(location, sizeof location, "/v1/jobs/%s", json_string_value(json_object_get(job, "id")));
    const char *headers[] = {"Location", location, "Retry-After", "2", NULL};
    return am_reply_json(r, 202, job, headers);
}
