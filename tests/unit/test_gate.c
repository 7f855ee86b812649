/*
 * test_gate.c - decisions over report bodies: the golden decisions of compat.md 8.5, and what must hold of any policy
 * and any report. Policies as JSON are test_gate_policy.c.
 */
#include "core/base/text.h"
#include "core/compat/bootstrap.h"
#include "core/compat/cells.h"
#include "core/compat/intervals.h"
#include "core/compat/metrics.h"
#include "core/compat/normal.h"
#include "core/gate/decide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/gate_fixture.h"

static struct am_maybe relative(const double *sums, const void *arg)
{
    (void)arg;
    return am_metric_of(AM_METRIC_RELATIVE_NFR, sums, true).ratio;
}

static json_t *value(struct am_maybe v, struct am_interval one, struct am_interval two)
{
    json_t *o = json_pack("{s:o}", "value", v.known ? json_real(v.value) : json_null());
    if (one.known) {
        json_object_set_new(o, "lower95", json_real(one.lower));
        json_object_set_new(o, "upper95", json_real(one.upper));
    }
    if (two.known)
        json_object_set_new(o, "interval", json_pack("[f, f]", two.lower, two.upper));
    return o;
}

/* The body of a report on these cells (compat.md 7.1), as far as a decision reads it. */
static json_t *report(double a, double b, double c, double d)
{
    double n = a + b + c + d, cells[AM_CELLS] = {a, 0, b, c, d, 0};
    struct am_boot how = {.replicates = 2000, .seed = 0, .threads = 1};
    struct am_boot_ask ask = {relative, NULL, true};
    struct am_boot_answer boot;
    assert_int_equal(am_boot_classes(&how, cells, AM_CELLS, &ask, 1, &boot), 0);
    json_t *values =
        json_pack("{s:o, s:o, s:o, s:o}", "accuracy_delta",
                  value(am_ratio(c - b, n), am_tango(b, c, n, AM_Z_ONE_SIDED), am_tango(b, c, n, AM_Z_TWO_SIDED)),
                  "nfr", value(am_ratio(b, n), am_wilson(b, n, AM_Z_ONE_SIDED), am_wilson(b, n, AM_Z_TWO_SIDED)),
                  "relative_nfr", value(boot.estimate, boot.one_sided, boot.two_sided), "accuracy_new",
                  value(am_ratio(a + c, n), am_wilson(a + c, n, AM_Z_ONE_SIDED), am_wilson(a + c, n, AM_Z_TWO_SIDED)));
    json_t *r = json_pack("{s:I, s:I, s:b, s:n, s:{s:I, s:i, s:i}, s:{s:f, s:f, s:f, s:f, s:f, s:f}, s:o, s:{s:n}}",
                          "n", (json_int_t)n, "n_eff", (json_int_t)n, "weighted", 0, "clusters", "ids", "both",
                          (json_int_t)n, "old_only", 0, "new_only", 0, "cells", "a", a, "a_diff", 0.0, "b", b, "c", c,
                          "d_same", d, "d_diff", 0.0, "values", values, "noise_floor", "nfr");
    assert_non_null(r);
    return r;
}

static json_t *decide(const struct am_gate_policy *p, struct am_gate_input in)
{
    json_t *d = NULL;
    assert_int_equal(am_gate_decision(p, &in, &d), 0);
    return d;
}

static const json_t *rule(const json_t *decision, const char *id)
{
    size_t i;
    json_t *r;
    json_array_foreach(json_object_get(decision, "rules"), i, r)
    {
        if (am_streq(text_of(r, "id"), id))
            return r;
    }
    fail_msg("no rule %s", id);
    return NULL;
}

#define CLEAN .finite = AM_GATE_CLEAN, .leak = AM_GATE_CLEAN

/* compat.md 8.5, with the words of 8.3 */
static void golden(void **state)
{
    (void)state;
    static const struct {
        double a, b, c, d;
        const char *accuracy, *flips, *verdict;
    } rows[] = {
        {8958, 294, 343, 405, "pass", "pass", "promote"},
        {8583, 69, 203, 105, "pass", "pass", "promote"},
        {1591, 113, 105, 191, "inconclusive", "pass", "inconclusive"},
        {9122, 471, 130, 277, "fail", "fail", "hold"},
        {363, 477, 139, 21, "fail", "fail", "hold"},
        {270, 0, 0, 30, "inconclusive", "pass", "inconclusive"},
        {540, 0, 0, 60, "pass", "pass", "promote"},
    };
    json_t *text = am_policy_json(&am_gate_default);
    struct am_policy p;
    struct am_faults f = {0};
    assert_int_equal(am_policy_read(&p, text, "#", &f), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        json_t *r = report(rows[i].a, rows[i].b, rows[i].c, rows[i].d);
        json_t *d = decide(&p.policy, (struct am_gate_input){.gate = "default@1", .report = r, CLEAN});
        assert_string_equal(text_of(d, "verdict"), rows[i].verdict);
        assert_string_equal(text_of(d, "gate"), "default@1");
        assert_true(json_is_null(json_object_get(d, "policy")));
        assert_string_equal(text_of(rule(d, "non-inferior"), "outcome"), rows[i].accuracy);
        assert_string_equal(text_of(rule(d, "flips"), "outcome"), rows[i].flips);
        assert_string_equal(text_of(rule(d, "text-non-inferior"), "outcome"), "skipped");
        json_t *again = decide(&am_gate_default, (struct am_gate_input){.gate = "default@1", .report = r, CLEAN});
        assert_true(json_equal(d, again));
        json_decref(again);
        json_decref(d);
        json_decref(r);
    }
    am_policy_done(&p);
    json_decref(text);
}

static void sentences(void **state)
{
    (void)state;
    json_t *r = report(270, 0, 0, 30);
    json_t *d = decide(
        &am_gate_default,
        (struct am_gate_input){.gate = "default@1", .report = r, .finite = AM_GATE_NOTHING, .leak = AM_GATE_NOTHING});
    const json_t *accuracy = rule(d, "non-inferior");
    assert_int_equal(json_integer_value(json_object_get(accuracy, "needed_n")), 539);
    assert_string_equal(text_of(accuracy, "text"),
                        "accuracy_delta is 0; its lower bound -0.008938 is not > -0.005, its upper bound 0.008938 is; "
                        "539 samples in all (239 more) would settle it if the rates stay as they are");
    assert_string_equal(text_of(rule(d, "flips"), "measure"), "nfr");
    assert_string_equal(text_of(rule(d, "finite"), "outcome"), "skipped");
    assert_string_equal(text_of(rule(d, "data"), "text"),
                        "300 samples of at least 300; 100 % of the ids are on both sides, of at least 99 %");
    assert_string_equal(text_of(d, "text"), "inconclusive: 1 of 4 rules is open (non-inferior)");
    json_decref(d);
    json_decref(r);
    r = report(9122, 471, 130, 277);
    struct am_policy p = read_good("{\"nfr_max\":0.02,\"accuracy_new_min\":0.9,\"rules\":[{\"id\":\"x\",\"value\":"
                                   "\"accuracy_detla\",\"bound\":\"point\",\"op\":\">\",\"limit\":0}]}");
    d = decide(&p.policy, (struct am_gate_input){.report = r, CLEAN});
    assert_string_equal(text_of(d, "verdict"), "hold");
    assert_string_equal(text_of(rule(d, "nfr_max"), "text"),
                        "nfr is 0.0471; even its lower bound 0.04374 is not <= 0.02");
    assert_string_equal(text_of(rule(d, "x"), "text"),
                        "the report has no value accuracy_detla; did you mean accuracy_delta?");
    json_t *own = am_policy_json(&p.policy);
    assert_true(json_equal(json_object_get(d, "policy"), own)); /* a policy without a name is in the decision */
    json_decref(own);
    json_decref(d);
    json_decref(r);
    am_policy_done(&p);
}

/* Predictions of other bytes than the candidate's never promote it, and nothing to compare with is no failure. */
static void of_what_was_made(void **state)
{
    (void)state;
    json_t *r = report(540, 0, 0, 60);
    json_t *d = decide(&am_gate_default, (struct am_gate_input){.doubt = AM_GATE_OTHER_BYTES, .report = r, CLEAN});
    assert_string_equal(text_of(d, "verdict"), "inconclusive");
    assert_string_equal(text_of(rule(d, "data"), "reason"), "other_bytes");
    assert_string_equal(text_of(rule(d, "flips"), "outcome"), "pass");
    json_decref(d);
    json_decref(r);
    struct am_policy p =
        read_good("{\"nfr_max\":0.02,\"protected\":[{\"key\":\"a\",\"value\":\"b\"}],\"rules\":[{\"id\":"
                  "\"x\",\"must_pass\":{\"dataset\":\"d\",\"mode\":\"no_flip\"}},{\"id\":\"s\",\"value\":"
                  "\"nfr\",\"slice\":\"protected:*\",\"bound\":\"upper\",\"op\":\"<=\",\"limit\":0.1},"
                  "{\"id\":\"finite\",\"finite\":true}]}");
    d = decide(&p.policy, (struct am_gate_input){.finite = AM_GATE_CLEAN, .leak = AM_GATE_NOTHING});
    assert_string_equal(text_of(d, "verdict"), "inconclusive");
    static const char *const open[] = {"data", "nfr_max", "x", "s"};
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        assert_string_equal(text_of(rule(d, open[i]), "outcome"), "inconclusive");
        assert_string_equal(text_of(rule(d, open[i]), "reason"), "nothing_to_compare");
        assert_string_equal(text_of(rule(d, open[i]), "text"), "there is nothing to compare with yet");
    }
    assert_string_equal(text_of(rule(d, "finite"), "outcome"), "pass");
    json_decref(d);
    d = decide(&p.policy, (struct am_gate_input){.finite = AM_GATE_DIRTY, .leak = AM_GATE_NOTHING});
    assert_string_equal(text_of(d, "verdict"), "hold");
    json_decref(d);
    am_policy_done(&p);
}

/* 250 samples, half the ids, another report, a noise floor, an interval between two numbers. */
static void facts(void **state)
{
    (void)state;
    json_t *r = report(225, 0, 0, 25), *d;
    d = decide(&am_gate_default, (struct am_gate_input){.report = r, CLEAN});
    assert_string_equal(text_of(d, "verdict"), "inconclusive");
    assert_string_equal(text_of(rule(d, "data"), "reason"), "data");
    json_decref(d);
    json_decref(r);
    r = report(540, 0, 0, 60);
    json_t *others = json_pack("[{s:s, s:{s:{s:f, s:[f, f]}}}]", "method", "mia", "values", "auc", "value", 0.51,
                               "interval", 0.48, 0.54);
    struct am_policy p = read_good(
        "{\"min_samples\":10,\"rules\":[{\"id\":\"mia\",\"report\":\"mia\",\"value\":\"auc\",\"between\":[0.45,0.55]},"
        "{\"id\":\"none\",\"report\":\"klom\",\"value\":\"auc\",\"between\":[0.45,0.55],\"null_passes\":true}]}");
    d = decide(&p.policy, (struct am_gate_input){.report = r, .others = others, CLEAN});
    assert_string_equal(text_of(rule(d, "mia"), "outcome"), "pass");
    assert_string_equal(text_of(rule(d, "mia"), "measure"), "mia.auc");
    assert_string_equal(text_of(rule(d, "none"), "reason"), "missing");
    assert_string_equal(text_of(rule(d, "none"), "text"), "there is no report klom of this version");
    json_decref(d);
    json_object_set_new(json_object_get(r, "ids"), "old_only", json_integer(100));
    d = decide(&p.policy, (struct am_gate_input){.report = r, .others = others, CLEAN});
    assert_string_equal(text_of(rule(d, "data"), "reason"), "data"); /* 1 in 7 is on one side alone */
    json_decref(d);
    json_decref(others);
    am_policy_done(&p);
    json_decref(r);
    r = report(8958, 294, 343, 405);
    p = read_good("{\"rules\":[{\"id\":\"flips\",\"value\":\"nfr\",\"bound\":\"upper\",\"op\":\"<=\",\"limit\":0.01,"
                  "\"noise_factor\":1.5}]}");
    d = decide(&p.policy, (struct am_gate_input){.report = r, CLEAN});
    assert_string_equal(text_of(d, "verdict"), "hold");
    json_decref(d);
    json_object_set_new(json_object_get(r, "noise_floor"), "nfr", json_real(0.022));
    d = decide(&p.policy, (struct am_gate_input){.report = r, CLEAN}); /* 1.5 x .022 = .033 >= U1 .0323 */
    assert_string_equal(text_of(d, "verdict"), "promote");
    json_decref(d);
    json_decref(r);
    am_policy_done(&p);
    r = json_pack("{s:i}", "n", 5);
    d = NULL;
    assert_int_equal(am_gate_decision(&am_gate_default, &(struct am_gate_input){.report = r}, &d),
                     -AM_E_INVALID_PARAMS);
    assert_null(d);
    json_decref(r);
}

static json_t *slice_row(const char *key, const char *val, double n, double b, double p)
{
    struct am_interval one = am_wilson(b, n, AM_Z_ONE_SIDED);
    return json_pack("{s:s, s:s, s:f, s:f, s:f, s:f, s:f}", "key", key, "value", val, "n", n, "nfr", b / n, "lower95",
                     one.lower, "upper95", one.upper, "p_regression", p);
}

static void slices(void **state)
{
    (void)state;
    json_t *r = report(8958, 294, 343, 405);
    json_t *rows = json_pack("[o, o, o]", slice_row("region", "eu", 1000, 5, .5),
                             slice_row("region", "us", 1000, 40, .9), slice_row("region", "asia", 20, 0, .5));
    struct am_policy p = read_good("{\"protected\":[{\"key\":\"region\",\"value\":\"eu\"}],\"rules\":[{\"id\":\"s\","
                                   "\"value\":\"nfr\",\"slice\":\"protected:*\",\"bound\":\"upper\",\"op\":\"<=\","
                                   "\"limit\":0.02,\"regression\":{\"alpha\":0.05}}]}");
    assert_true(am_gate_wants_slice(&p.policy, NULL, NULL));
    assert_true(am_gate_wants_slice(&p.policy, "region", "eu"));
    assert_false(am_gate_wants_slice(&p.policy, "region", "us"));
    json_t *d = decide(&p.policy, (struct am_gate_input){.report = r, .slices = rows, CLEAN});
    assert_string_equal(text_of(d, "verdict"), "promote");
    assert_string_equal(text_of(json_object_get(rule(d, "s"), "slice"), "value"), "eu");
    json_decref(d);
    am_policy_done(&p);
    p = read_good("{\"rules\":[{\"id\":\"s\",\"value\":\"nfr\",\"slice\":\"region=us\",\"bound\":\"upper\",\"op\":"
                  "\"<=\",\"limit\":0.02}]}");
    d = decide(&p.policy, (struct am_gate_input){.report = r, .slices = rows, CLEAN});
    assert_string_equal(text_of(d, "verdict"), "hold"); /* L1 of 40 in 1000 is .031 */
    json_decref(d);
    am_policy_done(&p);
    p = read_good("{\"rules\":[{\"id\":\"s\",\"slice\":\"region=*\",\"regression\":{\"alpha\":0.05}}]}");
    d = decide(&p.policy, (struct am_gate_input){.report = r, .slices = rows, CLEAN});
    assert_string_equal(text_of(d, "verdict"), "inconclusive");
    assert_string_equal(text_of(rule(d, "s"), "text"),
                        "in region=asia (20 samples) there are too few to decide; a slice needs 30");
    json_decref(d);
    am_policy_done(&p);
    json_decref(rows);
    json_decref(r);
}

static void critical(void **state)
{
    (void)state;
    struct am_policy p = read_good("{\"nfr_max\":0.05,\"rules\":[{\"id\":\"critical\",\"must_pass\":{\"dataset\":"
                                   "\"demo/critical@v1\"}}]}");
    struct am_gate_critical c = {"demo/critical@v1", 1, 1, 0};
    json_t *r = report(8958, 294, 343, 405);
    struct am_gate_input in = {.report = r, CLEAN};
    json_t *d = decide(&p.policy, in);
    assert_string_equal(text_of(rule(d, "critical"), "reason"), "missing");
    json_decref(d);
    in.critical = &c;
    in.critical_n = 1;
    d = decide(&p.policy, in);
    assert_string_equal(text_of(d, "verdict"), "hold");
    assert_string_equal(text_of(rule(d, "critical"), "text"),
                        "1 critical samples of demo/critical@v1 are negative flips");
    json_decref(d);
    c.flips = 0;
    d = decide(&p.policy, in);
    assert_string_equal(text_of(d, "verdict"), "promote");
    json_decref(d);
    in.finite = AM_GATE_DIRTY;
    d = decide(&am_gate_default, in);
    assert_string_equal(text_of(d, "verdict"), "hold");
    assert_string_equal(text_of(rule(d, "finite"), "outcome"), "fail");
    json_decref(d);
    in.finite = AM_GATE_CLEAN;
    in.leak = AM_GATE_DIRTY;
    d = decide(&am_gate_default, in);
    assert_string_equal(text_of(rule(d, "leak"), "outcome"), "fail");
    json_decref(d);
    json_decref(r);
    am_policy_done(&p);
}

static uint64_t draw(uint64_t *s)
{
    *s = *s * 6364136223846793005u + 1442695040888963407u;
    return *s >> 33;
}

static int order(const json_t *decision)
{
    const char *v = text_of(decision, "verdict");
    return am_streq(v, "promote") ? 0 : am_streq(v, "inconclusive") ? 1 : 2;
}

/* Tightening any limit never moves the verdict towards promote: random policies over random cells, through the JSON. */
static void monotony(void **state)
{
    (void)state;
    uint64_t s = 7;
    int moved = 0;
    for (int round = 0; round < 60; round++) {
        double n = 200 + (double)(draw(&s) % 3000), b = (double)(draw(&s) % 60), c = (double)(draw(&s) % 60);
        json_t *r = report(n, b, c, 20 + (double)(draw(&s) % 200));
        double nfr = (double)(draw(&s) % 400) / 1e4, rel = (double)(draw(&s) % 1200) / 1e3;
        double margin = (double)(draw(&s) % 300) / 1e4;
        uint64_t samples = draw(&s) % 600;
        int before = -1;
        for (int step = 0; step < 6; step++) { /* each step tightens one limit, in turn */
            json_t *policy = json_pack(
                "{s:I, s:[{s:s, s:s, s:s, s:s, s:f}, {s:s, s:[{s:s, s:s, s:s, s:f}, {s:s, s:s, s:s, s:f}]}]}",
                "min_samples", (json_int_t)samples, "rules", "id", "a", "value", "accuracy_delta", "bound", "lower",
                "op", ">", "limit", -margin, "id", "f", "any_of", "value", "nfr", "bound", "upper", "op", "<=", "limit",
                nfr, "value", "relative_nfr", "bound", "upper", "op", "<=", "limit", rel);
            struct am_policy p;
            struct am_faults f = {0};
            assert_int_equal(am_policy_read(&p, policy, "#", &f), 0);
            json_t *d = decide(&p.policy, (struct am_gate_input){.report = r, CLEAN});
            assert_true(order(d) >= before);
            moved += before >= 0 && order(d) > before;
            before = order(d);
            json_decref(d);
            am_policy_done(&p);
            json_decref(policy);
            switch (step % 4) {
            case 0:
                nfr *= .7;
                break;
            case 1:
                margin *= .6;
                break;
            case 2:
                rel *= .5;
                break;
            default:
                samples += 400;
            }
        }
        json_decref(r);
    }
    assert_true(moved > 10); /* the limits were near enough to matter */
}

/* Samples that were drawn together, and decisions of which a sample has several, have no closed form: the distance of
   the bound from the value, .05, has to shrink to that of the limit, .001, which takes its square times the samples. */
static void needed_of_groups(void **state)
{
    (void)state;
    static const char *const how[] = {"{\"clusters\":200}", "{\"method_record\":{\"unit\":\"id\"}}",
                                      "{\"weighted\":true}", "{\"n\":1000,\"n_eff\":1000}"};
    for (size_t i = 0; i < sizeof how / sizeof *how; i++) {
        json_t *r = report(1591, 113, 105, 191), *change = json_loads(how[i], 0, NULL);
        json_t *v = json_object_get(json_object_get(r, "values"), "accuracy_delta");
        json_object_set_new(v, "lower95", json_real(-.054));
        json_object_set_new(v, "upper95", json_real(.046));
        json_object_update(r, change);
        json_t *d = decide(&am_gate_default, (struct am_gate_input){.report = r, CLEAN});
        double n = json_number_value(json_object_get(rule(d, "non-inferior"), "needed_n"));
        double samples = json_number_value(json_object_get(r, "n"));
        assert_true(n > 2499.9 * samples && n < 2500.1 * samples);
        json_decref(d);
        json_decref(change);
        json_decref(r);
    }
}

/* Ids may be of any script: a sentence is cut between two characters, and a decision comes of it. */
static void long_names(void **state)
{
    (void)state;
    for (size_t skip = 0; skip < 3; skip++) {
        json_t *rules = json_array(), *r = report(8958, 294, 343, 405);
        for (int i = 0; i < 30; i++)
            json_array_append_new(rules, json_pack("{s:o, s:s, s:s, s:s, s:f}", "id",
                                                   json_sprintf("%02d\xe8\xa6\x8f\xe5\x89\x87\xe8\xa6\x8f\xe5\x89\x87"
                                                                "\xe8\xa6\x8f\xe5\x89\x87%.*s",
                                                                i, i ? 0 : (int)skip, "xx"),
                                                   "value", "nfr", "bound", "upper", "op", "<=", "limit", .001));
        json_t *text = json_pack("{s:o}", "rules", rules);
        struct am_policy p;
        struct am_faults f = {0};
        assert_int_equal(am_policy_read(&p, text, "#", &f), 0);
        json_t *d = decide(&p.policy, (struct am_gate_input){.report = r, CLEAN});
        assert_true(strlen(text_of(d, "text")) > 600);
        json_decref(d);
        json_decref(text);
        json_decref(r);
        am_policy_done(&p);
    }
}

static void can_pass(void **state)
{
    (void)state;
    uint64_t needed = 0;
    char pointer[AM_GATE_POINTER];
    assert_true(am_gate_can_pass(&am_gate_default, AM_GATE_CLASSES, 539, "#/gate", &needed, pointer));
    assert_false(am_gate_can_pass(&am_gate_default, AM_GATE_CLASSES, 538, "#/gate", &needed, pointer));
    assert_int_equal(needed, 539);
    assert_string_equal(pointer, "#/gate/rules/0");
    struct am_policy p = read_good("{\"nfr_max\":0.1}");
    assert_false(am_gate_can_pass(&p.policy, AM_GATE_CLASSES, 299, "#/gate", &needed, pointer));
    assert_int_equal(needed, 300);
    assert_string_equal(pointer, "#/gate/min_samples");
    am_policy_done(&p);
    /* rules about classes say nothing of texts, which need min_samples; what may be either is given the chance */
    assert_true(am_gate_can_pass(&am_gate_default, AM_GATE_TEXTS, 300, "#/gate", &needed, pointer));
    assert_true(am_gate_can_pass(&am_gate_default, AM_GATE_CLASSES | AM_GATE_TEXTS, 300, "#/gate", &needed, pointer));
    static const struct {
        const char *policy;
        bool can; /* with a thousand samples */
    } limits[] = {
        {"{\"nfr_max\":1}", true}, /* no bound is above it */
        {"{\"nfr_max\":0}", false},
        {"{\"accuracy_delta_min\":-1}", true},
        {"{\"accuracy_delta_min\":0}", true}, /* the new one has to be better: positive flips show it */
        {"{\"accuracy_delta_min\":0.1}", true},
        {"{\"accuracy_delta_min\":1}", false},
    };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        p = read_good(limits[i].policy);
        json_t *r = report(500, 0, 500, 0);
        json_t *d = decide(&p.policy, (struct am_gate_input){.report = r, CLEAN});
        assert_int_equal(am_gate_can_pass(&p.policy, AM_GATE_CLASSES, 1000, "#", &needed, pointer), limits[i].can);
        assert_string_equal(text_of(d, "verdict"), limits[i].can ? "promote" : i == 1 ? "inconclusive" : "hold");
        json_decref(d);
        json_decref(r);
        am_policy_done(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),     cmocka_unit_test(sentences),        cmocka_unit_test(facts),
        cmocka_unit_test(slices),     cmocka_unit_test(critical),         cmocka_unit_test(monotony),
        cmocka_unit_test(can_pass),   cmocka_unit_test(of_what_was_made), cmocka_unit_test(needed_of_groups),
        cmocka_unit_test(long_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
