/*
 * schemas.h - JSON Schemas of the resources of the API, for the OpenAPI document.
 */
#ifndef AM_SERVER_SCHEMAS_H
#define AM_SERVER_SCHEMAS_H

#include <jansson.h>

json_t *am_schemas(void); /* name -> schema; new reference */
/* Narrows that of an evaluate job to its method. */
void am_schema_evaluate_inputs(json_t *body, const char *method);
json_t *am_schema_job_body(const char *type); /* body of POST /v1/jobs of that type, without the method's parameters */

/* schemas_datasets.c: adds those of the routes of datasets. */
void am_schemas_datasets(json_t *all);

#endif
