/*
 * compat.h - what the commands about comparisons share: printing a report, a decision and their numbers for people. The
 * numbers are those of the daemon; the client computes none.
 */
#ifndef AM_CLI_COMPAT_H
#define AM_CLI_COMPAT_H

#include "cli/http.h"
#include "cli/out.h"

/* Room for a number of a report: "2.94 %", "+0.49 points", "0.4546". */
#define AM_RATE 48
void am_fmt_share(const json_t *v, char out[AM_RATE]);  /* "-" when it is no number */
void am_fmt_points(const json_t *v, char out[AM_RATE]); /* a difference of shares */

/* The version on a `side` ("old", "new"): demo/net@v3, or a commit by its first digits, or the name of one that is
   elsewhere. For free(). The other puts it into a cell. */
char *am_side_text(const json_t *of, const char *side);
void am_side_name(struct am_grid *g, const json_t *of, const char *side);

/* A value with its interval, or why it has none. */
void am_value_put_pair(struct am_grid *g, const char *title, const json_t *v,
                       void (*fmt)(const json_t *, char[AM_RATE]));
/* compat_line.c: the matrix and the values of a report about a line of versions. */
void am_line_show(struct am_grid *g, const json_t *report);
/* The report in some ten lines; `decision` may be NULL. */
void am_compat_show(const struct am_cli *c, const json_t *report, const json_t *decision);
/* Its verdict and one line a rule. */
void am_decision_show(const struct am_cli *c, const json_t *decision);
/* 0 when the verdict is promote or there is no decision, else AM_EXIT_GATE. */
int am_verdict_exit(const json_t *decision);
/* A sentence about a gate that did not let something pass, on standard error; `decision` has id and verdict. */
void am_verdict_say(const struct am_cli *c, const json_t *decision);

/* GET of one report, or of a decision; new references. *ret_decision is null when no gate was asked. */
int am_report_get(struct am_cli *c, const char *id, json_t **ret_report, json_t **ret_decision);
int am_decision_get(struct am_cli *c, const char *id, json_t **ret);

/* One report in the form that was asked for. */
int am_report_print(struct am_cli *c, const char *id);
/* Submits a job of comparing, follows it to its end and prints its report; *ret_job is a new reference. */
int am_compat_submit(struct am_cli *c, const json_t *body, json_t **ret_job);
/* --bootstrap and --seed, which every such job takes, into its params and options; NULL texts leave them as they are.
 */
int am_compat_numbers(struct am_cli *c, const char *bootstrap, const char *seed, json_t *params, json_t *options);

/* "?a=b&c=d" of names and values up to a NULL name; NULL values are left out. For free(). */
char *am_query(const char *path, const char *const (*pairs)[2]);
/* --limit of a list. */
int am_limit(struct am_cli *c, const char *text, uint64_t def, uint64_t *ret);

#endif
