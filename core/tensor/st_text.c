/*
 * st_text.c - see st_text.h. Every byte of a header passes here once; runs of ordinary bytes are copied at once.
 */
#include "core/tensor/st_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW 65536u

int am_st_text_open(struct am_st_text *s, uint64_t header_bytes)
{
    s->window = malloc(WINDOW);
    if (!s->window)
        return -AM_E_OUT_OF_MEMORY;
    s->p = s->stop = s->window;
    s->next = 8;
    s->end = 8 + header_bytes;
    return 0;
}

void am_st_text_done(struct am_st_text *s)
{
    free(s->window);
    s->window = NULL;
}

int am_st_fill(struct am_st_text *s)
{
    uint64_t n = s->end - s->next;
    if (n == 0 || s->rc < 0)
        return -1;
    if (n > WINDOW)
        n = WINDOW;
    int rc = s->read(s->ctx, s->window, (size_t)n, s->next);
    if (rc < 0) {
        s->rc = rc;
        return -1;
    }
    s->next += n;
    s->p = s->window;
    s->stop = s->window + n;
    return *s->p;
}

static uint64_t position(const struct am_st_text *s)
{
    return s->next - (uint64_t)(s->stop - s->p);
}

static uint64_t rest(const struct am_st_text *s)
{
    return s->end - position(s);
}

int am_st_skip(struct am_st_text *s)
{
    int c;
    while ((c = am_st_peek(s)) == ' ' || c == '\n' || c == '\r' || c == '\t')
        s->p++;
    return c;
}

int am_st_fail(struct am_st_text *s, const char *rule, const char *fmt, ...)
{
    if (s->rc < 0)
        return s->rc;
    char why[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, sizeof(why), fmt, ap);
    va_end(ap);
    return am_fault_add(s->faults, AM_E_MALFORMED, (struct am_where){NULL, rule, s->tensor, s->file}, "byte %llu: %s",
                        (unsigned long long)position(s), why);
}

/* What follows a lead byte of UTF-8 (RFC 3629): how many bytes, and the range of the first of them. */
static int follow(int c, int *low, int *high)
{
    *low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
    *high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
    return c < 0xc2 || c > 0xf4 ? -1 : c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
}

/* Takes one character of two to four bytes into `out`: its length, or an error with its fault. */
static int utf8(struct am_st_text *s, unsigned char out[4])
{
    int low, high, c = *s->p;
    int n = follow(c, &low, &high);
    if (n < 0)
        return am_st_fail(s, "header_utf8", "the byte 0x%02x is not UTF-8", (unsigned)c);
    out[0] = (unsigned char)c;
    s->p++;
    for (int i = 1; i <= n; i++) {
        c = am_st_peek(s);
        if (c < low || c > high)
            return am_st_fail(s, "header_utf8", "a character that begins with the byte 0x%02x is not well-formed UTF-8",
                              (unsigned)out[0]);
        out[i] = (unsigned char)c;
        s->p++;
        low = 0x80;
        high = 0xbf;
    }
    return n + 1;
}

int am_st_unexpected(struct am_st_text *s, const char *rule, const char *what)
{
    unsigned char character[4];
    int c = am_st_peek(s);
    if (c < 0)
        return am_st_fail(s, "header_json", "the header ends where %s was expected", what);
    if (c >= 0x80)
        AM_TRY(utf8(s, character)); /* bytes that are no text at all are named as such */
    if (c > 0x20 && c < 0x7f)
        return am_st_fail(s, rule, "found '%c' where %s was expected", c, what);
    return am_st_fail(s, rule, "found the byte 0x%02x where %s was expected", (unsigned)c, what);
}

int am_st_expect(struct am_st_text *s, char c, const char *what)
{
    if (am_st_next(s) != c)
        return am_st_unexpected(s, "header_json", what);
    s->p++;
    return 0;
}

static int hex4(struct am_st_text *s)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        int c = am_st_peek(s);
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return am_st_fail(s, "header_json", "\\u needs four hex digits");
        v = v << 4 | digit;
        s->p++;
    }
    return v;
}

static int utf8_out(unsigned v, unsigned char out[4])
{
    if (v < 0x80) {
        out[0] = (unsigned char)v;
        return 1;
    }
    int n = v < 0x800 ? 2 : v < 0x10000 ? 3 : 4;
    static const unsigned char lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (int i = n - 1; i > 0; i--, v >>= 6)
        out[i] = (unsigned char)(0x80 | (v & 0x3f));
    out[0] = (unsigned char)(lead[n] | v);
    return n;
}

/* After "\u": one character, of which those above U+FFFF are written as a pair of surrogates. */
static int escape_u(struct am_st_text *s, unsigned char out[4])
{
    int high = hex4(s);
    if (high < 0xd800 || high > 0xdfff)
        return high < 0 ? high : utf8_out((unsigned)high, out);
    if (high > 0xdbff || am_st_peek(s) != '\\')
        return am_st_fail(s, "header_json", "\\u%04x is half of a surrogate pair", (unsigned)high);
    s->p++;
    if (am_st_peek(s) != 'u')
        return am_st_fail(s, "header_json", "\\u%04x is half of a surrogate pair", (unsigned)high);
    s->p++;
    int low = hex4(s);
    if (low < 0)
        return low;
    if (low < 0xdc00 || low > 0xdfff)
        return am_st_fail(s, "header_json", "\\u%04x is half of a surrogate pair", (unsigned)high);
    return utf8_out(0x10000 + (((unsigned)high - 0xd800) << 10) + ((unsigned)low - 0xdc00), out);
}

static int escape(struct am_st_text *s, unsigned char out[4])
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    s->p++;
    int c = am_st_peek(s);
    if (c < 0)
        return am_st_fail(s, "header_json", "the header ends inside a string");
    if (c == 'u') {
        s->p++;
        return escape_u(s, out);
    }
    const char *at = c ? strchr(from, c) : NULL;
    if (!at)
        return am_st_fail(s, "header_json", "a backslash must be followed by one of \" \\ / b f n r t u");
    s->p++;
    out[0] = (unsigned char)to[at - from];
    return 1;
}

/* Bytes of a string that stand for themselves. */
static const bool plain[256] = {[0x20] = true, [0x21] = true, [0x23 ... 0x5b] = true, [0x5d ... 0x7f] = true};

static int put(struct am_st_text *s, struct am_st_tail *t, const void *bytes, size_t n, size_t max, const char *rule,
               const char *what)
{
    if (n > max - t->len)
        return am_st_fail(s, rule, "%s is longer than %zu bytes", what, max);
    return am_st_tail_put(t, bytes, n, rest(s));
}

static int string_body(struct am_st_text *s, size_t max, const char *rule, const char *what, struct am_st_tail *t)
{
    for (;;) {
        const unsigned char *q = s->p;
        while (q < s->stop && plain[*q])
            q++;
        if (q > s->p)
            AM_TRY(put(s, t, s->p, (size_t)(q - s->p), max, rule, what));
        s->p = q;
        int c = am_st_peek(s);
        if (c == '"') {
            s->p++;
            return 0;
        }
        if (c < 0)
            return am_st_fail(s, "header_json", "the header ends inside a string");
        if (c < 0x20)
            return am_st_fail(s, "header_json", "the control character 0x%02x inside a string must be escaped",
                              (unsigned)c);
        if (c < 0x80 && c != '\\')
            continue; /* the window has moved */
        unsigned char character[4];
        int n = c == '\\' ? escape(s, character) : utf8(s, character);
        if (n < 0)
            return n;
        if (n == 1 && character[0] == 0)
            return am_st_fail(s, rule, "%s must not hold the character U+0000", what);
        AM_TRY(put(s, t, character, (size_t)n, max, rule, what));
    }
}

int am_st_string(struct am_st_text *s, size_t max, const char *rule, const char *what, struct am_st_tail *ret)
{
    if (am_st_next(s) != '"')
        return am_st_unexpected(s, rule, what);
    s->p++;
    struct am_st_tail t;
    AM_TRY(am_st_tail_open(&t, s->arena));
    int rc = string_body(s, max, rule, what, &t);
    if (rc < 0) {
        am_st_tail_drop(&t);
        return rc;
    }
    t.text[t.len] = '\0';
    *ret = t;
    return 0;
}

int am_st_integer(struct am_st_text *s, uint64_t max, const char *what, uint64_t *ret)
{
    int c = am_st_next(s);
    if (c == '-' || c == '+')
        return am_st_fail(s, "number", "%s must be a plain integer, without a sign", what);
    if (c < '0' || c > '9')
        return am_st_unexpected(s, "header_json", what);
    bool zero = c == '0', first = true;
    uint64_t v = 0;
    for (; c >= '0' && c <= '9'; c = am_st_peek(s), first = false) {
        if (zero && !first)
            return am_st_fail(s, "number", "%s must be a plain integer, without leading zeros", what);
        if (__builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(c - '0'), &v) || v > max)
            return am_st_fail(s, "number", "%s is above %llu", what, (unsigned long long)max);
        s->p++;
    }
    if (c == '.' || c == 'e' || c == 'E')
        return am_st_fail(s, "number", "%s must be a plain integer, without fraction or exponent", what);
    *ret = v;
    return 0;
}

const char *am_st_show(const char *text, char out[AM_ST_SHOW + 4])
{
    size_t n = strnlen(text, AM_ST_SHOW + 1);
    bool cut = n > AM_ST_SHOW;
    if (cut)
        for (n = AM_ST_SHOW; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80;)
            n--;
    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
    memcpy(out + n, cut ? "..." : "", cut ? 4 : 1);
    return out;
}
