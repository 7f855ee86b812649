/*
 * recipe_refs.c - see recipe_refs.h. A reference is a plain value of the keys model, base_model, path, tokenizer_source
 * and source; the daemon reads the rest.
 */
#include "cli/recipe_refs.h"

#include "core/base/buf.h"
#include "core/base/text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define DEPTH_MAX 64
#define REFS_MAX 1000

struct walk {
    struct am_refs *r;
    const char *text;
    size_t n;
    bool mapping[DEPTH_MAX], value[DEPTH_MAX], named[DEPTH_MAX]; /* value: a key has been read; named: one of ours */
    bool name;                                                   /* the key was `name`, of a document */
    bool path[DEPTH_MAX];                                        /* namely `path` */
    int depth;
    size_t chars, bytes; /* libyaml counts characters */
};

static bool is_ours(const char *key)
{
    static const char *const keys[] = {"model", "base_model", "path", "tokenizer_source", "source"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (am_streq(key, keys[i]))
            return true;
    return false;
}

/* From characters to bytes; marks come in order. */
static size_t byte_at(struct walk *w, size_t chars)
{
    for (; w->chars < chars && w->bytes < w->n; w->chars++)
        for (w->bytes++; w->bytes < w->n && ((unsigned char)w->text[w->bytes] & 0xc0) == 0x80; w->bytes++)
            ;
    return w->bytes;
}

/* "&name " before a value stays: others may refer to it. */
static size_t behind_anchor(const struct walk *w, size_t from)
{
    if (from == w->n || w->text[from] != '&')
        return from;
    while (from < w->n && !isspace((unsigned char)w->text[from]))
        from++;
    while (from < w->n && isspace((unsigned char)w->text[from]))
        from++;
    return from;
}

static void take_scalar(struct walk *w, const yaml_event_t *e)
{
    const char *text = (const char *)e->data.scalar.value;
    int d = w->depth;
    if (w->mapping[d] && !w->value[d]) {
        w->named[d] = is_ours(text);
        w->name = d == 1 && am_streq(text, "name");
        w->path[d] = am_streq(text, "path");
        w->value[d] = true;
        return;
    }
    if (d == 1 && w->value[d] && w->name && w->r->names < REFS_MAX) {
        w->r->name = am_xgrow(w->r->name, (w->r->names + 1) * sizeof *w->r->name);
        w->r->name[w->r->names++] = am_xdup(text);
    }
    if (w->mapping[d] && w->named[d] && w->r->n < REFS_MAX) {
        w->r->v = am_xgrow(w->r->v, (w->r->n + 1) * sizeof *w->r->v);
        struct am_ref_place *p = &w->r->v[w->r->n++];
        *p = (struct am_ref_place){.value = am_xdup(text), .is_path = w->path[d]};
        p->is_block =
            e->data.scalar.style == YAML_LITERAL_SCALAR_STYLE || e->data.scalar.style == YAML_FOLDED_SCALAR_STYLE;
        p->from = behind_anchor(w, byte_at(w, e->start_mark.index));
        p->to = byte_at(w, e->end_mark.index);
    }
    w->value[d] = false;
}

/* False: deeper than any configuration. */
static bool take(struct walk *w, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        take_scalar(w, e);
        break;
    case YAML_ALIAS_EVENT:
        w->value[w->depth] = false;
        break;
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT:
        if (w->depth + 1 == DEPTH_MAX)
            return false;
        w->depth++;
        w->mapping[w->depth] = e->type == YAML_MAPPING_START_EVENT;
        w->value[w->depth] = w->named[w->depth] = false;
        break;
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        w->depth--;
        w->value[w->depth] = false;
        break;
    default:
        break;
    }
    return true;
}

static bool is_stage(const struct am_refs *r, const char *value)
{
    for (size_t i = 0; i < r->names; i++)
        if (am_streq(r->name[i], value))
            return true;
    return false;
}

/* They may stand before the document that they name. */
static void drop_stages(struct am_refs *r)
{
    size_t kept = 0;
    for (size_t i = 0; i < r->n; i++)
        if (is_stage(r, r->v[i].value))
            free(r->v[i].value);
        else
            r->v[kept++] = r->v[i];
    r->n = kept;
}

int am_refs_read(const struct am_cli *c, const char *file, const char *text, size_t n, struct am_refs *ret)
{
    static const char mark[] = "\xef\xbb\xbf"; /* of UTF-8, as some editors begin a file with */
    size_t begin = n >= 3 && memcmp(text, mark, 3) == 0 ? 3 : 0;
    struct walk w = {.r = ret, .text = text, .n = n, .bytes = begin};
    yaml_parser_t p;
    yaml_event_t e;
    bool good = yaml_parser_initialize(&p);
    yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&p, (const unsigned char *)text + begin, n - begin);
    for (bool end = false; good && !end; yaml_event_delete(&e)) {
        good = yaml_parser_parse(&p, &e) && take(&w, &e);
        end = good && e.type == YAML_STREAM_END_EVENT;
    }
    if (!good)
        am_say_error(c, NULL, "%s, line %zu, column %zu: %s", file, p.problem_mark.line + 1, p.problem_mark.column + 1,
                     p.problem ? p.problem : "this is no YAML that a configuration is written in");
    yaml_parser_delete(&p);
    drop_stages(ret);
    return good ? 0 : AM_EXIT_USAGE;
}

char *am_refs_apply(const struct am_refs *r, const char *text, size_t n)
{
    struct am_buf b;
    size_t at = 0;
    am_buf_init(&b, 2 * n + (1u << 20));
    for (size_t i = 0; i < r->n; i++) {
        if (!r->v[i].with)
            continue;
        am_buf_put(&b, text + at, r->v[i].from - at);
        am_buf_printf(&b, "\"%s\"%s", r->v[i].with, r->v[i].is_block ? "\n" : "");
        at = r->v[i].to;
    }
    am_buf_put(&b, text + at, n - at);
    char *out = am_buf_take(&b);
    am_buf_done(&b);
    return out ? out : am_xdup("");
}

void am_refs_done(struct am_refs *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->v[i].value);
        free(r->v[i].with);
    }
    for (size_t i = 0; i < r->names; i++)
        free(r->name[i]);
    free(r->name);
    free(r->v);
    *r = (struct am_refs){0};
}
