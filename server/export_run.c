/*
 * export_run.c - writes a version into a folder: files first, in a hidden folder beside the target, then one rename.
 * On a pool thread. What is read of the database is read before anything is written, so that no long transaction is
 * open. See export.h.
 */
#include "server/export.h"

#include "core/base/failpoint.h"
#include "core/base/fault.h"
#include "core/base/grow.h"
#include "core/base/sys.h"
#include "core/base/text.h"
#include "server/roots.h"
#include "server/space.h"
#include "storage/blobs.h"
#include "storage/damage.h"
#include "storage/jobs.h"
#include "storage/models.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP ((uint64_t)64 << 20) /* bytes between two looks whether to stop */
enum { FILES_MAX = 100000 };

struct file {
    char *path;
    int64_t bytes, layout;
};

struct piece {
    char blob[AM_SHA256_LEN + 1];
    uint64_t at, offset, bytes;
};

struct run {
    struct am_store *store;
    const struct am_config *cfg;
    const struct am_export *x;
    const struct am_work *work;
    struct am_db *db;
    int64_t version;
    char manifest[AM_SHA256_LEN + 1];
    struct am_export_place place;
    int parent, staged;
    char staged_name[120];
    struct file *file;
    size_t files, file_cap, done;
    struct piece *piece; /* of the file at hand */
    size_t pieces, piece_cap;
    uint64_t bytes_done, bytes_total;
    bool replaced;
    char *why;
    size_t why_cap;
};

static int fail(struct run *t, int rc, const char *what, const char *name)
{
    snprintf(t->why, t->why_cap, "%s cannot be %s: %s", name, what,
             rc == -AM_E_DISK            ? "the disk is full"
             : rc == -AM_E_STORE_DAMAGED ? "the store lacks bytes of it; verify the version"
                                         : strerror(errno));
    return rc == -AM_E_DISK || rc == -AM_E_STORE_DAMAGED || rc == -AM_E_OUT_OF_MEMORY ? rc : -AM_E_CANNOT_WRITE;
}

/* ---- what is to be written ---- */

static int take_manifest(void *ctx, const struct am_version_row *v)
{
    struct run *t = ctx;
    snprintf(t->manifest, sizeof t->manifest, "%s", v->manifest_sha256);
    return 0;
}

static int add_file(void *ctx, const struct am_file_row *f)
{
    struct run *t = ctx;
    if (t->files == FILES_MAX)
        return -AM_E_TOO_LARGE;
    AM_TRY(am_grow(&t->file, t->files, &t->file_cap, sizeof *t->file));
    char *path = strdup(f->path);
    if (!path)
        return -AM_E_OUT_OF_MEMORY;
    t->file[t->files++] = (struct file){path, f->bytes, f->layout};
    t->bytes_total += (uint64_t)f->bytes;
    return 0;
}

static int find(struct run *t)
{
    struct am_faults faults = {0};
    t->db = am_store_read(t->store);
    int rc = t->db ? am_rev_resolve(t->db, t->x->model, t->x->commit, &t->version, NULL) : -AM_E_INTERNAL;
    if (rc == 0)
        rc = am_version_brief(t->db, t->version, take_manifest, t);
    if (rc < 0) {
        snprintf(t->why, t->why_cap, "%s@%s is no longer in the store", t->x->model, t->x->commit);
        return rc;
    }
    rc = am_damage_check(t->db, t->version, (struct am_where){0}, t->x->model, &faults);
    if (rc == 0)
        rc = am_export_place(t->cfg, t->store, t->x->path, &t->place, &faults);
    if (rc < 0 && faults.n)
        snprintf(t->why, t->why_cap, "%s", faults.v[0].detail);
    am_faults_done(&faults);
    return rc < 0 ? rc : am_file_list(t->db, t->version, add_file, t);
}

/* ---- where it goes ---- */

static int is_staged(const struct dirent *d)
{
    return am_starts(d->d_name, AM_EXPORT_STAGED);
}

/* Staged folders of exports that were cut off and will not run again. One export runs at a time, so none of ours is in
   use; those of another daemon belong to tasks that this one does not know. */
static void sweep(struct run *t)
{
    struct dirent **name;
    int n = scandirat(t->parent, ".", &name, is_staged, NULL);
    for (int i = 0; i < n; i++) {
        const char *uid = name[i]->d_name + strlen(AM_EXPORT_STAGED);
        enum am_job_state state;
        if (am_streq(uid, t->x->uid) || (am_job_state_get(t->db, uid, &state) == 0 && am_state_terminal(state)))
            am_sys_rmtree(t->parent, name[i]->d_name); /* what cannot go now goes next time */
        free(name[i]);
    }
    if (n >= 0)
        free(name);
}

static int open_parent(struct run *t)
{
    struct am_roots roots;
    am_roots_read(&roots, t->cfg->export_roots);
    t->parent = am_roots_open(&roots, t->place.folder, O_DIRECTORY);
    am_roots_done(&roots);
    return t->parent < 0 ? fail(t, t->parent, "opened", t->place.folder) : 0;
}

static int check_space(struct run *t)
{
    uint64_t free_bytes, total;
    if (am_sys_free_bytes(t->place.folder, &free_bytes, &total) < 0)
        return 0; /* the writing will tell */
    uint64_t keep = am_space_keep(t->cfg, total);
    if (free_bytes >= keep && free_bytes - keep >= t->bytes_total)
        return 0;
    snprintf(t->why, t->why_cap,
             "%" PRIu64 " bytes are free in %s and store.min_free keeps %" PRIu64 "; the version has %" PRIu64
             "; make room, then export again",
             free_bytes, t->place.folder, keep, t->bytes_total);
    return -AM_E_DISK;
}

/* ---- writing ---- */

static int add_piece(void *ctx, int64_t at, const char *blob_hex, int64_t offset, int64_t bytes)
{
    struct run *t = ctx;
    AM_TRY(am_grow(&t->piece, t->pieces, &t->piece_cap, sizeof *t->piece));
    struct piece *p = &t->piece[t->pieces++];
    *p = (struct piece){.at = (uint64_t)at, .offset = (uint64_t)offset, .bytes = (uint64_t)bytes};
    snprintf(p->blob, sizeof p->blob, "%s", blob_hex);
    return 0;
}

static int tell(struct run *t)
{
    am_work_tell(t->work, (struct am_work_step){.phase = "export",
                                                .unit = "files",
                                                .done = t->done,
                                                .total = t->files,
                                                .bytes_done = t->bytes_done,
                                                .bytes_total = t->bytes_total});
    return am_work_stopped(t->work) ? -AM_E_CANCELLED : 0;
}

static int copy_piece(struct run *t, const struct piece *p, int blob, int fd)
{
    for (uint64_t off = 0; off < p->bytes;) {
        uint64_t n = p->bytes - off < STEP ? p->bytes - off : STEP;
        AM_TRY(am_sys_copy(blob, p->offset + off, fd, p->at + off, n));
        off += n;
        t->bytes_done += n;
        AM_TRY(tell(t));
    }
    return 0;
}

static int copy_pieces(struct run *t, int fd)
{
    AM_CLEANUP(am_sys_closep) int blob = -1;
    for (size_t i = 0; i < t->pieces; i++) {
        const struct piece *p = &t->piece[i];
        if (blob < 0 || !am_streq(p->blob, t->piece[i - 1].blob)) {
            am_sys_closep(&blob);
            blob = am_blob_open(t->store, p->blob);
            if (blob < 0)
                return -AM_E_STORE_DAMAGED;
        }
        AM_TRY(copy_piece(t, p, blob, fd));
    }
    return 0;
}

/* The folders above a file, which begins with the same ones as the file before it or not. */
static int make_folders(struct run *t, const char *path)
{
    char folder[1100];
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
        int rc = am_sys_mkdir(t->staged, folder, 0777);
        if (rc < 0)
            return fail(t, rc, "made", folder);
    }
    return 0;
}

static int write_file(struct run *t, const struct file *f)
{
    t->pieces = 0;
    AM_TRY(make_folders(t, f->path));
    AM_TRY(am_span_list(t->db, f->layout, add_piece, t));
    AM_CLEANUP(am_sys_closep) int fd = am_sys_open(t->staged, f->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0666);
    int rc = fd < 0 ? fd : copy_pieces(t, fd);
    if (rc == 0)
        rc = am_sys_fsync(fd);
    return rc == -AM_E_CANCELLED ? rc : rc < 0 ? fail(t, rc, "written", f->path) : 0;
}

static int write_note(struct run *t)
{
    json_auto_t *note = json_pack("{s:s, s:s, s:s, s:s}", "model", t->x->model, "commit", t->x->commit,
                                  "manifest_sha256", t->manifest, "job", t->x->uid);
    char *text = note ? json_dumps(note, JSON_COMPACT) : NULL;
    if (!text)
        return -AM_E_OUT_OF_MEMORY;
    AM_CLEANUP(am_sys_closep) int fd = am_sys_open(t->staged, AM_EXPORT_NOTE, O_WRONLY | O_CREAT | O_EXCL, 0666);
    int rc = fd < 0 ? fd : am_sys_write(fd, text, strlen(text));
    free(text);
    if (rc == 0)
        rc = am_sys_fsync(fd);
    return rc < 0 ? fail(t, rc, "written", AM_EXPORT_NOTE) : 0;
}

static int sync_folders(struct run *t)
{
    char folder[1100];
    for (size_t i = 0; i < t->files; i++) {
        const char *path = t->file[i].path, *before = i ? t->file[i - 1].path : "";
        for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
            if (strncmp(path, before, (size_t)(slash - path) + 1) == 0)
                continue;
            snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
            int rc = am_sys_fsync_dir(t->staged, folder);
            if (rc < 0)
                return fail(t, rc, "synced", folder);
        }
    }
    int rc = am_sys_fsync(t->staged);
    return rc < 0 ? fail(t, rc, "synced", t->staged_name) : 0;
}

static int write_all(struct run *t)
{
    snprintf(t->staged_name, sizeof t->staged_name, AM_EXPORT_STAGED "%s", t->x->uid);
    int rc = am_sys_mkdir(t->parent, t->staged_name, 0777);
    if (rc == 0)
        rc = t->staged = am_sys_open(t->parent, t->staged_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (rc < 0)
        return fail(t, rc, "made", t->staged_name);
    for (; t->done < t->files; t->done++)
        AM_TRY(write_file(t, &t->file[t->done]));
    AM_TRY(write_note(t));
    AM_TRY(sync_folders(t));
    return tell(t);
}

/* The target gets its name. What had it before goes; it is an earlier export, or empty. */
static int show(struct run *t)
{
    am_failpoint("export.before_rename");
    int rc = am_sys_rename_new(t->parent, t->staged_name, t->parent, t->place.name);
    if (rc == -AM_E_CONFLICT) {
        AM_TRY(am_export_target(t->parent, t->place.name, t->x->overwrite, NULL, t->why, t->why_cap));
        rc = am_sys_exchange(t->parent, t->staged_name, t->parent, t->place.name);
        t->replaced = rc == 0;
    }
    if (rc == -AM_E_UNSUPPORTED) {
        snprintf(t->why, t->why_cap, "the file system of %s cannot exchange two folders; remove %s, then export again",
                 t->place.folder, t->place.name);
        return -AM_E_CANNOT_WRITE;
    }
    if (rc == 0)
        rc = am_sys_fsync(t->parent);
    am_failpoint("export.after_rename");
    return rc < 0 ? fail(t, rc, "put in its place", t->place.name) : 0;
}

static int work(struct run *t)
{
    AM_TRY(find(t));
    AM_TRY(open_parent(t));
    /* An attempt before this one may have died between its rename and the sync: a name that could still go back must
       not be told as done, nor may what had it be removed. */
    int synced = am_sys_fsync(t->parent);
    if (synced < 0)
        return fail(t, synced, "synced", t->place.folder);
    sweep(t);
    int there = am_export_target(t->parent, t->place.name, t->x->overwrite, t->x->uid, t->why, t->why_cap);
    if (there != 0)
        return there < 0 ? there : 0; /* 1: an attempt before this one came to its end and could not say so */
    AM_TRY(check_space(t));
    int rc = write_all(t);
    if (rc == 0)
        rc = show(t);
    if (t->staged >= 0 && (rc < 0) != t->replaced) /* replaced and not synced: what it replaced may come back */
        am_sys_rmtree(t->parent, t->staged_name);
    return rc;
}

static void run_done(struct run *t)
{
    am_sys_closep(&t->staged);
    am_sys_closep(&t->parent);
    am_export_place_done(&t->place);
    for (size_t i = 0; i < t->files; i++)
        free(t->file[i].path);
    free(t->file);
    free(t->piece);
}

int am_export_run(struct am_store *store, const struct am_config *cfg, const struct am_export *x,
                  const struct am_work *how, json_t **ret_result, char *why, size_t why_cap)
{
    struct run t = {
        .store = store, .cfg = cfg, .x = x, .work = how, .parent = -1, .staged = -1, .why = why, .why_cap = why_cap};
    int rc = work(&t);
    if (rc == 0) {
        *ret_result = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:b}", "kind", "export", "model", x->model, "commit",
                                x->commit, "path", x->path, "files", (json_int_t)t.files, "bytes",
                                (json_int_t)t.bytes_total, "replaced", t.replaced);
        rc = *ret_result ? 0 : -AM_E_OUT_OF_MEMORY;
    }
    run_done(&t);
    return rc;
}
