/*
 * models_priv.h - what the files behind models.h share. Nobody outside storage/ includes it.
 */
#ifndef AM_STORAGE_MODELS_PRIV_H
#define AM_STORAGE_MODELS_PRIV_H

#include "storage/models.h"

/* One lower-case hex column of a hash, NULL for NULL. */
#define AM_SQL_HEX(col) "iif(" col " IS NULL, NULL, lower(hex(" col ")))"

/* Since when nothing holds the version `v`, in ms; 0: it is held. What holds it: a pin, a ref, a job that has not
 * ended, a place among the last five targets of a ref. The empty commit is always held. `m` is its model. */
#define AM_SQL_SINCE                                                                                                   \
    "iif(v.pinned OR v.number IS 0 OR v.deleted_at IS NOT NULL OR m.deleted_at IS NOT NULL"                            \
    " OR EXISTS (SELECT 1 FROM ref WHERE version = v.id) OR EXISTS (SELECT 1 FROM job_version WHERE version = v.id)"   \
    " OR EXISTS (SELECT 1 FROM ref_move a JOIN ref r ON r.model = a.model AND r.name = a.name WHERE a.to_version = "   \
    "v.id"                                                                                                             \
    " AND (SELECT count(*) FROM (SELECT 1 FROM ref_move b WHERE b.model = a.model AND b.name = a.name AND b.id > a.id" \
    " AND b.to_version IS NOT NULL LIMIT 5)) < 5), 0,"                                                                 \
    " max(v.created_at, v.held_at, ifnull((SELECT max(at) FROM ref_move WHERE from_version = v.id), 0)))"

/* refs.c: writes the ref and its history without any check; from 0: it is new. Does not touch model.rev. */
struct am_ref_step {
    int64_t model, from, to, now;
    const char *name, *kind, *by, *reason, *job;
    int64_t decision;     /* row of the one that let it pass; 0: none */
    bool forced;          /* past a protection */
    int64_t steps, below; /* of a rollback: how many it takes off, and the move its target lay on (0: none) */
};
int am_ref_step(struct am_db *db, const struct am_ref_step *r);
/* The ref's kind and target; 0 when there is none, 1 when found. */
int am_ref_look(struct am_db *db, int64_t model, const char *name, int64_t *ret_version, char ret_kind[16]);

/* layouts.c: the layout of the file's content, made (with its blob) when missing. *new_bytes grows by what the store
 * grew by. */
int am_layout_take(struct am_db *db, const struct am_file_new *f, int64_t now, int64_t *ret_layout, int64_t *new_bytes);

/* record.c: the commit record of hub.md 2.2 and the two hashes over the files (safetensors.md 5.4). */
struct am_record {
    const char *model, *parent /* NULL: first */, *author, *job, *message;
    int64_t now;
    const struct am_file_new *const *file; /* sorted by path */
    size_t files;
};
struct am_record_out {
    char *text; /* for free() */
    char commit[41], manifest[65];
};
int am_record_make(const struct am_record *r, struct am_record_out *ret);

/* expunge.c: counts anew what a model (0: every model) reads from a blob, for what changed beside commit.c. */
int am_blob_recount(struct am_db *db, const void *sha /* 32 bytes */, int64_t model);

/* commit.c: the empty commit of a new model; *ret its row. */
int am_version_empty(struct am_db *db, int64_t model, const char *name, const char *by, int64_t now, int64_t *ret);

#endif
