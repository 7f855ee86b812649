/*
 * evaluate_gate.c - the gate of a job (evaluate.h): a name becomes the policy at one revision, and for each
 * rule about critical samples the sets of both versions are found. Whether it passes is the worker's to say.
 */
#include "server/api/evaluate_priv.h"

#include "core/base/text.h"
#include "core/table/plan_compare.h"
#include "server/gates.h"
#include "server/json.h"
#include "storage/gates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CRITICAL_MAX = 20 };

static int take_text(void *ctx, const struct am_gate_row *row)
{
    char **ret = ctx;
    free(*ret);
    *ret = strdup(row->policy);
    return *ret ? 0 : -AM_E_OUT_OF_MEMORY;
}

/* The revision that stands behind the @, the first of the walk below the next one. */
struct revision {
    int64_t wanted;
    char *policy;
};

static int take_revision(void *ctx, const struct am_gate_row *row)
{
    struct revision *r = ctx;
    return row->revision == r->wanted ? take_text(&r->policy, row) : 0;
}

static int unknown(struct am_submit *s, const char *what)
{
    am_fault_add(&s->faults, AM_E_NOT_FOUND, (struct am_where){.pointer = "#/gate"},
                 "there is no gate %s; GET /v1/gates lists them", what);
    return 0;
}

static int parse(struct am_submit *s, const char *text, struct am_policy *ret)
{
    struct am_faults none = {0};
    json_auto_t *json = json_loads(text, 0, NULL);
    int rc = json ? am_policy_read(ret, json, "#", &none) : -AM_E_STORE_DAMAGED;
    am_faults_done(&none);
    (void)s;
    return rc < 0 && rc != -AM_E_OUT_OF_MEMORY ? -AM_E_STORE_DAMAGED : rc;
}

/* 1: the policy; 0: there is a fault. `ref` gets "default@3". */
static int load_named(struct am_submit *s, struct am_policy *ret, char ref[AM_GATE_REF])
{
    char name[AM_GATE_REF];
    const char *at = strchr(s->body.gate_name, '@');
    snprintf(name, sizeof name, "%.*s", (int)strcspn(s->body.gate_name, "@"), s->body.gate_name);
    if (!at) {
        int rc = am_gates_load(s->db, name, ret, ref, NULL);
        return rc == -AM_E_NOT_FOUND ? unknown(s, name) : rc < 0 ? rc : 1;
    }
    struct revision r = {.wanted = strtoll(at + 1, NULL, 10)};
    int rc = am_gate_revisions(s->db, name, r.wanted + 1, 1, take_revision, &r);
    if (rc == -AM_E_NOT_FOUND || (rc == 0 && !r.policy))
        return unknown(s, s->body.gate_name);
    if (rc == 0)
        rc = parse(s, r.policy, ret);
    free(r.policy);
    snprintf(ref, AM_GATE_REF, "%.64s@%lld", name, (long long)r.wanted);
    return rc < 0 ? rc : 1;
}

/* ---- critical samples ---- */

static int put_critical(struct am_submit *s, json_t *list, const char *dataset)
{
    struct am_side side[2] = {{.uid = ""}, {.uid = ""}};
    json_t *o = NULL, *old;
    size_t i;
    json_array_foreach(list, i,
                       old) if (am_streq(json_string_value(json_object_get(old, "dataset")), dataset)) return 0;
    int rc = 0;
    for (i = 0; i < 2 && rc == 0; i++)
        rc = am_side_newest(s->db, s->side[i].version_row, s->side[i].external, dataset, &side[i]);
    if (rc == 0 && side[0].uid[0] && side[1].uid[0]) {
        o = json_pack("{s:s, s:o, s:o}", "dataset", dataset, "old", am_side_json(&side[0], "old"), "new",
                      am_side_json(&side[1], "new"));
        rc = am_json_add(list, o);
        for (i = 0; i < 2; i++) { /* held beside the samples themselves, with their join */
            s->plan.read_bytes += (uint64_t)(side[i].packed_bytes + side[i].ids_bytes);
            s->plan.peak_memory_bytes += 2 * (uint64_t)(side[i].packed_bytes + side[i].ids_bytes);
        }
    }
    am_side_done(&side[0]);
    am_side_done(&side[1]);
    return rc;
}

/* What is not here is left out, and its rule fails: a missing id is no pass. */
static int put_all_critical(struct am_submit *s, const struct am_gate_rule *rules, size_t n, json_t *list)
{
    for (size_t i = 0; i < n; i++) {
        if (rules[i].form == AM_GATE_ANY_OF)
            AM_TRY(put_all_critical(s, rules[i].any_of, rules[i].any_of_n, list));
        if (rules[i].form != AM_GATE_MUST_PASS || !rules[i].dataset)
            continue;
        if (json_array_size(list) == CRITICAL_MAX) {
            am_fault_add(&s->faults, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/gate"},
                         "the policy asks for critical samples of more than %d datasets", CRITICAL_MAX);
            return 0;
        }
        AM_TRY(put_critical(s, list, rules[i].dataset));
    }
    return 0;
}

/* What the worker compares the two sets as: scores when both have them. */
static unsigned tasks_of(const struct am_side side[2])
{
    bool known = side[0].columns >= 0 && side[1].columns >= 0;
    if (!am_streq(side[0].task, "generative"))
        return AM_GATE_CLASSES;
    if (!known)
        return AM_GATE_CLASSES | AM_GATE_TEXTS;
    return side[0].columns & side[1].columns & AM_HAS_S ? AM_GATE_TEXTS : AM_GATE_CLASSES;
}

static int take_policy(struct am_submit *s, const struct am_policy *p, const char *ref)
{
    uint64_t n = !s->side ? 0 : (uint64_t)(s->side[0].rows < s->side[1].rows ? s->side[0].rows : s->side[1].rows);
    if (s->side)
        am_gates_can_pass(&p->policy, s->body.gate_name != NULL, tasks_of(s->side), n, s->body.gate_at, &s->faults);
    json_t *critical = json_array(), *policy = am_policy_json(&p->policy);
    s->gate = json_pack("{s:s?, s:o, s:o}", "gate", ref, "policy", policy, "critical", critical);
    if (!s->gate)
        return -AM_E_OUT_OF_MEMORY;
    return s->side ? put_all_critical(s, p->policy.rules, p->policy.rules_n, critical) : 0;
}

int am_evaluate_gate(struct am_submit *s)
{
    struct am_policy policy = {.kept = NULL};
    char ref[AM_GATE_REF] = "";
    bool both = s->side ? s->side[0].uid[0] && s->side[1].uid[0] : !am_submit_evaluates(s);
    int rc = 0;
    if (s->body.gate_name)
        rc = load_named(s, &policy, ref);
    else if (s->body.gate_policy)
        rc = am_policy_read(&policy, s->body.gate_policy, s->body.gate_at, &s->faults) == 0;
    if (rc > 0 && both)
        rc = take_policy(s, &policy, ref[0] ? ref : NULL);
    am_policy_done(&policy);
    return rc < 0 ? rc : 0;
}
