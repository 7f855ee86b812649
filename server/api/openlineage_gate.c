/*
 * openlineage_gate.c - a gate decision as the entries of OpenLineage's `test` run facet: one a rule. The facet knows
 * pass, fail and skip; a rule that is inconclusive did not pass, so it is fail and its description says which.
 */
#include "server/api/decisions.h"

#include "core/base/text.h"

#include <stdio.h>

static const char *text_of(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

/* A number as text; NULL: it is none. */
static const char *number_text(const json_t *v, char out[AM_F64_TEXT])
{
    if (!json_is_number(v))
        return NULL;
    am_f64_text(json_number_value(v), out);
    return out;
}

static const char *status_of(const char *outcome)
{
    return am_streq(outcome, "pass") ? "pass" : am_streq(outcome, "skipped") ? "skip" : "fail";
}

/* What the rule is about, in words that dashboards of others group by; the rule's own id is among the params. */
static const char *name_of(const json_t *rule)
{
    const char *measure = text_of(rule, "measure");
    return am_streq(measure, "nfr") ? "negative_flip_rate" : measure[0] ? measure : text_of(rule, "id");
}

static json_t *entry(const struct am_decision_row *d, const json_t *rule)
{
    char actual[AM_F64_TEXT], limit[AM_F64_TEXT], expected[AM_F64_TEXT + 8], gate[120], description[1200];
    const char *outcome = text_of(rule, "outcome"), *bound = text_of(rule, "bound");
    bool known = number_text(json_object_get(rule, "limit"), limit) != NULL;
    snprintf(expected, sizeof expected, "%.6s%s", text_of(rule, "op"), known ? limit : "");
    snprintf(gate, sizeof gate, "%.80s@%lld", d->gate ? d->gate : "", (long long)d->revision);
    snprintf(description, sizeof description, "%s%.1100s", am_streq(outcome, "inconclusive") ? "inconclusive: " : "",
             text_of(rule, "text"));
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s*, s:s*, s:{s:s, s:s?, s:s, s:s*}}", "name", name_of(rule), "status",
                     status_of(outcome), "severity", "error", "type", "gate", "description", description, "expected",
                     known ? expected : NULL, "actual", number_text(json_object_get(rule, "value"), actual), "params",
                     "rule", text_of(rule, "id"), "gate", d->gate ? gate : NULL, "decision", d->uid, "bound",
                     bound[0] ? bound : NULL);
}

json_t *am_decision_tests(const struct am_decision_row *d)
{
    json_auto_t *body = am_json_stored(d->body);
    json_t *list = json_array(), *rule;
    size_t i;
    json_array_foreach(json_object_get(body, "rules"), i, rule) json_array_append_new(list, entry(d, rule));
    return list;
}
