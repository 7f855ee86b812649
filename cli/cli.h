/*
 * cli.h - what the files of the client share: the settings of one call, the exit codes, and how the client speaks.
 * Not the daemon's business: the client is HTTP only and never opens the database or the store.
 *
 * Functions of the client that talk to a person return an EXIT CODE: 0, or a positive number after they have said on
 * standard error what was wrong. Functions that do not speak return 0 or a negative error, like the rest of the house.
 * The client is one short-lived process: when memory runs out it says so and exits 1 (am_x...).
 */
#ifndef AM_CLI_CLI_H
#define AM_CLI_CLI_H

#include "core/base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum am_exit {
    AM_EXIT_OK = 0,
    AM_EXIT_ERROR = 1,
    AM_EXIT_USAGE = 2,
    AM_EXIT_JOB = 3,  /* the job failed or was cancelled */
    AM_EXIT_GATE = 4, /* a gate said hold or inconclusive */
    AM_EXIT_NOT_FOUND = 5,
    AM_EXIT_FORBIDDEN = 6,
    AM_EXIT_CONFLICT = 7,
    AM_EXIT_UNREACHABLE = 8,
    AM_EXIT_TIMEOUT = 124,
    AM_EXIT_INTERRUPTED = 130,
};

enum am_out { AM_OUT_TABLE, AM_OUT_TSV, AM_OUT_JSON, AM_OUT_NAME };

#define AM_DEFAULT_ENDPOINT "http://127.0.0.1:8420"

struct am_http;
struct am_command;

struct am_cli {
    char *endpoint; /* no final slash; NULL for commands that ask no daemon */
    const char *endpoint_from;
    enum am_out out;
    bool quiet, help;
    bool out_tty, err_tty, out_color, err_color, utf8;
    double timeout; /* seconds that --wait may take; 0 = no limit */
    /* Forms of AM_OUT_JSON: am_print_json() and am_print_list() honour them, so that no command has to. */
    bool yaml;
    const char *fields, *jq; /* --json: the members to print, --jq: an expression; or NULL */
    bool wide;               /* tables and rows show the columns marked '+' too */
    int *late;               /* where an exit code goes of what fails while it prints */
    const char *context;     /* --context, or NULL */
    char *ns;                /* the namespace of names without one, or NULL */
    char *token;             /* sent as Authorization: Bearer, or NULL */
    const char *token_from;
    struct am_http *http;
    const struct am_command *cmd; /* the one that runs */
    const char *method;           /* the one that merge, unlearn or edit was given; or NULL */
};

/* "amend: <cause>" and, when `fix` is not NULL, "  fix: <fix>". Control characters of texts from elsewhere are made
 * harmless. */
void am_say_error(const struct am_cli *c, const char *fix, const char *fmt, ...) AM_PRINTF(3, 4);
/* The same with the usage line of the running command; returns AM_EXIT_USAGE. */
int am_say_usage(const struct am_cli *c, const char *fmt, ...) AM_PRINTF(2, 3);
/* A line on standard error unless --quiet. */
void am_say_note(const struct am_cli *c, const char *fmt, ...) AM_PRINTF(2, 3);
/* The known word that was probably meant, or NULL: am_nearest(), and words with letters in another order ("modle"). */
const char *am_near(const char *word, const char *const *known, size_t n);
/* "unknown <what> '<word>'; did you mean ...?"; returns AM_EXIT_USAGE. */
int am_say_unknown(const struct am_cli *c, const char *what, const char *word, const char *const *known, size_t n);

/* Each gives memory for free(), or ends the process with a message. */
void *am_xalloc(size_t n);
void *am_xgrow(void *p, size_t n);
char *am_xdup(const char *s);
char *am_xprintf(const char *fmt, ...) AM_PRINTF(1, 2);
void am_xfreep(char **p);
void am_jsonp(json_t **p); /* for AM_CLEANUP: drops the reference */

/* Interrupts (SIGINT): after am_interrupt_watch() the first one is only noted, a second one ends the process. */
void am_interrupt_watch(void);
bool am_interrupted(void);
void am_nap(int64_t ms); /* returns early when interrupted */

#endif
