/*
 * grow.c - see grow.h.
 */
#include "core/base/grow.h"

#include <stdlib.h>
#include <string.h>

int am_resize(void *array, size_t n, size_t size)
{
    void *old; /* a pointer of another type, so its bytes are copied and not its value */
    memcpy(&old, array, sizeof old);
    void *bigger = reallocarray(old, n, size);
    if (!bigger)
        return -AM_E_OUT_OF_MEMORY;
    memcpy(array, &bigger, sizeof bigger);
    return 0;
}

int am_grow(void *array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return 0;
    size_t want = *cap ? 2 * *cap : 16;
    AM_TRY(am_resize(array, want, size));
    *cap = want;
    return 0;
}
