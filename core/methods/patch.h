/*
 * patch.h - drives a method whose result is a LoRA adapter in PEFT's format (am_method.factors): every matrix of the
 * fine-tune minus that of its base becomes two factors; what differs beside them is saved whole, or dropped. Not the
 * configuration of the adapter: the worker writes it from what is told here.
 *
 * What ranks there are is known when the last matrix was taken apart, so the factors go into one file of staging first,
 * and are copied behind a header from there: memory holds one difference at a time.
 *
 * Names (PEFT, utils/save_and_load.py): base_model.model.<module>.lora_A.weight and .lora_B.weight; of embeddings
 * lora_embedding_A and lora_embedding_B; saved whole base_model.model.<name>, of the bias of a module with factors
 * base_model.model.<module>.base_layer.bias.
 *
 * PEFT stacks the factors of a layer's experts, and takes their router to have the rank of all (its rank_pattern cannot
 * name it): these are filled up with zeros to the largest rank, and none of the experts is left out.
 */
#ifndef AM_METHODS_PATCH_H
#define AM_METHODS_PATCH_H

#include "core/methods/run.h"

#define AM_PATCH_FILE "adapter_model.safetensors"
#define AM_PATCH_AXES 5 /* most axes of a convolution's weights */

struct am_patch_module {
    const char *name; /* of a tensor of it; the module's is the first `bytes` of that. Borrowed from the base's table */
    size_t bytes, rank;
};

struct am_patch {
    struct am_patch_module *target, *saved; /* those with factors, those saved whole; by name */
    size_t targets, saves;
    size_t rank; /* the largest */
    bool in_out; /* there are matrices that lie [in, out] among the targets */
    bool biases; /* some of modules with factors are saved */
    char **name; /* what am_output refers to */
    uint64_t (*shape)[AM_PATCH_AXES];
    size_t names;
};

/*
 * Runs. On success `ret_out` has one finished file AM_PATCH_FILE, whose names last until am_patch_done(ret_patch),
 * which comes after am_output_done(). On failure the faults say why and nothing but staged files is left. As am_run(),
 * and -AM_E_BAD_INPUT when the two do not differ, or an adapter cannot hold how.
 */
int am_run_patch(const struct am_run *r, struct am_output *ret_out, struct am_patch *ret_patch,
                 struct am_faults *faults);
void am_patch_done(struct am_patch *p);

#endif
