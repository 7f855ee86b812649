/*
 * boot_interval.c - from replicates to an interval: percentile, or BCa (Efron 1987) with the acceleration from the
 * jackknife: over classes, each counted as often as it has members, or over units.
 */
#include "core/compat/boot_parts.h"
#include "core/compat/normal.h"
#include "core/compat/replicates.h"

#include <math.h>

double am_quantile7(const double *sorted, size_t n, double level)
{
    double at = level * (double)(n - 1);
    size_t low = (size_t)floor(at);
    if (low + 1 >= n)
        return sorted[n - 1];
    return sorted[low] + (at - (double)low) * (sorted[low + 1] - sorted[low]);
}

/* The statistic with one member of class j, or unit j, left out. */
static struct am_maybe without(const struct am_boot_data *data, const struct am_boot_ask *ask, uint64_t j)
{
    double sums[AM_BOOT_SUMS];
    for (size_t k = 0; k < data->sums; k++) {
        double part = data->rows ? data->rows[j * data->sums + k] : k == j ? 1 : 0;
        sums[k] = data->total[k] - part;
    }
    return ask->statistic(sums, ask->arg);
}

/* Members of class j; a unit is one. */
static double members(const struct am_boot_data *data, uint64_t j)
{
    return data->rows ? 1 : data->total[j];
}

/* sum n (mean - x)^3 / (6 (sum n (mean - x)^2)^1.5) over what is left when one is left out. Those that leave the
   statistic undefined do not count. */
static double acceleration(const struct am_boot_data *data, const struct am_boot_ask *ask)
{
    uint64_t places = data->rows ? data->n : data->sums;
    double whole = ask->statistic(data->total, ask->arg).value, count = 0, sum = 0, sum2 = 0, sum3 = 0;
    for (uint64_t j = 0; j < places; j++) {
        struct am_maybe x = members(data, j) > 0 ? without(data, ask, j) : (struct am_maybe){false, 0};
        if (!x.known)
            continue;
        double off = whole - x.value, n = members(data, j);
        count += n;
        sum += n * off;
        sum2 += n * off * off;
        sum3 += n * off * off * off;
    }
    /* About their mean: the whole is so near to it that nothing cancels. */
    double mean = count > 0 ? sum / count : 0, squares = sum2 - count * mean * mean;
    double cubes = sum3 - 3 * mean * sum2 + 2 * count * mean * mean * mean;
    if (!(squares > 1e-9 * sum2)) /* all alike, but for rounding */
        return 0;
    return cubes / (6 * squares * sqrt(squares));
}

struct bca {
    double z0, a;
};

/* Which share of the replicates lies below for a normal quantile z. */
static double level_of(const struct bca *how, double z)
{
    double step = how->z0 + z, bend = 1 - how->a * step;
    return bend > 0 ? am_normal_cdf(how->z0 + step / bend) : step > 0 ? 1 : 0;
}

static struct am_interval between(const double *sorted, uint32_t n, const struct bca *how, double z)
{
    return (struct am_interval){true, am_quantile7(sorted, n, level_of(how, -z)),
                                am_quantile7(sorted, n, level_of(how, z))};
}

/* The share below the estimate and half of what equals it. */
static double share_below(const double *sorted, uint32_t n, double estimate)
{
    double below = 0, equal = 0;
    for (uint32_t i = 0; i < n && !(sorted[i] > estimate); i++) {
        if (sorted[i] < estimate)
            below++;
        else
            equal++;
    }
    return (below + equal / 2) / n;
}

struct am_boot_answer am_boot_interval(const struct am_boot_data *data, const struct am_boot_ask *ask,
                                       const struct am_maybe *replicate, uint32_t n, double *sorted)
{
    struct am_maybe estimate = ask->statistic(data->total, ask->arg);
    uint32_t kept;
    if (!ask->bca)
        return am_replicates_answer(estimate, replicate, n, sorted);
    struct am_boot_answer a = am_replicates_sort(estimate, replicate, n, sorted, &kept);
    if (a.reason)
        return a;
    double share = share_below(sorted, kept, estimate.value);
    if (share <= 0 || share >= 1) { /* the estimate lies outside its own resamples */
        a.reason = "unstable";
        return a;
    }
    const struct bca how = {am_normal_quantile(share), acceleration(data, ask)};
    a.two_sided = between(sorted, kept, &how, AM_Z_TWO_SIDED);
    a.one_sided = between(sorted, kept, &how, AM_Z_ONE_SIDED);
    return a;
}
