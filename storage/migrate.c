/*
 * migrate.c - brings a database to the version of this program, or says why not. Migration n is entry n - 1 of the
 * list.
 */
#include "storage/migrate.h"
#include "storage/db.h"

#include "core/base/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct found {
    int64_t application, version, tables;
};

static int look(struct am_db *db, struct found *f)
{
    AM_TRY(am_db_int(db, &f->application, "PRAGMA application_id", ""));
    AM_TRY(am_db_int(db, &f->version, "PRAGMA user_version", ""));
    AM_TRY(am_db_int(db, &f->tables, "SELECT count(*) FROM sqlite_schema", ""));
    return 0;
}

static int sync_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return am_sys_fsync_dir(AT_FDCWD, ".");
    char *dir = strndup(path, slash == path ? 1 : (size_t)(slash - path));
    int rc = dir ? am_sys_fsync_dir(AT_FDCWD, dir) : -AM_E_OUT_OF_MEMORY;
    free(dir);
    return rc;
}

/* A half-written copy must never look like a backup: made under another name, synced, renamed. */
static int backup(struct am_db *db, const char *path, int64_t version)
{
    char *to = NULL, *part = NULL;
    int rc = -AM_E_OUT_OF_MEMORY;
    if (asprintf(&to, "%s.v%lld.backup", path, (long long)version) < 0)
        to = NULL;
    if (to && asprintf(&part, "%s.part", to) < 0)
        part = NULL;
    if (to && part) {
        am_sys_unlink(AT_FDCWD, part);
        AM_CLEANUP(am_sys_closep) int fd = rc = am_sys_open(AT_FDCWD, part, O_RDWR | O_CREAT | O_EXCL, 0640);
        rc = rc < 0 ? rc : am_db_copy(db, part);
        rc = rc < 0 ? rc : am_sys_fsync(fd);
        rc = rc < 0 ? rc : am_sys_rename(AT_FDCWD, part, AT_FDCWD, to);
        rc = rc < 0 ? rc : sync_folder_of(path);
    }
    free(part);
    free(to);
    return rc;
}

static int apply(struct am_db *db, const char *sql, int version)
{
    char marks[96];
    snprintf(marks, sizeof marks, "PRAGMA application_id=%d; PRAGMA user_version=%d", AM_APPLICATION_ID, version);
    int64_t table = 0;
    AM_TRY(am_db_script(db, "BEGIN IMMEDIATE"));
    int rc = am_db_script(db, sql);
    rc = rc < 0 ? rc : am_db_int(db, &table, "SELECT 1 FROM pragma_foreign_key_check LIMIT 1", "");
    if (rc > 0)
        rc = -AM_E_STORE_DAMAGED;
    rc = rc < 0 ? rc : am_db_script(db, marks);
    return rc < 0 ? rc : am_db_script(db, "COMMIT");
}

static int apply_all(struct am_db *db, const char *path, const struct am_migration *list, int64_t from, char *why,
                     size_t why_cap)
{
    /* off, because a migration may have to build a table anew under others that refer to it; checked before each COMMIT
     * instead */
    AM_TRY(am_db_script(db, "PRAGMA foreign_keys=OFF"));
    int rc = 0;
    for (int i = (int)from; list[i].name && rc == 0; i++) {
        rc = apply(db, list[i].sql, i + 1);
        if (rc < 0) {
            snprintf(why, why_cap, "migration %s of %s failed: %s. The database is still at version %d.", list[i].name,
                     path, am_db_why(db), i);
            if (am_db_in_transaction(db))
                am_db_script(db, "ROLLBACK");
        }
    }
    int on = am_db_script(db, "PRAGMA foreign_keys=ON");
    return rc < 0 ? rc : on;
}

int am_migrate(struct am_db *db, const char *path, const struct am_migration *list, char *why, size_t why_cap)
{
    struct found f = {0};
    int64_t newest = 0;
    while (list[newest].name)
        newest++;
    int rc = look(db, &f);
    if (rc < 0) {
        snprintf(why, why_cap, "cannot read %s: %s", path, am_db_why(db));
        return rc;
    }
    if (f.application != AM_APPLICATION_ID && (f.tables > 0 || f.version != 0)) {
        snprintf(why, why_cap, "%s is not a database of amend. Use another data_dir, or move the file away.", path);
        return -AM_E_CONFLICT;
    }
    if (f.version > newest) {
        snprintf(why, why_cap, "%s has version %lld; this program knows versions up to %lld. Use a newer amendd.", path,
                 (long long)f.version, (long long)newest);
        return -AM_E_CONFLICT;
    }
    if (f.version == newest)
        return 0;
    if (f.version > 0 && (rc = backup(db, path, f.version)) < 0) {
        snprintf(why, why_cap,
                 "cannot make the backup %s.v%lld.backup before a migration: %s. Free some space and start again.",
                 path, (long long)f.version, am_err_title(rc));
        return rc;
    }
    return apply_all(db, path, list, f.version, why, why_cap);
}
