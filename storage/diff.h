/*
 * diff.h - two versions held against each other, by headers and spans alone: nothing is read of any weight. So bytes
 * that were stored once are known to be the same, and bytes that were stored twice are not: `changed` means "stored
 * anew".
 */
#ifndef AM_STORAGE_DIFF_H
#define AM_STORAGE_DIFF_H

#include "storage/models.h"

enum am_diff_class {
    AM_DIFF_ADDED,
    AM_DIFF_REMOVED,
    AM_DIFF_RESHAPED, /* another shape or dtype */
    AM_DIFF_CHANGED,  /* the same shape and dtype, other stored bytes: they may be equal all the same */
    AM_DIFF_IDENTICAL,
    AM_DIFF_CLASSES
};
const char *am_diff_name(enum am_diff_class c); /* "added" */
int am_diff_parse(const char *name, size_t n);  /* the class, or -1 */

struct am_tensor_diff {
    enum am_diff_class is;
    const struct am_tensor_row *from, *to; /* NULL: not there */
};
/* By name, beginning after the name `after` (NULL: all). Ends early, with 0, when `row` returns 1. Memory for the spans
   of both (places.h), time for the tensors of both. */
int am_diff_tensors(struct am_db *db, int64_t from, int64_t to, const char *after,
                    int (*row)(void *ctx, const struct am_tensor_diff *d), void *ctx);

struct am_file_diff {
    enum am_diff_class is; /* added, removed, changed (another content) or identical */
    const char *path;
    const struct am_file_row *from, *to;
};
int am_diff_files(struct am_db *db, int64_t from, int64_t to, int (*row)(void *ctx, const struct am_file_diff *d),
                  void *ctx);

#endif
