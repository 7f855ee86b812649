/*
 * inputs.c - the `inputs` of a job's body by type, and the text form of a version (body.h, body_parts.h).
 * Looks nothing up: whether a version exists is the store's to say.
 */
#include "core/table/body_parts.h"

#include "core/base/text.h"
#include "core/table/json_util.h"
#include "core/table/members.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REF_MAX 512 /* bytes of "ns/name@rev": two names of 96 and a ref of 200 fit */

static bool is_path(const char *text)
{
    return text[0] == '/' || text[0] == '~' || am_starts(text, "./") || am_starts(text, "../");
}

static const char *ref_fault(const char *text, size_t n)
{
    const char *at = strchr(text, '@');
    if (n == 0)
        return "it is empty";
    if (n > REF_MAX)
        return "it is too long";
    if (is_path(text))
        return "it is a path; register the folder as namespace/name first";
    if (strchr(text, '+'))
        return "adapters written with '+' are not supported";
    if (at && strchr(at + 1, '@'))
        return "at most one '@'";
    if (at && !at[1])
        return "nothing follows the '@'";
    return NULL;
}

int am_ref_split(const char *text, char **ret_model, char **ret_rev, const char **ret_why)
{
    size_t n = strnlen(text, REF_MAX + 1);
    const char *why = ref_fault(text, n);
    if (why) {
        *ret_why = why;
        return -AM_E_INVALID_REQUEST;
    }
    const char *at = strchr(text, '@');
    char *model = strndup(text, at ? (size_t)(at - text) : n), *rev = strdup(at ? at + 1 : "main");
    int rc = model && rev ? 0 : -AM_E_OUT_OF_MEMORY;
    if (rc == 0) {
        why = am_model_name_fault(model);
        if (!why && !am_is_hex(rev, AM_COMMIT_LEN))
            why = am_ref_name_fault(rev);
        if (why) {
            *ret_why = why;
            rc = -AM_E_INVALID_REQUEST;
        }
    }
    if (rc < 0) {
        free(model);
        free(rev);
        return rc;
    }
    *ret_model = model;
    *ret_rev = rev;
    return 0;
}

/* Adds an entry. `ref` must be a version's text; when it is none there is a fault and the entry has no ref. */
static int add(struct am_body *b, const char *role, const char *ref, const char *pointer, json_t *params,
               struct am_faults *f)
{
    struct am_body_input *in = &b->input[b->inputs];
    char *model = NULL, *rev = NULL, shown[AM_SHOWN];
    const char *why = "";
    *in = (struct am_body_input){.role = role, .pointer = strdup(pointer), .params = json_incref(params)};
    b->inputs++;
    if (!in->pointer)
        return -AM_E_OUT_OF_MEMORY;
    if (!ref) /* missing or no text: told by the caller */
        return 0;
    int rc = am_ref_split(ref, &model, &rev, &why);
    free(model);
    free(rev);
    if (rc == -AM_E_INVALID_REQUEST) {
        const char *reason = is_path(ref) ? "ref-not-a-model" : "ref-syntax";
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = pointer, .reason = reason},
                     "\"%s\" names no version (namespace/name or namespace/name@revision): %s", am_shown(shown, ref),
                     why);
        return 0;
    }
    if (rc < 0)
        return rc;
    in->ref = strdup(ref);
    return in->ref ? 0 : -AM_E_OUT_OF_MEMORY;
}

/* Both name the same model at the same revision; "@main" may be left out. */
static bool same_version(const char *a, const char *b)
{
    size_t na = strcspn(a, "@"), nb = strcspn(b, "@");
    return na == nb && strncmp(a, b, na) == 0 && am_streq(a[na] ? a + na + 1 : "main", b[nb] ? b + nb + 1 : "main");
}

/* The model at `index` against those from `first` on. Several may have one old base. */
static void check_twice(const struct am_body *b, size_t first, size_t index, struct am_faults *f)
{
    const struct am_body_input *last = &b->input[index];
    char shown[AM_SHOWN];
    for (size_t i = first; last->ref && i < index; i++) {
        const struct am_body_input *in = &b->input[i];
        if (!in->ref || !am_streq(in->role, "model") || !same_version(in->ref, last->ref))
            continue;
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = last->pointer, .reason = "duplicate-input"},
                     "%s is listed twice (also at %s); list it once and combine the weights",
                     am_shown(shown, last->ref), in->pointer);
        return;
    }
}

/* A merge whose models each come with the base they were tuned from. */
static bool wants_old_base(const struct am_body *b)
{
    return b->row && am_streq(am_row_need(b->row, "task"), "required");
}

static void fault_no_old_base(const struct am_body *b, const char *ref, const char *at, struct am_faults *f)
{
    char shown[AM_SHOWN];
    am_fault_add(f, AM_E_MISSING_INPUT, (struct am_where){.pointer = at, .reason = "base-required"},
                 "%s needs the base that this model was tuned from, beside it: {\"version\": \"%s\", \"base\": "
                 "\"namespace/name@revision\"}; the base that it is carried to is #/inputs/base",
                 am_row_text(b->row, "name"), ref ? am_shown(shown, ref) : "namespace/name@revision");
}

static void fault_own_base(const struct am_body *b, const char *at, struct am_faults *f)
{
    bool has = !am_streq(am_row_need(b->row, "base"), "none");
    am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at, .reason = "base-forbidden"},
                 "%s takes no base beside a model; %s", am_row_text(b->row, "name"),
                 has ? "leave it out, all models have the one base at #/inputs/base" : "leave it out");
}

/* The `base` beside a model, as the next entry. */
static int add_old_base(struct am_body *b, json_t *entry, const char *ref, const char *at, struct am_faults *f)
{
    char base[AM_POINTER];
    if (!json_object_get(entry, "base")) {
        if (wants_old_base(b))
            fault_no_old_base(b, ref, at, f);
        return 0;
    }
    am_pointer(base, at, "base");
    if (b->row && !wants_old_base(b))
        fault_own_base(b, base, f);
    return add(b, "old_base", am_member_text(entry, at, "base", false, NULL, f), base, NULL, f);
}

static int add_model(struct am_body *b, json_t *entry, size_t index, struct am_faults *f)
{
    static const char *const known[] = {"version", "base", "params", NULL};
    char at[AM_POINTER], version[AM_POINTER];
    am_pointer_at(at, "#/inputs/models", index);
    if (json_is_string(entry)) {
        AM_TRY(add(b, "model", json_string_value(entry), at, NULL, f));
        return add_old_base(b, NULL, json_string_value(entry), at, f);
    }
    if (!json_is_object(entry)) {
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = at},
                     wants_old_base(b) ? "expected {\"version\", \"base\", \"params\"}, got %s"
                                       : "expected a version or {\"version\", \"params\"}, got %s",
                     am_json_kind(entry));
        return add(b, "model", NULL, at, NULL, f);
    }
    am_members_known(entry, at, known, f);
    const char *ref = am_member_text(entry, at, "version", true, NULL, f);
    json_t *params = am_member_object(entry, at, "params", false, f);
    AM_TRY(add(b, "model", ref, am_pointer(version, at, "version"), params, f));
    return add_old_base(b, entry, ref, at, f);
}

static void check_count(const struct am_body *b, size_t n, struct am_faults *f)
{
    json_int_t min = am_row_need_int(b->row, "min_inputs", 1), max = am_row_need_int(b->row, "max_inputs", 0);
    char takes[64];
    if (min < 1)
        min = 1;
    if (max <= 0 || max > AM_MODELS_MAX)
        max = AM_MODELS_MAX;
    if ((json_int_t)n >= min && (json_int_t)n <= max)
        return;
    if (min == max)
        snprintf(takes, sizeof(takes), "exactly %lld", (long long)min);
    else if ((json_int_t)n < min)
        snprintf(takes, sizeof(takes), "at least %lld", (long long)min);
    else
        snprintf(takes, sizeof(takes), "at most %lld", (long long)max);
    am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/inputs/models", .reason = "input-count"},
                 "%s takes %s models, got %zu", b->row ? am_row_text(b->row, "name") : "a merge", takes, n);
}

static int merge_models(struct am_body *b, json_t *inputs, struct am_faults *f)
{
    json_t *models = am_member_array(inputs, "#/inputs", "models", true, f);
    size_t n = json_array_size(models), first = b->inputs;
    if (models)
        check_count(b, n, f);
    for (size_t i = 0; i < n && i < AM_MODELS_MAX; i++) {
        size_t index = b->inputs;
        AM_TRY(add_model(b, json_array_get(models, i), i, f));
        check_twice(b, first, index, f);
    }
    return 0;
}

/* What `base` is to the method, for somebody who left it out. */
static const char *base_meaning(const struct am_body *b)
{
    if (wants_old_base(b))
        return "the new base, that the change is carried to";
    return am_row_need_int(b->row, "max_inputs", 0) == 1 ? "the version that the model is merged with"
                                                         : "the version that the models were tuned from";
}

static int merge_inputs(struct am_body *b, json_t *inputs, struct am_faults *f)
{
    static const char *const known[] = {"base", "models", NULL};
    const char *need = b->row ? am_row_need(b->row, "base") : "optional";
    am_members_known(inputs, "#/inputs", known, f);
    if (json_object_get(inputs, "base")) {
        if (am_streq(need, "none"))
            am_fault_add(f, AM_E_INVALID_PARAMS,
                         (struct am_where){.pointer = "#/inputs/base", .reason = "base-forbidden"},
                         "%s takes no base; leave it out or list it among the models", am_row_text(b->row, "name"));
        const char *ref = am_member_text(inputs, "#/inputs", "base", false, NULL, f);
        AM_TRY(add(b, "base", ref, "#/inputs/base", NULL, f));
    } else if (am_streq(need, "required")) {
        am_fault_add(f, AM_E_MISSING_INPUT, (struct am_where){.pointer = "#/inputs/base", .reason = "base-required"},
                     "%s needs base: %s", am_row_text(b->row, "name"), base_meaning(b));
    }
    return merge_models(b, inputs, f);
}

static int task_inputs(struct am_body *b, json_t *task, const char *model, struct am_faults *f)
{
    static const char *const known[] = {"version", "base", NULL};
    am_members_known(task, "#/inputs/task", known, f);
    const char *version = am_member_text(task, "#/inputs/task", "version", true, NULL, f);
    AM_TRY(add(b, "patch", version, "#/inputs/task/version", NULL, f));
    if (json_object_get(task, "base")) {
        const char *base = am_member_text(task, "#/inputs/task", "base", false, NULL, f);
        return add(b, "old_base", base, "#/inputs/task/base", NULL, f);
    }
    /* The same text again, whose faults are told already under the model's own pointer. */
    return add(b, "old_base", b->input[0].ref ? model : NULL, "#/inputs/model", NULL, f);
}

static int unlearn_inputs(struct am_body *b, json_t *inputs, struct am_faults *f)
{
    static const char *const known[] = {"model", "task", NULL};
    const char *need = b->row ? am_row_need(b->row, "task") : "optional";
    am_members_known(inputs, "#/inputs", known, f);
    const char *model = am_member_text(inputs, "#/inputs", "model", true, NULL, f);
    AM_TRY(add(b, "input", model, "#/inputs/model", NULL, f));
    if (!json_object_get(inputs, "task")) {
        if (am_streq(need, "required"))
            am_fault_add(
                f, AM_E_MISSING_INPUT, (struct am_where){.pointer = "#/inputs/task"},
                "%s needs task: {\"version\": a fine-tune on what is to be forgotten, \"base\": what it was tuned "
                "from (by default the model)}",
                am_row_text(b->row, "name"));
        return 0;
    }
    if (am_streq(need, "none"))
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/inputs/task"}, "%s takes no task",
                     am_row_text(b->row, "name"));
    json_t *task = am_member_object(inputs, "#/inputs", "task", false, f);
    return task ? task_inputs(b, task, model, f) : 0;
}

static int edit_inputs(struct am_body *b, json_t *inputs, struct am_faults *f)
{
    static const char *const known[] = {"model", NULL};
    am_members_known(inputs, "#/inputs", known, f);
    const char *model = am_member_text(inputs, "#/inputs", "model", true, NULL, f);
    return add(b, "input", model, "#/inputs/model", NULL, f);
}

int am_inputs_check(struct am_body *b, json_t *inputs, const char *type, struct am_faults *f)
{
    b->input = calloc(AM_ENTRIES_MAX, sizeof(*b->input));
    if (!b->input)
        return -AM_E_OUT_OF_MEMORY;
    b->inputs = 0;
    b->donor = 0; /* base, else the first model; the model of unlearn and edit: always the first entry */
    if (am_streq(type, "merge"))
        return merge_inputs(b, inputs, f);
    if (am_streq(type, "unlearn"))
        return unlearn_inputs(b, inputs, f);
    return edit_inputs(b, inputs, f);
}
