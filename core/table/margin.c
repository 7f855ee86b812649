/*
 * margin.c - see margin.h.
 */
#include "core/table/margin.h"

#include "core/base/err.h"

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
