/*
 * conf_edit.c - single lines of the file of contexts: looked up, changed, added, removed (conf.h).
 */
#include "cli/conf.h"

#include "core/base/buf.h"
#include "core/base/text.h"

#include <stdlib.h>
#include <string.h>

static struct am_conf_line *find(const struct am_conf *f, const char *name, int key)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->line[i].key == key && am_streq(f->line[i].table, name))
            return &f->line[i];
    return NULL;
}

const char *am_conf_current(const struct am_conf *f)
{
    const struct am_conf_line *l = find(f, NULL, AM_CONF_CURRENT);
    return l ? l->value : NULL;
}

bool am_conf_has(const struct am_conf *f, const char *name)
{
    return find(f, name, AM_CONF_HEAD) != NULL;
}

const char *am_conf_get(const struct am_conf *f, const char *name, enum am_conf_key key)
{
    const struct am_conf_line *l = find(f, name, (int)key);
    return l ? l->value : NULL;
}

size_t am_conf_list(const struct am_conf *f, const char **out, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n && n < cap; i++)
        if (f->line[i].key == AM_CONF_HEAD)
            out[n++] = f->line[i].table;
    return n;
}

static void insert(struct am_conf *f, size_t at, struct am_conf_line l)
{
    f->line = am_xgrow(f->line, (f->n + 1) * sizeof *f->line);
    memmove(f->line + at + 1, f->line + at, (f->n - at) * sizeof *f->line);
    f->line[at] = l;
    f->n++;
}

static void drop(struct am_conf *f, size_t at)
{
    free(f->line[at].text);
    free(f->line[at].table);
    free(f->line[at].value);
    memmove(f->line + at, f->line + at + 1, (f->n - at - 1) * sizeof *f->line);
    f->n--;
}

static struct am_conf_line make(const char *table, int key, const char *name, const char *value)
{
    struct am_buf b;
    am_buf_init(&b, 1u << 20);
    am_buf_printf(&b, "%s = \"", name);
    for (const char *p = value; *p; p++)
        am_buf_printf(&b, "%s%c", *p == '"' || *p == '\\' ? "\\" : "", *p);
    am_buf_puts(&b, "\"");
    return (struct am_conf_line){
        .text = am_buf_take(&b), .table = table ? am_xdup(table) : NULL, .key = key, .value = am_xdup(value)};
}

/* In the place of the line that has the key, else at `at`. */
static void put(struct am_conf *f, size_t at, struct am_conf_line l)
{
    struct am_conf_line *there = find(f, l.table, l.key);
    if (there) {
        at = (size_t)(there - f->line);
        drop(f, at);
    }
    insert(f, at, l);
}

void am_conf_add(struct am_conf *f, const char *name)
{
    if (am_conf_has(f, name))
        return;
    if (f->n && f->line[f->n - 1].text[0])
        insert(f, f->n, (struct am_conf_line){.text = am_xdup(""), .key = AM_CONF_OTHER});
    insert(
        f, f->n,
        (struct am_conf_line){.text = am_xprintf("[context.%s]", name), .table = am_xdup(name), .key = AM_CONF_HEAD});
}

void am_conf_set(struct am_conf *f, const char *name, enum am_conf_key key, const char *value)
{
    am_conf_add(f, name);
    size_t at = (size_t)(find(f, name, AM_CONF_HEAD) - f->line) + 1;
    while (at < f->n && am_streq(f->line[at].table, name) && f->line[at].key >= 0)
        at++;
    put(f, at, make(name, (int)key, am_conf_names[key], value));
}

void am_conf_use(struct am_conf *f, const char *name)
{
    struct am_conf_line *there = find(f, NULL, AM_CONF_CURRENT);
    if (name)
        put(f, 0, make(NULL, AM_CONF_CURRENT, "current", name));
    else if (there)
        drop(f, (size_t)(there - f->line));
}

void am_conf_remove(struct am_conf *f, const char *name)
{
    AM_CLEANUP(am_xfreep) char *gone = am_xdup(name);
    for (size_t i = f->n; i-- > 0;)
        if (am_streq(f->line[i].table, gone))
            drop(f, i);
    while (f->n && !f->line[f->n - 1].text[0]) /* what stood between it and the one before */
        drop(f, f->n - 1);
    if (am_streq(am_conf_current(f), gone))
        am_conf_use(f, NULL);
}
