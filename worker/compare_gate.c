/*
 * compare_gate.c - the decision of a gate over the report that was just made (core/gate), as decision.json. See
 * compare.h. Critical samples come as prediction sets of their own, and only their flips are counted.
 */
#include "core/base/text.h"
#include "core/gate/decide.h"
#include "core/gate/policy.h"
#include "worker/compare.h"

#include <string.h>

/* ---- spec ---- */

int am_compare_spec_gate(struct am_comparing *c)
{
    json_t *list = json_object_get(c->gate, "critical");
    size_t n = json_array_size(list);
    if (!c->gate)
        return 0;
    if (n > AM_COMPARE_CRITICAL || !json_is_object(json_object_get(c->gate, "policy")))
        return am_fault_add(&c->s->faults, AM_E_BAD_SPEC, (struct am_where){.pointer = "#/gate"},
                            "#/gate in the spec must have policy, and at most %d critical sets", AM_COMPARE_CRITICAL);
    for (size_t i = 0; i < n; i++) {
        json_t *one = json_array_get(list, i);
        struct am_compare_critical *to = &c->critical[i];
        to->dataset = json_string_value(json_object_get(one, "dataset"));
        if (!to->dataset)
            return am_fault_add(&c->s->faults, AM_E_BAD_SPEC, (struct am_where){.pointer = "#/gate/critical"},
                                "an entry of #/gate/critical in the spec must have dataset");
        AM_TRY(am_compare_spec_set(c, json_object_get(one, "old"), "old", "#/gate/critical", &to->set[AM_OLD]));
        AM_TRY(am_compare_spec_set(c, json_object_get(one, "new"), "new", "#/gate/critical", &to->set[AM_NEW]));
        c->criticals++;
    }
    return 0;
}

/* ---- which slices a policy looks at ---- */

static bool names_key(const struct am_gate_rule *rule, const char *key)
{
    size_t n = strcspn(rule->slice ? rule->slice : "", "=");
    if (rule->slice && strlen(key) == n && strncmp(rule->slice, key, n) == 0)
        return true;
    for (size_t i = 0; i < rule->any_of_n; i++)
        if (names_key(&rule->any_of[i], key))
            return true;
    return false;
}

bool am_compare_gate_wants(const struct am_comparing *c, const char *key)
{
    const struct am_gate_policy *p = &c->policy.policy;
    for (size_t i = 0; c->gate && i < p->protected_n; i++)
        if (am_streq(p->protected[i].key, key))
            return true;
    for (size_t i = 0; c->gate && i < p->rules_n; i++)
        if (names_key(&p->rules[i], key))
            return true;
    return false;
}

int am_compare_gate_read(struct am_comparing *c)
{
    if (!c->gate)
        return 0;
    return am_policy_read(&c->policy, json_object_get(c->gate, "policy"), "#/gate/policy", &c->s->faults);
}

/* ---- critical samples ---- */

static void count(const struct am_join *j, struct am_gate_critical *ret)
{
    for (size_t i = 0; i < j->n; i++) {
        ret->flips += am_bit(j->ok[AM_OLD], i) && !am_bit(j->ok[AM_NEW], i);
        ret->wrong += !am_bit(j->ok[AM_NEW], i);
    }
}

/* Sets that share no sample are not an error: every critical sample is missing then. */
static int join_critical(struct am_compare_critical *k, const struct am_ids ids[2], struct am_faults *f,
                         struct am_gate_critical *ret)
{
    struct am_join j;
    struct am_faults alone = {0};
    int rc = am_join_sets(&j, &k->set[0].packed, &ids[0], &k->set[1].packed, &ids[1], true, &alone);
    am_faults_done(&alone);
    if (rc == -AM_E_DATASET_MISMATCH) {
        ret->missing = k->set[0].packed.rows + k->set[1].packed.rows;
        return 0;
    }
    AM_TRY(rc);
    rc = am_join_agree(&j, f);
    if (rc == 0 && !(j.ok[0] && j.ok[1]))
        rc = am_fault_add(f, AM_E_DATASET_MISMATCH, (struct am_where){.reason = "answers"},
                          "a set over the critical samples %.200s does not say which of its answers are right",
                          k->dataset);
    ret->missing = j.only[0] + j.only[1];
    if (rc == 0)
        count(&j, ret);
    am_join_done(&j);
    return rc;
}

static int one_critical(struct am_comparing *c, struct am_compare_critical *k, struct am_gate_critical *ret)
{
    struct am_faults *f = &c->s->faults;
    struct am_ids ids[2] = {0};
    int rc = 0;
    ret->dataset = k->dataset;
    for (int i = 0; i < 2 && rc == 0; i++) {
        rc = am_compare_set_load(&k->set[i], f);
        if (rc == 0)
            rc = am_ids_load(&ids[i], k->set[i].fd[1], k->set[i].bytes[1], k->set[i].name, k->set[i].plain.ids, f);
    }
    if (rc == 0)
        rc = am_compare_sets_agree(k->set, f);
    if (rc == 0)
        rc = join_critical(k, ids, f, ret);
    for (int i = 0; i < 2; i++) {
        am_ids_done(&ids[i]);
        am_compare_set_done(&k->set[i]);
    }
    return rc;
}

/* ---- the decision ---- */

/* A comparison of answers has no tensors and no training data to look at, unless the daemon knows something. */
static enum am_gate_check check_of(const json_t *gate, const char *name)
{
    static const char *const word[] = {"unchecked", "clean", "dirty"};
    const char *text = json_string_value(json_object_get(gate, name));
    for (size_t i = 0; i < 3; i++)
        if (am_streq(word[i], text))
            return (enum am_gate_check)i;
    return AM_GATE_NOTHING;
}

int am_compare_decide(struct am_comparing *c, const json_t *report, json_t **ret)
{
    struct am_gate_critical critical[AM_COMPARE_CRITICAL] = {{0}};
    for (size_t i = 0; i < c->criticals; i++)
        AM_TRY(one_critical(c, &c->critical[i], &critical[i]));
    const struct am_gate_input in = {.gate = json_string_value(json_object_get(c->gate, "gate")),
                                     .report = report,
                                     .slices = c->slice_rows,
                                     .finite = check_of(c->gate, "finite"),
                                     .leak = check_of(c->gate, "leak"),
                                     .critical = critical,
                                     .critical_n = c->criticals};
    return am_gate_decision(&c->policy.policy, &in, ret);
}
