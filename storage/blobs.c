/*
 * blobs.c - the way of files into blobs/. Nothing here touches the database: a failure leaves at most files that no row
 * names.
 */
#include "storage/blobs.h"
#include "storage/store_priv.h"

#include "core/base/failpoint.h"
#include "core/base/sys.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct place {
    char folder[3], path[3 + 64 + 1]; /* "ab", "ab/<sha256>" */
};

static int place_of(const char *sha256, struct place *ret)
{
    if (!sha256 || !am_is_hex(sha256, AM_SHA256_LEN))
        return -AM_E_INVALID_REQUEST;
    snprintf(ret->folder, sizeof ret->folder, "%.2s", sha256);
    snprintf(ret->path, sizeof ret->path, "%.2s/%.64s", sha256, sha256);
    return 0;
}

int am_blob_open(struct am_store *s, const char *sha256)
{
    struct place p;
    AM_TRY(place_of(sha256, &p));
    return am_sys_open(s->blobs, p.path, O_RDONLY | O_NOFOLLOW, 0);
}

struct publication {
    struct am_store *s;
    int staging;
    bool folder[256], parent; /* to be synced: blobs/ab, blobs/ */
    char *why;
    size_t why_cap;
};

static int fail_io(struct publication *p, int rc, const char *what, const char *name)
{
    int cause = errno;
    snprintf(p->why, p->why_cap, "cannot %s %s: %s", what, name, strerror(cause));
    errno = cause;
    return rc;
}

/* Before anything moves: is every file what the worker said it is? */
static int check(struct publication *p, const struct am_blob_move *m)
{
    struct place place;
    struct stat st;
    if (!m->staged || !am_plain_name_ok(m->staged) || place_of(m->sha256, &place) < 0 || m->bytes < 0) {
        snprintf(p->why, p->why_cap, "the result names a file that is not a plain name, or no SHA-256");
        return -AM_E_PUBLISH;
    }
    int rc = am_sys_stat(p->staging, m->staged, &st);
    if (rc < 0)
        return fail_io(p, rc == -AM_E_NOT_FOUND ? -AM_E_PUBLISH : rc, "look at staged file", m->staged);
    if (!S_ISREG(st.st_mode)) {
        snprintf(p->why, p->why_cap, "staged file %s is not a regular file", m->staged);
        return -AM_E_PUBLISH;
    }
    if (st.st_size != m->bytes) {
        snprintf(p->why, p->why_cap, "staged file %s has %" PRId64 " bytes; its worker said %" PRId64, m->staged,
                 (int64_t)st.st_size, m->bytes);
        return -AM_E_PUBLISH;
    }
    return 0;
}

static int make_folder(struct publication *p, const char *folder)
{
    struct stat st;
    unsigned char at;
    AM_TRY(am_unhex(folder, 1, &at));
    p->folder[at] = true;
    /* a folder that is there may be another publication's that has not synced blobs/ yet */
    p->parent |= !atomic_load(&p->s->folder_synced[at]);
    int rc = am_sys_stat(p->s->blobs, folder, &st);
    if (rc == -AM_E_NOT_FOUND)
        rc = am_sys_mkdir(p->s->blobs, folder, 0750);
    return rc < 0 ? fail_io(p, rc, "make the folder blobs/", folder) : 0;
}

/* 1: the store has it already; 2: it has, under a second name elsewhere (a move that a crash cut off), through which
   its bytes may change: what is staged takes its place. A name with another length is damage, and not to be covered up.
 */
static int is_there(struct publication *p, const char *path, int64_t bytes)
{
    struct stat st;
    int rc = am_sys_stat(p->s->blobs, path, &st);
    if (rc == -AM_E_NOT_FOUND)
        return 0;
    if (rc < 0)
        return fail_io(p, rc, "look at blobs/", path);
    if (S_ISREG(st.st_mode) && st.st_size == bytes)
        return st.st_nlink > 1 ? 2 : 1;
    snprintf(p->why, p->why_cap,
             "blobs/%s is damaged: %" PRId64 " bytes instead of %" PRId64 ". Move it away and run the job again.", path,
             (int64_t)st.st_size, bytes);
    return -AM_E_STORE_DAMAGED;
}

static int protect(struct publication *p, const char *staged)
{
    AM_CLEANUP(am_sys_closep) int fd = am_sys_open(p->staging, staged, O_RDONLY | O_NOFOLLOW, 0);
    if (fd < 0)
        return fail_io(p, fd, "open staged file", staged);
    int rc = am_sys_chmod(fd, 0440);
    return rc < 0 ? fail_io(p, rc, "protect staged file", staged) : 0;
}

static int move_one(struct publication *p, struct am_blob_move *m)
{
    struct place place;
    AM_TRY(place_of(m->sha256, &place));
    AM_TRY(make_folder(p, place.folder));
    int there = m->broken ? 0 : is_there(p, place.path, m->bytes);
    if (there < 0)
        return there;
    m->was_there = there > 0 || m->broken;
    if (there == 1) {
        int rc = am_sys_unlink(p->staging, m->staged);
        return rc < 0 ? fail_io(p, rc, "remove staged file", m->staged) : 0;
    }
    AM_TRY(protect(p, m->staged));
    am_failpoint("blobs.before_rename");
    int rc = am_sys_rename(p->staging, m->staged, p->s->blobs, place.path);
    am_failpoint("blobs.after_rename");
    return rc < 0 ? fail_io(p, rc, "move into the store the staged file", m->staged) : 0;
}

/* Also the folder of a blob that was there: another publication may have moved it in and not synced yet. */
static int sync_folders(struct publication *p)
{
    for (unsigned i = 0; i < 256; i++) {
        char name[3];
        snprintf(name, sizeof name, "%02x", i);
        int rc = p->folder[i] ? am_sys_fsync_dir(p->s->blobs, name) : 0;
        if (rc < 0)
            return fail_io(p, rc, "sync the folder blobs/", name);
    }
    int rc = p->parent ? am_sys_fsync(p->s->blobs) : 0;
    if (rc < 0)
        return fail_io(p, rc, "sync the folder", "blobs/");
    for (unsigned i = 0; i < 256; i++) {
        if (p->folder[i])
            atomic_store(&p->s->folder_synced[i], true);
    }
    return 0;
}

int am_blobs_publish(struct am_store *s, int staging_dir, struct am_blob_move *move, size_t n, char *why,
                     size_t why_cap)
{
    struct publication p = {.s = s, .staging = staging_dir, .why = why, .why_cap = why_cap};
    for (size_t i = 0; i < n; i++)
        AM_TRY(check(&p, &move[i]));
    for (size_t i = 0; i < n; i++)
        AM_TRY(am_pins_add(&s->pins, staging_dir, move[i].sha256));
    for (size_t i = 0; i < n; i++)
        AM_TRY(move_one(&p, &move[i]));
    return sync_folders(&p);
}
