/*
 * migrate.h - numbered SQL applied in order, each in one IMMEDIATE transaction that also sets user_version. A database
 * of a newer version is refused. Before an existing database changes, a copy is made beside it (amendd.db.v<N>.backup).
 */
#ifndef AM_STORAGE_MIGRATE_H
#define AM_STORAGE_MIGRATE_H

#include <stddef.h>

struct am_db;
struct am_migration {
    const char *name, *sql; /* "0001_init" */
};
extern const struct am_migration am_migrations[]; /* embedded by tools/embed-sql; ended by an empty entry */

#define AM_APPLICATION_ID 0x616d6e64 /* "amnd" */
int am_migrate(struct am_db *db, const char *path, const struct am_migration *list, char *why, size_t why_cap);

#endif
