/*
 * depth.c - see depth.h.
 */
#include "core/methods/depth.h"

#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 6

/* The number that the part [p, p + n) is, or AM_NO_LAYER. */
static uint64_t number(const char *p, size_t n)
{
    return n > 0 && n <= DIGITS_MAX && strspn(p, "0123456789") >= n ? strtoull(p, NULL, 10) : AM_NO_LAYER;
}

static bool is_word(const char *p, size_t n)
{
    static const char *const words[] = {"layers", "layer", "h", "blocks", "block"};
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (strlen(words[i]) == n && strncmp(words[i], p, n) == 0)
            return true;
    return false;
}

static uint64_t after_word(const char *name)
{
    bool word = false;
    for (const char *p = name; *p;) {
        size_t n = strcspn(p, ".");
        uint64_t found = word ? number(p, n) : AM_NO_LAYER;
        if (found != AM_NO_LAYER)
            return found;
        word = is_word(p, n);
        p += n + (p[n] == '.');
    }
    return AM_NO_LAYER;
}

static uint64_t of_stem(const char *name)
{
    size_t n = strcspn(name, "."), digits = 0;
    while (digits < n && name[n - 1 - digits] >= '0' && name[n - 1 - digits] <= '9')
        digits++;
    return digits < n ? number(name + n - digits, digits) : AM_NO_LAYER;
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
