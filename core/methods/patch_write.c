/*
 * patch_write.c - the file of an adapter, from the spool and the fine-tune (patch_parts.h).
 */
#include "core/base/err.h"
#include "core/base/sys.h"
#include "core/base/text.h"
#include "core/methods/patch_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOT "base_model.model."

struct piece { /* one tensor of the file; am_out_tensor.user */
    const struct am_patch_item *item;
    bool spooled;
    uint64_t at;             /* in the spool */
    uint64_t row, spool_row; /* bytes of a row, of which the spool has the first */
};

struct sheet {
    struct am_patch_state *s;
    struct am_out_want *want;
    struct piece *piece;
    size_t n;
};

static int add(struct sheet *h, const struct piece *p, uint8_t dtype, const uint64_t *shape, uint8_t rank, char *name)
{
    struct am_patch *patch = &h->s->patch;
    if (!name)
        return -AM_E_OUT_OF_MEMORY;
    patch->name[patch->names++] = name;
    h->piece[h->n] = *p;
    h->want[h->n] =
        (struct am_out_want){.name = name, .shape = shape, .dtype = dtype, .rank = rank, .user = &h->piece[h->n]};
    h->n++;
    return 0;
}

/* "base_model.model." MODULE rest, for free(). */
static char *name_of(const struct am_patch_item *item, size_t bytes, const char *rest)
{
    size_t n = sizeof(ROOT) + bytes + strlen(rest);
    char *name = malloc(n);
    if (name)
        snprintf(name, n, ROOT "%.*s%s", (int)bytes, item->base->name, rest);
    return name;
}

/* A is [r, in, ...], B [out, r, 1, ...] of a convolution; both have two axes else. */
static int add_factors(struct sheet *h, const struct am_patch_item *item)
{
    const struct am_tensor *t = item->base;
    struct am_patch *patch = &h->s->patch;
    uint64_t *a = patch->shape[patch->names], *b = patch->shape[patch->names + 1];
    size_t in = item->turned ? item->rows : item->cols, size = am_dtype_bits((enum am_dtype)h->s->dtype) / 8;
    uint64_t row = size * item->wide, spool_row = size * item->rank;
    for (unsigned k = 1; k < t->rank; k++) {
        a[k] = t->rank == 2 ? in : t->shape[k];
        b[k] = k == 1 ? item->wide : 1;
    }
    a[0] = item->wide;
    b[0] = item->turned ? item->cols : item->rows;
    struct piece pa = {item, true, item->at, row * in, spool_row * in},
                 pb = {item, true, item->at + spool_row * in, row, spool_row};
    AM_TRY(add(h, &pa, h->s->dtype, a, t->rank,
               name_of(item, item->module, item->embeds ? ".lora_embedding_A" : ".lora_A.weight")));
    return add(h, &pb, h->s->dtype, b, t->rank,
               name_of(item, item->module, item->embeds ? ".lora_embedding_B" : ".lora_B.weight"));
}

/* The bias of a module with factors is, in PEFT, one of the module that the factors stand around. */
static int add_saved(struct sheet *h, const struct am_patch_item *item)
{
    const struct am_tensor *t = item->tuned;
    bool wrapped = item->weights && item->weights->wide;
    struct piece p = {.item = item};
    char *name =
        wrapped ? name_of(item, item->module, ".base_layer.bias") : name_of(item, strlen(item->base->name), "");
    return add(h, &p, t->dtype, t->shape, t->rank, name);
}

static void list_modules(struct am_patch_state *s)
{
    struct am_patch *p = &s->patch;
    for (size_t i = 0; i < s->items; i++) {
        const struct am_patch_item *item = &s->item[i];
        struct am_patch_module m = {item->base->name, item->module, item->wide};
        const struct am_patch_module *last = p->saves ? &p->saved[p->saves - 1] : NULL;
        if (item->kind == AM_PATCH_FACTORS && item->wide) {
            p->target[p->targets++] = m;
            p->rank = m.rank > p->rank ? m.rank : p->rank;
            p->in_out = p->in_out || item->in_out;
        }
        if (item->kind == AM_PATCH_OTHER && item->saved &&
            !(last && last->bytes == m.bytes && memcmp(last->name, m.name, m.bytes) == 0))
            p->saved[p->saves++] = m;
        p->biases = p->biases || (item->kind == AM_PATCH_BIAS && item->saved);
    }
}

static int make_lists(struct am_patch_state *s)
{
    struct am_patch *p = &s->patch;
    p->target = calloc(s->items + 1, sizeof(*p->target));
    p->saved = calloc(s->items + 1, sizeof(*p->saved));
    if (!p->target || !p->saved)
        return -AM_E_OUT_OF_MEMORY;
    list_modules(s);
    size_t most = 2 * p->targets + s->items + 1;
    p->name = calloc(most, sizeof(*p->name));
    p->shape = calloc(most, sizeof(*p->shape));
    if (!p->name || !p->shape)
        return -AM_E_OUT_OF_MEMORY;
    if (p->targets)
        return 0;
    return am_fault_add(s->faults, AM_E_BAD_INPUT, (struct am_where){.reason = "no-difference"},
                        "no matrix of %.300s differs from that of %.300s above sv_epsilon, and an adapter without "
                        "factors is none; look at the two versions, or at include and exclude",
                        s->r->x[0].label, s->r->base.label);
}

static int list_pieces(struct sheet *h)
{
    size_t most = 2 * h->s->patch.targets + h->s->items + 1;
    h->want = calloc(most, sizeof(*h->want));
    h->piece = calloc(most, sizeof(*h->piece));
    if (!h->want || !h->piece)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < h->s->items; i++) {
        const struct am_patch_item *item = &h->s->item[i];
        if (item->kind == AM_PATCH_FACTORS && item->wide)
            AM_TRY(add_factors(h, item));
        else if (item->saved)
            AM_TRY(add_saved(h, item));
    }
    return 0;
}

static int fault_write(struct am_patch_state *s, int rc)
{
    return am_fault_add(s->faults, rc == -AM_E_DISK ? AM_E_DISK : AM_E_CANNOT_WRITE, (struct am_where){0},
                        "the result cannot be written: %s", strerror(errno));
}

/* Rows that are longer than those of the spool end in zeros. */
static int read_spool(struct am_patch_state *s, const struct piece *p, size_t n, uint64_t at)
{
    if (p->row == p->spool_row)
        return am_sys_pread(s->spool, s->raw, n, p->at + at);
    memset(s->raw, 0, n);
    for (uint64_t end = at + n, left; at < end; at += left) {
        uint64_t row = at / p->row, in = at % p->row, to = end - at;
        left = p->row - in < to ? p->row - in : to;
        uint64_t has = in < p->spool_row ? p->spool_row - in : 0, m = has < left ? has : left;
        if (m)
            AM_TRY(am_sys_pread(s->spool, s->raw + (n - to), (size_t)m, p->at + row * p->spool_row + in));
    }
    return 0;
}

static int read_piece(struct am_patch_state *s, const struct piece *p, size_t n, uint64_t at)
{
    const struct am_run_input *in = p->item->in;
    if (p->spooled)
        return read_spool(s, p, n, at) < 0 ? fault_write(s, -AM_E_CANNOT_WRITE) : 0;
    int rc = am_model_read(in->model, p->item->tuned, s->raw, n, at);
    return rc < 0 ? am_patch_unread(s, rc, p->item->tuned->name, in) : 0;
}

static int copy(struct am_patch_state *s, const struct am_out_tensor *t)
{
    uint64_t all = t->st.end - t->st.begin;
    for (uint64_t at = 0; at < all; at += AM_CHUNK) {
        size_t n = all - at < AM_CHUNK ? (size_t)(all - at) : AM_CHUNK;
        AM_TRY(read_piece(s, t->user, n, at));
        int rc = am_output_write(&s->out, t, s->raw, n, at);
        if (rc < 0)
            return fault_write(s, rc);
        AM_TRY(am_output_hash(&s->out, t, s->raw, n));
        AM_TRY(am_patch_progress(s, n));
    }
    return 0;
}

static int write_all(struct sheet *h)
{
    struct am_patch_state *s = h->s;
    const struct am_out_place place = {.path = AM_PATCH_FILE};
    AM_TRY(list_pieces(h));
    uint32_t *of = calloc(h->n + 1, sizeof(*of)); /* all in the one file */
    struct am_out_plan plan = {.place = &place, .files = 1, .of = of};
    int rc =
        of ? am_output_open_as(&s->out, s->r->staging, s->r->first_number, h->want, h->n, &plan) : -AM_E_OUT_OF_MEMORY;
    free(of);
    if (rc < 0 && rc != -AM_E_OUT_OF_MEMORY)
        return fault_write(s, rc);
    s->bytes_total = s->bytes_done + s->out.data_bytes;
    for (size_t i = 0; rc == 0 && i < s->out.tensors; i++)
        rc = copy(s, &s->out.t[i]);
    AM_TRY(rc);
    rc = am_output_finish(&s->out);
    return rc < 0 ? fault_write(s, rc) : 0;
}

static bool is_expert(const struct am_patch_item *item)
{
    return strstr(item->base->name, ".experts.") && item->base->rank == 2;
}

static bool is_router(const struct am_patch_item *item)
{
    return am_ends(item->base->name, ".gate.weight");
}

/* Experts and routers get the rank of all, see patch.h; experts that do not differ, when others do. */
static void widen(struct am_patch_state *s)
{
    size_t most = 0;
    bool experts = false, differ = false;
    for (size_t i = 0; i < s->items; i++) {
        struct am_patch_item *item = &s->item[i];
        item->wide = item->rank;
        most = item->rank > most ? item->rank : most;
        experts = experts || is_expert(item);
        differ = differ || (is_expert(item) && item->rank);
    }
    for (size_t i = 0; i < s->items; i++) {
        struct am_patch_item *item = &s->item[i];
        if (item->kind == AM_PATCH_FACTORS &&
            ((differ && is_expert(item)) || (experts && item->rank && is_router(item))))
            item->wide = most;
    }
}

int am_patch_write(struct am_patch_state *s)
{
    struct sheet h = {.s = s};
    widen(s);
    AM_TRY(make_lists(s));
    int rc = write_all(&h);
    for (size_t i = 0; i < s->out.tensors; i++)
        s->out.t[i].user = NULL;
    free(h.want);
    free(h.piece);
    return rc;
}
