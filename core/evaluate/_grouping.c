/*
 * _grouping.c - see _numbers.h: what the bootstrap draws. Samples of one cluster belong together; without clusters, so
 * do the replicates of one id, since several answers to one question are not several questions.
 */
#include "core/evaluate/_numbers.h"

#include <stdlib.h>
#include <string.h>

/* Clusters that have a sample get numbers without gaps; a sample without a cluster is one of its own. */
static int by_cluster(const struct am_join *j, const int32_t *cluster, size_t most, struct am_grouping *g)
{
    int32_t *number = malloc(most * sizeof *number + 1);
    if (!number)
        return -AM_E_OUT_OF_MEMORY;
    memset(number, 0xff, most * sizeof *number);
    for (size_t i = 0; i < j->n; i++) {
        bool fresh = cluster[i] < 0 || number[cluster[i]] < 0;
        if (cluster[i] >= 0 && fresh) {
            number[cluster[i]] = (int32_t)g->units;
            g->clusters++;
        }
        g->unit[i] = fresh ? (int32_t)g->units++ : number[cluster[i]];
    }
    free(number);
    g->what = "cluster";
    return 0;
}

static void by_id(const struct am_join *j, struct am_grouping *g)
{
    for (size_t i = 0; i < j->n; i++) {
        if (i == 0 || am_join_id(j, i) != am_join_id(j, i - 1))
            g->units++;
        g->unit[i] = (int32_t)g->units - 1;
    }
    g->what = "id";
}

static bool ids_repeat(const struct am_join *j)
{
    for (size_t i = 1; j->set[AM_OLD]->id && i < j->n; i++)
        if (am_join_id(j, i) == am_join_id(j, i - 1))
            return true;
    return false;
}

static double effective(const float *weight, size_t n)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)weight[i];
        squares += (double)weight[i] * (double)weight[i];
    }
    return am_effective_n(sum, squares);
}

int am_grouping_of(const struct am_join *j, struct am_grouping *ret)
{
    struct am_grouping g = {.what = "sample", .n_eff = (double)j->n};
    const int32_t *cluster = am_join_column(j, AM_PACKED_CLUSTER);
    size_t clusters = (size_t)j->set[j->set[AM_OLD]->col[AM_PACKED_CLUSTER] ? AM_OLD : AM_NEW]->meta->clusters;
    int rc = 0;
    g.weight = am_join_column(j, AM_PACKED_W);
    if (g.weight)
        g.n_eff = effective(g.weight, j->n);
    if (cluster || ids_repeat(j)) {
        g.unit = malloc(j->n * sizeof *g.unit + 1);
        if (!g.unit)
            return -AM_E_OUT_OF_MEMORY;
    }
    if (cluster)
        rc = by_cluster(j, cluster, clusters, &g);
    else if (g.unit)
        by_id(j, &g);
    if (!g.unit)
        g.units = j->n;
    if (rc < 0)
        am_grouping_done(&g);
    else
        *ret = g;
    return rc;
}

void am_grouping_done(struct am_grouping *g)
{
    free(g->unit);
    *g = (struct am_grouping){0};
}

double *am_grouped_rows(const struct am_grouping *g, size_t n, size_t sums, am_sums_of *row, const void *arg)
{
    double *rows = calloc(g->units * sums + 1, sizeof *rows), one[AM_BOOT_SUMS];
    for (size_t i = 0; rows && i < n; i++) {
        double *at = rows + (g->unit ? (size_t)g->unit[i] : i) * sums, w = g->weight ? (double)g->weight[i] : 1;
        row(arg, i, one);
        for (size_t k = 0; k < sums; k++)
            at[k] += w * one[k];
    }
    return rows;
}
