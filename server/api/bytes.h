/*
 * bytes.h - the bytes of a stored file as an answer: whole, a range of it, or the news that the client has it already.
 * In files.c.
 */
#ifndef AM_SERVER_API_BYTES_H
#define AM_SERVER_API_BYTES_H

#include "server/http.h"

struct am_bytes {
    char path[1100], etag[65], commit[41]; /* commit: of the version of a model; empty: of none */
    const char *type;                      /* Content-Type; NULL: what the path's end says */
    int64_t bytes, layout;
    bool fixed, is_private; /* fixed: the URL will always mean these bytes */
};
int am_reply_bytes(struct am_req *r, const struct am_bytes *b);

#endif
