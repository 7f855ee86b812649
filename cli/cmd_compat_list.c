/*
 * cmd_compat_list.c - amend compat list, slices, samples.
 */
#include "cli/commands.h"
#include "cli/compat.h"
#include "cli/opt.h"
#include "core/base/text.h"

#include <stdio.h>
#include <string.h>

static void put_share(struct am_grid *g, const json_t *v)
{
    char text[AM_RATE];
    am_fmt_share(v, text);
    am_grid_put(g, text);
}

static void put_points(struct am_grid *g, const json_t *v)
{
    char text[AM_RATE];
    am_fmt_points(v, text);
    am_grid_put(g, text);
}

/* ---- list ---- */

static void put_report(struct am_grid *g, const json_t *r)
{
    am_grid_put(g, am_js_text(r, "id", "?"));
    am_side_name(g, r, "old");
    am_side_name(g, r, "new");
    am_grid_put(g, am_js_text(r, "dataset", NULL));
    am_grid_putf(g, "%lld", (long long)am_js_int(r, "n", 0));
    put_share(g, am_js(r, "values.nfr.value"));
    put_points(g, am_js(r, "values.accuracy_delta.value"));
    am_grid_time(g, am_js_text(r, "created_at", NULL));
    am_grid_put(g, am_js_text(r, "method", NULL));
    am_grid_put(g, am_js_text(r, "job", NULL));
}

int am_cmd_compat_list(struct am_cli *c, int argc, char **argv)
{
    static const char *const head[] = {"REPORT",   "OLD",     "NEW",     "DATASET", "SAMPLES", "NFR",
                                       "ACCURACY", "CREATED", "+METHOD", "+JOB",    NULL};
    const char *version = NULL, *dataset = NULL, *method = NULL, *job = NULL, *limit = NULL;
    const struct am_opt opts[] = {{"version", 0, &version, NULL}, {"dataset", 0, &dataset, NULL},
                                  {"method", 0, &method, NULL},   {"job", 0, &job, NULL},
                                  {"limit", 0, &limit, NULL},     {0}};
    uint64_t want;
    int rc = am_opt_parse(c, opts, argc, argv, 0, 0, NULL);
    if (rc || (rc = am_limit(c, limit, 100, &want)))
        return rc;
    const char *const pairs[][2] = {
        {"version", version}, {"dataset", dataset}, {"method", method}, {"job", job}, {NULL, NULL}};
    AM_CLEANUP(am_xfreep) char *path = am_query("/v1/reports", pairs);
    AM_CLEANUP(am_jsonp) json_t *list = NULL;
    if ((rc = am_http_list(c, path, (size_t)want, true, &list)))
        return rc;
    return am_print_list(c, list, head, 7u << 4, put_report,
                         "no reports; compare two versions with: amend compat run OLD NEW --data D");
}

/* ---- slices ---- */

static void put_slice(struct am_grid *g, const json_t *s)
{
    am_grid_put(g, am_js_text(s, "key", "?"));
    am_grid_put(g, am_js_text(s, "value", "?"));
    am_grid_putf(g, "%lld", (long long)am_js_int(s, "n", 0));
    am_grid_putf(g, "%lld", (long long)am_js_int(s, "b", 0));
    am_grid_putf(g, "%lld", (long long)am_js_int(s, "c", 0));
    put_share(g, am_js(s, "nfr"));
    put_points(g, am_js(s, "harm"));
    am_grid_putf(g, "%.4g", am_js_real(s, "q", 1));
    am_grid_put(g, json_is_true(am_js(s, "small")) ? "too small" : am_js_text(s, "verdict", NULL));
    put_share(g, am_js(s, "accuracy_old"));
    put_share(g, am_js(s, "accuracy_new"));
    am_grid_putf(g, "%.4g", am_js_real(s, "p_mid", 1));
}

int am_cmd_compat_slices(struct am_cli *c, int argc, char **argv)
{
    static const char *const head[] = {"KEY", "VALUE",   "N",    "NEGATIVE", "POSITIVE", "NFR", "HARM",
                                       "Q",   "VERDICT", "+OLD", "+NEW",     "+P",       NULL};
    const char *id, *limit = NULL;
    const struct am_opt opts[] = {{"limit", 0, &limit, NULL}, {0}};
    uint64_t want;
    int rc = am_opt_parse(c, opts, argc, argv, 1, 1, &id);
    if (rc || (rc = am_limit(c, limit, 1000, &want)))
        return rc;
    AM_CLEANUP(am_xfreep) char *path = am_url("/v1/reports", id, "slices", NULL);
    AM_CLEANUP(am_jsonp) json_t *list = NULL;
    rc = am_http_list(c, path, (size_t)want, true, &list);
    return rc ? rc : am_print_list(c, list, head, 63u << 2 | 7u << 9, put_slice, "the report has no slices");
}

/* ---- samples ---- */

static void put_plain(struct am_grid *g, const json_t *v)
{
    AM_CLEANUP(am_xfreep) char *text = v && !json_is_null(v) ? am_js_plain(v) : NULL;
    am_grid_put(g, text);
}

static void put_sample(struct am_grid *g, const json_t *s)
{
    am_grid_put(g, am_js_text(s, "id", "?"));
    am_grid_put(g, am_js_text(s, "cell", NULL));
    put_plain(g, am_js(s, "label"));
    put_plain(g, am_js(s, "before"));
    put_plain(g, am_js(s, "after"));
    put_plain(g, am_js(s, "lp_before"));
    put_plain(g, am_js(s, "lp_after"));
    put_plain(g, am_js(s, "score_before"));
    put_plain(g, am_js(s, "score_after"));
}

int am_cmd_compat_samples(struct am_cli *c, int argc, char **argv)
{
    static const char *const head[] = {"ID",         "CELL",      "LABEL",         "BEFORE",       "AFTER",
                                       "+LP_BEFORE", "+LP_AFTER", "+SCORE_BEFORE", "+SCORE_AFTER", NULL};
    const char *id, *cell = NULL, *slice = NULL, *limit = NULL;
    const struct am_opt opts[] = {
        {"cell", 0, &cell, NULL}, {"slice", 0, &slice, NULL}, {"limit", 0, &limit, NULL}, {0}};
    uint64_t want;
    int rc = am_opt_parse(c, opts, argc, argv, 1, 1, &id);
    if (rc || (rc = am_limit(c, limit, 100, &want)))
        return rc;
    AM_CLEANUP(am_xfreep) char *base = am_url("/v1/reports", id, "samples", NULL);
    const char *const pairs[][2] = {{"cell", cell ? cell : "negative"}, {"slice", slice}, {NULL, NULL}};
    AM_CLEANUP(am_xfreep) char *path = am_query(base, pairs);
    AM_CLEANUP(am_jsonp) json_t *list = NULL;
    rc = am_http_list(c, path, (size_t)want, true, &list);
    return rc ? rc : am_print_list(c, list, head, 0, put_sample, "no such samples");
}
