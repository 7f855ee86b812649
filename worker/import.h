/*
 * import.h - the parts of mode `import`; private to import.c, import_check.c and import_index.c.
 */
#ifndef AM_WORKER_IMPORT_H
#define AM_WORKER_IMPORT_H

#include "core/tensor/safetensors.h"
#include "worker/session.h"
#include "worker/spec.h"

struct am_import_file { /* one for each file of the spec */
    const struct am_spec_import_file *spec;
    bool safetensors, index;
    bool parsed; /* head holds its tensors */
    struct am_st head;
    json_t *named; /* an index that was checked: name of a file -> its number in am_import.file, or -1; else NULL */
    bool weights;
};

struct am_import {
    struct am_session *s;
    struct am_spec_import spec;
    struct am_import_file *file;
    size_t files;
    uint64_t bytes_done, bytes_total;
    size_t files_done;
};

/* The file of that path, or NULL. `folder_of`: the path is `name` in the folder of that file. */
struct am_import_file *am_import_find(struct am_import *im, const char *folder_of, const char *name);
/* All headers, then all indexes: every fault of every file. Then which files are the weights. */
int am_import_check(struct am_import *im);
/* Checks one index against the headers of the files it names; sets named. */
int am_import_check_index(struct am_import *im, struct am_import_file *index);
/* The bytes of a small file, for free(). */
int am_import_read(const struct am_spec_import_file *f, uint64_t max, char **ret);

#endif
