/*
 * run_window.c - one window: read every source, then tile by tile convert, look for values that are no numbers, compute
 * and convert back. Runs on the crew's threads and touches its own slot only.
 */
#include "core/base/err.h"
#include "core/base/sys.h"
#include "core/methods/run_parts.h"
#include "core/tensor/kernels.h"

#include <errno.h>
#include <string.h>

struct job {
    const struct am_run_state *s;
    struct am_slot *slot;
    struct am_window w;
    const struct am_tensor *source[AM_MAX_INPUTS * 2 + 2]; /* the tensor in each source */
    const struct am_delta *delta[AM_MAX_INPUTS * 2 + 2];   /* what an adapter adds to it, or NULL */
    size_t change;                                         /* the source of which only that counts; or none */
    size_t at, n;                                          /* the chunk at work: elements of the window */
    bool bf16;                                             /* every source is: the method may get it so */
    bool whole;                                            /* it is in slot->in */
    bool looks;                                            /* for values that are no numbers: once for each element */
};

static int fail(struct am_slot *slot, int rc, const char *label)
{
    slot->fault.rc = rc;
    slot->fault.errno_value = errno;
    slot->fault.label = label;
    return rc;
}

static int fail_value(struct am_slot *slot, const char *reason, const char *label, uint64_t at, size_t count)
{
    slot->fault =
        (struct am_slot_fault){.rc = -AM_E_NON_FINITE, .reason = reason, .label = label, .first = at, .count = count};
    return -AM_E_NON_FINITE;
}

/* So far behind the multiple of 64 at which the buffer begins. */
static unsigned char *behind(unsigned char *buffer, size_t apart)
{
    return buffer - (uintptr_t)buffer % 64 + apart;
}

/* The whole chunk of every source, once. */
static int read_sources(struct job *j)
{
    const struct am_run_state *s = j->s;
    struct am_slot *slot = j->slot;
    for (size_t k = 0; !j->whole && k < s->sources; k++) {
        if (!j->source[k])
            continue;
        size_t size = am_dtype_bits(j->source[k]->dtype) / 8;
        uint64_t at = (slot->first + j->at) * size;
        const struct am_model *m = s->source[k]->model;
        slot->in[k] = behind(slot->in[k], am_sys_apart_read(am_model_offset(m, j->source[k], at)));
        int rc = am_model_read(m, j->source[k], slot->in[k], j->n * size, at);
        if (rc < 0)
            return fail(slot, rc, s->source[k]->label);
    }
    j->whole = true;
    return 0;
}

/* A tile that was converted, as its adapter makes it. `raw`: its bytes as stored, which are not needed any more. */
static void adapt(struct job *j, size_t k, unsigned char *raw)
{
    float *x = j->slot->value[k];
    if (!j->delta[k])
        return;
    if (k == j->change)
        am_delta_fill(j->delta[k], x, j->w.first, j->w.n);
    else
        am_delta_add(j->delta[k], x, j->w.first, j->w.n);
    am_run_round(j->s, j->s->source[k], j->slot->item->donor->name, raw, x, j->w.n);
}

/* A few elements of every source, without the rest of the chunk. */
static int read_piece(struct job *j, size_t at)
{
    const struct am_run_state *s = j->s;
    struct am_slot *slot = j->slot;
    size_t base = s->r->base.model != NULL, n = 0;
    for (size_t k = 0; k < s->sources; k++) {
        const struct am_tensor *t = j->source[k];
        if (!t)
            continue;
        size_t size = am_dtype_bits(t->dtype) / 8;
        int rc = am_model_read(s->source[k]->model, t, slot->in[k], j->w.n * size, (slot->first + j->at + at) * size);
        if (rc < 0)
            return fail(slot, rc, s->source[k]->label);
        am_load_f32(t->dtype, slot->in[k], slot->value[k], j->w.n);
        adapt(j, k, slot->in[k]);
        if (k >= base)
            slot->x[n++] = slot->value[k];
    }
    j->w.base = base ? slot->value[0] : NULL;
    return 0;
}

/* Values that are no numbers in an input's tile are told, or counted. */
static int check_input(struct job *j, const float *x, const char *label, enum am_dtype dtype)
{
    size_t count = 0, first = am_nonfinite_f32(x, j->w.n, &count);
    j->slot->nonfinite += count;
    if (count == 0 || j->s->r->propagate_nonfinite)
        return 0;
    fail_value(j->slot, "input-not-finite", label, j->w.first + first, count);
    j->slot->fault.f64 = dtype == AM_F64;
    return j->slot->fault.rc;
}

/* One source's tile, from element `at` of the chunk, as f32: converted, or where it lies. */
static int load_tile(struct job *j, size_t k, size_t at, const float **ret)
{
    struct am_slot *slot = j->slot;
    enum am_dtype dtype = j->source[k]->dtype;
    const unsigned char *raw = slot->in[k] + at * (am_dtype_bits(dtype) / 8);
    bool finite = false; /* as far as is known yet */
    *ret = slot->value[k];
    if (dtype == AM_F32 && !j->delta[k])
        *ret = (const float *)(const void *)raw;
    else
        finite = am_load_f32(dtype, raw, slot->value[k], j->w.n) && !j->delta[k];
    adapt(j, k, slot->in[k] + at * (am_dtype_bits(dtype) / 8));
    return finite || !j->looks ? 0 : check_input(j, *ret, j->s->source[k]->label, dtype);
}

/* Source k's tile of BF16 as it lies there. */
static const uint16_t *stored_tile(const struct job *j, size_t k, size_t at)
{
    return (const uint16_t *)(const void *)j->slot->in[k] + at;
}

static void point_at_tiles(struct job *j, size_t at)
{
    struct am_slot *slot = j->slot;
    const bool base = j->s->r->base.model != NULL;
    for (size_t k = 0; k < j->s->sources; k++) {
        if (base && k == 0)
            j->w.base16 = stored_tile(j, k, at);
        else
            slot->x16[k - base] = stored_tile(j, k, at);
    }
    j->w.x16 = slot->x16;
    j->w.base = NULL;
    j->w.x = NULL;
}

static bool finite_tiles(const struct job *j, size_t at)
{
    for (size_t k = 0; k < j->s->sources; k++)
        if (!am_finite_bf16(stored_tile(j, k, at), j->w.n))
            return false;
    return true;
}

/* From the inputs to the result as they are stored. False: step by step, then. */
static bool apply_stored(struct job *j, size_t at)
{
    const struct am_method *m = j->s->r->method;
    struct am_slot *slot = j->slot;
    if (slot->work != AM_SLOT_APPLY || !m->apply_bf16 || !j->bf16 || slot->item->out_dtype != AM_BF16)
        return false;
    point_at_tiles(j, at);
    return m->apply_bf16(&j->w, slot->item->turn->acc, (uint16_t *)(void *)slot->out + j->at + at);
}

static void give_floats(struct job *j)
{
    j->w.base16 = NULL;
    j->w.x16 = NULL;
    j->w.x = j->slot->x;
}

static int load_tiles(struct job *j, size_t at)
{
    size_t k = 0;
    if (j->bf16 && (!j->looks || finite_tiles(j, at))) {
        point_at_tiles(j, at);
        return 0;
    }
    give_floats(j);
    if (j->s->r->base.model)
        AM_TRY(load_tile(j, k++, at, &j->w.base));
    for (size_t i = 0; k < j->s->sources; k++)
        if (j->source[k])
            AM_TRY(load_tile(j, k, at, &j->slot->x[i++]));
    return 0;
}

/* Where the inputs were finite, what is not finite now has left the range of F32; clamping is for the dtype of the
 * result. */
static int check_result(struct job *j)
{
    const struct am_run *r = j->s->r;
    size_t count = 0;
    if (r->propagate_nonfinite)
        return 0;
    size_t at = am_nonfinite_f32(j->w.out, j->w.n, &count);
    if (count && r->overflow != AM_OVERFLOW_INF)
        return fail_value(j->slot, "f32-overflow", NULL, j->w.first + at, count);
    j->slot->clamped += count;
    return 0;
}

static int store_tile(struct job *j, size_t at)
{
    const struct am_run *r = j->s->r;
    uint8_t dtype = j->slot->item->out_dtype;
    size_t size = am_dtype_bits(dtype) / 8, first = 0;
    bool finite;
    size_t over =
        am_store_f32(dtype, j->w.out, j->slot->out + (j->at + at) * size, j->w.n, r->overflow, &first, &finite);
    if (!finite)
        AM_TRY(check_result(j));
    if (over && r->overflow == AM_OVERFLOW_REFUSE)
        return fail_value(j->slot, dtype == AM_F16 ? "f16-overflow" : "overflow", NULL, j->w.first + first, over);
    j->slot->clamped += over;
    return 0;
}

static int tile(struct job *j, size_t at)
{
    const struct am_method *m = j->s->r->method;
    struct am_slot *slot = j->slot;
    bool piece = false;
    if (slot->work == AM_SLOT_STAT && m->look) {
        size_t first = 0, all = j->w.n;
        j->w.n = m->look(&j->w, j->s->sofar, j->s->pass, &first);
        if (j->w.n == 0)
            return 0;
        j->w.first += first;
        at += first;
        piece = !j->whole && j->w.n < all / 2;
    }
    if (slot->item->whole) { /* computed already */
        j->w.out = j->s->whole.x + j->w.first;
        return store_tile(j, at);
    }
    if (piece)
        give_floats(j);
    else
        AM_TRY(read_sources(j));
    if (apply_stored(j, at))
        return 0;
    AM_TRY(piece ? read_piece(j, at) : load_tiles(j, at));
    int rc = slot->work == AM_SLOT_STAT ? m->stat(&j->w, j->s->sofar, slot->acc, j->s->pass)
                                        : m->apply(&j->w, slot->item->turn->acc);
    if (rc < 0)
        return fail(slot, rc, NULL);
    return slot->work == AM_SLOT_STAT ? 0 : store_tile(j, at);
}

struct am_scope_info am_run_scope(const struct am_run_state *s, const struct am_run_item *item)
{
    const struct am_run *r = s->r;
    const struct am_run_some *some = item ? am_run_some_of(s, item->donor) : NULL;
    struct am_scope_info scope = {
        .args = am_run_args(s, item), .inputs = some ? some->inputs : r->inputs, .seed = r->seed};
    scope.layer = item ? am_depth_layer(&s->depth, item->donor->name) : AM_NO_LAYER;
    scope.layers = s->depth.count;
    if (item) {
        scope.tensor = (struct am_tensor_info){item->donor->name, item->donor->rank, item->donor->shape};
        scope.elements = item->donor->elements;
    }
    return scope;
}

static void prepare(struct job *j)
{
    const struct am_run_state *s = j->s;
    const struct am_method *m = s->r->method;
    struct am_slot *slot = j->slot;
    bool stat = slot->work == AM_SLOT_STAT;
    struct am_scope_info scope = am_run_scope(s, slot->item);
    memset(slot->acc, 0, stat ? s->size.acc : 0);
    memset(slot->tally, 0, s->size.tally);
    memset(slot->local, 0, s->size.local);
    if (m->prepare)
        m->prepare(&scope, slot->local);
    bool first_stat = stat && s->pass == 0 && s->round == 0;
    bool all_first = m->needs.passes > 0 && !m->look; /* the first statistics see every element */
    j->looks = all_first ? first_stat : !stat;
    const struct am_delta *change = s->r->change_only ? am_run_delta(&s->r->x[0], slot->item->donor->name) : NULL;
    j->w = (struct am_window){.index = slot->index,
                              .x = slot->x,
                              .inputs = scope.inputs,
                              .change = change && change->left,
                              .out = stat ? NULL : slot->value[s->sources],
                              .scratch = slot->value + s->sources + 1,
                              .tally = stat ? NULL : slot->tally,
                              .list = stat ? slot->out : NULL,
                              .list_bytes = stat ? (size_t)s->size.out : 0,
                              .scope_list = stat ? s->lists : NULL,
                              .mask_words = slot->item->mask_words,
                              .local = slot->local};
    j->change = j->w.change ? (s->r->base.model != NULL) : SIZE_MAX;
}

static int chunk(struct job *j)
{
    struct am_slot *slot = j->slot;
    size_t span = (size_t)slot->item->tile;
    j->whole = false;
    for (size_t at = 0; at < j->n; at += span, j->w.tile++) {
        j->w.n = j->n - at < span ? j->n - at : span;
        j->w.first = slot->first + j->at + at;
        if (slot->item->rows_kept)
            j->w.row = slot->item->turn->row + j->w.first / span * j->s->r->method->needs.row_doubles;
        if (slot->item->mask_words)
            j->w.mask = slot->item->turn->mask + j->w.first / span * j->w.inputs * j->w.mask_words;
        AM_TRY(tile(j, at));
    }
    return 0;
}

/* The donor's value: a tensor that is passed on in another dtype, or as the donor's adapter makes it. */
static int convert(struct job *j)
{
    const struct am_run_state *s = j->s;
    struct am_slot *slot = j->slot;
    const struct am_run_input *donor = am_run_adapted(s, slot->item->donor->name);
    const struct am_delta *delta = donor ? am_run_delta(donor, slot->item->donor->name) : NULL;
    const struct am_model *m = donor ? donor->model : s->r->donor;
    const struct am_tensor *t = am_run_passed(s, slot->item);
    size_t size = am_dtype_bits(t->dtype) / 8, span = (size_t)slot->item->tile;
    const char *label = donor ? donor->label : "the donor";
    int rc = am_model_read(m, t, slot->in[0], j->n * size, (slot->first + j->at) * size);
    if (rc < 0)
        return fail(slot, rc, label);
    for (size_t at = 0; at < j->n; at += span) {
        j->w.n = j->n - at < span ? j->n - at : span;
        j->w.first = slot->first + j->at + at;
        j->w.out = slot->value[0];
        am_load_f32(t->dtype, slot->in[0] + at * size, slot->value[0], j->w.n);
        if (delta) {
            am_delta_add(delta, slot->value[0], j->w.first, j->w.n);
            am_run_round(s, donor, t->name, slot->in[0] + at * size, slot->value[0], j->w.n);
        }
        AM_TRY(check_input(j, slot->value[0], label, t->dtype));
        AM_TRY(store_tile(j, at));
    }
    return 0;
}

/* Every step is rounded as mergekit's: from f32. */
static bool exact(const struct am_args *args)
{
    return am_arg_has(args, "compat") && strcmp(am_arg_text(args, "compat"), "exact") == 0;
}

static int compute(const struct am_run_state *s, struct am_slot *slot)
{
    struct job j = {.s = s, .slot = slot};
    size_t span = (size_t)slot->item->chunk;
    prepare(&j);
    j.bf16 = s->r->method->needs.bf16 && !exact(am_run_args(s, slot->item));
    for (size_t k = 0; k < s->sources; k++) {
        j.source[k] = am_run_source(s, k, slot->item);
        j.delta[k] = am_run_delta(s->source[k], slot->item->donor->name);
        j.bf16 &= j.source[k] && j.source[k]->dtype == AM_BF16 && !j.delta[k];
    }
    for (j.at = 0; j.at < slot->n; j.at += span) {
        j.n = slot->n - j.at < span ? slot->n - j.at : span;
        AM_TRY(slot->item->pass ? convert(&j) : chunk(&j));
    }
    slot->bytes = slot->work == AM_SLOT_APPLY ? slot->n * (am_dtype_bits(slot->item->out_dtype) / 8) : 0;
    return 0;
}

static int compare(const struct am_run_state *s, struct am_slot *slot, const struct am_run_input *in)
{
    const struct am_tensor *t = slot->item->donor;
    if (!in->model || am_run_is_donor(s, in) || am_dtype_computed(t->dtype))
        return 0;
    const struct am_tensor *own = am_run_takes(in, t->name) ? am_model_find(in->model, t->name) : NULL;
    if (!own)
        return 0;
    int rc = am_model_read(in->model, own, slot->other, slot->n, slot->first);
    if (rc < 0)
        return fail(slot, rc, in->label);
    slot->differs |= memcmp(slot->other, slot->out, slot->n) != 0;
    return 0;
}

static int copy(const struct am_run_state *s, struct am_slot *slot)
{
    int rc = am_model_read(s->r->donor, slot->item->donor, slot->out, slot->n, slot->first);
    if (rc < 0)
        return fail(slot, rc, "the donor");
    AM_TRY(compare(s, slot, &s->r->base));
    for (size_t i = 0; i < s->r->inputs; i++)
        AM_TRY(compare(s, slot, &s->r->x[i]));
    slot->bytes = slot->n;
    return 0;
}

/* Of the result in its file. */
static uint64_t place(const struct am_slot *slot)
{
    bool computed = slot->work == AM_SLOT_APPLY;
    return slot->first * (computed ? am_dtype_bits(slot->item->out_dtype) / 8 : 1);
}

/* By the thread that computed it: the bytes are in its caches still, and the hash, which must be taken in file order,
   is all that is left for one thread to do. */
static int write_out(const struct am_run_state *s, struct am_slot *slot)
{
    int rc = slot->target ? am_output_write(&s->out, slot->target, slot->out, slot->bytes, place(slot)) : 0;
    return rc < 0 ? fail(slot, rc == -AM_E_INTERNAL ? -AM_E_CANNOT_WRITE : rc, NULL) : 0;
}

void am_slot_run(const struct am_run_state *s, struct am_slot *slot)
{
    slot->fault = (struct am_slot_fault){0};
    slot->nonfinite = slot->clamped = 0;
    slot->differs = false;
    slot->bytes = 0;
    bool copies = slot->work == AM_SLOT_COPY || slot->work == AM_SLOT_COMPARE, computed = slot->work == AM_SLOT_APPLY;
    slot->out = behind(slot->out, computed ? am_sys_apart_write(slot->target->st.begin + place(slot)) : 0);
    int rc = copies ? copy(s, slot) : compute(s, slot);
    if (rc == 0)
        rc = write_out(s, slot);
    if (rc < 0 && slot->fault.rc == 0)
        fail(slot, rc, NULL);
}
