/*
 * adapter.h - the LoRA adapters of the spec (core/table/adapter.h): read into memory, and as what is added to each
 * tensor of the model that they belong to (core/tensor/delta.h).
 * Ownership: an am_lora owns its numbers; am_lora_done() is safe on a zeroed one.
 */
#ifndef AM_WORKER_ADAPTER_H
#define AM_WORKER_ADAPTER_H

#include "core/table/adapter.h"
#include "core/tensor/delta.h"
#include "core/tensor/model.h"
#include "worker/spec.h"

struct am_lora {
    struct am_adapter a;      /* .parts 0: no adapter */
    struct am_delta *delta;   /* of each part */
    const struct am_model *m; /* the adapter's own tensors */
    const char *label;
};

/* Of spec input `head`, whose model and whose adapter's model are open; nothing when it has none. -AM_E_BAD_INPUT with
   faults. */
int am_lora_open(struct am_lora *ret, const struct am_spec_run *spec, const struct am_model *model, size_t head,
                 struct am_faults *faults);
/* What becomes of a tensor of the model, NULL: nothing. *ret_whole: the tensor that takes its place, or NULL. */
const struct am_delta *am_lora_find(const struct am_lora *l, const char *tensor, const struct am_tensor **ret_whole);
void am_lora_done(struct am_lora *l);

#endif
