/*
 * decide.h - a decision: the body of a report against a policy, as JSON (compat.md 8.3, 8.4). It compares stored bounds
 * and adjusted p-values with limits and computes no statistics, but for how many samples would settle what is open.
 */
#ifndef AM_GATE_DECIDE_H
#define AM_GATE_DECIDE_H

#include "core/compat/gate.h"

#include <jansson.h>

struct am_gate_input {
    const char *gate;     /* "default@1"; NULL: a policy without a name, which the decision then holds itself */
    const char *doubt;    /* AM_GATE_OTHER_BYTES, or NULL */
    const json_t *report; /* the body of a comparison: n, n_eff, weighted, ids, cells, values, noise_floor; NULL: there
                             is nothing to compare with */
    const json_t *slices; /* list of its slice rows; NULL: none */
    const json_t *others; /* list of the bodies of other reports of the same version, by their `method`; or NULL */
    enum am_gate_check finite, leak;
    const struct am_gate_critical *critical;
    size_t critical_n;
};

/*
 * {"gate","policy","rules":[{"id","outcome","measure","value","interval","bound","op","limit","reason","slice",
 * "adjusted_p","needed_n","text"}],"verdict","text"}; every member is there, null when there is nothing to say. The
 * first rule is "data". `measure` names the value, of an any_of that of the alternative that decided. needed_n: samples
 * in all. *ret is a new reference. -AM_E_INVALID_PARAMS: the body is none of a comparison; -AM_E_OUT_OF_MEMORY.
 */
int am_gate_decision(const struct am_gate_policy *policy, const struct am_gate_input *in, json_t **ret);

/* Whether a rule looks at this slice; rows of others need not be given. `key` NULL: whether one looks at any. */
bool am_gate_wants_slice(const struct am_gate_policy *policy, const char *key, const char *value);

/*
 * Whether the policy can pass at all with `n` samples and no negative flip (compat.md 5.8); `tasks`: what the report
 * may be of. When it cannot: false, *ret_needed the least number that can, and in `pointer` the member of the policy
 * that asks for it, under `at`.
 */
#define AM_GATE_POINTER 1024
bool am_gate_can_pass(const struct am_gate_policy *policy, unsigned tasks, uint64_t n, const char *at,
                      uint64_t *ret_needed, char pointer[AM_GATE_POINTER]);

#endif
