/*
 * policy_rule.c - reads one rule (policy.h). Its form is the member that no other form has.
 */
#include "core/gate/policy_parts.h"

#include "core/base/text.h"
#include "core/table/json_util.h"
#include "core/table/members.h"

#include <float.h>
#include <string.h>

const char *const am_policy_task[AM_POLICY_TASKS] = {"classification", "generative", "retrieval"};

struct form {
    enum am_gate_form form;
    const char *member; /* that tells it */
    const char *const *known;
};

#define COMMON "id", "tasks"
static const char *const of_any[] = {COMMON, "any_of", NULL};
static const char *const of_must[] = {COMMON, "must_pass", NULL};
static const char *const of_finite[] = {COMMON, "finite", NULL};
static const char *const of_leak[] = {COMMON, "leak_check", NULL};
static const char *const of_between[] = {COMMON, "report", "value", "between", "null_passes", NULL};
static const char *const of_value[] = {COMMON,         "report",      "value", "bound",      "op", "limit",
                                       "noise_factor", "null_passes", "slice", "regression", NULL};
static const char *const all[] = {COMMON,         "report",      "value",      "bound",      "op",      "limit",
                                  "noise_factor", "null_passes", "slice",      "regression", "between", "any_of",
                                  "must_pass",    "finite",      "leak_check", NULL};

/* The last one is the form of a rule that has none of the other members. */
static const struct form forms[] = {
    {AM_GATE_ANY_OF, "any_of", of_any},       {AM_GATE_MUST_PASS, "must_pass", of_must},
    {AM_GATE_FINITE, "finite", of_finite},    {AM_GATE_LEAK, "leak_check", of_leak},
    {AM_GATE_BETWEEN, "between", of_between}, {AM_GATE_VALUE, "value", of_value},
};

static bool listed(const char *const *list, const char *name)
{
    for (size_t i = 0; list[i]; i++)
        if (am_streq(list[i], name))
            return true;
    return false;
}

static const struct form *form_of(const json_t *rule)
{
    size_t i = 0, last = sizeof(forms) / sizeof(*forms) - 1;
    while (i < last && !json_object_get(rule, forms[i].member))
        i++;
    return &forms[i];
}

/* Unknown members, and those of another form. */
static void check_members(json_t *rule, const struct form *form, const char *pointer, struct am_faults *f)
{
    char at[AM_POINTER];
    const char *name;
    json_t *v;
    am_members_known(rule, pointer, all, f);
    json_object_foreach(rule, name, v)
    {
        if (listed(all, name) && !listed(form->known, name))
            am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = am_pointer(at, pointer, name)},
                         "%s does not go with %s; make it a rule of its own", name, form->member);
    }
}

/* The place of the member's text among `words`; the first after a fault. */
static unsigned choice(json_t *rule, const char *pointer, const char *name, const char *const *words, unsigned n,
                       const char *known, struct am_faults *f)
{
    char at[AM_POINTER], shown[AM_SHOWN];
    const char *s = am_member_text(rule, pointer, name, true, NULL, f);
    unsigned i = 0;
    while (s && i < n && !am_streq(s, words[i]))
        i++;
    if (i < n)
        return i;
    am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = am_pointer(at, pointer, name)},
                 "%s is %s, not \"%s\"", name, known, am_shown(shown, s));
    return 0;
}

static void read_compare(json_t *rule, const char *pointer, struct am_gate_rule *ret, struct am_faults *f)
{
    static const char *const bounds[] = {"point", "lower", "upper"}, *const ops[] = {">", ">=", "<", "<="};
    char at[AM_POINTER];
    ret->value = am_policy_word(rule, pointer, "value", true, f);
    ret->bound = (enum am_gate_bound)choice(rule, pointer, "bound", bounds, 3, "lower, upper or point", f);
    ret->op = (enum am_gate_op)choice(rule, pointer, "op", ops, 4, "one of > >= < <=", f);
    ret->limit = am_policy_number(rule, pointer, "limit", true, -DBL_MAX, DBL_MAX, 0, f);
    ret->noise_factor = am_policy_number(rule, pointer, "noise_factor", false, 0, 1e6, 0, f);
    if (ret->noise_factor > 0 && json_object_get(rule, "op") && ret->op < AM_GATE_LT)
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = am_pointer(at, pointer, "noise_factor")},
                     "noise_factor lifts an upper limit: it goes with < and <=");
}

static void read_slice(json_t *rule, const char *pointer, struct am_gate_rule *ret, struct am_faults *f)
{
    static const char *const known[] = {"alpha", NULL};
    char at[AM_POINTER];
    json_t *regression = am_member_object(rule, pointer, "regression", false, f);
    ret->slice = am_policy_word(rule, pointer, "slice", false, f);
    const char *equals = ret->slice ? strchr(ret->slice, '=') : NULL;
    if (ret->slice && !am_streq(ret->slice, "protected:*") && (!equals || equals == ret->slice || !equals[1]))
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = am_pointer(at, pointer, "slice")},
                     "slice is protected:*, KEY=VALUE or KEY=*, not \"%s\"", ret->slice);
    if (!regression)
        return;
    am_pointer(at, pointer, "regression");
    am_members_known(regression, at, known, f);
    ret->alpha = am_policy_number(regression, at, "alpha", true, DBL_MIN, 1 - DBL_EPSILON, 0, f);
    if (!json_object_get(rule, "slice"))
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = at},
                     "a regression is tested in slices: give slice too, such as protected:*");
}

/* With a slice and a regression the comparison of a value may be left out, and then wholly. */
static void read_value(json_t *rule, const char *pointer, struct am_gate_rule *ret, struct am_faults *f)
{
    static const char *const of_compare[] = {"value", "bound", "op", "limit", "noise_factor", NULL};
    bool compares = !json_object_get(rule, "regression");
    for (size_t i = 0; of_compare[i]; i++)
        compares = compares || json_object_get(rule, of_compare[i]);
    ret->report = am_policy_word(rule, pointer, "report", false, f);
    ret->null_passes = am_member_bool(rule, pointer, "null_passes", false, f);
    if (compares)
        read_compare(rule, pointer, ret, f);
    read_slice(rule, pointer, ret, f);
}

static void read_between(json_t *rule, const char *pointer, struct am_gate_rule *ret, struct am_faults *f)
{
    char at[AM_POINTER];
    const json_t *pair = json_object_get(rule, "between"), *low = json_array_get(pair, 0), *high;
    high = json_array_get(pair, 1);
    ret->report = am_policy_word(rule, pointer, "report", false, f);
    ret->value = am_policy_word(rule, pointer, "value", true, f);
    ret->null_passes = am_member_bool(rule, pointer, "null_passes", false, f);
    ret->low = json_number_value(low);
    ret->high = json_number_value(high);
    if (json_array_size(pair) != 2 || !json_is_number(low) || !json_is_number(high) || ret->low > ret->high)
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = am_pointer(at, pointer, "between")},
                     "between is two numbers, the lower one first");
}

static void read_any(struct am_policy_reader *r, json_t *rule, const char *pointer, struct am_gate_rule *ret)
{
    char list[AM_POINTER], at[AM_POINTER];
    json_t *any = am_member_array(rule, pointer, "any_of", true, r->faults);
    size_t n = json_array_size(any);
    am_pointer(list, pointer, "any_of");
    if (any && (n == 0 || n > AM_POLICY_ANY_MAX)) {
        am_fault_add(r->faults, AM_E_INVALID_REQUEST, (struct am_where){.pointer = list},
                     "any_of holds 1 to %d rules, not %zu", AM_POLICY_ANY_MAX, n);
        return;
    }
    struct am_gate_rule *first = r->alternative;
    r->alternative += n;
    for (size_t i = 0; i < n; i++)
        am_policy_rule(r, json_array_get(any, i), am_pointer_at(at, list, i), true, &first[i]);
    ret->any_of = first;
    ret->any_of_n = n;
}

static void read_must(json_t *rule, const char *pointer, struct am_gate_rule *ret, struct am_faults *f)
{
    static const char *const known[] = {"dataset", "mode", NULL}, *const modes[] = {"no_flip", "correct"};
    char at[AM_POINTER];
    json_t *must = am_member_object(rule, pointer, "must_pass", true, f);
    am_pointer(at, pointer, "must_pass");
    if (!must)
        return;
    am_members_known(must, at, known, f);
    ret->dataset = am_policy_word(must, at, "dataset", true, f);
    if (json_object_get(must, "mode"))
        ret->all_right = choice(must, at, "mode", modes, 2, "no_flip or correct", f) == 1;
}

/* finite and leak_check are there or not. */
static void read_check(json_t *rule, const char *pointer, const char *name, struct am_faults *f)
{
    char at[AM_POINTER];
    if (!json_is_true(json_object_get(rule, name)))
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = am_pointer(at, pointer, name)},
                     "%s is true; leave the rule out to do without it", name);
}

static void read_tasks(json_t *rule, const char *pointer, struct am_gate_rule *ret, struct am_faults *f)
{
    char list[AM_POINTER], at[AM_POINTER];
    json_t *tasks = am_member_array(rule, pointer, "tasks", false, f);
    am_pointer(list, pointer, "tasks");
    for (size_t i = 0; i < json_array_size(tasks); i++) {
        const char *s = json_string_value(json_array_get(tasks, i));
        unsigned k = 0;
        while (k < AM_POLICY_TASKS && !am_streq(s, am_policy_task[k]))
            k++;
        if (k < AM_POLICY_TASKS)
            ret->tasks |= 1u << k;
        else
            am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = am_pointer_at(at, list, i)},
                         "a task is classification, generative or retrieval");
    }
    if (tasks && json_array_size(tasks) == 0)
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = list},
                     "name a task, or leave tasks out: then the rule is for all");
}

void am_policy_rule(struct am_policy_reader *r, json_t *json, const char *pointer, bool alternative,
                    struct am_gate_rule *ret)
{
    char at[AM_POINTER];
    size_t before = r->faults->total;
    if (!json_is_object(json)) {
        am_fault_add(r->faults, AM_E_INVALID_REQUEST, (struct am_where){.pointer = pointer},
                     "expected a rule (an object), got %s", am_json_kind(json));
        return;
    }
    const struct form *form = form_of(json);
    check_members(json, form, pointer, r->faults);
    ret->form = form->form;
    ret->id = am_policy_word(json, pointer, "id", !alternative, r->faults);
    if (alternative && json_object_get(json, "tasks"))
        am_fault_add(r->faults, AM_E_INVALID_REQUEST, (struct am_where){.pointer = am_pointer(at, pointer, "tasks")},
                     "tasks belong to the whole rule, not to one of its alternatives");
    read_tasks(json, pointer, ret, r->faults);
    switch (form->form) {
    case AM_GATE_ANY_OF:
        if (alternative)
            am_fault_add(r->faults, AM_E_INVALID_REQUEST,
                         (struct am_where){.pointer = am_pointer(at, pointer, "any_of")},
                         "any_of may not hold another any_of");
        else
            read_any(r, json, pointer, ret);
        break;
    case AM_GATE_MUST_PASS:
        read_must(json, pointer, ret, r->faults);
        break;
    case AM_GATE_FINITE:
    case AM_GATE_LEAK:
        read_check(json, pointer, form->member, r->faults);
        break;
    case AM_GATE_BETWEEN:
        read_between(json, pointer, ret, r->faults);
        break;
    case AM_GATE_VALUE:
        read_value(json, pointer, ret, r->faults);
        break;
    }
    const char *fault = r->faults->total == before ? am_gate_rule_fault(ret) : NULL;
    if (fault)
        am_fault_add(r->faults, AM_E_INVALID_REQUEST, (struct am_where){.pointer = pointer}, "%s", fault);
}
