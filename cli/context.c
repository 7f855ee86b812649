/*
 * context.c - which daemon, namespace and token a call uses: flags, then the environment, then the context.
 */
#include "cli/conf.h"

#include "cli/commands.h"
#include "cli/http.h"
#include "cli/out.h"
#include "cli/read.h"
#include "core/base/text.h"

#include <stdlib.h>
#include <string.h>

static const char *from_env(const char *name)
{
    const char *v = getenv(name);
    return v && v[0] ? v : NULL;
}

static char *normal(const char *text)
{
    /* "host:8420" is what people write */
    char *url = strstr(text, "://") ? am_xdup(text) : am_xprintf("http://%s", text);
    for (size_t n = strlen(url); n && url[n - 1] == '/'; n--)
        url[n - 1] = 0;
    return url;
}

static int say_no_context(const struct am_cli *c, const struct am_conf *f, const char *name, const char *from)
{
    const char *known[64], *near;
    size_t n = am_conf_list(f, known, 64);
    near = am_near(name, known, n);
    AM_CLEANUP(am_xfreep)
    char *fix = near ? am_xprintf("did you mean %s? all of them: amend context list", near)
                     : am_xprintf("make it: amend context set %s --endpoint URL", name);
    am_say_error(c, fix, "there is no context '%s' (from %s)", name, from);
    return AM_EXIT_USAGE;
}

static int set_token(struct am_cli *c, const char *text, const char *from)
{
    size_t n = strcspn(text, "\r\n");
    while (n && (text[n - 1] == ' ' || text[n - 1] == '\t'))
        n--;
    for (size_t i = 0; i < n; i++)
        if (text[i] <= ' ' || text[i] > '~') {
            am_say_error(c, "put the token there alone, on one line", "%s holds no token", from);
            return AM_EXIT_USAGE;
        }
    free(c->token);
    c->token = n ? am_xprintf("%.*s", (int)n, text) : NULL;
    c->token_from = from;
    return 0;
}

char *am_conf_file(const char *name)
{
    const char *home = getenv("HOME");
    return am_starts(name, "~/") && home ? am_xprintf("%s%s", home, name + 1) : am_xdup(name);
}

static int read_token_file(struct am_cli *c, const char *file)
{
    AM_CLEANUP(am_xfreep) char *path = am_conf_file(file);
    AM_CLEANUP(am_xfreep) char *text = NULL;
    size_t n;
    int rc = am_read_all(c, path, &text, &n);
    return rc ? rc : set_token(c, text, "the context's token_file");
}

/* HF_TOKEN opens other doors, so it goes only where HF_ENDPOINT says that it belongs. */
static const char *hub_token(const struct am_cli *c)
{
    const char *endpoint = from_env("HF_ENDPOINT");
    AM_CLEANUP(am_xfreep) char *url = endpoint ? normal(endpoint) : NULL;
    return url && am_streq(url, c->endpoint) ? from_env("HF_TOKEN") : NULL;
}

static int find_token(struct am_cli *c, const char *file)
{
    const char *env = from_env("AMEND_TOKEN");
    if (env)
        return set_token(c, env, "AMEND_TOKEN");
    if (file && file[0])
        return read_token_file(c, file);
    const char *hub = hub_token(c);
    return hub ? set_token(c, hub, "HF_TOKEN") : 0;
}

static int fill(struct am_cli *c, const struct am_conf *f, const char *name)
{
    const char *flag = c->endpoint, *env = from_env("AMEND_ENDPOINT");
    const char *own = name ? am_conf_get(f, name, AM_CONF_ENDPOINT) : NULL;
    const char *ns = name ? am_conf_get(f, name, AM_CONF_NAMESPACE) : NULL;
    char *url = normal(flag ? flag : env ? env : own ? own : AM_DEFAULT_ENDPOINT);
    c->endpoint_from = flag ? "--endpoint" : env ? "AMEND_ENDPOINT" : own ? "the context" : "the default";
    free(c->endpoint);
    c->endpoint = url;
    free(c->ns);
    c->ns = ns && ns[0] ? am_xdup(ns) : NULL;
    /* A context's token is for its own endpoint: another one, named by a flag or the environment, must not get it. */
    AM_CLEANUP(am_xfreep) char *theirs = normal(own ? own : AM_DEFAULT_ENDPOINT);
    bool same = am_streq(theirs, url);
    return find_token(c, name && same ? am_conf_get(f, name, AM_CONF_TOKEN_FILE) : NULL);
}

int am_context_apply(struct am_cli *c)
{
    struct am_conf f = {0};
    int rc = am_conf_load(c, &f);
    if (rc)
        return rc;
    const char *env = from_env("AMEND_CONTEXT");
    const char *name = c->context ? c->context : env ? env : am_conf_current(&f);
    if (name && !am_conf_has(&f, name))
        rc = say_no_context(c, &f, name, c->context ? "--context" : "AMEND_CONTEXT");
    else
        rc = fill(c, &f, name);
    am_conf_done(&f);
    return rc;
}

char *am_name_full(const struct am_cli *c, const char *text)
{
    size_t n = strcspn(text, "@");
    return c->ns && n && !memchr(text, '/', n) ? am_xprintf("%s/%s", c->ns, text) : am_xdup(text);
}
