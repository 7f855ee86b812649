/*
 * _groups.h - fairness (compat.md 6): how far the values of one key, groups of people, lie apart. Of the new version,
 * but for nfr_gap, which is of the update. A group with fewer than AM_SLICE_SMALL samples is left out, and so is a
 * sample without a value. Nothing is owned.
 */
#ifndef AM_EVALUATE_GROUPS_H
#define AM_EVALUATE_GROUPS_H

#include "core/evaluate/_numbers.h"

#define AM_GROUPS_MAX 100

enum {
    AM_GAP_ACCURACY,  /* largest accuracy less the smallest */
    AM_GAP_TPR,       /* share of a class that is found: the class whose groups lie furthest apart */
    AM_GAP_FPR,       /* share of the others that are taken for the class; the same */
    AM_GAP_SELECTION, /* smallest share predicted as the class over the largest: of the class where it is smallest */
    AM_GAP_NFR,
    AM_GAPS
};
/* With the classes 0 and 1 only, 1 is the class that counts; else each does. */

/* -AM_E_INVALID_PARAMS: more than AM_GROUPS_MAX values. */
int am_group_gaps(const struct am_join *j, const struct am_grouping *g, const struct am_slice_key *key,
                  const struct am_boot *how, struct am_value ret[AM_GAPS]);

#endif
