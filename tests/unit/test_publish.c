/*
 * test_publish.c - names of versions and refs, `publish`, `metadata` and `priority` of a body: every bound at the bound
 * and outside.
 */
#include "tests/unit/body_fixture.h"

static void publish(const char *members, const char *code, const char *pointer)
{
    static char text[8192];
    snprintf(text, sizeof(text),
             "{\"type\":\"merge\",\"method\":\"linear\",\"inputs\":{\"models\":[\"d/"
             "a\"]},\"params\":{\"weight\":1},\"publish\":{%s}}",
             members);
    if (!code) {
        accept(text);
        return;
    }
    assert_true(check(text) < 0);
    if (faults.n != 1 || strcmp(faults.v[0].pointer, pointer) != 0 || strcmp(am_err_slug(faults.v[0].code), code) != 0)
        fail_msg("%.300s: %zu faults, %s %s", text, faults.n, faults.v[0].pointer, faults.v[0].detail);
}

static void branch(const char *name, bool good)
{
    char text[512];
    snprintf(text, sizeof(text), "\"model\":\"d/o\",\"branch\":\"%s\"", name);
    publish(text, good ? NULL : "invalid-params", "#/publish/branch");
}

static void test_ref_names(void **state)
{
    (void)state;
    static const char *const good[] = {"a", "v1.0", "cand/17", "A-b_c.d/e", "heads", "HEADS", "_x", "0123456789abcdef"};
    static const char *const bad[] = {
        "",   "a b",  "a..b", "/a",  "a/",  ".a",          "a.",       "-a",
        "a-", "a//b", "HEAD", "a@b", "a:b", "refs/tags/x", "\xc3\xa9", "0123456789abcdef0123456789abcdef01234567"};
    char name[202];
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        branch(good[i], true);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        branch(bad[i], false);
    memset(name, 'a', 201);
    name[201] = 0;
    branch(name, false);
    name[200] = 0;
    branch(name, true);
}

static void test_publish(void **state)
{
    (void)state;
    static char text[8192];
    publish("", "invalid-request", "#/publish/model");
    publish("\"model\":\"out\"", "invalid-params", "#/publish/model");
    publish("\"model\":5", "invalid-request", "#/publish/model");
    for (int n = 4096; n <= 4097; n++) {
        int k = snprintf(text, sizeof(text), "\"model\":\"d/o\",\"message\":\"");
        memset(text + k, 'm', (size_t)n);
        memcpy(text + k + n, "\"", 2);
        publish(text, n == 4096 ? NULL : "invalid-params", "#/publish/message");
    }
    for (int n = 32; n <= 33; n++) {
        int k = snprintf(text, sizeof(text), "\"model\":\"d/o\",\"tags\":[");
        for (int i = 0; i < n; i++)
            k += snprintf(text + k, sizeof(text) - (size_t)k, "%s\"t%d\"", i ? "," : "", i);
        memcpy(text + k, "]", 2);
        publish(text, n == 32 ? NULL : "invalid-params", "#/publish/tags");
    }
    publish("\"model\":\"d/o\",\"tags\":{}", "invalid-request", "#/publish/tags");
    publish("\"model\":\"d/o\",\"tags\":[\"a\",5]", "invalid-request", "#/publish/tags/1");
    publish("\"model\":\"d/o\",\"tags\":[\"a\",\"b/\"]", "invalid-params", "#/publish/tags/1");
    publish("\"model\":\"d/o\",\"tags\":[\"a\",\"a\"]", "invalid-params", "#/publish/tags/1");
    publish("\"model\":\"d/o\",\"tags\":[\"main\"]", "invalid-params", "#/publish/tags/0");
    publish("\"model\":\"d/o\",\"if_head\":\"0123456789012345678901234567890123456789\"", NULL, NULL);
    publish("\"model\":\"d/o\",\"if_head\":\"012345678901234567890123456789012345678\"", "invalid-params",
            "#/publish/if_head");
    publish("\"model\":\"d/o\",\"if_head\":\"ABCDEF6789012345678901234567890123456789\"", "invalid-params",
            "#/publish/if_head");
    publish("\"model\":\"d/o\",\"on_conflict\":\"append\"", NULL, NULL);
    publish("\"model\":\"d/o\",\"on_conflict\":\"detach\"", NULL, NULL);
    publish("\"model\":\"d/o\",\"on_conflict\":\"merge\"", "invalid-params", "#/publish/on_conflict");
}

/* A body with `pairs` pairs whose first has a key and a value of these lengths. */
static void metadata(int pairs, int key, int value, const char *pointer)
{
    static char text[8192], k[128], v[1024];
    memset(k, 'k', (size_t)key);
    k[key] = 0;
    memset(v, 'v', (size_t)value);
    v[value] = 0;
    int n = snprintf(text, sizeof(text),
                     "{\"type\":\"unlearn\",\"method\":\"noise\",\"inputs\":{\"model\":\"d/m\"},\"metadata\":{");
    for (int i = 0; i < pairs; i++)
        n += i ? snprintf(text + n, sizeof(text) - (size_t)n, ",\"x%d\":\"\"", i)
               : snprintf(text + n, sizeof(text) - (size_t)n, "\"%s\":\"%s\"", k, v);
    snprintf(text + n, sizeof(text) - (size_t)n, "}}");
    if (pointer)
        refuse1(text, "invalid-params", pointer, NULL, NULL);
    else
        accept(text);
}

static void test_metadata_and_priority(void **state)
{
    (void)state;
    metadata(16, 64, 512, NULL);
    metadata(17, 1, 1, "#/metadata");
    metadata(1, 0, 1, "#/metadata/");
    metadata(1, 1, 513, "#/metadata/k");
    metadata(1, 65, 1, "#/metadata/kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk");
    refuse1(MERGE("{\"models\":[\"d/a\"]}", ",\"metadata\":{\"a\":1}"), "invalid-request", "#/metadata/a", NULL,
            "got a number");
    accept(MERGE("{\"models\":[\"d/a\"]}", ",\"priority\":100"));
    assert_int_equal(checked.priority, 100);
    refuse1(MERGE("{\"models\":[\"d/a\"]}", ",\"priority\":-1"), "invalid-params", "#/priority", "parameter-range",
            NULL);
}

static void test_ref_split(void **state)
{
    (void)state;
    static const struct {
        const char *text, *model, *rev;
    } good[] = {{"d/a", "d/a", "main"},
                {"d/a@v1", "d/a", "v1"},
                {"d/a@cand/1", "d/a", "cand/1"},
                {"d/a@0123456789abcdef0123456789abcdef01234567", "d/a", "0123456789abcdef0123456789abcdef01234567"}};
    static const char *const bad[] = {"",         "d",        "@v1",   "d/a@",  "d/a@v1@v2",
                                      "d/a+d/b",  "/tmp/x",   "./d/a", "../a",  "~/x",
                                      "d/a@HEAD", "d/a@a..b", "d/a/b", "api/a", "d/a@refs/heads/x"};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        char *model = NULL, *rev = NULL;
        const char *why = NULL;
        assert_int_equal(am_ref_split(good[i].text, &model, &rev, &why), 0);
        assert_string_equal(model, good[i].model);
        assert_string_equal(rev, good[i].rev);
        free(model);
        free(rev);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        char *model = NULL, *rev = NULL;
        const char *why = NULL;
        if (am_ref_split(bad[i], &model, &rev, &why) != -AM_E_INVALID_REQUEST)
            fail_msg("\"%s\" was accepted", bad[i]);
        assert_non_null(why);
        assert_null(model);
    }
    refuse1(MERGE("{\"models\":[\"./models/a\"]}", ""), "invalid-params", "#/inputs/models/0", "ref-not-a-model",
            "is a path");
}

static void test_last(void **state)
{
    (void)state;
    done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ref_names), cmocka_unit_test(test_publish), cmocka_unit_test(test_metadata_and_priority),
        cmocka_unit_test(test_ref_split), cmocka_unit_test(test_last),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
