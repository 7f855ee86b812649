/*
 * st_write.c - the header of a safetensors file as the reference writer makes it (safetensors.md 3.1), so that equal
 * tensors give equal files.
 */
#include "core/tensor/st_text.h"

#include <stdlib.h>
#include <string.h>

#define HEADER_MAX 100000000u

int am_st_out_order(const void *a, const void *b)
{
    const struct am_st_out *x = a, *y = b;
    if (x->dtype != y->dtype)
        return x->dtype > y->dtype ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int put_escape(struct am_buf *b, unsigned char c)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *at = strchr(from, c);
    return at ? am_buf_printf(b, "\\%c", to[at - from]) : am_buf_printf(b, "\\u%04x", (unsigned)c);
}

int am_st_put_string(struct am_buf *b, const char *text)
{
    AM_TRY(am_buf_put(b, "\"", 1));
    while (*text) {
        size_t n = 0;
        while ((unsigned char)text[n] >= 0x20 && text[n] != '"' && text[n] != '\\')
            n++;
        AM_TRY(am_buf_put(b, text, n));
        text += n;
        if (*text)
            AM_TRY(put_escape(b, (unsigned char)*text++));
    }
    return am_buf_put(b, "\"", 1);
}

/* Places of all tensors, relative to the data. */
static int place(struct am_st_out *v, size_t n)
{
    uint64_t at = 0, elements, bytes;
    for (size_t i = 0; i < n; i++) {
        if (v[i].rank > AM_ST_RANK_MAX ||
            am_dtype_bytes((enum am_dtype)v[i].dtype, v[i].shape, v[i].rank, &elements, &bytes))
            return -AM_E_INVALID_REQUEST;
        v[i].begin = at;
        if (__builtin_add_overflow(at, bytes, &at) || at > INT64_MAX)
            return -AM_E_TOO_LARGE;
        v[i].end = at;
    }
    return 0;
}

static int put_tensor(struct am_buf *b, const struct am_st_out *t)
{
    AM_TRY(am_st_put_string(b, t->name));
    AM_TRY(am_buf_printf(b, ":{\"dtype\":\"%s\",\"shape\":[", am_dtype_name((enum am_dtype)t->dtype)));
    for (unsigned i = 0; i < t->rank; i++)
        AM_TRY(am_buf_printf(b, i ? ",%llu" : "%llu", (unsigned long long)t->shape[i]));
    return am_buf_printf(b, "],\"data_offsets\":[%llu,%llu]}", (unsigned long long)t->begin,
                         (unsigned long long)t->end);
}

static int put_header(struct am_buf *b, const struct am_st_out *v, size_t n, const char *key, const char *value)
{
    size_t start = b->len;
    AM_TRY(am_buf_put(b, "{", 1));
    if (key) {
        AM_TRY(am_buf_puts(b, "\"__metadata__\":{"));
        AM_TRY(am_st_put_string(b, key));
        AM_TRY(am_buf_put(b, ":", 1));
        AM_TRY(am_st_put_string(b, value));
        AM_TRY(am_buf_put(b, "}", 1));
    }
    for (size_t i = 0; i < n; i++) {
        if (key || i)
            AM_TRY(am_buf_put(b, ",", 1));
        AM_TRY(put_tensor(b, &v[i]));
        if (b->len - start > HEADER_MAX)
            return -AM_E_TOO_LARGE;
    }
    AM_TRY(am_buf_put(b, "}", 1));
    while ((b->len - start) % 8)
        AM_TRY(am_buf_put(b, " ", 1));
    return b->len - start > HEADER_MAX ? -AM_E_TOO_LARGE : 0;
}

int am_st_write_header(struct am_st_out *v, size_t n, const char *meta_key, const char *meta_value, struct am_buf *out)
{
    size_t start = out->len;
    if (n)
        qsort(v, n, sizeof(*v), am_st_out_order);
    int rc = place(v, n);
    if (rc == 0)
        rc = am_buf_put(out, "\0\0\0\0\0\0\0", 8);
    if (rc == 0)
        rc = put_header(out, v, n, meta_key, meta_value);
    if (rc < 0) {
        out->len = start;
        if (out->data)
            out->data[start] = '\0';
        return rc;
    }
    uint64_t header = out->len - start - 8;
    for (int i = 0; i < 8; i++)
        out->data[start + (size_t)i] = (char)(header >> (8 * i));
    for (size_t i = 0; i < n; i++) {
        v[i].begin += 8 + header;
        v[i].end += 8 + header;
    }
    return 0;
}
