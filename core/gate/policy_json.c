/*
 * policy_json.c - a policy as its long form (policy.h).
 */
#include "core/gate/policy_parts.h"

const char *am_policy_bound(enum am_gate_bound bound)
{
    return bound == AM_GATE_POINT ? "point" : bound == AM_GATE_LOWER ? "lower" : "upper";
}

const char *am_policy_op(enum am_gate_op op)
{
    static const char *const names[] = {">", ">=", "<", "<="};
    return names[op];
}

/* A member that only some rules have; a failure is seen at the end, by `bad`. */
static void put(json_t *o, const char *name, json_t *stolen, bool *bad)
{
    *bad = json_object_set_new(o, name, stolen) < 0 || *bad;
}

static void put_text(json_t *o, const char *name, const char *s, bool *bad)
{
    if (s)
        put(o, name, json_string(s), bad);
}

static json_t *tasks_json(unsigned tasks)
{
    json_t *list = json_array();
    for (unsigned k = 0; k < AM_POLICY_TASKS; k++)
        if (tasks & (1u << k))
            json_array_append_new(list, json_string(am_policy_task[k]));
    return list;
}

static json_t *rule_json(const struct am_gate_rule *r);

static json_t *any_json(const struct am_gate_rule *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->any_of_n; i++)
        if (json_array_append_new(list, rule_json(&r->any_of[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static void put_value(json_t *o, const struct am_gate_rule *r, bool *bad)
{
    put_text(o, "report", r->report, bad);
    put_text(o, "value", r->value, bad);
    if (r->form == AM_GATE_BETWEEN) {
        put(o, "between", json_pack("[f, f]", r->low, r->high), bad);
    } else if (r->value) {
        put(o, "bound", json_string(am_policy_bound(r->bound)), bad);
        put(o, "op", json_string(am_policy_op(r->op)), bad);
        put(o, "limit", json_real(r->limit), bad);
    }
    if (r->noise_factor > 0)
        put(o, "noise_factor", json_real(r->noise_factor), bad);
    if (r->null_passes)
        put(o, "null_passes", json_true(), bad);
    put_text(o, "slice", r->slice, bad);
    if (r->alpha > 0)
        put(o, "regression", json_pack("{s:f}", "alpha", r->alpha), bad);
}

static json_t *rule_json(const struct am_gate_rule *r)
{
    json_t *o = json_object();
    bool bad = !o;
    put_text(o, "id", r->id, &bad);
    if (r->tasks)
        put(o, "tasks", tasks_json(r->tasks), &bad);
    switch (r->form) {
    case AM_GATE_ANY_OF:
        put(o, "any_of", any_json(r), &bad);
        break;
    case AM_GATE_MUST_PASS:
        put(o, "must_pass",
            json_pack("{s:s, s:s}", "dataset", r->dataset, "mode", r->all_right ? "correct" : "no_flip"), &bad);
        break;
    case AM_GATE_FINITE:
        put(o, "finite", json_true(), &bad);
        break;
    case AM_GATE_LEAK:
        put(o, "leak_check", json_true(), &bad);
        break;
    case AM_GATE_BETWEEN:
    case AM_GATE_VALUE:
        put_value(o, r, &bad);
        break;
    }
    if (bad) {
        json_decref(o);
        return NULL;
    }
    return o;
}

json_t *am_policy_json(const struct am_gate_policy *p)
{
    json_t *rules = json_array(), *keys = json_array();
    bool bad = !rules || !keys;
    for (size_t i = 0; i < p->protected_n; i++)
        bad = json_array_append_new(
                  keys, json_pack("{s:s, s:s}", "key", p->protected[i].key, "value", p->protected[i].value)) < 0 ||
              bad;
    for (size_t i = 0; i < p->rules_n; i++)
        bad = json_array_append_new(rules, rule_json(&p->rules[i])) < 0 || bad;
    json_t *o =
        json_pack("{s:s, s:I, s:f, s:o, s:o}", "description", p->description ? p->description : "", "min_samples",
                  (json_int_t)p->min_samples, "min_ids_matched", p->min_ids_matched, "protected", keys, "rules", rules);
    if (o && bad) {
        json_decref(o);
        return NULL;
    }
    return o;
}
