/*
 * recipe.c - what a job without faults is, as JSON (submit.h): the recipe with its hash, where the result goes, and the
 * numbers of the plan.
 */
#include "core/base/text.h"
#include "core/table/canon.h"
#include "core/table/json_util.h"
#include "server/api/evaluate.h"
#include "server/api/submit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static json_t *inputs_json(const struct am_submit *s, bool for_digest)
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
        if (am_streq(b->role, "adapter"))
            json_object_set_new(o, "of", json_integer((json_int_t)b->of));
        if (b->to)
            json_object_set_new(o, "layers", json_pack("[I,I]", (json_int_t)b->from, (json_int_t)b->to));
        if (b->use && !am_streq(b->use, "all"))
            json_object_set_new(o, "use", json_string(b->use));
        if (b->modules)
            json_object_set(o, "modules", b->modules);
        json_array_append_new(list, o);
    }
    return list;
}

/* Methods that compute whole matrices do it over a BLAS, and their bytes depend on it. */
static bool over_blas(const struct am_submit *s)
{
    return am_streq(am_row_need(s->body.row, "unit"), "tensor");
}

/* SHA-256 of what determines the bytes: no names, no threads; the seed only where random numbers are drawn, kernels and
 * BLAS only where they matter. */
int am_submit_digest(struct am_submit *s)
{
    if (am_submit_evaluates(s))
        return am_evaluate_digest(s);
    json_t *random = json_object_get(json_object_get(s->body.row, "needs"), "random");
    json_t *o = json_pack("{s:s, s:s, s:o, s:O, s:O, s:O, s:s}", "type", s->body.type, "method", s->body.method,
                          "inputs", inputs_json(s, true), "params", s->body.params, "out_dtype",
                          json_object_get(s->body.options, "out_dtype"), "shard_bytes",
                          json_object_get(s->body.options, "shard_bytes"), "program", AM_VERSION);
    json_t *after = json_object_get(s->body.options, "post_layers_t");
    if (o && s->body.mergekit_config) /* a file of the version */
        json_object_set_new(o, "mergekit_config", json_string(s->body.mergekit_config));
    if (o && after)
        json_object_set(o, "post_layers_t", after);
    json_object_update_new(o, json_pack("{s:O*, s:O*}", "missing", json_object_get(s->body.options, "missing"), "extra",
                                        json_object_get(s->body.options, "extra")));
    static const char *const tokens[] = {"tokenizer", "chat_template"};
    for (size_t i = 0; o && i < 2; i++)
        if (json_object_get(s->body.options, tokens[i]))
            json_object_set(o, tokens[i], json_object_get(s->body.options, tokens[i]));
    if (o && s->plan.cut)
        json_object_set_new(o, "vocab", json_string("truncate"));
    if (json_is_true(random))
        json_object_set(o, "seed", json_object_get(s->body.options, "seed"));
    if (o && over_blas(s)) {
        json_object_set_new(o, "kernels", json_string(s->r->srv->kernels));
        json_object_set_new(o, "blas", json_string(s->r->srv->blas));
    }
    int rc = o ? am_canon_sha256(o, s->spec_sha256) : -AM_E_OUT_OF_MEMORY;
    json_decref(o);
    return rc;
}

json_t *am_submit_resolved(const struct am_submit *s)
{
    if (am_submit_evaluates(s))
        return am_evaluate_resolved(s);
    json_t *options = json_copy(s->body.options);
    json_object_set_new(options, "threads", json_integer(s->threads));
    if (!s->plan.cut) /* there was nothing to cut: the job is the same without */
        json_object_del(options, "vocab");
    return json_pack("{s:s, s:s, s:o, s:I, s:O, s:o, s:O, s:s, s:s?, s:s?, s:i, s:s, s:s*, s:O*}", "type", s->body.type,
                     "method", s->body.method, "inputs", inputs_json(s, false), "donor", (json_int_t)s->body.donor,
                     "params", s->body.params, "options", options, "seed", json_object_get(s->body.options, "seed"),
                     "program", "amendd " AM_VERSION, "kernels", s->r->srv->kernels[0] ? s->r->srv->kernels : NULL,
                     "blas", over_blas(s) && s->r->srv->blas[0] ? s->r->srv->blas : NULL, "threads", (int)s->threads,
                     "spec_sha256", s->spec_sha256, "mergekit_config", s->body.mergekit_config, "gate", s->gate);
}

/* "task_arithmetic of digits/rot90@v1, digits/shifted@v1 on digits/base@v1", "port of digits/rot90@v1 since
   digits/base@v1 on digits/base@v2" */
static void default_message(const struct am_submit *s, char *out, size_t cap)
{
    const char *glue = " of ", *base = NULL;
    size_t n = (size_t)snprintf(out, cap, "%s", s->body.method);
    for (size_t i = 0; i < s->body.inputs; i++) {
        if (am_streq(s->body.input[i].role, "base")) {
            base = s->in[i].label;
            continue;
        }
        bool old_base = am_streq(s->body.input[i].role, "old_base");
        if (am_streq(s->body.input[i].role, "part") || am_streq(s->body.input[i].role, "adapter"))
            continue;
        if (n < cap)
            n += (size_t)snprintf(out + n, cap - n, "%s%s", old_base ? " since " : glue, s->in[i].label);
        if (n < cap && s->body.input[i].adapter)
            n += (size_t)snprintf(out + n, cap - n, "+%s", s->in[s->body.input[i].adapter].label);
        glue = ", ";
    }
    if (base && n < cap)
        snprintf(out + n, cap - n, " on %s", base);
}

/* What the result is held to: server/publisher_compare.c reads it. */
static json_t *compare_json(const struct am_submit *s)
{
    const struct am_made *m = &s->original;
    const char *anywhere = json_string_value(json_object_get(json_object_get(s->body.row, "needs"), "deterministic"));
    const char *blas = json_string_value(json_object_get(m->resolved, "blas"));
    return json_pack("{s:s, s:s, s:s, s:s?, s:s?, s:b, s:b, s:s*}", "job", m->uid, "model", m->model, "commit",
                     m->commit, "kernels", m->kernels[0] ? m->kernels : NULL, "program",
                     m->program[0] ? m->program : NULL, "any_kernels", am_streq(anywhere, "any threads, any kernels"),
                     "other_blas", blas && !am_streq(blas, s->r->srv->blas), "report",
                     m->gate_report[0] ? m->gate_report : NULL);
}

json_t *am_submit_publish(const struct am_submit *s)
{
    char message[600];
    if (am_submit_evaluates(s))
        return am_evaluate_publish(s);
    default_message(s, message, sizeof message);
    if (s->silent)
        return json_pack("{s:n, s:s, s:o}", "model", "card", s->to_model, "compare", compare_json(s));
    json_t *o = json_pack("{s:s, s:s, s:s, s:O, s:s, s:s?, s:s?, s:O}", "model", s->to_model, "branch", s->body.branch,
                          "message", s->body.message ? s->body.message : message, "tags", s->body.tags, "on_conflict",
                          s->body.on_conflict, "if_head", s->body.if_head, "head", s->head[0] ? s->head : NULL, "move",
                          s->body.move);
    if (o && s->original.uid[0])
        json_object_set_new(o, "compare", compare_json(s));
    return o;
}

static json_t *count(const struct am_submit *s, uint64_t n)
{
    return s->planned ? json_integer((json_int_t)n) : json_null();
}

/* The weight files of the result, and their dtype when the computed tensors have one. */
static json_t *output_json(const struct am_plan *p)
{
    json_t *files = json_array();
    for (size_t i = 0; i < p->files; i++)
        json_array_append_new(files,
                              json_pack("{s:s, s:I}", "path", p->file[i].path, "bytes", (json_int_t)p->file[i].bytes));
    return json_pack("{s:o, s:s?}", "files", files, "dtype", p->dtype);
}

json_t *am_submit_plan(const struct am_submit *s)
{
    const struct am_plan *p = &s->plan;
    double seconds = s->planned ? ceil(am_plan_seconds(p)) : 0;
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "tensors", count(s, p->tensors), "read_bytes",
                     count(s, p->read_bytes), "write_bytes", count(s, p->write_bytes), "shared_bytes",
                     count(s, p->shared_bytes), "peak_memory_bytes", count(s, p->peak_memory_bytes), "disk_bytes",
                     count(s, p->disk_bytes), "seconds_estimate", count(s, seconds < 1e15 ? (uint64_t)seconds : 0),
                     "output", s->planned && !am_submit_evaluates(s) ? output_json(p) : json_null());
}
