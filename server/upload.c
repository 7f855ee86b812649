/*
 * upload.c - bodies on their way to the disk. See upload.h.
 */
#include "server/upload.h"

#include "core/base/hash.h"
#include "core/base/sys.h"
#include "core/base/text.h"
#include "server/log.h"
#include "server/reply.h"
#include "server/routes.h"
#include "server/space.h"
#include "storage/blobs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ASK_BYTES ((uint64_t)64 << 20) /* the disk is asked for room as often */
#define LINES "application/x-ndjson"

static bool is_type(const char *type, size_t n, const char *want)
{
    return n == strlen(want) && strncasecmp(type, want, n) == 0;
}

bool am_upload_is_lines(struct am_req *r)
{
    const char *type = am_req_header(r, "Content-Type");
    size_t n = type ? strcspn(type, "; ") : 0;
    return is_type(type, n, LINES) || is_type(type, n, "application/jsonl");
}

static bool is_tensors(const char *type, size_t n)
{
    return is_type(type, n, "application/vnd.safetensors") || is_type(type, n, "application/octet-stream");
}

int am_upload_check(struct am_req *r, uint64_t bytes, int *ret_queued)
{
    const char *type = am_req_header(r, "Content-Type"), *coding = am_req_header(r, "Content-Encoding");
    size_t k = type ? strcspn(type, "; ") : 0;
    uint64_t most = r->srv->cfg->upload_bytes;
    if (r->route->body & AM_BODY_DATASET) {
        if (!am_upload_is_lines(r) && !is_tensors(type, k)) {
            *ret_queued = am_reply_problem(r, AM_E_MEDIA_TYPE,
                                           "a dataset is JSON Lines or safetensors; add -H 'Content-Type: "
                                           "application/jsonl' or 'application/vnd.safetensors' (got %.80s)",
                                           type ? type : "no Content-Type");
            return -AM_E_MEDIA_TYPE;
        }
    } else if (!is_type(type, k, LINES)) {
        *ret_queued = am_reply_problem(r, AM_E_MEDIA_TYPE,
                                       "this route takes lines of JSON; add -H 'Content-Type: " LINES "' (got %.80s)",
                                       type ? type : "no Content-Type");
        return -AM_E_MEDIA_TYPE;
    }
    if (coding && strcasecmp(coding, "gzip") != 0 && strcasecmp(coding, "identity") != 0) {
        *ret_queued = am_reply_problem(r, AM_E_MEDIA_TYPE,
                                       "the Content-Encoding of an upload is gzip or none (got %.80s)", coding);
        return -AM_E_MEDIA_TYPE;
    }
    if (bytes > most) {
        *ret_queued =
            am_reply_problem(r, AM_E_TOO_LARGE, "the upload has %llu bytes; the limit is %llu (limits.upload_bytes)",
                             (unsigned long long)bytes, (unsigned long long)most);
        return -AM_E_TOO_LARGE;
    }
    return 0;
}

int am_upload_begin(struct am_req *r)
{
    const char *coding = am_req_header(r, "Content-Encoding");
    struct am_upload *u = calloc(1, sizeof *u);
    if (!u)
        return -AM_E_OUT_OF_MEMORY;
    r->upload = u;
    u->fd = -1;
    u->gzip = coding && strcasecmp(coding, "gzip") == 0;
    snprintf(u->name, sizeof u->name, AM_STAGING_UPLOAD "%s", r->id);
    u->hash = am_hash_new(AM_SHA256);
    u->dir = u->hash ? am_staging_make(r->srv->store, u->name) : -AM_E_OUT_OF_MEMORY;
    if (u->dir < 0)
        return u->dir;
    u->fd = am_sys_open(u->dir, AM_UPLOAD_FILE, O_WRONLY | O_CREAT | O_EXCL, 0600);
    return u->fd < 0 ? u->fd : 0;
}

/* Room for as much again as is asked for at a time, beside what is to be kept free. */
static int ask_disk(struct am_req *r)
{
    struct am_upload *u = r->upload;
    struct am_space space;
    if (u->bytes < u->asked)
        return 0;
    u->asked = u->bytes + ASK_BYTES;
    AM_TRY(am_space(r->srv, &space));
    return space.free < space.min_free ? -AM_E_DISK : 0;
}

static int put(struct am_req *r, const void *bytes, size_t n)
{
    struct am_upload *u = r->upload;
    if (n > r->srv->cfg->upload_bytes - u->bytes)
        return -AM_E_TOO_LARGE;
    AM_TRY(ask_disk(r));
    AM_TRY(am_sys_write(u->fd, bytes, n));
    am_hash_put(u->hash, bytes, n);
    u->bytes += n;
    return 0;
}

/* What cannot become anything gives its room back at once; the body may still be long. */
static void let_go(struct am_req *r)
{
    struct am_upload *u = r->upload;
    am_sys_closep(&u->fd);
    am_sys_closep(&u->dir);
    if (u->name[0] && am_staging_drop(r->srv->store, u->name) < 0)
        am_log(AM_LOG_WARN, "cannot remove staging/%s: %s", u->name, strerror(errno));
    u->name[0] = 0;
}

void am_upload_put(struct am_req *r, const void *bytes, size_t n)
{
    struct am_upload *u = r->upload;
    if (u->rc == 0 && (u->rc = put(r, bytes, n)) < 0)
        let_go(r);
}

static int refuse(struct am_req *r, int rc)
{
    if (rc == -AM_E_TOO_LARGE)
        return am_reply_problem(r, AM_E_TOO_LARGE, "the upload is larger than %llu bytes (limits.upload_bytes)",
                                (unsigned long long)r->srv->cfg->upload_bytes);
    if (rc == -AM_E_DISK)
        return am_reply_problem(
            r, AM_E_DISK,
            "there is no room for the upload beside what store.min_free keeps; make room, then try again");
    return am_reply_error(r, rc, "the upload could not be written to the staging folder");
}

bool am_upload_end(struct am_req *r, int *ret_queued)
{
    struct am_upload *u = r->upload;
    if (u->rc == 0)
        u->rc = am_sys_fsync(u->fd);
    am_sys_closep(&u->fd);
    if (u->rc < 0) {
        let_go(r);
        *ret_queued = refuse(r, u->rc);
        return false;
    }
    am_hash_hex(u->hash, u->sha256);
    return true;
}

void am_upload_drop(struct am_req *r)
{
    if (!r->upload)
        return;
    let_go(r);
    am_hash_free(r->upload->hash);
    free(r->upload);
    r->upload = NULL;
}
