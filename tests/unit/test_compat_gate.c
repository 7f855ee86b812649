/*
 * test_compat_gate.c - decisions of the policy "default" on the cells of real comparisons, and what must hold of any
 * policy and any cells.
 */
#include "core/base/err.h"
#include "core/compat/bootstrap.h"
#include "core/compat/gate.h"
#include "core/compat/intervals.h"
#include "core/compat/metrics.h"
#include "core/compat/normal.h"
#include "core/compat/tests.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/compat_fixture.h"

static struct am_maybe relative(const double *sums, const void *arg)
{
    (void)arg;
    return am_metric_of(AM_METRIC_RELATIVE_NFR, sums, true).ratio;
}

/* What a report of these cells says. */
struct report {
    double cells[AM_CELLS];
    struct am_gate_value values[4];
    struct am_gate_facts facts;
};

static void fill(struct report *r, double a, double b, double c, double d)
{
    memset(r, 0, sizeof(*r));
    r->cells[AM_CELL_A_SAME] = a;
    r->cells[AM_CELL_B] = b;
    r->cells[AM_CELL_C] = c;
    r->cells[AM_CELL_D_SAME] = d;
    double n = a + b + c + d;
    struct am_boot how = {.replicates = 2000, .seed = 0, .threads = 1};
    struct am_boot_ask ask = {relative, NULL, true};
    struct am_boot_answer boot;
    assert_int_equal(am_boot_classes(&how, r->cells, AM_CELLS, &ask, 1, &boot), 0);
    r->values[0] = (struct am_gate_value){NULL, "accuracy_delta", am_ratio(c - b, n), am_tango(b, c, n, AM_Z_ONE_SIDED),
                                          am_tango(b, c, n, AM_Z_TWO_SIDED)};
    r->values[1] = (struct am_gate_value){NULL, "nfr", am_ratio(b, n), am_wilson(b, n, AM_Z_ONE_SIDED),
                                          am_wilson(b, n, AM_Z_TWO_SIDED)};
    r->values[2] = (struct am_gate_value){NULL, "relative_nfr", boot.estimate, boot.one_sided, boot.two_sided};
    r->values[3] = (struct am_gate_value){NULL, "accuracy_new", am_ratio(a + c, n), am_wilson(a + c, n, AM_Z_ONE_SIDED),
                                          am_wilson(a + c, n, AM_Z_TWO_SIDED)};
    r->facts = (struct am_gate_facts){.task = AM_GATE_CLASSES,
                                      .n = n,
                                      .ids_matched = 1,
                                      .cells = r->cells,
                                      .values = r->values,
                                      .values_n = 4,
                                      .finite = AM_GATE_CLEAN,
                                      .leak = AM_GATE_CLEAN};
}

#define RULES 16

static enum am_gate_verdict decide(const struct am_gate_policy *p, const struct report *r, struct am_gate_result *ret)
{
    enum am_gate_verdict v;
    assert_int_equal(am_gate_decide(p, &r->facts, ret, &v), 0);
    return v;
}

static const struct am_gate_result *by_id(const struct am_gate_result *r, size_t n, const char *id)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(r[i].id, id) == 0)
            return &r[i];
    fail_msg("no rule %s", id);
    return NULL;
}

static void golden(void **state)
{
    (void)state;
    static const struct {
        double a, b, c, d;
        enum am_gate_outcome accuracy, flips;
        enum am_gate_verdict verdict;
    } rows[] = {
        {8958, 294, 343, 405, AM_GATE_PASS, AM_GATE_PASS, AM_GATE_PROMOTE},
        {8583, 69, 203, 105, AM_GATE_PASS, AM_GATE_PASS, AM_GATE_PROMOTE},
        {1591, 113, 105, 191, AM_GATE_INCONCLUSIVE, AM_GATE_PASS, AM_GATE_UNDECIDED},
        {9122, 471, 130, 277, AM_GATE_FAIL, AM_GATE_FAIL, AM_GATE_HOLD},
        {363, 477, 139, 21, AM_GATE_FAIL, AM_GATE_FAIL, AM_GATE_HOLD},
        {270, 0, 0, 30, AM_GATE_INCONCLUSIVE, AM_GATE_PASS, AM_GATE_UNDECIDED},
        {540, 0, 0, 60, AM_GATE_PASS, AM_GATE_PASS, AM_GATE_PROMOTE},
    };
    struct am_gate_result got[RULES];
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct report r;
        fill(&r, rows[i].a, rows[i].b, rows[i].c, rows[i].d);
        assert_int_equal(decide(&am_gate_default, &r, got), rows[i].verdict);
        assert_int_equal(by_id(got, RULES, "non-inferior")->outcome, rows[i].accuracy);
        assert_int_equal(by_id(got, RULES, "flips")->outcome, rows[i].flips);
        assert_int_equal(by_id(got, RULES, "data")->outcome, AM_GATE_PASS);
        assert_int_equal(by_id(got, RULES, "slices")->outcome, AM_GATE_PASS);
        assert_int_equal(by_id(got, RULES, "text-non-inferior")->outcome, AM_GATE_SKIPPED);
    }
    struct report r;
    fill(&r, 270, 0, 0, 30);
    decide(&am_gate_default, &r, got);
    NEAR(by_id(got, RULES, "non-inferior")->needed_n.value, 539, 0);
    NEAR(by_id(got, RULES, "non-inferior")->interval.lower, -.00894, 5e-6);
    fill(&r, 225, 0, 0, 25);
    assert_int_equal(decide(&am_gate_default, &r, got), AM_GATE_UNDECIDED);
    assert_string_equal(by_id(got, RULES, "data")->reason, "data");
    NEAR(by_id(got, RULES, "data")->needed_n.value, 300, 0);
    fill(&r, 100, 100, 0, 50); /* few samples, and a fail all the same */
    assert_int_equal(decide(&am_gate_default, &r, got), AM_GATE_HOLD);
    size_t rule;
    assert_int_equal(am_gate_least_samples(&am_gate_default, AM_GATE_CLASSES, &rule), 539);
    assert_string_equal(am_gate_default.rules[rule].id, "non-inferior");
}

static void checks(void **state)
{
    (void)state;
    struct report r;
    struct am_gate_result got[RULES];
    fill(&r, 8958, 294, 343, 405);
    r.facts.finite = AM_GATE_DIRTY;
    assert_int_equal(decide(&am_gate_default, &r, got), AM_GATE_HOLD);
    assert_string_equal(by_id(got, RULES, "finite")->reason, "non_finite");
    r.facts.finite = AM_GATE_NOTHING;
    assert_int_equal(decide(&am_gate_default, &r, got), AM_GATE_PROMOTE);
    r.facts.leak = AM_GATE_UNCHECKED;
    assert_int_equal(decide(&am_gate_default, &r, got), AM_GATE_UNDECIDED);
    r.facts.leak = AM_GATE_DIRTY;
    assert_int_equal(decide(&am_gate_default, &r, got), AM_GATE_HOLD);
    assert_string_equal(by_id(got, RULES, "leak")->reason, "leak");
    r.facts.leak = AM_GATE_CLEAN;
    r.facts.partial = true;
    assert_int_equal(decide(&am_gate_default, &r, got), AM_GATE_UNDECIDED);
    r.facts.partial = false;
    r.facts.ids_matched = .98;
    assert_int_equal(decide(&am_gate_default, &r, got), AM_GATE_UNDECIDED);
    struct am_gate_policy empty = {.min_samples = 10};
    r.facts.ids_matched = 1;
    assert_int_equal(decide(&empty, &r, got), AM_GATE_UNDECIDED); /* nothing asked, nothing shown */
}

static void critical(void **state)
{
    (void)state;
    struct am_gate_rule rules[2] = {am_gate_default.rules[0],
                                    {.id = "critical", .form = AM_GATE_MUST_PASS, .dataset = "acme/critical"}};
    struct am_gate_policy p = {.min_samples = 300, .rules = rules, .rules_n = 2};
    struct am_gate_critical c = {"acme/critical", 1, 1, 0};
    struct report r;
    struct am_gate_result got[RULES];
    fill(&r, 8958, 294, 343, 405);
    assert_int_equal(decide(&p, &r, got), AM_GATE_HOLD); /* never compared */
    assert_string_equal(got[2].reason, "missing");
    r.facts.critical = &c;
    r.facts.critical_n = 1;
    assert_int_equal(decide(&p, &r, got), AM_GATE_HOLD);
    assert_string_equal(got[2].reason, "critical");
    c.flips = 0;
    assert_int_equal(decide(&p, &r, got), AM_GATE_PROMOTE);
    rules[1].all_right = true;
    assert_int_equal(decide(&p, &r, got), AM_GATE_HOLD);
    c.wrong = 0;
    c.missing = 1;
    assert_int_equal(decide(&p, &r, got), AM_GATE_HOLD);
    assert_string_equal(got[2].reason, "missing");
}

static struct am_gate_slice slice(const char *value, uint64_t n, uint64_t b, uint64_t c, struct am_gate_value *room)
{
    room[0] = (struct am_gate_value){
        NULL, "nfr", am_ratio((double)b, (double)n), am_wilson((double)b, (double)n, AM_Z_ONE_SIDED), {false, 0, 0}};
    return (struct am_gate_slice){"region", value, n, am_mcnemar_of(b, c).regression.p, room, 1};
}

static void slices(void **state)
{
    (void)state;
    static const struct am_gate_key protected[] = {{"region", "eu"}, {"region", "us"}};
    struct am_gate_policy p = am_gate_default;
    struct am_gate_value room[3];
    struct am_gate_slice s[3] = {slice("eu", 1000, 5, 5, &room[0]), slice("us", 1000, 8, 9, &room[1]),
                                 slice("asia", 1000, 500, 0, &room[2])};
    struct report r;
    struct am_gate_result got[RULES];
    p.protected = protected;
    p.protected_n = 2;
    fill(&r, 8958, 294, 343, 405);
    assert_int_equal(decide(&p, &r, got), AM_GATE_UNDECIDED); /* the report has no such slices */
    assert_string_equal(by_id(got, RULES, "slices")->reason, "missing");
    r.facts.slices = s;
    r.facts.slices_n = 3;
    assert_int_equal(decide(&p, &r, got), AM_GATE_PROMOTE); /* asia is not protected */
    NEAR(by_id(got, RULES, "slices")->adjusted_p.value, fmin(1, 2 * fmin(s[0].p_regression, s[1].p_regression)), 1e-15);
    s[1] = slice("us", 1000, 10, 1, &room[1]); /* NFR 1 % passes .02, the regression shows */
    assert_int_equal(decide(&p, &r, got), AM_GATE_HOLD);
    assert_string_equal(by_id(got, RULES, "slices")->reason, "regression");
    assert_string_equal(by_id(got, RULES, "slices")->slice->value, "us");
    s[1] = slice("us", 1000, 40, 40, &room[1]); /* no regression, but L1(NFR) > .02 */
    assert_int_equal(decide(&p, &r, got), AM_GATE_HOLD);
    assert_int_equal(by_id(got, RULES, "slices")->outcome, AM_GATE_FAIL);
    assert_null(by_id(got, RULES, "slices")->reason);
    s[1] = slice("us", 1000, 18, 18, &room[1]);
    assert_int_equal(decide(&p, &r, got), AM_GATE_UNDECIDED);
    assert_true(by_id(got, RULES, "slices")->needed_n.known);
    s[1] = slice("us", 29, 20, 0, &room[1]); /* too small to decide, however bad */
    assert_int_equal(decide(&p, &r, got), AM_GATE_UNDECIDED);
    assert_string_equal(by_id(got, RULES, "slices")->reason, "small");
    struct am_gate_rule all = {
        .id = "all", .value = "nfr", .slice = "region=*", .bound = AM_GATE_UPPER, .op = AM_GATE_LE, .limit = .6};
    struct am_gate_policy other = {.min_samples = 1, .rules = &all, .rules_n = 1};
    s[1] = slice("us", 1000, 0, 0, &room[1]);
    assert_int_equal(decide(&other, &r, got), AM_GATE_PROMOTE);
    all.limit = .4;
    assert_int_equal(decide(&other, &r, got), AM_GATE_HOLD);
    all.slice = "region=us";
    assert_int_equal(decide(&other, &r, got), AM_GATE_PROMOTE);
    all.slice = "regio=*";
    assert_int_equal(decide(&other, &r, got), AM_GATE_UNDECIDED);
}

static void forms(void **state)
{
    (void)state;
    struct am_gate_value v[] = {{"mia", "auroc", am_known(.51), {true, .49, .53}, {true, .48, .54}},
                                {NULL, "x", {false, 0}, {false, 0, 0}, {false, 0, 0}}};
    struct am_gate_rule rule = {
        .id = "r", .form = AM_GATE_BETWEEN, .report = "mia", .value = "auroc", .low = .45, .high = .55};
    struct am_gate_policy p = {.rules = &rule, .rules_n = 1};
    struct report r;
    struct am_gate_result got[RULES];
    fill(&r, 900, 10, 20, 70);
    r.facts.values = v;
    r.facts.values_n = 2;
    assert_int_equal(decide(&p, &r, got), AM_GATE_PROMOTE);
    rule.high = .5;
    assert_int_equal(decide(&p, &r, got), AM_GATE_UNDECIDED);
    rule.high = .47;
    assert_int_equal(decide(&p, &r, got), AM_GATE_HOLD);
    rule = (struct am_gate_rule){.id = "r", .value = "x", .bound = AM_GATE_UPPER, .op = AM_GATE_LE, .limit = .05};
    assert_int_equal(decide(&p, &r, got), AM_GATE_UNDECIDED);
    assert_string_equal(got[1].reason, "undefined");
    rule.null_passes = true;
    assert_int_equal(decide(&p, &r, got), AM_GATE_PROMOTE);
    rule.value = "y";
    assert_int_equal(decide(&p, &r, got), AM_GATE_UNDECIDED);
    assert_string_equal(got[1].reason, "missing");
    /* a point decides where there are no bounds, and noise can only widen a limit */
    v[1].value = am_known(.05);
    rule.value = "x";
    assert_int_equal(decide(&p, &r, got), AM_GATE_PROMOTE);
    v[1].value = am_known(.06);
    assert_int_equal(decide(&p, &r, got), AM_GATE_HOLD);
    rule.noise_factor = 1.5;
    assert_int_equal(decide(&p, &r, got), AM_GATE_HOLD);
    r.facts.noise_floor = am_known(.04);
    assert_int_equal(decide(&p, &r, got), AM_GATE_PROMOTE);
    NEAR(got[1].limit, .06, 1e-15);
    /* any_of: an undefined alternative leaves it to the other */
    struct am_gate_rule two[2] = {{.value = "undefined", .bound = AM_GATE_UPPER, .op = AM_GATE_LE, .limit = .5},
                                  {.value = "x", .op = AM_GATE_LE, .limit = .01}};
    struct am_gate_value w[] = {{NULL, "undefined", {false, 0}, {false, 0, 0}, {false, 0, 0}}, v[1]};
    rule = (struct am_gate_rule){.id = "any", .form = AM_GATE_ANY_OF, .any_of = two, .any_of_n = 2};
    r.facts.values = w;
    assert_int_equal(decide(&p, &r, got), AM_GATE_HOLD);
    two[1].value = "undefined";
    assert_int_equal(decide(&p, &r, got), AM_GATE_UNDECIDED);
}

static void faults(void **state)
{
    (void)state;
    static const struct am_gate_rule value = {.value = "nfr", .op = AM_GATE_LE, .limit = .1},
                                     any = {.form = AM_GATE_ANY_OF, .any_of = &value, .any_of_n = 1};
    static const struct am_gate_rule bad[] = {
        {.limit = .1},
        {.value = "nfr", .limit = NAN},
        {.value = "nfr", .noise_factor = -1},
        {.value = "nfr", .op = AM_GATE_GT, .noise_factor = 1},
        {.value = "nfr", .alpha = .05},
        {.value = "nfr", .slice = "label"},
        {.value = "nfr", .slice = "protected:x"},
        {.value = "nfr", .slice = "a=b", .alpha = 1},
        {.form = AM_GATE_BETWEEN, .value = "x", .low = 1, .high = 0},
        {.form = AM_GATE_ANY_OF},
        {.form = AM_GATE_ANY_OF, .any_of = &any, .any_of_n = 1},
        {.form = AM_GATE_MUST_PASS},
    };
    struct report r;
    struct am_gate_result got[RULES];
    enum am_gate_verdict verdict;
    fill(&r, 900, 10, 20, 70);
    assert_null(am_gate_rule_fault(&value));
    assert_null(am_gate_rule_fault(&any));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        assert_non_null(am_gate_rule_fault(&bad[i]));
        struct am_gate_policy p = {.rules = &bad[i], .rules_n = 1};
        assert_int_equal(am_gate_decide(&p, &r.facts, got, &verdict), -AM_E_INVALID_PARAMS);
    }
    for (size_t i = 0; i < am_gate_default.rules_n; i++)
        assert_null(am_gate_rule_fault(&am_gate_default.rules[i]));
}

static double uniform(void)
{
    return (double)(next() >> 11) * 0x1p-53;
}

/* Tightening any limit never moves a verdict towards promote, and the same question has the same answer. */
static void tighter(void **state)
{
    (void)state;
    size_t seen[3] = {0};
    for (int k = 0; k < 400; k++) {
        struct report r;
        struct am_gate_result got[RULES], again[RULES];
        fill(&r, floor(200 + 4000 * uniform()), floor(60 * uniform()), floor(60 * uniform()),
             floor(20 + 400 * uniform()));
        struct am_gate_rule two[2] = {
            {.value = "nfr",
             .bound = AM_GATE_UPPER,
             .op = AM_GATE_LE,
             .limit = .03 * uniform(),
             .noise_factor = uniform()},
            {.value = "relative_nfr", .bound = AM_GATE_UPPER, .op = AM_GATE_LE, .limit = uniform()},
        };
        struct am_gate_rule rules[3] = {
            {.id = "a", .value = "accuracy_delta", .bound = AM_GATE_LOWER, .op = AM_GATE_GT, .limit = -.03 * uniform()},
            {.id = "b", .form = AM_GATE_ANY_OF, .any_of = two, .any_of_n = 2},
            {.id = "c",
             .value = "accuracy_new",
             .bound = (enum am_gate_bound)(uniform() * 3),
             .op = AM_GATE_GE,
             .limit = uniform()},
        };
        struct am_gate_policy p = {.min_samples = (uint64_t)(2000 * uniform()), .rules = rules, .rules_n = 3};
        r.facts.noise_floor = uniform() < .5 ? am_known(.02 * uniform()) : (struct am_maybe){false, 0};
        enum am_gate_verdict before = decide(&p, &r, got);
        seen[before]++;
        assert_int_equal(decide(&p, &r, again), before);
        rules[0].limit += .01 * uniform();
        rules[2].limit += .2 * uniform();
        two[0].limit -= .01 * uniform();
        two[1].limit -= .3 * uniform();
        p.min_samples += (uint64_t)(500 * uniform());
        assert_true(decide(&p, &r, again) >= before);
    }
    assert_true(seen[0] > 5 && seen[1] > 20 && seen[2] > 20); /* the policies are of all kinds */
}

/* With needed_n samples at the same rates the rule is settled, with one less it is not. */
static void needed(void **state)
{
    (void)state;
    struct am_gate_rule rule = am_gate_default.rules[0];
    struct am_gate_policy p = {.rules = &rule, .rules_n = 1};
    struct report r;
    struct am_gate_result got[2];
    fill(&r, 1591, 113, 105, 191);
    assert_int_equal(decide(&p, &r, got), AM_GATE_UNDECIDED);
    double n = got[1].needed_n.value;
    printf("CIFAR-10.1, resnet 32 to 44: settled at %.0f samples\n", n);
    struct am_interval at = am_tango(113 * n / 2000, 105 * n / 2000, n, AM_Z_ONE_SIDED),
                       less = am_tango(113 * (n - 1) / 2000, 105 * (n - 1) / 2000, n - 1, AM_Z_ONE_SIDED);
    assert_true(at.lower > -.005 && less.lower <= -.005);
    rule.limit = (105. - 113) / 2000; /* the value itself: no number settles it */
    decide(&p, &r, got);
    assert_false(got[1].needed_n.known);
    rule = (struct am_gate_rule){
        .id = "r", .value = "relative_nfr", .bound = AM_GATE_UPPER, .op = AM_GATE_LE, .limit = .45};
    decide(&p, &r, got);
    double gap = .45 - r.values[2].value.value, reach = r.values[2].one_sided.upper - r.values[2].value.value;
    NEAR(got[1].needed_n.value, ceil(2000 * reach * reach / gap / gap), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden), cmocka_unit_test(checks), cmocka_unit_test(critical), cmocka_unit_test(slices),
        cmocka_unit_test(forms),  cmocka_unit_test(faults), cmocka_unit_test(tighter),  cmocka_unit_test(needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
