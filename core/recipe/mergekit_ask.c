/*
 * mergekit_ask.c - what the query of a request says beside the YAML: where the result goes and how the job runs
 * (api.md 5.2). Texts become what the body has in their place; what is none of it stays a text, and is a fault there.
 */
#include "core/base/text.h"
#include "core/recipe/mergekit_parts.h"

#include <string.h>

static json_t *number(const char *text)
{
    double d;
    if (am_yaml_number(text, &d) < 0)
        return json_string(text);
    bool whole = text[strspn(text, "0123456789")] == 0 && d <= 9007199254740991.0;
    return whole ? json_integer((json_int_t)d) : json_real(d);
}

/* Bytes with mergekit's suffixes of 1000s as well. */
static json_t *bytes(const char *text)
{
    char plain[32];
    uint64_t n;
    static const char *const unit[] = {"k", "M", "B"};
    static const uint64_t each[] = {1000, 1000000, 1000000000};
    if (am_parse_size(text, &n) == 0 && n <= INT64_MAX)
        return json_integer((json_int_t)n);
    for (size_t i = 0; i < 3; i++) {
        if (!am_ends(text, unit[i]) || strlen(text) >= sizeof plain)
            continue;
        snprintf(plain, sizeof plain, "%.*s", (int)strlen(text) - 1, text);
        if (am_parse_u64(plain, &n) == 0 && n <= INT64_MAX / each[i])
            return json_integer((json_int_t)(n * each[i]));
    }
    return json_string(text);
}

static json_t *truth(const char *text)
{
    return am_streq(text, "true") ? json_true() : am_streq(text, "false") ? json_false() : json_string(text);
}

enum how { TEXT, NUMBER, BYTES, TRUTH };

/* query parameter, member of the body, and its kind */
static const struct row {
    const char *name, *object, *member;
    enum how how;
} rows[] = {
    {"model", "publish", "model", TEXT},
    {"branch", "publish", "branch", TEXT},
    {"message", "publish", "message", TEXT},
    {"on_conflict", "publish", "on_conflict", TEXT},
    {"seed", "options", "seed", NUMBER},
    {"shard_bytes", "options", "shard_bytes", BYTES},
    {"post_layers_t", "options", "post_layers_t", NUMBER},
    {"allow_mixed_architectures", "options", "allow_mixed_architectures", TRUTH},
    {"missing", "options", "missing", TEXT},
    {"extra", "options", "extra", TEXT},
    {"nonfinite", "params", "nonfinite", TEXT},
    {"overflow", "params", "overflow", TEXT},
    {"gate", "gate", "policy", TEXT},
    {"against", "gate", "against", TEXT},
    {"data", "gate", "data", TEXT},
    {"priority", NULL, "priority", NUMBER},
};

static json_t *value_of(const struct row *row, const char *text)
{
    return row->how == NUMBER  ? number(text)
           : row->how == BYTES ? bytes(text)
           : row->how == TRUTH ? truth(text)
                               : json_string(text);
}

static void put(struct am_mk *k, json_t *body, const struct row *row, const char *text)
{
    char at[AM_POINTER], pointer[AM_POINTER], query[80];
    json_t *o = row->object ? json_object_get(body, row->object) : body;
    if (!o) {
        o = json_object();
        json_object_set_new(body, row->object, o);
    }
    json_object_set_new(o, row->member, value_of(row, text));
    snprintf(query, sizeof query, "?%s", row->name);
    am_pointer(at, "#", row->object ? row->object : row->member);
    am_mk_place(k, row->object ? am_pointer(pointer, at, row->member) : at, query);
    if (am_streq(row->object, "gate"))
        am_mk_place(k, "#/gate", "?gate");
}

static void put_metadata(struct am_mk *k, const char *name, const char *text)
{
    char pointer[AM_POINTER], query[160];
    json_object_set_new(k->metadata, name + strlen("metadata."), json_string(text));
    snprintf(query, sizeof query, "?%.140s", name);
    am_mk_place(k, am_pointer(pointer, "#/metadata", name + strlen("metadata.")), query);
}

/* A stage goes to a model of its own beside the result's; a branch, tags and gates are the result's. */
static bool is_of_stages(const struct row *row)
{
    static const char *const results[] = {"branch", "message", "on_conflict", "gate", "against", "data"};
    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        if (am_streq(row->name, results[i]))
            return false;
    return true;
}

static void name_stage(struct am_mk *k)
{
    char text[400];
    const char *model = json_string_value(json_object_get(k->publish, "model"));
    if (!model || am_model_name_fault(model))
        return;
    snprintf(text, sizeof text, "%.200s-%.100s", model, k->names->own);
    json_object_set_new(k->publish, "model", json_string(text));
    am_mk_place(k, "#/publish/model", "#/name");
}

void am_mk_ask(struct am_mk *k, json_t *body)
{
    bool stage = k->names && k->names->own;
    const char *name;
    json_t *v, *tags = json_object_get(k->ask, "tag");
    json_object_foreach(k->ask, name, v)
    {
        const char *text = json_string_value(v);
        for (size_t i = 0; text && i < sizeof rows / sizeof *rows; i++)
            if (am_streq(name, rows[i].name) && (!stage || is_of_stages(&rows[i])))
                put(k, body, &rows[i], text);
        if (text && am_starts(name, "metadata."))
            put_metadata(k, name, text);
    }
    am_mk_place(k, "#/publish", "?model");
    am_mk_place(k, "#/publish/model", "?model");
    if (stage)
        name_stage(k);
    else if (tags) {
        json_object_set(k->publish, "tags", tags);
        am_mk_place(k, "#/publish/tags", "?tag");
    }
}
