/*
 * submit.c - POST /v1/jobs: check the body, pin every input to a commit, plan from the tensor tables, and only then
 * make the job durable. Everything that can be known now is refused now, all reasons at once. The 202 goes out after
 * the commit.
 */
#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/table/body.h"
#include "core/table/canon.h"
#include "core/table/plan.h"
#include "server/api/api.h"
#include "server/reply.h"
#include "server/space.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

struct pinned {
    char *model, *rev;
    char commit[41], manifest[65], architecture[128], label[420];
    int64_t version;
};

struct submit {
    struct am_req *r;
    struct am_db *db;
    struct am_body body;
    struct pinned *in;
    struct am_plan plan;
    struct am_faults faults;
    char head[41]; /* of the branch published to; empty when there is none */
    const char *to_model;
    unsigned threads;
};

static int take_version(void *ctx, const struct am_version_row *v)
{
    struct pinned *p = ctx;
    snprintf(p->commit, sizeof p->commit, "%s", v->commit);
    snprintf(p->manifest, sizeof p->manifest, "%s", v->manifest_sha256);
    snprintf(p->architecture, sizeof p->architecture, "%s", v->architecture ? v->architecture : "");
    if (v->number >= 0)
        snprintf(p->label, sizeof p->label, "%s@v%lld", v->model_name, (long long)v->number);
    else
        snprintf(p->label, sizeof p->label, "%s@%.12s", v->model_name, v->commit);
    return 0;
}

struct near {
    char text[100][200];
    const char *v[100];
    size_t n;
};

static int keep_name(struct near *k, const char *name)
{
    if (k->n < 100) {
        snprintf(k->text[k->n], sizeof k->text[0], "%s", name);
        k->v[k->n] = k->text[k->n];
        k->n++;
    }
    return 0;
}

static int keep_model(void *ctx, const struct am_model_row *m)
{
    return keep_name(ctx, m->name);
}

static int keep_rev(void *ctx, const char *name)
{
    return keep_name(ctx, name);
}

/* A fault for a reference that names nothing, with the nearest thing that exists. */
static void fault_unknown(struct submit *s, const struct am_body_input *in, const struct pinned *p, int rc)
{
    struct near *k = calloc(1, sizeof *k);
    struct am_where where = {.pointer = in->pointer, .reason = "ref-unknown"};
    if (!k)
        return;
    bool no_model = rc == -AM_E_NOT_FOUND;
    if (no_model)
        am_model_list(s->db, NULL, 100, NULL, keep_model, k);
    else
        am_rev_names(s->db, p->model, keep_rev, k);
    const char *near = am_nearest(no_model ? p->model : p->rev, k->v, k->n);
    if (no_model)
        am_fault_add(&s->faults, AM_E_NOT_FOUND, where, "no model %s in this store%s%s%s", p->model,
                     near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    else
        am_fault_add(&s->faults, AM_E_REVISION_NOT_FOUND, where, "%s has no revision %s%s%s%s", p->model, p->rev,
                     near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    free(k);
}

/* Names to commits, for every input that could be read. */
static int pin_inputs(struct submit *s)
{
    s->in = calloc(s->body.inputs ? s->body.inputs : 1, sizeof *s->in);
    if (!s->in)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < s->body.inputs; i++) {
        struct pinned *p = &s->in[i];
        const char *why;
        if (!s->body.input[i].ref || am_ref_split(s->body.input[i].ref, &p->model, &p->rev, &why) < 0)
            continue; /* the body check has said so */
        int rc = am_rev_resolve(s->db, p->model, p->rev, &p->version, NULL);
        if (rc == 0)
            rc = am_version_get(s->db, p->version, take_version, p);
        if (rc == -AM_E_NOT_FOUND || rc == -AM_E_REVISION_NOT_FOUND)
            fault_unknown(s, &s->body.input[i], p, rc);
        else if (rc < 0)
            return rc;
    }
    return 0;
}

static int next_tensor(void *cursor, struct am_plan_tensor *ret)
{
    struct am_tensor_row t;
    int rc = am_tensor_next(cursor, &t);
    if (rc == 1)
        *ret = (struct am_plan_tensor){.name = t.name, .dtype = t.dtype, .shape = t.shape, .bytes = (uint64_t)t.bytes};
    return rc;
}

static void check_architectures(struct submit *s)
{
    const struct pinned *donor = &s->in[s->body.donor];
    for (size_t i = 0; i < s->body.inputs; i++)
        if (donor->architecture[0] && s->in[i].architecture[0] &&
            strcmp(donor->architecture, s->in[i].architecture) != 0)
            am_fault_add(&s->faults, AM_E_ARCHITECTURE,
                         (struct am_where){.pointer = s->body.input[i].pointer, .reason = "architecture"},
                         "inputs differ: %s is %s and %s is %s", donor->label, donor->architecture, s->in[i].label,
                         s->in[i].architecture);
}

/* From the tensor tables alone; each input that could be pinned is a cursor over its own table. */
static int make_plan(struct submit *s)
{
    struct am_plan_input *in = calloc(s->body.inputs, sizeof *in);
    size_t n = 0, donor = 0;
    int rc = in ? 0 : -AM_E_OUT_OF_MEMORY;
    check_architectures(s);
    for (size_t i = 0; i < s->body.inputs && rc == 0; i++) {
        if (s->in[i].version == 0)
            continue;
        if (i == s->body.donor)
            donor = n;
        in[n] = (struct am_plan_input){.next = next_tensor,
                                       .cursor = am_tensor_open(s->db, s->in[i].version),
                                       .label = s->in[i].label,
                                       .pointer = s->body.input[i].pointer};
        rc = in[n++].cursor ? 0 : -AM_E_INTERNAL;
    }
    if (rc == 0)
        rc = am_plan_make(&s->plan, &s->body, in, n, donor, s->threads, &s->faults);
    for (size_t i = 0; i < n; i++)
        am_tensor_close(in[i].cursor);
    free(in);
    return rc < 0 && s->faults.n == 0 ? rc : 0;
}

static void check_room(struct submit *s)
{
    const struct am_config *cfg = s->r->srv->cfg;
    struct am_space space;
    if (s->plan.peak_memory_bytes > cfg->workers_memory_max)
        am_fault_add(&s->faults, AM_E_MEMORY, (struct am_where){.pointer = "#/options/threads", .reason = "memory"},
                     "needs %llu bytes, a job may use %llu (workers.memory_max); fewer threads need less",
                     (unsigned long long)s->plan.peak_memory_bytes, (unsigned long long)cfg->workers_memory_max);
    if (am_space(s->r->srv, &space) == 0 && space.free < space.min_free + s->plan.disk_bytes)
        am_fault_add(&s->faults, AM_E_DISK, (struct am_where){.pointer = "", .reason = "disk"},
                     "needs %llu bytes, %llu are free and store.min_free keeps %llu; make room, then try again",
                     (unsigned long long)s->plan.disk_bytes, (unsigned long long)space.free,
                     (unsigned long long)space.min_free);
}

static int take_head(void *ctx, const struct am_ref_row *ref)
{
    struct submit *s = ctx;
    if (am_streq(ref->name, s->body.branch) && am_streq(ref->kind, "branch"))
        snprintf(s->head, sizeof s->head, "%s", ref->commit);
    else if (am_streq(ref->name, s->body.branch))
        am_fault_add(&s->faults, AM_E_CONFLICT, (struct am_where){.pointer = "#/publish/branch"},
                     "%s is a %s of %s, not a branch", ref->name, ref->kind, s->to_model);
    json_t *tag;
    size_t i;
    json_array_foreach(s->body.tags, i, tag)
    {
        if (am_streq(ref->name, json_string_value(tag)))
            am_fault_add(&s->faults, AM_E_CONFLICT, (struct am_where){.pointer = "#/publish/tags"},
                         "%s has a %s called %s already", s->to_model, ref->kind, ref->name);
    }
    return 0;
}

static int check_target(struct submit *s)
{
    s->to_model = s->body.publish_model ? s->body.publish_model : s->in[s->body.donor].model;
    int rc = am_ref_list(s->db, s->to_model, take_head, s);
    if (rc < 0 && rc != -AM_E_NOT_FOUND)
        return rc;
    if (s->body.if_head && strcmp(s->body.if_head, s->head) != 0)
        am_fault_add(&s->faults, AM_E_PRECONDITION_FAILED, (struct am_where){.pointer = "#/publish/if_head"},
                     "%s of %s is at %s", s->body.branch, s->to_model, s->head[0] ? s->head : "no commit");
    return 0;
}

static json_t *inputs_json(const struct submit *s, bool for_digest)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->body.inputs; i++) {
        const struct am_body_input *b = &s->body.input[i];
        json_t *o = json_pack("{s:s, s:s}", "role", b->role, "commit", s->in[i].commit);
        if (!for_digest) {
            json_object_set_new(o, "model", json_string(s->in[i].model));
            json_object_set_new(o, "rev", json_string(s->in[i].rev));
            json_object_set_new(o, "manifest_sha256", json_string(s->in[i].manifest));
        }
        if (b->params)
            json_object_set(o, "params", b->params);
        json_array_append_new(list, o);
    }
    return list;
}

/* SHA-256 of what determines the bytes: no names, no threads; the seed only where random numbers are drawn. */
static int digest(const struct submit *s, char out[65])
{
    json_t *random = json_object_get(json_object_get(s->body.row, "needs"), "random");
    json_t *o = json_pack("{s:s, s:s, s:o, s:O, s:O, s:O, s:s}", "type", s->body.type, "method", s->body.method,
                          "inputs", inputs_json(s, true), "params", s->body.params, "out_dtype",
                          json_object_get(s->body.options, "out_dtype"), "shard_bytes",
                          json_object_get(s->body.options, "shard_bytes"), "program", AM_VERSION);
    if (json_is_true(random))
        json_object_set(o, "seed", json_object_get(s->body.options, "seed"));
    int rc = o ? am_canon_sha256(o, out) : -AM_E_OUT_OF_MEMORY;
    json_decref(o);
    return rc;
}

static json_t *resolved_json(const struct submit *s, const char *spec_sha256)
{
    json_t *options = json_copy(s->body.options);
    json_object_set_new(options, "threads", json_integer(s->threads));
    return json_pack("{s:s, s:s, s:o, s:I, s:O, s:o, s:O, s:s, s:s, s:n, s:i, s:s}", "type", s->body.type, "method",
                     s->body.method, "inputs", inputs_json(s, false), "donor", (json_int_t)s->body.donor, "params",
                     s->body.params, "options", options, "seed", json_object_get(s->body.options, "seed"), "program",
                     "amendd " AM_VERSION, "kernels", "generic", "blas", "threads", (int)s->threads, "spec_sha256",
                     spec_sha256);
}

/* "task_arithmetic of digits/rot90@v1, digits/shifted@v1 on digits/base@v1" */
static void default_message(const struct submit *s, char *out, size_t cap)
{
    const char *glue = " of ", *base = NULL;
    size_t n = (size_t)snprintf(out, cap, "%s", s->body.method);
    for (size_t i = 0; i < s->body.inputs; i++) {
        if (am_streq(s->body.input[i].role, "base")) {
            base = s->in[i].label;
            continue;
        }
        if (n < cap)
            n += (size_t)snprintf(out + n, cap - n, "%s%s", glue, s->in[i].label);
        glue = ", ";
    }
    if (base && n < cap)
        snprintf(out + n, cap - n, " on %s", base);
}

static json_t *publish_json(const struct submit *s)
{
    char message[600];
    default_message(s, message, sizeof message);
    return json_pack("{s:s, s:s, s:s, s:O, s:s, s:s?, s:s?}", "model", s->to_model, "branch", s->body.branch, "message",
                     s->body.message ? s->body.message : message, "tags", s->body.tags, "on_conflict",
                     s->body.on_conflict, "if_head", s->body.if_head, "head", s->head[0] ? s->head : NULL);
}

static json_t *plan_json(const struct submit *s)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "tensors", (json_int_t)s->plan.tensors, "read_bytes",
                     (json_int_t)s->plan.read_bytes, "write_bytes", (json_int_t)s->plan.write_bytes,
                     "peak_memory_bytes", (json_int_t)s->plan.peak_memory_bytes, "disk_bytes",
                     (json_int_t)s->plan.disk_bytes);
}

static int insert(struct am_db *db, void *arg)
{
    return am_job_insert(db, arg);
}

static char *dump(json_t *stolen)
{
    char *text = stolen ? json_dumps(stolen, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(stolen);
    return text;
}

static int insert_job(struct submit *s, char uid[64])
{
    char spec_sha256[65];
    AM_TRY(digest(s, spec_sha256));
    char *text[5] = {json_dumps(s->r->json, JSON_COMPACT | JSON_REAL_PRECISION(17)),
                     dump(resolved_json(s, spec_sha256)), dump(plan_json(s)), dump(json_copy(s->body.metadata)),
                     dump(publish_json(s))};
    int rc = 0;
    for (size_t i = 0; i < 5; i++)
        rc = text[i] ? rc : -AM_E_OUT_OF_MEMORY;
    int64_t now = am_now_ms();
    am_id_new("job_", now, uid);
    struct am_job_new job = {.uid = uid,
                             .type = s->body.type,
                             .method = s->body.method,
                             .created_by = "local",
                             .spec = text[0],
                             .resolved = text[1],
                             .plan = text[2],
                             .metadata = text[3],
                             .publish = text[4],
                             .warnings = "[]",
                             .spec_sha256 = spec_sha256,
                             .priority = s->body.priority,
                             .now = now,
                             .queue_limit = (int64_t)s->r->srv->cfg->queue_max};
    if (rc == 0)
        rc = am_store_write(s->r->srv->store, insert, &job);
    for (size_t i = 0; i < 5; i++)
        free(text[i]);
    return rc;
}

static int reply_accepted(struct am_req *r, struct am_db *db, const char *uid)
{
    char location[100];
    snprintf(location, sizeof location, "/v1/jobs/%s", uid);
    const char *headers[] = {"Location", location, "Retry-After", "2", NULL};
    json_t *job = am_job_load(r, db, uid, NULL);
    return job ? am_reply_json(r, 202, job, headers)
               : am_reply_problem(r, AM_E_INTERNAL, "the job %s was stored and cannot be read back", uid);
}

static void submit_done(struct submit *s)
{
    for (size_t i = 0; s->in && i < s->body.inputs; i++) {
        free(s->in[i].model);
        free(s->in[i].rev);
    }
    free(s->in);
    am_body_done(&s->body);
    am_faults_done(&s->faults);
}

/* Everything up to the durable row. 0, an error of a room, or faults in s->faults: those of the body, of names and of
 * tensors together. */
static int prepare(struct submit *s)
{
    int rc = am_body_check(&s->body, s->r->json, &s->r->srv->table, &s->faults);
    if (rc < 0 && s->faults.n == 0)
        return rc;
    int64_t asked = json_integer_value(json_object_get(s->body.options, "threads"));
    s->threads = asked > 0 ? (unsigned)asked : (unsigned)s->r->srv->cfg->workers_threads;
    AM_TRY(pin_inputs(s));
    if (s->body.row && s->body.inputs > 0 && s->in[s->body.donor].version > 0)
        AM_TRY(make_plan(s));
    if (s->faults.n)
        return 0;
    AM_TRY(check_target(s));
    check_room(s);
    return 0;
}

int am_api_job_submit(struct am_req *r)
{
    int queued = MHD_NO;
    char uid[64];
    struct submit s = {.r = r, .db = am_reader(r, &queued)};
    if (!s.db)
        return queued;
    int rc = prepare(&s);
    if (rc == 0 && s.faults.n)
        queued = am_reply_faults(r, &s.faults);
    else if (rc < 0 || (rc = insert_job(&s, uid)) < 0)
        queued = rc == -AM_E_QUEUE_FULL
                     ? am_reply_problem(r, AM_E_QUEUE_FULL, "the queue holds limits.queue entries; try again later")
                     : am_reply_error(r, rc, "the job could not be stored");
    else {
        am_engine_wake(r->srv->engine);
        queued = reply_accepted(r, s.db, uid);
    }
    submit_done(&s);
    return queued;
}
