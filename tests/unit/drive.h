/*
 * drive.h - runs a windowed method over arrays in memory, for the unit tests of methods: the contract of
 * core/methods/method.h, played in one thread. It is hard on the method where the contract allows it: every tile lies
 * in arrays of exactly its length (AddressSanitizer sees the first element too many), scratch and out begin as NaN, the
 * inputs are odd addresses of f32, and with `backwards` the windows' statistics run in reverse before they are merged
 * in order. It checks no parameters beyond what am_args_from_json does, and rewrites none: canonical ones are to be
 * given.
 *
 *   float out[8];
 *   struct drive_tensor t = {.name = "w", .n = 8, .base = b, .x = models, .out = out};
 *   struct drive d = {.method = &am_method_merge_ties, .inputs = 3, .tensor = &t, .tensors = 1,
 *                     .params = "{\"weight\":1.0}", .beside = (const char *[]){"{\"density\":0.5}", NULL, NULL}};
 *   struct drive_result r = drive_run(&d);   ... json_object_get(r.report, "total") ...   drive_done(&r);
 */
#ifndef AM_TESTS_DRIVE_H
#define AM_TESTS_DRIVE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/methods/args_json.h"
#include "core/methods/method.h"
#include "core/methods/report.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct drive_tensor {
    const char *name;
    size_t n;
    size_t cols;       /* length of a row; 0: n */
    const float *base; /* NULL: none */
    const float *const *x;
    float *out;
};

struct drive {
    const struct am_method *method;
    const char *params;        /* JSON object: values for all; declared defaults fill the rest. NULL: none */
    const char *const *beside; /* JSON object or NULL for each input; NULL: none */
    size_t inputs;
    struct drive_tensor *tensor;
    size_t tensors;
    size_t window, tile; /* elements; 0: as in the program. A window is cut to whole tiles */
    bool backwards;
};

struct drive_result {
    int rc;           /* of the first function that failed */
    unsigned rounds;  /* calls of between() */
    json_t *report;   /* what am_report_text() gives, or NULL */
    json_t *warnings; /* by code: {"n", "tensor", "detail"} */
};

struct drive_state {
    const struct drive *d;
    struct am_args args;
    bool rows, model_scope;
    size_t scratch, tallies, acc_bytes, acc_window, acc_scope;
    double *row; /* of all rows of a tensor */
    void *acc;
    double *tally, *total;
};

static inline void *drive_alloc(size_t bytes)
{
    void *p = NULL;
    assert_int_equal(posix_memalign(&p, 64, bytes ? bytes : 1), 0);
    memset(p, 0xff, bytes); /* NaN */
    return p;
}

static inline json_t *drive_json(const char *text)
{
    json_error_t e;
    json_t *v = json_loads(text ? text : "{}", JSON_DECODE_ANY, &e);
    if (!v)
        fail_msg("no JSON: %s: %s", text, e.text);
    return v;
}

static inline void drive_args(struct drive_state *s)
{
    const struct drive *d = s->d;
    const struct am_param *const both[] = {d->method->params, d->method->common};
    json_t *params = drive_json(d->params), *beside[AM_MAX_INPUTS];
    const char *what = "";
    for (size_t k = 0; k < 2; k++) {
        for (const struct am_param *p = both[k]; p && p->name; p++)
            if (!json_object_get(params, p->name) && p->def)
                json_object_set_new(params, p->name, drive_json(p->def));
    }
    for (size_t i = 0; i < d->inputs; i++)
        beside[i] = drive_json(d->beside ? d->beside[i] : NULL);
    if (am_args_from_json(&s->args, d->method, params, beside, d->inputs, &what) != 0)
        fail_msg("parameter %s is missing or wrong", what);
    for (size_t i = 0; i < d->inputs; i++)
        json_decref(beside[i]);
    json_decref(params);
}

static inline struct am_scope_info drive_scope(const struct drive_state *s, const struct drive_tensor *t)
{
    static uint64_t shape[2];
    struct am_scope_info info = {.args = &s->args, .inputs = s->d->inputs};
    if (!t) {
        for (size_t i = 0; i < s->d->tensors; i++)
            info.elements += s->d->tensor[i].n;
        return info;
    }
    shape[0] = t->cols ? t->n / t->cols : t->n;
    shape[1] = t->cols;
    info.tensor = (struct am_tensor_info){.name = t->name, .rank = t->cols ? 2 : 1, .shape = shape};
    info.elements = t->n;
    return info;
}

/* An odd address: inputs may be unaligned to everything but a float. */
static inline float *drive_copy(const float *from, size_t n)
{
    float *all = malloc((n + 1) * sizeof(float));
    assert_non_null(all);
    memcpy(all + 1, from, n * sizeof(float));
    return all + 1;
}

/* One tile: at elements [first, first + n) of t. stat with `acc`, apply without. */
static inline int drive_tile(struct drive_state *s, const struct drive_tensor *t, struct am_window *w, void *acc,
                             unsigned pass, unsigned round)
{
    const struct drive *d = s->d;
    size_t skip = 0, all = w->n;
    if (acc && d->method->look) {
        size_t n = d->method->look(w, pass || round ? s->acc : NULL, pass, &skip);
        assert_true(skip + n <= all);
        if (n == 0)
            return 0;
        w->n = n;
        w->first += skip;
    }
    float *scratch[AM_MAX_INPUTS * 2 + 16], *x[AM_MAX_INPUTS];
    float *base = t->base ? drive_copy(t->base + w->first, w->n) : NULL;
    int rc;
    for (size_t k = 0; k < s->scratch; k++)
        scratch[k] = drive_alloc(w->n * sizeof(float));
    for (size_t i = 0; i < d->inputs; i++)
        x[i] = drive_copy(t->x[i] + w->first, w->n);
    w->base = base;
    w->x = (const float *const *)x;
    w->inputs = d->inputs;
    w->scratch = scratch;
    if (acc) {
        rc = d->method->stat(w, pass || round ? s->acc : NULL, acc, pass);
    } else {
        w->out = drive_alloc(w->n * sizeof(float));
        w->tally = s->tally;
        rc = d->method->apply(w, s->acc);
        memcpy(t->out + w->first, w->out, w->n * sizeof(float));
        free(w->out);
    }
    for (size_t i = 0; i < d->inputs; i++) {
        assert_memory_equal(x[i], t->x[i] + w->first, w->n * sizeof(float)); /* inputs are borrowed */
        free(x[i] - 1);
    }
    for (size_t k = 0; k < s->scratch; k++)
        free(scratch[k]);
    if (base)
        free(base - 1);
    w->first -= skip;
    w->n = all;
    return rc;
}

static inline size_t drive_tile_size(const struct drive_state *s, const struct drive_tensor *t)
{
    if (s->rows)
        return t->cols ? t->cols : t->n;
    return s->d->tile ? s->d->tile : AM_TILE;
}

static inline size_t drive_window_size(const struct drive_state *s, const struct drive_tensor *t)
{
    size_t tile = drive_tile_size(s, t), window = s->d->window ? s->d->window : AM_WINDOW;
    return window < tile ? tile : window / tile * tile;
}

static inline size_t drive_windows(const struct drive_state *s, const struct drive_tensor *t)
{
    size_t size = drive_window_size(s, t);
    return (t->n + size - 1) / size;
}

/* Window number `number` of t, whose number in the scope is `index`. */
static inline int drive_window(struct drive_state *s, const struct drive_tensor *t, size_t number, uint64_t index,
                               void *acc, unsigned pass, unsigned round)
{
    const struct am_method *m = s->d->method;
    size_t tile = drive_tile_size(s, t), size = drive_window_size(s, t), at = number * size;
    size_t end = t->n - at < size ? t->n : at + size;
    void *local = calloc(1, m->needs.local_bytes + 1);
    struct am_scope_info info = drive_scope(s, s->model_scope ? NULL : t);
    int rc = 0;
    if (m->prepare)
        m->prepare(&info, local);
    memset(s->tally, 0, s->tallies * sizeof(double));
    for (unsigned k = 0; at < end && rc == 0; k++, at += tile) {
        struct am_window w = {.n = end - at < tile ? end - at : tile, .first = at, .index = index, .tile = k};
        w.local = m->prepare ? local : NULL;
        w.row = s->row ? s->row + at / tile * m->needs.row_doubles : NULL;
        if (acc && s->acc_scope) {
            w.list = (char *)acc + (s->acc_bytes + 63) / 64 * 64;
            w.list_bytes = s->acc_window;
            w.scope_list = (char *)s->acc + (s->acc_bytes + 63) / 64 * 64;
        }
        rc = drive_tile(s, t, &w, acc, pass, round);
    }
    free(local);
    return rc;
}

/* All windows of the scope's tensors: statistics each into an accumulator of its own, then merged in order. */
static inline int drive_round(struct drive_state *s, const struct drive_tensor *t, size_t tensors, unsigned pass,
                              unsigned round)
{
    size_t all = 0, at;
    int rc = 0;
    for (size_t i = 0; i < tensors; i++)
        all += drive_windows(s, &t[i]);
    char **acc = calloc(all + 1, sizeof(*acc));
    for (size_t k = 0; k < all && rc == 0; k++) {
        size_t index = s->d->backwards ? all - 1 - k : k, number = index, i = 0;
        for (; number >= drive_windows(s, &t[i]); i++)
            number -= drive_windows(s, &t[i]);
        acc[index] = drive_alloc((s->acc_bytes + 63) / 64 * 64 + s->acc_window);
        memset(acc[index], 0, s->acc_bytes);
        rc = drive_window(s, &t[i], number, index, acc[index], pass, round);
    }
    for (at = 0; at < all; at++) {
        if (rc == 0)
            rc = s->d->method->merge(s->acc, acc[at], pass);
        free(acc[at]);
    }
    free(acc);
    return rc;
}

static inline int drive_stats(struct drive_state *s, const struct drive_tensor *t, size_t tensors,
                              struct drive_result *r)
{
    const struct am_method *m = s->d->method;
    struct am_scope_info info = drive_scope(s, s->model_scope ? NULL : t);
    void *local = calloc(1, m->needs.local_bytes + 1);
    int rc = 0;
    if (m->prepare)
        m->prepare(&info, local);
    memset(s->acc, 0, s->acc_bytes);
    for (unsigned pass = 0; pass < m->needs.passes && rc == 0; pass++) {
        for (unsigned round = 0;; round++) {
            rc = drive_round(s, t, tensors, pass, round);
            if (rc == 0)
                rc = m->between(s->acc, &info, m->prepare ? local : NULL, pass, round);
            r->rounds++;
            if (rc != AM_AGAIN)
                break;
            assert_true(round < 16); /* the runner gives up here */
        }
    }
    free(local);
    return rc;
}

static inline int drive_apply(struct drive_state *s, const struct drive_tensor *t, size_t first_window,
                              struct am_report *report)
{
    double *sum = calloc(s->tallies + 1, sizeof(double));
    int rc = 0;
    for (size_t k = 0; k < drive_windows(s, t) && rc == 0; k++) {
        rc = drive_window(s, t, k, first_window + k, NULL, 0, 0);
        for (size_t j = 0; j < s->tallies; j++)
            sum[j] += s->tally[j];
    }
    for (size_t j = 0; j < s->tallies; j++)
        s->total[j] += sum[j];
    struct am_scope_info info = drive_scope(s, t);
    am_report_tensor(report, t->name);
    if (rc == 0 && s->d->method->report)
        s->d->method->report(&info, s->model_scope ? NULL : s->acc, sum, report);
    free(sum);
    return rc;
}

static inline int drive_all(struct drive_state *s, struct drive_result *r, struct am_report *report)
{
    const struct drive *d = s->d;
    bool stats = d->method->needs.passes > 0;
    size_t before = 0;
    int rc = 0;
    if (stats && s->model_scope)
        rc = drive_stats(s, d->tensor, d->tensors, r);
    for (size_t i = 0; i < d->tensors && rc == 0; i++) {
        if (stats && !s->model_scope)
            rc = drive_stats(s, &d->tensor[i], 1, r);
        if (rc == 0)
            rc = drive_apply(s, &d->tensor[i], s->model_scope ? before : 0, report);
        before += drive_windows(s, &d->tensor[i]);
    }
    struct am_scope_info run = drive_scope(s, NULL);
    am_report_tensor(report, NULL);
    if (rc == 0 && d->method->report)
        d->method->report(&run, s->model_scope ? s->acc : NULL, s->total, report);
    return rc;
}

static inline bool drive_choice(const struct drive_state *s, const char *name, const char *value)
{
    return strcmp(am_arg_text(&s->args, name), value) == 0;
}

static inline struct drive_result drive_run(const struct drive *d)
{
    const struct am_needs *need = &d->method->needs;
    struct drive_state s = {.d = d,
                            .scratch = am_amount(need->scratch, d->inputs),
                            .tallies = am_amount(need->tally, d->inputs),
                            .acc_bytes = am_amount(need->acc, d->inputs),
                            .acc_window = am_amount(need->lists, d->inputs) * 131328,
                            .acc_scope = am_amount(need->lists, d->inputs) * am_list_scope(1 << 24)};
    struct drive_result r = {0};
    const char *label[AM_MAX_INPUTS];
    struct am_report report;
    drive_args(&s);
    for (size_t i = 0; i < d->inputs; i++)
        label[i] = "a model";
    s.rows =
        (need->by_row && drive_choice(&s, "granularity", "row")) || am_when_holds(d->method, need->rows_when, &s.args);
    size_t rows = 0, columns = 0;
    for (size_t i = 0; i < d->tensors; i++) {
        size_t cols = d->tensor[i].cols ? d->tensor[i].cols : 1;
        rows = d->tensor[i].n > rows ? d->tensor[i].n : rows;
        columns = cols > columns ? cols : columns;
    }
    s.row = need->row_doubles ? calloc(rows * need->row_doubles + 1, sizeof(double)) : NULL;
    s.acc_bytes += columns * need->column_bytes;
    s.model_scope =
        need->scope == AM_SCOPE_MODEL || (need->scope == AM_SCOPE_BY_PARAM && drive_choice(&s, "scope", "model"));
    s.acc = need->passes ? drive_alloc((s.acc_bytes + 63) / 64 * 64 + s.acc_scope) : NULL;
    s.tally = calloc(s.tallies + 1, sizeof(double));
    s.total = calloc(s.tallies + 1, sizeof(double));
    am_report_open(&report, d->method->name, label, d->inputs);
    r.rc = drive_all(&s, &r, &report);
    char *text = am_report_text(&report);
    r.report = text ? json_loads(text, 0, NULL) : NULL;
    free(text);
    r.warnings = json_deep_copy(report.warnings);
    am_report_done(&report);
    am_args_done(&s.args);
    free(s.acc);
    free(s.row);
    free(s.tally);
    free(s.total);
    return r;
}

static inline void drive_done(struct drive_result *r)
{
    json_decref(r->report);
    json_decref(r->warnings);
    r->report = r->warnings = NULL;
}

/* |a - b| <= within, in double (cmocka compares floats). */
#define check_near(a, b, within) drive_near((double)(a), (double)(b), within, __FILE__, __LINE__)
static inline void drive_near(double a, double b, double within, const char *file, int line)
{
    if (!(fabs(a - b) <= within)) {
        print_error("%.17g is not %.17g within %g\n", a, b, within);
        _fail(file, line);
    }
}

/* A number of the run's report ("total") or, with a tensor's name, of that; i: of a list. NaN for null. */
static inline double drive_number(const struct drive_result *r, const char *tensor, const char *name, size_t i)
{
    const json_t *o = json_object_get(r->report, tensor ? "tensors" : "total");
    const json_t *v = json_object_get(tensor ? json_object_get(o, tensor) : o, name);
    v = json_is_array(v) ? json_array_get(v, i) : v;
    if (!v)
        fail_msg("the report has no %s", name);
    return json_is_number(v) ? json_number_value(v) : (double)NAN;
}

#endif
