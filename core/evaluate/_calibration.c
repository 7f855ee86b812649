/*
 * _calibration.c - see _calibration.h.
 */
#include "core/evaluate/_calibration.h"

#include "core/base/math.h"
#include "core/evaluate/_redraw.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define P_LEAST 1e-12
enum { BINS = 15 };

/* What one version says of one sample. */
struct said {
    bool full; /* p of all classes is known */
    double p[AM_PACKED_TOP];
    bool has_nll, has_conf;
    double nll, brier, conf;
};

struct means { /* per sample, for the bootstrap */
    double nll, brier, kl;
};

struct calib {
    const struct am_join *j;
    struct am_wide class[2], logit[2];
    size_t labels;
    bool top, lp, failed;                 /* both sets have them; a column could not be read */
    bool no_nll, no_brier, no_kl, no_ece; /* some sample cannot tell */
    struct means *mean;
    uint32_t *slot[2]; /* of ece: the bin of each sample, old and new */
    float *amount[2];  /* right or not, less the confidence */
};

/* ---- one sample ---- */

static size_t listed(const int32_t *class)
{
    size_t n = 0;
    while (n < AM_PACKED_TOP && class[n] >= 0)
        n++;
    return n;
}

static void softmax(const int32_t *class, const float *logit, size_t n, double *p)
{
    double top = -(double)INFINITY, sum = 0;
    for (size_t k = 0; k < n; k++)
        top = (double)logit[k] > top ? (double)logit[k] : top;
    for (size_t k = 0; k < n; k++)
        sum += am_exp((double)logit[k] - top);
    for (size_t k = 0; k < n; k++)
        p[class[k]] = am_exp((double)logit[k] - top) / sum;
}

static double nll_of(double ln_p)
{
    double least = am_ln(P_LEAST);
    return ln_p < least ? -least : -ln_p;
}

/* The sum under the softmax is known from the truth, when both its logit and its log-probability are. */
static void from_part(struct said *s, const int32_t *class, const float *logit, size_t n, int32_t y, double lp)
{
    double top = -(double)INFINITY, truth = NAN;
    for (size_t k = 0; k < n; k++) {
        top = (double)logit[k] > top ? (double)logit[k] : top;
        if (class[k] == y)
            truth = (double)logit[k];
    }
    s->conf = am_exp(top - truth + lp);
    s->has_conf = isfinite(s->conf) && s->conf <= 1 + 1e-3;
    s->conf = s->conf > 1 ? 1 : s->conf;
}

static void from_all(struct said *s, size_t labels, int32_t y)
{
    for (size_t k = 0; k < labels; k++) {
        double off = s->p[k] - ((int32_t)k == y ? 1 : 0);
        s->brier += off * off;
        s->conf = s->p[k] > s->conf ? s->p[k] : s->conf;
    }
    s->has_conf = true;
}

static bool class_ok(const int32_t *class, size_t n, size_t labels)
{
    for (size_t k = 0; k < n; k++)
        if (labels && (size_t) class[k] >= labels)
            return false;
    return true;
}

static struct said read_side(struct calib *k, int side, size_t i)
{
    struct said s = {0};
    const float *lps = am_packed_f32(k->j->set[side], AM_PACKED_LP);
    const int32_t *y = am_join_column(k->j, AM_PACKED_Y);
    double lp = lps ? (double)lps[i] : NAN;
    s.has_nll = !isnan(lp);
    s.nll = s.has_nll ? nll_of(lp) : 0;
    if (!k->top || !y)
        return s;
    const int32_t *class = am_wide_row(&k->class[side], am_join_row(k->j, side, i));
    const float *logit = am_wide_row(&k->logit[side], am_join_row(k->j, side, i));
    size_t n = class ? listed(class) : 0;
    if (!class || !logit || !class_ok(class, n, k->labels)) {
        k->failed = true;
        return s;
    }
    s.full = n > 0 && n == k->labels && (size_t)y[i] < n;
    if (s.full) {
        softmax(class, logit, n, s.p);
        from_all(&s, k->labels, y[i]);
        s.nll = s.has_nll ? s.nll : nll_of(am_ln(s.p[y[i]]));
        s.has_nll = true;
    } else if (n > 0)
        from_part(&s, class, logit, n, y[i], lp);
    return s;
}

/* Log-probabilities are taken from the shares; what both rule out adds nothing. */
static double kl_of(const struct said *o, const struct said *w, size_t labels)
{
    double sum = 0;
    for (size_t k = 0; k < labels; k++)
        if (o->p[k] > 0)
            sum += o->p[k] * (am_ln(o->p[k]) - am_ln(w->p[k] > P_LEAST ? w->p[k] : P_LEAST));
    return sum;
}

static void put_bin(struct calib *k, int side, size_t i, const struct said *s)
{
    int bin = (int)(BINS * s->conf);
    k->slot[side][i] = (uint32_t)(side * BINS + (bin < BINS ? bin : BINS - 1));
    k->amount[side][i] = (float)((am_bit(k->j->ok[side], i) ? 1 : 0) - s->conf);
}

static void read_all(struct calib *k)
{
    for (size_t i = 0; i < k->j->n; i++) {
        struct said o = read_side(k, AM_OLD, i), w = read_side(k, AM_NEW, i);
        k->no_nll = k->no_nll || !o.has_nll || !w.has_nll;
        k->no_ece = k->no_ece || !o.has_conf || !w.has_conf;
        k->no_kl = k->no_brier = k->no_brier || !o.full || !w.full;
        k->mean[i] = (struct means){w.nll - o.nll, w.brier - o.brier, 0};
        if (!k->no_kl)
            k->mean[i].kl = kl_of(&o, &w, k->labels);
        if (!k->no_ece) {
            put_bin(k, AM_OLD, i, &o);
            put_bin(k, AM_NEW, i, &w);
        }
    }
}

/* ---- values ---- */

enum { SUM_N, SUM_NLL, SUM_BRIER, SUM_KL, SUMS };

static void sums_of(const void *arg, size_t i, double *sums)
{
    const struct calib *k = arg;
    sums[SUM_N] = 1;
    sums[SUM_NLL] = k->mean[i].nll;
    sums[SUM_BRIER] = k->mean[i].brier;
    sums[SUM_KL] = k->mean[i].kl;
}

static struct am_maybe mean(const double *sums, const void *arg)
{
    return am_ratio(sums[*(const int *)arg], sums[SUM_N]);
}

static void put(struct am_compared *c, const char *name, bool missing, const char *reason,
                const struct am_boot_answer *a)
{
    struct am_value v = {.name = name, .reason = missing ? reason : NULL};
    if (!missing) {
        v.value = a->estimate;
        am_value_boot(&v, a, false);
    }
    am_value_put(c, &v);
}

static int put_means(const struct calib *k, const struct am_grouping *g, const struct am_compare_how *how,
                     struct am_compared *c)
{
    static const int which[] = {SUM_NLL, SUM_BRIER, SUM_KL};
    struct am_boot_ask ask[3];
    struct am_boot_answer answer[3];
    for (size_t i = 0; i < 3; i++)
        ask[i] = (struct am_boot_ask){.statistic = mean, .arg = &which[i]};
    double *rows = am_grouped_rows(g, k->j->n, SUMS, sums_of, k);
    int rc = rows ? am_boot_units(&how->boot, rows, g->units, SUMS, ask, 3, answer) : -AM_E_OUT_OF_MEMORY;
    free(rows);
    if (rc < 0)
        return rc;
    put(c, "nll_delta", k->no_nll, "incomplete", &answer[0]);
    if (k->top) {
        put(c, "brier_delta", k->no_brier, "partial_probabilities", &answer[1]);
        put(c, "kl_outputs", k->no_kl, "partial_probabilities", &answer[2]);
    }
    return 0;
}

/* In a bin, share times |accuracy - confidence| is |sum of (right - confidence)| / n. */
static void ece_delta(double *sums, const void *unused, struct am_maybe *ret)
{
    (void)unused;
    double gap[2] = {0, 0};
    for (int side = 0; side < 2; side++)
        for (int b = 0; b < BINS; b++)
            gap[side] += fabs(sums[side * BINS + b]);
    ret[0] = am_ratio(gap[AM_NEW] - gap[AM_OLD], sums[2 * BINS]);
}

static int put_ece(const struct calib *k, const struct am_grouping *g, const struct am_compare_how *how,
                   struct am_compared *c)
{
    struct am_boot_answer answer = {.dropped = 0};
    struct am_redraw r = {.n = k->j->n,
                          .slots = (size_t)2 * BINS,
                          .stats = 1,
                          .slot = {k->slot[0], k->slot[1]},
                          .amount = {k->amount[0], k->amount[1]},
                          .grouping = g,
                          .statistics = ece_delta};
    if (!k->no_ece)
        AM_TRY(am_redraw(&r, &how->boot, &answer));
    put(c, "ece_delta", k->no_ece, "partial_probabilities", &answer);
    return 0;
}

/* ---- columns ---- */

static int open_side(struct calib *k, int side, struct am_faults *f)
{
    int rc = am_wide_open(&k->class[side], k -> j -> set[side], "top_class", AM_I32, AM_PACKED_TOP, f);
    if (rc == 0)
        rc = am_wide_open(&k->logit[side], k->j->set[side], "top_logit", AM_F32, AM_PACKED_TOP, f);
    if (rc == 1)
        k->top = false;
    return rc < 0 ? rc : 0;
}

static int make_room(struct calib *k)
{
    k->mean = malloc(k->j->n * sizeof *k->mean + 1);
    for (int side = 0; side < 2 && k->top; side++) {
        k->slot[side] = calloc(k->j->n + 1, sizeof *k->slot[side]);
        k->amount[side] = calloc(k->j->n + 1, sizeof *k->amount[side]);
        if (!k->slot[side] || !k->amount[side])
            return -AM_E_OUT_OF_MEMORY;
    }
    k->no_ece = !k->top;
    return k->mean ? 0 : -AM_E_OUT_OF_MEMORY;
}

static int work(struct calib *k, const struct am_grouping *g, const struct am_compare_how *how, struct am_faults *f,
                struct am_compared *c)
{
    AM_TRY(open_side(k, AM_OLD, f));
    AM_TRY(open_side(k, AM_NEW, f));
    if (!k->top && !k->lp)
        return 0;
    AM_TRY(make_room(k));
    read_all(k);
    if (k->failed)
        return am_packed_bad(f, k->j->set[AM_OLD]->name, "top_class", "cannot be read, or is outside its range");
    AM_TRY(put_means(k, g, how, c));
    return k->top ? put_ece(k, g, how, c) : 0;
}

int am_calibration_values(const struct am_join *j, const struct am_grouping *g, const struct am_compare_how *how,
                          struct am_faults *f, struct am_compared *c)
{
    const struct am_packed *old = j->set[AM_OLD], *new = j->set[AM_NEW];
    struct calib k = {.j = j,
                      .labels = old->meta->labels_n ? old->meta->labels_n : new->meta->labels_n,
                      .top = true,
                      .lp = old->col[AM_PACKED_LP] && new->col[AM_PACKED_LP]};
    int rc = am_join_column(j, AM_PACKED_Y) ? work(&k, g, how, f, c) : 0;
    for (int side = 0; side < 2; side++) {
        am_wide_done(&k.class[side]);
        am_wide_done(&k.logit[side]);
        free(k.slot[side]);
        free(k.amount[side]);
    }
    free(k.mean);
    return rc;
}
