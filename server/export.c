/*
 * export.c - the place of an export: its folder is resolved like that of a registration, its last part is a plain name.
 * See export.h.
 */
#include "server/export.h"

#include "core/base/sys.h"
#include "core/base/text.h"
#include "server/roots.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHERE ((struct am_where){.pointer = "#/path"})
enum { NOTE_MAX = 4096, NAME_LONGEST = 255 };

void am_export_place_done(struct am_export_place *p)
{
    free(p->folder);
    free(p->name);
    *p = (struct am_export_place){0};
}

/* "/a/b//" -> "/a" and "b". */
static int cut(const char *path, struct am_export_place *ret, struct am_faults *faults)
{
    size_t n = strlen(path);
    if (path[0] != '/')
        return am_fault_add(faults, AM_E_PATH_NOT_ALLOWED, WHERE,
                            "%s is not absolute; give the whole path, as the daemon sees it", path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    size_t slash = n;
    while (slash > 0 && path[slash - 1] != '/')
        slash--;
    ret->folder = strndup(path, slash > 1 ? slash - 1 : 1);
    ret->name = strndup(path + slash, n - slash);
    if (!ret->folder || !ret->name)
        return -AM_E_OUT_OF_MEMORY;
    if (!ret->name[0] || ret->name[0] == '.' || strlen(ret->name) > NAME_LONGEST ||
        !am_utf8_ok(ret->name, strlen(ret->name)))
        return am_fault_add(faults, AM_E_PATH_NOT_ALLOWED, WHERE,
                            "%s must end with the name of the new folder, which is not hidden", path);
    return 0;
}

static int not_allowed(const struct am_config *cfg, const char *path, struct am_faults *faults)
{
    if (!cfg->export_roots || !cfg->export_roots[0])
        return am_fault_add(faults, AM_E_PATH_NOT_ALLOWED, WHERE,
                            "nothing may be exported: the daemon runs without --store.export_roots; name one there");
    return am_fault_add(faults, AM_E_PATH_NOT_ALLOWED, WHERE,
                        "%s lies outside the export roots (%s); choose a path below one of them or start the daemon "
                        "with another --store.export_roots",
                        path, cfg->export_roots);
}

static bool is_inside(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == 0);
}

/* The service's own folder, and what holds it or a root, is never a target. */
static int check_own(const struct am_roots *roots, const struct am_store *store, const struct am_export_place *p,
                     struct am_faults *faults)
{
    char *own = realpath(am_store_path(store), NULL), *target = NULL;
    int rc = 0;
    if (!own || asprintf(&target, "%s/%s", am_streq(p->folder, "/") ? "" : p->folder, p->name) < 0) {
        free(own);
        return -AM_E_OUT_OF_MEMORY;
    }
    bool holds = is_inside(own, target);
    for (size_t i = 0; i < roots->n; i++)
        holds = holds || is_inside(roots->v[i], target);
    if (is_inside(target, own))
        rc = am_fault_add(faults, AM_E_PATH_NOT_ALLOWED, WHERE, "%s lies in the data folder of the service", target);
    else if (holds)
        rc = am_fault_add(faults, AM_E_PATH_NOT_ALLOWED, WHERE,
                          "%s holds the data folder of the service or an export root; choose a folder below a root",
                          target);
    free(target);
    free(own);
    return rc;
}

static int resolve(const struct am_config *cfg, const struct am_roots *roots, const struct am_store *store,
                   const char *path, struct am_export_place *p, struct am_faults *faults)
{
    struct stat st;
    AM_TRY(cut(path, p, faults));
    char *real = realpath(p->folder, NULL);
    /* what exists outside the roots is nobody's business: such a path gets one answer, there or not */
    if (!real && (strstr(path, "/..") || !am_roots_named(roots, p->folder)))
        return not_allowed(cfg, path, faults);
    if (!real)
        return am_fault_add(faults, AM_E_NOT_FOUND, WHERE,
                            "the folder %s, in which it is to be made, cannot be used: %s", p->folder, strerror(errno));
    free(p->folder);
    p->folder = real;
    if (!am_roots_hold(roots, real))
        return not_allowed(cfg, path, faults);
    if (am_sys_stat(AT_FDCWD, real, &st) < 0 || !S_ISDIR(st.st_mode))
        return am_fault_add(faults, AM_E_PATH_NOT_ALLOWED, WHERE, "%s is not a folder", real);
    return check_own(roots, store, p, faults);
}

int am_export_place(const struct am_config *cfg, const struct am_store *store, const char *path,
                    struct am_export_place *ret, struct am_faults *faults)
{
    struct am_export_place p = {0};
    struct am_roots roots;
    am_roots_read(&roots, cfg->export_roots);
    int rc = resolve(cfg, &roots, store, path, &p, faults);
    am_roots_done(&roots);
    if (rc < 0)
        am_export_place_done(&p);
    else
        *ret = p;
    return rc;
}

static bool is_empty(int dir)
{
    int fd = am_sys_open(dir, ".", O_RDONLY | O_DIRECTORY, 0), entries = 0;
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d) {
        am_sys_closep(&fd);
        return false;
    }
    while (entries <= 2 && readdir(d))
        entries++;
    closedir(d);
    return entries == 2; /* . and .. */
}

/* The note of an earlier export, or NULL. New reference. */
static json_t *read_note(int dir)
{
    struct stat st;
    char text[NOTE_MAX];
    AM_CLEANUP(am_sys_closep) int fd = am_sys_open(dir, AM_EXPORT_NOTE, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > NOTE_MAX ||
        am_sys_pread(fd, text, (size_t)st.st_size, 0) < 0)
        return NULL;
    json_t *note = json_loadb(text, (size_t)st.st_size, 0, NULL);
    if (json_string_value(json_object_get(note, "model")))
        return note;
    json_decref(note);
    return NULL;
}

int am_export_target(int dir, const char *name, bool overwrite, const char *uid, char *why, size_t why_cap)
{
    struct stat st;
    int rc = am_sys_stat(dir, name, &st);
    if (rc == -AM_E_NOT_FOUND)
        return 0;
    if (rc < 0) {
        snprintf(why, why_cap, "%s cannot be looked at: %s", name, strerror(errno));
        return rc;
    }
    AM_CLEANUP(am_sys_closep) int fd = am_sys_open(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    json_auto_t *note = fd >= 0 ? read_note(fd) : NULL;
    if (uid && am_streq(json_string_value(json_object_get(note, "job")), uid))
        return 1;
    if (overwrite && fd >= 0 && (note || is_empty(fd)))
        return 0;
    snprintf(why, why_cap, "%s is there already; %s", name,
             !overwrite ? "choose another path, or say \"overwrite\": true to replace an earlier export"
                        : "it is no earlier export (it has no " AM_EXPORT_NOTE
                          ") and not empty, so it is not replaced; remove it or choose another path");
    return -AM_E_CONFLICT;
}
