/*
 * launch_parts.h - private to launch*.c: what the specs of all modes are made with.
 */
#ifndef AM_SERVER_LAUNCH_PARTS_H
#define AM_SERVER_LAUNCH_PARTS_H

#include "server/launch.h"

enum { AM_LAUNCH_FIRST_INPUT = 5 }; /* the descriptor that the worker finds the first input under */

/* The descriptor is the launch's from then on. */
int am_launch_add(struct am_launch *l, int fd);
/* The member `limits`; `files`: how many it writes. */
json_t *am_launch_limits(const struct am_launch *l, uint64_t memory, uint64_t longest_file, uint64_t files);
int am_launch_dump(struct am_launch *l, json_t *spec);

/* launch_texts.c: whether a job with those options reads tokenizers, and whether the file is one of what it reads. */
bool am_launch_reads_texts(const json_t *options);
bool am_launch_is_text(const char *path);

/* launch_compare.c: modes `compare` and `continual`. */
int am_launch_compare(struct am_launch *l, struct am_store *store, const struct am_config *cfg,
                      const struct am_claim *job, struct am_faults *faults);
int am_launch_continual(struct am_launch *l, struct am_store *store, const struct am_claim *job,
                        struct am_faults *faults);

/* Of mode `run`: the member `compare` of its spec, null without a gate. `sha`: what each descriptor is, room for
   AM_LAUNCH_INPUTS_MAX; what is opened here is added. */
int am_launch_gate(struct am_launch *l, struct am_store *store, char (*sha)[65], const struct am_claim *job,
                   struct am_faults *faults, json_t **ret);

#endif
