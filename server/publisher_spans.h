/*
 * publisher_spans.h - the assembled files of a result: may their spans be believed? The worker names blobs; here it is
 * seen that each is one of this job's inputs, and long enough. Part of publisher.h.
 */
#ifndef AM_SERVER_PUBLISHER_SPANS_H
#define AM_SERVER_PUBLISHER_SPANS_H

#include "server/result.h"

#include <jansson.h>

struct am_db;

/* `inputs`: those of the resolved job, or NULL. *ret: one entry for each of r->span, for free(); NULL when there are
   none. -AM_E_PUBLISH with a sentence in `why`. */
int am_publisher_spans(struct am_span_new **ret, struct am_db *db, const json_t *inputs, const struct am_result *r,
                       char *why, size_t why_cap);

#endif
