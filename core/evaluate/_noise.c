/*
 * _noise.c - see _numbers.h: the noise floor from replicates (compat.md 3.1): how often one version contradicts itself.
 */
#include "core/evaluate/_numbers.h"

#include <stdlib.h>

struct tries {
    size_t ids;
    uint32_t *right[2], *all;
};

static bool count(const struct am_join *j, struct tries *t)
{
    for (size_t i = 0; i < j->n; i++) {
        if (i == 0 || am_join_id(j, i) != am_join_id(j, i - 1))
            t->ids++;
        size_t at = t->ids - 1;
        t->all[at]++;
        t->right[0][at] += am_bit(j->ok[0], i);
        t->right[1][at] += am_bit(j->ok[1], i);
    }
    for (size_t i = 0; i < t->ids; i++)
        if (t->all[i] < 2)
            return false;
    return true;
}

/* Sum p_old (1 - p_new) over the ids, each the mean of its tries. */
static struct am_maybe expected(const struct tries *t)
{
    double sum = 0;
    for (size_t i = 0; i < t->ids; i++) {
        double all = t->all[i];
        sum += t->right[0][i] / all * (1 - t->right[1][i] / all);
    }
    return am_ratio(sum, (double)t->ids);
}

int am_noise_floor(const struct am_join *j, struct am_compared *c)
{
    struct tries t = {0};
    bool repeats = am_join_column(j, AM_PACKED_K) != NULL;
    c->noise_why = "no replicate runs";
    if (!repeats)
        return 0;
    t.all = calloc(3 * j->n + 1, sizeof *t.all);
    if (!t.all)
        return -AM_E_OUT_OF_MEMORY;
    t.right[0] = t.all + j->n;
    t.right[1] = t.right[0] + j->n;
    if (count(j, &t)) {
        c->noise = am_noise_same(t.right[0], t.all, t.ids);
        c->noise_expected = expected(&t);
        c->noise_why = "replicates of the old version";
    } else
        c->noise_why = "an id has fewer than two replicates";
    free(t.all);
    return 0;
}
