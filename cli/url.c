/*
 * url.c - paths of the API from names, and names of versions from words (http.h).
 */
#include "cli/http.h"

#include "cli/conf.h"
#include "core/base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *encode(const char *s, bool keep_slash)
{
    size_t cap = strlen(s) * 3 + 1;
    char *out = am_xalloc(cap);
    am_url_encode(s, keep_slash, out, cap); /* cannot be too small: three bytes for each */
    return out;
}

char *am_url_encoded(const char *s)
{
    return encode(s, false);
}

static char *append(char *url, va_list ap)
{
    const char *segment;
    while ((segment = va_arg(ap, const char *))) {
        AM_CLEANUP(am_xfreep) char *e = encode(segment, false);
        char *longer = am_xprintf("%s/%s", url, e);
        free(url);
        url = longer;
    }
    return url;
}

char *am_url(const char *head, ...)
{
    va_list ap;
    va_start(ap, head);
    char *url = append(am_xdup(head), ap);
    va_end(ap);
    return url;
}

char *am_url_model(const char *model, ...)
{
    AM_CLEANUP(am_xfreep) char *e = encode(model, true);
    va_list ap;
    va_start(ap, model);
    char *url = append(am_xprintf("/v1/models/%s", e), ap);
    va_end(ap);
    return url;
}

int am_ref_parse(const struct am_cli *c, const char *word, struct am_ref *ret)
{
    struct am_ref r = {0};
    AM_CLEANUP(am_xfreep) char *text = am_name_full(c, word);
    const char *at = strchr(text, '@');
    size_t n = at ? (size_t)(at - text) : strlen(text);
    if (n >= sizeof r.model || (at && strlen(at + 1) >= sizeof r.rev))
        return am_say_usage(c, "'%.60s...' is too long for the name of a model", text);
    memcpy(r.model, text, n);
    const char *fault = am_model_name_fault(r.model);
    if (fault && !strchr(r.model, '/'))
        return am_say_usage(c,
                            "'%s' is not the name of a model: write NAMESPACE/%s, or give a context a namespace "
                            "(amend context set NAME --namespace NS)",
                            r.model, r.model);
    if (fault)
        return am_say_usage(c, "'%s' is not the name of a model (namespace/name): %s", r.model, fault);
    if (at && !at[1])
        return am_say_usage(c, "'%s' ends in @: name a version (v1), branch, tag or commit after it", text);
    if (at)
        snprintf(r.rev, sizeof r.rev, "%s", at + 1);
    *ret = r;
    return 0;
}

int am_rev_parse(const struct am_cli *c, const char *text, struct am_ref *ret)
{
    int rc = am_ref_parse(c, text, ret);
    if (rc == 0 && !ret->rev[0])
        snprintf(ret->rev, sizeof ret->rev, "main");
    return rc;
}

int am_model_parse(const struct am_cli *c, const char *text, struct am_ref *ret)
{
    struct am_ref r;
    int rc = am_ref_parse(c, text, &r);
    if (rc)
        return rc;
    if (r.rev[0])
        return am_say_usage(c, "'%s' names a version; this command takes the model alone: %s", text, r.model);
    *ret = r;
    return 0;
}
