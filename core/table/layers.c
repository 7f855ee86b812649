/*
 * layers.c - see layers.h. Depth as in merge.md B4.
 */
#include "core/table/layers.h"

#include "core/table/families.h"

#include <stdio.h>
#include <string.h>

/* Up to six digits, then the end of the component. */
static bool number(const char *s, uint32_t *ret, size_t *ret_n)
{
    size_t n = strspn(s, "0123456789");
    uint32_t v = 0;
    if (n == 0 || n > 6 || (s[n] && s[n] != '.'))
        return false;
    for (size_t i = 0; i < n; i++)
        v = v * 10 + (uint32_t)(s[i] - '0');
    *ret = v;
    *ret_n = n;
    return true;
}

bool am_layer_of(const char *name, struct am_layer *ret)
{
    bool stack = false;
    for (const char *p = name; *p;) {
        size_t n = strcspn(p, "."), digits;
        uint32_t index;
        if (stack && number(p, &index, &digits)) {
            *ret = (struct am_layer){.prefix = (size_t)(p - name), .rest = (size_t)(p - name) + digits, .index = index};
            return true;
        }
        stack = stack || am_family_is_stack(p, n);
        p += n + (p[n] == '.');
    }
    return false;
}

static bool contains(const char *part, size_t n, const char *word)
{
    return memmem(part, n, word, strlen(word)) != NULL;
}

bool am_layer_before(const char *name)
{
    for (const char *p = name; *p;) {
        size_t n = strcspn(p, ".");
        if (am_family_is_before(p, n) || (contains(p, n, "embed") && !contains(p, n, "embed_out")))
            return true;
        p += n + (p[n] == '.');
    }
    return false;
}

static size_t find(const struct am_layers *l, const char *name, size_t prefix)
{
    size_t i = 0;
    while (i < l->stacks && (l->stack[i].n != prefix || strncmp(l->stack[i].name, name, prefix) != 0))
        i++;
    return i;
}

void am_layers_add(struct am_layers *l, const char *name)
{
    struct am_layer at;
    if (!am_layer_of(name, &at))
        return;
    size_t i = find(l, name, at.prefix);
    if (i == AM_STACKS_MAX)
        return;
    if (i == l->stacks) {
        l->stack[i].name = name;
        l->stack[i].n = at.prefix;
        l->stacks++;
    }
    if (at.index >= l->stack[i].layers)
        l->stack[i].layers = at.index + 1;
}

uint32_t am_layers_count(const struct am_layers *l, const char *name, size_t prefix)
{
    size_t i = find(l, name, prefix);
    return i < l->stacks ? l->stack[i].layers : 0;
}

double am_layers_depth(const struct am_layers *l, const char *name, double after)
{
    struct am_layer at;
    if (!am_layer_of(name, &at))
        return am_layer_before(name) ? 0 : after;
    uint32_t layers = am_layers_count(l, name, at.prefix);
    return layers > at.index && layers > 1 ? (double)at.index / (double)(layers - 1) : 1;
}

bool am_cut_name(const struct am_cut *c, const char *name, char *out, size_t cap)
{
    struct am_layer at;
    if (!am_layer_of(name, &at)) {
        snprintf(out, cap, "%s", name);
        return (am_layer_before(name) ? c->first : c->last) && strlen(name) < cap;
    }
    if (at.index < c->from || at.index >= c->to)
        return false;
    int n = snprintf(out, cap, "%.*s%u%s", (int)at.prefix, name, at.index - c->from + c->offset, name + at.rest);
    return n > 0 && (size_t)n < cap;
}
