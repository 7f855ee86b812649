/*
 * _iso.c - see _iso.h.
 */
#include "core/merge/_iso.h"

#include "core/base/err.h"

int am_iso_sum(struct am_matrix *m, struct am_whole_room *room, struct am_whole_svd *ret, size_t *ret_rank)
{
    struct am_whole_svd sum;
    AM_TRY(am_whole_svd_room(room, m->rows, m->cols, &sum));
    for (size_t i = 0; i < m->scope.inputs; i++) {
        int rc = am_whole_add(m, i, sum.a, m->cols, true);
        if (rc != 0)
            return rc;
    }
    AM_TRY(am_whole_svd(&sum));
    *ret_rank = sum.s[0] > 0 ? am_whole_rank(sum.s, sum.k, am_arg_real(m->scope.args, "rank_tolerance")) : 0;
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
