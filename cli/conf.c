/*
 * conf.c - reading and writing the file of contexts (conf.h). Not what the contexts mean (context.c), nor how single
 * lines are changed (conf_edit.c).
 */
#include "cli/conf.h"

#include "cli/commands.h"
#include "cli/read.h"
#include "core/base/buf.h"
#include "core/base/sys.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINES_MAX 10000

const char *const am_conf_names[AM_CONF_KEYS] = {"endpoint", "namespace", "token_file"};

static char *file_path(void)
{
    const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (base && base[0] == '/')
        return am_xprintf("%s/amend/config.toml", base);
    return home && home[0] == '/' ? am_xprintf("%s/.config/amend/config.toml", home) : NULL;
}

void am_conf_done(struct am_conf *f)
{
    for (size_t i = 0; i < f->n; i++) {
        free(f->line[i].text);
        free(f->line[i].table);
        free(f->line[i].value);
    }
    free(f->line);
    free(f->path);
    *f = (struct am_conf){0};
}

const char *am_conf_name_fault(const char *name)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    size_t n = strlen(name);
    if (!n || n > 64)
        return "a context's name has 1 to 64 characters";
    return name[strspn(name, good)] ? "a context's name has letters, digits, - and _ only" : NULL;
}

struct parse {
    const char *table; /* the one that we are in, or NULL */
    const struct am_conf *f;
};

static const char *skip(const char *p)
{
    return p + strspn(p, " \t");
}

static bool is_end(const char *p)
{
    p = skip(p);
    return !*p || *p == '#';
}

/* "[context.NAME]" */
static const char *parse_head(struct parse *s, const char *p, struct am_conf_line *l)
{
    p = skip(p + 1);
    if (!am_starts(p, "context."))
        return "only tables [context.NAME] are known";
    p += strlen("context.");
    size_t n = strcspn(p, "] \t");
    AM_CLEANUP(am_xfreep) char *name = am_xprintf("%.*s", (int)n, p);
    const char *why = am_conf_name_fault(name);
    p = skip(p + n);
    if (why || *p != ']' || !is_end(p + 1))
        return why ? why : "a table is written [context.NAME]";
    if (am_conf_has(s->f, name))
        return "this context is there already, further up";
    l->key = AM_CONF_HEAD;
    l->table = am_xdup(name);
    return NULL;
}

/* "basic" with \" and \\, or 'literal'. Gives the end of it, or NULL. */
static const char *parse_string(const char *p, char **ret)
{
    char quote = *p++;
    char *out = am_xalloc(strlen(p) + 1), *w = out;
    for (; *p && *p != quote; p++) {
        if (quote == '"' && *p == '\\' && (p[1] == '"' || p[1] == '\\'))
            p++;
        else if ((quote == '"' && *p == '\\') || (unsigned char)*p < 0x20)
            break;
        *w++ = *p;
    }
    if (*p != quote) {
        free(out);
        return NULL;
    }
    *ret = out;
    return p + 1;
}

static bool is_set(const struct parse *s, int key)
{
    for (size_t i = 0; i < s->f->n; i++)
        if (s->f->line[i].key == key && am_streq(s->f->line[i].table, s->table))
            return true;
    return false;
}

static const char *parse_pair(const struct parse *s, const char *p, struct am_conf_line *l)
{
    size_t n = strcspn(p, "= \t");
    int key = AM_CONF_OTHER;
    if (!s->table && n == strlen("current") && am_starts(p, "current"))
        key = AM_CONF_CURRENT;
    for (int k = 0; s->table && k < AM_CONF_KEYS; k++)
        if (strlen(am_conf_names[k]) == n && strncmp(am_conf_names[k], p, n) == 0)
            key = k;
    if (key == AM_CONF_OTHER)
        return s->table ? "a context has the keys endpoint, namespace and token_file"
                        : "above the first [context.NAME] only current = \"NAME\" may stand";
    if (is_set(s, key))
        return "this key is there already, further up";
    p = skip(p + n);
    if (*p != '=')
        return "a key is written key = \"value\"";
    p = skip(p + 1);
    const char *end = *p == '"' || *p == '\'' ? parse_string(p, &l->value) : NULL;
    if (!end || !is_end(end))
        return "the value must be one string in \"...\" or '...'; inside \"...\" only \\\" and \\\\ are escapes";
    l->key = key;
    return NULL;
}

static const char *parse_line(struct parse *s, struct am_conf_line *l)
{
    const char *p = skip(l->text), *why = NULL;
    l->key = AM_CONF_OTHER;
    if (*p == '[') {
        why = parse_head(s, p, l);
        s->table = why ? s->table : l->table;
        return why;
    }
    if (!is_end(p))
        why = parse_pair(s, p, l);
    l->table = !why && s->table ? am_xdup(s->table) : NULL;
    return why;
}

static int parse_all(const struct am_cli *c, struct am_conf *f, const char *text, size_t len)
{
    struct parse s = {.f = f};
    size_t at = 0, number = 1;
    const char *why = am_utf8_ok(text, len) && strlen(text) == len ? NULL : "the file is no UTF-8 text";
    for (; !why && at < len; number++) {
        size_t n = strcspn(text + at, "\n"), keep = n && text[at + n - 1] == '\r' ? n - 1 : n;
        struct am_conf_line l = {.text = am_xprintf("%.*s", (int)keep, text + at)};
        why = number > LINES_MAX ? "the file is too long" : parse_line(&s, &l);
        f->line = am_xgrow(f->line, (f->n + 1) * sizeof *f->line);
        f->line[f->n++] = l;
        at += n + 1;
    }
    const char *current = am_conf_current(f);
    if (!why && current && !am_conf_has(f, current)) {
        am_say_error(c, "choose one that is there: amend context use NAME",
                     "%s: the current context '%s' is not among its contexts", f->path, current);
        return am_streq(c->cmd ? c->cmd->noun : "", "context") ? 0 : AM_EXIT_USAGE;
    }
    if (!why)
        return 0;
    am_say_error(c, "correct that line", "%s, line %zu: %s", f->path, number - 1, why);
    return AM_EXIT_USAGE;
}

int am_conf_load(const struct am_cli *c, struct am_conf *ret)
{
    struct am_conf f = {.path = file_path()};
    struct stat st;
    AM_CLEANUP(am_xfreep) char *text = NULL;
    size_t n = 0;
    int rc = 0;
    bool there = f.path && !(am_sys_stat(AT_FDCWD, f.path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR));
    char *real = there ? realpath(f.path, NULL) : NULL;
    if (real) { /* a link is followed when the file is written, too */
        free(f.path);
        f.path = real;
    }
    if (there)
        rc = am_read_all(c, f.path, &text, &n);
    if (there && rc == 0)
        rc = parse_all(c, &f, text, n);
    if (rc) {
        am_conf_done(&f);
        return rc;
    }
    *ret = f;
    return 0;
}

static int write_all(const char *temp, const char *path, const struct am_buf *b)
{
    AM_CLEANUP(am_sys_closep) int fd = am_sys_open(AT_FDCWD, temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fd;
    AM_TRY(am_sys_write(fd, b->data ? b->data : "", b->len));
    AM_TRY(am_sys_fsync(fd));
    return am_sys_rename(AT_FDCWD, temp, AT_FDCWD, path);
}

static int make_folders(const char *path)
{
    AM_CLEANUP(am_xfreep) char *p = am_xdup(path);
    for (char *s = p + 1; (s = strchr(s, '/')); *s++ = '/') {
        *s = 0;
        AM_TRY(am_sys_mkdir(AT_FDCWD, p, 0700));
    }
    return 0;
}

int am_conf_save(const struct am_cli *c, const struct am_conf *f)
{
    struct am_buf b;
    am_buf_init(&b, 16u << 20);
    int rc = f->path ? make_folders(f->path) : 0;
    for (size_t i = 0; rc == 0 && i < f->n; i++)
        rc = am_buf_printf(&b, "%s\n", f->line[i].text);
    AM_CLEANUP(am_xfreep) char *temp = f->path ? am_xprintf("%s.%ld.tmp", f->path, (long)getpid()) : NULL;
    if (rc == 0 && f->path && (rc = write_all(temp, f->path, &b)) < 0)
        am_sys_unlink(AT_FDCWD, temp);
    am_buf_done(&b);
    if (rc == 0 && f->path)
        return 0;
    am_say_error(c, "set XDG_CONFIG_HOME to a folder that you may write to", "cannot write %s: %s",
                 f->path ? f->path : "the contexts", f->path ? strerror(errno) : "there is no home");
    return AM_EXIT_ERROR;
}
