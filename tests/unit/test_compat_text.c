/*
 * test_compat_text.c - scores of generated text and the statistics of their differences: golden values, and what must
 * hold of any texts and scores.
 */
#include "core/base/err.h"
#include "core/compat/delta.h"
#include "core/compat/text.h"

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

static double score(enum am_text_metric m, const char *output, const char *reference)
{
    double s = -1;
    bool cut = true;
    assert_int_equal(am_text_score(m, (struct am_text){output, strlen(output)},
                                   (struct am_text){reference, strlen(reference)}, &s, &cut),
                     0);
    assert_false(cut);
    return s;
}

static void golden(void **state)
{
    (void)state;
    static const struct {
        const char *output, *reference;
        double rouge1, rouge2, rouge_l, bleu, chrf;
    } rows[] = {
        {"the cat sat on the mat", "the cat is on the mat", .833333, .6, .833333, .485492, .645779},
        {"a dog", "the big dog barked", .333333, 0, .333333, .260130, .143936},
        {"blue", "red", 0, 0, 0, 0, .104167},
        {"x", "x", 1, 0, 1, 1, 1},
    };
    for (size_t i = 0; i < 4; i++) {
        NEAR(score(AM_TEXT_ROUGE1, rows[i].output, rows[i].reference), rows[i].rouge1, 5.1e-7);
        NEAR(score(AM_TEXT_ROUGE2, rows[i].output, rows[i].reference), rows[i].rouge2, 5.1e-7);
        NEAR(score(AM_TEXT_ROUGEL, rows[i].output, rows[i].reference), rows[i].rouge_l, 5.1e-7);
        NEAR(score(AM_TEXT_BLEU, rows[i].output, rows[i].reference), rows[i].bleu, 5.1e-7);
        NEAR(score(AM_TEXT_CHRF, rows[i].output, rows[i].reference), rows[i].chrf, 5.1e-7);
    }
}

static void normalised(void **state)
{
    (void)state;
    NEAR(score(AM_TEXT_EM, "The Eiffel-Tower!", " a  eiffeltower\n"), 1, 0);
    NEAR(score(AM_TEXT_EM, "don't", "dont"), 1, 0);
    NEAR(score(AM_TEXT_EM, "theory", "ory"), 0, 0);
    NEAR(score(AM_TEXT_EM, "b c", "c b"), 0, 0);
    NEAR(score(AM_TEXT_EM, "", "the"), 1, 0);
    NEAR(score(AM_TEXT_TOKEN_F1, "b c", "c b"), 1, 0);
    NEAR(score(AM_TEXT_TOKEN_F1, "b b c", "the b d"), 2 * (1. / 3) * (1. / 2) / (1. / 3 + 1. / 2), 1e-15);
    NEAR(score(AM_TEXT_TOKEN_F1, "", "!?"), 1, 0);
    NEAR(score(AM_TEXT_TOKEN_F1, "b", ""), 0, 0);
    NEAR(score(AM_TEXT_TOKEN_F1, "", "b"), 0, 0);
    NEAR(score(AM_TEXT_ROUGE1, "don't", "don t"), 1, 0); /* rouge splits where em joins */
    NEAR(score(AM_TEXT_ROUGE1, "", ""), 0, 0);
    NEAR(score(AM_TEXT_ROUGEL, "a b c d", "d a x b"), .5, 1e-15);
    NEAR(score(AM_TEXT_BLEU, "", "b"), 0, 0);
    NEAR(score(AM_TEXT_CHRF, "", "b"), 0, 0);
}

static void characters(void **state)
{
    (void)state;
    NEAR(score(AM_TEXT_CHRF, "é", "é"), 1, 0);
    NEAR(score(AM_TEXT_CHRF, "é", "è"), 0, 0); /* two bytes of which one is shared, but one character */
    NEAR(score(AM_TEXT_CHRF, "a b", "ab"), 1, 0);
    NEAR(score(AM_TEXT_CHRF, "\xc3", "\xc3"), 1, 0); /* cut off in the middle of a character */
    NEAR(score(AM_TEXT_CHRF, "\xff\xfe", "\xff"), score(AM_TEXT_CHRF, "xy", "x"), 1e-15);
}

static void identity(void **state)
{
    (void)state;
    static const enum am_text_metric metrics[] = {AM_TEXT_EM, AM_TEXT_TOKEN_F1, AM_TEXT_ROUGEL, AM_TEXT_BLEU,
                                                  AM_TEXT_CHRF};
    static const char *const texts[] = {"x", "One two, three.", "A sentence of several words and 42 numbers",
                                        "zz zz zz zz zz"};
    for (size_t t = 0; t < 4; t++)
        for (size_t m = 0; m < 5; m++)
            NEAR(score(metrics[m], texts[t], texts[t]), 1, 1e-15);
    for (unsigned m = 0; m < AM_TEXT_METRICS; m++)
        assert_int_equal(am_text_metric_of(am_text_metric_name((enum am_text_metric)m)), m);
    assert_int_equal(am_text_metric_of("rouge3"), AM_TEXT_METRICS);
}

static void ceilings(void **state)
{
    (void)state;
    size_t n = AM_ROUGE_WORDS + 1;
    char *text = malloc(AM_TEXT_BYTES + 1);
    for (size_t i = 0; i < n; i++)
        memcpy(text + 2 * i, "w ", 2);
    double s = -1;
    bool cut = false;
    struct am_text all = {text, 2 * n}, some = {text, 2 * n - 2}, most = {text, AM_TEXT_BYTES + 1};
    assert_int_equal(am_text_score(AM_TEXT_ROUGEL, all, some, &s, &cut), 0);
    assert_true(cut);
    NEAR(s, 1, 0);
    assert_int_equal(am_text_score(AM_TEXT_ROUGEL, some, some, &s, &cut), 0);
    assert_false(cut);
    s = -1;
    assert_int_equal(am_text_score(AM_TEXT_EM, all, most, &s, &cut), -AM_E_TOO_LARGE);
    NEAR(s, -1, 0);
    free(text);
}

static const float d_values[] = {.3f, -.2f, 0, .05f, -.01f, .4f, -.6f, 0, .1f, -.1f, .02f, -.03f};

static void deltas(void **state)
{
    (void)state;
    float zero[12] = {0};
    double sums[AM_DELTA_SUMS], other[AM_DELTA_SUMS], d[12];
    am_delta_sums(zero, d_values, NULL, 12, true, 0, d, sums);
    NEAR(am_delta_pfr(sums, NULL).value, 5. / 12, 1e-15);
    NEAR(am_delta_nfr(sums, NULL).value, 5. / 12, 1e-15);
    NEAR(am_delta_gain(sums, NULL).value, .174, 1e-7); /* f32 scores */
    NEAR(am_delta_regression(sums, NULL).value, .188, 1e-7);
    NEAR(am_delta_mean(sums, NULL).value, -.00583333, 1e-8);
    NEAR(am_delta_mean(sums, NULL).value,
         5. / 12 * am_delta_gain(sums, NULL).value - 5. / 12 * am_delta_regression(sums, NULL).value, 1e-15);
    am_delta_sums(zero, d_values, NULL, 12, false, 0, NULL, other);
    NEAR(am_delta_pfr(other, NULL).value, am_delta_nfr(sums, NULL).value, 0);
    NEAR(am_delta_gain(other, NULL).value, am_delta_regression(sums, NULL).value, 0);
    NEAR(am_delta_regression(other, NULL).value, am_delta_gain(sums, NULL).value, 0);
    am_delta_sums(zero, d_values, NULL, 12, true, .05, NULL, other); /* .05f is above .05: a flip */
    NEAR(other[AM_DELTA_UP], 4, 0);
    NEAR(other[AM_DELTA_DOWN], 3, 0);
    double mean = 0;
    for (int i = 0; i < 12; i++)
        mean += d[i] / 12;
    NEAR(am_delta_mean(other, NULL).value, mean, 1e-15); /* with the term of the dead band */
    am_delta_sums(zero, d_values, NULL, 12, true, .7, NULL, other);
    NEAR(am_delta_pfr(other, NULL).value + am_delta_nfr(other, NULL).value, 0, 0);
    assert_false(am_delta_gain(other, NULL).known || am_delta_regression(other, NULL).known);
    float twos[12];
    for (int i = 0; i < 12; i++)
        twos[i] = 2;
    am_delta_sums(zero, d_values, twos, 12, true, 0, NULL, other);
    NEAR(am_delta_mean(other, NULL).value, mean, 1e-15);
    am_delta_sums(NULL, NULL, NULL, 0, true, 0, NULL, other);
    assert_false(am_delta_nfr(other, NULL).known || am_delta_mean(other, NULL).known);
}

static void quadrants(void **state)
{
    (void)state;
    static const float o[] = {.9f, .2f, .5f, .1f, .3f}, w[] = {.8f, .6f, .4f, .2f, .1f}, self[] = {1, 1, 1, .5f, .25f};
    struct am_quadrants q = am_quadrants_of(o, w, self, 5, true, .5);
    assert_int_equal(q.both_good, 1);
    assert_int_equal(q.gained, 1);
    assert_int_equal(q.lost, 1);
    assert_int_equal(q.both_bad, 2);
    NEAR(q.self_similarity_both_bad.value, .375, 1e-15);
    q = am_quadrants_of(o, w, NULL, 5, true, .05);
    assert_int_equal(q.both_good, 5);
    assert_false(q.self_similarity_both_bad.known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),    cmocka_unit_test(normalised), cmocka_unit_test(characters),
        cmocka_unit_test(identity),  cmocka_unit_test(ceilings),   cmocka_unit_test(deltas),
        cmocka_unit_test(quadrants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
