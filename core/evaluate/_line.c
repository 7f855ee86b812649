/*
 * _line.c - see _line.h. Samples that the same versions have right are alike: a task is a table of such patterns, and
 * a resample of it is how often each pattern was drawn. Without weights and groups that is one multinomial draw.
 */
#include "core/evaluate/_line.h"

#include "core/compat/draw.h"
#include "core/compat/intervals.h"
#include "core/compat/normal.h"
#include "core/compat/replicates.h"
#include "core/evaluate/_redraw.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK = 32, PATTERNS = 1 << AM_LINE_MAX };

struct table {      /* of a task */
    uint32_t *of;   /* pattern of each sample */
    uint32_t *mask; /* of each pattern: bit i, version i is right */
    double *total;  /* weight of each pattern */
    size_t patterns;
    size_t at; /* where its patterns begin in the sums of a resample */
};

struct work {
    const struct am_line *line;
    const struct am_boot *how;
    struct table table[AM_LINE_MAX];
    size_t sums, stats; /* patterns of all tasks; values and cells */
    uint32_t key[2];
    struct am_maybe *replicate; /* [stats][replicates] */
};

/* ---- patterns ---- */

static uint32_t mask_of(const struct am_line *l, const struct am_line_task *t, size_t i)
{
    uint32_t mask = 0;
    for (size_t v = 0; v < l->tasks; v++)
        if (t->ok[v] && am_bit(t->ok[v], i))
            mask |= UINT32_C(1) << v;
    return mask;
}

/* `number`: of each mask, AM_REDRAW_NONE for those that were not met. */
static int make_table(struct work *w, size_t task, uint32_t *number)
{
    const struct am_line_task *t = &w->line->task[task];
    const float *weight = t->grouping.weight;
    struct table *b = &w->table[task];
    size_t most = t->n < PATTERNS ? t->n : PATTERNS;
    b->of = malloc(t->n * sizeof *b->of + 1);
    b->mask = malloc(most * sizeof *b->mask + 1);
    b->total = calloc(most + 1, sizeof *b->total);
    if (!b->of || !b->mask || !b->total)
        return -AM_E_OUT_OF_MEMORY;
    memset(number, 0xff, PATTERNS * sizeof *number);
    for (size_t i = 0; i < t->n; i++) {
        uint32_t mask = mask_of(w->line, t, i);
        if (number[mask] == AM_REDRAW_NONE) {
            number[mask] = (uint32_t)b->patterns;
            b->mask[b->patterns++] = mask;
        }
        b->of[i] = number[mask];
        b->total[number[mask]] += weight ? (double)weight[i] : 1;
    }
    b->at = w->sums;
    w->sums += b->patterns;
    return 0;
}

/* ---- statistics of the sums of one resample ---- */

static double weight_of(const struct table *b, const double *sums, uint32_t want, uint32_t among)
{
    double sum = 0;
    for (size_t p = 0; p < b->patterns; p++)
        if ((b->mask[p] & among) == want)
            sum += sums[b->at + p];
    return sum;
}

static struct am_line_update update_of(const struct work *w, const double *sums, size_t i)
{
    struct am_line_update u = {.known = true};
    for (size_t j = 0; j < i; j++) {
        const struct am_line_task *t = &w->line->task[j];
        uint32_t before = UINT32_C(1) << (i - 1), after = UINT32_C(1) << i;
        u.known = u.known && t->ok[i - 1] && t->ok[i];
        u.flips += weight_of(&w->table[j], sums, before, before | after);
        u.samples += weight_of(&w->table[j], sums, 0, 0);
    }
    u.known = u.known && u.samples > 0;
    u.nfr = u.known ? u.flips / u.samples : 0;
    return u;
}

static struct am_maybe nfr_of(const struct work *w, const double *sums, struct am_line_update *ret)
{
    double flips[AM_LINE_MAX], samples[AM_LINE_MAX];
    for (size_t i = 1; i < w->line->tasks; i++) {
        struct am_line_update u = update_of(w, sums, i);
        if (ret)
            ret[i] = u;
        flips[i - 1] = u.flips;
        samples[i - 1] = u.known ? u.samples : 0;
    }
    return am_nfr_per_update(flips, samples, w->line->tasks - 1);
}

static void scores_of(const struct work *w, const double *sums, struct am_maybe *ret)
{
    size_t tasks = w->line->tasks;
    for (size_t j = 0; j < tasks; j++) {
        double all = weight_of(&w->table[j], sums, 0, 0);
        for (size_t i = 0; i < tasks; i++)
            ret[i * tasks + j] = w->line->task[j].ok[i]
                                     ? am_ratio(weight_of(&w->table[j], sums, UINT32_C(1) << i, UINT32_C(1) << i), all)
                                     : (struct am_maybe){false, 0};
    }
}

/* The values, then the cells. `ret` NULL-able parts: only of the data itself. */
static void statistics(const struct work *w, const double *sums, struct am_maybe *stat, struct am_line_numbers *ret)
{
    struct am_maybe random[AM_LINE_MAX];
    size_t tasks = w->line->tasks;
    for (size_t j = 0; j < tasks; j++)
        random[j] = w->line->task[j].random;
    scores_of(w, sums, stat + AM_LINE_VALUES);
    struct am_scores scores = {.tasks = tasks, .cell = stat + AM_LINE_VALUES, .random = random};
    for (int k = 0; k < AM_CONTINUAL_METRICS; k++)
        stat[k] = am_continual_of((enum am_continual_id)k, &scores, ret ? ret->missing[k] : NULL,
                                  sizeof ret->missing[k] / sizeof ret->missing[k][0], ret ? &ret->missing_n[k] : NULL);
    stat[AM_LINE_NFR] = nfr_of(w, sums, ret ? ret->update : NULL);
}

/* ---- resamples ---- */

static void draw(const struct work *w, struct am_draw *d, size_t task, uint32_t *times, double *sums)
{
    const struct am_line_task *t = &w->line->task[task];
    const struct am_grouping *g = &t->grouping;
    const struct table *b = &w->table[task];
    if (!t->n)
        return;
    if (!g->weight && !g->unit) {
        am_draw_multinomial(d, t->n, b->total, b->patterns, sums + b->at);
        return;
    }
    memset(times, 0, g->units * sizeof *times);
    memset(sums + b->at, 0, b->patterns * sizeof *sums);
    for (size_t i = 0; i < g->units; i++)
        times[am_draw_below(d, g->units)]++;
    for (size_t i = 0; i < t->n; i++)
        sums[b->at + b->of[i]] += (g->weight ? (double)g->weight[i] : 1) * times[g->unit ? (size_t)g->unit[i] : i];
}

static size_t most_units(const struct am_line *l)
{
    size_t most = 0;
    for (size_t j = 0; j < l->tasks; j++)
        if ((l->task[j].grouping.weight || l->task[j].grouping.unit) && l->task[j].grouping.units > most)
            most = l->task[j].grouping.units;
    return most;
}

static int run_part(void *arg, uint32_t first, uint32_t end)
{
    struct work *w = arg;
    uint32_t *times = malloc(most_units(w->line) * sizeof *times + 1);
    double *sums = malloc(w->sums * sizeof *sums + 1);
    struct am_maybe *one = malloc(w->stats * sizeof *one);
    int rc = times && sums && one ? 0 : -AM_E_OUT_OF_MEMORY;
    for (uint32_t r = first; rc == 0 && r < end; r++) {
        struct am_draw d;
        am_draw_begin(&d, w->key, r);
        for (size_t j = 0; j < w->line->tasks; j++)
            draw(w, &d, j, times, sums);
        statistics(w, sums, one, NULL);
        for (size_t k = 0; k < w->stats; k++)
            w->replicate[k * w->how->replicates + r] = one[k];
    }
    free(times);
    free(sums);
    free(one);
    return rc;
}

/* ---- what is told ---- */

static struct am_value value_of(const struct work *w, size_t k, struct am_maybe estimate, double *sorted)
{
    uint32_t n = w->how->replicates;
    struct am_boot_answer a = am_replicates_answer(estimate, w->replicate + k * n, n, sorted);
    struct am_value v = {.value = estimate};
    am_value_boot(&v, &a, false);
    return v;
}

static const char *why_not(const struct work *w, size_t k, const struct am_line_numbers *ret)
{
    if (w->line->tasks == 1 && k != AM_CONTINUAL_AVERAGE_INCREMENTAL && k != AM_CONTINUAL_FINAL_AVERAGE)
        return "one_task";
    return ret->missing_n[k] ? "missing" : "undefined";
}

static void tell_values(struct work *w, const struct am_maybe *stat, double *sorted, struct am_line_numbers *ret)
{
    for (size_t k = 0; k < AM_LINE_VALUES; k++) {
        struct am_value v = value_of(w, k, stat[k], sorted);
        v.name = k == AM_LINE_NFR ? "nfr_per_update" : am_continual_name((enum am_continual_id)k);
        if (!v.value.known)
            v.reason = why_not(w, k, ret);
        ret->value[k] = v;
    }
}

/* A cell of single samples has Wilson's interval, as everywhere. */
static void tell_cell(struct work *w, size_t at, struct am_maybe score, double *sorted, struct am_line_cell *ret)
{
    size_t tasks = w->line->tasks, i = at / tasks;
    const struct am_line_task *t = &w->line->task[at % tasks];
    *ret = (struct am_line_cell){.value = {.value = score, .reason = "not_measured"}};
    if (!t->ok[i])
        return;
    for (size_t k = 0; k < (t->n + 63) / 64; k++)
        ret->right += (uint64_t)__builtin_popcountll(t->ok[i][k]);
    ret->value = value_of(w, AM_LINE_VALUES + at, score, sorted);
    if (t->grouping.weight || t->grouping.unit)
        return;
    ret->value.interval = am_wilson((double)ret->right, (double)t->n, AM_Z_TWO_SIDED);
    ret->value.one_sided = am_wilson((double)ret->right, (double)t->n, AM_Z_ONE_SIDED);
    ret->value.method = "wilson";
    ret->value.reason = NULL;
}

/* Both sides of every update, on the tasks before it. */
static void find_missing_flips(const struct am_line *l, struct am_line_numbers *ret)
{
    struct am_missing *list = ret->missing[AM_LINE_NFR];
    size_t n = 0;
    for (size_t j = 0; j + 1 < l->tasks; j++)
        for (size_t i = j; i < l->tasks; i++)
            if (!l->task[j].ok[i])
                list[n++] = (struct am_missing){i + 1, j + 1};
    ret->missing_n[AM_LINE_NFR] = n;
}

static int tell(struct work *w, struct am_line_numbers *ret)
{
    double *sums = malloc(w->sums * sizeof *sums + 1), *sorted = malloc(w->how->replicates * sizeof *sorted);
    struct am_maybe *stat = malloc(w->stats * sizeof *stat);
    if (sums && sorted && stat) {
        for (size_t j = 0; j < w->line->tasks; j++)
            memcpy(sums + w->table[j].at, w->table[j].total, w->table[j].patterns * sizeof *sums);
        statistics(w, sums, stat, ret);
        find_missing_flips(w->line, ret);
        tell_values(w, stat, sorted, ret);
        for (size_t at = 0; at < w->line->tasks * w->line->tasks; at++)
            tell_cell(w, at, stat[AM_LINE_VALUES + at], sorted, &ret->cell[at]);
    }
    int rc = sums && sorted && stat ? 0 : -AM_E_OUT_OF_MEMORY;
    free(sums);
    free(sorted);
    free(stat);
    return rc;
}

static int make_tables(struct work *w)
{
    uint32_t *number = malloc(PATTERNS * sizeof *number);
    int rc = number ? 0 : -AM_E_OUT_OF_MEMORY;
    for (size_t j = 0; rc == 0 && j < w->line->tasks; j++)
        rc = make_table(w, j, number);
    free(number);
    return rc;
}

int am_line_numbers(const struct am_line *line, const struct am_boot *how, struct am_line_numbers *ret)
{
    struct work w = {.line = line, .how = how, .stats = AM_LINE_VALUES + line->tasks * line->tasks};
    if (line->tasks < 1 || line->tasks > AM_LINE_MAX)
        return -AM_E_INVALID_PARAMS;
    AM_TRY(am_replicates_begin(how, w.key));
    int rc = make_tables(&w);
    w.replicate = rc == 0 ? malloc(w.stats * how->replicates * sizeof *w.replicate) : NULL;
    if (rc == 0 && !w.replicate)
        rc = -AM_E_OUT_OF_MEMORY;
    if (rc == 0)
        rc = am_replicates_run(how, CHUNK, run_part, &w);
    if (rc == 0)
        rc = tell(&w, ret);
    for (size_t j = 0; j < line->tasks; j++) {
        free(w.table[j].of);
        free(w.table[j].mask);
        free(w.table[j].total);
    }
    free(w.replicate);
    return rc;
}
