/*
 * verify_walk.c - the files of a directory, as a registration would take them: hidden and temporary ones are left out,
 * links to files are followed. A file that is a link into a Hugging Face cache is named by its hash there.
 */
#include "cli/verify.h"

#include "core/base/sys.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 32
#define FILES_MAX 100000

static int say_unread(const struct am_verify *v, const char *path)
{
    am_say_error(v->c, "name a directory that you may read", "cannot read %s: %s", path, strerror(errno));
    return errno == ENOENT ? AM_EXIT_NOT_FOUND : AM_EXIT_ERROR;
}

/* "../../blobs/<hash>" */
static void take_blob_name(struct am_verify_file *f, const char *full)
{
    char target[4096];
    ssize_t n = readlink(full, target, sizeof target - 1);
    if (n <= 0)
        return;
    target[n] = 0;
    const char *slash = strrchr(target, '/');
    if (!slash || slash - target < 5 || strncmp(slash - 5, "blobs", 5) != 0)
        return;
    if (!am_is_hex(slash + 1, AM_SHA256_LEN) && !am_is_hex(slash + 1, AM_COMMIT_LEN))
        return;
    f->want = am_xdup(slash + 1);
    f->want_from = am_xdup("the name of its blob in the cache");
    f->listed = true;
}

static int take_file(struct am_verify *v, const char *rel, const char *full, uint64_t bytes)
{
    static const char suffix[] = ".safetensors.index.json";
    if (v->n >= FILES_MAX) {
        am_say_error(v->c, "verify a smaller directory", "%s holds more than %d files", v->dir, FILES_MAX);
        return AM_EXIT_ERROR;
    }
    if (v->n == v->cap) {
        v->cap = v->cap ? v->cap * 2 : 32;
        v->file = am_xgrow(v->file, v->cap * sizeof *v->file);
    }
    struct am_verify_file f = {.path = am_xdup(rel), .bytes = bytes};
    f.safetensors = am_ends(rel, ".safetensors");
    f.index = am_ends(rel, suffix) && strlen(rel) > strlen(suffix);
    take_blob_name(&f, full);
    v->file[v->n++] = f;
    return 0;
}

static int visible(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

static bool temporary(const char *name)
{
    return am_ends(name, ".tmp") || am_ends(name, "~") || am_ends(name, ".lock") || am_ends(name, ".incomplete");
}

static int walk(struct am_verify *v, const char *rel, int depth);

static int take_entry(struct am_verify *v, const char *rel, int depth)
{
    struct stat st, at;
    AM_CLEANUP(am_xfreep) char *full = am_xprintf("%s/%s", v->dir, rel);
    AM_CLEANUP(am_sys_closep) int fd = am_sys_open(AT_FDCWD, full, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0 && am_sys_stat(AT_FDCWD, full, &st) == 0 && S_ISLNK(st.st_mode)) {
        int rc = take_file(v, rel, full, 0);
        if (rc == 0)
            am_fault_add(&v->file[v->n - 1].faults, AM_E_BAD_INPUT, (struct am_where){.file = rel, .reason = "link"},
                         "it is a link that leads nowhere; download the file again");
        return rc;
    }
    if (fd < 0 || fstat(fd, &st) < 0 || am_sys_stat(AT_FDCWD, full, &at) < 0)
        return say_unread(v, full);
    if (S_ISREG(st.st_mode))
        return take_file(v, rel, full, (uint64_t)st.st_size);
    if (S_ISDIR(st.st_mode) && S_ISDIR(at.st_mode)) /* a folder behind a link may lead round in a circle */
        return walk(v, rel, depth + 1);
    v->left_out++;
    return 0;
}

static int walk(struct am_verify *v, const char *rel, int depth)
{
    struct dirent **name;
    AM_CLEANUP(am_xfreep) char *full = rel[0] ? am_xprintf("%s/%s", v->dir, rel) : am_xdup(v->dir);
    int n = depth > DEPTH_MAX ? -1 : scandir(full, &name, visible, alphasort), rc = 0;
    if (n < 0) {
        errno = depth > DEPTH_MAX ? ELOOP : errno;
        return say_unread(v, full);
    }
    for (int i = 0; i < n; i++) {
        AM_CLEANUP(am_xfreep)
        char *sub = rel[0] ? am_xprintf("%s/%s", rel, name[i]->d_name) : am_xdup(name[i]->d_name);
        if (temporary(name[i]->d_name))
            v->left_out++;
        else if (rc == 0)
            rc = am_interrupted() ? AM_EXIT_INTERRUPTED : take_entry(v, sub, depth);
        free(name[i]);
    }
    free(name);
    return rc;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct am_verify_file *)a)->path, ((const struct am_verify_file *)b)->path);
}

int am_verify_walk(struct am_verify *v)
{
    int rc = walk(v, "", 0);
    if (rc == 0 && v->n)
        qsort(v->file, v->n, sizeof *v->file, by_path);
    return rc;
}

struct am_verify_file *am_verify_find(const struct am_verify *v, const char *path)
{
    struct am_verify_file key = {.path = (char *)(uintptr_t)path};
    return v->n ? bsearch(&key, v->file, v->n, sizeof *v->file, by_path) : NULL;
}

void am_verify_done(struct am_verify *v)
{
    for (size_t i = 0; i < v->n; i++) {
        struct am_verify_file *f = &v->file[i];
        am_st_done(&f->head);
        am_faults_done(&f->faults);
        free(f->path);
        free(f->want);
        free(f->want_from);
        free(f->said);
    }
    free(v->file);
    *v = (struct am_verify){0};
}
