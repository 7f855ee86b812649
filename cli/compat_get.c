/*
 * compat_get.c - reading reports and decisions, and the queries of their lists (compat.h).
 */
#include "cli/compat.h"
#include "cli/opt.h"
#include "core/base/text.h"

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
