/*
 * order.h - private to core/table: puts faults into the order of the document they point into.
 */
#ifndef AM_TABLE_ORDER_H
#define AM_TABLE_ORDER_H

#include "core/base/fault.h"

#include <jansson.h>

/* Sorts f->v[first..] by the place of their pointers in `doc`: an object's own faults first, members that are not there
 * last. */
void am_faults_order(struct am_faults *f, size_t first, json_t *doc);

#endif
