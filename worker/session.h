/*
 * session.h - what all modes share while they work: the staging folder, the record channel, faults, warnings, the
 * result.
 */
#ifndef AM_WORKER_SESSION_H
#define AM_WORKER_SESSION_H

#include "core/base/fault.h"
#include "worker/report.h"
#include "worker/result.h"

#include <jansson.h>

#define AM_WARNINGS_MAX 1000

struct am_session {
    int staging;
    struct am_reporter report;
    struct am_faults faults;
    struct am_result result;
    json_t *warnings;     /* records, in order */
    size_t warnings_more; /* beyond AM_WARNINGS_MAX */
    char detail[512];     /* the sentence of `failed`; empty: the first fault's */
};

void am_session_warn(struct am_session *s, const char *code, const char *detail);
int am_session_put_warnings(struct am_session *s); /* into the result */
/* 0, -AM_E_CANCELLED, or -AM_E_INTERNAL when the daemon no longer listens. */
int am_session_alive(struct am_session *s);

/* The modes: read the spec from `root` (taken), work, and leave a complete result in staging, all but its `end`. */
int am_mode_run(struct am_session *s, json_t *root);
int am_mode_import(struct am_session *s, json_t *root);
int am_mode_pack(struct am_session *s, json_t *root);
int am_mode_index(struct am_session *s, json_t *root);
int am_mode_compare(struct am_session *s, json_t *root);
int am_mode_continual(struct am_session *s, json_t *root);

/* `architecture` of the record `model`: architectures[0] or model_type of a config.json; JSON null when it has none.
 * New reference. */
json_t *am_architecture(const char *config, size_t n);

#endif
