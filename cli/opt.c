/*
 * opt.c - reading the words of a command line (opt.h).
 */
#include "cli/opt.h"

#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool am_scan_next(struct am_scan *s, struct am_token *ret)
{
    if (s->i >= s->argc)
        return false;
    const char *a = s->argv[s->i++];
    *ret = (struct am_token){0};
    if (!s->only_words && am_streq(a, "--")) {
        s->only_words = true;
        return am_scan_next(s, ret);
    }
    if (s->only_words || a[0] != '-' || !a[1]) {
        ret->word = a;
        return true;
    }
    if (a[1] == '-') {
        const char *eq = strchr(a, '=');
        size_t n = eq ? (size_t)(eq - a) - 2 : strlen(a) - 2;
        snprintf(ret->name, sizeof ret->name, "%.*s", (int)(n < 63 ? n : 63), a + 2);
        ret->inlined = eq ? eq + 1 : NULL;
    } else {
        ret->name[0] = a[1];
        ret->inlined = a[2] ? a + 2 + (a[2] == '=') : NULL;
    }
    return true;
}

const char *am_scan_value(struct am_scan *s, const struct am_token *t)
{
    if (t->inlined)
        return t->inlined;
    return s->i < s->argc ? s->argv[s->i++] : NULL;
}

static const char *dashes(const struct am_token *t)
{
    return t->name[0] && !t->name[1] ? "-" : "--";
}

static const struct am_opt *find(const struct am_opt *opts, const struct am_token *t)
{
    for (const struct am_opt *o = opts; o && o->name; o++)
        if (am_streq(o->name, t->name) || (o->letter && o->letter == t->name[0] && !t->name[1]))
            return o;
    return NULL;
}

static int say_unknown_option(const struct am_cli *c, const struct am_opt *opts, const struct am_token *t)
{
    const char *known[32];
    size_t n = 0;
    for (const struct am_opt *o = opts; o && o->name && n < 32; o++)
        known[n++] = o->name;
    const char *near = am_near(t->name, known, n);
    if (near)
        return am_say_usage(c, "unknown option %s%s; did you mean --%s?", dashes(t), t->name, near);
    return am_say_usage(c, "unknown option %s%s", dashes(t), t->name);
}

int am_opt_parse(const struct am_cli *c, const struct am_opt *opts, int argc, char **argv, int min, int max,
                 const char **words)
{
    struct am_scan s = {.argc = argc, .argv = argv};
    struct am_token t;
    int n = 0;
    for (int i = 0; i < max; i++)
        words[i] = NULL;
    while (am_scan_next(&s, &t)) {
        if (t.word) {
            if (n >= max)
                return am_say_usage(c, "'%s' is one word too many", t.word);
            words[n++] = t.word;
            continue;
        }
        const struct am_opt *o = find(opts, &t);
        if (!o)
            return say_unknown_option(c, opts, &t);
        if (o->flag && t.inlined)
            return am_say_usage(c, "--%s takes no value", o->name);
        if (o->flag)
            *o->flag = true;
        else if (!(*o->value = am_scan_value(&s, &t)))
            return am_say_usage(c, "%s%s needs a value after it", dashes(&t), t.name);
    }
    return n < min ? am_say_usage(c, "%s", n ? "a word is missing" : "words are missing") : 0;
}

int am_opt_number(const struct am_cli *c, const char *flag, const char *text, uint64_t min, uint64_t max, uint64_t *ret)
{
    uint64_t v;
    if (am_parse_u64(text, &v) < 0 || v < min || v > max)
        return am_say_usage(c, "%s must be a whole number from %llu to %llu, not '%s'", flag, (unsigned long long)min,
                            (unsigned long long)max, text);
    *ret = v;
    return 0;
}

static int set_out(struct am_cli *c, const char *text)
{
    static const char *const names[] = {"table", "tsv", "json", "name"};
    c->yaml = am_streq(text, "yaml");
    c->wide = am_streq(text, "wide");
    if (c->yaml)
        c->out = AM_OUT_JSON;
    else if (c->wide)
        c->out = c->out_tty ? AM_OUT_TABLE : AM_OUT_TSV;
    if (c->yaml || c->wide)
        return 0;
    for (size_t i = 0; i < 4; i++) {
        if (am_streq(text, names[i])) {
            c->out = (enum am_out)i;
            return 0;
        }
    }
    return am_say_usage(c, "-o takes table, wide, tsv, json, yaml or name, not '%s'", text);
}

static int set_fields(struct am_cli *c, const char *text)
{
    c->fields = text;
    size_t n = strlen(text);
    if (!n || text[0] == ',' || text[n - 1] == ',' || strstr(text, ",,"))
        return am_say_usage(c, "--json takes members separated by commas, as in --json id,status; not '%s'", text);
    return 0;
}

static int set_jq(struct am_cli *c, const char *text)
{
    c->jq = text;
    return text[0] ? 0 : am_say_usage(c, "--jq takes an expression; . is the whole");
}

static int set_color(struct am_cli *c, const char *text)
{
    bool always = am_streq(text, "always"), never = am_streq(text, "never");
    if (always || never)
        c->out_color = c->err_color = always;
    else if (!am_streq(text, "auto"))
        return am_say_usage(c, "--color takes auto, always or never, not '%s'", text);
    return 0;
}

static int set_context(struct am_cli *c, const char *text)
{
    c->context = text;
    return text[0] ? 0 : am_say_usage(c, "--context is empty; see amend context list");
}

static int set_timeout(struct am_cli *c, const char *text)
{
    char num[32];
    size_t n = strlen(text);
    double unit = 1, v;
    if (n && n < sizeof num) {
        unit = am_ends(text, "d") ? 86400 : am_ends(text, "h") ? 3600 : am_ends(text, "m") ? 60 : 1;
        bool suffix = unit > 1 || am_ends(text, "s");
        snprintf(num, sizeof num, "%.*s", (int)(n - (suffix ? 1 : 0)), text);
        if (am_parse_f64(num, &v) == 0 && v > 0 && v * unit < 1e9) {
            c->timeout = v * unit;
            return 0;
        }
    }
    return am_say_usage(c, "--timeout takes seconds (90), or 30m, 2h, 1d; not '%s'", text);
}

static int set_endpoint(struct am_cli *c, const char *text)
{
    free(c->endpoint);
    c->endpoint = am_xdup(text);
    return text[0] ? 0 : am_say_usage(c, "--endpoint is empty");
}

/* 1: taken, 0: not a global flag, else -exit code */
static int take_global(struct am_cli *c, struct am_scan *s, const struct am_token *t)
{
    static const struct {
        const char *name;
        int (*set)(struct am_cli *, const char *);
    } valued[] = {{"endpoint", set_endpoint}, {"context", set_context}, {"o", set_out},       {"output", set_out},
                  {"json", set_fields},       {"jq", set_jq},           {"color", set_color}, {"timeout", set_timeout}};
    for (size_t i = 0; i < sizeof valued / sizeof *valued; i++) {
        if (!am_streq(t->name, valued[i].name))
            continue;
        const char *value = am_scan_value(s, t);
        int rc = value ? valued[i].set(c, value) : am_say_usage(c, "%s%s needs a value after it", dashes(t), t->name);
        return rc ? -rc : 1;
    }
    if (t->inlined)
        return 0;
    if (am_streq(t->name, "help") || am_streq(t->name, "h"))
        c->help = true;
    else if (am_streq(t->name, "quiet") || am_streq(t->name, "q"))
        c->quiet = true;
    else if (am_streq(t->name, "no-color"))
        c->out_color = c->err_color = false;
    else
        return 0;
    return 1;
}

int am_opt_global(struct am_cli *c, int *argc, char **argv)
{
    struct am_scan s = {.argc = *argc, .i = 1, .argv = argv};
    struct am_token t;
    int kept = 1;
    while (s.i < s.argc) {
        int at = s.i;
        if (s.only_words || am_streq(argv[at], "--")) {
            s.only_words = true;
            argv[kept++] = argv[s.i++];
            continue;
        }
        if (!am_scan_next(&s, &t))
            break;
        int took = t.word ? 0 : take_global(c, &s, &t);
        if (took < 0)
            return -took;
        if (!took)
            argv[kept++] = argv[at];
    }
    *argc = kept;
    argv[kept] = NULL;
    if (c->jq && c->yaml)
        return am_say_usage(c, "--jq works on JSON: leave -o yaml out");
    if (c->jq || c->fields)
        c->out = AM_OUT_JSON;
    return 0;
}

int am_opt_each(const struct am_cli *c, const char *flag, const char *what, int *argc, char **argv,
                int (*add)(const struct am_cli *c, const char *value, void *arg), void *arg)
{
    size_t n = strlen(flag);
    int kept = 0;
    for (int i = 0; i < *argc; i++) {
        const char *value = am_starts(argv[i], flag) && argv[i][n] == '=' ? argv[i] + n + 1 : NULL;
        if (!value && !am_streq(argv[i], flag)) {
            argv[kept++] = argv[i];
            continue;
        }
        if (!value && i + 1 < *argc)
            value = argv[++i];
        if (!value || !*value)
            return am_say_usage(c, "%s needs %s after it", flag, what);
        int rc = add(c, value, arg);
        if (rc)
            return rc;
    }
    *argc = kept;
    return 0;
}
