/*
 * params.c - checks parameters against the described declaration and fills in defaults (params.h).
 * A parameter of each model is looked for beside the model, then in the global object, then in the default; afterwards
 * it stands beside every model and nowhere else. Reals become JSON reals and integers JSON integers, so equal values
 * have one form.
 */
#include "core/table/params.h"

#include "core/base/text.h"
#include "core/table/forms.h"
#include "core/table/json_util.h"
#include "core/table/rules.h"
#include "core/table/settings.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define BAD_VALUE 1 /* a fault was added */
#define WHOLE_MAX 9007199254740991LL

static bool flag(const json_t *p, const char *name)
{
    return json_is_true(json_object_get(p, name));
}

static int bad_kind(const json_t *p, const json_t *v, const char *expected, const char *at, struct am_faults *f)
{
    am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at, .reason = "setting-shape"},
                 "%s: expected %s, got %s", am_row_text(p, "name"), expected, am_json_kind(v));
    return BAD_VALUE;
}

/* "[0, 1)", "(0, no limit)" */
static void range_text(const json_t *p, char *out, size_t cap)
{
    char low[AM_F64_TEXT], high[AM_F64_TEXT];
    const json_t *min = json_object_get(p, "min"), *max = json_object_get(p, "max");
    if (min)
        am_f64_text(json_number_value(min), low);
    if (max)
        am_f64_text(json_number_value(max), high);
    snprintf(out, cap, "%s%s, %s%s", !min || flag(p, "open_min") ? "(" : "[", min ? low : "no limit",
             max ? high : "no limit", !max || flag(p, "open_max") ? ")" : "]");
}

static bool in_range(const json_t *p, double d)
{
    const json_t *min = json_object_get(p, "min"), *max = json_object_get(p, "max");
    double low = json_number_value(min), high = json_number_value(max);
    if (min && (flag(p, "open_min") ? d <= low : d < low))
        return false;
    return !(max && (flag(p, "open_max") ? d >= high : d > high));
}

static int out_of_range(const json_t *p, double d, const char *why, const char *at, struct am_faults *f)
{
    char number[AM_F64_TEXT], range[2 * AM_F64_TEXT + 8];
    am_f64_text(d, number);
    range_text(p, range, sizeof(range));
    am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at, .reason = "parameter-range"}, "%s = %s %s%s",
                 am_row_text(p, "name"), number, why ? why : "is outside ", why ? "" : range);
    return BAD_VALUE;
}

static int check_real(const json_t *p, const json_t *v, const char *at, json_t **ret, struct am_faults *f)
{
    if (!json_is_number(v))
        return bad_kind(p, v, "a number", at, f);
    double d = json_number_value(v);
    if (!in_range(p, d))
        return out_of_range(p, d, NULL, at, f);
    if (!(fabs(d) <= (double)FLT_MAX)) /* methods compute in single precision */
        return out_of_range(p, d, "is too large for single precision", at, f);
    *ret = json_real(d == 0 ? 0.0 : d); /* one form for -0 and 0, as in canonical JSON */
    return *ret ? 0 : -AM_E_OUT_OF_MEMORY;
}

static int check_int(const json_t *p, const json_t *v, const char *at, json_t **ret, struct am_faults *f)
{
    json_int_t n;
    if (!json_is_number(v))
        return bad_kind(p, v, "a whole number", at, f);
    if (!am_json_whole(v, &n))
        return out_of_range(p, json_number_value(v), "is not a whole number", at, f);
    if (!in_range(p, (double)n))
        return out_of_range(p, (double)n, NULL, at, f);
    if (n > WHOLE_MAX || n < -WHOLE_MAX)
        return out_of_range(p, (double)n, "is beyond the whole numbers that JSON carries exactly", at, f);
    *ret = json_integer(n);
    return *ret ? 0 : -AM_E_OUT_OF_MEMORY;
}

static int check_text(const json_t *p, json_t *v, const char *at, json_t **ret, struct am_faults *f)
{
    if (!json_is_string(v))
        return bad_kind(p, v, "a text", at, f);
    if (json_string_length(v) > AM_PARAM_TEXT_MAX) {
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at, .reason = "parameter-range"},
                     "%s is %zu bytes long; at most %d are taken", am_row_text(p, "name"), json_string_length(v),
                     AM_PARAM_TEXT_MAX);
        return BAD_VALUE;
    }
    *ret = json_incref(v);
    return 0;
}

static int check_choice(const json_t *p, json_t *v, const char *at, json_t **ret, struct am_faults *f)
{
    char list[AM_LIST_TEXT] = "", shown[AM_SHOWN];
    if (!json_is_string(v))
        return bad_kind(p, v, "a text", at, f);
    const json_t *choices = json_object_get(p, "choices");
    for (size_t i = 0; i < json_array_size(choices); i++) {
        const char *c = json_string_value(json_array_get(choices, i));
        if (am_streq(c, json_string_value(v))) {
            *ret = json_incref(v);
            return 0;
        }
        am_list_put(list, c ? c : "");
    }
    am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at, .reason = "parameter-range"},
                 "%s = \"%s\" is none of: %s", am_row_text(p, "name"), am_shown(shown, json_string_value(v)), list);
    return BAD_VALUE;
}

static int check_list(const json_t *p, json_t *v, const char *at, json_t **ret, struct am_faults *f)
{
    char entry_at[AM_POINTER];
    if (!json_is_array(v))
        return bad_kind(p, v, "a list of texts", at, f);
    if (json_array_size(v) > AM_PARAM_LIST_MAX) {
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at, .reason = "parameter-range"},
                     "%s has %zu entries; at most %d are taken", am_row_text(p, "name"), json_array_size(v),
                     AM_PARAM_LIST_MAX);
        return BAD_VALUE;
    }
    int rc = 0;
    for (size_t i = 0; i < json_array_size(v); i++) {
        json_t *same = NULL;
        if (check_text(p, json_array_get(v, i), am_pointer_at(entry_at, at, i), &same, f) != 0)
            rc = BAD_VALUE;
        json_decref(same);
    }
    if (rc == 0)
        *ret = json_incref(v);
    return rc;
}

/* Numbers and truth values of a merge may differ from tensor to tensor. */
static bool may_vary(const struct am_body *b, const json_t *p)
{
    const char *kind = am_row_text(p, "kind");
    return am_streq(b->type, "merge") && (am_streq(kind, "real") || am_streq(kind, "bool"));
}

/* A new reference in *ret and 0; BAD_VALUE after a fault; -AM_E_OUT_OF_MEMORY. */
static int check_scalar(const json_t *p, json_t *v, const char *at, json_t **ret, struct am_faults *f)
{
    const char *kind = am_row_text(p, "kind");
    if (json_is_null(v) && json_is_null(json_object_get(p, "default"))) { /* one of several forms, not given */
        *ret = json_null();
        return 0;
    }
    if (strcmp(kind, "real") == 0)
        return check_real(p, v, at, ret, f);
    if (strcmp(kind, "int") == 0)
        return check_int(p, v, at, ret, f);
    if (strcmp(kind, "text") == 0)
        return check_text(p, v, at, ret, f);
    if (strcmp(kind, "choice") == 0)
        return check_choice(p, v, at, ret, f);
    if (strcmp(kind, "list") == 0)
        return check_list(p, v, at, ret, f);
    if (!json_is_boolean(v))
        return bad_kind(p, v, "true or false", at, f);
    *ret = json_incref(v);
    return 0;
}

static int check_value(const struct am_body *b, const json_t *p, json_t *v, const char *at, json_t **ret,
                       struct am_faults *f)
{
    if (am_setting_varies(v) && may_vary(b, p))
        return am_setting_check(p, v, at, check_scalar, ret, f);
    return check_scalar(p, v, at, ret, f);
}

/* Replaces a value that not every tensor has by one that goes on with `next`. What is written in several forms has its
   defaults in forms.c. */
static int complete(const struct am_body *b, json_t **value, json_t *next)
{
    bool forms = json_is_object(json_object_get(b->row, "canonical"));
    if (!next || am_setting_complete(*value) || (forms && json_is_null(next)))
        return 0;
    json_t *whole = am_setting_chain(*value, next);
    json_decref(*value);
    *value = whole;
    return whole ? 0 : -AM_E_OUT_OF_MEMORY;
}

static const json_t *declared(const struct am_body *b, const char *name)
{
    const json_t *params = json_object_get(b->row, "params");
    for (size_t i = 0; i < json_array_size(params); i++) {
        const json_t *p = json_array_get(params, i);
        if (strcmp(am_row_text(p, "name"), name) == 0)
            return p;
    }
    return NULL;
}

void am_params_unknown(const struct am_body *b, const char *name, const char *at, bool beside, struct am_faults *f)
{
    const char *names[64];
    char list[AM_LIST_TEXT] = "", shown[AM_SHOWN];
    size_t n = 0;
    const json_t *params = json_object_get(b->row, "params");
    for (size_t i = 0; i < json_array_size(params) && n < 64; i++) {
        const json_t *p = json_array_get(params, i);
        if (beside && !flag(p, "per_input"))
            continue;
        names[n++] = am_row_text(p, "name");
        am_list_put(list, am_row_text(p, "name"));
    }
    const char *near = strnlen(name, 101) <= 100 ? am_nearest(name, names, n) : NULL;
    am_fault_add(f, AM_E_UNKNOWN_MEMBER, (struct am_where){.pointer = at, .reason = "unknown-parameter"},
                 "%s has no parameter %s%s; %s%s%s%s", b->method, am_shown(shown, name), beside ? " for one model" : "",
                 near ? "did you mean " : "", near ? near : "",
                 near ? "? It takes: " : "it takes: ", n ? list : "none");
}

/* Names of `given` that the method does not take there. */
static void check_names(const struct am_body *b, json_t *given, const char *pointer, bool beside, struct am_faults *f)
{
    char at[AM_POINTER];
    const char *name;
    json_t *v;
    json_object_foreach(given, name, v)
    {
        const json_t *p = declared(b, name);
        am_pointer(at, pointer, name);
        if (!p)
            am_params_unknown(b, name, at, beside, f);
        else if (beside && !flag(p, "per_input"))
            am_fault_add(f, AM_E_UNKNOWN_MEMBER, (struct am_where){.pointer = at, .reason = "unknown-parameter"},
                         "%s is one value for all models; give it in #/params", name);
    }
}

/* "#/inputs/models/0" of an input whose pointer may be ".../0/version". */
void am_model_pointer(const struct am_body_input *in, char out[AM_POINTER])
{
    snprintf(out, AM_POINTER, "%s", in->pointer);
    if (am_ends(out, "/stack/0/version"))
        out[strlen(out) - strlen("/stack/0/version")] = 0;
    else if (am_ends(out, "/version"))
        out[strlen(out) - strlen("/version")] = 0;
}

static bool takes_params(const struct am_body_input *in)
{
    return strcmp(in->role, "model") == 0;
}

static void missing_for(const struct am_body *b, const struct am_body_input *in, const char *name, struct am_faults *f)
{
    char at[AM_POINTER], shown[AM_SHOWN];
    am_model_pointer(in, at);
    am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at, .reason = "parameter-missing"},
                 "%s needs %s for %s; set it at %s/params/%s or once for all at #/params/%s", b->method, name,
                 in->ref ? am_shown(shown, in->ref) : "this model", at, name, name);
}

/* One model's value of `p`: 0 and a new reference, BAD_VALUE or an error. `global` is the checked value for all, or
 * NULL. */
static int value_beside(const struct am_body *b, const struct am_body_input *in, const json_t *p, json_t *global,
                        bool global_bad, json_t **ret, struct am_faults *f)
{
    char model[AM_POINTER], params[AM_POINTER], at[AM_POINTER];
    const char *name = am_row_text(p, "name");
    json_t *own = json_object_get(in->params, name);
    if (own) {
        am_model_pointer(in, model);
        int rc = check_value(b, p, own, am_pointer(at, am_pointer(params, model, "params"), name), ret, f);
        if (rc == 0)
            rc = complete(b, ret, global);
        return rc == 0 && !flag(p, "required") ? complete(b, ret, json_object_get(p, "default")) : rc;
    }
    if (global) {
        *ret = json_incref(global);
        return 0;
    }
    if (flag(p, "required")) {
        if (!global_bad) /* a wrong value for all has its fault already */
            missing_for(b, in, name, f);
        return BAD_VALUE;
    }
    return check_value(b, p, json_object_get(p, "default"), "#/params", ret, f);
}

/* Moves `*value` into `o`. */
static int take(json_t *o, const json_t *p, json_t *value)
{
    return json_object_set_new(o, am_row_text(p, "name"), value) < 0 ? -AM_E_OUT_OF_MEMORY : 0;
}

/* Per-input `p` into full[i] of every model. */
static int spread(struct am_body *b, const json_t *p, json_t *global, bool global_bad, json_t **full,
                  struct am_faults *f)
{
    for (size_t i = 0; i < b->inputs; i++) {
        json_t *v = NULL;
        if (!takes_params(&b->input[i]))
            continue;
        int rc = value_beside(b, &b->input[i], p, global, global_bad, &v, f);
        if (rc == 0)
            rc = take(full[i], p, v);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int check_param(struct am_body *b, json_t *given, const json_t *p, json_t **full, struct am_faults *f)
{
    char at[AM_POINTER];
    const char *name = am_row_text(p, "name");
    json_t *v = json_object_get(given, name), *good = NULL;
    bool per_input = flag(p, "per_input");
    am_pointer(at, "#/params", name);
    int rc = 0;
    if (v) {
        rc = check_value(b, p, v, at, &good, f);
        if (rc == 0 && !flag(p, "required"))
            rc = complete(b, &good, json_object_get(p, "default"));
    } else if (!per_input && flag(p, "required"))
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at, .reason = "parameter-missing"},
                     "%s needs %s; set it at %s", b->method, name, at);
    else if (!per_input)
        rc = check_value(b, p, json_object_get(p, "default"), at, &good, f);
    if (rc < 0)
        return rc;
    if (!per_input)
        return good ? take(b->params, p, good) : 0;
    rc = spread(b, p, good, v && !good, full, f);
    json_decref(good);
    return rc;
}

/* Sums real `a` over the models; false when some value is missing (it has its own fault). */
static bool sum_over_models(const struct am_body *b, const char *a, double *ret)
{
    size_t n = 0;
    *ret = 0;
    for (size_t i = 0; i < b->inputs; i++) {
        const json_t *v = json_object_get(b->input[i].params, a);
        if (!takes_params(&b->input[i]))
            continue;
        if (!json_is_number(v))
            return false;
        *ret += json_number_value(v);
        n++;
    }
    return n > 0;
}

/* Under mergekit's rules, methods that add differences from a base take the divisor 1 then. */
static bool divides_by_one(const struct am_body *b)
{
    const char *compat = json_string_value(json_object_get(b->params, "compat"));
    return compat && !am_streq(compat, "none") && am_streq(am_row_need(b->row, "base"), "required");
}

/* At least times * a + plus models, where a is an integer parameter; one that is missing has its own fault. */
static void check_inputs_rule(const struct am_body *b, const json_t *r, struct am_faults *f)
{
    char at[AM_POINTER];
    const char *name = am_row_text(r, "a");
    const json_t *v = json_object_get(b->params, name);
    json_int_t models = 0, a = json_integer_value(v), times = json_integer_value(json_object_get(r, "times")),
               plus = json_integer_value(json_object_get(r, "plus"));
    for (size_t i = 0; i < b->inputs; i++)
        models += takes_params(&b->input[i]);
    /* too few for any value: the number of inputs has its own fault */
    if (!json_is_integer(v) || times < 1 || models < plus || (models - plus) / times >= a)
        return;
    am_fault_add(f, AM_E_INVALID_PARAMS,
                 (struct am_where){.pointer = am_pointer(at, "#/params", name), .reason = "robust-requirement"},
                 "%s with %s = %lld needs at least %lld inputs, got %lld; largest %s here: %lld", b->method, name,
                 (long long)a, (long long)(times * a + plus), (long long)models, name,
                 (long long)((models - plus) / times));
}

/* Of values that are the same for all tensors; others are looked at tensor by tensor (core/methods/run_vary.c). */
static void check_margin(const struct am_body *b, const char *share, const char *margin, struct am_faults *f)
{
    char model[AM_POINTER], params[AM_POINTER], at[AM_POINTER];
    for (size_t i = 0; i < b->inputs; i++) {
        const json_t *x = json_object_get(b->input[i].params, share), *y = json_object_get(b->input[i].params, margin);
        double s = json_number_value(x), m = json_number_value(y);
        if (!json_is_number(x) || !json_is_number(y) || am_margin_holds(s, m))
            continue;
        am_model_pointer(&b->input[i], model);
        const char *pointer = am_pointer(at, am_pointer(params, model, "params"), margin);
        am_margin_fault((struct am_where){.pointer = pointer}, share, s, margin, m, f);
    }
}

static void check_rules(const struct am_body *b, struct am_faults *f)
{
    double sum;
    const json_t *rules = json_object_get(b->row, "rules");
    for (size_t i = 0; i < json_array_size(rules); i++) {
        const json_t *r = json_array_get(rules, i);
        const char *a = am_row_text(r, "a"), *when = am_row_text(r, "b");
        if (strcmp(am_row_text(r, "kind"), "inputs_at_least") == 0)
            check_inputs_rule(b, r, f);
        if (strcmp(am_row_text(r, "kind"), "margin") == 0)
            check_margin(b, a, when, f);
        if (strcmp(am_row_text(r, "kind"), "sum_not_zero") != 0 || !sum_over_models(b, a, &sum))
            continue;
        if (!am_sum_holds(sum) && (!when[0] || flag(b->params, when)) && !divides_by_one(b))
            am_sum_fault((struct am_where){.pointer = "#/inputs/models"}, a, when, f);
    }
}

static void one_for_all(const char *name, const char *pointer, struct am_faults *f)
{
    char at[AM_POINTER];
    am_fault_add(f, AM_E_INVALID_PARAMS,
                 (struct am_where){.pointer = am_pointer(at, pointer, name), .reason = "setting-shape"},
                 "%s is one value here: the method looks at all tensors together", name);
}

/* Where the statistics are of the whole model, there is no tensor to choose a value for. */
static void check_varied(const struct am_body *b, struct am_faults *f)
{
    char model[AM_POINTER], at[AM_POINTER];
    const char *scope = am_row_need(b->row, "scope"), *name;
    json_t *v;
    if (am_streq(scope, "param"))
        scope = json_string_value(json_object_get(b->params, "scope"));
    if (!am_streq(b->type, "merge") || !am_streq(scope, "model"))
        return;
    json_object_foreach(b->params, name, v) if (am_setting_varies(v) && may_vary(b, declared(b, name)))
        one_for_all(name, "#/params", f);
    for (size_t i = 0; i < b->inputs; i++) {
        am_model_pointer(&b->input[i], model);
        json_object_foreach(b->input[i].params, name, v) if (am_setting_varies(v))
            one_for_all(name, am_pointer(at, model, "params"), f);
    }
}

static int check_all(struct am_body *b, json_t *given, json_t **full, struct am_faults *f)
{
    char model[AM_POINTER], at[AM_POINTER];
    const json_t *params = json_object_get(b->row, "params");
    check_names(b, given, "#/params", false, f);
    for (size_t i = 0; i < b->inputs; i++) {
        am_model_pointer(&b->input[i], model);
        check_names(b, b->input[i].params, am_pointer(at, model, "params"), true, f);
    }
    for (size_t i = 0; i < json_array_size(params); i++)
        AM_TRY(check_param(b, given, json_array_get(params, i), full, f));
    return 0;
}

int am_params_check(struct am_body *b, json_t *given, struct am_faults *f)
{
    json_t *full[AM_ENTRIES_MAX + AM_ADAPTERS_MAX] = {0};
    if (b->inputs > AM_ENTRIES_MAX + AM_ADAPTERS_MAX)
        return -AM_E_INTERNAL;
    int rc = 0;
    b->params = json_object();
    for (size_t i = 0; i < b->inputs; i++) {
        if (takes_params(&b->input[i]) && !(full[i] = json_object()))
            rc = -AM_E_OUT_OF_MEMORY;
    }
    if (!b->params)
        rc = -AM_E_OUT_OF_MEMORY;
    if (rc == 0)
        rc = check_all(b, given, full, f);
    for (size_t i = 0; i < b->inputs; i++) {
        json_decref(b->input[i].params);
        b->input[i].params = full[i];
    }
    if (rc == 0)
        rc = am_forms_check(b, given, f);
    if (rc == 0) {
        check_varied(b, f);
        check_rules(b, f);
    }
    return rc;
}

int am_params_default(json_t *row, json_t **ret)
{
    struct am_body b = {.row = row};
    struct am_faults f = {0};
    int rc = row ? am_params_check(&b, NULL, &f) : -AM_E_INTERNAL;
    if (rc == 0 && f.n)
        rc = -AM_E_INTERNAL; /* one has no default */
    am_faults_done(&f);
    if (rc < 0)
        json_decref(b.params);
    else
        *ret = b.params;
    return rc;
}
