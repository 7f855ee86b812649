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
        return "only a version of a merge may be written as base+adapter, and with one '+'";
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

bool am_ref_same(const char *a, const char *b)
{
    size_t na = strcspn(a, "@+"), nb = strcspn(b, "@+");
    const char *pa = strchr(a, '+'), *pb = strchr(b, '+');
    const char *ra = a[na] == '@' ? a + na + 1 : "main", *rb = b[nb] == '@' ? b + nb + 1 : "main";
    size_t ka = strcspn(ra, "+"), kb = strcspn(rb, "+");
    if (na != nb || strncmp(a, b, na) != 0 || ka != kb || strncmp(ra, rb, ka) != 0 || !pa != !pb)
        return false;
    return !pa || am_ref_same(pa + 1, pb + 1);
}

/* A version as it is named: by its text, or as the result of a job. Neither: there is a fault. */
struct named {
    const char *ref, *job;
    const char *lora, *lora_job, *lora_at; /* the adapter beside it, and where that stands */
};

static bool is_job_id(const char *text)
{
    return am_starts(text, "job_") && am_is_hex(text + 4, 32);
}

/* {"job": "job_..."} */
static struct named name_job(json_t *v, const char *at, struct am_faults *f)
{
    static const char *const known[] = {"job", NULL};
    char pointer[AM_POINTER], shown[AM_SHOWN];
    am_members_known(v, at, known, f);
    const char *job = am_member_text(v, at, "job", true, NULL, f);
    if (!job || is_job_id(job))
        return (struct named){.job = job};
    am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = am_pointer(pointer, at, "job"), .reason = "job"},
                 "\"%s\" is no id of a job; one is job_ and 32 hex digits", am_shown(shown, job));
    return (struct named){0};
}

static struct named name_version(json_t *obj, const char *pointer, const char *name, bool required, struct am_faults *f)
{
    char at[AM_POINTER];
    json_t *v = json_object_get(obj, name);
    if (json_is_object(v))
        return name_job(v, am_pointer(at, pointer, name), f);
    return (struct named){.ref = am_member_text(obj, pointer, name, required, NULL, f)};
}

/* Keeps a text that must be a version's; when it is none there is a fault and no text. */
static int keep_ref(const char *ref, const char *pointer, char **ret, struct am_faults *f)
{
    char *model = NULL, *rev = NULL, shown[AM_SHOWN];
    const char *why = "";
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
    *ret = strdup(ref);
    return *ret ? 0 : -AM_E_OUT_OF_MEMORY;
}

/* Until all inputs are known, adapters are kept behind the room of the others. */
static int add_adapter(struct am_body *b, size_t of, struct named n, const char *pointer, struct am_faults *f)
{
    size_t at = AM_ENTRIES_MAX + b->adapters;
    if (b->adapters == AM_ADAPTERS_MAX) {
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = pointer, .reason = "input-count"},
                     "a merge takes at most %d adapters", AM_ADAPTERS_MAX);
        return 0;
    }
    struct am_body_input *in = &b->input[at];
    *in = (struct am_body_input){.role = "adapter", .pointer = strdup(pointer), .of = of};
    b->adapters++;
    b->input[of].adapter = at;
    if (!in->pointer || (n.lora_job && !(in->job = strdup(n.lora_job))))
        return -AM_E_OUT_OF_MEMORY;
    return n.lora ? keep_ref(n.lora, pointer, &in->ref, f) : 0;
}

/* "base+adapter", where that may be. */
static bool has_adapter(const struct am_body *b, const char *ref)
{
    const char *plus = strchr(ref, '+');
    return plus && plus > ref && plus[1] && !strchr(plus + 1, '+') && !is_path(ref) &&
           (!b->type || am_streq(b->type, "merge"));
}

/* A version with the member `adapter` beside it; `at` has room for that one's place. */
static struct named name_pair(json_t *obj, const char *pointer, char at[AM_POINTER], struct am_faults *f)
{
    struct named n = name_version(obj, pointer, "version", true, f);
    if (!json_object_get(obj, "adapter"))
        return n;
    struct named adapter = name_version(obj, pointer, "adapter", true, f);
    n.lora = adapter.ref;
    n.lora_job = adapter.job;
    n.lora_at = am_pointer(at, pointer, "adapter");
    return n;
}

/* Adds an entry, and keeps its adapter. A text must be a version's; when it is none there is a fault and the entry has
   no ref. */
static int add(struct am_body *b, const char *role, struct named named, const char *pointer, json_t *params,
               struct am_faults *f)
{
    struct am_body_input *in = &b->input[b->inputs];
    *in = (struct am_body_input){.role = role, .pointer = strdup(pointer), .params = json_incref(params)};
    b->inputs++;
    if (!in->pointer || (named.job && !(in->job = strdup(named.job))))
        return -AM_E_OUT_OF_MEMORY;
    const char *lora_at = named.lora_at ? named.lora_at : pointer;
    if (named.ref && has_adapter(b, named.ref)) {
        char *ref = strndup(named.ref, strcspn(named.ref, "+"));
        bool twice = named.lora_at;
        if (twice)
            am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = lora_at, .reason = "ref-syntax"},
                         "one adapter at a time: %s has one already", named.ref);
        named.lora = strchr(named.ref, '+') + 1;
        int rc = ref ? keep_ref(ref, pointer, &in->ref, f) : -AM_E_OUT_OF_MEMORY;
        free(ref);
        return rc < 0 || twice ? rc : add_adapter(b, b->inputs - 1, named, pointer, f);
    }
    if (named.ref) /* else a job; or missing or no text: told by the caller */
        AM_TRY(keep_ref(named.ref, pointer, &in->ref, f));
    return named.lora_at ? add_adapter(b, b->inputs - 1, named, lora_at, f) : 0;
}

/* By their texts; "@main" may be left out. */
static bool same_entry(const struct am_body_input *a, const struct am_body_input *b)
{
    if (a->job || b->job)
        return a->job && b->job && am_streq(a->job, b->job);
    return a->ref && b->ref && am_ref_same(a->ref, b->ref);
}

static bool same_version(const struct am_body *body, const struct am_body_input *a, const struct am_body_input *b)
{
    if (!same_entry(a, b) || !a->adapter != !b->adapter)
        return false;
    return !a->adapter || same_entry(&body->input[a->adapter], &body->input[b->adapter]);
}

/* The model at `index` against those from `first` on. Several may have one old base. */
static void check_twice(const struct am_body *b, size_t first, size_t index, struct am_faults *f)
{
    const struct am_body_input *last = &b->input[index];
    char shown[AM_SHOWN];
    for (size_t i = first; i < index; i++) {
        const struct am_body_input *in = &b->input[i];
        if (!am_streq(in->role, "model") || !same_version(b, in, last) || am_modules_apart(in->modules, last->modules))
            continue;
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = last->pointer, .reason = "duplicate-input"},
                     "%s is listed twice (also at %s); list it once and combine the weights",
                     am_shown(shown, last->ref ? last->ref : last->job), in->pointer);
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
    am_fault_add(
        f, AM_E_MISSING_INPUT, (struct am_where){.pointer = at, .reason = "base-required"},
        "%s needs the base that this model was tuned from, beside it: {\"version\": \"%s\", \"base\": "
        "\"namespace/name@revision\"}; the base that it is carried to is #/inputs/base. An adapter is a change "
        "already: {\"adapter\": \"namespace/name@revision\"}",
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
    return add(b, "old_base", name_version(entry, at, "base", false, f), base, NULL, f);
}

/* {"stack": [{"version", "layers"}, ...]}: an entry for each part. */
static int add_stack(struct am_body *b, const char *role, json_t *entry, const char *at, json_t *params,
                     struct am_faults *f)
{
    static const char *const known[] = {"version", "adapter", "layers", "use", NULL};
    char list_at[AM_POINTER], part_at[AM_POINTER], version[AM_POINTER], lora[AM_POINTER];
    json_t *list = am_member_array(entry, at, "stack", true, f), *part;
    size_t head = b->inputs, n = json_array_size(list), i;
    am_pointer(list_at, at, "stack");
    bool takes_none = wants_old_base(b) || am_row_makes_adapter(b->row);
    if (n == 0 || b->inputs + n > AM_ENTRIES_MAX || takes_none) {
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = list_at, .reason = "input-count"},
                     takes_none ? "%s takes no stacks of layers"
                                : "%s: a stack has at least one part, and all of them together at most 200",
                     b->row ? am_row_text(b->row, "name") : "a merge");
        return 0;
    }
    json_array_foreach(list, i, part)
    {
        am_pointer_at(part_at, list_at, i);
        am_pointer(version, part_at, "version");
        bool good = json_is_object(part);
        if (!good)
            am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = part_at},
                         "expected {\"version\", \"layers\"}, got %s", am_json_kind(part));
        am_members_known(good ? part : NULL, part_at, known, f);
        struct named named = good ? name_pair(part, part_at, lora, f) : (struct named){0};
        AM_TRY(add(b, i ? "part" : role, named, version, i ? NULL : params, f));
        if (good)
            AM_TRY(am_stack_layers(&b->input[b->inputs - 1], part, part_at, f));
    }
    b->input[head].parts = n;
    return 0;
}

static int add_model_stack(struct am_body *b, json_t *entry, const char *at, struct am_faults *f)
{
    static const char *const known[] = {"stack", "params", "modules", NULL};
    am_members_known(entry, at, known, f);
    return add_stack(b, "model", entry, at, am_member_object(entry, at, "params", false, f), f);
}

static int change_of_nothing(const char *at, struct am_faults *f)
{
    am_fault_add(f, AM_E_MISSING_INPUT, (struct am_where){.pointer = at, .reason = "adapter-without-base"},
                 "an adapter alone is a change of #/inputs/base, which must then be one version without an adapter of "
                 "its own; else write {\"version\": the base, \"adapter\": the adapter}");
    return 0;
}

/* {"adapter"} alone: the job's base with it. Of a change that is carried over, what it changes may stand beside it. */
static int add_change(struct am_body *b, json_t *entry, const char *at, json_t *params, struct am_faults *f)
{
    char lora[AM_POINTER], base_at[AM_POINTER];
    const struct am_body_input *base = &b->input[0];
    struct named n = {0}, adapter = name_version(entry, at, "adapter", true, f);
    bool own = wants_old_base(b) && json_object_get(entry, "base");
    if (own)
        n = name_version(entry, at, "base", true, f);
    else if (b->inputs && am_streq(base->role, "base") && !base->parts && !base->adapter)
        n = (struct named){.ref = base->ref, .job = base->job};
    else
        return change_of_nothing(at, f);
    am_pointer(base_at, at, "base");
    n.lora = adapter.ref;
    n.lora_job = adapter.job;
    n.lora_at = am_pointer(lora, at, "adapter");
    AM_TRY(add(b, "model", n, own ? base_at : at, params, f));
    if (json_object_get(entry, "base") && !own)
        fault_own_base(b, base_at, f);
    n.lora_at = NULL;
    return wants_old_base(b) ? add(b, "old_base", n, own ? base_at : at, NULL, f) : 0;
}

static int add_model(struct am_body *b, json_t *entry, size_t index, struct am_faults *f)
{
    static const char *const known[] = {"version", "adapter", "base", "params", "modules", NULL};
    char at[AM_POINTER], version[AM_POINTER], lora[AM_POINTER];
    am_pointer_at(at, "#/inputs/models", index);
    if (json_is_string(entry)) {
        AM_TRY(add(b, "model", (struct named){.ref = json_string_value(entry)}, at, NULL, f));
        return add_old_base(b, NULL, json_string_value(entry), at, f);
    }
    if (!json_is_object(entry)) {
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = at},
                     wants_old_base(b) ? "expected {\"version\", \"base\", \"params\"}, got %s"
                                       : "expected a version or {\"version\", \"params\"}, got %s",
                     am_json_kind(entry));
        return add(b, "model", (struct named){0}, at, NULL, f);
    }
    if (json_object_get(entry, "job") && !json_object_get(entry, "version")) {
        AM_TRY(add(b, "model", name_job(entry, at, f), at, NULL, f));
        return add_old_base(b, NULL, NULL, at, f);
    }
    if (json_object_get(entry, "stack"))
        return add_model_stack(b, entry, at, f);
    am_members_known(entry, at, known, f);
    json_t *params = am_member_object(entry, at, "params", false, f);
    if (json_object_get(entry, "adapter") && !json_object_get(entry, "version"))
        return add_change(b, entry, at, params, f);
    struct named named = name_pair(entry, at, lora, f);
    AM_TRY(add(b, "model", named, am_pointer(version, at, "version"), params, f));
    return add_old_base(b, entry, named.ref, at, f);
}

static void check_number(const struct am_body *b, size_t n, struct am_faults *f)
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

/* In each module, where models take part in modules. */
static void check_count(const struct am_body *b, const json_t *models, struct am_faults *f)
{
    bool first;
    size_t n = json_array_size(models);
    if (n == 0 || n > AM_MODELS_MAX)
        check_number(b, n, f);
    for (size_t i = 0; n <= AM_MODELS_MAX && i < n; i++) {
        size_t together = am_modules_count(models, i, &first);
        if (first)
            check_number(b, together, f);
    }
}

static bool base_is_apart(const struct am_body *b)
{
    const json_t *rules = b->row ? json_object_get(b->row, "rules") : NULL;
    for (size_t i = 0; i < json_array_size(rules); i++)
        if (am_streq(am_row_text(json_array_get(rules, i), "kind"), "base_apart"))
            return true;
    return false;
}

/* Models from `first` on against the base before them. */
static void check_apart(const struct am_body *b, size_t first, struct am_faults *f)
{
    char shown[AM_SHOWN];
    if (first == 0 || !base_is_apart(b))
        return;
    for (size_t i = first; i < b->inputs; i++)
        if (am_streq(b->input[i].role, "model") && same_version(b, &b->input[i], &b->input[first - 1]))
            am_fault_add(f, AM_E_INVALID_PARAMS,
                         (struct am_where){.pointer = b->input[i].pointer, .reason = "base-among-models"},
                         "%s is the base; the models of %s are other versions, so give one of them, or no base",
                         am_shown(shown, b->input[i].ref ? b->input[i].ref : b->input[i].job),
                         am_row_text(b->row, "name"));
}

static int merge_models(struct am_body *b, json_t *inputs, struct am_faults *f)
{
    char at[AM_POINTER];
    json_t *models = am_member_array(inputs, "#/inputs", "models", true, f);
    size_t n = json_array_size(models), first = b->inputs;
    if (models)
        check_count(b, models, f);
    for (size_t i = 0; i < n && i < AM_MODELS_MAX; i++) {
        size_t index = b->inputs;
        if (index + 2 > AM_ENTRIES_MAX)
            break;
        AM_TRY(add_model(b, json_array_get(models, i), i, f));
        am_modules_take(b, index, json_array_get(models, i), am_pointer_at(at, "#/inputs/models", i), f);
        if (index < b->inputs && !b->input[index].parts)
            check_twice(b, first, index, f);
    }
    check_apart(b, first, f);
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
        json_t *base = json_object_get(inputs, "base");
        static const char *const parts[] = {"stack", "modules", NULL}, *const pair[] = {"version", "adapter", NULL};
        char lora[AM_POINTER];
        bool stack = json_object_get(base, "stack") != NULL, with = json_object_get(base, "version") != NULL;
        am_members_known(stack || with ? base : NULL, "#/inputs/base", stack ? parts : pair, f);
        if (with && !stack)
            AM_TRY(add(b, "base", name_pair(base, "#/inputs/base", lora, f), "#/inputs/base/version", NULL, f));
        else if (stack)
            AM_TRY(add_stack(b, "base", base, "#/inputs/base", NULL, f));
        if (stack)
            am_modules_take(b, 0, base, "#/inputs/base", f);
        else
            AM_TRY(add(b, "base", name_version(inputs, "#/inputs", "base", false, f), "#/inputs/base", NULL, f));
    } else if (am_streq(need, "required")) {
        am_fault_add(f, AM_E_MISSING_INPUT, (struct am_where){.pointer = "#/inputs/base", .reason = "base-required"},
                     "%s needs base: %s", am_row_text(b->row, "name"), base_meaning(b));
    }
    AM_TRY(merge_models(b, inputs, f));
    am_stacks_check(b, f);
    return 0;
}

/* A base that gives names only has no use for an adapter. */
static void check_names_only(const struct am_body *b, struct am_faults *f)
{
    const char *need = b->row ? am_row_need(b->row, "base") : "";
    if (b->inputs && b->input[0].adapter && am_streq(b->input[0].role, "base") && am_streq(need, "donor"))
        am_fault_add(f, AM_E_INVALID_PARAMS,
                     (struct am_where){.pointer = b->input[b->input[0].adapter].pointer, .reason = "base-forbidden"},
                     "%s takes only names and other files from base, no numbers; leave its adapter out",
                     am_row_text(b->row, "name"));
}

/* To their place after the others. */
static void end_with_adapters(struct am_body *b)
{
    for (size_t i = 0; i < b->adapters; i++) {
        struct am_body_input *in = &b->input[AM_ENTRIES_MAX + i];
        b->input[in->of].adapter = b->inputs + i;
        b->input[b->inputs + i] = *in;
    }
    b->inputs += b->adapters;
}

static int task_inputs(struct am_body *b, json_t *task, struct named model, struct am_faults *f)
{
    static const char *const known[] = {"version", "base", NULL};
    am_members_known(task, "#/inputs/task", known, f);
    struct named version = name_version(task, "#/inputs/task", "version", true, f);
    AM_TRY(add(b, "patch", version, "#/inputs/task/version", NULL, f));
    if (json_object_get(task, "base"))
        return add(b, "old_base", name_version(task, "#/inputs/task", "base", false, f), "#/inputs/task/base", NULL, f);
    /* The same again, whose faults are told already under the model's own pointer. */
    bool good = b->input[0].ref || b->input[0].job;
    return add(b, "old_base", good ? model : (struct named){0}, "#/inputs/model", NULL, f);
}

static int unlearn_inputs(struct am_body *b, json_t *inputs, struct am_faults *f)
{
    static const char *const known[] = {"model", "task", NULL};
    const char *need = b->row ? am_row_need(b->row, "task") : "optional";
    am_members_known(inputs, "#/inputs", known, f);
    struct named model = name_version(inputs, "#/inputs", "model", true, f);
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
    return add(b, "input", name_version(inputs, "#/inputs", "model", true, f), "#/inputs/model", NULL, f);
}

int am_input_version(struct am_body *b, const char *role, json_t *obj, const char *name, struct am_faults *f)
{
    char at[AM_POINTER];
    return add(b, role, name_version(obj, "#/inputs", name, true, f), am_pointer(at, "#/inputs", name), NULL, f);
}

int am_input_listed(struct am_body *b, const char *role, const char *ref, const char *pointer, struct am_faults *f)
{
    return add(b, role, (struct named){.ref = ref}, pointer, NULL, f);
}

int am_inputs_check(struct am_body *b, json_t *inputs, const char *type, struct am_faults *f)
{
    b->input = calloc(AM_ENTRIES_MAX + AM_ADAPTERS_MAX, sizeof(*b->input));
    if (!b->input)
        return -AM_E_OUT_OF_MEMORY;
    b->inputs = 0;
    b->donor = 0; /* base, else the first model; the model of unlearn and edit: always the first entry */
    bool merge = am_streq(type, "merge");
    int rc = merge                        ? merge_inputs(b, inputs, f)
             : am_streq(type, "unlearn")  ? unlearn_inputs(b, inputs, f)
             : am_streq(type, "evaluate") ? am_inputs_evaluate(b, inputs, f)
                                          : edit_inputs(b, inputs, f);
    if (merge)
        check_names_only(b, f);
    end_with_adapters(b); /* also where a fault let one in that does not belong here */
    return rc;
}
