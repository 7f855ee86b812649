/*
 * adding.c - see adding.h.
 */
#include "worker/adding.h"

#include "core/base/err.h"
#include "core/table/families.h"
#include "worker/stack.h"

#include <stdlib.h>
#include <string.h>

struct row { /* a tensor and its own name, sorted together */
    struct am_tensor tensor;
    const char *own;
};

/* Everything of `in`, with room for more. */
static int open_view(struct am_adding_view *v, const struct am_run_input *in, size_t tensors, size_t files,
                     struct row **ret)
{
    const struct am_model *m = in->model;
    v->file = calloc(m->files + files + 1, sizeof *v->file);
    v->model.tensor = calloc(m->tensors + tensors + 1, sizeof *v->model.tensor);
    v->own = in->own ? calloc(m->tensors + tensors + 1, sizeof *v->own) : NULL;
    struct row *row = calloc(m->tensors + tensors + 1, sizeof *row);
    *ret = row;
    if (!v->file || !v->model.tensor || !row || (in->own && !v->own))
        return -AM_E_OUT_OF_MEMORY;
    if (m->files)
        memcpy(v->file, m->file, m->files * sizeof *v->file);
    v->model.file = v->file;
    v->model.files = m->files;
    for (size_t i = 0; i < m->tensors; i++)
        row[v->model.tensors++] = (struct row){m->tensor[i], in->own ? in->own[i] : m->tensor[i].name};
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct row *)a)->tensor.name, ((const struct row *)b)->tensor.name);
}

static void close_view(struct am_adding_view *v, struct row *row)
{
    qsort(row, v->model.tensors, sizeof *row, by_name);
    for (size_t i = 0; i < v->model.tensors; i++) {
        v->model.tensor[i] = row[i].tensor;
        if (v->own)
            v->own[i] = row[i].own;
    }
}

/* ---- tied heads ---- */

static const struct am_tensor *find(const struct am_adding *a, size_t i, const char *tensor)
{
    return a->in[i].model ? am_model_find(a->in[i].model, tensor) : NULL;
}

static bool same(void *ctx, size_t i, const char *a, size_t k, const char *b)
{
    const struct am_tensor *x = find(ctx, i, a), *y = find(ctx, k, b);
    return x && y && x->rank == y->rank && memcmp(x->shape, y->shape, x->rank * sizeof *x->shape) == 0;
}

static int tied(void *ctx, size_t i, const char *head, const char *embedding)
{
    struct am_adding *a = ctx;
    struct am_adding_view *v = &a->view[2 * i];
    struct row *row = NULL;
    if (v->model.files) /* a second head: no family has one */
        return 0;
    if (a->spec->input[i + am_stack_parts(a->spec, i) - 1].no_ends) /* it gives nothing that lies after the layers */
        return 0;
    int rc = open_view(v, &a->in[i], 1, 0, &row);
    if (rc == 0) {
        row[v->model.tensors] = (struct row){*find(a, i, embedding), head};
        row[v->model.tensors++].tensor.name = head;
        close_view(v, row);
        a->in[i].model = &v->model;
        a->in[i].own = v->own;
        a->tied = true;
    }
    free(row);
    return rc;
}

/* ---- what others add to the donor ---- */

static bool adds(const struct am_adding *a, size_t i)
{
    return i != a->donor && a->in[i].model;
}

static bool known(const struct am_adding *a, size_t before, const char *name)
{
    for (size_t i = 0; i < before; i++)
        if (adds(a, i) && am_model_find(a->in[i].model, name))
            return true;
    return am_model_find(a->in[a->donor].model, name) || am_family_is_buffer(name);
}

static int extend_donor(struct am_adding *a)
{
    struct am_adding_view *v = &a->view[2 * a->donor + 1];
    struct row *row = NULL;
    size_t tensors = 0, files = 0;
    for (size_t i = 0; i < a->inputs; i++) {
        tensors += adds(a, i) ? a->in[i].model->tensors : 0;
        files += adds(a, i) ? a->in[i].model->files : 0;
    }
    int rc = open_view(v, &a->in[a->donor], tensors, files, &row);
    for (size_t i = 0; rc == 0 && i < a->inputs; i++) {
        const struct am_run_input *in = &a->in[i];
        uint32_t first = (uint32_t)v->model.files;
        if (!adds(a, i))
            continue;
        memcpy(v->file + first, in->model->file, in->model->files * sizeof *v->file);
        v->model.files += in->model->files;
        for (size_t t = 0; t < in->model->tensors; t++) {
            if (known(a, i, in->model->tensor[t].name))
                continue;
            row[v->model.tensors] = (struct row){in->model->tensor[t], in->model->tensor[t].name};
            row[v->model.tensors++].tensor.file += first;
        }
    }
    if (rc == 0) {
        close_view(v, row);
        a->real = a->in[a->donor].model;
    }
    free(row);
    return rc;
}

int am_adding_open(struct am_adding *a)
{
    struct am_ties t = {same, tied, a};
    a->view = calloc(2 * a->inputs + 1, sizeof *a->view);
    if (!a->view)
        return -AM_E_OUT_OF_MEMORY;
    AM_TRY(am_family_ties(a->inputs, &t));
    return a->keep ? extend_donor(a) : 0;
}

void am_adding_done(struct am_adding *a)
{
    for (size_t i = 0; a->view && i < 2 * a->inputs; i++) {
        free(a->view[i].file);
        free(a->view[i].model.tensor);
        free((void *)a->view[i].own);
    }
    free(a->view);
    a->view = NULL;
}
