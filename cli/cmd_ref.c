/*
 * cmd_ref.c - amend ref list, set, rm, history and amend rollback. Every change says what was seen of the ref: what the
 * person gave with --from, or what the client has just read; so somebody else's move in between is told, not undone.
 */
#include "cli/commands.h"
#include "cli/http.h"
#include "cli/opt.h"
#include "cli/out.h"
#include "core/base/clock.h"
#include "core/base/text.h"

#include <stdio.h>
#include <string.h>

static const char *const ref_head[] = {"REF", "KIND", "VERSION", "COMMIT", "PROTECTED", "MOVED", "BY", "REASON", NULL};

/* "v3"; a version that is not on main by its commit */
static void put_version(struct am_grid *g, const json_t *v, const char *number, const char *commit)
{
    int64_t n = am_js_int(v, number, -1);
    const char *id = am_js_text(v, commit, NULL);
    if (n >= 0)
        am_grid_putf(g, "v%lld", (long long)n);
    else if (id)
        am_grid_putf(g, "%.12s", id);
    else
        am_grid_put(g, NULL);
}

static void put_ref(struct am_grid *g, const json_t *ref)
{
    am_grid_put(g, am_js_text(ref, "name", "?"));
    am_grid_put(g, am_js_text(ref, "kind", "?"));
    put_version(g, ref, "number", "commit");
    am_grid_put(g, am_js_text(ref, "commit", "?"));
    am_grid_put(g, json_is_true(am_js(ref, "policy.protected")) ? "yes" : "no");
    am_grid_time(g, am_js_text(ref, "moved_at", NULL));
    am_grid_put(g, am_js_text(ref, "moved_by", NULL));
    am_grid_put(g, am_js_text(ref, "reason", ""));
}

static int print_ref(struct am_cli *c, const json_t *ref)
{
    if (c->out == AM_OUT_JSON) {
        am_print_json(c, ref);
        return 0;
    }
    struct am_grid g;
    am_grid_init(&g, c, ref_head);
    put_ref(&g, ref);
    am_grid_print(&g);
    am_grid_done(&g);
    return 0;
}

static int limit_of(struct am_cli *c, const char *limit, uint64_t *ret)
{
    *ret = 100;
    return limit ? am_opt_number(c, "--limit", limit, 1, 100000, ret) : 0;
}

int am_cmd_ref_list(struct am_cli *c, int argc, char **argv)
{
    const char *word, *kind = NULL, *limit = NULL;
    const struct am_opt opts[] = {{"kind", 0, &kind, NULL}, {"limit", 0, &limit, NULL}, {0}};
    struct am_ref m;
    uint64_t want;
    int rc = am_opt_parse(c, opts, argc, argv, 1, 1, &word);
    if (rc || (rc = limit_of(c, limit, &want)) || (rc = am_model_parse(c, word, &m)))
        return rc;
    AM_CLEANUP(am_xfreep) char *base = am_url_model(m.model, "refs", NULL);
    AM_CLEANUP(am_xfreep) char *value = am_url_encoded(kind ? kind : "");
    AM_CLEANUP(am_xfreep) char *path = kind ? am_xprintf("%s?kind=%s", base, value) : am_xdup(base);
    AM_CLEANUP(am_jsonp) json_t *list = NULL;
    if ((rc = am_http_list(c, path, (size_t)want, true, &list)))
        return rc;
    return am_print_list(c, list, ref_head, 0, put_ref, "no such refs; make one with: amend ref set MODEL REF REV");
}

static void put_move(struct am_grid *g, const json_t *m)
{
    am_grid_time(g, am_js_text(m, "at", NULL));
    am_grid_put(g, am_js_text(m, "kind", "?"));
    put_version(g, m, "from_number", "from");
    put_version(g, m, "to_number", "to");
    am_grid_put(g, am_js_text(m, "by", NULL));
    am_grid_put(g, am_js_text(m, "job", NULL));
    am_grid_put(g, am_js_text(m, "decision.id", am_js_text(m, "decision", NULL)));
    am_grid_putf(g, "%s%s", json_is_true(am_js(m, "forced")) ? "(forced) " : "", am_js_text(m, "reason", ""));
}

int am_cmd_ref_history(struct am_cli *c, int argc, char **argv)
{
    static const char *const head[] = {"AT", "MOVE", "FROM", "TO", "BY", "JOB", "DECISION", "REASON", NULL};
    const char *words[2], *limit = NULL, *at = NULL;
    const struct am_opt opts[] = {{"limit", 0, &limit, NULL}, {"at", 0, &at, NULL}, {0}};
    struct am_ref m;
    uint64_t want;
    int rc = am_opt_parse(c, opts, argc, argv, 2, 2, words);
    if (rc || (rc = limit_of(c, limit, &want)) || (rc = am_model_parse(c, words[0], &m)))
        return rc;
    AM_CLEANUP(am_xfreep) char *base = am_url_model(m.model, "refs", words[1], "history", NULL);
    AM_CLEANUP(am_xfreep) char *when = am_url_encoded(at ? at : "");
    AM_CLEANUP(am_xfreep) char *path = at ? am_xprintf("%s?at=%s", base, when) : am_xdup(base);
    AM_CLEANUP(am_jsonp) json_t *list = NULL;
    if ((rc = am_http_list(c, path, (size_t)want, true, &list)))
        return rc;
    return am_print_list(c, list, head, 0, put_move, "the ref was not there then");
}

/* The headers of a change: what was seen, and for what may be sent again a key. For free() of both. */
struct seen {
    char *line, *key;
};

static void seen_done(struct seen *s)
{
    am_xfreep(&s->line);
    am_xfreep(&s->key);
}

/* Reads the ref and keeps its state as a header; a ref that is not there is one too when it may be `made`. */
static int look(struct am_cli *c, const char *path, bool made, struct seen *ret)
{
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    struct am_request q = {.verb = "GET", .path = path};
    int rc = am_http_send(c, &q, &r);
    if (rc)
        return rc;
    if (r.status == 404 && made)
        ret->line = am_xdup("If-None-Match: *");
    else if (r.status == 200)
        ret->line = am_xprintf("If-Match: \"%lld\"", (long long)am_js_int(r.json, "revision", 0));
    else
        return am_problem_say(c, &r);
    return 0;
}

/* 0: r has the answer, whatever its status. */
static int send_change(struct am_cli *c, const char *verb, const char *path, const struct seen *seen,
                       const json_t *body, struct am_reply *r)
{
    const char *headers[3] = {NULL};
    size_t n = 0;
    if (seen->line)
        headers[n++] = seen->line;
    if (seen->key)
        headers[n++] = seen->key;
    AM_CLEANUP(am_xfreep) char *text = body ? am_js_dump(body, false) : NULL;
    struct am_request q = {.verb = verb,
                           .path = path,
                           .body = text,
                           .body_len = text ? strlen(text) : 0,
                           .headers = headers,
                           .keyed = seen->key != NULL};
    return am_http_send(c, &q, r);
}

static int say_change(struct am_cli *c, const struct am_reply *r)
{
    return r->status >= 200 && r->status < 300 ? print_ref(c, r->json) : am_problem_say(c, r);
}

static int change(struct am_cli *c, const char *verb, const char *path, const struct seen *seen, const json_t *body)
{
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    int rc = send_change(c, verb, path, seen, body, &r);
    return rc ? rc : say_change(c, &r);
}

/* A move that waits for its gate: the command that asks it. The dataset and the gate are those of the job that the
   daemon proposes, where it knows them. */
static void say_ask(const struct am_cli *c, const struct am_reply *r, const char *model, const char *ref,
                    const char *rev)
{
    const char *code = am_js_text(r->json, "code", "");
    const json_t *job = am_js(r->json, "job");
    if (!am_streq(code, "gate-required") && !am_streq(code, "gate-refused"))
        return;
    const char *data = am_js_text(job, "inputs.data", am_js_text(job, "inputs.data.external", "DATASET"));
    am_say_note(c, "  ask the gate: amend compat run %s@%s %s@%s --data %s%s --gate %s", model, ref, model, rev,
                json_is_object(am_js(job, "inputs.data")) ? "external:" : "", data,
                am_js_text(job, "gate", am_js_text(job, "gate.policy", "GATE")));
}

/* Also amend promote: the daemon finds the decision that a protected ref needs. */
int am_cmd_ref_set(struct am_cli *c, int argc, char **argv)
{
    const char *words[3], *kind = NULL, *from = NULL, *reason = NULL;
    bool force = false;
    const struct am_opt opts[] = {{"kind", 0, &kind, NULL},
                                  {"from", 0, &from, NULL},
                                  {"reason", 'm', &reason, NULL},
                                  {"force", 0, NULL, &force},
                                  {0}};
    struct am_ref m;
    int rc = am_opt_parse(c, opts, argc, argv, 3, 3, words);
    if (rc || (rc = am_model_parse(c, words[0], &m)))
        return rc;
    AM_CLEANUP(am_jsonp)
    json_t *body = json_pack("{s:s,s:s*,s:s*,s:s*}", "to", words[2], "kind", kind, "from", from, "reason", reason);
    if (!body)
        return am_say_usage(c, "the revisions, the kind and the reason must be UTF-8 text");
    if (force)
        json_object_set_new(body, "force", json_true());
    AM_CLEANUP(am_xfreep) char *path = am_url_model(m.model, "refs", words[1], NULL);
    AM_CLEANUP(seen_done) struct seen seen = {0};
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    if (!from && (rc = look(c, path, true, &seen)))
        return rc;
    if ((rc = send_change(c, "PUT", path, &seen, body, &r)))
        return rc;
    rc = say_change(c, &r);
    say_ask(c, &r, m.model, words[1], words[2]);
    return rc;
}

int am_cmd_ref_policy(struct am_cli *c, int argc, char **argv)
{
    const char *words[2], *gate = NULL;
    bool on = false, off = false, none = false;
    const struct am_opt opts[] = {{"protected", 0, NULL, &on},
                                  {"unprotected", 0, NULL, &off},
                                  {"gate", 0, &gate, NULL},
                                  {"no-gate", 0, NULL, &none},
                                  {0}};
    struct am_ref m;
    int rc = am_opt_parse(c, opts, argc, argv, 2, 2, words);
    if (rc || (rc = am_model_parse(c, words[0], &m)))
        return rc;
    if ((on && off) || (gate && none) || !(on || off || gate || none))
        return am_say_usage(c,
                            "give one of --protected and --unprotected, or one of --gate NAME and --no-gate, or both");
    AM_CLEANUP(am_jsonp) json_t *policy = gate ? json_pack("{s:s}", "gate", gate) : json_object();
    if (!policy)
        return am_say_usage(c, "the gate must be UTF-8 text");
    if (none)
        json_object_set_new(policy, "gate", json_null());
    if (on || off)
        json_object_set_new(policy, "protected", json_boolean(on));
    AM_CLEANUP(am_jsonp) json_t *body = json_pack("{s:O}", "policy", policy);
    AM_CLEANUP(am_xfreep) char *path = am_url_model(m.model, "refs", words[1], NULL);
    AM_CLEANUP(seen_done) struct seen seen = {0};
    if ((rc = look(c, path, false, &seen)))
        return rc;
    return change(c, "PATCH", path, &seen, body);
}

/* amend model alias set|history: the words after it are those of amend ref. */
int am_cmd_model_alias(struct am_cli *c, int argc, char **argv)
{
    if (argc > 0 && am_streq(argv[0], "set"))
        return am_cmd_ref_set(c, argc - 1, argv + 1);
    if (argc > 0 && am_streq(argv[0], "history"))
        return am_cmd_ref_history(c, argc - 1, argv + 1);
    return am_say_usage(c, "model alias is followed by set or history; they are ref set and ref history");
}

int am_cmd_ref_rm(struct am_cli *c, int argc, char **argv)
{
    const char *words[2], *reason = NULL;
    bool force = false;
    const struct am_opt opts[] = {{"reason", 'm', &reason, NULL}, {"force", 0, NULL, &force}, {0}};
    struct am_ref m;
    int rc = am_opt_parse(c, opts, argc, argv, 2, 2, words);
    if (rc || (rc = am_model_parse(c, words[0], &m)))
        return rc;
    AM_CLEANUP(am_xfreep) char *base = am_url_model(m.model, "refs", words[1], NULL);
    AM_CLEANUP(am_xfreep) char *why = am_url_encoded(reason ? reason : "");
    AM_CLEANUP(am_xfreep)
    char *path = am_xprintf("%s?force=%s%s%s", base, force ? "true" : "false", reason ? "&reason=" : "", why);
    AM_CLEANUP(seen_done) struct seen seen = {0};
    if ((rc = look(c, base, false, &seen)) || (rc = change(c, "DELETE", path, &seen, NULL)))
        return rc;
    am_say_note(c, "deleted; this is where it was, and amend ref history still tells");
    return 0;
}

int am_cmd_rollback(struct am_cli *c, int argc, char **argv)
{
    const char *words[2], *steps = NULL, *to = NULL, *reason = NULL;
    bool force = false;
    const struct am_opt opts[] = {{"steps", 0, &steps, NULL},
                                  {"to", 0, &to, NULL},
                                  {"reason", 'm', &reason, NULL},
                                  {"force", 0, NULL, &force},
                                  {0}};
    struct am_ref m;
    uint64_t n = 1;
    char id[64];
    int rc = am_opt_parse(c, opts, argc, argv, 2, 2, words);
    if (rc == 0 && steps)
        rc = am_opt_number(c, "--steps", steps, 1, 10000, &n);
    if (rc || (rc = am_model_parse(c, words[0], &m)))
        return rc;
    if (!reason || !reason[0])
        return am_say_usage(c, "say why with --reason; the history keeps it");
    if (steps && to)
        return am_say_usage(c, "give --steps or --to, not both");
    AM_CLEANUP(am_jsonp) json_t *body = json_pack("{s:s,s:s*,s:b}", "reason", reason, "to", to, "force", force);
    if (!body)
        return am_say_usage(c, "the revision and the reason must be UTF-8 text");
    if (!to)
        json_object_set_new(body, "steps", json_integer((json_int_t)n));
    AM_CLEANUP(am_xfreep) char *ref = am_url_model(m.model, "refs", words[1], NULL);
    AM_CLEANUP(am_xfreep) char *path = am_xprintf("%s/rollback", ref);
    AM_CLEANUP(seen_done) struct seen seen = {0};
    if ((rc = look(c, ref, false, &seen)))
        return rc;
    am_id_new("", am_now_ms(), id);
    seen.key = am_xprintf("Idempotency-Key: %s", id);
    return change(c, "POST", path, &seen, body);
}
