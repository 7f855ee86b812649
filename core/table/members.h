/*
 * members.h - the small checks that every JSON body needs: known members only, and typed members with a fault when they
 * are not. Each takes the pointer of the object ("#/options") and adds faults; a getter returns its default then.
 */
#ifndef AM_TABLE_MEMBERS_H
#define AM_TABLE_MEMBERS_H

#include "core/base/fault.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* Faults (unknown-member, "unknown; did you mean X?") for every member of `obj` not in the NULL-terminated `known`. */
void am_members_known(json_t *obj, const char *pointer, const char *const *known, struct am_faults *f);
const char *am_member_text(json_t *obj, const char *pointer, const char *name, bool required, const char *def,
                           struct am_faults *f);
int64_t am_member_int(json_t *obj, const char *pointer, const char *name, int64_t min, int64_t max, int64_t def,
                      struct am_faults *f);
bool am_member_bool(json_t *obj, const char *pointer, const char *name, bool def, struct am_faults *f);
json_t *am_member_object(json_t *obj, const char *pointer, const char *name, bool required,
                         struct am_faults *f); /* borrowed or NULL */
json_t *am_member_array(json_t *obj, const char *pointer, const char *name, bool required, struct am_faults *f);

#endif
