/*
 * continual.c - mode `continual`: the prediction sets of a line of versions, task by task, become report.json in
 * staging. See continual.h; the spec and the result are in contract.md.
 */
#include "worker/continual.h"

#include "core/table/canon.h"
#include "worker/files.h"
#include "worker/limits.h"

#include <stdlib.h>
#include <string.h>

static int step(struct am_continuing *c, const char *phase, size_t done)
{
    size_t total = c->line.tasks + 1;
    am_reporter_progress(
        &c->s->report,
        &(struct am_progress){
            .phase = phase, .unit = "tasks", .done = done, .total = total, .bytes_done = done, .bytes_total = total});
    return am_session_alive(c->s);
}

static int put_report(struct am_continuing *c)
{
    struct am_staged staged;
    json_t *body = am_continual_report(c);
    char *text = body ? am_canon(body) : NULL;
    int rc = text ? am_stage_bytes(&staged, c->s->staging, 0, "report.json", text, strlen(text)) : -AM_E_OUT_OF_MEMORY;
    free(text);
    json_decref(body);
    AM_TRY(rc);
    AM_TRY(am_result_open(&c->s->result, c->s->staging));
    AM_TRY(am_result_put(&c->s->result, json_pack("{s:s, s:n}", "record", "model", "architecture")));
    return am_result_put(&c->s->result, am_file_record("report.json", &staged, false));
}

static int work(struct am_continuing *c)
{
    for (size_t j = 0; j < c->line.tasks; j++) {
        AM_TRY(step(c, "read", j));
        AM_TRY(am_continual_load(c, j));
    }
    AM_TRY(step(c, "count", c->line.tasks));
    AM_TRY(am_line_numbers(&c->line, &c->boot, &c->numbers));
    return put_report(c);
}

static void done(struct am_continuing *c)
{
    for (size_t j = 0; j < c->line.tasks && j < AM_LINE_MAX; j++) {
        am_grouping_done(&c->line.task[j].grouping);
        am_compare_set_done(&c->task[j].first);
        am_ids_done(&c->task[j].ids);
        for (size_t i = 0; i < AM_LINE_MAX; i++)
            free(c->task[j].made[i]);
    }
    free(c->fds.v);
    json_decref(c->root);
    free(c);
}

int am_mode_continual(struct am_session *s, json_t *root)
{
    struct am_continuing *c = calloc(1, sizeof *c);
    int other = -1, rc = c ? 0 : -AM_E_OUT_OF_MEMORY;
    if (!c) {
        json_decref(root);
        return rc;
    }
    c->s = c->spec.s = s;
    c->spec.fds = &c->fds;
    c->root = root;
    rc = am_continual_spec(c);
    if (rc == 0 && am_limits_check_fds(c->fds.v, c->fds.n, &other) < 0)
        rc = am_fault_add(&s->faults, AM_E_INTERNAL, (struct am_where){0}, "descriptor %d is open and not in the spec",
                          other);
    if (rc == 0)
        rc = work(c);
    done(c);
    return rc;
}
