/*
 * boot_limit.c - see boot_limit.h. A row stands out by its largest distance from the mean of a column, in standard
 * deviations of that column: rare cells and far scores do. Everything is summed in the order of the rows.
 */
#include "core/compat/boot_limit.h"

#include "core/base/err.h"
#include "core/compat/normal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DRAWS = 10000000, APART_MIN = 2000, BUCKETS = 1 << 15 };

size_t am_boot_apart(uint32_t replicates, uint64_t units)
{
    uint64_t most = DRAWS / replicates > APART_MIN ? DRAWS / replicates : APART_MIN;
    return (size_t)(most < units / 2 ? most : units / 2);
}

/* ---- which rows stand out ---- */

struct columns {
    const double *rows;
    size_t units, sums;
    double mean[AM_BOOT_SUMS], per_variance[AM_BOOT_SUMS]; /* 0: all rows are alike in it */
    uint64_t *apart;                                       /* a bit for each row */
};

static void find_columns(struct columns *c)
{
    double n = (double)c->units, sum[AM_BOOT_SUMS] = {0}, squares[AM_BOOT_SUMS] = {0};
    for (size_t i = 0; i < c->units; i++)
        for (size_t k = 0; k < c->sums; k++)
            sum[k] += c->rows[i * c->sums + k];
    for (size_t k = 0; k < c->sums; k++)
        c->mean[k] = sum[k] / n;
    for (size_t i = 0; i < c->units; i++)
        for (size_t k = 0; k < c->sums; k++) {
            double off = c->rows[i * c->sums + k] - c->mean[k];
            squares[k] += off * off;
        }
    for (size_t k = 0; k < c->sums; k++)
        c->per_variance[k] = squares[k] > 0 ? n / squares[k] : 0;
}

/* Numbers grow with the distance: the first bits of a float that is not negative are in its order. */
static uint32_t bucket_of(const struct columns *c, size_t i)
{
    double far = 0;
    for (size_t k = 0; k < c->sums; k++) {
        double off = c->rows[i * c->sums + k] - c->mean[k], square = off * off * c->per_variance[k];
        far = square > far ? square : far;
    }
    float f = (float)far;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits >> 16;
}

/* Those of the highest buckets, and of the last one that is needed the first in order. */
static int mark(struct columns *c, size_t want)
{
    uint32_t *in = calloc(BUCKETS, sizeof *in);
    c->apart = calloc(c->units / 64 + 1, sizeof *c->apart);
    if (!in || !c->apart) {
        free(in);
        return -AM_E_OUT_OF_MEMORY;
    }
    for (size_t i = 0; i < c->units; i++)
        in[bucket_of(c, i)]++;
    uint32_t last = BUCKETS - 1;
    size_t left = want;
    while (last > 0 && in[last] < left)
        left -= in[last--];
    free(in);
    for (size_t i = 0; i < c->units; i++) {
        uint32_t b = bucket_of(c, i);
        bool take = b > last || (b == last && left > 0);
        left -= take && b == last;
        c->apart[i / 64] |= (uint64_t)take << (i % 64);
    }
    return 0;
}

static bool is_apart(const struct columns *c, size_t i)
{
    return c->apart[i / 64] >> (i % 64) & 1;
}

/* ---- the limit of all others ---- */

void am_boot_root(double *m, size_t n, size_t stride)
{
    for (size_t j = 0; j < n; j++) {
        double whole = m[j * stride + j], left = whole;
        for (size_t k = 0; k < j; k++)
            left -= m[j * stride + k] * m[j * stride + k];
        bool free_of_others = left > 1e-10 * whole;
        double pivot = free_of_others ? sqrt(left) : 0;
        for (size_t i = j + 1; i < n; i++) {
            double x = m[i * stride + j];
            for (size_t k = 0; k < j; k++)
                x -= m[i * stride + k] * m[j * stride + k];
            m[i * stride + j] = free_of_others ? x / pivot : 0;
        }
        m[j * stride + j] = pivot;
    }
}

void am_boot_normal(struct am_draw *d, double r, const double *mean, const double *root, size_t n, size_t stride,
                    double *ret)
{
    double z[AM_BOOT_SUMS], scale = sqrt(r);
    for (size_t k = 0; k < n; k++)
        z[k] = am_normal_quantile(am_draw_unit(d));
    for (size_t k = 0; k < n; k++) {
        double off = 0;
        for (size_t l = 0; l <= k; l++)
            off += root[k * stride + l] * z[l];
        ret[k] += r * mean[k] + scale * off;
    }
}

static void find_rest(const struct columns *c, struct am_boot_limit *b)
{
    double n = (double)b->rest, off[AM_BOOT_SUMS];
    size_t put = 0;
    for (size_t i = 0; i < c->units; i++) {
        const double *row = c->rows + i * c->sums;
        if (is_apart(c, i))
            memcpy(b->row + put++ * c->sums, row, c->sums * sizeof *row);
        else
            for (size_t k = 0; k < c->sums; k++)
                b->mean[k] += row[k];
    }
    for (size_t k = 0; k < c->sums; k++)
        b->mean[k] /= n;
    for (size_t i = 0; i < c->units; i++) {
        if (is_apart(c, i))
            continue;
        for (size_t k = 0; k < c->sums; k++) {
            off[k] = c->rows[i * c->sums + k] - b->mean[k];
            for (size_t l = 0; l <= k; l++)
                b->root[k * AM_BOOT_SUMS + l] += off[k] * off[l];
        }
    }
    for (size_t k = 0; k < AM_BOOT_SUMS * AM_BOOT_SUMS; k++)
        b->root[k] /= n;
    am_boot_root(b->root, c->sums, AM_BOOT_SUMS);
}

int am_boot_limit_of(const double *rows, size_t units, size_t sums, uint32_t replicates, struct am_boot_limit *ret)
{
    struct columns c = {.rows = rows, .units = units, .sums = sums};
    struct am_boot_limit b = {.sums = sums, .apart = am_boot_apart(replicates, units)};
    b.rest = units - b.apart;
    b.row = malloc(b.apart * sums * sizeof *b.row + 1);
    find_columns(&c);
    int rc = b.row ? mark(&c, b.apart) : -AM_E_OUT_OF_MEMORY;
    if (rc == 0) {
        find_rest(&c, &b);
        *ret = b;
    } else
        free(b.row);
    free(c.apart);
    return rc;
}

void am_boot_limit_done(struct am_boot_limit *b)
{
    free(b->row);
    *b = (struct am_boot_limit){0};
}

void am_boot_limit_draw(const struct am_boot_limit *b, struct am_draw *d, double *sums)
{
    uint64_t n = b->apart + b->rest, apart = am_draw_binomial(d, n, (double)b->apart / (double)n);
    double sum[AM_BOOT_SUMS] = {0};
    for (uint64_t i = 0; i < apart; i++) {
        const double *row = b->row + am_draw_below(d, b->apart) * b->sums;
        for (size_t k = 0; k < b->sums; k++)
            sum[k] += row[k];
    }
    am_boot_normal(d, (double)(n - apart), b->mean, b->root, b->sums, AM_BOOT_SUMS, sum);
    memcpy(sums, sum, sizeof sum);
}
