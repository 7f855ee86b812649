/*
 * assemble.c - see assemble.h.
 */
#include "core/tensor/assemble.h"

#include "core/base/grow.h"
#include "core/base/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PART (1u << 20)

struct change {          /* a tensor that was replaced */
    uint64_t begin, end; /* in the donor's file */
    uint64_t at;         /* in the change blob */
};

struct builder {
    struct am_assembled *a;
    const struct am_file *donor;
    struct am_span *span;
    size_t spans, cap;
    uint64_t at; /* where the next span begins */
};

/* One more span, or the last one longer. */
static int add(struct builder *b, int fd, uint64_t offset, uint64_t bytes)
{
    struct am_span *last = b->spans ? &b->span[b->spans - 1] : NULL;
    if (bytes == 0)
        return 0;
    if (last && last->fd == fd && last->offset + last->bytes == offset) {
        last->bytes += bytes;
        b->at += bytes;
        return 0;
    }
    AM_TRY(am_grow(&b->span, b->spans, &b->cap, sizeof *b->span));
    b->span[b->spans++] = (struct am_span){.fd = fd, .offset = offset, .bytes = bytes, .at = b->at};
    b->at += bytes;
    return 0;
}

/* The donor's bytes from where the file ends now to `end`, which are in the same places of both. */
static int add_donor(struct builder *b, uint64_t end)
{
    while (b->at < end) {
        const struct am_span *s = am_file_span(b->donor, b->at);
        if (!s)
            return -AM_E_STORE_DAMAGED;
        uint64_t inside = b->at - s->at, left = s->bytes - inside;
        AM_TRY(add(b, s->fd, s->offset + inside, left < end - b->at ? left : end - b->at));
    }
    return 0;
}

static int by_begin(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    return x->begin < y->begin ? -1 : x->begin > y->begin;
}

/* The tensors of the change blob that have bytes, in the order of the donor's file; for free(). */
static int list_changes(struct change **ret, size_t *ret_n, const struct am_st *head, const struct am_output *out,
                        const struct am_out_file *change)
{
    struct change *v = calloc(change->n + 1, sizeof(*v));
    size_t n = 0;
    if (!v)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < change->n; i++) {
        const struct am_st_out *t = &out->t[change->first + i].st;
        const struct am_st_entry *e = am_st_find(head, t->name);
        if (!e || e->dtype != t->dtype || e->end - e->begin != t->end - t->begin) {
            free(v);
            return -AM_E_INTERNAL;
        }
        if (e->end > e->begin)
            v[n++] = (struct change){e->begin, e->end, t->begin};
    }
    qsort(v, n, sizeof(*v), by_begin);
    *ret = v;
    *ret_n = n;
    return 0;
}

static int add_data(struct builder *b, const struct am_st *head, const struct am_output *out,
                    const struct am_out_file *change)
{
    struct change *v;
    size_t n;
    AM_TRY(list_changes(&v, &n, head, out, change));
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = add_donor(b, v[i].begin);
        if (rc == 0)
            rc = add(b, b->a->change, v[i].at, v[i].end - v[i].begin);
    }
    free(v);
    return rc < 0 ? rc : add_donor(b, b->donor->bytes);
}

/* The donor is assembled itself: its header is a blob of its own, which all edits of a line share. */
static bool has_header_blob(const struct am_file *donor, uint64_t bytes)
{
    return donor->spans > 1 && donor->span[0].offset == 0 && donor->span[0].bytes == bytes;
}

static int write_header(struct am_assembled *a, int dir, const void *text)
{
    size_t n = (size_t)a->header_bytes;
    int fd = am_sys_open(dir, a->header_staged, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return fd;
    a->header = fd;
    AM_TRY(am_sys_write(fd, text, n));
    AM_TRY(am_sys_fsync(fd));
    am_sha256_hex(text, n, a->header_sha256);
    return 0;
}

static int stage_header(struct am_assembled *a, const struct am_file *donor, int dir, unsigned number)
{
    snprintf(a->header_staged, sizeof(a->header_staged), "f%u", number);
    char *text = malloc((size_t)a->header_bytes);
    int rc = text ? am_file_read(donor, text, (size_t)a->header_bytes, 0) : -AM_E_OUT_OF_MEMORY;
    if (rc == 0)
        rc = write_header(a, dir, text);
    free(text);
    return rc;
}

static int build(struct builder *b, const struct am_st *head, const struct am_output *out,
                 const struct am_out_file *change, unsigned number)
{
    struct am_assembled *a = b->a;
    a->header_bytes = 8 + head->header_bytes;
    int fd = am_sys_open(out->dir, change->staged, O_RDONLY, 0);
    if (fd < 0)
        return fd;
    a->change = fd;
    if (has_header_blob(b->donor, a->header_bytes)) {
        AM_TRY(add(b, b->donor->span[0].fd, 0, a->header_bytes));
    } else {
        AM_TRY(stage_header(a, b->donor, out->dir, number));
        AM_TRY(add(b, a->header, 0, a->header_bytes));
    }
    AM_TRY(add_data(b, head, out, change));
    return b->at == b->donor->bytes ? 0 : -AM_E_INTERNAL;
}

int am_assemble(struct am_assembled *ret, const struct am_model *m, uint32_t donor, const struct am_output *out,
                const struct am_out_file *change, unsigned number)
{
    struct am_assembled a = {.change = -1, .header = -1};
    struct builder b = {.a = &a, .donor = &m->file[donor]};
    int rc = build(&b, &m->head[donor], out, change, number);
    a.file = (struct am_file){.path = b.donor->path, .bytes = b.at, .span = b.span, .spans = b.spans};
    if (rc < 0)
        am_assembled_done(&a);
    *ret = a;
    return rc;
}

int am_assembled_hash(struct am_assembled *a, int (*step)(void *ctx, uint64_t bytes), void *ctx)
{
    AM_CLEANUP(am_hash_freep) struct am_hash *hash = am_hash_new(AM_SHA256);
    unsigned char *part = malloc(PART);
    int rc = hash && part ? 0 : -AM_E_OUT_OF_MEMORY;
    for (uint64_t at = 0; rc == 0 && at < a->file.bytes;) {
        size_t n = a->file.bytes - at < PART ? (size_t)(a->file.bytes - at) : PART;
        rc = am_file_read(&a->file, part, n, at);
        if (rc == 0)
            am_hash_put(hash, part, n);
        at += n;
        if (rc == 0 && step)
            rc = step(ctx, n);
    }
    free(part);
    if (rc == 0)
        am_hash_hex(hash, a->sha256);
    return rc;
}

void am_assembled_done(struct am_assembled *a)
{
    am_sys_closep(&a->change);
    am_sys_closep(&a->header);
    free(a->file.span);
    *a = (struct am_assembled){.change = -1, .header = -1};
}
