/*
 * depth.c - see depth.h.
 */
#include "core/methods/depth.h"

#include "core/table/layers.h"

#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 6

static uint64_t after_word(const char *name)
{
    struct am_layer at;
    return am_layer_of(name, &at) ? at.index : AM_NO_LAYER;
}

static uint64_t of_stem(const char *name)
{
    size_t n = strcspn(name, "."), digits = 0;
    while (digits < n && name[n - 1 - digits] >= '0' && name[n - 1 - digits] <= '9')
        digits++;
    bool number = digits > 0 && digits < n && digits <= DIGITS_MAX;
    return number ? strtoull(name + n - digits, NULL, 10) : AM_NO_LAYER;
}

struct am_depth am_depth_of(const struct am_model *m)
{
    struct am_depth d = {.by_stem = true};
    uint64_t least = AM_NO_LAYER, most = 0;
    for (size_t i = 0; d.by_stem && i < m->tensors; i++)
        d.by_stem = after_word(m->tensor[i].name) == AM_NO_LAYER;
    for (size_t i = 0; i < m->tensors; i++) {
        uint64_t at = d.by_stem ? of_stem(m->tensor[i].name) : after_word(m->tensor[i].name);
        if (at == AM_NO_LAYER)
            continue;
        least = at < least ? at : least;
        most = at > most ? at : most;
    }
    d.first = d.by_stem && least != AM_NO_LAYER ? least : 0;
    d.count = least != AM_NO_LAYER ? most - d.first + 1 : 0;
    return d;
}

uint64_t am_depth_layer(const struct am_depth *d, const char *name)
{
    uint64_t at = d->by_stem ? of_stem(name) : after_word(name);
    return at == AM_NO_LAYER ? at : at - d->first;
}
