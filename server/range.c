/*
 * range.c - see range.h.
 */
#include "server/range.h"

#include "core/base/text.h"

#include <stdio.h>
#include <string.h>

enum am_range_kind am_range_parse(const char *header, uint64_t size, struct am_range *ret)
{
    char text[64];
    uint64_t a = 0, b = 0;
    *ret = (struct am_range){0, size};
    if (!header || !am_starts(header, "bytes=") || strlen(header + 6) >= sizeof text)
        return AM_RANGE_WHOLE;
    snprintf(text, sizeof text, "%s", header + 6);
    char *dash = strchr(text, '-');
    if (!dash || strchr(text, ','))
        return AM_RANGE_WHOLE;
    *dash = 0;
    const char *from = text, *to = dash + 1;
    if ((*from && am_parse_u64(from, &a) < 0) || (*to && am_parse_u64(to, &b) < 0) || (!*from && !*to))
        return AM_RANGE_WHOLE;
    if (!*from) { /* the last b bytes */
        if (b == 0 || size == 0)
            return AM_RANGE_BEYOND;
        a = b < size ? size - b : 0;
        b = size - 1;
    } else if (!*to)
        b = size ? size - 1 : 0;
    else if (b < a)
        return AM_RANGE_WHOLE;
    if (a >= size)
        return AM_RANGE_BEYOND;
    if (b >= size)
        b = size - 1;
    *ret = (struct am_range){a, b - a + 1};
    return AM_RANGE_PART;
}
