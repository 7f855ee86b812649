/*
 * fuzz_safetensors.c - libFuzzer over the reader of safetensors headers. The input is the file; what is accepted must
 * hold what the rest of the house relies on. -DAM_PLANTED_BUG leaves out one check in st_read.c: the target must find
 * that quickly.
 */
#include "core/tensor/safetensors.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *data;
    size_t size;
};

static int read_input(void *ctx, void *buf, size_t n, uint64_t off)
{
    const struct input *in = ctx;
    if (off > in->size || n > in->size - off)
        abort(); /* the reader must not ask for what the file does not have */
    memcpy(buf, in->data + off, n);
    return 0;
}

static void require(bool truth)
{
    if (!truth)
        abort();
}

static int by_begin(const void *a, const void *b)
{
    const struct am_st_entry *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

static void check_entry(const struct am_st *st, size_t i)
{
    const struct am_st_entry *e = &st->v[i];
    uint64_t elements, bytes;
    require(e->name && strlen(e->name) >= 1 && strlen(e->name) <= 2048);
    require(i == 0 || strcmp(st->v[i - 1].name, e->name) < 0);
    require(am_st_find(st, e->name) == e);
    require(e->dtype < AM_DTYPE_COUNT && e->rank <= 64);
    require(am_dtype_bytes((enum am_dtype)e->dtype, e->shape, e->rank, &elements, &bytes) == 0);
    require(e->begin >= 8 + st->header_bytes && e->begin <= e->end && e->end <= st->file_bytes);
    require(e->end - e->begin == bytes);
}

static void check_accepted(struct am_st *st, size_t size)
{
    require(st->file_bytes == size && st->header_bytes <= size - 8);
    for (size_t i = 0; i < st->n; i++)
        check_entry(st, i);
    for (size_t i = 0; i < st->meta_n; i++)
        require(strlen(st->meta[i].key) + strlen(st->meta[i].value) <= st->header_bytes);
    if (st->n)
        qsort(st->v, st->n, sizeof(*st->v), by_begin);
    uint64_t at = 8 + st->header_bytes;
    for (size_t i = 0; i < st->n; i++) {
        require(st->v[i].begin == at); /* no hole, no overlap */
        at = st->v[i].end;
    }
    require(at == size);
}

static void check_faults(const struct am_faults *f)
{
    require(f->n >= 1 && f->n <= 20 && f->total >= f->n);
    for (size_t i = 0; i < f->n; i++)
        require(f->v[i].code == AM_E_MALFORMED && strlen(f->v[i].reason) && strlen(f->v[i].detail));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct am_st st = {0};
    struct am_faults f = {0};
    int rc = am_st_read(&st, read_input, &in, size, (struct am_st_limits){1 << 20, 200}, "fuzz", &f);
    if (rc == 0) {
        require(f.total == 0);
        check_accepted(&st, size);
    } else {
        require(rc == -AM_E_MALFORMED && !st.v && !st.arena);
        check_faults(&f);
    }
    am_st_done(&st);
    am_faults_done(&f);
    return 0;
}
