/*
 * _micro.c - see _numbers.h: sets of labels where every (sample, label) is a decision of its own (compat.md 3,
 * params.multilabel = micro). The bootstrap draws samples, with all their decisions.
 */
#include "core/evaluate/_numbers.h"

#include <stdlib.h>
#include <string.h>

struct micro {
    const struct am_join *j;
    struct am_wide y, p[2];
    size_t words, labels;
    bool failed; /* a column could not be read */
};

static uint64_t live(const struct micro *m, size_t word)
{
    size_t left = m->labels - 64 * word;
    return left >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << left) - 1;
}

/* Two decisions on one label differ when one of them is right and the other wrong, and only then. */
static void decisions(const void *arg, size_t i, double *sums)
{
    struct micro *m = (struct micro *)(uintptr_t)arg; /* its windows move */
    const uint64_t *y = am_wide_row(&m->y, am_join_row(m->j, AM_OLD, i)),
                   *o = am_wide_row(&m->p[AM_OLD], am_join_row(m->j, AM_OLD, i)),
                   *w = am_wide_row(&m->p[AM_NEW], am_join_row(m->j, AM_NEW, i));
    memset(sums, 0, AM_CELLS * sizeof *sums);
    m->failed = m->failed || !y || !o || !w;
    for (size_t k = 0; k < m->words && !m->failed; k++) {
        uint64_t old_ok = ~(y[k] ^ o[k]), new_ok = ~(y[k] ^ w[k]), mask = live(m, k);
        sums[AM_CELL_A_SAME] += __builtin_popcountll(old_ok & new_ok & mask);
        sums[AM_CELL_B] += __builtin_popcountll(old_ok & ~new_ok & mask);
        sums[AM_CELL_C] += __builtin_popcountll(new_ok & ~old_ok & mask);
        sums[AM_CELL_D_SAME] += __builtin_popcountll(~(old_ok | new_ok) & mask);
    }
}

static int open_all(struct micro *m, struct am_faults *f)
{
    const struct am_packed *old = m->j->set[AM_OLD], *new = m->j->set[AM_NEW];
    m->labels = old->meta->labels_n;
    m->words = (m->labels + 63) / 64;
    int rc = am_wide_open(&m->y, old, "y_bits", AM_U64, m->words, f);
    if (rc == 0)
        rc = am_wide_open(&m->p[AM_OLD], old, "p_bits", AM_U64, m->words, f);
    if (rc == 0)
        rc = am_wide_open(&m->p[AM_NEW], new, "p_bits", AM_U64, m->words, f);
    return rc == 1
               ? am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/params/multilabel"},
                              "micro needs the sets of labels of both versions, y and p; a prediction set has ok alone")
               : rc;
}

static int count(struct micro *m, const struct am_grouping *g, const struct am_compare_how *how, struct am_compared *c)
{
    struct am_cells cells = {.compared = true};
    double one[AM_CELLS];
    memset(c->weighed, 0, sizeof c->weighed);
    for (size_t i = 0; i < m->j->n; i++) {
        decisions(m, i, one);
        cells.a += (uint64_t)one[AM_CELL_A_SAME];
        cells.b += (uint64_t)one[AM_CELL_B];
        cells.c += (uint64_t)one[AM_CELL_C];
        cells.d_same += (uint64_t)one[AM_CELL_D_SAME];
        for (size_t k = 0; k < AM_CELLS; k++)
            c->weighed[k] += one[k] * (g->weight ? (double)g->weight[i] : 1);
    }
    c->cells = cells;
    c->decisions = am_cells_n(&cells);
    double *rows = am_grouped_rows(g, m->j->n, AM_CELLS, decisions, m);
    int rc = rows ? am_drawn_values(how, rows, g->units, c) : -AM_E_OUT_OF_MEMORY;
    free(rows);
    return rc;
}

int am_micro_values(const struct am_join *j, const struct am_grouping *g, const struct am_compare_how *how,
                    struct am_faults *f, struct am_compared *c)
{
    struct micro m = {.j = j};
    int rc = open_all(&m, f);
    if (rc == 0)
        rc = count(&m, g, how, c);
    if (rc == 0 && m.failed)
        rc = am_packed_bad(f, j->set[AM_OLD]->name, "a set of labels", "cannot be read");
    am_wide_done(&m.y);
    am_wide_done(&m.p[AM_OLD]);
    am_wide_done(&m.p[AM_NEW]);
    return rc;
}
