/*
 * decide.c - the decision and its JSON (decide.h).
 */
#include "core/gate/decide.h"

#include "core/base/err.h"
#include "core/base/text.h"
#include "core/gate/decide_parts.h"
#include "core/gate/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *maybe_json(struct am_maybe v)
{
    return v.known ? json_real(v.value) : json_null();
}

static json_t *limit_json(const struct am_gate_result *r)
{
    if (!r->rule || (r->rule->form == AM_GATE_VALUE && r->rule->value))
        return json_real(r->limit);
    return r->rule->form == AM_GATE_BETWEEN ? json_pack("[f, f]", r->rule->low, r->rule->high) : json_null();
}

static json_t *slice_json(const struct am_gate_slice *s)
{
    return s ? json_pack("{s:s, s:s, s:I}", "key", s->key, "value", s->value, "n", (json_int_t)s->n) : json_null();
}

static json_t *rule_json(const struct am_gate_policy *policy, const struct am_gate_facts *facts,
                         const struct am_gate_result *r)
{
    char text[AM_GATE_TEXT], measure[AM_GATE_TEXT];
    bool compares = r->rule && r->rule->form == AM_GATE_VALUE && r->rule->value, data = !r->rule;
    am_gate_rule_text(policy, facts, r, text);
    if (r->rule && r->rule->value && r->rule->report)
        snprintf(measure, sizeof measure, "%s.%s", r->rule->report, r->rule->value);
    else
        snprintf(measure, sizeof measure, "%s", data ? "n" : r->rule->value ? r->rule->value : "");
    json_t *interval = r->interval.known ? json_pack("[f, f]", r->interval.lower, r->interval.upper) : json_null();
    return json_pack("{s:s, s:s, s:s?, s:o, s:o, s:s?, s:s?, s:o, s:s?, s:o, s:o, s:o, s:s}", "id", r->id, "outcome",
                     am_gate_outcome_name(r->outcome), "measure", measure[0] ? measure : NULL, "value",
                     maybe_json(r->value), "interval", interval, "bound",
                     compares ? am_policy_bound(r->rule->bound)
                     : data   ? "point"
                              : NULL,
                     "op",
                     compares ? am_policy_op(r->rule->op)
                     : data   ? ">="
                              : NULL,
                     "limit", limit_json(r), "reason", r->reason, "slice", slice_json(r->slice), "adjusted_p",
                     maybe_json(r->adjusted_p), "needed_n",
                     r->needed_n.known ? json_integer((json_int_t)r->needed_n.value) : json_null(), "text", text);
}

static json_t *decision_json(const struct am_gate_policy *policy, const struct am_gate_input *in,
                             const struct am_gate_facts *facts, const struct am_gate_result *r,
                             enum am_gate_verdict verdict)
{
    char text[AM_GATE_TEXT];
    size_t n = policy->rules_n + 1;
    json_t *rules = json_array(), *own = in->gate ? json_null() : am_policy_json(policy);
    bool bad = !rules || !own;
    for (size_t i = 0; i < n; i++)
        bad = json_array_append_new(rules, rule_json(policy, facts, &r[i])) < 0 || bad;
    am_gate_verdict_text(r, n, verdict, text);
    json_t *o = json_pack("{s:s?, s:o, s:o, s:s, s:s}", "gate", in->gate, "policy", own, "rules", rules, "verdict",
                          am_gate_verdict_name(verdict), "text", text);
    if (o && bad) {
        json_decref(o);
        return NULL;
    }
    return o;
}

int am_gate_decision(const struct am_gate_policy *policy, const struct am_gate_input *in, json_t **ret)
{
    struct am_gate_facts_read f;
    enum am_gate_verdict verdict;
    AM_TRY(am_gate_facts_read(&f, in));
    struct am_gate_result *r = calloc(policy->rules_n + 1, sizeof(*r));
    int rc = r ? am_gate_decide(policy, &f.facts, r, &verdict) : -AM_E_OUT_OF_MEMORY;
    json_t *o = rc == 0 ? decision_json(policy, in, &f.facts, r, verdict) : NULL;
    free(r);
    am_gate_facts_done(&f);
    if (rc == 0 && !o)
        rc = -AM_E_OUT_OF_MEMORY;
    if (rc == 0)
        *ret = o;
    return rc;
}

static bool wants(const struct am_gate_policy *policy, const char *slice, const char *key, const char *value)
{
    if (!slice || !key)
        return slice != NULL;
    if (am_streq(slice, "protected:*")) {
        for (size_t i = 0; i < policy->protected_n; i++)
            if (am_streq(policy->protected[i].key, key) && am_streq(policy->protected[i].value, value))
                return true;
        return false;
    }
    size_t n = strlen(key);
    return strncmp(slice, key, n) == 0 && slice[n] == '=' &&
           (am_streq(slice + n + 1, "*") || am_streq(slice + n + 1, value));
}

bool am_gate_wants_slice(const struct am_gate_policy *policy, const char *key, const char *value)
{
    for (size_t i = 0; i < policy->rules_n; i++) {
        const struct am_gate_rule *r = &policy->rules[i];
        bool found = wants(policy, r->slice, key, value);
        for (size_t k = 0; k < r->any_of_n; k++)
            found = found || wants(policy, r->any_of[k].slice, key, value);
        if (found)
            return true;
    }
    return false;
}

bool am_gate_can_pass(const struct am_gate_policy *policy, unsigned tasks, uint64_t n, const char *at,
                      uint64_t *ret_needed, char pointer[AM_GATE_POINTER])
{
    size_t rule;
    uint64_t least = am_gate_least_samples(policy, tasks, &rule);
    if (n >= least)
        return true;
    *ret_needed = least;
    if (rule < policy->rules_n)
        snprintf(pointer, AM_GATE_POINTER, "%s/rules/%zu", at, rule);
    else
        snprintf(pointer, AM_GATE_POINTER, "%s/min_samples", at);
    return false;
}
