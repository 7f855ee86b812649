/*
 * cmd_queue.c - amend queue: how many jobs are in which state, and what is stored and free.
 */
#include "cli/commands.h"
#include "cli/http.h"
#include "cli/opt.h"
#include "cli/out.h"
#include "cli/watch.h"

#include <stdio.h>

static void put_count(struct am_grid *g, const json_t *q, const char *name, const char *path)
{
    am_grid_put(g, name);
    am_grid_putf(g, "%lld", (long long)am_js_int(q, path, 0));
}

static void put_bytes(struct am_grid *g, const json_t *q, const char *name, const char *path)
{
    am_grid_put(g, name);
    am_grid_bytes(g, am_js_int(q, path, -1));
}

static void show(const struct am_cli *c, const json_t *q)
{
    const char *state;
    json_t *n;
    struct am_grid g;
    am_grid_init(&g, c, NULL);
    am_grid_pair(&g, "paused", json_is_true(am_js(q, "paused")) ? "yes" : "no");
    json_object_foreach(am_js(q, "counts"), state, n)
    {
        am_grid_put(&g, state);
        am_grid_putf(&g, "%lld", (long long)json_integer_value(n));
    }
    put_count(&g, q, "slots", "slots.total");
    put_count(&g, q, "slots in use", "slots.running");
    put_bytes(&g, q, "logical bytes", "store.logical_bytes");
    put_bytes(&g, q, "physical bytes", "store.physical_bytes");
    put_bytes(&g, q, "free bytes", "store.free_bytes");
    put_bytes(&g, q, "kept free", "store.min_free_bytes");
    am_grid_print(&g);
    am_grid_done(&g);
}

static void put_row(struct am_grid *g, const json_t *q)
{
    static const char *const counts[] = {"queued", "running", "cancelling", "succeeded", "failed", "cancelled"};
    for (size_t i = 0; i < 6; i++) {
        AM_CLEANUP(am_xfreep) char *path = am_xprintf("counts.%s", counts[i]);
        am_grid_putf(g, "%lld", (long long)am_js_int(q, path, 0));
    }
}

int am_cmd_queue(struct am_cli *c, int argc, char **argv)
{
    static const char *const head[] = {"QUEUED", "RUNNING", "CANCELLING", "SUCCEEDED", "FAILED", "CANCELLED", NULL};
    static const char path[] = "/v1/queue";
    bool watch = am_watch_asked(&argc, argv);
    int rc = am_opt_parse(c, NULL, argc, argv, 0, 0, NULL);
    if (rc)
        return rc;
    if (watch)
        return am_watch(c, &(struct am_watch){.path = path, .head = head, .row = put_row, .show = show});
    return am_http_show(c, path, show);
}
