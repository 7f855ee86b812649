/*
 * tasks.c - see tasks.h: the table of kinds, and their rows. What each kind does is in tasks_care.c and
 * tasks_versions.c.
 */
#include "server/tasks_parts.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/table/canon.h"
#include "server/json.h"
#include "storage/jobs.h"

#include <stdio.h>
#include <stdlib.h>

int am_task_add_version(void *ctx, const char *model, const char *commit)
{
    char text[300];
    snprintf(text, sizeof text, "%s@%s", model, commit);
    return am_json_add(ctx, json_string(text));
}

/* ---- the table ---- */

static const struct {
    const char *kind;
    int (*run)(struct am_task *t, json_t **ret);
    bool own_route; /* POST /v1/admin/tasks does not take it */
} kinds[] = {{"gc", am_task_gc, false},       {"verify", am_task_verify, false},
             {"scrub", am_task_scrub, false}, {"backup", am_task_backup, false},
             {"check", am_task_check, false}, {"retention", am_task_retention, false},
             {"purge", am_task_purge, true},  {"export", am_task_export, true}};
enum { KINDS = sizeof kinds / sizeof *kinds };
const char am_task_kinds[] = "gc, verify, scrub, backup, check or retention";

static int find(const char *kind)
{
    for (int i = 0; i < KINDS; i++)
        if (am_streq(kinds[i].kind, kind))
            return i;
    return -1;
}

bool am_task_known(const char *kind)
{
    return find(kind) >= 0;
}

bool am_task_may_be_asked(const char *kind)
{
    int i = find(kind);
    return i >= 0 && !kinds[i].own_route;
}

int am_task_run(struct am_store *store, const struct am_config *cfg, struct am_claim *job, const struct am_work *work,
                json_t **ret_result, char *why, size_t why_cap)
{
    json_auto_t *damaged = json_array();
    struct am_task t = {
        .store = store, .cfg = cfg, .job = job, .work = work, .damaged = damaged, .why = why, .why_cap = why_cap};
    int i = find(job->method);
    json_t *result = NULL;
    snprintf(why, why_cap, "the task %s could not be run", job->method);
    int rc = i < 0 ? -AM_E_UNSUPPORTED : kinds[i].run(&t, &result);
    if (rc == 0 && !result)
        rc = -AM_E_OUT_OF_MEMORY;
    if (rc < 0)
        json_decref(result);
    else
        *ret_result = result;
    return rc;
}

/* ---- rows ---- */

struct added {
    struct am_job_new job;
    const struct am_task_new *task;
};

static int insert(struct am_db *db, void *arg)
{
    struct added *a = arg;
    AM_TRY(am_job_insert(db, &a->job));
    return a->task->also ? a->task->also(db, a->job.uid, a->task->arg) : 0;
}

int am_task_queue(struct am_store *store, const struct am_config *cfg, const struct am_task_new *t, char *ret_uid)
{
    struct added a = {.task = t};
    char digest[65];
    json_auto_t *spec = json_pack("{s:s, s:s}", "type", "task", "method", t->kind);
    if (spec && t->more)
        json_object_update(spec, t->more);
    json_decref(t->more);
    char *text = spec ? am_canon(spec) : NULL;
    int64_t now = am_now_ms();
    am_id_new("job_", now, ret_uid);
    a.job = (struct am_job_new){.uid = ret_uid,
                                .type = "task",
                                .method = t->kind,
                                .created_by = "local",
                                .spec = text,
                                .resolved = text,
                                .plan = "null",
                                .metadata = t->metadata,
                                .publish = t->publish,
                                .warnings = "[]",
                                .spec_sha256 = digest,
                                .priority = 50,
                                .now = now,
                                .max_attempts = t->again ? (int)cfg->jobs_max_attempts : 1,
                                .queue_limit = (int64_t)cfg->queue_max};
    int rc = text && am_canon_sha256(spec, digest) == 0 ? 0 : -AM_E_OUT_OF_MEMORY;
    if (rc == 0)
        rc = am_store_write(store, insert, &a);
    free(text);
    return rc;
}

struct ending {
    const char *uid, *result, *warnings;
};

static int finish(struct am_db *db, void *arg)
{
    struct ending *e = arg;
    enum am_job_state state;
    AM_TRY(am_job_state_get(db, e->uid, &state));
    if (am_state_terminal(state))
        return 0;
    /* the work is done and stays done, but who asked for the end first is told that it came */
    enum am_job_state to = state == AM_CANCELLING ? AM_CANCELLED_ : AM_SUCCEEDED;
    return am_job_finish(db, e->uid, to, am_now_ms(), e->result, NULL, e->warnings);
}

int am_task_finish(struct am_store *store, struct am_claim *job, const json_t *result)
{
    struct ending e = {.uid = job->uid};
    char *text = json_dumps(result, JSON_COMPACT), *warnings = json_dumps(job->warnings, JSON_COMPACT);
    e.result = text;
    e.warnings = warnings;
    int rc = text && warnings ? am_store_write(store, finish, &e) : -AM_E_OUT_OF_MEMORY;
    free(text);
    free(warnings);
    return rc;
}
