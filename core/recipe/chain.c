/*
 * chain.c - see chain.h. Who needs whom is read off the values of the keys that name models, before anything is
 * translated; what such a value means where it stands is mergekit_refs.c's.
 */
#include "core/recipe/chain.h"

#include "core/base/text.h"
#include "core/recipe/mergekit_parts.h"

#include <stdio.h>
#include <string.h>

#define NAME_MAX_BYTES 40
#define NAME_BYTES "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

static void fault(struct am_chain *c, size_t i, const char *reason, const char *text)
{
    am_fault_add(&c->v[i].faults, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/name", .reason = reason}, "%s",
                 text);
}

/* ---- names ---- */

static bool is_name(const char *text)
{
    size_t n = strnlen(text, NAME_MAX_BYTES + 1);
    return n > 0 && n <= NAME_MAX_BYTES && strspn(text, NAME_BYTES) == n && !strchr("-_.", text[0]) &&
           !strchr("-_.", text[n - 1]);
}

static void take_name(struct am_chain *c, size_t i, json_t *doc)
{
    json_t *v = json_object_get(doc, "name");
    const char *name = json_string_value(v);
    char text[200];
    if (!v || json_is_null(v))
        return;
    if (!name || !is_name(name)) {
        fault(c, i, "stage-name",
              "the name of a document is 1 to 40 letters, digits, '-', '_' or '.', with a letter or a digit at both "
              "ends");
        return;
    }
    for (size_t k = 0; k < i; k++)
        if (am_streq(c->v[k].name, name)) {
            snprintf(text, sizeof text, "document %zu is named %s too; each has a name of its own", k + 1, name);
            fault(c, i, "stage-name", text);
            return;
        }
    c->v[i].name = name;
}

static size_t find(const struct am_chain *c, const char *name)
{
    size_t i = 0;
    while (i < c->n && !am_streq(c->v[i].name, name))
        i++;
    return i;
}

static bool names_models(const char *key)
{
    return am_streq(key, "model") || am_streq(key, "base_model") || am_streq(key, "path");
}

/* The nesting of a document has a ceiling (yaml.h). */
static void take_needs(struct am_chain *c, size_t own, const json_t *v)
{
    const char *key;
    json_t *one;
    size_t i;
    if (json_is_array(v))
        json_array_foreach(v, i, one) take_needs(c, own, one);
    else if (json_is_object(v))
        json_object_foreach((json_t *)v, key, one)
        {
            size_t k = names_models(key) && json_is_string(one) ? find(c, json_string_value(one)) : c->n;
            if (k < c->n)
                c->v[own].needs[k] = true;
            take_needs(c, own, one);
        }
}

/* ---- the order ---- */

static bool is_ready(const struct am_chain *c, size_t i, const bool *done)
{
    for (size_t k = 0; k < c->n; k++)
        if (c->v[i].needs[k] && !done[k])
            return false;
    return !done[i];
}

/* Of a document that nothing can make ready: along what it needs, until one is met again. */
static void fault_cycle(struct am_chain *c, size_t i, const bool *done)
{
    bool seen[AM_YAML_DOCUMENTS] = {false};
    char text[AM_LIST_TEXT + 100], list[AM_LIST_TEXT] = "";
    size_t at = i, k;
    for (; !seen[at]; at = k) {
        seen[at] = true;
        for (k = 0; k < c->n && (!c->v[at].needs[k] || done[k]); k++)
            ;
    }
    size_t first = at;
    do {
        am_list_put(list, c->v[at].name);
        for (k = 0; !c->v[at].needs[k] || done[k]; k++)
            ;
        at = k;
    } while (at != first);
    snprintf(text, sizeof text,
             "what is made here is needed to make it: %s in a circle; let one of them take another model", list);
    fault(c, first, "stage-cycle", text);
}

static void put_in_order(struct am_chain *c)
{
    bool done[AM_YAML_DOCUMENTS] = {false};
    size_t n = 0, i = 0;
    while (n < c->n) {
        for (i = 0; i < c->n && !is_ready(c, i, done); i++)
            ;
        if (i == c->n)
            break;
        c->order[n++] = i;
        done[i] = true;
    }
    for (i = 0; n < c->n && done[i]; i++)
        ;
    if (n < c->n)
        fault_cycle(c, i, done);
}

static bool is_needed(const struct am_chain *c, size_t i)
{
    for (size_t k = 0; k < c->n; k++)
        if (c->v[k].needs[i])
            return true;
    return false;
}

/* The one that no other needs: without a name, or the last of those. */
static void find_last(struct am_chain *c)
{
    char text[300];
    c->last = c->n;
    for (size_t i = 0; i < c->n; i++)
        if (!is_needed(c, i) && !c->v[i].faults.n && (c->last == c->n || c->v[c->last].name || !c->v[i].name))
            c->last = i;
    for (size_t i = 0; i < c->n; i++) {
        if (i == c->last || is_needed(c, i) || c->v[i].faults.n)
            continue;
        if (c->v[i].name)
            snprintf(text, sizeof text,
                     "no other document takes %s, and the result is that of document %zu; submit "
                     "this one by itself, or name it where it is to be taken",
                     c->v[i].name, c->last + 1);
        else
            snprintf(text, sizeof text, "document %zu has no name either; only the last of a chain needs none",
                     c->last + 1);
        fault(c, i, "stage-unused", text);
    }
}

/* ---- references ---- */

static bool is_listed(const struct am_mk_names *names, const char *text)
{
    for (size_t i = 0; i < names->n; i++)
        if (am_streq(names->v[i], text))
            return true;
    return false;
}

bool am_mk_stage(struct am_mk *k, const char *text, const char *pointer, json_t **ret)
{
    char head[NAME_MAX_BYTES + 1], shown[AM_SHOWN], list[AM_LIST_TEXT] = "";
    size_t n = strcspn(text, "@+");
    *ret = NULL;
    if (!k->names || strchr(text, '/') || !*text)
        return false;
    if (is_listed(k->names, text)) {
        *ret = json_string(text);
        return true;
    }
    snprintf(head, sizeof head, "%.*s", n < sizeof head ? (int)n : 0, text);
    if (is_listed(k->names, head)) {
        am_mk_fault(k, AM_E_INVALID_PARAMS, pointer, "ref-syntax",
                    "%s: %s is a document of this file, which makes one version; leave what follows the name out",
                    am_shown(shown, text), head);
        return true;
    }
    for (size_t i = 0; i < k->names->n; i++)
        am_list_put(list, k->names->v[i]);
    const char *near = strlen(text) <= 100 ? am_nearest(text, k->names->v, k->names->n) : NULL;
    am_mk_fault(k, AM_E_NOT_FOUND, pointer, "ref-unknown",
                "%s is the name of no document here (%s), and no model of this service (namespace/name)%s%s%s",
                am_shown(shown, text), list, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    return true;
}

/* ---- the whole ---- */

/* From characters to bytes. */
static size_t byte_at(const char *text, size_t n, size_t chars)
{
    size_t at = 0;
    while (chars > 0 && at < n)
        for (at++, chars--; at < n && ((unsigned char)text[at] & 0xc0) == 0x80; at++)
            ;
    return at;
}

static void translate(struct am_chain *c, size_t i, const struct am_yaml *yaml, const char *text, size_t n, json_t *ask,
                      const struct am_table *t)
{
    struct am_chain_stage *s = &c->v[i];
    struct am_mk_names names = {.own = i == c->last ? NULL : s->name};
    size_t from = byte_at(text, n, yaml->from[i]), to = i + 1 < c->n ? byte_at(text, n, yaml->from[i + 1]) : n;
    for (size_t k = 0; k < c->n; k++)
        if (c->v[k].name)
            names.v[names.n++] = c->v[k].name;
    am_mk_document(&s->mergekit, yaml->v[i].json, text + from, to - from, &names, ask, t, &s->faults);
}

/* Takes document `i` over from `yaml`. */
static int begin(struct am_chain *c, size_t i, const struct am_yaml_document *d)
{
    struct am_mergekit *m = &c->v[i].mergekit;
    *m = (struct am_mergekit){.warnings = json_array(), .place = json_array(), .number = i + 1};
    m->yaml.v[m->yaml.n++] = (struct am_yaml_document){json_incref(d->json), json_incref(d->lines)};
    return m->warnings && m->place ? 0 : -AM_E_OUT_OF_MEMORY;
}

int am_chain_read(struct am_chain *ret, const struct am_yaml *yaml, const char *text, size_t n, json_t *ask,
                  const struct am_table *t)
{
    struct am_chain *c = ret;
    int worst = 0, rc = 0;
    *c = (struct am_chain){.n = yaml->n};
    for (size_t i = 0; i < c->n; i++) {
        rc = begin(c, i, &yaml->v[i]) < 0 ? -AM_E_OUT_OF_MEMORY : rc;
        take_name(c, i, yaml->v[i].json);
    }
    for (size_t i = 0; i < c->n; i++)
        take_needs(c, i, yaml->v[i].json);
    put_in_order(c);
    find_last(c);
    for (size_t i = 0; rc == 0 && i < c->n; i++)
        translate(c, i, yaml, text, n, ask, t);
    for (size_t i = 0; i < c->n; i++)
        worst = c->v[i].faults.n ? am_faults_worst(&c->v[i].faults) : worst;
    return rc < 0 ? rc : worst;
}

void am_chain_done(struct am_chain *c)
{
    for (size_t i = 0; i < c->n; i++) {
        am_mergekit_done(&c->v[i].mergekit);
        am_faults_done(&c->v[i].faults);
    }
    c->n = 0;
}

/* ---- jobs ---- */

static int bind(struct am_chain *c, json_t *holder, const char *member, const char *const *uid)
{
    const char *text = json_string_value(json_object_get(holder, member));
    size_t i = text ? find(c, text) : c->n;
    return i < c->n && json_object_set_new(holder, member, json_pack("{s:s}", "job", uid[i])) < 0 ? -AM_E_OUT_OF_MEMORY
                                                                                                  : 0;
}

static int bind_stack(struct am_chain *c, json_t *input, const char *const *uid)
{
    json_t *part;
    size_t i;
    json_array_foreach(json_object_get(input, "stack"), i, part) AM_TRY(bind(c, part, "version", uid));
    return 0;
}

int am_chain_bind(struct am_chain *c, const char *const *uid)
{
    json_t *model;
    size_t k;
    for (size_t i = 0; i < c->n; i++) {
        json_t *inputs = json_object_get(c->v[i].mergekit.body, "inputs");
        AM_TRY(bind(c, inputs, "base", uid));
        AM_TRY(bind_stack(c, json_object_get(inputs, "base"), uid));
        json_array_foreach(json_object_get(inputs, "models"), k, model)
        {
            AM_TRY(bind(c, model, "version", uid));
            AM_TRY(bind_stack(c, model, uid));
        }
    }
    return 0;
}
