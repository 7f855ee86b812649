/*
 * clock.h - the time, and how it is written. Nothing else in the house reads a clock.
 */
#ifndef AM_BASE_CLOCK_H
#define AM_BASE_CLOCK_H

#include <stdint.h>

int64_t am_now_ms(void);  /* wall clock, milliseconds since 1970 UTC */
int64_t am_mono_ms(void); /* monotonic */
int64_t am_mono_us(void); /* the same clock in microseconds */
#define AM_TIME_TEXT 32
void am_time_text(int64_t ms, char out[AM_TIME_TEXT]); /* RFC 3339 UTC with milliseconds: 2026-11-23T01:48:10.123Z */

/* An RFC 3339 time with its offset ("2026-11-23T02:48:10.5+01:00") -> ms since 1970, finer fractions cut off.
   0 or -AM_E_INVALID_REQUEST. */
int am_time_parse(const char *text, int64_t *ret);

#endif
