/*
 * main.c - the command-line client: sets up one call and hands it to the command that its words name.
 */
#include "cli/commands.h"
#include "cli/conf.h"
#include "cli/http.h"
#include "cli/opt.h"
#include "core/base/text.h"

#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void set_up(struct am_cli *c)
{
    setlocale(LC_CTYPE, ""); /* only to learn whether the terminal takes UTF-8; numbers stay in the C locale */
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    bool color = !(no_color && no_color[0]) && !am_streq(term, "dumb");
    c->out_tty = isatty(STDOUT_FILENO);
    c->err_tty = isatty(STDERR_FILENO) && !am_streq(term, "dumb");
    c->out_color = c->out_tty && color;
    c->err_color = c->err_tty && color;
    c->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    c->out = c->out_tty ? AM_OUT_TABLE : AM_OUT_TSV;
}

/* The nouns when `noun` is NULL, else its verbs. */
static size_t words_of(const char *noun, const char **out, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < am_commands_n && n < cap; i++) {
        const char *word = noun ? am_commands[i].verb : am_commands[i].noun;
        if (noun && (!am_streq(am_commands[i].noun, noun) || !word))
            continue;
        if (!n || !am_streq(out[n - 1], word))
            out[n++] = word;
    }
    return n;
}

/* These must work when the file of contexts is broken; verify asks for the context itself when it needs a daemon. */
static bool asks_nobody(const struct am_command *cmd)
{
    static const char *const nouns[] = {"context", "completion", "help", "verify"};
    for (size_t i = 0; i < sizeof nouns / sizeof *nouns; i++)
        if (am_streq(cmd->noun, nouns[i]))
            return true;
    return false;
}

static int run(struct am_cli *c, const struct am_command *cmd, int argc, char **argv)
{
    c->cmd = cmd;
    if (c->help && !cmd->own_help) {
        am_help_command(cmd);
        return 0;
    }
    int rc = asks_nobody(cmd) ? 0 : am_context_apply(c);
    return rc ? rc : cmd->run(c, argc, argv);
}

static int dispatch(struct am_cli *c, int argc, char **argv)
{
    const char *known[64];
    if (argc < 2) {
        if (c->help) {
            am_help_all();
            return 0;
        }
        return am_say_usage(c, "which command? for example: amend model list");
    }
    if (am_streq(argv[1], "--version"))
        return run(c, am_command_find("version", NULL), 0, argv + 2);
    const struct am_command *cmd = am_command_find(argv[1], NULL);
    if (cmd)
        return run(c, cmd, argc - 2, argv + 2);
    size_t n = words_of(argv[1], known, 64);
    if (!n)
        return am_say_unknown(c, argv[1][0] == '-' ? "option" : "command", argv[1], known, words_of(NULL, known, 64));
    if (argc < 3) {
        if (c->help) {
            am_help_noun(argv[1]);
            return 0;
        }
        AM_CLEANUP(am_xfreep) char *fix = am_xprintf("see amend %s --help", argv[1]);
        am_say_error(c, fix, "amend %s needs one more word", argv[1]);
        return AM_EXIT_USAGE;
    }
    cmd = am_command_find(argv[1], argv[2]);
    if (cmd)
        return run(c, cmd, argc - 3, argv + 3);
    AM_CLEANUP(am_xfreep) char *what = am_xprintf("command of amend %s:", argv[1]);
    return am_say_unknown(c, what, argv[2], known, n);
}

int am_cmd_help(struct am_cli *c, int argc, char **argv)
{
    if (argc == 0) {
        am_help_all();
        return 0;
    }
    char *words[4] = {(char[]){"amend"}, argv[0], argc > 1 ? argv[1] : NULL, NULL};
    if (am_streq(argv[0], "help"))
        words[1] = NULL;
    c->help = true;
    c->cmd = NULL;
    return dispatch(c, words[1] ? (argc > 1 ? 3 : 2) : 1, words);
}

int main(int argc, char **argv)
{
    int late = 0;
    struct am_cli c = {.late = &late};
    set_up(&c);
    if (argc == 2 && am_streq(argv[1], "__man")) {
        am_man();
        return fflush(stdout) == 0 ? 0 : AM_EXIT_ERROR;
    }
    bool completing = argc > 1 && am_streq(argv[1], "__complete"); /* half a line: its flags are its own business */
    int rc = completing ? 0 : am_opt_global(&c, &argc, argv);
    if (rc == 0) {
        c.http = am_http_new();
        if (c.http) {
            rc = completing ? am_complete(&c, argc - 2, argv + 2) : dispatch(&c, argc, argv);
        } else {
            am_say_error(&c, NULL, "libcurl cannot start on this machine");
            rc = AM_EXIT_ERROR;
        }
    }
    rc = rc ? rc : late;
    if ((fflush(stdout) != 0 || ferror(stdout)) && rc == 0) {
        am_say_error(&c, "is the disk full, or the reader gone?", "cannot write to standard output");
        rc = AM_EXIT_ERROR;
    }
    am_http_free(c.http);
    free(c.endpoint);
    free(c.ns);
    free(c.token);
    return rc;
}
