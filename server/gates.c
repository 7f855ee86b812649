/*
 * gates.c - see gates.h.
 */
#include "server/gates.h"

#include "core/base/clock.h"
#include "core/gate/decide.h"
#include "core/table/canon.h"
#include "storage/gates.h"
#include "storage/store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int seed(struct am_db *db, void *arg)
{
    return am_gate_seed(db, "default", arg, am_now_ms());
}

int am_gates_seed(struct am_store *s)
{
    json_t *policy = am_policy_json(&am_gate_default);
    char *text = policy ? am_canon(policy) : NULL;
    int rc = text ? am_store_write(s, seed, text) : -AM_E_OUT_OF_MEMORY;
    free(text);
    json_decref(policy);
    return rc;
}

struct loading {
    struct am_policy *policy;
    char *ref;
    int64_t *revision;
};

static int take(void *ctx, const struct am_gate_row *row)
{
    struct loading *l = ctx;
    struct am_faults f = {0};
    json_t *json = json_loads(row->policy, 0, NULL);
    int rc = json ? am_policy_read(l->policy, json, "#", &f) : -AM_E_INTERNAL;
    json_decref(json);
    am_faults_done(&f);
    if (rc < 0)
        return rc == -AM_E_OUT_OF_MEMORY ? rc : -AM_E_INTERNAL;
    if (l->ref)
        snprintf(l->ref, AM_GATE_REF, "%s@%" PRId64, row->name, row->revision);
    if (l->revision)
        *l->revision = row->revision;
    return 0;
}

int am_gates_load(struct am_db *db, const char *name, struct am_policy *ret, char *ref, int64_t *ret_revision)
{
    struct loading l = {ret, ref, ret_revision};
    return am_gate_get(db, name, take, &l);
}

bool am_gates_can_pass(const struct am_gate_policy *policy, bool by_name, unsigned tasks, uint64_t n,
                       const char *pointer, struct am_faults *faults)
{
    uint64_t needed;
    size_t rule;
    char at[AM_GATE_POINTER];
    if (am_gate_can_pass(policy, tasks, n, pointer, &needed, at))
        return true;
    am_gate_least_samples(policy, tasks, &rule);
    const char *what = rule < policy->rules_n ? policy->rules[rule].id : "min_samples";
    struct am_where where = {.pointer = by_name ? pointer : at, .reason = "too-few-samples"};
    if (needed == UINT64_MAX)
        am_fault_add(faults, AM_E_INVALID_PARAMS, where,
                     "the gate can never pass: its rule %s asks for more than any number of samples shows", what);
    else
        am_fault_add(faults, AM_E_INVALID_PARAMS, where,
                     "the gate cannot pass with %" PRIu64 " samples, even without one negative flip: its rule %s takes "
                     "%" PRIu64,
                     n, what, needed);
    return false;
}
