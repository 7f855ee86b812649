/*
 * csv.h - the cells of a table of text (RFC 4180), one after the other. A cell has a ceiling; nothing else is held.
 */
#ifndef AM_CLI_CSV_H
#define AM_CLI_CSV_H

#include "core/base/buf.h"

#include <stdio.h>

#define AM_CSV_CELL_MAX 65536
#define AM_CSV_COLUMNS_MAX 4096

struct am_csv {
    FILE *in;
    struct am_buf cell; /* am_buf_init() with AM_CSV_CELL_MAX, am_buf_done() by the caller */
    long line;          /* from 1 */
};
/* The next cell into ->cell. 1: more of the row follow; 0: the row's last one; -1: the end of the file; -2: it is too
   long, or its quote is not closed. */
int am_csv_next(struct am_csv *t);

#endif
