/*
 * body.c - the body of POST /v1/jobs: type, method, options, metadata, and the order of everything (body.h).
 * inputs.c, params.c and publish.c check the larger parts. All faults are gathered before anything is answered.
 */
#include "core/table/body.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/table/body_parts.h"
#include "core/table/json_util.h"
#include "core/table/members.h"
#include "core/table/order.h"
#include "core/table/params.h"
#include "core/table/settings.h"

#include <stdlib.h>
#include <string.h>

#define THREADS_MAX 64
#define SHARD_MAX 50000000000LL
#define METADATA_MAX 16
#define KEY_MAX 64
#define VALUE_MAX 512
#define PRIORITY_DEFAULT 50
#define ATTEMPTS_MAX 10
#define TIME_LIMIT_MAX (366 * 86400)

/* `type` as the table holds it; NULL when no method has it. */
static const char *known_type(const struct am_table *t, const char *type, size_t n)
{
    const json_t *methods = json_object_get(t->root, "methods");
    for (size_t i = 0; i < json_array_size(methods); i++) {
        const char *have = am_row_text(json_array_get(methods, i), "type");
        if (strlen(have) == n && strncmp(have, type, n) == 0)
            return have;
    }
    return NULL;
}

/* The types of the table, each once (the table is sorted by type). Returns how many. */
static size_t list_types(const struct am_table *t, const char *names[8], char list[AM_LIST_TEXT])
{
    const json_t *methods = json_object_get(t->root, "methods");
    size_t n = 0;
    for (size_t i = 0; i < json_array_size(methods); i++) {
        const char *have = am_row_text(json_array_get(methods, i), "type");
        if (n == 8 || (n > 0 && strcmp(names[n - 1], have) == 0))
            continue;
        names[n++] = have;
        am_list_put(list, have);
    }
    return n;
}

static void list_methods(const struct am_table *t, const char *type, char list[AM_LIST_TEXT])
{
    const json_t *methods = json_object_get(t->root, "methods");
    for (size_t i = 0; i < json_array_size(methods); i++) {
        const json_t *m = json_array_get(methods, i);
        if (strcmp(am_row_text(m, "type"), type) == 0)
            am_list_put(list, am_row_text(m, "name"));
    }
}

static void unknown_type(const struct am_table *t, const char *type, struct am_faults *f)
{
    static const char *const later[] = {"adapt", "select"};
    const char *names[8];
    char list[AM_LIST_TEXT] = "", shown[AM_SHOWN];
    size_t n = list_types(t, names, list);
    struct am_where w = {.pointer = "#/type", .reason = "unknown-method"};
    for (size_t i = 0; i < 2; i++) {
        if (am_streq(type, later[i])) {
            am_fault_add(f, AM_E_UNKNOWN_METHOD, w, "this version has no %s methods; it has: %s", type, list);
            return;
        }
    }
    const char *near = strnlen(type, 101) <= 100 ? am_nearest(type, names, n) : NULL;
    if (near)
        am_fault_add(f, AM_E_UNKNOWN_METHOD, w, "unknown type \"%s\"; did you mean %s?", am_shown(shown, type), near);
    else
        am_fault_add(f, AM_E_UNKNOWN_METHOD, w, "unknown type \"%s\"; known: %s", am_shown(shown, type), list);
}

/* The type: as given, else as the method's prefix says (its absence is a fault all the same). NULL when unknown. */
static const char *check_type(const struct am_table *t, json_t *body, struct am_faults *f)
{
    const char *type = am_member_text(body, "#", "type", true, NULL, f);
    if (type) {
        const char *known = known_type(t, type, strlen(type));
        if (!known)
            unknown_type(t, type, f);
        return known;
    }
    const char *method = json_string_value(json_object_get(body, "method"));
    const char *slash = method ? strchr(method, '/') : NULL;
    return slash ? known_type(t, method, (size_t)(slash - method)) : NULL;
}

/* Another type that has this method, or NULL. */
static const char *type_of(const struct am_table *t, const char *method)
{
    const char *slash = strchr(method, '/');
    const char *name = slash ? slash + 1 : method;
    const json_t *methods = json_object_get(t->root, "methods");
    for (size_t i = 0; i < json_array_size(methods); i++) {
        const json_t *m = json_array_get(methods, i);
        const char *have = am_row_text(m, "type");
        if (strcmp(am_row_text(m, "name"), name) == 0 &&
            (!slash || known_type(t, method, (size_t)(slash - method)) == have))
            return have;
    }
    return NULL;
}

static void unknown_method(const struct am_table *t, const char *type, const char *method, struct am_faults *f)
{
    char list[AM_LIST_TEXT] = "", shown[AM_SHOWN];
    struct am_where w = {.pointer = "#/method", .reason = "unknown-method"};
    const char *near = am_table_nearest(t, type, method);
    const char *other = type_of(t, method);
    list_methods(t, type, list);
    am_shown(shown, method);
    if (other)
        am_fault_add(f, AM_E_UNKNOWN_METHOD, w, "%s is of type %s, and type is %s", shown, other, type);
    else if (near)
        am_fault_add(f, AM_E_UNKNOWN_METHOD, w, "unknown %s method \"%s\"; did you mean %s?", type, shown, near);
    else
        am_fault_add(f, AM_E_UNKNOWN_METHOD, w, "unknown %s method \"%s\"; known: %s", type, shown, list);
}

static void check_method(struct am_body *b, const struct am_table *t, json_t *body, const char *type,
                         struct am_faults *f)
{
    const char *method = am_member_text(body, "#", "method", true, NULL, f);
    if (!method || !type)
        return;
    b->row = am_table_find(t, type, method);
    if (!b->row) {
        unknown_method(t, type, method, f);
        return;
    }
    b->type = am_row_text(b->row, "type");
    b->method = am_row_text(b->row, "name");
}

/* The safetensors name of `text`, also by its name in torch; NULL when a result cannot be stored so. */
static const char *dtype_name(const char *text)
{
    static const char *const names[][2] = {{"F32", "float32"}, {"F16", "float16"}, {"BF16", "bfloat16"}};
    for (size_t i = 0; i < 3; i++) {
        if (am_streq(text, names[i][0]) || am_streq(text, names[i][1]))
            return names[i][0];
    }
    return NULL;
}

static json_t *out_dtype(json_t *options, struct am_faults *f)
{
    char shown[AM_SHOWN];
    const json_t *v = json_object_get(options, "out_dtype");
    if (!v || json_is_null(v))
        return json_null();
    const char *text = am_member_text(options, "#/options", "out_dtype", false, NULL, f);
    const char *name = text ? dtype_name(text) : NULL;
    if (text && !name)
        am_fault_add(f, AM_E_DTYPE_UNSUPPORTED, (struct am_where){.pointer = "#/options/out_dtype", .reason = "dtype"},
                     "dtype %s cannot be stored; use F32, F16 or BF16", am_shown(shown, text));
    return name ? json_string(name) : json_null();
}

/* When and how often it runs. */
static void check_schedule(struct am_body *b, json_t *options, struct am_faults *f)
{
    char shown[AM_SHOWN];
    struct am_where w = {.pointer = "#/options/not_before"};
    b->max_attempts = (int)am_member_int(options, "#/options", "max_attempts", 1, ATTEMPTS_MAX, 0, f);
    b->time_limit_seconds = am_member_int(options, "#/options", "time_limit_seconds", 1, TIME_LIMIT_MAX, 0, f);
    const char *text = am_member_text(options, "#/options", "not_before", false, NULL, f);
    if (text && am_time_parse(text, &b->not_before) < 0)
        am_fault_add(f, AM_E_INVALID_PARAMS, w,
                     "%s is no time; expected RFC 3339 with an offset, such as 2026-11-23T01:48:10Z",
                     am_shown(shown, text));
}

/* The depth of what comes after the layers, for values over the depth. */
static int check_post_layers(struct am_body *b, json_t *options, struct am_faults *f)
{
    const json_t *v = json_object_get(options, "post_layers_t");
    double t = v ? json_number_value(v) : 1;
    if (v && (!json_is_number(v) || !(t >= 0 && t <= 1)))
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/options/post_layers_t"},
                     "expected a number from 0 (as the first layer) to 1 (as the last)");
    if (!am_settings_have_depth(b))
        return 0;
    return json_object_set_new(b->options, "post_layers_t", json_real(t)) < 0 ? -AM_E_OUT_OF_MEMORY : 0;
}

/* What is done about tensors that not all inputs have. Only what is not the default is kept. */
static void check_ways(struct am_body *b, json_t *options, struct am_faults *f)
{
    static const char *const names[] = {"missing", "extra"}, *const values[][3] = {{"refuse", "present", "base"},
                                                                                   {"refuse", "keep", "drop"}};
    for (size_t i = 0; i < 2; i++) {
        char at[AM_POINTER], shown[AM_SHOWN];
        const char *const *v = values[i], *text = am_member_text(options, "#/options", names[i], false, NULL, f);
        struct am_where w = {.pointer = am_pointer(at, "#/options", names[i])};
        if (!text)
            continue;
        if (b->type && !am_streq(b->type, "merge"))
            am_fault_add(f, AM_E_INVALID_PARAMS, w, "goes with merges; leave it out");
        else if (!am_streq(text, v[0]) && !am_streq(text, v[1]) && !am_streq(text, v[2]))
            am_fault_add(f, AM_E_INVALID_PARAMS, w, "%s is none of %s, %s, %s", am_shown(shown, text), v[0], v[1],
                         v[2]);
        else if (!am_streq(text, v[0]))
            json_object_set_new(b->options, names[i], json_string(text));
    }
}

static int check_options(struct am_body *b, json_t *options, struct am_faults *f)
{
    static const char *const known[] = {"out_dtype",
                                        "shard_bytes",
                                        "post_layers_t",
                                        "allow_mixed_architectures",
                                        "tokenizer",
                                        "vocab",
                                        "chat_template",
                                        "missing",
                                        "extra",
                                        "seed",
                                        "threads",
                                        "max_attempts",
                                        "time_limit_seconds",
                                        "not_before",
                                        "reuse",
                                        NULL};
    bool reports = am_streq(b->type, "evaluate"); /* and writes no weights: the first nine say nothing there */
    am_members_known(options, "#/options", reports ? known + 9 : known, f);
    const char *data = b->row ? am_row_need(b->row, "data") : "";
    bool data_free = am_streq(data, "none") || am_streq(data, "predictions"); /* both are pinned by their bytes */
    b->reuse = am_member_bool(options, "#/options", "reuse", data_free, f);
    check_schedule(b, options, f);
    json_int_t seed = am_member_int(options, "#/options", "seed", 0, INT64_MAX, 0, f);
    json_int_t threads = am_member_int(options, "#/options", "threads", 1, THREADS_MAX, 0, f);
    if (reports) {
        b->options = json_pack("{s:I,s:I}", "seed", seed, "threads", threads);
        return b->options ? 0 : -AM_E_OUT_OF_MEMORY;
    }
    json_int_t shard = am_member_int(options, "#/options", "shard_bytes", 0, SHARD_MAX, AM_SHARD_BYTES, f);
    b->options = json_pack("{s:I,s:I,s:o,s:I}", "seed", seed, "threads", threads, "out_dtype", out_dtype(options, f),
                           "shard_bytes", shard);
    b->mixed_architectures = am_member_bool(options, "#/options", "allow_mixed_architectures", false, f);
    if (b->mixed_architectures && b->options)
        json_object_set_new(b->options, "allow_mixed_architectures", json_true());
    AM_TRY(am_tokenizer_check(b, options, f));
    if (b->options)
        check_ways(b, options, f);
    return b->options ? check_post_layers(b, options, f) : -AM_E_OUT_OF_MEMORY;
}

static void check_pair(const char *key, const json_t *value, struct am_faults *f)
{
    char at[AM_POINTER];
    struct am_where w = {.pointer = am_pointer(at, "#/metadata", key)};
    size_t n = strlen(key);
    if (n == 0 || n > KEY_MAX)
        am_fault_add(f, AM_E_INVALID_PARAMS, w, "this name has %zu bytes; 1 to %d are taken", n, KEY_MAX);
    if (!json_is_string(value))
        am_fault_add(f, AM_E_INVALID_REQUEST, w, "expected a text, got %s", am_json_kind(value));
    else if (json_string_length(value) > VALUE_MAX)
        am_fault_add(f, AM_E_INVALID_PARAMS, w, "this text has %zu bytes; at most %d are taken",
                     json_string_length(value), VALUE_MAX);
}

void am_metadata_check(json_t *metadata, struct am_faults *f)
{
    const char *key;
    json_t *v;
    size_t n = json_object_size(metadata);
    if (n > METADATA_MAX)
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/metadata"},
                     "%zu pairs; at most %d are taken", n, METADATA_MAX);
    json_object_foreach(metadata, key, v) check_pair(key, v, f);
}

static int check_metadata(struct am_body *b, json_t *body, struct am_faults *f)
{
    json_t *metadata = am_member_object(body, "#", "metadata", false, f);
    am_metadata_check(metadata, f);
    b->metadata = metadata ? json_incref(metadata) : json_object();
    return b->metadata ? 0 : -AM_E_OUT_OF_MEMORY;
}

static int check_publish(struct am_body *b, json_t *body, const char *type, struct am_faults *f)
{
    json_t *publish = am_member_object(body, "#", "publish", false, f);
    if (!publish && json_object_get(body, "publish"))
        return 0; /* no object: one fault is enough */
    if (am_streq(type, "evaluate"))
        return am_publish_evaluate(b, publish, f);
    return am_publish_check(b, publish, type, f);
}

static int check_all(struct am_body *b, json_t *body, const struct am_table *t, struct am_faults *f)
{
    static const char *const known[] = {"gate",    "type",     "method",   "inputs",       "params",          "options",
                                        "publish", "metadata", "priority", "client_token", "mergekit_config", NULL};
    const char *type = check_type(t, body, f);
    am_members_known(body, "#", known, f);
    check_method(b, t, body, type, f);
    json_t *inputs = am_member_object(body, "#", "inputs", true, f);
    if (type && inputs)
        AM_TRY(am_inputs_check(b, inputs, type, f));
    json_t *params = am_member_object(body, "#", "params", false, f);
    if (b->row)
        AM_TRY(am_params_check(b, params, f));
    AM_TRY(am_gate_check(b, body, am_streq(type, "evaluate"), f));
    AM_TRY(check_options(b, am_member_object(body, "#", "options", false, f), f));
    AM_TRY(check_publish(b, body, type, f));
    AM_TRY(check_metadata(b, body, f));
    b->priority = (int)am_member_int(body, "#", "priority", 0, 100, PRIORITY_DEFAULT, f);
    b->mergekit_config = am_member_text(body, "#", "mergekit_config", false, NULL, f);
    am_member_text(body, "#", "client_token", false, NULL, f); /* its form is checked where keys are */
    return 0;
}

int am_body_check(struct am_body *ret, json_t *body, const struct am_table *t, struct am_faults *faults)
{
    struct am_body b = {0};
    size_t first = faults->n;
    if (!json_is_object(body))
        return am_fault_add(faults, AM_E_INVALID_REQUEST, (struct am_where){.pointer = "#"},
                            "expected an object, got %s", am_json_kind(body));
    if (json_object_get(body, "merge_method") && !json_object_get(body, "type"))
        return am_fault_add(
            faults, AM_E_INVALID_REQUEST, (struct am_where){.pointer = "#/merge_method", .reason = "media-type"},
            "this is a configuration of mergekit: send it as it is, with Content-Type: application/yaml "
            "(JSON is YAML, too)");
    int rc = check_all(&b, body, t, faults);
    am_faults_order(faults, first, body);
    if (rc < 0) {
        am_body_done(&b);
        return rc;
    }
    *ret = b;
    return am_faults_worst(faults);
}

void am_body_done(struct am_body *b)
{
    for (size_t i = 0; i < b->inputs; i++) {
        free(b->input[i].ref);
        free(b->input[i].job);
        free(b->input[i].set);
        free(b->input[i].pointer);
        json_decref(b->input[i].params);
        json_decref(b->input[i].modules);
    }
    free(b->input);
    json_decref(b->params);
    json_decref(b->options);
    json_decref(b->metadata);
    json_decref(b->tags);
    json_decref(b->gate_policy);
    json_decref(b->move);
    json_decref(b->tasks);
    json_decref(b->line);
    free(b->gate_name);
    free(b->gate_against);
    free(b->gate_set[0]);
    free(b->gate_set[1]);
    free(b->data);
    free(b->publish_model);
    free(b->branch);
    free(b->message);
    free(b->on_conflict);
    free(b->if_head);
    *b = (struct am_body){0};
}
