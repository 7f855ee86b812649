/*
 * import.h - a folder of the machine as files to register: which folders are allowed, which files belong to it, opened
 * once. Reads no file contents (the worker does) and changes nothing. Ownership: am_import owns names and descriptors
 * until am_import_done(); safe on a zeroed struct.
 */
#ifndef AM_SERVER_IMPORT_H
#define AM_SERVER_IMPORT_H

#include "core/base/fault.h"
#include "server/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AM_IMPORT_FILES_MAX 4000
#define AM_IMPORT_DEPTH_MAX 32
#define AM_IMPORT_LEFT_OUT_MAX 100 /* named; more are counted */

/* The real path of a folder below one of the import roots, for free(). On failure one fault at "#/from/path": not-found
   or path-not-allowed naming the roots. */
int am_import_resolve(const struct am_config *cfg, const char *path, char **ret_real, struct am_faults *faults);

struct am_import_file {
    char *path; /* inside the folder, '/' between parts */
    uint64_t bytes;
    int fd;   /* read-only, of a regular file */
    bool own; /* no link was followed on the way to it */
};

struct am_import {
    struct am_import_file *file; /* sorted by path */
    size_t files;
    char **left_out; /* one sentence for each thing that was not taken */
    size_t left_outs, left_outs_total;
};

/* All files of `real` (a result of am_import_resolve). 0, or the negative code of the faults. */
int am_import_walk(struct am_import *ret, const struct am_config *cfg, const char *real, struct am_faults *faults);
void am_import_done(struct am_import *im);

#endif
