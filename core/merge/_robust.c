/*
 * _robust.c - Krum, multi-Krum and the geometric median in Gram space (_robust.h). The Flag aggregator is in
 * _robust_flag.c.
 *
 * Krum: Blanchard et al., NeurIPS 2017, with squared distances as in the paper. Geometric median: Weiszfeld's
 * iteration on coefficients, since |g_i - Gc|^2 = K_ii - 2 (Kc)_i + c'Kc (merge.md A27).
 */
#include "core/merge/_robust.h"

#include "core/methods/method.h"

#include <math.h>

#define WEISZFELD_ROUNDS 100
#define WEISZFELD_STOP 1e-8
#define WEISZFELD_NEAR 1e-6 /* of the median norm: a contributor nearer than this weighs as if it were so far */

double am_robust_distance2(const double *k, size_t n, size_t i, size_t j)
{
    double d = k[i * n + i] + k[j * n + j] - 2 * k[i * n + j];
    return d > 0 ? d : 0;
}

static void sort(double *x, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        double v = x[i];
        size_t j = i;
        for (; j > 0 && x[j - 1] > v; j--)
            x[j] = x[j - 1];
        x[j] = v;
    }
}

double am_robust_median(double *x, size_t n)
{
    sort(x, n);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

void am_robust_krum_scores(const double *k, size_t n, size_t neighbours, double *score)
{
    double d[AM_MAX_INPUTS];
    for (size_t i = 0; i < n; i++) {
        size_t others = 0;
        for (size_t j = 0; j < n; j++)
            if (j != i)
                d[others++] = am_robust_distance2(k, n, i, j);
        sort(d, others);
        score[i] = 0;
        for (size_t j = 0; j < neighbours && j < others; j++)
            score[i] += d[j];
    }
}

void am_robust_take_best(const double *score, size_t n, size_t take, double *c)
{
    for (size_t i = 0; i < n; i++) {
        size_t before = 0;
        for (size_t j = 0; j < n; j++)
            before += score[j] < score[i] || (score[j] == score[i] && j < i);
        c[i] = before < take ? 1 / (double)take : 0;
    }
}

/* The distance below which a contributor counts as reached; 0 only when all differences are zero. */
static double nearest(const double *k, size_t n)
{
    double square[AM_MAX_INPUTS], top = 0;
    for (size_t i = 0; i < n; i++) {
        square[i] = k[i * n + i];
        top = square[i] > top ? square[i] : top;
    }
    double middle = am_robust_median(square, n);
    return WEISZFELD_NEAR * sqrt(middle > 0 ? middle : top);
}

/* One round; returns how far a coefficient moved at most. */
static double weiszfeld(const double *k, size_t n, double near, double *c)
{
    double kc[AM_MAX_INPUTS], w[AM_MAX_INPUTS], ckc = 0, sum = 0, moved = 0;
    for (size_t i = 0; i < n; i++) {
        kc[i] = 0;
        for (size_t j = 0; j < n; j++)
            kc[i] += k[i * n + j] * c[j];
        ckc += c[i] * kc[i];
    }
    for (size_t i = 0; i < n; i++) {
        double d = k[i * n + i] - 2 * kc[i] + ckc;
        d = d > 0 ? sqrt(d) : 0;
        w[i] = 1 / (d > near ? d : near);
        sum += w[i];
    }
    for (size_t i = 0; i < n; i++) {
        double next = w[i] / sum, step = fabs(next - c[i]);
        moved = step > moved ? step : moved;
        c[i] = next;
    }
    return moved;
}

unsigned am_robust_geometric_median(const double *k, size_t n, double *c)
{
    double near = nearest(k, n);
    for (size_t i = 0; i < n; i++)
        c[i] = 1 / (double)n;
    if (near == 0)
        return 0;
    for (unsigned round = 1; round <= WEISZFELD_ROUNDS; round++)
        if (weiszfeld(k, n, near, c) < WEISZFELD_STOP)
            return round;
    return WEISZFELD_ROUNDS;
}
