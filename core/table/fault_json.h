/*
 * fault_json.h - faults as the `errors` array of a problem document (api.md 8), and back.
 */
#ifndef AM_TABLE_FAULT_JSON_H
#define AM_TABLE_FAULT_JSON_H

#include "core/base/fault.h"

#include <jansson.h>

/* JSON holds UTF-8 only, and what a message quotes may be bytes of a request or a damaged file: those become '?'. */
json_t *am_fault_text(const char *s);
json_t *am_faults_to_json(const struct am_faults *f); /* array; new reference */
json_t *am_fault_to_json(const struct am_fault *f);   /* {"pointer","code","reason"?,"detail","tensor"?,"file"?} */
int am_fault_from_json(struct am_faults *f,
                       const json_t *entry); /* appends; -AM_E_INVALID_REQUEST when it is no fault */

#endif
