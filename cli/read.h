/*
 * read.h - small inputs of the client: a file or standard input, read whole under a ceiling.
 */
#ifndef AM_CLI_READ_H
#define AM_CLI_READ_H

#include "cli/cli.h"

/* "-" is standard input. Says what is wrong. The bytes are NUL-terminated, for free(). */
int am_read_all(const struct am_cli *c, const char *file, char **ret, size_t *ret_len);
/* An object; says line and column of a mistake. */
int am_read_json(const struct am_cli *c, const char *file, json_t **ret);
/* JSON of a text given on the command line. */
int am_parse_json(const struct am_cli *c, const char *what, const char *text, size_t n, json_t **ret);

#endif
