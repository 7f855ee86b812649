/*
 * index_unpack.c - an upload that came as gzip, unpacked into a file: what is stored of a dataset is its content, of
 * which ranges can be read. See index.h.
 */
#include "worker/index.h"

#include "core/base/hash.h"
#include "core/base/sys.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { PART = 262144, GZIP_ONLY = 15 + 16, STEP_PARTS = 16 };

struct unpack {
    int from, to;
    uint64_t max, in_bytes, out_bytes, parts;
    int (*step)(void *ctx, uint64_t rows, uint64_t bytes);
    void *ctx;
    struct am_hash *hash;
    z_stream z;
    bool inside, begun;
    unsigned char *in, *out;
};

/* 1: there are bytes to unpack; 0: the end, between two members. */
static int fill(struct unpack *u)
{
    if (u->z.avail_in > 0)
        return 1;
    ssize_t n = am_sys_read(u->from, u->in, PART);
    if (n <= 0)
        return n < 0 ? (int)n : u->inside || !u->begun ? -AM_E_MALFORMED_DATASET : 0;
    u->in_bytes += (uint64_t)n;
    u->z.next_in = u->in;
    u->z.avail_in = (unsigned)n;
    return u->step && ++u->parts % STEP_PARTS == 0 && (n = u->step(u->ctx, 0, u->in_bytes)) < 0 ? (int)n : 1;
}

static int put(struct unpack *u)
{
    size_t n = PART - u->z.avail_out;
    if (n > u->max - u->out_bytes)
        return -AM_E_TOO_LARGE;
    int rc = am_sys_write(u->to, u->out, n);
    am_hash_put(u->hash, u->out, n);
    u->out_bytes += n;
    return rc == -AM_E_INTERNAL ? -AM_E_CANNOT_WRITE : rc;
}

static int run(struct unpack *u)
{
    int more;
    while ((more = fill(u)) > 0) {
        if (!u->inside && u->begun && inflateReset(&u->z) != Z_OK)
            return -AM_E_MALFORMED_DATASET;
        u->inside = u->begun = true;
        u->z.next_out = u->out;
        u->z.avail_out = PART;
        int rc = inflate(&u->z, Z_NO_FLUSH);
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
            return rc == Z_MEM_ERROR ? -AM_E_OUT_OF_MEMORY : -AM_E_MALFORMED_DATASET;
        u->inside = rc != Z_STREAM_END;
        AM_TRY(put(u));
    }
    return more < 0 ? more : am_sys_fsync(u->to);
}

int am_index_unpack(int from, int to, uint64_t max, int (*step)(void *ctx, uint64_t rows, uint64_t bytes), void *ctx,
                    uint64_t *ret_bytes, char ret_sha256[65])
{
    struct unpack u = {.from = from, .to = to, .max = max, .step = step, .ctx = ctx};
    if (inflateInit2(&u.z, GZIP_ONLY) != Z_OK)
        return -AM_E_OUT_OF_MEMORY;
    u.hash = am_hash_new(AM_SHA256);
    u.in = malloc(PART);
    u.out = malloc(PART);
    int rc = u.hash && u.in && u.out ? run(&u) : -AM_E_OUT_OF_MEMORY;
    if (rc == 0) {
        am_hash_hex(u.hash, ret_sha256);
        *ret_bytes = u.out_bytes;
    }
    inflateEnd(&u.z);
    am_hash_free(u.hash);
    free(u.in);
    free(u.out);
    return rc;
}
