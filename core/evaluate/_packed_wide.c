/*
 * _packed_wide.c - see _packed.h: columns that are too wide to be held, through a window that moves forward.
 */
#include "core/base/sys.h"
#include "core/evaluate/_packed.h"

#include <stdlib.h>

enum { WINDOW_ROWS = 4096 };

int am_wide_open(struct am_wide *ret, const struct am_packed *set, const char *name, uint8_t dtype, size_t width,
                 struct am_faults *f)
{
    struct am_wide w = {.set = set, .entry = am_st_find(&set->head, name)};
    if (!w.entry)
        return 1;
    if (w.entry->dtype != dtype || w.entry->rank != 2 || w.entry->shape[0] != set->rows || w.entry->shape[1] != width)
        return am_packed_bad(f, set->name, name, "has another dtype or shape than the set says");
    w.bytes = width * am_dtype_bits(dtype) / 8;
    w.window = malloc(WINDOW_ROWS * w.bytes);
    if (!w.window)
        return -AM_E_OUT_OF_MEMORY;
    *ret = w;
    return 0;
}

const void *am_wide_row(struct am_wide *w, size_t row)
{
    size_t rows = (size_t)w->entry->shape[0];
    if (row >= rows)
        return NULL;
    if (row < w->first || row >= w->first + w->n) {
        size_t n = rows - row < WINDOW_ROWS ? rows - row : WINDOW_ROWS;
        w->n = 0;
        if (am_sys_pread(w->set->fd, w->window, n * w->bytes, w->entry->begin + row * w->bytes) < 0)
            return NULL;
        w->first = row;
        w->n = n;
    }
    return w->window + (row - w->first) * w->bytes;
}

void am_wide_done(struct am_wide *w)
{
    free(w->window);
    *w = (struct am_wide){0};
}
