/*
 * recipe.c - recipes as bodies (recipe.h).
 */
#include "core/table/recipe.h"

#include "core/base/text.h"
#include "core/table/json_util.h"
#include "core/table/members.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool am_recipe_is(const json_t *body)
{
    return json_is_array(json_object_get(body, "inputs"));
}

/* null stands for "none was given", which a body says by leaving it out. */
static json_t *without_nulls(json_t *params)
{
    json_t *o = json_object(), *v;
    const char *key;
    json_object_foreach(params, key, v) if (!json_is_null(v)) json_object_set(o, key, v);
    return o;
}

/* "ns/name@commit" */
static json_t *version_of(json_t *in, const char *at, struct am_faults *f)
{
    static const char *const known[] = {"role", "commit", "model",   "rev", "manifest_sha256", "params", "layers",
                                        "use",  "of",     "modules", NULL};
    char text[1024];
    am_members_known(in, at, known, f);
    const char *model = am_member_text(in, at, "model", true, NULL, f),
               *commit = am_member_text(in, at, "commit", true, NULL, f);
    if (!model || !commit)
        return NULL;
    int n = snprintf(text, sizeof text, "%s@%s", model, commit);
    return n > 0 && (size_t)n < sizeof text ? json_string(text) : json_string("");
}

/* A side of an evaluate job is its prediction set. */
static json_t *set_of(json_t *in, const char *at, struct am_faults *f)
{
    static const char *const known[] = {"role",        "version",       "external",   "dataset",
                                        "predictions", "packed_sha256", "ids_sha256", NULL};
    am_members_known(in, at, known, f);
    const char *uid = am_member_text(in, at, "predictions", true, NULL, f);
    return uid ? json_string(uid) : NULL;
}

/* The list `name` of `o`, made when it is not there. */
static json_t *list_of(json_t *o, const char *name)
{
    if (!json_object_get(o, name))
        json_object_set_new(o, name, json_array());
    return json_object_get(o, name);
}

/* A version or a task of a line; false: it is neither. */
static bool put_of_line(json_t *out, json_t *in, const char *role, const char *at, struct am_faults *f)
{
    static const char *const version[] = {"role", "version", "memory_bytes", NULL};
    static const char *const task[] = {"role", "dataset", "random", "predictions", "packed_sha256", "ids_sha256", NULL};
    bool is_version = am_streq(role, "version");
    if (!is_version && !am_streq(role, "task"))
        return false;
    am_members_known(in, at, is_version ? version : task, f);
    if (is_version)
        json_array_append(list_of(out, "versions"), json_object_get(in, "version"));
    else
        json_array_append_new(list_of(out, "tasks"),
                              json_pack("{s:O?, s:O?, s:O?}", "name", json_object_get(in, "dataset"), "random",
                                        json_object_get(in, "random"), "predictions",
                                        json_object_get(in, "predictions")));
    return true;
}

struct place { /* of a version in the body: member `name` of `object` */
    json_t *object;
    const char *name;
};

struct inputs {
    json_t *out;         /* the member `inputs` of the body */
    struct place *place; /* of each input so far; what is none has no object */
    size_t places;
    json_t *stack; /* the last one, whose parts go on; borrowed */
    bool merge, evaluate;
};

/* Of an input that is a stack: its entry, with the first part. */
static json_t *stack_of(struct inputs *i, json_t *in, json_t *version)
{
    i->stack = json_pack("[{s:O,s:O,s:O*}]", "version", version, "layers", json_object_get(in, "layers"), "use",
                         json_object_get(in, "use"));
    return json_pack("{s:o}", "stack", i->stack);
}

static void remember(struct inputs *i, json_t *object, const char *name)
{
    i->place[i->places - 1] = (struct place){object, name};
}

/* Beside the version that it is added to, as text: "a@commit+b@commit". */
static bool put_adapter(struct inputs *i, json_t *in, json_t *version)
{
    json_t *number = json_object_get(in, "of");
    json_int_t of = json_integer_value(number);
    char text[2100];
    if (!json_is_integer(number) || of < 0 || (size_t)of >= i->places || !i->place[of].object)
        return false;
    struct place *p = &i->place[of];
    const char *base = json_string_value(json_object_get(p->object, p->name));
    if (!base)
        return false;
    snprintf(text, sizeof text, "%s+%s", base, json_string_value(version));
    json_object_set_new(p->object, p->name, json_string(text));
    p->object = NULL; /* one adapter each */
    return true;
}

static bool put_part(struct inputs *i, json_t *in, json_t *version)
{
    if (!i->stack)
        return false;
    json_array_append_new(i->stack, json_pack("{s:O,s:O*,s:O*}", "version", version, "layers",
                                              json_object_get(in, "layers"), "use", json_object_get(in, "use")));
    remember(i, json_array_get(i->stack, json_array_size(i->stack) - 1), "version");
    return true;
}

static void put_model(struct inputs *i, json_t *in, json_t *version)
{
    json_t *models = json_object_get(i->out, "models"), *entry = json_object();
    json_t *params = json_object_get(in, "params");
    if (!models) {
        models = json_array();
        json_object_set_new(i->out, "models", models);
    }
    if (json_object_get(in, "layers")) {
        json_object_update_new(entry, stack_of(i, in, version));
        remember(i, json_array_get(i->stack, 0), "version");
    } else {
        json_object_set(entry, "version", version);
        remember(i, entry, "version");
    }
    if (json_is_object(params))
        json_object_set_new(entry, "params", without_nulls(params));
    if (json_object_get(in, "modules"))
        json_object_set(entry, "modules", json_object_get(in, "modules"));
    json_array_append_new(models, entry);
}

static json_t *base_stack(struct inputs *i, json_t *in, json_t *version)
{
    json_t *entry = stack_of(i, in, version);
    if (json_object_get(in, "modules"))
        json_object_set(entry, "modules", json_object_get(in, "modules"));
    return entry;
}

/* Where an input of that role stands in a body; false: no such role here. */
static bool put_input(struct inputs *i, json_t *in, const char *role, json_t *version)
{
    json_t *models = json_object_get(i->out, "models"), *task = json_object_get(i->out, "task");
    json_t *last = json_array_get(models, json_array_size(models) - 1);
    if (i->evaluate) {
        bool old = am_streq(role, "old");
        if (old || am_streq(role, "new"))
            json_object_set(i->out, old ? "old_predictions" : "new_predictions", version);
        return old || am_streq(role, "new");
    }
    if (i->merge && am_streq(role, "part"))
        return put_part(i, in, version);
    if (i->merge && am_streq(role, "adapter"))
        return put_adapter(i, in, version);
    i->stack = NULL;
    if (i->merge && am_streq(role, "model"))
        put_model(i, in, version);
    else if (i->merge && am_streq(role, "base") && json_object_get(in, "layers")) {
        json_object_set_new(i->out, "base", base_stack(i, in, version));
        remember(i, json_array_get(i->stack, 0), "version");
    } else if (i->merge && am_streq(role, "base")) {
        json_object_set(i->out, "base", version);
        remember(i, i->out, "base");
    } else if (i->merge && am_streq(role, "old_base") && last) {
        json_object_set(last, "base", version);
        remember(i, last, "base");
    } else if (!i->merge && am_streq(role, "input"))
        json_object_set(i->out, "model", version);
    else if (!i->merge && am_streq(role, "patch"))
        json_object_set_new(i->out, "task", json_pack("{s:O}", "version", version));
    else if (!i->merge && am_streq(role, "old_base") && task)
        json_object_set(task, "base", version);
    else
        return false;
    return true;
}

static void take_input(struct inputs *i, json_t *in, size_t index, struct am_faults *f)
{
    char at[AM_POINTER], role_at[AM_POINTER], shown[AM_SHOWN];
    am_pointer_at(at, "#/inputs", index);
    i->places = index + 1;
    if (!json_is_object(in)) {
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = at}, "expected an object, got %s",
                     am_json_kind(in));
        return;
    }
    const char *role = am_member_text(in, at, "role", true, NULL, f);
    if (i->evaluate && role && put_of_line(i->out, in, role, at, f))
        return;
    json_auto_t *version = i->evaluate ? set_of(in, at, f) : version_of(in, at, f);
    if (role && version && !put_input(i, in, role, version))
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = am_pointer(role_at, at, "role")},
                     "an input of role \"%s\" has no place here", am_shown(shown, role));
}

/* options.threads is the recipe's, when the options themselves do not say. */
static json_t *options_of(json_t *recipe)
{
    json_t *options = json_object_get(recipe, "options"), *threads = json_object_get(recipe, "threads");
    json_t *o = json_is_object(options) ? json_copy(options) : json_object();
    if (threads && !json_object_get(o, "threads"))
        json_object_set(o, "threads", threads);
    return o;
}

json_t *am_recipe_body(json_t *recipe, struct am_faults *f)
{
    static const char *const known[] = {
        "type",    "method",   "inputs",   "donor",        "params",          "options",
        "seed",    "program",  "kernels",  "blas",         "threads",         "spec_sha256",
        "publish", "metadata", "priority", "client_token", "mergekit_config", "gate",
        NULL};
    static const char *const same[] = {"type",     "method",       "publish",        "metadata",
                                       "priority", "client_token", "mergekit_config"};
    const char *type = json_string_value(json_object_get(recipe, "type"));
    struct inputs i = {.out = json_object(), .merge = am_streq(type, "merge"), .evaluate = am_streq(type, "evaluate")};
    json_t *body = json_object(), *in, *params = json_object_get(recipe, "params");
    size_t k;
    am_members_known(recipe, "#", known, f);
    i.place = calloc(json_array_size(json_object_get(recipe, "inputs")) + 1, sizeof *i.place);
    if (!i.place)
        return json_decref(i.out), json_decref(body), NULL;
    json_array_foreach(json_object_get(recipe, "inputs"), k, in) take_input(&i, in, k, f);
    free(i.place);
    for (k = 0; k < sizeof same / sizeof *same; k++)
        if (json_object_get(recipe, same[k]))
            json_object_set(body, same[k], json_object_get(recipe, same[k]));
    if (params)
        json_object_set_new(body, "params", json_is_object(params) ? without_nulls(params) : json_incref(params));
    const json_t *gate = json_object_get(recipe, "gate");
    json_t *name = json_object_get(gate, "gate"), *policy = json_object_get(gate, "policy");
    if (json_is_object(gate)) { /* by its name and revision where it has one */
        json_t *which = json_is_string(name) ? name : policy;
        json_object_set_new(body, "gate",
                            i.evaluate || !which
                                ? json_incref(which ? which : (json_t *)(uintptr_t)gate)
                                : json_pack("{s:O, s:O*, s:O*}", "policy", which, "old_predictions",
                                            json_object_get(json_object_get(gate, "old"), "predictions"),
                                            "new_predictions",
                                            json_object_get(json_object_get(gate, "new"), "predictions")));
    }
    json_object_set_new(body, "options", options_of(recipe));
    if (json_object_set_new(body, "inputs", i.out) == 0)
        return body;
    json_decref(body);
    return NULL;
}

/* The input that `pointer` points into, and what follows it; -1: none. */
static int input_of(const char *pointer, const struct am_body *b, const char **ret_rest)
{
    for (size_t i = 0; i < b->inputs; i++) {
        const char *own = b->input[i].pointer ? b->input[i].pointer : "?";
        size_t n = strlen(own);
        if (am_streq(b->input[i].role, "model") && am_ends(own, "/version"))
            n -= strlen("/version");
        if (strncmp(pointer, own, n) != 0 || (pointer[n] && pointer[n] != '/'))
            continue;
        *ret_rest = am_starts(pointer + n, "/version") ? "/commit" : pointer + n;
        if (am_streq(*ret_rest, "/base"))
            continue; /* the next one, which is the old base itself */
        return (int)i;
    }
    return -1;
}

void am_recipe_pointers(struct am_faults *f, const struct am_body *b)
{
    for (size_t i = 0; i < f->n; i++) {
        const char *rest = "";
        char *pointer = NULL;
        int at = input_of(f->v[i].pointer, b, &rest);
        if (at < 0 || asprintf(&pointer, "#/inputs/%d%s", at, rest) < 0)
            continue;
        free(f->v[i].pointer);
        f->v[i].pointer = pointer;
    }
}
