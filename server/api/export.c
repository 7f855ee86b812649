/*
 * export.c - POST V/export: a version into a folder of this machine. All that can be known is said before the 202; the
 * writing is a task (server/export.h).
 */
#include "server/export.h"
#include "core/base/sys.h"
#include "core/base/text.h"
#include "core/table/members.h"
#include "server/api/api.h"
#include "server/api/task.h"
#include "server/reply.h"
#include "server/space.h"
#include "storage/damage.h"

#include <fcntl.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WHERE ((struct am_where){.pointer = "#/path"})

struct asked {
    const char *path;
    bool overwrite;
    int64_t bytes;
    json_t *more;
};

static int take_version(void *ctx, const struct am_version_row *v)
{
    struct asked *a = ctx;
    a->bytes = v->bytes;
    a->more = json_pack("{s:s, s:s}", "model", v->model_name, "commit", v->commit);
    return a->more ? 0 : -AM_E_OUT_OF_MEMORY;
}

static void check_space(struct am_req *r, const struct am_export_place *place, int64_t bytes, struct am_faults *f)
{
    uint64_t free_bytes, total;
    if (am_sys_free_bytes(place->folder, &free_bytes, &total) < 0)
        return; /* the writing will tell */
    uint64_t keep = am_space_keep(r->srv->cfg, total);
    if (free_bytes < keep || free_bytes - keep < (uint64_t)bytes)
        am_fault_add(f, AM_E_DISK, WHERE,
                     "%llu bytes are free there and store.min_free keeps %llu; the version has %lld; make room, then "
                     "try again",
                     (unsigned long long)free_bytes, (unsigned long long)keep, (long long)bytes);
}

static void check_place(struct am_req *r, struct asked *a, struct am_faults *f)
{
    char why[600], *path = NULL;
    struct am_export_place place = {0};
    if (am_export_place(r->srv->cfg, r->srv->store, a->path, &place, f) < 0)
        return;
    AM_CLEANUP(am_sys_closep) int dir = am_sys_open(AT_FDCWD, place.folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    int rc = dir < 0 ? dir : am_export_target(dir, place.name, a->overwrite, NULL, why, sizeof why);
    if (rc < 0)
        am_fault_add(f, dir < 0 ? AM_E_PATH_NOT_ALLOWED : -rc, WHERE, "%s",
                     dir < 0 ? "the daemon cannot open the folder in which it is to be made" : why);
    else
        check_space(r, &place, a->bytes, f);
    if (asprintf(&path, "%s/%s", am_streq(place.folder, "/") ? "" : place.folder, place.name) >= 0) {
        if (am_utf8_ok(path, strlen(path)))
            json_object_set_new(a->more, "path", json_string(path));
        else
            am_fault_add(f, AM_E_PATH_NOT_ALLOWED, WHERE, "the folder has a name that is not UTF-8");
        free(path);
    }
    json_object_set_new(a->more, "overwrite", json_boolean(a->overwrite));
    am_export_place_done(&place);
}

static int begin(struct am_req *r, const struct am_idem *idem)
{
    static const char *const known[] = {"path", "overwrite", NULL};
    struct am_faults f = {0};
    struct asked a = {0};
    int queued = MHD_NO;
    int64_t version;
    if (am_find_version(r, &version, NULL, &queued) < 0)
        return queued;
    struct am_db *db = am_store_read(r->srv->store);
    int rc = am_version_get(db, version, take_version, &a);
    if (rc < 0)
        return am_reply_error(r, rc, "the version could not be read");
    am_members_known(r->json, "#", known, &f);
    a.path = am_member_text(r->json, "#", "path", true, NULL, &f);
    a.overwrite = am_member_bool(r->json, "#", "overwrite", false, &f);
    am_damage_check(db, version, (struct am_where){.pointer = ""}, r->arg[2], &f);
    if (a.path)
        check_place(r, &a, &f);
    if (!f.n)
        return am_task_reply(r, idem, "export", a.more);
    json_decref(a.more);
    return am_reply_faults(r, &f);
}

int am_api_export(struct am_req *r)
{
    return am_idem_once(r, am_reply_accepted, begin);
}
