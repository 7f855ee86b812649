/*
 * gates.h - gate policies as the daemon uses them: out of their rows (storage/gates.h) into structs (core/gate), the
 * one that is built in, and a policy of a request that can pass at all. Not the routes (api/gates.c).
 */
#ifndef AM_SERVER_GATES_H
#define AM_SERVER_GATES_H

#include "core/gate/policy.h"

struct am_db;
struct am_store;

/* The policy `default` is there from the first start on: am_gate_default as default@1. 0 or a negative error. */
int am_gates_seed(struct am_store *s);

#define AM_GATE_REF 96
/*
 * The newest revision of a gate; `ref` (room for AM_GATE_REF, may be NULL) becomes "default@3", *ret_revision (may be
 * NULL) 3. am_policy_done() ends it. -AM_E_NOT_FOUND; -AM_E_INTERNAL: what is stored is no policy.
 */
int am_gates_load(struct am_db *db, const char *name, struct am_policy *ret, char *ref, int64_t *ret_revision);

/*
 * Before a job runs: a fault (invalid-params, with the number that is needed) when the policy cannot pass with the n
 * samples at hand even without one flip. `tasks`: what they may be compared as (AM_GATE_CLASSES ...). `pointer`: where
 * the request has the gate, "#/gate"; a policy that is given by its name has no rules there, so the fault then names
 * the rule in words. true: it can pass.
 */
bool am_gates_can_pass(const struct am_gate_policy *policy, bool by_name, unsigned tasks, uint64_t n,
                       const char *pointer, struct am_faults *faults);

#endif
