/*
 * tokens_put.c - the tokenizer files of a result (tokens.h): those of the donor as they are, those of another input, or
 * new ones.
 */
#include "core/base/text.h"
#include "worker/json_edit.h"
#include "worker/tokens.h"
#include "worker/vocab_write.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MADE_MAX ((size_t)128 << 20)
#define IDS_MAX 1000 /* in a list of a configuration; a longer one is none of tokens */

struct row {
    const char *path;
    bool slow; /* holds the vocabulary once more, for readers without tokenizer.json */
    int (*make)(struct am_tokens *t, const char *text, size_t n, struct am_buf *out); /* as am_tokens_config() */
};

static int make_tokenizer(struct am_tokens *t, const char *text, size_t n, struct am_buf *out);
static int make_config(struct am_tokens *t, const char *text, size_t n, struct am_buf *out);
static int make_added(struct am_tokens *t, const char *text, size_t n, struct am_buf *out);
static int make_jinja(struct am_tokens *t, const char *text, size_t n, struct am_buf *out);

static const struct row rows[] = {
    {"tokenizer.json", false, make_tokenizer},
    {"tokenizer_config.json", false, make_config},
    {"special_tokens_map.json", false, NULL},
    {"added_tokens.json", false, make_added},
    {"chat_template.jinja", false, make_jinja},
    {"chat_template.json", false, NULL},
    {"vocab.json", true, NULL},
    {"vocab.txt", true, NULL},
    {"merges.txt", true, NULL},
    {"tokenizer.model", true, NULL},
    {"spiece.model", true, NULL},
    {"sentencepiece.bpe.model", true, NULL},
};
#define ROWS (sizeof rows / sizeof *rows)
_Static_assert(ROWS < AM_TOKENS_FILES, "am_tokens.made has a place for each, and one for generation_config.json");

/* ---- ids in config.json ---- */

/* The id of the donor's token in the result; -1: it is not there. Ids that name no token stay. */
static json_int_t new_id(const struct am_tokens *t, double old)
{
    const struct am_vjoin_input *donor = &t->in[t->spec->donor];
    if (old < 0 || old >= AM_VOCAB_TOKENS || !am_vocab_at(donor->vocab, (uint32_t)old))
        return (json_int_t)old;
    uint32_t id = am_vjoin_id(&t->join, donor, (uint32_t)old);
    return id == AM_NO_TOKEN ? -1 : (json_int_t)id;
}

static int put_ids(const struct am_tokens *t, const json_t *list, struct am_buf *out)
{
    const json_t *v;
    size_t i, told = 0;
    AM_TRY(am_buf_puts(out, "["));
    json_array_foreach(list, i, v)
    {
        json_int_t id = new_id(t, json_number_value(v));
        if (id >= 0)
            AM_TRY(am_buf_printf(out, "%s%" JSON_INTEGER_FORMAT, told++ ? ", " : "", id));
    }
    return am_buf_puts(out, "]");
}

static bool all_numbers(const json_t *list)
{
    const json_t *v;
    size_t i;
    json_array_foreach(list, i, v) if (!json_is_number(v)) return false;
    return json_is_array(list) && json_array_size(list) <= IDS_MAX;
}

static int edit_ids(const struct am_tokens *t, const struct am_json_member *m, struct am_buf *out)
{
    if (all_numbers(m->value))
        return put_ids(t, m->value, out);
    json_int_t id = new_id(t, json_number_value(m->value));
    return id < 0 ? am_buf_puts(out, "null") : am_buf_printf(out, "%" JSON_INTEGER_FORMAT, id);
}

static int edit_inner(void *ctx, const struct am_json_member *m, struct am_buf *out)
{
    struct am_tokens *t = ctx;
    size_t before = out->len;
    int rc = 0;
    if (am_streq(m->key, "vocab_size") && json_is_number(m->value))
        rc = am_buf_printf(out, "%" PRIu64, t->rows);
    else if (t->joined && am_ends(m->key, "_token_id") && (json_is_number(m->value) || all_numbers(m->value)))
        rc = edit_ids(t, m, out);
    AM_TRY(rc);
    size_t n = out->len - before;
    return n > 0 && (n != m->n || memcmp(out->data + before, m->text, n) != 0);
}

/* Models of text and more have those of the text in an object of their own. */
static int edit_member(void *ctx, const struct am_json_member *m, struct am_buf *out)
{
    struct am_json_edit e = {.each = edit_inner, .ctx = ctx};
    bool inner = am_streq(m->key, "text_config") && json_is_object(m->value);
    return inner ? am_json_edit(m->text, m->n, &e, out) : edit_inner(ctx, m, out);
}

int am_tokens_config(struct am_tokens *t, const char *text, size_t n, struct am_buf *out)
{
    struct am_json_edit e = {.each = edit_member, .ctx = t};
    return t->rows ? am_json_edit(text, n, &e, out) : 0;
}

/* ---- files of the tokenizer ---- */

static int make_tokenizer(struct am_tokens *t, const char *text, size_t n, struct am_buf *out)
{
    if (!text || !t->changed)
        return 0;
    AM_TRY(am_vocab_write(&t->join, text, n, out));
    return 1;
}

static int dump_into(json_t *v, struct am_buf *out)
{
    int rc = v ? am_vocab_dump(v, out) : -AM_E_OUT_OF_MEMORY;
    json_decref(v);
    if (rc == 0 && out->len && out->data[out->len - 1] == '\n')
        out->len--;
    return rc < 0 ? rc : 1;
}

static int edit_config(void *ctx, const struct am_json_member *m, struct am_buf *out)
{
    struct am_tokens *t = ctx;
    if (t->changed && am_streq(m->key, "added_tokens_decoder"))
        return dump_into(am_vocab_decoder(&t->join), out);
    if (t->chat_text && am_streq(m->key, "chat_template"))
        return dump_into(json_string(t->chat_text), out);
    return 0;
}

static int make_config(struct am_tokens *t, const char *text, size_t n, struct am_buf *out)
{
    struct am_json_edit e = {.each = edit_config, .ctx = t};
    json_t *chat = t->chat_text ? json_string(t->chat_text) : NULL;
    char *quoted = chat ? json_dumps(chat, JSON_ENCODE_ANY) : NULL;
    json_decref(chat);
    if (quoted) {
        e.add_key = "chat_template";
        e.add_text = quoted;
    }
    int rc = text || quoted ? am_json_edit(text ? text : "{}", text ? n : 2, &e, out) : 0;
    free(quoted);
    if (rc != -AM_E_BAD_INPUT)
        return rc;
    am_session_warn(t->s, "config-syntax", "tokenizer_config.json is no JSON object and is kept as it is");
    return 0;
}

static int make_added(struct am_tokens *t, const char *text, size_t n, struct am_buf *out)
{
    (void)n;
    return text && t->changed ? dump_into(am_vocab_added(&t->join), out) : 0;
}

static int make_jinja(struct am_tokens *t, const char *text, size_t n, struct am_buf *out)
{
    (void)n;
    if (!text || !t->chat_text)
        return 0;
    AM_TRY(am_buf_puts(out, t->chat_text));
    return 1;
}

/* A file of the donor stays only when nothing is put here in its place. */
static int put_row(struct am_tokens *t, size_t i, am_tokens_put_fn *put, void *ctx)
{
    const struct row *r = &rows[i];
    bool own = t->same[t->source] == t->same[t->spec->donor];
    struct am_buf made;
    char *text;
    size_t n;
    AM_TRY(am_tokens_read(t, t->source, r->path, &text, &n));
    am_buf_init(&made, MADE_MAX);
    int rc = r->make ? r->make(t, text, n, &made) : 0;
    t->made[i] = rc == 1 || !own || (r->slow && t->changed);
    if (rc == 1)
        rc = put(ctx, r->path, made.data, made.len);
    else if (rc == 0 && text && !own && !(r->slow && t->changed))
        rc = put(ctx, r->path, text, n);
    am_buf_done(&made);
    free(text);
    return rc;
}

static int put_generation(struct am_tokens *t, am_tokens_put_fn *put, void *ctx)
{
    struct am_buf made;
    char *text;
    size_t n;
    AM_TRY(am_tokens_read(t, t->spec->donor, "generation_config.json", &text, &n));
    am_buf_init(&made, MADE_MAX);
    int rc = text ? am_tokens_config(t, text, n, &made) : 0;
    if (rc == 1) {
        t->made[ROWS] = true;
        rc = put(ctx, "generation_config.json", made.data, made.len);
    }
    am_buf_done(&made);
    free(text);
    return rc == -AM_E_BAD_INPUT ? 0 : rc;
}

int am_tokens_put(struct am_tokens *t, am_tokens_put_fn *put, void *ctx)
{
    if (!t->name)
        return 0;
    for (size_t i = 0; i < ROWS; i++)
        AM_TRY(put_row(t, i, put, ctx));
    return put_generation(t, put, ctx);
}

bool am_tokens_keeps(const struct am_tokens *t, const char *path)
{
    for (size_t i = 0; i < ROWS; i++)
        if (t->made[i] && am_streq(path, rows[i].path))
            return false;
    return !t->made[ROWS] || !am_streq(path, "generation_config.json");
}
