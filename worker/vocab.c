/*
 * vocab.c - see vocab.h.
 */
#include "worker/vocab.h"

#include "core/base/err.h"
#include "core/base/text.h"
#include "core/table/json_util.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX ((uint64_t)256 << 20)
#define FLAGS 5

struct reader {
    struct am_vocab v;
    const char *label;
    struct am_faults *faults;
    size_t cap, text_n, text_cap;
};

static int bad(const struct reader *r, const char *reason, const char *why)
{
    return am_fault_add(r->faults, AM_E_TOKENIZER, (struct am_where){.reason = reason, .file = "tokenizer.json"},
                        "the tokenizer.json of %.200s cannot be used: %.300s. Write it anew (AutoTokenizer, then "
                        "save_pretrained) and register the model again, or leave tokenizer out of the merge",
                        r->label, why);
}

/* Of one of its tokens. */
static int bad_token(const struct reader *r, const char *reason, const char *text, const char *what)
{
    char shown[AM_SHOWN], why[AM_SHOWN + 160];
    snprintf(why, sizeof why, "the token %s %s", am_shown(shown, text), what);
    return bad(r, reason, why);
}

/* ---- looking up ---- */

static uint64_t hash(const char *text, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)text[i]) * 0x100000001b3u;
    return h ^ h >> 32;
}

size_t am_vocab_place(const struct am_vocab *v, const char *text, size_t n)
{
    size_t at = (size_t)hash(text, n) & (v->slots - 1);
    for (; v->slot[at]; at = (at + 1) & (v->slots - 1)) {
        const struct am_token *t = &v->v[v->slot[at] - 1];
        if (t->bytes == n && memcmp(t->text, text, n) == 0)
            break;
    }
    return at;
}

const struct am_token *am_vocab_find(const struct am_vocab *v, const char *text, size_t bytes)
{
    size_t at = v->slots ? am_vocab_place(v, text, bytes) : 0;
    return v->slots && v->slot[at] ? &v->v[v->slot[at] - 1] : NULL;
}

const struct am_token *am_vocab_at(const struct am_vocab *v, uint32_t id)
{
    size_t low = 0, high = v->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (v->v[mid].id == id)
            return &v->v[mid];
        if (v->v[mid].id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* ---- reading ---- */

static int read_id(const struct reader *r, const char *text, const json_t *v, uint32_t *ret)
{
    json_int_t id = json_integer_value(v);
    if (!json_is_integer(v) || id < 0 || id >= AM_VOCAB_TOKENS)
        return bad_token(r, "tokenizer-malformed", text, "has an id that is no whole number from 0 to 1,999,999");
    *ret = (uint32_t)id;
    return 0;
}

/* Texts are kept as offsets until all of them are there. */
static int add(struct reader *r, const char *text, size_t n, struct am_token t)
{
    if (r->v.n == AM_VOCAB_TOKENS || n > UINT16_MAX)
        return bad(r, "tokenizer-limit", "it has more than 2,000,000 tokens, or one of more than 65,535 bytes");
    if (r->v.n == r->cap || r->text_n + n + 1 > r->text_cap)
        return -AM_E_INTERNAL; /* measured before */
    memcpy(r->v.text + r->text_n, text, n);
    t.text = r->v.text + r->text_n;
    t.bytes = (uint32_t)n;
    r->text_n += n + 1;
    r->v.v[r->v.n++] = t;
    return 0;
}

static int add_pair(struct reader *r, const json_t *pair, uint32_t id)
{
    const json_t *text = json_array_get(pair, 0), *score = json_array_get(pair, 1);
    if (!json_is_string(text) || !json_is_number(score))
        return bad(r, "tokenizer-malformed", "model.vocab has an entry that is no [text, score]");
    return add(r, json_string_value(text), json_string_length(text),
               (struct am_token){.id = id, .flags = AM_TOKEN_LISTED, .score = json_number_value(score)});
}

static int read_listed(struct reader *r, json_t *vocab)
{
    const char *text;
    json_t *v;
    size_t i;
    json_array_foreach(vocab, i, v) AM_TRY(add_pair(r, v, (uint32_t)i));
    json_object_foreach(vocab, text, v)
    {
        uint32_t id = 0;
        AM_TRY(read_id(r, text, v, &id));
        AM_TRY(add(r, text, strlen(text), (struct am_token){.id = id, .flags = AM_TOKEN_LISTED}));
    }
    return 0;
}

static uint8_t flags_of(const json_t *o)
{
    static const char *const names[FLAGS] = {"special", "single_word", "lstrip", "rstrip", "normalized"};
    unsigned flags = AM_TOKEN_ADDED;
    for (size_t i = 0; i < FLAGS; i++)
        flags |= json_is_true(json_object_get(o, names[i])) ? (unsigned)AM_TOKEN_SPECIAL << i : 0;
    return (uint8_t)flags;
}

static int make_slots(struct reader *r, size_t tokens)
{
    size_t slots = 16;
    while (slots < 2 * tokens)
        slots *= 2;
    r->v.slot = calloc(slots, sizeof *r->v.slot);
    r->v.slots = r->v.slot ? slots : 0;
    return r->v.slot ? 0 : -AM_E_OUT_OF_MEMORY;
}

static int put_slot(struct reader *r, size_t i)
{
    const struct am_token *t = &r->v.v[i];
    size_t at = am_vocab_place(&r->v, t->text, t->bytes);
    if (r->v.slot[at])
        return bad_token(r, "tokenizer-duplicate", t->text, "is in it twice");
    r->v.slot[at] = (uint32_t)i + 1;
    return 0;
}

static int read_added(struct reader *r, const json_t *added)
{
    const json_t *o;
    size_t i;
    json_array_foreach(added, i, o)
    {
        const json_t *content = json_object_get(o, "content");
        uint32_t id = 0;
        if (!json_is_string(content))
            return bad(r, "tokenizer-malformed", "added_tokens has an entry without content");
        const char *text = json_string_value(content);
        AM_TRY(read_id(r, text, json_object_get(o, "id"), &id));
        struct am_token *t = (struct am_token *)(uintptr_t)am_vocab_find(&r->v, text, json_string_length(content));
        if (t && (t->id != id || (t->flags & AM_TOKEN_ADDED)))
            return bad_token(r, "tokenizer-duplicate", text, "is in it twice, or with two ids, in added_tokens");
        if (t) {
            t->flags |= flags_of(o);
            continue;
        }
        AM_TRY(add(r, text, json_string_length(content), (struct am_token){.id = id, .flags = flags_of(o)}));
        AM_TRY(put_slot(r, r->v.n - 1));
    }
    return 0;
}

/* How much room all texts take. */
static int measure(struct reader *r, json_t *vocab, const json_t *added)
{
    uint64_t text = 0, tokens = json_array_size(vocab) + json_object_size(vocab) + json_array_size(added);
    const char *key;
    json_t *v;
    size_t i;
    json_array_foreach(vocab, i, v) text += json_string_length(json_array_get(v, 0)) + 1;
    json_object_foreach(vocab, key, v) text += strlen(key) + 1;
    json_array_foreach(added, i, v) text += json_string_length(json_object_get(v, "content")) + 1;
    if (tokens > AM_VOCAB_TOKENS || text > TEXT_MAX)
        return bad(r, "tokenizer-limit", "it has more than 2,000,000 tokens");
    r->cap = (size_t)tokens;
    r->text_cap = (size_t)text;
    r->v.v = calloc(r->cap + 1, sizeof *r->v.v);
    r->v.text = calloc(r->text_cap + 1, 1);
    return r->v.v && r->v.text ? make_slots(r, r->cap) : -AM_E_OUT_OF_MEMORY;
}

static int by_id(const void *a, const void *b)
{
    const struct am_token *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* By id; two texts of one id are a fault. The hash table is made for the new order. */
static int settle(struct reader *r)
{
    qsort(r->v.v, r->v.n, sizeof *r->v.v, by_id);
    for (size_t i = 1; i < r->v.n; i++)
        if (r->v.v[i].id == r->v.v[i - 1].id) {
            char what[AM_SHOWN + 80], shown[AM_SHOWN];
            snprintf(what, sizeof what, "has the same id %" PRIu32 " as %s", r->v.v[i].id,
                     am_shown(shown, r->v.v[i - 1].text));
            return bad_token(r, "tokenizer-duplicate", r->v.v[i].text, what);
        }
    memset(r->v.slot, 0, r->v.slots * sizeof *r->v.slot);
    for (size_t i = 0; i < r->v.n; i++)
        AM_TRY(put_slot(r, i));
    return 0;
}

static int name_family(struct reader *r, const json_t *model)
{
    static const char *const known[] = {"BPE", "Unigram", "WordPiece", "WordLevel"};
    const char *type = json_string_value(json_object_get(model, "type"));
    if (!type) /* files of the first versions do not say */
        type = json_object_get(model, "merges")                     ? "BPE"
               : json_is_array(json_object_get(model, "vocab"))     ? "Unigram"
               : json_object_get(model, "max_input_chars_per_word") ? "WordPiece"
                                                                    : "WordLevel";
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (am_streq(type, known[i])) {
            snprintf(r->v.family, sizeof r->v.family, "%s", type);
            return 0;
        }
    return bad(r, "tokenizer-malformed", "model.type is none of BPE, Unigram, WordPiece and WordLevel");
}

static int take(struct reader *r, const json_t *root)
{
    json_t *model = json_object_get(root, "model"), *vocab = json_object_get(model, "vocab"),
           *added = json_object_get(root, "added_tokens");
    if (!json_is_object(model) || (!json_is_object(vocab) && !json_is_array(vocab)))
        return bad(r, "tokenizer-malformed", "it has no model.vocab");
    if (added && !json_is_null(added) && !json_is_array(added))
        return bad(r, "tokenizer-malformed", "added_tokens is no list");
    AM_TRY(name_family(r, model));
    if (am_streq(r->v.family, "Unigram") != json_is_array(vocab))
        return bad(r, "tokenizer-malformed", "model.vocab is not of the form that model.type has");
    AM_TRY(measure(r, vocab, added));
    AM_TRY(read_listed(r, vocab));
    for (size_t i = 0; i < r->v.n; i++)
        AM_TRY(put_slot(r, i));
    AM_TRY(read_added(r, added));
    return settle(r);
}

int am_vocab_take(struct am_vocab *ret, const json_t *root, const char *label, struct am_faults *faults)
{
    struct reader r = {.label = label, .faults = faults};
    int rc = take(&r, root);
    if (rc < 0)
        am_vocab_done(&r.v);
    else
        *ret = r.v;
    return rc;
}

json_t *am_vocab_parse(const char *text, size_t n, const char *label, struct am_faults *faults)
{
    struct reader r = {.label = label, .faults = faults};
    char why[300];
    json_error_t e;
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
    if (root)
        return root;
    snprintf(why, sizeof why, "line %d, column %d: %s", e.line, e.column, e.text);
    bool twice = strstr(e.text, "duplicate") != NULL;
    bad(&r, twice ? "tokenizer-duplicate" : "tokenizer-malformed", why);
    return NULL;
}

int am_vocab_read(struct am_vocab *ret, const char *text, size_t n, const char *label, struct am_faults *faults)
{
    json_t *root = am_vocab_parse(text, n, label, faults);
    int rc = root ? am_vocab_take(ret, root, label, faults) : -AM_E_TOKENIZER;
    json_decref(root);
    return rc;
}

void am_vocab_done(struct am_vocab *v)
{
    free(v->v);
    free(v->slot);
    free(v->text);
    *v = (struct am_vocab){0};
}
