/*
 * json.h - the values that answers and results are made of, out of what rows hold. Each returns a new reference, or
 * NULL when memory is short.
 */
#ifndef AM_SERVER_JSON_H
#define AM_SERVER_JSON_H

#include <jansson.h>
#include <stdint.h>

json_t *am_json_stored(const char *text);                /* JSON text out of a row; NULL, or no JSON: null */
json_t *am_json_time(int64_t ms);                        /* since 1970; 0 -> null */
json_t *am_json_count(int64_t n);                        /* negative -> null */
json_t *am_json_measure(double v);                       /* negative -> null */
json_t *am_json_file(const char *sha256, int64_t bytes); /* {"sha256","bytes"}; NULL -> null */

/* For the callbacks that give rows: `o` (stolen; NULL: memory is short) becomes the last entry of an array, or takes
   the place of *ret, a json_t * that is NULL or held. */
int am_json_add(void *array, json_t *o);
int am_json_take(void *ret, json_t *o);

/* Compact text for free(): numbers with a fraction have the fewest digits that give the same double back (-0.005, where
   jansson says -0.0050000000000000001). */
char *am_json_text(const json_t *v);
/* The same of a text that jansson wrote with 17 digits, in place. */
void am_json_shorten(char *text);

#endif
