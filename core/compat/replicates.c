/*
 * replicates.c - see replicates.h.
 */
#include "core/compat/replicates.h"

#include "core/base/crew.h"
#include "core/base/err.h"
#include "core/compat/draw.h"
#include "core/compat/normal.h"

#include <stdatomic.h>
#include <stdlib.h>

struct work {
    const struct am_boot *how;
    uint32_t at_once;
    am_replicates_part *part;
    void *arg;
    atomic_int rc;
};

int am_replicates_begin(const struct am_boot *how, uint32_t ret_key[2])
{
    if (how->replicates < AM_BOOT_MIN || how->replicates > AM_BOOT_MAX || how->threads < 1)
        return -AM_E_INVALID_PARAMS;
    return am_draw_key(how->seed, ret_key);
}

static void run_part(void *arg, size_t job)
{
    struct work *w = arg;
    uint32_t all = w->how->replicates, first = (uint32_t)job * w->at_once;
    int rc = w->part(w->arg, first, all - first < w->at_once ? all : first + w->at_once);
    if (rc < 0)
        atomic_store(&w->rc, rc);
}

int am_replicates_run(const struct am_boot *how, uint32_t at_once, am_replicates_part *part, void *arg)
{
    struct work w = {.how = how, .at_once = at_once, .part = part, .arg = arg};
    size_t jobs = (how->replicates + at_once - 1) / at_once;
    struct am_crew *crew = am_crew_new(how->threads > 1 ? how->threads : 0, jobs, run_part, NULL, &w);
    if (!crew)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < jobs; i++)
        am_crew_give(crew, i);
    for (size_t i = 0; i < jobs; i++)
        am_crew_wait(crew, i, AM_CREW_FOLLOWED);
    am_crew_free(crew);
    return atomic_load(&w.rc);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct am_boot_answer am_replicates_sort(struct am_maybe estimate, const struct am_maybe *replicate, uint32_t n,
                                         double *sorted, uint32_t *ret_kept)
{
    struct am_boot_answer a = {.estimate = estimate, .reason = "undefined"};
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++)
        if (replicate[i].known)
            sorted[kept++] = replicate[i].value;
    a.dropped = n - kept;
    *ret_kept = kept;
    if (!estimate.known)
        return a;
    a.reason = kept == 0 || (uint64_t)a.dropped * 20 > n ? "unstable" : NULL;
    if (!a.reason)
        qsort(sorted, kept, sizeof *sorted, by_value);
    return a;
}

static struct am_interval between(const double *sorted, size_t n, double z)
{
    return (struct am_interval){true, am_quantile7(sorted, n, am_normal_cdf(-z)),
                                am_quantile7(sorted, n, am_normal_cdf(z))};
}

struct am_boot_answer am_replicates_answer(struct am_maybe estimate, const struct am_maybe *replicate, uint32_t n,
                                           double *sorted)
{
    uint32_t kept;
    struct am_boot_answer a = am_replicates_sort(estimate, replicate, n, sorted, &kept);
    if (a.reason)
        return a;
    a.two_sided = between(sorted, kept, AM_Z_TWO_SIDED);
    a.one_sided = between(sorted, kept, AM_Z_ONE_SIDED);
    return a;
}
