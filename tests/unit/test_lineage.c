/* test_lineage.c - walks over a random graph of 2,000 versions against a computation of the test's own. */
#include "tests/unit/store_fixture.h"

#include "storage/lineage.h"

enum { N = 2000, PARENTS = 3 };

struct graph {
    int64_t id[N];
    int parent[N][PARENTS]; /* index, or -1 */
    char commit[N][41];
};

static uint64_t seed;
static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static int build(struct am_db *db, void *arg)
{
    struct graph *g = arg;
    seed = 88172645463325252u;
    for (int i = 0; i < N; i++) {
        struct am_edge_new edge[PARENTS];
        size_t n = 0;
        for (int k = 0; k < PARENTS; k++) {
            g->parent[i][k] = -1;
            if (i == 0 || next_random() % 4 == 0)
                continue;
            int span = i < 60 ? i : 60;
            int p = i - 1 - (int)(next_random() % (uint64_t)span);
            g->parent[i][k] = p;
            edge[n++] = (struct am_edge_new){g->id[p],
                                             k == 0   ? "base"
                                             : k == 1 ? "model"
                                                      : "patch",
                                             k == 1 ? 0.5 : NAN, NAN};
        }
        struct am_version_new v = {.model = 1, .message = "m", .now = 2000 + i, .edge = edge, .edges = n};
        AM_TRY(am_version_insert(db, &v, &g->id[i], g->commit[i]));
    }
    return 0;
}

static struct graph *graph;

static int graph_open(void **state)
{
    if (fixture_open(state) < 0)
        return -1;
    struct fixture *f = *state;
    make_model(f, "demo/base");
    graph = calloc(1, sizeof *graph);
    return am_store_write(f->s, build, graph);
}

static int graph_close(void **state)
{
    free(graph);
    return fixture_close(state);
}

/* Shortest distances by relaxing until nothing changes: another algorithm than the code under test. */
static void distances(int root, bool up, int dist[N])
{
    for (int i = 0; i < N; i++)
        dist[i] = i == root ? 0 : N + 1;
    for (bool changed = true; changed;) {
        changed = false;
        for (int c = 0; c < N; c++) {
            for (int k = 0; k < PARENTS; k++) {
                int p = graph->parent[c][k];
                if (p < 0)
                    continue;
                int from = up ? c : p, to = up ? p : c;
                if (dist[from] + 1 < dist[to]) {
                    dist[to] = dist[from] + 1;
                    changed = true;
                }
            }
        }
    }
}

struct seen {
    int nodes, edges;
    bool node[N];
};

static int index_of(const char *commit)
{
    for (int i = 0; i < N; i++) {
        if (strcmp(graph->commit[i], commit) == 0)
            return i;
    }
    return -1;
}

static int see_node(void *ctx, const struct am_lineage_node *n)
{
    struct seen *s = ctx;
    int i = index_of(n->commit);
    assert_true(i >= 0 && n->version == graph->id[i] && !s->node[i]);
    assert_string_equal(n->model, "demo/base");
    assert_int_equal(s->edges, 0); /* nodes first */
    s->node[i] = true;
    s->nodes++;
    return 0;
}

static int see_edge(void *ctx, const struct am_lineage_edge *e)
{
    struct seen *s = ctx;
    int p = index_of(e->from), c = index_of(e->to);
    int k = strcmp(e->role, "base") == 0 ? 0 : strcmp(e->role, "model") == 0 ? 1 : 2;
    assert_true(s->node[p] && s->node[c]);
    assert_int_equal(graph->parent[c][k], p);
    assert_true(k == 1 ? e->weight == 0.5 : isnan(e->weight));
    s->edges++;
    return 0;
}

static int edges_between(const bool node[N])
{
    int n = 0;
    for (int c = 0; c < N; c++) {
        for (int k = 0; k < PARENTS; k++)
            n += node[c] && graph->parent[c][k] >= 0 && node[graph->parent[c][k]];
    }
    return n;
}

static void check(struct fixture *f, int root, unsigned ways, int depth)
{
    int up[N], down[N], want = 0;
    struct seen s = {0};
    bool truncated = true;
    distances(root, true, up);
    distances(root, false, down);
    assert_int_equal(
        am_lineage_walk(am_store_read(f->s), graph->id[root], ways, depth, 10000, see_node, see_edge, &s, &truncated),
        0);
    assert_false(truncated);
    int limit = depth < 0 ? N : depth;
    for (int i = 0; i < N; i++) {
        bool in = i == root || ((ways & AM_UP) && up[i] <= limit) || ((ways & AM_DOWN) && down[i] <= limit);
        assert_int_equal(s.node[i], in);
        want += in;
    }
    assert_int_equal(s.nodes, want);
    assert_int_equal(s.edges, edges_between(s.node));
}

static void random_graph(void **state)
{
    struct fixture *f = *state;
    const int roots[] = {0, 1, 77, 1000, 1998, 1999}, depths[] = {0, 1, 2, 8, -1};
    for (size_t r = 0; r < sizeof roots / sizeof *roots; r++) {
        for (size_t d = 0; d < sizeof depths / sizeof *depths; d++) {
            for (unsigned ways = 1; ways <= 3; ways++)
                check(f, roots[r], ways, depths[d]);
        }
    }
}

static void cap_keeps_the_nearest(void **state)
{
    struct fixture *f = *state;
    int up[N], worst = 0, left = N + 1;
    struct seen s = {0};
    bool truncated = false;
    distances(1999, true, up);
    assert_int_equal(
        am_lineage_walk(am_store_read(f->s), graph->id[1999], AM_UP, -1, 100, see_node, see_edge, &s, &truncated), 0);
    assert_true(truncated);
    assert_int_equal(s.nodes, 100);
    for (int i = 0; i < N; i++) {
        if (s.node[i] && up[i] > worst)
            worst = up[i];
        if (!s.node[i] && up[i] < left)
            left = up[i];
    }
    assert_true(worst <= left);
    assert_int_equal(s.edges, edges_between(s.node));
}

static void wrong_arguments(void **state)
{
    struct fixture *f = *state;
    struct am_db *db = am_store_read(f->s);
    struct seen s = {0};
    bool t;
    assert_int_equal(am_lineage_walk(db, 999999, AM_UP, 8, 10, see_node, see_edge, &s, &t), -AM_E_REVISION_NOT_FOUND);
    assert_int_equal(am_lineage_walk(db, graph->id[0], 0, 8, 10, see_node, see_edge, &s, &t), -AM_E_INVALID_REQUEST);
    assert_int_equal(am_lineage_walk(db, graph->id[0], AM_UP, -2, 10, see_node, see_edge, &s, &t),
                     -AM_E_INVALID_REQUEST);
    assert_int_equal(am_lineage_walk(db, graph->id[0], AM_UP, 1, 0, see_node, see_edge, &s, &t), -AM_E_INVALID_REQUEST);
}

static int see_refs(void *ctx, const struct am_lineage_node *n)
{
    snprintf(ctx, 64, "%s %d", n->refs, (int)n->number);
    return 0;
}

static void nodes_name_their_refs(void **state)
{
    struct fixture *f = *state;
    char text[64], sql[200];
    bool t;
    snprintf(sql, sizeof sql,
             "INSERT INTO ref (model, name, kind, version, moved_at, moved_by, reason)"
             " VALUES (1, 'prod', 'alias', %d, 1, '', '')",
             (int)graph->id[5]);
    assert_int_equal(write_sql(f, sql), 0);
    assert_int_equal(am_lineage_walk(am_store_read(f->s), graph->id[5], AM_UP, 0, 1, see_refs, see_edge, text, &t), 0);
    assert_string_equal(text, "[\"prod\"] -1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_graph),
        cmocka_unit_test(cap_keeps_the_nearest),
        cmocka_unit_test(wrong_arguments),
        cmocka_unit_test(nodes_name_their_refs),
    };
    return cmocka_run_group_tests(tests, graph_open, graph_close);
}
