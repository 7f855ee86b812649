/*
 * continual_sets.c - the sets of one task: all over the same samples, of which the correctness by every version is
 * kept. See continual.h. One set after the other is open; only the first of a task stays.
 */
#include "core/base/text.h"
#include "worker/continual.h"

#include <stdlib.h>

static int tell_sides(struct am_continuing *c, const struct am_continual_task *t, size_t first, size_t other)
{
    am_fault_add(
        &c->s->faults, AM_E_DATASET_MISMATCH, (struct am_where){.reason = "task"},
        "this is about the task %.200s: old is version %zu of the line and new is version %zu, counted from 1; "
        "all sets of a task must be over the same samples",
        t->name, first + 1, other + 1);
    return -AM_E_DATASET_MISMATCH;
}

static int check_known(struct am_continuing *c, const struct am_continual_task *t, const struct am_compare_set *set,
                       size_t version)
{
    if (set->packed.correct)
        return 0;
    return am_fault_add(&c->s->faults, AM_E_DATASET_MISMATCH, (struct am_where){.reason = "correct"},
                        "the set of version %zu of the line on the task %.200s has scores and not right or wrong; give "
                        "ok, or y and p, with every sample",
                        version + 1, t->name);
}

static int not_the_same(struct am_continuing *c, const struct am_join *j)
{
    return am_fault_add(&c->s->faults, AM_E_DATASET_MISMATCH, (struct am_where){.reason = "ids"},
                        "the two sets have %zu samples in common; %llu are in the old one only and %llu in the new one",
                        j->n, (unsigned long long)j->only[AM_OLD], (unsigned long long)j->only[AM_NEW]);
}

/* The same samples with the same labels. */
static int hold_to_first(struct am_continuing *c, struct am_continual_task *t, struct am_compare_set *other)
{
    struct am_faults *f = &c->s->faults;
    struct am_compare_set *first = &t->first, pair[2] = {*first, *other};
    struct am_join j = {.n = 0};
    AM_TRY(am_compare_sets_agree(pair, f));
    if (!am_streq(first->plain.ids_sha256, other->plain.ids_sha256) || first->plain.ids != other->plain.ids)
        return am_fault_add(f, AM_E_DATASET_MISMATCH, (struct am_where){.reason = "ids"},
                            "the two sets have other ids (%llu and %llu of them)", (unsigned long long)first->plain.ids,
                            (unsigned long long)other->plain.ids);
    int rc = am_join_sets(&j, &first->packed, &t->ids, &other->packed, &t->ids, true, f);
    if (rc == 0 && j.only[AM_OLD] + j.only[AM_NEW] > 0)
        rc = not_the_same(c, &j);
    if (rc == 0)
        rc = am_join_agree(&j, f);
    am_join_done(&j);
    return rc;
}

static int load_first(struct am_continuing *c, size_t task, size_t version)
{
    struct am_continual_task *t = &c->task[task];
    struct am_line_task *l = &c->line.task[task];
    struct am_compare_set *set = &t->first;
    AM_TRY(am_compare_set_load(set, &c->s->faults));
    AM_TRY(check_known(c, t, set, version));
    AM_TRY(am_ids_load(&t->ids, set->fd[1], set->bytes[1], t->name, set->plain.ids, &c->s->faults));
    l->n = set->packed.rows;
    l->ok[version] = set->packed.correct;
    struct am_join self = {.set = {&set->packed, &set->packed}, .ids = &t->ids, .n = l->n};
    return am_grouping_of(&self, &l->grouping);
}

static int load_other(struct am_continuing *c, size_t task, size_t first, size_t version, struct am_compare_set *set)
{
    struct am_continual_task *t = &c->task[task];
    AM_TRY(am_compare_set_load(set, &c->s->faults));
    AM_TRY(check_known(c, t, set, version));
    int rc = hold_to_first(c, t, set);
    if (rc == -AM_E_DATASET_MISMATCH)
        return tell_sides(c, t, first, version);
    AM_TRY(rc);
    t->made[version] = set->packed.correct;
    set->packed.correct = NULL;
    c->line.task[task].ok[version] = t->made[version];
    return 0;
}

int am_continual_load(struct am_continuing *c, size_t task)
{
    struct am_continual_task *t = &c->task[task];
    size_t first = c->line.tasks;
    for (size_t i = 0; i < c->line.tasks; i++) {
        json_t *o = json_array_get(t->sets, i);
        struct am_compare_set other = {.packed = {.fd = -1}}, *set = first == c->line.tasks ? &t->first : &other;
        if (json_is_null(o))
            continue;
        AM_TRY(am_compare_spec_set(&c->spec, o, t->name, "#/tasks", set));
        int rc = set == &t->first ? load_first(c, task, i) : load_other(c, task, first, i, set);
        if (set == &t->first)
            first = i;
        else
            am_compare_set_done(&other);
        AM_TRY(rc);
    }
    return 0;
}
