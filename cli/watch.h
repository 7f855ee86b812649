/*
 * watch.h - -w of lists and single things: asked for again and again. On a terminal the table is drawn over itself; on
 * a pipe, and with -o json or name, each new or changed entry is one line.
 */
#ifndef AM_CLI_WATCH_H
#define AM_CLI_WATCH_H

#include "cli/out.h"

struct am_watch {
    const char *path;
    size_t want; /* entries of a list; 0: the path is of one thing */
    bool paged;
    const char *const *head;
    unsigned right;
    void (*row)(struct am_grid *g, const json_t *entry);
    const char *when_empty;
    void (*show)(const struct am_cli *c, const json_t *doc); /* one thing on a terminal; NULL: as a table of one row */
    int (*ended)(const json_t *doc); /* an exit code, or -1: it goes on. NULL: it never ends by itself */
};

/* Takes -w and --watch out of the words of a command, so that its own options need not know them. */
bool am_watch_asked(int *argc, char **argv);
/* Until ended(), --timeout (AM_EXIT_TIMEOUT) or an interrupt (AM_EXIT_INTERRUPTED). */
int am_watch(struct am_cli *c, const struct am_watch *w);

#endif
