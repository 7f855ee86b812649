/*
 * run_slots.c - how large the slots of a run are, and how many. core/table/plan.c computes the same before the job
 * runs.
 */
#include "core/base/err.h"
#include "core/base/sys.h"
#include "core/methods/run_parts.h"

#include <stdlib.h>
#include <string.h>

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void grow(uint64_t *at, uint64_t value)
{
    *at = value > *at ? value : *at;
}

static uint64_t line(uint64_t n)
{
    return (n + 63) / 64 * 64;
}

static uint64_t measure_copy(struct am_run_state *s, const struct am_run_item *item)
{
    bool compared = am_run_compares(s, item);
    uint64_t window = least(item->donor->bytes, AM_COPY_BYTES);
    if (!item->stored && !compared)
        return 0;
    grow(&s->size.out, line(window));
    grow(&s->size.other, compared ? line(window) : 0);
    return item->windows;
}

static uint64_t measure_computed(struct am_run_state *s, const struct am_run_item *item)
{
    struct am_run_sizes *z = &s->size;
    uint64_t window = least(item->donor->elements, item->window), chunk = least(window, item->chunk);
    grow(&z->tile, line(least(item->donor->elements, item->tile) * sizeof(float)));
    grow(&z->out, line(window * (am_dtype_bits(item->out_dtype) / 8) + AM_SYS_APART));
    for (size_t k = 0; k < s->sources; k++) {
        const struct am_tensor *t = item->pass ? am_run_passed(s, item) : am_run_source(s, k, item);
        if (t && (k == 0 || !item->pass))
            grow(&z->in[k], line(chunk * (am_dtype_bits(t->dtype) / 8) + AM_SYS_APART));
    }
    return item->windows;
}

static uint64_t slot_bytes(const struct am_run_state *s)
{
    const struct am_run_sizes *z = &s->size;
    uint64_t work = z->tile * z->tiles;
    for (size_t k = 0; k < s->sources; k++)
        work += z->in[k];
    return z->out + (work > z->other ? work : z->other) + z->acc + z->tally + z->local;
}

static uint64_t most_elements(const struct am_run_state *s)
{
    uint64_t most = 0;
    for (size_t i = 0; i < s->items; i++)
        grow(&most, s->item[i].selected ? s->item[i].donor->elements : 0);
    return most;
}

/* The largest tensor's: what its rows keep, and what an accumulator has for its columns. */
static void measure_vectors(struct am_run_state *s)
{
    const struct am_method *m = s->r->method;
    uint64_t most_rows = 0, most_columns = 0;
    for (size_t i = 0; i < s->items; i++) {
        const struct am_tensor *t = s->item[i].donor;
        if (!s->item[i].selected || t->elements == 0)
            continue;
        bool columns = m->needs.column_bytes && am_when_holds(m, m->needs.columns_when, am_run_args(s, &s->item[i]));
        grow(&most_rows, s->item[i].rows_kept ? t->elements / (t->rank ? t->shape[t->rank - 1] : 1) : 0);
        grow(&most_columns, columns ? t->elements / (t->rank ? t->shape[0] : 1) : 0);
    }
    s->size.rows = line(most_rows * m->needs.row_doubles * sizeof(double));
    s->size.acc += line(most_columns * m->needs.column_bytes);
}

static void measure_masks(struct am_run_state *s)
{
    for (size_t i = 0; s->r->method->needs.masks && i < s->items; i++) {
        struct am_run_item *item = &s->item[i];
        uint64_t bytes = item->selected ? am_masks_bytes(item->donor->elements, item->tile, s->r->inputs) : 0;
        item->mask_words = bytes ? (size_t)(item->tile + 31) / 32 : 0;
        grow(&s->size.masks, line(bytes));
    }
}

/* The largest windows that there are: a model of small tensors needs little. */
static void measure(struct am_run_state *s)
{
    const struct am_needs *needs = &s->r->method->needs;
    struct am_run_sizes *z = &s->size;
    uint64_t windows = 0;
    for (size_t i = 0; i < s->items; i++)
        windows += s->item[i].selected ? measure_computed(s, &s->item[i]) : measure_copy(s, &s->item[i]);
    z->tiles = s->sources + 1 + am_amount(needs->scratch, s->r->inputs);
    z->acc = line(am_amount(needs->acc, s->r->inputs));
    measure_vectors(s);
    z->lists = am_amount(needs->lists, s->r->inputs) * am_list_scope(most_elements(s));
    z->tally = line(am_amount(needs->tally, s->r->inputs) * sizeof(double));
    measure_masks(s);
    z->local = line(needs->local_bytes);
    uint64_t one = slot_bytes(s), fit = one ? AM_SLOTS_BYTES / one : 1;
    s->slots = (size_t)least(least((uint64_t)s->r->threads + AM_SLOTS_AHEAD, fit), windows);
    s->slots = s->slots ? s->slots : 1;
}

static void *part(unsigned char **at, uint64_t bytes)
{
    void *p = *at;
    *at += bytes;
    return p;
}

static int make_slot(struct am_run_state *s, struct am_slot *slot)
{
    const struct am_run_sizes *z = &s->size;
    slot->memory = aligned_alloc(64, slot_bytes(s) + 64);
    slot->in = calloc(s->sources + 1, sizeof(*slot->in));
    slot->value = calloc(z->tiles, sizeof(*slot->value));
    slot->x = calloc(s->r->inputs + 1, sizeof(*slot->x));
    slot->x16 = calloc(s->r->inputs + 1, sizeof(*slot->x16));
    if (!slot->memory || !slot->in || !slot->value || !slot->x || !slot->x16)
        return -AM_E_OUT_OF_MEMORY;
    unsigned char *at = slot->memory;
    slot->acc = part(&at, z->acc);
    slot->tally = part(&at, z->tally);
    slot->local = part(&at, z->local);
    slot->out = part(&at, z->out);
    slot->other = at;
    for (size_t k = 0; k < s->sources; k++)
        slot->in[k] = part(&at, z->in[k]);
    for (size_t i = 0; i < z->tiles; i++)
        slot->value[i] = part(&at, z->tile);
    return 0;
}

static void work(void *arg, size_t i)
{
    struct am_run_state *s = arg;
    am_slot_run(s, &s->slot[i]);
}

static void work_hash(void *arg, size_t i)
{
    struct am_run_state *s = arg;
    am_slot_hash(s, &s->slot[i]);
}

static int make_shared(struct am_run_state *s)
{
    const struct am_run_sizes *z = &s->size;
    /* rows and masks may be large */
    s->turns = s->model_scope ? 1 : z->rows || z->masks ? 2 : AM_TURNS;
    s->now = &s->turn[0];
    for (size_t i = 0; z->acc && i < s->turns; i++)
        if (!(s->turn[i].acc = aligned_alloc(64, z->acc)) ||
            (z->rows && !(s->turn[i].row = aligned_alloc(64, z->rows))) ||
            (z->masks && !(s->turn[i].mask = aligned_alloc(64, z->masks))))
            return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; z->masks && i < s->turns; i++)
        memset(s->turn[i].mask, 0, z->masks); /* the plan counts on it: not only when the largest tensor comes */
    s->lists = z->lists ? aligned_alloc(64, z->lists) : NULL;
    if (z->lists && !s->lists)
        return -AM_E_OUT_OF_MEMORY;
    AM_TRY(am_run_matrix_open(s));
    s->tally = calloc(1, z->tally + sizeof(double));
    s->total = calloc(1, z->tally + sizeof(double));
    return s->tally && s->total ? 0 : -AM_E_OUT_OF_MEMORY;
}

static int list_sources(struct am_run_state *s)
{
    s->source = calloc(s->r->inputs + 1, sizeof(*s->source));
    s->size.in = calloc(s->r->inputs + 1, sizeof(*s->size.in));
    if (!s->source || !s->size.in)
        return -AM_E_OUT_OF_MEMORY;
    if (s->r->base.model)
        s->source[s->sources++] = &s->r->base;
    for (size_t i = 0; i < s->r->inputs; i++)
        s->source[s->sources++] = &s->r->x[i];
    return 0;
}

int am_slots_open(struct am_run_state *s)
{
    AM_TRY(list_sources(s));
    measure(s);
    s->slot = calloc(s->slots, sizeof(*s->slot));
    if (!s->slot)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < s->slots; i++)
        AM_TRY(make_slot(s, &s->slot[i]));
    AM_TRY(make_shared(s));
    /* never fewer than two: what follows (hashing) goes on beside the work even of a job with one thread */
    s->crew = am_crew_new(s->r->threads < 2 ? 2 : s->r->threads, s->slots, work, work_hash, s);
    return s->crew ? 0 : -AM_E_OUT_OF_MEMORY;
}

void am_slots_done(struct am_run_state *s)
{
    am_ring_drop(s);
    am_crew_free(s->crew);
    for (size_t i = 0; s->slot && i < s->slots; i++) {
        free(s->slot[i].memory);
        free(s->slot[i].in);
        free(s->slot[i].value);
        free(s->slot[i].x);
        free(s->slot[i].x16);
    }
    free(s->slot);
    for (size_t i = 0; i < AM_TURNS; i++) {
        free(s->turn[i].acc);
        free(s->turn[i].row);
        free(s->turn[i].mask);
    }
    am_run_matrix_done(s);
    free(s->lists);
    free(s->tally);
    free(s->total);
    free(s->source);
    free(s->size.in);
}
