/*
 * policy_parts.h - what the files of policy.h share. Not for others.
 */
#ifndef AM_GATE_POLICY_PARTS_H
#define AM_GATE_POLICY_PARTS_H

#include "core/gate/policy.h"

/* The tasks of a rule by their words, a bit each (AM_GATE_CLASSES first). */
#define AM_POLICY_TASKS 3
extern const char *const am_policy_task[AM_POLICY_TASKS];

struct am_policy_reader {
    struct am_gate_rule *alternative; /* the next free one */
    struct am_faults *faults;
};
/* One rule at `pointer`; an alternative of any_of has no id of its own. A faulty one is left as it is. */
void am_policy_rule(struct am_policy_reader *r, json_t *json, const char *pointer, bool alternative,
                    struct am_gate_rule *ret);
/* A number in [low, high]; `def` after a fault and when it is absent. */
double am_policy_number(json_t *obj, const char *pointer, const char *name, bool required, double low, double high,
                        double def, struct am_faults *f);
/* A text of 1..AM_POLICY_WORD_MAX bytes without control characters, or NULL. */
const char *am_policy_word(json_t *obj, const char *pointer, const char *name, bool required, struct am_faults *f);
/* Takes the short forms out of `policy` and appends their rules to its `rules`. */
int am_policy_expand(json_t *policy, const char *pointer, struct am_faults *f);

#endif
