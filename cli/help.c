/*
 * help.c - the help texts, made from the table of commands. Not the parameters of methods (method_help.c): those are
 * the daemon's.
 */
#include "cli/commands.h"
#include "core/base/text.h"

#include <stdio.h>

static const char global_text[] =
    "options of every command:\n"
    "  --endpoint URL            the daemon (environment: AMEND_ENDPOINT; else " AM_DEFAULT_ENDPOINT ")\n"
    "  --context NAME            a named daemon (environment: AMEND_CONTEXT; amend context list)\n"
    "  -o, --output FORM         table, wide, tsv, json, yaml or name; a table on a terminal and tab-separated when\n"
    "                            piped, by default; wide has more columns\n"
    "  --json F1,F2              only these members, as JSON; a.b is the member b of a\n"
    "  --jq EXPR                 the JSON through jq, texts without quotes\n"
    "  -q, --quiet               no notes and no progress\n"
    "  --color WHEN              auto, always or never; --no-color (environment: NO_COLOR) is never\n"
    "  --timeout TIME            how long a wait may take: 90 seconds, 30m, 2h. The job goes on\n"
    "  -h, --help\n"
    "exit codes: 0 done, 1 error, 2 usage, 3 job failed or cancelled, 5 not found, 6 not allowed, 7 conflict,\n"
    "            8 daemon unreachable, 124 timeout of a wait, 130 interrupted\n";

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
        put_name(&am_commands[i], 14);
    printf("\n%s\namend COMMAND --help tells more.\n", global_text);
}

void am_help_noun(const char *noun)
{
    printf("usage: amend %s COMMAND ...\n\ncommands:\n", noun);
    for (size_t i = 0; i < am_commands_n; i++)
        if (am_streq(am_commands[i].noun, noun))
            put_name(&am_commands[i], 14);
    printf("\namend %s COMMAND --help tells more.\n", noun);
}

void am_help_command(const struct am_command *cmd)
{
    printf("usage: amend %s%s%s %s\n\n%s\n", cmd->noun, cmd->verb ? " " : "", cmd->verb ? cmd->verb : "", cmd->usage,
           cmd->doc);
    if (cmd->more)
        printf("\n%s", cmd->more);
    printf("\n%s", global_text);
}
