/*
 * help.c - the help texts, made from the table of commands. Not the parameters of methods (method_help.c): those are
 * the daemon's.
 */
#include "cli/commands.h"
#include "core/base/text.h"

#include <stdio.h>

const struct am_global am_globals[] = {
    {NULL, "--endpoint", "URL", "the daemon (AMEND_ENDPOINT; else " AM_DEFAULT_ENDPOINT ")"},
    {NULL, "--context", "NAME", "a named daemon (AMEND_CONTEXT; see amend context list)"},
    {"-o", "--output", "FORM",
     "table, wide, tsv, json, yaml or name: a table on a terminal and tab-separated when piped, by default"},
    {NULL, "--json", "F1,F2", "only these members, as JSON; a.b is the member b of a"},
    {NULL, "--jq", "EXPR", "the JSON through jq, texts without quotes"},
    {"-q", "--quiet", NULL, "no notes and no progress"},
    {NULL, "--color", "WHEN", "auto, always or never"},
    {NULL, "--no-color", NULL, "the same as --color never (NO_COLOR)"},
    {NULL, "--timeout", "TIME", "how long a wait may take: 90 seconds, 30m, 2h, 1d. The job goes on"},
    {"-h", "--help", NULL, "help of the command"},
};
const size_t am_globals_n = sizeof am_globals / sizeof *am_globals;

const struct am_exit_doc am_exit_docs[] = {
    {AM_EXIT_OK, "done; with a wait: succeeded, and its gate, if it has one, said promote"},
    {AM_EXIT_ERROR, "error"},
    {AM_EXIT_USAGE, "usage"},
    {AM_EXIT_JOB, "the job failed or was cancelled"},
    {AM_EXIT_GATE, "the gate said hold or inconclusive; the job itself succeeded"},
    {AM_EXIT_NOT_FOUND, "not found"},
    {AM_EXIT_FORBIDDEN, "not allowed"},
    {AM_EXIT_CONFLICT, "conflict or precondition"},
    {AM_EXIT_UNREACHABLE, "daemon unreachable"},
    {AM_EXIT_TIMEOUT, "the time of a wait is over; the job goes on"},
    {AM_EXIT_INTERRUPTED, "interrupted; the job goes on"},
};
const size_t am_exit_docs_n = sizeof am_exit_docs / sizeof *am_exit_docs;

const struct am_env_doc am_env_docs[] = {
    {"AMEND_ENDPOINT", "the daemon's URL"},
    {"AMEND_CONTEXT", "the context to use"},
    {"AMEND_TOKEN", "sent as a bearer token; before the context's token_file"},
    {"HF_TOKEN", "the same, when nothing else is set and HF_ENDPOINT is the daemon's URL"},
    {"XDG_CONFIG_HOME", "where amend/config.toml lies (~/.config)"},
    {"HF_HUB_CACHE, HF_HOME", "where amend model import looks for the Hugging Face cache"},
    {"NO_COLOR", "no colours"},
};
const size_t am_env_docs_n = sizeof am_env_docs / sizeof *am_env_docs;

static void put_globals(void)
{
    puts("options of every command:");
    for (size_t i = 0; i < am_globals_n; i++) {
        const struct am_global *g = &am_globals[i];
        char name[64];
        snprintf(name, sizeof name, "%s%s%s%s%s", g->letter ? g->letter : "", g->letter ? ", " : "", g->name,
                 g->value ? " " : "", g->value ? g->value : "");
        printf("  %-22s %s\n", name, g->doc);
    }
    puts("exit codes:");
    for (size_t i = 0; i < am_exit_docs_n; i++)
        printf("  %-4d %s\n", am_exit_docs[i].code, am_exit_docs[i].doc);
}

static void put_name(const struct am_command *cmd, int width)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s%s", cmd->noun, cmd->verb ? " " : "", cmd->verb ? cmd->verb : "");
    printf("  %-*s  %s\n", width, name, cmd->doc);
}

void am_help_all(void)
{
    puts("amend - merge, unlearn and edit machine-learning models over HTTP\n\nusage: amend COMMAND ...\n\ncommands:");
    for (size_t i = 0; i < am_commands_n; i++)
        put_name(&am_commands[i], 15);
    putchar('\n');
    put_globals();
    puts("\namend COMMAND --help tells more; man amend has it all.");
}

void am_help_noun(const char *noun)
{
    printf("usage: amend %s COMMAND ...\n\ncommands:\n", noun);
    for (size_t i = 0; i < am_commands_n; i++)
        if (am_streq(am_commands[i].noun, noun))
            put_name(&am_commands[i], 15);
    printf("\namend %s COMMAND --help tells more.\n", noun);
}

void am_help_command(const struct am_command *cmd)
{
    printf("usage: amend %s%s%s %s\n\n%s\n", cmd->noun, cmd->verb ? " " : "", cmd->verb ? cmd->verb : "", cmd->usage,
           cmd->doc);
    if (cmd->more)
        printf("\n%s", cmd->more);
    putchar('\n');
    put_globals();
}
