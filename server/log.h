/*
 * log.h - lines on standard error: "<6>msg key=value ..." for the journal, "2026-11-23T01:48:10.123Z info msg
 * key=value ..." as text. Thread-safe. Only server/ uses it.
 */
#ifndef AM_SERVER_LOG_H
#define AM_SERVER_LOG_H

#include "core/base/err.h"

#include <stdbool.h>

enum am_log_level { AM_LOG_ERROR = 3, AM_LOG_WARN = 4, AM_LOG_INFO = 6, AM_LOG_DEBUG = 7 };
/* level: "error" "warn" "info" "debug"; journal: each line begins with its priority, else with the time. */
void am_log_init(const char *level, bool journal);
bool am_log_shows(enum am_log_level level);
void am_log(enum am_log_level level, const char *fmt, ...) AM_PRINTF(2, 3);

#endif
