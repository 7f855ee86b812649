/*
 * bootstrap.c - see bootstrap.h. Replicates are computed in parts (replicates.h), each into a place of its own; what
 * comes after (sorting, the jackknife) is of one thread. The interval of each statistic is in boot_interval.c.
 */
#include "core/compat/bootstrap.h"
#include "core/base/err.h"
#include "core/compat/boot_limit.h"
#include "core/compat/boot_parts.h"
#include "core/compat/draw.h"
#include "core/compat/replicates.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK 64 /* replicates of one part */
/* Below both, drawing every unit takes less than a second, or there are too few to tell what stands out. */
#define DRAWS_MAX 5e7
#define UNITS_MIN 10000

struct work {
    const struct am_boot *how;
    const struct am_boot_data *data;
    const struct am_boot_ask *ask;
    size_t asks;
    uint32_t key[2];
    struct am_maybe *replicate; /* [asks][replicates] */
};

/* How often each unit is drawn comes first: that array fits a cache where the rows would be met in random order. */
static void resample_units(const struct am_boot_data *data, struct am_draw *draw, uint32_t *times, double *sums)
{
    double sum[AM_BOOT_SUMS] = {0};
    memset(times, 0, data->n * sizeof(*times));
    for (uint64_t i = 0; i < data->n; i++)
        times[am_draw_below(draw, data->n)]++;
    for (uint64_t i = 0; i < data->n; i++) {
        if (times[i] == 0)
            continue;
        for (size_t k = 0; k < data->sums; k++)
            sum[k] += times[i] * data->rows[i * data->sums + k];
    }
    memcpy(sums, sum, sizeof(sum));
}

static int run_part(void *arg, uint32_t first, uint32_t end)
{
    struct work *w = arg;
    bool by_unit = w->data->rows && !w->data->limit;
    uint32_t *times = by_unit ? malloc(w->data->n * sizeof(*times) + 1) : NULL;
    if (by_unit && !times)
        return -AM_E_OUT_OF_MEMORY;
    for (uint32_t r = first; r < end; r++) {
        struct am_draw draw;
        double sums[AM_BOOT_SUMS] = {0};
        am_draw_begin(&draw, w->key, r);
        if (times)
            resample_units(w->data, &draw, times, sums);
        else if (w->data->limit)
            am_boot_limit_draw(w->data->limit, &draw, sums);
        else
            am_draw_multinomial(&draw, w->data->n, w->data->total, w->data->sums, sums);
        for (size_t k = 0; k < w->asks; k++)
            w->replicate[k * w->how->replicates + r] = w->ask[k].statistic(sums, w->ask[k].arg);
    }
    free(times);
    return 0;
}

static int answer_all(const struct work *w, struct am_boot_answer *ret)
{
    uint32_t n = w->how->replicates;
    double *sorted = malloc(n * sizeof(*sorted));
    if (!sorted)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t k = 0; k < w->asks; k++) {
        ret[k] = am_boot_interval(w->data, &w->ask[k], w->replicate + k * n, n, sorted);
        ret[k].limited = w->data->limit != NULL;
    }
    free(sorted);
    return 0;
}

static int run(const struct am_boot *how, const struct am_boot_data *data, const struct am_boot_ask *ask, size_t asks,
               struct am_boot_answer *ret)
{
    struct work w = {.how = how, .data = data, .ask = ask, .asks = asks};
    if (asks > AM_BOOT_STATS)
        return -AM_E_INVALID_PARAMS;
    AM_TRY(am_replicates_begin(how, w.key));
    w.replicate = malloc(asks * how->replicates * sizeof(*w.replicate) + 1);
    if (!w.replicate)
        return -AM_E_OUT_OF_MEMORY;
    int rc = am_replicates_run(how, CHUNK, run_part, &w);
    if (rc == 0)
        rc = answer_all(&w, ret);
    free(w.replicate);
    return rc;
}

int am_boot_classes(const struct am_boot *how, const double *sizes, size_t sums, const struct am_boot_ask *ask,
                    size_t asks, struct am_boot_answer *ret)
{
    if (sums < 1 || sums > AM_BOOT_SUMS)
        return -AM_E_INVALID_PARAMS;
    struct am_boot_data data = {.sums = sums};
    for (size_t k = 0; k < sums; k++) {
        if (!(sizes[k] >= 0 && sizes[k] <= 0x1p53 - (double)data.n))
            return -AM_E_INVALID_PARAMS;
        data.total[k] = sizes[k];
        data.n += (uint64_t)sizes[k];
    }
    return run(how, &data, ask, asks, ret);
}

bool am_boot_limited(uint32_t replicates, uint64_t units)
{
    return units >= UNITS_MIN && (double)replicates * (double)units > DRAWS_MAX;
}

int am_boot_units(const struct am_boot *how, const double *rows, size_t units, size_t sums,
                  const struct am_boot_ask *ask, size_t asks, struct am_boot_answer *ret)
{
    return am_boot_units_by(how, rows, units, sums, ask, asks, am_boot_limited(how->replicates, units), ret);
}

int am_boot_units_by(const struct am_boot *how, const double *rows, size_t units, size_t sums,
                     const struct am_boot_ask *ask, size_t asks, bool limit, struct am_boot_answer *ret)
{
    if (sums < 1 || sums > AM_BOOT_SUMS || units > UINT32_MAX)
        return -AM_E_INVALID_PARAMS;
    struct am_boot_data data = {.rows = rows, .n = units, .sums = sums};
    for (size_t i = 0; i < units; i++)
        for (size_t k = 0; k < sums; k++)
            data.total[k] += rows[i * sums + k];
    struct am_boot_limit from = {0};
    if (limit) {
        if (how->replicates < AM_BOOT_MIN || units < 2)
            return -AM_E_INVALID_PARAMS;
        AM_TRY(am_boot_limit_of(rows, units, sums, how->replicates, &from));
        data.limit = &from;
    }
    int rc = run(how, &data, ask, asks, ret);
    am_boot_limit_done(&from);
    return rc;
}

int am_boot_cell_rows(const uint8_t *cell, const float *weight, const int32_t *cluster, size_t n, size_t clusters,
                      double *ret)
{
    for (size_t i = 0; i < n; i++)
        if (cell[i] >= 6 || (cluster && (cluster[i] < 0 || (size_t)cluster[i] >= clusters)))
            return -AM_E_INVALID_PARAMS;
    memset(ret, 0, (cluster ? clusters : n) * 6 * sizeof(*ret));
    for (size_t i = 0; i < n; i++)
        ret[(cluster ? (size_t)cluster[i] : i) * 6 + cell[i]] += weight ? (double)weight[i] : 1;
    return 0;
}
