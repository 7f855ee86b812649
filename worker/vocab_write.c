/*
 * vocab_write.c - see vocab_write.h.
 */
#include "worker/vocab_write.h"

#include "core/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *text_of(const struct am_token *t)
{
    return json_stringn(t->text, t->bytes);
}

static json_t *flags_of(const struct am_token *t)
{
    return json_pack("{s:o, s:b, s:b, s:b, s:b, s:b}", "content", text_of(t), "single_word",
                     !!(t->flags & AM_TOKEN_SINGLE_WORD), "lstrip", !!(t->flags & AM_TOKEN_LSTRIP), "rstrip",
                     !!(t->flags & AM_TOKEN_RSTRIP), "normalized", !!(t->flags & AM_TOKEN_NORMALIZED), "special",
                     !!(t->flags & AM_TOKEN_SPECIAL));
}

static json_t *added_tokens(const struct am_vjoin *j)
{
    json_t *list = json_array();
    for (size_t i = 0; i < j->n; i++) {
        if (!(j->v[i].flags & AM_TOKEN_ADDED))
            continue;
        json_t *o = json_pack("{s:I}", "id", (json_int_t)j->v[i].id);
        json_object_update_new(o, flags_of(&j->v[i]));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *as_object(const struct am_vjoin *j)
{
    json_t *vocab = json_object();
    for (size_t i = 0; i < j->n; i++)
        if (j->v[i].flags & AM_TOKEN_LISTED)
            json_object_set_new(vocab, j->v[i].text, json_integer((json_int_t)j->v[i].id));
    return vocab;
}

/* Here the place in the list is the id, so what lies between two pieces is listed, too. */
static json_t *as_list(const struct am_vjoin *j)
{
    json_t *vocab = json_array();
    size_t n = j->n;
    while (n > 0 && !(j->v[n - 1].flags & AM_TOKEN_LISTED))
        n--;
    for (size_t i = 0; i < n; i++)
        json_array_append_new(vocab, json_pack("[o,f]", text_of(&j->v[i]), j->v[i].score));
    return vocab;
}

/* The two halves of a merge, "a b" or ["a", "b"], and whether both and what they make are tokens. */
static bool merge_stays(const json_t *merge, const json_t *vocab)
{
    char made[2 * 65536];
    const char *a = json_string_value(json_array_get(merge, 0)), *b = json_string_value(json_array_get(merge, 1)),
               *text = json_string_value(merge), *gap = text ? strchr(text + 1, ' ') : NULL;
    size_t na = a ? strlen(a) : 0;
    if (text && gap) {
        a = text;
        na = (size_t)(gap - text);
        b = gap + 1;
    }
    if (!a || !b || na + strlen(b) >= sizeof made)
        return true; /* not ours to judge */
    snprintf(made, sizeof made, "%.*s", (int)na, a);
    bool left = json_object_get(vocab, made) != NULL;
    snprintf(made + na, sizeof made - na, "%s", b);
    return left && json_object_get(vocab, b) && json_object_get(vocab, made);
}

static void drop_merges(json_t *model, const json_t *vocab)
{
    json_t *merges = json_object_get(model, "merges"), *left = json_array(), *m;
    size_t i;
    json_array_foreach(merges, i, m) if (merge_stays(m, vocab)) json_array_append(left, m);
    if (json_array_size(left) < json_array_size(merges))
        json_object_set(model, "merges", left);
    json_decref(left);
}

static int to_buf(const char *bytes, size_t n, void *out)
{
    return am_buf_put(out, bytes, n);
}

int am_vocab_dump(const json_t *v, struct am_buf *out)
{
    int rc = json_dump_callback(v, to_buf, out, JSON_INDENT(2) | JSON_ENCODE_ANY);
    return rc < 0 ? -AM_E_TOO_LARGE : am_buf_puts(out, "\n");
}

int am_vocab_write(const struct am_vjoin *j, const char *text, size_t n, struct am_buf *out)
{
    struct am_faults none = {0};
    json_auto_t *root = am_vocab_parse(text, n, "", &none);
    json_t *model = json_object_get(root, "model");
    bool list = json_is_array(json_object_get(model, "vocab"));
    am_faults_done(&none);
    if (!root)
        return -AM_E_STORE_DAMAGED; /* it was read a moment ago */
    json_object_set_new(model, "vocab", list ? as_list(j) : as_object(j));
    json_object_set_new(root, "added_tokens", added_tokens(j));
    if (j->taken && json_is_array(json_object_get(model, "merges")))
        drop_merges(model, json_object_get(model, "vocab"));
    return am_vocab_dump(root, out);
}

json_t *am_vocab_decoder(const struct am_vjoin *j)
{
    char id[16];
    json_t *o = json_object();
    for (size_t i = 0; i < j->n; i++) {
        snprintf(id, sizeof id, "%" PRIu32, j->v[i].id);
        if (j->v[i].flags & AM_TOKEN_ADDED)
            json_object_set_new(o, id, flags_of(&j->v[i]));
    }
    return o;
}

json_t *am_vocab_added(const struct am_vjoin *j)
{
    json_t *o = json_object();
    for (size_t i = 0; i < j->n; i++)
        if ((j->v[i].flags & AM_TOKEN_ADDED) && !(j->v[i].flags & AM_TOKEN_LISTED))
            json_object_set_new(o, j->v[i].text, json_integer((json_int_t)j->v[i].id));
    return o;
}
