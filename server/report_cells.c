/*
 * report_cells.c - the 2x2 matrix of a report, its negative flips against what no change would show, and its tests
 * (report_parts.h).
 */
#include "server/report_parts.h"

#include "core/base/text.h"

#include <math.h>

/* Text comparisons have no cells of right and wrong. */
static double number(const json_t *o, const char *name)
{
    double v = 0;
    am_number_of(o, name, &v);
    return v;
}

static void put_cell(struct am_doc *d, const json_t *cells, const char *name, double n, const char *words)
{
    am_doc_put(d, words);
    am_doc_html(d, "<br>");
    am_doc_md(d, ": ");
    am_put_count(d, json_object_get(cells, name));
    if (n > 0) {
        am_doc_put(d, " (");
        am_put_number(d, AM_UNIT_SHARE, number(cells, name) / n);
        am_doc_put(d, ")");
    }
}

static void put_both_wrong(struct am_doc *d, const json_t *cells, double n)
{
    double wrong = number(cells, "d_same") + number(cells, "d_diff");
    json_t *sum = json_integer((json_int_t)wrong), *one = json_object();
    if (!sum || !one || json_object_set(one, "d", sum) < 0)
        d->rc = d->rc ? d->rc : -AM_E_OUT_OF_MEMORY;
    put_cell(d, one, "d", n, "both wrong");
    json_decref(sum);
    json_decref(one);
    am_doc_html(d, "<br>");
    am_doc_md(d, "; ");
    am_doc_put(d, "same answer ");
    am_put_count(d, json_object_get(cells, "d_same"));
    am_doc_put(d, ", different ");
    am_put_count(d, json_object_get(cells, "d_diff"));
}

static void put_both_right(struct am_doc *d, const json_t *cells, double n)
{
    put_cell(d, cells, "a", n, "both right");
    if (number(cells, "a_diff") > 0) {
        am_doc_put(d, "; answers differ ");
        am_put_count(d, json_object_get(cells, "a_diff"));
    }
}

void am_report_matrix(struct am_doc *d, const json_t *report)
{
    static const char *const heads[] = {"", "new is right", "new is wrong", NULL};
    const json_t *cells = json_object_get(report, "cells");
    double n = number(cells, "a") + number(cells, "b") + number(cells, "c") + number(cells, "d_same") +
               number(cells, "d_diff");
    if (!json_is_object(cells))
        return;
    am_doc_heading(d, "What changed");
    am_doc_table(d, "samples by who has them right, of all that were compared", heads);
    am_doc_row(d, NULL);
    am_doc_cell(d);
    am_doc_put(d, "old is right");
    am_doc_cell(d);
    put_both_right(d, cells, n);
    am_doc_cell(d);
    am_doc_html(d, "<strong>");
    put_cell(d, cells, "b", n, "negative flips");
    am_doc_html(d, "</strong>");
    am_doc_row_end(d);
    am_doc_row(d, NULL);
    am_doc_cell(d);
    am_doc_put(d, "old is wrong");
    am_doc_cell(d);
    put_cell(d, cells, "c", n, "positive flips");
    am_doc_cell(d);
    put_both_wrong(d, cells, n);
    am_doc_row_end(d);
    am_doc_table_end(d);
}

static void put_value(struct am_doc *d, const json_t *v, enum am_report_unit unit)
{
    double value;
    if (!am_number_of(v, "value", &value)) {
        am_doc_put(d, "undefined: ");
        am_put_words(d, am_text_of(v, "reason", "no reason given"));
        return;
    }
    am_put_number(d, unit, value);
    if (json_array_size(json_object_get(v, "interval")) == 2) {
        am_doc_put(d, " ");
        am_put_interval(d, unit, json_object_get(v, "interval"));
    }
}

static void draw(struct am_doc *d, const json_t *nfr, const json_t *floor)
{
    struct am_draw_rate r = {.floor = -1};
    if (!am_number_of(nfr, "value", &r.value))
        return;
    r.bounded = am_pair_of(json_object_get(nfr, "interval"), &r.low, &r.high);
    am_number_of(floor, "nfr", &r.floor);
    am_draw_rate(d, &r);
}

static void put_floor(struct am_doc *d, const json_t *floor)
{
    double v;
    const char *why = am_text_of(floor, "why", NULL), *from = am_text_of(floor, "source", NULL);
    am_doc_open(d, NULL);
    am_doc_put(d, "Noise floor (the NFR that no change at all would show): ");
    if (am_number_of(floor, "nfr", &v))
        am_put_number(d, AM_UNIT_SHARE, v);
    else
        am_doc_put(d, "unknown");
    if (why || from) {
        am_doc_put(d, " (");
        am_doc_text(d, why ? why : from);
        am_doc_put(d, ")");
    }
    am_doc_put(d, ".");
    am_doc_close(d);
}

void am_report_flips(struct am_doc *d, const json_t *report)
{
    const json_t *values = json_object_get(report, "values"), *nfr = json_object_get(values, "nfr");
    const json_t *relative = json_object_get(values, "relative_nfr"), *floor = json_object_get(report, "noise_floor");
    if (!json_is_object(nfr))
        return;
    am_doc_heading(d, "Negative flips");
    am_doc_open(d, "big");
    am_doc_put(d, "Negative flip rate: ");
    put_value(d, nfr, AM_UNIT_SHARE);
    am_doc_close(d);
    draw(d, nfr, floor);
    put_floor(d, floor);
    if (!json_is_object(relative))
        return;
    am_doc_open(d, NULL);
    am_doc_put(d, "Relative NFR: ");
    put_value(d, relative, AM_UNIT_PLAIN);
    am_doc_put(d, ". It takes the change of accuracy out; 1 is what two models with independent errors show.");
    am_doc_close(d);
}

static void put_test(struct am_doc *d, const char *name, const json_t *test)
{
    const char *member;
    json_t *v;
    am_doc_item(d, NULL);
    am_doc_text(d, am_streq(name, "mcnemar") ? "McNemar, paired" : name);
    const char *between = ": ";
    json_object_foreach((json_t *)test, member, v)
    {
        bool p = am_starts(member, "p_") || am_streq(member, "p");
        if (!json_is_number(v) || am_streq(member, "log10_p_mid"))
            continue;
        am_doc_put(d, between);
        am_put_words(d, member);
        am_doc_put(d, " ");
        if (p && json_number_value(v) == 0 && json_is_number(json_object_get(test, "log10_p_mid"))) {
            am_doc_put(d, "10 to the power of "); /* smaller than a double can say */
            am_put_number(d, AM_UNIT_PLAIN, json_number_value(json_object_get(test, "log10_p_mid")));
        } else if (p) {
            am_put_p(d, json_number_value(v));
        } else {
            am_put_count(d, v);
        }
        between = ", ";
    }
    if (json_is_string(json_object_get(test, "verdict"))) {
        am_doc_put(d, ": ");
        am_put_words(d, am_text_of(test, "verdict", ""));
    }
    am_doc_item_end(d);
}

void am_report_tests(struct am_doc *d, const json_t *report)
{
    const json_t *tests = json_object_get(report, "tests");
    const char *name;
    json_t *test;
    if (!json_object_size(tests))
        return;
    am_doc_heading(d, "Tests");
    am_doc_items(d, true);
    json_object_foreach((json_t *)tests, name, test) put_test(d, name, test);
    am_doc_items(d, false);
}
