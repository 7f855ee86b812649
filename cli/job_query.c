/*
 * job_query.c - the filters of `amend job list` as the query of GET /v1/jobs. --status and --metadata may be repeated.
 */
#include "cli/http.h"
#include "cli/job.h"
#include "cli/opt.h"
#include "core/base/text.h"

#include <stdlib.h>
#include <string.h>

struct query {
    const struct am_cli *c;
    char *path;
    uint64_t want;
};

static void put(struct query *q, const char *name, const char *text)
{
    AM_CLEANUP(am_xfreep) char *value = am_url_encoded(text);
    char *longer = am_xprintf("%s%c%s=%s", q->path, strchr(q->path, '?') ? '&' : '?', name, value);
    free(q->path);
    q->path = longer;
}

/* K=V */
static int put_pair(struct query *q, const char *text)
{
    const char *eq = strchr(text, '=');
    if (!eq || eq == text)
        return am_say_usage(q->c, "--metadata takes KEY=VALUE, not '%s'", text);
    AM_CLEANUP(am_xfreep) char *key = am_xprintf("%.*s", (int)(eq - text), text);
    AM_CLEANUP(am_xfreep) char *encoded = am_url_encoded(key);
    AM_CLEANUP(am_xfreep) char *name = am_xprintf("metadata.%s", encoded);
    put(q, name, eq + 1);
    return 0;
}

static int take(struct query *q, struct am_scan *s, const struct am_token *t)
{
    static const char *const known[] = {"status", "type",     "method",   "model", "created-by",
                                        "since",  "metadata", "archived", "limit"};
    enum { KNOWN = sizeof known / sizeof *known };
    size_t i = 0;
    while (i < KNOWN && !am_streq(known[i], t->name))
        i++;
    if (i == KNOWN)
        return am_say_unknown(q->c, "option", t->name, known, KNOWN);
    if (am_streq(t->name, "archived")) {
        put(q, "archived", t->inlined ? t->inlined : "true");
        return 0;
    }
    const char *value = am_scan_value(s, t);
    if (!value)
        return am_say_usage(q->c, "--%s needs a value after it", t->name);
    if (am_streq(t->name, "limit"))
        return am_opt_number(q->c, "--limit", value, 1, 100000, &q->want);
    if (am_streq(t->name, "metadata"))
        return put_pair(q, value);
    put(q, am_streq(t->name, "created-by") ? "created_by" : t->name, value);
    return 0;
}

int am_job_query(struct am_cli *c, int argc, char **argv, char **ret_path, size_t *ret_want)
{
    struct query q = {.c = c, .path = am_xdup("/v1/jobs"), .want = 100};
    struct am_scan s = {.argc = argc, .argv = argv};
    struct am_token t;
    int rc = 0;
    while (rc == 0 && am_scan_next(&s, &t))
        rc = t.word ? am_say_usage(c, "'%s' is one word too many", t.word) : take(&q, &s, &t);
    if (rc) {
        free(q.path);
        return rc;
    }
    *ret_path = q.path;
    *ret_want = (size_t)q.want;
    return 0;
}
