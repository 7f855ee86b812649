/*
 * stack.c - see stack.h. The worker cuts and names in the same way (worker/stack.c), by core/table/layers.h.
 */
#include "server/api/stack.h"

#include "core/base/grow.h"
#include "core/base/text.h"
#include "core/table/families.h"
#include "core/table/layers.h"
#include "core/table/plan_parts.h"
#include "core/table/settings.h"
#include "server/api/adapter.h"
#include "server/api/submit.h"

#include <stdlib.h>
#include <string.h>

#define NAME_BYTES 1024
#define FILE_PREFIX 4 /* bytes of "002/" */

int am_stack_file(char *out, size_t cap, size_t part, const char *path)
{
    int n = snprintf(out, cap, "%03zu/%s", part, path);
    return n > 0 && (size_t)n < cap ? 0 : -AM_E_TOO_LARGE;
}

static int add(struct am_stack *s, const char *name, const struct am_tensor_row *t, size_t part)
{
    char file[1200];
    int dtype = am_plan_dtype(t->dtype);
    if (s->n == AM_STACK_TENSORS)
        return -AM_E_TOO_LARGE;
    if (dtype < 0)
        return -AM_E_STORE_DAMAGED;
    AM_TRY(am_stack_file(file, sizeof file, part, t->file));
    AM_TRY(am_grow(&s->row, s->n, &s->cap, sizeof *s->row));
    struct am_stack_row *r = &s->row[s->n++];
    *r = (struct am_stack_row){.name = strdup(name),
                               .shape = strdup(t->shape),
                               .file = strdup(file),
                               .dtype = am_plan_name(dtype),
                               .begin = (uint64_t)t->begin,
                               .bytes = (uint64_t)t->bytes,
                               .order = s->n};
    return r->name && r->shape && r->file ? 0 : -AM_E_OUT_OF_MEMORY;
}

/* All of one version, whose tensors are tensors of a stack if their layer is. */
static int take_version(struct am_stack *s, struct am_submit *submit, size_t input)
{
    const struct am_adapter *adapter = am_submit_adapter(submit, input);
    struct am_tensor_row t;
    struct am_tensor_cursor *c = am_tensor_open(submit->db, submit->in[input].version);
    int rc = c ? 0 : -AM_E_INTERNAL;
    while (rc == 0 && (rc = am_tensor_next(c, &t)) == 1) {
        rc = add(s, t.name, &t, 0);
        if (rc == 0)
            s->row[s->n - 1].adapted = adapter && am_adapter_find(adapter, t.name);
    }
    am_tensor_close(c);
    return rc;
}

static void fault_range(const struct am_body_input *in, const struct am_pinned *p, uint32_t layers, struct am_faults *f)
{
    am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = in->pointer, .reason = "layer-range"},
                 "%s has layers 0..%d, asked [%u, %u)", p->label, (int)layers - 1, in->from, in->to);
}

/* The layers that the part asks for must be there, in the one stack that the model has. */
static bool fits(const struct am_stack *s, const struct am_body_input *in, const json_t *modules,
                 const struct am_pinned *p, struct am_faults *f)
{
    struct am_layers layers = {0};
    for (size_t i = 0; i < s->n; i++)
        if (am_prefix_of(modules, s->row[i].name))
            am_layers_add(&layers, s->row[i].name);
    if (layers.stacks > 1) {
        am_fault_add(
            f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = in->pointer, .reason = "slices-need-modules"},
            "%s has several modules with layers (%.*s, %.*s ...); say in which one they are stacked: modules, or "
            "slices under modules",
            p->label, (int)layers.stack[0].n, layers.stack[0].name, (int)layers.stack[1].n, layers.stack[1].name);
        return false;
    }
    uint32_t there = layers.stacks ? layers.stack[0].layers : 0;
    if (in->to > there)
        fault_range(in, p, there, f);
    return in->to <= there;
}

int am_stack_whole(struct am_stack *ret, struct am_submit *submit, size_t input)
{
    struct am_stack s = {0};
    int rc = take_version(&s, submit, input);
    am_stack_sort(&s, false);
    if (rc < 0)
        am_stack_done(&s);
    else
        *ret = s;
    return rc;
}

int am_stack_put(struct am_stack *s, const char *name, const struct am_stack_row *as, size_t part, bool added)
{
    struct am_tensor_row t = {.name = name,
                              .dtype = as->dtype,
                              .shape = as->shape,
                              .file = as->file + FILE_PREFIX,
                              .begin = (int64_t)as->begin,
                              .bytes = (int64_t)as->bytes};
    AM_TRY(add(s, name, &t, part));
    s->row[s->n - 1].added = added;
    s->row[s->n - 1].adapted = as->adapted;
    return 0;
}

/* What is in no module of the stack is the first part's, as it is. */
static int cut(struct am_stack *into, const struct am_stack *whole, const json_t *modules, const struct am_cut *c,
               size_t part)
{
    char name[NAME_BYTES];
    for (size_t i = 0; i < whole->n; i++) {
        const char *own = whole->row[i].name;
        if (!am_prefix_of(modules, own))
            AM_TRY(part == 0 ? am_stack_put(into, own, &whole->row[i], part, false) : 0);
        else if (am_cut_name(c, own, name, sizeof name))
            AM_TRY(am_stack_put(into, name, &whole->row[i], part, false));
    }
    return 0;
}

static int skip_tensor(void *ctx, const struct am_tensor_row *t)
{
    (void)ctx;
    (void)t;
    return 0;
}

/* A last part that has its head tied, behind a first one that has not: its embedding is the head of the stack. */
static int take_head(struct am_stack *into, const struct am_stack *whole, struct am_submit *s, size_t first,
                     const json_t *modules, size_t part)
{
    const size_t last = first + part;
    for (size_t i = 0; i < whole->n; i++) {
        const char *name = whole->row[i].name, *head = am_family_head(name);
        if (!head || !am_prefix_of(modules, head) || am_stack_has(whole, whole->n, head) ||
            am_tensor_get(s->db, s->in[first].version, head, skip_tensor, NULL) < 0)
            continue;
        AM_TRY(am_stack_put(into, head, &whole->row[i], part, false));
        AM_TRY(am_submit_warn_at(s, "tied-head", s->body.input[last].pointer,
                                 "%s has no %s: its %s stands for it; the result has a head of its own",
                                 s->in[last].label, head, name));
    }
    return 0;
}

static int take_part(struct am_stack *into, struct am_submit *s, size_t i, const json_t *modules,
                     const struct am_cut *c, size_t part)
{
    const struct am_pinned *p = &s->in[i];
    struct am_stack whole = {0};
    int rc = take_version(&whole, s, i);
    if (rc == 0 && fits(&whole, &s->body.input[i], modules, p, &s->faults))
        rc = cut(into, &whole, modules, c, part);
    if (rc == 0 && c->last) {
        am_stack_sort(&whole, false);
        rc = take_head(into, &whole, s, i - part, modules, part);
    }
    am_stack_done(&whole);
    return rc;
}

int am_stack_make(struct am_stack *ret, struct am_submit *submit, size_t head)
{
    const struct am_body *b = &submit->body;
    struct am_faults *f = &submit->faults;
    struct am_stack s = {0};
    size_t parts = b->input[head].parts, faults = f->total;
    uint32_t offset = 0;
    int rc = 0;
    for (size_t i = 0; i < parts && rc == 0; i++) {
        const struct am_body_input *part = &b->input[head + i];
        bool ends = am_streq(part->use, "all");
        struct am_cut c = {part->from, part->to, offset, i == 0 && ends, i + 1 == parts && ends};
        if (!am_streq(part->use, "none") && submit->in[head + i].version > 0) /* else that is told */
            rc = take_part(&s, submit, head + i, b->input[head].modules, &c, i);
        offset += part->to - part->from;
    }
    if (rc == -AM_E_TOO_LARGE)
        rc = (am_fault_add(f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = b->input[head].pointer},
                           "stacks are of models with at most %d tensors", AM_STACK_TENSORS),
              0);
    if (rc < 0 || f->total > faults) {
        am_stack_done(&s);
        return rc;
    }
    am_stack_sort(&s, false);
    *ret = s;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct am_stack_row *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : x->order < y->order ? -1 : x->order > y->order;
}

static int to_name(const void *key, const void *row)
{
    return strcmp(key, ((const struct am_stack_row *)row)->name);
}

bool am_stack_has(const struct am_stack *s, size_t n, const char *name)
{
    return n && bsearch(name, s->row, n, sizeof *s->row, to_name);
}

static void free_row(struct am_stack_row *r)
{
    free(r->name);
    free(r->shape);
    free(r->file);
}

void am_stack_unique(struct am_stack *s)
{
    size_t n = 0;
    am_stack_sort(s, false);
    for (size_t i = 0; i < s->n; i++) {
        if (n && strcmp(s->row[n - 1].name, s->row[i].name) == 0)
            free_row(&s->row[i]);
        else
            s->row[n++] = s->row[i];
    }
    s->n = n;
}

bool am_stack_added(const void *stack)
{
    const struct am_stack *s = stack;
    return s->at > 0 && s->row[s->at - 1].added;
}

/* As core/methods/run.c has them: files in order, places in them, names. */
static int by_places(const void *a, const void *b)
{
    const struct am_stack_row *x = a, *y = b;
    int order = strcmp(x->file, y->file);
    if (order)
        return order;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return strcmp(x->name, y->name);
}

void am_stack_sort(struct am_stack *s, bool by_place)
{
    if (s->n)
        qsort(s->row, s->n, sizeof *s->row, by_place ? by_places : by_name);
    s->at = 0;
}

int am_stack_next(void *stack, struct am_plan_tensor *ret)
{
    struct am_stack *s = stack;
    if (s->at == s->n)
        return 0;
    const struct am_stack_row *r = &s->row[s->at++];
    *ret = (struct am_plan_tensor){.name = r->name,
                                   .dtype = r->dtype,
                                   .shape = r->shape,
                                   .file = r->file,
                                   .begin = r->begin,
                                   .bytes = r->bytes,
                                   .adapted = r->adapted};
    return 1;
}

void am_stack_done(struct am_stack *s)
{
    for (size_t i = 0; i < s->n; i++)
        free_row(&s->row[i]);
    free(s->row);
    *s = (struct am_stack){0};
}
