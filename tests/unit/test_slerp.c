/*
 * test_slerp.c - merge/slerp and merge/port tile by tile, as the runner drives them: golden vector, closed forms,
 * edges, identities, reports. Expected numbers are from merge.md E1, from geometry, or from long double arithmetic of
 * libm.
 */
#include "core/base/err.h"
#include "core/methods/args_json.h"
#include "core/methods/method.h"
#include "core/methods/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WINDOW 3 /* tiles: a few windows are enough to fold accumulators */
#define N 30011
#define POLICIES ",\"nonfinite\":\"refuse\",\"overflow\":\"refuse\"}"
#define PORT(scale) "{\"scale\":" scale ",\"include\":[\"*\"],\"exclude\":[]" POLICIES

extern const struct am_method am_method_merge_slerp, am_method_merge_port;

static struct am_args args;
static json_t *told; /* the report of the run before */
static char warned[512];

static void take_args(const struct am_method *m, const char *params)
{
    json_t *global = json_loads(params, 0, NULL), *each[1] = {NULL};
    const char *what = "";
    am_args_done(&args);
    args = (struct am_args){0};
    if (!global || am_args_from_json(&args, m, global, each, 1, &what) < 0)
        fail_msg("%s: bad %s", params, what);
    json_decref(global);
}

static void slerp_args(double t, double threshold)
{
    char text[200];
    snprintf(text, sizeof text, "{\"t\":%.17g,\"dot_threshold\":%.17g" POLICIES, t, threshold);
    take_args(&am_method_merge_slerp, text);
}

static void on_warning(void *ctx, const char *code, const char *detail)
{
    (void)ctx, (void)detail;
    snprintf(warned + strlen(warned), sizeof warned - strlen(warned), "%s ", code);
}

struct drive {
    const struct am_method *m;
    struct am_scope_info s;
    const float *base, *const *x;
    float *out, *scratch;
    double local[16], acc[16], tally[8];
};

static void tell(struct drive *d)
{
    struct am_report r;
    struct am_scope_info run = {.args = d->s.args, .inputs = d->s.inputs};
    const char *const label[] = {"a", "b"};
    am_report_open(&r, d->m->name, label, d->s.inputs);
    am_report_tensor(&r, "w");
    d->m->report(&d->s, d->acc, d->tally, &r);
    am_report_tensor(&r, NULL);
    d->m->report(&run, NULL, d->tally, &r);
    char *text = am_report_text(&r);
    assert_non_null(text);
    json_decref(told);
    told = json_loads(text, 0, NULL);
    assert_non_null(told);
    free(text);
    warned[0] = 0;
    am_report_warnings(&r, on_warning, NULL);
    am_report_done(&r);
}

/* Statistics when `acc`, else apply(), over one window. */
static void window(struct drive *d, size_t first, double *acc, double *tally)
{
    for (size_t tile = 0; tile < WINDOW && first < d->s.elements; tile++, first += AM_TILE) {
        size_t left = d->s.elements - first;
        const float *x[2] = {d->x[0] + first, d->s.inputs > 1 ? d->x[1] + first : NULL};
        struct am_window w = {.n = left < AM_TILE ? left : AM_TILE,
                              .first = first,
                              .index = first / (WINDOW * AM_TILE),
                              .tile = (unsigned)tile,
                              .base = d->base + first,
                              .x = x,
                              .inputs = d->s.inputs,
                              .out = d->out + first,
                              .scratch = (float *const[]){d->scratch},
                              .tally = tally,
                              .local = d->local};
        assert_int_equal(acc ? d->m->stat(&w, NULL, acc, 0) : d->m->apply(&w, d->m->needs.passes ? d->acc : NULL), 0);
    }
}

static void run(const struct am_method *m, const float *base, const float *x0, const float *x1, size_t n, float *out)
{
    const float *const x[] = {x0, x1};
    struct drive d = {.m = m,
                      .s = {.args = &args,
                            .tensor = {.name = "w", .rank = 1, .shape = (uint64_t[]){n}},
                            .elements = n,
                            .inputs = x1 ? 2 : 1},
                      .base = base,
                      .x = x,
                      .out = out,
                      .scratch = malloc(AM_TILE * sizeof(float))};
    assert_true(m->needs.local_bytes <= sizeof d.local && am_amount(m->needs.acc, 1) <= sizeof d.acc);
    assert_true(am_amount(m->needs.tally, d.s.inputs) <= 8 && am_amount(m->needs.scratch, d.s.inputs) <= 1);
    m->prepare(&d.s, d.local);
    for (size_t i = 0; m->needs.passes && i < n; i += WINDOW * AM_TILE) {
        double acc[16] = {0};
        window(&d, i, acc, NULL);
        assert_int_equal(m->merge(d.acc, acc, 0), 0);
    }
    if (m->needs.passes)
        assert_int_equal(m->between(d.acc, &d.s, d.local, 0, 0), 0);
    for (size_t i = 0; i < n; i += WINDOW * AM_TILE) {
        double tally[8] = {0};
        window(&d, i, NULL, tally);
        for (int k = 0; k < 8; k++)
            d.tally[k] += tally[k];
    }
    tell(&d);
    free(d.scratch);
}

static void slerp(double t, double threshold, const float *base, const float *x, size_t n, float *out)
{
    slerp_args(t, threshold);
    run(&am_method_merge_slerp, base, x, NULL, n, out);
}

static double number(const char *name)
{
    const json_t *v = json_object_get(json_object_get(json_object_get(told, "tensors"), "w"), name);
    if (!json_is_number(v))
        fail_msg("no number %s for w", name);
    return json_number_value(v);
}

static double total(const char *name)
{
    return json_number_value(json_object_get(json_object_get(told, "total"), name));
}

static void near(const float *got, const double *want, size_t n, double within)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - want[i]) <= within))
            fail_msg("[%zu]: %.9g instead of %.9g", i, (double)got[i], want[i]);
}

static void near1(double got, double want, double within)
{
    near(&(float){(float)(got - want)}, &(double){0}, 1, within);
}

static float *draw(unsigned seed, size_t n)
{
    float *x = malloc((n ? n : 1) * sizeof *x);
    uint64_t s = seed * 0x9e3779b97f4a7c15u + 1;
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) {
        s = s * 6364136223846793005u + 1442695040888963407u;
        x[i] = (float)((double)(s >> 33) * 0x1p-30 - 1) * 0.05f;
    }
    return x;
}

static void test_golden(void **state) /* merge.md E1 */
{
    (void)state;
    static const float x1[] = {.125f, -.25f, .375f, -.5f, .625f, -.75f, .875f, -1},
                       x2[] = {-.375f, -.25f, .125f, .5f, .75f, -.125f, 0, .25f};
    static const double want[] = {-0.024824, -0.318432, 0.385628, -0.268784, 0.842091, -0.725246, 0.792442, -0.813628};
    float out[8];
    slerp(.25, .9995, x1, x2, 8, out);
    near(out, want, 8, 6e-7);
    near1(number("cosine"), 0.0664731, 5e-8);
    assert_true(number("straight") == 0 && total("straight") == 0 && total("tensors") == 1);
    near1(number("norm_base"), sqrt(204.0 / 64), 1e-7);
    near1(number("norm_model"), sqrt(71.0 / 64), 1e-7);
    assert_string_equal(warned, "");
}

/* Unit vectors 60 degrees apart: everything is known. */
static void test_angles(void **state)
{
    (void)state;
    double h = sqrt(0.75);
    const float v0[] = {1, 0}, v1[] = {0.5f, (float)h};
    float out[2];
    slerp(.5, .9995, v0, v1, 2, out);
    near(out, (double[]){h, .5}, 2, 1e-7);
    near1(number("cosine"), .5, 1e-7);
    slerp(-1, .9995, v0, v1, 2, out);
    near(out, (double[]){.5, -h}, 2, 2e-7);
    assert_string_equal(warned, "t-outside-unit ");
    slerp(2, .9995, v0, v1, 2, out);
    near(out, (double[]){-.5, h}, 2, 2e-7);
    assert_string_equal(warned, "t-outside-unit ");
    slerp(.5, .4, v0, v1, 2, out); /* the straight line, by the threshold */
    near(out, (double[]){.75, h / 2}, 2, 1e-7);
    assert_true(number("straight") == 1 && total("straight") == 1);
    slerp(999999.5, .9995, v0, v1, 2, out); /* 166,666 turns and a bit */
    double turned = 999999.5 * acos(.5 / sqrt(.25 + (double)v1[1] * (double)v1[1]));
    near(out, (double[]){cos(turned), sin(turned)}, 2, 1e-6);
}

static void test_edges(void **state)
{
    (void)state;
    static const float zero[] = {0, 0}, v[] = {3, 4}, opposite[] = {-3, -4};
    float out[2];
    slerp(.5, .9995, zero, v, 2, out); /* a zero vector is orthogonal */
    near(out, (double[]){3 * sqrt(.5), 4 * sqrt(.5)}, 2, 4e-7);
    assert_true(number("cosine") == 0 && number("norm_base") == 0 && number("norm_model") == 5);
    assert_string_equal(warned, "zero-norm ");
    slerp(.5, .9995, zero, zero, 2, out);
    assert_memory_equal(out, zero, sizeof zero);
    assert_string_equal(warned, "");
    slerp(.25, .9995, v, v, 2, out);
    assert_memory_equal(out, v, sizeof v);
    assert_true(number("cosine") == 1 && number("straight") == 1);
    slerp(.25, .9995, v, opposite, 2, out);
    near(out, (double[]){1.5, 2}, 2, 0);
    assert_string_equal(warned, "antiparallel ");
    slerp(.25, 1, v, v, 2, out); /* no division by the sine of 0 or of pi */
    assert_memory_equal(out, v, sizeof v);
    slerp(.25, 1, v, opposite, 2, out);
    near(out, (double[]){1.5, 2}, 2, 0);
    assert_string_equal(warned, "antiparallel ");
    slerp(.25, .9995, (float[]){2}, (float[]){6}, 1, out); /* length 1 and rank 0 */
    assert_true(out[0] == 3 && number("cosine") == 1 && number("straight") == 1);
    slerp(.25, .9995, (float[]){2}, (float[]){-6}, 1, out);
    assert_true(out[0] == 0 && number("cosine") == -1);
    slerp(.5, .9995, v, v, 0, out); /* no elements */
    assert_true(total("tensors") == 0);
}

/* c, the angle and the factors in long double; the products as the contract says. */
static void test_against_libm(void **state)
{
    (void)state;
    static const size_t sizes[] = {7, 63, 65, 4095, 4096, 4097, N};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        size_t n = sizes[k];
        float *a = draw(1, n), *b = draw(2, n), *out = draw(3, n);
        long double p = 0, q0 = 0, q1 = 0;
        for (size_t i = 0; i < n; i++) {
            b[i] += a[i];
            p += (long double)a[i] * b[i];
            q0 += (long double)a[i] * a[i];
            q1 += (long double)b[i] * b[i];
        }
        long double c = p / sqrtl(q0 * q1), angle = acosl(c);
        float s0 = (float)(sinl(0.7L * angle) / sinl(angle)), s1 = (float)(sinl(0.3L * angle) / sinl(angle));
        slerp(.3, .9995, a, b, n, out);
        near1(number("cosine"), (double)c, 1e-13);
        for (size_t i = 0; i < n; i++) {
            volatile float left = s0 * a[i], right = s1 * b[i], sum = left + right;
            if (fabsf(out[i] - sum) > (fabsf(left) + fabsf(right)) * 0x1p-22f) /* s0, s1 may differ in the last bit */
                fail_msg("n %zu [%zu]: %.9g instead of %.9g", n, i, (double)out[i], (double)sum);
        }
        free(a), free(b), free(out);
    }
}

static void test_parents(void **state)
{
    (void)state;
    static const float v0[] = {1, -2, 3}, v1[] = {-0.0f, 0x1p-149f, 7};
    float out[3];
    slerp(1, .9995, v0, v1, 3, out);
    assert_memory_equal(out, v1, sizeof v1);
    assert_false(am_method_merge_slerp.unchanged(&args, NULL));
    slerp_args(0, .9995);
    assert_true(am_method_merge_slerp.unchanged(&args, NULL));
}

static void test_swap(void **state)
{
    (void)state;
    static const double t[] = {.25, .125, .3, .7, .9};
    float *a = draw(4, N), *b = draw(5, N), *one = draw(6, N), *two = draw(7, N);
    for (size_t k = 0; k < sizeof t / sizeof *t; k++) {
        slerp(t[k], .9995, a, b, N, one);
        slerp(1 - t[k], .9995, b, a, N, two);
        if (k < 2) /* 1 - t is exact */
            assert_memory_equal(one, two, N * sizeof *one);
        for (size_t i = 0; i < N; i++) /* an ulp of the larger term */
            assert_true(fabsf(one[i] - two[i]) <= 0x1p-23f * (fabsf(a[i]) + fabsf(b[i])));
    }
    free(a), free(b), free(one), free(two);
}

static void test_port(void **state)
{
    (void)state;
    float out[3];
    take_args(&am_method_merge_port, PORT("0.5"));
    run(&am_method_merge_port, (float[]){1, 2, 3}, (float[]){2, 4, 8}, (float[]){1, 1, 2}, 3, out);
    assert_memory_equal(out, ((float[]){1.5f, 3.5f, 6}), sizeof out);
    assert_false(am_method_merge_port.unchanged(&args, NULL));
    take_args(&am_method_merge_port, PORT("0.0"));
    assert_true(am_method_merge_port.unchanged(&args, NULL));
    take_args(&am_method_merge_port, PORT("1e-60")); /* 0 as f32 */
    assert_true(am_method_merge_port.unchanged(&args, NULL));
}

/* One rounding for each of the three operations, over tiles and windows. */
static void test_port_rounding(void **state)
{
    (void)state;
    float *b = draw(8, N), *ft = draw(9, N), *old = draw(10, N), *out = draw(11, N);
    take_args(&am_method_merge_port, PORT("0.3"));
    run(&am_method_merge_port, b, ft, old, N, out);
    for (size_t i = 0; i < N; i++) {
        volatile float d = ft[i] - old[i], s = 0.3f * d, sum = b[i] + s;
        if (out[i] != sum)
            fail_msg("[%zu]: %a instead of %a", i, (double)out[i], (double)sum);
    }
    free(b), free(ft), free(old), free(out);
}

static void test_port_identities(void **state)
{
    (void)state;
    float *b = draw(12, N), *ft = draw(13, N), *old = draw(14, N), *out = draw(15, N), *back = draw(16, N);
    for (size_t i = 0; i < N; i++) { /* multiples of 2^-20 below 1: every difference is exact */
        ft[i] = rintf(ft[i] * 0x1p20f) * 0x1p-20f + 0.0f;
        old[i] = rintf(old[i] * 0x1p20f) * 0x1p-20f + 0.0f;
    }
    take_args(&am_method_merge_port, PORT("1.0"));
    run(&am_method_merge_port, old, ft, old, N, out);
    assert_memory_equal(out, ft, N * sizeof *ft);
    assert_true(number("drift") == 0);
    run(&am_method_merge_port, b, ft, old, N, out);
    take_args(&am_method_merge_port, PORT("-1.0"));
    run(&am_method_merge_port, out, ft, old, N, back); /* and back again: an ulp of the largest term */
    for (size_t i = 0; i < N; i++)
        assert_true(fabsf(back[i] - b[i]) <= 0x1p-23f * (fabsf(b[i]) + fabsf(ft[i] - old[i])));
    free(b), free(ft), free(old), free(out), free(back);
}

static void test_port_report(void **state)
{
    (void)state;
    float out[2];
    take_args(&am_method_merge_port, PORT("1.0"));
    run(&am_method_merge_port, (float[]){3, 2}, (float[]){3, 5}, (float[]){3, 4}, 2, out); /* change 0,1 drift 0,-2 */
    assert_memory_equal(out, ((float[]){3, 3}), sizeof out);
    assert_true(number("norm_base_old") == 5 && number("norm_delta") == 1 && number("cosine") == -1);
    assert_true(number("relative") == 1.0 / 5 && number("drift") == 2.0 / 5);
    assert_true(total("relative") == 1.0 / 5 && total("cosine") == -1);
    assert_string_equal(warned, "drift-conflict ");
    run(&am_method_merge_port, (float[]){3, 6}, (float[]){3, 5}, (float[]){3, 4}, 2, out); /* far, but the same way */
    assert_string_equal(warned, "");
    run(&am_method_merge_port, (float[]){3, 3.5f}, (float[]){3, 5}, (float[]){3, 4}, 2, out); /* against, but near */
    assert_string_equal(warned, "");
    run(&am_method_merge_port, (float[]){1, 1}, (float[]){1, 1}, (float[]){0, 0}, 2, out); /* 0 is no divisor */
    assert_true(json_is_null(json_object_get(json_object_get(told, "total"), "relative")));
    float *b = draw(17, N), *ft = draw(18, N), *old = draw(19, N), *big = draw(20, N);
    long double dd = 0, oo = 0, rr = 0, dr = 0;
    for (size_t i = 0; i < N; i++) {
        volatile float d = ft[i] - old[i], r = b[i] - old[i];
        dd += (long double)d * d;
        rr += (long double)r * r;
        dr += (long double)d * r;
        oo += (long double)old[i] * old[i];
    }
    run(&am_method_merge_port, b, ft, old, N, big);
    near1(number("relative"), (double)sqrtl(dd / oo), 1e-12);
    near1(number("drift"), (double)sqrtl(rr / oo), 1e-12);
    near1(number("cosine"), (double)(dr / sqrtl(dd * rr)), 1e-12);
    free(b), free(ft), free(old), free(big);
}

static bool selected(const char *name)
{
    return am_method_merge_port.selects(&args, &(struct am_tensor_info){.name = name});
}

static void test_port_selects(void **state)
{
    (void)state;
    take_args(&am_method_merge_port,
              "{\"scale\":1.0,\"include\":[\"layer.*\",\"head\"],\"exclude\":[\"*.bias\"]" POLICIES);
    assert_true(selected("layer.0.weight") && selected("head"));
    assert_false(selected("layer.0.bias") || selected("embed") || selected("head.weight"));
}

static int done(void **state)
{
    (void)state;
    am_args_done(&args);
    json_decref(told);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_angles),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_against_libm),
        cmocka_unit_test(test_parents),
        cmocka_unit_test(test_swap),
        cmocka_unit_test(test_port),
        cmocka_unit_test(test_port_rounding),
        cmocka_unit_test(test_port_identities),
        cmocka_unit_test(test_port_report),
        cmocka_unit_test(test_port_selects),
    };
    return cmocka_run_group_tests(tests, NULL, done);
}
