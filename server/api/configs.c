/*
 * configs.c - the config.json of a merge's inputs beside each other (merge.md B10): another model_type is refused,
 * other settings that change what the weights mean are a warning. Files that are large, assembled or no JSON say
 * nothing.
 */
#include "core/base/sys.h"
#include "core/base/text.h"
#include "core/table/families.h"
#include "core/table/json_util.h"
#include "server/api/submit.h"
#include "storage/blobs.h"
#include "storage/models.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CONFIG_BYTES (1 << 20)
#define FIELDS 8 /* named in a warning */

static int take_blob(void *ctx, const struct am_file_row *f)
{
    if (f->blob && f->bytes <= CONFIG_BYTES)
        snprintf(ctx, 65, "%s", f->blob);
    return 0;
}

/* A new reference, or NULL. */
static json_t *read_config(struct am_submit *s, size_t i)
{
    char blob[65] = "";
    struct stat st;
    if (s->in[i].version == 0 || am_file_get(s->db, s->in[i].version, "config.json", take_blob, blob) < 0 || !blob[0])
        return NULL;
    AM_CLEANUP(am_sys_closep) int fd = am_blob_open(s->r->srv->store, blob);
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size > CONFIG_BYTES)
        return NULL;
    char *text = malloc((size_t)st.st_size + 1);
    bool read = text && am_sys_pread(fd, text, (size_t)st.st_size, 0) == 0;
    json_t *root = read ? json_loadb(text, (size_t)st.st_size, 0, NULL) : NULL;
    free(text);
    if (json_is_object(root))
        return root;
    json_decref(root);
    return NULL;
}

/* Where it was made, how it is stored, and how text is drawn from it: nothing that a merge depends on. What is told or
   refused elsewhere is here, too. */
static bool is_idle(const char *key)
{
    static const char *const words[] = {"_name_or_path",
                                        "transformers_version",
                                        "torch_dtype",
                                        "dtype",
                                        "architectures",
                                        "model_type",
                                        "auto_map",
                                        "use_cache",
                                        "tie_word_embeddings",
                                        "vocab_size",
                                        "max_length",
                                        "min_length",
                                        "max_new_tokens",
                                        "do_sample",
                                        "early_stopping",
                                        "num_beams",
                                        "temperature",
                                        "top_k",
                                        "top_p",
                                        "typical_p",
                                        "repetition_penalty",
                                        "length_penalty",
                                        "no_repeat_ngram_size",
                                        "task_specific_params",
                                        "id2label",
                                        "label2id",
                                        "finetuning_task",
                                        "problem_type",
                                        "output_attentions",
                                        "output_hidden_states",
                                        "return_dict",
                                        NULL};
    for (size_t i = 0; words[i]; i++)
        if (am_streq(key, words[i]))
            return true;
    return am_ends(key, "_token_id") || am_starts(key, "_");
}

static bool is_count(const struct am_submit *s, const char *key)
{
    bool stacked = false;
    for (size_t i = 0; i < s->body.inputs; i++)
        stacked = stacked || s->body.input[i].parts;
    return stacked && (strstr(key, "layer") != NULL);
}

/* Null is the same as nothing, and what only one of them says may be the default of the other; but not of rope. */
static bool differs(const char *key, const json_t *a, const json_t *b)
{
    bool none_a = !a || json_is_null(a), none_b = !b || json_is_null(b);
    if (none_a || none_b)
        return none_a != none_b && am_starts(key, "rope") && ((a && b) || am_streq(key, "rope_scaling"));
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) < json_number_value(b) || json_number_value(a) > json_number_value(b);
    return !json_equal(a, b);
}

static void list_differences(const struct am_submit *s, json_t *a, json_t *b, char list[AM_LIST_TEXT])
{
    char shown[AM_SHOWN];
    const char *key;
    const json_t *v;
    size_t n = 0;
    json_object_foreach(a, key, v)
    {
        if (is_idle(key) || is_count(s, key) || !differs(key, v, json_object_get(b, key)))
            continue;
        if (n++ < FIELDS)
            am_list_put(list, am_shown(shown, key));
    }
    json_object_foreach(b, key, v) if (!json_object_get(a, key) && differs(key, NULL, v) && n++ < FIELDS)
        am_list_put(list, am_shown(shown, key));
    if (n > FIELDS)
        am_list_put(list, "...");
}

/* "text_config.num_hidden_layers" in it; 0: nothing. */
static json_int_t count_at(const json_t *config, const char *word, size_t n)
{
    char key[128];
    snprintf(key, sizeof key, "%.*s", (int)n, word);
    char *dot = strchr(key, '.');
    if (dot)
        *dot = 0;
    const json_t *v = json_object_get(config, key);
    return json_integer_value(dot ? json_object_get(v, dot + 1) : v);
}

/* A configuration of mergekit goes layer by layer: a model with more of them is refused there, and not merged in part,
   as tensors that others lack are else. */
static bool goes_by_layers(const struct am_submit *s, size_t i)
{
    const json_t *o = s->body.options;
    return s->body.mergekit_config && !s->body.input[i].parts && !s->body.input[i].modules &&
           am_streq(json_string_value(json_object_get(o, "missing")), "present") &&
           am_streq(json_string_value(json_object_get(o, "extra")), "drop");
}

static void check_layers(struct am_submit *s, size_t donor, const json_t *a, size_t i, const json_t *b)
{
    const struct am_family *family = am_family_find(json_string_value(json_object_get(a, "model_type")));
    const char *counts = family ? family->counts : "num_hidden_layers|n_layer|num_layers", *word;
    size_t n;
    if (!goes_by_layers(s, i) || s->body.input[donor].parts)
        return;
    for (size_t k = 0; (word = am_family_word(counts, k, &n)); k++) {
        json_int_t x = count_at(a, word, n), y = count_at(b, word, n);
        if (x == 0 || y == 0 || x == y)
            continue;
        am_fault_add(&s->faults, AM_E_INVALID_PARAMS,
                     (struct am_where){.pointer = s->body.input[i].pointer, .reason = "slice-lengths"},
                     "all inputs must contain the same number of layers: %s has %lld, %s has %lld (%.*s); say with "
                     "slices which layers go together",
                     s->in[donor].label, (long long)x, s->in[i].label, (long long)y, (int)n, word);
        return;
    }
}

static int compare(struct am_submit *s, size_t donor, json_t *a, size_t i, json_t *b)
{
    char list[AM_LIST_TEXT] = "", one[AM_SHOWN], other[AM_SHOWN];
    const char *x = json_string_value(json_object_get(a, "model_type")),
               *y = json_string_value(json_object_get(b, "model_type"));
    bool same = !s->in[donor].architecture[0] || !s->in[i].architecture[0] ||
                am_streq(s->in[donor].architecture, s->in[i].architecture); /* else that is told already */
    if (x && y && !am_streq(x, y) && same && !s->body.mixed_architectures)
        am_fault_add(&s->faults, AM_E_ARCHITECTURE,
                     (struct am_where){.pointer = s->body.input[i].pointer, .reason = "architecture"},
                     "inputs differ: %s has the model_type %s and %s has %s; set options.allow_mixed_architectures to "
                     "merge anyway",
                     s->in[donor].label, am_shown(one, x), s->in[i].label, am_shown(other, y));
    check_layers(s, donor, a, i, b);
    list_differences(s, a, b, list);
    return list[0] ? am_submit_warn(s, "config-differs", "config.json of %s is not that of %s in: %s", s->in[i].label,
                                    s->in[donor].label, list)
                   : 0;
}

int am_submit_configs(struct am_submit *s)
{
    size_t donor = s->body.donor;
    json_t *own = am_streq(s->body.type, "merge") && s->body.inputs > 1 ? read_config(s, donor) : NULL;
    int rc = 0;
    for (size_t i = 0; own && rc == 0 && i < s->body.inputs; i++) {
        json_t *other = i != donor && s->in[i].version != s->in[donor].version ? read_config(s, i) : NULL;
        if (other)
            rc = compare(s, donor, own, i, other);
        json_decref(other);
    }
    json_decref(own);
    return rc;
}
