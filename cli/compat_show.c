/*
 * compat_show.c - a report and a decision as names and values (compat.h). The long form, with every value and slice, is
 * the daemon's: amend compat report --format md.
 */
#include "cli/compat.h"
#include "cli/job.h"
#include "cli/opt.h"
#include "core/base/buf.h"
#include "core/base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Two decimals, or two digits of what is smaller, so that a rare flip never reads as none. */
static void percent(double v, bool sign, char out[AM_RATE])
{
    double p = 100 * v;
    if (p != 0 && fabs(p) < 0.1)
        snprintf(out, AM_RATE, sign ? "%+.2g" : "%.2g", p);
    else
        snprintf(out, AM_RATE, sign && p != 0 ? "%+.2f" : "%.2f", p);
}

void am_fmt_share(const json_t *v, char out[AM_RATE])
{
    char text[AM_RATE];
    if (json_is_number(v))
        percent(json_number_value(v), false, text);
    snprintf(out, AM_RATE, json_is_number(v) ? "%.40s %%" : "-", text);
}

void am_fmt_points(const json_t *v, char out[AM_RATE])
{
    char text[AM_RATE];
    if (json_is_number(v))
        percent(json_number_value(v), true, text);
    snprintf(out, AM_RATE, json_is_number(v) ? "%.38s points" : "-", text);
}

static void plain(const json_t *v, char out[AM_RATE])
{
    if (json_is_number(v))
        snprintf(out, AM_RATE, "%.4f", json_number_value(v));
    else
        snprintf(out, AM_RATE, "-");
}

char *am_side_text(const json_t *of, const char *side)
{
    AM_CLEANUP(am_xfreep) char *whole = am_xprintf("%s_version", side);
    AM_CLEANUP(am_xfreep) char *only = am_xprintf("%s_model", side);
    const json_t *version = am_js(of, whole);
    const char *model = am_js_text(of, only, NULL), *text = am_js_text(of, side, "?");
    if (json_is_object(version))
        return am_version_name(version);
    if (model)
        return am_xprintf("%s@%.12s", model, text);
    return am_is_hex(text, AM_COMMIT_LEN) ? am_xprintf("%.12s", text) : am_xdup(text);
}

void am_side_name(struct am_grid *g, const json_t *of, const char *side)
{
    AM_CLEANUP(am_xfreep) char *name = am_side_text(of, side);
    am_grid_put(g, name);
}

/* "2.94 % [2.63 %, 3.29 %]", or why there is no value. For free(). */
static char *with_interval(const json_t *v, void (*fmt)(const json_t *, char[AM_RATE]))
{
    char value[AM_RATE], low[AM_RATE], high[AM_RATE];
    const json_t *interval = am_js(v, "interval");
    if (!json_is_number(am_js(v, "value")))
        return am_xprintf("undefined: %s", am_js_text(v, "reason", "no reason given"));
    fmt(am_js(v, "value"), value);
    if (json_array_size(interval) != 2)
        return am_xdup(value);
    fmt(json_array_get(interval, 0), low);
    fmt(json_array_get(interval, 1), high);
    return am_xprintf("%s [%s, %s]", value, low, high);
}

void am_value_put_pair(struct am_grid *g, const char *title, const json_t *v,
                       void (*fmt)(const json_t *, char[AM_RATE]))
{
    if (!json_is_object(v))
        return;
    AM_CLEANUP(am_xfreep) char *text = with_interval(v, fmt);
    am_grid_pair(g, title, text);
}

static long long cell(const json_t *report, const char *name)
{
    AM_CLEANUP(am_xfreep) char *path = am_xprintf("cells.%s", name);
    return (long long)am_js_int(report, path, 0);
}

static void put_cells(struct am_grid *g, const json_t *report)
{
    if (!json_is_object(am_js(report, "cells")))
        return;
    am_grid_put(g, "samples");
    am_grid_putf(g, "%lld", (long long)am_js_int(report, "n", 0));
    am_grid_put(g, "both right");
    am_grid_putf(g, "%lld", cell(report, "a"));
    am_grid_put(g, "negative flips");
    am_grid_putf(g, "%lld", cell(report, "b"));
    am_grid_put(g, "positive flips");
    am_grid_putf(g, "%lld", cell(report, "c"));
    am_grid_put(g, "both wrong");
    am_grid_putf(g, "%lld, %lld of them with another answer", cell(report, "d_same") + cell(report, "d_diff"),
                 cell(report, "d_diff"));
}

static void put_floor(struct am_grid *g, const json_t *report)
{
    const json_t *floor = am_js(report, "noise_floor");
    char text[AM_RATE];
    if (!json_is_object(floor))
        return;
    am_fmt_share(am_js(floor, "nfr"), text);
    am_grid_put(g, "noise floor");
    am_grid_putf(g, "%s%s%s", json_is_number(am_js(floor, "nfr")) ? text : "unknown",
                 am_js_text(floor, "why", NULL) ? ": " : "", am_js_text(floor, "why", ""));
}

static void put_test(struct am_grid *g, const json_t *report)
{
    const json_t *t = am_js(report, "tests.mcnemar");
    if (!json_is_number(am_js(t, "p_mid")))
        return;
    AM_CLEANUP(am_xfreep) char *words = am_xdup(am_js_text(t, "verdict", "?"));
    for (char *p = words; *p; p++)
        *p = *p == '_' ? ' ' : *p;
    am_grid_put(g, "McNemar");
    am_grid_putf(g, "p %.4g (mid): %s", am_js_real(t, "p_mid", 1), words);
}

static void put_accuracy(struct am_grid *g, const json_t *report)
{
    char old[AM_RATE], new[AM_RATE];
    if (!json_is_object(am_js(report, "values.accuracy_old")))
        return;
    am_fmt_share(am_js(report, "values.accuracy_old.value"), old);
    am_fmt_share(am_js(report, "values.accuracy_new.value"), new);
    AM_CLEANUP(am_xfreep) char *delta = with_interval(am_js(report, "values.accuracy_delta"), am_fmt_points);
    am_grid_put(g, "accuracy");
    am_grid_putf(g, "%s to %s, %s", old, new, delta);
}

/* `skipped`: also those that were not about this comparison */
static void put_rules(struct am_grid *g, const json_t *decision, bool skipped)
{
    const json_t *rule;
    size_t i;
    json_array_foreach(am_js(decision, "rules"), i, rule)
    {
        if (!skipped && am_streq(am_js_text(rule, "outcome", NULL), "skipped"))
            continue;
        const char *text = am_js_text(rule, "text", am_js_text(rule, "reason", ""));
        am_grid_putf(g, "  %s", am_js_text(rule, "id", "?"));
        am_grid_putf(g, "%s%s%s", am_js_text(rule, "outcome", "?"), *text ? ": " : "", text);
    }
}

static void put_decision(struct am_grid *g, const json_t *decision, bool skipped)
{
    am_grid_put(g, "verdict");
    am_grid_putf(g, "%s by %s", am_js_text(decision, "verdict", "?"),
                 am_js_text(decision, "gate", "a gate of the job"));
    put_rules(g, decision, skipped);
}

static void put_sides(struct am_grid *g, const json_t *of)
{
    am_grid_put(g, "old");
    am_side_name(g, of, "old");
    am_grid_put(g, "new");
    am_side_name(g, of, "new");
}

/* The gaps of each key of params.groups. */
static void put_groups(struct am_grid *g, const json_t *report)
{
    static const char *const gaps[][2] = {{"accuracy_gap", "accuracy gap"},
                                          {"tpr_gap", "true positive gap"},
                                          {"fpr_gap", "false positive gap"},
                                          {"selection_ratio", "selection ratio"},
                                          {"nfr_gap", "NFR gap"}};
    const json_t *one;
    size_t i;
    json_array_foreach(am_js(report, "groups"), i, one)
    {
        for (size_t k = 0; k < sizeof gaps / sizeof *gaps; k++) {
            AM_CLEANUP(am_xfreep) char *path = am_xprintf("values.%s", gaps[k][0]);
            AM_CLEANUP(am_xfreep) char *title = am_xprintf("%s, %s", am_js_text(one, "key", "?"), gaps[k][1]);
            am_value_put_pair(g, title, am_js(one, path),
                              am_streq(gaps[k][0], "selection_ratio") ? plain : am_fmt_share);
        }
    }
}

static void put_found(struct am_grid *g, const json_t *report)
{
    const json_t *row = json_array_get(am_js(report, "found_slices.rows"), 0);
    json_t *where = json_object_get(row, "where"), *value;
    const char *key;
    char nfr[AM_RATE];
    if (!row)
        return;
    struct am_buf b;
    am_buf_init(&b, 4096);
    json_object_foreach(where, key, value)
        am_buf_printf(&b, "%s%s=%s", b.len ? ", " : "", key, json_is_string(value) ? json_string_value(value) : "?");
    am_fmt_share(am_js(row, "nfr"), nfr);
    am_grid_put(g, "found");
    am_grid_putf(g, "%.*s: NFR %s (a search, %lld tried; all: amend compat report --format md)", (int)b.len, b.data,
                 nfr, (long long)am_js_int(report, "found_slices.tried", 0));
    am_buf_done(&b);
}

void am_compat_show(const struct am_cli *c, const json_t *report, const json_t *decision)
{
    struct am_grid g;
    am_grid_init(&g, c, NULL);
    am_grid_pair(&g, "report", am_js_text(report, "id", NULL));
    put_sides(&g, report);
    am_grid_pair(&g, "dataset", am_js_text(report, "dataset", NULL));
    put_cells(&g, report);
    am_line_show(&g, report);
    am_value_put_pair(&g, "NFR", am_js(report, "values.nfr"), am_fmt_share);
    put_floor(&g, report);
    am_value_put_pair(&g, "relative NFR", am_js(report, "values.relative_nfr"), plain);
    put_accuracy(&g, report);
    am_value_put_pair(&g, "score", am_js(report, "values.score_delta"), plain);
    put_test(&g, report);
    put_groups(&g, report);
    put_found(&g, report);
    if (json_is_object(decision))
        put_decision(&g, decision, false);
    am_grid_print(&g);
    am_grid_done(&g);
}

void am_decision_show(const struct am_cli *c, const json_t *decision)
{
    static const char *const rows[][2] = {
        {"decision", "id"}, {"report", "report"}, {"made", "created_at"}, {"by", "created_by"}};
    struct am_grid g;
    am_grid_init(&g, c, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        AM_CLEANUP(am_xfreep) char *text = am_js_plain(am_js(decision, rows[i][1]));
        am_grid_pair(&g, rows[i][0], text);
    }
    put_sides(&g, decision);
    put_decision(&g, decision, true);
    am_grid_print(&g);
    am_grid_done(&g);
}

int am_verdict_exit(const json_t *decision)
{
    const char *verdict = am_js_text(decision, "verdict", NULL);
    return !verdict || am_streq(verdict, "promote") ? 0 : AM_EXIT_GATE;
}

void am_verdict_say(const struct am_cli *c, const json_t *decision)
{
    const char *id = am_js_text(decision, "id", NULL);
    am_say_note(c, "the gate says %s%s%s", am_js_text(decision, "verdict", "?"),
                id ? "; each rule: amend decision show " : "", id ? id : "");
}
