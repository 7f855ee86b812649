/*
 * lineage.c - a breadth-first walk over the edges, one indexed query for each version met. A recursive query would
 * carry a row for each (version, distance) pair and cannot stop at a number of versions; this one never holds more than
 * `cap` of them. Edges are only ever added and always from a lower id to a higher, so the walk needs no snapshot and no
 * cycle check.
 */
#include "storage/lineage.h"
#include "storage/db.h"
#include "storage/models.h"

#include <math.h>
#include <stdlib.h>

#define CAP_MAX 100000

struct walk {
    struct am_db *db;
    int64_t *id; /* in the order they were met: nearest first */
    int *dist;
    size_t n, cap;
    size_t *slot; /* open addressing over id; 0 = free, else index + 1 */
    size_t mask;
    bool truncated;
};

static void walk_done(struct walk *w)
{
    free(w->id);
    free(w->dist);
    free(w->slot);
}

static size_t *slot_of(const struct walk *w, int64_t id)
{
    size_t i = (size_t)((uint64_t)id * 0x9e3779b97f4a7c15u >> 20) & w->mask;
    while (w->slot[i] && w->id[w->slot[i] - 1] != id)
        i = (i + 1) & w->mask;
    return &w->slot[i];
}

static void meet(struct walk *w, int64_t id, int dist)
{
    size_t *slot = slot_of(w, id);
    if (*slot)
        return;
    if (w->n == w->cap) {
        w->truncated = true;
        return;
    }
    w->id[w->n] = id;
    w->dist[w->n] = dist;
    *slot = ++w->n;
}

static int start(struct walk *w, int64_t root, int cap)
{
    w->cap = (size_t)cap;
    for (w->mask = 15; w->mask < 2 * w->cap; w->mask = 2 * w->mask + 1)
        ;
    w->id = calloc(w->cap, sizeof *w->id);
    w->dist = calloc(w->cap, sizeof *w->dist);
    w->slot = calloc(w->mask + 1, sizeof *w->slot);
    if (!w->id || !w->dist || !w->slot)
        return -AM_E_OUT_OF_MEMORY;
    meet(w, root, 0);
    return 0;
}

static int neighbours(struct walk *w, const char *sql, size_t i)
{
    AM_STMT st = am_db_bind(w->db, sql, "i", w->id[i]);
    int rc;
    while ((rc = am_db_row(st)) > 0)
        meet(w, sqlite3_column_int64(st, 0), w->dist[i] + 1);
    return rc;
}

/* Nothing is both above and below the root, so both ways may share the set of versions met. */
static int one_way(struct walk *w, const char *sql, int depth)
{
    size_t first_of_way = w->n;
    for (size_t i = 0; i < w->n && !w->truncated; i = i == 0 ? first_of_way : i + 1) {
        if (depth < 0 || w->dist[i] < depth)
            AM_TRY(neighbours(w, sql, i));
    }
    return 0;
}

static int tell_node(struct walk *w, int64_t id, int (*node)(void *, const struct am_lineage_node *), void *ctx)
{
    AM_STMT st = am_db_bind(
        w->db,
        "SELECT v.id, ifnull(v.number, -1), v.created_at, m.name, lower(hex(v.oid)), v.job, v.type, v.method,"
        " (SELECT json_group_array(name) FROM (SELECT name FROM ref WHERE version = v.id ORDER BY name)),"
        " ifnull(v.deleted_at, ifnull(m.deleted_at, 0)) FROM version v JOIN model m ON m.id = v.model WHERE v.id = ?1",
        "i", id);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_REVISION_NOT_FOUND;
    struct am_lineage_node n = {
        .version = sqlite3_column_int64(st, 0),
        .number = sqlite3_column_int64(st, 1),
        .created_at = sqlite3_column_int64(st, 2),
        .model = am_col_text(st, 3),
        .commit = am_col_text(st, 4),
        .job = am_col_text(st, 5),
        .type = am_col_text(st, 6),
        .method = am_col_text(st, 7),
        .refs = am_col_text(st, 8),
        .deleted_at = sqlite3_column_int64(st, 9),
    };
    rc = node(ctx, &n);
    return rc < 0 ? rc : 0;
}

static int tell_edges(struct walk *w, int64_t child, int (*edge)(void *, const struct am_lineage_edge *), void *ctx)
{
    AM_STMT st = am_db_bind(
        w->db,
        "SELECT e.parent, lower(hex(p.oid)), lower(hex(c.oid)), e.role, e.weight, e.trust, (SELECT "
        "ifnull(max(id), 0) FROM"
        " report r WHERE r.old_version = e.parent AND r.new_version = e.child AND r.method = 'compare') FROM edge e"
        " JOIN version p ON p.id = e.parent JOIN version c ON c.id = e.child"
        " WHERE e.child = ?1 ORDER BY e.parent, e.role",
        "i", child);
    int rc;
    while ((rc = am_db_row(st)) > 0) {
        if (!*slot_of(w, sqlite3_column_int64(st, 0)))
            continue;
        struct am_lineage_edge e = {
            .from = am_col_text(st, 1),
            .to = am_col_text(st, 2),
            .role = am_col_text(st, 3),
            .weight = sqlite3_column_type(st, 4) == SQLITE_NULL ? NAN : sqlite3_column_double(st, 4),
            .trust = sqlite3_column_type(st, 5) == SQLITE_NULL ? NAN : sqlite3_column_double(st, 5),
            .report = sqlite3_column_int64(st, 6),
        };
        AM_TRY(edge(ctx, &e));
    }
    return rc;
}

int am_lineage_walk(struct am_db *db, int64_t root, unsigned ways, int depth, int cap,
                    int (*node)(void *, const struct am_lineage_node *),
                    int (*edge)(void *, const struct am_lineage_edge *), void *ctx, bool *ret_truncated)
{
    if (depth < -1 || cap < 1 || cap > CAP_MAX || !(ways & (AM_UP | AM_DOWN)))
        return -AM_E_INVALID_REQUEST;
    AM_CLEANUP(walk_done) struct walk w = {.db = db};
    AM_TRY(start(&w, root, cap));
    if (ways & AM_UP)
        AM_TRY(one_way(&w, "SELECT DISTINCT parent FROM edge WHERE child = ?1", depth));
    if (ways & AM_DOWN)
        AM_TRY(one_way(&w, "SELECT DISTINCT child FROM edge WHERE parent = ?1", depth));
    for (size_t i = 0; i < w.n; i++)
        AM_TRY(tell_node(&w, w.id[i], node, ctx));
    for (size_t i = 0; i < w.n; i++)
        AM_TRY(tell_edges(&w, w.id[i], edge, ctx));
    *ret_truncated = w.truncated;
    return 0;
}

int am_edges_trust(struct am_db *db, int64_t child, int64_t of)
{
    return am_db_exec(
        db,
        "UPDATE edge SET trust = (SELECT o.trust FROM edge o WHERE o.child = ?2 AND o.parent = edge.parent"
        " AND o.role = edge.role) WHERE child = ?1",
        "ii", child, of);
}
