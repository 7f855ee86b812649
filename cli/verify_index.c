/*
 * verify_index.c - an index against the files beside it, by the same rules as a registration on the daemon
 * (core/tensor/st_index.h).
 */
#include "cli/verify.h"

#include "cli/out.h"
#include "cli/read.h"
#include "core/tensor/st_index.h"

#include <stdlib.h>
#include <string.h>

struct beside {
    const struct am_verify *v;
    const char *index;
};

static const struct am_st *find_head(void *ctx, const char *name, bool *ret_there)
{
    const struct beside *b = ctx;
    const char *slash = strrchr(b->index, '/');
    AM_CLEANUP(am_xfreep)
    char *path = am_xprintf("%.*s%s", slash ? (int)(slash - b->index) + 1 : 0, b->index, name);
    const struct am_verify_file *file = am_verify_find(b->v, path);
    *ret_there = file != NULL;
    return file && file->parsed ? &file->head : NULL;
}

int am_verify_index(struct am_verify *v, struct am_verify_file *f)
{
    AM_CLEANUP(am_xfreep) char *full = am_xprintf("%s/%s", v->dir, f->path);
    AM_CLEANUP(am_xfreep) char *text = NULL;
    struct beside b = {v, f->path};
    const struct am_st_index x = {.path = f->path, .head = find_head, .ctx = &b};
    struct am_st_index_sum sum;
    size_t n;
    if (f->faults.total) /* no JSON, told already */
        return 0;
    int rc = am_read_all(v->c, full, &text, &n);
    if (rc)
        return rc;
    if (am_st_index_check(&x, text, n, &f->faults, &sum) < 0) {
        am_say_error(v->c, NULL, "out of memory");
        return AM_EXIT_ERROR;
    }
    if (sum.sound)
        am_verify_say(f, "%zu tensors in %zu files as listed", sum.tensors, sum.files);
    if (sum.sound && sum.differs)
        am_verify_say(f, "note: total_size is not the sum of the tensors (%llu bytes)", (unsigned long long)sum.bytes);
    return 0;
}
