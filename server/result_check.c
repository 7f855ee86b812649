/*
 * result_check.c - what can be said of a result only when all of it was read: nothing twice, every assembled file
 * complete, every blob of some use.
 */
#include "core/base/text.h"
#include "server/result_parts.h"

#include <stdlib.h>
#include <string.h>

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The first text that stands twice in v, or NULL. Sorts v. */
static const char *twice(const char **v, size_t n)
{
    if (n)
        qsort(v, n, sizeof *v, by_text);
    for (size_t i = 1; i < n; i++)
        if (am_streq(v[i - 1], v[i]))
            return v[i];
    return NULL;
}

static size_t put_paths(const struct am_result *r, const char **v)
{
    size_t n = 0;
    for (size_t i = 0; i < r->files; i++)
        v[n++] = r->file[i].path;
    for (size_t i = 0; i < r->keeps; i++)
        v[n++] = r->keep[i];
    return n;
}

static size_t put_staged(const struct am_result *r, const char **v)
{
    size_t n = 0;
    for (size_t i = 0; i < r->files; i++)
        if (r->file[i].staged)
            v[n++] = r->file[i].staged;
    for (size_t i = 0; i < r->blobs; i++)
        if (r->blob[i].staged)
            v[n++] = r->blob[i].staged;
    return n;
}

static int check_tensors(struct am_result_reader *p, const char **v)
{
    const struct am_result *r = p->r;
    for (size_t i = 0; i < r->files; i++) {
        const char *bad;
        for (size_t k = 0; k < r->file[i].tensors; k++)
            v[k] = r->tensor[r->file[i].first + k].name;
        if ((bad = twice(v, r->file[i].tensors)))
            return am_result_refuse(p, "the tensor %.200s is there twice", bad);
    }
    return 0;
}

static int check_twice(struct am_result_reader *p)
{
    const struct am_result *r = p->r;
    size_t most = r->files + (r->keeps > r->blobs ? r->keeps : r->blobs);
    for (size_t i = 0; i < r->files; i++)
        most = r->file[i].tensors > most ? r->file[i].tensors : most;
    const char **v = calloc(most + 1, sizeof *v), *bad;
    if (!v)
        return -AM_E_OUT_OF_MEMORY;
    int rc = 0;
    if ((bad = twice(v, put_paths(r, v))))
        rc = am_result_refuse(p, "the path %.200s is there twice", bad);
    else if ((bad = twice(v, put_staged(r, v))))
        rc = am_result_refuse(p, "the staged name %.200s is there twice", bad);
    else
        rc = check_tensors(p, v);
    free(v);
    return rc;
}

static int check_spans(struct am_result_reader *p)
{
    const struct am_result *r = p->r;
    for (size_t i = 0; i < r->files; i++) {
        const struct am_result_file *f = &r->file[i];
        if (!f->staged && (f->spans == 0 || f->filled != f->bytes))
            return am_result_refuse(p, "the spans of %.200s end at byte %lld of %lld", f->path, (long long)f->filled,
                                    (long long)f->bytes);
    }
    for (size_t i = 0; i < r->blobs; i++)
        if (r->blob[i].end == 0)
            return am_result_refuse(p, "no file is made of the blob %.64s", r->blob[i].sha256);
    return 0;
}

int am_result_check(struct am_result_reader *p)
{
    AM_TRY(check_spans(p));
    return check_twice(p);
}
