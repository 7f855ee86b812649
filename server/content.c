/*
 * content.c - see content.h. A blob is immutable: a short read is damage, never the end of a file.
 */
#include "server/content.h"

#include "core/base/grow.h"
#include "core/base/sys.h"
#include "core/base/text.h"
#include "server/log.h"
#include "storage/blobs.h"
#include "storage/models.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 256 << 10 };

struct piece {
    uint64_t at, offset, bytes; /* at: in the response */
    size_t blob;
};

struct blob {
    char sha256[AM_SHA256_LEN + 1];
    uint64_t end; /* no piece reaches beyond */
    int fd;
};

struct content {
    struct am_range range;
    struct piece *piece;
    size_t pieces, piece_cap;
    struct blob *blob;
    size_t blobs, blob_cap;
};

static void content_free(void *cls)
{
    struct content *c = cls;
    for (size_t i = 0; i < c->blobs; i++)
        am_sys_closep(&c->blob[i].fd);
    free(c->blob);
    free(c->piece);
    free(c);
}

/* The place of a blob among those behind this range; the newest are asked for most. */
static int blob_index(struct content *c, const char *sha, size_t *ret)
{
    for (size_t i = c->blobs; i-- > 0;)
        if (am_streq(c->blob[i].sha256, sha)) {
            *ret = i;
            return 0;
        }
    AM_TRY(am_grow(&c->blob, c->blobs, &c->blob_cap, sizeof *c->blob));
    struct blob *b = &c->blob[c->blobs];
    *b = (struct blob){.fd = -1};
    snprintf(b->sha256, sizeof b->sha256, "%s", sha);
    *ret = c->blobs++;
    return 0;
}

/* Takes what of the span lies in the range. */
static int add_span(void *ctx, int64_t at, const char *blob_hex, int64_t offset, int64_t bytes)
{
    struct content *c = ctx;
    uint64_t from = (uint64_t)at, to = from + (uint64_t)bytes, end = c->range.first + c->range.bytes;
    uint64_t first = from > c->range.first ? from : c->range.first, last = to < end ? to : end;
    if (first >= last)
        return 0;
    struct piece p = {.at = first - c->range.first, .offset = (uint64_t)offset + (first - from), .bytes = last - first};
    AM_TRY(blob_index(c, blob_hex, &p.blob));
    AM_TRY(am_grow(&c->piece, c->pieces, &c->piece_cap, sizeof *c->piece));
    struct blob *b = &c->blob[p.blob];
    b->end = p.offset + p.bytes > b->end ? p.offset + p.bytes : b->end;
    c->piece[c->pieces++] = p;
    return 0;
}

static int open_blobs(struct content *c, struct am_store *store, char *why, size_t why_cap)
{
    for (size_t i = 0; i < c->blobs; i++) {
        struct blob *b = &c->blob[i];
        struct stat st = {.st_size = 0};
        b->fd = am_blob_open(store, b->sha256);
        if (b->fd < 0 && b->fd != -AM_E_NOT_FOUND) {
            snprintf(why, why_cap, "the blob %s cannot be opened: %s", b->sha256, strerror(errno));
            return -AM_E_INTERNAL;
        }
        if (b->fd < 0 || fstat(b->fd, &st) < 0 || (uint64_t)st.st_size < b->end) {
            snprintf(why, why_cap, "the blob %s is %s; restore it from a backup", b->sha256,
                     b->fd < 0 ? "missing" : "too short");
            return -AM_E_STORE_DAMAGED;
        }
    }
    return 0;
}

static const struct piece *piece_at(const struct content *c, uint64_t at)
{
    size_t low = 0, high = c->pieces;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (c->piece[mid].at <= at)
            low = mid;
        else
            high = mid;
    }
    return &c->piece[low];
}

static ssize_t read_pieces(void *cls, uint64_t at, char *buf, size_t max)
{
    struct content *c = cls;
    const struct piece *p = piece_at(c, at), *end = c->piece + c->pieces;
    size_t done = 0;
    for (; done < max && p < end; p++) {
        uint64_t inside = at + done - p->at;
        size_t n = p->bytes - inside < max - done ? (size_t)(p->bytes - inside) : max - done;
        if (am_sys_pread(c->blob[p->blob].fd, buf + done, n, p->offset + inside) < 0) {
            am_log(AM_LOG_ERROR, "a download was cut: the blob %s cannot be read", c->blob[p->blob].sha256);
            return MHD_CONTENT_READER_END_WITH_ERROR;
        }
        done += n;
    }
    return (ssize_t)done;
}

/* Owns `c` from here on. */
static struct MHD_Response *respond(struct content *c)
{
    struct MHD_Response *response;
    if (c->pieces > 1) {
        response = MHD_create_response_from_callback(c->range.bytes, BLOCK, read_pieces, c, content_free);
        if (!response)
            content_free(c);
        return response;
    }
    struct blob *b = &c->blob[0];
    response = MHD_create_response_from_fd_at_offset64(c->range.bytes, b->fd, c->piece[0].offset);
    if (response)
        b->fd = -1; /* the response's */
    content_free(c);
    return response;
}

int am_content_open(struct MHD_Response **ret, struct am_store *store, int64_t layout, struct am_range range, char *why,
                    size_t why_cap)
{
    struct am_db *db = am_store_read(store);
    struct content *c = calloc(1, sizeof *c);
    snprintf(why, why_cap, "the file could not be read");
    if (!db || !c) {
        free(c);
        return db ? -AM_E_OUT_OF_MEMORY : -AM_E_INTERNAL;
    }
    c->range = range;
    int rc = am_span_list(db, layout, add_span, c);
    const struct piece *last = c->pieces ? &c->piece[c->pieces - 1] : NULL;
    if (rc == 0 && (!last || last->at + last->bytes != range.bytes))
        rc = -AM_E_STORE_DAMAGED;
    if (rc == 0)
        rc = open_blobs(c, store, why, why_cap);
    if (rc < 0) {
        content_free(c);
        return rc;
    }
    *ret = respond(c);
    return *ret ? 0 : -AM_E_OUT_OF_MEMORY;
}
