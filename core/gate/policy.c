/*
 * policy.c - reads a policy (policy.h): its members, and its rules one after the other.
 */
#include "core/gate/policy_parts.h"

#include "core/base/text.h"
#include "core/table/json_util.h"
#include "core/table/members.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES_MAX 1000000000

double am_policy_number(json_t *obj, const char *pointer, const char *name, bool required, double low, double high,
                        double def, struct am_faults *f)
{
    char at[AM_POINTER], a[AM_F64_TEXT], b[AM_F64_TEXT];
    const json_t *v = json_object_get(obj, name);
    struct am_where where = {.pointer = am_pointer(at, pointer, name)};
    if (!v && required)
        am_fault_add(f, AM_E_INVALID_REQUEST, where, "required member is missing; give a number");
    else if (v && !json_is_number(v))
        am_fault_add(f, AM_E_INVALID_REQUEST, where, "expected a number, got %s", am_json_kind(v));
    if (!json_is_number(v))
        return def;
    double x = json_number_value(v);
    if (x >= low && x <= high)
        return x;
    where.reason = "parameter-range";
    am_f64_text(low, a);
    am_f64_text(high, b);
    am_fault_add(f, AM_E_INVALID_PARAMS, where, "%s is a number from %s to %s", name, a, b);
    return def;
}

const char *am_policy_word(json_t *obj, const char *pointer, const char *name, bool required, struct am_faults *f)
{
    char at[AM_POINTER];
    const char *s = am_member_text(obj, pointer, name, required, NULL, f);
    size_t n = s ? strlen(s) : 0;
    bool good = n > 0 && n <= AM_POLICY_WORD_MAX;
    for (size_t i = 0; good && i < n; i++)
        good = (unsigned char)s[i] >= ' ' && s[i] != 127;
    if (!s || good)
        return s;
    am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = am_pointer(at, pointer, name)},
                 "%s is a text of 1 to %d bytes without control characters", name, AM_POLICY_WORD_MAX);
    return NULL;
}

static size_t limited(const json_t *list, size_t most, const char *pointer, const char *name, struct am_faults *f)
{
    char at[AM_POINTER];
    size_t n = json_array_size(list);
    if (n <= most)
        return n;
    am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = am_pointer(at, pointer, name)},
                 "%zu entries; %zu at most", n, most);
    return 0;
}

static void read_protected(struct am_policy *p, const char *pointer, struct am_faults *f)
{
    static const char *const known[] = {"key", "value", NULL};
    char list[AM_POINTER], at[AM_POINTER];
    json_t *keys = am_member_array(p->kept, pointer, "protected", false, f);
    size_t n = limited(keys, AM_POLICY_PROTECTED_MAX, pointer, "protected", f);
    am_pointer(list, pointer, "protected");
    for (size_t i = 0; i < n; i++) {
        json_t *k = json_array_get(keys, i);
        am_pointer_at(at, list, i);
        if (!json_is_object(k)) {
            am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = at},
                         "expected an object {\"key\",\"value\"}, got %s", am_json_kind(k));
            continue;
        }
        am_members_known(k, at, known, f);
        p->key[i].key = am_policy_word(k, at, "key", true, f);
        p->key[i].value = am_policy_word(k, at, "value", true, f);
    }
    p->policy.protected = p->key;
    p->policy.protected_n = n;
}

static void check_ids(const struct am_policy *p, size_t n, const char *pointer, struct am_faults *f)
{
    char at[AM_POINTER], member[AM_POINTER];
    for (size_t i = 0; i < n; i++) {
        const char *id = p->rule[i].id;
        bool taken = am_streq(id, "data");
        for (size_t k = 0; id && k < i && !taken; k++)
            taken = am_streq(p->rule[k].id, id);
        if (!id || !taken)
            continue;
        am_pointer(member, am_pointer_at(at, pointer, i), "id");
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = member},
                     am_streq(id, "data") ? "\"%s\" is the rule of min_samples and min_ids_matched; choose another id"
                                          : "two rules have the id \"%s\"; a decision names rules by their ids",
                     id);
    }
}

static void read_rules(struct am_policy *p, const char *pointer, struct am_faults *f)
{
    char list[AM_POINTER], at[AM_POINTER];
    json_t *rules = json_object_get(p->kept, "rules");
    size_t n = limited(rules, AM_POLICY_RULES_MAX, pointer, "rules", f);
    struct am_policy_reader r = {.alternative = p->rule + n, .faults = f};
    am_pointer(list, pointer, "rules");
    for (size_t i = 0; i < n; i++)
        am_policy_rule(&r, json_array_get(rules, i), am_pointer_at(at, list, i), false, &p->rule[i]);
    check_ids(p, n, list, f);
    p->policy.rules = p->rule;
    p->policy.rules_n = n;
}

static void read_members(struct am_policy *p, const char *pointer, struct am_faults *f)
{
    static const char *const known[] = {"description", "min_samples", "min_ids_matched", "protected", "rules", NULL};
    char at[AM_POINTER];
    am_members_known(p->kept, pointer, known, f);
    p->policy.description = am_member_text(p->kept, pointer, "description", false, "", f);
    if (strlen(p->policy.description) > AM_POLICY_TEXT_MAX)
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = am_pointer(at, pointer, "description")},
                     "a description has at most %d bytes", AM_POLICY_TEXT_MAX);
    p->policy.min_samples = (uint64_t)am_member_int(p->kept, pointer, "min_samples", 0, SAMPLES_MAX,
                                                    (int64_t)am_gate_default.min_samples, f);
    p->policy.min_ids_matched =
        am_policy_number(p->kept, pointer, "min_ids_matched", false, 0, 1, am_gate_default.min_ids_matched, f);
    read_protected(p, pointer, f);
    read_rules(p, pointer, f);
}

/* As many as the text has, or what is refused anyway. */
static size_t room(const json_t *list, size_t most)
{
    size_t n = json_array_size(list);
    return n < most ? n : most;
}

static int make_room(struct am_policy *p)
{
    const json_t *rules = json_object_get(p->kept, "rules");
    size_t rules_n = room(rules, AM_POLICY_RULES_MAX), n = rules_n;
    for (size_t i = 0; i < rules_n; i++)
        n += room(json_object_get(json_array_get(rules, i), "any_of"), AM_POLICY_ANY_MAX);
    p->rule = calloc(n + 1, sizeof(*p->rule));
    p->key = calloc(room(json_object_get(p->kept, "protected"), AM_POLICY_PROTECTED_MAX) + 1, sizeof(*p->key));
    return p->rule && p->key ? 0 : -AM_E_OUT_OF_MEMORY;
}

int am_policy_read(struct am_policy *ret, const json_t *json, const char *pointer, struct am_faults *faults)
{
    struct am_policy p = {.kept = NULL};
    size_t before = faults->total;
    if (!json_is_object(json))
        return am_fault_add(faults, AM_E_INVALID_REQUEST, (struct am_where){.pointer = pointer},
                            "expected a policy (an object with rules), got %s", am_json_kind(json));
    p.kept = json_deep_copy(json);
    int rc = p.kept ? am_policy_expand(p.kept, pointer, faults) : -AM_E_OUT_OF_MEMORY;
    rc = rc < 0 ? rc : make_room(&p);
    if (rc == 0)
        read_members(&p, pointer, faults);
    if (rc == 0 && faults->total > before)
        rc = am_faults_worst(faults);
    if (rc < 0)
        am_policy_done(&p);
    else
        *ret = p;
    return rc;
}

void am_policy_done(struct am_policy *p)
{
    free(p->rule);
    free(p->key);
    json_decref(p->kept);
    *p = (struct am_policy){.kept = NULL};
}
