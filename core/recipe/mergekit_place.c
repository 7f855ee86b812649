/*
 * mergekit_place.c - faults of the body made of a configuration, told where their cause stands in it.
 */
#include "core/base/buf.h"
#include "core/base/text.h"
#include "core/recipe/mergekit_parts.h"

#include <stdlib.h>
#include <string.h>

#define DETAIL_MAX 4096

/* The configuration's pointer for the first `n` bytes of one into the body, by the longest place known, in `out`. */
static bool translate(const struct am_mergekit *m, const char *pointer, size_t n, char out[AM_POINTER])
{
    const char *best = NULL;
    size_t best_n = 0;
    json_t *pair;
    size_t i;
    json_array_foreach(m->place, i, pair)
    {
        const char *body = json_string_value(json_array_get(pair, 0));
        size_t k = strlen(body);
        if (k > n || strncmp(body, pointer, k) != 0 || (k < n && pointer[k] != '/') || (best && k < best_n))
            continue;
        best = json_string_value(json_array_get(pair, 1));
        best_n = k;
    }
    if (!best)
        return false;
    if (best[0] == '?') /* there is nothing below a query parameter */
        snprintf(out, AM_POINTER, "%s", best);
    else
        snprintf(out, AM_POINTER, "%s%.*s", best, (int)(n - best_n), pointer + best_n);
    return true;
}

bool am_mk_translate(const struct am_mergekit *m, const char *pointer, char out[AM_POINTER])
{
    return translate(m, pointer, strlen(pointer), out);
}

void am_mk_shift_models(struct am_mk *k)
{
    static const char models[] = "#/inputs/models/";
    char at[AM_POINTER];
    json_t *pair;
    size_t i;
    json_array_foreach(k->m->place, i, pair)
    {
        const char *body = json_string_value(json_array_get(pair, 0));
        if (!am_starts(body, models))
            continue;
        char *rest;
        unsigned long n = strtoul(body + strlen(models), &rest, 10);
        snprintf(at, sizeof at, "%s%lu%.*s", models, n + 1, AM_POINTER - 64, rest);
        json_array_set_new(pair, 0, json_string(at));
    }
}

/* "#/models" as it is among several documents: "#/1/models". */
static void number(const struct am_mergekit *m, char at[AM_POINTER])
{
    char own[AM_POINTER];
    if (!m->number || at[0] != '#')
        return;
    snprintf(own, sizeof own, "%s", at + 1);
    snprintf(at, AM_POINTER, "#/%zu%.*s", m->number - 1, AM_POINTER - 32, own);
}

const char *am_mergekit_pointer(const struct am_mergekit *m, const char *pointer, char out[AM_POINTER])
{
    if (!am_mk_translate(m, pointer, out))
        snprintf(out, AM_POINTER, "%s", pointer);
    number(m, out);
    return out;
}

void am_mk_place_warnings(struct am_mergekit *m)
{
    char at[AM_POINTER];
    json_t *w;
    size_t i;
    json_array_foreach(m->warnings, i, w)
    {
        snprintf(at, sizeof at, "%s", json_string_value(json_object_get(w, "pointer")));
        number(m, at);
        json_object_set_new(w, "pointer", json_string(at));
    }
}

/* Pointers in a sentence, too. */
static char *translate_text(const struct am_mergekit *m, const char *text)
{
    struct am_buf b;
    char at[AM_POINTER] = "";
    am_buf_init(&b, DETAIL_MAX);
    for (const char *p = text; *p;) {
        size_t n = am_starts(p, "#/") ? strcspn(p, " ;,)\"") : 0;
        if (n && !translate(m, p, n, at))
            snprintf(at, sizeof at, "%.*s", n < sizeof at ? (int)n : (int)sizeof at - 1, p);
        if (n)
            number(m, at);
        int rc = n ? am_buf_puts(&b, at) : am_buf_put(&b, p, 1);
        if (rc < 0)
            break;
        p += n ? n : 1;
    }
    return am_buf_take(&b);
}

static void replace(char **text, char *with)
{
    if (!with)
        return;
    free(*text);
    *text = with;
}

static bool below(const char *pointer, const char *top)
{
    size_t n = strlen(top);
    return n > 1 && strncmp(pointer, top, n) == 0 && (!pointer[n] || pointer[n] == '/');
}

/* What the body lacks because the configuration was wrong there has been told. */
static bool told(const struct am_mergekit *m, const struct am_faults *f, size_t i)
{
    for (size_t k = 0; k < m->own && k < i; k++)
        if (i >= m->own && below(f->v[i].pointer, f->v[k].pointer))
            return true;
    return false;
}

/* One value of the configuration that is one for each model in the body. */
static bool is_repeated(const struct am_faults *f, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (am_streq(f->v[k].pointer, f->v[i].pointer) && am_streq(f->v[k].detail, f->v[i].detail))
            return true;
    return false;
}

static void drop(struct am_faults *f, size_t i)
{
    struct am_faults one = {.v = calloc(1, sizeof *one.v), .n = 1, .total = 1};
    if (!one.v)
        return;
    one.v[0] = f->v[i];
    memmove(f->v + i, f->v + i + 1, (f->n - i - 1) * sizeof *f->v);
    f->n--;
    f->total--;
    am_faults_done(&one);
}

void am_mergekit_place(const struct am_mergekit *m, struct am_faults *f)
{
    char at[AM_POINTER];
    for (size_t i = 0; i < f->n; i++) {
        struct am_fault *v = &f->v[i];
        if (v->pointer) {
            if (i < m->own || !am_mk_translate(m, v->pointer, at)) /* its own ones point into it already */
                snprintf(at, sizeof at, "%s", v->pointer);
            if (m->yaml.n && !v->line)
                v->line = am_yaml_line(&m->yaml.v[0], at);
            number(m, at);
            replace(&v->pointer, strdup(at));
        }
        replace(&v->detail, translate_text(m, v->detail));
        if (v->pointer && (told(m, f, i) || is_repeated(f, i)))
            drop(f, i--);
    }
}
