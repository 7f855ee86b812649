/*
 * range.h - one byte range of a file (RFC 9110 14): "bytes=a-b", "bytes=a-", "bytes=-n". Several ranges, other units
 * and anything malformed read as "no range": the whole file is the right answer to them.
 */
#ifndef AM_SERVER_RANGE_H
#define AM_SERVER_RANGE_H

#include <stdint.h>

struct am_range {
    uint64_t first, bytes;
};
enum am_range_kind { AM_RANGE_WHOLE, AM_RANGE_PART, AM_RANGE_BEYOND /* 416 */ };
enum am_range_kind am_range_parse(const char *header /* or NULL */, uint64_t size, struct am_range *ret);

#endif
