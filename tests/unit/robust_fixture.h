/*
 * robust_fixture.h - runs a robust merge over the tiles of small models made here, as the runner would, for the tests
 * of the robust family.
 */
#ifndef AM_TESTS_ROBUST_FIXTURE_H
#define AM_TESTS_ROBUST_FIXTURE_H

#include "core/base/err.h"
#include "core/merge/_robust_gram.h"
#include "core/methods/args_json.h"
#include "core/methods/method.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

extern const struct am_method am_method_merge_median, am_method_merge_trimmed_mean, am_method_merge_krum,
    am_method_merge_multi_krum, am_method_merge_geometric_median, am_method_merge_flag;

#define P 12
#define N 10000 /* three tiles */
static float base[N], x[P][N], out[N];
static double tally[1 + 2 * P + P * P / 2];
static unsigned char acc[1 << 16], own[1 << 16];
static struct am_args args;

#define POLICIES "\"nonfinite\":\"refuse\",\"overflow\":\"refuse\",\"alpha\":1.0"
#define DROPPING "\"nonfinite\":\"propagate\",\"overflow\":\"refuse\",\"alpha\":1.0"
#define SCOPE ",\"scope\":\"model\"}"
#define PLAIN "{" POLICIES SCOPE
#define FLAG(m, lambda, norm)                                                                                          \
    "{\"m\":" m ",\"lambda\":" lambda ",\"norm\":\"" norm "\",\"iterations\":10,\"epsilon\":1e-7," POLICIES SCOPE

static int statistics(const struct am_method *m, struct am_window *w, const struct am_scope_info *s, size_t n, size_t p)
{
    memset(acc, 0, sizeof(acc));
    for (size_t at = 0; at < n; at += AM_TILE) { /* one tile to a window */
        const float *in[P];
        for (size_t i = 0; i < p; i++)
            in[i] = x[i] + at;
        memset(own, 0, sizeof(own));
        w->n = n - at < AM_TILE ? n - at : AM_TILE;
        w->base = base + at;
        w->x = in;
        assert_int_equal(m->stat(w, NULL, own, 0), 0);
        assert_int_equal(m->merge(acc, own, 0), 0);
    }
    return m->between(acc, s, w->local, 0, 0);
}

/* out from the first p of x and n elements; 0 or the method's error. */
static int merge(const struct am_method *m, const char *params, size_t p, size_t n)
{
    static float room[P + 1][AM_TILE];
    float *scratch[P + 1];
    unsigned char local[256] = {0};
    json_t *global = json_loads(params, 0, NULL), *each[P] = {0};
    const char *what = "";
    am_args_done(&args);
    assert_int_equal(am_args_from_json(&args, m, global, each, p, &what), 0);
    json_decref(global);
    assert_true(m->needs.local_bytes <= sizeof(local) && am_amount(m->needs.acc, p) <= sizeof(acc));
    assert_true(am_amount(m->needs.scratch, p) <= P + 1 && am_amount(m->needs.tally, p) <= sizeof(tally) / 8);
    for (size_t i = 0; i <= P; i++)
        scratch[i] = room[i];
    struct am_scope_info s = {.args = &args, .elements = n, .inputs = p};
    struct am_window w = {.inputs = p, .scratch = scratch, .local = local};
    m->prepare(&s, local);
    if (m->needs.passes) {
        int rc = statistics(m, &w, &s, n, p);
        if (rc < 0)
            return rc;
    }
    memset(tally, 0, sizeof(tally));
    w.tally = tally;
    for (size_t at = 0; at < n; at += AM_TILE, w.tile++) {
        const float *in[P];
        for (size_t i = 0; i < p; i++)
            in[i] = x[i] + at;
        w.n = n - at < AM_TILE ? n - at : AM_TILE;
        w.base = base + at;
        w.x = in;
        w.out = out + at;
        int rc = m->apply(&w, m->needs.passes ? acc : NULL);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static uint32_t state;
static float noise(void) /* the same numbers as in the script below */
{
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) * 0x1p-23f - 1;
}

static void close_to(const float *a, const float *b, size_t n, double tolerance)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= tolerance))
            fail_msg("element %zu: %.9g, expected %.9g", i, (double)a[i], (double)b[i]);
}

static const double *list_of(const struct am_gram *g, size_t p, size_t which) /* coefficient, trust, score, dropped */
{
    return g->v + p + p * (p - 1) / 2 + which * p;
}

static int setup(void **unused)
{
    (void)unused;
    memset(base, 0, sizeof(base));
    memset(x, 0, sizeof(x));
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    am_args_done(&args);
    return 0;
}

/* ---- the analytic case: s tau for five s, -10 tau, and uniform numbers */

static const float shares[] = {0.8f, 0.92f, 1.0f, 1.07f, 1.2f};

static void analytic_input(const size_t *place)
{
    state = 5;
    for (size_t k = 0; k < N; k++) {
        float tau = noise(), uniform = (noise() + 1) / 2;
        for (size_t i = 0; i < 7; i++)
            x[place[i]][k] = i < 5 ? shares[i] * tau : i == 5 ? -10 * tau : uniform;
    }
}

static const size_t straight[] = {0, 1, 2, 3, 4, 5, 6}, turned[] = {6, 3, 0, 5, 2, 4, 1};
#define KRUM "{\"f\":2," POLICIES SCOPE

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
