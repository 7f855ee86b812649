/*
 * mergekit_tokenizer.c - tokenizer, tokenizer_source and chat_template of a configuration, as options of the body.
 */
#include "core/base/text.h"
#include "core/recipe/mergekit_parts.h"

#include <string.h>

static bool given(const json_t *v)
{
    return v && !json_is_null(v);
}

/* A model as the body names it: an adapter has no tokens of its own, so its base is meant. New reference, or NULL. */
static json_t *model_of(struct am_mk *k, json_t *v, const char *at)
{
    json_t *ref = am_mk_ref(k, v, at);
    const char *text = json_string_value(ref), *plus = text ? strchr(text, '+') : NULL;
    json_t *base = plus ? json_stringn(text, (size_t)(plus - text)) : json_incref(ref);
    json_decref(ref);
    return base;
}

/* union, base, or a model as the body names it. */
static json_t *source_of(struct am_mk *k, json_t *v, const char *at)
{
    const char *text = json_string_value(v);
    if (!given(v) || am_streq(text, "union") || am_streq(text, "base"))
        return json_string(text ? text : "union");
    static const char *const words[] = {"union", "base"};
    const char *near = text && strlen(text) <= 100 ? am_nearest(text, words, 2) : NULL;
    json_t *stage = NULL;
    if (text && am_mk_stage(k, text, at, &stage))
        return stage;
    char shown[AM_SHOWN];
    if (text && *text && !strpbrk(text, "/~"))
        return am_mk_fault(k, AM_E_INVALID_PARAMS, at, "tokenizer-source",
                           "%s is no source: expected union, base, or one of the models that are merged%s%s%s",
                           am_shown(shown, text), near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    return model_of(k, v, at);
}

/* The source of one token's row: a model, or {kind, model, token, token_id} with the model's name. */
static json_t *row_of(struct am_mk *k, json_t *v, const char *at)
{
    char model_at[AM_POINTER];
    if (!json_object_get(v, "kind"))
        return model_of(k, v, at);
    json_t *row = json_deep_copy(v), *model = json_object_get(v, "model");
    if (!given(model))
        return row;
    json_object_set_new(row, "model", model_of(k, model, am_pointer(model_at, at, "model")));
    return row;
}

static json_t *tokens_of(struct am_mk *k, json_t *tokens)
{
    static const char all[] = "#/tokenizer/tokens";
    char at[AM_POINTER], source_at[AM_POINTER];
    json_t *out = json_deep_copy(tokens), *v;
    const char *token;
    json_object_foreach(tokens, token, v)
    {
        json_t *source = json_object_get(v, "source");
        am_pointer(source_at, am_pointer(at, all, token), "source");
        if (given(source))
            json_object_set_new(json_object_get(out, token), "source", row_of(k, source, source_at));
    }
    return out;
}

static void take_template(struct am_mk *k)
{
    json_t *v = json_object_get(k->doc, "chat_template");
    am_mk_place(k, "#/options/chat_template", "#/chat_template");
    if (given(v))
        json_object_set(k->options, "chat_template", v);
}

void am_mk_tokenizer(struct am_mk *k)
{
    static const char *const known[] = {"source", "tokens", "pad_to_multiple_of", NULL};
    json_t *old = json_object_get(k->doc, "tokenizer_source"), *new = json_object_get(k->doc, "tokenizer"), *v;
    take_template(k);
    if (given(old) && given(new))
        am_mk_fault(k, AM_E_INVALID_REQUEST, "#/tokenizer", "tokenizer-twice",
                    "give tokenizer or tokenizer_source, not both");
    if (given(new) && !json_is_object(new)) {
        am_mk_fault(k, AM_E_INVALID_REQUEST, "#/tokenizer", NULL, "expected {source: union, base or a model}, got %s",
                    am_json_kind(new));
        return;
    }
    if (!given(old) && !given(new)) {
        if (k->rules) /* as mergekit: what the inputs do not have in common is left out */
            json_object_set_new(k->options, "vocab", json_string("truncate"));
        return;
    }
    am_mk_keys(k, new, "#/tokenizer", known);
    am_mk_place(k, "#/options/tokenizer", given(new) ? "#/tokenizer" : "#/tokenizer_source");
    if (!given(new))
        am_mk_place(k, "#/options/tokenizer/source", "#/tokenizer_source");
    json_t *o = json_object();
    json_object_set_new(o, "source",
                        given(new) ? source_of(k, json_object_get(new, "source"), "#/tokenizer/source")
                                   : source_of(k, old, "#/tokenizer_source"));
    if (given(v = json_object_get(new, "tokens")))
        json_object_set_new(o, "tokens", tokens_of(k, v));
    if (given(v = json_object_get(new, "pad_to_multiple_of")))
        json_object_set(o, "pad_to_multiple_of", v);
    json_object_set_new(k->options, "tokenizer", o);
}
