/*
 * result_parts.h - what the files behind result.h share. Private to them.
 */
#ifndef AM_SERVER_RESULT_PARTS_H
#define AM_SERVER_RESULT_PARTS_H

#include "core/base/err.h"
#include "server/result.h"

#include <jansson.h>

struct am_result_reader {
    struct am_result *r;
    struct am_result_chunk *arena;
    char *why;
    size_t why_cap;
    uint64_t lines;
    bool ended;
    size_t file_cap, tensor_cap, keep_cap, blob_cap, span_cap, warning_cap, metric_cap;
};

/* -AM_E_PUBLISH, with the line and a sentence in `why`. */
int am_result_refuse(struct am_result_reader *p, const char *fmt, ...) AM_PRINTF(2, 3);
const char *am_result_text(struct am_result_reader *p, const char *s); /* a copy in the arena; NULL: out of memory */
const char *am_result_text_of(json_t *o, const char *name);
bool am_result_count_of(json_t *o, const char *name, int64_t *ret);

/* result_spans.c */
int am_result_take_blob(struct am_result_reader *p, json_t *o);
int am_result_take_span(struct am_result_reader *p, json_t *o);

/* result_check.c: what holds only for the whole. */
int am_result_check(struct am_result_reader *p);

#endif
