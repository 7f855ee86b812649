/*
 * binomial.c - see binomial.h.
 */
#include "core/compat/binomial.h"
#include "core/base/math.h"

#include <math.h>

#define LN_2 0.693147180559945309417
#define HALF_LN_2PI 0.918938533204672741780

double am_stirling_error(double n)
{
    if (n < 16) {
        double factorial = 1; /* exact up to 18! */
        for (double i = 2; i <= n; i++)
            factorial *= i;
        return am_ln(factorial) - (n + 0.5) * am_ln(n) + n - HALF_LN_2PI;
    }
    double s = 1 / (n * n);
    return (1.0 / 12 - s * (1.0 / 360 - s * (1.0 / 1260 - s * (1.0 / 1680 - s * (1.0 / 1188 - s * 691 / 360360))))) / n;
}

/* x ln(x/m) + m - x: the deviance, without cancellation where x is near m (x > 0, m > 0). */
static double deviance(double x, double m)
{
    double difference = x - m;
    if (fabs(difference) >= 0.1 * (x + m))
        return x * am_ln(x / m) + m - x;
    double v = difference / (x + m), sum = difference * v, term = 2 * x * v, last = sum + 1;
    for (int j = 3; sum < last || sum > last; j += 2) {
        last = sum;
        term *= v * v;
        sum += term / j;
    }
    return sum;
}

double am_ln_binomial_pmf(double n, double p, double k)
{
    if (k <= 0)
        return n * am_ln(1 - p);
    if (k >= n)
        return n * am_ln(p);
    return am_stirling_error(n) - am_stirling_error(k) - am_stirling_error(n - k) - deviance(k, n * p) -
           deviance(n - k, n * (1 - p)) - HALF_LN_2PI + 0.5 * am_ln(n / k / (n - k));
}

double am_ln_fair_pmf(double n, double m)
{
    if (m <= 0 || m >= n)
        return -n * LN_2;
    return am_ln_binomial_pmf(n, 0.5, m);
}
