/*
 * move.c - see move.h.
 */
#include "server/move.h"

#include "core/base/sys.h"
#include "core/base/text.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static json_int_t time_of(const struct stat *st)
{
    return (json_int_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

bool am_move_asked(const struct am_claim *job)
{
    return am_streq(json_string_value(json_object_get(job->resolved, "mode")), "move");
}

/* A read lease is given only when nobody has the file open for writing. */
static bool is_quiet(int fd)
{
    /* who opens it right now breaks the lease, which is told by a signal: one that means nothing */
    if (fcntl(fd, F_SETSIG, SIGURG) < 0 || fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
        return false;
    fcntl(fd, F_SETLEASE, F_UNLCK);
    return true;
}

int am_move_take(struct am_claim *job, int staging, const struct am_import_file *f, char name[AM_MOVE_NAME])
{
    struct stat st;
    char why[1200];
    if (!f->own) {
        snprintf(why, sizeof why, "%.1000s: reached through a link, so it was copied and stays where it is", f->path);
        return am_claim_warn(job, "file-left-in-place", why);
    }
    if (fstat(f->fd, &st) < 0)
        return -AM_E_INTERNAL;
    json_t *o = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "path", f->path, "dev", (json_int_t)st.st_dev, "ino",
                          (json_int_t)st.st_ino, "bytes", (json_int_t)st.st_size, "time", time_of(&st), "mode",
                          (json_int_t)(st.st_mode & 07777));
    if (!o || json_array_append_new(job->moving, o) < 0)
        return -AM_E_OUT_OF_MEMORY;
    if (st.st_nlink != 1 || st.st_uid != geteuid() || !is_quiet(f->fd))
        return 0;
    return am_sys_link(f->fd, staging, name) == 0 ? 1 : 0;
}

/* Opens the folder that was registered; the file's path in it is what the note says. */
static int open_folder(const struct am_claim *job)
{
    const char *path = json_string_value(json_object_get(job->resolved, "path"));
    return path ? am_sys_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0) : -AM_E_BAD_SPEC;
}

static json_int_t number(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

static bool is_same(const json_t *note, const struct stat *st)
{
    return S_ISREG(st->st_mode) && number(note, "dev") == (json_int_t)st->st_dev &&
           number(note, "ino") == (json_int_t)st->st_ino && number(note, "bytes") == (json_int_t)st->st_size &&
           number(note, "time") == time_of(st);
}

/* The folders above `path`, the lowest first, as far as nothing is left in them. */
static void remove_folders(int dir, const char *path)
{
    char *folder = strdup(path), *slash;
    while (folder && (slash = strrchr(folder, '/'))) {
        *slash = 0;
        if (am_sys_rmdir(dir, folder) < 0)
            break;
    }
    free(folder);
}

size_t am_move_finish(const struct am_claim *job)
{
    size_t i, stay = 0;
    json_t *note;
    const char *folder = json_string_value(json_object_get(job->resolved, "path"));
    AM_CLEANUP(am_sys_closep) int dir = open_folder(job);
    json_array_foreach(job->moving, i, note)
    {
        struct stat st;
        const char *path = json_string_value(json_object_get(note, "path"));
        if (dir < 0 || am_sys_stat(dir, path, &st) < 0 || !is_same(note, &st) || am_sys_unlink(dir, path) < 0)
            stay++;
        else
            remove_folders(dir, path);
    }
    if (dir >= 0 && folder)
        am_sys_rmdir(AT_FDCWD, folder); /* which only an empty one is */
    return stay;
}

void am_move_undo(const struct am_claim *job)
{
    size_t i;
    json_t *note;
    AM_CLEANUP(am_sys_closep) int dir = open_folder(job);
    json_array_foreach(job->moving, i, note)
    {
        struct stat st;
        const char *path = json_string_value(json_object_get(note, "path"));
        AM_CLEANUP(am_sys_closep)
        int fd = dir < 0 ? -1 : am_sys_open(dir, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
        if (fd >= 0 && fstat(fd, &st) == 0 && is_same(note, &st) &&
            (json_int_t)(st.st_mode & 07777) != number(note, "mode"))
            am_sys_chmod(fd, (mode_t)number(note, "mode"));
    }
}
