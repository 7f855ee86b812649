/*
 * plan.c - the plan of a job that is not submitted: what it would need, or why it would be refused (job.h).
 */
#include "cli/commands.h"
#include "cli/http.h"
#include "cli/job.h"
#include "cli/out.h"

#include <stdio.h>

static void put_bytes(struct am_grid *g, const json_t *plan, const char *name, const char *member)
{
    am_grid_put(g, name);
    am_grid_bytes(g, am_js_int(plan, member, -1));
}

static void put_time(struct am_grid *g, const json_t *plan)
{
    char text[AM_FMT];
    int64_t seconds = am_js_int(plan, "seconds_estimate", -1);
    am_fmt_seconds(seconds, text);
    am_grid_put(g, "time");
    if (g->c->out == AM_OUT_TABLE)
        am_grid_putf(g, "about %s", text);
    else
        am_grid_putf(g, "%lld", (long long)seconds);
}

static void show(const struct am_cli *c, const json_t *plan)
{
    const json_t *files = am_js(plan, "output.files"), *f;
    struct am_grid g;
    size_t i;
    am_grid_init(&g, c, NULL);
    am_grid_put(&g, "tensors");
    am_grid_putf(&g, "%lld", (long long)am_js_int(plan, "tensors", 0));
    put_bytes(&g, plan, "reads", "read_bytes");
    put_bytes(&g, plan, "writes", "write_bytes");
    put_bytes(&g, plan, "shares with its parent", "shared_bytes");
    put_bytes(&g, plan, "memory", "peak_memory_bytes");
    put_bytes(&g, plan, "disk", "disk_bytes");
    put_time(&g, plan);
    json_array_foreach(files, i, f) put_bytes(&g, f, am_js_text(f, "path", "?"), "bytes");
    am_grid_print(&g);
    am_grid_done(&g);
}

int am_job_plan_show(struct am_cli *c, const json_t *plan)
{
    bool ok = json_is_true(am_js(plan, "ok"));
    if (c->out == AM_OUT_JSON)
        am_print_json(c, plan);
    else if (ok && json_is_null(am_js(plan, "tensors")))
        am_say_note(c, "it would be accepted; what it needs is known when the jobs whose results it takes have ended");
    else if (ok)
        show(c, plan);
    if (ok)
        return 0;
    am_problem_say_plan(c, plan);
    return AM_EXIT_ERROR;
}

int am_job_plan(struct am_cli *c, const json_t *body)
{
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    int rc = am_http_json(c, "POST", "/v1/plans", body, &r);
    if (rc)
        return rc;
    return am_job_plan_show(c, r.json);
}
