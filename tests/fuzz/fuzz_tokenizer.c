/*
 * fuzz_tokenizer.c - libFuzzer over tokenizer.json: whatever bytes come, they are a vocabulary or a fault, and every
 * token of a vocabulary is found by its text and by its id.
 */
#include "worker/vocab.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct am_faults faults = {0};
    struct am_vocab v = {0};
    int rc = am_vocab_read(&v, (const char *)data, size, "f/z", &faults);
    if ((rc == 0) != (faults.n == 0))
        abort();
    for (size_t i = 0; i < v.n; i++) {
        const struct am_token *t = &v.v[i];
        if (am_vocab_find(&v, t->text, t->bytes) != t || am_vocab_at(&v, t->id) != t || (i && t->id <= v.v[i - 1].id))
            abort();
    }
    am_vocab_done(&v);
    am_faults_done(&faults);
    return 0;
}
