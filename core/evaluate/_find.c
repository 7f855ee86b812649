/*
 * _find.c - see _find.h.
 */
#include "core/evaluate/_find.h"

#include "core/base/grow.h"
#include "core/compat/intervals.h"
#include "core/compat/normal.h"

#include <stdlib.h>
#include <string.h>

struct cell {
    uint32_t n, right_old, right_new, b, c;
};

struct search {
    const struct am_join *j;
    const struct am_slice_key *key;
    struct cell *cell; /* of each pair of values */
    double *p;         /* of all that was tried */
    size_t p_cap;
    struct am_finds *found;
};

static void count(struct search *s, size_t a, size_t b, bool pair)
{
    const struct am_slice_key *x = &s->key[a], *y = &s->key[b];
    size_t wide = pair ? y->values : 1;
    memset(s->cell, 0, x->values * wide * sizeof *s->cell);
    for (size_t i = 0; i < s->j->n; i++) {
        if (x->value[i] < 0 || (pair && y->value[i] < 0))
            continue;
        struct cell *c = &s->cell[(size_t)x->value[i] * wide + (pair ? (size_t)y->value[i] : 0)];
        bool o = am_bit(s->j->ok[AM_OLD], i), w = am_bit(s->j->ok[AM_NEW], i);
        c->n++;
        c->right_old += o;
        c->right_new += w;
        c->b += o && !w;
        c->c += w && !o;
    }
}

/* Kept in order; of equals, the one found first goes first. */
static void show(struct am_finds *f, const struct am_found *x)
{
    size_t at = f->n;
    if (at == AM_FIND_SHOWN && !(f->shown[at - 1].lower < x->lower))
        return;
    if (at == AM_FIND_SHOWN)
        at--;
    else
        f->n++;
    for (; at > 0 && f->shown[at - 1].lower < x->lower; at--)
        f->shown[at] = f->shown[at - 1];
    f->shown[at] = *x;
}

static int look(struct search *s, size_t a, size_t b, bool pair)
{
    size_t wide = pair ? s->key[b].values : 1;
    count(s, a, b, pair);
    for (size_t i = 0; i < s->key[a].values * wide; i++) {
        const struct cell *c = &s->cell[i];
        if (c->n < AM_FIND_LEAST)
            continue;
        if (s->found->tried == AM_FIND_TRIED_MAX) {
            s->found->cut = true;
            return 0;
        }
        AM_TRY(am_grow(&s->p, s->found->tried, &s->p_cap, sizeof *s->p));
        struct am_found x = {.keys = pair ? 2 : 1,
                             .key = {a, b},
                             .value = {i / wide, i % wide},
                             .counts = {c->n, c->right_old, c->right_new, c->b, c->c},
                             .lower = am_wilson(c->b, c->n, AM_Z_ONE_SIDED).lower,
                             .p = am_mcnemar_of(c->b, c->c).mid.p,
                             .place = s->found->tried};
        s->p[s->found->tried++] = x.p;
        show(s->found, &x);
    }
    return 0;
}

static int search(struct search *s, size_t keys)
{
    size_t most = 1;
    for (size_t i = 0; i < keys; i++)
        most = s->key[i].values > most ? s->key[i].values : most;
    if (!(s->cell = malloc(most * most * sizeof *s->cell)))
        return -AM_E_OUT_OF_MEMORY;
    for (size_t a = 0; a < keys; a++)
        AM_TRY(look(s, a, a, false));
    for (size_t a = 0; a < keys; a++)
        for (size_t b = a + 1; b < keys && !s->found->cut; b++)
            AM_TRY(look(s, a, b, true));
    AM_TRY(am_benjamini_hochberg(s->p, s->found->tried, s->p));
    for (size_t i = 0; i < s->found->n; i++)
        s->found->shown[i].q = s->p[s->found->shown[i].place];
    return 0;
}

int am_find_slices(const struct am_join *j, const struct am_slice_key *key, size_t keys, struct am_finds *ret)
{
    struct search s = {.j = j, .key = key, .found = ret};
    *ret = (struct am_finds){.n = 0};
    int rc = search(&s, keys);
    free(s.cell);
    free(s.p);
    return rc;
}
