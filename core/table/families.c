/*
 * families.c - see families.h.
 */
#include "core/table/families.h"

#include "core/base/err.h"
#include "core/base/text.h"

#include <string.h>

#define AM_FAMILY(...) {__VA_ARGS__},
#define AM_LAYER_WORD(word)
#define AM_MODULE(names, prefixes)
#define AM_BUFFER(end)
static const struct am_family families[] = {
#include "core/table/families.def"
};
#undef AM_FAMILY
#undef AM_LAYER_WORD
#define AM_FAMILY(...)
#define AM_LAYER_WORD(word) word,
static const char *const layer_words[] = {
#include "core/table/families.def"
};
#undef AM_LAYER_WORD
#undef AM_MODULE
#define AM_LAYER_WORD(word)
#define AM_MODULE(names, prefixes) {names, prefixes},
static const char *const modules[][2] = {
#include "core/table/families.def"
};
#undef AM_MODULE
#undef AM_BUFFER
#define AM_MODULE(names, prefixes)
#define AM_BUFFER(end) end,
static const char *const buffers[] = {
#include "core/table/families.def"
};

#define FAMILIES (sizeof families / sizeof *families)

const struct am_family *am_family_find(const char *type)
{
    for (size_t i = 0; type && i < FAMILIES; i++)
        if (am_streq(families[i].type, type))
            return &families[i];
    return NULL;
}

const char *am_family_word(const char *list, size_t i, size_t *ret_n)
{
    for (; *list; list += *list == '|') {
        size_t n = strcspn(list, "|");
        *ret_n = n;
        if (i-- == 0)
            return list;
        list += n;
    }
    return NULL;
}

static bool is(const char *part, size_t n, const char *word, size_t word_n)
{
    return n == word_n && memcmp(part, word, n) == 0;
}

/* The last part of a path. */
static bool ends_path(const char *path, size_t path_n, const char *part, size_t n)
{
    bool whole = path_n == n || (path_n > n && path[path_n - n - 1] == '.');
    return whole && memcmp(path + path_n - n, part, n) == 0;
}

bool am_family_is_stack(const char *part, size_t n)
{
    size_t word_n;
    const char *word;
    for (size_t i = 0; i < sizeof layer_words / sizeof *layer_words; i++)
        if (is(part, n, layer_words[i], strlen(layer_words[i])))
            return true;
    for (size_t f = 0; f < FAMILIES; f++)
        for (size_t i = 0; (word = am_family_word(families[f].layers, i, &word_n)); i++)
            if (ends_path(word, word_n, part, n))
                return true;
    return false;
}

bool am_family_is_before(const char *part, size_t n)
{
    size_t word_n;
    const char *word;
    for (size_t f = 0; f < FAMILIES; f++)
        for (size_t i = 0; (word = am_family_word(families[f].before, i, &word_n)); i++)
            if (is(part, n, word, word_n))
                return true;
    return false;
}

const char *am_family_module(const char *name)
{
    size_t n;
    const char *word;
    for (size_t m = 0; m < sizeof modules / sizeof *modules; m++)
        for (size_t i = 0; (word = am_family_word(modules[m][0], i, &n)); i++)
            if (is(name, strlen(name), word, n))
                return modules[m][1];
    return NULL;
}

bool am_family_is_buffer(const char *tensor)
{
    if (am_ends(tensor, ".weight")) /* nearly all of them */
        return false;
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++)
        if (am_ends(tensor, buffers[i]))
            return true;
    return false;
}

/* ---- tied heads ---- */

const char *am_family_head(const char *embedding)
{
    for (size_t f = 0; f < FAMILIES; f++)
        if (families[f].head[0] && am_streq(families[f].embedding, embedding))
            return families[f].head;
    return NULL;
}

static bool first_of_head(size_t f)
{
    for (size_t i = 0; i < f; i++)
        if (am_streq(families[i].head, families[f].head))
            return false;
    return families[f].head[0] != 0;
}

const char *am_family_embedding(const char *head, size_t i)
{
    for (size_t f = 0; f < FAMILIES; f++)
        if (families[f].head[0] && am_streq(families[f].head, head) && i-- == 0)
            return families[f].embedding;
    return NULL;
}

/* The input whose head gives the shape; `inputs`: none has one. */
static size_t with_head(size_t inputs, const struct am_ties *t, const char *head)
{
    size_t k = 0;
    while (k < inputs && !t->same(t->ctx, k, head, k, head))
        k++;
    return k;
}

static int tie(const struct am_ties *t, size_t i, size_t k, const char *head)
{
    if (t->same(t->ctx, i, head, i, head))
        return 0;
    for (size_t f = 0; f < FAMILIES; f++)
        if (am_streq(families[f].head, head) && t->same(t->ctx, i, families[f].embedding, k, head))
            return t->tied(t->ctx, i, head, families[f].embedding);
    return 0;
}

int am_family_ties(size_t inputs, const struct am_ties *t)
{
    for (size_t f = 0; f < FAMILIES; f++) {
        size_t k = first_of_head(f) ? with_head(inputs, t, families[f].head) : inputs;
        for (size_t i = 0; k < inputs && i < inputs; i++)
            if (i != k)
                AM_TRY(tie(t, i, k, families[f].head));
    }
    return 0;
}
