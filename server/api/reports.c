/*
 * reports.c - reports: list, get, delete. Their slices and samples are report_rows.c.
 */
#include "server/api/reports.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "server/api/api.h"
#include "server/api/predictions.h"
#include "server/reply.h"

#include <math.h>
#include <microhttpd.h>
#include <string.h>

static json_t *real(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *number(double v)
{
    return json_pack("{s:o}", "value", real(v));
}

static json_t *numbers(const struct am_report_numbers *v)
{
    bool bounded = isfinite(v->nfr_lower) && isfinite(v->nfr_upper);
    return json_pack("{s:{s:o, s:o}, s:o, s:o, s:o, s:o, s:o}", "nfr", "value", real(v->nfr), "interval",
                     bounded ? json_pack("[f, f]", v->nfr_lower, v->nfr_upper) : json_null(), "pfr", number(v->pfr),
                     "relative_nfr", number(v->relative_nfr), "accuracy_old", number(v->accuracy_old), "accuracy_new",
                     number(v->accuracy_new), "accuracy_delta", number(v->accuracy_delta));
}

/* {"model","commit","number"}; null: a model that is not here. */
static json_t *version(const char *model, const char *commit, int64_t n)
{
    return model ? json_pack("{s:s, s:s, s:o}", "model", model, "commit", commit, "number", am_json_count(n))
                 : json_null();
}

static json_t *decision(const struct am_report_row *p)
{
    return p->decision ? json_pack("{s:s, s:s}", "id", p->decision, "verdict", p->verdict) : json_null();
}

static json_t *links(const char *uid)
{
    char self[100], slices[120], samples[120];
    snprintf(self, sizeof self, "/v1/reports/%.80s", uid);
    snprintf(slices, sizeof slices, "%s/slices", self);
    snprintf(samples, sizeof samples, "%s/samples", self);
    return json_pack("{s:s, s:s, s:s}", "self", self, "slices", slices, "samples", samples);
}

/* What the row says of the report, in every form of it. */
static json_t *envelope(const struct am_report_row *p, const char *object)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:I, s:s, s:o, s:o}", "object", object, "id",
                     p->uid, "type", p->type, "method", p->method, "job", p->job, "old", p->old, "new", p->new,
                     "old_version", version(p->old_model, p->old, p->old_number), "new_version",
                     version(p->new_model, p->new, p->new_number), "dataset", p->dataset, "n", (json_int_t)p->n,
                     "created_by", p->created_by, "created_at", am_json_time(p->created_at), "links", links(p->uid));
}

json_t *am_report_summary(const struct am_report_row *p)
{
    json_t *o = envelope(p, "report_summary");
    json_object_set_new(o, "values", numbers(&p->numbers));
    json_object_set_new(o, "b", am_json_count(p->numbers.b));
    json_object_set_new(o, "c", am_json_count(p->numbers.c));
    json_object_set_new(o, "p_mid", real(p->numbers.p_mid));
    json_object_set_new(o, "decision", decision(p));
    return o;
}

static json_t *report_json(const struct am_report_row *p)
{
    json_t *o = am_json_stored(p->body), *own = envelope(p, "report");
    json_object_update(o, own);
    json_decref(own);
    json_object_set_new(o, "sha256", json_string(p->sha256));
    json_object_set_new(o, "decision", decision(p));
    json_object_set_new(o, "files",
                        json_pack("{s:o, s:o}", "slices", am_json_file(p->slices_sha256, p->slices_bytes), "samples",
                                  am_json_file(p->samples_sha256, p->samples_bytes)));
    return o;
}

/* ---- routes ---- */

/* A report never changes, but a decision may come to name it. */
static void etag_of(const json_t *report, char out[140])
{
    const char *id = json_string_value(json_object_get(report, "id")),
               *by = json_string_value(json_object_get(json_object_get(report, "decision"), "id"));
    snprintf(out, 140, "%.60s%s%.60s", id ? id : "", by ? "-" : "", by ? by : "");
}

static int add_report(void *ctx, const struct am_report_row *p)
{
    return am_rows_add(ctx, p->id, am_report_summary(p));
}

int am_api_reports(struct am_req *r)
{
    int64_t limit, after;
    int queued = MHD_NO;
    struct am_db *db = am_page_reader(r, &limit, &after, &queued);
    struct am_report_filter f = {.dataset = am_req_query(r, "dataset"),
                                 .method = am_req_query(r, "method"),
                                 .job = am_req_query(r, "job"),
                                 .after = after,
                                 .limit = (int)limit + 1};
    if (!db || !am_req_version(r, db, "version", &f.version, &f.external, &queued) ||
        !am_req_version(r, db, "old", &f.old_version, &f.old_external, &queued) ||
        !am_req_version(r, db, "new", &f.new_version, &f.new_external, &queued))
        return queued;
    struct am_rows rows = {.data = json_array()};
    int rc = am_report_list(db, &f, add_report, &rows);
    return am_reply_rows(r, rc, &rows, limit, "reports");
}

static int take_report(void *ctx, const struct am_report_row *p)
{
    return am_json_take(ctx, report_json(p));
}

int am_reply_no_report(struct am_req *r, int rc, const char *uid)
{
    return rc == -AM_E_NOT_FOUND
               ? am_reply_problem(r, AM_E_NOT_FOUND, "no report %.80s; GET /v1/reports lists what is here", uid)
               : am_reply_error(r, rc, "the report could not be read");
}

json_t *am_report_load(struct am_req *r, const char *uid, int *ret_queued)
{
    json_t *report = NULL;
    struct am_db *db = am_reader(r, ret_queued);
    if (!db)
        return NULL;
    int rc = am_report_get(db, uid, take_report, &report);
    if (rc < 0)
        *ret_queued = am_reply_no_report(r, rc, uid);
    return report;
}

int am_api_report(struct am_req *r)
{
    int queued = MHD_NO;
    char etag[140];
    json_t *report = am_report_load(r, r->arg[0], &queued);
    if (!report)
        return queued;
    enum am_report_form form = am_report_form(r);
    if (form != AM_REPORT_JSON)
        return am_report_reply_page(r, report, form);
    etag_of(report, etag);
    return am_reply_resource(r, report, etag);
}

static int delete_report(struct am_db *db, void *arg)
{
    return am_report_delete(db, arg, am_now_ms());
}

static int named(struct am_req *r)
{
    return am_reply_problem(r, AM_E_CONFLICT,
                            "a decision names the report %s, so it stays: GET /v1/decisions lists them", r->arg[0]);
}

int am_api_report_delete(struct am_req *r)
{
    int queued = MHD_NO;
    json_t *report = am_report_load(r, r->arg[0], &queued);
    char etag[140];
    if (!report)
        return queued;
    if (!json_is_null(json_object_get(report, "decision"))) { /* whatever the caller has seen */
        json_decref(report);
        return named(r);
    }
    etag_of(report, etag);
    if (!am_req_if_match(r, etag, &queued)) {
        json_decref(report);
        return queued;
    }
    int rc = am_store_write(r->srv->store, delete_report, r->arg[0]);
    if (rc == 0)
        return am_reply_json(r, 200, report, NULL);
    json_decref(report);
    return rc == -AM_E_NOT_FOUND
               ? am_reply_problem(r, AM_E_NOT_FOUND, "somebody deleted the report %s just now", r->arg[0])
           : rc == -AM_E_CONFLICT ? named(r)
                                  : am_reply_error(r, rc, "the report could not be deleted");
}
