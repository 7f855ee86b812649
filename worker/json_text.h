/*
 * json_text.h - JSON as text that is the same on every machine: sorted keys, shortest numbers, reals that stay reals
 * ("1.0"). For the registry and for amend.json. Hashes of recipes use core/table/canon.h.
 */
#ifndef AM_WORKER_JSON_TEXT_H
#define AM_WORKER_JSON_TEXT_H

#include "core/base/buf.h"

#include <jansson.h>

/* Appends `value`; indent 0 = one line without spaces. -AM_E_TOO_LARGE, -AM_E_OUT_OF_MEMORY. */
int am_json_text(struct am_buf *out, const json_t *value, unsigned indent);

#endif
