/*
 * depth.h - which layer of a network a tensor belongs to, for methods: as core/table/layers.h says, by its name
 * ("model.layers.12.mlp.up.weight": 12). In a model without such names: the number at the end of the first part of the
 * name ("fc1.weight"), counted from the smallest. Nothing is known of encoders beside decoders.
 */
#ifndef AM_METHODS_DEPTH_H
#define AM_METHODS_DEPTH_H

#include "core/tensor/model.h"

#include <stdbool.h>
#include <stdint.h>

#define AM_NO_LAYER UINT64_MAX /* embeddings, heads, final norms */

struct am_depth {
    bool by_stem;   /* no name has one of the words */
    uint64_t first; /* the smallest number, which is layer 0; 0 unless by_stem */
    uint64_t count; /* layers; 0: none */
};

struct am_depth am_depth_of(const struct am_model *m);
uint64_t am_depth_layer(const struct am_depth *d, const char *name); /* AM_NO_LAYER */

#endif
