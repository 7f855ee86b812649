/*
 * adapter_parts.h - private to adapter*.c: the configuration, and the names of an adapter's tensors.
 */
#ifndef AM_TABLE_ADAPTER_PARTS_H
#define AM_TABLE_ADAPTER_PARTS_H

#include "core/table/adapter.h"

#include <jansson.h>

struct am_adapter_config {
    json_t *root;
    double alpha;
    json_int_t r;
    bool rslora, swapped;
};

/* Every kind of adapter that is none of ours is a fault. -AM_E_INVALID_REQUEST when there are any. */
int am_adapter_config(struct am_adapter_config *ret, const char *text, size_t n, const struct am_adapter_about *about,
                      struct am_faults *f);
/* s of a module whose A has rank r. */
double am_adapter_scale(const struct am_adapter_config *c, const char *module, uint64_t r);
/* The rank that the configuration wants; 0: it cannot be told without reading regular expressions. */
uint64_t am_adapter_rank(const struct am_adapter_config *c, const char *module);

enum am_adapter_slot { AM_LORA_A, AM_LORA_B, AM_LORA_BIAS, AM_LORA_WHOLE, AM_LORA_STRANGE };
struct am_adapter_name {
    char *target;  /* in the base */
    size_t module; /* bytes of `target` that are the module's name */
    enum am_adapter_slot slot;
    bool embedding;
};
/* Takes "base_model.model.<module>.lora_A.default.weight" apart. 0 or -AM_E_OUT_OF_MEMORY. */
int am_adapter_name(struct am_adapter_name *ret, const char *name);

#endif
