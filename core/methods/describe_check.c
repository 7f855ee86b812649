/*
 * describe_check.c - what the compiler cannot check in a method's declaration. A build with a broken one stops here, at
 * `amend-worker describe`, and not in front of a user.
 */
#include "core/base/err.h"
#include "core/methods/args_value.h"
#include "core/methods/describe.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LOCAL_MAX 65536
#define SIDES_MAX 16 /* versions that an evaluate method takes */

struct lines {
    char *text;
    size_t cap, len;
    int n;
    const struct am_method *m;
};

static void AM_PRINTF(2, 3) say(struct lines *l, const char *fmt, ...)
{
    char what[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    l->n++;
    if (l->len >= l->cap)
        return;
    const char *type = (unsigned)l->m->type < AM_TYPES ? am_type_names[l->m->type] : "?";
    int wrote = snprintf(l->text + l->len, l->cap - l->len, "%s/%s: %s\n", type, l->m->name ? l->m->name : "?", what);
    l->len += wrote > 0 ? (size_t)wrote : 0;
}

static bool good_name(const char *s)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz", rest[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    return s && *s && strchr(first, *s) && s[strspn(s, rest)] == '\0';
}

static bool blank(const char *s)
{
    return !s || !*s || strchr(s, '\n');
}

static const struct am_param *find(const struct am_method *m, const char *name, size_t *ret_times)
{
    const struct am_param *hit = NULL;
    const struct am_param *const both[] = {m->params, m->common};
    *ret_times = 0;
    for (size_t k = 0; k < 2; k++) {
        for (const struct am_param *p = both[k]; p && p->name; p++) {
            if (strcmp(p->name, name) == 0) {
                hit = p;
                ++*ret_times;
            }
        }
    }
    return hit;
}

static bool real_fits(const struct am_param *p, double v)
{
    if (!(p->min < p->max))
        return true;
    return (p->flags & AM_OPEN_MIN ? v > p->min : v >= p->min) && (p->flags & AM_OPEN_MAX ? v < p->max : v <= p->max);
}

static bool is_choice(const struct am_param *p, const char *text)
{
    for (size_t i = 0; p->choices && text && p->choices[i]; i++)
        if (strcmp(p->choices[i], text) == 0)
            return true;
    return false;
}

static bool texts_only(json_t *list)
{
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v) if (!json_is_string(v)) return false;
    return json_is_array(list);
}

static bool default_fits(const struct am_param *p, json_t *v)
{
    switch (p->kind) {
    case AM_BOOL:
        return json_is_boolean(v);
    case AM_INT:
        return json_is_integer(v) && real_fits(p, json_number_value(v));
    case AM_REAL:
        return json_is_real(v) && real_fits(p, json_number_value(v));
    case AM_TEXT:
        return json_is_string(v);
    case AM_CHOICE:
        return is_choice(p, json_string_value(v));
    case AM_LIST:
        return texts_only(v);
    }
    return false;
}

/* "null" is a default for parameters that can be written in several ways, and for those of methods that run on no
   tiles, which can ask whether one was given; for no others. */
static bool in_a_form(const struct am_canonical *c, const char *name)
{
    for (const struct am_form *f = c ? c->form : NULL; f && f->name[0]; f++)
        if (strcmp(f->name[0], name) == 0 || strcmp(f->name[1], name) == 0)
            return true;
    return false;
}

static bool may_be_null(const struct am_method *m, const char *name)
{
    return m->type == AM_EVALUATE || in_a_form(m->canonical, name);
}

static void check_default(struct lines *l, const struct am_param *p)
{
    if (!p->def != !!(p->flags & AM_REQUIRED)) {
        say(l, "parameter %s must have a default, or be AM_REQUIRED, and not both", p->name);
        return;
    }
    if (!p->def)
        return;
    json_t *v = json_loads(p->def, JSON_DECODE_ANY, NULL);
    if (!v || !(default_fits(p, v) || (json_is_null(v) && p->kind == AM_REAL && may_be_null(l->m, p->name))))
        say(l, "parameter %s has the default %s, which is no JSON of its kind inside its range (a real is written 1.0)",
            p->name, p->def);
    json_decref(v);
}

static void check_param(struct lines *l, const struct am_param *p)
{
    size_t times;
    if (!good_name(p->name)) {
        say(l, "parameter name \"%s\" must match [a-z][a-z0-9_]*", p->name);
        return;
    }
    find(l->m, p->name, &times);
    if (times > 1)
        say(l, "parameter %s is declared %zu times", p->name, times);
    if (blank(p->doc))
        say(l, "parameter %s needs a doc of one line", p->name);
    if (blank(p->unit))
        say(l, "parameter %s needs a unit (\"none\" when it has none)", p->name);
    if ((unsigned)p->kind > AM_LIST) {
        say(l, "parameter %s has an unknown kind", p->name);
        return;
    }
    if ((p->kind == AM_CHOICE) != (p->choices && p->choices[0]))
        say(l, "parameter %s: choices and AM_CHOICE go together", p->name);
    if (p->min > p->max || isnan(p->min) || isnan(p->max) || isinf(p->min) || isinf(p->max))
        say(l, "parameter %s has no sound bounds", p->name);
    if ((p->flags & AM_PER_INPUT) && (p->kind != AM_REAL || l->m->type != AM_MERGE))
        say(l, "parameter %s: only a real of a merge method can be AM_PER_INPUT", p->name);
    check_default(l, p);
}

static void check_scope(struct lines *l)
{
    size_t times;
    const struct am_param *p = find(l->m, "scope", &times);
    if (l->m->needs.scope != AM_SCOPE_BY_PARAM)
        return;
    if (!p || p->kind != AM_CHOICE || !is_choice(p, "tensor") || !is_choice(p, "model"))
        say(l, "AM_SCOPE_BY_PARAM needs a choice parameter \"scope\" with tensor and model");
}

static bool has_rows(const struct am_method *m)
{
    size_t times;
    const struct am_param *p = find(m, "granularity", &times);
    return p && p->kind == AM_CHOICE && is_choice(p, "tensor") && is_choice(p, "row");
}

static void check_when(struct lines *l, const struct am_when *when, const char *name)
{
    size_t times;
    for (size_t i = 0; i < AM_WHEN && when[i].param; i++) {
        const struct am_param *p = find(l->m, when[i].param, &times);
        bool is_bool = p && p->kind == AM_BOOL && when[i].value &&
                       (strcmp(when[i].value, "true") == 0 || strcmp(when[i].value, "false") == 0);
        if (!is_bool && !(p && p->kind == AM_CHOICE && is_choice(p, when[i].value)))
            say(l, "%s: %s is no bool and no choice parameter with that value", name, when[i].param);
    }
}

static void check_vectors(struct lines *l)
{
    const struct am_needs *n = &l->m->needs;
    const struct am_param *p = NULL;
    size_t times;
    if (n->unchanged_at.param &&
        (!(p = find(l->m, n->unchanged_at.param, &times)) || p->kind != AM_REAL || !l->m->unchanged))
        say(l, "unchanged_at needs a real parameter, and unchanged()");
    check_when(l, n->rows_when, "rows_when");
    check_when(l, n->columns_when, "columns_when");
    if ((n->row_doubles && !n->rows_when[0].param) || !n->column_bytes != !n->columns_when[0].param)
        say(l, "row_doubles need rows_when, and column_bytes columns_when");
    if ((n->row_doubles || n->column_bytes || n->masks) && (n->scope != AM_SCOPE_TENSOR || n->passes == 0))
        say(l, "row_doubles, column_bytes and masks are for statistics of a tensor's scope");
}

static void check_whole(struct lines *l)
{
    static const char *const lists[] = {"include", "exclude"};
    const struct am_method *m = l->m;
    const struct am_matrix_need *n = &m->needs.matrix;
    size_t times;
    bool planned = am_amount(n->full, 2) > 0;
    if ((m->whole != NULL) != planned || (m->whole != NULL) != (m->is_matrix != NULL))
        say(l, "whole, is_matrix and needs.matrix.full must be there together");
    if (!m->whole)
        return;
    if (m->needs.passes || m->selects || m->needs.base != AM_YES)
        say(l, "a method with whole() has a base, no statistics passes and no selection of its own");
    for (size_t i = 0; i < 2; i++) {
        const struct am_param *p = find(m, lists[i], &times);
        if (!p || p->kind != AM_LIST)
            say(l, "whole() needs the list parameter %s", lists[i]);
    }
    const struct am_param *conv = find(m, "conv", &times);
    if (!conv || conv->kind != AM_CHOICE || !is_choice(conv, "flatten"))
        say(l, "whole() needs a choice parameter \"conv\" with flatten");
}

/* core/methods/patch.h and core/table/plan_patch.c ask for them by name. */
static void check_adapter(struct lines *l)
{
    static const char *const wanted[] = {"max_rank",   "solver", "include", "exclude",
                                         "embeddings", "others", "conv",    "in_out"};
    const struct am_method *m = l->m;
    size_t times;
    if (m->needs.adapter != !!m->factors)
        say(l, "needs.adapter and factors must be there together");
    if (!m->factors)
        return;
    if (m->needs.base != AM_YES || m->needs.max_inputs != 1 || m->needs.task != AM_NO || m->apply || m->whole ||
        m->needs.passes)
        say(l, "a method with factors() has one model and a base, and no other way to compute");
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (!find(m, wanted[i], &times))
            say(l, "factors() needs the parameter %s (core/merge/_patch.h)", wanted[i]);
}

static void check_needs(struct lines *l)
{
    const struct am_method *m = l->m;
    const struct am_needs *n = &m->needs;
    bool stats = n->passes > 0;
    if (n->passes > 2)
        say(l, "at most 2 statistics passes, not %u", n->passes);
    if (stats != (m->stat && m->merge && m->between) || (!stats && (m->stat || m->merge || m->between)))
        say(l, "stat, merge and between must be there exactly when passes > 0");
    if (stats != (am_amount(n->acc, 2) > 0))
        say(l, "acc must be above 0 exactly when passes > 0");
    if ((n->local_bytes > 0) != (m->prepare != NULL) || n->local_bytes > LOCAL_MAX)
        say(l, "prepare must be there exactly when local_bytes > 0, which is at most %d", LOCAL_MAX);
    if (n->by_row && !has_rows(m))
        say(l, "by_row needs a choice parameter \"granularity\" with tensor and row");
    if (n->by_row && n->by_slab)
        say(l, "tiles are rows or slabs, not both");
    if (!m->apply && !m->factors)
        say(l, "apply is missing");
    if (m->apply_bf16 && !n->bf16)
        say(l, "apply_bf16 needs bf16");
    if (n->min_inputs < 1 || (n->max_inputs && n->max_inputs < n->min_inputs) || n->max_inputs > AM_MAX_INPUTS)
        say(l, "inputs %u to %u make no sense", n->min_inputs, n->max_inputs);
    if (m->type != AM_MERGE && (n->max_inputs != 1 || n->base != AM_NO))
        say(l, "only merge methods take a base or more than one model");
    if (m->type == AM_EDIT && n->task != AM_NO)
        say(l, "edit methods take no task");
    check_scope(l);
    check_vectors(l);
    check_adapter(l);
}

static void check_rules(struct lines *l)
{
    size_t times;
    for (const struct am_rule *r = l->m->rules; r && r->kind != AM_RULE_END; r++) {
        const struct am_param *a = find(l->m, r->a, &times), *b = find(l->m, r->b, &times);
        if (r->kind >= AM_RULE_INPUTS_A && r->kind <= AM_RULE_INPUTS_4A_3) {
            if (!a || a->kind != AM_INT || l->m->type != AM_MERGE)
                say(l, "a rule of inputs needs an integer of a merge method, not %s", r->a);
        } else if (r->kind == AM_RULE_MARGIN) {
            if (!a || !b || a->kind != AM_REAL || b->kind != AM_REAL || !(a->flags & b->flags & AM_PER_INPUT))
                say(l, "rule margin needs two per-input reals, not %s and %s", r->a, r->b);
        } else if (r->kind == AM_RULE_BASE_APART) {
            if (l->m->needs.base != AM_YES && l->m->needs.base != AM_OPTIONAL)
                say(l, "rule base_apart needs a base");
        } else if (r->kind != AM_RULE_SUM_NOT_ZERO)
            say(l, "unknown rule %d", (int)r->kind);
        else if (!a || a->kind != AM_REAL || !(a->flags & AM_PER_INPUT) || !b || b->kind != AM_BOOL)
            say(l, "rule sum_not_zero needs a per-input real and a bool, not %s and %s", r->a, r->b);
    }
}

static bool per_input_null(const struct am_method *m, const char *name)
{
    size_t times;
    const struct am_param *p = find(m, name, &times);
    return p && p->kind == AM_REAL && (p->flags & AM_PER_INPUT) && p->def && strcmp(p->def, "null") == 0;
}

static void check_canonical(struct lines *l)
{
    const struct am_canonical *c = l->m->canonical;
    size_t times;
    bool has_pair = false;
    if (!c)
        return;
    for (const struct am_form *f = c->form; f->name[0]; f++) {
        const struct am_param *set = f->sets[0] ? find(l->m, f->sets[0], &times) : NULL;
        has_pair |= strcmp(f->name[0], c->to[0]) == 0 && strcmp(f->name[1], c->to[1]) == 0;
        if (!per_input_null(l->m, f->name[0]) || !f->name[1] || !per_input_null(l->m, f->name[1]))
            say(l, "form %s: both must be per-input reals with the default null", f->name[0]);
        if (f == c->form && (isnan(f->def[0]) || isnan(f->def[1])))
            say(l, "form %s: the first form needs defaults", f->name[0]);
        if (f->sets[0] && (!set || !is_choice(set, f->sets[1])))
            say(l, "form %s: %s is no choice parameter with that value", f->name[0], f->sets[0]);
    }
    if (!has_pair)
        say(l, "the canonical %s and %s must be a form too", c->to[0], c->to[1]);
}

/* A method that compares samples has no tiles. */
static void check_evaluate(struct lines *l)
{
    const struct am_method *m = l->m;
    if (m->apply || m->stat || m->prepare || m->common || m->needs.passes || m->needs.base || m->needs.task)
        say(l, "an evaluate method declares parameters and inputs, and no work on tensors");
    if (m->needs.min_inputs < 1 || m->needs.max_inputs < m->needs.min_inputs || m->needs.max_inputs > SIDES_MAX)
        say(l, "an evaluate method takes one to %d versions", SIDES_MAX);
}

/* run.c carries these out for every method and asks for them by name. */
static void check_policies(struct lines *l)
{
    size_t times;
    if (!find(l->m, "nonfinite", &times) || !find(l->m, "overflow", &times))
        say(l, "the parameters nonfinite and overflow are missing: set .common = am_policies");
}

static void check_method(struct lines *l)
{
    const struct am_method *m = l->m;
    if (m->abi != AM_METHOD_ABI)
        say(l, "abi %d, this build has %d", m->abi, AM_METHOD_ABI);
    if ((unsigned)m->type >= AM_TYPES || !good_name(m->name))
        say(l, "type or name is wrong");
    if (blank(m->summary) || blank(m->since) || !m->paper)
        say(l, "summary and since must be one line each, paper a text (\"\" when there is none)");
    for (const struct am_param *p = m->params; p && p->name; p++)
        check_param(l, p);
    for (const struct am_param *p = m->common; p && p->name; p++)
        check_param(l, p);
    if (m->type == AM_EVALUATE) {
        check_evaluate(l);
        return;
    }
    check_policies(l);
    check_needs(l);
    check_whole(l);
    check_rules(l);
    check_canonical(l);
}

int am_describe_check(const struct am_method *const *methods, char *ret_line, unsigned long cap)
{
    struct lines l = {.text = ret_line, .cap = cap};
    if (cap)
        ret_line[0] = '\0';
    for (size_t i = 0; methods[i]; i++) {
        l.m = methods[i];
        check_method(&l);
    }
    return l.n;
}
