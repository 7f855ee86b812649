/*
 * upload.h - a body that may be larger than memory: written to a folder of its own under staging/ as it arrives, and
 * hashed on the way. Not what is made of it (the route's handler). Ownership: an am_upload belongs to its request,
 * which drops it, with its folder, when the answer is out; a folder that a crash leaves goes at the next start.
 */
#ifndef AM_SERVER_UPLOAD_H
#define AM_SERVER_UPLOAD_H

#include "server/http.h"

#define AM_UPLOAD_FILE "body" /* its name in the folder */

struct am_hash;
struct am_upload {
    char name[64]; /* of the folder in staging/ */
    int dir, fd;
    struct am_hash *hash;
    uint64_t bytes, asked; /* asked: of the disk, at that many bytes */
    char sha256[65];       /* after am_upload_end() */
    bool gzip;             /* Content-Encoding */
    int rc;                /* what became of it so far; nothing more is written after an error */
};

/* Content-Type and Content-Encoding of a route that takes lines. 0, or a negative error and an answer was queued. */
int am_upload_check(struct am_req *r, uint64_t bytes, int *ret_queued);
/* Whether its Content-Type is that of JSON Lines. */
bool am_upload_is_lines(struct am_req *r);
int am_upload_begin(struct am_req *r);
/* An error is kept in ->rc: -AM_E_TOO_LARGE (limits.upload_bytes), -AM_E_DISK (store.min_free), ... */
void am_upload_put(struct am_req *r, const void *bytes, size_t n);
/* All is there: synced and hashed. false: it is not, and an answer was queued. */
bool am_upload_end(struct am_req *r, int *ret_queued);
void am_upload_drop(struct am_req *r); /* safe without one */

#endif
