/*
 * run_check.h - do the inputs of a run line up? Private to am_run().
 */
#ifndef AM_METHODS_RUN_CHECK_H
#define AM_METHODS_RUN_CHECK_H

#include "core/methods/run.h"

/* 0, or the code of the worst fault with all of them in `faults`. */
int am_run_check(const struct am_run *r, struct am_faults *faults);

#endif
