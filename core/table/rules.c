/*
 * rules.c - see rules.h.
 */
#include "core/table/rules.h"

#include "core/base/err.h"

#include <math.h>

bool am_margin_holds(double share, double margin)
{
    return share <= 0 || share >= 1 || (share - margin > 0 && share + margin < 1);
}

int am_margin_fault(struct am_where where, const char *share, double s, const char *margin, double m,
                    struct am_faults *f)
{
    where.reason = "epsilon-range";
    return am_fault_add(f, AM_E_INVALID_PARAMS, where,
                        "%s %g with %s %g gives probabilities from %g to %g, which must lie inside 0 and 1; with this "
                        "%s, %s must be below %g",
                        share, s, margin, m, s - m, s + m, share, margin, s < 0.5 ? s : 1 - s);
}

bool am_sum_holds(double sum)
{
    return !(fabs(sum) < 1e-8);
}

int am_sum_fault(struct am_where where, const char *param, const char *when, struct am_faults *f)
{
    where.reason = "weights-sum-zero";
    return am_fault_add(f, AM_E_INVALID_PARAMS, where,
                        "the values of %s of all models sum to zero%s%s; change one of them%s%s%s", param,
                        when[0] ? " with " : "", when, when[0] ? " or set " : "", when, when[0] ? " to false" : "");
}
