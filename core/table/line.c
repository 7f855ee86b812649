/*
 * line.c - the `inputs` of evaluate/continual: a line of versions, oldest first, and the tasks that it learned, one
 * with each version (body_parts.h). Looks nothing up.
 */
#include "core/table/body_parts.h"

#include "core/base/text.h"
#include "core/table/json_util.h"
#include "core/table/members.h"

#include <string.h>

enum { LINE_MAX = 16, NAME_MAX_BYTES = 512 };

/* ---- versions ---- */

static int take_versions(struct am_body *b, json_t *inputs, struct am_faults *f)
{
    json_t *list = am_member_array(inputs, "#/inputs", "versions", true, f), *v;
    char at[AM_POINTER];
    size_t i;
    if (json_array_size(list) > LINE_MAX) {
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/inputs/versions"},
                     "%zu versions; a line has at most %d", json_array_size(list), LINE_MAX);
        return 0;
    }
    json_array_foreach(list, i, v)
    {
        am_pointer_at(at, "#/inputs/versions", i);
        if (!json_is_string(v))
            am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = at},
                         "expected a version as text, namespace/name@rev, got %s", am_json_kind(v));
        else
            AM_TRY(am_input_listed(b, "version", json_string_value(v), at, f));
    }
    return 0;
}

static void take_branch(struct am_body *b, json_t *inputs, struct am_faults *f)
{
    char shown[AM_SHOWN];
    const char *model = am_member_text(inputs, "#/inputs", "model", true, NULL, f),
               *branch = am_member_text(inputs, "#/inputs", "branch", false, "main", f);
    const char *why = model ? am_model_name_fault(model) : NULL, *not_a_ref = branch ? am_ref_name_fault(branch) : NULL;
    if (why)
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/inputs/model"}, "\"%s\": %s",
                     am_shown(shown, model), why);
    if (not_a_ref)
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/inputs/branch"}, "\"%s\": %s",
                     am_shown(shown, branch), not_a_ref);
    if (model && branch && !why && !not_a_ref)
        b->line = json_pack("{s:s, s:s}", "model", model, "branch", branch);
}

/* ---- tasks ---- */

static const char *name_of(json_t *o, const char *at, struct am_faults *f)
{
    const char *name = json_is_string(o)                ? json_string_value(o)
                       : json_object_get(o, "external") ? am_member_text(o, at, "external", true, NULL, f)
                                                        : am_member_text(o, at, "name", true, NULL, f);
    if (!name || (name[0] && strnlen(name, NAME_MAX_BYTES + 1) <= NAME_MAX_BYTES))
        return name;
    am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at}, "the name of a dataset has 1 to %d bytes",
                 NAME_MAX_BYTES);
    return NULL;
}

static json_t *random_of(json_t *o, const char *at, struct am_faults *f)
{
    char pointer[AM_POINTER];
    json_t *v = json_object_get(o, "random");
    if (!v || json_is_null(v))
        return json_null();
    if (json_is_number(v) && json_number_value(v) >= 0 && json_number_value(v) <= 1)
        return json_real(json_number_value(v));
    am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = am_pointer(pointer, at, "random")},
                 "random is the score of a model that was not trained, from 0 to 1");
    return json_null();
}

static bool is_set(const json_t *v)
{
    const char *uid = json_string_value(v);
    return json_is_null(v) || (uid && am_starts(uid, "prd_") && am_is_hex(uid + 4, 32));
}

/* null: the newest of each version. */
static json_t *sets_of(json_t *o, const char *at, struct am_faults *f)
{
    char list_at[AM_POINTER], pointer[AM_POINTER];
    json_t *list = json_is_object(o) && json_object_get(o, "predictions")
                       ? am_member_array(o, at, "predictions", true, f)
                       : NULL,
           *v;
    size_t i;
    am_pointer(list_at, at, "predictions");
    json_array_foreach(list, i, v) if (!is_set(v))
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = am_pointer_at(pointer, list_at, i)},
                     "expected the id of a prediction set (prd_ and 32 hex digits), or null for a version that was not "
                     "measured");
    return list ? json_incref(list) : json_null();
}

static void take_task(struct am_body *b, json_t *o, size_t i, struct am_faults *f)
{
    static const char *const known[] = {"name", "external", "predictions", "random", NULL};
    char at[AM_POINTER];
    am_pointer_at(at, "#/inputs/tasks", i);
    if (!json_is_string(o) && !json_is_object(o)) {
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = at},
                     "expected the name of a dataset or an object, got %s", am_json_kind(o));
        return;
    }
    if (json_is_object(o))
        am_members_known(o, at, known, f);
    const char *name = name_of(o, at, f);
    json_array_append_new(b->tasks, json_pack("{s:s, s:o, s:o}", "name", name ? name : "", "random",
                                              random_of(o, at, f), "predictions", sets_of(o, at, f)));
}

static void take_tasks(struct am_body *b, json_t *inputs, struct am_faults *f)
{
    json_t *list = am_member_array(inputs, "#/inputs", "tasks", true, f), *o;
    size_t i, n = json_array_size(list);
    struct am_where w = {.pointer = "#/inputs/tasks"};
    if (list && (n < 1 || n > LINE_MAX))
        am_fault_add(f, AM_E_INVALID_PARAMS, w, "%zu tasks; a line has 1 to %d", n, LINE_MAX);
    else
        json_array_foreach(list, i, o) take_task(b, o, i, f);
}

/* ---- both ---- */

static void check_counts(const struct am_body *b, size_t versions, struct am_faults *f)
{
    json_t *o;
    size_t i, tasks = json_array_size(b->tasks);
    char at[AM_POINTER], list_at[AM_POINTER];
    if (versions && tasks && versions != tasks)
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/inputs/tasks"},
                     "%zu versions and %zu tasks: version i is the one that had learned the tasks 1 to i, so there are "
                     "as many of the one as of the other",
                     versions, tasks);
    json_array_foreach(b->tasks, i, o)
    {
        const json_t *sets = json_object_get(o, "predictions");
        if (json_is_array(sets) && json_array_size(sets) != tasks)
            am_fault_add(f, AM_E_INVALID_PARAMS,
                         (struct am_where){
                             .pointer = am_pointer(at, am_pointer_at(list_at, "#/inputs/tasks", i), "predictions")},
                         "%zu prediction sets for %zu versions; give one for each, null where there is none",
                         json_array_size(sets), tasks);
    }
}

int am_inputs_line(struct am_body *b, json_t *inputs, struct am_faults *f)
{
    static const char *const known[] = {"versions", "model", "branch", "tasks", NULL};
    bool listed = json_object_get(inputs, "versions"), named = json_object_get(inputs, "model");
    am_members_known(inputs, "#/inputs", known, f);
    b->tasks = json_array();
    if (!b->tasks)
        return -AM_E_OUT_OF_MEMORY;
    if (listed == named)
        am_fault_add(f, listed ? AM_E_INVALID_PARAMS : AM_E_MISSING_INPUT, (struct am_where){.pointer = "#/inputs"},
                     "%s: versions, oldest first, or model (and branch), whose newest versions are meant",
                     listed ? "the line is named twice; keep one of the two forms" : "no line; name it");
    else if (listed)
        AM_TRY(take_versions(b, inputs, f));
    else
        take_branch(b, inputs, f);
    take_tasks(b, inputs, f);
    check_counts(b, json_array_size(json_object_get(inputs, "versions")), f);
    return 0;
}
