/*
 * opt.h - reading the words of a command line: --name VALUE, --name=VALUE, -x VALUE, words, and -- before words only.
 * Allocates nothing; everything points into argv.
 */
#ifndef AM_CLI_OPT_H
#define AM_CLI_OPT_H

#include "cli/cli.h"

struct am_scan {
    int argc, i;
    char **argv;
    bool only_words;
};
struct am_token {
    const char *word;    /* a word; NULL = an option */
    char name[64];       /* of the option without dashes; a single letter for -x */
    const char *inlined; /* after "=", or after -x; NULL = none */
};
bool am_scan_next(struct am_scan *s, struct am_token *ret); /* false: at the end */
/* The value of the option just read: inlined, or the next word of the line. NULL when there is none. */
const char *am_scan_value(struct am_scan *s, const struct am_token *t);

struct am_opt {
    const char *name;   /* NULL ends the list */
    char letter;        /* or 0 */
    const char **value; /* takes a value, the last one wins; NULL = a flag */
    bool *flag;
};
/* Options of `opts` and at most `max` words, at least `min`; says what is wrong and returns AM_EXIT_USAGE. words[] is
   filled up with NULL. */
int am_opt_parse(const struct am_cli *c, const struct am_opt *opts, int argc, char **argv, int min, int max,
                 const char **words);
/* "--depth" etc.: a whole number within bounds. */
int am_opt_number(const struct am_cli *c, const char *flag, const char *text, uint64_t min, uint64_t max,
                  uint64_t *ret);

/* Takes an option that may stand again and again out of argv[0..] and gives each value, which is `what`, to `add`;
   stops when that returns other than 0. */
int am_opt_each(const struct am_cli *c, const char *flag, const char *what, int *argc, char **argv,
                int (*add)(const struct am_cli *c, const char *value, void *arg), void *arg);

/* Takes the global flags out of argv[1..] (they may stand anywhere) and sets them in `c`. */
int am_opt_global(struct am_cli *c, int *argc, char **argv);

#endif
