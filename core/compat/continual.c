/*
 * continual.c - see continual.h. A metric walks over cells through one door that notes what is missing.
 */
#include "core/compat/continual.h"

struct walk {
    const struct am_scores *scores;
    struct am_missing *missing;
    size_t most, absent;
};

static double take(struct walk *w, struct am_maybe x, size_t i, size_t j)
{
    if (x.known)
        return x.value;
    if (w->missing && w->absent < w->most)
        w->missing[w->absent] = (struct am_missing){i, j};
    w->absent++;
    return 0; /* the sum is thrown away */
}

/* R[i][j], both from 1. */
static double score(struct walk *w, size_t i, size_t j)
{
    return take(w, w->scores->cell[(i - 1) * w->scores->tasks + (j - 1)], i, j);
}

static double untrained(struct walk *w, size_t j)
{
    return take(w, w->scores->random ? w->scores->random[j - 1] : (struct am_maybe){false, 0}, 0, j);
}

static struct am_maybe average_incremental(struct walk *w)
{
    size_t all = w->scores->tasks;
    double sum = 0;
    for (size_t i = 1; i <= all; i++) {
        double row = 0;
        for (size_t j = 1; j <= i; j++)
            row += score(w, i, j);
        sum += row / (double)i;
    }
    return am_ratio(sum, (double)all);
}

static struct am_maybe final_average(struct walk *w)
{
    size_t all = w->scores->tasks;
    double sum = 0;
    for (size_t j = 1; j <= all; j++)
        sum += score(w, all, j);
    return am_ratio(sum, (double)all);
}

static struct am_maybe backward(struct walk *w)
{
    size_t all = w->scores->tasks;
    double sum = 0;
    for (size_t j = 1; j < all; j++)
        sum += score(w, all, j) - score(w, j, j);
    return am_ratio(sum, (double)all - 1);
}

static struct am_maybe forgetting(struct walk *w)
{
    size_t all = w->scores->tasks;
    double sum = 0;
    for (size_t j = 1; j < all; j++) {
        double best = score(w, j, j), last = best;
        for (size_t i = j + 1; i <= all; i++) {
            last = score(w, i, j);
            best = last > best ? last : best;
        }
        sum += best - last;
    }
    return am_ratio(sum, (double)all - 1);
}

static struct am_maybe forward(struct walk *w)
{
    size_t all = w->scores->tasks;
    double sum = 0;
    for (size_t j = 2; j <= all; j++)
        sum += score(w, j - 1, j) - untrained(w, j);
    return am_ratio(sum, (double)all - 1);
}

static const struct {
    const char *name;
    struct am_maybe (*compute)(struct walk *w);
} rows[AM_CONTINUAL_METRICS] = {
    [AM_CONTINUAL_AVERAGE_INCREMENTAL] = {"average_incremental", average_incremental},
    [AM_CONTINUAL_FINAL_AVERAGE] = {"final_average", final_average},
    [AM_CONTINUAL_BWT] = {"bwt", backward},
    [AM_CONTINUAL_FORGETTING] = {"forgetting", forgetting},
    [AM_CONTINUAL_FWT] = {"fwt", forward},
};

const char *am_continual_name(enum am_continual_id id)
{
    return rows[id].name;
}

struct am_maybe am_continual_of(enum am_continual_id id, const struct am_scores *scores, struct am_missing *missing,
                                size_t most, size_t *ret_missing)
{
    struct walk w = {.scores = scores, .missing = missing, .most = most};
    struct am_maybe m = scores->tasks > 0 ? rows[id].compute(&w) : (struct am_maybe){false, 0};
    if (ret_missing)
        *ret_missing = w.absent;
    return w.absent > 0 ? (struct am_maybe){false, 0} : m;
}

struct am_maybe am_nfr_per_update(const double *negative_flips, const double *samples, size_t updates)
{
    double sum = 0;
    for (size_t i = 0; i < updates; i++) {
        if (!(samples[i] > 0))
            return (struct am_maybe){false, 0};
        sum += negative_flips[i] / samples[i];
    }
    return am_ratio(sum, (double)updates);
}
