/*
 * output.c - see output.h. The layout is settled and the space reserved before the first byte of data: a full disk is
 * met here.
 */
#include "core/tensor/output.h"

#include "core/base/sys.h"
#include "core/tensor/st_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INDEX_MAX 200000000u

static int count_shards(struct am_output *o, const struct am_out_want *want, size_t n, uint64_t shard_bytes,
                        const struct am_out_plan *plan)
{
    uint64_t in_shard = 0, elements, bytes;
    uint32_t file = 0;
    for (size_t i = 0; i < n; i++) {
        const struct am_out_want *w = &want[i];
        if (am_dtype_bytes((enum am_dtype)w->dtype, w->shape, w->rank, &elements, &bytes))
            return -AM_E_INVALID_REQUEST;
        if (bytes > INT64_MAX || o->data_bytes > INT64_MAX - bytes)
            return -AM_E_TOO_LARGE;
        if (plan && (plan->of[i] < file || plan->of[i] >= plan->files))
            return -AM_E_INVALID_REQUEST;
        file = plan ? plan->of[i] : file;
        /* "Passes the limit": a shard that holds nothing yet takes any tensor, however large. */
        if (!plan && shard_bytes && in_shard &&
            bytes > shard_bytes - (in_shard < shard_bytes ? in_shard : shard_bytes)) {
            file++;
            in_shard = 0;
        }
        in_shard += bytes;
        o->data_bytes += bytes;
        o->t[i] =
            (struct am_out_tensor){.st = {w->name, w->shape, w->dtype, w->rank, 0, 0}, .file = file, .user = w->user};
        if (file >= AM_SHARDS_MAX)
            return -AM_E_TOO_LARGE;
    }
    o->files = plan ? plan->files : file + 1;
    return 0;
}

static void name_file(struct am_out_file *f, size_t i, size_t of, unsigned number)
{
    if (of == 1)
        snprintf(f->name, sizeof(f->name), "model.safetensors");
    else
        snprintf(f->name, sizeof(f->name), "model-%05zu-of-%05zu.safetensors", i + 1, of);
    f->path = f->name;
    snprintf(f->staged, sizeof(f->staged), "f%u", number);
}

static int by_name(const void *a, const void *b)
{
    const struct am_out_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->st.name, (*y)->st.name);
}

/* All tensors in the order of their names, for free(); NULL: out of memory. */
static const struct am_out_tensor **sorted(const struct am_output *o)
{
    const struct am_out_tensor **v = malloc((o->tensors ? o->tensors : 1) * sizeof(*v));
    if (!v)
        return NULL;
    for (size_t i = 0; i < o->tensors; i++)
        v[i] = &o->t[i];
    if (o->tensors)
        qsort(v, o->tensors, sizeof(*v), by_name);
    return v;
}

static int refuse_twins(const struct am_output *o)
{
    const struct am_out_tensor **v = sorted(o);
    if (!v)
        return -AM_E_OUT_OF_MEMORY;
    int rc = 0;
    for (size_t i = 1; i < o->tensors && rc == 0; i++)
        if (strcmp(v[i - 1]->st.name, v[i]->st.name) == 0)
            rc = -AM_E_INVALID_REQUEST;
    free(v);
    return rc;
}

static int lay_out(struct am_output *o, unsigned first_number, const struct am_out_want *want, size_t n,
                   uint64_t shard_bytes, const struct am_out_plan *plan)
{
    o->t = calloc(n ? n : 1, sizeof(*o->t));
    if (!o->t)
        return -AM_E_OUT_OF_MEMORY;
    o->tensors = n;
    AM_TRY(count_shards(o, want, n, shard_bytes, plan));
    AM_TRY(refuse_twins(o));
    o->file = calloc(o->files + 1, sizeof(*o->file));
    if (!o->file)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < o->files; i++) {
        o->file[i].fd = -1;
        name_file(&o->file[i], i, o->files, first_number + (unsigned)i);
        if (plan) {
            o->file[i].path = plan->place[i].path;
            o->file[i].donor = plan->place[i].donor;
        }
    }
    for (size_t i = 0; i < n; i++) {
        struct am_out_file *f = &o->file[o->t[i].file];
        if (f->n++ == 0)
            f->first = i;
    }
    for (size_t i = 0; i < o->files; i++)
        if (o->file[i].n)
            qsort(o->t + o->file[i].first, o->file[i].n, sizeof(*o->t), am_st_out_order);
    return 0;
}

/* The header of one file, and with it the places of its tensors. The tensors are in their order already. */
static int make_header(struct am_output *o, struct am_out_file *f, struct am_buf *b)
{
    struct am_st_out *v = malloc((f->n ? f->n : 1) * sizeof(*v));
    if (!v)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < f->n; i++)
        v[i] = o->t[f->first + i].st;
    int rc = am_st_write_header(v, f->n, f->path ? "format" : NULL, "pt", b);
    for (size_t i = 0; rc == 0 && i < f->n; i++)
        o->t[f->first + i].st = v[i];
    f->bytes = f->n && rc == 0 ? v[f->n - 1].end : b->len;
    free(v);
    return rc;
}

static int open_file(struct am_output *o, struct am_out_file *f)
{
    AM_CLEANUP(am_buf_done) struct am_buf b;
    am_buf_init(&b, 100000008);
    AM_TRY(make_header(o, f, &b));
    f->hash = am_hash_new(AM_SHA256);
    if (!f->hash)
        return -AM_E_OUT_OF_MEMORY;
    int fd = am_sys_open(o->dir, f->staged, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return fd;
    f->fd = fd;
    AM_TRY(am_sys_fallocate(fd, f->bytes));
    AM_TRY(am_sys_pwrite(fd, b.data, b.len, 0));
    am_hash_put(f->hash, b.data, b.len);
    f->hashed = b.len;
    return 0;
}

/* Removes what this output has created; errno stays for the caller's message. */
static void discard(struct am_output *o)
{
    int keep = errno;
    for (size_t i = 0; o->file && i < o->files; i++)
        if (o->file[i].fd >= 0)
            am_sys_unlink(o->dir, o->file[i].staged);
    errno = keep;
}

static int open_all(struct am_output *ret, int dir, unsigned first_number, const struct am_out_want *want, size_t n,
                    uint64_t shard_bytes, const struct am_out_plan *plan)
{
    struct am_output o = {.dir = dir, .planned = plan != NULL};
    int rc = lay_out(&o, first_number, want, n, shard_bytes, plan);
    for (size_t i = 0; rc == 0 && i < o.files; i++)
        rc = open_file(&o, &o.file[i]);
    if (rc < 0) {
        discard(&o);
        am_output_done(&o);
        return rc;
    }
    *ret = o;
    return 0;
}

int am_output_open(struct am_output *ret, int dir, unsigned first_number, const struct am_out_want *want, size_t n,
                   uint64_t shard_bytes)
{
    return open_all(ret, dir, first_number, want, n, shard_bytes, NULL);
}

int am_output_open_as(struct am_output *ret, int dir, unsigned first_number, const struct am_out_want *want, size_t n,
                      const struct am_out_plan *plan)
{
    return open_all(ret, dir, first_number, want, n, 0, plan);
}

int am_output_write(const struct am_output *o, const struct am_out_tensor *t, const void *bytes, size_t n, uint64_t off)
{
    uint64_t size = t->st.end - t->st.begin;
    if (off > size || n > size - off)
        return -AM_E_INTERNAL;
    return am_sys_pwrite(o->file[t->file].fd, bytes, n, t->st.begin + off);
}

int am_output_hash(struct am_output *o, const struct am_out_tensor *t, const void *bytes, size_t n)
{
    struct am_out_file *f = &o->file[t->file];
    if (!f->hash || f->hashed < t->st.begin || f->hashed > t->st.end || n > t->st.end - f->hashed)
        return -AM_E_INTERNAL; /* out of file order */
    am_hash_put(f->hash, bytes, n);
    f->hashed += n;
    return 0;
}

void am_output_behind(const struct am_output *o, const struct am_out_tensor *t, uint64_t n)
{
    const struct am_out_file *f = &o->file[t->file];
    am_sys_behind(f->fd, f->hashed > n ? f->hashed - n : 0, n);
}

/* A sync that failed is final: the file is closed and removed, never synced again. */
static int finish_file(struct am_output *o, struct am_out_file *f)
{
    if (f->fd < 0 || f->hashed != f->bytes)
        return -AM_E_INTERNAL;
    int rc = am_sys_fsync(f->fd);
    int closed = am_sys_close(f->fd);
    f->fd = -1;
    if (rc == 0)
        rc = closed;
    if (rc == 0) {
        am_hash_hex(f->hash, f->sha256);
        return f->sha256[0] ? 0 : -AM_E_INTERNAL;
    }
    int keep = errno;
    am_sys_unlink(o->dir, f->staged);
    errno = keep;
    return rc;
}

int am_output_finish(struct am_output *o)
{
    for (size_t i = 0; i < o->files; i++)
        AM_TRY(finish_file(o, &o->file[i]));
    return 0;
}

static int put_index(const struct am_output *o, const struct am_out_tensor *const *v, struct am_buf *b)
{
    AM_TRY(am_buf_printf(b, "{\"metadata\":{\"total_size\":%llu},\"weight_map\":{", (unsigned long long)o->data_bytes));
    for (size_t i = 0; i < o->tensors; i++) {
        AM_TRY(am_buf_puts(b, i ? "," : ""));
        AM_TRY(am_st_put_string(b, v[i]->st.name));
        AM_TRY(am_buf_put(b, ":", 1));
        AM_TRY(am_st_put_string(b, o->file[v[i]->file].path));
    }
    return am_buf_puts(b, "}}");
}

char *am_output_index_json(const struct am_output *o)
{
    AM_CLEANUP(am_buf_done) struct am_buf b;
    am_buf_init(&b, INDEX_MAX);
    if (o->files < 2)
        return NULL;
    const struct am_out_tensor **v = sorted(o);
    int rc = v ? put_index(o, v, &b) : -AM_E_OUT_OF_MEMORY;
    free(v);
    return rc < 0 ? NULL : am_buf_take(&b);
}

void am_output_done(struct am_output *o)
{
    for (size_t i = 0; o->file && i < o->files; i++) {
        am_sys_closep(&o->file[i].fd);
        am_hash_free(o->file[i].hash);
    }
    free(o->file);
    free(o->t);
    *o = (struct am_output){.dir = o->dir};
}
