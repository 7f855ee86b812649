/*
 * cmd_env.c - amend env: the variables that make clients of the Hugging Face Hub use this daemon, for the shell's eval.
 * It asks nobody: the endpoint is the one that this call would use.
 */
#include "cli/commands.h"
#include "cli/opt.h"
#include "cli/out.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const shells[] = {"sh", "bash", "zsh", "fish"};
enum { SHELLS = sizeof shells / sizeof *shells };

/* The value as one word of the shell: as it is when nothing in it means anything, else in quotes. */
static void put_word(const char *v, bool fish)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:/._-@%+,";
    if (*v && !v[strspn(v, plain)]) {
        fputs(v, stdout);
        return;
    }
    putchar('\'');
    for (; *v; v++) {
        if (fish && (*v == '\'' || *v == '\\'))
            printf("\\%c", *v);
        else if (*v == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*v);
    }
    putchar('\'');
}

static void put_variable(const char *name, const char *value, bool fish)
{
    printf(fish ? "set -gx %s " : "export %s=", name);
    put_word(value, fish);
    puts(fish ? ";" : "");
}

int am_cmd_env(struct am_cli *c, int argc, char **argv)
{
    const char *shell = "sh";
    const struct am_opt opts[] = {{.name = "shell", .value = &shell}, {.name = NULL}};
    int rc = am_opt_parse(c, opts, argc, argv, 0, 0, NULL);
    if (rc)
        return rc;
    bool known = false;
    for (size_t i = 0; i < SHELLS; i++)
        known = known || am_streq(shell, shells[i]);
    if (!known)
        return am_say_unknown(c, "shell", shell, shells, SHELLS);
    if (c->out == AM_OUT_JSON) {
        AM_CLEANUP(am_jsonp) json_t *v = json_pack("{s:s, s:s}", "HF_ENDPOINT", c->endpoint, "HF_HUB_DISABLE_XET", "1");
        am_print_json(c, v);
        return 0;
    }
    bool fish = am_streq(shell, "fish");
    put_variable("HF_ENDPOINT", c->endpoint, fish);
    put_variable("HF_HUB_DISABLE_XET", "1", fish);
    return 0;
}
