/*
 * adapter.c - see adapter.h. What the daemon found before is found again: the bytes are untrusted.
 */
#include "worker/adapter.h"

#include "core/base/text.h"
#include "core/tensor/kernels.h"

#include <stdlib.h>
#include <string.h>

#define PART 16384 /* elements read at a time */

static struct am_adapter_tensor as_row(const struct am_tensor *t)
{
    struct am_adapter_tensor row = {.name = t->name, .dtype = am_dtype_name(t->dtype), .rank = t->rank};
    for (unsigned i = 0; i < t->rank && i < AM_ADAPTER_RANKS; i++)
        row.shape[i] = t->shape[i];
    return row;
}

static struct am_adapter_tensor *rows_of(const struct am_model *m)
{
    struct am_adapter_tensor *row = calloc(m->tensors + 1, sizeof *row);
    for (size_t i = 0; row && i < m->tensors; i++)
        row[i] = as_row(&m->tensor[i]);
    return row;
}

/* A matrix [rows, columns] as f32, transposed or not. */
static int load(const struct am_model *m, const struct am_tensor *t, uint64_t columns, bool transposed, float **ret)
{
    uint64_t rows = columns ? t->elements / columns : 0;
    size_t size = am_dtype_bits(t->dtype) / 8;
    float *out = calloc(t->elements + 1, sizeof *out), *part = calloc(PART, sizeof *part);
    unsigned char *raw = calloc(PART, sizeof(double));
    int rc = out && part && raw ? 0 : -AM_E_OUT_OF_MEMORY;
    for (uint64_t at = 0; rc == 0 && at < t->elements; at += PART) {
        size_t n = t->elements - at < PART ? (size_t)(t->elements - at) : PART;
        rc = am_model_read(m, t, raw, n * size, at * size);
        if (rc < 0)
            break;
        am_load_f32(t->dtype, raw, part, n);
        for (size_t i = 0; i < n; i++) {
            uint64_t e = at + i;
            out[transposed ? e % columns * rows + e / columns : e] = part[i];
        }
    }
    free(raw);
    free(part);
    if (rc < 0)
        free(out);
    else
        *ret = out;
    return rc;
}

/* The factors in the order in which the tensor lies: with `swapped` A^T and B^T. */
static int take_pair(struct am_lora *l, const struct am_adapter_part *p, struct am_delta *d)
{
    const struct am_tensor *a = &l->m->tensor[p->a], *b = &l->m->tensor[p->b];
    uint64_t rank = a->shape[0], in = a->elements / rank;
    float *left = NULL, *right = NULL;
    d->rank = (size_t)rank;
    d->columns = p->swapped ? b->elements / rank : in;
    d->scale = (float)p->scale;
    AM_TRY(p->swapped ? load(l->m, a, in, true, &left) : load(l->m, b, rank, false, &left));
    d->left = left;
    AM_TRY(p->swapped ? load(l->m, b, rank, true, &right) : load(l->m, a, in, false, &right));
    d->right = right;
    return 0;
}

/* A vector is a matrix of one row whose left factor is 1. */
static int take_bias(struct am_lora *l, const struct am_adapter_part *p, struct am_delta *d)
{
    const struct am_tensor *t = &l->m->tensor[p->bias];
    float *one = calloc(1, sizeof *one), *right = NULL;
    if (!one)
        return -AM_E_OUT_OF_MEMORY;
    *one = 1;
    *d = (struct am_delta){.left = one, .columns = t->elements, .rank = 1, .scale = (float)p->scale};
    AM_TRY(load(l->m, t, t->elements, false, &right));
    d->right = right;
    return 0;
}

static int take_numbers(struct am_lora *l)
{
    l->delta = calloc(l->a.parts, sizeof *l->delta);
    if (!l->delta)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < l->a.parts; i++) {
        const struct am_adapter_part *p = &l->a.part[i];
        if (p->a != AM_ADAPTER_NONE)
            AM_TRY(take_pair(l, p, &l->delta[i]));
        else if (p->bias != AM_ADAPTER_NONE)
            AM_TRY(take_bias(l, p, &l->delta[i]));
    }
    return 0;
}

static int read_all(struct am_lora *l, const struct am_spec_input *in, const struct am_spec_input *base,
                    const struct am_model *base_model, struct am_faults *faults)
{
    struct am_adapter_about about = {in->label, base->label, "#/inputs"};
    size_t n = (size_t)in->config.bytes, before = faults->total;
    if (in->config.bytes > AM_ADAPTER_CONFIG_MAX)
        return -AM_E_BAD_INPUT;
    char *text = calloc(n + 1, 1);
    struct am_adapter_tensor *row = rows_of(l->m), *other = rows_of(base_model);
    int rc = text && row && other ? am_file_read(&in->config, text, n, 0) : -AM_E_OUT_OF_MEMORY;
    if (rc == 0)
        rc = am_adapter_read(&l->a, text, n, row, l->m->tensors, &about, faults);
    struct am_adapter_fit fit = {.a = &l->a, .t = row, .about = &about, .f = faults};
    for (size_t i = 0; rc == 0 && i < base_model->tensors; i++)
        am_adapter_meet(&fit, &other[i]);
    if (rc == 0)
        am_adapter_missed(&fit);
    if (rc == 0 && faults->total > before)
        rc = -AM_E_BAD_INPUT;
    free(other);
    free(row);
    free(text);
    return rc;
}

int am_lora_open(struct am_lora *ret, const struct am_spec_run *spec, const struct am_model *model, size_t head,
                 struct am_faults *faults)
{
    for (size_t k = 0; k < spec->inputs; k++) {
        const struct am_spec_input *in = &spec->input[k];
        if (!am_streq(in->role, "adapter") || in->of != head)
            continue;
        *ret = (struct am_lora){.m = &model[k], .label = in->label};
        AM_TRY(read_all(ret, in, &spec->input[head], &model[head], faults));
        return take_numbers(ret);
    }
    return 0;
}

const struct am_delta *am_lora_find(const struct am_lora *l, const char *tensor, const struct am_tensor **ret_whole)
{
    const struct am_adapter_part *p = l->a.parts ? am_adapter_find(&l->a, tensor) : NULL;
    if (!p)
        return NULL;
    *ret_whole = p->whole != AM_ADAPTER_NONE ? &l->m->tensor[p->whole] : NULL;
    return &l->delta[p - l->a.part];
}

void am_lora_done(struct am_lora *l)
{
    for (size_t i = 0; l->delta && i < l->a.parts; i++) {
        free((float *)(uintptr_t)l->delta[i].left);
        free((float *)(uintptr_t)l->delta[i].right);
    }
    free(l->delta);
    am_adapter_done(&l->a);
    *l = (struct am_lora){0};
}
