/*
 * test_result.c - result.ndjson: a good one comes out as arrays; one wrong line anywhere refuses all of it.
 */
#include "core/base/hash.h"
#include "server/result.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/folder_fixture.h"

#define SHA "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define GIT "0972e95c1405cc1507c19dcbe784f7a36c930907"
#define MODEL "{\"record\":\"model\",\"architecture\":\"DigitsMLP\"}\n"
#define WEIGHTS                                                                                                        \
    "{\"record\":\"file\",\"path\":\"model.safetensors\",\"staged\":\"f0\",\"class\":\"lfs\",\"bytes\":120,"           \
    "\"sha256\":\"" SHA "\",\"git_sha1\":null,\"weights\":true}\n"
#define TENSOR "{\"record\":\"tensor\",\"name\":\"w\",\"dtype\":\"F32\",\"shape\":[2,2],\"begin\":100,\"bytes\":16}\n"
#define CONFIG                                                                                                         \
    "{\"record\":\"file\",\"path\":\"sub/"                                                                             \
    "config.json\",\"staged\":\"f1\",\"class\":\"regular\",\"bytes\":22,\"sha256\":\"" SHA "\",\"git_sha1\":\"" GIT    \
    "\",\"weights\":false}\n"
#define KEEP "{\"record\":\"keep\",\"path\":\"tokenizer.json\"}\n"
#define WARNING "{\"record\":\"warning\",\"code\":\"integer-differs\",\"detail\":\"x\"}\n"
#define METRIC "{\"record\":\"metric\",\"name\":\"zeros\",\"value\":0.5}\n"
#define END(n) "{\"record\":\"end\",\"records\":" #n "}\n"

static void write_result(const char *text, size_t n, struct am_record_done *done, uint64_t records)
{
    unlinkat(dir, AM_RESULT_NAME, 0);
    int fd = openat(dir, AM_RESULT_NAME, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), n);
    close(fd);
    *done = (struct am_record_done){.bytes = n, .records = records};
    am_sha256_hex(text, n, done->sha256);
}

static int read_text(struct am_result *r, const char *text, uint64_t records)
{
    struct am_record_done done;
    char why[512] = "";
    write_result(text, strlen(text), &done, records);
    int rc = am_result_read(r, dir, &done, why, sizeof why);
    assert_true(rc == 0 || why[0]);
    return rc;
}

static bool refused(const char *text, uint64_t records)
{
    struct am_result r = {.files = 77};
    int rc = read_text(&r, text, records);
    if (rc == 0)
        am_result_done(&r);
    else
        assert_int_equal(r.files, 77); /* outputs are touched only on success */
    return rc == -AM_E_PUBLISH;
}

static void test_good(void **state)
{
    struct am_result r;
    (void)state;
    assert_int_equal(read_text(&r, MODEL WEIGHTS TENSOR CONFIG KEEP WARNING METRIC END(7), 8), 0);
    assert_string_equal(r.architecture, "DigitsMLP");
    assert_int_equal(r.files, 2);
    assert_string_equal(r.file[0].path, "model.safetensors");
    assert_string_equal(r.file[0].staged, "f0");
    assert_true(r.file[0].weights);
    assert_null(r.file[0].git_sha1);
    assert_int_equal(r.file[0].bytes, 120);
    assert_int_equal(r.file[0].tensors, 1);
    assert_string_equal(r.tensor[r.file[0].first].name, "w");
    assert_string_equal(r.tensor[0].shape, "[2,2]");
    assert_int_equal(r.tensor[0].begin, 100);
    assert_int_equal(r.tensor[0].bytes, 16);
    assert_string_equal(r.file[1].git_sha1, GIT);
    assert_int_equal(r.file[1].tensors, 0);
    assert_int_equal(r.keeps, 1);
    assert_string_equal(r.keep[0], "tokenizer.json");
    assert_int_equal(r.warnings, 1);
    assert_string_equal(r.warning[0].code, "integer-differs");
    assert_int_equal(r.metrics, 1);
    assert_true(r.metric[0].value > 0.49 && r.metric[0].value < 0.51);
    am_result_done(&r);
}

static void test_order_and_counts(void **state)
{
    (void)state;
    assert_true(refused("", 0));
    assert_true(refused(MODEL END(1), 2));                 /* no file at all */
    assert_true(refused(WEIGHTS END(1), 2));               /* model is not first */
    assert_true(refused(MODEL WEIGHTS MODEL END(3), 4));   /* model again */
    assert_true(refused(MODEL TENSOR WEIGHTS END(3), 4));  /* a tensor of no file */
    assert_true(refused(MODEL WEIGHTS TENSOR, 3));         /* no end */
    assert_true(refused(MODEL WEIGHTS END(3), 3));         /* end counts wrong */
    assert_true(refused(MODEL WEIGHTS END(2) WARNING, 4)); /* something after end */
    assert_true(refused(MODEL WEIGHTS END(2), 4));         /* done counts wrong */
    assert_true(refused(MODEL WEIGHTS "{\"record\":\"x\"}\n" END(3), 4));
    assert_true(refused(MODEL WEIGHTS "nonsense\n" END(3), 4));
    assert_true(refused(MODEL WEIGHTS "{\"record\":\"end\",\"records\":2}", 3)); /* no line feed */
    assert_false(refused(MODEL WEIGHTS END(2), 3));
}

/* `lines` behind the model's, with one member replaced, of `records` in all. */
static bool changed_refused(const char *lines, const char *from, const char *to, const char *end, uint64_t records)
{
    char text[4096];
    const char *at = strstr(lines, from);
    assert_non_null(at);
    snprintf(text, sizeof text, "%s%.*s%s%s%s", MODEL, (int)(at - lines), lines, to, at + strlen(from), end);
    return refused(text, records);
}

static bool file_refused(const char *from, const char *to)
{
    return changed_refused(WEIGHTS, from, to, END(2), 3);
}

static void test_members_of_a_file(void **state)
{
    (void)state;
    assert_false(file_refused("model.safetensors", "a/b/model.safetensors"));
    assert_true(file_refused("model.safetensors", "../model.safetensors"));
    assert_true(file_refused("model.safetensors", "/model.safetensors"));
    assert_true(file_refused("model.safetensors", "a//b"));
    assert_true(file_refused("\"f0\"", "\"../f0\""));
    assert_true(file_refused("\"f0\"", "\"..\""));
    assert_true(file_refused("\"f0\"", "\"result.ndjson\""));
    assert_true(file_refused("\"f0\"", "7"));
    assert_true(file_refused("\"f0\"", "null")); /* assembled, and of no span */
    assert_true(file_refused("\"lfs\"", "\"big\""));
    assert_true(file_refused("\"lfs\"", "\"regular\"")); /* then a git id must be there */
    assert_true(file_refused("\"git_sha1\":null", "\"git_sha1\":\"" GIT "\""));
    assert_true(file_refused("120", "-1"));
    assert_true(file_refused("120", "1.5"));
    assert_true(file_refused("bbbbbbbb\"", "bbbbbbb\""));
    assert_true(file_refused("bbbbbbbb\"", "BBBBBBBB\""));
    assert_true(file_refused("true", "1"));
}

static void test_members_of_a_tensor(void **state)
{
    static const char *const bad[] = {
        "{\"record\":\"tensor\",\"name\":\"w\",\"dtype\":\"F32\",\"shape\":[2,2],\"begin\":105,\"bytes\":"
        "16}\n", /* beyond
                    the
                    file
                  */
        "{\"record\":\"tensor\",\"name\":\"w\",\"dtype\":\"F32\",\"shape\":[2,2],\"begin\":-1,\"bytes\":16}"
        "\n",
        "{\"record\":\"tensor\",\"name\":\"w\",\"dtype\":\"F32\",\"shape\":[2,2],\"begin\":1,\"bytes\":"
        "9223372036854775807}\n",
        "{\"record\":\"tensor\",\"name\":\"w\",\"dtype\":\"f32\",\"shape\":[2,2],\"begin\":100,\"bytes\":"
        "16}\n",
        "{\"record\":\"tensor\",\"name\":\"w\",\"dtype\":\"F32\",\"shape\":[2,-2],\"begin\":100,\"bytes\":"
        "16}\n",
        "{\"record\":\"tensor\",\"name\":\"w\",\"dtype\":\"F32\",\"shape\":4,\"begin\":100,\"bytes\":16}\n",
        "{\"record\":\"tensor\",\"name\":null,\"dtype\":\"F32\",\"shape\":[],\"begin\":100,\"bytes\":16}\n",
    };
    char text[2048];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(text, sizeof text, "%s%s%s%s", MODEL, WEIGHTS, bad[i], END(3));
        assert_true(refused(text, 4));
    }
}

static void test_nothing_twice(void **state)
{
    (void)state;
    assert_true(refused(MODEL WEIGHTS WEIGHTS END(3), 4));
    assert_true(refused(MODEL KEEP KEEP END(3), 4));
    assert_true(refused(MODEL WEIGHTS "{\"record\":\"keep\",\"path\":\"model.safetensors\"}\n" END(3), 4));
    assert_true(refused(MODEL WEIGHTS TENSOR TENSOR END(4), 5));
    /* the same staged name under two paths */
    assert_true(
        refused(MODEL WEIGHTS
                "{\"record\":\"file\",\"path\":\"b\",\"staged\":\"f0\",\"class\":\"lfs\",\"bytes\":1,\"sha256\":\"" SHA
                "\",\"git_sha1\":null,\"weights\":false}\n" END(3),
                4));
    assert_false(refused(MODEL KEEP END(2), 3));
}

static void test_hash_size_and_kind(void **state)
{
    struct am_record_done done;
    struct am_result r;
    char why[512];
    (void)state;
    write_result(MODEL KEEP END(2), strlen(MODEL KEEP END(2)), &done, 3);
    done.sha256[0] = done.sha256[0] == '0' ? '1' : '0';
    assert_int_equal(am_result_read(&r, dir, &done, why, sizeof why), -AM_E_PUBLISH);
    assert_non_null(strstr(why, "SHA-256"));
    write_result(MODEL KEEP END(2), strlen(MODEL KEEP END(2)), &done, 3);
    done.bytes--;
    assert_int_equal(am_result_read(&r, dir, &done, why, sizeof why), -AM_E_PUBLISH);
    unlinkat(dir, AM_RESULT_NAME, 0);
    done.bytes++;
    assert_int_equal(am_result_read(&r, dir, &done, why, sizeof why), -AM_E_PUBLISH); /* absent */
    assert_int_equal(symlinkat("/etc/hostname", dir, AM_RESULT_NAME), 0);
    assert_int_equal(am_result_read(&r, dir, &done, why, sizeof why), -AM_E_PUBLISH); /* a link */
    unlinkat(dir, AM_RESULT_NAME, 0);
    assert_int_equal(mkfifoat(dir, AM_RESULT_NAME, 0600), 0);
    assert_int_equal(am_result_read(&r, dir, &done, why, sizeof why), -AM_E_PUBLISH); /* must not block */
    unlinkat(dir, AM_RESULT_NAME, 0);
}

static void test_ceilings(void **state)
{
    struct am_record_done done;
    struct am_result r;
    char why[512];
    static const char head[] = MODEL KEEP "{\"record\":\"warning\",\"code\":\"c\",\"detail\":\"", tail[] = "\"}\n",
                      end[] = END(3);
    const size_t skip = sizeof MODEL KEEP - 1; /* the long line begins here */
    (void)state;
    for (size_t over = 0; over < 2; over++) {
        size_t line = 65536 + over, n = skip + line + 1 + sizeof end - 1;
        char *text = malloc(n + 1);
        memset(text, 'x', n);
        memcpy(text, head, sizeof head - 1);
        memcpy(text + skip + line + 1 - (sizeof tail - 1), tail, sizeof tail - 1);
        memcpy(text + skip + line + 1, end, sizeof end - 1);
        write_result(text, n, &done, 4);
        assert_int_equal(am_result_read(&r, dir, &done, why, sizeof why), over ? -AM_E_PUBLISH : 0);
        if (!over) {
            assert_int_equal(r.warnings, 1);
            am_result_done(&r);
        }
        free(text);
    }
}

#define BLOB "{\"record\":\"blob\",\"staged\":\"c0\",\"bytes\":50,\"sha256\":\"" SHA "\"}\n"
#define INPUT "{\"record\":\"blob\",\"staged\":null,\"sha256\":\"" SHA "\"}\n"
#define MADE                                                                                                           \
    "{\"record\":\"file\",\"path\":\"m.safetensors\",\"staged\":null,\"class\":\"lfs\",\"bytes\":120,\"sha256\":"      \
    "\"" SHA "\",\"git_sha1\":null,\"weights\":true}\n"
#define SPAN(at, blob, offset, bytes)                                                                                  \
    "{\"record\":\"span\",\"at\":" #at ",\"blob\":" #blob ",\"offset\":" #offset ",\"bytes\":" #bytes "}\n"

static void test_assembled(void **state)
{
    struct am_result r;
    (void)state;
    assert_int_equal(read_text(&r,
                               MODEL BLOB INPUT MADE SPAN(0, 0, 0, 50) SPAN(50, 1, 7, 60) SPAN(110, 0, 40, 10)
                                   TENSOR CONFIG END(9),
                               10),
                     0);
    assert_int_equal(r.files, 2);
    assert_null(r.file[0].staged);
    assert_int_equal(r.file[0].first_span, 0);
    assert_int_equal(r.file[0].spans, 3);
    assert_int_equal(r.file[0].behind, 2);
    assert_int_equal(r.file[0].tensors, 1);
    assert_int_equal(r.file[1].spans, 0);
    assert_int_equal(r.blobs, 2);
    assert_string_equal(r.blob[0].staged, "c0");
    assert_int_equal(r.blob[0].end, 50);
    assert_null(r.blob[1].staged);
    assert_int_equal(r.blob[1].bytes, -1);
    assert_int_equal(r.blob[1].end, 67);
    assert_int_equal(r.span[1].blob, 1);
    assert_int_equal(r.span[1].offset, 7);
    assert_int_equal(r.span[2].bytes, 10);
    am_result_done(&r);
}

static void test_spans_that_do_not_fit(void **state)
{
    (void)state;
    assert_false(refused(MODEL INPUT MADE SPAN(0, 0, 0, 120) END(4), 5));
    assert_true(refused(MODEL INPUT MADE SPAN(0, 0, 0, 119) END(4), 5));                    /* a gap at the end */
    assert_true(refused(MODEL INPUT MADE SPAN(0, 0, 0, 121) END(4), 5));                    /* too long */
    assert_true(refused(MODEL INPUT MADE SPAN(1, 0, 0, 119) END(4), 5));                    /* a gap before */
    assert_true(refused(MODEL INPUT MADE SPAN(0, 0, 0, 60) SPAN(61, 0, 0, 59) END(5), 6));  /* between */
    assert_true(refused(MODEL INPUT MADE SPAN(0, 0, 0, 60) SPAN(59, 0, 0, 61) END(5), 6));  /* twice the same byte */
    assert_true(refused(MODEL INPUT MADE SPAN(0, 0, 0, 120) SPAN(120, 0, 0, 0) END(5), 6)); /* empty */
    assert_true(refused(MODEL INPUT MADE SPAN(0, 0, -1, 120) END(4), 5));
    assert_true(refused(MODEL INPUT MADE SPAN(0, 0, 9223372036854775807, 120) END(4), 5)); /* beyond all numbers */
    assert_true(refused(MODEL INPUT MADE SPAN(0, 1, 0, 120) END(4), 5));                   /* no such blob */
    assert_true(refused(MODEL MADE SPAN(0, 0, 0, 120) INPUT END(4), 5));                   /* not yet */
    assert_true(refused(MODEL BLOB MADE SPAN(0, 0, 0, 120) END(4), 5));        /* beyond the 50 bytes of its blob */
    assert_true(refused(MODEL INPUT INPUT MADE SPAN(0, 0, 0, 120) END(5), 6)); /* a blob of no use */
    assert_true(refused(MODEL INPUT WEIGHTS SPAN(0, 0, 0, 120) END(4), 5));    /* a file that is staged */
    assert_true(refused(MODEL INPUT SPAN(0, 0, 0, 120) MADE END(4), 5));       /* a span before its file */
    assert_true(refused(MODEL MADE END(2), 3));
}

/* A blob line, or the file of an assembled file. */
static bool spans_refused(const char *from, const char *to)
{
    return changed_refused(BLOB INPUT MADE SPAN(0, 0, 0, 50) SPAN(50, 1, 0, 70), from, to, END(6), 7);
}

static void test_members_of_a_blob(void **state)
{
    (void)state;
    assert_false(spans_refused("\"c0\"", "\"c1\""));
    assert_true(spans_refused("\"c0\"", "\"../c1\""));
    assert_true(spans_refused("\"c0\"", "\"result.ndjson\""));
    assert_true(spans_refused("\"c0\"", "5"));
    assert_true(spans_refused("\"staged\":\"c0\",", ""));
    assert_true(spans_refused("\"bytes\":50,", ""));
    assert_true(spans_refused("\"bytes\":50,", "\"bytes\":-50,"));
    assert_true(spans_refused(SHA, "bbb"));
    assert_true(spans_refused("\"lfs\"", "\"regular\""));
    assert_true(spans_refused("\"git_sha1\":null", "\"git_sha1\":\"" GIT "\""));
    assert_true(spans_refused("\"at\":0,", ""));
    /* one staged name for a file and a blob */
    assert_true(refused(MODEL "{\"record\":\"blob\",\"staged\":\"f0\",\"bytes\":120,\"sha256\":\"" SHA
                              "\"}\n" MADE SPAN(0, 0, 0, 120) WEIGHTS END(5),
                        6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_order_and_counts),
        cmocka_unit_test(test_members_of_a_file),
        cmocka_unit_test(test_members_of_a_tensor),
        cmocka_unit_test(test_nothing_twice),
        cmocka_unit_test(test_hash_size_and_kind),
        cmocka_unit_test(test_ceilings),
        cmocka_unit_test(test_assembled),
        cmocka_unit_test(test_spans_that_do_not_fit),
        cmocka_unit_test(test_members_of_a_blob),
    };
    return cmocka_run_group_tests_name("result", tests, make_folder, drop_folder);
}
