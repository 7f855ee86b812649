/*
 * patch.c - see patch.h. The scale lora_alpha / r of every module is 1: the factors hold the sizes themselves. Patterns
 * of PEFT match ends of names too, so with different ranks every module is listed, the longest name first.
 */
#include "worker/patch.h"

#include "core/base/text.h"
#include "worker/json_text.h"

#include <stdlib.h>
#include <string.h>

#define INDENT 2

static json_t *names_of(const struct am_patch_module *m, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_stringn(m[i].name, m[i].bytes));
    return list;
}

static int longest_first(const void *a, const void *b)
{
    const struct am_patch_module *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    return memcmp(x->name, y->name, x->bytes);
}

static bool differ(const struct am_patch *p)
{
    for (size_t i = 0; i < p->targets; i++)
        if (p->target[i].rank != p->rank)
            return true;
    return false;
}

/* {"module": rank}, empty when they are all the same. NULL: out of memory. */
static json_t *ranks_of(const struct am_patch *p)
{
    json_t *ranks = json_object();
    struct am_patch_module *m = calloc(p->targets + 1, sizeof(*m));
    if (!m || !ranks) {
        free(m);
        json_decref(ranks);
        return NULL;
    }
    memcpy(m, p->target, p->targets * sizeof(*m));
    qsort(m, p->targets, sizeof(*m), longest_first);
    for (size_t i = 0; differ(p) && i < p->targets; i++)
        json_object_setn_new(ranks, m[i].name, m[i].bytes, json_integer((json_int_t)m[i].rank));
    free(m);
    return ranks;
}

/* PEFT's name for what a class of transformers is for; null: none that it knows. */
static json_t *task_of(const struct am_patch_about *a)
{
    static const struct {
        const char *end, *task;
        bool encoder_decoder;
    } tasks[] = {
        {"ForCausalLM", "CAUSAL_LM", false},
        {"LMHeadModel", "CAUSAL_LM", false},
        {"ForSequenceClassification", "SEQ_CLS", false},
        {"ForTokenClassification", "TOKEN_CLS", false},
        {"ForQuestionAnswering", "QUESTION_ANS", false},
        {"ForConditionalGeneration", "SEQ_2_SEQ_LM", true},
        {"ForSeq2SeqLM", "SEQ_2_SEQ_LM", true},
    };
    json_auto_t *config = a->config ? json_loadb(a->config, a->config_n, 0, NULL) : NULL;
    const char *name = json_string_value(json_array_get(json_object_get(config, "architectures"), 0));
    bool encoder_decoder = json_is_true(json_object_get(config, "is_encoder_decoder"));
    for (size_t i = 0; name && i < sizeof tasks / sizeof *tasks; i++)
        if (am_ends(name, tasks[i].end) && (encoder_decoder || !tasks[i].encoder_decoder))
            return json_string(tasks[i].task);
    return json_null();
}

/* PEFT adds these names to modules_to_save, and fails on a file that has not all of such modules. */
const char *const *am_patch_heads(const char *config, size_t n)
{
    static const char *const classify[] = {"classifier", "score", NULL}, *const answer[] = {"qa_outputs", NULL};
    struct am_patch_about about = {.config = config, .config_n = n};
    json_auto_t *task = task_of(&about);
    const char *name = json_string_value(task);
    if (am_streq(name, "SEQ_CLS") || am_streq(name, "TOKEN_CLS"))
        return classify;
    return am_streq(name, "QUESTION_ANS") ? answer : NULL;
}

/* Whether a kind of model has its matrices [in, out], and none was taken so. */
static bool lies_wrong(const struct am_patch_about *a, const json_t *config)
{
    static const char *const kinds[] = {"gpt2", "openai-gpt", "imagegpt", "decision_transformer"};
    const char *kind = json_string_value(json_object_get(config, "model_type"));
    for (size_t i = 0; kind && i < sizeof kinds / sizeof *kinds; i++)
        if (am_streq(kind, kinds[i]))
            return !a->patch->in_out;
    return false;
}

static bool any(const char *pattern, const struct am_patch_module *m, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (am_glob(pattern, m[i].name))
            return true;
    return false;
}

static bool changes(const struct am_patch *p, const char *pattern)
{
    return any(pattern, p->target, p->targets) || any(pattern, p->saved, p->saves);
}

/* Whether embeddings that change are those of other modules, too: of the encoder's and the decoder's by their name, of
   the head's when the file of the base has none. */
static bool is_tied(const struct am_patch_about *a, const json_t *config)
{
    const json_t *tie = json_object_get(config, "tie_word_embeddings");
    bool head = am_model_find(a->base, "lm_head.weight") || am_model_find(a->base, "embed_out.weight");
    json_auto_t *task = task_of(a);
    if (changes(a->patch, "*shared.weight"))
        return true;
    return (changes(a->patch, "*embed*") || changes(a->patch, "*wte*")) && !head && !json_is_false(tie) &&
           json_is_string(task) && !am_patch_heads(a->config, a->config_n);
}

void am_patch_warn(struct am_session *s, const struct am_patch_about *a)
{
    json_auto_t *config = a->config ? json_loadb(a->config, a->config_n, 0, NULL) : NULL;
    if (lies_wrong(a, config))
        am_session_warn(
            s, "in-out-expected",
            "config.json names a kind of model whose matrices are [in, out]; PEFT cannot load their factors "
            "unless the parameter in_out lists them: [\"*.c_attn.weight\", \"*.c_proj.weight\", "
            "\"*.c_fc.weight\"]");
    if (is_tied(a, config))
        am_session_warn(s, "tied-embeddings",
                        "the embeddings changed and are those of other modules, too (head, encoder, decoder); PEFT "
                        "changes them in one of the places only, so tie them again after loading (tie_weights), or "
                        "leave the change out with others drop");
}

/* The base as the Hub's protocol names it: its model, and its commit. */
static void set_base(json_t *o, const struct am_spec_run *s)
{
    for (size_t i = 0; i < s->inputs; i++) {
        const json_t *in = json_array_get(json_object_get(s->recipe, "inputs"), i);
        const char *label = s->input[i].label, *model = json_string_value(json_object_get(in, "model"));
        if (!am_streq(s->input[i].role, "base"))
            continue;
        json_object_set_new(o, "base_model_name_or_path",
                            model ? json_string(model) : json_stringn(label, strcspn(label, "@")));
        json_t *commit = json_object_get(in, "commit");
        json_object_set(o, "revision", commit ? commit : json_null());
    }
}

static json_t *make(const struct am_spec_run *s, const struct am_patch_about *a, json_t *ranks)
{
    const struct am_patch *p = a->patch;
    json_t *o = json_pack(
        "{s:O, s:n, s:s, s:b, s:b, s:b, s:n, s:n, s:I, s:f, s:o, s:s, s:I, s:O, s:o, s:o, s:b, s:b}", "alpha_pattern",
        ranks, "auto_mapping", "bias", p->biases ? "all" : "none", "fan_in_fan_out", p->in_out, "inference_mode", true,
        "init_lora_weights", true, "layers_pattern", "layers_to_transform", "lora_alpha", (json_int_t)p->rank,
        "lora_dropout", 0.0, "modules_to_save", p->saves ? names_of(p->saved, p->saves) : json_null(), "peft_type",
        "LORA", "r", (json_int_t)p->rank, "rank_pattern", ranks, "target_modules", names_of(p->target, p->targets),
        "task_type", task_of(a), "use_dora", false, "use_rslora", false);
    if (o)
        set_base(o, s);
    return o;
}

int am_patch_config(const struct am_spec_run *s, const struct am_patch_about *about, struct am_buf *out)
{
    json_t *ranks = ranks_of(about->patch);
    json_t *o = ranks ? make(s, about, ranks) : NULL;
    char *text = o ? json_dumps(o, JSON_INDENT(INDENT)) : NULL;
    int rc = text ? am_buf_puts(out, text) : -AM_E_OUT_OF_MEMORY;
    free(text);
    json_decref(o);
    json_decref(ranks);
    return rc < 0 ? rc : am_buf_puts(out, "\n");
}
