/*
 * adapter.h - LoRA adapters in PEFT's layout (merge.md B7) by their configuration and tensor tables alone: which
 * tensors of a base they change, by which of their own, and with what factor. The daemon refuses by it, the worker
 * computes by it. Reads no weights and no files.
 *
 * With the low-rank pair A [r, i] and B [o, r] a tensor becomes W + s * B * A, s = alpha / r (alpha / sqrt(r) with
 * use_rslora); with `swapped` (embeddings, matrices that lie [in, out]) it becomes W + s * (B * A)^T. A tensor of the
 * adapter without "lora_" in its name (modules_to_save, trained biases) takes the place of the base's.
 *
 * PEFT knows by the module which way a matrix lies, and fan_in_fan_out of its configuration is what the last one was.
 * So the shape of the base tells, and convolutions are never swapped; of square matrices fan_in_fan_out tells where it
 * is right for all others, else those others whose name has the same last part, else nobody: a fault.
 *
 * Ownership: am_adapter owns what it holds until am_adapter_done(); safe on a zeroed one.
 */
#ifndef AM_TABLE_ADAPTER_H
#define AM_TABLE_ADAPTER_H

#include "core/base/fault.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AM_ADAPTER_CONFIG "adapter_config.json"
#define AM_ADAPTER_CONFIG_MAX ((size_t)1 << 20) /* bytes of it */
#define AM_ADAPTER_TENSORS 50000                /* of one adapter */
#define AM_ADAPTER_RANKS 8                      /* axes of a tensor; one with more fits nothing */
#define AM_ADAPTER_NONE SIZE_MAX

struct am_adapter_tensor { /* of the adapter, or of the base */
    const char *name, *dtype;
    unsigned rank;
    uint64_t shape[AM_ADAPTER_RANKS];
};

enum am_adapter_by { AM_SIDE_CONFIG, AM_SIDE_KIND, AM_SIDE_SHAPE };

struct am_adapter_part { /* what becomes of one tensor of the base */
    char *target;
    size_t a, b;  /* numbers of the adapter's tensors, both or none (AM_ADAPTER_NONE) */
    size_t bias;  /* what is added to a bias, times s */
    size_t whole; /* what takes its place */
    bool swapped;
    enum am_adapter_by by; /* what told `swapped` */
    double scale;          /* s */
    bool met;              /* the base has it */
};

struct am_adapter {
    struct am_adapter_part *part; /* by target */
    size_t parts;
    bool swapped;   /* fan_in_fan_out */
    char *base;     /* base_model_name_or_path, or NULL */
    uint64_t bytes; /* of all A, B and biases as f32 */
    uint64_t names; /* of the targets */
};

struct am_adapter_about { /* for messages */
    const char *label, *base_label, *pointer;
};

/* `config`: the text of adapter_config.json. 0 also with faults; `ret` is empty then. Or -AM_E_OUT_OF_MEMORY. */
int am_adapter_read(struct am_adapter *ret, const char *config, size_t config_n, const struct am_adapter_tensor *t,
                    size_t tensors, const struct am_adapter_about *about, struct am_faults *f);
/* NULL: the adapter leaves that tensor as it is. */
struct am_adapter_part *am_adapter_find(const struct am_adapter *a, const char *target);

/* For each tensor of the base: marks it as met and adds a fault when the part does not fit. */
struct am_adapter_fit {
    struct am_adapter *a;
    const struct am_adapter_tensor *t; /* as it was read with */
    const struct am_adapter_about *about;
    struct am_faults *f;
    size_t faults; /* 20 of one adapter are told one by one */
};
void am_adapter_meet(struct am_adapter_fit *fit, const struct am_adapter_tensor *base);
/* After the last one: a fault for each part that the base has no tensor for, or that could lie either way. */
void am_adapter_missed(struct am_adapter_fit *fit);

/* Whether the adapter says that it was trained on another model than "namespace/name". */
bool am_adapter_base_differs(const struct am_adapter *a, const char *model);
/* Bytes that a run holds for it. */
uint64_t am_adapter_held(const struct am_adapter *a);
/* "[10,128]"; rank above AM_ADAPTER_RANKS when it has more axes. */
void am_adapter_shape(struct am_adapter_tensor *t, const char *shape);
void am_adapter_done(struct am_adapter *a);

#endif
