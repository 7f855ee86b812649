/*
 * run_matrix.c - tensors that a method wants whole (am_method.whole): one at a time, by the calling thread, while
 * nothing else is at work. The result is then converted and written by windows like any other (run_window.c).
 */
#include "core/base/err.h"
#include "core/methods/run_parts.h"
#include "core/tensor/kernels.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct reading {
    struct am_run_state *s;
    struct am_run_item *item;
    size_t bad; /* values that are no numbers; what propagates leaves nothing to compute with */
};

static void shape_of(const struct am_run_item *item, size_t *ret_rows, size_t *ret_cols)
{
    const struct am_tensor *t = item->donor;
    *ret_rows = item->matrix && t->rank > 1 ? (size_t)t->shape[0] : 1;
    *ret_cols = (size_t)t->elements / *ret_rows;
}

static size_t doubles_of(const struct am_run_state *s, const struct am_run_item *item, size_t rows, size_t cols)
{
    return am_matrix_doubles(&s->r->method->needs.matrix, item->matrix, rows, cols, s->r->inputs);
}

/* Whether whole() computes it, and whether as a matrix. */
void am_run_matrix_choose(const struct am_run_state *s, struct am_run_item *item)
{
    const struct am_method *m = s->r->method;
    const struct am_tensor *t = item->donor;
    struct am_tensor_info info = {.name = t->name, .rank = t->rank, .shape = t->shape};
    if (!m->whole || !item->selected || item->pass || t->elements == 0)
        return;
    item->matrix = m->is_matrix(am_run_args(s, item), &info);
    item->whole = item->matrix || am_amount(m->needs.matrix.row, s->r->inputs) > 0;
}

int am_run_matrix_open(struct am_run_state *s)
{
    struct am_run_whole *w = &s->whole;
    size_t doubles = 0, elements = 0;
    for (size_t i = 0; i < s->items; i++) {
        size_t rows, cols, n;
        if (!s->item[i].whole)
            continue;
        shape_of(&s->item[i], &rows, &cols);
        n = doubles_of(s, &s->item[i], rows, cols);
        doubles = n > doubles ? n : doubles;
        elements = rows * cols > elements ? rows * cols : elements;
    }
    if (elements == 0)
        return 0;
    elements = (elements + 15) / 16 * 16;
    w->base = aligned_alloc(64, elements * sizeof(float));
    w->x = aligned_alloc(64, elements * sizeof(float));
    w->work = aligned_alloc(64, (doubles + 7) / 8 * 64);
    w->raw = aligned_alloc(64, AM_CHUNK * sizeof(double));
    return w->base && w->x && w->work && w->raw ? 0 : -AM_E_OUT_OF_MEMORY;
}

void am_run_matrix_done(struct am_run_state *s)
{
    free(s->whole.base);
    free(s->whole.x);
    free(s->whole.work);
    free(s->whole.raw);
}

static int tell(const struct reading *r, struct am_slot_fault fault)
{
    struct am_slot slot = {.item = r->item, .fault = fault};
    return am_slot_tell(r->s, &slot);
}

static int read_all(struct reading *r, const struct am_run_input *in, const struct am_tensor *t, float *into)
{
    size_t size = am_dtype_bits(t->dtype) / 8;
    const struct am_delta *delta = am_run_delta(in, t->name);
    for (size_t at = 0; at < t->elements; at += AM_CHUNK) {
        size_t n = t->elements - at < AM_CHUNK ? (size_t)t->elements - at : AM_CHUNK;
        int rc = am_model_read(in->model, t, r->s->whole.raw, n * size, at * size);
        if (rc < 0)
            return tell(r, (struct am_slot_fault){.rc = rc, .errno_value = errno, .label = in->label});
        am_load_f32(t->dtype, r->s->whole.raw, into + at, n);
        if (!delta)
            continue;
        am_delta_add(delta, into + at, at, n);
        am_run_round(r->s, in, t->name, r->s->whole.raw, into + at, n);
    }
    return 0;
}

static int read_input(struct reading *r, const struct am_run_input *in, float *into)
{
    const struct am_tensor *t = am_model_find(in->model, r->item->donor->name);
    size_t count = 0;
    AM_TRY(read_all(r, in, t, into));
    size_t first = am_nonfinite_f32(into, (size_t)t->elements, &count);
    if (count && !r->s->r->propagate_nonfinite)
        return tell(r, (struct am_slot_fault){.rc = -AM_E_NON_FINITE,
                                              .reason = "input-not-finite",
                                              .label = in->label,
                                              .f64 = t->dtype == AM_F64,
                                              .first = first,
                                              .count = count});
    r->bad += count;
    return 0;
}

/* Between inputs somebody may have asked to stop. */
static int read_x(void *ctx, size_t i, const float **ret)
{
    struct reading *r = ctx;
    const struct am_run *run = r->s->r;
    const struct am_run_some *some = am_run_some_of(r->s, r->item->donor);
    for (size_t at = 0; some && at <= i; at++)
        i += !some->keep[at];
    if (run->progress)
        AM_TRY(run->progress(run->ctx, r->s->bytes_done, r->s->bytes_total, r->s->tensors_done, r->s->items));
    AM_TRY(read_input(r, &run->x[i], r->s->whole.x));
    *ret = r->s->whole.x;
    return r->bad ? AM_AGAIN : 0;
}

/* LAPACK may not be given NaN or infinity, and every element of the result depends on every one of the inputs. */
static int spoil(struct reading *r)
{
    const struct am_run_state *s = r->s;
    const float *x;
    r->bad = 0;
    AM_TRY(read_input(r, &s->r->base, s->whole.base));
    for (size_t i = 0; i < am_run_scope(s, r->item).inputs; i++) {
        int rc = read_x(r, i, &x);
        if (rc < 0)
            return rc;
    }
    r->s->nonfinite += r->bad;
    for (size_t i = 0; i < r->item->donor->elements; i++)
        s->whole.x[i] = NAN;
    return 0;
}

int am_run_matrix(struct am_run_state *s, struct am_run_item *item)
{
    const struct am_method *method = s->r->method;
    struct reading r = {.s = s, .item = item};
    AM_TRY(am_ring_settle(s, s->given)); /* the tensor before lies in the same memory */
    struct am_matrix m = {.scope = am_run_scope(s, item),
                          .matrix = item->matrix,
                          .base = s->whole.base,
                          .out = s->whole.x,
                          .work = s->whole.work,
                          .tally = s->tally,
                          .read = read_x,
                          .ctx = &r};
    shape_of(item, &m.rows, &m.cols);
    m.doubles = doubles_of(s, item, m.rows, m.cols);
    AM_TRY(read_input(&r, &s->r->base, s->whole.base));
    int rc = r.bad ? AM_AGAIN : method->whole(&m);
    if (rc == AM_AGAIN)
        return spoil(&r);
    if (rc == -AM_E_INTERNAL && s->faults->total == 0)
        return am_fault_add(s->faults, AM_E_INTERNAL, (struct am_where){.tensor = item->donor->name},
                            "the singular values of %.300s were not found (LAPACK gave up); leave the tensor out with "
                            "exclude",
                            item->donor->name);
    return rc;
}
