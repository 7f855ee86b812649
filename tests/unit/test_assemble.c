/*
 * test_assemble.c - assembled files: the golden one of safetensors.md 8.5 over real files (AMEND_DATA), and small ones
 * whose bytes are compared with a file written whole.
 */
#include "core/base/sys.h"
#include "core/base/text.h"
#include "core/tensor/assemble.h"

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

struct opened { /* a model of one whole file */
    int fd;
    struct am_span span;
    struct am_file file;
    struct am_model m;
};

static void open_model(struct opened *o, int at, const char *name)
{
    struct stat st;
    struct am_faults faults = {0};
    o->fd = am_sys_open(at, name, O_RDONLY, 0);
    assert_true(o->fd >= 0);
    assert_int_equal(fstat(o->fd, &st), 0);
    o->span = (struct am_span){.fd = o->fd, .bytes = (uint64_t)st.st_size};
    o->file = (struct am_file){.path = "model.safetensors", .bytes = o->span.bytes, .span = &o->span, .spans = 1};
    assert_int_equal(am_model_open(&o->m, &o->file, 1, AM_ST_LIMITS_DEFAULT, &faults), 0);
    am_faults_done(&faults);
}

static void close_model(struct opened *o)
{
    am_model_done(&o->m);
    am_sys_close(o->fd);
}

/* A change blob "f<number>" with the named tensors of `from`. */
static void change(struct am_output *out, unsigned number, const struct am_model *from, const char *const *name,
                   size_t n)
{
    struct am_out_want want[8];
    uint32_t of[8] = {0};
    struct am_out_place here = {NULL, 0};
    struct am_out_plan plan = {&here, 1, of};
    for (size_t i = 0; i < n; i++) {
        const struct am_tensor *t = am_model_find(from, name[i]);
        assert_non_null(t);
        want[i] = (struct am_out_want){t->name, t->shape, t->dtype, t->rank, (void *)(uintptr_t)t};
    }
    assert_int_equal(am_output_open_as(out, dir, number, want, n, &plan), 0);
    assert_true(out->planned);
    for (size_t i = 0; i < out->tensors; i++) {
        const struct am_tensor *t = out->t[i].user;
        char *bytes = malloc((size_t)t->bytes + 1);
        assert_int_equal(am_model_read(from, t, bytes, (size_t)t->bytes, 0), 0);
        assert_int_equal(am_output_write(out, &out->t[i], bytes, (size_t)t->bytes, 0), 0);
        assert_int_equal(am_output_hash(out, &out->t[i], bytes, (size_t)t->bytes), 0);
        free(bytes);
    }
    assert_int_equal(am_output_finish(out), 0);
}

static void slice_is(const struct am_assembled *a, uint64_t first, size_t n, const char *begins)
{
    char bytes[64], sha[65];
    assert_true(n <= sizeof(bytes));
    assert_int_equal(am_file_read(&a->file, bytes, n, first), 0);
    am_sha256_hex(bytes, n, sha);
    assert_memory_equal(sha, begins, strlen(begins));
}

static void span_is(const struct am_assembled *a, size_t i, int fd, uint64_t offset, uint64_t bytes)
{
    assert_true(i < a->file.spans);
    assert_int_equal(a->file.span[i].fd, fd);
    assert_int_equal(a->file.span[i].offset, offset);
    assert_int_equal(a->file.span[i].bytes, bytes);
}

static int open_data(const char *name)
{
    char path[512];
    const char *data = getenv("AMEND_DATA");
    snprintf(path, sizeof(path), "%s/mnist-taskvectors/%s", data ? data : "../shared/data", name);
    return am_sys_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
}

static void golden(void **state)
{
    (void)state;
    AM_CLEANUP(am_sys_closep) int data = open_data(".");
    if (data < 0) {
        print_message("mnist-taskvectors is not here (AMEND_DATA)\n");
        skip();
    }
    static const char *const names[] = {"fc3.weight", "fc3.bias"};
    struct opened base, ft;
    struct am_output out;
    struct am_assembled a;
    open_model(&base, data, "base.safetensors");
    open_model(&ft, data, "ft_rot90.safetensors");
    change(&out, 0, &ft.m, names, 2);
    assert_int_equal(out.file[0].bytes, 5304);
    assert_string_equal(out.file[0].sha256, "73372d5770e596864a412473b294981c88e01a53739d9f37b24dcbf7343ac866");
    assert_int_equal(am_assemble(&a, &base.m, 0, &out, &out.file[0], 1), 0);
    assert_string_equal(a.header_staged, "f1");
    assert_int_equal(a.header_bytes, 568);
    assert_string_equal(a.header_sha256, "9092ac361891c2af70a92310a25aa055a1b4862d053951e16b7b5b3e4e54cd01");
    assert_int_equal(a.file.spans, 4);
    span_is(&a, 0, a.header, 0, 568);
    span_is(&a, 1, base.fd, 568, 935424);
    span_is(&a, 2, a.change, 184, 5120);
    span_is(&a, 3, a.change, 144, 40);
    assert_int_equal(a.file.bytes, 941152);
    assert_int_equal(am_assembled_hash(&a, NULL, NULL), 0);
    assert_string_equal(a.sha256, "31a12d3d5afd883b97ccf24e5cf2de6066a8fb58a6b543863cec7420217bc6ac");
    slice_is(&a, 560, 16, "50a010a94c99ffc2");
    slice_is(&a, 935984, 17, "c184e2adb425811e");
    slice_is(&a, 941100, 52, "7f56ca92dcaa038a");
    char oid[41];
    am_lfs_pointer_hex(a.sha256, a.file.bytes, oid);
    assert_string_equal(oid, "e48ad0bbf9f58dd89582e51e12e80b3cbd0845e6");
    am_assembled_done(&a);
    am_output_done(&out);
    close_model(&base);
    close_model(&ft);
}

/* A model of a F32 [2], b F32 [3], none F32 [0], c F32 [1], in this order, all values `value`. */
static void make(struct opened *o, const char *name, float value)
{
    static const char header[] = "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                                 "\"b\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[8,20]},"
                                 "\"none\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[20,20]},"
                                 "\"c\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[20,24]}}";
    uint64_t n = sizeof(header) - 1;
    float values[6];
    for (size_t i = 0; i < 6; i++)
        values[i] = value;
    AM_CLEANUP(am_sys_closep) int fd = am_sys_open(dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_int_equal(am_sys_write(fd, &n, 8), 0);
    assert_int_equal(am_sys_write(fd, header, n), 0);
    assert_int_equal(am_sys_write(fd, values, sizeof(values)), 0);
    open_model(o, dir, name);
}

static void values_are(const struct am_assembled *a, float a0, float b0, float c0)
{
    float v[6];
    assert_int_equal(am_file_read(&a->file, v, sizeof(v), a->file.bytes - sizeof(v)), 0);
    const float want[6] = {a0, a0, b0, b0, b0, c0};
    assert_memory_equal(v, want, sizeof(v));
}

/* The second change is on top of the first: header used again, one level of blobs, the rest coalesced. */
static void change_upon_change(void **state)
{
    (void)state;
    static const char *const b_only[] = {"b"}, *const a_and_none[] = {"a", "none"};
    struct opened one, two;
    struct am_output first, second;
    struct am_assembled a, b;
    struct am_faults faults = {0};
    make(&one, "one", 1);
    make(&two, "two", 2);
    uint64_t header = one.file.bytes - 24;
    change(&first, 20, &two.m, b_only, 1);
    assert_int_equal(am_assemble(&a, &one.m, 0, &first, &first.file[0], 21), 0);
    assert_int_equal(a.file.spans, 4);
    values_are(&a, 1, 2, 1);
    struct am_model upon;
    assert_int_equal(am_model_open(&upon, &a.file, 1, AM_ST_LIMITS_DEFAULT, &faults), 0);
    change(&second, 22, &two.m, a_and_none, 2);
    assert_int_equal(am_assemble(&b, &upon, 0, &second, &second.file[0], 23), 0);
    assert_int_equal(b.header, -1);
    struct stat st;
    assert_true(am_sys_stat(dir, "f23", &st) < 0);
    assert_int_equal(b.file.spans, 4);
    span_is(&b, 0, a.header, 0, header);
    span_is(&b, 1, b.change, second.file[0].bytes - 8, 8);
    span_is(&b, 2, a.change, first.file[0].bytes - 12, 12);
    span_is(&b, 3, one.fd, header + 20, 4);
    values_are(&b, 2, 2, 1);
    char whole[512], sha[65]; /* what a plain writer makes of it: the parent's file with the values in their places */
    const float now[6] = {2, 2, 2, 2, 2, 1};
    assert_true(header + 24 <= sizeof(whole));
    assert_int_equal(am_sys_pread(one.fd, whole, (size_t)header, 0), 0);
    memcpy(whole + header, now, 24);
    am_sha256_hex(whole, (size_t)header + 24, sha);
    assert_int_equal(am_assembled_hash(&b, NULL, NULL), 0);
    assert_string_equal(b.sha256, sha);
    am_model_done(&upon);
    am_assembled_done(&b);
    am_assembled_done(&a);
    am_output_done(&first);
    am_output_done(&second);
    close_model(&one);
    close_model(&two);
}

static int stop(void *ctx, uint64_t bytes)
{
    *(uint64_t *)ctx += bytes;
    return -AM_E_CANCELLED;
}

static void what_does_not_fit(void **state)
{
    (void)state;
    static const char *const b_only[] = {"b"};
    struct opened one, two;
    struct am_output out;
    struct am_assembled a;
    make(&one, "three", 1);
    make(&two, "four", 2);
    change(&out, 30, &two.m, b_only, 1);
    assert_int_equal(am_assemble(&a, &one.m, 0, &out, &out.file[0], 31), 0);
    uint64_t seen = 0;
    assert_int_equal(am_assembled_hash(&a, stop, &seen), -AM_E_CANCELLED);
    assert_int_equal(seen, one.file.bytes);
    assert_string_equal(a.sha256, "");
    am_assembled_done(&a);
    assert_int_equal(am_assemble(&a, &one.m, 0, &out, &out.file[0], 31),
                     -AM_E_INTERNAL); /* the header's name is taken */
    out.t[0].st.name = "z";
    assert_int_equal(am_assemble(&a, &one.m, 0, &out, &out.file[0], 32), -AM_E_INTERNAL); /* no such tensor */
    out.t[0].st.name = "a";
    assert_int_equal(am_assemble(&a, &one.m, 0, &out, &out.file[0], 33), -AM_E_INTERNAL); /* of another size */
    out.t[0].st.name = "b";
    one.file.bytes += 4; /* the donor's spans end too soon */
    assert_int_equal(am_assemble(&a, &one.m, 0, &out, &out.file[0], 34), -AM_E_STORE_DAMAGED);
    am_assembled_done(&a); /* safe after a failure */
    am_output_done(&out);
    close_model(&one);
    close_model(&two);
}

static void plans(void **state)
{
    (void)state;
    static const uint64_t two[] = {2};
    const struct am_out_want want[] = {{"b", two, AM_F32, 1, NULL}, {"a", two, AM_F32, 1, NULL}};
    const struct am_out_place place_[] = {{"x/y.safetensors", 3}, {NULL, 4}};
    uint32_t of[] = {0, 1};
    struct am_out_plan plan = {place_, 2, of};
    struct am_output o;
    assert_int_equal(am_output_open_as(&o, dir, 40, want, 2, &plan), 0);
    assert_int_equal(o.files, 2);
    assert_string_equal(o.file[0].path, "x/y.safetensors");
    assert_int_equal(o.file[0].donor, 3);
    assert_null(o.file[1].path);
    assert_int_equal(o.file[1].donor, 4);
    assert_true(o.file[0].bytes > o.file[1].bytes); /* a change blob has no metadata */
    am_output_done(&o);
    of[0] = 1, of[1] = 0;
    assert_int_equal(am_output_open_as(&o, dir, 42, want, 2, &plan), -AM_E_INVALID_REQUEST);
    of[0] = 0, of[1] = 2;
    assert_int_equal(am_output_open_as(&o, dir, 44, want, 2, &plan), -AM_E_INVALID_REQUEST);
    plan.files = 0;
    assert_int_equal(am_output_open_as(&o, dir, 46, want, 0, &plan), 0);
    assert_int_equal(o.files, 0);
    assert_int_equal(am_output_finish(&o), 0);
    assert_null(am_output_index_json(&o));
    am_output_done(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),
        cmocka_unit_test(change_upon_change),
        cmocka_unit_test(what_does_not_fit),
        cmocka_unit_test(plans),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
