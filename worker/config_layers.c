/*
 * config_layers.c - config.json of a stack of layers: the number of layers, and every list with an entry for each of
 * them (layer_types), in the order of the stack. All else stays as it is written. Which key counts the layers is what
 * core/table/families.h knows of the family; of other models, the usual names.
 */
#include "worker/config_json.h"

#include "core/base/text.h"
#include "core/table/families.h"
#include "worker/json_edit.h"
#include "worker/json_text.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static bool is_count(const char *key)
{
    static const char *const names[] = {"num_hidden_layers", "n_layer", "n_layers", "num_layers"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (am_streq(key, names[i]))
            return true;
    return false;
}

static uint32_t layers_of(const struct am_config_stack *s)
{
    uint32_t n = 0;
    for (size_t i = 0; i < s->parts; i++)
        n += s->to[i] - s->from[i];
    return n;
}

static int put_list(const json_t *list, const struct am_config_stack *s, struct am_buf *out)
{
    AM_TRY(am_buf_puts(out, "["));
    for (size_t i = 0, put = 0; i < s->parts; i++) {
        for (uint32_t k = s->from[i]; k < s->to[i]; k++, put++) {
            const json_t *one = json_array_get(list, k < s->had ? k : s->had - 1);
            AM_TRY(put ? am_buf_puts(out, ", ") : 0);
            AM_TRY(am_json_text(out, one, 0));
        }
    }
    return am_buf_puts(out, "]");
}

/* A list of numbers of tokens, or of names, may have that length by chance. */
static bool by_chance(const char *key)
{
    return am_streq(key, "architectures") || am_ends(key, "_token_id") || am_ends(key, "_token_ids");
}

struct place { /* where the numbers of this stack are, by the family of the model */
    const struct am_config_stack *stack;
    const struct am_family *family; /* NULL: none is known, or it has no such layers */
    char object[64], count[64];     /* the object that they are in, "" the outermost; the key of their number */
};

static bool is_listed(const struct am_family *family, const char *key)
{
    size_t n;
    const char *word;
    for (size_t i = 0; family && (word = am_family_word(family->lists, i, &n)); i++)
        if (strlen(key) == n && memcmp(key, word, n) == 0)
            return true;
    return false;
}

/* Whole numbers stay whole. */
static int put_listed(const struct am_json_member *m, const struct am_config_stack *s, struct am_buf *out)
{
    json_t *list = json_loadb(m->text, m->n, 0, NULL);
    int rc = list ? put_list(list, s, out) : -AM_E_BAD_INPUT;
    json_decref(list);
    return rc;
}

static int put_value(void *ctx, const struct am_json_member *m, struct am_buf *out)
{
    const struct place *p = ctx;
    const struct am_config_stack *s = p->stack;
    bool count = p->family ? am_streq(m->key, p->count) : is_count(m->key);
    bool listed = is_listed(p->family, m->key) || (s->had > 1 && !by_chance(m->key));
    int rc;
    if (json_is_number(m->value) && count)
        rc = am_buf_printf(out, "%u", layers_of(s));
    else if (json_is_array(m->value) && json_array_size(m->value) == s->had && listed)
        rc = put_listed(m, s, out);
    else
        return 0;
    return rc < 0 ? rc : 1;
}

static int put_object(void *ctx, const struct am_json_member *m, struct am_buf *out)
{
    const struct place *p = ctx;
    struct am_json_edit e = {.each = put_value, .ctx = ctx};
    bool inner = am_streq(m->key, p->object) && json_is_object(m->value);
    return inner ? am_json_edit(m->text, m->n, &e, out) : 0;
}

/* "model.layers." ends in the path "model.layers". */
static bool lies_at(const struct am_config_stack *s, const char *path, size_t n)
{
    size_t own = s->stack_n ? s->stack_n - 1 : 0;
    return own >= n && memcmp(s->stack + own - n, path, n) == 0 && (own == n || s->stack[own - n - 1] == '.');
}

/* "text_config.num_hidden_layers" */
static void take_count(struct place *p, const char *text, size_t n)
{
    const char *dot = memchr(text, '.', n);
    size_t object = dot ? (size_t)(dot - text) : 0, skip = dot ? object + 1 : 0;
    snprintf(p->object, sizeof p->object, "%.*s", (int)object, text);
    snprintf(p->count, sizeof p->count, "%.*s", (int)(n - skip), text + skip);
}

static struct place find_place(const char *type, const struct am_config_stack *s)
{
    struct place p = {.stack = s};
    const struct am_family *family = am_family_find(type);
    size_t path_n, count_n;
    const char *path, *count;
    for (size_t i = 0; family && (path = am_family_word(family->layers, i, &path_n)); i++) {
        if (!lies_at(s, path, path_n) || !(count = am_family_word(family->counts, i, &count_n)))
            continue;
        p.family = family;
        take_count(&p, count, count_n);
        break;
    }
    return p;
}

int am_config_set_layers(const char *text, size_t n, const struct am_config_stack *s, struct am_buf *out)
{
    json_t *root = json_loadb(text, n, 0, NULL);
    struct place p = find_place(json_string_value(json_object_get(root, "model_type")), s);
    json_decref(root);
    struct am_json_edit e = {.each = p.object[0] ? put_object : put_value, .ctx = &p};
    return am_json_edit(text, n, &e, out);
}
