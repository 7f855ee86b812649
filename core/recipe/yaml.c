/*
 * yaml.c - see yaml.h. Reads libyaml's events one by one, so that a ceiling ends it at once. An alias shares what its
 * anchor made; it counts as often as it is met.
 */
#include "core/recipe/yaml.h"

#include "core/base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#define ANCHORS 256
#define NUMBER_BYTES 64
#define DIGITS "0123456789"

struct anchor {
    char name[64];
    struct am_yaml_document d;
    size_t nodes;
    unsigned height; /* collections inside one another; a scalar has none */
};

struct reader {
    yaml_parser_t p;
    struct anchor anchor[ANCHORS];
    size_t anchors, nodes;
    unsigned deepest; /* of the value that is being read, from the top of the document */
    struct am_faults *f;
    bool mark; /* the text begins with the character that says that it is UTF-8, as some editors write it */
};

static int fail(struct reader *r, const yaml_mark_t *at, const char *reason, const char *what)
{
    return am_fault_add(r->f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = "#", .reason = reason},
                        "line %zu, column %zu: %.200s", at->line + 1, at->column + 1, what);
}

static int too_much(struct reader *r, const yaml_mark_t *at, const char *limit)
{
    return am_fault_add(r->f, AM_E_TOO_LARGE, (struct am_where){.pointer = "#", .reason = "yaml-limit"},
                        "line %zu: the recipe exceeds %s", at->line + 1, limit);
}

static int next(struct reader *r, yaml_event_t *e)
{
    if (yaml_parser_parse(&r->p, e))
        return 0;
    if (r->p.error == YAML_MEMORY_ERROR)
        return -AM_E_OUT_OF_MEMORY;
    const yaml_mark_t *at = r->p.problem_mark.line || r->p.problem_mark.column ? &r->p.problem_mark : &r->p.mark;
    return fail(r, at, "yaml-syntax", r->p.problem ? r->p.problem : "this is no YAML");
}

/* ---- scalars ---- */

int am_yaml_number(const char *text, double *ret)
{
    char plain[NUMBER_BYTES + 3];
    bool minus = *text == '-';
    if (strnlen(text, NUMBER_BYTES + 1) > NUMBER_BYTES)
        return -AM_E_INVALID_REQUEST;
    text += minus || *text == '+';
    int whole = (int)strspn(text, DIGITS), part = text[whole] == '.' ? (int)strspn(text + whole + 1, DIGITS) : 0;
    const char *rest = text + whole + (text[whole] == '.') + part;
    if (whole + part == 0 || (*rest && *rest != 'e' && *rest != 'E'))
        return -AM_E_INVALID_REQUEST;
    /* "5.", "5.e3" and ".5" are spelled out */
    snprintf(plain, sizeof plain, "%s%.*s%s%.*s%s", minus ? "-" : "", whole ? whole : 1, whole ? text : "0",
             part ? "." : "", part, text + whole + 1, rest);
    return am_parse_f64(plain, ret);
}

static bool is_one(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcasecmp(text, *words) == 0)
            return true;
    return false;
}

/* Whole numbers as YAML 1.1 spells them beside decimal ones, and 1.2's octal ones: 0x1f, 017, 0o17, 1_000. */
static bool is_whole(const char *text, json_int_t *ret)
{
    static const struct {
        const char *start, *digits;
        int base;
    } forms[] = {
        {"0x", "0123456789abcdefABCDEF_", 16}, {"0o", "01234567", 8}, {"0", "01234567_", 8}, {"", DIGITS "_", 10}};
    char plain[NUMBER_BYTES + 1], *end = plain;
    bool minus = *text == '-';
    size_t f = 0;
    text += minus || *text == '+';
    while (!am_starts(text, forms[f].start) || (f == 2 && !text[1]))
        f++;
    const char *digits = text + strlen(forms[f].start);
    if (!*digits || *digits == '_' || digits[strspn(digits, forms[f].digits)] || strlen(digits) > NUMBER_BYTES)
        return false;
    for (; *digits; digits++)
        if (*digits != '_')
            *end++ = *digits;
    *end = 0;
    errno = 0;
    long long n = strtoll(plain, NULL, forms[f].base);
    *ret = minus ? -n : n;
    return errno == 0 && n <= 9007199254740991;
}

/* What a plain scalar means; NULL: a text. */
static json_t *plain_value(const char *text)
{
    static const char *const nothing[] = {"", "~", "null", NULL}, *const yes[] = {"true", "yes", "on", NULL},
                             *const no[] = {"false", "no", "off", NULL};
    json_int_t n;
    double d;
    if (is_one(text, nothing))
        return json_null();
    if (is_one(text, yes) || is_one(text, no))
        return json_boolean(is_one(text, yes));
    if (is_whole(text, &n))
        return json_integer(n);
    return am_yaml_number(text, &d) < 0 ? NULL : json_real(d);
}

static int take_scalar(struct reader *r, const yaml_event_t *e, struct am_yaml_document *ret)
{
    const char *text = (const char *)e->data.scalar.value;
    size_t n = e->data.scalar.length;
    if (e->data.scalar.tag)
        return fail(r, &e->start_mark, "yaml-syntax", "tags are not taken");
    if (memchr(text, 0, n))
        return fail(r, &e->start_mark, "yaml-syntax", "a text holds a NUL");
    json_t *v = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE ? plain_value(text) : NULL;
    ret->json = v ? v : json_stringn(text, n);
    ret->lines = json_integer((json_int_t)e->start_mark.line + 1);
    return ret->json && ret->lines ? 0 : -AM_E_OUT_OF_MEMORY;
}

/* ---- anchors ---- */

static void reach(struct reader *r, unsigned depth)
{
    r->deepest = depth > r->deepest ? depth : r->deepest;
}

static int keep_anchor(struct reader *r, const yaml_event_t *e, const char *name, const struct am_yaml_document *d,
                       size_t nodes, unsigned height)
{
    if (!name)
        return 0;
    if (r->anchors == ANCHORS || strlen(name) >= sizeof r->anchor[0].name)
        return too_much(r, &e->start_mark, "256 anchors with names of 63 bytes");
    struct anchor *a = &r->anchor[r->anchors++];
    memcpy(a->name, name, strlen(name) + 1);
    a->d = (struct am_yaml_document){json_incref(d->json), json_incref(d->lines)};
    a->nodes = nodes;
    a->height = height;
    return 0;
}

/* The last anchor of that name counts. One that is not complete yet is not there: nothing contains itself. */
static int take_alias(struct reader *r, const yaml_event_t *e, unsigned depth, struct am_yaml_document *ret)
{
    for (size_t i = r->anchors; i-- > 0;) {
        const struct anchor *a = &r->anchor[i];
        if (!am_streq(a->name, (const char *)e->data.alias.anchor))
            continue;
        if (depth + a->height > AM_YAML_DEPTH)
            return too_much(r, &e->start_mark, "a depth of 32");
        reach(r, depth + a->height);
        r->nodes += a->nodes;
        *ret = (struct am_yaml_document){json_incref(a->d.json), json_incref(a->d.lines)};
        return r->nodes > AM_YAML_NODES ? too_much(r, &e->start_mark, "20000 values") : 0;
    }
    return fail(r, &e->start_mark, "yaml-syntax", "an alias without an anchor before it");
}

/* ---- collections ---- */

static void release(struct am_yaml_document *d)
{
    json_decref(d->json);
    json_decref(d->lines);
    *d = (struct am_yaml_document){0};
}

static int take_value(struct reader *r, const yaml_event_t *e, unsigned depth, struct am_yaml_document *ret);

static int take_list(struct reader *r, unsigned depth, struct am_yaml_document *ret)
{
    for (;;) {
        yaml_event_t e;
        struct am_yaml_document one = {0};
        AM_TRY(next(r, &e));
        bool end = e.type == YAML_SEQUENCE_END_EVENT;
        int rc = end ? 0 : take_value(r, &e, depth, &one);
        yaml_event_delete(&e);
        if (rc == 0 && !end &&
            (json_array_append(ret->json, one.json) < 0 || json_array_append(ret->lines, one.lines) < 0))
            rc = -AM_E_OUT_OF_MEMORY;
        release(&one);
        if (rc < 0 || end)
            return rc;
    }
}

static int put_member(struct am_yaml_document *m, const char *key, const struct am_yaml_document *value)
{
    if (json_object_set(m->json, key, value->json) < 0 || json_object_set(m->lines, key, value->lines) < 0)
        return -AM_E_OUT_OF_MEMORY;
    return 0;
}

/* Members of `from` that are not there yet. */
static int merge_into(struct am_yaml_document *m, const struct am_yaml_document *from)
{
    const char *key;
    json_t *v;
    json_object_foreach(from->json, key, v)
    {
        struct am_yaml_document one = {v, json_object_get(from->lines, key)};
        if (!json_object_get(m->json, key))
            AM_TRY(put_member(m, key, &one));
    }
    return 0;
}

static int merge_all(struct reader *r, const yaml_mark_t *at, struct am_yaml_document *m,
                     const struct am_yaml_document *from)
{
    if (json_is_object(from->json))
        return merge_into(m, from);
    for (size_t i = 0; i < json_array_size(from->json); i++) {
        struct am_yaml_document one = {json_array_get(from->json, i), json_array_get(from->lines, i + 1)};
        if (!json_is_object(one.json))
            break;
        AM_TRY(merge_into(m, &one));
        if (i + 1 == json_array_size(from->json))
            return 0;
    }
    return fail(r, at, "yaml-syntax", "<< takes a mapping, or a list of mappings");
}

static int check_key(struct reader *r, const yaml_event_t *e, const struct am_yaml_document *m)
{
    const char *key = (const char *)e->data.scalar.value;
    char text[140];
    if (e->type != YAML_SCALAR_EVENT || e->data.scalar.tag)
        return fail(r, &e->start_mark, "yaml-syntax", "a key is a plain text");
    if (!key[0] || memchr(key, 0, e->data.scalar.length))
        return fail(r, &e->start_mark, "yaml-syntax", "a key is empty, or holds a NUL");
    if (!json_object_get(m->json, key))
        return 0;
    snprintf(text, sizeof text, "key %.100s appears twice", key);
    return fail(r, &e->start_mark, "duplicate-key", text);
}

static int take_member(struct reader *r, yaml_event_t *key, unsigned depth, struct am_yaml_document *m,
                       struct am_yaml_document *merged)
{
    yaml_event_t e;
    struct am_yaml_document value = {0};
    const char *name = (const char *)key->data.scalar.value;
    AM_TRY(check_key(r, key, m));
    AM_TRY(next(r, &e));
    int rc = take_value(r, &e, depth, &value);
    bool merge = am_streq(name, "<<") && key->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (rc == 0)
        rc = merge ? merge_all(r, &e.start_mark, merged, &value) : put_member(m, name, &value);
    yaml_event_delete(&e);
    release(&value);
    return rc;
}

static int take_mapping(struct reader *r, unsigned depth, struct am_yaml_document *ret)
{
    struct am_yaml_document merged = {json_object(), json_object()}; /* gives way to the mapping's own keys */
    int rc = merged.json && merged.lines ? 0 : -AM_E_OUT_OF_MEMORY;
    for (bool end = false; rc == 0 && !end;) {
        yaml_event_t e;
        if ((rc = next(r, &e)) < 0)
            break;
        end = e.type == YAML_MAPPING_END_EVENT;
        if (!end)
            rc = ++r->nodes > AM_YAML_NODES ? too_much(r, &e.start_mark, "20000 values")
                                            : take_member(r, &e, depth, ret, &merged);
        yaml_event_delete(&e);
    }
    if (rc == 0)
        rc = merge_into(ret, &merged);
    release(&merged);
    return rc;
}

static int take_collection(struct reader *r, const yaml_event_t *e, unsigned depth, struct am_yaml_document *ret)
{
    bool list = e->type == YAML_SEQUENCE_START_EVENT;
    json_t *line = json_integer((json_int_t)e->start_mark.line + 1);
    if (depth == AM_YAML_DEPTH) {
        json_decref(line);
        return too_much(r, &e->start_mark, "a depth of 32");
    }
    if (list ? e->data.sequence_start.tag != NULL : e->data.mapping_start.tag != NULL) {
        json_decref(line);
        return fail(r, &e->start_mark, "yaml-syntax", "tags are not taken");
    }
    reach(r, depth + 1);
    *ret = (struct am_yaml_document){list ? json_array() : json_object(), list ? json_array() : json_object()};
    if (list ? json_array_append_new(ret->lines, line) : json_object_set_new(ret->lines, "", line))
        return -AM_E_OUT_OF_MEMORY;
    return list ? take_list(r, depth + 1, ret) : take_mapping(r, depth + 1, ret);
}

/* `ret` is released by the caller, also after an error. */
static int take_value(struct reader *r, const yaml_event_t *e, unsigned depth, struct am_yaml_document *ret)
{
    size_t before = r->nodes;
    unsigned around = r->deepest;
    const char *anchor = NULL;
    int rc = 0;
    if (++r->nodes > AM_YAML_NODES)
        return too_much(r, &e->start_mark, "20000 values");
    if (e->type == YAML_ALIAS_EVENT)
        return take_alias(r, e, depth, ret);
    r->deepest = depth;
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        anchor = (const char *)e->data.scalar.anchor;
        rc = take_scalar(r, e, ret);
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = (const char *)e->data.sequence_start.anchor;
        rc = take_collection(r, e, depth, ret);
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = (const char *)e->data.mapping_start.anchor;
        rc = take_collection(r, e, depth, ret);
        break;
    default:
        return fail(r, &e->start_mark, "yaml-syntax", "a value is missing");
    }
    if (rc == 0)
        rc = keep_anchor(r, e, anchor, ret, r->nodes - before, r->deepest - depth);
    reach(r, around);
    return rc;
}

/* ---- documents ---- */

static void forget_anchors(struct reader *r)
{
    while (r->anchors > 0)
        release(&r->anchor[--r->anchors].d);
}

static int take_documents(struct reader *r, struct am_yaml *ret)
{
    size_t from = 0;
    for (;;) {
        yaml_event_t e;
        AM_TRY(next(r, &e));
        yaml_event_type_t type = e.type;
        int rc = 0;
        if (type == YAML_DOCUMENT_START_EVENT)
            from = ret->n ? e.start_mark.index + r->mark : 0;
        if (type == YAML_DOCUMENT_END_EVENT)
            forget_anchors(r);
        else if (type != YAML_STREAM_START_EVENT && type != YAML_STREAM_END_EVENT &&
                 type != YAML_DOCUMENT_START_EVENT) {
            rc = ret->n == AM_YAML_DOCUMENTS ? too_much(r, &e.start_mark, "32 documents")
                                             : take_value(r, &e, 0, &ret->v[ret->n++]);
            if (rc == 0)
                ret->from[ret->n - 1] = from;
        }
        yaml_event_delete(&e);
        if (rc < 0 || type == YAML_STREAM_END_EVENT)
            return rc;
    }
}

int am_yaml_read(struct am_yaml *ret, const char *text, size_t n, struct am_faults *f)
{
    struct am_yaml y = {0};
    struct am_where all = {.pointer = "#", .reason = "yaml-limit"};
    if (n > AM_YAML_BYTES)
        return am_fault_add(f, AM_E_TOO_LARGE, all, "the recipe exceeds 1 MiB: it has %zu bytes", n);
    all.reason = "yaml-syntax";
    if (!am_utf8_ok(text, n))
        return am_fault_add(f, AM_E_INVALID_REQUEST, all, "the recipe is not UTF-8");
    struct reader *r = calloc(1, sizeof *r);
    if (!r || !yaml_parser_initialize(&r->p)) {
        free(r);
        return -AM_E_OUT_OF_MEMORY;
    }
    r->f = f;
    r->mark = n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0;
    yaml_parser_set_encoding(&r->p, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->p, (const unsigned char *)text + (r->mark ? 3 : 0), n - (r->mark ? 3 : 0));
    int rc = take_documents(r, &y);
    if (rc == 0 && y.n == 0)
        rc = am_fault_add(f, AM_E_INVALID_REQUEST, all, "the recipe is empty");
    forget_anchors(r);
    yaml_parser_delete(&r->p);
    free(r);
    if (rc < 0)
        am_yaml_done(&y);
    else
        *ret = y;
    return rc;
}

void am_yaml_done(struct am_yaml *y)
{
    for (size_t i = 0; i < y->n; i++)
        release(&y->v[i]);
    y->n = 0;
}

static int own_line(const json_t *lines)
{
    const json_t *v = json_is_object(lines)  ? json_object_get(lines, "")
                      : json_is_array(lines) ? json_array_get(lines, 0)
                                             : lines;
    return (int)json_integer_value(v);
}

/* One part of a pointer, unescaped, into `out`; returns what follows. */
static const char *part(const char *p, char *out, size_t cap)
{
    unsigned char byte;
    size_t n = 0;
    for (; *p && *p != '/'; p++) {
        char c = *p;
        char hex[3] = {p[1], p[1] ? p[2] : '\0', '\0'};
        if (c == '%' && am_unhex(hex, 1, &byte) == 0) {
            c = (char)byte;
            p += 2;
        } else if (c == '~' && (p[1] == '0' || p[1] == '1'))
            c = *++p == '0' ? '~' : '/';
        if (n + 1 < cap)
            out[n++] = c;
    }
    out[n] = 0;
    return *p ? p + 1 : p;
}

int am_yaml_line(const struct am_yaml_document *d, const char *pointer)
{
    char name[256];
    const json_t *at = d->lines;
    uint64_t index;
    if (!am_starts(pointer, "#"))
        return 0;
    int line = own_line(at);
    for (const char *p = pointer[1] ? pointer + 2 : pointer + 1; *p && at;) {
        p = part(p, name, sizeof name);
        if (json_is_array(at))
            at =
                am_parse_u64(name, &index) == 0 && index < AM_YAML_NODES ? json_array_get(at, (size_t)index + 1) : NULL;
        else
            at = json_object_get(at, name);
        line = at ? own_line(at) : line;
    }
    return line;
}
