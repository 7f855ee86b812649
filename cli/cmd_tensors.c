/*
 * cmd_tensors.c - amend model tensors and model recipe: what a version is made of, and the spec that made it.
 */
#include "cli/commands.h"
#include "cli/http.h"
#include "cli/opt.h"
#include "cli/out.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>

static void put_tensor(struct am_grid *g, const json_t *t)
{
    AM_CLEANUP(am_xfreep) char *shape = am_js_dump(am_js(t, "shape"), false);
    am_grid_put(g, am_js_text(t, "name", "?"));
    am_grid_put(g, am_js_text(t, "dtype", "?"));
    am_grid_put(g, shape);
    am_grid_bytes(g, am_js_int(t, "bytes", -1));
    am_grid_put(g, am_js_text(t, "file", NULL));
    am_grid_putf(g, "%lld", (long long)am_js_int(t, "begin", -1));
}

int am_cmd_model_tensors(struct am_cli *c, int argc, char **argv)
{
    static const char *const head[] = {"TENSOR", "DTYPE", "SHAPE", "SIZE", "FILE", "+BEGIN", NULL};
    const char *word, *prefix = NULL, *limit = NULL;
    const struct am_opt opts[] = {{"prefix", 0, &prefix, NULL}, {"limit", 0, &limit, NULL}, {0}};
    uint64_t want = 10000000;
    struct am_ref m;
    AM_CLEANUP(am_jsonp) json_t *list = NULL;
    int rc = am_opt_parse(c, opts, argc, argv, 1, 1, &word);
    if (rc == 0 && limit)
        rc = am_opt_number(c, "--limit", limit, 1, 10000000, &want);
    if (rc || (rc = am_rev_parse(c, word, &m)))
        return rc;
    AM_CLEANUP(am_xfreep) char *base = am_url_model(m.model, "versions", m.rev, "tensors", NULL);
    AM_CLEANUP(am_xfreep) char *value = prefix ? am_url_encoded(prefix) : NULL;
    AM_CLEANUP(am_xfreep) char *path = prefix ? am_xprintf("%s?prefix=%s", base, value) : am_xdup(base);
    if ((rc = am_http_list(c, path, (size_t)want, true, &list)))
        return rc;
    return am_print_list(c, list, head, 1u << 3 | 1u << 5, put_tensor,
                         prefix ? "no tensor has a name that begins so" : "no tensors");
}

int am_cmd_model_recipe(struct am_cli *c, int argc, char **argv)
{
    const char *word;
    struct am_ref m;
    int rc = am_opt_parse(c, NULL, argc, argv, 1, 1, &word);
    if (rc || (rc = am_rev_parse(c, word, &m)))
        return rc;
    AM_CLEANUP(am_xfreep) char *path = am_url_model(m.model, "versions", m.rev, "recipe", NULL);
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    if ((rc = am_http_get(c, path, &r)))
        return rc;
    am_print_spec(c, r.json); /* a job's body, whatever the form: it is made to be read and submitted again */
    return 0;
}
