/*
 * publisher_commit.c - the transaction of a publication: a row of steps over what publisher.c brought, each of which
 * may refuse. If the job was cancelled meanwhile, am_job_finish() refuses and all of it rolls back: whichever commits
 * first wins.
 */
#include "server/publisher_parts.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "server/json.h"
#include "server/publisher_compare.h"
#include "server/publisher_end.h"
#include "storage/damage.h"
#include "storage/life.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int am_publication_say(struct publication *p, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p->why, p->why_cap, fmt, ap);
    va_end(ap);
    return -code;
}

static const char *wish(const struct publication *p, const char *name)
{
    return json_string_value(json_object_get(p->in->job->publish, name));
}

bool am_publication_is_silent(const struct publication *p)
{
    return wish(p, "card") != NULL;
}

static int take_model_id(void *ctx, const struct am_model_row *row)
{
    ((struct publication *)ctx)->model = row->id;
    return 0;
}

static int make_model(struct publication *p)
{
    json_t *labels = json_object_get(p->in->job->publish, "labels");
    char *text = json_is_object(labels) ? json_dumps(labels, JSON_COMPACT | JSON_SORT_KEYS) : NULL, other[200] = "";
    struct am_model_new m = {.name = p->model_name,
                             .description = "",
                             .labels = text ? text : "{}",
                             .created_by = p->in->job->created_by,
                             .job = p->in->job->uid,
                             .now = p->now};
    int rc = am_model_create(p->db, &m, &p->model, other);
    free(text);
    if (rc == -AM_E_NAME_TAKEN)
        return am_publication_say(p, AM_E_NAME_TAKEN, "the model %s cannot be made: %s differs from it only in case",
                                  p->model_name, other);
    return rc;
}

static int find_model(struct publication *p)
{
    int rc = am_model_get(p->db, p->model_name, take_model_id, p);
    return rc == -AM_E_NOT_FOUND ? make_model(p) : rc;
}

static int take_head(void *ctx, const struct am_version_row *row)
{
    struct publication *p = ctx;
    snprintf(p->old_head, sizeof p->old_head, "%s", row->commit);
    p->number = row->number;
    return 0;
}

/* Only what the gate promotes gets to the branch and to tags. */
static int look_at_gate(struct publication *p)
{
    p->gated = (struct am_gated){.job = p->in->job, .now = p->now};
    if (!p->gate)
        return 0;
    AM_TRY(am_reporting_begin(p->gate, p->db, p->now, &p->gated));
    if (!am_streq(p->gated.verdict, "promote"))
        p->detached = "gate";
    return 0;
}

/* A protected branch asks for a decision of its own gate about exactly this step. Registering makes no decision. */
static int look_at_protection(struct publication *p)
{
    if (p->detached || am_claim_imports(p->in->job))
        return 0;
    int rc = am_gated_commit(p->db, &p->gated, p->model, p->branch);
    if (rc == 0)
        p->detached = "gate_stale";
    return rc < 0 ? rc : 0;
}

static int write_gate(struct publication *p)
{
    return p->gate ? am_reporting_write(p->gate, p->db, p->version, p->commit, &p->gated) : 0;
}

static bool is_refused(const struct publication *p)
{
    return am_streq(p->detached, "gate");
}

/* Decides whether the branch may move: its head must be the one that the job was submitted against (or if_head). */
static int look_at_branch(struct publication *p)
{
    const char *expected = wish(p, "if_head") ? wish(p, "if_head") : wish(p, "head"), *rule = wish(p, "on_conflict");
    AM_TRY(am_ref_target(p->db, p->model, p->branch, &p->head));
    if (p->head)
        AM_TRY(am_version_brief(p->db, p->head, take_head, p));
    /* a model made since the submit, or by this job, still stands at v0: nobody has put anything on it */
    bool empty = !p->head || p->number == 0;
    bool same = expected ? p->head && am_streq(expected, p->old_head) : empty;
    if (same || is_refused(p) || am_streq(rule, "append"))
        return 0;
    if (am_streq(rule, "fail"))
        return am_publication_say(p, AM_E_PRECONDITION_FAILED,
                                  "%s of %s is at %s and no longer at %s; nothing was published", p->branch,
                                  p->model_name, p->head ? p->old_head : "nothing", expected ? expected : "nothing");
    p->detached = "head_moved";
    return 0;
}

static int check_tags(struct publication *p)
{
    size_t i;
    json_t *tag;
    if (is_refused(p))
        return 0;
    json_array_foreach(json_object_get(p->in->job->publish, "tags"), i, tag)
    {
        int64_t target;
        if (!json_is_string(tag))
            return am_publication_say(p, AM_E_PUBLISH, "a tag of the job is no text");
        AM_TRY(am_ref_target(p->db, p->model, json_string_value(tag), &target));
        if (target)
            return am_publication_say(p, AM_E_CONFLICT,
                                      "%s has a ref %s already; nothing was published; submit again with another tag",
                                      p->model_name, json_string_value(tag));
    }
    return 0;
}

int am_publication_keep(void *ctx, const struct am_file_row *row)
{
    struct kept *k = ctx;
    snprintf(k->sha256, sizeof k->sha256, "%s", row->sha256);
    snprintf(k->git_sha1, sizeof k->git_sha1, "%s", row->git_sha1 ? row->git_sha1 : "");
    k->has_git = row->git_sha1 != NULL;
    k->weights = row->weights;
    k->bytes = row->bytes;
    k->layout = row->layout;
    return 0;
}

struct am_file_new am_publication_kept(const struct kept *k, const char *path)
{
    return (struct am_file_new){.path = path,
                                .sha256 = k->sha256,
                                .git_sha1 = k->has_git ? k->git_sha1 : NULL,
                                .bytes = k->bytes,
                                .weights = k->weights,
                                .layout = k->layout};
}

static int find_input(struct publication *p, const json_t *input, int64_t *ret)
{
    const char *model = json_string_value(json_object_get(input, "model"));
    const char *commit = json_string_value(json_object_get(input, "commit"));
    if (!model || !commit || am_rev_resolve(p->db, model, commit, ret, NULL) < 0)
        return am_publication_say(p, AM_E_PUBLISH, "the input %s@%s is no longer in the store", model ? model : "?",
                                  commit ? commit : "?");
    return 0;
}

static int list_files(struct publication *p)
{
    const struct am_result *r = &p->result;
    const json_t *resolved = p->in->job->resolved;
    int64_t donor = 0;
    p->file = calloc(r->files + r->keeps + 1, sizeof *p->file);
    p->kept = calloc(r->keeps + 1, sizeof *p->kept);
    if (!p->file || !p->kept)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < r->files; i++)
        if (!p->gate || !am_starts(r->file[i].path, AM_GATE_FOLDER))
            p->file[p->files++] = (struct am_file_new){.path = r->file[i].path,
                                                       .sha256 = r->file[i].sha256,
                                                       .git_sha1 = r->file[i].git_sha1,
                                                       .bytes = r->file[i].bytes,
                                                       .weights = r->file[i].weights,
                                                       .span = p->span ? p->span + r->file[i].first_span : NULL,
                                                       .spans = r->file[i].spans};
    if (r->keeps) {
        size_t at = (size_t)json_integer_value(json_object_get(resolved, "donor"));
        AM_TRY(find_input(p, json_array_get(json_object_get(resolved, "inputs"), at), &donor));
    }
    for (size_t i = 0; i < r->keeps; i++) {
        struct kept *k = &p->kept[i];
        if (am_file_get(p->db, donor, r->keep[i], am_publication_keep, k) < 0)
            return am_publication_say(p, AM_E_PUBLISH, "the worker kept %s, which its donor does not have", r->keep[i]);
        p->file[p->files++] = am_publication_kept(k, r->keep[i]);
    }
    return 0;
}

static double trust_in(const struct am_result *r, size_t input)
{
    for (size_t i = 0; i < r->metrics; i++)
        if (r->metric[i].input == (int64_t)input && am_streq(r->metric[i].name, "trust"))
            return r->metric[i].value;
    return NAN;
}

static int list_edges(struct publication *p)
{
    const json_t *inputs = json_object_get(p->in->job->resolved, "inputs"), *in;
    size_t i;
    if (p->as_it_is)
        return 0;
    p->edge = calloc(json_array_size(inputs) + 1, sizeof *p->edge);
    if (!p->edge)
        return -AM_E_OUT_OF_MEMORY;
    json_array_foreach(inputs, i, in)
    {
        struct am_edge_new e = {
            .role = json_string_value(json_object_get(in, "role")), .weight = NAN, .trust = trust_in(&p->result, i)};
        const json_t *weight = json_object_get(json_object_get(in, "params"), "weight");
        AM_TRY(find_input(p, in, &e.parent));
        if (!e.role)
            return am_publication_say(p, AM_E_PUBLISH, "an input of the job has no role");
        if (json_is_number(weight))
            e.weight = json_number_value(weight);
        p->edge[p->edges++] = e;
    }
    return 0;
}

static void make_message(struct publication *p)
{
    const struct am_claim *job = p->in->job;
    const char *given = wish(p, "message"), *path = json_string_value(json_object_get(job->resolved, "path"));
    const char *base = path ? strrchr(path, '/') : NULL;
    if (given && given[0])
        return;
    if (am_claim_imports(job))
        snprintf(p->message, sizeof p->message, "register %.400s", base && base[1] ? base + 1 : "files");
    else
        snprintf(p->message, sizeof p->message, "%s %s", job->type, job->method);
}

static int insert_version(struct publication *p)
{
    const struct am_claim *job = p->in->job;
    const struct am_result *r = &p->result;
    bool imports = am_claim_imports(job);
    if (p->as_it_is)
        return 0;
    make_message(p);
    char *warnings = json_dumps(job->warnings, JSON_COMPACT);
    if (!warnings)
        return -AM_E_OUT_OF_MEMORY;
    struct am_version_new v = {
        .model = p->model,
        .created_by = job->created_by,
        .message = p->message[0] ? p->message : wish(p, "message"),
        .job = job->uid,
        .type = imports ? NULL : job->type,
        .method = imports ? NULL : job->method,
        .recipe = imports ? NULL : job->resolved_text,
        .warnings = warnings,
        .architecture = p->architecture[0] ? p->architecture : r->architecture,
        .now = p->now,
        .branch = p->detached ? NULL : p->branch,
        .file = p->file,
        .files = p->files,
        .edge = p->edge,
        .edges = p->edges,
    };
    int rc = am_version_insert(p->db, &v, &p->version, p->commit);
    free(warnings);
    for (size_t i = 0; rc == 0 && i < r->files; i++)
        if (r->file[i].tensors)
            rc = am_tensors_insert(p->db, r->file[i].sha256, &r->tensor[r->file[i].first], r->file[i].tensors);
    return rc == 0 && p->in->reuse ? am_edges_trust(p->db, p->version, p->in->reuse) : rc;
}

/* What took the place of a damaged blob is whole. */
static int forget_damage(struct publication *p)
{
    bool was;
    for (size_t i = 0; i < p->moves; i++)
        if (p->move[i].broken)
            AM_TRY(am_damage_mark(p->db, &(struct am_damage){.sha256 = p->move[i].sha256}, p->now, &was));
    return 0;
}

static int take_number(void *ctx, const struct am_version_row *row)
{
    ((struct publication *)ctx)->number = row->number;
    return 0;
}

static int set_tags(struct publication *p, json_t *refs)
{
    size_t i;
    json_t *tag;
    if (is_refused(p))
        return 0;
    json_array_foreach(json_object_get(p->in->job->publish, "tags"), i, tag)
    {
        const char *name = json_string_value(tag);
        AM_TRY(am_ref_set(p->db, p->model, name, "tag", p->version, p->now, p->in->job->created_by,
                          "published by the job", p->in->job->uid));
        json_array_append_new(refs, json_pack("{s:s,s:n,s:s}", "ref", name, "from", "to", p->commit));
    }
    return 0;
}

/* The date is never a surprise. */
static int look_at_expiry(struct publication *p)
{
    char at[AM_TIME_TEXT], text[300];
    AM_TRY(am_version_expiry(p->db, p->version, p->in->unreferenced_days, &p->expires_at));
    if (!p->expires_at)
        return 0;
    am_time_text(p->expires_at, at);
    snprintf(text, sizeof text,
             "no ref names the version, so it is deleted at %s; pin it or point a ref at it to keep it", at);
    return am_claim_warn(p->in->job, "version-expires", text);
}

static json_t *result_json(const struct publication *p, json_t *refs)
{
    json_t *version = p->version ? json_pack("{s:s,s:s,s:o}", "model", p->model_name, "commit", p->commit, "number",
                                             am_json_count(p->number))
                                 : json_null();
    const struct am_gated *g = &p->gated;
    json_t *reports = g->report ? json_pack("[s]", g->report) : json_array();
    json_t *decision = g->uid[0] ? json_pack("{s:s,s:s}", "id", g->uid, "verdict", g->verdict) : json_null();
    return json_pack(
        "{s:o,s:b,s:s?,s:o,s:O,s:o,s:o,s:n,s:{s:[],s:i},s:I,s:s?,s:O?,s:O?,s:o}", "version", version, "published",
        p->version && !p->detached, "detached_reason", p->detached ? p->detached : p->gated.detached, "expires_at",
        am_json_time(p->expires_at), "refs", refs, "reports", reports, "decision", decision, "dataset", "state",
        "files", "rows", 0, "new_bytes", (json_int_t)p->new_bytes, "reused_from", p->in->reused_from, "reproduced",
        p->reproduced, "reproduction", p->reproduction, "measured", am_publisher_measured(p->in, p->write_bytes));
}

static int conclude(struct publication *p)
{
    json_auto_t *refs = json_array();
    if (p->version)
        AM_TRY(am_version_brief(p->db, p->version, take_number, p));
    if (p->version && !p->detached && !p->as_it_is)
        json_array_append_new(
            refs, json_pack("{s:s,s:s?,s:s}", "ref", p->branch, "from", p->head ? p->old_head : NULL, "to", p->commit));
    if (p->version) {
        AM_TRY(set_tags(p, refs));
        p->gated.new_version = p->version;
        p->gated.refs = refs;
        AM_TRY(am_gated_move(p->db, &p->gated));
        AM_TRY(look_at_expiry(p));
    }
    return am_publisher_finish(p->db, p->in->job->uid, p->in->job, p->now, result_json(p, refs));
}

static int compare(struct publication *p)
{
    const struct am_comparison c = {.with = json_object_get(p->in->job->publish, "compare"),
                                    .kernels = p->in->kernels,
                                    .file = p->file,
                                    .files = p->files};
    if (!c.with)
        return 0;
    AM_TRY(am_publisher_compare(p->db, &c, &p->reproduced, &p->reproduction));
    return p->gate ? am_reporting_compare(p->gate, p->db, c.with, &p->reproduced, p->reproduction) : 0;
}

static void forget(struct publication *p)
{
    free(p->file);
    for (size_t i = 0; p->kept && i < p->kepts; i++)
        free(p->kept[i].path);
    free(p->kept);
    free(p->edge);
    json_decref(p->reproduced);
    json_decref(p->reproduction);
    p->reproduced = p->reproduction = NULL;
    p->files = p->kepts = 0;
    p->as_it_is = false;
    p->file = NULL;
    p->kept = NULL;
    p->edge = NULL;
    p->edges = 0;
}

typedef int step(struct publication *p);

int am_publication_run(struct am_db *db, void *arg)
{
    static step *const publishing[] = {find_model, look_at_gate,  look_at_branch, look_at_protection,
                                       check_tags, list_files,    list_edges,     insert_version,
                                       write_gate, forget_damage, compare,        conclude,
                                       NULL};
    static step *const reusing[] = {find_model,           look_at_gate, look_at_branch, look_at_protection, check_tags,
                                    am_publication_reuse, list_edges,   insert_version, conclude,           NULL};
    static step *const comparing[] = {list_files, compare, conclude, NULL};
    struct publication *p = arg;
    p->db = db;
    p->now = am_now_ms();
    p->model_name = wish(p, "model");
    p->branch = wish(p, "branch") ? wish(p, "branch") : "main";
    p->detached = NULL;
    p->number = 0;
    p->version = 0;
    p->old_head[0] = 0;
    if (!p->model_name && !am_publication_is_silent(p))
        return am_publication_say(p, AM_E_PUBLISH, "the job does not say which model its result belongs to");
    int rc = 0;
    for (step *const *s = p->in->reuse                  ? reusing
                          : am_publication_is_silent(p) ? comparing
                                                        : publishing;
         rc == 0 && *s; s++)
        rc = (*s)(p);
    forget(p);
    return rc;
}

int am_publication_differs(struct publication *p, struct am_db *db)
{
    if (!json_object_get(p->in->job->publish, "compare"))
        return 0;
    p->db = db;
    int rc = list_files(p);
    if (rc == 0)
        rc = compare(p);
    bool differs = json_is_false(p->reproduced);
    forget(p);
    return rc < 0 ? rc : differs;
}
