/*
 * _iso.c - see _iso.h.
 */
#include "core/merge/_iso.h"

#include "core/base/err.h"

#include <string.h>

int am_iso_sum(struct am_matrix *m, struct am_whole_room *room, struct am_iso_sum *ret)
{
    size_t e = m->rows * m->cols, k = m->rows < m->cols ? m->rows : m->cols;
    struct am_iso_sum sum = {.k = k};
    sum.a = am_whole_take(room, e);
    sum.u = am_whole_take(room, m->rows * k);
    sum.s = am_whole_take(room, k);
    sum.vt = am_whole_take(room, k * m->cols);
    struct am_whole_room rest = *room;
    double *work = am_whole_take(&rest, am_svd_work(m->rows, m->cols));
    if (!sum.a || !sum.u || !sum.s || !sum.vt || !work)
        return -AM_E_OUT_OF_MEMORY;
    memset(sum.a, 0, e * sizeof(*sum.a));
    for (size_t i = 0; i < m->scope.inputs; i++) {
        int rc = am_whole_add(m, i, sum.a, m->cols, true);
        if (rc != 0)
            return rc;
    }
    AM_TRY(am_svd(sum.a, m->rows, m->cols, sum.u, sum.s, sum.vt, work));
    sum.rank = sum.s[0] > 0 ? am_whole_rank(sum.s, k, am_arg_real(m->scope.args, "rank_tolerance")) : 0;
    *ret = sum;
    return 0;
}

double am_iso_mean(const double *s, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += s[i];
    return n ? sum / (double)n : 0;
}
