/*
 * continual.c - see continual.h. A cell of the matrix is the newest set of a version on a task, or the one that the
 * body names; one that is missing stays missing.
 */
#include "server/api/continual.h"

#include "core/base/text.h"
#include "core/table/plan_compare.h"
#include "server/api/api.h"
#include "storage/line.h"
#include "storage/predictions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool am_submit_continues(const struct am_submit *s)
{
    return am_streq(s->body.method, "continual");
}

void am_continual_done(struct am_submit *s)
{
    struct am_line_sets *l = s->line;
    for (size_t i = 0; l && i < l->n; i++)
        free(l->version[i].version);
    for (size_t i = 0; l && l->side && i < l->n * l->n; i++)
        am_side_done(&l->side[i]);
    if (l)
        free(l->side);
    free(l);
    s->line = NULL;
}

/* ---- the versions ---- */

static int take_brief(void *ctx, const struct am_version_row *v)
{
    struct am_line_version *ret = ctx;
    free(ret->version);
    if (asprintf(&ret->version, "%s@%s", v->model_name, v->commit) < 0)
        ret->version = NULL;
    if (v->number >= 0)
        snprintf(ret->label, sizeof ret->label, "%s@v%lld", v->model_name, (long long)v->number);
    else
        snprintf(ret->label, sizeof ret->label, "%s@%.12s", v->model_name, v->commit);
    return ret->version ? 0 : -AM_E_OUT_OF_MEMORY;
}

struct walk {
    int64_t row[AM_LINE_VERSIONS];
    size_t n;
};

static int take_row(void *ctx, int64_t version)
{
    struct walk *w = ctx;
    w->row[w->n++] = version;
    return 0;
}

/* The newest of a branch, as many as there are tasks, oldest first. */
static int walk_branch(struct am_submit *s, size_t tasks)
{
    const char *model = json_string_value(json_object_get(s->body.line, "model")),
               *branch = json_string_value(json_object_get(s->body.line, "branch"));
    struct walk w = {.n = 0};
    int64_t head = 0;
    int rc = am_rev_resolve(s->db, model, branch, &head, NULL);
    if (rc == -AM_E_NOT_FOUND || rc == -AM_E_REVISION_NOT_FOUND) {
        am_fault_add(&s->faults, -rc, (struct am_where){.pointer = "#/inputs/model", .reason = "ref-unknown"},
                     "there is no branch %.100s of a model %.200s here", branch, model);
        return 0;
    }
    AM_TRY(rc);
    AM_TRY(am_line_walk(s->db, head, (int)tasks, take_row, &w));
    if (w.n < tasks)
        am_fault_add(&s->faults, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/inputs/tasks"},
                     "%s of %.200s has %zu versions and there are %zu tasks: one was learned with each version", branch,
                     model, w.n, tasks);
    for (size_t i = 0; w.n == tasks && i < tasks; i++)
        s->line->version[i].row = w.row[tasks - 1 - i];
    return 0;
}

static int find_versions(struct am_submit *s, size_t tasks)
{
    if (s->body.line)
        AM_TRY(walk_branch(s, tasks));
    for (size_t i = 0; !s->body.line && i < s->body.inputs && i < tasks; i++)
        s->line->version[i].row = s->in[i].version;
    for (size_t i = 0; i < tasks; i++) {
        struct am_line_version *v = &s->line->version[i];
        if (!v->row)
            continue;
        AM_TRY(am_version_brief(s->db, v->row, take_brief, v));
        AM_TRY(am_line_growth(s->db, v->row, &v->memory));
    }
    return 0;
}

/* ---- the sets ---- */

static int find_named(struct am_submit *s, size_t task, size_t version, const char *uid)
{
    struct am_side *side = &s->line->side[task * s->line->n + version];
    const struct am_line_version *v = &s->line->version[version];
    char at[80];
    snprintf(at, sizeof at, "#/inputs/tasks/%zu/predictions/%zu", task, version);
    int rc = am_side_get(s->db, uid, side);
    if (rc == -AM_E_NOT_FOUND)
        am_fault_add(&s->faults, AM_E_NOT_FOUND, (struct am_where){.pointer = at},
                     "no prediction set %s; GET /v1/predictions lists what is here", uid);
    else if (rc == 0 && v->version && !am_streq(side->version, v->version))
        am_fault_add(&s->faults, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at},
                     "%s is what %s says, and this place of the line is %s", uid,
                     side->version ? side->version : side->external, v->label);
    return rc == -AM_E_NOT_FOUND ? 0 : rc;
}

/* All sets of a task are over the same samples: the first that is there is what the others are held to. */
static void check_task(struct am_submit *s, size_t task, const char *name)
{
    const struct am_side *first = NULL, *side = &s->line->side[task * s->line->n];
    char at[80];
    snprintf(at, sizeof at, "#/inputs/tasks/%zu", task);
    for (size_t i = 0; i < s->line->n; i++) {
        if (!side[i].uid[0])
            continue;
        if (!first)
            first = &side[i];
        else if (!am_streq(first->ids, side[i].ids) || first->rows != side[i].rows)
            am_fault_add(&s->faults, AM_E_DATASET_MISMATCH, (struct am_where){.pointer = at, .reason = "ids"},
                         "the sets of %s are not over the same samples: %s has %lld lines, %s has %lld%s; upload what "
                         "every version says about the same ones",
                         name, first->uid, (long long)first->rows, side[i].uid, (long long)side[i].rows,
                         first->rows == side[i].rows ? ", with other ids" : "");
    }
}

static int find_sets(struct am_submit *s)
{
    json_t *task;
    size_t j, found = 0;
    json_array_foreach(s->body.tasks, j, task)
    {
        const char *name = json_string_value(json_object_get(task, "name"));
        const json_t *sets = json_object_get(task, "predictions");
        for (size_t i = 0; i < s->line->n; i++) {
            struct am_side *side = &s->line->side[j * s->line->n + i];
            const char *uid = json_string_value(json_array_get(sets, i));
            if (uid)
                AM_TRY(find_named(s, j, i, uid));
            else if (!json_is_array(sets) && s->line->version[i].row)
                AM_TRY(am_side_newest(s->db, s->line->version[i].row, NULL, name, side));
            found += side->uid[0] != 0;
        }
        check_task(s, j, name);
    }
    if (!found && s->faults.n == 0)
        am_fault_add(&s->faults, AM_E_PREDICTIONS_MISSING,
                     (struct am_where){.pointer = "#/inputs/tasks", .reason = "predictions"},
                     "no version of the line has predictions on any of the tasks, and amend makes none by itself: "
                     "upload them with POST /v1/predictions, then submit again");
    return 0;
}

static void check_recipe(struct am_submit *s)
{
    const json_t *in = json_object_get(s->r->json, "inputs");
    size_t n = s->line->n;
    for (size_t k = 0; s->from_recipe && k < n * n; k++) {
        const json_t *task = json_array_get(in, n + k / n);
        const char *packed = json_string_value(json_array_get(json_object_get(task, "packed_sha256"), k % n));
        if (packed && s->line->side[k].uid[0] && !am_streq(packed, s->line->side[k].packed))
            am_fault_add(&s->faults, AM_E_CONFLICT, (struct am_where){.pointer = "#/inputs"},
                         "%s has other contents than the recipe says", s->line->side[k].uid);
    }
}

/* ---- the plan ---- */

static void plan(struct am_submit *s)
{
    struct am_plan *p = &s->plan;
    struct am_line_size size = {.tasks = s->line->n,
                                .threads = s->threads,
                                .replicates =
                                    (uint64_t)json_integer_value(json_object_get(s->body.params, "bootstrap"))};
    p->read_bytes = 0;
    for (size_t j = 0; j < s->line->n; j++) {
        const struct am_side *side = &s->line->side[j * s->line->n], *first = NULL;
        for (size_t i = 0; i < s->line->n; i++) {
            if (!side[i].uid[0])
                continue;
            p->read_bytes += (uint64_t)side[i].packed_bytes + (first ? 0 : (uint64_t)side[i].ids_bytes);
            if (!first)
                first = &side[i];
            if ((uint64_t)side[i].packed_bytes > size.longest)
                size.longest = (uint64_t)side[i].packed_bytes;
        }
        size.kept_bytes += first ? (uint64_t)(first->packed_bytes + first->ids_bytes) : 0;
        size.rows += first ? (uint64_t)first->rows : 0;
    }
    p->write_bytes = p->disk_bytes = (uint64_t)4 << 20;
    p->peak_memory_bytes = am_line_memory(&size);
    s->planned = true;
}

int am_continual_look_up(struct am_submit *s)
{
    size_t tasks = json_array_size(s->body.tasks);
    if (tasks < 1 || tasks > AM_LINE_VERSIONS || (!s->body.line && s->body.inputs != tasks))
        return 0; /* there is a fault already */
    s->line = calloc(1, sizeof *s->line);
    if (!s->line || !(s->line->side = calloc(tasks * tasks, sizeof *s->line->side)))
        return -AM_E_OUT_OF_MEMORY;
    s->line->n = tasks;
    AM_TRY(find_versions(s, tasks));
    AM_TRY(find_sets(s));
    check_recipe(s);
    if (s->faults.n == 0)
        plan(s);
    return 0;
}

/* ---- as JSON ---- */

static json_t *task_json(const struct am_submit *s, size_t task, bool for_digest)
{
    const struct am_side *side = &s->line->side[task * s->line->n];
    const json_t *of = json_array_get(s->body.tasks, task);
    json_t *uids = json_array(), *packed = json_array(), *ids = json_array(), *headers = json_array();
    for (size_t i = 0; i < s->line->n; i++) {
        bool there = side[i].uid[0] != 0;
        json_array_append_new(uids, there ? json_string(side[i].uid) : json_null());
        json_array_append_new(packed, there ? json_string(side[i].packed) : json_null());
        json_array_append_new(ids, there ? json_string(side[i].ids) : json_null());
        if (for_digest)
            json_array_append_new(headers, there ? json_incref(side[i].header) : json_null());
    }
    json_t *o =
        json_pack("{s:s, s:O, s:O, s:o, s:o, s:o}", "role", "task", "dataset", json_object_get(of, "name"), "random",
                  json_object_get(of, "random"), "predictions", uids, "packed_sha256", packed, "ids_sha256", ids);
    if (for_digest)
        json_object_set(o, "headers", headers);
    json_decref(headers);
    return o;
}

json_t *am_continual_inputs(const struct am_submit *s, bool for_digest)
{
    json_t *list = json_array();
    for (size_t i = 0; s->line && i < s->line->n; i++)
        json_array_append_new(list,
                              json_pack("{s:s, s:s?, s:I}", "role", "version", "version", s->line->version[i].version,
                                        "memory_bytes", (json_int_t)s->line->version[i].memory));
    for (size_t j = 0; s->line && j < s->line->n; j++)
        json_array_append_new(list, task_json(s, j, for_digest));
    return list;
}
