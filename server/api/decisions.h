/*
 * decisions.h - a gate decision as JSON: what the handlers of gates, decisions and refs share.
 */
#ifndef AM_SERVER_API_DECISIONS_H
#define AM_SERVER_API_DECISIONS_H

#include "server/json.h"
#include "storage/gates.h"

json_t *am_decision_json(const struct am_decision_row *d);
int am_decision_take(void *ret, const struct am_decision_row *d); /* am_json_take() of it */
/* Its rules as the entries of OpenLineage's `test` run facet (openlineage_gate.c). */
json_t *am_decision_tests(const struct am_decision_row *d);

#endif
