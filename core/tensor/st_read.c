/*
 * st_read.c - the fixed grammar of a safetensors header (safetensors.md 1.2): one pass, no recursion. What the numbers
 * mean together is checked afterwards by st_check.c.
 */
#include "core/tensor/st_check.h"
#include "core/tensor/st_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT_MAX 100000000u /* the reference reader's own limit of N */
#define KEY_MAX 64            /* longer than any key of an entry or any dtype */
#define DIMENSIONS_EACH 8     /* all shapes together: 8 dimensions a tensor allowed */

struct reader {
    struct am_st_text s;
    struct am_st_arena *arena;
    struct am_st_table t;
    struct am_st_limits limits;
    size_t cap, meta_cap;
    uint64_t dimensions;
    bool have_meta;
};

/* One more element of `size` bytes in an array that doubles; the count is limited by the caller. */
static int grow(void *array, size_t n, size_t *cap, size_t size)
{
    void *v;
    if (n < *cap)
        return 0;
    memcpy(&v, array, sizeof(v));
    size_t to = *cap ? *cap * 2 : 64;
    v = realloc(v, to * size);
    if (!v)
        return -AM_E_OUT_OF_MEMORY;
    memcpy(array, &v, sizeof(v));
    *cap = to;
    return 0;
}

static int too_many(struct reader *r, const char *what)
{
    return am_st_fail(&r->s, "tensor_limit",
                      "more than %llu %s; raise limits.tensors if the file is meant to have them",
                      (unsigned long long)r->limits.tensors, what);
}

static int meta_pair(struct reader *r)
{
    struct am_st_tail t;
    struct am_st_meta m;
    if (r->t.meta_n >= r->limits.tensors)
        return too_many(r, "pairs in __metadata__");
    if (am_st_next(&r->s) != '"')
        return am_st_unexpected(&r->s, "header_json", "a key of __metadata__");
    AM_TRY(am_st_string(&r->s, SIZE_MAX / 2, "metadata_type", "a key of __metadata__", &t));
    am_st_tail_keep(&t);
    m.key = t.text;
    AM_TRY(am_st_expect(&r->s, ':', "':' after a key of __metadata__"));
    AM_TRY(am_st_string(&r->s, SIZE_MAX / 2, "metadata_type", "a string as value in __metadata__", &t));
    am_st_tail_keep(&t);
    m.value = t.text;
    AM_TRY(grow(&r->t.meta, r->t.meta_n, &r->meta_cap, sizeof(m)));
    r->t.meta[r->t.meta_n++] = m;
    return 0;
}

static int metadata(struct reader *r)
{
    if (r->have_meta)
        return am_st_fail(&r->s, "duplicate", "__metadata__ appears twice");
    r->have_meta = true;
    if (am_st_next(&r->s) != '{')
        return am_st_unexpected(&r->s, "metadata_type", "an object of strings as __metadata__");
    r->s.p++;
    if (am_st_next(&r->s) == '}') {
        r->s.p++;
        return 0;
    }
    for (;;) {
        AM_TRY(meta_pair(r));
        if (am_st_next(&r->s) == ',') {
            r->s.p++;
            continue;
        }
        return am_st_expect(&r->s, '}', "',' or '}' in __metadata__");
    }
}

static int keep_shape(struct reader *r, const uint64_t *dim, unsigned rank, struct am_st_entry *e)
{
    r->dimensions += rank;
    if (r->dimensions / DIMENSIONS_EACH > r->limits.tensors + AM_ST_RANK_MAX)
        return too_many(r, "tensors' worth of dimensions");
    uint64_t *shape = am_st_arena_get(r->arena, (rank ? rank : 1) * sizeof(*shape));
    if (!shape)
        return -AM_E_OUT_OF_MEMORY;
    memcpy(shape, dim, rank * sizeof(*shape));
    e->shape = shape;
    e->rank = (uint8_t)rank;
    return 0;
}

static int read_shape(struct reader *r, struct am_st_entry *e)
{
    uint64_t dim[AM_ST_RANK_MAX];
    unsigned rank = 0;
    AM_TRY(am_st_expect(&r->s, '[', "'[' of a shape"));
    if (am_st_next(&r->s) == ']') {
        r->s.p++;
        return keep_shape(r, dim, 0, e);
    }
    for (;;) {
#ifndef AM_PLANTED_BUG /* the fuzz target must find what happens without this check */
        if (rank == AM_ST_RANK_MAX)
            return am_st_fail(&r->s, "rank", "the shape has more than %d dimensions", AM_ST_RANK_MAX);
#endif
        AM_TRY(am_st_integer(&r->s, UINT64_MAX, "an integer in a shape", &dim[rank]));
        rank++;
        if (am_st_next(&r->s) == ',') {
            r->s.p++;
            continue;
        }
        AM_TRY(am_st_expect(&r->s, ']', "',' or ']' in a shape"));
        return keep_shape(r, dim, rank, e);
    }
}

static int read_offsets(struct reader *r, struct am_st_entry *e)
{
    static const char what[] = "an integer in data_offsets";
    AM_TRY(am_st_expect(&r->s, '[', "'[' of data_offsets"));
    AM_TRY(am_st_integer(&r->s, INT64_MAX, what, &e->begin));
    AM_TRY(am_st_expect(&r->s, ',', "',' and a second integer in data_offsets"));
    AM_TRY(am_st_integer(&r->s, INT64_MAX, what, &e->end));
    return am_st_expect(&r->s, ']', "']' after the two integers of data_offsets");
}

/* An unknown dtype does not end the scan: a file full of them is told tensor by tensor, in st_check.c. */
static int read_dtype(struct reader *r, struct am_st_entry *e)
{
    struct am_st_tail t;
    if (am_st_next(&r->s) != '"')
        return am_st_unexpected(&r->s, "header_json", "a string as dtype");
    AM_TRY(am_st_string(&r->s, KEY_MAX, "unknown_dtype", "the dtype", &t));
    int dtype = am_dtype_parse(t.text, t.len);
    e->dtype = dtype < 0 ? AM_ST_UNKNOWN : (uint8_t)dtype;
    if (dtype < 0)
        am_st_note_dtype(&r->t, t.text);
    return 0;
}

enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4, ALL = 7 };

static unsigned key_of(const char *key)
{
    return strcmp(key, "dtype") == 0          ? DTYPE
           : strcmp(key, "shape") == 0        ? SHAPE
           : strcmp(key, "data_offsets") == 0 ? OFFSETS
                                              : 0;
}

/* Nearly every key stands in the window as it is; the others (spaces, escapes, unknown) take the long way. */
static unsigned plain_key(struct am_st_text *s)
{
    static const struct {
        const char *text;
        unsigned n, key;
    } keys[] = {{"\"dtype\":", 8, DTYPE}, {"\"shape\":", 8, SHAPE}, {"\"data_offsets\":", 15, OFFSETS}};
    for (size_t i = 0; i < 3 && s->stop - s->p >= 15; i++) {
        if (memcmp(s->p, keys[i].text, keys[i].n) == 0) {
            s->p += keys[i].n;
            return keys[i].key;
        }
    }
    return 0;
}

/* Takes a key of an entry and the colon after it. */
static int entry_key(struct reader *r, unsigned *ret)
{
    struct am_st_tail t;
    char show[AM_ST_SHOW + 4];
    *ret = plain_key(&r->s);
    if (*ret)
        return 0;
    if (am_st_next(&r->s) != '"')
        return am_st_unexpected(&r->s, "header_json", "a key of a tensor");
    AM_TRY(am_st_string(&r->s, KEY_MAX, "unknown_key", "the key", &t));
    *ret = key_of(t.text);
    if (!*ret)
        return am_st_fail(&r->s, "unknown_key",
                          "\"%s\" is not a key of a tensor: only dtype, shape and data_offsets are",
                          am_st_show(t.text, show));
    return am_st_expect(&r->s, ':', "':' after a key of a tensor");
}

static int entry_member(struct reader *r, struct am_st_entry *e, unsigned *seen)
{
    unsigned key;
    AM_TRY(entry_key(r, &key));
    if (*seen & key)
        return am_st_fail(&r->s, "duplicate", "the key \"%s\" appears twice in one tensor",
                          key == DTYPE   ? "dtype"
                          : key == SHAPE ? "shape"
                                         : "data_offsets");
    *seen |= key;
    return key == DTYPE ? read_dtype(r, e) : key == SHAPE ? read_shape(r, e) : read_offsets(r, e);
}

static int entry_body(struct reader *r, struct am_st_entry *e)
{
    unsigned seen = 0;
    AM_TRY(am_st_expect(&r->s, '{', "'{' of a tensor"));
    while (am_st_next(&r->s) != '}') {
        AM_TRY(entry_member(r, e, &seen));
        if (am_st_next(&r->s) == ',') {
            r->s.p++;
            if (am_st_next(&r->s) == '}')
                return am_st_unexpected(&r->s, "header_json", "a key of a tensor");
        } else if (am_st_next(&r->s) != '}') {
            return am_st_unexpected(&r->s, "header_json", "',' or '}' in a tensor");
        }
    }
    if (seen != ALL)
        return am_st_fail(&r->s, "header_json", "the tensor has no %s",
                          !(seen & DTYPE)   ? "dtype"
                          : !(seen & SHAPE) ? "shape"
                                            : "data_offsets");
    r->s.p++;
    return 0;
}

static int member(struct reader *r)
{
    struct am_st_tail t;
    struct am_st_entry e = {0};
    if (am_st_next(&r->s) != '"')
        return am_st_unexpected(&r->s, "header_json", "the name of a tensor");
    AM_TRY(am_st_string(&r->s, AM_ST_NAME_MAX, "name", "the name of a tensor", &t));
    if (t.len == 0)
        return am_st_fail(&r->s, "name", "the name of a tensor must not be empty");
    bool meta = strcmp(t.text, "__metadata__") == 0;
    if (!meta) {
        if (r->t.n >= r->limits.tensors)
            return too_many(r, "tensors");
        am_st_tail_keep(&t);
        e.name = r->s.tensor = t.text;
    }
    AM_TRY(am_st_expect(&r->s, ':', "':' after a name"));
    if (meta)
        return metadata(r);
    AM_TRY(entry_body(r, &e));
    r->s.tensor = NULL;
    AM_TRY(grow(&r->t.v, r->t.n, &r->cap, sizeof(e)));
    r->t.v[r->t.n++] = e;
    return 0;
}

static int header(struct reader *r)
{
    AM_TRY(am_st_expect(&r->s, '{', "'{' at the start of the header"));
    if (am_st_next(&r->s) == '}') {
        r->s.p++;
    } else {
        do
            AM_TRY(member(r));
        while (am_st_next(&r->s) == ',' && r->s.p++);
        AM_TRY(am_st_expect(&r->s, '}', "',' or '}' after a tensor"));
    }
    if (am_st_next(&r->s) >= 0)
        return am_st_unexpected(&r->s, "header_json", "the end of the header");
    return r->s.rc;
}

static int length_fault(const struct reader *r, const char *rule, const char *detail)
{
    return am_fault_add(r->s.faults, AM_E_MALFORMED, (struct am_where){NULL, rule, NULL, r->s.file}, "%s", detail);
}

/* Steps 1 to 3 of safetensors.md 1.3 and our own ceiling. */
static int header_length(struct reader *r, uint64_t file_bytes, uint64_t *ret)
{
    unsigned char b[8];
    char detail[200];
    uint64_t n = 0;
    if (file_bytes < 8)
        return length_fault(r, "too_short", "the file has fewer than the 8 bytes that hold the length of the header");
    AM_TRY(r->s.read(r->s.ctx, b, sizeof(b), 0));
    for (int i = 7; i >= 0; i--)
        n = n << 8 | b[i];
    if (n > FORMAT_MAX) {
        snprintf(detail, sizeof(detail), "the header would have %llu bytes; the format allows %u",
                 (unsigned long long)n, FORMAT_MAX);
        return length_fault(r, "header_too_large", detail);
    }
    if (n > file_bytes - 8) {
        snprintf(detail, sizeof(detail), "the header would have %llu bytes, the file has %llu after its first 8",
                 (unsigned long long)n, (unsigned long long)file_bytes - 8);
        return length_fault(r, "header_length", detail);
    }
    if (n > r->limits.header_bytes) {
        snprintf(detail, sizeof(detail), "the header has %llu bytes; limits.header_bytes allows %llu",
                 (unsigned long long)n, (unsigned long long)r->limits.header_bytes);
        return length_fault(r, "header_limit", detail);
    }
    *ret = n;
    return 0;
}

static int read_all(struct reader *r, uint64_t file_bytes, uint64_t *ret_header)
{
    AM_TRY(header_length(r, file_bytes, ret_header));
    AM_TRY(am_st_text_open(&r->s, *ret_header));
    AM_TRY(header(r));
    return am_st_check(&r->t, 8 + *ret_header, file_bytes, r->s.file, r->s.faults);
}

int am_st_read(struct am_st *ret, am_read_fn read, void *ctx, uint64_t file_bytes, struct am_st_limits limits,
               const char *file, struct am_faults *faults)
{
    struct am_st_arena *arena = calloc(1, sizeof(*arena));
    if (!arena)
        return -AM_E_OUT_OF_MEMORY;
    struct reader r = {.arena = arena, .limits = limits};
    r.s = (struct am_st_text){.read = read, .ctx = ctx, .arena = arena, .faults = faults, .file = file};
    uint64_t header_bytes = 0;
    int rc = read_all(&r, file_bytes, &header_bytes);
    am_st_text_done(&r.s);
    struct am_st st = {.header_bytes = header_bytes,
                       .file_bytes = file_bytes,
                       .v = r.t.v,
                       .n = r.t.n,
                       .meta = r.t.meta,
                       .meta_n = r.t.meta_n,
                       .arena = arena};
    if (rc < 0)
        am_st_done(&st);
    else
        *ret = st;
    return rc;
}

const struct am_st_entry *am_st_find(const struct am_st *st, const char *name)
{
    size_t low = 0, high = st->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(st->v[mid].name, name);
        if (order == 0)
            return &st->v[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

void am_st_done(struct am_st *st)
{
    free(st->v);
    free(st->meta);
    if (st->arena)
        am_st_arena_done(st->arena);
    free(st->arena);
    *st = (struct am_st){0};
}
