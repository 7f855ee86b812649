/*
 * text_parts.h - what text.c and text_units.c share: a text as a sequence of numbers, equal for equal words. Not for
 * others.
 */
#ifndef AM_COMPAT_TEXT_PARTS_H
#define AM_COMPAT_TEXT_PARTS_H

#include "core/compat/text.h"

#include <stdint.h>

/* side[0] is the output, side[1] the reference. Owns `memory`, for free(). */
struct am_units {
    uint32_t *side[2];
    size_t n[2];
    void *memory;
};

enum am_unit { AM_UNIT_NORMAL, AM_UNIT_WORD, AM_UNIT_CHARACTER };

/* Numbers of equal words are equal across the two sides. -AM_E_TOO_LARGE, -AM_E_OUT_OF_MEMORY. */
int am_units_of(enum am_unit unit, const struct am_text text[2], struct am_units *ret);

/* How many n-grams of the two sides match (clipped counts). -AM_E_OUT_OF_MEMORY. */
int am_units_match(const struct am_units *u, size_t order, size_t *ret);

#endif
