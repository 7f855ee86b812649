/*
 * _robust_flag.c - the Flag aggregator in Gram space (_robust.h). Almasi et al., ICLR 2024; merge.md A27.
 *
 * The contributors' directions are written in an orthonormal basis of their span: with K^ = K / (nr nr') = U L U',
 * direction j is column j of R = L^(1/2) U', so R'R = K^. There the best subspace of the weighted directions (and of
 * their normalised differences, for lambda > 0) are the top m eigenvectors Q of R M R', M = sum of w_k C_k C_k'. This
 * is the direct SVD of the weighted columns, in n x n. The result (1/n) Q Q'R 1 is turned back into coefficients by U
 * L^(-1/2); directions of K^ below 1e-12 of its largest eigenvalue are left out.
 */
#include "core/merge/_jacobi.h"
#include "core/merge/_robust.h"
#include "core/methods/method.h"

#include <math.h>
#include <string.h>

#define RANK_CUT 1e-12
#define OBJECTIVE_STOP 1e-10
#define SAME_DIRECTION 1e-12 /* squared distance of unit vectors: no difference to speak of */

struct flag {
    const struct am_flag *set;
    const double *k;
    size_t n, rank, m;          /* m <= rank */
    double *basis, *h, *q, *e;  /* R: rank x n; q: rows are Q; e: Q'R, m x n, and before it R M */
    double norm[AM_MAX_INPUTS]; /* of the differences */
    double value[AM_MAX_INPUTS], top[AM_MAX_INPUTS];
};

static double cosine(const struct flag *f, size_t i, size_t j)
{
    if (!(f->norm[i] > 0) || !(f->norm[j] > 0))
        return 0;
    return i == j ? 1 : f->k[i * f->n + j] / (f->norm[i] * f->norm[j]);
}

static double gap2(const struct flag *f, size_t i, size_t j)
{
    return cosine(f, i, i) + cosine(f, j, j) - 2 * cosine(f, i, j);
}

static double pair_factor(const struct flag *f) /* both orders of a pair together */
{
    return 2 * f->set->lambda / ((double)f->n * (double)(f->n - 1));
}

static void find_basis(struct flag *f)
{
    size_t n = f->n;
    for (size_t i = 0; i < n; i++)
        f->norm[i] = sqrt(f->k[i * n + i]);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            f->h[i * n + j] = cosine(f, i, j);
    am_jacobi(f->h, n, f->value, f->basis);
    for (f->rank = 0; f->rank < n && f->value[f->rank] > RANK_CUT * f->value[0]; f->rank++) {
        double root = sqrt(f->value[f->rank]);
        for (size_t j = 0; j < n; j++)
            f->basis[f->rank * n + j] *= root;
    }
}

static double clamp(double v)
{
    return v < 0 ? 0 : v > 1 ? 1 : v;
}

/* How much of direction i (of the difference of i and j) lies in the subspace. */
static double inside(const struct flag *f, size_t i)
{
    double sum = 0;
    for (size_t a = 0; a < f->m; a++)
        sum += f->e[a * f->n + i] * f->e[a * f->n + i];
    return clamp(sum);
}

static double inside_pair(const struct flag *f, size_t i, size_t j, double gap)
{
    double sum = 0;
    for (size_t a = 0; a < f->m; a++) {
        double d = f->e[a * f->n + i] - f->e[a * f->n + j];
        sum += d * d;
    }
    return clamp(sum / gap);
}

static double weight(const struct flag *f, double v)
{
    return 1 / sqrt(1 - v + f->set->epsilon);
}

/* M into q, from the subspace at hand; `first`: every weight 1. */
static void build_m(struct flag *f, bool first)
{
    size_t n = f->n;
    memset(f->q, 0, n * n * sizeof(*f->q));
    for (size_t i = 0; i < n; i++)
        f->q[i * n + i] = first ? 1 : weight(f, inside(f, i));
    for (size_t j = 1; j < n && f->set->lambda > 0; j++) {
        for (size_t i = 0; i < j; i++) {
            double gap = gap2(f, i, j);
            if (gap < SAME_DIRECTION)
                continue;
            double w = pair_factor(f) * (first ? 1 : weight(f, inside_pair(f, i, j, gap))) / gap;
            f->q[i * n + i] += w;
            f->q[j * n + j] += w;
            f->q[i * n + j] -= w;
            f->q[j * n + i] -= w;
        }
    }
}

/* out (r x c) = a (r x n) b, b an n x c matrix, or with `turned` a c x n one taken by rows. */
static void multiply(double *out, const double *a, const double *b, size_t r, size_t n, size_t c, bool turned)
{
    memset(out, 0, r * c * sizeof(*out));
    for (size_t i = 0; i < r; i++)
        for (size_t l = 0; l < n; l++)
            for (size_t j = 0; j < c; j++)
                out[i * c + j] += a[i * n + l] * (turned ? b[j * n + l] : b[l * c + j]);
}

static void find_subspace(struct flag *f, bool first)
{
    build_m(f, first);
    multiply(f->e, f->basis, f->q, f->rank, f->n, f->n, false);
    multiply(f->h, f->e, f->basis, f->rank, f->n, f->rank, true);
    am_jacobi(f->h, f->rank, f->top, f->q);
    multiply(f->e, f->q, f->basis, f->m, f->rank, f->n, false);
}

static double objective(const struct flag *f)
{
    double sum = 0;
    for (size_t i = 0; i < f->n; i++)
        sum += sqrt(1 - inside(f, i));
    for (size_t j = 1; j < f->n && f->set->lambda > 0; j++) {
        for (size_t i = 0; i < j; i++) {
            double gap = gap2(f, i, j);
            if (!(gap < SAME_DIRECTION))
                sum += pair_factor(f) * sqrt(1 - inside_pair(f, i, j, gap));
        }
    }
    return sum;
}

static double size_of_result(const struct flag *f)
{
    double norm[AM_MAX_INPUTS], sum = 0;
    if (f->set->norm == AM_FLAG_ONE)
        return 1;
    for (size_t i = 0; i < f->n; i++) {
        norm[i] = f->norm[i];
        sum += norm[i];
    }
    return f->set->norm == AM_FLAG_MEAN ? sum / (double)f->n : am_robust_median(norm, f->n);
}

static void coefficients(const struct flag *f, double *c)
{
    double y[AM_MAX_INPUTS] = {0}, size = size_of_result(f);
    size_t n = f->n;
    for (size_t a = 0; a < f->m; a++) {
        double along = 0;
        for (size_t j = 0; j < n; j++)
            along += f->e[a * n + j];
        for (size_t b = 0; b < f->rank; b++)
            y[b] += f->q[a * f->rank + b] * along;
    }
    for (size_t j = 0; j < n; j++) {
        double sum = 0;
        for (size_t b = 0; b < f->rank; b++)
            sum += f->basis[b * n + j] / f->value[b] * y[b];
        c[j] = f->norm[j] > 0 ? size * sum / ((double)n * f->norm[j]) : 0;
    }
}

unsigned am_robust_flag(const struct am_flag *set, const double *k, size_t n, double *work, double *c, double *v)
{
    size_t square = n * n, m = set->m ? set->m : (n + 2) / 2; /* ceil((n + 1) / 2) */
    struct flag f = {.set = set, .k = k, .n = n, .basis = work, .h = work + square, .q = work + 2 * square};
    f.e = work + 3 * square;
    find_basis(&f);
    f.m = m < f.rank ? m : f.rank;
    unsigned round = 0;
    double before = 0;
    do {
        find_subspace(&f, round == 0);
        double now = objective(&f);
        bool settled = round > 0 && fabs(now - before) < OBJECTIVE_STOP;
        before = now;
        round++;
        if (settled)
            break;
    } while (round < set->iterations);
    for (size_t i = 0; i < n; i++)
        v[i] = inside(&f, i);
    coefficients(&f, c);
    return round;
}
