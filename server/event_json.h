/*
 * event_json.h - an event as clients see it (api.md, Events). What follows from the rest is not stored: the topic's
 * level, the id, and the sentence in `message`.
 */
#ifndef AM_SERVER_EVENT_JSON_H
#define AM_SERVER_EVENT_JSON_H

#include "storage/events.h"

#include <jansson.h>

/* New reference; NULL: out of memory. A row without job_seq that has a job is one that is not stored: it has no id. */
json_t *am_event_json(const struct am_event_row *e, bool stored);
char *am_event_text(const struct am_event_row *e, bool stored); /* the same on one line; for free() */

#endif
