/*
 * policy.h - gate policies as JSON (compat.md 8.1): a text of a stranger to the structs of core/compat/gate.h, with all
 * that is wrong with it at once, and back as the long form, which is what is stored and answered. Not the decision
 * (decide.h).
 *
 * {"description","min_samples","min_ids_matched","protected":[{"key","value"}],"rules":[...]}; only rules (or short
 * forms) are required. NAME_max: x and NAME_min: x beside them are short for a rule with the id NAME_max:
 * {"value":NAME,"bound":"upper","op":"<=","limit":x} and {"value":NAME,"bound":"lower","op":">=","limit":x}.
 */
#ifndef AM_GATE_POLICY_H
#define AM_GATE_POLICY_H

#include "core/base/fault.h"
#include "core/compat/gate.h"

#include <jansson.h>

#define AM_POLICY_RULES_MAX 100
#define AM_POLICY_ANY_MAX 20 /* alternatives of one rule */
#define AM_POLICY_PROTECTED_MAX 100
#define AM_POLICY_WORD_MAX 128 /* bytes of an id, a name, a slice */
#define AM_POLICY_TEXT_MAX 1000

struct am_policy {
    struct am_gate_policy policy; /* points into what follows */
    struct am_gate_rule *rule;    /* the rules, then the alternatives of all of them */
    struct am_gate_key *key;
    json_t *kept; /* whose texts the structs name */
};

/*
 * 0, or the negative code of the worst fault: -AM_E_UNKNOWN_MEMBER, -AM_E_INVALID_REQUEST, -AM_E_INVALID_PARAMS (a
 * value that cannot be). `pointer`: where the policy stands in the request, "#" or "#/gate". What is left out is as in
 * am_gate_default, but for the rules.
 */
int am_policy_read(struct am_policy *ret, const json_t *json, const char *pointer, struct am_faults *faults);
void am_policy_done(struct am_policy *p); /* safe on a zeroed struct */

/* The long form; new reference or NULL. am_policy_read() of it gives the same policy. */
json_t *am_policy_json(const struct am_gate_policy *p);

/* The words of the JSON. */
const char *am_policy_bound(enum am_gate_bound bound);
const char *am_policy_op(enum am_gate_op op);

#endif
