/*
 * adapter_config.c - adapter_config.json of PEFT (adapter.h): what it says of factors, and the kinds that are refused.
 */
#include "core/table/adapter_parts.h"

#include "core/base/text.h"
#include "core/table/json_util.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

static void kind_fault(const struct am_adapter_about *about, struct am_faults *f, const char *kind, const char *what)
{
    am_fault_add(f, AM_E_UNSUPPORTED_FORMAT, (struct am_where){.pointer = about->pointer, .reason = "adapter-kind"},
                 "%s: %s adapters are not supported; %s", about->label, kind, what);
}

static void bad(const struct am_adapter_about *about, struct am_faults *f, const char *what)
{
    am_fault_add(f, AM_E_UNSUPPORTED_FORMAT, (struct am_where){.pointer = about->pointer, .reason = "adapter-config"},
                 AM_ADAPTER_CONFIG " of %s: %s", about->label, what);
}

/* A member that is neither null nor false nor empty. */
static bool is_set(const json_t *root, const char *name)
{
    const json_t *v = json_object_get(root, name);
    bool empty = (json_is_array(v) && json_array_size(v) == 0) || (json_is_object(v) && json_object_size(v) == 0);
    return v && !json_is_null(v) && !json_is_false(v) && !empty;
}

/* Initialisations that also change the base's weights, which then are not those of the base here. */
static bool changes_base(const json_t *root, char shown[AM_SHOWN])
{
    static const char *const known[] = {"pissa", "olora", "corda", "loftq", "lora_ga"};
    const char *how = json_string_value(json_object_get(root, "init_lora_weights"));
    for (size_t i = 0; how && i < sizeof known / sizeof *known; i++)
        if (strncasecmp(how, known[i], strlen(known[i])) == 0) {
            am_shown(shown, how);
            return true;
        }
    return false;
}

static void check_kind(const json_t *root, const struct am_adapter_about *about, struct am_faults *f)
{
    static const struct {
        const char *member, *kind;
    } others[] = {{"use_dora", "DoRA"},
                  {"use_qalora", "QALoRA"},
                  {"layer_replication", "layer-replicating LoRA"},
                  {"alora_invocation_tokens", "aLoRA"},
                  {"trainable_token_indices", "trainable-token"},
                  {"target_parameters", "target_parameters (fused experts)"},
                  {"kasa_config", "KaSA"},
                  {"use_bdlora", "BD-LoRA"},
                  {"monteclora_config", "MonteCLoRA"},
                  {"arrow_config", "Arrow"}};
    static const char *const merge_it = "merge it into its base with PEFT (merge_and_unload) and register the result";
    const char *kind = json_string_value(json_object_get(root, "peft_type"));
    char shown[AM_SHOWN], why[AM_SHOWN + 40];
    if (!kind)
        bad(about, f, "it has no peft_type; PEFT writes one, \"LORA\" for what can be read here");
    else if (!am_streq(kind, "LORA"))
        kind_fault(about, f, am_shown(shown, kind), merge_it);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (is_set(root, others[i].member))
            kind_fault(about, f, others[i].kind, merge_it);
    if (changes_base(root, shown)) {
        snprintf(why, sizeof why, "%s-initialised", shown);
        kind_fault(about, f, why,
                   "that changed the base's weights too: save it with path_initial_model_for_weight_conversion, or "
                   "merge it with PEFT");
    }
}

/* Letters of names of modules; a key of a pattern with others is a regular expression. */
static bool is_plain(const char *key)
{
    if (*key == '^')
        key++;
    for (; *key; key++)
        if (!isalnum((unsigned char)*key) && !strchr("_.-", *key) && !(key[0] == '\\' && key[1] == '.'))
            return false;
    return true;
}

/* As PEFT: the key is the name of the module or what it ends in; "^" wants all of it. */
static bool meets(const char *key, const char *module)
{
    char text[512];
    size_t n = 0;
    bool all = *key == '^';
    for (key += all; *key && n + 1 < sizeof text; key++)
        if (*key != '\\')
            text[n++] = *key;
    text[n] = 0;
    size_t m = strlen(module);
    if (n > m || strcmp(module + m - n, text) != 0)
        return false;
    return n == m || (!all && module[m - n - 1] == '.');
}

static const json_t *pattern_at(const json_t *patterns, const char *module)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)patterns, key, v) if (meets(key, module)) return v;
    return NULL;
}

static bool all_plain(const json_t *patterns)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)patterns, key, v) if (!is_plain(key)) return false;
    return true;
}

static bool is_number(const json_t *v)
{
    return json_is_number(v) && isfinite(json_number_value(v));
}

static void check_patterns(const json_t *root, const struct am_adapter_about *about, struct am_faults *f)
{
    const json_t *alphas = json_object_get(root, "alpha_pattern");
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)alphas, key, v)
    {
        char shown[AM_SHOWN], what[AM_SHOWN + 160];
        if (is_plain(key) && is_number(v))
            continue;
        snprintf(what, sizeof what, "alpha_pattern \"%s\" %s", am_shown(shown, key),
                 is_plain(key) ? "has no number"
                               : "is a regular expression; write the names of the modules, or what they end in");
        bad(about, f, what);
    }
}

int am_adapter_config(struct am_adapter_config *ret, const char *text, size_t n, const struct am_adapter_about *about,
                      struct am_faults *f)
{
    json_error_t why;
    size_t before = f->total;
    json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(root)) {
        json_decref(root);
        bad(about, f, "it is no JSON object");
        return -AM_E_INVALID_REQUEST;
    }
    check_kind(root, about, f);
    check_patterns(root, about, f);
    const json_t *r = json_object_get(root, "r"), *alpha = json_object_get(root, "lora_alpha");
    struct am_adapter_config c = {.root = root,
                                  .alpha = json_number_value(alpha),
                                  .r = json_integer_value(r),
                                  .rslora = json_is_true(json_object_get(root, "use_rslora")),
                                  .swapped = json_is_true(json_object_get(root, "fan_in_fan_out"))};
    if (f->total == before && !is_number(alpha))
        bad(about, f, "lora_alpha must be a number");
    if (f->total == before && (!json_is_integer(r) || c.r < 1))
        bad(about, f, "r must be a whole number from 1");
    if (f->total > before) {
        json_decref(root);
        return -AM_E_INVALID_REQUEST;
    }
    *ret = c;
    return 0;
}

double am_adapter_scale(const struct am_adapter_config *c, const char *module, uint64_t r)
{
    const json_t *own = pattern_at(json_object_get(c->root, "alpha_pattern"), module);
    double alpha = own ? json_number_value(own) : c->alpha;
    return alpha / (c->rslora ? sqrt((double)r) : (double)r);
}

uint64_t am_adapter_rank(const struct am_adapter_config *c, const char *module)
{
    const json_t *patterns = json_object_get(c->root, "rank_pattern"), *own = pattern_at(patterns, module);
    if (own)
        return json_is_integer(own) && json_integer_value(own) > 0 ? (uint64_t)json_integer_value(own) : 0;
    return all_plain(patterns) ? (uint64_t)c->r : 0;
}
