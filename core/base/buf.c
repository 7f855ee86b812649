/*
 * buf.c - the growing byte buffer of buf.h. One byte above `len` is always kept for the NUL.
 */
#include "core/base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void am_buf_init(struct am_buf *b, size_t max)
{
    *b = (struct am_buf){.max = max};
}

static int reserve(struct am_buf *b, size_t n)
{
    if (b->len > b->max || n > b->max - b->len || n >= SIZE_MAX - b->len)
        return -AM_E_TOO_LARGE;
    size_t need = b->len + n + 1;
    if (need <= b->cap)
        return 0;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (b->max < SIZE_MAX && cap > b->max + 1)
        cap = b->max + 1;
    char *data = realloc(b->data, cap);
    if (!data)
        return -AM_E_OUT_OF_MEMORY;
    b->data = data;
    b->cap = cap;
    return 0;
}

int am_buf_put(struct am_buf *b, const void *bytes, size_t n)
{
    AM_TRY(reserve(b, n));
    if (n)
        memcpy(b->data + b->len, bytes, n);
    b->len += n;
    b->data[b->len] = '\0';
    return 0;
}

int am_buf_puts(struct am_buf *b, const char *text)
{
    return am_buf_put(b, text, strlen(text));
}

int am_buf_printf(struct am_buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    int rc = n < 0 ? -AM_E_INTERNAL : reserve(b, (size_t)n);
    if (rc == 0) {
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
    return rc;
}

char *am_buf_take(struct am_buf *b)
{
    char *data = b->data ? b->data : calloc(1, 1);
    *b = (struct am_buf){.max = b->max};
    return data;
}

void am_buf_done(struct am_buf *b)
{
    free(b->data);
    *b = (struct am_buf){.max = b->max};
}
