/*
 * json_edit.h - changes members of a JSON object in its text and leaves every other byte of it alone: order, blanks and
 * numbers that no double holds.
 */
#ifndef AM_WORKER_JSON_EDIT_H
#define AM_WORKER_JSON_EDIT_H

#include "core/base/buf.h"

#include <jansson.h>

struct am_json_member {
    const char *key;
    const json_t *value; /* whole numbers are reals */
    const char *text;    /* of the value */
    size_t n;
};

struct am_json_edit {
    /* Puts another text of the value into `out`. 1: it did, 0: it stays. */
    int (*each)(void *ctx, const struct am_json_member *m, struct am_buf *out);
    void *ctx;
    const char *add_key, *add_text; /* a member to be put at the end if it is not there, or NULL */
};

/* 1: the changed text is appended to `out`. 0: nothing changed, and nothing is. -AM_E_BAD_INPUT: the text is no object.
 */
int am_json_edit(const char *text, size_t n, const struct am_json_edit *e, struct am_buf *out);

#endif
