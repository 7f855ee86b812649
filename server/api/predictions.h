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

#endif
