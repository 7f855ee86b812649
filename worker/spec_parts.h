/*
 * spec_parts.h - reading members of the spec; private to spec.c, spec_run.c and spec_import.c.
 */
#ifndef AM_WORKER_SPEC_PARTS_H
#define AM_WORKER_SPEC_PARTS_H

#include "worker/spec.h"

int am_spec_bad(struct am_faults *f, const char *pointer, const char *what); /* always -AM_E_BAD_SPEC */
int am_spec_head(json_t *root, struct am_faults *f);                         /* proto and staging */
int am_spec_u64(json_t *obj, const char *name, uint64_t *ret);
const char *am_spec_path(json_t *obj); /* member `path` when it is one, else NULL */
int am_spec_fd(struct am_spec_fds *fds, json_t *value, int *ret);

#endif
