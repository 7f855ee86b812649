/*
 * import.c - from a path to open files, never leaving the import roots. See import.h.
 * Links are resolved first and the resolved path is opened without following another one; what was opened is then asked
 * for its place again, so a link that is swapped in between leads nowhere.
 */
#include "server/import.h"

#include "core/base/grow.h"
#include "core/base/sys.h"
#include "core/base/text.h"
#include "server/export.h"
#include "server/roots.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WHERE ((struct am_where){.pointer = "#/from/path"})
enum { ENTRIES_MAX = 100000 };

struct folder { /* the chain of folders above the one being read: a link back into it would never end */
    const struct folder *up;
    dev_t dev;
    ino_t ino;
    int depth;
};

struct walk {
    struct am_import im;
    struct am_roots roots;
    struct am_faults *faults;
    size_t entries, cap;
    size_t links; /* that were followed to get here */
};

static int not_allowed(const struct am_config *cfg, const char *path, struct am_faults *faults)
{
    if (!cfg->import_roots || !cfg->import_roots[0])
        return am_fault_add(
            faults, AM_E_PATH_NOT_ALLOWED, WHERE,
            "no folder may be registered: the daemon runs without --store.import_roots; name one there");
    return am_fault_add(
        faults, AM_E_PATH_NOT_ALLOWED, WHERE,
        "%s lies outside the import roots (%s); move it below one of them or start the daemon with another "
        "--store.import_roots",
        path, cfg->import_roots);
}

static int resolve(const struct am_config *cfg, const struct am_roots *roots, const char *path, char **ret,
                   struct am_faults *faults)
{
    if (path[0] != '/')
        return am_fault_add(faults, AM_E_PATH_NOT_ALLOWED, WHERE,
                            "%s is not absolute; give the whole path, as the daemon sees it", path);
    char *real = realpath(path, NULL);
    /* what exists outside the roots is nobody's business: such a path gets one answer, there or not */
    if (!real && (strstr(path, "/..") || !am_roots_named(roots, path)))
        return not_allowed(cfg, path, faults);
    if (!real && (errno == ENOENT || errno == ENOTDIR))
        return am_fault_add(faults, AM_E_NOT_FOUND, WHERE, "there is no folder %s on the machine of the daemon", path);
    if (!real)
        return am_fault_add(faults, AM_E_PATH_NOT_ALLOWED, WHERE, "the daemon cannot reach %s: %s", path,
                            strerror(errno));
    struct stat st;
    int rc = 0;
    if (!am_roots_hold(roots, real))
        rc = not_allowed(cfg, path, faults);
    else if (am_sys_stat(AT_FDCWD, real, &st) < 0 || !S_ISDIR(st.st_mode))
        rc = am_fault_add(faults, AM_E_PATH_NOT_ALLOWED, WHERE,
                          "%s is not a folder; give the folder that holds the model's files", path);
    if (rc < 0)
        free(real);
    else
        *ret = real;
    return rc;
}

int am_import_resolve(const struct am_config *cfg, const char *path, char **ret_real, struct am_faults *faults)
{
    struct am_roots roots;
    am_roots_read(&roots, cfg->import_roots);
    int rc = resolve(cfg, &roots, path, ret_real, faults);
    am_roots_done(&roots);
    return rc;
}

/* A file name may hold any bytes; a warning is text. */
static void printable(char *s)
{
    if (am_utf8_ok(s, strlen(s)))
        return;
    for (; *s; s++)
        if ((unsigned char)*s >= 0x80 || (unsigned char)*s < 0x20)
            *s = '?';
}

static int leave_out(struct walk *w, const char *path, const char *why)
{
    struct am_import *im = &w->im;
    if (im->left_outs_total++ >= AM_IMPORT_LEFT_OUT_MAX)
        return 0;
    if (!im->left_out && !(im->left_out = calloc(AM_IMPORT_LEFT_OUT_MAX, sizeof *im->left_out)))
        return -AM_E_OUT_OF_MEMORY;
    char *line;
    if (asprintf(&line, "%s: %s", path, why) < 0)
        return -AM_E_OUT_OF_MEMORY;
    printable(line);
    im->left_out[im->left_outs++] = line;
    return 0;
}

static bool temporary(const char *name)
{
    return am_ends(name, ".tmp") || am_ends(name, "~") || am_ends(name, ".lock") || am_ends(name, ".incomplete");
}

static int cannot_read(struct walk *w, const char *rel)
{
    if (errno == EMFILE || errno == ENFILE)
        return am_fault_add(w->faults, AM_E_INTERNAL, WHERE,
                            "too many open files in the daemon to register %zu more; raise its limit", w->im.files + 1);
    return am_fault_add(w->faults, AM_E_PATH_NOT_ALLOWED, (struct am_where){.pointer = "#/from/path", .file = rel},
                        "%s cannot be read by the daemon: %s", rel[0] ? rel : "the folder", strerror(errno));
}

static int take_file(struct walk *w, const char *real, const char *rel)
{
    struct am_import *im = &w->im;
    struct stat st;
    if (!am_file_path_ok(rel) || !am_utf8_ok(rel, strlen(rel)))
        return leave_out(w, rel, "its name cannot be the path of a file in a version");
    if (im->files >= AM_IMPORT_FILES_MAX)
        return am_fault_add(w->faults, AM_E_TOO_LARGE, WHERE,
                            "the folder holds more than %d files; register a smaller one", AM_IMPORT_FILES_MAX);
    AM_TRY(am_grow(&im->file, im->files, &w->cap, sizeof *im->file));
    int fd = am_roots_open(&w->roots, real, 0);
    if (fd == -AM_E_PATH_NOT_ALLOWED)
        return leave_out(w, rel, "link leads outside the import roots");
    if (fd < 0)
        return cannot_read(w, rel);
    char *path = strdup(rel);
    if (!path || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        am_sys_close(fd);
        free(path);
        return path ? leave_out(w, rel, "not a regular file") : -AM_E_OUT_OF_MEMORY;
    }
    im->file[im->files++] = (struct am_import_file){path, (uint64_t)st.st_size, fd, w->links == 0};
    return 0;
}

static int walk_folder(struct walk *w, const char *real, const char *rel, const struct folder *up);

static int take_entry(struct walk *w, const char *real, const char *rel, const struct folder *here)
{
    struct stat st;
    if (am_sys_stat(AT_FDCWD, real, &st) < 0)
        return cannot_read(w, rel);
    if (S_ISREG(st.st_mode))
        return take_file(w, real, rel);
    if (S_ISDIR(st.st_mode))
        return walk_folder(w, real, rel, here);
    return leave_out(w, rel, "neither a file nor a folder");
}

static int take_name(struct walk *w, const char *real, const char *rel, const char *name, const struct folder *here)
{
    struct stat st;
    if (am_streq(name, AM_EXPORT_NOTE))
        return 0; /* ours, and of no use in a version */
    if (name[0] == '.')
        return leave_out(w, rel, "hidden");
    if (temporary(name))
        return leave_out(w, rel, "temporary file");
    if (am_sys_stat(AT_FDCWD, real, &st) < 0)
        return cannot_read(w, rel);
    if (!S_ISLNK(st.st_mode))
        return take_entry(w, real, rel, here);
    char *target = realpath(real, NULL);
    if (!target)
        return leave_out(w, rel, "link leads nowhere");
    w->links++;
    int rc = am_roots_hold(&w->roots, target) ? take_entry(w, target, rel, here)
                                              : leave_out(w, rel, "link leads outside the import roots");
    w->links--;
    free(target);
    return rc;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int no_dots(const struct dirent *d)
{
    return !am_streq(d->d_name, ".") && !am_streq(d->d_name, "..");
}

static int take_names(struct walk *w, struct dirent **name, int n, const char *real, const char *rel,
                      const struct folder *here)
{
    int rc = 0;
    for (int i = 0; i < n; i++) {
        char *sub_real = NULL, *sub_rel = NULL;
        if (rc == 0 && ++w->entries > ENTRIES_MAX)
            rc = am_fault_add(w->faults, AM_E_TOO_LARGE, WHERE,
                              "the folder holds more than %d entries; register a smaller one", ENTRIES_MAX);
        if (rc == 0 && (asprintf(&sub_real, "%s/%s", am_streq(real, "/") ? "" : real, name[i]->d_name) < 0 ||
                        asprintf(&sub_rel, "%s%s%s", rel, rel[0] ? "/" : "", name[i]->d_name) < 0))
            rc = -AM_E_OUT_OF_MEMORY;
        if (rc == 0)
            rc = take_name(w, sub_real, sub_rel, name[i]->d_name, here);
        free(sub_real);
        free(sub_rel);
        free(name[i]);
    }
    return rc;
}

static int walk_folder(struct walk *w, const char *real, const char *rel, const struct folder *up)
{
    struct stat st;
    struct dirent **name;
    int fd AM_CLEANUP(am_sys_closep) = am_roots_open(&w->roots, real, O_DIRECTORY);
    if (fd == -AM_E_PATH_NOT_ALLOWED)
        return leave_out(w, rel, "link leads outside the import roots");
    if (fd < 0 || fstat(fd, &st) < 0)
        return cannot_read(w, rel);
    struct folder here = {up, st.st_dev, st.st_ino, up ? up->depth + 1 : 0};
    if (here.depth > AM_IMPORT_DEPTH_MAX)
        return am_fault_add(w->faults, AM_E_TOO_LARGE, WHERE, "the folder is nested more than %d deep at %s",
                            AM_IMPORT_DEPTH_MAX, rel);
    for (const struct folder *f = up; f; f = f->up)
        if (f->dev == here.dev && f->ino == here.ino)
            return leave_out(w, rel, "link leads back to a folder above it");
    int n = scandirat(fd, ".", &name, no_dots, by_name);
    if (n < 0)
        return cannot_read(w, rel);
    int rc = take_names(w, name, n, real, rel, &here);
    free(name);
    return rc;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct am_import_file *)a)->path, ((const struct am_import_file *)b)->path);
}

int am_import_walk(struct am_import *ret, const struct am_config *cfg, const char *real, struct am_faults *faults)
{
    struct walk w = {.faults = faults};
    am_roots_read(&w.roots, cfg->import_roots);
    int rc = am_roots_hold(&w.roots, real) ? walk_folder(&w, real, "", NULL) : not_allowed(cfg, real, faults);
    if (rc == 0 && w.im.files == 0)
        rc = am_fault_add(faults, AM_E_INVALID_PARAMS, WHERE, "there is no file in %s that can be registered", real);
    am_roots_done(&w.roots);
    if (rc < 0) {
        am_import_done(&w.im);
        return rc;
    }
    qsort(w.im.file, w.im.files, sizeof *w.im.file, by_path);
    *ret = w.im;
    return 0;
}

void am_import_done(struct am_import *im)
{
    for (size_t i = 0; i < im->files; i++) {
        free(im->file[i].path);
        am_sys_closep(&im->file[i].fd);
    }
    for (size_t i = 0; i < im->left_outs; i++)
        free(im->left_out[i]);
    free(im->file);
    free(im->left_out);
    memset(im, 0, sizeof *im);
}
