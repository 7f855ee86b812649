/*
 * test_plan.c - the merge-join over tensor tables: every fault of merge.md B15, and sums worked out by hand.
 */
#include "core/base/sys.h"
#include "core/methods/run_parts.h"
#include "core/table/plan.h"
#include "core/table/plan_parts.h"
#include "core/tensor/dtype.h"
#include "core/tensor/output.h"
#include "tests/unit/table_fixture.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct list {
    const struct am_plan_tensor *t;
    size_t n, at;
    char name[64]; /* the cursor's own: overwritten by each call, as the contract allows */
};

static int next_of(void *cursor, struct am_plan_tensor *ret)
{
    struct list *l = cursor;
    memset(l->name, 'Z', sizeof(l->name) - 1);
    if (l->at == l->n)
        return 0;
    *ret = l->t[l->at++];
    snprintf(l->name, sizeof(l->name), "%s", ret->name);
    ret->name = l->name;
    return 1;
}

static int broken(void *cursor, struct am_plan_tensor *ret)
{
    (void)cursor;
    (void)ret;
    return -AM_E_STORE_DAMAGED;
}

static struct am_table table;
static struct am_faults faults;

static int setup(void **state)
{
    (void)state;
    return am_table_load(&table, registry, strlen(registry));
}

static int teardown(void **state)
{
    (void)state;
    am_table_done(&table);
    am_faults_done(&faults);
    return 0;
}

static const char *const labels[] = {"d/a@v1", "d/b@v1", "d/c@v1"};
static const char *const pointers[] = {"#/inputs/models/0", "#/inputs/models/1", "#/inputs/models/2"};

static bool names_only; /* of the first input */

static int plan_of(const char *method, const char *out_dtype, struct list *l, size_t n, size_t donor,
                   struct am_plan *ret)
{
    struct am_plan_input in[3];
    struct am_body_input roles[3] = {{.role = "model"}, {.role = "model"}, {.role = "model"}};
    struct am_body b = {.row = am_table_find(&table, "merge", method), .input = roles, .inputs = n};
    assert_non_null(b.row);
    b.options = out_dtype ? json_pack("{s:s}", "out_dtype", out_dtype) : json_pack("{s:n}", "out_dtype");
    for (size_t i = 0; i < n; i++)
        in[i] = (struct am_plan_input){.next = next_of, .cursor = &l[i], .label = labels[i], .pointer = pointers[i]};
    in[0].names_only = names_only;
    am_faults_done(&faults);
    faults = (struct am_faults){0};
    int rc = am_plan_make(ret, &b, in, n, donor, 2, &faults);
    json_decref(b.options);
    return rc;
}

static const struct am_plan_tensor plain[] = {{.name = "bias", .dtype = "F32", .shape = "[10]", .bytes = 40},
                                              {.name = "count", .dtype = "I64", .shape = "[]", .bytes = 8},
                                              {.name = "weight", .dtype = "F32", .shape = "[10,4]", .bytes = 160}};
static const struct am_plan_tensor half[] = {{.name = "bias", .dtype = "F16", .shape = "[10]", .bytes = 20},
                                             {.name = "count", .dtype = "I64", .shape = "[]", .bytes = 8},
                                             {.name = "weight", .dtype = "BF16", .shape = "[10,4]", .bytes = 80}};

#define LIST(a)                                                                                                        \
    {                                                                                                                  \
        .t = (a), .n = sizeof(a) / sizeof(*(a))                                                                        \
    }

static void test_sums(void **state)
{
    (void)state;
    struct am_plan p;
    struct list l[] = {LIST(plain), LIST(half)};
    assert_int_equal(plan_of("linear", NULL, l, 2, 0, &p), 0);
    assert_int_equal(p.tensors, 3);
    assert_int_equal(p.read_bytes, 40 + 8 + 160 + 20 + 8 + 80);
    assert_int_equal(p.need.tiles, 3);  /* two sources and the result */
    assert_int_equal(p.need.tile, 192); /* 40 elements of f32, in whole lines of 64 bytes */
    assert_int_equal(p.need.in, 192 + 128);
    assert_int_equal(p.need.out, 192);
    assert_int_equal(p.need.windows, 2);
    assert_int_equal(p.need.entries, 6);
    assert_int_equal(p.peak_memory_bytes, am_plan_memory(&p.need, 2));
}

/* A method that works on BF16 as stored widens nothing, as long as nothing else is there. */
static void test_tiles_of_stored_bf16(void **state)
{
    (void)state;
    static const struct am_plan_tensor stored[] = {{.name = "w", .dtype = "BF16", .shape = "[40]", .bytes = 80}},
                                       wide[] = {{.name = "w", .dtype = "F32", .shape = "[40]", .bytes = 160}};
    struct am_plan p, mixed;
    json_t *row = am_table_find(&table, "merge", "linear"), *needs = json_object_get(row, "needs");
    json_object_set_new(needs, "bf16", json_true());
    struct list l[] = {LIST(stored), LIST(stored)}, m[] = {LIST(stored), LIST(wide)};
    assert_int_equal(plan_of("linear", NULL, l, 2, 0, &p), 0);
    assert_int_equal(plan_of("linear", NULL, m, 2, 0, &mixed), 0);
    json_object_del(needs, "bf16");
    assert_int_equal(p.need.idle, 2);
    assert_int_equal(p.need.tiles, 3);
    assert_int_equal(mixed.need.idle, 0);
    /* as many slots as the runner makes, which has the tiles that it does not touch: 4 of 16 MiB */
    struct am_plan_need need = {.tiles = 4, .tile = 4 << 20, .windows = 20}, idle = need;
    idle.idle = 3;
    uint64_t none = am_plan_memory(&(struct am_plan_need){0}, 2);
    assert_int_equal(am_plan_memory(&need, 2) - none, 4 * (16 << 20));
    assert_int_equal(am_plan_memory(&idle, 2) - none, 4 * ((4 << 20) + 3 * 4096)); /* a sample touches a page */
}

static void test_sums_of_passes_and_dtypes(void **state)
{
    (void)state;
    struct am_plan p;
    struct list l[] = {LIST(plain), LIST(half)};
    assert_int_equal(plan_of("task_arithmetic", "BF16", l, 2, 1, &p), 0); /* two passes; the counters are read once */
    assert_int_equal(p.read_bytes, 3 * (40 + 160 + 20 + 80) + 2 * 8);
    assert_true(p.need.by_tensor);
    assert_int_equal(p.need.in, 192 + 128);
    assert_int_equal(p.need.accs, AM_PLAN_TURNS);
    l[0].at = l[1].at = 0;
    assert_int_equal(plan_of("linear", "F32", l, 2, 1, &p), 0); /* a narrow donor stored wide */
    assert_int_equal(p.need.out, 192);
    /* a slot for each thread and ten more, but none without a window to work on */
    struct am_plan_need need = {.tiles = 3, .tile = 4000, .in = 1000, .out = 1000, .windows = 20};
    uint64_t none = am_plan_memory(&(struct am_plan_need){0}, 1);
    assert_int_equal(am_plan_memory(&need, 1) - none, 11 * 14000);
    assert_int_equal(am_plan_memory(&need, 2) - none, 12 * 14000);
    assert_int_equal(am_plan_memory(&need, 64) - none, 20 * 14000);
    need.acc = 100;
    need.accs = 2;
    assert_int_equal(am_plan_memory(&need, 1) - none, 11 * 14000 + 2 * 100);
    need = (struct am_plan_need){.in = (uint64_t)30 << 20, .windows = 100}; /* fewer than threads when they are large */
    assert_int_equal(am_plan_memory(&need, 8) - none, (uint64_t)60 << 20);
    need.in = (uint64_t)300 << 20;
    assert_int_equal(am_plan_memory(&need, 8) - none, (uint64_t)300 << 20);
    need.acc = UINT64_MAX / 2;
    need.accs = 3;
    assert_true(am_plan_memory(&need, 64) == UINT64_MAX); /* saturates */
}

/* The daemon links nothing of the runner, so its numbers are written down twice. */
static void test_counts_as_the_runner(void **state)
{
    (void)state;
    assert_int_equal(AM_PLAN_TILE, AM_TILE);
    assert_int_equal(AM_PLAN_CHUNK, AM_CHUNK);
    assert_int_equal(AM_PLAN_WINDOW, AM_WINDOW);
    assert_int_equal(AM_PLAN_COPY, AM_COPY_BYTES);
    assert_int_equal(AM_PLAN_SLOTS, AM_SLOTS_BYTES);
    assert_int_equal(AM_PLAN_AHEAD, AM_SLOTS_AHEAD);
    assert_int_equal(AM_PLAN_TURNS, AM_TURNS);
    assert_int_equal(AM_PLAN_SHARDS, AM_SHARDS_MAX);
    for (uint64_t n = 1; n < UINT64_C(1) << 40; n = n * 3 + 1) {
        struct am_plan_need need = {.elements = n}, with = {.elements = n, .lists = 1};
        assert_int_equal(am_plan_memory(&with, 1) - am_plan_memory(&need, 1), am_list_scope(n));
    }
}

static void whole_is_the_same(struct am_matrix_need n, const char *described)
{
    static const size_t shape[][2] = {{1, 1}, {3, 500}, {500, 3}, {60, 109}, {110, 60}, {4000, 4000}};
    json_t *need = json_loads(described, 0, NULL);
    assert_non_null(need);
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (size_t models = 1; models < 6; models++)
            for (int matrix = 0; matrix < 2; matrix++) {
                size_t rows = matrix ? shape[i][0] : 1, cols = shape[i][1];
                assert_int_equal(am_matrix_doubles(&n, matrix, rows, cols, models),
                                 am_plan_whole_doubles(need, matrix, rows, cols, models));
            }
    json_decref(need);
}

static void test_counts_whole_tensors_as_the_runner(void **state)
{
    (void)state;
    struct am_matrix_need n = {.full = {1, 2, 0}, .square = {3, 0, 1}, .edge = {8, 1, 0}, .row = {1, 1, 0}};
    whole_is_the_same(n, "{\"full\":[1,2,0],\"square\":[3,0,1],\"edge\":[8,1,0],\"row\":[1,1,0],\"joined\":false}");
    n.joined = true;
    whole_is_the_same(n, "{\"full\":[1,2,0],\"square\":[3,0,1],\"edge\":[8,1,0],\"row\":[1,1,0],\"joined\":true}");
}

static void test_counts_factors_as_the_runner(void **state)
{
    (void)state;
    static const size_t shape[][2] = {{1, 1}, {3, 500}, {500, 3}, {60, 109}, {136, 144}, {4000, 4000}};
    static const size_t most[] = {1, 8, 52, 128, 136, 4000};
    for (size_t i = 0; i < sizeof shape / sizeof *shape; i++)
        for (size_t k = 0; k < sizeof most / sizeof *most; k++)
            for (int full = 0; full < 2; full++) {
                size_t rows = shape[i][0], cols = shape[i][1], side = rows < cols ? rows : cols;
                size_t rank = most[k] < side ? most[k] : side;
                assert_int_equal(am_factors_work(full, rows, cols, rank), am_plan_factors_work(full, rows, cols, rank));
            }
}

static void expect(size_t i, const char *code, const char *pointer, const char *reason, const char *tensor,
                   const char *detail)
{
    assert_true(i < faults.n);
    const struct am_fault *f = &faults.v[i];
    assert_string_equal(am_err_slug(f->code), code);
    assert_string_equal(f->pointer, pointer);
    if (reason)
        assert_string_equal(f->reason, reason);
    if (tensor)
        assert_string_equal(f->tensor, tensor);
    if (!strstr(f->detail, detail))
        fail_msg("detail is: %s", f->detail);
}

static void test_every_fault(void **state)
{
    (void)state;
    static const struct am_plan_tensor donor[] = {{.name = "a", .dtype = "F32", .shape = "[2]", .bytes = 8},
                                                  {.name = "b", .dtype = "F32", .shape = "[2]", .bytes = 8},
                                                  {.name = "c", .dtype = "I64", .shape = "[2]", .bytes = 16},
                                                  {.name = "d", .dtype = "F32", .shape = "[2]", .bytes = 8},
                                                  {.name = "e", .dtype = "F32", .shape = "[2]", .bytes = 8},
                                                  {.name = "f", .dtype = "I32", .shape = "[2]", .bytes = 8}};
    static const struct am_plan_tensor other[] = {{.name = "b", .dtype = "F32", .shape = "[3]", .bytes = 12},
                                                  {.name = "bb", .dtype = "F32", .shape = "[2]", .bytes = 8},
                                                  {.name = "c", .dtype = "I32", .shape = "[2]", .bytes = 8},
                                                  {.name = "d", .dtype = "F8_E4M3", .shape = "[2]", .bytes = 2},
                                                  {.name = "e", .dtype = "I32", .shape = "[2]", .bytes = 8},
                                                  {.name = "f", .dtype = "F32", .shape = "[2]", .bytes = 8},
                                                  {.name = "g.qweight", .dtype = "I32", .shape = "[1]", .bytes = 4}};
    struct am_plan p = {.tensors = 77};
    struct list l[] = {LIST(donor), LIST(other), LIST(donor)};
    assert_int_equal(plan_of("linear", NULL, l, 3, 0, &p), -AM_E_SHAPE_MISMATCH);
    assert_int_equal(p.tensors, 77); /* untouched */
    assert_int_equal(faults.n, 9);
    const char *at = "#/inputs/models/1";
    expect(0, "shape-mismatch", at, "tensor-missing", "a", "tensor a is in d/a@v1 but not in d/b@v1");
    expect(1, "shape-mismatch", at, "shape", "b", "tensor b: d/b@v1 has [3], d/a@v1 has [2]");
    expect(2, "shape-mismatch", at, "tensor-extra", "bb", "tensor bb is in d/b@v1 but not in d/a@v1");
    expect(3, "dtype-unsupported", at, "dtype", "c", "d/b@v1 has I32, d/a@v1 has I64");
    expect(4, "dtype-unsupported", at, "quantised-tensor", "d", "d in d/b@v1 is F8_E4M3");
    expect(5, "dtype-unsupported", at, "dtype", "e", "d/b@v1 has I32, d/a@v1 has F32");
    expect(6, "dtype-unsupported", at, "dtype", "f", "d/b@v1 has F32, d/a@v1 has I32");
    expect(7, "dtype-unsupported", at, "quantised-tensor", "g.qweight", "dequantise it first");
    expect(8, "shape-mismatch", at, "tensor-extra", "g.qweight", "not in d/a@v1");
}

static void test_empty_inputs(void **state)
{
    (void)state;
    struct am_plan p;
    struct list l[] = {LIST(plain), {0}, LIST(plain)};
    assert_int_equal(plan_of("linear", NULL, l, 3, 0, &p), -AM_E_UNSUPPORTED_FORMAT);
    assert_int_equal(faults.n, 1);
    expect(0, "unsupported-format", "#/inputs/models/1", NULL, NULL, "d/b@v1 has no tensors");
    l[0].at = l[2].at = 0;
    assert_int_equal(plan_of("linear", NULL, l, 3, 1, &p),
                     -AM_E_UNSUPPORTED_FORMAT); /* nothing is extra against an empty donor */
    assert_int_equal(faults.n, 1);
}

static void test_many_tensors(void **state)
{
    (void)state;
    enum { N = 1000 };
    static struct am_plan_tensor many[N];
    static char names[N][16];
    struct am_plan p;
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof(names[i]), "t%04d", i);
        many[i] = (struct am_plan_tensor){.name = names[i], .dtype = "F32", .shape = "[1]", .bytes = 4};
    }
    static const struct am_plan_tensor one[] = {{.name = "zz", .dtype = "F32", .shape = "[1]", .bytes = 4}};
    struct list l[] = {LIST(many), LIST(one)};
    assert_int_equal(plan_of("linear", NULL, l, 2, 0, &p), -AM_E_SHAPE_MISMATCH);
    assert_int_equal(faults.n, 21);
    expect(19, "shape-mismatch", "#/inputs/models/1", "tensor-missing", "t0019", "not in d/b@v1");
    expect(20, "shape-mismatch", "#/inputs/models/1", "more-tensors", NULL, "and 981 more tensors of d/b@v1");
}

static void test_damaged_tables(void **state)
{
    (void)state;
    static const struct am_plan_tensor unsorted[] = {{.name = "b", .dtype = "F32", .shape = "[1]", .bytes = 4},
                                                     {.name = "a", .dtype = "F32", .shape = "[1]", .bytes = 4}};
    static const struct am_plan_tensor twice[] = {{.name = "a", .dtype = "F32", .shape = "[1]", .bytes = 4},
                                                  {.name = "a", .dtype = "F32", .shape = "[1]", .bytes = 4}};
    struct am_plan p;
    struct list l[] = {LIST(unsorted)}, k[] = {LIST(twice)};
    assert_int_equal(plan_of("linear", NULL, l, 1, 0, &p), -AM_E_STORE_DAMAGED);
    assert_int_equal(plan_of("linear", NULL, k, 1, 0, &p), -AM_E_STORE_DAMAGED);
    struct am_body b = {.row = am_table_find(&table, "merge", "linear")};
    struct am_plan_input in = {.next = broken, .label = "x", .pointer = "#"};
    assert_int_equal(am_plan_make(&p, &b, &in, 1, 0, 1, &faults), -AM_E_STORE_DAMAGED);
}

static void test_out_dtype(void **state)
{
    (void)state;
    struct am_plan p;
    struct list l[] = {LIST(plain)};
    assert_int_equal(plan_of("linear", "I8", l, 1, 0, &p), -AM_E_DTYPE_UNSUPPORTED);
    expect(0, "dtype-unsupported", "#/options/out_dtype", "dtype", NULL, "I8");
}

/* The donor of a base that only gives names: its numbers are not read. */
static void test_names_only(void **state)
{
    (void)state;
    struct am_plan p;
    struct list l[] = {LIST(plain), LIST(plain)};
    names_only = true;
    assert_int_equal(plan_of("linear", NULL, l, 2, 0, &p), 0);
    names_only = false;
    assert_int_equal(p.read_bytes, 40 + 160 + 2 * 8);
    assert_int_equal(p.need.tiles, 2);
}

enum { TENSORS = 300, STAGED = 1000 };

struct made { /* a donor with one file, in the order of places and in the order of names */
    struct am_plan_tensor place[TENSORS], name[TENSORS];
    struct am_out_want want[TENSORS];
    uint64_t shape[TENSORS][2];
    char names[TENSORS][40], shapes[TENSORS][40];
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct am_plan_tensor *)a)->name, ((const struct am_plan_tensor *)b)->name);
}

static int by_place(const void *a, const void *b)
{
    const struct am_plan_tensor *x = a, *y = b;
    return x->begin != y->begin ? (x->begin < y->begin ? -1 : 1) : strcmp(x->name, y->name);
}

static int walk(void *ctx, bool by_place, int (*each)(void *arg, const struct am_plan_tensor *t), void *arg)
{
    const struct made *m = ctx;
    int rc = 0;
    for (size_t i = 0; i < TENSORS && rc == 0; i++)
        rc = each(arg, by_place ? &m->place[i] : &m->name[i]);
    return rc;
}

static void make_donor(struct made *m, unsigned seed)
{
    static const enum am_dtype dtypes[] = {AM_F32, AM_BF16, AM_F16, AM_F64, AM_I64, AM_U8, AM_BOOL_};
    static const char *const odd[] = {"plain", "\"quoted\"", "back\\slash", "tab\t", "bell\a", "caf\xc3\xa9"};
    uint64_t at = 0;
    srand(seed);
    for (size_t i = 0; i < TENSORS; i++) {
        enum am_dtype t = dtypes[rand() % 7];
        uint64_t elements, bytes;
        snprintf(m->names[i], sizeof m->names[i], "%s.%d.%zu", odd[rand() % 6], rand() % 1000, i);
        m->shape[i][0] = (uint64_t)(rand() % 200);
        m->shape[i][1] = (uint64_t)(rand() % 12);
        snprintf(m->shapes[i], sizeof m->shapes[i], "[%d,%d]", (int)m->shape[i][0], (int)m->shape[i][1]);
        assert_int_equal(am_dtype_bytes(t, m->shape[i], 2, &elements, &bytes), 0);
        m->place[i] =
            (struct am_plan_tensor){m->names[i], am_dtype_name(t), m->shapes[i], "f", at, bytes, false, false};
        at += bytes;
    }
    qsort(m->place, TENSORS, sizeof *m->place, by_place); /* empty tensors share a place */
    memcpy(m->name, m->place, sizeof m->name);
    qsort(m->name, TENSORS, sizeof *m->name, by_name);
}

static void open_as(struct made *m, const char *out_dtype, uint64_t shard_bytes, struct am_output *o)
{
    for (size_t i = 0; i < TENSORS; i++) {
        int own = am_dtype_parse(m->place[i].dtype, strlen(m->place[i].dtype));
        int out =
            out_dtype && am_dtype_computed((enum am_dtype)own) ? am_dtype_parse(out_dtype, strlen(out_dtype)) : own;
        size_t k = (size_t)(m->place[i].name - m->names[0]) / sizeof m->names[0];
        m->want[i] = (struct am_out_want){.name = m->names[k], .shape = m->shape[k], .dtype = (uint8_t)out, .rank = 2};
    }
    char place[] = "/tmp/am-test-plan-XXXXXX";
    assert_non_null(mkdtemp(place));
    int dir = am_sys_open(AT_FDCWD, place, O_RDONLY | O_DIRECTORY, 0);
    assert_true(dir >= 0);
    assert_int_equal(am_output_open(o, dir, 0, m->want, TENSORS, shard_bytes), 0);
    am_sys_close(dir);
    assert_int_equal(am_sys_rmtree(AT_FDCWD, place), 0);
}

/* The planned files are those that core/tensor/output.c opens: names and bytes, whatever dtypes, names and shards. */
static void test_files_agree_with_core_tensor(void **state)
{
    (void)state;
    static const struct {
        const char *out_dtype;
        json_int_t shard;
    } kinds[] = {{NULL, 0}, {"F16", 0}, {NULL, 20000}, {"F32", 20000}, {"BF16", 3000}, {NULL, 100000}};
    static struct made m;
    for (unsigned seed = 1; seed <= 5; seed++) {
        make_donor(&m, seed);
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            struct am_body b = {.row = am_table_find(&table, "merge", "linear")};
            struct am_plan_file file = {.path = (char *)(uintptr_t) "f", .bytes = 1 << 20};
            struct am_plan_donor donor = {.file = &file, .files = 1, .walk = walk, .ctx = &m, .assemble_fraction = 0.5};
            struct am_plan p = {0};
            struct am_output o;
            b.options = json_pack("{s:s?, s:I}", "out_dtype", kinds[k].out_dtype, "shard_bytes", kinds[k].shard);
            assert_int_equal(am_plan_output(&p, &b, &donor, 1, &faults), 0);
            open_as(&m, kinds[k].out_dtype, (uint64_t)kinds[k].shard, &o);
            uint64_t sum = 0;
            assert_int_equal(p.files, o.files);
            assert_true(kinds[k].shard ? p.files > 2 : p.files == 1);
            for (size_t i = 0; i < o.files; i++) {
                assert_string_equal(p.file[i].path, o.file[i].path);
                assert_int_equal(p.file[i].bytes, o.file[i].bytes);
                sum += o.file[i].bytes;
            }
            assert_int_equal(p.write_bytes, sum);
            am_output_done(&o);
            am_plan_done(&p);
            json_decref(b.options);
        }
    }
}

/* Four times over: 1,200 tensors. */
static int walk_again(void *ctx, bool by_place, int (*each)(void *arg, const struct am_plan_tensor *t), void *arg)
{
    const struct made *m = ctx;
    (void)by_place;
    int rc = 0;
    for (size_t i = 0; i < (size_t)4 * TENSORS && rc == 0; i++)
        rc = each(arg, &m->place[i % TENSORS]);
    return rc;
}

static void test_too_many_shards(void **state)
{
    (void)state;
    static const struct am_plan_tensor one = {"a", "F32", "[1]", "f", 0, 4, false, false};
    static struct made m;
    am_faults_done(&faults);
    for (size_t i = 0; i < TENSORS; i++)
        m.place[i] = one;
    struct am_body b = {.row = am_table_find(&table, "merge", "linear")};
    struct am_plan_file file[4] = {{.path = (char *)(uintptr_t) "f"}};
    struct am_plan_donor donor = {.file = file, .files = 1, .walk = walk_again, .ctx = &m};
    struct am_plan p = {0};
    b.options = json_pack("{s:n, s:i}", "out_dtype", "shard_bytes", 1);
    assert_int_equal(am_plan_output(&p, &b, &donor, 1, &faults), -AM_E_INVALID_PARAMS);
    assert_int_equal(faults.n, 1);
    expect(0, "invalid-params", "#/options/shard_bytes", "too-many-shards", NULL, "at most 1000 files");
    am_plan_done(&p);
    json_decref(b.options);
}

static void test_patterns(void **state)
{
    (void)state;
    struct am_body b = {.row = json_pack("{s:{s:s}}", "needs", "selects", "patterns"),
                        .params = json_pack("{s:[s,s], s:[s]}", "include", "a.*", "b", "exclude", "*.bias")};
    assert_true(am_plan_selects(&b, "a.weight"));
    assert_true(am_plan_selects(&b, "b"));
    assert_false(am_plan_selects(&b, "a.bias"));
    assert_false(am_plan_selects(&b, "c"));
    json_object_set_new(json_object_get(b.row, "needs"), "selects", json_string("own"));
    assert_true(am_plan_selects(&b, "c"));
    json_decref(b.row);
    json_decref(b.params);
}

/* plan.c knows dtypes by name only; core/tensor must say the same of every one. */
static void test_dtypes_agree_with_core_tensor(void **state)
{
    (void)state;
    for (int t = 0; t < AM_DTYPE_COUNT; t++) {
        const char *name = am_dtype_name((enum am_dtype)t);
        const struct am_plan_tensor x[] = {
            {"x", name, "[8]", NULL, 0, am_dtype_bits((enum am_dtype)t), false, false}}; /* 8 elements: `bits` bytes */
        struct am_plan p;
        struct list l[] = {LIST(x)};
        int rc = plan_of("linear", "F32", l, 1, 0, &p);
        bool computed = am_dtype_computed((enum am_dtype)t);
        int other = am_dtype_quantised((enum am_dtype)t) ? -AM_E_DTYPE_UNSUPPORTED : -AM_E_INVALID_PARAMS;
        assert_int_equal(rc, computed ? 0 : other);
        if (rc == -AM_E_INVALID_PARAMS)
            expect(0, "invalid-params", pointers[0], "selection-empty", NULL, "no tensor of F16");
        if (rc == 0)
            assert_int_equal(p.need.windows, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_tiles_of_stored_bf16),
        cmocka_unit_test(test_counts_as_the_runner),
        cmocka_unit_test(test_counts_whole_tensors_as_the_runner),
        cmocka_unit_test(test_counts_factors_as_the_runner),
        cmocka_unit_test(test_sums_of_passes_and_dtypes),
        cmocka_unit_test(test_every_fault),
        cmocka_unit_test(test_empty_inputs),
        cmocka_unit_test(test_many_tensors),
        cmocka_unit_test(test_damaged_tables),
        cmocka_unit_test(test_names_only),
        cmocka_unit_test(test_files_agree_with_core_tensor),
        cmocka_unit_test(test_too_many_shards),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_out_dtype),
        cmocka_unit_test(test_dtypes_agree_with_core_tensor),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
