/*
 * cmd_again.c - amend job retry, rerun, set.
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

/* POST .../VERB, which gives a new job. */
static int again(struct am_cli *c, const char *id, const char *verb, const json_t *body, bool wait)
{
    AM_CLEANUP(am_xfreep) char *path = am_url("/v1/jobs", id, verb, NULL);
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    int rc = am_http_post(c, path, body, NULL, &r);
    return rc ? rc : am_job_accepted(c, &r, wait);
}

int am_cmd_job_retry(struct am_cli *c, int argc, char **argv)
{
    const char *id;
    bool wait = false;
    const struct am_opt opts[] = {{"wait", 0, NULL, &wait}, {0}};
    int rc = am_opt_parse(c, opts, argc, argv, 1, 1, &id);
    return rc ? rc : again(c, id, "retry", NULL, wait);
}

int am_cmd_job_rerun(struct am_cli *c, int argc, char **argv)
{
    const char *id, *into = NULL, *branch = NULL, *message = NULL;
    bool wait = false;
    const struct am_opt opts[] = {{"wait", 0, NULL, &wait},
                                  {"into", 0, &into, NULL},
                                  {"branch", 0, &branch, NULL},
                                  {"message", 0, &message, NULL},
                                  {0}};
    int rc = am_opt_parse(c, opts, argc, argv, 1, 1, &id);
    if (rc)
        return rc;
    if (!into && (branch || message))
        return am_say_usage(c, "--branch and --message say how the result is published; --into says where");
    AM_CLEANUP(am_jsonp)
    json_t *body =
        into ? json_pack("{s:{s:s,s:s*,s:s*}}", "publish", "model", into, "branch", branch, "message", message)
             : json_object();
    return body ? again(c, id, "rerun", body, wait) : am_say_usage(c, "the values must be UTF-8 text");
}

static int put_pairs(struct am_cli *c, struct am_scan *s, const struct am_token *t, json_t *body)
{
    const char *text = am_scan_value(s, t), *eq = text ? strchr(text, '=') : NULL;
    json_t *metadata = json_object_get(body, "metadata");
    if (!eq)
        return am_say_usage(c, "--metadata takes KEY=VALUE");
    if (!metadata) {
        metadata = json_object();
        json_object_set_new(body, "metadata", metadata);
    }
    AM_CLEANUP(am_xfreep) char *key = am_xprintf("%.*s", (int)(eq - text), text);
    return json_object_set_new(metadata, key, json_string(eq + 1)) < 0
               ? am_say_usage(c, "--metadata must be UTF-8 text")
               : 0;
}

static int take(struct am_cli *c, struct am_scan *s, const struct am_token *t, json_t *body)
{
    static const char *const known[] = {"priority", "metadata", "archived", "no-archived"};
    uint64_t priority;
    if (am_streq(t->name, "metadata"))
        return put_pairs(c, s, t, body);
    if (am_streq(t->name, "archived") || am_streq(t->name, "no-archived")) {
        json_object_set_new(body, "archived", json_boolean(t->name[0] == 'a'));
        return 0;
    }
    if (!am_streq(t->name, "priority"))
        return am_say_unknown(c, "option", t->name, known, sizeof known / sizeof *known);
    const char *value = am_scan_value(s, t);
    if (!value)
        return am_say_usage(c, "--priority needs a value after it");
    int rc = am_opt_number(c, "--priority", value, 0, 100, &priority);
    if (rc == 0)
        json_object_set_new(body, "priority", json_integer((json_int_t)priority));
    return rc;
}

/* Whatever state the job is in now: somebody who has just looked at a list means that one. */
static int send(struct am_cli *c, const char *id, const json_t *body)
{
    AM_CLEANUP(am_xfreep) char *path = am_url("/v1/jobs", id, NULL);
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    int rc = am_change(c, "PATCH", path, "If-Match: *", body, &r);
    if (rc)
        return rc;
    if (c->out == AM_OUT_JSON)
        am_print_json(c, r.json);
    else
        am_say_note(c, "%s changed", id);
    return 0;
}

int am_cmd_job_set(struct am_cli *c, int argc, char **argv)
{
    struct am_scan s = {.argc = argc, .argv = argv};
    struct am_token t;
    const char *id = NULL;
    AM_CLEANUP(am_jsonp) json_t *body = json_object();
    int rc = 0;
    while (rc == 0 && am_scan_next(&s, &t)) {
        if (t.word && id)
            rc = am_say_usage(c, "'%s' is one word too many", t.word);
        else if (t.word)
            id = t.word;
        else
            rc = take(c, &s, &t, body);
    }
    if (rc == 0 && (!id || json_object_size(body) == 0))
        rc = am_say_usage(c, !id ? "ID is missing" : "nothing to change: give --priority, --metadata or --archived");
    return rc ? rc : send(c, id, body);
}
