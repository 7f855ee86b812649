/*
 * conf.h - the client's own file: named contexts in $XDG_CONFIG_HOME/amend/config.toml. The file is the part of TOML
 * that this needs and nothing else is accepted: comments, `current = "NAME"` on top, and tables [context.NAME] with the
 * keys endpoint, namespace and token_file, whose values are "basic" or 'literal' strings on one line. Lines are changed
 * one by one, so that what a person wrote beside them (comments, order) stays. Ownership: a conf owns its lines and its
 * path until am_conf_done(); texts given out live as long.
 */
#ifndef AM_CLI_CONF_H
#define AM_CLI_CONF_H

#include "cli/cli.h"

enum am_conf_key { AM_CONF_ENDPOINT, AM_CONF_NAMESPACE, AM_CONF_TOKEN_FILE, AM_CONF_KEYS };
extern const char *const am_conf_names[AM_CONF_KEYS];

struct am_conf_line {
    char *text;  /* as it is in the file, without its newline */
    char *table; /* NAME of the [context.NAME] that it is in or begins; NULL on top */
    int key;     /* enum am_conf_key, or AM_CONF_CURRENT, _HEAD, _OTHER */
    char *value; /* of a key, unquoted */
};
enum { AM_CONF_CURRENT = -1, AM_CONF_HEAD = -2, AM_CONF_OTHER = -3 };

struct am_conf {
    char *path; /* NULL: there is no home */
    struct am_conf_line *line;
    size_t n;
};

/* A file that is not there is an empty one. Says file and line of a mistake and returns an exit code. */
int am_conf_load(const struct am_cli *c, struct am_conf *ret);
int am_conf_save(const struct am_cli *c, const struct am_conf *f); /* whole or not at all, readable by its owner only */
void am_conf_done(struct am_conf *f);

const char *am_conf_current(const struct am_conf *f); /* NULL: none */
bool am_conf_has(const struct am_conf *f, const char *name);
const char *am_conf_get(const struct am_conf *f, const char *name, enum am_conf_key key); /* NULL: not set */
/* The contexts in the order of the file, borrowed. Returns how many were put. */
size_t am_conf_list(const struct am_conf *f, const char **out, size_t cap);
const char *am_conf_name_fault(const char *name); /* NULL: it can name a context */

/* Values must be printable, one line. */
void am_conf_set(struct am_conf *f, const char *name, enum am_conf_key key, const char *value);
void am_conf_add(struct am_conf *f, const char *name); /* the table alone; nothing when it is there */
void am_conf_use(struct am_conf *f, const char *name); /* NULL: none */
void am_conf_remove(struct am_conf *f, const char *name);

/* context.c: fills endpoint, namespace and token of `c` from flags, the environment and the context, in this order. */
int am_context_apply(struct am_cli *c);
char *am_conf_file(const char *name); /* "~/x" below the home. For free(). */
/* "NAME" as "NAMESPACE/NAME" when a context gives one; else the text as it is. For free(). */
char *am_name_full(const struct am_cli *c, const char *text);

#endif
