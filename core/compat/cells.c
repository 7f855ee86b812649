/*
 * cells.c - see cells.h.
 */
#include "core/compat/cells.h"
#include "core/base/err.h"

#include <string.h>

static uint64_t ones(uint64_t word)
{
    return (uint64_t)__builtin_popcountll(word);
}

/* The bits of word `k` that belong to samples. */
static uint64_t live(size_t k, size_t n)
{
    size_t left = n - 64 * k;
    return left >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << left) - 1;
}

void am_cells_count(const uint64_t *old_ok, const uint64_t *new_ok, const uint64_t *diff, size_t n,
                    struct am_cells *ret)
{
    struct am_cells c = {.compared = diff != NULL};
    for (size_t k = 0; k < AM_BIT_WORDS(n); k++) {
        uint64_t mask = live(k, n), o = old_ok[k] & mask, w = new_ok[k] & mask, x = diff ? diff[k] & mask : 0;
        uint64_t both = o & w, neither = ~(o | w) & mask;
        c.a += ones(both);
        c.a_diff += ones(both & x);
        c.b += ones(o & ~w);
        c.c += ones(w & ~o);
        c.d_diff += ones(neither & x);
        c.d_same += ones(neither & ~x);
    }
    *ret = c;
}

static bool bit(const uint64_t *bits, size_t i)
{
    return bits[i / 64] >> (i % 64) & 1;
}

unsigned am_cell_of(const uint64_t *old_ok, const uint64_t *new_ok, const uint64_t *diff, size_t i)
{
    bool o = bit(old_ok, i), w = bit(new_ok, i);
    if (o != w)
        return o ? AM_CELL_B : AM_CELL_C;
    bool differs = diff && bit(diff, i);
    return (o ? AM_CELL_A_SAME : AM_CELL_D_SAME) + (differs ? 1u : 0u);
}

void am_cells_weigh(const uint64_t *old_ok, const uint64_t *new_ok, const uint64_t *diff, const float *weight, size_t n,
                    double ret[AM_CELLS], double *ret_squares)
{
    double sum[AM_CELLS] = {0}, squares = 0;
    for (size_t i = 0; i < n; i++) {
        double w = (double)weight[i];
        sum[am_cell_of(old_ok, new_ok, diff, i)] += w;
        squares += w * w;
    }
    memcpy(ret, sum, sizeof(sum));
    *ret_squares = squares;
}

uint64_t am_cells_n(const struct am_cells *c)
{
    return c->a + c->b + c->c + c->d_same + c->d_diff;
}

void am_cells_vector(const struct am_cells *c, double ret[AM_CELLS])
{
    ret[AM_CELL_A_SAME] = (double)(c->a - c->a_diff);
    ret[AM_CELL_A_DIFF] = (double)c->a_diff;
    ret[AM_CELL_B] = (double)c->b;
    ret[AM_CELL_C] = (double)c->c;
    ret[AM_CELL_D_SAME] = (double)c->d_same;
    ret[AM_CELL_D_DIFF] = (double)c->d_diff;
}

double am_effective_n(double sum, double squares)
{
    return squares > 0 ? sum * sum / squares : 0;
}

int am_cells_check(const struct am_cells *c, uint64_t n, uint64_t right_old, uint64_t right_new)
{
    bool sound = am_cells_n(c) == n && c->a_diff <= c->a && c->a + c->b == right_old && c->a + c->c == right_new &&
                 (int64_t)(c->c - c->b) == (int64_t)(right_new - right_old) &&
                 (c->compared || (c->a_diff == 0 && c->d_diff == 0));
    return sound ? 0 : -AM_E_INTERNAL;
}

uint64_t am_bits_count(const uint64_t *bits, size_t n)
{
    uint64_t sum = 0;
    for (size_t k = 0; k < AM_BIT_WORDS(n); k++)
        sum += ones(bits[k] & live(k, n));
    return sum;
}

void am_diff_classes(const int32_t *old_p, const int32_t *new_p, size_t n, uint64_t *ret)
{
    for (size_t k = 0; k < AM_BIT_WORDS(n); k++) {
        size_t m = n - 64 * k < 64 ? n - 64 * k : 64;
        uint64_t word = 0;
        for (size_t j = 0; j < m; j++)
            word |= (uint64_t)(old_p[64 * k + j] != new_p[64 * k + j]) << j;
        ret[k] = word;
    }
}

void am_diff_rows(const void *old_rows, const void *new_rows, size_t bytes, size_t n, uint64_t *ret)
{
    const char *o = old_rows, *w = new_rows;
    memset(ret, 0, AM_BIT_WORDS(n) * sizeof(*ret));
    for (size_t i = 0; i < n; i++)
        ret[i / 64] |= (uint64_t)(memcmp(o + i * bytes, w + i * bytes, bytes) != 0) << (i % 64);
}
