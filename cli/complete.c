/*
 * complete.c - amend __complete: from the words of a line to what may follow. It reads the same texts as a person: the
 * usage lines and options of the table of commands.
 */
#include "cli/complete.h"

#include "cli/conf.h"
#include "cli/out.h"
#include "core/base/sys.h"
#include "core/base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORDS_MAX 256

void am_offer(const char *cur, const char *candidate, const char *doc)
{
    if (!am_starts(candidate, cur))
        return;
    AM_CLEANUP(am_xfreep) char *line = am_xprintf("%.60s", doc);
    for (char *p = line; *p; p++)
        *p = *p == '\n' || *p == '\t' ? ' ' : *p;
    am_put_clean(stdout, candidate);
    putchar('\t');
    am_put_clean(stdout, line);
    putchar('\n');
}

/* ---- options, as the texts of a command tell them ---- */

struct option {
    char name[40]; /* "--limit" or "-f" */
    bool valued;
    const char *doc; /* the rest of its line, or "" */
};

/* The next option in a text, or NULL. "--limit N   at most": one space and a capital say that a value follows. */
static const char *next_option(const char *p, struct option *ret)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    for (; (p = strchr(p, '-')); p++) {
        size_t n = strspn(p, letters);
        const char *after = p + n;
        bool starts = !strchr("-abcdefghijklmnopqrstuvwxyz", p[-1]) && n > 1 && n < sizeof ret->name && p[n - 1] != '-';
        bool shape = p[1] == '-' ? n > 3 : n == 2;
        if (!starts || !shape || strchr("._ABCDEFGHIJKLMNOPQRSTUVWXYZ", *after ? *after : ' ')) {
            p = n > 1 ? after - 1 : p;
            continue;
        }
        snprintf(ret->name, sizeof ret->name, "%.*s", (int)n, p);
        ret->valued = after[0] == ' ' && after[1] >= 'A' && after[1] <= 'Z';
        const char *gap = strstr(after, "  ");
        ret->doc = gap && gap < after + strcspn(after, "\n") ? gap + strspn(gap, " ") : "";
        ret->doc += ret->doc[0] == '-' ? strlen(ret->doc) : 0; /* the next option of the same line */
        return after;
    }
    return NULL;
}

/* Calls `take` for each option of the command, those of its usage line last. */
static bool each_option(const struct am_command *cmd, bool (*take)(void *, const struct option *), void *arg)
{
    const char *more = cmd->more ? cmd->more : "", *example = strstr(more, "example:"); /* it may call others, too */
    AM_CLEANUP(am_xfreep)
    char *text = am_xprintf(" %.*s\n %s", (int)(example ? example - more : (ptrdiff_t)strlen(more)), more, cmd->usage);
    struct option o;
    for (const char *p = text + 1; (p = next_option(p, &o));)
        if (take(arg, &o))
            return true;
    return false;
}

struct offer {
    const char *cur;
    json_t *seen;
};

static bool take_offer(void *arg, const struct option *o)
{
    struct offer *f = arg;
    AM_CLEANUP(am_xfreep) char *doc = am_xprintf("%.*s", (int)strcspn(o->doc, "\n"), o->doc);
    if (!json_object_get(f->seen, o->name))
        am_offer(f->cur, o->name, doc);
    json_object_set_new(f->seen, o->name, json_true());
    return false;
}

static bool take_valued(void *arg, const struct option *o)
{
    return am_streq(arg, o->name) && o->valued;
}

static bool global_has_value(const char *word, bool *ret_known)
{
    for (size_t i = 0; i < am_globals_n; i++)
        if (am_streq(am_globals[i].name, word) || am_streq(am_globals[i].letter, word)) {
            *ret_known = true;
            return am_globals[i].value != NULL;
        }
    return false;
}

/* ---- the line ---- */

struct line {
    struct am_cli *c;
    const struct am_command *cmd;
    const char *noun;
    const char *word[WORDS_MAX]; /* that follow the command's words, without options */
    size_t n;
    const char *open; /* the option whose value stands at the cursor, or NULL */
};

static bool has_value(struct line *l, const char *option)
{
    bool known = false, valued = global_has_value(option, &known);
    if (known || !l->cmd)
        return valued;
    if (each_option(l->cmd, take_valued, (void *)(uintptr_t)option))
        return true;
    return l->cmd->run == am_cmd_shorthand && l->n && am_param_has_value(l->c, l->noun, l->word[0], option);
}

static void take_word(struct line *l, const char *word)
{
    if (!l->noun) {
        l->noun = word;
        l->cmd = am_command_find(word, NULL);
    } else if (!l->cmd) {
        l->cmd = am_command_find(l->noun, word);
    } else if (l->n < WORDS_MAX) {
        l->word[l->n++] = word;
    }
}

/* --endpoint and --context of the line itself decide whom to ask. */
static void take_global(struct line *l, const char *option, const char *value)
{
    if (am_streq(option, "--endpoint")) {
        free(l->c->endpoint);
        l->c->endpoint = am_xdup(value);
    } else if (am_streq(option, "--context")) {
        l->c->context = value;
    }
}

static void read_line(struct line *l, int n, char **word)
{
    for (int i = 0; i < n; i++) { /* whom to ask, before anything is asked */
        if (i + 1 < n)
            take_global(l, word[i], word[i + 1]);
    }
    if (am_context_apply(l->c))
        l->c->endpoint = l->c->endpoint ? l->c->endpoint : am_xdup(AM_DEFAULT_ENDPOINT);
    for (int i = 0; i < n; i++) {
        if (word[i][0] != '-' || !word[i][1]) {
            take_word(l, word[i]);
        } else if (!strchr(word[i], '=') && has_value(l, word[i])) {
            if (i + 1 == n)
                l->open = word[i];
            i++;
        }
    }
}

static void offer_words(const char *cur, const char *list)
{
    for (const char *p = list; *p; p += strcspn(p, " "), p += *p == ' ') {
        AM_CLEANUP(am_xfreep) char *one = am_xprintf("%.*s", (int)strcspn(p, " "), p);
        am_offer(cur, one, "");
    }
}

static void offer_value(struct line *l, const char *cur)
{
    static const struct {
        const char *option, *words, *noun; /* NULL: of any */
    } fixed[] = {{"-o", "table wide tsv json yaml name", NULL},
                 {"--output", "table wide tsv json yaml name", NULL},
                 {"--color", "auto always never", NULL},
                 {"--status", "queued running cancelling succeeded failed cancelled", NULL},
                 {"--type", "merge unlearn edit evaluate task", NULL},
                 {"--out-dtype", "F32 F16 BF16", NULL},
                 {"--format", "text md html json", "compat"},
                 {"--cell", "negative positive both_right both_wrong changed", NULL},
                 {"--verdict", "promote hold inconclusive", NULL},
                 {"--format", "safetensors jsonl idx cifar10 cifar100 csv npy", "dataset"},
                 {"--depth", "all", NULL}};
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (am_streq(fixed[i].option, l->open) && (!fixed[i].noun || am_streq(fixed[i].noun, l->noun)))
            offer_words(cur, fixed[i].words);
    if (am_streq(l->open, "--context"))
        am_offer_contexts(l->c, cur);
    if (am_streq(l->open, "--gate"))
        am_offer_gates(l->c, cur);
    if (am_streq(l->open, "--base") || am_streq(l->open, "--task") || am_streq(l->open, "--version"))
        am_offer_models(l->c, cur, true);
    if (am_streq(l->open, "--into") || am_streq(l->open, "--model") || am_streq(l->open, "--as"))
        am_offer_models(l->c, cur, false);
}

static void offer_options(struct line *l, const char *cur)
{
    AM_CLEANUP(am_jsonp) json_t *seen = json_object();
    struct offer f = {cur, seen};
    if (l->cmd)
        each_option(l->cmd, take_offer, &f);
    if (l->cmd && l->cmd->run == am_cmd_shorthand && l->n)
        am_offer_params(l->c, cur, l->noun, l->word[0]);
    for (size_t i = 0; i < am_globals_n; i++)
        if (!json_object_get(seen, am_globals[i].name))
            am_offer(cur, am_globals[i].name, am_globals[i].doc);
}

/* The place in the usage line that the n-th word stands for: capitals outside of options. For free(). */
static char *place_of(const struct am_command *cmd, size_t n)
{
    char *last = am_xdup("");
    bool skip = false, repeats = false;
    size_t k = 0;
    for (const char *p = cmd->usage; *p; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");
        bool option = p[0] == '-' || (p[0] == '[' && p[1] == '-') || (p[0] == '(' && p[1] == '-');
        bool bare = p[0] == '|' || am_starts(p, "[options]");
        if (!skip && !option && !bare) {
            free(last);
            last = am_xprintf("%.*s", (int)len, p);
            repeats = strstr(last, "...") != NULL;
            if (k++ == n)
                return last;
        }
        skip = option && p[len - 1] != ']' && p[len] == ' ' && p[len + 1] != '[' && p[len + 1] != '-';
        p += len;
    }
    if (!repeats)
        last[0] = 0;
    return last;
}

static void offer_nouns(const char *cur)
{
    for (size_t i = 0; i < am_commands_n; i++)
        if (!i || !am_streq(am_commands[i].noun, am_commands[i - 1].noun))
            am_offer(cur, am_commands[i].noun, am_commands[i].verb ? "" : am_commands[i].doc);
}

static void offer_place(struct line *l, const char *cur)
{
    AM_CLEANUP(am_xfreep) char *place = place_of(l->cmd, l->n);
    const char *p = place + (place[0] == '[');
    if (am_starts(p, "MODEL") || am_streq(p, "M") || am_starts(p, "M[") || am_starts(p, "M@"))
        am_offer_models(l->c, cur, strstr(p, "@") || l->cmd->run == am_cmd_shorthand);
    else if (am_starts(p, "DATASET"))
        am_offer_datasets(l->c, cur);
    else if (am_starts(p, "REF") && l->n)
        am_offer_refs(l->c, cur, l->word[0]);
    else if (am_starts(p, "ID") && am_streq(l->noun, "compat"))
        am_offer_ids(l->c, cur, "/v1/reports?limit=50", "dataset");
    else if (am_starts(p, "ID") && am_streq(l->noun, "decision"))
        am_offer_ids(l->c, cur, "/v1/decisions?limit=50", "verdict");
    else if (am_starts(p, "ID"))
        am_offer_ids(l->c, cur, "/v1/jobs?limit=50", "status");
    else if (am_starts(p, "OLD") || am_starts(p, "NEW"))
        am_offer_models(l->c, cur, true);
    else if (am_starts(p, "NAME") && am_streq(l->noun, "gate"))
        am_offer_gates(l->c, cur);
    else if (am_starts(p, "TYPE[/METHOD]") || (am_starts(p, "METHOD") && am_streq(l->noun, "methods")))
        am_offer_methods(l->c, cur, NULL);
    else if (am_starts(p, "METHOD") && l->cmd->run == am_cmd_shorthand)
        am_offer_methods(l->c, cur, l->noun);
    else if (am_starts(p, "METHOD"))
        offer_words(cur, "GET POST PUT PATCH DELETE HEAD");
    else if (am_starts(p, "NAME") && am_streq(l->noun, "context"))
        am_offer_contexts(l->c, cur);
    else if (am_starts(p, "HUB-ID"))
        am_offer_cached(l->c, cur);
    else if (am_starts(p, "COMMAND"))
        offer_nouns(cur);
    else if (am_starts(p, "bash|"))
        offer_words(cur, "bash zsh fish");
}

static void offer_verbs(const char *noun, const char *cur)
{
    for (size_t i = 0; i < am_commands_n; i++)
        if (am_streq(am_commands[i].noun, noun) && am_commands[i].verb)
            am_offer(cur, am_commands[i].verb, am_commands[i].doc);
}

int am_complete(struct am_cli *c, int argc, char **argv)
{
    struct line l = {.c = c};
    const char *cur = argc > 0 ? argv[argc - 1] : "";
    int null = am_sys_open(AT_FDCWD, "/dev/null", O_WRONLY, 0);
    if (null >= 0)
        dup2(null, STDERR_FILENO); /* nothing is said between two presses of Tab */
    read_line(&l, argc > 0 ? argc - 1 : 0, argv);
    if (l.open)
        offer_value(&l, cur);
    else if (cur[0] == '-')
        offer_options(&l, cur);
    else if (!l.noun)
        offer_nouns(cur);
    else if (!l.cmd)
        offer_verbs(l.noun, cur);
    else
        offer_place(&l, cur);
    if (null >= 0)
        am_sys_close(null);
    return 0;
}
