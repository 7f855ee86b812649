/*
 * layers.h - which layer of a network a tensor belongs to, by its name alone: the first number after a component
 * "layers", "layer", "h", "blocks" or "block" (words of families.def; "model.layers.12.mlp.up_proj.weight" is in layer
 * 12 of "model.layers."). Networks of several parts have a stack of layers each. Knows no architectures.
 */
#ifndef AM_TABLE_LAYERS_H
#define AM_TABLE_LAYERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AM_STACKS_MAX 64

struct am_layer {
    size_t prefix;  /* bytes before the number: the name of the stack */
    size_t rest;    /* where the name goes on after it */
    uint32_t index; /* the number */
};

struct am_layers {
    struct {
        const char *name; /* borrowed; `n` bytes of it count */
        size_t n;
        uint32_t layers; /* 1 + the largest number */
    } stack[AM_STACKS_MAX];
    size_t stacks;
};

/* False: outside of the layers. */
bool am_layer_of(const char *name, struct am_layer *ret);
/* Before the layers (embeddings), of a tensor outside of them; the others come after. */
bool am_layer_before(const char *name);
/* Takes a name into account; stacks beyond the limit are left out. The name is borrowed. */
void am_layers_add(struct am_layers *l, const char *name);
/* 0 when there is no such stack. */
uint32_t am_layers_count(const struct am_layers *l, const char *name, size_t prefix);
/* From 0 (first layer, and before) to 1 (last layer; the only one); `after` for what comes after the layers. */
double am_layers_depth(const struct am_layers *l, const char *name, double after);

/*
 * A stack of layers from several versions (a merge's `stack`): the parts one after the other, each with its layers
 * [from, to) of the version. What comes before the layers is the first part's, what comes after them the last one's.
 */
struct am_cut {
    uint32_t from, to, offset; /* offset: the number that layer `from` has in the stack */
    bool first, last;
};
/* Whether the part has that tensor, and its name in the stack in `out`. */
bool am_cut_name(const struct am_cut *c, const char *name, char *out, size_t cap);

#endif
