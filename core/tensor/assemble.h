/*
 * assemble.h - a weight file that is not written whole: its donor's bytes where nothing changed, a change blob for the
 * tensors that did, and the donor's header verbatim (safetensors.md 5). It reads like the donor's file with those
 * tensors replaced in their places. Decides nothing (core/methods/run_files.c does) and knows no hashes of blobs: a
 * descriptor is a blob.
 * Ownership: am_assembled owns its spans and the two descriptors it opened. am_assembled_done() is safe after a
 * failure.
 */
#ifndef AM_TENSOR_ASSEMBLE_H
#define AM_TENSOR_ASSEMBLE_H

#include "core/tensor/model.h"
#include "core/tensor/output.h"

struct am_assembled {
    struct am_file file; /* path of the donor; the spans, which tile it, coalesced */
    int change, header;  /* descriptors of what was staged; header -1: the donor's header blob serves again */
    char header_staged[16], header_sha256[65];
    uint64_t header_bytes;
    char sha256[65]; /* of the content, after am_assembled_hash() */
};

/*
 * Builds the file from file `donor` of `m` and the finished change blob `change` of `out`, whose tensors all are in
 * that file with the same dtype and shape. Stages the header as "f<number>" (fsynced) unless the donor's first span is
 * a header blob already. -AM_E_INTERNAL: a tensor that does not fit; -AM_E_STORE_DAMAGED; errors of writing.
 */
int am_assemble(struct am_assembled *ret, const struct am_model *m, uint32_t donor, const struct am_output *out,
                const struct am_out_file *change, unsigned number);
/* Reads the whole file through its spans. `step` (or NULL) after each part: a negative result stops. */
int am_assembled_hash(struct am_assembled *a, int (*step)(void *ctx, uint64_t bytes), void *ctx);
void am_assembled_done(struct am_assembled *a);

#endif
