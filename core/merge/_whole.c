/*
 * _whole.c - see _whole.h.
 */
#include "core/merge/_whole.h"

#include "core/base/err.h"
#include "core/merge/_patterns.h"
#include "core/tensor/kernels.h"

#include <math.h>
#include <string.h>

const char *const am_whole_conv[] = {"flatten", "none", NULL};

bool am_whole_unchanged(const struct am_args *args, const struct am_tensor_info *t)
{
    (void)t;
    return (float)am_arg_real(args, "alpha") == 0;
}

bool am_whole_is_matrix(const struct am_args *args, const struct am_tensor_info *t)
{
    bool flat = strcmp(am_arg_text(args, "conv"), "flatten") == 0;
    return (t->rank == 2 || (t->rank > 2 && flat)) && am_patterns_select(args, t);
}

void am_whole_prepare(const struct am_scope_info *s, void *local)
{
    struct am_whole *l = local;
    l->alpha = (float)am_arg_real(s->args, "alpha");
    l->inputs = (float)s->inputs;
}

static double squares(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return sum;
}

int am_whole_apply(const struct am_window *w, const void *acc)
{
    (void)acc;
    const struct am_whole *l = w->local;
    float *d = w->scratch[0];
    for (size_t i = 0; i < w->inputs; i++) {
        am_sub_f32(d, w->x[i], w->base, w->n);
        w->tally[AM_WHOLE_FIXED + i] += squares(d, w->n);
        if (i == 0)
            am_copy_f32(w->out, d, w->n);
        else
            am_add_f32(w->out, w->out, d, w->n);
    }
    am_div_f32(w->out, l->inputs, w->n);
    if (l->alpha != 1)
        am_scale_f32(w->out, l->alpha, w->out, w->n);
    w->tally[AM_WHOLE_OUT] += squares(w->out, w->n);
    am_add_f32(w->out, w->base, w->out, w->n);
    return 0;
}

void am_whole_report(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r)
{
    (void)acc;
    double norm[AM_MAX_INPUTS];
    for (size_t i = 0; i < s->inputs; i++)
        norm[i] = sqrt(tally[AM_WHOLE_FIXED + i]);
    am_report_put_list(r, "delta_norm", norm, s->inputs);
    am_report_put(r, "merged_norm", sqrt(tally[AM_WHOLE_OUT]));
    am_report_put(r, "rank", tally[AM_WHOLE_RANK]);
}

struct am_whole_room am_whole_room(const struct am_matrix *m)
{
    return (struct am_whole_room){m->work, m->work + m->doubles};
}

double *am_whole_take(struct am_whole_room *room, size_t n)
{
    n = (n + 7) / 8 * 8;
    if ((size_t)(room->end - room->at) < n)
        return NULL;
    room->at += n;
    return room->at - n;
}

int am_whole_add(struct am_matrix *m, size_t i, double *into, size_t step, bool count)
{
    const float *x;
    int rc = m->read(m->ctx, i, &x);
    if (rc != 0)
        return rc;
    double sum = 0;
    for (size_t r = 0; r < m->rows; r++)
        for (size_t c = 0; c < m->cols; c++) {
            double d = (double)x[r * m->cols + c] - (double)m->base[r * m->cols + c];
            into[r * step + c] += d;
            sum += d * d;
        }
    if (count)
        m->tally[AM_WHOLE_FIXED + i] += sum;
    return 0;
}

size_t am_whole_rank(const double *s, size_t k, double tol)
{
    size_t n = 0;
    while (n < k && (tol == 0 || s[n] > tol * s[0]))
        n++;
    return n;
}

int am_whole_svd_room(struct am_whole_room *room, size_t rows, size_t cols, struct am_whole_svd *ret)
{
    struct am_whole_svd d = {.rows = rows, .cols = cols, .k = rows < cols ? rows : cols};
    d.a = am_whole_take(room, rows * cols);
    d.u = am_whole_take(room, rows * d.k);
    d.s = am_whole_take(room, d.k);
    d.vt = am_whole_take(room, d.k * cols);
    struct am_whole_room rest = *room;
    d.work = am_whole_take(&rest, am_svd_work(rows, cols));
    if (!d.a || !d.u || !d.s || !d.vt || !d.work)
        return -AM_E_OUT_OF_MEMORY;
    memset(d.a, 0, rows * cols * sizeof(*d.a));
    *ret = d;
    return 0;
}

int am_whole_svd(struct am_whole_svd *d)
{
    return am_svd(d->a, d->rows, d->cols, d->u, d->s, d->vt, d->work);
}

int am_whole_joined_room(const struct am_matrix *m, struct am_whole_room *room, size_t most,
                         struct am_whole_joined *ret)
{
    struct am_whole_joined j = {.most = most};
    j.u = am_whole_take(room, m->rows * most);
    j.s = am_whole_take(room, most);
    j.vt = am_whole_take(room, most * m->cols);
    if (!j.u || !j.s || !j.vt)
        return -AM_E_OUT_OF_MEMORY;
    *ret = j;
    return 0;
}

void am_whole_join(struct am_whole_joined *j, const struct am_whole_svd *d, size_t n)
{
    for (size_t r = 0; r < d->rows; r++)
        memcpy(j->u + r * j->most + j->n, d->u + r * d->k, n * sizeof(*d->u));
    memcpy(j->vt + j->n * d->cols, d->vt, n * d->cols * sizeof(*d->vt));
    memcpy(j->s + j->n, d->s, n * sizeof(*d->s));
    j->n += n;
}

/* a (packed) becomes the nearest matrix with orthonormal columns or rows. */
static int polar(double *a, size_t rows, size_t cols, struct am_whole_room room)
{
    size_t k = rows < cols ? rows : cols;
    double *u = am_whole_take(&room, rows * k), *s = am_whole_take(&room, k), *vt = am_whole_take(&room, k * cols),
           *work = am_whole_take(&room, am_svd_work(rows, cols));
    if (!u || !s || !vt || !work)
        return -AM_E_OUT_OF_MEMORY;
    AM_TRY(am_svd(a, rows, cols, u, s, vt, work));
    return am_gemm(1, (struct am_mat){u, rows, k, k}, false, (struct am_mat){vt, k, cols, cols}, false, 0,
                   (struct am_mat){a, rows, cols, cols});
}

int am_whole_put_joined(struct am_matrix *m, struct am_whole_joined *j, struct am_whole_room room)
{
    for (size_t r = 1; r < m->rows && j->n < j->most; r++)
        memmove(j->u + r * j->n, j->u + r * j->most, j->n * sizeof(*j->u));
    AM_TRY(polar(j->u, m->rows, j->n, room));
    AM_TRY(polar(j->vt, j->n, m->cols, room));
    for (size_t r = 0; r < m->rows; r++)
        for (size_t c = 0; c < j->n; c++)
            j->u[r * j->n + c] *= j->s[c];
    double *merged = am_whole_take(&room, m->rows * m->cols);
    if (!merged)
        return -AM_E_OUT_OF_MEMORY;
    AM_TRY(am_gemm(1, (struct am_mat){j->u, m->rows, j->n, j->n}, false, (struct am_mat){j->vt, j->n, m->cols, m->cols},
                   false, 0, (struct am_mat){merged, m->rows, m->cols, m->cols}));
    am_whole_put(m, merged, j->n);
    return 0;
}

void am_whole_put(struct am_matrix *m, const double *merged, size_t rank)
{
    double alpha = am_arg_real(m->scope.args, "alpha"), sum = 0;
    for (size_t i = 0; i < m->rows * m->cols; i++) {
        double d = alpha * merged[i];
        m->out[i] = (float)(m->base[i] + d);
        sum += d * d;
    }
    m->tally[AM_WHOLE_OUT] += sum;
    m->tally[AM_WHOLE_RANK] += (double)rank;
}
