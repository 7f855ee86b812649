/*
 * model.c - see model.h.
 */
#include "core/tensor/model.h"

#include "core/base/sys.h"
#include "core/tensor/st_text.h"

#include <stdlib.h>
#include <string.h>

const struct am_span *am_file_span(const struct am_file *f, uint64_t off)
{
    size_t low = 0, high = f->spans;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct am_span *s = &f->span[mid];
        if (off < s->at)
            high = mid;
        else if (off - s->at >= s->bytes)
            low = mid + 1;
        else
            return s;
    }
    return NULL;
}

int am_file_read(const struct am_file *f, void *buf, size_t n, uint64_t off)
{
    char *p = buf;
    if (off > f->bytes || n > f->bytes - off)
        return -AM_E_STORE_DAMAGED;
    if (f->made)
        return f->made(f, buf, n, off);
    while (n > 0) {
        const struct am_span *s = am_file_span(f, off);
        if (!s)
            return -AM_E_STORE_DAMAGED;
        uint64_t inside = off - s->at;
        size_t k = s->bytes - inside < n ? (size_t)(s->bytes - inside) : n;
        AM_TRY(am_sys_pread(s->fd, p, k, s->offset + inside));
        p += k;
        off += k;
        n -= k;
    }
    return 0;
}

static int read_file(void *ctx, void *buf, size_t n, uint64_t off)
{
    return am_file_read(ctx, buf, n, off);
}

static int by_name(const void *a, const void *b)
{
    const struct am_tensor *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : x->file < y->file ? -1 : x->file > y->file;
}

static int read_heads(struct am_model *m, struct am_st_limits limits, struct am_faults *faults)
{
    bool bad = false;
    for (size_t i = 0; i < m->files; i++) {
        const struct am_file *f = &m->file[i];
        int rc = am_st_read(&m->head[i], read_file, (void *)(uintptr_t)f, f->bytes, limits, f->path, faults);
        if (rc < 0 && rc != -AM_E_MALFORMED)
            return rc;
        bad = bad || rc < 0;
        m->tensors += m->head[i].n;
    }
    return bad ? -AM_E_MALFORMED : 0;
}

/* The checks of the header guarantee that the sizes can be computed. */
static struct am_tensor tensor_of(const struct am_st_entry *e, uint32_t file)
{
    struct am_tensor t = {.name = e->name,
                          .shape = e->shape,
                          .dtype = e->dtype,
                          .rank = e->rank,
                          .file = file,
                          .begin = e->begin,
                          .bytes = e->end - e->begin,
                          .elements = 1};
    for (unsigned i = 0; i < e->rank; i++)
        t.elements *= e->shape[i];
    return t;
}

static int make_table(struct am_model *m, struct am_faults *faults)
{
    m->tensor = malloc((m->tensors ? m->tensors : 1) * sizeof(*m->tensor));
    if (!m->tensor)
        return -AM_E_OUT_OF_MEMORY;
    size_t n = 0;
    for (size_t i = 0; i < m->files; i++)
        for (size_t k = 0; k < m->head[i].n; k++)
            m->tensor[n++] = tensor_of(&m->head[i].v[k], (uint32_t)i);
    if (m->files > 1)
        qsort(m->tensor, n, sizeof(*m->tensor), by_name);
    char show[AM_ST_SHOW + 4];
    int rc = 0;
    for (size_t i = 1; i < n; i++) {
        const struct am_tensor *a = &m->tensor[i - 1], *b = &m->tensor[i];
        if (strcmp(a->name, b->name) == 0)
            rc = am_fault_add(faults, AM_E_MALFORMED,
                              (struct am_where){NULL, "duplicate", b->name, m->file[b->file].path},
                              "\"%s\" is in %s and in %s; a tensor must be in one file of a model",
                              am_st_show(b->name, show), m->file[a->file].path, m->file[b->file].path);
    }
    return rc;
}

int am_model_open(struct am_model *ret, const struct am_file *file, size_t files, struct am_st_limits limits,
                  struct am_faults *faults)
{
    struct am_model m = {.file = file, .files = files, .head = calloc(files ? files : 1, sizeof(*m.head))};
    if (!m.head)
        return -AM_E_OUT_OF_MEMORY;
    int rc = read_heads(&m, limits, faults);
    if (rc == 0)
        rc = make_table(&m, faults);
    if (rc < 0)
        am_model_done(&m);
    else
        *ret = m;
    return rc;
}

const struct am_tensor *am_model_find(const struct am_model *m, const char *name)
{
    size_t low = 0, high = m->tensors;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(m->tensor[mid].name, name);
        if (order == 0)
            return &m->tensor[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

int am_model_read(const struct am_model *m, const struct am_tensor *t, void *buf, size_t bytes, uint64_t off_in_tensor)
{
    if (off_in_tensor > t->bytes || bytes > t->bytes - off_in_tensor)
        return -AM_E_INTERNAL;
    return am_file_read(&m->file[t->file], buf, bytes, t->begin + off_in_tensor);
}

uint64_t am_model_offset(const struct am_model *m, const struct am_tensor *t, uint64_t off_in_tensor)
{
    const struct am_file *f = &m->file[t->file];
    uint64_t off = t->begin + off_in_tensor;
    const struct am_span *s = f->made ? NULL : am_file_span(f, off);
    return s ? s->offset + (off - s->at) : 0;
}

void am_model_done(struct am_model *m)
{
    for (size_t i = 0; m->head && i < m->files; i++)
        am_st_done(&m->head[i]);
    free(m->head);
    free(m->tensor);
    *m = (struct am_model){0};
}
