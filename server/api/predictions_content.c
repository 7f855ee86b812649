/*
 * predictions_content.c - the lines of a prediction set, as they were uploaded. An upload that came as gzip is stored
 * so and unpacked on the way out, a block at a time.
 */
#include "core/base/sys.h"
#include "core/base/text.h"
#include "server/api/api.h"
#include "server/api/predictions.h"
#include "server/content.h"
#include "server/log.h"
#include "server/reply.h"
#include "storage/blobs.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum { BLOCK = 64 << 10, GZIP_ONLY = 15 + 16 };

struct wanted {
    char sha256[AM_SHA256_LEN + 1];
    int64_t bytes, layout;
    bool gzip;
};

static int take_upload(void *ctx, const struct am_prediction_row *p)
{
    struct wanted *w = ctx;
    snprintf(w->sha256, sizeof w->sha256, "%s", p->upload_sha256 ? p->upload_sha256 : "");
    w->bytes = p->upload_bytes;
    w->layout = p->upload_layout;
    w->gzip = p->gzip;
    return 0;
}

struct unpack {
    int fd;
    z_stream z;
    char sha256[AM_SHA256_LEN + 1];
    bool ended;
    unsigned char in[BLOCK];
};

static void unpack_free(void *cls)
{
    struct unpack *u = cls;
    am_sys_closep(&u->fd);
    inflateEnd(&u->z);
    free(u);
}

static ssize_t cut(const struct unpack *u)
{
    am_log(AM_LOG_ERROR, "a download was cut: the blob %s cannot be read", u->sha256);
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

/* The worker has unpacked the same bytes before: what does not unpack now is damage. */
static ssize_t read_unpacked(void *cls, uint64_t at, char *buf, size_t max)
{
    struct unpack *u = cls;
    z_stream *z = &u->z;
    (void)at;
    z->next_out = (unsigned char *)buf;
    z->avail_out = (unsigned)max;
    while (z->avail_out == max) {
        if (z->avail_in == 0) {
            ssize_t n = am_sys_read(u->fd, u->in, sizeof u->in);
            if (n == 0 && u->ended)
                return MHD_CONTENT_READER_END_OF_STREAM;
            if (n <= 0)
                return cut(u);
            z->next_in = u->in;
            z->avail_in = (unsigned)n;
        }
        if (u->ended && inflateReset(z) != Z_OK)
            return cut(u);
        int rc = inflate(z, Z_NO_FLUSH);
        u->ended = rc == Z_STREAM_END;
        if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
            return cut(u);
    }
    return (ssize_t)(max - z->avail_out);
}

static int open_unpacked(struct MHD_Response **ret, struct am_store *store, const char *sha256)
{
    struct unpack *u = calloc(1, sizeof *u);
    if (!u)
        return -AM_E_OUT_OF_MEMORY;
    memcpy(u->sha256, sha256, sizeof u->sha256);
    u->fd = am_blob_open(store, sha256);
    int rc = u->fd < 0 ? -AM_E_STORE_DAMAGED : inflateInit2(&u->z, GZIP_ONLY) == Z_OK ? 0 : -AM_E_OUT_OF_MEMORY;
    if (rc < 0) {
        unpack_free(u);
        return rc;
    }
    *ret = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, read_unpacked, u, unpack_free);
    if (*ret)
        return 0;
    unpack_free(u);
    return -AM_E_OUT_OF_MEMORY;
}

int am_api_prediction_content(struct am_req *r)
{
    int queued = MHD_NO, rc;
    struct wanted w = {.layout = 0};
    struct MHD_Response *response;
    char why[200] = "the upload could not be read", etag[80];
    struct am_db *db = am_reader(r, &queued);
    if (!db)
        return queued;
    rc = am_prediction_get(db, r->arg[0], take_upload, &w);
    if (rc == -AM_E_NOT_FOUND || (rc == 0 && !w.layout))
        return am_reply_problem(r, AM_E_NOT_FOUND, "no prediction set %.80s with lines", r->arg[0]);
    snprintf(etag, sizeof etag, "\"%s\"", w.sha256);
    const char *headers[] = {"ETag", etag, "Cache-Control", "no-cache", "Content-Type", "application/x-ndjson", NULL};
    if (rc == 0 && am_etag_matches(r, "If-None-Match", w.sha256)) {
        headers[4] = NULL;
        return am_reply_queue(r, MHD_HTTP_NOT_MODIFIED,
                              MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT), headers);
    }
    if (rc == 0)
        rc = w.gzip ? open_unpacked(&response, r->srv->store, w.sha256)
                    : am_content_open(&response, r->srv->store, w.layout,
                                      (struct am_range){.first = 0, .bytes = (uint64_t)w.bytes}, why, sizeof why);
    return rc < 0 ? am_reply_error(r, rc, why) : am_reply_queue(r, MHD_HTTP_OK, response, headers);
}
