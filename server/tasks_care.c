/*
 * tasks_care.c - the tasks that look after what is stored: gc, verify, scrub, backup, check.
 */
#include "server/tasks_parts.h"

#include "core/base/clock.h"
#include "core/base/sys.h"
#include "core/base/text.h"
#include "server/json.h"
#include "storage/backup.h"
#include "storage/check.h"
#include "storage/collect.h"
#include "storage/models.h"
#include "storage/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- gc ---- */

int am_task_gc(struct am_task *t, json_t **ret)
{
    struct am_collected c = {0};
    const struct am_collect in = {.now = am_now_ms(),
                                  .grace_ms = (int64_t)t->cfg->gc_grace_seconds * 1000,
                                  .keep_logs_ms = (int64_t)t->cfg->keep_logs_seconds * 1000};
    AM_TRY(am_collect(t->store, &in, t->work, &c, t->why, t->why_cap));
    *ret = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "kind", "gc", "versions",
                     (json_int_t)c.versions, "blobs", (json_int_t)c.blobs, "blob_bytes", (json_int_t)c.blob_bytes,
                     "orphans", (json_int_t)c.orphans, "orphan_bytes", (json_int_t)c.orphan_bytes, "logs",
                     (json_int_t)c.logs, "log_bytes", (json_int_t)c.log_bytes, "staging", (json_int_t)c.staging,
                     "grace_seconds", (json_int_t)t->cfg->gc_grace_seconds, "keep_logs_seconds",
                     (json_int_t)t->cfg->keep_logs_seconds);
    return 0;
}

/* ---- verify ---- */

static int add_damaged(void *ctx, struct am_db *db, const struct am_damage *d)
{
    struct am_task *t = ctx;
    int64_t total = 0;
    if (json_array_size(t->damaged) >= AM_TASK_TOLD_MAX)
        return 0; /* counted */
    json_t *versions = json_array();
    int rc = am_damage_versions(db, d, AM_TASK_VERSIONS_MAX, am_task_add_version, versions, &total);
    json_t *o = json_pack("{s:s, s:s, s:o, s:I}", d->assembled ? "content" : "blob", d->sha256, "reason",
                          d->assembled ? "assembled-sha256" : d->reason, "versions", versions, "versions_total",
                          (json_int_t)total);
    return json_array_append_new(t->damaged, o) < 0 ? -AM_E_OUT_OF_MEMORY : rc;
}

static int find_version(struct am_task *t, const char *model, const char *commit, int64_t *ret)
{
    struct am_db *db = am_store_read(t->store);
    int rc = db ? am_rev_resolve(db, model, commit, ret, NULL) : -AM_E_INTERNAL;
    if (rc < 0)
        snprintf(t->why, t->why_cap, "%s@%s is no longer in the store", model, commit);
    return rc;
}

static int warn_damaged(struct am_task *t, int64_t n)
{
    char text[200];
    if (n == 0)
        return 0;
    snprintf(
        text, sizeof text,
        "%lld stored files are damaged; jobs and downloads that would read them are refused. Bring them back below "
        "blobs/ from a backup, then verify again",
        (long long)n);
    return am_claim_warn(t->job, am_err_slug(AM_E_STORE_DAMAGED), text);
}

static int verify(struct am_task *t, const struct am_verify_scope *scope, const char *text, json_t **ret)
{
    struct am_verified v = {0};
    AM_TRY(am_verify(t->store, scope, t->work, add_damaged, t, &v, t->why, t->why_cap));
    AM_TRY(warn_damaged(t, v.damaged));
    *ret = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:O, s:I}", "kind", t->job->method, "scope", text, "blobs",
                     (json_int_t)v.blobs, "bytes", (json_int_t)v.bytes, "assembled", (json_int_t)v.assembled,
                     "repaired", (json_int_t)v.repaired, "damaged", t->damaged, "damaged_total", (json_int_t)v.damaged);
    return 0;
}

int am_task_verify(struct am_task *t, json_t **ret)
{
    const char *model = json_string_value(json_object_get(t->job->resolved, "model"));
    const char *commit = json_string_value(json_object_get(t->job->resolved, "commit"));
    char scope[300] = "all";
    int64_t version = 0;
    if (model && commit) {
        AM_TRY(find_version(t, model, commit, &version));
        snprintf(scope, sizeof scope, "%s@%s", model, commit);
    }
    return verify(t, &(struct am_verify_scope){.version = version}, scope, ret);
}

int am_task_scrub(struct am_task *t, json_t **ret)
{
    char text[100], at[AM_TIME_TEXT];
    const json_t *before = json_object_get(t->job->resolved, "before"),
                 *budget = json_object_get(t->job->resolved, "budget_bytes");
    if (!json_is_integer(before) || !json_is_integer(budget) || json_integer_value(before) <= 0)
        return -AM_E_BAD_SPEC;
    am_time_text(json_integer_value(before), at);
    snprintf(text, sizeof text, "not read since %s", at);
    return verify(t,
                  &(struct am_verify_scope){.before = json_integer_value(before), .budget = json_integer_value(budget)},
                  text, ret);
}

/* ---- backup ---- */

static void squeeze(char *s, const char *drop)
{
    char *to = s;
    for (; *s; s++)
        if (!strchr(drop, *s))
            *to++ = *s;
    *to = 0;
}

int am_task_backup_name(struct am_store *store, const struct am_config *cfg, const char *prefix, int64_t now, char *ret,
                        size_t cap)
{
    char at[AM_TIME_TEXT];
    am_time_text(now, at);
    squeeze(at, "-:.");
    if (cfg->backup_dir[0]) {
        int n = snprintf(ret, cap, "%s/%s%s.db", cfg->backup_dir, prefix, at);
        return n > 0 && (size_t)n < cap ? 0 : -AM_E_TOO_LARGE;
    }
    AM_TRY(am_sys_mkdir(am_store_dirfd(store), "backup", 0750));
    char *real = realpath(am_store_path(store), NULL);
    if (!real)
        return -AM_E_INTERNAL;
    int n = snprintf(ret, cap, "%s/backup/%s%s.db", real, prefix, at);
    free(real);
    return n > 0 && (size_t)n < cap ? 0 : -AM_E_TOO_LARGE;
}

int am_task_backup(struct am_task *t, json_t **ret)
{
    const char *target = json_string_value(json_object_get(t->job->resolved, "target"));
    struct am_backed_up b = {0};
    if (!target)
        return -AM_E_BAD_SPEC;
    AM_TRY(am_backup(t->store, target, t->job->attempt > 1, t->work, &b, t->why, t->why_cap));
    int64_t removed = 0;
    if (json_is_true(json_object_get(t->job->resolved, "scheduled")) &&
        am_backup_rotate(target, AM_BACKUP_PREFIX, t->cfg->backup_keep, &removed) < 0)
        AM_TRY(am_claim_warn(t->job, am_err_slug(AM_E_CANNOT_WRITE), "old backups could not be removed"));
    *ret = json_pack("{s:s, s:s, s:I, s:o, s:I}", "kind", "backup", "target", target, "bytes", (json_int_t)b.bytes,
                     "committed_until", am_json_time(b.at), "removed", (json_int_t)removed);
    return 0;
}

/* ---- check ---- */

int am_task_check(struct am_task *t, json_t **ret)
{
    struct am_checked c = {0};
    AM_TRY(am_check(t->store, t->work, &c, t->why, t->why_cap));
    json_t *list = json_array();
    for (int64_t i = 0; i < c.findings && i < AM_CHECK_FINDINGS; i++)
        json_array_append_new(list, json_string(c.finding[i]));
    *ret = json_pack("{s:s, s:i, s:o, s:I}", "kind", "check", "tables", c.tables, "findings", list, "findings_total",
                     (json_int_t)c.findings);
    if (c.findings)
        return am_claim_warn(t->job, am_err_slug(AM_E_STORE_DAMAGED),
                             "the database is damaged: new jobs are refused. Stop amendd and put a backup in its "
                             "place: amendd restore FILE");
    return 0;
}
