/*
 * card_mark.h - the last line of a model card that amend wrote: a comment with the hash of all above it. It tells a
 * card that nobody has touched, which the next job may write anew, from one that a person wrote or changed, which is
 * kept.
 */
#ifndef AM_TABLE_CARD_MARK_H
#define AM_TABLE_CARD_MARK_H

#include "core/base/buf.h"

#include <stdbool.h>

/* Where a job's result keeps the card that a person wrote for the version it began with. */
#define AM_CARD_ORIGINAL "amend/README.original.md"

int am_card_seal(struct am_buf *card);
bool am_card_is_sealed(const char *text, size_t n);

#endif
