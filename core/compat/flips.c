/*
 * flips.c - pairs of classes among the negative flips, and which flips to show (slices.h).
 */
#include "core/base/err.h"
#include "core/compat/slices.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Bits of the samples that old had right and new has wrong. */
static uint64_t negative(const uint64_t *old_ok, const uint64_t *new_ok, size_t n, size_t word)
{
    size_t left = n - 64 * word;
    uint64_t live = left >= 64 ? ~UINT64_C(0) : (UINT64_C(1) << left) - 1;
    return old_ok[word] & ~new_ok[word] & live;
}

static size_t count_negative(const uint64_t *old_ok, const uint64_t *new_ok, size_t n)
{
    size_t sum = 0;
    for (size_t k = 0; 64 * k < n; k++)
        sum += (size_t)__builtin_popcountll(negative(old_ok, new_ok, n, k));
    return sum;
}

/* Their rows, in order. */
static void list_negative(const uint64_t *old_ok, const uint64_t *new_ok, size_t n, size_t *ret)
{
    for (size_t k = 0; 64 * k < n; k++)
        for (uint64_t w = negative(old_ok, new_ok, n, k); w; w &= w - 1)
            *ret++ = 64 * k + (size_t)__builtin_ctzll(w);
}

static int by_classes(const void *a, const void *b)
{
    const struct am_flip_pair *x = a, *y = b;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return (x->to > y->to) - (x->to < y->to);
}

static int by_number(const void *a, const void *b)
{
    const struct am_flip_pair *x = a, *y = b;
    if (x->n != y->n)
        return x->n > y->n ? -1 : 1;
    return by_classes(a, b);
}

int am_flip_pairs(const uint64_t *old_ok, const uint64_t *new_ok, const int32_t *label, const int32_t *new_p, size_t n,
                  size_t most, struct am_flip_pair *ret, size_t *ret_n)
{
    size_t flips = count_negative(old_ok, new_ok, n), pairs = 0;
    size_t *row = malloc(flips * sizeof(*row) + 1);
    struct am_flip_pair *pair = malloc(flips * sizeof(*pair) + 1);
    if (!row || !pair) {
        free(row);
        free(pair);
        return -AM_E_OUT_OF_MEMORY;
    }
    list_negative(old_ok, new_ok, n, row);
    for (size_t i = 0; i < flips; i++)
        pair[i] = (struct am_flip_pair){label[row[i]], new_p[row[i]], 1};
    qsort(pair, flips, sizeof(*pair), by_classes);
    for (size_t i = 0; i < flips; i++) {
        if (pairs > 0 && by_classes(&pair[pairs - 1], &pair[i]) == 0)
            pair[pairs - 1].n++;
        else
            pair[pairs++] = pair[i];
    }
    qsort(pair, pairs, sizeof(*pair), by_number);
    *ret_n = pairs < most ? pairs : most;
    memcpy(ret, pair, *ret_n * sizeof(*ret));
    free(row);
    free(pair);
    return 0;
}

struct shown {
    double weight, fall;
    size_t row;
};

static int by_interest(const void *a, const void *b)
{
    const struct shown *x = a, *y = b;
    if (x->weight > y->weight || x->weight < y->weight)
        return x->weight > y->weight ? -1 : 1;
    if (x->fall > y->fall || x->fall < y->fall)
        return x->fall > y->fall ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

int am_exemplars(const uint64_t *old_ok, const uint64_t *new_ok, const float *weight, const float *old_lp,
                 const float *new_lp, size_t n, size_t most, size_t *ret, size_t *ret_n)
{
    size_t flips = count_negative(old_ok, new_ok, n);
    size_t *row = malloc(flips * sizeof(*row) + 1);
    struct shown *shown = malloc(flips * sizeof(*shown) + 1);
    if (!row || !shown) {
        free(row);
        free(shown);
        return -AM_E_OUT_OF_MEMORY;
    }
    list_negative(old_ok, new_ok, n, row);
    for (size_t i = 0; i < flips; i++) {
        double fall = old_lp && new_lp ? (double)old_lp[row[i]] - (double)new_lp[row[i]] : 0;
        shown[i] = (struct shown){weight ? (double)weight[row[i]] : 1, isnan(fall) ? -(double)INFINITY : fall, row[i]};
    }
    qsort(shown, flips, sizeof(*shown), by_interest);
    *ret_n = flips < most ? flips : most;
    for (size_t i = 0; i < *ret_n; i++)
        ret[i] = shown[i].row;
    free(row);
    free(shown);
    return 0;
}
