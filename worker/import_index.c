/*
 * import_index.c - an index against the files beside it: the rules are core/tensor/st_index.h's, the files this
 * import's.
 */
#include "core/tensor/st_index.h"
#include "worker/import.h"

#include <stdlib.h>

#define INDEX_MAX (32u << 20)

struct beside {
    struct am_import *im;
    struct am_import_file *index;
};

/* Notes where it is, too: an index that is chosen tells which files are the weights. */
static const struct am_st *find_head(void *ctx, const char *name, bool *ret_there)
{
    struct beside *b = ctx;
    struct am_import_file *file = am_import_find(b->im, b->index->spec->path, name);
    *ret_there = file != NULL;
    if (!file || !file->parsed)
        return NULL;
    json_object_set_new(b->index->named, name, json_integer(file - b->im->file));
    return &file->head;
}

static void warn_total(struct am_import *im, const char *path, uint64_t bytes)
{
    struct am_buf text;
    am_buf_init(&text, 4096);
    if (am_buf_printf(&text, "total_size of %s is not the sum of the tensors, %llu bytes", path,
                      (unsigned long long)bytes) == 0)
        am_session_warn(im->s, "index-total-size", text.data);
    am_buf_done(&text);
}

int am_import_check_index(struct am_import *im, struct am_import_file *index)
{
    struct beside b = {.im = im, .index = index};
    const struct am_st_index x = {.path = index->spec->path, .head = find_head, .ctx = &b};
    struct am_st_index_sum sum;
    char *text = NULL;
    int rc = am_import_read(index->spec, INDEX_MAX, &text);
    if (rc == -AM_E_TOO_LARGE) {
        am_fault_add(&im->s->faults, AM_E_MALFORMED, (struct am_where){.reason = "index-syntax", .file = x.path},
                     "\"%.300s\" is longer than 32 MiB", x.path);
        return 0;
    }
    AM_TRY(rc);
    index->named = json_object();
    rc = index->named ? am_st_index_check(&x, text, (size_t)index->spec->bytes, &im->s->faults, &sum)
                      : -AM_E_OUT_OF_MEMORY;
    free(text);
    if (rc == 0 && sum.sound && sum.differs)
        warn_total(im, x.path, sum.bytes);
    return rc;
}
