/*
 * run_some.c - tensors that not all inputs have, and inputs that take part in a module of the model alone (run.h). A
 * method never learns of it: it sees fewer inputs, with their own parameters. core/table/plan.c decides in the same
 * way.
 */
#include "core/base/err.h"
#include "core/base/grow.h"
#include "core/methods/run_parts.h"
#include "core/table/families.h"

#include <stdlib.h>
#include <string.h>

enum { ALL, PASSED, SOME }; /* of am_run_state.some_at */

static bool pairs(const struct am_run *r)
{
    return r->method->needs.task == AM_YES && r->method->type == AM_MERGE;
}

/* The fewest inputs that the method merges a tensor from. One alone is passed on, unless a base is beside it or no
   others were asked for it (whole). */
static size_t least(const struct am_run *r, bool whole)
{
    const struct am_method *m = r->method;
    bool beside = r->base.model || m->needs.base == AM_DONOR;
    size_t n = m->needs.min_inputs > 1 || beside || whole ? m->needs.min_inputs : 2;
    for (const struct am_rule *rule = m->rules; rule && rule->kind != AM_RULE_END; rule++) {
        int times = rule->kind == AM_RULE_INPUTS_2A_1 || rule->kind == AM_RULE_INPUTS_2A_3 ? 2
                    : rule->kind == AM_RULE_INPUTS_4A_3                                    ? 4
                                                                                           : 0;
        if (rule->kind == AM_RULE_INPUTS_A) /* a number of an input: it must stay what it is */
            return SIZE_MAX;
        size_t plus = rule->kind == AM_RULE_INPUTS_2A_1 ? 1 : 3;
        size_t needed = times ? (size_t)times * (size_t)am_arg_int(r->args, rule->a) + plus : 0;
        n = needed > n ? needed : n;
    }
    return pairs(r) && !whole ? SIZE_MAX : n;
}

bool am_run_takes(const struct am_run_input *in, const char *name)
{
    for (size_t i = 0; i < in->modules; i++)
        if (strncmp(name, in->module[i], strlen(in->module[i])) == 0)
            return true;
    return in->modules == 0;
}

bool am_run_from_donor(const struct am_run *r, const char *name)
{
    size_t i = 0;
    while (i < r->inputs && !am_run_takes(&r->x[i], name))
        i++;
    return r->base.model || i == 0 || i == r->inputs;
}

struct found {
    bool keep[2 * AM_MAX_INPUTS + 2];
    size_t asked, there; /* inputs whose module it is in, and those of them that have it */
};

static struct found look(const struct am_run *r, const char *name)
{
    struct found f = {0};
    for (size_t i = 0; i < r->inputs; i++) {
        bool asked = am_run_takes(&r->x[i], name);
        f.keep[i] = asked && am_model_find(r->x[i].model, name);
        f.asked += asked;
    }
    for (size_t i = 0; i < r->inputs; i++)
        f.there += f.keep[i];
    return f;
}

static int too_many(const struct am_run_state *s)
{
    return am_fault_add(s->faults, AM_E_BAD_INPUT, (struct am_where){.reason = "tensor-missing"},
                        "the tensors of the inputs are missing in more than %d different ways; set options.missing to "
                        "\"base\"",
                        AM_SOMES_MAX);
}

static int put(struct am_run_state *s, const struct found *f, uint16_t *ret)
{
    for (size_t i = 0; i < s->somes; i++)
        if (memcmp(s->some[i].keep, f->keep, sizeof(f->keep)) == 0) {
            *ret = (uint16_t)(SOME + i);
            return 0;
        }
    if (s->somes == AM_SOMES_MAX)
        return too_many(s);
    AM_TRY(am_grow(&s->some, s->somes, &s->some_cap, sizeof(*s->some)));
    struct am_run_some *some = &s->some[s->somes];
    *some = (struct am_run_some){.inputs = f->there};
    memcpy(some->keep, f->keep, sizeof(f->keep));
    AM_TRY(am_args_some(&some->args, s->r->args, some->keep));
    *ret = (uint16_t)(SOME + s->somes++);
    return 0;
}

/* Whether the method can be asked for it at all; else it is passed on. */
static bool merges(const struct am_run *r, const char *name, const struct found *f)
{
    if (f->there == 0 || (r->base.model && !am_model_find(r->base.model, name)))
        return false;
    if (f->there == r->inputs)
        return true;
    bool whole = f->there == f->asked;
    return (whole || r->some) && f->there >= least(r, whole);
}

int am_run_some(struct am_run_state *s)
{
    const struct am_run *r = s->r;
    if (r->method->type != AM_MERGE)
        return 0;
    s->some_at = calloc(r->donor->tensors + 1, sizeof(*s->some_at));
    if (!s->some_at)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < r->donor->tensors; i++) {
        const char *name = r->donor->tensor[i].name;
        struct found f = look(r, name);
        if (!am_dtype_computed(r->donor->tensor[i].dtype))
            continue;
        bool buffer = am_family_is_buffer(name);
        if (buffer || !merges(r, name, &f) || (s->model_scope && f.there < r->inputs)) /* sums over all have one form */
            s->some_at[i] = PASSED;
        else if (f.there < r->inputs)
            AM_TRY(put(s, &f, &s->some_at[i]));
    }
    return 0;
}

void am_run_some_done(struct am_run_state *s)
{
    for (size_t i = 0; i < s->somes; i++)
        am_args_some_done(&s->some[i].args);
    free(s->some);
    free(s->some_at);
}

bool am_run_passes(const struct am_run_state *s, const struct am_tensor *donor)
{
    return s->some_at && s->some_at[donor - s->r->donor->tensor] == PASSED;
}

const struct am_run_some *am_run_some_of(const struct am_run_state *s, const struct am_tensor *donor)
{
    uint16_t at = s->some_at ? s->some_at[donor - s->r->donor->tensor] : ALL;
    return at < SOME ? NULL : &s->some[at - SOME];
}

const struct am_tensor *am_run_source(const struct am_run_state *s, size_t k, const struct am_run_item *item)
{
    const struct am_run_some *some = am_run_some_of(s, item->donor);
    size_t base = s->r->base.model != NULL;
    if (am_run_passes(s, item->donor) || (some && k >= base && !some->keep[k - base]))
        return NULL;
    return am_model_find(s->source[k]->model, item->donor->name);
}
