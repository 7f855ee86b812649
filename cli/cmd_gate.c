/*
 * cmd_gate.c - amend gate list, show, put, rm, revisions, check and amend decision list, show. A policy goes to the
 * daemon as it stands in the file; every fault of it is told by the daemon.
 */
#include "cli/change.h"
#include "cli/commands.h"
#include "cli/compat.h"
#include "cli/opt.h"
#include "cli/read.h"
#include "core/base/text.h"

#include <stdio.h>

/* ---- reading ---- */

static void put_gate(struct am_grid *g, const json_t *gate)
{
    am_grid_put(g, am_js_text(gate, "name", "?"));
    am_grid_putf(g, "%lld", (long long)am_js_int(gate, "revision", 0));
    am_grid_putf(g, "%zu", json_array_size(am_js(gate, "policy.rules")));
    am_grid_time(g, am_js_text(gate, "created_at", NULL));
    am_grid_put(g, am_js_text(gate, "created_by", NULL));
    am_grid_put(g, am_js_text(gate, "policy.description", ""));
}

static const char *const gate_head[] = {"GATE", "REVISION", "RULES", "CHANGED", "BY", "DESCRIPTION", NULL};
#define GATE_RIGHT (3u << 1)

static int list_gates(struct am_cli *c, const char *path, const char *limit, const char *when_empty)
{
    AM_CLEANUP(am_jsonp) json_t *list = NULL;
    uint64_t want;
    int rc = am_limit(c, limit, 100, &want);
    if (rc || (rc = am_http_list(c, path, (size_t)want, true, &list)))
        return rc;
    return am_print_list(c, list, gate_head, GATE_RIGHT, put_gate, when_empty);
}

int am_cmd_gate_list(struct am_cli *c, int argc, char **argv)
{
    const char *limit = NULL;
    const struct am_opt opts[] = {{"limit", 0, &limit, NULL}, {0}};
    int rc = am_opt_parse(c, opts, argc, argv, 0, 0, NULL);
    return rc ? rc : list_gates(c, "/v1/gates", limit, "no gates; make one with: amend gate put NAME FILE");
}

int am_cmd_gate_revisions(struct am_cli *c, int argc, char **argv)
{
    const char *name, *limit = NULL;
    const struct am_opt opts[] = {{"limit", 0, &limit, NULL}, {0}};
    int rc = am_opt_parse(c, opts, argc, argv, 1, 1, &name);
    AM_CLEANUP(am_xfreep) char *path = rc ? NULL : am_url("/v1/gates", name, "revisions", NULL);
    return rc ? rc : list_gates(c, path, limit, "no revisions");
}

/* The policy as text that gate put reads again; -o json: the whole gate. */
static void print_gate(const struct am_cli *c, const json_t *gate)
{
    if (c->out == AM_OUT_JSON)
        am_print_json(c, gate);
    else if (c->out == AM_OUT_NAME)
        puts(am_js_text(gate, "name", "?"));
    else
        am_print_spec(c, am_js(gate, "policy"));
}

int am_cmd_gate_show(struct am_cli *c, int argc, char **argv)
{
    const char *name;
    int rc = am_opt_parse(c, NULL, argc, argv, 1, 1, &name);
    AM_CLEANUP(am_xfreep) char *path = rc ? NULL : am_url("/v1/gates", name, NULL);
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    if (rc || (rc = am_http_get(c, path, &r)))
        return rc;
    print_gate(c, r.json);
    return 0;
}

/* ---- changing ---- */

/* What is there now as a header; a gate that is not there is one too. For free(). */
static int look(struct am_cli *c, const char *path, char **ret)
{
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    struct am_request q = {.verb = "GET", .path = path};
    int rc = am_http_send(c, &q, &r);
    if (rc)
        return rc;
    if (r.status == 404)
        *ret = am_xdup("If-None-Match: *");
    else if (r.status == 200)
        *ret = am_xprintf("If-Match: %s", r.etag);
    else
        return am_problem_say(c, &r);
    return 0;
}

int am_cmd_gate_put(struct am_cli *c, int argc, char **argv)
{
    const char *words[2];
    AM_CLEANUP(am_jsonp) json_t *policy = NULL;
    AM_CLEANUP(am_xfreep) char *seen = NULL;
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    int rc = am_opt_parse(c, NULL, argc, argv, 2, 2, words);
    if (rc || (rc = am_read_json(c, words[1], &policy)))
        return rc;
    AM_CLEANUP(am_xfreep) char *path = am_url("/v1/gates", words[0], NULL);
    if ((rc = look(c, path, &seen)) || (rc = am_change(c, "PUT", path, seen, policy, &r)))
        return rc;
    if (c->out == AM_OUT_JSON)
        am_print_json(c, r.json);
    else
        printf("%s@%lld\n", words[0], (long long)am_js_int(r.json, "revision", 0));
    return 0;
}

int am_cmd_gate_rm(struct am_cli *c, int argc, char **argv)
{
    return am_remove_named(c, argc, argv, "the gate", "/v1/gates");
}

/* ---- decisions ---- */

static int print_decision(struct am_cli *c, const json_t *decision)
{
    if (c->out == AM_OUT_JSON)
        am_print_json(c, decision);
    else if (c->out == AM_OUT_NAME)
        puts(am_js_text(decision, "id", "?"));
    else
        am_decision_show(c, decision);
    return 0;
}

int am_cmd_gate_check(struct am_cli *c, int argc, char **argv)
{
    const char *words[3];
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    int rc = am_opt_parse(c, NULL, argc, argv, 2, 3, words);
    if (rc)
        return rc;
    AM_CLEANUP(am_jsonp)
    json_t *body =
        words[2] ? json_pack("{s:s,s:s}", "old", words[1], "new", words[2]) : json_pack("{s:s}", "report", words[1]);
    if (!body)
        return am_say_usage(c, "names must be UTF-8 text");
    AM_CLEANUP(am_xfreep) char *path = am_url("/v1/gates", words[0], "check", NULL);
    if ((rc = am_http_post(c, path, body, NULL, &r)))
        return rc;
    print_decision(c, r.json);
    return am_verdict_exit(r.json);
}

static void put_decision(struct am_grid *g, const json_t *d)
{
    am_grid_put(g, am_js_text(d, "id", "?"));
    am_grid_put(g, am_js_text(d, "verdict", "?"));
    am_grid_put(g, am_js_text(d, "gate", NULL));
    am_side_name(g, d, "old");
    am_side_name(g, d, "new");
    am_grid_time(g, am_js_text(d, "created_at", NULL));
    am_grid_put(g, am_js_text(d, "created_by", NULL));
    am_grid_put(g, am_js_text(d, "report", NULL));
}

int am_cmd_decision_list(struct am_cli *c, int argc, char **argv)
{
    static const char *const head[] = {"DECISION", "VERDICT", "GATE", "OLD", "NEW", "MADE", "BY", "+REPORT", NULL};
    const char *version = NULL, *ref = NULL, *verdict = NULL, *limit = NULL;
    const struct am_opt opts[] = {{"version", 0, &version, NULL},
                                  {"ref", 0, &ref, NULL},
                                  {"verdict", 0, &verdict, NULL},
                                  {"limit", 0, &limit, NULL},
                                  {0}};
    uint64_t want;
    int rc = am_opt_parse(c, opts, argc, argv, 0, 0, NULL);
    if (rc || (rc = am_limit(c, limit, 100, &want)))
        return rc;
    const char *const pairs[][2] = {{"version", version}, {"ref", ref}, {"verdict", verdict}, {NULL, NULL}};
    AM_CLEANUP(am_xfreep) char *path = am_query("/v1/decisions", pairs);
    AM_CLEANUP(am_jsonp) json_t *list = NULL;
    rc = am_http_list(c, path, (size_t)want, true, &list);
    return rc ? rc : am_print_list(c, list, head, 0, put_decision, "no decisions");
}

int am_cmd_decision_show(struct am_cli *c, int argc, char **argv)
{
    const char *id;
    AM_CLEANUP(am_jsonp) json_t *decision = NULL;
    int rc = am_opt_parse(c, NULL, argc, argv, 1, 1, &id);
    if (rc || (rc = am_decision_get(c, id, &decision)))
        return rc;
    return print_decision(c, decision);
}
