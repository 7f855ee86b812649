/*
 * samples.c - see samples.h.
 */
#include "core/compat/samples.h"
#include "core/base/math.h"
#include "core/compat/normal.h"

#include <math.h>

static uint64_t whole(double n)
{
    return n < 0x1p63 ? (uint64_t)n : UINT64_MAX;
}

static int proper(double p)
{
    return p > 0 && p < 1;
}

static double at_zero_flips(double p)
{
    return AM_Z_ONE_SIDED * AM_Z_ONE_SIDED * (1 - p) / p;
}

uint64_t am_samples_margin(double margin)
{
    return proper(margin) ? whole(floor(at_zero_flips(margin)) + 1) : UINT64_MAX;
}

uint64_t am_samples_nfr(double limit)
{
    return proper(limit) ? whole(ceil(at_zero_flips(limit))) : UINT64_MAX;
}

uint64_t am_samples_nfr_exact(double limit)
{
    return proper(limit) ? whole(ceil(am_ln(0.05) / am_ln(1 - limit))) : UINT64_MAX;
}

uint64_t am_samples_discordant(double share, double power)
{
    if (!proper(share) || !proper(power) || !(fabs(share - 0.5) > 0))
        return UINT64_MAX;
    double reach = AM_Z_TWO_SIDED / 2 + am_normal_quantile(power) * sqrt(share * (1 - share));
    double n = reach / (share - 0.5);
    return whole(ceil(n * n));
}
