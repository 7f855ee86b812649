/*
 * change.h - changing what the daemon has only if it is still what was read, asking before something is deleted, and
 * sending a file. The daemon decides; these only speak to it.
 */
#ifndef AM_CLI_CHANGE_H
#define AM_CLI_CHANGE_H

#include "cli/http.h"

#include <stdio.h>

/* One request under `seen`, a header such as "If-Match: ..."; 0 with a good answer, else it has been said. */
int am_change(struct am_cli *c, const char *verb, const char *path, const char *seen, const json_t *body,
              struct am_reply *ret);
/* "WHAT? [y/N]" on the terminal; 0: yes. Without one it asks for --yes. */
int am_ask(const struct am_cli *c, const char *fmt, ...) AM_PRINTF(2, 3);
/* Asks unless `yes`, reads `path`, deletes that state of it and prints so; `kind` is "the gate" and the like. */
int am_remove(struct am_cli *c, const char *kind, const char *name, const char *path, bool yes);
/* A whole command that does so: its only word names what is below `head`, and --yes does not ask. */
int am_remove_named(struct am_cli *c, int argc, char **argv, const char *kind, const char *head);

struct am_sent_file {
    FILE *file; /* a pipe can be read once only and is not tried again */
    bool gzip;
    const char *type;
};
/* POST under a fresh Idempotency-Key; 0 with a good answer, else it has been said. */
int am_send_file(struct am_cli *c, const char *path, const struct am_sent_file *f, struct am_reply *ret);

#endif
