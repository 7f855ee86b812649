/*
 * binomial.h - probabilities of counts, to a relative 1e-13 up to n = 10^7: Loader's form (Fast
 * and accurate computation of binomial probabilities, 2000), since differences of log-gamma lose eight digits at
 * n = 10^7. From core/base/math.h alone.
 */
#ifndef AM_COMPAT_BINOMIAL_H
#define AM_COMPAT_BINOMIAL_H

/* ln n! - (n ln n - n + ln(2 pi n)/2), the error of Stirling's formula; n whole, >= 1. */
double am_stirling_error(double n);
/* ln of C(n, m) / 2^n; 0 <= m <= n, both whole. */
double am_ln_fair_pmf(double n, double m);
/* ln(C(n, k) p^k (1-p)^(n-k)); 0 <= k <= n, 0 < p < 1. */
double am_ln_binomial_pmf(double n, double p, double k);

#endif
