/*
 * _patch.h - the parameters of methods whose result is an adapter: which matrices are taken apart, how their weights
 * lie, and what becomes of all other tensors. core/methods/patch.h carries them out for every such method, and
 * core/table/plan_patch.c plans by max_rank, solver, conv, others and the lists; what is the method's own is factors().
 */
#ifndef AM_MERGE_PATCH_H
#define AM_MERGE_PATCH_H

#include "core/merge/_whole.h"
#include "core/methods/method.h"

#define AM_PATCH_RANK_MAX 65536
extern const char *const am_patch_solvers[];      /* randomised, full */
extern const char *const am_patch_others[];       /* save, drop */
extern const struct am_param am_patch_policies[]; /* nonfinite and overflow: refuse */

/* The last two: T5 and BART. */
#define AM_PATCH_EMBEDDINGS "[\"*embed*\",\"*wte*\",\"*wpe*\",\"*shared.weight\",\"*relative_attention_bias*\"]"

#define AM_PATCH_PARAMS                                                                                                \
    {.name = "max_rank",                                                                                               \
     .kind = AM_INT,                                                                                                   \
     .min = 1,                                                                                                         \
     .max = AM_PATCH_RANK_MAX,                                                                                         \
     .def = "128",                                                                                                     \
     .unit = "rank",                                                                                                   \
     .doc = "no matrix gets a higher rank"},                                                                           \
        {.name = "solver",                                                                                             \
         .kind = AM_CHOICE,                                                                                            \
         .choices = am_patch_solvers,                                                                                  \
         .def = "\"randomised\"",                                                                                      \
         .unit = "none",                                                                                               \
         .doc = "randomised: a sketch of max_rank + 8 columns, two power iterations, by options.seed; full: all "      \
                "singular values"},                                                                                    \
        {.name = "include",                                                                                            \
         .kind = AM_LIST,                                                                                              \
         .def = "[\"*\"]",                                                                                             \
         .unit = "none",                                                                                               \
         .doc = "shell patterns; weights of modules whose name matches one get factors"},                              \
        {.name = "exclude",                                                                                            \
         .kind = AM_LIST,                                                                                              \
         .def = AM_PATCH_EMBEDDINGS,                                                                                   \
         .unit = "none",                                                                                               \
         .doc = "shell patterns; weights whose name matches one do not, and are as all others are"},                   \
        {.name = "others",                                                                                             \
         .kind = AM_CHOICE,                                                                                            \
         .choices = am_patch_others,                                                                                   \
         .def = "\"save\"",                                                                                            \
         .unit = "none",                                                                                               \
         .doc = "what differs and gets no factors (norms, biases, embeddings): save it whole in the adapter, or drop " \
                "the change"},                                                                                         \
        {.name = "conv",                                                                                               \
         .kind = AM_CHOICE,                                                                                            \
         .choices = am_whole_conv,                                                                                     \
         .def = "\"flatten\"",                                                                                         \
         .unit = "none",                                                                                               \
         .flags = AM_ADVANCED,                                                                                         \
         .doc = "weights of three to five axes are those of convolutions, as [first axis, all others]; none: they "    \
                "are as all others are"},                                                                              \
        {.name = "in_out",                                                                                             \
         .kind = AM_LIST,                                                                                              \
         .def = "[]",                                                                                                  \
         .unit = "none",                                                                                               \
         .flags = AM_ADVANCED,                                                                                         \
         .doc = "shell patterns; matrices whose name matches one are [in, out], as those of GPT-2 are (PEFT's "        \
                "fan_in_fan_out): *.c_attn.weight, *.c_proj.weight, *.c_fc.weight"},                                   \
    {                                                                                                                  \
        .name = "embeddings", .kind = AM_LIST, .def = AM_PATCH_EMBEDDINGS, .unit = "none", .flags = AM_ADVANCED,       \
        .doc = "shell patterns; matrices with factors whose name matches one are embeddings (lora_embedding_A and _B)" \
    }

#define AM_PATCH_HOOKS .abi = AM_METHOD_ABI, .type = AM_MERGE, .since = "0.1", .common = am_patch_policies
#define AM_PATCH_NEEDS                                                                                                 \
    .min_inputs = 1, .max_inputs = 1, .base = AM_YES, .adapter = true, .report = {.fixed = AM_PATCH_NUMBERS}
#define AM_PATCH_NUMBERS 8 /* of a matrix in the report */

#endif
