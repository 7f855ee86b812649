/*
 * test_frame.c - ties and breadcrumbs on small arrays: the golden vectors of merge.md E1 (computed there in float64),
 * kept counts against A16 and A19, a plain reference written from A14, and the edge cases.
 */
#include "tests/unit/drive.h"

#include "core/base/err.h"
#include "core/tensor/kernels.h"

#include <math.h>
#include <stdio.h>

extern const struct am_method am_method_merge_ties, am_method_merge_breadcrumbs, am_method_merge_task_arithmetic;

static const float zero[8];
static const float x1[8] = {.125f, -.25f, .375f, -.5f, .625f, -.75f, .875f, -1};
static const float x2[8] = {-.375f, -.25f, .125f, .5f, .75f, -.125f, 0, .25f};
static const float x3[8] = {.25f, .25f, -.25f, 0, .125f, -.625f, .375f, -.125f};
static const float *const golden_x[] = {x1, x2, x3};
static const char *const W[] = {"{\"weight\":1.0}", "{\"weight\":0.5}", "{\"weight\":0.25}"};
static const char *const ones[] = {"{\"weight\":1.0}", "{\"weight\":1.0}", "{\"weight\":1.0}"};

static struct drive_result golden(const struct am_method *m, const char *params, const char *const *beside, float *out)
{
    struct drive_tensor t = {.name = "w", .n = 8, .base = zero, .x = golden_x, .out = out};
    struct drive d = {.method = m, .params = params, .beside = beside, .inputs = 3, .tensor = &t, .tensors = 1};
    return drive_run(&d);
}

static void check_golden(const struct am_method *m, const char *params, const char *const *beside, const double *want)
{
    float out[8];
    struct drive_result r = golden(m, params, beside, out);
    assert_int_equal(r.rc, 0);
    for (int i = 0; i < 8; i++)
        if (fabs((double)out[i] - want[i]) > 1e-6)
            fail_msg("%s %s, element %d: %.9g, not %.9g", m->name, params, i, (double)out[i], want[i]);
    drive_done(&r);
}

/* The mask of one input: its delta alone with weight 1, no election. */
static void check_mask(const struct am_method *m, const char *params, const float *x, const char *mask)
{
    float out[8];
    const char *const beside[] = {"{\"weight\":1.0}"};
    struct drive_tensor t = {.name = "w", .n = 8, .base = zero, .x = &x, .out = out};
    struct drive d = {.method = m, .params = params, .beside = beside, .inputs = 1, .tensor = &t, .tensors = 1};
    struct drive_result r = drive_run(&d);
    size_t kept = 0;
    for (int i = 0; i < 8; i++) {
        check_near(out[i], mask[i] == '1' ? x[i] : 0, 0);
        kept += mask[i] == '1';
    }
    check_near(drive_number(&r, "w", "kept", 0), (double)kept, 0);
    drive_done(&r);
}

#define PAIR "\"drop_low\":0.5,\"drop_high\":0.125"

static void test_golden_ties(void **state)
{
    (void)state;
    const struct am_method *ties = &am_method_merge_ties;
    check_mask(ties, "{\"density\":0.5}", x1, "00001111");
    check_mask(ties, "{\"density\":0.5}", x2, "11011000");
    check_mask(ties, "{\"density\":0.5}", x3, "11000110");
    check_golden(ties, "{\"density\":0.5}", W, (double[]){-.375, -.25, 0, .5, .666667, -.725, .775, -1});
    check_golden(ties, "{\"density\":0.5,\"normalize\":false}", W,
                 (double[]){-.1875, -.125, 0, .25, 1, -.90625, .96875, -1});
}

static void test_golden_breadcrumbs(void **state)
{
    (void)state;
    const struct am_method *b = &am_method_merge_breadcrumbs;
    check_mask(b, "{" PAIR "}", x1, "00001110");
    check_mask(b, "{" PAIR "}", x2, "11010000");
    check_mask(b, "{" PAIR "}", x3, "11000010");
    check_golden(b, "{" PAIR ",\"lambda\":0.5}", ones, (double[]){-.0625, 0, 0, .25, .3125, -.375, .625, 0});
    check_golden(b, "{" PAIR ",\"consensus\":\"sum\"}", ones, (double[]){-.375, .25, 0, .5, .625, -.75, 1.25, 0});
}

/* ---- larger arrays ---- */

static uint64_t seed = 0x2545f4914f6cdd1du;
static float draw(void)
{
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return (float)((double)(seed >> 11) * 0x1p-53 * 2 - 1);
}
static float bf16(float x)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    u &= 0xffff0000u;
    memcpy(&x, &u, 4);
    return x;
}

#define MAX_N 9000
#define M 3
struct model_set {
    float base[MAX_N], x[M][MAX_N];
    const float *list[M];
    size_t n;
};

static void fill(struct model_set *s, size_t n, int grid)
{
    s->n = n;
    for (size_t j = 0; j < n; j++) {
        float b = draw();
        s->base[j] = grid ? bf16(b) : b;
        for (size_t i = 0; i < M; i++) {
            float x = b + draw() * draw() * 0.1f;
            s->x[i][j] = grid ? bf16(x) : x;
        }
    }
    for (size_t i = 0; i < M; i++)
        s->list[i] = s->x[i];
}

static struct drive_result run_set(const struct am_method *m, const struct model_set *s, const char *params,
                                   const char *const *beside, size_t window, size_t tile, size_t cols, float *out)
{
    struct drive_tensor t = {.name = "t", .n = s->n, .cols = cols, .base = s->base, .x = s->list, .out = out};
    struct drive d = {.method = m,
                      .params = params,
                      .beside = beside,
                      .inputs = M,
                      .tensor = &t,
                      .tensors = 1,
                      .window = window,
                      .tile = tile,
                      .backwards = window != 0};
    struct drive_result r = drive_run(&d);
    assert_int_equal(r.rc, 0);
    return r;
}

struct want { /* keep the entries from number `inner` to before `outer` in the order of magnitudes */
    size_t inner, outer;
};
static const float *sorted_by;
static int by_magnitude(const void *a, const void *b)
{
    size_t i = *(const size_t *)a, j = *(const size_t *)b;
    float x = fabsf(sorted_by[i]), y = fabsf(sorted_by[j]);
    return x > y ? -1 : x < y ? 1 : i < j ? -1 : 1;
}

static void reference_mask(const float *d, size_t n, struct want w, unsigned char *mask)
{
    static size_t at[MAX_N];
    for (size_t j = 0; j < n; j++)
        at[j] = j;
    sorted_by = d;
    qsort(at, n, sizeof(*at), by_magnitude);
    for (size_t j = 0; j < n; j++)
        mask[at[j]] = j >= w.inner && j < w.outer;
}

struct frame {
    double weight[M], lambda;
    int normalize;
    char consensus; /* 'n', 's', 'c' */
};

/* One element by A14, in f32 as written there. */
static float reference_element(const float *d, float b, const struct frame *f)
{
    float e[M], sum = 0, num = 0, div = 0;
    double all = 0;
    for (int i = 0; i < M; i++) {
        volatile float product = (float)f->weight[i] * d[i];
        e[i] = product;
        sum += f->consensus == 'c' ? (float)((e[i] > 0) - (e[i] < 0)) : e[i];
        all += f->weight[i];
    }
    for (int i = 0; i < M; i++) {
        int in = f->consensus == 'n' || (e[i] != 0 && (e[i] > 0) == (sum >= 0));
        if (!in)
            continue;
        num += e[i];
        div += (float)f->weight[i];
    }
    if (f->consensus == 'n')
        div = (float)all;
    if (f->normalize)
        num = num / (div == 0 ? 1 : div);
    volatile float scaled = (float)f->lambda * num;
    return b + scaled;
}

static void check_set(const struct am_method *m, const struct model_set *s, const char *params,
                      const char *const *beside, const struct want *want, size_t cols, const struct frame *f)
{
    static float out[MAX_N], d[M][MAX_N];
    static unsigned char mask[M][MAX_N];
    struct drive_result r = run_set(m, s, params, beside, 640, 64, cols, out);
    size_t row = cols ? cols : s->n, conflicts = 0;
    double norm[M] = {0};
    size_t kept[M] = {0};
    for (size_t i = 0; i < M; i++) {
        for (size_t j = 0; j < s->n; j++) {
            d[i][j] = s->x[i][j] - s->base[j];
            norm[i] += (double)d[i][j] * (double)d[i][j];
        }
        for (size_t at = 0; at < s->n; at += row)
            reference_mask(&d[i][at], row, want[i], &mask[i][at]);
    }
    for (size_t j = 0; j < s->n; j++) {
        float kept_d[M];
        int plus = 0, minus = 0;
        for (size_t i = 0; i < M; i++) {
            kept_d[i] = mask[i][j] ? d[i][j] : 0;
            kept[i] += mask[i][j];
            plus |= kept_d[i] * (float)f->weight[i] > 0;
            minus |= kept_d[i] * (float)f->weight[i] < 0;
        }
        conflicts += plus && minus;
        float expected = reference_element(kept_d, s->base[j], f);
        if (expected != out[j])
            fail_msg("%s %s n %zu element %zu: %a, not %a", m->name, params, s->n, j, (double)out[j], (double)expected);
    }
    for (size_t i = 0; i < M; i++) {
        check_near(drive_number(&r, "t", "kept", i), (double)kept[i], 0);
        check_near(drive_number(&r, NULL, "kept", i), (double)kept[i], 0);
        check_near(drive_number(&r, "t", "delta_norm", i), sqrt(norm[i]), 1e-9 * (1 + sqrt(norm[i])));
    }
    if (f->consensus != 'n')
        check_near(drive_number(&r, "t", "sign_conflict", 0), (double)conflicts / (double)s->n, 1e-12);
    drive_done(&r);
}

static const size_t sizes[] = {1, 2, 7, 50, 63, 64, 65, 99, 100, 101, 1000, 4095, 4096, 4097, 9000};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

static void test_ties_reference(void **state)
{
    (void)state;
    static struct model_set s;
    static const char *const beside[M] = {"{\"weight\":0.7,\"density\":0.2}", "{\"weight\":-0.4,\"density\":0.5}",
                                          "{\"weight\":1.3}"};
    struct frame f = {.weight = {.7, -.4, 1.3}, .lambda = .9, .normalize = 1, .consensus = 's'};
    for (size_t k = 0; k < 2 * SIZES; k++) {
        size_t n = sizes[k / 2], fifth = n / 5 ? n / 5 : 1, half = n / 2 ? n / 2 : 1;
        struct want want[M] = {{0, fifth}, {0, half}, {0, n}};
        fill(&s, n, k % 2);
        f.consensus = 's', f.normalize = 1;
        check_set(&am_method_merge_ties, &s, "{\"lambda\":0.9}", beside, want, 0, &f);
        f.consensus = 'c', f.normalize = 0;
        check_set(&am_method_merge_ties, &s, "{\"lambda\":0.9,\"consensus\":\"count\",\"normalize\":false}", beside,
                  want, 0, &f);
    }
}

static void test_breadcrumbs_reference(void **state)
{
    (void)state;
    static struct model_set s;
    static const char *const beside[M] = {"{\"weight\":0.7,\"drop_low\":0.5,\"drop_high\":0.125}",
                                          "{\"weight\":-0.4,\"drop_low\":0.25,\"drop_high\":0.0}",
                                          "{\"weight\":1.3,\"drop_low\":0.0,\"drop_high\":0.0625}"};
    struct frame f = {.weight = {.7, -.4, 1.3}, .lambda = .5, .consensus = 'n'};
    for (size_t k = 0; k < 2 * SIZES; k++) {
        size_t n = sizes[k / 2];
        struct want want[M] = {{n / 8, n - n / 2}, {0, n - n / 4}, {n / 16, n}};
        fill(&s, n, k % 2);
        f.consensus = 'n', f.normalize = 0;
        check_set(&am_method_merge_breadcrumbs, &s, "{\"lambda\":0.5}", beside, want, 0, &f);
        f.normalize = 1;
        check_set(&am_method_merge_breadcrumbs, &s, "{\"lambda\":0.5,\"normalize\":true}", beside, want, 0, &f);
        f.consensus = 's';
        check_set(&am_method_merge_breadcrumbs, &s, "{\"lambda\":0.5,\"normalize\":true,\"consensus\":\"sum\"}", beside,
                  want, 0, &f);
    }
}

static void test_rows(void **state)
{
    (void)state;
    static struct model_set s;
    static const char *const beside[M] = {"{\"weight\":1.0,\"drop_low\":0.5,\"drop_high\":0.125}",
                                          "{\"weight\":1.0,\"drop_low\":0.25,\"drop_high\":0.25}",
                                          "{\"weight\":1.0,\"drop_low\":0.0,\"drop_high\":0.0}"};
    struct frame f = {.weight = {1, 1, 1}, .lambda = 1, .consensus = 'n'};
    const size_t cols[] = {1, 3, 16, 17, 100, 4500, 9000};
    for (size_t k = 0; k < 14; k++) {
        size_t c = cols[k / 2];
        struct want want[M] = {{c / 8, c - c / 2}, {c / 4, c - c / 4}, {0, c}};
        fill(&s, 9000 / c * c, k % 2);
        check_set(&am_method_merge_breadcrumbs, &s, "{\"granularity\":\"row\"}", beside, want, c, &f);
    }
}

/* Kept counts of the density form by A19, in whole numbers: target = floor(density n), the rest is cut at both ends. */
static void check_density(size_t n, int percent, double gamma, size_t gamma_top)
{
    static struct model_set s;
    static float out[MAX_N];
    char params[200];
    size_t target = n * (size_t)percent / 100, kept = 0;
    target = target || !percent ? target : 1;
    if (percent == 100)
        target = n;
    fill(&s, n, 0);
    snprintf(params, sizeof(params), "{\"weight\":1.0,\"density\":%.2f,\"gamma\":%.17g}", percent / 100.0, gamma);
    struct drive_tensor t = {.name = "t", .n = n, .base = s.base, .x = s.list, .out = out};
    struct drive d = {
        .method = &am_method_merge_breadcrumbs, .params = params, .inputs = 1, .tensor = &t, .tensors = 1};
    struct drive_result r = drive_run(&d);
    float largest = 0;
    for (size_t j = 0; j < n; j++) {
        kept += out[j] != s.base[j];
        largest = fmaxf(largest, fabsf(s.x[0][j] - s.base[j]));
    }
    assert_int_equal(kept, target);
    check_near(drive_number(&r, "t", "kept", 0), (double)target, 0);
    size_t top = gamma_top < n - target ? gamma_top : n - target, went = 0;
    for (size_t j = 0; j < n; j++)
        went += fabsf(s.x[0][j] - s.base[j]) == largest && out[j] == s.base[j];
    assert_int_equal(went,
                     target > 0 && top == 0 ? 0 : 1); /* the largest goes exactly when something goes at the top */
    drive_done(&r);
}

static void test_density_counts(void **state)
{
    (void)state;
    const size_t n[] = {1, 2, 50, 64, 99, 100, 101, 1000};
    const int percent[] = {10, 29, 30, 50, 60, 90, 100};
    for (size_t a = 0; a < 8; a++) {
        for (size_t b = 0; b < 7; b++) {
            check_density(n[a], percent[b], 0.01, n[a] / 100);
            check_density(n[a], percent[b], 0, 0);
            check_density(n[a], percent[b], 0.25, n[a] / 4);
        }
    }
}

static void check_same(const struct am_method *a, const char *pa, const struct am_method *b, const char *pb,
                       const struct model_set *s)
{
    static float one[MAX_N], two[MAX_N];
    struct drive_result r = run_set(a, s, pa, W, 0, 0, 0, one), q = run_set(b, s, pb, W, 192, 64, 0, two);
    assert_memory_equal(one, two, s->n * sizeof(float));
    drive_done(&r);
    drive_done(&q);
}

static void test_noop(void **state)
{
    (void)state;
    static struct model_set s;
    static float out[MAX_N];
    const struct am_method *b = &am_method_merge_breadcrumbs, *task = &am_method_merge_task_arithmetic;
    fill(&s, 5000, 0);
    check_same(b, "{\"drop_low\":0.0,\"drop_high\":0.0}", task, "{}", &s);
    check_same(b, "{\"drop_low\":0.0,\"drop_high\":0.0,\"granularity\":\"row\"}", task, "{}", &s);
    check_same(b, "{\"density\":1.0,\"gamma\":0.01,\"lambda\":0.3,\"normalize\":true}", task,
               "{\"lambda\":0.3,\"normalize\":true}", &s);
    struct drive_result r = run_set(b, &s, "{\"density\":1.0,\"gamma\":0.01}", W, 0, 0, 0, out);
    assert_non_null(json_object_get(r.warnings, "breadcrumbs-noop"));
    drive_done(&r);
    r = run_set(b, &s, "{" PAIR "}", W, 0, 0, 0, out);
    assert_null(json_object_get(r.warnings, "breadcrumbs-noop"));
    drive_done(&r);
}

/* The same bytes however it is cut, and by every set of kernels. */
static void test_splits(void **state)
{
    (void)state;
    static struct model_set s;
    static float one[MAX_N], two[MAX_N];
    const struct am_method *const method[] = {&am_method_merge_ties, &am_method_merge_breadcrumbs};
    const char *const params[] = {"{\"density\":0.2}", "{" PAIR ",\"consensus\":\"count\"}"};
    const char *const set[] = {"generic", "avx2", "avx512"};
    fill(&s, 9000, 1);
    for (size_t k = 0; k < 2; k++) {
        assert_true(am_kernels_force("generic"));
        struct drive_result r = run_set(method[k], &s, params[k], W, 0, 0, 0, one);
        for (size_t v = 0; v < 3; v++) {
            if (!am_kernels_force(set[v]))
                continue;
            const size_t cut[][2] = {{0, 0}, {64, 64}, {4096, 4096}, {4096, 64}, {9000, 9000}};
            for (size_t c = 0; c < 5; c++) {
                struct drive_result q = run_set(method[k], &s, params[k], W, cut[c][0], cut[c][1], 0, two);
                assert_memory_equal(one, two, s.n * sizeof(float));
                check_near(drive_number(&r, "t", "threshold", 1), drive_number(&q, "t", "threshold", 1), 0);
                drive_done(&q);
            }
        }
        drive_done(&r);
    }
    assert_true(am_kernels_force("generic"));
}

/* Large enough for a sampled first round; counts by hand. */
static void test_sampled(void **state)
{
    (void)state;
    size_t n = 300000, kept = 0;
    float *base = calloc(n, sizeof(float)), *x = malloc(n * sizeof(float)), *out = malloc(n * sizeof(float));
    const float *const list[] = {x};
    for (size_t j = 0; j < n; j++)
        x[j] = bf16(draw() * draw());
    struct drive_tensor t = {.name = "t", .n = n, .base = base, .x = list, .out = out};
    struct drive d = {.method = &am_method_merge_ties,
                      .params = "{\"weight\":1.0,\"density\":0.2}",
                      .inputs = 1,
                      .tensor = &t,
                      .tensors = 1,
                      .window = 16384,
                      .backwards = true};
    struct drive_result r = drive_run(&d);
    assert_true(r.rounds <= 4);
    double threshold = drive_number(&r, "t", "threshold", 0);
    size_t below = 0, above = 0;
    for (size_t j = 0; j < n; j++) {
        kept += out[j] != 0;
        below += out[j] != 0 && fabs((double)x[j]) < threshold;
        above += out[j] == 0 && fabs((double)x[j]) > threshold;
    }
    assert_int_equal(kept, 60000);
    assert_int_equal(below + above, 0);
    drive_done(&r);
    free(base);
    free(x);
    free(out);
}

static void test_edges(void **state)
{
    (void)state;
    static struct model_set s;
    static float out[MAX_N];
    const struct am_method *ties = &am_method_merge_ties;
    const size_t n[] = {1, 2, 100};
    for (size_t k = 0; k < 3; k++) { /* density 1e-9: one entry stays */
        fill(&s, n[k], 0);
        struct drive_result r = run_set(ties, &s, "{\"density\":1e-9}", W, 0, 0, 0, out);
        for (size_t i = 0; i < M; i++)
            check_near(drive_number(&r, "t", "kept", i), 1, 0);
        drive_done(&r);
    }
    struct drive_result r = run_set(ties, &s, "{\"density\":0.0}", W, 0, 0, 0, out); /* nothing stays */
    assert_memory_equal(out, s.base, s.n * sizeof(float));
    assert_non_null(json_object_get(r.warnings, "density-zero"));
    assert_true(isnan(drive_number(&r, "t", "threshold", 0)));
    drive_done(&r);
    r = run_set(ties, &s, "{\"density\":0.5,\"lambda\":0.0}", W, 0, 0, 0, out);
    assert_memory_equal(out, s.base, s.n * sizeof(float));
    drive_done(&r);
    for (size_t i = 0; i < M; i++) /* models equal to the base */
        memcpy(s.x[i], s.base, sizeof(s.base));
    r = run_set(ties, &s, "{\"density\":0.3}", W, 0, 0, 0, out);
    assert_memory_equal(out, s.base, s.n * sizeof(float));
    check_near(drive_number(&r, "t", "kept", 0), 30, 0);
    assert_non_null(json_object_get(r.warnings, "input-equals-base"));
    drive_done(&r);
    r = run_set(&am_method_merge_breadcrumbs, &s, "{" PAIR "}", W, 0, 0, 0, out);
    assert_memory_equal(out, s.base, s.n * sizeof(float));
    drive_done(&r);
    r = run_set(&am_method_merge_breadcrumbs, &s, "{\"density\":0.0}", W, 0, 0, 0, out);
    assert_memory_equal(out, s.base, s.n * sizeof(float));
    assert_non_null(json_object_get(r.warnings, "density-zero"));
    drive_done(&r);
}

/* One model, density 1, weight 1 is that model where b + (x - b) is exact. */
static void test_identity(void **state)
{
    (void)state;
    static struct model_set s;
    static float out[MAX_N];
    fill(&s, 4097, 1);
    for (size_t j = 0; j < s.n; j++) { /* multiples of 2^-10: differences and sums are exact */
        s.base[j] = (float)(int)(s.base[j] * 1024) / 1024;
        s.x[0][j] = (float)(int)(s.x[0][j] * 1024) / 1024;
    }
    struct drive_tensor t = {.name = "t", .n = s.n, .base = s.base, .x = s.list, .out = out};
    struct drive d = {
        .method = &am_method_merge_ties, .params = "{\"weight\":1.0}", .inputs = 1, .tensor = &t, .tensors = 1};
    struct drive_result r = drive_run(&d);
    assert_memory_equal(out, s.x[0], s.n * sizeof(float));
    assert_int_equal(r.rounds, 1);
    drive_done(&r);
}

/* Weights that nearly cancel are told. */
static void test_thin(void **state)
{
    (void)state;
    float out[8];
    static const char *const beside[] = {"{\"weight\":1.0}", "{\"weight\":-0.9999}", "{\"weight\":1.0}"};
    const float up[8] = {1, 1, 1, 1, 1, 1, 1, 1}, down[8] = {-1, -1, -1, -1, -1, -1, -1, -1};
    const float *const x[] = {up, down, zero};
    struct drive_tensor t = {.name = "w", .n = 8, .base = zero, .x = x, .out = out};
    struct drive d = {.method = &am_method_merge_ties, .beside = beside, .inputs = 3, .tensor = &t, .tensors = 1};
    struct drive_result r = drive_run(&d);
    assert_non_null(json_object_get(r.warnings, "small-divisor"));
    check_near(drive_number(&r, "w", "sign_conflict", 0), 0, 0); /* -1 * -0.9999 agrees */
    drive_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_ties),    cmocka_unit_test(test_golden_breadcrumbs),
        cmocka_unit_test(test_ties_reference), cmocka_unit_test(test_breadcrumbs_reference),
        cmocka_unit_test(test_rows),           cmocka_unit_test(test_density_counts),
        cmocka_unit_test(test_noop),           cmocka_unit_test(test_splits),
        cmocka_unit_test(test_sampled),        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_identity),       cmocka_unit_test(test_thin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
