/*
 * job.h - following a job or task to its end, and printing what came of it.
 */
#ifndef AM_CLI_JOB_H
#define AM_CLI_JOB_H

#include "cli/cli.h"

/* Polls until the job has ended; progress goes to standard error. 0 = succeeded, and *ret is the job (new reference).
   AM_EXIT_JOB: failed or cancelled (said; *ret is set too), AM_EXIT_TIMEOUT, AM_EXIT_INTERRUPTED, or an error of the
   network. */
int am_job_wait(struct am_cli *c, const char *id, json_t **ret);
/* Waits and prints the resulting version or reports (-o json: the job). AM_EXIT_GATE: its gate did not say promote. */
int am_job_follow(struct am_cli *c, const char *id);
/* stages.c: waits for the jobs whose results `job` takes, each after those that it takes itself, so that what failed
   first is told. */
int am_stages_wait(struct am_cli *c, const json_t *job);
/* POST /v1/jobs, then prints the id, or follows the job. `key` NULL: a fresh Idempotency-Key. */
int am_job_submit(struct am_cli *c, const json_t *body, bool wait, const char *key);
/* After a 202: prints the new job's id, or follows it. */
struct am_reply;
int am_job_accepted(struct am_cli *c, const struct am_reply *r, bool wait);
/* cmd_model.c: POST of a version that the daemon imports. It answers when that is done, or with a task after some
   seconds (202). */
int am_register_post(struct am_cli *c, const char *model, const json_t *body, struct am_reply *ret);
/* job_query.c: GET /v1/jobs with the filters on the command line; for free(). */
int am_job_query(struct am_cli *c, int argc, char **argv, char **ret_path, size_t *ret_want);
/* POST /v1/plans, and prints what the job would need, or why it would be refused (AM_EXIT_ERROR). */
int am_job_plan(struct am_cli *c, const json_t *body);
int am_job_plan_show(struct am_cli *c, const json_t *plan); /* the answer to that */
/* "demo/merged@v3 <commit>" of an object with model, number and commit; under -o name only the first word. */
void am_print_version(const struct am_cli *c, const json_t *version);
/* "demo/merged@v3", or with the first 12 digits of the commit when it has no number. For free(). */
char *am_version_name(const json_t *version);
const char *am_job_reason(const json_t *job); /* why it has its status, or NULL */

#endif
