/*
 * test_run_files.c - which files a run writes: kept, changed or whole; by share, by dtype, by the number of blobs
 * behind a file. The models are made here: two files, the first read from one blob a tensor.
 */
#include "core/base/sys.h"
#include "core/methods/args_json.h"
#include "core/methods/run.h"
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

enum { N = 8 }; /* tensors w0 .. w7 of 4 values in the first file, each in a blob of its own; then the header's */

struct fixture {
    char dir[64];
    int staging, fd[N + 2];
    struct am_span span[N + 2];
    struct am_file file[2];
    struct am_model model;
    uint64_t done, total;
};

static int blob(struct fixture *f, size_t i, const void *bytes, size_t n)
{
    char name[16];
    snprintf(name, sizeof(name), "b%zu", i);
    f->fd[i] = am_sys_open(f->staging, name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(f->fd[i] >= 0);
    assert_int_equal(am_sys_write(f->fd[i], bytes, n), 0);
    return f->fd[i];
}

static void first_file(struct fixture *f)
{
    char text[2048] = "........{";
    size_t at = 9;
    for (int i = 0; i < N; i++)
        at += (size_t)snprintf(text + at, sizeof(text) - at,
                               "%s\"w%d\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[%d,%d]}", i ? "," : "", i,
                               16 * i, 16 * i + 16);
    text[at++] = '}';
    uint64_t n = at - 8;
    memcpy(text, &n, 8);
    f->span[0] = (struct am_span){.fd = blob(f, N, text, at), .bytes = at};
    for (size_t i = 0; i < N; i++) {
        float v[4 + N] = {0};
        for (size_t k = 0; k < 4; k++)
            v[i + k] = (float)(10 * i + k + 1);
        /* somewhere in a blob of another size */
        f->span[i + 1] = (struct am_span){blob(f, i, v, sizeof(v)), 4 * i, 16, at + 16 * i};
    }
    f->file[0] = (struct am_file){.path = "a.safetensors", .bytes = at + 16 * N, .span = f->span, .spans = N + 1};
}

static void second_file(struct fixture *f)
{
    static const char text[] = "{\"steps\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]}}";
    char all[sizeof(text) - 1 + 16] = {sizeof(text) - 1};
    memcpy(all + 8, text, sizeof(text) - 1);
    f->span[N + 1] = (struct am_span){.fd = blob(f, N + 1, all, sizeof(all)), .bytes = sizeof(all)};
    f->file[1] = (struct am_file){.path = "b.safetensors", .bytes = sizeof(all), .span = &f->span[N + 1], .spans = 1};
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct am_faults faults = {0};
    snprintf(f->dir, sizeof(f->dir), "/tmp/amend-files-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->staging = am_sys_open(AT_FDCWD, f->dir, O_RDONLY | O_DIRECTORY, 0);
    first_file(f);
    second_file(f);
    assert_int_equal(am_model_open(&f->model, f->file, 2, AM_ST_LIMITS_DEFAULT, &faults), 0);
    am_faults_done(&faults);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    am_model_done(&f->model);
    for (size_t i = 0; i < N + 2; i++)
        am_sys_close(f->fd[i]);
    am_sys_close(f->staging);
    am_sys_rmtree(AT_FDCWD, f->dir);
    free(f);
    return 0;
}

static int on_progress(void *ctx, uint64_t done, uint64_t total, size_t tensors, size_t of)
{
    struct fixture *f = ctx;
    assert_true(done <= total && tensors <= of);
    f->done = done;
    f->total = total;
    return 0;
}

/* Halves the tensors that `include` matches. */
static void edit(struct fixture *f, const char *include, const char *sparsity, struct am_run change,
                 struct am_output *out)
{
    char text[300];
    struct am_args args = {0};
    struct am_faults faults = {0};
    struct am_run_input x = {.model = &f->model, .label = "demo/a@v1"};
    const char *what = "";
    snprintf(text, sizeof(text),
             "{\"sparsity\":%s,\"scope\":\"tensor\",\"include\":[\"%s\"],\"exclude\":[],\"nonfinite\":\"refuse\","
             "\"overflow\":\"refuse\"}",
             sparsity, include);
    json_t *params = json_loads(text, 0, NULL), *none[1] = {NULL};
    change.method = am_method_find("edit", "sparsify");
    assert_int_equal(am_args_from_json(&args, change.method, params, none, 1, &what), 0);
    change.args = &args;
    change.x = &x;
    change.inputs = 1;
    change.donor = &f->model;
    change.threads = 2;
    change.staging = f->staging;
    change.progress = on_progress;
    change.ctx = f;
    assert_int_equal(am_run(&change, out, &faults), 0);
    am_args_done(&args);
    am_faults_done(&faults);
    json_decref(params);
}

static const struct am_run half = {.out_dtype = -1, .assemble_fraction = 0.5, .max_blobs = 256};

static bool wrote(const struct am_output *out, const char *name)
{
    for (size_t i = 0; i < out->tensors; i++)
        if (strcmp(out->t[i].st.name, name) == 0)
            return true;
    return false;
}

static void little_is_a_change(void **state)
{
    struct fixture *f = *state;
    struct am_output out;
    edit(f, "w[26]", "0.5", half, &out);
    assert_true(out.planned);
    assert_int_equal(out.files, 1); /* the second file has nothing to compute: it stays */
    assert_null(out.file[0].path);
    assert_int_equal(out.file[0].donor, 0);
    assert_int_equal(out.tensors, 2);
    assert_true(wrote(&out, "w2") && wrote(&out, "w6"));
    assert_int_equal(f->done, f->total);
    am_output_done(&out);
    edit(f, "w[0-3]", "0.5",
         (struct am_run){.out_dtype = -1, .assemble_fraction = 0.5, .max_blobs = 256, .first_number = 5}, &out);
    assert_null(out.file[0].path); /* exactly the half */
    am_output_done(&out);
}

static void much_is_whole(void **state)
{
    struct fixture *f = *state;
    struct am_output out;
    struct am_run change = half;
    edit(f, "w[0-4]", "0.5", change, &out);
    assert_true(out.planned); /* because the second file stays */
    assert_int_equal(out.files, 1);
    assert_string_equal(out.file[0].path, "a.safetensors");
    assert_int_equal(out.file[0].n, N);
    am_output_done(&out);
    change.first_number = 5;
    change.assemble_fraction = 0;
    edit(f, "w2", "0.5", change, &out);
    assert_false(out.planned);
    assert_string_equal(out.file[0].path, "model.safetensors");
    assert_int_equal(out.tensors, N + 1);
    am_output_done(&out);
    change = half;
    change.first_number = 10;
    change.out_dtype = AM_BF16;
    edit(f, "w2", "0.5", change, &out);
    assert_false(out.planned); /* another dtype is another header */
    am_output_done(&out);
    change.out_dtype = AM_F32; /* which they have */
    change.first_number = 15;
    edit(f, "w2", "0.5", change, &out);
    assert_true(out.planned);
    am_output_done(&out);
}

static void nothing_is_kept(void **state)
{
    struct fixture *f = *state;
    struct am_output out;
    edit(f, "*", "0", half, &out);
    assert_true(out.planned);
    assert_int_equal(out.files, 0);
    am_output_done(&out);
    struct am_run change = half;
    change.out_dtype = AM_BF16; /* now they change, by conversion alone */
    edit(f, "*", "0", change, &out);
    assert_false(out.planned);
    assert_int_equal(out.tensors, N + 1);
    am_output_done(&out);
}

/* 9 blobs and the new one, where 6 are allowed: the smallest go into the change. */
static void too_many_blobs(void **state)
{
    struct fixture *f = *state;
    struct am_output out;
    struct am_assembled a;
    struct am_run change = half;
    float v[4 * N];
    change.max_blobs = 6;
    edit(f, "w3", "0.5", change, &out);
    assert_true(out.planned);
    assert_null(out.file[0].path);
    assert_int_equal(out.tensors, 4);
    assert_true(wrote(&out, "w3") && wrote(&out, "w0") && wrote(&out, "w1") && wrote(&out, "w2"));
    assert_int_equal(f->done, f->total);
    assert_int_equal(am_assemble(&a, &f->model, 0, &out, &out.file[0], 50), 0);
    assert_int_equal(a.header, -1);
    assert_int_equal(a.file.spans, 1 + 1 + 4); /* header, change, four that stay */
    assert_int_equal(am_file_read(&a.file, v, sizeof(v), f->file[0].bytes - sizeof(v)), 0);
    for (size_t i = 0; i < 4 * N; i++) {
        float want = i / 4 == 3 && i % 4 < 2 ? 0 : (float)(10 * (i / 4) + i % 4 + 1);
        assert_true(v[i] == want);
    }
    am_assembled_done(&a);
    am_output_done(&out);
    change.max_blobs = 10; /* seven that stay, header, change: just enough */
    change.first_number = 60;
    edit(f, "w3", "0.5", change, &out);
    assert_int_equal(out.tensors, 1);
    am_output_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(little_is_a_change, setup, teardown),
        cmocka_unit_test_setup_teardown(much_is_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many_blobs, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
