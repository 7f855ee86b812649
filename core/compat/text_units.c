/*
 * text_units.c - from two texts to two sequences of numbers, and the n-grams they share. Words are written one after
 * the other into one buffer and numbered by sorting.
 */
#include "core/base/err.h"
#include "core/compat/text_parts.h"

#include <stdlib.h>
#include <string.h>

static bool is_space(unsigned char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_punctuation(unsigned char c)
{
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

static unsigned char lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

static bool is_word_byte(unsigned char c) /* after lower() */
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

struct word {
    const char *bytes;
    size_t len;
    uint32_t *number; /* where its number goes */
};

/* The next word of a text, written to `out` (which has room for what is left of the text). */
static size_t next_word(enum am_unit unit, const struct am_text *text, size_t *at, char *out)
{
    size_t len = 0;
    for (; *at < text->len; (*at)++) {
        unsigned char c = lower((unsigned char)text->bytes[*at]);
        bool breaks = unit == AM_UNIT_WORD ? !is_word_byte(c) : is_space(c);
        if (breaks && len > 0)
            break;
        if (!breaks && !(unit == AM_UNIT_NORMAL && is_punctuation(c)))
            out[len++] = (char)c;
    }
    return len;
}

static bool is_article(const char *word, size_t len)
{
    return (len == 1 && word[0] == 'a') || (len == 2 && memcmp(word, "an", 2) == 0) ||
           (len == 3 && memcmp(word, "the", 3) == 0);
}

static int by_bytes(const void *a, const void *b)
{
    const struct word *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, x->len < y->len ? x->len : y->len);
    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

static void number_words(struct word *words, size_t n)
{
    uint32_t number = 0;
    qsort(words, n, sizeof(*words), by_bytes);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && by_bytes(&words[i - 1], &words[i]) != 0)
            number++;
        *words[i].number = number;
    }
}

static int take_words(enum am_unit unit, const struct am_text text[2], struct am_units *u)
{
    size_t room = text[0].len + text[1].len + 1, n = 0;
    char *bytes = malloc(room), *out = bytes;
    struct word *words = malloc(room * sizeof(*words));
    if (!bytes || !words) {
        free(bytes);
        free(words);
        return -AM_E_OUT_OF_MEMORY;
    }
    for (int s = 0; s < 2; s++) {
        size_t at = 0, len;
        while ((len = next_word(unit, &text[s], &at, out)) > 0) {
            if (unit == AM_UNIT_NORMAL && is_article(out, len))
                continue;
            words[n++] = (struct word){out, len, &u->side[s][u->n[s]]};
            u->n[s]++;
            out += len;
        }
    }
    number_words(words, n);
    free(bytes);
    free(words);
    return 0;
}

/* A code point and how many bytes it took; a byte that does not fit UTF-8 stands for itself, above all code points. */
static uint32_t code_point(const unsigned char *s, size_t left, size_t *ret_len)
{
    unsigned char c = s[0];
    size_t more = c >= 0xf0 && c < 0xf8 ? 3 : c >= 0xe0 && c < 0xf0 ? 2 : c >= 0xc2 && c < 0xe0 ? 1 : 0;
    *ret_len = 1;
    if (c < 0x80)
        return c;
    if (more == 0 || left <= more)
        return 0x110000u + c;
    uint32_t point = c & (0x3fu >> more);
    for (size_t i = 1; i <= more; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0x110000u + c;
        point = point << 6 | (s[i] & 0x3fu);
    }
    *ret_len = more + 1;
    return point;
}

static void take_characters(const struct am_text text[2], struct am_units *u)
{
    for (int s = 0; s < 2; s++)
        for (size_t at = 0, len = 1; at < text[s].len; at += len) {
            uint32_t point = code_point((const unsigned char *)text[s].bytes + at, text[s].len - at, &len);
            if (point >= 0x80 || !is_space((unsigned char)point))
                u->side[s][u->n[s]++] = point;
        }
}

int am_units_of(enum am_unit unit, const struct am_text text[2], struct am_units *ret)
{
    if (text[0].len > AM_TEXT_BYTES || text[1].len > AM_TEXT_BYTES)
        return -AM_E_TOO_LARGE;
    uint32_t *memory = malloc((text[0].len + text[1].len + 1) * sizeof(*memory));
    if (!memory)
        return -AM_E_OUT_OF_MEMORY;
    struct am_units u = {{memory, memory + text[0].len}, {0, 0}, memory};
    if (unit == AM_UNIT_CHARACTER)
        take_characters(text, &u);
    else if (take_words(unit, text, &u) < 0) {
        free(memory);
        return -AM_E_OUT_OF_MEMORY;
    }
    *ret = u;
    return 0;
}

struct gram {
    const uint32_t *unit;
    size_t order;
};

static int by_units(const void *a, const void *b)
{
    const struct gram *x = a, *y = b;
    for (size_t i = 0; i < x->order; i++)
        if (x->unit[i] != y->unit[i])
            return x->unit[i] < y->unit[i] ? -1 : 1;
    return 0;
}

static struct gram *sorted_grams(const uint32_t *unit, size_t n, size_t order)
{
    struct gram *g = malloc(n * sizeof(*g) + 1);
    if (!g)
        return NULL;
    for (size_t i = 0; i < n; i++)
        g[i] = (struct gram){unit + i, order};
    qsort(g, n, sizeof(*g), by_units);
    return g;
}

int am_units_match(const struct am_units *u, size_t order, size_t *ret)
{
    size_t n[2], i = 0, j = 0, hits = 0;
    for (int s = 0; s < 2; s++)
        n[s] = u->n[s] >= order ? u->n[s] - order + 1 : 0;
    struct gram *x = sorted_grams(u->side[0], n[0], order), *y = sorted_grams(u->side[1], n[1], order);
    bool made = x && y;
    while (made && i < n[0] && j < n[1]) { /* equal ones pair off: that is what clipping counts */
        int way = by_units(&x[i], &y[j]);
        hits += way == 0;
        i += way <= 0;
        j += way >= 0;
    }
    free(x);
    free(y);
    if (!made)
        return -AM_E_OUT_OF_MEMORY;
    *ret = hits;
    return 0;
}
