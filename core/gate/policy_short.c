/*
 * policy_short.c - the short forms of a policy (policy.h): nfr_max: 0.02 becomes the rule that it stands for. Only the
 * values that comparisons, metrics and the other reports of compat.md 7.2 name have one, so that a slip of the pen is
 * found; any other value has the long form.
 */
#include "core/gate/policy_parts.h"

#include "core/base/text.h"
#include "core/table/json_util.h"
#include "core/table/members.h"

#include <stdio.h>
#include <string.h>

static const char *const values[] = {
    "accuracy_old",
    "accuracy_new",
    "accuracy_delta",
    "nfr",
    "pfr",
    "nfr_mc",
    "relative_nfr",
    "nfi",
    "btc",
    "bec_new",
    "bec_old",
    "churn",
    "churn_good",
    "churn_bad",
    "churn_neutral",
    "kl_outputs",
    "nll_delta",
    "ece_delta",
    "brier_delta",
    "accuracy_gap",
    "tpr_gap",
    "fpr_gap",
    "selection_ratio",
    "nfr_gap",
    "score_old",
    "score_new",
    "score_delta",
    "mean_gain",
    "mean_regression",
    "quadrant_both_good",
    "quadrant_gained",
    "quadrant_lost",
    "quadrant_both_bad",
    "self_similarity_both_bad",
    "accuracy",
    "nll",
    "brier",
    "ece",
    "mce",
    "classwise_ece",
    "auroc_confidence",
    "coverage",
    "set_size",
    "empty_sets",
    "flatness",
    "self_old",
    "self_new",
    "cross",
    "cross_delta",
    "update_gain",
    "ac",
    "ac_tolerant",
    "aa",
    "retrieval_nfr",
    "average_incremental",
    "final_average",
    "bwt",
    "forgetting",
    "fwt",
    "nfr_per_update",
};
#define VALUES (sizeof(values) / sizeof(*values))
#define SHORT_MAX 40 /* bytes of a value with its ending */

static bool is_short(const char *name, char value[SHORT_MAX], bool *ret_most)
{
    size_t n = strlen(name);
    *ret_most = am_ends(name, "_max");
    if (n >= SHORT_MAX || n < 5 || (!*ret_most && !am_ends(name, "_min")))
        return false;
    snprintf(value, SHORT_MAX, "%.*s", (int)n - 4, name);
    return true;
}

/* A short form whose value is none of the list; the nearest that is, compared with its ending. */
static void refuse(const char *name, const char *value, const char *pointer, struct am_faults *f)
{
    char at[AM_POINTER], text[VALUES][SHORT_MAX];
    const char *names[VALUES];
    for (size_t i = 0; i < VALUES; i++) {
        snprintf(text[i], sizeof text[i], "%s%s", values[i], name + strlen(name) - 4);
        names[i] = text[i];
    }
    const char *near = am_nearest(name, names, VALUES);
    struct am_where where = {.pointer = am_pointer(at, pointer, name)};
    if (near)
        am_fault_add(f, AM_E_UNKNOWN_MEMBER, where, "no report has a value \"%s\"; did you mean %s?", value, near);
    else
        am_fault_add(f, AM_E_UNKNOWN_MEMBER, where,
                     "\"%s\" is no value of compat reports; of another report it takes a rule in its long form", value);
}

static int add(json_t *rules, const char *name, const char *value, bool most, const json_t *limit, const char *pointer,
               struct am_faults *f)
{
    char at[AM_POINTER];
    if (!json_is_number(limit)) {
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = am_pointer(at, pointer, name)},
                     "expected a number, got %s", am_json_kind(limit));
        return 0;
    }
    json_t *rule = json_pack("{s:s, s:s, s:s, s:s, s:f}", "id", name, "value", value, "bound", most ? "upper" : "lower",
                             "op", most ? "<=" : ">=", "limit", json_number_value(limit));
    return json_array_append_new(rules, rule) < 0 ? -AM_E_OUT_OF_MEMORY : 0;
}

static bool known(const char *value)
{
    for (size_t i = 0; i < VALUES; i++)
        if (am_streq(values[i], value))
            return true;
    return false;
}

/* Every short form of the policy becomes a rule of `ret`, in the order of their names' first appearance. */
static int collect(json_t *policy, const char *pointer, json_t *ret, struct am_faults *f)
{
    const char *name;
    json_t *limit;
    void *next;
    char value[SHORT_MAX];
    bool most;
    json_object_foreach_safe(policy, next, name, limit)
    {
        if (!is_short(name, value, &most))
            continue;
        if (known(value))
            AM_TRY(add(ret, name, value, most, limit, pointer, f));
        else
            refuse(name, value, pointer, f);
        json_object_del(policy, name);
    }
    return 0;
}

int am_policy_expand(json_t *policy, const char *pointer, struct am_faults *f)
{
    char at[AM_POINTER];
    json_t *found = json_array(), *rules = json_object_get(policy, "rules");
    size_t before = f->total;
    int rc = found ? collect(policy, pointer, found, f) : -AM_E_OUT_OF_MEMORY;
    struct am_where where = {.pointer = am_pointer(at, pointer, "rules")};
    if (rc == 0 && rules && !json_is_array(rules))
        am_fault_add(f, AM_E_INVALID_REQUEST, where, "expected a list, got %s", am_json_kind(rules));
    else if (rc == 0 && json_array_size(rules) + json_array_size(found) == 0 && f->total == before)
        am_fault_add(f, AM_E_INVALID_REQUEST, where,
                     "a policy has at least one rule, or a short form such as \"nfr_max\": 0.02");
    else if (rc == 0 && !rules)
        rc = json_object_set(policy, "rules", found) < 0 ? -AM_E_OUT_OF_MEMORY : 0;
    else if (rc == 0)
        rc = json_array_extend(rules, found) < 0 ? -AM_E_OUT_OF_MEMORY : 0;
    json_decref(found);
    return rc;
}
