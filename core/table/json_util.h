/*
 * json_util.h - private to core/table: pointers into a request, text shown in messages, and the word for a JSON value's
 * kind. Everything writes into a buffer of the caller, cut at a whole character when it is too long: names come from
 * strangers.
 */
#ifndef AM_TABLE_JSON_UTIL_H
#define AM_TABLE_JSON_UTIL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define AM_POINTER 1024
#define AM_SHOWN 112 /* 100 bytes, "..." and NUL, with room */
#define AM_LIST_TEXT 512
#define AM_MODELS_MAX 100                      /* models of one merge */
#define AM_ENTRIES_MAX (2 * AM_MODELS_MAX + 1) /* am_body.inputs: a base, and models each with an old base */
#define AM_ADAPTERS_MAX 100                    /* of one merge: further entries */

/* `parent` "#/params" and member `name`, escaped by RFC 6901 (sections 3 and 6). Returns `out`. */
const char *am_pointer(char out[AM_POINTER], const char *parent, const char *name);
const char *am_pointer_at(char out[AM_POINTER], const char *parent, size_t index);
/* At most 100 bytes of `text`. Returns `out`. */
const char *am_shown(char out[AM_SHOWN], const char *text);
/* "a number", "a list", ...: what was found where something else was expected. */
const char *am_json_kind(const json_t *v);
/* Appends ", name" to a list of names; "..." once when it is full. */
void am_list_put(char out[AM_LIST_TEXT], const char *name);
/* A whole number within +-(2^53 - 1), or any JSON integer. */
bool am_json_whole(const json_t *v, json_int_t *ret);

/* Lookups in a method of the described registry. */
const char *am_row_need(const json_t *row, const char *name); /* text member of `needs`, "none" when absent */
json_int_t am_row_need_int(const json_t *row, const char *name, json_int_t def);
bool am_row_makes_adapter(const json_t *row);
const char *am_row_text(const json_t *row, const char *name); /* "" when absent */

#endif
