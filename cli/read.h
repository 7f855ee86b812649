/*
 * read.h - small inputs of the client: a file or standard input, read whole under a ceiling, and lists printed by rows.
 */
#ifndef AM_CLI_READ_H
#define AM_CLI_READ_H

#include "cli/out.h"

/* "-" is standard input. Says what is wrong. The bytes are NUL-terminated, for free(). */
int am_read_all(const struct am_cli *c, const char *file, char **ret, size_t *ret_len);
int am_read_json(const struct am_cli *c, const char *file,
                 json_t **ret); /* an object; with line and column of a mistake */
/* JSON of a text given on the command line. */
int am_parse_json(const struct am_cli *c, const char *what, const char *text, size_t n, json_t **ret);

/* Prints a list by rows (-o json: as it is), with a note when there is more or nothing. */
int am_print_list(const struct am_cli *c, const json_t *list, const char *const *head, unsigned right,
                  void (*row)(struct am_grid *g, const json_t *entry), const char *when_empty);

#endif
