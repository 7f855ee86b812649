/*
 * cmd_life.c - amend model rm, restore, label, pin, unpin. What is changed is what was read a moment before: the ETag
 * goes along, so a change by somebody else in between is told and not overwritten.
 */
#include "cli/change.h"
#include "cli/commands.h"
#include "cli/http.h"
#include "cli/job.h"
#include "cli/opt.h"
#include "cli/out.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *path_of(const struct am_ref *m, const char *more)
{
    return m->rev[0] ? am_url_model(m->model, "versions", m->rev, more, NULL) : am_url_model(m->model, more, NULL);
}

/* One request about the state that was read; 0 with a good answer. */
static int send_if(struct am_cli *c, const char *verb, const char *path, const char *etag, const json_t *body,
                   struct am_reply *ret)
{
    AM_CLEANUP(am_xfreep) char *match = am_xprintf("If-Match: %s", etag);
    return am_change(c, verb, path, match, body, ret);
}

/* ---- label, pin, unpin ---- */

static int patch(struct am_cli *c, const struct am_ref *m, const json_t *body)
{
    AM_CLEANUP(am_xfreep) char *path = path_of(m, NULL);
    AM_CLEANUP(am_reply_done) struct am_reply seen = {0}, r = {0};
    int rc = am_http_get(c, path, &seen);
    if (rc || (rc = send_if(c, "PATCH", path, seen.etag, body, &r)))
        return rc;
    if (c->out == AM_OUT_JSON)
        am_print_json(c, r.json);
    else if (m->rev[0])
        am_print_version(c, r.json);
    else
        puts(m->model);
    return 0;
}

/* "k=v" sets a label, "k-" removes it. */
static int read_label(const struct am_cli *c, const char *word, json_t *labels)
{
    const char *equals = strchr(word, '=');
    size_t n = equals ? (size_t)(equals - word) : strlen(word);
    if (n == 0 || (!equals && word[n - 1] != '-'))
        return am_say_usage(c, "a label is NAME=VALUE, or NAME- to remove it; not '%s'", word);
    AM_CLEANUP(am_xfreep) char *key = am_xprintf("%.*s", (int)(equals ? n : n - 1), word);
    if (json_object_set_new(labels, key, equals ? json_string(equals + 1) : json_null()) < 0)
        return am_say_usage(c, "labels are UTF-8 text; not '%s'", word);
    return 0;
}

int am_cmd_model_label(struct am_cli *c, int argc, char **argv)
{
    const char *words[66];
    struct am_ref m;
    int rc = am_opt_parse(c, NULL, argc, argv, 2, 65, words);
    if (rc || (rc = am_ref_parse(c, words[0], &m)))
        return rc;
    AM_CLEANUP(am_jsonp) json_t *body = json_pack("{s:{}}", "labels");
    for (size_t i = 1; i < 65 && words[i]; i++)
        if ((rc = read_label(c, words[i], json_object_get(body, "labels"))))
            return rc;
    return patch(c, &m, body);
}

static int set_pinned(struct am_cli *c, int argc, char **argv, bool pinned)
{
    const char *word;
    struct am_ref m;
    int rc = am_opt_parse(c, NULL, argc, argv, 1, 1, &word);
    if (rc || (rc = am_ref_parse(c, word, &m)))
        return rc;
    if (!m.rev[0])
        return am_say_usage(c, "name the version, as in %s@v1", m.model);
    AM_CLEANUP(am_jsonp) json_t *body = json_pack("{s:b}", "pinned", pinned);
    return patch(c, &m, body);
}

int am_cmd_model_pin(struct am_cli *c, int argc, char **argv)
{
    return set_pinned(c, argc, argv, true);
}

int am_cmd_model_unpin(struct am_cli *c, int argc, char **argv)
{
    return set_pinned(c, argc, argv, false);
}

/* ---- rm ---- */

static int ask(const struct am_cli *c, const struct am_ref *m, bool purge)
{
    return am_ask(c, "%s %s%s%s", purge ? "remove for good" : "delete", m->model, m->rev[0] ? "@" : "", m->rev);
}

static void say_held(const struct am_cli *c, const json_t *result)
{
    const json_t *b;
    size_t i;
    json_array_foreach(am_js(result, "held"), i, b)
    {
        am_say_note(c, "still there: %s, %lld bytes: %s", am_js_text(b, "blob", "?"),
                    (long long)am_js_int(b, "bytes", 0), am_js_text(b, "why", "?"));
    }
    int64_t shared = am_js_int(result, "shared_total", 0);
    if (shared)
        am_say_note(c, "%lld stored files stay, because other versions have the same bytes", (long long)shared);
}

/* Follows the task; not all removed is an error. */
static int follow_purge(struct am_cli *c, const char *id)
{
    AM_CLEANUP(am_jsonp) json_t *job = NULL;
    char bytes[AM_FMT];
    int rc = am_job_wait(c, id, &job);
    if (rc)
        return rc;
    const json_t *result = am_js(job, "result");
    am_fmt_bytes(am_js_int(result, "removed_bytes", 0), bytes);
    if (c->out == AM_OUT_JSON)
        am_print_json(c, job);
    else
        printf("removed %s in %lld stored files\n", bytes, (long long)am_js_int(result, "removed_total", 0));
    say_held(c, result);
    return am_js_int(result, "held_total", 0) ? AM_EXIT_ERROR : 0;
}

static void say_deleted(const struct am_cli *c, const struct am_ref *m, const json_t *deletion)
{
    int64_t others = am_js_int(deletion, "descendants_total", 0);
    printf("deleted %s%s%s\n", m->model, m->rev[0] ? "@" : "", m->rev);
    am_say_note(c, "it can be restored until %s: amend model restore %s%s%s",
                am_js_text(deletion, "restorable_until", "?"), m->model, m->rev[0] ? "@" : "",
                m->rev[0] ? am_js_text(deletion, "commit", m->rev) : "");
    if (others)
        am_say_note(c, "%lld versions that came from it are as they were", (long long)others);
}

int am_cmd_model_rm(struct am_cli *c, int argc, char **argv)
{
    const char *word, *reason = NULL;
    bool purge = false, yes = false;
    const struct am_opt opts[] = {
        {"purge", 0, NULL, &purge}, {"yes", 'y', NULL, &yes}, {"reason", 0, &reason, NULL}, {0}};
    struct am_ref m;
    int rc = am_opt_parse(c, opts, argc, argv, 1, 1, &word);
    if (rc || (rc = am_ref_parse(c, word, &m)))
        return rc;
    AM_CLEANUP(am_xfreep) char *path = path_of(&m, NULL);
    AM_CLEANUP(am_xfreep) char *why = reason ? am_url_encoded(reason) : NULL;
    AM_CLEANUP(am_xfreep)
    char *url = am_xprintf("%s?purge=%s%s%s", path, purge ? "true" : "false", why ? "&reason=" : "", why ? why : "");
    AM_CLEANUP(am_reply_done) struct am_reply seen = {0}, r = {0};
    struct am_request look = {.verb = "GET", .path = path};
    if ((!yes && (rc = ask(c, &m, purge))) || (rc = am_http_send(c, &look, &seen)))
        return rc;
    bool deleted = purge && seen.status == 404; /* it may be deleted already, and is to go for good now */
    if (seen.status >= 400 && !deleted)
        return am_problem_say(c, &seen);
    if ((rc = send_if(c, "DELETE", url, deleted ? "*" : seen.etag, NULL, &r)))
        return rc;
    if (r.status == 202)
        return follow_purge(c, am_js_text(r.json, "id", ""));
    if (c->out == AM_OUT_JSON)
        am_print_json(c, r.json);
    else
        say_deleted(c, &m, r.json);
    return 0;
}

int am_cmd_model_restore(struct am_cli *c, int argc, char **argv)
{
    const char *word;
    struct am_ref m;
    int rc = am_opt_parse(c, NULL, argc, argv, 1, 1, &word);
    if (rc || (rc = am_ref_parse(c, word, &m)))
        return rc;
    AM_CLEANUP(am_xfreep) char *path = path_of(&m, "restore");
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    if ((rc = am_http_json(c, "POST", path, NULL, &r)))
        return rc;
    if (c->out == AM_OUT_JSON)
        am_print_json(c, r.json);
    else if (m.rev[0])
        am_print_version(c, r.json);
    else
        puts(m.model);
    return 0;
}
