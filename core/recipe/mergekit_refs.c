/*
 * mergekit_refs.c - references to models (merge.md B6): path[@revision][+adapter[@revision]], or {model: {path,
 * revision}, lora: {path, revision}}.
 */
#include "core/base/text.h"
#include "core/recipe/mergekit_parts.h"
#include "core/table/body.h"

#include <string.h>

static size_t count(const char *text, char c)
{
    size_t n = 0;
    for (; *text; text++)
        n += *text == c;
    return n;
}

/* At most one '+', and one '@' on each side of it. */
static bool well_formed(const char *text)
{
    const char *plus = strchr(text, '+');
    char head[1024];
    if (!*text || strlen(text) >= sizeof head || count(text, '+') > 1)
        return false;
    snprintf(head, sizeof head, "%.*s", plus ? (int)(plus - text) : (int)strlen(text), text);
    if (count(head, '@') > 1 || head[0] == '@' || am_ends(head, "@") || !head[0])
        return false;
    return !plus || (plus[1] && plus[1] != '@' && count(plus + 1, '@') <= 1 && !am_ends(plus, "@"));
}

/* Up to the '+': anything but namespace/name. */
static bool is_path(const char *text)
{
    size_t n = strcspn(text, "+");
    const char *slash = memchr(text, '/', n);
    return text[0] == '/' || text[0] == '~' || text[0] == '.' || !slash ||
           memchr(slash + 1, '/', n - (size_t)(slash + 1 - text));
}

static json_t *text_ref(struct am_mk *k, const char *text, const char *pointer)
{
    char shown[AM_SHOWN];
    json_t *stage;
    if (am_mk_stage(k, text, pointer, &stage))
        return stage;
    if (!well_formed(text))
        return am_mk_fault(k, AM_E_INVALID_PARAMS, pointer, "ref-syntax", "%s: at most one '+' and one '@' per part",
                           *text ? am_shown(shown, text) : "an empty text names no model");
    const char *plus = strchr(text, '+');
    if (is_path(text) || (plus && is_path(plus + 1)))
        return am_mk_fault(
            k, AM_E_INVALID_PARAMS, pointer, "ref-not-a-model",
            "%s is a path, not a model of this service; register it as namespace/name first, which `amend merge "
            "FILE.yml` does with every directory that it finds",
            am_shown(shown, text));
    return json_string(text);
}

/* {path, revision}, or path@revision, as text after `glue`: how long that is; 0: it is none. */
static size_t path_of(struct am_mk *k, json_t *v, const char *at, const char *glue, char *out, size_t cap)
{
    static const char *const parts[] = {"path", "revision", NULL};
    json_t *revision = json_object_get(v, "revision");
    if (json_is_string(v)) { /* path@revision */
        int length = snprintf(out, cap, "%s%.1200s", glue, json_string_value(v));
        return length > 0 && (size_t)length < cap ? (size_t)length : 0;
    }
    if (!json_is_object(v) || (revision && !json_is_string(revision) && !json_is_null(revision)))
        return 0; /* a revision that reads like a number is not the one that was meant */
    am_mk_keys(k, v, at, parts);
    const char *path = json_string_value(json_object_get(v, "path")), *rev = json_string_value(revision);
    const char *own = path ? strchr(path, '@') : NULL;
    char place[AM_POINTER];
    if (rev && own && own[1]) { /* mergekit looks at no revision of a directory */
        am_mk_warn(k, "revision-ignored", am_pointer(place, at, "revision"),
                   "%.100s is not looked at, for the path names version %.100s already; a directory has no revisions",
                   rev, own + 1);
        rev = NULL;
    }
    int n = path ? snprintf(out, cap, "%s%.1000s%s%.250s", glue, path, rev ? "@" : "", rev ? rev : "") : 0;
    return n > 0 && (size_t)n < cap ? (size_t)n : 0;
}

static json_t *mapping_ref(struct am_mk *k, json_t *v, const char *pointer)
{
    static const char *const known[] = {"model", "lora", "override_architecture", NULL};
    char at[AM_POINTER], text[2200]; /* longer than a reference may be */
    json_t *model = json_object_get(v, "model"), *lora = json_object_get(v, "lora");
    am_mk_keys(k, v, pointer, known);
    if (json_object_get(v, "override_architecture"))
        am_mk_warn(k, "override-architecture-ignored", am_pointer(at, pointer, "override_architecture"),
                   "tensors are merged by their names; the architecture is not looked at");
    bool with = lora && !json_is_null(lora);
    size_t n = path_of(k, model, am_pointer(at, pointer, "model"), "", text, sizeof text);
    size_t more = n && with ? path_of(k, lora, am_pointer(at, pointer, "lora"), "+", text + n, sizeof text - n) : 0;
    if (n && (more || !with))
        return text_ref(k, text, pointer);
    return am_mk_fault(k, AM_E_INVALID_REQUEST, pointer, "ref-syntax",
                       "expected a model as namespace/name@revision, or {model: {path, revision}, lora: {path, "
                       "revision}}; each a text (a revision of digits alone in quotes)");
}

json_t *am_mk_ref(struct am_mk *k, json_t *v, const char *pointer)
{
    if (json_is_string(v))
        return text_ref(k, json_string_value(v), pointer);
    if (json_is_object(v))
        return mapping_ref(k, v, pointer);
    return am_mk_fault(k, AM_E_INVALID_REQUEST, pointer, "ref-syntax",
                       "expected a model as namespace/name@revision, got %s", am_json_kind(v));
}

bool am_mk_same_ref(const char *a, const char *b)
{
    return am_ref_same(a, b);
}
