/*
 * gate_default.c - the policy "default" as data (compat.md 8.2), and what may be wrong with a rule.
 */
#include "core/base/text.h"
#include "core/compat/gate.h"

#include <math.h>
#include <string.h>

static const struct am_gate_rule either[] = {
    {.value = "nfr", .bound = AM_GATE_UPPER, .op = AM_GATE_LE, .limit = 0.01, .noise_factor = 1.5},
    {.value = "relative_nfr", .bound = AM_GATE_UPPER, .op = AM_GATE_LE, .limit = 0.5},
};

static const struct am_gate_rule rules[] = {
    {.id = "non-inferior",
     .tasks = AM_GATE_CLASSES,
     .value = "accuracy_delta",
     .bound = AM_GATE_LOWER,
     .op = AM_GATE_GT,
     .limit = -0.005},
    {.id = "flips", .tasks = AM_GATE_CLASSES, .form = AM_GATE_ANY_OF, .any_of = either, .any_of_n = 2},
    {.id = "slices",
     .tasks = AM_GATE_CLASSES,
     .value = "nfr",
     .slice = "protected:*",
     .bound = AM_GATE_UPPER,
     .op = AM_GATE_LE,
     .limit = 0.02,
     .alpha = 0.05},
    {.id = "text-non-inferior",
     .tasks = AM_GATE_TEXTS,
     .value = "score_delta",
     .bound = AM_GATE_LOWER,
     .op = AM_GATE_GT,
     .limit = -0.005},
    {.id = "text-regression",
     .tasks = AM_GATE_TEXTS,
     .value = "mean_regression",
     .bound = AM_GATE_UPPER,
     .op = AM_GATE_LE,
     .limit = 0.05,
     .null_passes = true},
    {.id = "retrieval-cross",
     .tasks = AM_GATE_RETRIEVAL,
     .value = "cross_delta",
     .bound = AM_GATE_LOWER,
     .op = AM_GATE_GT,
     .limit = -0.01},
    {.id = "retrieval-compatible",
     .tasks = AM_GATE_RETRIEVAL,
     .value = "ac_tolerant",
     .bound = AM_GATE_POINT,
     .op = AM_GATE_GE,
     .limit = 1},
    {.id = "finite", .form = AM_GATE_FINITE},
    {.id = "leak", .form = AM_GATE_LEAK},
};

const struct am_gate_policy am_gate_default = {
    .description = "default promotion gate",
    .min_samples = 300,
    .min_ids_matched = 0.99,
    .rules = rules,
    .rules_n = sizeof(rules) / sizeof(*rules),
};

static const char *slice_fault(const struct am_gate_rule *r)
{
    if (!r->slice)
        return r->alpha > 0 ? "regression needs a slice" : NULL;
    const char *equals = strchr(r->slice, '=');
    bool named = equals && equals > r->slice && equals[1] != '\0';
    return named || am_streq(r->slice, "protected:*") ? NULL : "slice is protected:*, KEY=VALUE or KEY=*";
}

static const char *value_fault(const struct am_gate_rule *r)
{
    if (!r->value && !(r->slice && r->alpha > 0))
        return "value is missing";
    if (!isfinite(r->limit))
        return "limit is not a number";
    if (!(r->noise_factor >= 0) || isinf(r->noise_factor))
        return "noise_factor is below 0";
    if (r->noise_factor > 0 && (r->op == AM_GATE_GT || r->op == AM_GATE_GE))
        return "noise_factor belongs to an upper limit (< or <=)";
    if (!(r->alpha >= 0 && r->alpha < 1))
        return "alpha lies outside 0..1";
    return slice_fault(r);
}

const char *am_gate_rule_fault(const struct am_gate_rule *r)
{
    switch (r->form) {
    case AM_GATE_VALUE:
        return value_fault(r);
    case AM_GATE_BETWEEN:
        return !r->value ? "value is missing" : !(r->low <= r->high) ? "between wants the lower number first" : NULL;
    case AM_GATE_ANY_OF:
        if (r->any_of_n == 0)
            return "any_of holds no rule";
        for (size_t i = 0; i < r->any_of_n; i++) {
            const char *fault = am_gate_rule_fault(&r->any_of[i]);
            if (r->any_of[i].form == AM_GATE_ANY_OF || fault)
                return fault ? fault : "any_of may not hold another any_of";
        }
        return NULL;
    case AM_GATE_MUST_PASS:
        return r->dataset ? NULL : "dataset is missing";
    case AM_GATE_FINITE:
    case AM_GATE_LEAK:
        return NULL;
    }
    return "form is unknown";
}
