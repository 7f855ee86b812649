/*
 * stack.h - inputs of the spec as the method sees them: a version each, or a stack of layers of several versions
 * (core/table/layers.h), which reads like a version of its own. So does a version, or a part of a stack, with an
 * adapter (worker/adapter.h). Ownership: a stack borrows the models and files of its parts; am_stack_view_done() is
 * safe on a zeroed one.
 */
#ifndef AM_WORKER_STACK_H
#define AM_WORKER_STACK_H

#include "core/tensor/model.h"
#include "worker/adapter.h"
#include "worker/spec.h"

struct am_stack_view {
    struct am_model model; /* its tables are the view's own. .tensor NULL: there is no view, it is a version alone */
    struct am_model plain; /* of a stack with adapters: without them; else zeroed */
    const struct am_delta **delta; /* of model.tensor[i]; NULL: no adapters */
    struct am_file *file;
    char **name; /* of every tensor, in no order */
    size_t names;
    const char **own; /* what model.tensor[i] is called in its version */
    uint32_t *layers; /* of each part */
    size_t parts;     /* 0: no stack, but a version with its adapter */
    bool untied;      /* it has a head (of the last part), which in the first part is tied to the embedding */
    uint64_t all;
    char label[420];
};

/* The parts from spec input `head` on, whose models and adapters (`lora`, one for each input) are open. -AM_E_BAD_SPEC
 * with a fault when a layer is not there. */
int am_stack_view(struct am_stack_view *ret, const struct am_spec_run *spec, const struct am_model *model,
                  const struct am_lora *lora, size_t head, struct am_faults *faults);
/* How many inputs from `head` on are parts of it; 1: it is no stack. */
size_t am_stack_parts(const struct am_spec_run *spec, size_t head);
/* Whether the tensor is in the modules that the input stacks layers of. */
bool am_stack_takes(const struct am_spec_input *in, const char *tensor);
void am_stack_view_done(struct am_stack_view *v);

#endif
