/*
 * hub.h - what the handlers of the Hugging Face Hub's routes share (hub.md): the files of a version as its clients see
 * them, pages, and the answer to what is not here. Clients decide by X-Error-Code, not by status.
 * `amend/state.*` does not exist here: it may hold samples.
 */
#ifndef AM_SERVER_API_HUB_H
#define AM_SERVER_API_HUB_H

#include "server/api/api.h"
#include "storage/hub.h"

struct am_hub_file {
    char *path, sha256[65], oid[41]; /* oid: git's, of a large file that of its pointer */
    int64_t bytes, layout;
    int64_t changed; /* the version that brought it, once somebody has asked; else 0 */
    bool lfs;
};
struct am_hub_files {
    struct am_hub_file *v; /* by the bytes of the path */
    size_t n, cap;
};

bool am_hub_is_hidden(const char *path);
/* All files of a version but the hidden ones. 0 or a negative error; am_hub_files_done() in any case. */
int am_hub_files_load(struct am_hub_files *f, struct am_db *db, int64_t version);
void am_hub_files_done(struct am_hub_files *f);
/* [*lo, *hi): those below the folder ("" is the root). */
void am_hub_files_below(const struct am_hub_files *f, const char *folder, size_t *lo, size_t *hi);
/* The file of that path, or NULL. */
const struct am_hub_file *am_hub_files_find(const struct am_hub_files *f, const char *path);
/* {"oid"|"sha256", "size", "pointerSize"}: trees and siblings name the hash differently. */
json_t *am_hub_lfs(const struct am_hub_file *f, const char *hash_name);
/* git's id for a folder is a hash of what is in it; here of the sorted lines "<oid> <name>". */
int am_hub_folder_oid(const struct am_hub_files *f, size_t lo, size_t hi, size_t prefix, char ret[41]);

/* true, True and 1 are yes: clients differ. */
bool am_hub_flag(const char *value);
/* Calls each(ctx, value) for every query parameter `name` or `name[]`. */
void am_hub_values(struct am_req *r, const char *name, void (*each)(void *, const char *), void *ctx);
/* am_find_version() by arg[2], or main when the route has none. */
int am_hub_find(struct am_req *r, int64_t *ret_version, int *ret_queued);
/* 200 with `Link: <...>; rel="next"` when `path` is not NULL: this request again with that path and, unless NULL, that
   cursor. */
int am_hub_reply_page(struct am_req *r, json_t *body /* stolen */, const char *path, const char *cursor);
/* 404 EntryNotFound of a version. */
int am_hub_reply_no_entry(struct am_req *r, struct am_db *db, int64_t version);

#endif
