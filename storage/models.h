/*
 * models.h - models, versions, files, tensors and refs: rows in and out. Knows nothing of HTTP or JSON beyond stored
 * text. Write functions run inside am_store_write(); read functions take a read connection. Callbacks get borrowed
 * rows; a negative return of a callback ends the walk and is passed on.
 */
#ifndef AM_STORAGE_MODELS_H
#define AM_STORAGE_MODELS_H

#include "core/base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct am_db;

#define AM_NO_COMMIT "" /* version v0: the empty commit has an id like every other */

struct am_model_row {
    int64_t id, created_at;
    const char *name, *description, *labels; /* labels: JSON object text */
    const char *created_by;
    bool is_private;
    int64_t head; /* version id of main */
    const char *head_commit;
    int64_t head_number, versions /* without v0 */, branches, tags, aliases;
    int64_t logical_bytes; /* file sizes of all versions */
    int64_t rev;           /* grows with every change: the ETag */
    int64_t keep_days;     /* of versions that nothing names; -1: as the setting says, 0: for ever */
};

struct am_version_row {
    int64_t id, model, created_at, number; /* number -1: not on main */
    const char *model_name, *commit, *parent /* or NULL */, *created_by, *message, *job /* uid or NULL */, *type,
        *method /* or NULL */;
    const char *manifest_sha256, *recipe /* JSON or NULL */, *warnings /* JSON array */,
        *refs /* JSON array of names */;
    const char *architecture /* or NULL */, *parameters /* JSON {"F32":n} */, *metadata /* JSON object */;
    int64_t files, bytes, new_bytes, tensors;
    const char *labels /* JSON object */, *note /* or NULL */;
    bool pinned;
    int64_t rev, deleted_at /* 0: it is not */;
    const char *compared; /* a text that changes with the reports about it (reports.h) */
    int64_t since;        /* nothing holds it since then (life.h); 0: it is held */
    int64_t keep_days;    /* of its model */
    bool is_private;      /* its model: only am_version_brief() fills it in */
};

struct am_file_row {
    const char *path, *sha256, *git_sha1 /* NULL: class lfs */, *blob /* hex, of the single span */;
    int64_t bytes, spans, layout;
    bool weights; /* belongs to the weights that jobs read */
};

struct am_tensor_row {
    const char *name, *dtype, *shape /* JSON text */, *file /* path */;
    int64_t begin, bytes; /* begin: byte in the file */
    int64_t layout;       /* of that file */
};

struct am_ref_row {
    const char *name, *kind /* branch tag alias */, *commit;
    int64_t version, number, revision, moved_at;
    const char *moved_by, *reason;
    bool is_protected;
    const char *gate; /* whose decision a move takes while it is protected; or NULL */
};

/* ---- reading ---- */
int am_model_get(struct am_db *db, const char *name, int (*row)(void *, const struct am_model_row *),
                 void *ctx); /* -NOT_FOUND */
/* Bytes of the blobs that only this model names, and its share of those that others name too: by what each reads from
   the blob, at most in one file. The shares of all models add up to the blobs. */
int am_model_physical(struct am_db *db, int64_t model, int64_t *ret);
int am_model_list(struct am_db *db, const char *after /* name or NULL */, int limit,
                  const char *search /* substring or NULL */, int (*row)(void *, const struct am_model_row *),
                  void *ctx);
struct am_model_filter { /* NULL: any */
    const char *search, *space /* the namespace */;
    const char *labels; /* JSON: {"team":["a","b"]} is team=a or team=b; all members must be met */
};
int am_model_find(struct am_db *db, const struct am_model_filter *f, const char *after, int limit,
                  int (*row)(void *, const struct am_model_row *), void *ctx);
/* Resolves `rev` by hub.md 2.4 (commit, refs/heads|tags|aliases/x, ref, v<N>, unique prefix of >= 8 hex digits).
 *ret_version; *ret_fixed (may be NULL) is true when rev was a full commit id. -NOT_FOUND: model; -REVISION_NOT_FOUND.
 */
int am_rev_resolve(struct am_db *db, const char *model, const char *rev, int64_t *ret_version, bool *ret_fixed);
/* The same among all, also what is deleted. */
int am_rev_resolve_any(struct am_db *db, const char *model, const char *rev, int64_t *ret_version);
/* Names of revisions of a model for "did you mean" (refs, then v<N> of the last ten). */
int am_rev_names(struct am_db *db, const char *model, int (*name)(void *, const char *), void *ctx);
int am_version_get(struct am_db *db, int64_t version, int (*row)(void *, const struct am_version_row *), void *ctx);
/* Only what it is called: id, model, number, model_name, commit, manifest_sha256, architecture, is_private; the rest is
 * 0. */
int am_version_brief(struct am_db *db, int64_t version, int (*row)(void *, const struct am_version_row *), void *ctx);
int am_version_commit(struct am_db *db, int64_t version, char ret[41]); /* -AM_E_REVISION_NOT_FOUND */
int am_version_list(struct am_db *db, const char *model, int64_t before /* version id or 0 */, int limit,
                    int (*row)(void *, const struct am_version_row *), void *ctx); /* newest first */
/* The line of a version: itself and what it was put on, newest first, without what is deleted. The walk begins at
   `first`, which may be deleted and must be of `model`, so a page does not shift when a branch moves. */
int am_version_line(struct am_db *db, const char *model, int64_t first, int limit,
                    int (*row)(void *, const struct am_version_row *), void *ctx);
int am_file_list(struct am_db *db, int64_t version, int (*row)(void *, const struct am_file_row *),
                 void *ctx); /* by path */
int am_file_get(struct am_db *db, int64_t version, const char *path, int (*row)(void *, const struct am_file_row *),
                void *ctx);
int am_span_list(struct am_db *db, int64_t layout,
                 int (*row)(void *, int64_t at, const char *blob_hex, int64_t offset, int64_t bytes), void *ctx);
/* How many spans the weight files of a version are read from. */
int am_version_spans(struct am_db *db, int64_t version, uint64_t *ret);
/* The distinct blobs behind the weight files of a version, by hash: what a job on it may refer to. */
int am_version_blobs(struct am_db *db, int64_t version, int (*row)(void *, const char *blob_hex, int64_t bytes),
                     void *ctx);
/* "ns/name@<commit>" of the oldest version that has a span on the blob; -NOT_FOUND when none has. */
int am_blob_origin(struct am_db *db, const char *blob_hex, char *ret, size_t cap);
/* logical: file sizes of all versions of all models; physical: all blobs, each once. */
int am_store_bytes(struct am_db *db, int64_t *ret_logical, int64_t *ret_physical);
int am_tensor_list(struct am_db *db, int64_t version, int (*row)(void *, const struct am_tensor_row *),
                   void *ctx); /* by name */
int am_tensor_get(struct am_db *db, int64_t version, const char *name, int (*row)(void *, const struct am_tensor_row *),
                  void *ctx); /* -AM_E_NOT_FOUND */
/* A cursor over the same, for plans: next() 1/0/negative; close() always. Uses a statement of its own. */
struct am_tensor_cursor;
struct am_tensor_cursor *am_tensor_open(struct am_db *db, int64_t version);
/* Those after the name `after`, for pages. */
struct am_tensor_cursor *am_tensor_open_after(struct am_db *db, int64_t version, const char *after);
struct am_tensor_cursor *am_tensor_open_by_place(struct am_db *db, int64_t version); /* by file, then place in it */
int am_tensor_next(struct am_tensor_cursor *c, struct am_tensor_row *ret);
void am_tensor_close(struct am_tensor_cursor *c);
int am_ref_list(struct am_db *db, const char *model, int (*row)(void *, const struct am_ref_row *), void *ctx);
int am_ref_revision(struct am_db *db, const char *model, const char *name, int64_t *ret); /* -AM_E_NOT_FOUND */

/* ---- writing (inside am_store_write) ---- */
struct am_model_new {
    const char *name, *description, *labels, *created_by;
    const char *job; /* uid of the job that needs it, or NULL */
    bool is_private;
    int64_t now;
};
/* With the empty commit v0 and `main` on it; the name of a model that is gone (life.h) goes on with that one's numbers.
   -AM_E_CONFLICT: exists, or is deleted and not yet gone; -AM_E_NAME_TAKEN: differs only in case
 * (*ret_other: that name). */
int am_model_create(struct am_db *db, const struct am_model_new *m, int64_t *ret_id, char ret_other[200]);

struct am_tensor_new {
    const char *name, *dtype, *shape;
    int64_t begin, bytes;
};
struct am_span_new {
    const char *blob; /* its SHA-256 */
    int64_t offset, bytes;
    int64_t blob_bytes; /* length of a blob that is new; -1: its row must be there */
};
struct am_file_new {
    const char *path, *sha256, *git_sha1; /* git_sha1 NULL: class lfs */
    int64_t bytes;
    bool weights;
    int64_t
        layout; /* > 0: an existing layout is reused; 0: made from one span over blob sha256 (an empty file has none) */
    const struct am_span_new *span; /* an assembled file: what it is read from, in order and without gaps; else NULL */
    size_t spans;
};
struct am_edge_new {
    int64_t parent;
    const char *role;
    double weight; /* NAN: none */
    double trust;  /* NAN: none */
};
struct am_version_new {
    int64_t model;
    const char *created_by, *message, *job, *type, *method, *recipe, *warnings, *architecture;
    int64_t now;
    const char *branch; /* the ref that moves to it; NULL: detached */
    const struct am_file_new *file;
    size_t files;
    const struct am_edge_new *edge;
    size_t edges; /* the `commit` edge to the branch's old head is added here, unless that is v0 */
};
/*
 * Inserts blob rows (when missing), layouts, spans, version, files, edges; computes manifest_sha256 and the commit id
 * (hub.md 2.2, parent = head of the branch, or of main when detached); moves the branch and writes its history; numbers
 * it when branch is main. A branch that does not exist is made on top of main's head; a name that is a tag or alias is
 * -AM_E_CONFLICT. An input given twice in one role is one edge with the sum of the weights. Everything else about refs
 * (tags) is am_ref_set. ret_commit has room for 41 bytes. -AM_E_INVALID_REQUEST: a path, hash or size that cannot be;
 * one path twice; spans that do not tile their file or leave their blob. -AM_E_CONFLICT: one hash, two sizes.
 * A file whose content the store has already takes that layout, whatever spans it names.
 */
int am_version_insert(struct am_db *db, const struct am_version_new *v, int64_t *ret_id, char *ret_commit);
/* The edges of `child` take the trust that the same edges of another version have. */
int am_edges_trust(struct am_db *db, int64_t child, int64_t of);
int am_layout_find(struct am_db *db, const char *sha256, int64_t *ret_layout); /* 0 when none */
/* Tensor rows belong to a layout, which must exist; nothing is done when they are known already. */
int am_tensors_insert(struct am_db *db, const char *sha256, const struct am_tensor_new *t, size_t n);
/* Makes or moves; the same target again is no move. -AM_E_CONFLICT: the name is of another kind. (A tag moves too.) */
int am_ref_set(struct am_db *db, int64_t model, const char *name, const char *kind, int64_t version, int64_t now,
               const char *by, const char *reason, const char *job);
int am_ref_target(struct am_db *db, int64_t model, const char *name, int64_t *ret_version); /* 0 when there is none */

#endif
