/*
 * vocab_join.c - see vocab_join.h.
 */
#include "worker/vocab_join.h"

#include "core/base/buf.h"
#include "core/base/err.h"
#include "core/base/text.h"
#include "core/table/json_util.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TOKENIZER "#/options/tokenizer"

struct joiner {
    struct am_vjoin j;
    const struct am_vjoin_input *in;
    size_t inputs, cap;
    const struct am_vjoin_ask *ask;
    struct am_faults *faults;
    struct am_vocab all; /* what is in the result, by text; its table is j.v, in the order of coming */
    uint32_t *by_id;     /* ids that are taken: bits */
    uint32_t next;       /* no id below is free */
};

static void warn(const struct joiner *k, const char *code, const char *text)
{
    if (k->ask->warn)
        k->ask->warn(k->ask->ctx, code, text);
}

static bool is_first(const struct joiner *k, size_t i)
{
    return k->in[i].same == i;
}

/* ---- the tokens ---- */

static int reserve(struct joiner *k)
{
    size_t most = json_object_size(json_object_get(k->ask->tokenizer, "tokens")), slots = 16;
    for (size_t i = 0; i < k->inputs; i++)
        most += is_first(k, i) ? k->in[i].vocab->n : 0;
    k->cap = most < AM_VOCAB_TOKENS ? most : AM_VOCAB_TOKENS;
    while (slots < 2 * k->cap)
        slots *= 2;
    k->j.v = calloc(k->cap + 1, sizeof *k->j.v);
    k->all.slot = calloc(slots, sizeof *k->all.slot);
    k->by_id = calloc(AM_VOCAB_TOKENS / 32 + 1, sizeof *k->by_id);
    k->all.slots = slots;
    k->all.v = k->j.v;
    return k->j.v && k->all.slot && k->by_id ? 0 : -AM_E_OUT_OF_MEMORY;
}

static bool is_taken(const struct joiner *k, uint32_t id)
{
    return k->by_id[id / 32] >> (id % 32) & 1;
}

static int put(struct joiner *k, struct am_token t)
{
    if (k->j.n == k->cap || t.id >= AM_VOCAB_TOKENS)
        return am_fault_add(k->faults, AM_E_TOKENIZER,
                            (struct am_where){.pointer = TOKENIZER, .reason = "tokenizer-limit"},
                            "the tokenizers have more than 2,000,000 tokens together");
    size_t at = am_vocab_place(&k->all, t.text, t.bytes);
    k->j.v[k->j.n] = t;
    k->all.slot[at] = (uint32_t)++k->j.n;
    k->by_id[t.id / 32] |= 1u << (t.id % 32);
    return 0;
}

/* With the next free id, unless it is there. */
static int put_new(struct joiner *k, const struct am_token *t)
{
    struct am_token own = *t;
    if (am_vocab_find(&k->all, t->text, t->bytes))
        return 0;
    while (k->next < AM_VOCAB_TOKENS && is_taken(k, k->next))
        k->next++;
    own.id = k->next;
    k->j.added++;
    return put(k, own);
}

static int put_source(struct joiner *k)
{
    const struct am_vjoin_input *in = &k->in[k->j.source];
    for (size_t i = 0; i < in->vocab->n; i++) {
        if (in->vocab->v[i].id < in->rows)
            AM_TRY(put(k, in->vocab->v[i]));
        else
            k->j.taken++;
    }
    return 0;
}

/* Regular tokens, or added ones, of all inputs. */
static int put_union(struct joiner *k, bool added)
{
    for (size_t i = 0; i < k->inputs; i++) {
        const struct am_vocab *v = k->in[i].vocab;
        for (size_t t = 0; is_first(k, i) && t < v->n; t++)
            if (v->v[t].id < k->in[i].rows && !(v->v[t].flags & AM_TOKEN_ADDED) == !added)
                AM_TRY(put_new(k, &v->v[t]));
    }
    return 0;
}

static int check_families(const struct joiner *k)
{
    const struct am_vjoin_input *a = &k->in[k->j.source];
    int rc = 0;
    for (size_t i = 0; i < k->inputs; i++)
        if (!am_streq(k->in[i].vocab->family, a->vocab->family) && is_first(k, i))
            rc = am_fault_add(k->faults, AM_E_TOKENIZER,
                              (struct am_where){.pointer = TOKENIZER "/source", .reason = "tokenizer-family"},
                              "%s is %s, %s is %s; their tokens mean different things, so take one tokenizer with "
                              "tokenizer.source base or a model",
                              a->label, a->vocab->family, k->in[i].label, k->in[i].vocab->family);
    return rc;
}

static bool has_source(const json_t *asked)
{
    const json_t *source = json_object_get(asked, "source");
    return source && !json_is_null(source);
}

/* Their rows are listed with the ids that they get; take_rows() has the rest. */
static int put_asked(struct joiner *k)
{
    json_t *tokens = json_object_get(k->ask->tokenizer, "tokens"), *v;
    const char *text;
    size_t n = 0;
    k->j.row = calloc(json_object_size(tokens) + 1, sizeof *k->j.row);
    if (!k->j.row)
        return -AM_E_OUT_OF_MEMORY;
    json_object_foreach(tokens, text, v)
    {
        struct am_token t = {.text = text, .bytes = (uint32_t)strlen(text), .flags = AM_TOKEN_ADDED};
        AM_TRY(put_new(k, &t));
        if (has_source(v))
            k->j.row[n++].row = am_vocab_find(&k->all, text, t.bytes)->id;
    }
    return 0;
}

static int by_id(const void *a, const void *b)
{
    const struct am_token *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int find_input(const struct joiner *k, const char *name)
{
    for (size_t i = 0; name && i < k->inputs; i++)
        if (am_streq(k->in[i].name, name))
            return (int)i;
    return -1;
}

static int take_tokens(struct joiner *k)
{
    const char *source = json_string_value(json_object_get(k->ask->tokenizer, "source"));
    bool all = am_streq(source, "union");
    int named = all || am_streq(source, "base") ? (int)k->ask->base : find_input(k, source);
    if (named < 0)
        return am_fault_add(k->faults, AM_E_BAD_SPEC, (struct am_where){.pointer = TOKENIZER "/source"},
                            "is none of the inputs");
    k->j.source = k->in[named].same;
    AM_TRY(reserve(k));
    AM_TRY(all ? check_families(k) : 0);
    AM_TRY(put_source(k));
    AM_TRY(all ? put_union(k, false) : 0);
    AM_TRY(all ? put_union(k, true) : 0);
    AM_TRY(put_asked(k));
    qsort(k->j.v, k->j.n, sizeof *k->j.v, by_id);
    if (k->j.n == 0)
        return am_fault_add(k->faults, AM_E_TOKENIZER, (struct am_where){.pointer = TOKENIZER},
                            "the tokenizer of %s has no tokens", k->in[k->j.source].label);
    return 0;
}

/* ---- the rows ---- */

static uint32_t own_id(const struct am_vjoin_input *in, const struct am_token *t)
{
    const struct am_token *own = am_vocab_find(in->vocab, t->text, t->bytes);
    return own && own->id < in->rows ? own->id : AM_NO_ROW;
}

static int make_map(struct joiner *k)
{
    struct am_vjoin *j = &k->j;
    json_int_t pad = json_integer_value(json_object_get(k->ask->tokenizer, "pad_to_multiple_of"));
    uint64_t step = pad > 1 ? (uint64_t)pad : 1, rows = (uint64_t)j->v[j->n - 1].id + 1;
    j->own = calloc(k->inputs, sizeof *j->own);
    j->same = calloc(k->inputs, sizeof *j->same);
    if (!j->own || !j->same)
        return -AM_E_OUT_OF_MEMORY;
    j->map = (struct am_gather_map){.inputs = k->inputs,
                                    .base = k->in[k->ask->base].same,
                                    .same = j->same,
                                    .own = (const uint32_t *const *)j->own,
                                    .rows = rows,
                                    .padded = (rows + step - 1) / step * step};
    for (size_t i = 0; i < k->inputs; i++) {
        j->same[i] = k->in[i].same;
        j->own[i] = is_first(k, i) ? malloc((size_t)rows * sizeof **j->own) : j->own[k->in[i].same];
        if (!j->own[i])
            return -AM_E_OUT_OF_MEMORY;
        if (!is_first(k, i))
            continue;
        memset(j->own[i], 0xff, (size_t)rows * sizeof **j->own); /* AM_NO_ROW */
        for (size_t t = 0; t < j->n; t++)
            j->own[i][j->v[t].id] = own_id(&k->in[i], &j->v[t]);
    }
    return 0;
}

/* The row that a token's `source` names: of a model under the token's own text, or of another token. */
static int row_of(const struct joiner *k, const char *token, const json_t *source, struct am_gather_row *ret)
{
    bool other = json_is_object(source);
    const char *name = json_string_value(other ? json_object_get(source, "model") : source);
    const json_t *id = json_object_get(source, "token_id");
    const char *text = other ? json_string_value(json_object_get(source, "token")) : token;
    char shown[AM_SHOWN], number[32];
    if (other && am_streq(json_string_value(json_object_get(source, "kind")), "zero")) {
        ret->zero = true;
        return 0;
    }
    int i = find_input(k, name);
    if (i < 0)
        return am_fault_add(k->faults, AM_E_BAD_SPEC, (struct am_where){.pointer = TOKENIZER "/tokens"},
                            "%s has a source that is none of the inputs", am_shown(shown, token));
    const struct am_vjoin_input *in = &k->in[i];
    const struct am_token *t = text ? am_vocab_find(in->vocab, text, strlen(text)) : NULL;
    json_int_t row = text ? (t ? (json_int_t)t->id : -1) : json_integer_value(id);
    snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, row);
    ret->input = in->same;
    ret->from = (uint32_t)row;
    if (row >= 0 && row < (json_int_t)in->rows)
        return 0;
    return am_fault_add(
        k->faults, AM_E_TOKENIZER, (struct am_where){.pointer = TOKENIZER "/tokens", .reason = "token-unknown"},
        "token %s is not in %s, which has %u rows", text ? am_shown(shown, text) : number, in->label, in->rows);
}

static int by_row(const void *a, const void *b)
{
    const struct am_gather_row *x = a, *y = b;
    return x->row < y->row ? -1 : x->row > y->row;
}

static int take_rows(struct joiner *k)
{
    json_t *tokens = json_object_get(k->ask->tokenizer, "tokens"), *v;
    const char *text;
    size_t n = 0;
    int rc = 0;
    json_object_foreach(tokens, text, v)
    {
        if (!has_source(v))
            continue;
        struct am_gather_row *row = &k->j.row[n++];
        row->forced = json_is_true(json_object_get(v, "force"));
        int got = row_of(k, text, json_object_get(v, "source"), row);
        rc = got < 0 ? got : rc;
    }
    qsort(k->j.row, n, sizeof *k->j.row, by_row);
    k->j.map.row = k->j.row;
    k->j.map.rows_asked = n;
    return rc;
}

/* ---- what a person should know ---- */

static void warn_sizes(const struct joiner *k, size_t i)
{
    const struct am_vjoin_input *in = &k->in[i];
    char text[600];
    uint32_t used = in->vocab->n ? in->vocab->v[in->vocab->n - 1].id + 1 : 0;
    size_t over = 0;
    for (size_t t = in->vocab->n; t > 0 && in->vocab->v[t - 1].id >= in->rows; t--)
        over++;
    if (over) {
        snprintf(text, sizeof text,
                 "the tokenizer of %.200s has %zu tokens over the %u rows of its embeddings: they are left out",
                 in->label, over, in->rows);
        warn(k, "tokenizer-larger-than-rows", text);
    }
    if (in->rows < AM_VOCAB_TOKENS && in->rows > used && in->rows > k->j.map.padded) {
        snprintf(text, sizeof text,
                 "%.200s has %u rows for %u tokens: the result has %" PRIu64
                 " rows, one for each token; tokenizer.pad_to_multiple_of (64, say) pads them again",
                 in->label, in->rows, used, k->j.map.padded);
        warn(k, "vocab-padding-dropped", text);
    }
}

static bool has_row(const struct joiner *k, uint32_t id)
{
    for (size_t i = 0; i < k->inputs; i++)
        if (k->j.own[i][id] != AM_NO_ROW)
            return true;
    for (size_t i = 0; i < k->j.map.rows_asked; i++)
        if (k->j.row[i].row == id)
            return true;
    return false;
}

static void warn_rows(const struct joiner *k)
{
    char list[AM_LIST_TEXT] = "", shown[AM_SHOWN], text[AM_LIST_TEXT + 200];
    size_t none = 0;
    for (size_t t = 0; t < k->j.n; t++)
        if (!has_row(k, k->j.v[t].id) && none++ < 5)
            am_list_put(list, am_shown(shown, k->j.v[t].text));
    if (!none)
        return;
    snprintf(text, sizeof text, "no input has a row for %zu tokens of the result, which get zeros: %s", none, list);
    warn(k, "token-without-row", text);
}

static int make(struct joiner *k)
{
    AM_TRY(take_tokens(k));
    AM_TRY(make_map(k));
    AM_TRY(take_rows(k));
    for (size_t i = 0; i < k->inputs; i++)
        if (is_first(k, i))
            warn_sizes(k, i);
    warn_rows(k);
    return 0;
}

int am_vjoin_make(struct am_vjoin *ret, const struct am_vjoin_input *in, size_t inputs, const struct am_vjoin_ask *ask,
                  struct am_faults *faults)
{
    struct joiner k = {.in = in, .inputs = inputs, .ask = ask, .faults = faults};
    int rc = make(&k);
    free(k.all.slot);
    free(k.by_id);
    if (rc < 0)
        am_vjoin_done(&k.j);
    else
        *ret = k.j;
    return rc;
}

const struct am_token *am_vjoin_at(const struct am_vjoin *j, uint32_t id)
{
    struct am_vocab v = {.v = j->v, .n = j->n};
    return am_vocab_at(&v, id);
}

uint32_t am_vjoin_id(const struct am_vjoin *j, const struct am_vjoin_input *in, uint32_t id)
{
    const struct am_token *own = am_vocab_at(in->vocab, id);
    for (size_t t = 0; own && t < j->n; t++)
        if (j->v[t].bytes == own->bytes && memcmp(j->v[t].text, own->text, own->bytes) == 0)
            return j->v[t].id;
    return AM_NO_TOKEN;
}

void am_vjoin_done(struct am_vjoin *j)
{
    for (size_t i = 0; j->own && i < j->map.inputs; i++)
        if (j->same[i] == i)
            free(j->own[i]);
    free(j->own);
    free(j->same);
    free(j->row);
    free(j->v);
    *j = (struct am_vjoin){0};
}
