/*
 * canon.h - canonical JSON (RFC 8785: sorted keys, no spaces, shortest numbers), so that equal recipes have equal
 * hashes.
 */
#ifndef AM_TABLE_CANON_H
#define AM_TABLE_CANON_H

#include <jansson.h>

char *am_canon(const json_t *value); /* for free(); NULL when out of memory */
int am_canon_sha256(const json_t *value, char out[65]);

#endif
