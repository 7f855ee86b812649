/*
 * stack.c - see stack.h. Cuts and names as server/api/stack.c does, by core/table/layers.h.
 */
#include "worker/stack.h"

#include "core/base/text.h"
#include "core/table/families.h"
#include "core/table/layers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 1024

struct row { /* a tensor and its own name, sorted together */
    struct am_tensor tensor, plain;
    const char *own;
    const struct am_delta *delta;
};

size_t am_stack_parts(const struct am_spec_run *spec, size_t head)
{
    size_t n = 1;
    while (head + n < spec->inputs && am_streq(spec->input[head + n].role, "part"))
        n++;
    return n;
}

static size_t adapter_files(const struct am_lora *lora)
{
    return lora->a.parts ? lora->m->files : 0;
}

/* What the parts have together at most, and all their files. */
static int open_tables(struct am_stack_view *v, const struct am_model *model, const struct am_lora *lora,
                       struct row **ret)
{
    size_t tensors = 0, files = 0, adapters = 0;
    for (size_t i = 0; i < v->parts; i++) {
        tensors += model[i].tensors;
        files += model[i].files + adapter_files(&lora[i]);
        adapters += lora[i].a.parts;
    }
    if (adapters) {
        v->delta = calloc(tensors + 1, sizeof *v->delta);
        v->plain.tensor = calloc(tensors + 1, sizeof *v->plain.tensor);
        if (!v->delta || !v->plain.tensor)
            return -AM_E_OUT_OF_MEMORY;
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

/* What the adapter makes of it: added to, or another tensor in its place. */
static void adapt(struct row *r, const struct am_lora *lora, size_t first)
{
    const struct am_tensor *whole = NULL;
    r->delta = am_lora_find(lora, r->own, &whole);
    if (!whole)
        return;
    const char *name = r->tensor.name;
    r->tensor = *whole;
    r->tensor.name = name;
    r->tensor.file += (uint32_t)first;
}

bool am_stack_takes(const struct am_spec_input *in, const char *tensor)
{
    for (size_t i = 0; i < in->modules; i++)
        if (am_starts(tensor, in->module[i]))
            return true;
    return in->modules == 0;
}

/* name NULL: its own. first: the number of the part's first file, which those of the adapter follow. */
static int put(struct am_stack_view *v, const struct am_tensor *t, const char *name, size_t first,
               const struct am_lora *lora, struct row *row)
{
    struct row *r = &row[v->model.tensors++];
    *r = (struct row){.tensor = *t, .own = t->name};
    r->tensor.file += (uint32_t)first;
    r->tensor.name = name ? v->name[v->names] = strdup(name) : r->own;
    if (name && !v->name[v->names++])
        return -AM_E_OUT_OF_MEMORY;
    r->plain = r->tensor;
    adapt(r, lora, v->model.files - adapter_files(lora));
    return 0;
}

/* c NULL: all of it, under its own names. */
static int take_part(struct am_stack_view *v, const struct am_model *m, const struct am_lora *lora,
                     const struct am_spec_input *in, const struct am_cut *c, struct row *row)
{
    char name[NAME_BYTES];
    size_t first = v->model.files;
    for (size_t i = 0; i < m->files; i++)
        v->file[v->model.files++] = m->file[i];
    for (size_t i = 0; i < adapter_files(lora); i++)
        v->file[v->model.files++] = lora->m->file[i];
    for (size_t i = 0; i < m->tensors; i++) {
        if (c && !am_stack_takes(in, m->tensor[i].name)) { /* in no module of the stack: the first part's, as it is */
            if (!c->first)
                continue;
            snprintf(name, sizeof name, "%s", m->tensor[i].name);
        } else if (c && !am_cut_name(c, m->tensor[i].name, name, sizeof name))
            continue;
        AM_TRY(put(v, &m->tensor[i], c ? name : NULL, first, lora, row));
    }
    return 0;
}

/* The head that tensor `i` of `m` stands for: `m` has it tied, and `other` has one of its own. NULL: none. */
static const char *tied_head(const struct am_model *m, size_t i, const struct am_model *other)
{
    const char *head = am_family_head(m->tensor[i].name);
    return head && !am_model_find(m, head) && am_model_find(other, head) ? head : NULL;
}

/* What comes after the layers is the last part's: where it has its head tied and the first part has not, its embedding
   is the head, in the place of the one of the first part, which is left out. */
static int take_head(struct am_stack_view *v, const struct am_model *model, const struct am_lora *lora,
                     const struct am_spec_input *in, struct row *row)
{
    const struct am_model *begin = &model[0], *end = &model[v->parts - 1];
    size_t first = v->model.files - end->files - adapter_files(&lora[v->parts - 1]);
    for (size_t i = 0; i < begin->tensors; i++)
        v->untied = v->untied || tied_head(begin, i, end);
    for (size_t i = 0; i < end->tensors; i++) {
        const char *head = tied_head(end, i, begin);
        if (!head || !am_stack_takes(in, head))
            continue;
        AM_TRY(put(v, &end->tensor[i], head, first, &lora[v->parts - 1], row));
        row[v->model.tensors - 1].own = row[v->model.tensors - 1].tensor.name;
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
                      const struct am_lora *lora, size_t head, struct row *row, struct am_faults *faults)
{
    if (!spec->input[head].to)
        return take_part(v, model, lora, &spec->input[head], NULL, row);
    for (size_t i = 0; i < v->parts; i++) {
        const struct am_spec_input *in = &spec->input[head + i];
        struct am_cut c = {in->from, in->to, (uint32_t)v->all, i == 0 && !in->no_ends,
                           i + 1 == v->parts && !in->no_ends};
        v->layers[i] = in->to - in->from;
        v->all += v->layers[i];
        if (in->none)
            continue;
        AM_TRY(check_layers(&model[i], in, &spec->input[head], faults));
        AM_TRY(take_part(v, &model[i], &lora[i], &spec->input[head], &c, row));
        if (c.last)
            AM_TRY(take_head(v, model, lora, &spec->input[head], row));
    }
    return 0;
}

int am_stack_view(struct am_stack_view *ret, const struct am_spec_run *spec, const struct am_model *model,
                  const struct am_lora *lora, size_t head, struct am_faults *faults)
{
    struct am_stack_view v = {.parts = am_stack_parts(spec, head)};
    struct row *row = NULL;
    int rc = open_tables(&v, model + head, lora + head, &row);
    v.plain.file = v.file;
    if (rc == 0)
        rc = take_parts(&v, spec, model + head, lora + head, head, row, faults);
    if (rc == 0)
        qsort(row, v.model.tensors, sizeof *row, by_name);
    for (size_t i = 0; rc == 0 && i < v.model.tensors; i++) {
        v.model.tensor[i] = row[i].tensor;
        v.own[i] = row[i].own;
        if (!v.delta)
            continue;
        v.delta[i] = row[i].delta;
        v.plain.tensor[i] = row[i].plain;
    }
    free(row);
    v.plain.files = v.model.files;
    v.plain.tensors = v.model.tensors;
    if (spec->input[head].to)
        snprintf(v.label, sizeof v.label, "the stack of %.150s", spec->input[head].label);
    else
        snprintf(v.label, sizeof v.label, "%.200s+%.200s", spec->input[head].label, lora[head].label);
    v.parts = spec->input[head].to ? v.parts : 0;
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
    free(v->plain.tensor);
    free(v->delta);
    *v = (struct am_stack_view){0};
}
