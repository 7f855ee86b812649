/*
 * man.c - amend(1), made from the table of commands and the tables of help.c. The page is written by `make man`.
 */
#include "cli/commands.h"

#include "core/base/text.h"

#include <stdio.h>
#include <string.h>

/* Text as roff: no escapes, no requests, hyphens that can be copied. */
static void put(const char *text)
{
    bool begin = true;
    for (; *text; text++) {
        if (begin && (*text == '.' || *text == '\''))
            fputs("\\&", stdout);
        begin = *text == '\n';
        if (*text == '\\')
            fputs("\\e", stdout);
        else if (*text == '-')
            fputs("\\-", stdout);
        else
            putchar(*text);
    }
}

static void put_tagged(const char *tag, const char *value, const char *doc)
{
    fputs(".TP\n.B ", stdout);
    put(tag);
    if (value) {
        fputs(" \\fI", stdout);
        put(value);
        fputs("\\fR", stdout);
    }
    putchar('\n');
    put(doc);
    putchar('\n');
}

/* "  --limit N   at most N rows": an option and what it does. */
static void put_pair(const char *line, const char *gap)
{
    AM_CLEANUP(am_xfreep) char *tag = am_xprintf("%.*s", (int)(gap - line), line);
    put_tagged(tag, NULL, gap + strspn(gap, " "));
}

/* The lines of --help: options become a list, prose is filled, examples stay as they are. */
static void put_more(const char *more)
{
    bool prose = false;
    puts(".RS");
    for (const char *p = more; *p; p += strcspn(p, "\n"), p += *p == '\n') {
        AM_CLEANUP(am_xfreep) char *line = am_xprintf("%.*s", (int)strcspn(p, "\n"), p);
        const char *text = line + strspn(line, " "), *gap = strstr(text, "  ");
        bool indented = text != line;
        if (indented && gap && text[0] == '-' && gap[strspn(gap, " ")] != '-') {
            put_pair(text, gap);
        } else {
            fputs(indented ? ".br\n" : am_starts(text, "example:") || !prose ? ".PP\n" : "", stdout);
            put(text);
            putchar('\n');
        }
        prose = !indented;
    }
    puts(".RE");
}

static void put_command(const struct am_command *cmd)
{
    fputs(".TP\n.B amend ", stdout);
    put(cmd->noun);
    if (cmd->verb) {
        putchar(' ');
        put(cmd->verb);
    }
    fputs("\\fR ", stdout);
    put(cmd->usage);
    putchar('\n');
    put(cmd->doc);
    fputs(".\n", stdout);
    if (cmd->more)
        put_more(cmd->more);
}

void am_man(void)
{
    char tag[80];
    fputs(".\\\" made by: make man\n.TH AMEND 1 \"\" \"amend " AM_VERSION "\" \"User Commands\"\n.SH NAME\n"
          "amend \\- merge, unlearn and edit machine-learning models over HTTP\n.SH SYNOPSIS\n.B amend\n.I COMMAND\n"
          "[\\fIOPTIONS\\fR]\n.SH DESCRIPTION\n",
          stdout);
    put("The client of amendd(8). It speaks HTTP only. Data goes to standard output, notes and progress to standard "
        "error. On a terminal it prints tables, sizes in KiB and local times; piped it prints one tab-separated line "
        "a row, with bytes and UTC. A model is written namespace/name, a version namespace/name@REV, where REV is a "
        "branch, a tag, v1, v2, ... or a commit; without @REV it is main. The parameters of a method are told by "
        "amend methods TYPE/METHOD, since they are the daemon's.\n");
    puts(".SH COMMANDS");
    for (size_t i = 0; i < am_commands_n; i++)
        put_command(&am_commands[i]);
    puts(".SH OPTIONS");
    for (size_t i = 0; i < am_globals_n; i++) {
        const struct am_global *g = &am_globals[i];
        snprintf(tag, sizeof tag, "%s%s%s", g->letter ? g->letter : "", g->letter ? ", " : "", g->name);
        put_tagged(tag, g->value, g->doc);
    }
    puts(".SH \"EXIT STATUS\"");
    for (size_t i = 0; i < am_exit_docs_n; i++) {
        snprintf(tag, sizeof tag, "%d", am_exit_docs[i].code);
        put_tagged(tag, NULL, am_exit_docs[i].doc);
    }
    puts(".SH ENVIRONMENT");
    for (size_t i = 0; i < am_env_docs_n; i++)
        put_tagged(am_env_docs[i].name, NULL, am_env_docs[i].doc);
    puts(".SH FILES");
    put_tagged("$XDG_CONFIG_HOME/amend/config.toml", NULL, "the contexts; see amend context list above");
    puts(".SH \"SEE ALSO\"\n.BR amendd (8)");
}
