/*
 * predictions.h - what the routes of prediction sets share (predictions.c, predictions_push.c, predictions_content.c).
 */
#ifndef AM_SERVER_API_PREDICTIONS_H
#define AM_SERVER_API_PREDICTIONS_H

#include "server/http.h"
#include "storage/predictions.h"

json_t *am_prediction_json(const struct am_prediction_row *p); /* new reference */
/* The set of that id as an object, or NULL: a problem was queued. */
json_t *am_prediction_load(struct am_req *r, const char *uid, int *ret_queued);
/* `text`, which stands at `pointer`: ns/name@rev, or external:NAME of a model that is not here. false: an answer was
   queued. */
bool am_named_version(struct am_req *r, struct am_db *db, const char *text, const char *pointer, int64_t *ret_version,
                      const char **ret_external, int *ret_queued);
/* The same of ?name=. What is not asked for is left alone. */
bool am_req_version(struct am_req *r, struct am_db *db, const char *name, int64_t *ret_version,
                    const char **ret_external, int *ret_queued);

#endif
