/*
 * patch_choose.c - what becomes of each tensor (patch_parts.h). An adapter holds factors for modules, biases, and whole
 * modules that have no others below them; PEFT has no place for anything else.
 */
#include "core/base/err.h"
#include "core/base/text.h"
#include "core/methods/patch_parts.h"
#include "core/tensor/kernels.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int am_patch_progress(struct am_patch_state *s, uint64_t bytes)
{
    const struct am_run *r = s->r;
    s->bytes_done += bytes;
    return r->progress ? r->progress(r->ctx, s->bytes_done, s->bytes_total, s->tensors_done, s->items) : 0;
}

int am_patch_unread(struct am_patch_state *s, int rc, const char *tensor, const struct am_run_input *in)
{
    return am_fault_add(s->faults, -rc, (struct am_where){.tensor = tensor}, "%.300s of %.300s cannot be read: %s",
                        tensor, in->label,
                        rc == -AM_E_STORE_DAMAGED ? "its file is shorter than its version says" : strerror(errno));
}

static bool listed(const struct am_patch_state *s, const char *list, const char *name)
{
    size_t n;
    const char *const *pattern = am_arg_list(s->r->args, list, &n);
    for (size_t i = 0; i < n; i++)
        if (am_glob(pattern[i], name))
            return true;
    return false;
}

static bool is(const struct am_patch_state *s, const char *param, const char *value)
{
    return strcmp(am_arg_text(s->r->args, param), value) == 0;
}

/* core/table/plan_patch.c knows the same rule. */
static bool gets_factors(const struct am_patch_state *s, const struct am_tensor *t)
{
    unsigned most = is(s, "conv", "flatten") ? AM_PATCH_AXES : 2;
    return am_dtype_computed(t->dtype) && t->elements > 0 && t->rank >= 2 && t->rank <= most &&
           am_ends(t->name, ".weight") && listed(s, "include", t->name) && !listed(s, "exclude", t->name);
}

static size_t module_of(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? (size_t)(dot - name) : 0;
}

/* Bytes of the name of the module that is saved whole because of what it is called; 0: none. */
static size_t whole_of(const struct am_patch_state *s, const char *name)
{
    for (const char *const *end = s->r->whole; end && *end; end++) {
        size_t n = am_module_ending(name, *end);
        if (n)
            return n;
    }
    return 0;
}

static void choose_one(struct am_patch_state *s, struct am_patch_item *item)
{
    const struct am_tensor *t = item->base;
    size_t whole = whole_of(s, t->name);
    if (whole) {
        item->module = whole;
        item->saved = true;
    }
    if (whole || !gets_factors(s, t))
        return;
    item->kind = AM_PATCH_FACTORS;
    item->rows = (size_t)t->shape[0];
    item->cols = (size_t)t->elements / item->rows;
    item->embeds = t->rank == 2 && listed(s, "embeddings", t->name);
    item->in_out = t->rank == 2 && !item->embeds && listed(s, "in_out", t->name);
    item->turned = item->embeds || item->in_out;
}

/* Names of a module and of those below it stand together. */
static bool in_module(const struct am_patch_item *item, const char *name, size_t module)
{
    return strncmp(item->base->name, name, module) == 0 && item->base->name[module] == '.';
}

static struct am_patch_item *first_of(const struct am_patch_state *s, struct am_patch_item *item)
{
    while (item > s->item && in_module(item - 1, item->base->name, item->module))
        item--;
    return item;
}

/* A bias is one of a module with factors when its weights are. */
static void find_biases(struct am_patch_state *s)
{
    const struct am_patch_item *end = s->item + s->items;
    for (struct am_patch_item *b = s->item; b < end; b++) {
        if (b->kind != AM_PATCH_OTHER || !b->module || !am_streq(b->base->name + b->module, ".bias"))
            continue;
        for (const struct am_patch_item *w = b + 1; w < end && in_module(w, b->base->name, b->module); w++)
            if (w->kind == AM_PATCH_FACTORS && w->module == b->module) {
                b->kind = AM_PATCH_BIAS;
                b->weights = w;
            }
    }
}

int am_patch_choose(struct am_patch_state *s)
{
    size_t factors = 0;
    for (size_t i = 0; i < s->items; i++) {
        struct am_patch_item *item = &s->item[i];
        item->base = &s->r->donor->tensor[i];
        item->tuned = am_model_find(s->r->x[0].model, item->base->name);
        item->in = item->tuned ? &s->r->x[0] : &s->r->base;
        item->tuned = item->tuned ? item->tuned : item->base;
        item->kind = AM_PATCH_OTHER;
        item->module = module_of(item->base->name);
        choose_one(s, item);
        bool reads = item->kind == AM_PATCH_FACTORS;
        factors += reads;
        s->read_f64 += reads && (item->base->dtype == AM_F64 || item->tuned->dtype == AM_F64);
        s->bytes_total += (item->base->bytes + item->tuned->bytes) * (reads ? 2 : 1);
    }
    find_biases(s);
    if (factors)
        return 0;
    return am_fault_add(s->faults, AM_E_BAD_SPEC,
                        (struct am_where){.pointer = "#/params/include", .reason = "selection-empty"},
                        "no weights of a module (a name that ends in .weight, two axes) are selected for factors");
}

/* Same bytes where they are stored alike, else same values. */
static int look(struct am_patch_state *s, const struct am_patch_item *item, unsigned char *other, float *values,
                bool *ret_differs)
{
    const struct am_tensor *t[2] = {item->base, item->tuned};
    const struct am_run_input *in[2] = {&s->r->base, item->in};
    unsigned char *raw[2] = {s->raw, other};
    bool alike = t[0]->dtype == t[1]->dtype;
    uint64_t step = alike ? AM_CHUNK : AM_CHUNK / 8, all = alike ? t[0]->bytes : t[0]->elements;
    for (uint64_t at = 0; at < all && !*ret_differs; at += step) {
        size_t n = (size_t)(all - at < step ? all - at : step);
        for (int k = 0; k < 2; k++) {
            size_t size = alike ? 1 : am_dtype_bits(t[k]->dtype) / 8;
            int rc = am_model_read(in[k]->model, t[k], raw[k], n * size, at * size);
            if (rc < 0)
                return am_patch_unread(s, rc, t[k]->name, in[k]);
            if (!alike)
                am_load_f32(t[k]->dtype, raw[k], values + (size_t)k * n, n);
        }
        *ret_differs = alike ? memcmp(raw[0], raw[1], n) != 0 : memcmp(values, values + n, n * sizeof(*values)) != 0;
    }
    return 0;
}

/* Whether that module has no other below it and no factors: then all of it can be saved, and is. */
static bool save_module(struct am_patch_state *s, struct am_patch_item *item)
{
    struct am_patch_item *first = first_of(s, item), *end = s->item + s->items, *i;
    const char *name = item->base->name;
    if (!item->module)
        return false;
    for (i = first; i < end && in_module(i, name, item->module); i++)
        if (i->module != item->module || i->kind != AM_PATCH_OTHER)
            return false;
    for (i = first; i < end && in_module(i, name, item->module); i++)
        i->saved = true;
    return true;
}

static int keep(struct am_patch_state *s, struct am_patch_item *item)
{
    const char *name = item->base->name;
    if (is(s, "others", "drop")) {
        s->dropped++;
        return 0;
    }
    item->saved = item->kind == AM_PATCH_BIAS;
    if (item->saved || save_module(s, item))
        return 0;
    am_fault_add(s->faults, AM_E_BAD_INPUT, (struct am_where){.reason = "not-adaptable", .tensor = name},
                 "%.300s differs, and an adapter cannot hold it: it is neither weight nor bias of a module of its own; "
                 "set others to drop to leave such tensors as the base has them",
                 name);
    return 0;
}

int am_patch_compare(struct am_patch_state *s)
{
    unsigned char *other = malloc(AM_CHUNK);
    float *values = malloc(AM_CHUNK / 4 * sizeof(*values));
    int rc = other && values ? 0 : -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; rc == 0 && i < s->items; i++) {
        struct am_patch_item *item = &s->item[i];
        bool differs = false;
        if (item->kind == AM_PATCH_FACTORS)
            continue;
        if (!item->saved)
            rc = look(s, item, other, values, &differs);
        if (rc == 0 && differs)
            rc = keep(s, item);
        s->tensors_done++;
        if (rc == 0)
            rc = am_patch_progress(s, item->base->bytes + item->tuned->bytes);
    }
    free(other);
    free(values);
    if (rc == 0 && s->faults->total)
        rc = am_faults_worst(s->faults);
    return rc;
}
