/*
 * cmd_lineage.c - amend model lineage: a tree of ancestors, or edges one a line, or the daemon's Mermaid text.
 * The graph may join again: what was drawn once is named, not drawn, the next time.
 */
#include "cli/commands.h"
#include "cli/compat.h"
#include "cli/job.h"
#include "cli/opt.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DRAW_DEPTH 120

struct tree {
    const struct am_cli *c;
    const json_t *edges;
    json_t *nodes;   /* commit -> node */
    json_t *parents; /* commit -> list of the numbers of its edges */
    json_t *drawn;   /* commit -> true */
};

static char *name_of(const struct tree *t, const char *commit)
{
    const json_t *n = json_object_get(t->nodes, commit);
    const char *model = am_js_text(n, "model", NULL);
    int64_t number = am_js_int(n, "number", -1);
    if (!model)
        return am_xprintf("%.12s", commit);
    return number >= 0 ? am_xprintf("%s@v%lld", model, (long long)number) : am_xprintf("%s@%.12s", model, commit);
}

static void put_node(const struct tree *t, const char *commit, bool again)
{
    const json_t *n = json_object_get(t->nodes, commit);
    AM_CLEANUP(am_xfreep) char *name = name_of(t, commit);
    AM_CLEANUP(am_xfreep) char *refs = am_js_plain(am_js(n, "refs"));
    fputs(t->c->out_color ? "\033[1m" : "", stdout);
    am_put_clean(stdout, name);
    fputs(t->c->out_color ? "\033[0m " : " ", stdout);
    AM_CLEANUP(am_xfreep) char *abbreviated = am_xprintf("%.12s", commit);
    am_put_clean(stdout, abbreviated);
    const char *type = am_js_text(n, "type", NULL), *method = am_js_text(n, "method", NULL);
    if (type && method) {
        printf("  ");
        am_put_clean(stdout, type);
        putchar('/');
        am_put_clean(stdout, method);
    }
    if (json_array_size(am_js(n, "refs"))) {
        fputs("  [", stdout);
        am_put_clean(stdout, refs);
        putchar(']');
    }
    puts(again ? (t->c->utf8 ? "  ↑ above" : "  (above)") : "");
}

static void put_edge_label(const json_t *e)
{
    am_put_clean(stdout, am_js_text(e, "role", "?"));
    if (json_is_number(am_js(e, "weight"))) {
        AM_CLEANUP(am_xfreep) char *weight = am_js_plain(am_js(e, "weight"));
        printf(" %s", weight);
    }
    if (json_is_object(am_js(e, "report"))) {
        char nfr[AM_RATE];
        am_fmt_share(am_js(e, "report.values.nfr.value"), nfr);
        printf(" NFR %s", nfr);
    }
    fputs("  ", stdout);
}

static void draw(struct tree *t, const char *commit, const char *prefix, int depth)
{
    const json_t *list = json_object_get(t->parents, commit);
    size_t n = json_array_size(list);
    json_object_set_new(t->drawn, commit, json_true());
    for (size_t i = 0; i < n; i++) {
        const json_t *e = json_array_get(t->edges, (size_t)json_integer_value(json_array_get(list, i)));
        const char *parent = am_js_text(e, "from", "?");
        bool last = i + 1 == n, again = json_object_get(t->drawn, parent) != NULL;
        fputs(prefix, stdout);
        fputs(t->c->utf8 ? (last ? "└─ " : "├─ ") : (last ? "`- " : "|- "), stdout);
        put_edge_label(e);
        put_node(t, parent, again && json_array_size(json_object_get(t->parents, parent)));
        AM_CLEANUP(am_xfreep) char *deeper = am_xprintf("%s%s", prefix, last ? "   " : t->c->utf8 ? "│  " : "|  ");
        if (!again && depth < DRAW_DEPTH)
            draw(t, parent, deeper, depth + 1);
        else if (!again && json_array_size(json_object_get(t->parents, parent)))
            printf("%s... (deeper: --mermaid)\n", deeper);
    }
}

static void index_graph(struct tree *t, const json_t *doc)
{
    const json_t *v;
    size_t i;
    t->edges = am_js(doc, "edges");
    json_array_foreach(am_js(doc, "nodes"), i, v)
    {
        const char *id = am_js_text(v, "id", am_js_text(v, "commit", NULL));
        if (id)
            json_object_set(t->nodes, id, (json_t *)v);
    }
    json_array_foreach(t->edges, i, v)
    {
        const char *child = am_js_text(v, "to", NULL);
        if (!child || !am_js_text(v, "from", NULL))
            continue;
        if (!json_object_get(t->parents, child))
            json_object_set_new(t->parents, child, json_array());
        json_array_append_new(json_object_get(t->parents, child), json_integer((json_int_t)i));
    }
}

static void print_edges(const struct tree *t)
{
    const json_t *e;
    size_t i;
    struct am_grid g;
    static const char *const head[] = {"CHILD", "ROLE", "WEIGHT", "PARENT", "NFR", NULL};
    am_grid_init(&g, t->c, head);
    json_array_foreach(t->edges, i, e)
    {
        AM_CLEANUP(am_xfreep) char *child = name_of(t, am_js_text(e, "to", "?"));
        AM_CLEANUP(am_xfreep) char *parent = name_of(t, am_js_text(e, "from", "?"));
        AM_CLEANUP(am_xfreep) char *weight = am_js_plain(am_js(e, "weight"));
        am_grid_put(&g, child);
        am_grid_put(&g, am_js_text(e, "role", "?"));
        am_grid_put(&g, weight);
        am_grid_put(&g, parent);
        char nfr[AM_RATE];
        am_fmt_share(am_js(e, "report.values.nfr.value"), nfr);
        am_grid_put(&g, nfr);
    }
    am_grid_print(&g);
    am_grid_done(&g);
}

static void print_names(const struct tree *t, const json_t *doc)
{
    const json_t *v;
    size_t i;
    json_array_foreach(am_js(doc, "nodes"), i, v)
    {
        AM_CLEANUP(am_xfreep) char *name = name_of(t, am_js_text(v, "id", am_js_text(v, "commit", "?")));
        am_put_clean(stdout, name);
        putchar('\n');
    }
}

static void print_graph(const struct am_cli *c, const json_t *doc)
{
    AM_CLEANUP(am_jsonp) json_t *nodes = json_object();
    AM_CLEANUP(am_jsonp) json_t *parents = json_object();
    AM_CLEANUP(am_jsonp) json_t *drawn = json_object();
    struct tree t = {.c = c, .nodes = nodes, .parents = parents, .drawn = drawn};
    index_graph(&t, doc);
    /* `root` is the commit; an object with it is read too */
    const char *root = am_js_text(doc, "root", am_js_text(doc, "root.commit", "?"));
    if (c->out == AM_OUT_TSV) {
        print_edges(&t);
    } else if (c->out == AM_OUT_NAME) {
        print_names(&t, doc);
    } else {
        put_node(&t, root, false);
        draw(&t, root, "", 0);
    }
    if (json_is_true(am_js(doc, "truncated")))
        am_say_note(c, "there is more; ask for a larger --depth, or --depth all");
}

static int print_text(struct am_cli *c, const char *path)
{
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    struct am_request q = {.verb = "GET", .path = path};
    int rc = am_http_send(c, &q, &r);
    if (rc)
        return rc;
    if (r.status != 200)
        return am_problem_say(c, &r);
    am_print_text(c, r.body, r.len);
    return 0;
}

int am_cmd_model_lineage(struct am_cli *c, int argc, char **argv)
{
    const char *word, *depth = "8";
    bool mermaid = false;
    const struct am_opt opts[] = {{"mermaid", 0, NULL, &mermaid}, {"depth", 0, &depth, NULL}, {0}};
    struct am_ref m;
    uint64_t n;
    int rc = am_opt_parse(c, opts, argc, argv, 1, 1, &word);
    if (rc == 0 && !am_streq(depth, "all"))
        rc = am_opt_number(c, "--depth (or all)", depth, 1, 100, &n);
    if (rc || (rc = am_rev_parse(c, word, &m)))
        return rc;
    AM_CLEANUP(am_xfreep) char *base = am_url_model(m.model, "lineage", NULL);
    AM_CLEANUP(am_xfreep) char *rev = am_url_encoded(m.rev);
    AM_CLEANUP(am_xfreep)
    char *path = am_xprintf("%s?rev=%s&depth=%s&direction=up%s", base, rev, depth, mermaid ? "&format=mermaid" : "");
    if (mermaid)
        return print_text(c, path);
    return am_http_show(c, path, print_graph);
}
