/*
 * engine_claim.c - copies of a claimed row. See engine_claim.h.
 */
#include "server/engine_claim.h"

#include "core/base/text.h"
#include "server/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int am_claim_copy(struct am_claim *ret, const struct am_job_row *row)
{
    struct am_claim c = {.attempt = row->attempt,
                         .failures = row->failures,
                         .max_attempts = row->max_attempts,
                         .time_limit = row->time_limit,
                         .waited = row->started_at - row->created_at};
    snprintf(c.uid, sizeof c.uid, "%s", row->uid);
    snprintf(c.type, sizeof c.type, "%s", row->type);
    snprintf(c.method, sizeof c.method, "%s", row->method);
    snprintf(c.staging, sizeof c.staging, "%s.%d", c.uid, row->attempt);
    snprintf(c.request, sizeof c.request, "%s", row->request_id ? row->request_id : "-");
    am_trace_child(row->traceparent, row->uid, c.trace);
    c.created_by = strdup(row->created_by ? row->created_by : "-");
    c.resolved_text = strdup(row->resolved ? row->resolved : "");
    c.publish_text = strdup(row->publish ? row->publish : "");
    c.plan_text = strdup(row->plan ? row->plan : "null");
    c.warnings_text = strdup(row->warnings ? row->warnings : "[]");
    if (!c.created_by || !c.resolved_text || !c.publish_text || !c.plan_text || !c.warnings_text) {
        am_claim_done(&c);
        return -AM_E_OUT_OF_MEMORY;
    }
    *ret = c;
    return 0;
}

enum kind { OBJECT, LIST, OBJECT_OR_NULL };

static bool is_kind(const json_t *v, enum kind kind)
{
    if (kind == LIST)
        return json_is_array(v);
    return json_is_object(v) || (kind == OBJECT_OR_NULL && json_is_null(v));
}

static json_t *parse(const char *text, const char *what, enum kind kind, char *why, size_t why_cap)
{
    json_error_t error;
    json_t *v = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (v && is_kind(v, kind))
        return v;
    snprintf(why, why_cap, "the stored %s of the job cannot be read: %s", what,
             v ? "it is of the wrong kind" : error.text);
    json_decref(v);
    return NULL;
}

int am_claim_parse(struct am_claim *c, char *why, size_t why_cap)
{
    c->resolved = parse(c->resolved_text, "recipe", OBJECT, why, why_cap);
    c->publish = c->resolved ? parse(c->publish_text, "publication", OBJECT, why, why_cap) : NULL;
    c->plan = c->publish ? parse(c->plan_text, "plan", OBJECT_OR_NULL, why, why_cap) : NULL;
    c->warnings = c->plan ? parse(c->warnings_text, "warnings", LIST, why, why_cap) : NULL;
    return c->warnings ? 0 : -AM_E_INTERNAL;
}

bool am_claim_unplanned(const struct am_claim *c)
{
    return am_streq(c->resolved_text, "null");
}

bool am_claim_imports(const struct am_claim *c)
{
    return am_streq(c->type, "task") && !am_claim_packs(c) && !am_claim_indexes(c);
}

bool am_claim_packs(const struct am_claim *c)
{
    return am_streq(c->type, "task") && am_streq(c->method, "pack");
}

bool am_claim_indexes(const struct am_claim *c)
{
    return am_streq(c->type, "task") && am_streq(c->method, "index");
}

bool am_claim_compares(const struct am_claim *c)
{
    return am_streq(c->type, "evaluate");
}

bool am_claim_continues(const struct am_claim *c)
{
    return am_claim_compares(c) && am_streq(c->method, "continual");
}

int am_claim_warn(struct am_claim *c, const char *code, const char *detail)
{
    json_t *w = json_pack("{s:s,s:s}", "code", code, "detail", detail);
    return am_json_add(c->warnings, w);
}

void am_claim_done(struct am_claim *c)
{
    free(c->created_by);
    free(c->resolved_text);
    free(c->publish_text);
    free(c->plan_text);
    free(c->warnings_text);
    json_decref(c->moving);
    json_decref(c->resolved);
    json_decref(c->publish);
    json_decref(c->plan);
    json_decref(c->warnings);
    memset(c, 0, sizeof *c);
}
