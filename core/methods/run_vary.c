/*
 * run_vary.c - parameters that differ from tensor to tensor: found, and checked, once for each
 * tensor, before the first window.
 */
#include "core/base/err.h"
#include "core/methods/run_parts.h"
#include "core/table/layers.h"
#include "core/table/rules.h"

#include <stdlib.h>
#include <string.h>

const struct am_args *am_run_args(const struct am_run_state *s, const struct am_run_item *item)
{
    const struct am_run_some *some = item ? am_run_some_of(s, item->donor) : NULL;
    if (s->args && item && !am_run_passes(s, item->donor))
        return &s->args[item->donor - s->r->donor->tensor];
    return some ? &some->args : s->r->args;
}

/* The part of the stack that a tensor is in, and its depth there (merge.md B4). */
static void set_slice(const struct am_run *r, struct am_place *place)
{
    struct am_layer at;
    bool stacked = r->stacked_n == 0;
    for (size_t i = 0; i < r->stacked_n; i++)
        stacked = stacked || strncmp(place->tensor, r->stacked[i], strlen(r->stacked[i])) == 0;
    if (r->slices == 0 || !stacked)
        return;
    if (!am_layer_of(place->tensor, &at)) {
        place->slice = am_layer_before(place->tensor) ? 0 : r->slices - 1;
        return;
    }
    uint32_t first = 0;
    while (place->slice + 1 < r->slices && at.index >= first + r->slice[place->slice])
        first += r->slice[place->slice++];
    uint32_t n = r->slice[place->slice];
    place->depth = n > 1 ? (double)(at.index - first) / (double)(n - 1) : 1;
}

/* What each input that takes part calls the tensor. */
static const char *const *own_names(const struct am_run *r, const struct am_run_some *some, const char *name,
                                    const char **list)
{
    for (size_t i = 0, n = 0; i < r->inputs; i++) {
        const struct am_run_input *in = &r->x[i];
        const struct am_tensor *t = in->own ? am_model_find(in->model, name) : NULL;
        if (!some || some->keep[i])
            list[n++] = t ? in->own[t - in->model->tensor] : name;
    }
    return r->slices ? list : NULL;
}

static int set_row(struct am_run_state *s, const struct am_layers *layers, size_t i)
{
    const struct am_run_some *some = am_run_some_of(s, &s->r->donor->tensor[i]);
    const struct am_args *all = some ? &some->args : s->r->args;
    const char *name = s->r->donor->tensor[i].name, *what = "";
    double *row = s->rows + i * s->r->args->varied;
    const char *own[2 * AM_MAX_INPUTS + 2];
    struct am_place place = {.tensor = name,
                             .own = own_names(s->r, some, name, own),
                             .depth = am_layers_depth(layers, name, s->r->post_layers_t)};
    set_slice(s->r, &place);
    s->args[i] = *all;
    s->args[i].row = row;
    if (am_args_at(all, &place, row, &what) == 0)
        return 0;
    return am_fault_add(s->faults, AM_E_BAD_SPEC,
                        (struct am_where){.pointer = "#/params", .reason = "parameter-missing", .tensor = name},
                        "%.300s has no value of %.100s: no filter meets it", name, what);
}

static int vary(struct am_run_state *s)
{
    const struct am_model *donor = s->r->donor;
    struct am_layers layers = {0};
    if (s->r->args->varied == 0)
        return 0;
    s->args = calloc(donor->tensors + 1, sizeof(*s->args));
    s->rows = calloc(donor->tensors + 1, s->r->args->varied * sizeof(*s->rows));
    if (!s->args || !s->rows)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < donor->tensors; i++)
        am_layers_add(&layers, donor->tensor[i].name);
    for (size_t i = 0; i < donor->tensors; i++)
        if (am_dtype_computed(donor->tensor[i].dtype) && !am_run_passes(s, &donor->tensor[i]))
            AM_TRY(set_row(s, &layers, i));
    return 0;
}

static int check_margin(const struct am_run_state *s, const struct am_rule *rule, const struct am_scope_info *scope)
{
    for (size_t i = 0; i < scope->inputs; i++) {
        double share = am_arg_input_real(scope->args, rule->a, i), margin = am_arg_input_real(scope->args, rule->b, i);
        if (!am_margin_holds(share, margin))
            return am_margin_fault((struct am_where){.pointer = "#/params", .tensor = scope->tensor.name}, rule->a,
                                   share, rule->b, margin, s->faults);
    }
    return 0;
}

/* Under mergekit's rules, methods that add differences from a base take the divisor 1 then. */
static bool divides_by_one(const struct am_run_state *s, const struct am_args *args)
{
    return s->r->method->needs.base == AM_YES && am_arg_has(args, "compat") &&
           strcmp(am_arg_text(args, "compat"), "none") != 0;
}

static int check_sum(const struct am_run_state *s, const struct am_rule *rule, const struct am_scope_info *scope)
{
    const char *when = rule->b ? rule->b : "";
    double sum = 0;
    for (size_t i = 0; i < scope->inputs; i++)
        sum += am_arg_input_real(scope->args, rule->a, i);
    if (am_sum_holds(sum) || (when[0] && !am_arg_bool(scope->args, when)) || divides_by_one(s, scope->args))
        return 0;
    return am_sum_fault((struct am_where){.pointer = "#/params", .tensor = scope->tensor.name}, rule->a, when,
                        s->faults);
}

/* What the daemon has asked of values that hold for all tensors and inputs, of each tensor where they do not. */
static int check_rules(const struct am_run_state *s)
{
    const struct am_model *donor = s->r->donor;
    for (size_t i = 0; (s->args || s->somes) && i < donor->tensors; i++) {
        const struct am_run_item item = {.donor = &donor->tensor[i]};
        if (!am_dtype_computed(item.donor->dtype) || am_run_passes(s, item.donor))
            continue;
        const struct am_scope_info scope = am_run_scope(s, &item);
        const struct am_rule *rule = s->r->method->rules;
        for (; rule && rule->kind != AM_RULE_END; rule++) {
            AM_TRY(rule->kind == AM_RULE_MARGIN ? check_margin(s, rule, &scope) : 0);
            AM_TRY(rule->kind == AM_RULE_SUM_NOT_ZERO ? check_sum(s, rule, &scope) : 0);
        }
    }
    return 0;
}

int am_run_vary(struct am_run_state *s)
{
    AM_TRY(vary(s));
    return check_rules(s);
}
