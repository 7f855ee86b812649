/*
 * json.h - the values that answers and results are made of, out of what rows hold. Each returns a new reference, or
 * NULL when memory is short.
 */
#ifndef AM_SERVER_JSON_H
#define AM_SERVER_JSON_H

#include <jansson.h>
#include <stdint.h>

json_t *am_json_stored(const char *text); /* JSON text out of a row; NULL, or no JSON: null */
json_t *am_json_time(int64_t ms);         /* since 1970; 0 -> null */
json_t *am_json_count(int64_t n);         /* negative -> null */
json_t *am_json_measure(double v);        /* negative -> null */

#endif
