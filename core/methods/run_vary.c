/*
 * run_vary.c - parameters that differ from tensor to tensor: found once for each tensor, before the first window.
 */
#include "core/base/err.h"
#include "core/methods/run_parts.h"
#include "core/table/layers.h"

#include <stdlib.h>

const struct am_args *am_run_args(const struct am_run_state *s, const struct am_run_item *item)
{
    return s->args && item ? &s->args[item->donor - s->r->donor->tensor] : s->r->args;
}

static int set_row(struct am_run_state *s, const struct am_layers *layers, size_t i)
{
    const struct am_args *all = s->r->args;
    const char *name = s->r->donor->tensor[i].name, *what = "";
    double *row = s->rows + i * all->varied;
    struct am_place place = {.tensor = name, .depth = am_layers_depth(layers, name, s->r->post_layers_t)};
    s->args[i] = *all;
    s->args[i].row = row;
    if (am_args_at(all, &place, row, &what) == 0)
        return 0;
    return am_fault_add(s->faults, AM_E_BAD_SPEC,
                        (struct am_where){.pointer = "#/params", .reason = "parameter-missing", .tensor = name},
                        "%.300s has no value of %.100s: no filter meets it", name, what);
}

int am_run_vary(struct am_run_state *s)
{
    const struct am_model *donor = s->r->donor;
    struct am_layers layers = {0};
    if (s->r->args->varied == 0)
        return 0;
    s->args = calloc(donor->tensors + 1, sizeof(*s->args));
    s->rows = calloc(donor->tensors + 1, s->r->args->varied * sizeof(*s->rows));
    if (!s->args || !s->rows)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < donor->tensors; i++)
        am_layers_add(&layers, donor->tensor[i].name);
    for (size_t i = 0; i < donor->tensors; i++)
        if (am_dtype_computed(donor->tensor[i].dtype))
            AM_TRY(set_row(s, &layers, i));
    return 0;
}
