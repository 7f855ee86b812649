/*
 * commands.h - the one table of commands: dispatch, help and the nearest name of a mistyped word all come from it.
 */
#ifndef AM_CLI_COMMANDS_H
#define AM_CLI_COMMANDS_H

#include "cli/cli.h"

struct am_command {
    const char *noun, *verb;                             /* "model" "list"; verb NULL for a command of one word */
    const char *usage;                                   /* what follows the words */
    const char *doc;                                     /* one line */
    const char *more;                                    /* options and examples for --help, whole lines, or NULL */
    int (*run)(struct am_cli *c, int argc, char **argv); /* argv: what follows the words; returns an exit code */
    bool own_help; /* run() is called for --help too (c->help is set): its help comes from the daemon */
};

extern const struct am_command am_commands[];
extern const size_t am_commands_n;

/* What every command takes, and what it ends with: the texts of --help, of the man page and of completion. */
struct am_global {
    const char *letter; /* "-q", or NULL */
    const char *name;   /* "--quiet" */
    const char *value;  /* what follows it, or NULL */
    const char *doc;
};
extern const struct am_global am_globals[];
extern const size_t am_globals_n;
struct am_exit_doc {
    int code;
    const char *doc;
};
extern const struct am_exit_doc am_exit_docs[];
extern const size_t am_exit_docs_n;
struct am_env_doc {
    const char *name, *doc;
};
extern const struct am_env_doc am_env_docs[];
extern const size_t am_env_docs_n;

const struct am_command *am_command_find(const char *noun, const char *verb);
/* Help: of everything (noun NULL), of a noun's verbs, of one command. Goes to standard output. */
void am_help_all(void);
void am_help_noun(const char *noun);
void am_help_command(const struct am_command *cmd);

int am_cmd_model_register(struct am_cli *c, int argc, char **argv);
int am_cmd_model_create(struct am_cli *c, int argc, char **argv);
int am_cmd_model_list(struct am_cli *c, int argc, char **argv);
int am_cmd_model_show(struct am_cli *c, int argc, char **argv);
int am_cmd_model_versions(struct am_cli *c, int argc, char **argv);
int am_cmd_model_files(struct am_cli *c, int argc, char **argv);
int am_cmd_model_pull(struct am_cli *c, int argc, char **argv);
int am_cmd_model_lineage(struct am_cli *c, int argc, char **argv);
int am_cmd_ref_list(struct am_cli *c, int argc, char **argv);
int am_cmd_ref_set(struct am_cli *c, int argc, char **argv);
int am_cmd_ref_policy(struct am_cli *c, int argc, char **argv);
int am_cmd_model_alias(struct am_cli *c, int argc, char **argv);
int am_cmd_ref_rm(struct am_cli *c, int argc, char **argv);
int am_cmd_ref_history(struct am_cli *c, int argc, char **argv);
int am_cmd_rollback(struct am_cli *c, int argc, char **argv);
int am_cmd_model_diff(struct am_cli *c, int argc, char **argv);
int am_cmd_model_export(struct am_cli *c, int argc, char **argv);
int am_cmd_model_card(struct am_cli *c, int argc, char **argv);
/* A directory of the daemon's machine by a name that holds without our present one; for free(). NULL: it was said. */
char *am_dir_absolute(const struct am_cli *c, const char *dir);
int am_cmd_model_rm(struct am_cli *c, int argc, char **argv);
int am_cmd_model_restore(struct am_cli *c, int argc, char **argv);
int am_cmd_model_label(struct am_cli *c, int argc, char **argv);
int am_cmd_model_pin(struct am_cli *c, int argc, char **argv);
int am_cmd_model_unpin(struct am_cli *c, int argc, char **argv);
int am_cmd_job_submit(struct am_cli *c, int argc, char **argv);
int am_cmd_job_list(struct am_cli *c, int argc, char **argv);
int am_cmd_job_get(struct am_cli *c, int argc, char **argv);
int am_cmd_job_watch(struct am_cli *c, int argc, char **argv);
int am_cmd_job_cancel(struct am_cli *c, int argc, char **argv);
int am_cmd_job_retry(struct am_cli *c, int argc, char **argv);
int am_cmd_job_rerun(struct am_cli *c, int argc, char **argv);
int am_cmd_job_set(struct am_cli *c, int argc, char **argv);
int am_cmd_job_logs(struct am_cli *c, int argc, char **argv);
int am_cmd_job_events(struct am_cli *c, int argc, char **argv);
int am_cmd_shorthand(struct am_cli *c, int argc, char **argv); /* merge, unlearn, edit: the noun is the type */
int am_cmd_methods(struct am_cli *c, int argc, char **argv);
int am_cmd_model_import(struct am_cli *c, int argc, char **argv);
int am_cmd_model_tensors(struct am_cli *c, int argc, char **argv); /* tensors, too */
int am_cmd_model_recipe(struct am_cli *c, int argc, char **argv);
int am_cmd_predictions_push(struct am_cli *c, int argc, char **argv);
int am_cmd_predictions_list(struct am_cli *c, int argc, char **argv);
int am_cmd_predictions_show(struct am_cli *c, int argc, char **argv);
int am_cmd_predictions_rm(struct am_cli *c, int argc, char **argv);
int am_cmd_compat_run(struct am_cli *c, int argc, char **argv);
int am_cmd_compat_continual(struct am_cli *c, int argc, char **argv);
int am_cmd_compat_report(struct am_cli *c, int argc, char **argv);
int am_cmd_compat_list(struct am_cli *c, int argc, char **argv);
int am_cmd_compat_slices(struct am_cli *c, int argc, char **argv);
int am_cmd_compat_samples(struct am_cli *c, int argc, char **argv);
int am_cmd_gate_list(struct am_cli *c, int argc, char **argv);
int am_cmd_gate_show(struct am_cli *c, int argc, char **argv);
int am_cmd_gate_put(struct am_cli *c, int argc, char **argv);
int am_cmd_gate_rm(struct am_cli *c, int argc, char **argv);
int am_cmd_gate_revisions(struct am_cli *c, int argc, char **argv);
int am_cmd_gate_check(struct am_cli *c, int argc, char **argv);
int am_cmd_decision_list(struct am_cli *c, int argc, char **argv);
int am_cmd_decision_show(struct am_cli *c, int argc, char **argv);
int am_cmd_dataset_push(struct am_cli *c, int argc, char **argv);
int am_cmd_dataset_list(struct am_cli *c, int argc, char **argv);
int am_cmd_dataset_show(struct am_cli *c, int argc, char **argv);
int am_cmd_dataset_samples(struct am_cli *c, int argc, char **argv);
int am_cmd_dataset_get(struct am_cli *c, int argc, char **argv);
int am_cmd_dataset_rm(struct am_cli *c, int argc, char **argv);
int am_cmd_queue(struct am_cli *c, int argc, char **argv);
int am_cmd_verify(struct am_cli *c, int argc, char **argv);
int am_cmd_context_list(struct am_cli *c, int argc, char **argv);
int am_cmd_context_use(struct am_cli *c, int argc, char **argv);
int am_cmd_context_set(struct am_cli *c, int argc, char **argv);
int am_cmd_context_rm(struct am_cli *c, int argc, char **argv);
int am_cmd_doctor(struct am_cli *c, int argc, char **argv);
int am_cmd_version(struct am_cli *c, int argc, char **argv);
int am_cmd_env(struct am_cli *c, int argc, char **argv);
int am_cmd_api(struct am_cli *c, int argc, char **argv);
int am_cmd_completion(struct am_cli *c, int argc, char **argv);
/* amend __complete WORD...: what may stand in the place of the last word, "candidate TAB description" a line. Never
   says an error and never waits longer than a second for the daemon. */
int am_complete(struct am_cli *c, int argc, char **argv);
/* amend __man: amend(1) in roff. */
void am_man(void);
int am_cmd_help(struct am_cli *c, int argc, char **argv);

#endif
