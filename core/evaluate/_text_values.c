/*
 * _text_values.c - see _numbers.h: comparing scores of texts (compat.md 4). A sample is a negative flip when its score
 * falls by more than epsilon, a positive one when it rises by more; the others are right when the new score is good at
 * tau. So texts have cells, and what counts flips works for them too.
 */
#include "core/compat/delta.h"
#include "core/compat/intervals.h"
#include "core/compat/normal.h"
#include "core/evaluate/_numbers.h"

#include <stdlib.h>

enum { S_OLD = AM_DELTA_SUMS, S_NEW, BOTH_GOOD, GAINED, LOST, BOTH_BAD, SUMS };

struct text {
    const float *score[2];
    const double *d;
    const struct am_compare_how *how;
};

static bool is_good(const struct text *t, int side, size_t i)
{
    double s = (double)t->score[side][i];
    return t->how->higher_is_better ? s >= t->how->tau : s <= t->how->tau;
}

static void text_row(const void *arg, size_t i, double *sums)
{
    const struct text *t = arg;
    bool o = is_good(t, AM_OLD, i), w = is_good(t, AM_NEW, i);
    am_delta_row(t->d[i], t->how->epsilon, sums);
    sums[S_OLD] = (double)t->score[AM_OLD][i];
    sums[S_NEW] = (double)t->score[AM_NEW][i];
    sums[BOTH_GOOD] = o && w;
    sums[GAINED] = !o && w;
    sums[LOST] = o && !w;
    sums[BOTH_BAD] = !o && !w;
}

/* ---- cells ---- */

int am_text_cells(struct am_join *j, const struct am_compare_how *how, struct am_compared *c)
{
    struct text t = {.score = {am_packed_f32(j->set[0], AM_PACKED_S), am_packed_f32(j->set[1], AM_PACKED_S)},
                     .how = how};
    c->d = malloc(j->n * sizeof *c->d + 1);
    for (int side = 0; side < 2; side++)
        j->ok[side] = j->made[side] = calloc(AM_BIT_WORDS(j->n) + 1, sizeof *j->made[side]);
    if (!c->d || !j->made[0] || !j->made[1])
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < j->n; i++) {
        double up = (double)t.score[AM_NEW][i] - (double)t.score[AM_OLD][i];
        c->d[i] = how->higher_is_better ? up : -up;
        bool rose = c->d[i] > how->epsilon, fell = c->d[i] < -how->epsilon, good = is_good(&t, AM_NEW, i);
        j->made[AM_OLD][i / 64] |= (uint64_t)(fell || (!rose && good)) << (i % 64);
        j->made[AM_NEW][i / 64] |= (uint64_t)(rose || (!fell && good)) << (i % 64);
    }
    return 0;
}

/* ---- values ---- */

static struct am_maybe score_old(const double *sums, const void *unused)
{
    (void)unused;
    return am_ratio(sums[S_OLD], sums[AM_DELTA_N]);
}

static struct am_maybe score_new(const double *sums, const void *unused)
{
    (void)unused;
    return am_ratio(sums[S_NEW], sums[AM_DELTA_N]);
}

/* A share of the samples; arg: which sum. */
static struct am_maybe share(const double *sums, const void *arg)
{
    return am_ratio(sums[*(const int *)arg], sums[AM_DELTA_N]);
}

static const int shares[] = {AM_DELTA_DOWN, AM_DELTA_UP, BOTH_GOOD, GAINED, LOST, BOTH_BAD};

static const struct {
    const char *name;
    struct am_boot_ask ask;
    const int *share; /* which sum, for those that have a closed form */
    const char *undefined;
} texts[] = {
    {"score_old", {score_old, NULL, false}, NULL, NULL},
    {"score_new", {score_new, NULL, false}, NULL, NULL},
    {"score_delta", {am_delta_mean, NULL, false}, NULL, NULL},
    {"nfr", {share, &shares[0], false}, &shares[0], NULL},
    {"pfr", {share, &shares[1], false}, &shares[1], NULL},
    {"mean_gain", {am_delta_gain, NULL, true}, NULL, "no_positive_flips"},
    {"mean_regression", {am_delta_regression, NULL, true}, NULL, "no_negative_flips"},
    {"quadrant_both_good", {share, &shares[2], false}, &shares[2], NULL},
    {"quadrant_gained", {share, &shares[3], false}, &shares[3], NULL},
    {"quadrant_lost", {share, &shares[4], false}, &shares[4], NULL},
    {"quadrant_both_bad", {share, &shares[5], false}, &shares[5], NULL},
};
#define TEXTS (sizeof texts / sizeof *texts)

static void put_value(size_t i, const double *total, const struct am_boot_answer *a, bool closed, struct am_compared *c)
{
    struct am_value v = {.name = texts[i].name, .value = a->estimate};
    if (!v.value.known)
        v.reason = texts[i].undefined;
    else if (closed && texts[i].share) {
        double k = total[*texts[i].share], n = total[AM_DELTA_N];
        v.method = "wilson";
        v.interval = am_wilson(k, n, AM_Z_TWO_SIDED);
        v.one_sided = am_wilson(k, n, AM_Z_ONE_SIDED);
    } else
        am_value_boot(&v, a, texts[i].ask.bca);
    am_value_put(c, &v);
}

int am_text_values(const struct am_join *j, const struct am_grouping *g, const struct am_compare_how *how,
                   struct am_compared *c)
{
    const struct text t = {
        .score = {am_packed_f32(j->set[0], AM_PACKED_S), am_packed_f32(j->set[1], AM_PACKED_S)}, .d = c->d, .how = how};
    struct am_boot_ask ask[TEXTS];
    struct am_boot_answer answer[TEXTS];
    double total[SUMS] = {0};
    double *rows = am_grouped_rows(g, j->n, SUMS, text_row, &t);
    if (!rows)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < TEXTS; i++)
        ask[i] = texts[i].ask;
    for (size_t u = 0; u < g->units; u++)
        for (size_t k = 0; k < SUMS; k++)
            total[k] += rows[u * SUMS + k];
    int rc = am_boot_units(&how->boot, rows, g->units, SUMS, ask, TEXTS, answer);
    free(rows);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < TEXTS; i++)
        put_value(i, total, &answer[i], !g->weight && !g->unit, c);
    /* S(new, old) of each sample is not in an upload */
    am_value_put(c, &(struct am_value){.name = "self_similarity_both_bad", .reason = "not_uploaded"});
    return am_wilcoxon_of(c->d, j->n, &c->wilcoxon);
}
