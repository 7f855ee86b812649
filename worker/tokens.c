/*
 * tokens.c - see tokens.h: the reading. tokens_put.c is the writing.
 */
#include "worker/tokens.h"

#include "core/base/text.h"
#include "core/table/vocab.h"
#include "worker/chat_template.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct am_file *file_of(const struct am_spec_input *in, const char *path)
{
    for (size_t i = 0; i < in->texts; i++)
        if (am_streq(in->text[i].file.path, path))
            return &in->text[i].file;
    return NULL;
}

int am_tokens_read(const struct am_tokens *t, size_t input, const char *path, char **ret, size_t *ret_n)
{
    const struct am_file *f = file_of(&t->spec->input[input], path);
    *ret = NULL;
    *ret_n = 0;
    if (!f || f->bytes > AM_VOCAB_FILE_MAX)
        return 0;
    char *text = calloc((size_t)f->bytes + 1, 1);
    int rc = text ? am_file_read(f, text, (size_t)f->bytes, 0) : -AM_E_OUT_OF_MEMORY;
    if (rc < 0) {
        free(text);
        return rc;
    }
    *ret = text;
    *ret_n = (size_t)f->bytes;
    return 0;
}

/* ---- which inputs are the same version ---- */

static int name_inputs(struct am_tokens *t)
{
    size_t n = t->spec->inputs;
    t->name = calloc(n, sizeof *t->name);
    t->same = calloc(n, sizeof *t->same);
    t->in = calloc(n, sizeof *t->in);
    t->vocab = calloc(n, sizeof *t->vocab);
    t->chat = calloc(n, sizeof *t->chat);
    if (!t->name || !t->same || !t->in || !t->vocab || !t->chat)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < n; i++) {
        json_t *o = json_array_get(json_object_get(t->spec->recipe, "inputs"), i);
        const char *model = json_string_value(json_object_get(o, "model")),
                   *commit = json_string_value(json_object_get(o, "commit"));
        if (!model || !commit)
            return am_fault_add(&t->s->faults, AM_E_BAD_SPEC, (struct am_where){.pointer = "#/recipe/inputs"},
                                "must name model and commit of every input");
        if (asprintf(&t->name[i], "%s@%s", model, commit) < 0) {
            t->name[i] = NULL;
            return -AM_E_OUT_OF_MEMORY;
        }
        while (!am_streq(t->name[t->same[i]], t->name[i]))
            t->same[i]++;
    }
    return 0;
}

/* ---- tokenizers ---- */

/* The result of one input's matrices and config.json, whichever is less; without both nothing is left out. */
static int count_rows(const struct am_tokens *t, const struct am_model *m, size_t i, uint32_t *ret)
{
    char *text;
    size_t n;
    uint64_t rows = 0;
    for (size_t k = 0; k < m->tensors; k++)
        if (m->tensor[k].rank == 2 && am_vocab_has_rows(m->tensor[k].name) && m->tensor[k].shape[0] > rows)
            rows = m->tensor[k].shape[0];
    AM_TRY(am_tokens_read(t, i, "config.json", &text, &n));
    json_t *config = text ? json_loadb(text, n, JSON_DECODE_INT_AS_REAL, NULL) : NULL;
    json_t *size = json_object_get(config, "vocab_size");
    if (!json_is_number(size))
        size = json_object_get(json_object_get(config, "text_config"), "vocab_size");
    double said = json_number_value(size);
    if (said >= 1 && said < AM_VOCAB_TOKENS && (rows == 0 || (uint64_t)said < rows))
        rows = (uint64_t)said;
    json_decref(config);
    free(text);
    *ret = rows == 0 || rows > AM_VOCAB_TOKENS ? AM_VOCAB_TOKENS : (uint32_t)rows;
    return 0;
}

static int read_vocab(struct am_tokens *t, size_t i)
{
    const struct am_file *f = file_of(&t->spec->input[i], "tokenizer.json"), *o;
    const char *label = t->spec->input[i].label;
    char *text;
    size_t n;
    if (!f)
        return am_fault_add(&t->s->faults, AM_E_TOKENIZER, (struct am_where){.reason = "tokenizer-missing"},
                            "%.200s has no tokenizer.json, by which its rows would be found; add one (save_pretrained "
                            "of a fast tokenizer writes it), or leave tokenizer out of the merge",
                            label);
    for (size_t k = 0; k < i; k++)
        if ((o = file_of(&t->spec->input[k], "tokenizer.json")) && am_streq(o->sha256, f->sha256)) {
            t->in[i].vocab = t->in[k].vocab;
            return 0;
        }
    AM_TRY(am_tokens_read(t, i, "tokenizer.json", &text, &n));
    if (!text)
        return am_fault_add(&t->s->faults, AM_E_TOKENIZER,
                            (struct am_where){.reason = "tokenizer-limit", .file = "tokenizer.json"},
                            "the tokenizer.json of %.200s has %" PRIu64 " bytes; at most %" PRIu64 " are read", label,
                            f->bytes, AM_VOCAB_FILE_MAX);
    int rc = am_vocab_read(&t->vocab[i], text, n, label, &t->s->faults);
    free(text);
    t->in[i].vocab = &t->vocab[i];
    return rc;
}

static void on_warning(void *ctx, const char *code, const char *detail)
{
    am_session_warn(ctx, code, detail);
}

static int join(struct am_tokens *t, struct am_model *model)
{
    int rc = 0;
    for (size_t i = 0; i < t->inputs; i++) {
        t->in[i] = (struct am_vjoin_input){.label = t->spec->input[i].label, .name = t->name[i], .same = t->same[i]};
        AM_TRY(count_rows(t, &model[i], i, &t->in[i].rows));
        int one = read_vocab(t, i);
        if (one != -AM_E_TOKENIZER) /* of which those of all inputs are told */
            AM_TRY(one);
        rc = one < 0 ? one : rc;
        AM_TRY(am_session_alive(t->s));
    }
    AM_TRY(rc);
    struct am_vjoin_ask ask = {
        .tokenizer = t->spec->tokenizer, .base = t->spec->donor, .warn = on_warning, .ctx = t->s};
    AM_TRY(am_vjoin_make(&t->join, t->in, t->inputs, &ask, &t->s->faults));
    t->joined = true;
    t->changed = t->join.added || t->join.taken;
    t->source = t->join.source;
    t->rows = t->join.map.padded;
    return am_gather_open(&t->gather, model, &t->join.map, am_vocab_has_rows);
}

/* ---- rows that are cut ---- */

static uint64_t rows_of(const struct am_model *m)
{
    for (size_t k = 0; k < m->tensors; k++)
        if (m->tensor[k].rank == 2 && am_vocab_has_rows(m->tensor[k].name))
            return m->tensor[k].shape[0];
    return 0;
}

static int warn_larger(struct am_tokens *t)
{
    struct am_faults unread = {0}; /* then nothing is said of it */
    struct am_vocab v = {0};
    char *text, told[400];
    size_t n, over = 0;
    AM_TRY(am_tokens_read(t, t->spec->donor, "tokenizer.json", &text, &n));
    int rc = text ? am_vocab_read(&v, text, n, "", &unread) : 0;
    while (over < v.n && v.v[v.n - over - 1].id >= t->rows)
        over++;
    snprintf(told, sizeof told,
             "the tokenizer of %.200s has %zu tokens over the %" PRIu64
             " rows that all inputs have, so it makes ids that the result cannot take",
             t->spec->input[t->spec->donor].label, over, t->rows);
    if (over)
        am_session_warn(t->s, "tokenizer-larger-than-rows", told);
    am_vocab_done(&v);
    am_faults_done(&unread);
    free(text);
    return rc == -AM_E_OUT_OF_MEMORY ? rc : 0;
}

static int cut(struct am_tokens *t, struct am_model *model, bool as_base)
{
    t->cut = (struct am_gather_map){
        .inputs = t->inputs, .base = t->same[t->spec->donor], .same = t->same, .as_base = as_base};
    AM_TRY(am_gather_open(&t->gather, model, &t->cut, am_vocab_has_rows));
    t->rows = rows_of(&model[t->spec->donor]);
    return t->rows ? warn_larger(t) : 0;
}

/* ---- chat templates ---- */

static int read_chat(struct am_tokens *t, size_t i)
{
    char *text;
    size_t n;
    AM_TRY(am_tokens_read(t, i, "tokenizer_config.json", &text, &n));
    t->chat[i] = text ? am_chat_of(text, n) : NULL;
    free(text);
    return t->chat[i] ? 0 : am_tokens_read(t, i, "chat_template.jinja", &t->chat[i], &n);
}

static int find_chat(struct am_tokens *t)
{
    const char *asked = t->spec->chat_template;
    const char *builtin = am_chat_builtin(asked);
    if (!am_streq(asked, "auto")) {
        t->chat_text = builtin ? builtin : asked;
        return 0;
    }
    for (size_t i = 0; i < t->inputs; i++)
        if (t->same[i] == i)
            AM_TRY(read_chat(t, i));
    t->chat_text = am_chat_most_common(t->chat, t->inputs);
    if (!t->chat_text)
        am_session_warn(t->s, "chat-template-none", "no input has a chat template, so the result has none");
    return 0;
}

int am_tokens_open(struct am_tokens *ret, struct am_session *s, const struct am_spec_run *spec, struct am_model *model,
                   bool as_base)
{
    *ret = (struct am_tokens){.s = s, .spec = spec, .source = spec->donor};
    while (ret->inputs < spec->inputs && !am_streq(spec->input[ret->inputs].role, "adapter"))
        ret->inputs++;
    if (!spec->tokenizer && !spec->truncate && !spec->chat_template)
        return 0;
    AM_TRY(name_inputs(ret));
    if (spec->tokenizer)
        AM_TRY(join(ret, model));
    else if (spec->truncate)
        AM_TRY(cut(ret, model, as_base));
    return spec->chat_template ? find_chat(ret) : 0;
}

void am_tokens_done(struct am_tokens *t)
{
    am_gather_done(&t->gather);
    am_vjoin_done(&t->join);
    for (size_t i = 0; t->spec && i < t->spec->inputs; i++) {
        if (t->vocab)
            am_vocab_done(&t->vocab[i]);
        if (t->name)
            free(t->name[i]);
        if (t->chat)
            free(t->chat[i]);
    }
    free(t->vocab);
    free(t->name);
    free(t->chat);
    free(t->same);
    free(t->in);
    *t = (struct am_tokens){0};
}
