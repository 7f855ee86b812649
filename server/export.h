/*
 * export.h - a version as an ordinary folder of the machine: where one may be written, and the writing (export_run.c).
 * All is written into a hidden folder beside the target, synced, and gets the target's name at the end; what a crash
 * leaves is that hidden folder, which the next attempt or the next export into the same place removes.
 * A note in the folder says what it is. Only a folder with such a note (or an empty one) is ever replaced: nobody's
 * files are removed because a path was mistyped.
 */
#ifndef AM_SERVER_EXPORT_H
#define AM_SERVER_EXPORT_H

#include "core/base/fault.h"
#include "server/config.h"
#include "storage/store.h"
#include "storage/work.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define AM_EXPORT_NOTE ".amend-export.json"
#define AM_EXPORT_STAGED ".amend-export-" /* and the task's id */

struct am_export_place {
    char *folder; /* without links in it, below an export root */
    char *name;   /* in it */
};
/* From an absolute path whose last part need not exist. On failure one fault at "#/path" that names the roots. */
int am_export_place(const struct am_config *cfg, const struct am_store *store, const char *path,
                    struct am_export_place *ret, struct am_faults *faults);
void am_export_place_done(struct am_export_place *p);

/* May the target be written? 0; 1: it is there already, written by the task `uid` (may be NULL); -AM_E_CONFLICT or
   another error with a sentence in `why`. `dir` is the open folder of the place. */
int am_export_target(int dir, const char *name, bool overwrite, const char *uid, char *why, size_t why_cap);

struct am_export {
    const char *uid, *model, *commit, *path;
    bool overwrite;
};
/* Runs to its end: 0 and the result of the task (new reference), -AM_E_CANCELLED, or a negative error with a sentence.
 */
int am_export_run(struct am_store *store, const struct am_config *cfg, const struct am_export *x,
                  const struct am_work *work, json_t **ret_result, char *why, size_t why_cap);

#endif
