/*
 * yaml.h - the part of YAML that recipes are written in, as JSON, with the line of every value (merge.md B1). Block and
 * flow collections, all kinds of scalars, anchors and aliases, merge keys; no tags, no duplicate keys. Bytes are a
 * stranger's: every ceiling is below. Knows nothing of mergekit (mergekit.h).
 * Ownership: am_yaml owns its documents until am_yaml_done(); safe on a zeroed struct.
 */
#ifndef AM_RECIPE_YAML_H
#define AM_RECIPE_YAML_H

#include "core/base/fault.h"

#include <jansson.h>

#define AM_YAML_BYTES ((size_t)1 << 20)
#define AM_YAML_DEPTH 32
#define AM_YAML_NODES 20000 /* this and the depth: after aliases are followed */
#define AM_YAML_DOCUMENTS 32

struct am_yaml_document {
    json_t *json;  /* any value; null when the document is empty */
    json_t *lines; /* the same shape: a line for a scalar, [line, ...] for a list, {"": line, ...} for a mapping */
};

struct am_yaml {
    struct am_yaml_document v[AM_YAML_DOCUMENTS];
    size_t n;
    size_t from[AM_YAML_DOCUMENTS]; /* characters before the "---" of each; 0 of the first */
};

/* -AM_E_INVALID_REQUEST or -AM_E_TOO_LARGE with one fault (reasons yaml-syntax, duplicate-key, yaml-limit). */
int am_yaml_read(struct am_yaml *ret, const char *text, size_t n, struct am_faults *f);
void am_yaml_done(struct am_yaml *y);
/* The line that a JSON Pointer fragment ("#/models/0") leads to, or of the nearest value around it; 0: none. */
int am_yaml_line(const struct am_yaml_document *d, const char *pointer);
/* A number in YAML's spelling (1e-4, +1, .5), which a quoted text may be as well. */
int am_yaml_number(const char *text, double *ret);

#endif
