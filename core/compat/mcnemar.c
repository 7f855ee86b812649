/*
 * mcnemar.c - McNemar's test by summing the binomial downwards from its largest term, in logs (tests.h).
 */
#include "core/base/math.h"
#include "core/compat/binomial.h"
#include "core/compat/tests.h"

#define LN_10 2.302585092994045684018

static struct am_p of_ln(double ln)
{
    return ln >= 0 ? (struct am_p){1, 0} : (struct am_p){am_exp(ln), ln / LN_10};
}

static struct am_p of_value(double p)
{
    return p >= 1 ? (struct am_p){1, 0} : (struct am_p){p, am_ln(p) / LN_10};
}

/* P(X <= m) / P(X = m): 1 + m/(n-m+1) + ..., until a term is lost in the sum. m <= n/2, so the terms fall. */
static double tail_ratio(double n, double m)
{
    double sum = 1, term = 1;
    for (double i = m; i >= 1 && term > sum * 1e-18; i--) {
        term *= i / (n - i + 1);
        sum += term;
    }
    return sum;
}

struct am_mcnemar am_mcnemar_of(uint64_t b, uint64_t c)
{
    struct am_mcnemar r = {{1, 0}, {1, 0}, {1, 0}};
    double n = (double)(b + c), m = (double)(b < c ? b : c);
    if (b + c == 0)
        return r;
    double ln_point = am_ln_fair_pmf(n, m);
    if (b == c) {
        r.mid = of_value(1 - am_exp(ln_point) / 2);
        r.regression = of_value(0.5);
        return r;
    }
    double ratio = tail_ratio(n, m);
    double ln_mid_tail = ln_point + am_ln(ratio - 0.5); /* P(X < m) + P(X = m)/2 */
    r.exact = of_ln(ln_point + am_ln(2 * ratio));
    r.mid = of_ln(ln_point + am_ln(2 * ratio - 1));
    r.regression = b > c ? of_ln(ln_mid_tail) : of_value(1 - am_exp(ln_mid_tail));
    return r;
}

const char *am_verdict(double p, uint64_t b, uint64_t c)
{
    if (!(p < 0.05) || b == c)
        return "no_difference_shown";
    return b > c ? "worse" : "better";
}
