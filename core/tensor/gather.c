/*
 * gather.c - see gather.h.
 */
#include "core/tensor/gather.h"

#include "core/base/err.h"
#include "core/tensor/kernels.h"

#include <stdlib.h>
#include <string.h>

#define PIECE 1024              /* elements of a row that are worked on at a time */
#define BLOCK ((size_t)1 << 20) /* bytes read at a time when all rows are summed */

struct peer { /* an input's own matrix; rows 0: it has none */
    struct am_file file;
    uint64_t begin, rows;
    uint8_t dtype;
};

struct set { /* all matrices of one name */
    const struct am_gather_map *map;
    uint64_t columns, rows, padded;
    struct peer peer[]; /* of each input */
};

struct matrix { /* one that is rebuilt: ctx of its file */
    const struct set *set;
    size_t input;
    uint64_t shape[2];
    size_t row_bytes;
    unsigned char *padding; /* one row, or NULL */
};

struct am_gather_part {
    struct am_file *file; /* of the model, with what was added */
    struct matrix **matrix;
    size_t matrices;
    struct set **set; /* that were made for this input */
    size_t sets;
};

/* ---- which row is which ---- */

static uint32_t own_row(const struct set *s, size_t input, uint64_t row)
{
    uint64_t r = s->map->own ? s->map->own[input][row] : row;
    return r < s->peer[input].rows ? (uint32_t)r : AM_NO_ROW;
}

static const struct am_gather_row *asked(const struct am_gather_map *m, uint64_t row)
{
    size_t low = 0, high = m->rows_asked;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (m->row[mid].row == row)
            return &m->row[mid];
        if (m->row[mid].row < row)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

struct source {
    enum { OWN, OTHER, MEAN, ZERO, PADDING } kind;
    size_t input;
    uint32_t row;
};

static struct source default_row(const struct set *s, uint64_t row)
{
    const struct am_gather_map *m = s->map;
    struct source last = {.kind = ZERO};
    size_t n = 0;
    for (size_t i = 0; i < m->inputs; i++) {
        uint32_t has = m->same[i] == i ? own_row(s, i, row) : AM_NO_ROW;
        if (has == AM_NO_ROW)
            continue;
        last = (struct source){OTHER, i, has};
        n++;
    }
    if (n < 2)
        return last;
    uint32_t base = own_row(s, m->base, row);
    return base == AM_NO_ROW ? (struct source){.kind = MEAN} : (struct source){OTHER, m->base, base};
}

static struct source source_of(const struct matrix *x, uint64_t row)
{
    const struct set *s = x->set;
    if (row >= s->rows)
        return (struct source){.kind = PADDING};
    const struct am_gather_row *a = asked(s->map, row);
    uint32_t own = a && a->forced ? AM_NO_ROW : own_row(s, x->input, row);
    if (own != AM_NO_ROW)
        return (struct source){OWN, x->input, own};
    if (!a)
        return default_row(s, row);
    return a->zero ? (struct source){.kind = ZERO} : (struct source){OTHER, a->input, a->from};
}

/* ---- making bytes ---- */

static size_t bytes_of(uint8_t dtype)
{
    return am_dtype_bits((enum am_dtype)dtype) / 8;
}

/* Elements [first, first + n) of a row of an input, as f32; n <= PIECE. */
static int load(const struct set *s, size_t input, uint32_t row, uint64_t first, size_t n, float *out)
{
    unsigned char raw[PIECE * sizeof(double)];
    const struct peer *p = &s->peer[input];
    uint64_t at = ((uint64_t)row * s->columns + first) * bytes_of(p->dtype);
    AM_TRY(am_file_read(&p->file, raw, n * bytes_of(p->dtype), p->begin + at));
    am_load_f32((enum am_dtype)p->dtype, raw, out, n);
    return 0;
}

static int mean(const struct set *s, uint64_t row, uint64_t first, size_t n, float *out)
{
    float one[PIECE];
    size_t count = 0;
    memset(out, 0, n * sizeof *out);
    for (size_t i = 0; i < s->map->inputs; i++) {
        uint32_t has = s->map->same[i] == i ? own_row(s, i, row) : AM_NO_ROW;
        if (has == AM_NO_ROW)
            continue;
        AM_TRY(load(s, i, has, first, n, one));
        am_add_f32(out, out, one, n);
        count++;
    }
    am_div_f32(out, (float)count, n);
    return 0;
}

static int make_piece(const struct matrix *x, const struct source *from, uint64_t row, uint64_t first, size_t n,
                      unsigned char *out)
{
    float value[PIECE];
    uint8_t dtype = x->set->peer[x->input].dtype;
    if (from->kind == MEAN)
        AM_TRY(mean(x->set, row, first, n, value));
    else
        AM_TRY(load(x->set, from->input, from->row, first, n, value));
    am_store_f32((enum am_dtype)dtype, value, out, n, AM_OVERFLOW_INF, NULL, NULL);
    return 0;
}

/* `n` bytes of one row from byte `in` of it on. */
static int make_row(const struct matrix *x, const struct source *from, uint64_t row, size_t in, size_t n,
                    unsigned char *out)
{
    size_t size = bytes_of(x->set->peer[x->input].dtype);
    if (from->kind == ZERO)
        memset(out, 0, n);
    else if (from->kind == PADDING)
        memcpy(out, x->padding + in, n);
    for (size_t at = 0; (from->kind == OTHER || from->kind == MEAN) && at < n; at += PIECE * size) {
        size_t k = n - at < PIECE * size ? n - at : PIECE * size;
        AM_TRY(make_piece(x, from, row, (in + at) / size, k / size, out + at));
    }
    return 0;
}

/* How many rows from `row` on, at most `most`, lie behind each other in the model itself. */
static uint64_t run_of(const struct matrix *x, const struct source *first, uint64_t row, uint64_t most)
{
    uint64_t n = 1;
    for (; n < most && row + n < x->shape[0]; n++) {
        struct source next = source_of(x, row + n);
        if (next.kind != OWN || next.row != first->row + n)
            break;
    }
    return n;
}

static int made(const struct am_file *f, void *buf, size_t n, uint64_t off)
{
    const struct matrix *x = f->ctx;
    const struct peer *p = &x->set->peer[x->input];
    unsigned char *out = buf;
    while (n > 0) {
        uint64_t row = off / x->row_bytes;
        size_t in = (size_t)(off % x->row_bytes), k = x->row_bytes - in;
        struct source from = source_of(x, row);
        if (from.kind == OWN)
            k = (size_t)run_of(x, &from, row, (in + n - 1) / x->row_bytes + 1) * x->row_bytes - in;
        k = k < n ? k : n;
        AM_TRY(from.kind == OWN ? am_file_read(&p->file, out, k, p->begin + (uint64_t)from.row * x->row_bytes + in)
                                : make_row(x, &from, row, in, k, out));
        out += k;
        off += k;
        n -= k;
    }
    return 0;
}

/* The mean of all rows before the padding, summed in f64 in their order. */
static int make_padding(struct matrix *x)
{
    const struct set *s = x->set;
    size_t columns = (size_t)s->columns, step = BLOCK / x->row_bytes ? BLOCK / x->row_bytes : 1;
    double *sum = calloc(columns, sizeof *sum);
    float *row = malloc(columns * sizeof *row);
    unsigned char *raw = malloc(step * x->row_bytes), *padding = malloc(x->row_bytes);
    struct am_file f = {.ctx = x};
    int rc = sum && row && raw && padding ? 0 : -AM_E_OUT_OF_MEMORY;
    for (uint64_t at = 0; rc == 0 && at < s->rows; at += step) {
        size_t n = s->rows - at < step ? (size_t)(s->rows - at) : step;
        rc = made(&f, raw, n * x->row_bytes, at * x->row_bytes);
        for (size_t i = 0; rc == 0 && i < n; i++) {
            am_load_f32((enum am_dtype)s->peer[x->input].dtype, raw + i * x->row_bytes, row, columns);
            for (size_t c = 0; c < columns; c++)
                sum[c] += (double)row[c];
        }
    }
    for (size_t c = 0; rc == 0 && c < columns; c++)
        row[c] = (float)(sum[c] / (double)s->rows);
    if (rc == 0)
        am_store_f32((enum am_dtype)s->peer[x->input].dtype, row, padding, columns, AM_OVERFLOW_INF, NULL, NULL);
    free(sum);
    free(row);
    free(raw);
    if (rc < 0)
        free(padding);
    else
        x->padding = padding;
    return rc;
}

/* ---- the tables of the models ---- */

/* The matrices as the models have them. False: they do not go together. */
static bool take_peers(struct set *s, const struct am_model *model, const char *name)
{
    for (size_t i = 0; i < s->map->inputs; i++) {
        const struct am_tensor *t = am_model_find(&model[i], name);
        if (!t)
            continue;
        if (t->rank != 2 || !am_dtype_computed((enum am_dtype)t->dtype) || t->shape[1] == 0 ||
            (s->columns && s->columns != t->shape[1]))
            return false;
        s->columns = t->shape[1];
        s->peer[i] = (struct peer){model[i].file[t->file], t->begin, t->shape[0], t->dtype};
    }
    return true;
}

static void set_rows(struct set *s)
{
    const struct am_gather_map *m = s->map;
    s->rows = m->rows;
    s->padded = m->padded;
    if (m->own)
        return;
    s->rows = m->as_base ? s->peer[m->base].rows : UINT64_MAX;
    for (size_t i = 0; i < m->inputs && !m->as_base; i++)
        s->rows = s->peer[i].rows && s->peer[i].rows < s->rows ? s->peer[i].rows : s->rows;
    s->padded = s->rows;
}

/* Nothing would change. */
static bool is_same(const struct set *s)
{
    for (size_t i = 0; i < s->map->inputs; i++) {
        if (s->peer[i].rows == 0)
            continue;
        if (s->peer[i].rows != s->padded || s->padded != s->rows)
            return false;
        for (uint64_t r = 0; s->map->own && r < s->rows; r++) {
            const struct am_gather_row *a = asked(s->map, r);
            if (own_row(s, i, r) != r || (a && a->forced))
                return false;
        }
    }
    return true;
}

/* NULL with *ret_rc 0: nothing to rebuild, or nothing that could be. */
static struct set *make_set(const struct am_model *model, const struct am_gather_map *map, const char *name,
                            int *ret_rc)
{
    struct set *s = calloc(1, sizeof *s + map->inputs * sizeof *s->peer);
    *ret_rc = s ? 0 : -AM_E_OUT_OF_MEMORY;
    if (!s)
        return NULL;
    s->map = map;
    if (take_peers(s, model, name)) {
        set_rows(s);
        if (!is_same(s))
            return s;
    }
    free(s);
    return NULL;
}

static int more(void *array, size_t n, size_t size)
{
    void **at = array, *p = realloc(*at, (n + 1) * size);
    if (!p)
        return -AM_E_OUT_OF_MEMORY;
    *at = p;
    memset((char *)p + n * size, 0, size);
    return 0;
}

static int add_file(struct am_gather_part *part, struct am_model *m, const struct am_file *f)
{
    if (!part->file) {
        part->file = malloc((m->files + 1) * sizeof *part->file);
        if (!part->file)
            return -AM_E_OUT_OF_MEMORY;
        memcpy(part->file, m->file, m->files * sizeof *part->file);
    } else
        AM_TRY(more(&part->file, m->files, sizeof *part->file));
    AM_TRY(more(&m->head, m->files, sizeof *m->head));
    part->file[m->files++] = *f;
    m->file = part->file;
    return 0;
}

static int attach(struct am_gather_part *part, struct am_model *m, size_t input, const struct set *s, const char *name)
{
    struct am_tensor *t = (struct am_tensor *)(uintptr_t)am_model_find(m, name);
    struct matrix *x = calloc(1, sizeof *x);
    if (!x || more(&part->matrix, part->matrices, sizeof(*part->matrix)) < 0) {
        free(x);
        return -AM_E_OUT_OF_MEMORY;
    }
    part->matrix[part->matrices++] = x;
    *x = (struct matrix){.set = s, .input = input, .shape = {s->padded, s->columns}};
    x->row_bytes = (size_t)s->columns * bytes_of(t->dtype);
    if (s->padded > s->rows)
        AM_TRY(make_padding(x));
    struct am_file f = {.path = m->file[t->file].path, .bytes = s->padded * x->row_bytes, .made = made, .ctx = x};
    AM_TRY(add_file(part, m, &f));
    t->file = (uint32_t)m->files - 1;
    t->begin = 0;
    t->shape = x->shape;
    t->elements = x->shape[0] * x->shape[1];
    t->bytes = f.bytes;
    return 0;
}

/* An earlier model has a tensor of that name, so it is done. */
static bool is_done(const struct am_model *model, size_t i, const char *name)
{
    while (i > 0)
        if (am_model_find(&model[--i], name))
            return true;
    return false;
}

static int open_name(struct am_gather *g, struct am_model *model, const struct am_gather_map *map, size_t first,
                     const char *name)
{
    int rc;
    struct am_gather_part *part = &g->part[first];
    struct set *s = make_set(model, map, name, &rc);
    if (!s)
        return rc;
    if (more(&part->set, part->sets, sizeof(*part->set)) < 0) {
        free(s);
        return -AM_E_OUT_OF_MEMORY;
    }
    part->set[part->sets++] = s;
    for (size_t i = 0; i < map->inputs; i++)
        if (s->peer[i].rows)
            AM_TRY(attach(&g->part[i], &model[i], i, s, name));
    return 0;
}

static int open_all(struct am_gather *g, struct am_model *model, const struct am_gather_map *map,
                    bool (*is_rows)(const char *name))
{
    for (size_t i = 0; i < map->inputs; i++)
        for (size_t k = 0; k < model[i].tensors; k++) {
            const struct am_tensor *t = &model[i].tensor[k];
            if (t->rank == 2 && is_rows(t->name) && !is_done(model, i, t->name))
                AM_TRY(open_name(g, model, map, i, t->name));
        }
    return 0;
}

int am_gather_open(struct am_gather *ret, struct am_model *model, const struct am_gather_map *map,
                   bool (*is_rows)(const char *name))
{
    struct am_gather g = {.part = calloc(map->inputs + 1, sizeof *g.part), .parts = map->inputs};
    if (!g.part)
        return -AM_E_OUT_OF_MEMORY;
    int rc = open_all(&g, model, map, is_rows);
    *ret = g; /* also after an error: the models point into it */
    return rc;
}

static void part_done(struct am_gather_part *p)
{
    for (size_t i = 0; i < p->matrices; i++) {
        free(p->matrix[i]->padding);
        free(p->matrix[i]);
    }
    for (size_t i = 0; i < p->sets; i++)
        free(p->set[i]);
    free(p->matrix);
    free(p->set);
    free(p->file);
}

void am_gather_done(struct am_gather *g)
{
    for (size_t i = 0; g->part && i < g->parts; i++)
        part_done(&g->part[i]);
    free(g->part);
    *g = (struct am_gather){0};
}
