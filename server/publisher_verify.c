/*
 * publisher_verify.c - see publisher_verify.h.
 */
#include "server/publisher_verify.h"

#include "core/base/hash.h"
#include "core/base/sys.h"
#include "core/base/text.h"
#include "storage/blobs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1 << 20 };

struct check {
    struct am_store *store;
    int staging;
    const struct am_result *r;
    unsigned char *block;
    char *why;
    size_t why_cap;
};

static int unreadable(struct check *c, const char *name, int rc)
{
    snprintf(c->why, c->why_cap, "%s cannot be read to verify it: %s", name, am_err_title(rc));
    return rc == -AM_E_OUT_OF_MEMORY ? rc : -AM_E_PUBLISH;
}

static int differs(struct check *c, const char *name, const char *how, const char *kind, const char *is,
                   const char *said)
{
    snprintf(c->why, c->why_cap, "%.300s%s is not what its worker said: its %s is %s and not %s", name, how, kind, is,
             said);
    return -AM_E_PUBLISH;
}

/* git may be NULL. */
static int put_range(struct check *c, int fd, int64_t offset, int64_t bytes, struct am_hash *sha, struct am_hash *git)
{
    for (int64_t done = 0; done < bytes;) {
        size_t n = bytes - done < BLOCK ? (size_t)(bytes - done) : BLOCK;
        AM_TRY(am_sys_pread(fd, c->block, n, (uint64_t)(offset + done)));
        am_hash_put(sha, c->block, n);
        if (git)
            am_hash_put(git, c->block, n);
        done += (int64_t)n;
    }
    return 0;
}

/* A pipe of that name must not hold up the publication. */
static int open_staged(struct check *c, const char *name)
{
    struct stat st;
    int fd = am_sys_open(c->staging, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)))
        return fd;
    am_sys_close(fd);
    return -AM_E_PUBLISH;
}

/* ---- what is staged ---- */

static int check_staged(struct check *c, const char *staged, const char *sha256, const char *git_sha1, int64_t bytes)
{
    char label[300], header[40], hex[65], git_hex[41];
    AM_CLEANUP(am_sys_closep) int fd = open_staged(c, staged);
    AM_CLEANUP(am_hash_freep) struct am_hash *sha = am_hash_new(AM_SHA256);
    AM_CLEANUP(am_hash_freep) struct am_hash *git = git_sha1 ? am_hash_new(AM_SHA1) : NULL;
    snprintf(label, sizeof label, "staged file %.255s", staged);
    if (fd < 0)
        return unreadable(c, label, fd);
    if (!sha || (git_sha1 && !git))
        return unreadable(c, label, -AM_E_OUT_OF_MEMORY);
    int n = snprintf(header, sizeof header, "blob %" PRId64, bytes);
    if (git)
        am_hash_put(git, header, (size_t)n + 1);
    int rc = put_range(c, fd, 0, bytes, sha, git);
    if (rc < 0)
        return unreadable(c, label, rc);
    am_hash_hex(sha, hex);
    if (!am_streq(hex, sha256))
        return differs(c, label, "", "SHA-256", hex, sha256);
    if (git)
        am_hash_hex(git, git_hex);
    return git && !am_streq(git_hex, git_sha1) ? differs(c, label, "", "git SHA-1", git_hex, git_sha1) : 0;
}

static int check_all_staged(struct check *c)
{
    for (size_t i = 0; i < c->r->files; i++) {
        const struct am_result_file *f = &c->r->file[i];
        if (f->staged)
            AM_TRY(check_staged(c, f->staged, f->sha256, f->git_sha1, f->bytes));
    }
    for (size_t i = 0; i < c->r->blobs; i++) {
        const struct am_result_blob *b = &c->r->blob[i];
        if (b->staged)
            AM_TRY(check_staged(c, b->staged, b->sha256, NULL, b->bytes));
    }
    return 0;
}

/* ---- assembled files ---- */

static int put_spans(struct check *c, const struct am_result_file *f, struct am_hash *sha)
{
    AM_CLEANUP(am_sys_closep) int fd = -1;
    size_t open = SIZE_MAX; /* the blob behind fd */
    for (size_t i = f->first_span; i < f->first_span + f->spans; i++) {
        const struct am_result_span *s = &c->r->span[i];
        const struct am_result_blob *b = &c->r->blob[s->blob];
        if (s->blob != open) {
            am_sys_closep(&fd);
            fd = b->staged ? open_staged(c, b->staged) : am_blob_open(c->store, b->sha256);
            AM_TRY(fd);
            open = s->blob;
        }
        AM_TRY(put_range(c, fd, s->offset, s->bytes, sha, NULL));
    }
    return 0;
}

static int check_assembled(struct check *c, const struct am_result_file *f)
{
    char hex[65];
    AM_CLEANUP(am_hash_freep) struct am_hash *sha = am_hash_new(AM_SHA256);
    int rc = sha ? put_spans(c, f, sha) : -AM_E_OUT_OF_MEMORY;
    if (rc < 0)
        return unreadable(c, f->path, rc);
    am_hash_hex(sha, hex);
    return am_streq(hex, f->sha256) ? 0
                                    : differs(c, f->path, ", as its spans put it together,", "SHA-256", hex, f->sha256);
}

int am_publisher_verify(struct am_store *store, int staging, const struct am_result *r, char *why, size_t why_cap)
{
    struct check c = {
        .store = store, .staging = staging, .r = r, .block = malloc(BLOCK), .why = why, .why_cap = why_cap};
    int rc = c.block ? check_all_staged(&c) : -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; rc == 0 && i < r->files; i++)
        if (!r->file[i].staged)
            rc = check_assembled(&c, &r->file[i]);
    free(c.block);
    return rc;
}
