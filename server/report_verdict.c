/*
 * report_verdict.c - the banner above a report: the gate's verdict, one line a rule; without a gate, what the test says
 * (report_parts.h). A verdict is a sign, a word and a frame; its colour only repeats them.
 */
#include "server/report_parts.h"

#include "core/base/text.h"

#include <string.h>

struct sign {
    const char *code, *kind, *sign, *word;
};
static const struct sign signs[] = {
    {"promote", "promote", "\xe2\x9c\x94", "PROMOTE"},
    {"hold", "hold", "\xe2\x9c\x98", "HOLD"},
    {"inconclusive", "inconclusive", "?", "INCONCLUSIVE"},
    {"pass", NULL, "\xe2\x9c\x94", "passes"},
    {"fail", NULL, "\xe2\x9c\x98", "fails"},
    {"skipped", NULL, "\xe2\x80\x93", "skipped"},
};

static const struct sign undecided = {"inconclusive", NULL, "?", "is inconclusive"}; /* of a rule */

static struct sign sign_of(const char *code)
{
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (am_streq(signs[i].code, code))
            return signs[i];
    return (struct sign){code, "none", "?", NULL};
}

static void put_sign(struct am_doc *d, const json_t *rule)
{
    const char *outcome = am_text_of(rule, "outcome", "inconclusive");
    struct sign s = am_streq(outcome, "inconclusive") ? undecided : sign_of(outcome);
    am_doc_putf(d, "%s ", s.sign);
    if (s.word)
        am_doc_put(d, s.word);
    else
        am_doc_text(d, s.code);
}

static void put_line(struct am_doc *d, const json_t *rule)
{
    const char *text = am_text_of(rule, "text", NULL), *reason = am_text_of(rule, "reason", NULL);
    am_doc_item(d, NULL);
    am_doc_name(d, am_text_of(rule, "id", "?"));
    am_doc_put(d, ": ");
    put_sign(d, rule);
    if (text && *text) {
        am_doc_put(d, ": ");
        am_doc_text(d, text);
    } else if (reason) {
        am_doc_put(d, ": ");
        am_put_words(d, reason);
    }
    am_doc_item_end(d);
}

/* ---- the rules with their numbers ---- */

static void put_optional(struct am_doc *d, enum am_report_unit unit, const json_t *v)
{
    if (json_is_number(v))
        am_put_number(d, unit, json_number_value(v));
    else
        am_doc_put(d, "-");
}

static void put_measure(struct am_doc *d, const json_t *rule)
{
    const json_t *slice = json_object_get(rule, "slice");
    am_put_words(d, am_text_of(rule, "measure", "-"));
    if (!json_is_object(slice))
        return;
    am_doc_put(d, " in ");
    am_doc_name(d, am_text_of(slice, "key", "?"));
    am_doc_put(d, " = ");
    am_doc_name(d, am_text_of(slice, "value", "?"));
}

static void put_limit(struct am_doc *d, enum am_report_unit unit, const json_t *rule)
{
    const json_t *limit = json_object_get(rule, "limit");
    const char *bound = am_text_of(rule, "bound", NULL);
    if (bound) {
        am_doc_text(d, bound);
        am_doc_put(d, am_streq(bound, "point") ? " " : " bound ");
    }
    am_doc_text(d, am_text_of(rule, "op", ""));
    am_doc_put(d, " ");
    if (json_is_array(limit))
        am_put_interval(d, unit, limit);
    else
        put_optional(d, unit, limit);
}

static void put_rule(struct am_doc *d, const json_t *rule)
{
    enum am_report_unit unit = am_report_name(am_text_of(rule, "measure", "")).unit;
    const json_t *p = json_object_get(rule, "adjusted_p");
    am_doc_row(d, NULL);
    am_doc_cell(d);
    am_doc_name(d, am_text_of(rule, "id", "?"));
    am_doc_cell(d);
    put_sign(d, rule);
    am_doc_cell(d);
    put_measure(d, rule);
    am_doc_cell(d);
    put_optional(d, unit, json_object_get(rule, "value"));
    am_doc_cell(d);
    am_put_interval(d, unit, json_object_get(rule, "interval"));
    am_doc_cell(d);
    put_limit(d, unit, rule);
    am_doc_cell(d);
    if (json_is_number(p))
        am_put_p(d, json_number_value(p));
    else
        am_doc_put(d, "-");
    am_doc_cell(d);
    am_put_count(d, json_object_get(rule, "needed_n"));
    am_doc_row_end(d);
}

void am_report_rules(struct am_doc *d, const json_t *decision)
{
    static const char *const heads[] = {"rule",    "outcome", "of",          ">estimate",
                                        ">bounds", ">limit",  ">adjusted p", ">samples that would settle it",
                                        NULL};
    const json_t *rules = json_object_get(decision, "rules"), *rule;
    size_t i;
    if (!json_array_size(rules))
        return;
    am_doc_heading(d, "The gate's rules");
    am_doc_table(d, "a rule passes when the named bound meets the limit, and fails when the other bound misses it too",
                 heads);
    json_array_foreach(rules, i, rule) put_rule(d, rule);
    am_doc_table_end(d);
}

/* ---- the banner ---- */

static void put_word(struct am_doc *d, const struct sign *s, const char *gate)
{
    am_doc_open(d, "word");
    am_doc_put(d, d->form == AM_DOC_MD ? "**" : "");
    am_doc_putf(d, "%s ", s->sign);
    am_doc_put(d, s->word ? s->word : "");
    if (!s->word)
        am_doc_text(d, s->code);
    am_doc_put(d, d->form == AM_DOC_MD ? "**" : "");
    if (gate) {
        am_doc_put(d, " by the gate ");
        am_doc_name(d, gate);
    }
    am_doc_close(d);
}

static void put_without(struct am_doc *d, const json_t *report)
{
    const json_t *test = json_object_get(json_object_get(report, "tests"), "mcnemar");
    am_doc_html(d, "<section class=\"banner none\">\n");
    am_doc_open(d, NULL);
    am_doc_put(d, "No gate was asked.");
    if (json_is_string(json_object_get(test, "verdict"))) {
        am_doc_put(d, " The paired test: ");
        am_put_words(d, am_text_of(test, "verdict", ""));
        am_doc_put(d, ".");
    }
    am_doc_close(d);
    am_doc_html(d, "</section>\n");
}

void am_report_verdict(struct am_doc *d, const struct am_report_view *v)
{
    const char *verdict = am_text_of(v->decision, "verdict", NULL);
    const json_t *rules = json_object_get(v->decision, "rules"), *rule;
    size_t i;
    if (!verdict) {
        put_without(d, v->report);
        return;
    }
    struct sign s = sign_of(verdict);
    am_doc_html(d, "<section class=\"banner %s\">\n", s.kind ? s.kind : "none");
    put_word(d, &s, am_text_of(v->decision, "gate", NULL));
    am_doc_items(d, true);
    json_array_foreach(rules, i, rule) put_line(d, rule);
    am_doc_items(d, false);
    am_doc_html(d, "</section>\n");
}
