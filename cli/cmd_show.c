/*
 * cmd_show.c - amend model show: one model, or one of its versions, as names and values.
 */
#include "cli/commands.h"
#include "cli/compat.h"
#include "cli/job.h"
#include "cli/opt.h"

#include <stdio.h>

static void put_plain(struct am_grid *g, const json_t *v, const char *name)
{
    AM_CLEANUP(am_xfreep) char *text = am_js_plain(am_js(v, name));
    am_grid_pair(g, name, text);
}

static void put_bytes(struct am_grid *g, const json_t *v, const char *name)
{
    am_grid_put(g, name);
    am_grid_bytes(g, am_js_int(v, name, -1));
}

static void put_time(struct am_grid *g, const json_t *v, const char *name)
{
    am_grid_put(g, name);
    am_grid_time(g, am_js_text(v, name, NULL));
}

static void put_labels(struct am_grid *g, const json_t *v)
{
    const char *key;
    json_t *value;
    json_object_foreach(am_js(v, "labels"), key, value)
    {
        am_grid_put(g, "label");
        am_grid_putf(g, "%s=%s", key, json_string_value(value));
    }
}

static void show_model(struct am_grid *g, const json_t *m)
{
    am_grid_pair(g, "model", am_js_text(m, "id", "?"));
    put_plain(g, m, "description");
    put_labels(g, m);
    int64_t number = am_js_int(m, "head.number", -1);
    am_grid_put(g, "head");
    if (number >= 0)
        am_grid_putf(g, "v%lld %s", (long long)number, am_js_text(m, "head.commit", "?"));
    else
        am_grid_put(g, NULL);
    put_plain(g, m, "versions");
    put_bytes(g, m, "logical_bytes");
    put_bytes(g, m, "physical_bytes");
    put_time(g, m, "created_at");
}

static void put_tensors(struct am_grid *g, const json_t *v)
{
    const char *dtype;
    json_t *count;
    am_grid_put(g, "tensors");
    am_grid_putf(g, "%lld", (long long)am_js_int(v, "tensors.count", 0));
    json_object_foreach(am_js(v, "tensors.parameters"), dtype, count)
    {
        am_grid_put(g, "parameters");
        am_grid_putf(g, "%lld %s", (long long)json_integer_value(count), dtype);
    }
    am_grid_pair(g, "architecture", am_js_text(v, "tensors.architecture", NULL));
}

static void put_inputs(struct am_grid *g, const json_t *v)
{
    const json_t *in = am_js(v, "inputs"), *e;
    size_t i;
    json_array_foreach(in, i, e)
    {
        AM_CLEANUP(am_xfreep) char *weight = am_js_plain(am_js(e, "weight"));
        bool weighted = json_is_number(am_js(e, "weight"));
        am_grid_put(g, am_js_text(e, "role", "input"));
        am_grid_putf(g, "%s@%s %.12s%s%s", am_js_text(e, "model", "?"), am_js_text(e, "rev", "?"),
                     am_js_text(e, "commit", "?"), weighted ? ", weight " : "", weighted ? weight : "");
    }
}

/* What the newest comparison with each other version found. */
static void put_compared(struct am_grid *g, const json_t *v)
{
    const json_t *r;
    size_t i;
    char nfr[AM_RATE], delta[AM_RATE];
    json_array_foreach(am_js(v, "compatibility"), i, r)
    {
        AM_CLEANUP(am_xfreep) char *old = am_side_text(r, "old");
        am_fmt_share(am_js(r, "values.nfr.value"), nfr);
        am_fmt_points(am_js(r, "values.accuracy_delta.value"), delta);
        am_grid_put(g, "against");
        am_grid_putf(g, "%s: NFR %s, accuracy %s, on %s, %s", old, nfr, delta, am_js_text(r, "dataset", "?"),
                     am_js_text(r, "id", "?"));
    }
}

static void show_version(struct am_grid *g, const json_t *v)
{
    AM_CLEANUP(am_xfreep) char *name = am_version_name(v);
    const char *type = am_js_text(v, "type", NULL);
    am_grid_pair(g, "version", name);
    am_grid_pair(g, "commit", am_js_text(v, "commit", "?"));
    am_grid_pair(g, "state", am_js_text(v, "state", NULL));
    put_plain(g, v, "refs");
    am_grid_pair(g, "message", am_js_text(v, "message", NULL));
    if (type) {
        am_grid_put(g, "made by");
        am_grid_putf(g, "%s/%s %s", type, am_js_text(v, "method", "?"), am_js_text(v, "job", ""));
    }
    put_inputs(g, v);
    put_compared(g, v);
    put_plain(g, v, "files");
    put_bytes(g, v, "bytes");
    put_bytes(g, v, "new_bytes");
    put_tensors(g, v);
    am_grid_pair(g, "parent", am_js_text(v, "parent", NULL));
    put_time(g, v, "created_at");
    put_labels(g, v);
    put_plain(g, v, "note");
    put_plain(g, v, "pinned");
    put_time(g, v, "expires_at");
}

int am_cmd_model_show(struct am_cli *c, int argc, char **argv)
{
    const char *word;
    struct am_ref m;
    int rc = am_opt_parse(c, NULL, argc, argv, 1, 1, &word);
    if (rc || (rc = am_ref_parse(c, word, &m)))
        return rc;
    AM_CLEANUP(am_xfreep)
    char *path = m.rev[0] ? am_url_model(m.model, "versions", m.rev, NULL) : am_url_model(m.model, NULL);
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    if ((rc = am_http_get(c, path, &r)))
        return rc;
    if (c->out == AM_OUT_JSON) {
        am_print_json(c, r.json);
        return 0;
    }
    if (c->out == AM_OUT_NAME) {
        if (m.rev[0])
            am_print_version(c, r.json);
        else
            puts(m.model);
        return 0;
    }
    struct am_grid g;
    am_grid_init(&g, c, NULL);
    if (m.rev[0])
        show_version(&g, r.json);
    else
        show_model(&g, r.json);
    am_grid_print(&g);
    am_grid_done(&g);
    return 0;
}
