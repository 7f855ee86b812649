/*
 * log.h - lines on standard error: "<6>msg key=value ..." (journal priority first). Thread-safe. Only server/ uses it.
 */
#ifndef AM_SERVER_LOG_H
#define AM_SERVER_LOG_H

#include "core/base/err.h"

enum am_log_level { AM_LOG_ERROR = 3, AM_LOG_WARN = 4, AM_LOG_INFO = 6, AM_LOG_DEBUG = 7 };
void am_log_init(const char *level); /* "error" "warn" "info" "debug" */
void am_log(enum am_log_level level, const char *fmt, ...) AM_PRINTF(2, 3);

#endif
