/*
 * lineage.c - the graph around a version, as JSON, Mermaid or DOT (api.md 12).
 */
#include "storage/lineage.h"

#include "core/base/text.h"
#include "server/api/api.h"
#include "server/api/reports.h"
#include "server/reply.h"

#include <math.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NODES 10000

struct graph {
    struct am_db *db;
    json_t *nodes, *edges, *by_id; /* by_id: commit -> node; nodes come before edges */
};

static int add_node(void *ctx, const struct am_lineage_node *n)
{
    struct graph *g = ctx;
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:o, s:o, s:s, s:o, s:s?, s:s?, s:s?, s:n, s:o}", "id", n->commit, "kind", "version",
                  "model", n->model, "number", am_json_count(n->number), "refs", am_json_stored(n->refs), "state",
                  "complete", "created_at", am_json_time(n->created_at), "job", n->job, "type", n->type, "method",
                  n->method, "verdict", "deleted_at", am_json_time(n->deleted_at));
    json_object_set(g->by_id, n->commit, o);
    return am_json_add(g->nodes, o);
}

static int take_report(void *ctx, const struct am_report_row *p)
{
    return am_json_take(ctx, am_report_summary(p));
}

static int add_edge(void *ctx, const struct am_lineage_edge *e)
{
    struct graph *g = ctx;
    json_t *report = NULL;
    int rc = e->report ? am_report_by_row(g->db, e->report, take_report, &report) : 0;
    if (rc < 0 && rc != -AM_E_NOT_FOUND) /* deleted just now */
        return rc;
    json_t *child = json_object_get(g->by_id, e->to); /* an edge was made by the job that made its child */
    json_t *o = json_pack("{s:s, s:s, s:s, s:o, s:o, s:O?, s:O?, s:O?, s:o}", "from", e->from, "to", e->to, "role",
                          e->role, "weight", isfinite(e->weight) ? json_real(e->weight) : json_null(), "trust",
                          isfinite(e->trust) ? json_real(e->trust) : json_null(), "job", json_object_get(child, "job"),
                          "type", json_object_get(child, "type"), "method", json_object_get(child, "method"), "report",
                          report ? report : json_null());
    return am_json_add(g->edges, o);
}

static const char *text_of(json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

/* "demo/base v1 prod": model, number or short commit, refs other than main. */
static void label(json_t *n, const char *line_break, struct am_buf *b)
{
    json_t *number = json_object_get(n, "number"), *ref;
    size_t i;
    am_buf_puts(b, text_of(n, "model"));
    if (json_is_integer(number))
        am_buf_printf(b, " v%lld", (long long)json_integer_value(number));
    else
        am_buf_printf(b, " %.8s", text_of(n, "id"));
    json_array_foreach(json_object_get(n, "refs"), i, ref)
    {
        if (!am_streq(json_string_value(ref), "main"))
            am_buf_printf(b, "%s%s", line_break, json_string_value(ref));
    }
}

static void edge_label(json_t *e, struct am_buf *b)
{
    char weight[AM_F64_TEXT];
    json_t *w = json_object_get(e, "weight");
    am_buf_puts(b, text_of(e, "role"));
    if (json_is_real(w)) {
        am_f64_text(json_real_value(w), weight);
        am_buf_printf(b, " %s", weight);
    }
    json_t *nfr =
        json_object_get(json_object_get(json_object_get(json_object_get(e, "report"), "values"), "nfr"), "value");
    if (json_is_number(nfr))
        am_buf_printf(b, " NFR %.2f%%", 100 * json_number_value(nfr));
}

/* In a line, $ and a letter stand for: i, f, t the first digits of "id", "from", "to"; n, e the label of a node, an
 * edge.
 */
static const struct picture {
    const char *format, *type, *begin, *node, *line_break, *edge, *end;
} pictures[] = {
    {"mermaid", "text/vnd.mermaid; charset=utf-8", "graph LR\n", "    c$i[\"$n\"]\n", " ", "    c$f -->|$e| c$t\n", ""},
    {"dot", "text/vnd.graphviz; charset=utf-8", "digraph lineage {\n    rankdir=LR;\n", "    \"$i\" [label=\"$n\"];\n",
     "\\n", "    \"$f\" -> \"$t\" [label=\"$e\"];\n", "}\n"},
};

static void put_line(const struct picture *p, const char *line, json_t *o, struct am_buf *b)
{
    for (; *line; line++) {
        size_t plain = strcspn(line, "$");
        am_buf_put(b, line, plain);
        line += plain;
        if (!*line)
            return;
        switch (*++line) {
        case 'n':
            label(o, p->line_break, b);
            break;
        case 'e':
            edge_label(o, b);
            break;
        default:
            am_buf_printf(b, "%.12s", text_of(o, *line == 'i' ? "id" : *line == 'f' ? "from" : "to"));
        }
    }
}

static const struct picture *find_picture(const char *format)
{
    for (size_t i = 0; i < sizeof pictures / sizeof *pictures; i++)
        if (strcmp(pictures[i].format, format) == 0)
            return &pictures[i];
    return NULL;
}

static int reply_picture(struct am_req *r, const struct picture *p, const struct graph *g)
{
    struct am_buf b;
    json_t *o;
    size_t i;
    am_buf_init(&b, 32u << 20);
    am_buf_puts(&b, p->begin);
    json_array_foreach(g->nodes, i, o) put_line(p, p->node, o, &b);
    json_array_foreach(g->edges, i, o) put_line(p, p->edge, o, &b);
    am_buf_puts(&b, p->end);
    size_t n = b.len;
    return am_reply_text(r, p->type, am_buf_take(&b), n);
}

struct query {
    int depth;
    unsigned ways;
    const char *format, *direction;
    const struct picture *picture; /* NULL: json */
    bool events;
};

static int read_query(struct am_req *r, struct query *q, int *ret_queued)
{
    static const char *const directions[] = {"up", "down", "both"};
    const char *depth = am_req_query(r, "depth");
    int64_t d = 8;
    if (depth && strcmp(depth, "all") == 0)
        d = -1;
    else if (!am_req_int(r, "depth", 1, 100, 8, &d, ret_queued))
        return -AM_E_INVALID_REQUEST;
    q->depth = (int)d;
    q->direction = am_req_query(r, "direction") ? am_req_query(r, "direction") : "up";
    q->format = am_req_query(r, "format") ? am_req_query(r, "format") : "json";
    q->ways = 0;
    q->picture = find_picture(q->format);
    q->events = strcmp(q->format, "openlineage") == 0;
    bool known = q->picture || q->events || strcmp(q->format, "json") == 0;
    for (unsigned i = 0; i < 3; i++) {
        if (strcmp(q->direction, directions[i]) == 0)
            q->ways = i + 1;
    }
    if (q->ways == 0 || !known) {
        *ret_queued = am_reply_fault(r, AM_E_INVALID_REQUEST, q->ways ? "?format" : "?direction",
                                     q->ways ? "format must be json, mermaid, dot or openlineage"
                                             : "direction must be up, down or both");
        return -AM_E_INVALID_REQUEST;
    }
    return 0;
}

int am_api_lineage(struct am_req *r)
{
    int queued = MHD_NO;
    int64_t version;
    struct query q;
    char root[41] = "";
    bool truncated = false;
    if (read_query(r, &q, &queued) < 0)
        return queued;
    r->arg[2] = strdup(am_req_query(r, "rev") ? am_req_query(r, "rev") : "main");
    if (!r->arg[2])
        return MHD_NO;
    if (am_find_version(r, &version, NULL, &queued) < 0)
        return queued;
    struct am_db *db = am_store_read(r->srv->store);
    struct graph g = {.db = db, .nodes = json_array(), .edges = json_array(), .by_id = json_object()};
    int rc = am_version_commit(db, version, root);
    if (rc == 0)
        rc = am_lineage_walk(db, version, q.ways, q.depth, MAX_NODES, add_node, add_edge, &g, &truncated);
    if (rc < 0)
        queued = am_reply_error(r, rc, "the lineage could not be read");
    else if (q.picture)
        queued = reply_picture(r, q.picture, &g);
    else if (q.events)
        queued = am_reply_openlineage(r, db, g.nodes, g.edges, g.by_id);
    else
        queued = am_reply_json(r, 200,
                               json_pack("{s:s, s:s, s:s, s:o, s:b, s:O, s:O}", "object", "lineage", "root", root,
                                         "direction", q.direction, "depth",
                                         q.depth < 0 ? json_string("all") : json_integer(q.depth), "truncated",
                                         truncated, "nodes", g.nodes, "edges", g.edges),
                               NULL);
    json_decref(g.nodes);
    json_decref(g.edges);
    json_decref(g.by_id);
    return queued;
}
