/*
 * buf.h - a byte buffer that grows up to a ceiling given at init. Always NUL-terminated when it holds bytes.
 * Not shared between threads.
 * Ownership: the buffer owns its bytes until am_buf_take(); am_buf_done() is safe on a zeroed buffer.
 * Errors: -AM_E_TOO_LARGE (ceiling reached; the buffer keeps what it had), -AM_E_OUT_OF_MEMORY.
 */
#ifndef AM_BASE_BUF_H
#define AM_BASE_BUF_H

#include "core/base/err.h"

#include <stddef.h>

struct am_buf {
    char *data;
    size_t len, cap, max;
};

void am_buf_init(struct am_buf *b, size_t max);
int am_buf_put(struct am_buf *b, const void *bytes, size_t n);
int am_buf_puts(struct am_buf *b, const char *text);
int am_buf_printf(struct am_buf *b, const char *fmt, ...) AM_PRINTF(2, 3);
char *am_buf_take(struct am_buf *b); /* the bytes as a C string for free(); the buffer is empty afterwards */
void am_buf_done(struct am_buf *b);

#endif
