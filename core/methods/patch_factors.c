/*
 * patch_factors.c - the differences of all matrices, one after the other by the calling thread, as factors in the spool
 * (patch_parts.h). What a factor is worth is measured with the values that were stored, against the difference read
 * anew.
 */
#include "core/base/err.h"
#include "core/base/sys.h"
#include "core/methods/patch_parts.h"
#include "core/tensor/kernels.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SPOOL "factors"
#define STRIP 512 /* rows */

static size_t most_of(const struct am_patch_state *s, const struct am_patch_item *item)
{
    size_t k = item->rows < item->cols ? item->rows : item->cols, most = (size_t)am_arg_int(s->r->args, "max_rank");
    return most < k ? most : k;
}

static bool is_full(const struct am_patch_state *s)
{
    return strcmp(am_arg_text(s->r->args, "solver"), "full") == 0;
}

static int open_all(struct am_patch_state *s)
{
    size_t elements = 0, doubles = 0;
    for (size_t i = 0; i < s->items; i++) {
        const struct am_patch_item *item = &s->item[i];
        if (item->kind != AM_PATCH_FACTORS)
            continue;
        size_t n = am_factors_work(is_full(s), item->rows, item->cols, most_of(s, item));
        doubles = n > doubles ? n : doubles;
        elements = item->base->elements > elements ? (size_t)item->base->elements : elements;
    }
    s->delta = aligned_alloc(64, (elements + 7) / 8 * 64);
    s->work = aligned_alloc(64, (doubles + 7) / 8 * 64);
    if (!s->delta || !s->work)
        return -AM_E_OUT_OF_MEMORY;
    s->spool = am_sys_open(s->r->staging, SPOOL, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (s->spool >= 0)
        return 0;
    return am_fault_add(s->faults, s->spool == -AM_E_DISK ? AM_E_DISK : AM_E_CANNOT_WRITE, (struct am_where){0},
                        "the result cannot be created: %s", strerror(errno));
}

void am_patch_factors_done(struct am_patch_state *s)
{
    if (s->spool >= 0)
        am_sys_unlink(s->r->staging, SPOOL);
    am_sys_closep(&s->spool);
    free(s->delta);
    free(s->work);
}

static int not_finite(struct am_patch_state *s, const struct am_run_input *in, const struct am_tensor *t, uint64_t at)
{
    return am_fault_add(
        s->faults, AM_E_NON_FINITE, (struct am_where){.reason = "input-not-finite", .tensor = t->name},
        "%.300s of %.300s holds NaN or infinity%s, first at flat index %llu; repair the model, or leave "
        "the tensor out with exclude",
        t->name, in->label, t->dtype == AM_F64 ? " (or an F64 beyond the range of F32)" : "", (unsigned long long)at);
}

/* delta = x of the base, or x minus it. */
static int read_into(struct am_patch_state *s, const struct am_run_input *in, const struct am_tensor *t, bool minus)
{
    size_t size = am_dtype_bits(t->dtype) / 8, count = 0;
    for (size_t at = 0; at < t->elements; at += AM_CHUNK) {
        size_t n = t->elements - at < AM_CHUNK ? (size_t)t->elements - at : AM_CHUNK;
        int rc = am_model_read(in->model, t, s->raw, n * size, at * size);
        if (rc < 0)
            return am_patch_unread(s, rc, t->name, in);
        am_load_f32(t->dtype, s->raw, s->value, n);
        size_t first = am_nonfinite_f32(s->value, n, &count);
        if (count)
            return not_finite(s, in, t, at + first);
        for (size_t i = 0; i < n; i++)
            s->delta[at + i] = minus ? (double)s->value[i] - s->delta[at + i] : (double)s->value[i];
    }
    return 0;
}

static int read_delta(struct am_patch_state *s, const struct am_patch_item *item)
{
    AM_TRY(read_into(s, &s->r->base, item->base, false));
    AM_TRY(read_into(s, item->in, item->tuned, true));
    return am_patch_progress(s, item->base->bytes + item->tuned->bytes);
}

static int too_large(struct am_patch_state *s, const struct am_patch_item *item)
{
    return am_fault_add(s->faults, AM_E_NON_FINITE, (struct am_where){.reason = "overflow", .tensor = item->base->name},
                        "a factor of %.300s is too large for %s; use another options.out_dtype", item->base->name,
                        am_dtype_name((enum am_dtype)s->dtype));
}

/* n values of the chunk are stored, and become what was stored. */
static int put_chunk(struct am_patch_state *s, const struct am_patch_item *item, size_t n)
{
    size_t size = am_dtype_bits((enum am_dtype)s->dtype) / 8, first;
    bool finite = true;
    size_t over = am_store_f32((enum am_dtype)s->dtype, s->value, s->raw, n, AM_OVERFLOW_REFUSE, &first, &finite);
    if (over || !finite)
        return too_large(s, item);
    int rc = am_sys_pwrite(s->spool, s->raw, n * size, s->spooled);
    if (rc < 0)
        return am_fault_add(s->faults, rc == -AM_E_DISK ? AM_E_DISK : AM_E_CANNOT_WRITE, (struct am_where){0},
                            "the factors cannot be written: %s", strerror(errno));
    s->spooled += n * size;
    am_load_f32((enum am_dtype)s->dtype, s->raw, s->value, n);
    return 0;
}

static double *place(struct am_mat m, bool turned, size_t i)
{
    size_t width = turned ? m.rows : m.cols, row = i / width, col = i % width;
    return turned ? &m.v[col * m.step + row] : &m.v[row * m.step + col];
}

/* A factor row by row, or column by column, which is its transpose. */
static int put_factor(struct am_patch_state *s, const struct am_patch_item *item, struct am_mat m, bool turned)
{
    size_t all = m.rows * m.cols;
    for (size_t at = 0; at < all; at += AM_CHUNK) {
        size_t n = all - at < AM_CHUNK ? all - at : AM_CHUNK;
        for (size_t i = 0; i < n; i++)
            s->value[i] = (float)*place(m, turned, at + i);
        AM_TRY(put_chunk(s, item, n));
        for (size_t i = 0; i < n; i++)
            *place(m, turned, at + i) = s->value[i];
    }
    return 0;
}

/* First A, then B. */
static int spool(struct am_patch_state *s, struct am_patch_item *item, const struct am_factors *f)
{
    item->at = s->spooled;
    AM_TRY(put_factor(s, item, item->turned ? f->left : f->right, item->turned));
    AM_TRY(put_factor(s, item, item->turned ? f->right : f->left, item->turned));
    s->parameters += f->left.rows * f->left.cols + f->right.rows * f->right.cols;
    return 0;
}

/* delta -= left * right, some rows at a time: OpenBLAS copies of the left matrix what it is given at once. */
static int take_away(struct am_patch_state *s, const struct am_patch_item *item, const struct am_factors *f)
{
    for (size_t r = 0; r < item->rows; r += STRIP) {
        size_t n = item->rows - r < STRIP ? item->rows - r : STRIP;
        struct am_mat left = {f->left.v + r * f->left.step, n, f->left.cols, f->left.step},
                      rest = {s->delta + r * item->cols, n, item->cols, item->cols};
        AM_TRY(am_gemm(-1, left, false, f->right, false, 1, rest));
    }
    return 0;
}

/* The squares of what the stored factors leave of the difference. */
static int measure(struct am_patch_state *s, const struct am_patch_item *item, const struct am_factors *f,
                   double *ret_rest)
{
    double rest = 0;
    AM_TRY(read_delta(s, item));
    AM_TRY(take_away(s, item, f));
    for (size_t i = 0; i < item->base->elements; i++)
        rest += s->delta[i] * s->delta[i];
    *ret_rest = rest;
    return 0;
}

static void tell(struct am_patch_state *s, const struct am_patch_item *item, const struct am_factors *f, double rest)
{
    struct am_report *r = s->r->report;
    s->squares += f->squares;
    s->rest += rest;
    if (!r)
        return;
    am_report_tensor(r, item->base->name);
    am_report_put(r, "rank", (double)item->rank);
    am_report_put(r, "norm_delta", sqrt(f->squares));
    am_report_put(r, "residual", f->squares > 0 ? sqrt(rest / f->squares) : 0);
    am_report_put(r, "energy", f->squares > 0 ? 1 - rest / f->squares : 1);
    am_report_put(r, "sigma_first", f->first);
    am_report_put(r, "sigma_last", f->last);
    am_report_put(r, "sigma_next", f->next);
}

static int factorise(struct am_patch_state *s, struct am_patch_item *item)
{
    const struct am_run_item at = {.donor = item->base};
    struct am_factors f = {.scope = am_run_scope(&s->run, &at),
                           .rows = item->rows,
                           .cols = item->cols,
                           .most = most_of(s, item),
                           .full = is_full(s),
                           .turned = item->turned,
                           .delta = s->delta,
                           .work = s->work};
    double rest = 0;
    f.doubles = am_factors_work(f.full, f.rows, f.cols, f.most);
    AM_TRY(read_delta(s, item));
    int rc = s->r->method->factors(&f);
    if (rc == -AM_E_INTERNAL)
        return am_fault_add(s->faults, AM_E_INTERNAL, (struct am_where){.tensor = item->base->name},
                            "the singular values of %.300s were not found (LAPACK gave up); leave the tensor out with "
                            "exclude",
                            item->base->name);
    AM_TRY(rc);
    item->rank = f.left.cols;
    AM_TRY(spool(s, item, &f));
    AM_TRY(measure(s, item, &f, &rest));
    tell(s, item, &f, rest);
    return 0;
}

int am_patch_factors(struct am_patch_state *s)
{
    AM_TRY(open_all(s));
    for (size_t i = 0; i < s->items; i++) {
        if (s->item[i].kind != AM_PATCH_FACTORS)
            continue;
        AM_TRY(factorise(s, &s->item[i]));
        s->tensors_done++;
    }
    free(s->delta);
    free(s->work);
    s->delta = s->work = NULL;
    return 0;
}
