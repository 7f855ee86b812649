/*
 * _groups.c - see _groups.h. What a sample tells is one of few outcomes: its group, its class, what new says, who is
 * right. Counts of outcomes are all that the gaps need, and what the bootstrap draws.
 */
#include "core/evaluate/_groups.h"

#include "core/evaluate/_redraw.h"

#include <stdlib.h>
#include <string.h>

enum { CLASSES_MAX = 1000 };

struct outcome {
    uint32_t group;
    int32_t y, p; /* classes by number, -1: not read; all -1 when only correctness is known */
    bool old_ok, new_ok;
};

struct groups {
    size_t groups, classes; /* classes 0: not known */
    struct outcome *outcome;
    size_t outcomes;
    uint32_t *of; /* of each sample */
    bool counts[AM_GROUPS_MAX];
};

/* ---- outcomes ---- */

static uint64_t pack(const struct outcome *o)
{
    return (uint64_t)o->group << 40 | (uint64_t)(uint32_t)(o->y + 1) << 21 | (uint64_t)(uint32_t)(o->p + 1) << 2 |
           (o->old_ok ? 2u : 0u) | (o->new_ok ? 1u : 0u);
}

static struct outcome unpack(uint64_t v)
{
    return (struct outcome){(uint32_t)(v >> 40), (int32_t)(v >> 21 & 0x7ffff) - 1, (int32_t)(v >> 2 & 0x7ffff) - 1,
                            v & 2, v & 1};
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static size_t unique(uint64_t *v, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || v[kept - 1] != v[i])
            v[kept++] = v[i];
    return kept;
}

static size_t place(const uint64_t *v, size_t n, uint64_t x)
{
    size_t low = 0, high = n;
    while (low + 1 < high) {
        size_t mid = low + (high - low) / 2;
        if (v[mid] <= x)
            low = mid;
        else
            high = mid;
    }
    return low;
}

/* Too many classes to be told apart: then only who is right counts. */
static size_t count_classes(const struct am_join *j, const int32_t *y, const int32_t *p)
{
    int32_t top = -1;
    for (size_t i = 0; y && p && i < j->n; i++) {
        top = y[i] > top ? y[i] : top;
        top = p[i] > top ? p[i] : top;
    }
    return top < CLASSES_MAX ? (size_t)(top + 1) : 0;
}

static uint64_t outcome_of(const struct am_join *j, const struct groups *s, const int32_t *value, size_t i)
{
    const int32_t *y = am_join_column(j, AM_PACKED_Y), *p = am_packed_i32(j->set[AM_NEW], AM_PACKED_P);
    const struct outcome o = {(uint32_t)value[i], s->classes ? y[i] : -1, s->classes ? p[i] : -1,
                              am_bit(j->ok[AM_OLD], i), am_bit(j->ok[AM_NEW], i)};
    return pack(&o);
}

static int find_outcomes(const struct am_join *j, const struct am_slice_key *key, struct groups *s)
{
    uint64_t *v = malloc(j->n * sizeof *v + 1);
    size_t in = 0;
    s->of = malloc(j->n * sizeof *s->of + 1);
    if (!v || !s->of) {
        free(v);
        return -AM_E_OUT_OF_MEMORY;
    }
    for (size_t i = 0; i < j->n; i++)
        if (key->value[i] >= 0)
            v[in++] = outcome_of(j, s, key->value, i);
    qsort(v, in, sizeof *v, by_number);
    s->outcomes = unique(v, in);
    for (size_t i = 0; i < j->n; i++)
        s->of[i] =
            key->value[i] < 0 ? AM_REDRAW_NONE : (uint32_t)place(v, s->outcomes, outcome_of(j, s, key->value, i));
    s->outcome = calloc(s->outcomes + 1, sizeof *s->outcome);
    for (size_t i = 0; s->outcome && i < s->outcomes; i++)
        s->outcome[i] = unpack(v[i]);
    free(v);
    return s->outcome ? 0 : -AM_E_OUT_OF_MEMORY;
}

/* ---- gaps, from the sums of the outcomes ---- */

struct spread {
    double low, high;
    unsigned n;
};

static void take(struct spread *s, double part, double whole)
{
    if (!(whole > 0))
        return;
    double x = part / whole;
    s->low = s->n == 0 || x < s->low ? x : s->low;
    s->high = s->n == 0 || x > s->high ? x : s->high;
    s->n++;
}

static struct am_maybe gap(const struct spread *s)
{
    return s->n < 2 ? (struct am_maybe){false, 0} : am_known(s->high - s->low);
}

struct group_sums {
    double n, right, b;
};

/* Of one group and one class. */
struct class_sums {
    double y, hit, said;
};

static void larger(struct am_maybe *best, struct am_maybe x)
{
    if (x.known && (!best->known || x.value > best->value))
        *best = x;
}

static void class_gaps(const struct groups *s, const struct group_sums *of_group, const struct class_sums *of_class,
                       struct am_maybe *ret)
{
    for (size_t class = s->classes == 2 ? 1 : 0; class < s->classes; class ++) {
        struct spread tpr = {0}, fpr = {0}, said = {0};
        for (size_t k = 0; k < s->groups; k++) {
            const struct class_sums *c = &of_class[k * s->classes + class];
            if (!s->counts[k])
                continue;
            take(&tpr, c->hit, c->y);
            take(&fpr, c->said - c->hit, of_group[k].n - c->y);
            take(&said, c->said, of_group[k].n);
        }
        larger(&ret[AM_GAP_TPR], gap(&tpr));
        larger(&ret[AM_GAP_FPR], gap(&fpr));
        if (said.n < 2 || !(said.high > 0))
            continue;
        struct am_maybe *selection = &ret[AM_GAP_SELECTION];
        double ratio = said.low / said.high;
        if (!selection->known || ratio < selection->value)
            *selection = am_known(ratio);
    }
}

static void statistics(double *sums, const void *arg, struct am_maybe *ret)
{
    const struct groups *s = arg;
    struct group_sums of_group[AM_GROUPS_MAX] = {{0, 0, 0}};
    struct class_sums *of_class = (struct class_sums *)(void *)(sums + s->outcomes + 1); /* the scratch */
    struct spread accuracy = {0}, nfr = {0};
    for (size_t k = 0; k < AM_GAPS; k++)
        ret[k] = (struct am_maybe){false, 0};
    memset(of_class, 0, s->groups * s->classes * sizeof *of_class);
    for (size_t i = 0; i < s->outcomes; i++) {
        const struct outcome *o = &s->outcome[i];
        struct group_sums *g = &of_group[o->group];
        g->n += sums[i];
        g->right += o->new_ok ? sums[i] : 0;
        g->b += o->old_ok && !o->new_ok ? sums[i] : 0;
        struct class_sums *c = of_class + o->group * s->classes;
        if (s->classes && o->y >= 0) {
            c[o->y].y += sums[i];
            c[o->y].hit += o->p == o->y ? sums[i] : 0;
        }
        if (s->classes && o->p >= 0)
            c[o->p].said += sums[i];
    }
    for (size_t k = 0; k < s->groups; k++)
        if (s->counts[k]) {
            take(&accuracy, of_group[k].right, of_group[k].n);
            take(&nfr, of_group[k].b, of_group[k].n);
        }
    ret[AM_GAP_ACCURACY] = gap(&accuracy);
    ret[AM_GAP_NFR] = gap(&nfr);
    class_gaps(s, of_group, of_class, ret);
}

/* ---- all of it ---- */

static size_t large_groups(const struct am_join *j, const struct am_slice_key *key, struct groups *s)
{
    uint64_t n[AM_GROUPS_MAX] = {0};
    size_t large = 0;
    for (size_t i = 0; i < j->n; i++)
        if (key->value[i] >= 0)
            n[key->value[i]]++;
    for (size_t k = 0; k < s->groups; k++)
        large += s->counts[k] = n[k] >= AM_SLICE_SMALL;
    return large;
}

static const char *const names[AM_GAPS] = {"accuracy_gap", "tpr_gap", "fpr_gap", "selection_ratio", "nfr_gap"};

static void answer(const struct groups *s, size_t large, const struct am_boot_answer *a, struct am_value *ret)
{
    for (size_t k = 0; k < AM_GAPS; k++) {
        bool class = k == AM_GAP_TPR || k == AM_GAP_FPR || k == AM_GAP_SELECTION;
        ret[k] = (struct am_value){.name = names[k], .value = a[k].estimate};
        if (ret[k].value.known)
            am_value_boot(&ret[k], &a[k], false);
        else
            ret[k].reason = large < 2 ? "fewer_than_two_groups" : class && !s->classes ? "no_classes" : "undefined";
    }
}

int am_group_gaps(const struct am_join *j, const struct am_grouping *g, const struct am_slice_key *key,
                  const struct am_boot *how, struct am_value ret[AM_GAPS])
{
    struct groups s = {.groups = key->values};
    struct am_boot_answer answers[AM_GAPS];
    if (key->values > AM_GROUPS_MAX)
        return -AM_E_INVALID_PARAMS;
    s.classes = count_classes(j, am_join_column(j, AM_PACKED_Y), am_packed_i32(j->set[AM_NEW], AM_PACKED_P));
    size_t large = large_groups(j, key, &s);
    int rc = find_outcomes(j, key, &s);
    struct am_redraw r = {.n = j->n,
                          .slots = s.outcomes,
                          .stats = AM_GAPS,
                          .scratch = s.groups * s.classes * (sizeof(struct class_sums) / sizeof(double)),
                          .slot = {s.of, NULL},
                          .grouping = g,
                          .statistics = statistics,
                          .arg = &s};
    if (rc == 0)
        rc = am_redraw(&r, how, answers);
    if (rc == 0)
        answer(&s, large, answers, ret);
    free(s.outcome);
    free(s.of);
    return rc;
}
