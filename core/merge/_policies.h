/*
 * _policies.h - the parameters that all merge, unlearn and edit methods share. core/methods/run.c carries them out.
 */
#ifndef AM_MERGE_POLICIES_H
#define AM_MERGE_POLICIES_H

#include "core/methods/method.h"

extern const struct am_param am_policies[];          /* nonfinite, overflow */
extern const struct am_param am_policies_rules[];    /* and compat without "exact": mergekit's rules, own rounding */
extern const struct am_param am_policies_mergekit[]; /* and compat, compat_dtype: of methods that mergekit has, too */

/* How far a merge does what mergekit does where amend would choose otherwise (merge.md B17, B18). */
enum am_compat {
    AM_COMPAT_NONE,  /* the mathematically meant thing */
    AM_COMPAT_RULES, /* mergekit's selection rules, floors and divisors, with amend's arithmetic */
    AM_COMPAT_EXACT, /* its rounding as well */
};
/* Of a method without that parameter: none. */
enum am_compat am_compat(const struct am_args *args);

#endif
