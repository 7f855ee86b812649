/*
 * report_fixture.h - a report of compat.md 7.1 with the numbers of two real networks, and a decision about it.
 */
#ifndef AM_TESTS_REPORT_FIXTURE_H
#define AM_TESTS_REPORT_FIXTURE_H

static const char report_text[] =
    "{\"object\":\"report\",\"id\":\"rep_01a206170000700080000000000000aa\",\"type\":\"evaluate\",\"method\":"
    "\"compare\","
    "\"old\":\"demo/net@v1\",\"new\":\"demo/"
    "net@v2\",\"dataset\":\"holdout\",\"created_at\":\"2026-11-23T01:52:11.000Z\","
    "\"n\":10000,\"ids\":{\"both\":10000,\"old_only\":3,\"new_only\":4},\"n_eff\":10000,\"weighted\":false,"
    "\"clusters\":null,\"judge_noise\":0,"
    "\"cells\":{\"a\":8958,\"a_diff\":0,\"b\":294,\"c\":343,\"d_same\":306,\"d_diff\":99},"
    "\"values\":{"
    "\"accuracy_old\":{\"value\":0.9252,\"interval\":[0.919879,0.930194],\"method\":\"wilson\"},"
    "\"accuracy_delta\":{\"value\":0.0049,\"interval\":[-0.000047,0.009871],\"lower95\":0.00075,\"upper95\":0.009067,"
    "\"method\":\"tango\"},"
    "\"nfr\":{\"value\":0.0294,\"interval\":[0.026266,0.032896],\"lower95\":0.026746,\"upper95\":0.032308,"
    "\"method\":\"wilson\"},"
    "\"relative_nfr\":{\"value\":0.454605,\"interval\":[0.4165,0.4933],\"lower95\":0.4226,\"upper95\":0.487,"
    "\"method\":\"bca\"},"
    "\"kl_outputs\":{\"value\":null,\"reason\":\"no_predictions\"},"
    "\"from_tomorrow\":{\"value\":0.25,\"method\":\"wilson\"}},"
    "\"tests\":{\"mcnemar\":{\"b\":294,\"c\":343,\"p_exact\":0.0571083,\"p_mid\":0.0523032,\"log10_p_mid\":-1.281472,"
    "\"p_regression\":0.973848,\"verdict\":\"no_difference_shown\"}},"
    "\"noise_floor\":{\"nfr\":0.012,\"why\":\"three seeds of one recipe\"},"
    "\"slices\":3,\"confusion_flips\":[{\"from\":\"3\",\"to\":\"5\",\"n\":38}],"
    "\"exemplars\":{\"negative_flips\":[\"2\",\"15\",\"35\"]},"
    "\"method_record\":{\"z\":1.959963984540054,\"bootstrap\":2000,\"seed\":1,\"sampler\":\"counter\"},"
    "\"warnings\":[\"the sets were made at different times\"]}";

static const char slices_text[] =
    "[{\"key\":\"label\",\"value\":\"5\",\"n\":1000,\"accuracy_old\":0.874,\"accuracy_new\":0.901,\"b\":34,\"c\":61,"
    "\"nfr\":0.034,\"interval\":[0.0244,0.0471],\"lower95\":0.0257,\"upper95\":0.04475,\"harm\":-0.027,"
    "\"p_mid\":0.005573,\"q\":0.05573,\"p_regression\":0.997214,\"delta_lower95\":0.0112,\"delta_upper95\":0.0431,"
    "\"small\":false,\"verdict\":\"no_difference_shown\"},"
    "{\"key\":\"label\",\"value\":\"2\",\"n\":1000,\"accuracy_old\":0.916,\"accuracy_new\":0.911,\"b\":32,\"c\":27,"
    "\"nfr\":0.032,\"interval\":[0.0227,0.0449],\"lower95\":0.024,\"upper95\":0.04249,\"harm\":0.005,"
    "\"p_mid\":0.518958,\"q\":0.940198,\"p_regression\":0.259479,\"delta_lower95\":-0.0178,\"delta_upper95\":0.0077,"
    "\"small\":false,\"verdict\":\"no_difference_shown\"},"
    "{\"key\":\"source\",\"value\":\"tiny\",\"n\":12,\"accuracy_old\":0.75,\"accuracy_new\":0.5,\"b\":3,\"c\":0,"
    "\"nfr\":0.25,\"interval\":[0.0889,0.5323],\"lower95\":0.1,\"upper95\":0.48,\"harm\":0.25,\"p_mid\":0.125,"
    "\"q\":0.125,\"p_regression\":0.0625,\"delta_lower95\":-0.5,\"delta_upper95\":-0.01,\"small\":true,"
    "\"verdict\":\"no_difference_shown\"}]";

static const char decision_text[] =
    "{\"gate\":\"default@1\",\"verdict\":\"inconclusive\",\"rules\":["
    "{\"id\":\"flips\",\"outcome\":\"pass\",\"measure\":\"relative_nfr\",\"value\":0.454605,\"interval\":[0.4226,0.487]"
    ","
    "\"bound\":\"upper\",\"op\":\"<=\",\"limit\":0.5,\"reason\":null,\"slice\":null,\"adjusted_p\":null,"
    "\"needed_n\":null,\"text\":\"relative_nfr is 0.4546; its upper bound 0.487 is <= 0.5\"},"
    "{\"id\":\"slices\",\"outcome\":\"inconclusive\",\"measure\":\"nfr\",\"value\":0.25,\"interval\":[0.1,0.48],"
    "\"bound\":\"upper\",\"op\":\"<=\",\"limit\":0.02,\"reason\":\"small\",\"slice\":{\"key\":\"source\","
    "\"value\":\"tiny\"},\"adjusted_p\":0.0625,\"needed_n\":4711,\"text\":\"in source=tiny there are too few\"}]}";

#endif
