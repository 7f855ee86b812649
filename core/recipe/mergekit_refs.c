/*
 * mergekit_refs.c - references to models (merge.md B6): path[@revision], or {model: {path, revision}}.
 */
#include "core/base/text.h"
#include "core/recipe/mergekit_parts.h"

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

static json_t *text_ref(struct am_mk *k, const char *text, const char *pointer)
{
    char shown[AM_SHOWN];
    json_t *stage;
    if (am_mk_stage(k, text, pointer, &stage))
        return stage;
    if (!well_formed(text))
        return am_mk_fault(k, AM_E_INVALID_PARAMS, pointer, "ref-syntax", "%s: at most one '+' and one '@' per part",
                           am_shown(shown, text));
    if (strchr(text, '+'))
        return am_mk_fault(
            k, AM_E_UNSUPPORTED_FORMAT, pointer, "adapter-kind",
            "%s names an adapter; merge the adapter into its base first, this version takes whole models",
            am_shown(shown, text));
    const char *slash = strchr(text, '/');
    if (text[0] == '/' || text[0] == '~' || text[0] == '.' || !slash || strchr(slash + 1, '/'))
        return am_mk_fault(
            k, AM_E_INVALID_PARAMS, pointer, "ref-not-a-model",
            "%s is a path, not a model of this service; upload it as namespace/name first, or use `amend "
            "merge FILE.yml`",
            am_shown(shown, text));
    return json_string(text);
}

static json_t *mapping_ref(struct am_mk *k, json_t *v, const char *pointer)
{
    static const char *const known[] = {"model", "lora", "override_architecture", NULL}, *const parts[] = {
                                                                                             "path", "revision", NULL};
    char at[AM_POINTER], text[1100]; /* longer than a reference may be */
    json_t *model = json_object_get(v, "model"), *lora = json_object_get(v, "lora");
    am_mk_keys(k, v, pointer, known);
    if (json_object_get(v, "override_architecture"))
        am_mk_warn(k, "override-architecture-ignored", am_pointer(at, pointer, "override_architecture"),
                   "tensors are merged by their names; the architecture is not looked at");
    am_pointer(at, pointer, "model");
    if (lora && !json_is_null(lora))
        return am_mk_fault(k, AM_E_UNSUPPORTED_FORMAT, pointer, "adapter-kind",
                           "this names an adapter; merge it into its base first, this version takes whole models");
    if (json_is_object(model)) {
        am_mk_keys(k, model, at, parts);
        const char *path = json_string_value(json_object_get(model, "path")),
                   *rev = json_string_value(json_object_get(model, "revision"));
        if (path) {
            snprintf(text, sizeof text, "%s%s%s", path, rev ? "@" : "", rev ? rev : "");
            return text_ref(k, text, pointer);
        }
    }
    return am_mk_fault(k, AM_E_INVALID_REQUEST, pointer, "ref-syntax",
                       "expected a model as namespace/name@revision, or {model: {path, revision}}");
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
    size_t na = strcspn(a, "@"), nb = strcspn(b, "@");
    return na == nb && strncmp(a, b, na) == 0 && am_streq(a[na] ? a + na + 1 : "main", b[nb] ? b + nb + 1 : "main");
}
