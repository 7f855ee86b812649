/*
 * commands.c - the one table of commands (commands.h).
 */
#include "cli/commands.h"

#include "core/base/text.h"

#define METHOD_MORE                                                                                                    \
    "  --PARAM VALUE      a parameter of the method; --PARAM / --no-PARAM for yes and no; repeat it for lists\n"       \
    "  --param NAME=VALUE the same, when an option below has the parameter's name\n"                                   \
    "  --message T  --branch B  --tag T (repeat)  --metadata K=V (repeat)  --priority N\n"                             \
    "  --threads N  --seed N  --out-dtype F32|F16|BF16  --no-reuse (compute even what was done before)\n"              \
    "  --wait             wait for the end (--timeout SECONDS); else the job's id is printed at once\n"                \
    "  --dry-run          print what the job would need, or why it would be refused; nothing is stored\n"              \
    "  --print-spec       print the job's body and do nothing\n"

const struct am_command am_commands[] = {
    {"model", "register", "DIR MODEL [--branch B] [--message T]",
     "make a version of a directory on the daemon's machine",
     "  --branch B    the branch that gets the version (main)\n"
     "  --message T   what the version is\n"
     "The directory must lie under one of the daemon's --store.import_roots. Prints the version when it is done.\n"
     "example: amend model register ~/models/llama demo/llama --message 'vendor release 3'\n",
     am_cmd_model_register, false},
    {"model", "create", "MODEL [--description T]", "make an empty model", NULL, am_cmd_model_create, false},
    {"model", "list", "[--limit N]", "list the models", "  --limit N   at most N rows (100)\n", am_cmd_model_list,
     false},
    {"model", "show", "MODEL[@REV]", "show a model, or one of its versions", NULL, am_cmd_model_show, false},
    {"model", "versions", "MODEL [--limit N]", "list the versions of a model, newest first",
     "  --limit N   at most N rows (100)\n", am_cmd_model_versions, false},
    {"model", "files", "MODEL[@REV]", "list the files of a version", NULL, am_cmd_model_files, false},
    {"model", "pull", "MODEL[@REV] DIR", "download a version into a directory here, checking every hash",
     "Files that are already there with the right hash are skipped; others of the same name are replaced when the "
     "download is\n"
     "complete and checked.\n",
     am_cmd_model_pull, false},
    {"model", "lineage", "MODEL[@REV] [--mermaid] [--depth N]", "show what a version was made from",
     "  --mermaid   print a Mermaid graph\n"
     "  --depth N   so many steps back (8), or all\n"
     "On a terminal a tree, the version at the top and what it came from below; piped one line an edge: child, role, "
     "weight, parent.\n",
     am_cmd_model_lineage, false},
    {"job", "submit", "-f FILE|- [--wait] [--dry-run]", "submit a job from its JSON body",
     "  -f FILE   the body; - reads standard input\n"
     "  --wait    wait for the end (--timeout SECONDS)\n"
     "  --dry-run print what the job would need, or why it would be refused; nothing is stored\n"
     "  --idempotency-key K  the same job with the same key is submitted once (a fresh key each time)\n",
     am_cmd_job_submit, false},
    {"job", "list", "[--status S] [--type T] [--method M] [--model M] [--metadata K=V] [--since T] [--limit N]",
     "list the jobs, newest first",
     "  --status S  queued, running, cancelling, succeeded, failed or cancelled (repeat: any of them)\n"
     "  --type T    merge, unlearn, edit; task for imports\n"
     "  --method M  the method's name; --model M the model published to; --created-by WHO\n"
     "  --metadata K=V  with that pair (repeat: with all of them)\n"
     "  --since T   submitted at that time or later, such as 2026-11-23T01:48:10Z\n"
     "  --archived  those that were put away\n"
     "  --limit N   at most N rows (100)\n",
     am_cmd_job_list, false},
    {"job", "get", "ID", "show a job", NULL, am_cmd_job_get, false},
    {"job", "watch", "ID", "follow a job to its end",
     "Prints the version at the end. Exits 3 when the job failed or was cancelled, 124 after --timeout, 130 when "
     "interrupted.\n",
     am_cmd_job_watch, false},
    {"job", "retry", "ID [--wait]", "submit a job again as it was, with names resolved anew", NULL, am_cmd_job_retry,
     false},
    {"job", "rerun", "ID [--wait] [--into M]", "compute a job again and compare the bytes",
     "  --wait    wait for the end; exits 1 when the bytes differ, 3 when the job failed\n"
     "  --into M  publish the result, too (--branch B, --message T); else nothing is published\n",
     am_cmd_job_rerun, false},
    {"job", "set", "ID [--priority N] [--metadata K=V] [--archived|--no-archived]", "change a job",
     "  --priority N    0..100, lower runs first; while it is queued\n"
     "  --metadata K=V  (repeat) in place of what it has; while it is queued\n"
     "  --archived      put it away: lists leave it out; when it has ended\n",
     am_cmd_job_set, false},
    {"job", "cancel", "ID", "ask a job to stop", NULL, am_cmd_job_cancel, false},
    {"job", "logs", "ID", "print what the job's worker wrote", NULL, am_cmd_job_logs, false},
    {"merge", NULL, "METHOD [--base V] MODEL[,param=value...]... --into M [options]", "merge versions into a new one",
     "  --base V           the version that all models come from, for methods that need it\n"
     "  --into M           the model that gets the result\n" METHOD_MORE
     "example: amend merge linear demo/a@v1,weight=0.3 demo/b@v1,weight=0.7 --into demo/ab --wait\n",
     am_cmd_shorthand, true},
    {"unlearn", NULL, "METHOD MODEL [--task FINE_TUNE[,base=OLD_BASE]] [--into M] [options]",
     "take something learnt out of a version",
     "  --task V[,base=V]  the fine-tune whose task is to be forgotten, and what it was tuned from\n"
     "  --into M           the model that gets the result (the same model)\n" METHOD_MORE,
     am_cmd_shorthand, true},
    {"edit", NULL, "METHOD MODEL [--into M] [options]", "change a version directly",
     "  --into M           the model that gets the result (the same model)\n" METHOD_MORE, am_cmd_shorthand, true},
    {"methods", NULL, "[TYPE[/METHOD]]", "list the methods, or the parameters of one", NULL, am_cmd_methods, false},
    {"doctor", NULL, "", "check the daemon and the set-up here; one line a finding, with a fix", NULL, am_cmd_doctor,
     false},
    {"version", NULL, "", "print the version of the client and of the daemon", NULL, am_cmd_version, false},
    {"api", NULL, "METHOD PATH [-d JSON]", "send one request and print the answer as it is",
     "  -d JSON    the body; -d - reads standard input\n"
     "  -H LINE    a header, 'Name: value'\n"
     "example: amend api GET /v1/queue\n",
     am_cmd_api, false},
    {"help", NULL, "[COMMAND]", "this text, or the help of a command", NULL, am_cmd_help, false},
};
const size_t am_commands_n = sizeof am_commands / sizeof *am_commands;

const struct am_command *am_command_find(const char *noun, const char *verb)
{
    for (size_t i = 0; i < am_commands_n; i++)
        if (am_streq(am_commands[i].noun, noun) && am_streq(am_commands[i].verb, verb))
            return &am_commands[i];
    return NULL;
}
