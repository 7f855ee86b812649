/*
 * stack.c - see stack.h. Cuts and names as server/api/stack.c does, by core/table/layers.h.
 */
#include "worker/stack.h"

#include "core/base/text.h"
#include "core/table/layers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 1024

struct row { /* a tensor and its own name, sorted together */
    struct am_tensor tensor;
    const char *own;
};

static size_t parts_of(const struct am_spec_run *spec, size_t head)
{
    size_t n = 1;
    while (head + n < spec->inputs && am_streq(spec->input[head + n].role, "part"))
        n++;
    return n;
}

/* What the parts have together at most, and all their files. */
static int open_tables(struct am_stack_view *v, const struct am_model *model, struct row **ret)
{
    size_t tensors = 0, files = 0;
    for (size_t i = 0; i < v->parts; i++) {
        tensors += model[i].tensors;
        files += model[i].files;
    }
    v->file = calloc(files + 1, sizeof *v->file);
    v->name = calloc(tensors + 1, sizeof *v->name);
    v->own = calloc(tensors + 1, sizeof *v->own);
    v->layers = calloc(v->parts, sizeof *v->layers);
    v->model.tensor = calloc(tensors + 1, sizeof *v->model.tensor);
    *ret = calloc(tensors + 1, sizeof **ret);
    v->model.file = v->file;
    return v->file && v->name && v->own && v->layers && v->model.tensor && *ret ? 0 : -AM_E_OUT_OF_MEMORY;
}

bool am_stack_takes(const struct am_spec_input *in, const char *tensor)
{
    for (size_t i = 0; i < in->modules; i++)
        if (am_starts(tensor, in->module[i]))
            return true;
    return in->modules == 0;
}

static int take_part(struct am_stack_view *v, const struct am_model *m, const struct am_spec_input *in,
                     const struct am_cut *c, struct row *row)
{
    char name[NAME_BYTES];
    size_t first = v->model.files;
    for (size_t i = 0; i < m->files; i++)
        v->file[v->model.files++] = m->file[i];
    for (size_t i = 0; i < m->tensors; i++) {
        if (!am_stack_takes(in, m->tensor[i].name)) { /* in no module of the stack: the first part's, as it is */
            if (!c->first)
                continue;
            snprintf(name, sizeof name, "%s", m->tensor[i].name);
        } else if (!am_cut_name(c, m->tensor[i].name, name, sizeof name))
            continue;
        struct row *r = &row[v->model.tensors++];
        *r = (struct row){m->tensor[i], m->tensor[i].name};
        r->tensor.file += (uint32_t)first;
        r->tensor.name = v->name[v->names] = strdup(name);
        if (!v->name[v->names++])
            return -AM_E_OUT_OF_MEMORY;
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct row *)a)->tensor.name, ((const struct row *)b)->tensor.name);
}

static int check_layers(const struct am_model *m, const struct am_spec_input *in, const struct am_spec_input *head,
                        struct am_faults *faults)
{
    struct am_layers layers = {0};
    for (size_t i = 0; i < m->tensors; i++)
        if (am_stack_takes(head, m->tensor[i].name))
            am_layers_add(&layers, m->tensor[i].name);
    if (layers.stacks == 1 && in->to <= layers.stack[0].layers)
        return 0;
    return am_fault_add(faults, AM_E_BAD_SPEC, (struct am_where){.pointer = "#/inputs", .reason = "layer-range"},
                        "%.200s has no layers [%u, %u) in one stack", in->label, in->from, in->to);
}

static int take_parts(struct am_stack_view *v, const struct am_spec_run *spec, const struct am_model *model,
                      size_t head, struct row *row, struct am_faults *faults)
{
    for (size_t i = 0; i < v->parts; i++) {
        const struct am_spec_input *in = &spec->input[head + i];
        struct am_cut c = {in->from, in->to, (uint32_t)v->all, i == 0 && !in->no_ends,
                           i + 1 == v->parts && !in->no_ends};
        v->layers[i] = in->to - in->from;
        v->all += v->layers[i];
        if (in->none)
            continue;
        AM_TRY(check_layers(&model[i], in, &spec->input[head], faults));
        AM_TRY(take_part(v, &model[i], &spec->input[head], &c, row));
    }
    return 0;
}

int am_stack_view(struct am_stack_view *ret, const struct am_spec_run *spec, const struct am_model *model, size_t head,
                  struct am_faults *faults)
{
    struct am_stack_view v = {.parts = parts_of(spec, head)};
    struct row *row = NULL;
    int rc = open_tables(&v, model + head, &row);
    if (rc == 0)
        rc = take_parts(&v, spec, model + head, head, row, faults);
    if (rc == 0)
        qsort(row, v.model.tensors, sizeof *row, by_name);
    for (size_t i = 0; rc == 0 && i < v.model.tensors; i++) {
        v.model.tensor[i] = row[i].tensor;
        v.own[i] = row[i].own;
    }
    free(row);
    snprintf(v.label, sizeof v.label, "the stack of %.150s", spec->input[head].label);
    if (rc < 0)
        am_stack_view_done(&v);
    else
        *ret = v;
    return rc;
}

void am_stack_view_done(struct am_stack_view *v)
{
    for (size_t i = 0; v->name && i < v->names; i++)
        free(v->name[i]);
    free(v->name);
    free(v->file);
    free((void *)v->own);
    free(v->layers);
    free(v->model.tensor);
    *v = (struct am_stack_view){0};
}
