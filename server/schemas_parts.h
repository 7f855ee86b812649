/*
 * schemas_parts.h - schemas of bodies that have files of their own. Private to schemas*.c. New references.
 */
#ifndef AM_SERVER_SCHEMAS_PARTS_H
#define AM_SERVER_SCHEMAS_PARTS_H

#include <jansson.h>

json_t *am_schema_gate_policy(void); /* PUT /v1/gates/{gate} */
json_t *am_schema_gate_check(void);  /* POST /v1/gates/{gate}/check */

#endif
