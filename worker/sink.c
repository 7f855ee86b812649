/*
 * sink.c - see sink.h.
 */
#include "worker/sink.h"

#include "core/base/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PART = 262144, HEADER_MAX = 64 << 20 };

int am_sink_open(struct am_sink *ret, int dir, unsigned number)
{
    struct am_sink s = {.fd = -1, .hash = am_hash_new(AM_SHA256), .part = malloc(PART)};
    snprintf(s.name, sizeof s.name, "f%u", number);
    s.fd = s.hash && s.part ? am_sys_open(dir, s.name, O_WRONLY | O_CREAT | O_EXCL, 0600) : -AM_E_OUT_OF_MEMORY;
    if (s.fd < 0) {
        int rc = s.fd;
        am_sink_done(&s);
        return rc;
    }
    *ret = s;
    return 0;
}

static int flush(struct am_sink *s)
{
    am_hash_put(s->hash, s->part, s->used);
    int rc = am_sys_write(s->fd, s->part, s->used);
    s->bytes += s->used;
    s->used = 0;
    return rc == -AM_E_INTERNAL ? -AM_E_CANNOT_WRITE : rc;
}

int am_sink_put(struct am_sink *s, const void *bytes, size_t n)
{
    const char *from = bytes;
    while (n > 0) {
        size_t room = PART - s->used, k = n < room ? n : room;
        memcpy(s->part + s->used, from, k);
        s->used += k;
        from += k;
        n -= k;
        if (s->used == PART)
            AM_TRY(flush(s));
    }
    return 0;
}

int am_sink_header(struct am_sink *s, struct am_st_out *v, size_t n, const char *key, const char *value)
{
    struct am_buf head;
    am_buf_init(&head, HEADER_MAX);
    int rc = am_st_write_header(v, n, key, value, &head);
    if (rc == 0)
        rc = am_sink_put(s, head.data, head.len);
    am_buf_done(&head);
    return rc;
}

int am_sink_end(struct am_sink *s, struct am_staged *ret)
{
    struct am_staged staged = {.lfs = true};
    AM_TRY(flush(s));
    AM_TRY(am_sys_fsync(s->fd));
    staged.bytes = s->bytes;
    am_hash_hex(s->hash, staged.sha256);
    memcpy(staged.name, s->name, sizeof staged.name);
    *ret = staged;
    return 0;
}

void am_sink_done(struct am_sink *s)
{
    am_sys_closep(&s->fd);
    am_hash_free(s->hash);
    free(s->part);
    *s = (struct am_sink){.fd = -1};
}
