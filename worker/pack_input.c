/*
 * pack_input.c - lines out of a body that may be gzip. See pack.h. The ceiling is on a line: a small body that unpacks
 * to a large one costs time, and never more memory than this.
 */
#include "worker/pack.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { PART = 16384, GZIP_ONLY = 15 + 16 };

struct am_pack_input {
    am_pack_read *read;
    void *ctx;
    bool gzip, inside /* a member */, ended, begun, broken;
    z_stream z;
    uint64_t number, bytes;
    size_t line_max, room;  /* room: of `plain` */
    size_t from, have;      /* of `plain`: what was not given yet */
    unsigned char in[PART]; /* gzip only */
    char plain[];
};

struct am_pack_input *am_pack_input_new(am_pack_read *read, void *ctx, bool gzip, size_t line_max)
{
    size_t room = PART + line_max + 1;
    struct am_pack_input *in = malloc(sizeof *in + room);
    if (!in)
        return NULL;
    memset(in, 0, offsetof(struct am_pack_input, in)); /* the buffers need no zeros */
    in->read = read;
    in->ctx = ctx;
    in->gzip = gzip;
    in->line_max = line_max;
    in->room = room;
    if (gzip && inflateInit2(&in->z, GZIP_ONLY) != Z_OK) {
        free(in);
        return NULL;
    }
    return in;
}

void am_pack_input_free(struct am_pack_input *in)
{
    if (in && in->gzip)
        inflateEnd(&in->z);
    free(in);
}

uint64_t am_pack_line_number(const struct am_pack_input *in)
{
    return in->number;
}

uint64_t am_pack_bytes_read(const struct am_pack_input *in)
{
    return in->bytes;
}

static ssize_t read_raw(struct am_pack_input *in, void *buf, size_t n)
{
    ssize_t got = in->read(in->ctx, buf, n);
    in->bytes += got > 0 ? (uint64_t)got : 0;
    return got;
}

/* Up to n bytes, 0 at the end. */
static ssize_t read_gzip(struct am_pack_input *in, char *buf, size_t n)
{
    z_stream *z = &in->z;
    if (in->broken)
        return -AM_E_MALFORMED_PREDICTIONS;
    z->next_out = (unsigned char *)buf;
    z->avail_out = (unsigned)n;
    while (z->avail_out == n) {
        if (z->avail_in == 0) {
            ssize_t got = read_raw(in, in->in, sizeof in->in);
            if (got < 0)
                return got;
            if (got == 0) /* between two members is a good place to end, and there was one */
                return in->inside || !in->begun ? -AM_E_MALFORMED_PREDICTIONS : 0;
            z->next_in = in->in;
            z->avail_in = (unsigned)got;
        }
        if (!in->inside && in->begun && inflateReset(z) != Z_OK)
            return -AM_E_MALFORMED_PREDICTIONS;
        in->inside = in->begun = true;
        int rc = inflate(z, Z_NO_FLUSH);
        if (rc == Z_STREAM_END)
            in->inside = false;
        else if (rc == Z_MEM_ERROR)
            return -AM_E_OUT_OF_MEMORY;
        else if (rc != Z_OK && rc != Z_BUF_ERROR) {
            in->broken = true; /* what came before is given first, however the bytes were cut */
            return z->avail_out < n ? (ssize_t)(n - z->avail_out) : -AM_E_MALFORMED_PREDICTIONS;
        }
    }
    return (ssize_t)(n - z->avail_out);
}

/* One more part behind what is there. 1: some came; 0: the end. */
static int fill(struct am_pack_input *in)
{
    memmove(in->plain, in->plain + in->from, in->have);
    in->from = 0;
    size_t room = in->room - in->have;
    ssize_t n = in->gzip ? read_gzip(in, in->plain + in->have, room) : read_raw(in, in->plain + in->have, room);
    if (n < 0)
        return (int)n;
    in->have += (size_t)n;
    in->ended = n == 0;
    return n > 0;
}

/* The rest of a line that is too long. */
static int skip(struct am_pack_input *in)
{
    for (;;) {
        char *start = in->plain + in->from, *end = memchr(start, '\n', in->have);
        size_t n = end ? (size_t)(end - start) + 1 : in->have;
        in->from += n;
        in->have -= n;
        if (end || in->ended)
            return -AM_E_TOO_LARGE;
        int rc = fill(in);
        if (rc < 0)
            return rc;
    }
}

int am_pack_next(struct am_pack_input *in, const char **ret, size_t *ret_n)
{
    for (;;) {
        char *start = in->plain + in->from, *end = memchr(start, '\n', in->have);
        size_t n = end ? (size_t)(end - start) : in->have;
        if (end || (in->ended && n > 0) || n > in->line_max) {
            in->number++;
            if (n > in->line_max)
                return skip(in);
            in->from += n + (end != NULL);
            in->have -= n + (end != NULL);
            *ret = start;
            *ret_n = n;
            return 1;
        }
        if (in->ended)
            return 0;
        int rc = fill(in);
        if (rc < 0)
            return rc;
    }
}
