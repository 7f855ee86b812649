/*
 * made.c - see made.h.
 */
#include "server/api/made.h"

#include "core/base/text.h"
#include "server/api/api.h"

#include <stdio.h>
#include <string.h>

static void take_text(const json_t *o, const char *name, char *out, size_t cap)
{
    const char *text = json_string_value(json_object_get(o, name));
    snprintf(out, cap, "%s", text ? text : "");
}

void am_made_fill(struct am_made *ret, const struct am_job_row *j)
{
    struct am_made m = {.state = j->state, .spec = am_json_stored(j->spec), .resolved = am_json_stored(j->resolved)};
    json_auto_t *result = am_json_stored(j->result), *publish = am_json_stored(j->publish);
    const json_t *version = json_object_get(result, "version");
    snprintf(m.uid, sizeof m.uid, "%s", j->uid);
    snprintf(m.type, sizeof m.type, "%s", j->type);
    snprintf(m.rerun_of, sizeof m.rerun_of, "%s", j->rerun_of ? j->rerun_of : "");
    take_text(version, "model", m.model, sizeof m.model);
    take_text(version, "commit", m.commit, sizeof m.commit);
    const char *report = json_string_value(json_array_get(json_object_get(result, "reports"), 0));
    if (!m.commit[0] && report)
        snprintf(m.report, sizeof m.report, "%s", report);
    else if (report)
        snprintf(m.gate_report, sizeof m.gate_report, "%s", report);
    take_text(result, "reused_from", m.reused_from, sizeof m.reused_from);
    take_text(publish, "model", m.to_model, sizeof m.to_model);
    take_text(m.resolved, "program", m.program, sizeof m.program);
    take_text(json_object_get(result, "measured"), "kernels", m.kernels, sizeof m.kernels);
    if (!m.kernels[0])
        take_text(m.resolved, "kernels", m.kernels, sizeof m.kernels);
    *ret = m;
}

static int take_row(void *ctx, const struct am_job_row *j)
{
    am_made_fill(ctx, j);
    return 0;
}

int am_made_get(struct am_db *db, const char *uid, struct am_made *ret)
{
    struct am_made m = {0};
    AM_TRY(am_job_get(db, uid, take_row, &m));
    if (am_streq(m.type, "task")) {
        am_made_done(&m);
        return -AM_E_NOT_FOUND;
    }
    *ret = m;
    return 0;
}

void am_made_done(struct am_made *m)
{
    json_decref(m->spec);
    json_decref(m->resolved);
    *m = (struct am_made){0};
}
