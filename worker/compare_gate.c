/*
 * compare_gate.c - the gate of a comparison: its policy, its critical samples, and the decision. See compare.h. Two
 * uploaded sets have no training data, so there is nothing to look at for `leak_check`, and without a result beside
 * them nothing for `finite`.
 */
#include "core/base/text.h"
#include "core/gate/decide.h"
#include "worker/compare.h"
#include "worker/spec_parts.h"

#include <stdio.h>

static json_t *critical_of(const struct am_comparing *c)
{
    return json_object_get(c->gate, "critical");
}

/* Both sets of an entry. Read once with the spec, so that their descriptors are known, and again when their turn has
   come: what is opened is a set at a time. */
static int read_sets(struct am_comparing *c, size_t i, struct am_compare_set ret[2])
{
    static const char *const names[] = {"old", "new"};
    json_t *o = json_array_get(critical_of(c), i);
    char pointer[64];
    if (!json_is_string(json_object_get(o, "dataset")))
        return am_spec_bad(&c->s->faults, "#/gate/critical", "must name a dataset in each entry");
    for (int s = 0; s < 2; s++) {
        snprintf(pointer, sizeof pointer, "#/gate/critical/%zu/%s", i, names[s]);
        AM_TRY(am_compare_spec_set(c, json_object_get(o, names[s]), names[s], pointer, &ret[s]));
    }
    return 0;
}

int am_compare_gate_spec(struct am_comparing *c)
{
    struct am_faults *f = &c->s->faults, told = {0};
    if (!c->gate)
        return 0;
    size_t n = json_array_size(critical_of(c));
    if (n > AM_COMPARE_CRITICAL_MAX)
        return am_spec_bad(f, "#/gate/critical", "must have at most 20 entries");
    for (size_t i = 0; i < n; i++) {
        struct am_compare_set set[2];
        AM_TRY(read_sets(c, i, set));
    }
    int rc = am_policy_read(&c->policy, json_object_get(c->gate, "policy"), "#/gate/policy", &told);
    am_faults_done(&told);
    return rc < 0 && rc != -AM_E_OUT_OF_MEMORY ? am_spec_bad(f, "#/gate/policy", "must be a policy in its long form")
                                               : rc;
}

/* ---- critical samples ---- */

struct critical {
    struct am_compare_set set[2];
    struct am_ids ids[2];
    struct am_join join;
    bool apart; /* no sample is in both: all of them are missing */
};

static int join(struct critical *k, struct am_faults *f)
{
    for (int i = 0; i < 2; i++)
        AM_TRY(am_compare_set_load(&k->set[i], f));
    AM_TRY(am_compare_sets_agree(k->set, f));
    for (int i = 0; i < 2; i++)
        AM_TRY(am_ids_load(&k->ids[i], k->set[i].fd[1], k->set[i].bytes[1], "the ids of critical samples",
                           k->set[i].plain.ids, f));
    struct am_faults alone = {0};
    int rc = am_join_sets(&k->join, &k->set[0].packed, &k->ids[0], &k->set[1].packed, &k->ids[1], true, &alone);
    am_faults_done(&alone);
    k->apart = rc == -AM_E_DATASET_MISMATCH;
    return k->apart ? 0 : rc < 0 ? rc : am_join_agree(&k->join, f);
}

static int count(const struct critical *k, struct am_gate_critical *ret, struct am_faults *f)
{
    const struct am_join *j = &k->join;
    if (k->apart) {
        ret->missing = k->set[0].packed.rows + k->set[1].packed.rows;
        return 0;
    }
    if (!j->ok[0] || !j->ok[1])
        return am_fault_add(f, AM_E_DATASET_MISMATCH, (struct am_where){.reason = "answers"},
                            "the critical samples of %s do not say which answers are right; upload them with y and p, "
                            "or ok, in each line",
                            ret->dataset);
    struct am_cells cells;
    am_cells_count(j->ok[0], j->ok[1], j->diff, j->n, &cells);
    ret->flips = cells.b;
    ret->wrong = j->n - am_bits_count(j->ok[1], j->n);
    ret->missing = j->only[0] + j->only[1];
    return 0;
}

static int take_critical(struct am_comparing *c, size_t i, struct am_gate_critical *ret)
{
    struct am_faults *f = &c->s->faults;
    struct critical k = {.set = {{.packed = {.fd = -1}}, {.packed = {.fd = -1}}}};
    int rc = read_sets(c, i, k.set);
    ret->dataset = json_string_value(json_object_get(json_array_get(critical_of(c), i), "dataset"));
    rc = rc < 0 ? rc : join(&k, f);
    rc = rc < 0 ? rc : count(&k, ret, f);
    am_join_done(&k.join);
    for (int s = 0; s < 2; s++) {
        am_compare_set_done(&k.set[s]);
        am_ids_done(&k.ids[s]);
    }
    return rc;
}

int am_compare_decide(struct am_comparing *c, const json_t *report, json_t **ret)
{
    struct am_gate_critical critical[AM_COMPARE_CRITICAL_MAX];
    size_t n = json_array_size(critical_of(c));
    if (!c->gate)
        return 0;
    if (!report && !c->alone)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < n; i++) {
        critical[i] = (struct am_gate_critical){0};
        AM_TRY(take_critical(c, i, &critical[i]));
    }
    const struct am_gate_input in = {.gate = json_string_value(json_object_get(c->gate, "gate")),
                                     .doubt = c->doubt,
                                     .report = report,
                                     .slices = c->gate_slices,
                                     .finite = c->finite,
                                     .leak = AM_GATE_NOTHING,
                                     .critical = critical,
                                     .critical_n = n};
    return am_gate_decision(&c->policy.policy, &in, ret);
}
