/*
 * decide_parts.h - what the files of decide.h share. Not for others.
 */
#ifndef AM_GATE_DECIDE_PARTS_H
#define AM_GATE_DECIDE_PARTS_H

#include "core/gate/decide.h"

/* Facts out of JSON; the texts in them are the JSON's. */
struct am_gate_facts_read {
    struct am_gate_facts facts;
    double cells[6];
    struct am_gate_value *value; /* of the report and the others, then those of the slices */
    struct am_gate_slice *slice;
};
/* -AM_E_INVALID_PARAMS, -AM_E_OUT_OF_MEMORY. */
int am_gate_facts_read(struct am_gate_facts_read *ret, const struct am_gate_input *in);
void am_gate_facts_done(struct am_gate_facts_read *f);

#define AM_GATE_TEXT 640
/* What came of a rule, as a sentence. */
void am_gate_rule_text(const struct am_gate_policy *policy, const struct am_gate_facts *facts,
                       const struct am_gate_result *r, char out[AM_GATE_TEXT]);
/* "hold: 2 of 6 rules fail (non-inferior, flips)". */
void am_gate_verdict_text(const struct am_gate_result *r, size_t n, enum am_gate_verdict verdict,
                          char out[AM_GATE_TEXT]);

#endif
