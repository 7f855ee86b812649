/*
 * compat_get.c - reading reports and decisions, the queries of their lists, and jobs that make a report (compat.h).
 */
#include "cli/compat.h"
#include "cli/job.h"
#include "cli/opt.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>

static int get(struct am_cli *c, const char *head, const char *id, json_t **ret)
{
    AM_CLEANUP(am_xfreep) char *path = am_url(head, id, NULL);
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    int rc = am_http_get(c, path, &r);
    if (rc == 0)
        *ret = json_incref(r.json);
    return rc;
}

int am_decision_get(struct am_cli *c, const char *id, json_t **ret)
{
    return get(c, "/v1/decisions", id, ret);
}

int am_report_get(struct am_cli *c, const char *id, json_t **ret_report, json_t **ret_decision)
{
    AM_CLEANUP(am_jsonp) json_t *report = NULL;
    int rc = get(c, "/v1/reports", id, &report);
    if (rc)
        return rc;
    const char *decision = am_js_text(report, "decision.id", am_js_text(report, "decision", NULL));
    *ret_decision = NULL;
    if (decision && (rc = am_decision_get(c, decision, ret_decision)))
        return rc;
    *ret_report = json_incref(report);
    return 0;
}

int am_report_print(struct am_cli *c, const char *id)
{
    AM_CLEANUP(am_jsonp) json_t *report = NULL;
    AM_CLEANUP(am_jsonp) json_t *decision = NULL;
    int rc = am_report_get(c, id, &report, &decision);
    if (rc)
        return rc;
    if (c->out == AM_OUT_JSON)
        am_print_json(c, report);
    else if (c->out == AM_OUT_NAME)
        puts(id);
    else
        am_compat_show(c, report, decision);
    return 0;
}

int am_compat_submit(struct am_cli *c, const json_t *body, json_t **ret_job)
{
    AM_CLEANUP(am_jsonp) json_t *job = NULL;
    AM_CLEANUP(am_reply_done) struct am_reply reply = {0};
    int rc = am_http_post(c, "/v1/jobs", body, NULL, &reply);
    if (rc)
        return rc;
    const char *id = am_js_text(reply.json, "id", "");
    am_say_note(c, "%s accepted", id);
    if ((rc = am_job_wait(c, id, &job)))
        return rc;
    const char *report = json_string_value(json_array_get(am_js(job, "result.reports"), 0));
    if (!report) {
        am_say_error(c, "ask: amend doctor", "%s succeeded without a report", id);
        return AM_EXIT_ERROR;
    }
    if ((rc = am_report_print(c, report)) == 0)
        *ret_job = json_incref(job);
    return rc;
}

static int put_number(struct am_cli *c, json_t *o, const char *name, const char *flag, const char *text, uint64_t max)
{
    uint64_t v;
    int rc = text ? am_opt_number(c, flag, text, 0, max, &v) : 0;
    if (rc == 0 && text)
        json_object_set_new(o, name, json_integer((json_int_t)v));
    return rc;
}

int am_compat_numbers(struct am_cli *c, const char *bootstrap, const char *seed, json_t *params, json_t *options)
{
    int rc = put_number(c, params, "bootstrap", "--bootstrap", bootstrap, 1000000);
    return rc ? rc : put_number(c, options, "seed", "--seed", seed, INT64_MAX);
}

char *am_query(const char *path, const char *const (*pairs)[2])
{
    char *out = am_xdup(path);
    const char *sep = "?";
    for (size_t i = 0; pairs[i][0]; i++) {
        if (!pairs[i][1])
            continue;
        AM_CLEANUP(am_xfreep) char *value = am_url_encoded(pairs[i][1]);
        char *longer = am_xprintf("%s%s%s=%s", out, sep, pairs[i][0], value);
        free(out);
        out = longer;
        sep = "&";
    }
    return out;
}

int am_limit(struct am_cli *c, const char *text, uint64_t def, uint64_t *ret)
{
    *ret = def;
    return text ? am_opt_number(c, "--limit", text, 1, 100000, ret) : 0;
}
