/*
 * normal.c - see normal.h.
 */
#include "core/compat/normal.h"
#include "core/base/math.h"

#include <math.h>

#define SQRT_2PI 2.50662827463100050242
#define LEVELS 500 /* of the continued fraction: enough to full precision from x = 1 on */

/* exp(-x^2/2) / sqrt(2 pi). x^2 is split, so that its rounding does not grow with x. */
static double density(double x)
{
    double head = floor(x * 16) / 16, rest = (x - head) * (x + head);
    return am_exp(-head * head / 2) * am_exp(-rest / 2) / SQRT_2PI;
}

/* P(Z > x), x >= 1: density over Laplace's continued fraction x + 1/(x + 2/(x + 3/(x + ...))). */
static double upper_tail(double x)
{
    double f = x;
    for (int k = LEVELS; k >= 1; k--)
        f = x + k / f;
    return density(x) / f;
}

/* P(0 < Z < x), 0 <= x < 1: density times x + x^3/3 + x^5/(3*5) + ..., all terms positive (Marsaglia 2004). */
static double from_zero(double x)
{
    double term = x, sum = x;
    for (int k = 3; term > sum * 1e-18; k += 2) {
        term *= x * x / k;
        sum += term;
    }
    return sum * density(x);
}

double am_normal_cdf(double x)
{
    if (isnan(x))
        return x;
    if (x <= -1)
        return x < -40 ? 0 : upper_tail(-x);
    if (x >= 1)
        return 1 - (x > 40 ? 0 : upper_tail(x));
    return x < 0 ? 0.5 - from_zero(-x) : 0.5 + from_zero(x);
}

/* c[0] + c[1] r + ... + c[7] r^7 */
static double polynomial(const double c[8], double r)
{
    double sum = c[7];
    for (int i = 6; i >= 0; i--)
        sum = sum * r + c[i];
    return sum;
}

struct rational {
    double numerator[8], denominator[8];
};

static const struct rational centre = {
    {3.3871328727963666080e0, 1.3314166789178437745e+2, 1.9715909503065514427e+3, 1.3731693765509461125e+4,
     4.5921953931549871457e+4, 6.7265770927008700853e+4, 3.3430575583588128105e+4, 2.5090809287301226727e+3},
    {1.0, 4.2313330701600911252e+1, 6.8718700749205790830e+2, 5.3941960214247511077e+3, 2.1213794301586595867e+4,
     3.9307895800092710610e+4, 2.8729085735721942674e+4, 5.2264952788528545610e+3},
};
static const struct rational middle = {
    {1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0, 3.64784832476320460504e0,
     1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4},
    {1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1, 1.48103976427480074590e-1,
     1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9},
};
static const struct rational far = {
    {6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
     2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7},
    {1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2, 7.86869131145613259100e-4,
     1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15},
};

static double at(const struct rational *f, double r)
{
    return polynomial(f->numerator, r) / polynomial(f->denominator, r);
}

double am_normal_quantile(double p)
{
    if (!(p >= 0 && p <= 1))
        return (double)NAN;
    if (p <= 0 || p >= 1)
        return p <= 0 ? -(double)INFINITY : (double)INFINITY;
    double q = p - 0.5;
    if (fabs(q) <= 0.425)
        return q * at(&centre, 0.180625 - q * q);
    double r = sqrt(-am_ln(q < 0 ? p : 1 - p));
    double x = r <= 5 ? at(&middle, r - 1.6) : at(&far, r - 5);
    return q < 0 ? -x : x;
}
