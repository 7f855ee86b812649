/*
 * submit.c - POST /v1/jobs: what prepare.c lets pass is made durable, and only then answered. The answer to a request
 * with an Idempotency-Key is stored in the same transaction.
 */
#include "server/api/submit.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "server/api/api.h"
#include "server/api/evaluate.h"
#include "server/api/idempotency.h"
#include "server/publisher.h"
#include "server/publisher_report.h"
#include "server/reply.h"

#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int am_submit_insert(struct am_db *db, void *row)
{
    struct am_submit_row *a = row;
    char before[64], report[64], why[512];
    int64_t version;
    AM_TRY(am_job_insert(db, &a->job));
    int same = a->reuse ? am_evaluate_reuse(a->s, db, before, report) : 0;
    AM_TRY(same);
    if (same)
        AM_TRY(am_publish_same_report(db, a->uid, before, report));
    int found = a->reuse && !same ? am_reuse_find(a->s, db, before, &version) : 0;
    AM_TRY(found);
    if (found)
        AM_TRY(am_publish_reused(db, a->uid, before, version, why, sizeof why));
    return am_idem_keep_job(db, a->idem, a->uid, &a->answer);
}

static char *dump(json_t *stolen)
{
    char *text = stolen ? json_dumps(stolen, JSON_COMPACT | JSON_REAL_PRECISION(17) | JSON_ENCODE_ANY) : NULL;
    json_decref(stolen);
    return text;
}

/* Of a job that waits, recipe and plan are null until its inputs are there. */
static json_t *texts(const struct am_submit *s, size_t i)
{
    switch (i) {
    case 0:
        return json_incref(s->r->json);
    case 1:
        return s->waits ? json_null() : am_submit_resolved(s);
    case 2:
        return s->waits ? json_null() : am_submit_plan(s);
    case 3:
        return json_copy(s->body.metadata);
    case 4:
        return am_submit_publish(s);
    default:
        return s->warnings ? json_incref(s->warnings) : json_array();
    }
}

enum { TEXTS = sizeof((struct am_submit_row){0}).text / sizeof(char *) };

static int64_t pick_inputs(const struct am_submit *s, const char **out)
{
    int64_t n = 0;
    for (size_t i = 0; i < s->body.inputs; i++)
        if (s->body.input[i].job)
            out[n++] = s->body.input[i].job;
    return n;
}

static int make_texts(struct am_submit_row *row)
{
    row->input = calloc(row->s->body.inputs + 1, sizeof *row->input);
    int rc = row->input ? 0 : -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < TEXTS; i++) {
        row->text[i] = dump(texts(row->s, i));
        rc = row->text[i] ? rc : -AM_E_OUT_OF_MEMORY;
    }
    return rc;
}

static int same_before(struct am_submit *s)
{
    char before[64], report[64];
    int64_t version;
    return am_submit_evaluates(s) ? am_evaluate_reuse(s, s->db, before, report)
                                  : am_reuse_find(s, s->db, before, &version);
}

int am_submit_row(struct am_submit *s, struct am_submit_row *ret)
{
    static const char unknown[] = "0000000000000000000000000000000000000000000000000000000000000000";
    const struct am_config *cfg = s->r->srv->cfg;
    struct am_submit_row *a = ret;
    a->s = s;
    int same = same_before(s);
    AM_TRY(same);
    a->reuse = same > 0;
    AM_TRY(make_texts(a));
    char *const *text = a->text;
    int64_t now = am_now_ms();
    if (!a->uid[0])
        am_id_new("job_", now, a->uid);
    a->job =
        (struct am_job_new){.uid = a->uid,
                            .type = s->body.type,
                            .method = s->body.method,
                            .created_by = "local",
                            .spec = text[0],
                            .resolved = text[1],
                            .plan = text[2],
                            .metadata = text[3],
                            .publish = text[4],
                            .warnings = text[5],
                            .spec_sha256 = s->waits ? unknown : s->spec_sha256,
                            .priority = s->body.priority,
                            .ageing_ms = (int64_t)cfg->ageing_seconds * 1000,
                            .now = now,
                            .not_before = s->body.not_before,
                            .time_limit = s->body.time_limit_seconds,
                            .max_attempts = s->body.max_attempts ? s->body.max_attempts : (int)cfg->jobs_max_attempts,
                            .planned_seconds = s->waits ? -1 : am_plan_seconds(&s->plan),
                            .short_seconds = (double)cfg->short_seconds,
                            .queue_limit = (int64_t)cfg->queue_max,
                            .retry_of = s->retry_of,
                            .rerun_of = s->original.uid[0] ? s->original.uid : NULL,
                            .input = a->input,
                            .inputs = s->waits ? (size_t)pick_inputs(s, a->input) : 0};
    return 0;
}

void am_submit_row_done(struct am_submit_row *row)
{
    for (size_t i = 0; i < TEXTS; i++)
        free(row->text[i]);
    free(row->input);
    json_decref(row->answer);
    *row = (struct am_submit_row){0};
}

int am_submit_refuse(struct am_req *r, int rc)
{
    switch (-rc) {
    case AM_E_CONFLICT: /* of the triggers on job */
        return am_reply_problem(r, AM_E_CONFLICT,
                                "an input or the model of the result was deleted just now; nothing was submitted");
    case AM_E_DEPENDENCY:
        return am_reply_problem(
            r, AM_E_DEPENDENCY,
            "a job whose result this one takes has just failed or was cancelled; retry that one and "
            "name the new job");
    case AM_E_TOO_LARGE:
        return am_reply_problem(r, AM_E_CONFLICT,
                                "more than %d jobs would wait for each other in a row; submit this one when the first "
                                "of them have ended",
                                AM_JOB_CHAIN_MAX);
    default:
        return am_reply_error(r, rc, "the job could not be stored");
    }
}

int am_submit_answer(struct am_submit_row *row)
{
    struct am_req *r = row->s->r;
    am_engine_wake(r->srv->engine);
    json_t *job = row->answer ? json_incref(row->answer) : am_job_load(r, row->s->db, row->uid, NULL);
    return job ? am_reply_accepted(r, job)
               : am_reply_problem(r, AM_E_INTERNAL, "the job %s was stored and cannot be read back", row->uid);
}

int am_submit_job(struct am_submit *s, const struct am_idem *idem)
{
    struct am_submit_row row = {.idem = idem};
    int rc = am_submit_prepare(s);
    if (rc == 0 && s->faults.n)
        return am_reply_faults(s->r, &s->faults);
    if (rc == 0)
        rc = am_submit_row(s, &row);
    if (rc == 0)
        rc = am_store_write(s->r->srv->store, am_submit_insert, &row);
    if (rc < 0 && row.reuse && rc != -AM_E_QUEUE_FULL) { /* it could not be published as it is: compute */
        row.reuse = false;
        rc = am_store_write(s->r->srv->store, am_submit_insert, &row);
    }
    int queued = rc < 0 ? am_submit_refuse(s->r, rc) : am_submit_answer(&row);
    am_submit_row_done(&row);
    return queued;
}

static int add_warning(struct am_submit *s, json_t *stolen)
{
    if (!s->warnings)
        s->warnings = json_array();
    return s->warnings && stolen && json_array_append_new(s->warnings, stolen) == 0 ? 0 : -AM_E_OUT_OF_MEMORY;
}

int am_submit_warn(struct am_submit *s, const char *code, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    am_utf8_mend(text);
    return add_warning(s, json_pack("{s:s, s:s}", "code", code, "detail", text));
}

/* When the job was submitted, which now is planned. */
static bool was_told(const struct am_submit *s, const char *code, const char *detail)
{
    json_t *w;
    size_t i;
    json_array_foreach(s->warnings, i, w)
    {
        if (am_streq(json_string_value(json_object_get(w, "code")), code) &&
            am_streq(json_string_value(json_object_get(w, "detail")), detail))
            return true;
    }
    return false;
}

int am_submit_warn_at(struct am_submit *s, const char *code, const char *pointer, const char *fmt, ...)
{
    char text[1024], at[AM_POINTER];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    am_utf8_mend(text);
    if (was_told(s, code, text))
        return 0;
    if (s->recipe && s->recipe->yaml)
        pointer = am_mergekit_pointer(&s->recipe->mergekit, pointer, at);
    return add_warning(s, json_pack("{s:s, s:s, s:s}", "code", code, "detail", text, "pointer", pointer));
}

int am_api_job_submit(struct am_req *r)
{
    int queued = MHD_NO;
    bool dry;
    if (!am_req_flag(r, "dry_run", &dry, &queued))
        return queued;
    if (dry)
        return am_api_plan(r);
    struct am_recipe recipe;
    struct am_idem idem = {0};
    int rc = am_recipe_take(&recipe, r, &queued) ? am_idem_begin(&idem, r, &queued) : -AM_E_INVALID_REQUEST;
    if (rc == 1) {
        queued = am_reply_accepted(r, json_incref(idem.stored));
    } else if (rc == 0) {
        struct am_submit s = {.r = r, .db = am_reader(r, &queued), .recipe = &recipe};
        if (s.db && am_accepts_jobs(r, &queued))
            queued = recipe.chain ? am_chain_submit(r, s.db, &recipe, &idem) : am_submit_job(&s, &idem);
        am_submit_done(&s);
    }
    if (idem.r)
        am_idem_end(&idem);
    am_recipe_done(&recipe);
    return queued;
}
