/*
 * backup.h - copies of the database out of and into a data folder. Blobs are not copied: they are immutable files,
 * which any tool copies; a restore says which are missing.
 *
 * A backup holds every transaction that was committed before its mark `at`. It is written beside its target, synced and
 * renamed, so that a file of the target's name is always whole; an existing file is never replaced.
 */
#ifndef AM_STORAGE_BACKUP_H
#define AM_STORAGE_BACKUP_H

#include "storage/work.h"

#include <stddef.h>
#include <stdint.h>

struct am_store;

struct am_backed_up {
    int64_t bytes, at; /* at: ms since 1970 */
};

/* Why `target` cannot be written (not absolute, no such folder, inside the store's own folders, exists), or 0. */
int am_backup_target(const char *data_dir, const char *target, char *why, size_t why_cap);
/* Online: steps of 256 pages on the writer's connection between commands, because a backup begins anew when another
   connection writes. again: an earlier attempt of the same task may have ended just before its row did, so a database
   of ours at the target is taken for what it left. -AM_E_CANCELLED, or an error with a sentence; nothing is left then.
 */
int am_backup(struct am_store *s, const char *target, bool again, const struct am_work *work, struct am_backed_up *ret,
              char *why, size_t why_cap);
/* Removes the files <prefix>*.db beside `target`, in the order of their names, until `keep` are left. */
int am_backup_rotate(const char *target, const char *prefix, uint64_t keep, int64_t *ret_removed);
/* Without a daemon: takes LOCK. *ret_busy: a daemon (or another program) has it; `why` names it. */
int am_backup_offline(const char *data_dir, const char *target, struct am_backed_up *ret, bool *ret_busy, char *why,
                      size_t why_cap);

struct am_restored {
    int64_t jobs, versions, blobs, missing;
    bool kept; /* the old database, as amendd.db.before-restore */
};
/*
 * Puts the backup `file` in the place of data_dir's database. Takes LOCK, so no daemon may run. The file is copied into
 * the folder first and the copy is checked: whole, ours, not of a newer version, every blob that it names there with
 * its size. missing(ctx, sha256, bytes) is called for each blob that is not; then nothing is changed unless `force`.
 */
int am_restore(const char *data_dir, const char *file, bool force,
               void (*missing)(void *ctx, const char *sha256, int64_t bytes), void *ctx, struct am_restored *ret,
               char *why, size_t why_cap);

#endif
