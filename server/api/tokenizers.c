/*
 * tokenizers.c - options.tokenizer of a merge: which tokenizer the result has. The daemon reads no tokenizer; it sees
 * to it that every input has one that the worker can read, and that what is named is one of the inputs.
 */
#include "core/base/text.h"
#include "core/table/json_util.h"
#include "server/api/submit.h"
#include "storage/models.h"

#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((int64_t)64 << 20) /* worker/vocab.h */
#define AT "#/options/tokenizer"

static int take_file(void *ctx, const struct am_file_row *f)
{
    struct am_pinned *p = ctx;
    snprintf(p->tokenizer, sizeof p->tokenizer, "%s", f->sha256);
    p->tokenizer_bytes = f->bytes;
    return 0;
}

static int look_at(struct am_submit *s, size_t i)
{
    struct am_pinned *p = &s->in[i];
    struct am_where w = {.pointer = s->body.input[i].pointer, .reason = "tokenizer-missing"};
    int rc = am_file_get(s->db, p->version, "tokenizer.json", take_file, p);
    if (rc == -AM_E_NOT_FOUND)
        am_fault_add(&s->faults, AM_E_TOKENIZER, w,
                     "%s has no tokenizer.json, by which its rows would be found; add one (save_pretrained of a fast "
                     "tokenizer writes it), or leave tokenizer out to keep the donor's",
                     p->label);
    else if (rc == 0 && p->tokenizer_bytes > FILE_MAX)
        am_fault_add(&s->faults, AM_E_TOKENIZER, w, "the tokenizer.json of %s has %lld bytes; at most %lld are read",
                     p->label, (long long)p->tokenizer_bytes, (long long)FILE_MAX);
    return rc == -AM_E_NOT_FOUND ? 0 : rc;
}

/* The input that `text` names, or -1 with a fault. */
static int input_of(struct am_submit *s, const char *text, const char *at)
{
    char *model = NULL, *rev = NULL, shown[AM_SHOWN];
    const char *why = NULL;
    int64_t version = 0;
    int found = -1;
    int rc = am_ref_split(text, &model, &rev, &why);
    if (rc == 0)
        rc = am_rev_resolve(s->db, model, rev, &version, NULL);
    for (size_t i = 0; rc == 0 && found < 0 && i < s->body.inputs - s->body.adapters; i++)
        found = s->in[i].version == version ? (int)i : -1;
    free(model);
    free(rev);
    if (found < 0)
        am_fault_add(&s->faults, AM_E_INVALID_PARAMS, (struct am_where){.pointer = at, .reason = "tokenizer-source"},
                     "%s is none of the versions that are merged here%s%s; name one of them", am_shown(shown, text),
                     why ? ": " : "", why ? why : "");
    return found;
}

/* A name of a version becomes that of its commit, which is what the worker finds its input by. */
static int pin(struct am_submit *s, json_t *o, const char *member, const char *at)
{
    char name[600];
    const char *text = json_string_value(json_object_get(o, member));
    int i = text ? input_of(s, text, at) : -1;
    if (i < 0)
        return 0;
    snprintf(name, sizeof name, "%s@%s", s->in[i].model, s->in[i].commit);
    return json_object_set_new(o, member, json_string(name)) < 0 ? -AM_E_OUT_OF_MEMORY : 0;
}

static int pin_tokens(struct am_submit *s, json_t *tokens)
{
    char at[AM_POINTER], in[AM_POINTER];
    const char *token;
    json_t *v;
    json_object_foreach(tokens, token, v)
    {
        json_t *source = json_object_get(v, "source");
        am_pointer(in, am_pointer(at, AT "/tokens", token), "source");
        AM_TRY(json_is_object(source) ? pin(s, source, "model", am_pointer(at, in, "model")) : pin(s, v, "source", in));
    }
    return 0;
}

int am_submit_tokenizers(struct am_submit *s)
{
    json_t *o = json_object_get(s->body.options, "tokenizer");
    const char *source = json_string_value(json_object_get(o, "source"));
    int rc = 0;
    if (!o && json_object_get(s->body.options, "vocab") && s->in[s->body.donor].version)
        rc = am_file_get(s->db, s->in[s->body.donor].version, "tokenizer.json", take_file, &s->in[s->body.donor]);
    if (!o)
        return rc == -AM_E_NOT_FOUND ? 0 : rc;
    for (size_t i = 0; i < s->body.inputs - s->body.adapters; i++) {
        if (s->in[i].version == 0)
            return 0; /* what is named may be that one */
        AM_TRY(look_at(s, i));
    }
    if (source && !am_streq(source, "union") && !am_streq(source, "base"))
        AM_TRY(pin(s, o, "source", AT "/source"));
    return pin_tokens(s, json_object_get(o, "tokens"));
}
