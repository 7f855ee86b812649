/*
 * number.c - numbers of text.h, free of the locale: strtod is only ever given text without a decimal point, and the
 * point that printf puts into its output is skipped whatever it looks like.
 */
#include "core/base/err.h"
#include "core/base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 800 /* no double needs more than 767 significant digits */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

int am_parse_u64(const char *s, uint64_t *ret)
{
    uint64_t v = 0;
    if (!s || !*s)
        return -AM_E_INVALID_REQUEST;
    for (; *s; s++)
        if (!is_digit(*s) || __builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
            return -AM_E_INVALID_REQUEST;
    *ret = v;
    return 0;
}

/* A decimal number taken apart: digits without the point, and the exponent that belongs to them as an integer. */
struct decimal {
    char digits[DIGITS_MAX + 1];
    size_t n;
    long exponent;
};

static int take_digits(const char **s, struct decimal *d, long each)
{
    const char *p = *s;
    for (; is_digit(*p); p++) {
        if (d->n == DIGITS_MAX)
            return -AM_E_INVALID_REQUEST;
        d->digits[d->n++] = *p;
        d->exponent -= each;
    }
    if (p == *s)
        return -AM_E_INVALID_REQUEST;
    *s = p;
    return 0;
}

static int take_exponent(const char **s, struct decimal *d)
{
    const char *p = *s;
    long sign = *p == '-' ? -1 : 1, e = 0;
    if (*p == '-' || *p == '+')
        p++;
    if (!is_digit(*p))
        return -AM_E_INVALID_REQUEST;
    for (; is_digit(*p); p++)
        if (e < 100000) /* far past zero and infinity either way */
            e = e * 10 + (*p - '0');
    d->exponent += sign * e;
    *s = p;
    return 0;
}

int am_parse_f64(const char *s, double *ret)
{
    struct decimal d = {.n = 0};
    if (!s)
        return -AM_E_INVALID_REQUEST;
    bool negative = *s == '-';
    if (negative)
        s++;
    AM_TRY(take_digits(&s, &d, 0));
    if (*s == '.') {
        s++;
        AM_TRY(take_digits(&s, &d, 1));
    }
    if (*s == 'e' || *s == 'E') {
        s++;
        AM_TRY(take_exponent(&s, &d));
    }
    if (*s)
        return -AM_E_INVALID_REQUEST;
    char text[DIGITS_MAX + 32];
    snprintf(text, sizeof(text), "%.*se%ld", (int)d.n, d.digits, d.exponent);
    double v = strtod(text, NULL);
    if (!isfinite(v))
        return -AM_E_INVALID_REQUEST;
    *ret = negative ? -v : v;
    return 0;
}

struct unit {
    const char *name;
    uint64_t factor;
};

/* A whole number and one of the units right behind it; the list ends with a NULL name. */
static int parse_with_unit(const char *s, const struct unit *units, uint64_t *ret)
{
    char digits[24];
    size_t n = s ? strspn(s, "0123456789") : 0;
    if (n == 0 || n >= sizeof(digits))
        return -AM_E_INVALID_REQUEST;
    memcpy(digits, s, n);
    digits[n] = '\0';
    uint64_t v;
    AM_TRY(am_parse_u64(digits, &v));
    while (units->name && strcmp(s + n, units->name) != 0)
        units++;
    if (!units->name || __builtin_mul_overflow(v, units->factor, &v))
        return -AM_E_INVALID_REQUEST;
    *ret = v;
    return 0;
}

int am_parse_seconds(const char *s, uint64_t *ret)
{
    static const struct unit units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}, {NULL, 0}};
    return parse_with_unit(s, units, ret);
}

int am_parse_size(const char *s, uint64_t *ret)
{
    static const struct unit units[] = {
        {"", 1},
        {"B", 1},
        {"KB", 1000},
        {"MB", 1000000},
        {"GB", 1000000000},
        {"TB", 1000000000000},
        {"KiB", 1u << 10},
        {"MiB", 1u << 20},
        {"GiB", 1u << 30},
        {"TiB", 1ull << 40},
        {NULL, 0},
    };
    return parse_with_unit(s, units, ret);
}

/* The decimal of n digits nearest to v (v > 0): digits and the exponent of the first one. */
static int round_to(double v, int n, char digits[20])
{
    char text[64];
    snprintf(text, sizeof(text), "%.*e", n - 1, v);
    int k = 0;
    const char *p = text;
    for (; *p != 'e'; p++)
        if (is_digit(*p))
            digits[k++] = *p;
    digits[k] = '\0';
    return (int)strtol(p + 1, NULL, 10);
}

static bool reads_back(double v, const char *digits, int exponent)
{
    char text[64];
    snprintf(text, sizeof(text), "%se%d", digits, exponent - (int)strlen(digits) + 1);
    double back = strtod(text, NULL);
    return back <= v && back >= v;
}

/* Adds one unit in the last place. False when it would carry over the first digit. */
static bool step_up(char *digits)
{
    for (size_t i = strlen(digits); i-- > 0;) {
        if (digits[i] != '9') {
            digits[i]++;
            return true;
        }
        digits[i] = '0';
    }
    return false;
}

/*
 * The fewest digits that read back as v. Just above a power of two the doubles lie closer below than above, so the
 * nearest decimal of n digits may miss while the one above it hits (2^-44 needs 5.684341886080802e-14).
 */
static int shortest(double v, char digits[20])
{
    int exponent = 0;
    for (int n = 1; n <= 17; n++) {
        exponent = round_to(v, n, digits);
        if (reads_back(v, digits, exponent) || (step_up(digits) && reads_back(v, digits, exponent)))
            return exponent;
    }
    return round_to(v, 17, digits);
}

/* ECMAScript Number::toString, steps 5 to 10: k digits, the point after the n-th. */
static void lay_out(const char *digits, int n, char *out, size_t cap)
{
    int k = (int)strlen(digits);
    if (k <= n && n <= 21)
        snprintf(out, cap, "%s%.*s", digits, n - k, "000000000000000000000");
    else if (0 < n && n <= 21)
        snprintf(out, cap, "%.*s.%s", n, digits, digits + n);
    else if (-6 < n && n <= 0)
        snprintf(out, cap, "0.%.*s%s", -n, "000000", digits);
    else if (k == 1)
        snprintf(out, cap, "%se%+d", digits, n - 1);
    else
        snprintf(out, cap, "%c.%se%+d", digits[0], digits + 1, n - 1);
}

void am_f64_text(double v, char out[AM_F64_TEXT])
{
    if (isnan(v)) {
        memcpy(out, "NaN", 4);
        return;
    }
    if (fpclassify(v) == FP_ZERO) {
        memcpy(out, "0", 2);
        return;
    }
    if (v < 0)
        *out++ = '-';
    if (isinf(v)) {
        memcpy(out, "Infinity", 9);
        return;
    }
    char digits[20], text[96];
    int n = shortest(fabs(v), digits) + 1;
    lay_out(digits, n, text, sizeof(text)); /* at most 24 bytes: 17 digits, point, e-324 */
    memcpy(out, text, strnlen(text, AM_F64_TEXT - 2) + 1);
}
