/*
 * gate.c - outcomes of rules and the verdict (gate.h).
 */
#include "core/compat/gate.h"
#include "core/base/err.h"
#include "core/base/text.h"
#include "core/compat/gate_parts.h"
#include "core/compat/slices.h"
#include "core/compat/tests.h"

#include <stdlib.h>
#include <string.h>

bool am_gate_holds(enum am_gate_op op, double x, double limit)
{
    switch (op) {
    case AM_GATE_GT:
        return x > limit;
    case AM_GATE_GE:
        return x >= limit;
    case AM_GATE_LT:
        return x < limit;
    case AM_GATE_LE:
        return x <= limit;
    }
    return false;
}

enum am_gate_outcome am_gate_compare(const struct am_gate_rule *rule, double value, struct am_interval one_sided,
                                     double limit)
{
    bool point = rule->bound == AM_GATE_POINT || !one_sided.known;
    double named = point ? value : rule->bound == AM_GATE_LOWER ? one_sided.lower : one_sided.upper;
    double opposite = point ? value : rule->bound == AM_GATE_LOWER ? one_sided.upper : one_sided.lower;
    if (am_gate_holds(rule->op, named, limit))
        return AM_GATE_PASS;
    return am_gate_holds(rule->op, opposite, limit) ? AM_GATE_INCONCLUSIVE : AM_GATE_FAIL;
}

static const struct am_gate_value *find(const struct am_gate_value *values, size_t n, const struct am_gate_rule *rule)
{
    for (size_t i = 0; i < n; i++)
        if (am_streq(values[i].name, rule->value) && am_streq(values[i].report, rule->report))
            return &values[i];
    return NULL;
}

static double limit_of(const struct am_gate_rule *rule, const struct am_gate_facts *facts)
{
    double noise = facts->noise_floor.known ? rule->noise_factor * facts->noise_floor.value : 0;
    return rule->noise_factor > 0 && noise > rule->limit ? noise : rule->limit;
}

static enum am_gate_outcome compare_between(const struct am_gate_rule *rule, const struct am_gate_value *v)
{
    double low = v->two_sided.known ? v->two_sided.lower : v->value.value;
    double high = v->two_sided.known ? v->two_sided.upper : v->value.value;
    if (low >= rule->low && high <= rule->high)
        return AM_GATE_PASS;
    return high < rule->low || low > rule->high ? AM_GATE_FAIL : AM_GATE_INCONCLUSIVE;
}

/* Nothing was compared, which is no fault of the candidate. */
static bool no_old(const struct am_gate_facts *facts)
{
    return am_streq(facts->doubt, AM_GATE_NO_OLD);
}

/* One value of n samples, of the whole or of a slice. */
static struct am_gate_result judge(const struct am_gate_rule *rule, const struct am_gate_facts *facts,
                                   const struct am_gate_value *v, double n, const double *cells)
{
    struct am_gate_result r = {.id = rule->id, .outcome = AM_GATE_INCONCLUSIVE, .limit = limit_of(rule, facts)};
    if (!v) {
        r.reason = no_old(facts) ? AM_GATE_NO_OLD : "missing";
        return r;
    }
    r.value = v->value;
    if (!v->value.known) {
        r.reason = "undefined";
        r.outcome = rule->null_passes ? AM_GATE_PASS : AM_GATE_INCONCLUSIVE;
        return r;
    }
    r.interval = rule->form == AM_GATE_BETWEEN ? v->two_sided : v->one_sided;
    r.outcome = rule->form == AM_GATE_BETWEEN ? compare_between(rule, v)
                                              : am_gate_compare(rule, v->value.value, v->one_sided, r.limit);
    if (r.outcome == AM_GATE_INCONCLUSIVE)
        r.needed_n = am_gate_needed(rule, v, r.limit, n, cells);
    return r;
}

static bool selected(const char *slice, const struct am_gate_slice *s)
{
    size_t key = strlen(s->key);
    if (strncmp(slice, s->key, key) != 0 || slice[key] != '=')
        return false;
    return am_streq(slice + key + 1, "*") || am_streq(slice + key + 1, s->value);
}

static const struct am_gate_slice *named(const struct am_gate_facts *facts, const struct am_gate_key *key)
{
    for (size_t i = 0; i < facts->slices_n; i++)
        if (am_streq(facts->slices[i].key, key->key) && am_streq(facts->slices[i].value, key->value))
            return &facts->slices[i];
    return NULL;
}

/* The slices of a rule; a protected one that the report lacks counts in *ret_missing. Room for all of them in `ret`. */
static size_t pick(const struct am_gate_policy *policy, const struct am_gate_rule *rule,
                   const struct am_gate_facts *facts, const struct am_gate_slice **ret, size_t *ret_missing)
{
    size_t n = 0;
    *ret_missing = 0;
    if (am_streq(rule->slice, "protected:*")) {
        for (size_t i = 0; i < policy->protected_n; i++) {
            ret[n] = named(facts, &policy->protected[i]);
            if (ret[n])
                n++;
            else
                ++*ret_missing;
        }
        return n;
    }
    for (size_t i = 0; i < facts->slices_n; i++)
        if (selected(rule->slice, &facts->slices[i]))
            ret[n++] = &facts->slices[i];
    *ret_missing = n == 0 ? 1 : 0;
    return n;
}

/* Outcomes from best to worst. */
static int rank(enum am_gate_outcome o)
{
    return o == AM_GATE_FAIL ? 2 : o == AM_GATE_INCONCLUSIVE ? 1 : 0;
}

/* Holm's adjusted p of the slices that are large enough to decide; others get 1. */
static int adjust(const struct am_gate_slice *const *slice, size_t n, double *ret)
{
    size_t large = 0;
    for (size_t i = 0; i < n; i++)
        if (slice[i]->n >= AM_SLICE_SMALL)
            ret[large++] = slice[i]->p_regression;
    AM_TRY(am_holm(ret, large, ret));
    for (size_t i = n; i-- > 0;)
        ret[i] = slice[i]->n >= AM_SLICE_SMALL ? ret[--large] : 1;
    return 0;
}

static struct am_gate_result judge_slice(const struct am_gate_rule *rule, const struct am_gate_facts *facts,
                                         const struct am_gate_slice *s, double p)
{
    struct am_gate_result r = {.id = rule->id, .outcome = AM_GATE_PASS, .limit = rule->limit};
    if (rule->value)
        r = judge(rule, facts, find(s->values, s->values_n, rule), (double)s->n, NULL);
    r.slice = s;
    if (s->n < AM_SLICE_SMALL) {
        r.outcome = AM_GATE_INCONCLUSIVE;
        r.reason = "small";
        r.needed_n = am_known(AM_SLICE_SMALL);
        return r;
    }
    if (rule->alpha > 0)
        r.adjusted_p = am_known(p);
    if (rule->alpha > 0 && p <= rule->alpha) {
        r.outcome = AM_GATE_FAIL;
        r.reason = "regression";
    }
    return r;
}

static int judge_slices(const struct am_gate_policy *policy, const struct am_gate_rule *rule,
                        const struct am_gate_facts *facts, struct am_gate_result *ret)
{
    struct am_gate_result worst = {.id = rule->id, .outcome = AM_GATE_PASS, .limit = limit_of(rule, facts)};
    size_t room = facts->slices_n + policy->protected_n + 1, missing;
    const struct am_gate_slice **slice = malloc(room * sizeof(*slice));
    double *p = malloc(room * sizeof(*p)), least = 2;
    size_t n = slice && p ? pick(policy, rule, facts, slice, &missing) : 0;
    int rc = slice && p ? adjust(slice, n, p) : -AM_E_OUT_OF_MEMORY;
    if (rc == 0 && missing > 0) {
        worst.outcome = AM_GATE_INCONCLUSIVE;
        worst.reason = no_old(facts) ? AM_GATE_NO_OLD : "missing";
    }
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct am_gate_result r = judge_slice(rule, facts, slice[i], p[i]);
        if (rank(r.outcome) > rank(worst.outcome) || (!worst.slice && rank(r.outcome) == rank(worst.outcome)))
            worst = r;
        least = p[i] < least ? p[i] : least;
    }
    if (rc == 0 && rule->alpha > 0 && n > 0)
        worst.adjusted_p = am_known(least);
    if (rc == 0)
        *ret = worst;
    free(slice);
    free(p);
    return rc;
}

static struct am_gate_result judge_critical(const struct am_gate_rule *rule, const struct am_gate_facts *facts)
{
    struct am_gate_result r = {.id = rule->id, .outcome = AM_GATE_FAIL, .reason = "missing"};
    if (no_old(facts))
        return (struct am_gate_result){.id = rule->id, .outcome = AM_GATE_INCONCLUSIVE, .reason = AM_GATE_NO_OLD};
    for (size_t i = 0; i < facts->critical_n; i++) {
        const struct am_gate_critical *c = &facts->critical[i];
        if (!am_streq(c->dataset, rule->dataset))
            continue;
        uint64_t bad = rule->all_right ? c->wrong : c->flips;
        r.value = am_known((double)bad);
        if (bad > 0)
            r.reason = "critical";
        else if (c->missing == 0) {
            r.outcome = AM_GATE_PASS;
            r.reason = NULL;
        }
        break;
    }
    return r;
}

static struct am_gate_result judge_check(const struct am_gate_rule *rule, enum am_gate_check check, const char *found)
{
    switch (check) {
    case AM_GATE_CLEAN:
        return (struct am_gate_result){.id = rule->id, .outcome = AM_GATE_PASS};
    case AM_GATE_DIRTY:
        return (struct am_gate_result){.id = rule->id, .outcome = AM_GATE_FAIL, .reason = found};
    case AM_GATE_NOTHING:
        return (struct am_gate_result){.id = rule->id, .outcome = AM_GATE_SKIPPED};
    case AM_GATE_UNCHECKED:
        break;
    }
    return (struct am_gate_result){.id = rule->id, .outcome = AM_GATE_INCONCLUSIVE, .reason = "unchecked"};
}

static int judge_simple(const struct am_gate_policy *policy, const struct am_gate_rule *rule,
                        const struct am_gate_facts *facts, struct am_gate_result *ret)
{
    if (rule->form == AM_GATE_MUST_PASS)
        *ret = judge_critical(rule, facts);
    else if (rule->form == AM_GATE_FINITE)
        *ret = judge_check(rule, facts->finite, "non_finite");
    else if (rule->form == AM_GATE_LEAK)
        *ret = judge_check(rule, facts->leak, "leak");
    else if (rule->slice)
        return judge_slices(policy, rule, facts, ret);
    else
        *ret = judge(rule, facts, find(facts->values, facts->values_n, rule), facts->n, facts->cells);
    return 0;
}

/* The alternative that came out best, first of equals. One that is undefined leaves the decision to the others. */
static int judge_any(const struct am_gate_policy *policy, const struct am_gate_rule *rule,
                     const struct am_gate_facts *facts, struct am_gate_result *ret)
{
    struct am_gate_result best = {.outcome = AM_GATE_INCONCLUSIVE, .reason = "undefined"};
    bool any = false;
    for (size_t i = 0; i < rule->any_of_n; i++) {
        struct am_gate_result r;
        AM_TRY(judge_simple(policy, &rule->any_of[i], facts, &r));
        if (r.outcome == AM_GATE_SKIPPED || (r.outcome == AM_GATE_INCONCLUSIVE && am_streq(r.reason, "undefined")))
            continue;
        r.rule = &rule->any_of[i];
        if (!any || rank(r.outcome) < rank(best.outcome))
            best = r;
        any = true;
    }
    best.id = rule->id;
    *ret = best;
    return 0;
}

static struct am_gate_result judge_data(const struct am_gate_policy *policy, const struct am_gate_facts *facts)
{
    struct am_gate_result r = {.id = "data", .outcome = AM_GATE_PASS, .value = am_known(facts->n)};
    r.limit = (double)policy->min_samples;
    bool few = facts->n < r.limit;
    if (few || facts->partial || facts->doubt || facts->ids_matched < policy->min_ids_matched) {
        r.outcome = AM_GATE_INCONCLUSIVE;
        r.reason = facts->doubt ? facts->doubt : "data";
    }
    if (few && !facts->doubt)
        r.needed_n = am_known(r.limit);
    return r;
}

static int judge_rule(const struct am_gate_policy *policy, const struct am_gate_rule *rule,
                      const struct am_gate_facts *facts, struct am_gate_result *ret)
{
    if (am_gate_rule_fault(rule))
        return -AM_E_INVALID_PARAMS;
    if (rule->tasks && !(rule->tasks & facts->task)) {
        *ret = (struct am_gate_result){.id = rule->id, .outcome = AM_GATE_SKIPPED};
        return 0;
    }
    return rule->form == AM_GATE_ANY_OF ? judge_any(policy, rule, facts, ret) : judge_simple(policy, rule, facts, ret);
}

int am_gate_decide(const struct am_gate_policy *policy, const struct am_gate_facts *facts, struct am_gate_result *ret,
                   enum am_gate_verdict *ret_verdict)
{
    int worst = 0;
    size_t applied = 0;
    ret[0] = judge_data(policy, facts);
    for (size_t i = 0; i < policy->rules_n; i++) {
        AM_TRY(judge_rule(policy, &policy->rules[i], facts, &ret[i + 1]));
        if (!ret[i + 1].rule)
            ret[i + 1].rule = &policy->rules[i];
        applied += ret[i + 1].outcome != AM_GATE_SKIPPED;
    }
    for (size_t i = 0; i <= policy->rules_n; i++)
        worst = rank(ret[i].outcome) > worst ? rank(ret[i].outcome) : worst;
    bool open = worst == 1 || applied == 0;
    *ret_verdict = worst == 2 ? AM_GATE_HOLD : open ? AM_GATE_UNDECIDED : AM_GATE_PROMOTE;
    return 0;
}

const char *am_gate_verdict_name(enum am_gate_verdict verdict)
{
    static const char *const names[] = {"promote", "inconclusive", "hold"};
    return names[verdict];
}

const char *am_gate_outcome_name(enum am_gate_outcome outcome)
{
    static const char *const names[] = {"pass", "fail", "inconclusive", "skipped"};
    return names[outcome];
}
