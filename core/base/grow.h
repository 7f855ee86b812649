/*
 * grow.h - room in an array that is allocated as it fills. The ceiling is the caller's to check.
 */
#ifndef AM_BASE_GROW_H
#define AM_BASE_GROW_H

#include "core/base/err.h"

#include <stddef.h>

/* `array`: the address of the pointer; of `n` entries of `size` bytes each it has room for *cap. When they fill it, it
   gets twice the room. 0, or -AM_E_OUT_OF_MEMORY and nothing changed. */
int am_grow(void *array, size_t n, size_t *cap, size_t size);
/* The same for as many as are asked for. */
int am_resize(void *array, size_t n, size_t size);

#endif
