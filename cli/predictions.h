/*
 * predictions.h - what amend predictions push sends: an open file of lines, made of whatever the person has. Private to
 * cmd_predictions.c, predictions_file.c and predictions_csv.c.
 */
#ifndef AM_CLI_PREDICTIONS_H
#define AM_CLI_PREDICTIONS_H

#include "cli/cli.h"

#include <stdio.h>

struct am_push {
    const char *path;                                                          /* "-": standard input */
    const char *version, *dataset, *id, *label, *pred, *task, *split, *labels; /* options, or NULL */
    /* what comes of it */
    FILE *file;
    bool gzip;
};

/* Opens, or makes, the file to send. Says what is wrong. am_push_done() in every case. */
int am_push_open(struct am_cli *c, struct am_push *p);
/* A .csv as lines in a temporary file; `in` is its text. */
int am_push_csv(const struct am_cli *c, struct am_push *p, FILE *in);
/* The members of the header that options give, into `header`; 0 or an exit code. */
int am_push_names(const struct am_cli *c, const struct am_push *p, json_t *header);
void am_push_done(struct am_push *p);

#endif
