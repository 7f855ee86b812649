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
    struct am_flip_pair *pair = malloc(flips * sizeof(*pair) + 1), *put = pair;
    if (!pair)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t k = 0; 64 * k < n; k++)
        for (uint64_t w = negative(old_ok, new_ok, n, k); w; w &= w - 1) {
            size_t i = 64 * k + (size_t)__builtin_ctzll(w);
            *put++ = (struct am_flip_pair){label[i], new_p[i], 1};
        }
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

/* The least interesting of those kept is at the root; what is below a place is more interesting. */
static void sift(struct shown *kept, size_t n, size_t at)
{
    struct shown x = kept[at];
    for (size_t down; (down = 2 * at + 1) < n; at = down) {
        down += down + 1 < n && by_interest(&kept[down + 1], &kept[down]) > 0;
        if (by_interest(&kept[down], &x) <= 0)
            break;
        kept[at] = kept[down];
    }
    kept[at] = x;
}

int am_exemplars(const uint64_t *old_ok, const uint64_t *new_ok, const float *weight, const float *old_lp,
                 const float *new_lp, size_t n, size_t most, size_t *ret, size_t *ret_n)
{
    size_t flips = count_negative(old_ok, new_ok, n), room = flips < most ? flips : most, kept = 0;
    struct shown *shown = malloc(room * sizeof(*shown) + 1);
    if (!shown)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t k = 0; room && 64 * k < n; k++)
        for (uint64_t w = negative(old_ok, new_ok, n, k); w; w &= w - 1) {
            size_t i = 64 * k + (size_t)__builtin_ctzll(w);
            double fall = old_lp && new_lp ? (double)old_lp[i] - (double)new_lp[i] : 0;
            struct shown x = {weight ? (double)weight[i] : 1, isnan(fall) ? -(double)INFINITY : fall, i};
            if (kept < room) {
                shown[kept++] = x;
                for (size_t at = kept; kept == room && at-- > 0;)
                    sift(shown, room, at);
            } else if (by_interest(&x, &shown[0]) < 0) {
                shown[0] = x;
                sift(shown, room, 0);
            }
        }
    qsort(shown, kept, sizeof(*shown), by_interest);
    *ret_n = kept;
    for (size_t i = 0; i < kept; i++)
        ret[i] = shown[i].row;
    free(shown);
    return 0;
}
