/*
 * test_output.c - the files of a result written by core/tensor/output.h and read back through core/tensor/model.h,
 * whole, sharded and cut into spans.
 */
#include "core/base/sys.h"
#include "core/tensor/model.h"
#include "core/tensor/output.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/folder_fixture.h"

static const uint64_t two_two[] = {2, 2}, none_three[] = {0, 3}, hundred[] = {25}, eight[] = {2};
static const unsigned char example[24] = {7, 0, 0, 0,    0, 0, 0,    0,    0, 0, 0x80, 0x3f,
                                          0, 0, 0, 0x40, 0, 0, 0x40, 0x40, 0, 0, 0x80, 0x40};

static bool exists(const char *name)
{
    struct stat st;
    return am_sys_stat(dir, name, &st) == 0;
}

/* The 232-byte example of safetensors.md 3.1. */
static void test_one_file(void **state)
{
    (void)state;
    int w = 1, e = 2, n = 3;
    const struct am_out_want want[] = {
        {"w", two_two, AM_F32, 2, &w}, {"e", none_three, AM_F16, 2, &e}, {"n", NULL, AM_I64, 0, &n}};
    struct am_output o;
    assert_int_equal(am_output_open(&o, dir, 4, want, 3, 0), 0);
    assert_int_equal(o.files, 1);
    assert_string_equal(o.file[0].path, "model.safetensors");
    assert_string_equal(o.file[0].staged, "f4");
    assert_int_equal(o.data_bytes, 24);
    assert_ptr_equal(o.t[0].user, &n);
    assert_ptr_equal(o.t[1].user, &w);
    assert_ptr_equal(o.t[2].user, &e);
    assert_int_equal(am_output_hash(&o, &o.t[1], example + 8, 4), -AM_E_INTERNAL); /* not in file order */
    assert_int_equal(am_output_write(&o, &o.t[1], example + 16, 8, 8), 0);
    assert_int_equal(am_output_write(&o, &o.t[1], example + 8, 8, 0), 0);
    assert_int_equal(am_output_write(&o, &o.t[1], example + 8, 8, 9), -AM_E_INTERNAL);
    assert_int_equal(am_output_write(&o, &o.t[0], example, 8, 0), 0);
    assert_int_equal(am_output_hash(&o, &o.t[0], example, 8), 0);
    assert_int_equal(am_output_hash(&o, &o.t[0], example, 1), -AM_E_INTERNAL); /* twice */
    assert_int_equal(am_output_hash(&o, &o.t[1], example + 8, 16), 0);
    assert_int_equal(am_output_finish(&o), 0);
    assert_string_equal(o.file[0].sha256, "fe954afbb77fd9a3849d9ada8259b8162ac74a18193e69ea86f5131501d7b90c");
    assert_null(am_output_index_json(&o));
    am_output_done(&o);
    struct stat st;
    assert_int_equal(am_sys_stat(dir, "f4", &st), 0);
    assert_int_equal(st.st_size, 232);
    assert_int_equal(st.st_mode & 07777, 0600);
    AM_CLEANUP(am_sys_closep) int fd = am_sys_open(dir, "f4", O_RDONLY, 0);
    char all[232], hex[65];
    assert_int_equal(am_sys_pread(fd, all, 232, 0), 0);
    am_sha256_hex(all, 232, hex);
    assert_string_equal(hex, "fe954afbb77fd9a3849d9ada8259b8162ac74a18193e69ea86f5131501d7b90c");
}

/* 100-byte limit: big (100) | c+b (16) and a (80) do not pass 100 | huge alone | last. */
static void test_shards_and_model(void **state)
{
    (void)state;
    static const uint64_t eighty[] = {20}, huge[] = {60};
    const struct am_out_want want[] = {{"z.big", hundred, AM_F32, 1, NULL}, {"c", eight, AM_F32, 1, NULL},
                                       {"b", eight, AM_F32, 1, NULL},       {"a\"", eighty, AM_F32, 1, NULL},
                                       {"huge", huge, AM_F32, 1, NULL},     {"last", NULL, AM_F64, 0, NULL}};
    struct am_output o;
    assert_int_equal(am_output_open(&o, dir, 10, want, 6, 100), 0);
    assert_int_equal(o.files, 4);
    for (size_t i = 0; i < o.tensors; i++) {
        const struct am_out_tensor *t = &o.t[i];
        unsigned char b[240];
        memset(b, (int)i + 1, sizeof(b));
        assert_int_equal(am_output_write(&o, t, b, t->st.end - t->st.begin, 0), 0);
        assert_int_equal(am_output_hash(&o, t, b, t->st.end - t->st.begin), 0);
    }
    char *index = am_output_index_json(&o);
    assert_string_equal(
        index, "{\"metadata\":{\"total_size\":444},\"weight_map\":{\"a\\\"\":\"model-00002-of-00004.safetensors\","
               "\"b\":\"model-00002-of-00004.safetensors\",\"c\":\"model-00002-of-00004.safetensors\","
               "\"huge\":\"model-00003-of-00004.safetensors\",\"last\":\"model-00004-of-00004.safetensors\","
               "\"z.big\":\"model-00001-of-00004.safetensors\"}}");
    free(index);
    assert_int_equal(am_output_finish(&o), 0);
    struct am_file file[4];
    struct am_span span[4][2];
    for (size_t i = 0; i < 4; i++) { /* each file as two spans that meet in the middle of the header */
        int fd = am_sys_open(dir, o.file[i].staged, O_RDONLY, 0);
        span[i][0] = (struct am_span){fd, 0, 11, 0};
        span[i][1] = (struct am_span){fd, 11, o.file[i].bytes - 11, 11};
        file[i] = (struct am_file){.path = o.file[i].path, .bytes = o.file[i].bytes, .span = span[i], .spans = 2};
    }
    struct am_model m;
    struct am_faults f = {0};
    assert_int_equal(am_model_open(&m, file, 4, AM_ST_LIMITS_DEFAULT, &f), 0);
    assert_int_equal(m.tensors, 6);
    assert_string_equal(m.tensor[0].name, "a\"");
    assert_string_equal(m.tensor[5].name, "z.big");
    const struct am_tensor *t = am_model_find(&m, "huge");
    assert_int_equal(t->bytes, 240);
    assert_int_equal(t->elements, 60);
    assert_int_equal(t->file, 2);
    assert_null(am_model_find(&m, "hug"));
    unsigned char got[8], want_bytes[8];
    memset(want_bytes, 5, 8); /* order of writing: z.big, then a" b c by name, then huge: the fifth */
    assert_int_equal(am_model_read(&m, t, got, 8, 232), 0);
    assert_memory_equal(got, want_bytes, 8);
    assert_int_equal(am_model_read(&m, t, got, 8, 233), -AM_E_INTERNAL);
    am_model_done(&m);
    /* The same file twice, and one that is cut short. */
    struct am_file twice[2] = {file[1], file[1]};
    twice[1].path = "copy.safetensors";
    assert_int_equal(am_model_open(&m, twice, 2, AM_ST_LIMITS_DEFAULT, &f), -AM_E_MALFORMED);
    assert_int_equal(f.n, 3);
    assert_string_equal(f.v[0].reason, "duplicate");
    assert_string_equal(f.v[0].tensor, "a\"");
    am_faults_done(&f);
    span[1][1].bytes -= 4;
    assert_int_equal(am_file_read(&file[1], got, 8, file[1].bytes - 8), -AM_E_STORE_DAMAGED);
    file[1].bytes -= 4;
    assert_int_equal(am_model_open(&m, file, 4, AM_ST_LIMITS_DEFAULT, &f), -AM_E_MALFORMED);
    assert_string_equal(f.v[0].reason, "file_size");
    assert_string_equal(f.v[0].file, "model-00002-of-00004.safetensors");
    am_faults_done(&f);
    for (size_t i = 0; i < 4; i++)
        am_sys_close(span[i][0].fd);
    am_output_done(&o);
}

static int full(int fd, int mode, off_t off, off_t n)
{
    (void)fd, (void)mode, (void)off, (void)n;
    errno = ENOSPC;
    return -1;
}

static int bad_fsync(int fd)
{
    (void)fd;
    errno = EIO;
    return -1;
}

static void test_failures(void **state)
{
    (void)state;
    const struct am_out_want want[] = {{"a", eight, AM_F32, 1, NULL}, {"b", eight, AM_F32, 1, NULL}};
    const struct am_out_want twins[] = {{"a", eight, AM_F32, 1, NULL}, {"a", eight, AM_F16, 1, NULL}};
    const struct am_out_want odd[] = {{"a", (const uint64_t[]){3}, AM_F4, 1, NULL}};
    struct am_output o;
    struct am_sys_ops ops = am_sys_real;
    ops.fallocate = full;
    am_sys_swap(&ops);
    assert_int_equal(am_output_open(&o, dir, 20, want, 2, 8), -AM_E_DISK);
    am_sys_swap(NULL);
    assert_false(exists("f20") || exists("f21")); /* nothing half done */
    assert_int_equal(am_output_open(&o, dir, 20, twins, 2, 0), -AM_E_INVALID_REQUEST);
    assert_int_equal(am_output_open(&o, dir, 20, odd, 1, 0), -AM_E_INVALID_REQUEST);
    assert_false(exists("f20"));
    assert_int_equal(am_output_open(&o, dir, 20, want, 2, 0), 0);
    struct am_output again;
    assert_int_equal(am_output_open(&again, dir, 20, want, 2, 0), -AM_E_INTERNAL); /* the name is taken, and stays */
    assert_true(exists("f20"));
    assert_int_equal(am_output_hash(&o, &o.t[0], "12345678", 8), 0);
    assert_int_equal(am_output_finish(&o), -AM_E_INTERNAL); /* not hashed to the end */
    assert_int_equal(am_output_hash(&o, &o.t[1], "12345678", 8), 0);
    ops = am_sys_real;
    ops.fsync = bad_fsync;
    am_sys_swap(&ops);
    assert_int_equal(am_output_finish(&o), -AM_E_INTERNAL);
    am_sys_swap(NULL);
    assert_false(exists("f20"));
    assert_int_equal(am_output_finish(&o), -AM_E_INTERNAL); /* final */
    am_output_done(&o);
    assert_int_equal(am_output_open(&o, dir, 30, NULL, 0, 100), 0); /* no tensors: one empty file */
    assert_int_equal(am_output_finish(&o), 0);
    am_output_done(&o);
    am_output_done(&o);
}

/* Refused before the first file is made. */
static void test_too_many_shards(void **state)
{
    (void)state;
    static struct am_out_want want[AM_SHARDS_MAX + 1];
    static char name[AM_SHARDS_MAX + 1][8];
    struct am_output o;
    for (size_t i = 0; i <= AM_SHARDS_MAX; i++) {
        snprintf(name[i], sizeof(name[i]), "t%zu", i);
        want[i] = (struct am_out_want){name[i], eight, AM_F32, 1, NULL};
    }
    assert_int_equal(am_output_open(&o, dir, 50, want, AM_SHARDS_MAX + 1, 1), -AM_E_TOO_LARGE);
    assert_false(exists("f50"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_file), cmocka_unit_test(test_shards_and_model),
                                       cmocka_unit_test(test_failures), cmocka_unit_test(test_too_many_shards)};
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
