/*
 * test_run.c - am_run over small and over many-window models made byte by byte here: same bytes for any number of
 * threads, copies, faults that name tensor, input and index, nothing left half done.
 */
#include "core/base/err.h"
#include "core/base/sys.h"
#include "core/methods/args_json.h"
#include "core/methods/run.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define BIG (2 * AM_WINDOW + 5)

struct made { /* a model of one file: big F32 [BIG], count I64 [2], scalar F32 [], none F32 [0] */
    int fd;
    struct am_span span;
    struct am_file file;
    struct am_model model;
};

static const char header[] = "{\"big\":{\"dtype\":\"F32\",\"shape\":[524293],\"data_offsets\":[16,2097188]},"
                             "\"count\":{\"dtype\":\"I64\",\"shape\":[2],\"data_offsets\":[0,16]},"
                             "\"none\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[2097188,2097188]},"
                             "\"scalar\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[2097188,2097192]}}";

struct fixture {
    char dir[64];
    int staging;
    struct made a, b;
    char warnings[512];
    unsigned calls, stop_at;
};

static void make(struct fixture *f, struct made *m, const char *name, float factor, int64_t count)
{
    static float values[BIG + 1];
    uint64_t n = sizeof(header) - 1;
    int64_t counts[2] = {count, 7};
    for (size_t i = 0; i <= BIG; i++)
        values[i] = factor * (float)(i % 1000);
    assert_int_equal(BIG, 524293);
    m->fd = am_sys_open(f->staging, name, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(m->fd >= 0);
    assert_int_equal(am_sys_write(m->fd, &n, 8), 0);
    assert_int_equal(am_sys_write(m->fd, header, n), 0);
    assert_int_equal(am_sys_write(m->fd, counts, 16), 0);
    assert_int_equal(am_sys_write(m->fd, values, sizeof(values)), 0);
    m->span = (struct am_span){.fd = m->fd, .bytes = 8 + n + 16 + sizeof(values)};
    m->file = (struct am_file){.path = "model.safetensors", .bytes = m->span.bytes, .span = &m->span, .spans = 1};
    struct am_faults faults = {0};
    assert_int_equal(am_model_open(&m->model, &m->file, 1, AM_ST_LIMITS_DEFAULT, &faults), 0);
    am_faults_done(&faults);
}

static void poke(struct made *m, size_t index, float value)
{
    assert_int_equal(am_sys_pwrite(m->fd, &value, 4, 8 + sizeof(header) - 1 + 16 + 4 * index), 0);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "/tmp/amend-run-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->staging = am_sys_open(AT_FDCWD, f->dir, O_RDONLY | O_DIRECTORY, 0);
    make(f, &f->a, "a", 1, 1);
    make(f, &f->b, "b", 3, 1);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    am_model_done(&f->a.model);
    am_model_done(&f->b.model);
    am_sys_close(f->a.fd);
    am_sys_close(f->b.fd);
    am_sys_close(f->staging);
    am_sys_rmtree(AT_FDCWD, f->dir);
    free(f);
    return 0;
}

static int on_progress(void *ctx, uint64_t done, uint64_t total, size_t tensors, size_t of)
{
    struct fixture *f = ctx;
    assert_true(done <= total && tensors <= of);
    return ++f->calls == f->stop_at ? -AM_E_CANCELLED : 0;
}

static void on_warning(void *ctx, const char *code, const char *detail)
{
    struct fixture *f = ctx;
    size_t len = strlen(f->warnings);
    snprintf(f->warnings + len, sizeof(f->warnings) - len, "%s: %s\n", code, detail);
}

#define POLICIES "\"compat\":\"none\",\"compat_dtype\":\"float32\",\"nonfinite\":\"refuse\",\"overflow\":\"refuse\""

static int run(struct fixture *f, const char *type, const char *name, const char *params, unsigned threads,
               struct am_run change, struct am_output *out, struct am_faults *faults)
{
    struct am_run_input x[2] = {{.model = &f->a.model, .label = "demo/a@v1"},
                                {.model = &f->b.model, .label = "demo/b@v1"}};
    struct am_args args = {0};
    struct am_run r = change;
    const char *what;
    json_t *global = json_loads(params, 0, NULL), *none[2] = {NULL, NULL};
    r.method = am_method_find(type, name);
    r.inputs = r.method->type == AM_EDIT ? 1 : 2;
    assert_int_equal(am_args_from_json(&args, r.method, global, none, r.inputs, &what), 0);
    r.args = &args;
    r.x = x;
    r.donor = &f->a.model;
    r.threads = threads;
    r.staging = f->staging;
    r.progress = on_progress;
    r.warning = on_warning;
    r.ctx = f;
    f->calls = 0;
    f->warnings[0] = '\0';
    int rc = am_run(&r, out, faults);
    am_args_done(&args);
    json_decref(global);
    return rc;
}

static const char half[] = "{\"weight\":0.5,\"normalize\":false," POLICIES "}";
static const struct am_run plain = {.out_dtype = -1};

static float *read_big(struct fixture *f, const struct am_output *out, const char *tensor, size_t n)
{
    float *values = malloc(n * sizeof(float));
    for (size_t i = 0; i < out->tensors; i++) {
        if (strcmp(out->t[i].st.name, tensor) != 0)
            continue;
        int fd = am_sys_open(f->staging, out->file[0].staged, O_RDONLY, 0);
        assert_int_equal(am_sys_pread(fd, values, n * sizeof(float), out->t[i].st.begin), 0);
        am_sys_close(fd);
    }
    return values;
}

static void mean_of_two_for_any_threads(void **state)
{
    struct fixture *f = *state;
    char sha[3][65];
    static const unsigned threads[] = {1, 2, 5};
    for (unsigned i = 0; i < 3; i++) {
        struct am_output out;
        struct am_faults faults = {0};
        struct am_run change = plain;
        change.first_number = i;
        assert_int_equal(run(f, "merge", "linear", half, threads[i], change, &out, &faults), 0);
        float *v = read_big(f, &out, "big", BIG);
        for (size_t k = 0; k < BIG; k++)
            assert_true(v[k] == 2 * (float)(k % 1000));
        free(v);
        memcpy(sha[i], out.file[0].sha256, 65);
        assert_string_equal(f->warnings, "");
        am_output_done(&out);
        am_faults_done(&faults);
    }
    assert_string_equal(sha[0], sha[1]);
    assert_string_equal(sha[0], sha[2]);
}

static void sparsify_over_the_model(void **state)
{
    struct fixture *f = *state;
    char sha[3][65];
    static const char params[] =
        "{\"sparsity\":0.5,\"scope\":\"model\",\"include\":[\"*\"],\"exclude\":[]," POLICIES "}";
    for (unsigned i = 0; i < 3; i++) {
        struct am_output out;
        struct am_faults faults = {0};
        struct am_run change = plain;
        change.first_number = i;
        assert_int_equal(run(f, "edit", "sparsify", params, 1 + 2 * i, change, &out, &faults), 0);
        float *v = read_big(f, &out, "big", BIG);
        size_t zeros = 0;
        for (size_t k = 0; k < BIG; k++) {
            zeros += v[k] == 0;
            assert_true(v[k] == 0 || v[k] == (float)(k % 1000));
        }
        /* big holds 524293 values and scalar, 293, is one of the smaller half: 262147 in all, one of them in scalar */
        assert_int_equal(zeros, 262146);
        free(v);
        memcpy(sha[i], out.file[0].sha256, 65);
        am_output_done(&out);
        am_faults_done(&faults);
    }
    assert_string_equal(sha[0], sha[1]);
    assert_string_equal(sha[0], sha[2]);
}

static void refused(struct fixture *f, unsigned threads, int code, const char *reason, const char *part)
{
    struct am_output out;
    struct am_faults faults = {0};
    assert_int_equal(run(f, "merge", "linear", half, threads, plain, &out, &faults), -code);
    assert_true(faults.n >= 1);
    if (reason)
        assert_string_equal(faults.v[0].reason, reason);
    if (!strstr(faults.v[0].detail, part))
        fail_msg("wanted \"%s\" in \"%s\"", part, faults.v[0].detail);
    am_faults_done(&faults);
    am_sys_unlink(f->staging, "f0");
}

static void non_finite_is_named(void **state)
{
    struct fixture *f = *state;
    poke(&f->b, 300000, NAN);
    poke(&f->b, 300001, INFINITY);
    poke(&f->a, 300010, NAN); /* the same tile, but an earlier input */
    poke(&f->a, 524290, NAN); /* a later window */
    refused(f, 1, AM_E_NON_FINITE, "input-not-finite",
            "big of demo/a@v1 holds NaN or infinity, first at flat index 300010 (1 in");
    poke(&f->a, 300010, 0);
    for (unsigned threads = 1; threads <= 5; threads += 2)
        refused(f, threads, AM_E_NON_FINITE, "input-not-finite",
                "big of demo/b@v1 holds NaN or infinity, first at flat index 300000 (2 in");
    struct am_output out;
    struct am_faults faults = {0};
    struct am_run change = plain;
    change.propagate_nonfinite = true;
    assert_int_equal(run(f, "merge", "linear", half, 2, change, &out, &faults), 0);
    float *v = read_big(f, &out, "big", BIG);
    assert_true(isnan(v[300000]) && isinf(v[300001]) && v[299999] == 2 * 999.0f);
    assert_non_null(strstr(f->warnings, "nonfinite-propagated: "));
    free(v);
    am_output_done(&out);
    am_faults_done(&faults);
}

static void too_large_for_the_dtype(void **state)
{
    struct fixture *f = *state;
    struct am_output out;
    struct am_faults faults = {0};
    struct am_run change = plain;
    poke(&f->a, 17, 200000);
    change.out_dtype = AM_F16;
    assert_int_equal(run(f, "merge", "linear", half, 2, change, &out, &faults), -AM_E_NON_FINITE);
    assert_string_equal(faults.v[0].reason, "f16-overflow");
    assert_non_null(strstr(faults.v[0].detail, "flat index 17 is too large for F16 (1 in"));
    am_faults_done(&faults);
    am_sys_unlink(f->staging, "f0");
    change.overflow = AM_OVERFLOW_CLAMP;
    assert_int_equal(run(f, "merge", "linear", half, 2, change, &out, &faults), 0);
    assert_non_null(strstr(f->warnings, "values-clamped: "));
    am_output_done(&out);
    am_faults_done(&faults);
}

static void integers_come_from_the_donor(void **state)
{
    struct fixture *f = *state;
    struct am_output out;
    struct am_faults faults = {0};
    int64_t other = 99;
    assert_int_equal(am_sys_pwrite(f->b.fd, &other, 8, 8 + sizeof(header) - 1), 0);
    assert_int_equal(run(f, "merge", "linear", half, 2, plain, &out, &faults), 0);
    float *v = read_big(f, &out, "count", 4);
    assert_memory_equal(v, ((int64_t[]){1, 7}), 16);
    assert_non_null(strstr(f->warnings, "integer-differs: count (I64)"));
    free(v);
    am_output_done(&out);
    am_faults_done(&faults);
}

static void nothing_selected(void **state)
{
    struct fixture *f = *state;
    struct am_output out;
    struct am_faults faults = {0};
    static const char params[] =
        "{\"sparsity\":0.5,\"scope\":\"model\",\"include\":[\"fc*\"],\"exclude\":[]," POLICIES "}";
    assert_int_equal(run(f, "edit", "sparsify", params, 2, plain, &out, &faults), -AM_E_BAD_SPEC);
    assert_string_equal(faults.v[0].reason, "selection-empty");
    assert_non_null(strstr(faults.v[0].detail, "big, none, scalar"));
    am_faults_done(&faults);
    struct stat st;
    assert_true(am_sys_stat(f->staging, "f0", &st) < 0); /* not even begun */
}

static void cancel_stops_at_once(void **state)
{
    struct fixture *f = *state;
    struct am_output out;
    struct am_faults faults = {0};
    f->stop_at = 2;
    assert_int_equal(run(f, "merge", "linear", half, 1, plain, &out, &faults), -AM_E_CANCELLED);
    assert_int_equal(f->calls, 2);
    assert_int_equal(faults.n, 0);
    am_faults_done(&faults);
}

static int no_descriptors(int at, const char *path, int flags, mode_t mode)
{
    (void)at, (void)path, (void)flags, (void)mode;
    errno = EMFILE;
    return -1;
}

static int no_sync(int fd)
{
    (void)fd;
    errno = EIO;
    return -1;
}

/* `with` takes the place of the system calls while the method runs. */
static void fails(struct fixture *f, const struct am_sys_ops *with, int code, const char *pointer, const char *part)
{
    struct am_output out;
    struct am_faults faults = {0};
    am_sys_swap(with);
    int rc = run(f, "merge", "linear", half, 2, plain, &out, &faults);
    am_sys_swap(NULL);
    assert_int_equal(rc, -code);
    assert_int_equal(faults.n, 1);
    assert_string_equal(faults.v[0].pointer, pointer);
    assert_non_null(strstr(faults.v[0].detail, part));
    am_faults_done(&faults);
    struct stat st;
    assert_true(am_sys_stat(f->staging, "f0", &st) < 0);
}

static void trouble_with_the_files_is_told(void **state)
{
    struct am_sys_ops ops = am_sys_real;
    ops.openat = no_descriptors;
    fails(*state, &ops, AM_E_INVALID_PARAMS, "#/options/shard_bytes", "give another options.shard_bytes");
    assert_false(am_err_retryable(AM_E_INVALID_PARAMS));
    ops = am_sys_real;
    ops.fsync = no_sync;
    fails(*state, &ops, AM_E_CANNOT_WRITE, "", "Input/output error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(mean_of_two_for_any_threads, setup, teardown),
        cmocka_unit_test_setup_teardown(sparsify_over_the_model, setup, teardown),
        cmocka_unit_test_setup_teardown(non_finite_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(too_large_for_the_dtype, setup, teardown),
        cmocka_unit_test_setup_teardown(integers_come_from_the_donor, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_selected, setup, teardown),
        cmocka_unit_test_setup_teardown(cancel_stops_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(trouble_with_the_files_is_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
