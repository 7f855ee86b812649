/*
 * decide_text.c - what came of a rule as a sentence for somebody who is tired (decide.h). A sentence is put together in
 * a text of fixed size; what does not fit is cut off.
 */
#include "core/base/err.h"
#include "core/base/text.h"
#include "core/compat/slices.h"
#include "core/gate/decide_parts.h"
#include "core/gate/policy_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NAMES 64 /* values of a report among which the nearest is looked for */

static void say(char out[AM_GATE_TEXT], const char *fmt, ...) AM_PRINTF(2, 3);
static void say(char out[AM_GATE_TEXT], const char *fmt, ...)
{
    size_t n = strlen(out);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(out + n, AM_GATE_TEXT - n, fmt, ap);
    va_end(ap);
    am_utf8_mend(out + n);
}

static void say_needed(char *out, const struct am_gate_result *r, double n)
{
    double more = r->needed_n.value - n;
    if (!r->needed_n.known)
        say(out, "; no number of samples would settle it as the rates are");
    else
        say(out, "; %.0f samples in all (%.0f more) would settle it if the rates stay as they are", r->needed_n.value,
            more > 0 ? more : 0);
}

static void say_bounds(char *out, const struct am_gate_result *r, double n)
{
    char limit[AM_F64_TEXT];
    const struct am_gate_rule *rule = r->rule;
    bool lower = rule->bound == AM_GATE_LOWER, point = rule->bound == AM_GATE_POINT || !r->interval.known;
    const char *op = am_policy_op(rule->op), *named = am_policy_bound(rule->bound);
    double bound = lower ? r->interval.lower : r->interval.upper, other = lower ? r->interval.upper : r->interval.lower;
    am_f64_text(r->limit, limit);
    say(out, "%s is %.4g", rule->value, r->value.value);
    if (point)
        say(out, r->outcome == AM_GATE_PASS ? ", which is %s %s" : ", which is not %s %s", op, limit);
    else if (r->outcome == AM_GATE_PASS)
        say(out, "; its %s bound %.4g is %s %s", named, bound, op, limit);
    else if (r->outcome == AM_GATE_FAIL)
        say(out, "; even its %s bound %.4g is not %s %s", lower ? "upper" : "lower", other, op, limit);
    else
        say(out, "; its %s bound %.4g is not %s %s, its %s bound %.4g is", named, bound, op, limit,
            lower ? "upper" : "lower", other);
    if (rule->noise_factor > 0 && r->limit > rule->limit)
        say(out, " (the limit is lifted to %.4g times the noise floor)", rule->noise_factor);
    if (r->outcome == AM_GATE_INCONCLUSIVE)
        say_needed(out, r, n);
}

static void say_between(char *out, const struct am_gate_result *r)
{
    static const char *const how[] = {"inside", "outside", "neither inside nor outside"};
    double low = r->interval.known ? r->interval.lower : r->value.value;
    double high = r->interval.known ? r->interval.upper : r->value.value;
    say(out, "%s is %.4g; its interval [%.4g, %.4g] lies %s [%.6g, %.6g]", r->rule->value, r->value.value, low, high,
        how[r->outcome], r->rule->low, r->rule->high);
}

static void say_missing(char *out, const struct am_gate_facts *facts, const struct am_gate_rule *rule)
{
    const char *names[NAMES], *near;
    size_t n = 0;
    bool there = false;
    for (size_t i = 0; i < facts->values_n && n < NAMES; i++) {
        there = there || am_streq(facts->values[i].report, rule->report);
        if (am_streq(facts->values[i].report, rule->report))
            names[n++] = facts->values[i].name;
    }
    near = am_nearest(rule->value, names, n);
    if (rule->report && !there)
        say(out, "there is no report %s of this version", rule->report);
    else
        say(out, "the report has no value %s%s%s%s", rule->value, near ? "; did you mean " : "", near ? near : "",
            near ? "?" : "");
}

static void say_slice(char *out, const struct am_gate_result *r)
{
    const struct am_gate_slice *s = r->slice;
    say(out, "in %s=%s (%llu samples) ", s->key, s->value, (unsigned long long)s->n);
    if (am_streq(r->reason, "small"))
        say(out, "there are too few to decide; a slice needs %d", AM_SLICE_SMALL);
    else if (am_streq(r->reason, "regression"))
        say(out, "it got worse: the adjusted one-sided p %.4g is not above %.4g", r->adjusted_p.value, r->rule->alpha);
}

/* A value of the whole or of the slice that decided. */
static void say_value(char *out, const struct am_gate_policy *policy, const struct am_gate_facts *facts,
                      const struct am_gate_result *r)
{
    bool told = am_streq(r->reason, "small") || am_streq(r->reason, "regression");
    if (r->slice)
        say_slice(out, r);
    if (told)
        return;
    if (am_streq(r->reason, AM_GATE_NO_OLD))
        say(out, "there is nothing to compare with yet");
    else if (am_streq(r->reason, "missing") && r->rule->slice && !r->slice)
        say(out, "the report lacks a slice that the rule is about (%s)", r->rule->slice);
    else if (am_streq(r->reason, "missing"))
        say_missing(out, facts, r->rule);
    else if (am_streq(r->reason, "undefined"))
        say(out, "%s is undefined here%s", r->rule->value,
            r->outcome == AM_GATE_PASS ? ", which the rule lets pass" : "");
    else if (r->rule->slice && !r->slice)
        say(out, policy->protected_n ? "no slice to look at" : "no slice is protected");
    else if (!r->rule->value)
        say(out, "no regression: the adjusted one-sided p %.4g is above %.4g", r->adjusted_p.value, r->rule->alpha);
    else if (r->rule->form == AM_GATE_BETWEEN)
        say_between(out, r);
    else
        say_bounds(out, r, r->slice ? (double)r->slice->n : facts->n);
}

static void say_data(char *out, const struct am_gate_policy *policy, const struct am_gate_facts *facts)
{
    if (am_streq(facts->doubt, AM_GATE_NO_OLD)) {
        say(out, "there is nothing to compare with yet");
        return;
    }
    if (am_streq(facts->doubt, AM_GATE_OTHER_BYTES))
        say(out, "the new predictions are of other weight files than the ones that were made here; ");
    say(out, "%.6g samples of at least %llu; %.4g %% of the ids are on both sides, of at least %.4g %%", facts->n,
        (unsigned long long)policy->min_samples, 100 * facts->ids_matched, 100 * policy->min_ids_matched);
    if (facts->partial)
        say(out, "; a comparison on a part of the ids decides nothing");
}

static void say_critical(char *out, const struct am_gate_result *r)
{
    const struct am_gate_rule *rule = r->rule;
    if (am_streq(r->reason, AM_GATE_NO_OLD))
        say(out, "there is nothing to compare with yet");
    else if (am_streq(r->reason, "missing"))
        say(out, "the critical samples of %s were not all compared", rule->dataset);
    else
        say(out, "%.0f critical samples of %s %s", r->value.value, rule->dataset,
            rule->all_right ? "are wrong" : "are negative flips");
}

static void say_check(char *out, const struct am_gate_result *r)
{
    bool finite = r->rule->form == AM_GATE_FINITE;
    if (r->outcome == AM_GATE_SKIPPED)
        say(out, finite ? "no tensors to look at: predictions were compared" : "no training data is known to look at");
    else if (r->outcome == AM_GATE_INCONCLUSIVE)
        say(out, "nobody looked");
    else if (finite)
        say(out, r->outcome == AM_GATE_PASS ? "every tensor is finite" : "NaN or infinity in a tensor");
    else
        say(out, r->outcome == AM_GATE_PASS ? "no row of the data is among the training data"
                                            : "rows of the data are among the training data");
}

static bool of_other_task(const struct am_gate_facts *facts, const struct am_gate_result *r)
{
    return r->outcome == AM_GATE_SKIPPED && r->rule->tasks && !(r->rule->tasks & facts->task);
}

void am_gate_rule_text(const struct am_gate_policy *policy, const struct am_gate_facts *facts,
                       const struct am_gate_result *r, char out[AM_GATE_TEXT])
{
    out[0] = '\0';
    if (!r->rule) {
        say_data(out, policy, facts);
        return;
    }
    if (of_other_task(facts, r)) {
        say(out, "not of this comparison: the rule is for");
        for (unsigned k = 0; k < AM_POLICY_TASKS; k++)
            if (r->rule->tasks & (1u << k))
                say(out, " %s", am_policy_task[k]);
        return;
    }
    switch (r->rule->form) {
    case AM_GATE_VALUE:
    case AM_GATE_BETWEEN:
        say_value(out, policy, facts, r);
        break;
    case AM_GATE_ANY_OF:
        say(out, "none of its %zu alternatives is defined here", r->rule->any_of_n);
        break;
    case AM_GATE_MUST_PASS:
        say_critical(out, r);
        break;
    case AM_GATE_FINITE:
    case AM_GATE_LEAK:
        say_check(out, r);
        break;
    }
}

static size_t count(const struct am_gate_result *r, size_t n, enum am_gate_outcome outcome)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        found += r[i].outcome == outcome;
    return found;
}

static void say_ids(char *out, const struct am_gate_result *r, size_t n, enum am_gate_outcome outcome)
{
    const char *before = " (";
    for (size_t i = 0; i < n; i++) {
        if (r[i].outcome != outcome)
            continue;
        say(out, "%s%s", before, r[i].id);
        before = ", ";
    }
    say(out, ")");
}

void am_gate_verdict_text(const struct am_gate_result *r, size_t n, enum am_gate_verdict verdict,
                          char out[AM_GATE_TEXT])
{
    size_t skipped = count(r, n, AM_GATE_SKIPPED), applied = n - skipped;
    out[0] = '\0';
    if (verdict == AM_GATE_PROMOTE) {
        say(out, "promote: all %zu rules that apply pass", applied);
        return;
    }
    enum am_gate_outcome why = verdict == AM_GATE_HOLD ? AM_GATE_FAIL : AM_GATE_INCONCLUSIVE;
    size_t found = count(r, n, why);
    if (found == 0) {
        say(out, "inconclusive: no rule of the policy applies to this comparison");
        return;
    }
    say(out, "%s: %zu of %zu rules ", am_gate_verdict_name(verdict), found, applied);
    say(out, verdict == AM_GATE_HOLD ? (found == 1 ? "fails" : "fail") : (found == 1 ? "is open" : "are open"));
    say_ids(out, r, n, why);
}
