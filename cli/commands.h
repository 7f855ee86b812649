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
int am_cmd_job_submit(struct am_cli *c, int argc, char **argv);
int am_cmd_job_list(struct am_cli *c, int argc, char **argv);
int am_cmd_job_get(struct am_cli *c, int argc, char **argv);
int am_cmd_job_watch(struct am_cli *c, int argc, char **argv);
int am_cmd_job_cancel(struct am_cli *c, int argc, char **argv);
int am_cmd_job_retry(struct am_cli *c, int argc, char **argv);
int am_cmd_job_rerun(struct am_cli *c, int argc, char **argv);
int am_cmd_job_set(struct am_cli *c, int argc, char **argv);
int am_cmd_job_logs(struct am_cli *c, int argc, char **argv);
int am_cmd_shorthand(struct am_cli *c, int argc, char **argv); /* merge, unlearn, edit: the noun is the type */
int am_cmd_methods(struct am_cli *c, int argc, char **argv);
int am_cmd_doctor(struct am_cli *c, int argc, char **argv);
int am_cmd_version(struct am_cli *c, int argc, char **argv);
int am_cmd_api(struct am_cli *c, int argc, char **argv);
int am_cmd_help(struct am_cli *c, int argc, char **argv);

#endif
