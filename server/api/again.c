/*
 * again.c - jobs made from jobs: retry (from what was submitted, names resolved anew), rerun (from the recipe, to see
 * whether the same bytes come out), and recipes that are posted as they are, which is the same as a rerun.
 */
#include "core/base/text.h"
#include "core/table/members.h"
#include "core/table/recipe.h"
#include "server/api/api.h"
#include "server/api/idempotency.h"
#include "server/api/submit.h"
#include "server/reply.h"
#include "storage/reports.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#define PROGRAM "amendd " AM_VERSION

enum { LOOK_AT = 20 };

static const char *wish(const struct am_submit *s, const char *name)
{
    return json_string_value(json_object_get(s->r->json, name));
}

/* ---- recipes ---- */

/* 1: it made a version or a report. */
static int take_original(void *ctx, const struct am_job_row *j)
{
    struct am_made *m = ctx;
    am_made_fill(m, j);
    if (m->commit[0] || m->report[0])
        return 1;
    am_made_done(m);
    return 0;
}

static int find_original(struct am_submit *s)
{
    const char *sha = wish(s, "spec_sha256");
    if (s->original.uid[0] || !sha || !am_is_hex(sha, AM_SHA256_LEN))
        return 0;
    int rc = am_job_same(s->db, sha, NULL, LOOK_AT, take_original, &s->original);
    return rc < 0 ? rc : 0;
}

int am_recipe_begin(struct am_submit *s)
{
    s->from_recipe = am_recipe_body(s->r->json, &s->faults);
    if (!s->from_recipe)
        return -AM_E_OUT_OF_MEMORY;
    s->told = s->original.uid[0];
    AM_TRY(find_original(s));
    if (json_object_get(s->from_recipe, "publish"))
        return 0;
    s->silent = s->original.uid[0];
    if (am_streq(wish(s, "type"), "evaluate")) /* a report needs no place to go to */
        return 0;
    if (s->silent)
        return json_object_set_new(s->from_recipe, "publish", json_pack("{s:s}", "model", s->original.model));
    am_fault_add(&s->faults, AM_E_INVALID_REQUEST, (struct am_where){.pointer = "#/publish"},
                 "no job here made a version from this recipe, so there is nothing to compare with; say where the "
                 "result goes: \"publish\": {\"model\": \"namespace/name\"}");
    return 0;
}

static bool over_blas(const struct am_submit *s)
{
    return wish(s, "blas") != NULL;
}

/* What the digest of a recipe over a BLAS depends on is not the same here. */
static bool moved(const struct am_submit *s)
{
    return !am_streq(wish(s, "kernels"), s->r->srv->kernels) || !am_streq(wish(s, "blas"), s->r->srv->blas);
}

/* A recipe that somebody has changed is a job of its own. */
static int check_changed(struct am_submit *s)
{
    const char *sha = wish(s, "spec_sha256"), *program = wish(s, "program");
    if (!s->original.uid[0] || s->told || !sha || am_streq(sha, s->spec_sha256) || !am_streq(program, PROGRAM) ||
        (over_blas(s) && moved(s)))
        return 0;
    if (s->silent)
        am_fault_add(
            &s->faults, AM_E_INVALID_REQUEST, (struct am_where){.pointer = "#/spec_sha256"},
            "this is the recipe of %s no more, it was changed since; give publish to run it as a job of its own",
            s->original.uid);
    am_made_done(&s->original);
    return 0;
}

int am_recipe_compare(struct am_submit *s)
{
    AM_TRY(check_changed(s));
    const char *kernels = wish(s, "kernels"), *program = wish(s, "program"), *now = s->r->srv->kernels;
    if (!kernels && s->original.kernels[0]) /* recipes of older programs do not say, results do */
        kernels = s->original.kernels;
    const char *promise = json_string_value(json_object_get(json_object_get(s->body.row, "needs"), "deterministic"));
    if (kernels && now[0] && !am_streq(kernels, now))
        AM_TRY(am_submit_warn(s, "kernels-differ",
                              "computed with the kernels %s then, with %s now; the method promises "
                              "the same bytes for %s",
                              kernels, now, promise ? promise : "the same kernels"));
    if (over_blas(s) && !am_streq(wish(s, "blas"), s->r->srv->blas))
        AM_TRY(am_submit_warn(s, "blas-differs",
                              "computed over %s then, over %s now; the method promises the same bytes for the same one",
                              wish(s, "blas"), s->r->srv->blas[0] ? s->r->srv->blas : "none"));
    if (program && !am_streq(program, PROGRAM))
        AM_TRY(am_submit_warn(s, "program-differs", "computed by %s then, by %s now: what it promises may have changed",
                              program, PROGRAM));
    return 0;
}

/* ---- routes ---- */

struct again {
    struct am_req *r;
    struct am_db *db;
    struct am_made made;
    bool rerun;
    int queued;
};

static int refuse(struct again *a, int code, const char *why)
{
    a->queued = am_reply_problem(a->r, code, "job %.60s %s", a->r->arg[0], why);
    return -code;
}

static int load(struct again *a)
{
    int rc = am_made_get(a->db, a->r->arg[0], &a->made);
    if (rc == -AM_E_NOT_FOUND)
        return refuse(a, AM_E_NOT_FOUND, "is not here, or is a task of the store; GET /v1/jobs lists the jobs");
    if (rc < 0)
        a->queued = am_reply_error(a->r, rc, "the job could not be read");
    AM_TRY(rc);
    if (!am_state_terminal(a->made.state))
        return refuse(a, AM_E_CONFLICT, "has not ended; wait for its end or cancel it");
    return 0;
}

static int there(void *ctx, const struct am_report_row *row)
{
    (void)ctx;
    (void)row;
    return 0;
}

/* What a rerun is compared with: what the job made, or what it was itself compared with. */
static int find_result(struct again *a, struct am_made *ret)
{
    int64_t version;
    if (!a->made.commit[0] && !a->made.report[0] && a->made.rerun_of[0]) {
        if (am_made_get(a->db, a->made.rerun_of, ret) < 0)
            return refuse(a, AM_E_CONFLICT, "is a rerun of a job that is no longer here");
    } else {
        AM_TRY(am_made_get(a->db, a->made.uid, ret));
    }
    if ((!ret->commit[0] && !ret->report[0]) || !json_is_object(ret->resolved))
        return refuse(a, AM_E_CONFLICT,
                      "made no version and no report, so there is nothing to compare with; retry it instead");
    if (ret->report[0]) {
        int rc = am_report_get(a->db, ret->report, there, NULL);
        return rc == -AM_E_NOT_FOUND
                   ? refuse(
                         a, AM_E_CONFLICT,
                         "made a report that was deleted since, so there is nothing to compare with; retry it instead")
                   : rc;
    }
    if (am_rev_resolve(a->db, ret->model, ret->commit, &version, NULL) < 0)
        return refuse(a, AM_E_VERSION_GONE,
                      "made a version that was deleted since, so there is nothing to compare with");
    return 0;
}

/* {"publish": {...}} or nothing. */
static int take_body(struct again *a, json_t *body)
{
    static const char *const known[] = {"publish", NULL};
    struct am_faults f = {0};
    am_members_known(body, "#", known, &f);
    am_member_object(body, "#", "publish", false, &f);
    if (!f.n)
        return 0;
    a->queued = am_reply_faults(a->r, &f);
    return -AM_E_INVALID_REQUEST;
}

static int make_body(struct again *a, struct am_submit *s)
{
    json_t *given = a->r->json, *made;
    if (a->rerun) {
        AM_TRY(take_body(a, given));
        AM_TRY(find_result(a, &s->original));
        made = json_copy(s->original.resolved);
        if (json_object_get(given, "publish"))
            json_object_set(made, "publish", json_object_get(given, "publish"));
    } else {
        made = json_incref(a->made.spec);
        s->retry_of = a->made.uid;
        if (a->made.rerun_of[0] && am_recipe_is(made))
            AM_TRY(am_made_get(a->db, a->made.rerun_of, &s->original));
    }
    json_decref(given);
    a->r->json = made;
    return 0;
}

static int again(struct am_req *r, bool rerun)
{
    struct am_idem idem;
    struct again a = {.r = r, .rerun = rerun, .queued = MHD_NO};
    int rc = am_idem_begin(&idem, r, &a.queued);
    if (rc == 1) {
        a.queued = am_reply_accepted(r, json_incref(idem.stored));
    } else if (rc == 0 && (a.db = am_reader(r, &a.queued)) && am_accepts_jobs(r, &a.queued) && load(&a) == 0) {
        struct am_submit s = {.r = r, .db = a.db};
        rc = make_body(&a, &s);
        if (rc == 0)
            a.queued = am_submit_job(&s, &idem);
        else if (a.queued == MHD_NO)
            a.queued = am_reply_error(r, rc, "the job could not be read");
        am_submit_done(&s);
    }
    am_made_done(&a.made);
    am_idem_end(&idem);
    return a.queued;
}

int am_api_job_retry(struct am_req *r)
{
    return again(r, false);
}

int am_api_job_rerun(struct am_req *r)
{
    return again(r, true);
}
