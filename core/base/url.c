/*
 * url.c - percent-encoding of text.h (RFC 3986). '+' is an ordinary character here.
 */
#include "core/base/err.h"
#include "core/base/text.h"

#include <string.h>

/* Both hex digits of "%XX" as a byte, or -1. */
static int escaped(const char *s)
{
    unsigned char byte;
    char hex[3] = {s[1], s[1] ? s[2] : '\0', '\0'};
    return am_unhex(hex, 1, &byte) < 0 ? -1 : byte;
}

/* Decodes `s` into `out` (NULL: only checks). The length, or -1. */
static long decode(const char *s, char *out)
{
    long n = 0;
    for (; *s; s++, n++) {
        int c = (unsigned char)*s;
        if (c == '%') {
            c = escaped(s);
            if (c <= 0)
                return -1;
            s += 2;
        }
        if (out)
            out[n] = (char)c;
    }
    return n;
}

int am_url_decode(char *segment)
{
    if (decode(segment, NULL) < 0)
        return -AM_E_INVALID_REQUEST;
    long n = decode(segment, segment);
    segment[n] = '\0';
    return am_utf8_ok(segment, (size_t)n) ? 0 : -AM_E_INVALID_REQUEST;
}

static bool unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~", c));
}

int am_url_encode(const char *s, bool keep_slash, char *out, size_t cap)
{
    size_t n = 0;
    for (; *s; s++) {
        bool plain = unreserved(*s) || (*s == '/' && keep_slash);
        if (n + (plain ? 1 : 3) >= cap)
            return -AM_E_TOO_LARGE;
        if (plain) {
            out[n++] = *s;
            continue;
        }
        out[n++] = '%';
        am_hex(s, 1, out + n);
        n += 2;
        for (size_t i = n - 2; i < n; i++)
            if (out[i] >= 'a')
                out[i] = (char)(out[i] - 'a' + 'A');
    }
    if (n >= cap)
        return -AM_E_TOO_LARGE;
    out[n] = '\0';
    return 0;
}
