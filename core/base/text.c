/*
 * text.c - comparison, nearest name, globs, hex and UTF-8 of text.h. Numbers, ids, names and URLs have files of their
 * own.
 */
#include "core/base/text.h"

#include "core/base/err.h"

#include <fnmatch.h>
#include <string.h>

#define NEAREST_MAX 96 /* longer names get no suggestion */

bool am_streq(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

bool am_starts(const char *s, const char *prefix)
{
    return s && strncmp(s, prefix, strlen(prefix)) == 0;
}

bool am_ends(const char *s, const char *suffix)
{
    size_t n = s ? strlen(s) : 0, m = strlen(suffix);
    return s && n >= m && memcmp(s + n - m, suffix, m) == 0;
}

size_t am_module_ending(const char *name, const char *suffix)
{
    size_t m = strlen(suffix);
    for (const char *dot = strchr(name, '.'), *part = name; dot; part = dot + 1, dot = strchr(part, '.'))
        if ((size_t)(dot - part) >= m && memcmp(dot - m, suffix, m) == 0)
            return (size_t)(dot - name);
    return 0;
}

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Levenshtein distance of two names of at most NEAREST_MAX bytes, one row at a time. */
static size_t distance(const char *a, size_t n, const char *b, size_t m)
{
    size_t row[NEAREST_MAX + 1];
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t up = row[j];
            row[j] = min3(up + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = up;
        }
    }
    return row[m];
}

const char *am_nearest(const char *name, const char *const *candidates, size_t n)
{
    size_t len = strnlen(name, NEAREST_MAX + 1);
    if (len > NEAREST_MAX)
        return NULL;
    size_t best = (len / 3 > 1 ? len / 3 : 1) + 1;
    const char *found = NULL;
    for (size_t i = 0; i < n; i++) {
        size_t m = strnlen(candidates[i], NEAREST_MAX + 1);
        if (m > NEAREST_MAX)
            continue;
        size_t d = distance(name, len, candidates[i], m);
        if (d < best) {
            best = d;
            found = candidates[i];
        }
    }
    return found;
}

bool am_glob(const char *pattern, const char *name)
{
    return fnmatch(pattern, name, 0) == 0;
}

/* How many bytes the character at s has, or 0 when it is not well-formed (RFC 3629: no overlong forms, no surrogates).
 */
static size_t utf8_char(const unsigned char *s, size_t left)
{
    unsigned char c = s[0], low = 0x80, high = 0xbf;
    if (c < 0x80)
        return 1;
    size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || left < n)
        return 0;
    if (c == 0xe0)
        low = 0xa0;
    else if (c == 0xed)
        high = 0x9f;
    else if (c == 0xf0)
        low = 0x90;
    else if (c == 0xf4)
        high = 0x8f;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return n;
}

bool am_utf8_ok(const void *bytes, size_t n)
{
    const unsigned char *s = bytes;
    for (size_t i = 0; i < n;) {
        size_t k = utf8_char(s + i, n - i);
        if (k == 0)
            return false;
        i += k;
    }
    return true;
}

void am_utf8_mend(char *text)
{
    unsigned char *s = (unsigned char *)text;
    size_t n = strlen(text), put = 0;
    bool bad = false;
    for (size_t i = 0, k; i < n; i += k ? k : 1) {
        k = utf8_char(s + i, n - i);
        if (k && bad)
            s[put++] = '?';
        memmove(s + put, s + i, k);
        put += k;
        bad = k == 0;
    }
    s[put] = 0;
}

void am_hex(const void *bytes, size_t n, char *out)
{
    static const char digit[] = "0123456789abcdef";
    const unsigned char *s = bytes;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digit[s[i] >> 4];
        out[2 * i + 1] = digit[s[i] & 15];
    }
    out[2 * n] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int am_unhex(const char *hex, size_t n_bytes, void *out)
{
    if (strnlen(hex, 2 * n_bytes + 1) != 2 * n_bytes)
        return -AM_E_INVALID_REQUEST;
    for (size_t i = 0; i < 2 * n_bytes; i++)
        if (hex_value(hex[i]) < 0)
            return -AM_E_INVALID_REQUEST;
    unsigned char *o = out;
    for (size_t i = 0; i < n_bytes; i++)
        o[i] = (unsigned char)(hex_value(hex[2 * i]) << 4 | hex_value(hex[2 * i + 1]));
    return 0;
}

bool am_is_hex(const char *s, size_t digits)
{
    if (!s || strnlen(s, digits + 1) != digits)
        return false;
    for (size_t i = 0; i < digits; i++)
        if (hex_value(s[i]) < 0 || (s[i] >= 'A' && s[i] <= 'F'))
            return false;
    return true;
}
