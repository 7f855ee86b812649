/*
 * forms.c - see forms.h. Values are decimal fractions, so what is computed from them is rounded to 12 decimals: 1 - 0.9
 * is 0.1 in a recipe, and counts what 0.1 counts.
 */
#include "core/table/forms.h"

#include "core/base/text.h"
#include "core/table/json_util.h"
#include "core/table/params.h"
#include "core/table/settings.h"

#include <math.h>
#include <string.h>

static const char *name_of(const json_t *form, size_t k)
{
    const char *s = json_string_value(json_array_get(json_object_get(form, "names"), k));
    return s ? s : "";
}

static const char *target(const json_t *canonical, size_t k)
{
    const char *s = json_string_value(json_array_get(json_object_get(canonical, "to"), k));
    return s ? s : "";
}

static bool is_given(const json_t *params, const char *name)
{
    const json_t *v = json_object_get(params, name);
    return json_is_number(v) || am_setting_varies(v);
}

static bool any_given(const json_t *form, const json_t *params)
{
    return is_given(params, name_of(form, 0)) || is_given(params, name_of(form, 1));
}

static bool is_target(const json_t *canonical, const json_t *form)
{
    return am_streq(name_of(form, 0), target(canonical, 0));
}

/* A value that is missing has a fault already. */
static bool complete(const json_t *forms, const json_t *params)
{
    for (size_t i = 0; i < json_array_size(forms); i++)
        for (size_t k = 0; k < 2; k++)
            if (!json_object_get(params, name_of(json_array_get(forms, i), k)))
                return false;
    return true;
}

/* Nothing of it stands beside the model: a fault is one of "#/params", and told once. */
static bool from_all(const json_t *forms, const json_t *params, const json_t *given)
{
    for (size_t i = 0; i < json_array_size(forms); i++) {
        for (size_t k = 0; k < 2; k++) {
            const char *name = name_of(json_array_get(forms, i), k);
            const json_t *all = json_object_get(given, name), *own = json_object_get(params, name);
            if (json_is_number(own) != json_is_number(all) || json_number_value(own) != json_number_value(all) ||
                am_setting_varies(own))
                return false;
        }
    }
    return true;
}

static double decimal(double v)
{
    return floor(v * 1e12 + 0.5) / 1e12;
}

/* The two values of the form, given or by default; false after a fault. */
static bool values(const json_t *form, const json_t *params, double v[2], const char *at, struct am_faults *f)
{
    for (size_t k = 0; k < 2; k++) {
        const json_t *def = json_array_get(json_object_get(form, "defaults"), k), *own;
        own = json_object_get(params, name_of(form, k));
        if (!json_is_number(own) && !json_is_number(def)) {
            am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at, .reason = "parameter-missing"},
                         "%s goes with %s; give both", name_of(form, !k), name_of(form, k));
            return false;
        }
        v[k] = json_number_value(json_is_number(own) ? own : def);
    }
    return true;
}

static void derive(const json_t *form, const double v[2], double to[2])
{
    for (size_t k = 0; k < 2; k++) {
        const json_t *c = json_array_get(json_object_get(form, "to"), k);
        to[k] = decimal(json_number_value(json_array_get(c, 0)) + json_number_value(json_array_get(c, 1)) * v[0] +
                        json_number_value(json_array_get(c, 2)) * v[1]);
    }
    if (json_is_true(json_object_get(form, "shrinks")) && to[0] < 0) {
        to[1] = to[1] + to[0] > 0 ? decimal(to[1] + to[0]) : 0;
        to[0] = 0;
    }
}

static bool sound(const json_t *canonical, const json_t *form, const double to[2], const char *at, struct am_faults *f)
{
    char low[AM_F64_TEXT], high[AM_F64_TEXT];
    bool shrinks = json_is_true(json_object_get(form, "shrinks"));
    if (shrinks || (to[0] >= 0 && to[1] >= 0 && to[0] + to[1] < 1))
        return true;
    am_f64_text(to[0], low);
    am_f64_text(to[1], high);
    am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at, .reason = "parameter-range"},
                 "%s and %s mean %s = %s and %s = %s; neither may be below 0, and their sum must be below 1",
                 name_of(form, 0), name_of(form, 1), target(canonical, 0), low, target(canonical, 1), high);
    return false;
}

static bool agrees(const json_t *canonical, const json_t *params, const double to[2])
{
    for (size_t k = 0; k < 2; k++) {
        const json_t *v = json_object_get(params, target(canonical, k));
        if (json_is_number(v) && fabs(json_number_value(v) - to[k]) > 1e-12)
            return false;
    }
    return true;
}

static void conflict(const json_t *a, const json_t *b, const char *at, struct am_faults *f)
{
    am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at, .reason = "parameter-conflict"},
                 "%s/%s and %s/%s say the same in two ways; give one of the two", name_of(a, 0), name_of(a, 1),
                 name_of(b, 0), name_of(b, 1));
}

/* The form that is given; NULL after a fault. */
static const json_t *choose(const json_t *canonical, const json_t *params, const char *at, struct am_faults *f)
{
    const json_t *forms = json_object_get(canonical, "forms"), *pair = NULL, *other = NULL;
    for (size_t i = 0; i < json_array_size(forms); i++) {
        const json_t *form = json_array_get(forms, i);
        if (!any_given(form, params))
            continue;
        if (is_target(canonical, form)) {
            pair = form;
        } else if (other) {
            conflict(other, form, at, f);
            return NULL;
        } else {
            other = form;
        }
    }
    double v[2], to[2];
    if (!pair || !other)
        return pair ? pair : other ? other : json_array_get(forms, 0);
    if (!values(other, params, v, at, f))
        return NULL;
    derive(other, v, to);
    if (json_is_true(json_object_get(other, "stays")) && agrees(canonical, params, to))
        return other;
    conflict(other, pair, at, f);
    return NULL;
}

static int rewrite(const json_t *canonical, const json_t *form, json_t *params, const double v[2], const double to[2])
{
    const json_t *forms = json_object_get(canonical, "forms");
    bool stays = json_is_true(json_object_get(form, "stays"));
    int bad = 0;
    for (size_t i = 0; i < json_array_size(forms); i++)
        for (size_t k = 0; k < 2; k++)
            bad |= json_object_set_new(params, name_of(json_array_get(forms, i), k), json_null());
    for (size_t k = 0; k < 2; k++) {
        if (stays)
            bad |= json_object_set_new(params, name_of(form, k), json_real(v[k]));
        bad |= json_object_set_new(params, target(canonical, k), json_real(to[k]));
    }
    return bad ? -AM_E_OUT_OF_MEMORY : 0;
}

/* The forms that are given, when one of them varies by tensor. What each tensor has cannot be written in another way
   then, so it must be a form that a method reads as it is. */
static int resolve_varied(const json_t *canonical, json_t *params, const char *at, const json_t **ret,
                          struct am_faults *f)
{
    const json_t *forms = json_object_get(canonical, "forms"), *given = NULL;
    for (size_t i = 0; i < json_array_size(forms); i++) {
        const json_t *form = json_array_get(forms, i);
        if (!any_given(form, params))
            continue;
        if (given) {
            conflict(given, form, at, f);
            return 0;
        }
        given = form;
    }
    if (!json_is_true(json_object_get(given, "stays")) && !is_target(canonical, given)) {
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at, .reason = "setting-shape"},
                     "%s and %s are one number each; to vary by tensor write the shares as %s and %s",
                     name_of(given, 0), name_of(given, 1), target(canonical, 0), target(canonical, 1));
        return 0;
    }
    for (size_t k = 0; k < 2; k++) {
        json_t *def = json_array_get(json_object_get(given, "defaults"), k),
               *own = json_object_get(params, name_of(given, k));
        if (!is_given(params, name_of(given, k)) && !json_is_number(def)) {
            am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at, .reason = "parameter-missing"},
                         "%s goes with %s; give both", name_of(given, !k), name_of(given, k));
            return 0;
        }
        if (!json_is_number(def))
            continue;
        json_t *whole = json_is_null(own) ? json_incref(def) : am_setting_chain(own, def);
        if (json_object_set_new(params, name_of(given, k), whole) < 0)
            return -AM_E_OUT_OF_MEMORY;
    }
    *ret = given;
    return 0;
}

static bool varies(const json_t *forms, const json_t *params)
{
    for (size_t i = 0; i < json_array_size(forms); i++)
        for (size_t k = 0; k < 2; k++)
            if (am_setting_varies(json_object_get(params, name_of(json_array_get(forms, i), k))))
                return true;
    return false;
}

/* *ret: the form that one model's values had; NULL after a fault. */
static int resolve(const json_t *canonical, json_t *params, const char *at, const json_t **ret, struct am_faults *f)
{
    double v[2], to[2];
    *ret = NULL;
    if (!complete(json_object_get(canonical, "forms"), params))
        return 0;
    if (varies(json_object_get(canonical, "forms"), params))
        return resolve_varied(canonical, params, at, ret, f);
    const json_t *form = choose(canonical, params, at, f);
    if (!form || !values(form, params, v, at, f))
        return 0;
    derive(form, v, to);
    if (!sound(canonical, form, to, at, f))
        return 0;
    *ret = form;
    return rewrite(canonical, form, params, v, to);
}

static const json_t *set_by(const json_t *form)
{
    const json_t *sets = json_object_get(form, "sets");
    return json_is_array(sets) ? sets : NULL;
}

/* A form may fix a parameter for all models: that must be what was asked for, or all models must use the form. */
static int check_set(struct am_body *b, json_t *given, const json_t *form, const json_t *unlike, struct am_faults *f)
{
    char at[AM_POINTER];
    const json_t *sets = set_by(form);
    const char *name = json_string_value(json_array_get(sets, 0));
    json_t *value = json_array_get(sets, 1), *own = json_object_get(given, name);
    am_pointer(at, "#/params", name);
    if (own && !json_equal(own, value)) {
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at, .reason = "parameter-conflict"},
                     "%s needs %s \"%s\"; leave %s out, or write the shares as %s", name_of(form, 0), name,
                     json_string_value(value), name, unlike ? name_of(unlike, 0) : "another pair");
        return 0;
    }
    if (!own && unlike) {
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at, .reason = "parameter-conflict"},
                     "%s of one model would set %s to \"%s\" for all; set %s to say so", name_of(form, 0), name,
                     json_string_value(value), name);
        return 0;
    }
    return json_object_set(b->params, name, value) < 0 ? -AM_E_OUT_OF_MEMORY : 0;
}

int am_forms_check(struct am_body *b, json_t *given, struct am_faults *f)
{
    char model[AM_POINTER], at[AM_POINTER];
    const json_t *canonical = json_object_get(b->row, "canonical"), *setter = NULL, *unlike = NULL;
    bool told = false;
    if (!json_is_object(canonical))
        return 0;
    for (size_t i = 0; i < b->inputs; i++) {
        const json_t *form;
        if (!json_is_object(b->input[i].params))
            continue;
        bool common = from_all(json_object_get(canonical, "forms"), b->input[i].params, given);
        if (common && told)
            continue;
        size_t before = f->n;
        am_model_pointer(&b->input[i], model);
        AM_TRY(resolve(canonical, b->input[i].params, common ? "#/params" : am_pointer(at, model, "params"), &form, f));
        told |= common && f->n > before;
        if (set_by(form))
            setter = form;
        else if (form)
            unlike = form;
    }
    return setter ? check_set(b, given, setter, unlike, f) : 0;
}
