/*
 * plan_some.c - who takes part in what (plan.h, plan_parts.h): inputs that are no models, tensors that not all inputs
 * have, what is merged from some and what is passed on as the donor has it. core/methods/run_some.c decides in the same
 * way.
 */
#include "core/table/plan_parts.h"

#include "core/base/grow.h"
#include "core/base/text.h"
#include "core/table/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PASSED_MAX 1000000 /* tensors that a plan remembers */

static bool option_is(const struct am_body *b, const char *name, const char *value)
{
    return am_streq(json_string_value(json_object_get(b->options, name)), value);
}

bool am_plan_names_only(const struct am_body *b, size_t i)
{
    return am_streq(b->input[i].role, "base") && am_streq(am_row_need(b->row, "base"), "donor");
}

bool am_plan_beside(const struct am_body *b, size_t i)
{
    const char *role = b->input[i].role;
    return am_streq(role, "base") || (am_streq(role, "old_base") && am_streq(b->type, "unlearn"));
}

bool am_plan_selects(const struct am_body *b, const char *name)
{
    if (!am_streq(am_row_need(b->row, "selects"), "patterns"))
        return true;
    return am_plan_included(b, name);
}

struct am_plan_ways am_plan_ways_of(const struct am_body *b)
{
    bool present = option_is(b, "missing", "present");
    return (struct am_plan_ways){.missing = present || option_is(b, "missing", "base"),
                                 .some = present,
                                 .drop = option_is(b, "extra", "drop"),
                                 .keep = option_is(b, "extra", "keep")};
}

uint64_t am_plan_least(const struct am_body *b, bool beside, bool whole)
{
    json_int_t min = am_row_need_int(b->row, "min_inputs", 1);
    uint64_t n = min > 1 || beside || whole || am_streq(am_row_need(b->row, "base"), "donor") ? (uint64_t)min : 2;
    const json_t *rule;
    size_t i;
    json_array_foreach(json_object_get(b->row, "rules"), i, rule)
    {
        json_int_t times = json_integer_value(json_object_get(rule, "times")),
                   plus = json_integer_value(json_object_get(rule, "plus")),
                   a = json_integer_value(json_object_get(b->params, am_row_text(rule, "a")));
        if (!am_streq(am_row_text(rule, "kind"), "inputs_at_least"))
            continue;
        if (plus == 0 || a < 0) /* a number of an input: it must stay what it is */
            return UINT64_MAX;
        n = (uint64_t)(times * a + plus) > n ? (uint64_t)(times * a + plus) : n;
    }
    return am_streq(am_row_need(b->row, "task"), "required") && !whole ? UINT64_MAX : n;
}

bool am_plan_over_model(const struct am_body *b)
{
    const char *scope = am_row_need(b->row, "scope");
    if (am_streq(scope, "param"))
        scope = json_string_value(json_object_get(b->params, "scope"));
    return am_streq(scope, "model");
}

bool am_plan_takes(const struct am_plan_input *in, const char *name)
{
    return am_prefix_of(in->modules, name);
}

bool am_plan_too_few(struct am_plan *p, const struct am_body *b, const struct am_plan_have *h, const char *name)
{
    bool whole = h->there == h->asked, enough = h->there >= h->least[whole] && (whole || am_plan_ways_of(b).some);
    if (h->there == h->inputs && h->based)
        return false;
    /* sums over the whole model have one form, so all inputs must be in every tensor */
    bool merged = h->there > 0 && h->based && enough && !am_plan_over_model(b);
    if (!merged || !whole) /* else nothing is missing in its module */
        am_plan_tell(h->asked == 0 ? &p->outside : merged ? &p->from_some : &p->kept, name);
    return !merged;
}

void am_plan_note_module(char list[AM_LIST_TEXT], const char *name)
{
    char first[64];
    int n = snprintf(first, sizeof first, "%.*s.", (int)strcspn(name, "."), name);
    if (n > 0 && (size_t)n < sizeof first && !strstr(list, first))
        am_list_put(list, first);
}

void am_plan_tell(struct am_plan_told *told, const char *name)
{
    char shown[AM_SHOWN];
    if (told->n++ < AM_PLAN_TOLD)
        am_list_put(told->some, am_shown(shown, name));
}

int am_plan_pass(struct am_plan *p, const char *name)
{
    if (p->passed_n == PASSED_MAX)
        return -AM_E_TOO_LARGE;
    AM_TRY(am_grow(&p->passed, p->passed_n, &p->passed_cap, sizeof(*p->passed)));
    p->passed[p->passed_n] = strdup(name);
    return p->passed[p->passed_n++] ? 0 : -AM_E_OUT_OF_MEMORY;
}

static int by_name(const void *key, const void *entry)
{
    return strcmp(key, *(char *const *)entry);
}

bool am_plan_passes(const struct am_plan *p, const char *name)
{
    return p->passed_n && bsearch(name, p->passed, p->passed_n, sizeof(*p->passed), by_name);
}
