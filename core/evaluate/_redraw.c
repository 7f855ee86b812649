/*
 * _redraw.c - see _redraw.h. Samples without weights and groups that add 1 to one slot are alike within it: such a
 * resample is one multinomial draw of the slots' sizes. Very many others are drawn from their limit (_strata.h), and
 * groups, or fewer, unit by unit.
 */
#include "core/evaluate/_redraw.h"

#include "core/compat/draw.h"
#include "core/compat/replicates.h"
#include "core/evaluate/_strata.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK = 32 };

struct work {
    const struct am_redraw *r;
    const struct am_boot *how;
    uint32_t key[2];
    const double *total;        /* of each slot, of the data itself */
    struct am_maybe *replicate; /* [stats][replicates] */
    bool alike;
    struct am_strata strata; /* no stratum: not used */
};

/* times NULL: every unit once. */
static void add_up(const struct am_redraw *r, const uint32_t *times, double *sums)
{
    const struct am_grouping *g = r->grouping;
    memset(sums, 0, (r->slots + 1) * sizeof *sums);
    for (size_t i = 0; i < r->n; i++) {
        double w = g->weight ? (double)g->weight[i] : 1;
        if (times)
            w *= times[g->unit ? (size_t)g->unit[i] : i];
        sums[r->slots] += w;
        for (int k = 0; k < 2 && r->slot[k]; k++)
            if (r->slot[k][i] != AM_REDRAW_NONE)
                sums[r->slot[k][i]] += w * (r->amount[k] ? (double)r->amount[k][i] : 1);
    }
}

/* Bytes of what a statistic gets. */
static size_t room(const struct am_redraw *r)
{
    return (r->slots + 1 + r->scratch) * sizeof(double);
}

/* `times` has room for the units, `strata` for the strata and one more; what is not used may be empty. */
static void draw(const struct work *w, uint32_t replicate, uint32_t *times, double *strata, double *sums)
{
    const size_t units = w->r->grouping->units;
    struct am_draw d;
    am_draw_begin(&d, w->key, replicate);
    if (w->alike) {
        double all = 0;
        for (size_t k = 0; k < w->r->slots; k++)
            all += w->total[k];
        am_draw_multinomial(&d, (uint64_t)all, w->total, w->r->slots, sums);
        sums[w->r->slots] = all;
        return;
    }
    if (w->strata.strata) {
        am_strata_draw(&w->strata, &d, strata, sums);
        return;
    }
    memset(times, 0, units * sizeof *times);
    for (size_t i = 0; i < units; i++)
        times[am_draw_below(&d, units)]++;
    add_up(w->r, times, sums);
}

static int run_part(void *arg, uint32_t first, uint32_t end)
{
    struct work *w = arg;
    uint32_t *times = malloc((w->alike || w->strata.strata ? 0 : w->r->grouping->units) * sizeof *times + 1);
    double *sums = malloc(room(w->r)), *strata = malloc((w->strata.strata + 1) * sizeof *strata);
    struct am_maybe one[AM_REDRAW_STATS];
    int rc = times && sums && strata ? 0 : -AM_E_OUT_OF_MEMORY;
    for (uint32_t i = first; rc == 0 && i < end; i++) {
        draw(w, i, times, strata, sums);
        w->r->statistics(sums, w->r->arg, one);
        for (size_t k = 0; k < w->r->stats; k++)
            w->replicate[k * w->how->replicates + i] = one[k];
    }
    free(times);
    free(strata);
    free(sums);
    return rc;
}

static int run(struct work *w, double *total, double *sorted, struct am_boot_answer *ret)
{
    const struct am_redraw *r = w->r;
    struct am_maybe estimate[AM_REDRAW_STATS];
    add_up(r, NULL, total);
    r->statistics(total, r->arg, estimate);
    if (!w->alike && !r->grouping->unit && am_boot_limited(w->how->replicates, r->n))
        AM_TRY(am_strata_of(r, &w->strata));
    AM_TRY(am_replicates_run(w->how, CHUNK, run_part, w));
    for (size_t k = 0; k < r->stats; k++) {
        ret[k] = am_replicates_answer(estimate[k], w->replicate + k * w->how->replicates, w->how->replicates, sorted);
        ret[k].limited = w->strata.strata > 0;
    }
    return 0;
}

int am_redraw(const struct am_redraw *r, const struct am_boot *how, struct am_boot_answer *ret)
{
    struct work w = {.r = r, .how = how};
    if (r->stats > AM_REDRAW_STATS)
        return -AM_E_INVALID_PARAMS;
    AM_TRY(am_replicates_begin(how, w.key));
    double *total = malloc(room(r)), *sorted = malloc(how->replicates * sizeof *sorted);
    w.replicate = malloc(r->stats * how->replicates * sizeof *w.replicate + 1);
    w.total = total;
    w.alike = !r->grouping->weight && !r->grouping->unit && !r->slot[1] && !r->amount[0];
    int rc = total && sorted && w.replicate ? run(&w, total, sorted, ret) : -AM_E_OUT_OF_MEMORY;
    free(total);
    free(sorted);
    free(w.replicate);
    am_strata_done(&w.strata);
    return rc;
}
