/*
 * publisher_report.c - see publisher_report.h. The body is the worker's, byte for byte; what is read of it here are the
 * numbers that rows show, and that it is about what the job asked for.
 */
#include "server/publisher_report.h"

#include "core/base/clock.h"
#include "core/base/failpoint.h"
#include "core/base/text.h"
#include "server/publisher_end.h"
#include "server/publisher_gate.h"
#include "server/publisher_staged.h"
#include "server/publisher_verify.h"
#include "server/result.h"
#include "storage/blobs.h"
#include "storage/models.h"
#include "storage/reports.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BODY_MAX = 16 << 20 };

struct am_reporting {
    const struct am_publication *in;
    const char *folder; /* of its files */
    bool alone;         /* a decision without a report: there was nothing to compare with */
    struct am_result result;
    const struct am_result_file *body_file, *slices, *samples, *decision_file; /* the last one NULL: no gate */
    char *text;                                                                /* of the body */
    json_t *body, *decision;
    struct am_gated gated; /* of the transaction */
    char uid[64];
    int64_t new_bytes, write_bytes, now;
    json_t *reproduced, *reproduction, *refs;
    char *why;
    size_t why_cap;
};

static int say(struct am_reporting *p, const char *what)
{
    snprintf(p->why, p->why_cap, "%s", what);
    return -AM_E_PUBLISH;
}

static const char *member(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

static const struct am_result_file *file_of(const struct am_reporting *p, const char *name)
{
    char path[100];
    snprintf(path, sizeof path, "%s%s", p->folder, name);
    return am_staged_file(&p->result, path);
}

/* ---- what the worker left ---- */

static int find_parts(struct am_reporting *p)
{
    p->body_file = file_of(p, "report.json");
    p->slices = am_claim_continues(p->in->job) ? NULL : file_of(p, "slices.ndjson");
    p->samples = file_of(p, "samples.safetensors");
    p->decision_file = file_of(p, "decision.json");
    if (json_is_object(json_object_get(p->in->job->resolved, "gate")) != (p->decision_file != NULL))
        return say(p, p->decision_file ? "the worker left a decision, and the job has no gate"
                                       : "the worker left no decision of the job's gate");
    if (p->alone && p->decision_file && p->decision_file->bytes <= BODY_MAX)
        return 0;
    bool rows = (p->slices && p->samples) || am_claim_continues(p->in->job); /* a line has no rows of its own */
    if (p->body_file && rows && p->body_file->bytes <= BODY_MAX &&
        (!p->decision_file || p->decision_file->bytes <= BODY_MAX))
        return 0;
    return say(p, "the worker left no whole report");
}

/* The number at the end of a path of members; NAN: it is null or not there. */
static double number_at(const json_t *body, const char *group, const char *value, const char *name, size_t i)
{
    const json_t *v = json_object_get(json_object_get(json_object_get(body, group), value), name);
    if (json_is_array(v))
        v = json_array_get(v, i);
    return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

static double value_of(const json_t *body, const char *name)
{
    return number_at(body, "values", name, "value", 0);
}

static int64_t cell_of(const json_t *body, const char *name)
{
    const json_t *v = json_object_get(json_object_get(body, "cells"), name);
    return json_is_integer(v) ? json_integer_value(v) : -1;
}

static struct am_report_numbers numbers_of(const json_t *body)
{
    return (struct am_report_numbers){.nfr = value_of(body, "nfr"),
                                      .nfr_lower = number_at(body, "values", "nfr", "interval", 0),
                                      .nfr_upper = number_at(body, "values", "nfr", "interval", 1),
                                      .pfr = value_of(body, "pfr"),
                                      .relative_nfr = value_of(body, "relative_nfr"),
                                      .accuracy_old = value_of(body, "accuracy_old"),
                                      .accuracy_new = value_of(body, "accuracy_new"),
                                      .accuracy_delta = value_of(body, "accuracy_delta"),
                                      .p_mid = number_at(body, "tests", "mcnemar", "p_mid", 0),
                                      .b = cell_of(body, "b"),
                                      .c = cell_of(body, "c")};
}

static int unread(struct am_reporting *p, int rc, const char *what)
{
    return rc == -AM_E_PUBLISH ? say(p, what) : rc;
}

static int read_body(struct am_reporting *p)
{
    static const char bad[] = "the report that the worker left cannot be read";
    if (p->alone)
        return 0;
    int rc = am_staged_json(p->in->staging, p->body_file, BODY_MAX, &p->body, &p->text);
    if (rc < 0)
        return unread(p, rc, bad);
    const json_t *n = json_object_get(p->body, "n");
    if (json_is_integer(n) && json_integer_value(n) >= 0 && member(p->body, "old") && member(p->body, "new") &&
        member(p->body, "dataset") && am_streq(member(p->body, "type"), p->in->job->type) &&
        am_streq(member(p->body, "method"), p->in->job->method))
        return 0;
    if (p->folder[0] && json_is_integer(n) && member(p->body, "old") && member(p->body, "dataset") &&
        am_streq(member(p->body, "type"), "evaluate"))
        return 0;
    return say(p, bad);
}

static int read_decision(struct am_reporting *p)
{
    if (!p->decision_file)
        return 0;
    int rc = am_staged_json(p->in->staging, p->decision_file, BODY_MAX, &p->decision, NULL);
    if (rc < 0)
        return unread(p, rc, am_gated_fault(NULL));
    const char *fault = am_gated_fault(p->decision);
    return fault ? say(p, fault) : 0;
}

/* ---- the transaction ---- */

/* Of a line, its first version and its last. */
static const json_t *side_of(const struct am_reporting *p, size_t i)
{
    const json_t *r = p->in->job->resolved, *gate = json_object_get(r, "gate"), *inputs = json_object_get(r, "inputs");
    if (p->folder[0])
        return json_object_get(gate, i ? "new" : "old");
    return json_array_get(inputs, i && am_claim_continues(p->in->job) ? json_array_size(inputs) / 2 - 1 : i);
}

/* The row of a side that is a version here, deleted or not; 0: it is elsewhere. */
static int find_side(struct am_reporting *p, struct am_db *db, size_t i, int64_t *ret)
{
    char model[200];
    const char *version = member(side_of(p, i), "version");
    const char *rev = version ? am_rev_split(version, model, sizeof model) : NULL;
    *ret = 0;
    if (!rev)
        return 0;
    int rc = am_rev_resolve_any(db, model, rev, ret);
    return rc == -AM_E_NOT_FOUND || rc == -AM_E_REVISION_NOT_FOUND ? 0 : rc; /* purged: its name stays in the report */
}

/* `sides`: of the report, and its new one by name. */
static int insert_row(struct am_reporting *p, struct am_db *db, const int64_t sides[2], const char *new)
{
    const struct am_claim *job = p->in->job;
    const struct am_report_file files[] = {
        {"slices", p->slices ? p->slices->sha256 : NULL, p->slices ? p->slices->bytes : 0},
        {"samples", p->samples ? p->samples->sha256 : NULL, p->samples ? p->samples->bytes : 0}};
    struct am_report_new r = {.uid = p->uid,
                              .type = member(p->body, "type"),
                              .method = member(p->body, "method"),
                              .old_version = sides[0],
                              .new_version = sides[1],
                              .job = job->uid,
                              .old = member(p->body, "old"),
                              .new = new,
                              .dataset = member(p->body, "dataset"),
                              .n = json_integer_value(json_object_get(p->body, "n")),
                              .body = p->text,
                              .sha256 = p->body_file->sha256,
                              .numbers = numbers_of(p->body),
                              .file = files,
                              .files = p->slices ? 2 : 0,
                              .created_by = job->created_by,
                              .now = p->now};
    am_id_new("rep_", p->now, p->uid);
    return am_report_insert(db, &r);
}

static int insert_report(struct am_reporting *p, struct am_db *db)
{
    int64_t side[2];
    for (size_t i = 0; i < 2; i++)
        AM_TRY(find_side(p, db, i, &side[i]));
    AM_TRY(insert_row(p, db, side, member(p->body, "new")));
    json_array_clear(p->refs);
    p->gated = (struct am_gated){.job = p->in->job,
                                 .old = member(p->body, "old"),
                                 .new = member(p->body, "new"),
                                 .decision = p->decision,
                                 .report = p->uid,
                                 .old_version = side[0],
                                 .new_version = side[1],
                                 .now = p->now,
                                 .refs = p->refs};
    if (p->decision)
        AM_TRY(am_gated_decide(db, &p->gated));
    return am_gated_move(db, &p->gated);
}

static json_t *result_json(const struct am_reporting *p, const char *reused_from)
{
    json_t *reports = p->uid[0] ? json_pack("[s]", p->uid) : json_array();
    json_t *decision =
        p->gated.uid[0] ? json_pack("{s:s,s:s}", "id", p->gated.uid, "verdict", p->gated.verdict) : json_null();
    return json_pack("{s:n,s:b,s:s?,s:n,s:O,s:o,s:o,s:n,s:{s:[],s:i},s:I,s:s?,s:O?,s:O?,s:o}", "version", "published",
                     p->uid[0] != 0, "detached_reason", p->gated.detached, "expires_at", "refs", p->refs, "reports",
                     reports, "decision", decision, "dataset", "state", "files", "rows", 0, "new_bytes",
                     (json_int_t)p->new_bytes, "reused_from", reused_from, "reproduced", p->reproduced, "reproduction",
                     p->reproduction, "measured", am_publisher_measured(p->in, p->write_bytes));
}

/* ---- a rerun ---- */

static bool is_silent(const struct am_reporting *p)
{
    return json_is_true(json_object_get(json_object_get(p->in->job->publish, "compare"), "silent"));
}

static int take_sha(void *ctx, const struct am_report_row *row)
{
    snprintf(ctx, 65, "%s", row->sha256);
    return 0;
}

static int compare(struct am_reporting *p, struct am_db *db)
{
    const json_t *with = json_object_get(p->in->job->publish, "compare");
    char sha[65] = "";
    const char *report = member(with, "report");
    json_decref(p->reproduced);
    json_decref(p->reproduction);
    p->reproduced = p->reproduction = NULL;
    if (!with)
        return 0;
    int rc = report ? am_report_get(db, report, take_sha, sha) : -AM_E_NOT_FOUND;
    if (rc < 0 && rc != -AM_E_NOT_FOUND)
        return rc;
    bool gone = rc == -AM_E_NOT_FOUND, same = am_streq(sha, p->body_file->sha256);
    p->reproduced = gone ? json_null() : json_boolean(same);
    p->reproduction =
        json_pack("{s:O?, s:{s:n, s:n}, s:s?, s:i, s:o, s:i, s:[], s:{s:O?, s:s?}, s:s?}", "job",
                  json_object_get(with, "job"), "version", "model", "commit", "report", report, "files", 1, "differ",
                  gone || same ? json_array() : json_pack("[s]", "report.json"), "differ_total", !gone && !same,
                  "left_out", "kernels", "then", json_object_get(with, "kernels"), "now", p->in->kernels, "reason",
                  gone ? "the report to compare with was deleted" : NULL);
    return p->reproduction ? 0 : -AM_E_OUT_OF_MEMORY;
}

static int write_all(struct am_db *db, void *arg)
{
    struct am_reporting *p = arg;
    p->now = am_now_ms();
    p->uid[0] = 0;
    AM_TRY(compare(p, db));
    if (!is_silent(p))
        AM_TRY(insert_report(p, db));
    return am_publisher_finish(db, p->in->job->uid, p->in->job, p->now, result_json(p, NULL));
}

/* ---- all of it ---- */

static int move_files(struct am_reporting *p)
{
    if (!p->slices)
        return 0;
    struct am_blob_move move[] = {
        {.staged = p->slices->staged, .sha256 = p->slices->sha256, .bytes = p->slices->bytes},
        {.staged = p->samples->staged, .sha256 = p->samples->sha256, .bytes = p->samples->bytes}};
    AM_TRY(am_blobs_publish(p->in->store, p->in->staging, move, 2, p->why, p->why_cap));
    for (size_t i = 0; i < 2; i++) {
        p->new_bytes += move[i].was_there ? 0 : move[i].bytes;
        p->write_bytes += move[i].bytes;
    }
    if (p->in->written)
        atomic_fetch_add(p->in->written, (uint64_t)p->write_bytes);
    return 0;
}

static int publish(struct am_reporting *p)
{
    AM_TRY(find_parts(p));
    AM_TRY(read_body(p));
    AM_TRY(read_decision(p));
    if (p->in->verify)
        AM_TRY(am_publisher_verify(p->in->store, p->in->staging, &p->result, p->why, p->why_cap));
    AM_TRY(am_publisher_warn(p->in->job, &p->result));
    if (!is_silent(p))
        AM_TRY(move_files(p));
    p->why[0] = 0;
    am_failpoint("publish.before_row");
    int rc = am_publisher_write(p->in->store, write_all, p);
    am_failpoint("publish.after_row");
    return rc;
}

static void done(struct am_reporting *p)
{
    free(p->text);
    json_decref(p->body);
    json_decref(p->decision);
    json_decref(p->reproduced);
    json_decref(p->reproduction);
    json_decref(p->refs);
    am_result_done(&p->result);
}

int am_publish_report(const struct am_publication *in, char *why, size_t why_cap)
{
    struct am_reporting p = {.folder = "", .in = in, .refs = json_array(), .why = why, .why_cap = why_cap};
    why[0] = 0;
    int rc = p.refs ? am_result_read(&p.result, in->staging, in->done, why, why_cap) : -AM_E_OUT_OF_MEMORY;
    if (rc == 0)
        rc = publish(&p);
    am_blobs_unpin(in->store, in->staging);
    done(&p);
    if (rc < 0 && !why[0])
        snprintf(why, why_cap, "the report could not be recorded: %s", am_err_title(rc));
    return rc == 0 || rc == -AM_E_DISK || rc == -AM_E_CONFLICT ? rc : -AM_E_PUBLISH;
}

int am_publish_same_report(struct am_db *db, const char *uid, const char *reused_from, const char *report)
{
    static const struct am_record_done nothing = {.cpu_seconds = -1, .peak_memory_bytes = -1};
    struct am_publication in = {.done = &nothing};
    struct am_reporting p = {.folder = "", .in = &in, .now = am_now_ms(), .refs = json_array()};
    snprintf(p.uid, sizeof p.uid, "%s", report);
    int rc = p.refs ? am_job_finish(db, uid, AM_RUNNING, p.now, NULL, NULL, NULL) : -AM_E_OUT_OF_MEMORY;
    if (rc == 0)
        rc = am_publisher_finish(db, uid, NULL, p.now, result_json(&p, reused_from));
    done(&p);
    return rc;
}

/* ---- of a job that makes a version ---- */

bool am_reporting_stores(const struct am_result_file *file)
{
    return !am_ends(file->path, "/report.json") && !am_ends(file->path, "/decision.json");
}

int am_reporting_read(struct am_reporting **ret, const struct am_publication *in, const struct am_result *result,
                      char *why, size_t why_cap)
{
    struct am_reporting *p = calloc(1, sizeof *p);
    if (!p)
        return -AM_E_OUT_OF_MEMORY;
    *p = (struct am_reporting){.in = in, .folder = AM_GATE_FOLDER, .result = *result, .why = why, .why_cap = why_cap};
    p->alone = json_is_null(json_object_get(json_object_get(in->job->resolved, "gate"), "old"));
    int rc = find_parts(p);
    if (rc == 0)
        rc = read_body(p);
    if (rc == 0)
        rc = read_decision(p);
    if (rc < 0)
        am_reporting_free(p);
    else
        *ret = p;
    return rc;
}

void am_reporting_free(struct am_reporting *p)
{
    if (!p)
        return;
    p->result = (struct am_result){0}; /* the caller's */
    done(p);
    free(p);
}

int am_reporting_begin(struct am_reporting *p, struct am_db *db, int64_t now, struct am_gated *ret)
{
    struct am_gated g = {.job = p->in->job, .decision = p->decision, .now = now};
    p->now = now;
    p->uid[0] = 0;
    AM_TRY(find_side(p, db, 0, &g.old_version));
    snprintf(g.verdict, sizeof g.verdict, "%s", member(p->decision, "verdict"));
    g.old = p->alone ? "nothing" : member(p->body, "old");
    *ret = g;
    return 0;
}

int am_reporting_write(struct am_reporting *p, struct am_db *db, int64_t version, const char *commit,
                       struct am_gated *g)
{
    const int64_t sides[2] = {g->old_version, version};
    if (!p->alone)
        AM_TRY(insert_row(p, db, sides, commit));
    g->new_version = version;
    g->new = commit;
    g->report = p->alone ? NULL : p->uid;
    return am_gated_decide(db, g);
}

int am_reporting_compare(struct am_reporting *p, struct am_db *db, const json_t *with, json_t **reproduced,
                         json_t *reproduction)
{
    char sha[65] = "";
    const char *report = member(with, "report");
    if (!report || p->alone)
        return 0;
    int rc = am_report_get(db, report, take_sha, sha);
    if (rc < 0 && rc != -AM_E_NOT_FOUND)
        return rc;
    json_object_set_new(reproduction, "report", json_string(report));
    if (am_streq(sha, p->body_file->sha256))
        return 0;
    json_array_append_new(json_object_get(reproduction, "differ"), json_string(p->body_file->path));
    json_int_t total = json_integer_value(json_object_get(reproduction, "differ_total"));
    json_object_set_new(reproduction, "differ_total", json_integer(total + 1));
    if (json_is_true(*reproduced)) {
        json_decref(*reproduced);
        *reproduced = json_false();
    }
    return 0;
}
