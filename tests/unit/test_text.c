/*
 * test_text.c - core/base/text.h. Texts of numbers come from ECMAScript engines and RFC 8785 appendix B.
 */
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void text_is(uint64_t bits, const char *want)
{
    char got[AM_F64_TEXT];
    double v;
    memcpy(&v, &bits, 8);
    am_f64_text(v, got);
    assert_string_equal(got, want);
}

static void test_f64_text(void **state)
{
    (void)state;
    static const struct {
        uint64_t bits;
        const char *text;
    } rfc8785[] = {
        {0x0000000000000000, "0"},
        {0x8000000000000000, "0"},
        {0x0000000000000001, "5e-324"},
        {0x8000000000000001, "-5e-324"},
        {0x7fefffffffffffff, "1.7976931348623157e+308"},
        {0xffefffffffffffff, "-1.7976931348623157e+308"},
        {0x4340000000000000, "9007199254740992"},
        {0xc340000000000000, "-9007199254740992"},
        {0x4430000000000000, "295147905179352830000"},
        {0x44b52d02c7e14af5, "9.999999999999997e+22"},
        {0x44b52d02c7e14af6, "1e+23"},
        {0x44b52d02c7e14af7, "1.0000000000000001e+23"},
        {0x444b1ae4d6e2ef4e, "999999999999999700000"},
        {0x444b1ae4d6e2ef4f, "999999999999999900000"},
        {0x444b1ae4d6e2ef50, "1e+21"},
        {0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"},
        {0x3eb0c6f7a0b5ed8d, "0.000001"},
        {0x41b3de4355555553, "333333333.3333332"},
        {0x41b3de4355555554, "333333333.33333325"},
        {0x41b3de4355555555, "333333333.3333333"},
        {0x41b3de4355555556, "333333333.3333334"},
        {0x41b3de4355555557, "333333333.33333343"},
        {0xbecbf647612f3696, "-0.0000033333333333333333"},
        {0x43143ff3c1cb0959, "1424953923781206.2"},
        {0x3d30000000000000, "5.684341886080802e-14"}, /* 2^-44: the nearest 16 digits would miss */
        {0x3fd3333333333333, "0.3"},
        {0x3e7ad7f29abcaf48, "1e-7"},
        {0x4014000000000000, "5"},
        {0xc05edd2f1a9fbe77, "-123.456"},
    };
    for (size_t i = 0; i < sizeof(rfc8785) / sizeof(rfc8785[0]); i++)
        text_is(rfc8785[i].bits, rfc8785[i].text);
}

static void test_f64_round_trip(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        double v, back;
        memcpy(&v, &x, 8);
        if (!isfinite(v))
            continue;
        char text[AM_F64_TEXT];
        am_f64_text(v, text);
        assert_true(strlen(text) <= 25);
        assert_int_equal(am_parse_f64(text, &back), 0);
        assert_memory_equal(&v, &back, 8);
    }
}

static void test_parse(void **state)
{
    (void)state;
    uint64_t u = 7;
    assert_int_equal(am_parse_u64("18446744073709551615", &u), 0);
    assert_true(u == UINT64_MAX);
    static const char *const bad[] = {"",    "18446744073709551616",   "-1", "+1", " 1", "1 ", "1.0", "0x1",
                                      "1e3", "99999999999999999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(am_parse_u64(bad[i], &u), -AM_E_INVALID_REQUEST);
    assert_true(u == UINT64_MAX);
    double d = 7;
    assert_int_equal(am_parse_f64("-12.5e-1", &d), 0);
    assert_true(d > -1.2500001 && d < -1.2499999);
    assert_int_equal(am_parse_f64("0.1", &d), 0);
    assert_memory_equal(&d, &(double){0.1}, 8);
    assert_int_equal(am_parse_f64("-0", &d), 0);
    assert_true(signbit(d));
    assert_int_equal(am_parse_f64("1e-400", &d), 0);
    assert_true(fabs(d) <= 0);
    static const char *const bad_f[] = {"",
                                        ".",
                                        "-",
                                        "1.",
                                        ".5",
                                        "1e",
                                        "1e+",
                                        "nan",
                                        "inf",
                                        "1e400",
                                        "0x1p3",
                                        "1,5",
                                        " 1",
                                        "1 ",
                                        "--1",
                                        "1e1.0",
                                        "1e99999999999999999999"};
    for (size_t i = 0; i < sizeof(bad_f) / sizeof(bad_f[0]); i++)
        if (am_parse_f64(bad_f[i], &d) != -AM_E_INVALID_REQUEST)
            fail_msg("accepted \"%s\"", bad_f[i]);
    assert_int_equal(am_parse_size("20GiB", &u), 0);
    assert_true(u == 21474836480u);
    assert_int_equal(am_parse_size("5GB", &u), 0);
    assert_true(u == 5000000000u);
    assert_int_equal(am_parse_size("64MiB", &u), 0);
    assert_true(u == 67108864u);
    assert_int_equal(am_parse_size("4KiB", &u), 0);
    assert_true(u == 4096);
    static const struct {
        const char *text;
        uint64_t seconds;
    } times[] = {{"0", 0}, {"90", 90}, {"90s", 90}, {"15m", 900}, {"72h", 259200}, {"30d", 2592000}};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        assert_int_equal(am_parse_seconds(times[i].text, &u), 0);
        assert_int_equal(u, times[i].seconds);
    }
    static const char *const bad_times[] = {"", "h", "72 h", "72H", "-1", "1.5h", "1w", "99999999999999999999d"};
    for (size_t i = 0; i < sizeof(bad_times) / sizeof(bad_times[0]); i++)
        assert_int_equal(am_parse_seconds(bad_times[i], &u), -AM_E_INVALID_REQUEST);
    assert_int_equal(am_parse_size("123", &u), 0);
    assert_true(u == 123);
    static const char *const bad_s[] = {"", "GiB", "5 GB", "5gb", "-5GB", "5.5GB", "99999999999TiB", "5GBx"};
    for (size_t i = 0; i < sizeof(bad_s) / sizeof(bad_s[0]); i++)
        assert_int_equal(am_parse_size(bad_s[i], &u), -AM_E_INVALID_REQUEST);
}

static void test_nearest_and_glob(void **state)
{
    (void)state;
    static const char *const names[] = {"weight", "density", "lambda", "t"};
    assert_string_equal(am_nearest("wieght", names, 4), "weight");
    assert_string_equal(am_nearest("desnity", names, 4), "density");
    assert_string_equal(am_nearest("x", names, 4), "t");
    assert_null(am_nearest("something", names, 4));
    assert_null(am_nearest("weight", names, 0));
    char longer[300];
    memset(longer, 'a', 299);
    longer[299] = '\0';
    assert_null(am_nearest(longer, names, 4));
    assert_true(am_glob("model.layers.[0-3].*", "model.layers.2.mlp.up_proj.weight"));
    assert_false(am_glob("model.layers.[0-3].*", "model.layers.12.mlp"));
    assert_true(am_glob("*", "a/b.c"));
    assert_true(am_glob("*weight", ".weight"));
    assert_true(am_glob("fc?.bias", "fc1.bias"));
    assert_true(am_glob("a\\*", "a*"));
    assert_false(am_glob("a\\*", "ab"));
    assert_true(am_streq(NULL, NULL) && !am_streq("a", NULL) && am_streq("a", "a") && !am_streq("a", "b"));
    assert_true(am_starts("job_1", "job_") && !am_starts("jo", "job_"));
    assert_true(am_ends("a.safetensors", ".safetensors") && !am_ends("rs", ".safetensors"));
    assert_true(am_module_ending("m.pre_classifier.fc.weight", "classifier") == 16);
    assert_true(am_module_ending("classifier", "classifier") == 0 &&
                am_module_ending("classifiers.x", "classifier") == 0);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const good[] = {"demo/mnist-mlp", "A/b", "a.b_c-d/0", "apis/x", "Api/x", "x/api"};
    static const char *const bad[] = {"",        "a",       "a/b/c",  "/b",        "a/",    "-a/b",  "a/b-",
                                      "a/.b",    "a./b",    "a--b/c", "a/b..c",    "a b/c", "a/b@c", "ä/b",
                                      "a/x.git", "a.git/x", "api/x",  "metrics/x", "v1/x",  "docs/y"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_null(am_model_name_fault(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (!am_model_name_fault(bad[i]))
            fail_msg("accepted \"%s\"", bad[i]);
    char id[256];
    snprintf(id, sizeof(id), "a/%096d", 7);
    assert_null(am_model_name_fault(id));
    snprintf(id, sizeof(id), "a/%097d", 7);
    assert_non_null(am_model_name_fault(id));
    assert_true(am_file_path_ok("config.json") && am_file_path_ok("a/b/c.txt") && am_file_path_ok("...") &&
                am_file_path_ok(".gitattributes"));
    static const char *const paths[] = {"", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a\nb", "a\x7f", "\xff"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        assert_false(am_file_path_ok(paths[i]));
    assert_true(am_plain_name_ok("f0") && am_plain_name_ok("result.ndjson"));
    assert_false(am_plain_name_ok("a/b") || am_plain_name_ok("..") || am_plain_name_ok("") || am_plain_name_ok("a\tb"));
    char path[1100];
    memset(path, 'p', sizeof(path));
    path[1024] = '\0';
    assert_true(am_file_path_ok(path) && !am_plain_name_ok(path));
    path[1024] = 'p', path[1025] = '\0';
    assert_false(am_file_path_ok(path));
}

static void test_hex_utf8_url(void **state)
{
    (void)state;
    char hex[9], url[64];
    unsigned char b[4];
    am_hex("\x00\xab\x10\xff", 4, hex);
    assert_string_equal(hex, "00ab10ff");
    assert_int_equal(am_unhex("00aB10Ff", 4, b), 0);
    assert_memory_equal(b, "\x00\xab\x10\xff", 4);
    assert_int_equal(am_unhex("00ab10f", 4, b), -AM_E_INVALID_REQUEST);
    assert_int_equal(am_unhex("00ab10fg", 4, b), -AM_E_INVALID_REQUEST);
    assert_int_equal(am_unhex("00ab10ff0", 4, b), -AM_E_INVALID_REQUEST);
    assert_true(am_is_hex("0af9", 4) && !am_is_hex("0aF9", 4) && !am_is_hex("0af", 4) && !am_is_hex("0af99", 4));
    assert_true(am_utf8_ok("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 10));
    static const char *const bad[] = {"\x80",         "\xc0\xaf",         "\xc1\xbf",         "\xe0\x9f\xbf",
                                      "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xe2\x82",
                                      "\xff"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(am_utf8_ok(bad[i], strlen(bad[i])));
    char whole[] = "a\xc3\xa9", cut[] = "a\xe2\x82 and \xff\xff\xc3\xa9 \xf0\x9f\x98", none[] = "\xff";
    am_utf8_mend(whole);
    am_utf8_mend(cut);
    am_utf8_mend(none);
    assert_string_equal(whole, "a\xc3\xa9");
    assert_string_equal(cut, "a? and ?\xc3\xa9 ");
    assert_string_equal(none, "");
    char s[] = "a%20b%2Fc%C3%A9+";
    assert_int_equal(am_url_decode(s), 0);
    assert_string_equal(s, "a b/c\xc3\xa9+");
    static const char *const bad_url[] = {"%", "%2", "%2g", "%00", "%ff", "a%C3"};
    for (size_t i = 0; i < sizeof(bad_url) / sizeof(bad_url[0]); i++) {
        snprintf(url, sizeof(url), "%s", bad_url[i]);
        assert_int_equal(am_url_decode(url), -AM_E_INVALID_REQUEST);
    }
    assert_int_equal(am_url_encode("a/b c\xc3\xa9~", true, url, sizeof(url)), 0);
    assert_string_equal(url, "a/b%20c%C3%A9~");
    assert_int_equal(am_url_encode("a/b", false, url, 6), 0);
    assert_string_equal(url, "a%2Fb");
    assert_int_equal(am_url_encode("a/b", false, url, 5), -AM_E_TOO_LARGE);
}

static void test_id(void **state)
{
    (void)state;
    char a[64], b[64];
    am_id_new("job_", 0x01a20616d80b, a);
    am_id_new("job_", 0x01a20616d80b, b);
    assert_int_equal(strlen(a), AM_ID_LEN);
    assert_memory_equal(a, "job_01a20616d80b7", 17);
    assert_true(strchr("89ab", a[4 + 16]) != NULL);
    assert_true(am_is_hex(a + 4, 32));
    assert_string_not_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f64_text), cmocka_unit_test(test_f64_round_trip),
        cmocka_unit_test(test_parse),    cmocka_unit_test(test_nearest_and_glob),
        cmocka_unit_test(test_names),    cmocka_unit_test(test_hex_utf8_url),
        cmocka_unit_test(test_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
