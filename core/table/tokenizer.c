/*
 * tokenizer.c - the options about what a result's tokenizer is (merge.md B12 to B14): tokenizer, vocab, chat_template.
 * Whether a token is in a model is for the worker to say, which reads their files.
 */
#include "core/table/body_parts.h"

#include "core/base/text.h"
#include "core/table/json_util.h"
#include "core/table/members.h"

#include <string.h>

#define TOKENS_MAX 10000
#define TOKEN_BYTES 1024
#define PAD_MAX 65536
#define TEMPLATE_BYTES 262144

static int set_text(json_t *o, const char *name, const char *text)
{
    return text && json_object_set_new(o, name, json_string(text)) < 0 ? -AM_E_OUT_OF_MEMORY : 0;
}

static void too_long(const char *at, size_t n, size_t most, struct am_faults *f)
{
    am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at},
                 "this text has %zu bytes; 1 to %zu are taken", n, most);
}

/* {"kind": "zero"}, or {"kind": "model_token", "model", and one of "token" and "token_id"}. */
static void check_row(json_t *row, const char *at, struct am_faults *f)
{
    static const char *const known[] = {"kind", "model", "token", "token_id", NULL};
    char token_at[AM_POINTER];
    am_members_known(row, at, known, f);
    const char *kind = am_member_text(row, at, "kind", true, NULL, f);
    if (!kind || am_streq(kind, "zero"))
        return;
    if (!am_streq(kind, "model_token")) {
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = am_pointer(token_at, at, "kind")},
                     "expected zero or model_token");
        return;
    }
    am_member_text(row, at, "model", true, NULL, f);
    am_member_int(row, at, "token_id", 0, INT32_MAX, 0, f);
    const char *token = am_member_text(row, at, "token", false, NULL, f);
    if (!token == !json_object_get(row, "token_id"))
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = am_pointer(token_at, at, "token")},
                     "give either token or token_id");
}

static void check_token(json_t *v, const char *at, struct am_faults *f)
{
    static const char *const known[] = {"source", "force", NULL};
    char source_at[AM_POINTER];
    if (!json_is_object(v)) {
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = at}, "expected {source, force}, got %s",
                     am_json_kind(v));
        return;
    }
    am_members_known(v, at, known, f);
    json_t *source = json_object_get(v, "source");
    if (am_member_bool(v, at, "force", false, f) && !source)
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at},
                     "force puts the row of source everywhere, so it needs a source");
    if (json_is_object(source))
        check_row(source, am_pointer(source_at, at, "source"), f);
    else
        am_member_text(v, at, "source", false, NULL, f);
}

static void check_tokens(json_t *tokens, struct am_faults *f)
{
    static const char all[] = "#/options/tokenizer/tokens";
    char at[AM_POINTER];
    const char *token;
    json_t *v;
    if (json_object_size(tokens) > TOKENS_MAX)
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = all}, "%zu tokens; at most %d are taken",
                     json_object_size(tokens), TOKENS_MAX);
    json_object_foreach(tokens, token, v)
    {
        am_pointer(at, all, token);
        if (!*token || strlen(token) > TOKEN_BYTES)
            too_long(at, strlen(token), TOKEN_BYTES, f);
        check_token(v, at, f);
    }
}

static int check_join(struct am_body *b, json_t *options, struct am_faults *f)
{
    static const char *const known[] = {"source", "tokens", "pad_to_multiple_of", NULL};
    static const char at[] = "#/options/tokenizer";
    json_t *o = am_member_object(options, "#/options", "tokenizer", false, f);
    if (!o)
        return 0;
    am_members_known(o, at, known, f);
    const char *source = am_member_text(o, at, "source", false, "union", f);
    json_t *tokens = am_member_object(o, at, "tokens", false, f), *out = json_object();
    int64_t pad = am_member_int(o, at, "pad_to_multiple_of", 1, PAD_MAX, 1, f);
    check_tokens(tokens, f);
    int rc = out ? set_text(out, "source", source) : -AM_E_OUT_OF_MEMORY;
    if (rc == 0 && json_object_size(tokens))
        rc = json_object_set_new(out, "tokens", json_deep_copy(tokens)) < 0 ? -AM_E_OUT_OF_MEMORY : 0;
    if (rc == 0 && pad > 1)
        rc = json_object_set_new(out, "pad_to_multiple_of", json_integer(pad)) < 0 ? -AM_E_OUT_OF_MEMORY : 0;
    if (rc == 0)
        return json_object_set_new(b->options, "tokenizer", out) < 0 ? -AM_E_OUT_OF_MEMORY : 0;
    json_decref(out);
    return rc;
}

/* A name, or Jinja; a text that is neither would be what every conversation looks like. */
static void check_template(const char *text, struct am_faults *f)
{
    static const char *const names[] = {"auto", "alpaca", "chatml", "exaone", "llama3", "mistral"};
    const size_t n = sizeof names / sizeof *names;
    char shown[AM_SHOWN], list[AM_LIST_TEXT] = "";
    if (strchr(text, '{'))
        return;
    for (size_t i = 0; i < n; i++) {
        if (am_streq(text, names[i]))
            return;
        am_list_put(list, names[i]);
    }
    const char *near = strlen(text) <= 100 ? am_nearest(text, names, n) : NULL;
    am_fault_add(f, AM_E_INVALID_PARAMS,
                 (struct am_where){.pointer = "#/options/chat_template", .reason = "template-unknown"},
                 "%s is no template: expected %s, or Jinja%s%s%s", am_shown(shown, text), list,
                 near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

int am_tokenizer_check(struct am_body *b, json_t *options, struct am_faults *f)
{
    if (!b->options)
        return 0;
    AM_TRY(check_join(b, options, f));
    const char *vocab = am_member_text(options, "#/options", "vocab", false, NULL, f);
    if (vocab && !am_streq(vocab, "truncate") && !am_streq(vocab, "refuse"))
        am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/options/vocab"},
                     "expected truncate or refuse");
    if (vocab && am_streq(vocab, "truncate"))
        AM_TRY(set_text(b->options, "vocab", vocab));
    const char *chat = am_member_text(options, "#/options", "chat_template", false, NULL, f);
    if (chat && (!*chat || strlen(chat) > TEMPLATE_BYTES))
        too_long("#/options/chat_template", strlen(chat), TEMPLATE_BYTES, f);
    else if (chat)
        check_template(chat, f);
    return set_text(b->options, "chat_template", chat);
}
