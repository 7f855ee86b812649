/*
 * _compare.c - see _numbers.h: all numbers of one comparison, in their order.
 */
#include "core/evaluate/_calibration.h"
#include "core/evaluate/_numbers.h"

#include <stdlib.h>
#include <string.h>

static int refuse(const struct am_join *j, bool texts, struct am_faults *f)
{
    bool in_old = texts ? j->set[AM_OLD]->col[AM_PACKED_S] != NULL : j->set[AM_OLD]->correct != NULL;
    return am_fault_add(f, AM_E_DATASET_MISMATCH, (struct am_where){.reason = "answers"},
                        "the %s prediction set does not say %s; upload it again with %s", in_old ? "new" : "old",
                        texts ? "how its answers score" : "which of its answers are right",
                        texts ? "s in each line" : "y and p, or ok, in each line");
}

static void find_cells(const struct am_join *j, const struct am_grouping *g, struct am_compared *c)
{
    am_cells_count(j->ok[0], j->ok[1], j->diff, j->n, &c->cells);
    for (size_t i = 0; i < j->n; i++)
        c->cell[i] = (uint8_t)am_cell_of(j->ok[0], j->ok[1], j->diff, i);
    c->decisions = am_cells_n(&c->cells);
    double squares;
    if (g->weight)
        am_cells_weigh(j->ok[0], j->ok[1], j->diff, g->weight, j->n, c->weighed, &squares);
    else
        am_cells_vector(&c->cells, c->weighed);
}

static int find_flips(const struct am_join *j, const struct am_grouping *g, const struct am_compare_how *how,
                      struct am_compared *c)
{
    const int32_t *y = am_join_column(j, AM_PACKED_Y), *p = am_packed_i32(j->set[AM_NEW], AM_PACKED_P);
    unsigned fall = how->texts ? AM_PACKED_S : AM_PACKED_LP;
    const float *from = am_packed_f32(j->set[AM_OLD], fall), *to = am_packed_f32(j->set[AM_NEW], fall);
    bool turned = how->texts && !how->higher_is_better;
    if (y && p && !how->texts)
        AM_TRY(am_flip_pairs(j->ok[0], j->ok[1], y, p, j->n, AM_FLIP_PAIRS, c->pair, &c->pairs));
    c->exemplar = malloc(how->exemplars * sizeof *c->exemplar + 1);
    if (!c->exemplar)
        return -AM_E_OUT_OF_MEMORY;
    return am_exemplars(j->ok[0], j->ok[1], g->weight, turned ? to : from, turned ? from : to, j->n, how->exemplars,
                        c->exemplar, &c->exemplars);
}

static int find_values(struct am_join *j, const struct am_grouping *g, const struct am_compare_how *how,
                       struct am_faults *f, struct am_compared *c)
{
    if (how->texts)
        return am_text_values(j, g, how, c);
    AM_TRY(how->micro ? am_micro_values(j, g, how, f, c) : am_class_values(j, g, how, c));
    return am_calibration_values(j, g, how, f, c);
}

static int compare(struct am_join *j, const struct am_grouping *g, const struct am_compare_how *how,
                   struct am_faults *f, struct am_compared *c)
{
    if (!(c->cell = malloc(j->n + 1)))
        return -AM_E_OUT_OF_MEMORY;
    if (how->texts)
        AM_TRY(am_text_cells(j, how, c));
    find_cells(j, g, c);
    AM_TRY(am_cells_check(&c->cells, j->n, am_bits_count(j->ok[0], j->n), am_bits_count(j->ok[1], j->n)));
    AM_TRY(find_values(j, g, how, f, c));
    c->mcnemar = am_mcnemar_of(c->cells.b, c->cells.c);
    AM_TRY(am_noise_floor(j, c));
    return find_flips(j, g, how, c);
}

int am_compare(struct am_join *j, const struct am_grouping *g, const struct am_compare_how *how, struct am_faults *f,
               struct am_compared *ret)
{
    struct am_compared c = {0};
    if (how->texts ? !(j->set[0]->col[AM_PACKED_S] && j->set[1]->col[AM_PACKED_S]) : !(j->ok[0] && j->ok[1]))
        return refuse(j, how->texts, f);
    int rc = compare(j, g, how, f, &c);
    if (rc < 0)
        am_compared_done(&c);
    else
        *ret = c;
    return rc;
}

void am_compared_done(struct am_compared *c)
{
    free(c->cell);
    free(c->d);
    free(c->exemplar);
    *c = (struct am_compared){0};
}
