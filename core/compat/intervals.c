/*
 * intervals.c - see intervals.h.
 */
#include "core/compat/intervals.h"

#include <math.h>

static const struct am_interval undefined = {false, 0, 0};

static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

struct am_interval am_wilson(double k, double n, double z)
{
    if (!(n > 0))
        return undefined;
    double p = k / n, z2 = z * z, scale = 1 + z2 / n;
    double centre = (p + z2 / (2 * n)) / scale;
    double half = z * sqrt(p * (1 - p) / n + z2 / (4 * n * n)) / scale;
    double lower = k <= 0 ? 0 : clamp(centre - half, 0, 1); /* rounding must not leave a trace of itself at the ends */
    double upper = k >= n ? 1 : clamp(centre + half, 0, 1);
    return (struct am_interval){true, lower, upper};
}

double am_tango_statistic(double b, double c, double n, double delta)
{
    double q_a = 2 * n, q_b = -(b + c) + (2 * n - c + b) * delta, q_c = -b * delta * (1 - delta);
    double root = sqrt(fmax(0, q_b * q_b - 4 * q_a * q_c));
    /* the larger root, in the form that does not subtract equals */
    double q = q_b <= 0 ? (root - q_b) / (2 * q_a) : -2 * q_c / (root + q_b);
    double above = c - b - n * delta, variance = n * (2 * q + delta * (1 - delta));
    if (variance > 0)
        return above / sqrt(variance);
    return above > 0 ? (double)INFINITY : above < 0 ? -(double)INFINITY : 0;
}

/* Where the statistic falls through `target` between low and high; `none` when it does not change sign there. */
static double crossing(double b, double c, double n, double target, double low, double high, double none)
{
    const double edge = 0x1p-52; /* the statistic is defined inside (-1, 1) */
    low = fmax(low, -1 + edge);
    high = fmin(high, 1 - edge);
    if (am_tango_statistic(b, c, n, low) < target || am_tango_statistic(b, c, n, high) > target)
        return none;
    for (int i = 0; i < 200 && high - low > 1e-16; i++) {
        double middle = low + (high - low) / 2;
        if (am_tango_statistic(b, c, n, middle) > target)
            low = middle;
        else
            high = middle;
    }
    return low + (high - low) / 2;
}

struct am_interval am_tango(double b, double c, double n, double z)
{
    if (!(n > 0))
        return undefined;
    double estimate = (c - b) / n;
    double lower = crossing(b, c, n, z, -1, estimate, -1), upper = crossing(b, c, n, -z, estimate, 1, 1);
    return (struct am_interval){true, lower, upper};
}

struct am_interval am_newcombe(double a, double b, double c, double d, double z)
{
    double n = a + b + c + d;
    if (!(n > 0))
        return undefined;
    struct am_interval o = am_wilson(a + b, n, z), w = am_wilson(a + c, n, z);
    double p_old = (a + b) / n, p_new = (a + c) / n;
    double product = (a + b) * (c + d) * (a + c) * (b + d), top = a * d - b * c;
    if (top > 0)
        top = fmax(top - n / 2, 0);
    double phi = product > 0 ? top / sqrt(product) : 0;
    double down_new = p_new - w.lower, up_old = o.upper - p_old, up_new = w.upper - p_new, down_old = p_old - o.lower;
    double below = sqrt(fmax(0, down_new * down_new - 2 * phi * down_new * up_old + up_old * up_old));
    double above = sqrt(fmax(0, up_new * up_new - 2 * phi * up_new * down_old + down_old * down_old));
    return (struct am_interval){true, clamp(p_new - p_old - below, -1, 1), clamp(p_new - p_old + above, -1, 1)};
}
