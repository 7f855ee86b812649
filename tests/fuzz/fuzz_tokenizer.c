/*
 * fuzz_tokenizer.c - libFuzzer over the JSON of tokenizers: whatever bytes come, they are a vocabulary or a fault, and
 * every token of a vocabulary is found by its text and by its id. What is edited in the text of an object is an object
 * still.
 */
#include "worker/json_edit.h"
#include "worker/vocab.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_vocab(const char *text, size_t n)
{
    struct am_faults faults = {0};
    struct am_vocab v = {0};
    int rc = am_vocab_read(&v, text, n, "f/z", &faults);
    if ((rc == 0) != (faults.n == 0))
        abort();
    for (size_t i = 0; i < v.n; i++) {
        const struct am_token *t = &v.v[i];
        if (am_vocab_find(&v, t->text, t->bytes) != t || am_vocab_at(&v, t->id) != t || (i && t->id <= v.v[i - 1].id))
            abort();
    }
    am_vocab_done(&v);
    am_faults_done(&faults);
}

/* Lists become longer; objects are edited inside, once more by their own text. */
static int each(void *ctx, const struct am_json_member *m, struct am_buf *out)
{
    struct am_json_edit inner = {.each = ctx ? NULL : each, .ctx = out, .add_key = "x", .add_text = "{}"};
    if (json_is_object(m->value))
        return am_json_edit(m->text, m->n, &inner, out);
    if (!json_is_array(m->value))
        return 0;
    return am_buf_puts(out, "[[1]]") < 0 ? -AM_E_TOO_LARGE : 1;
}

static void edit(const char *text, size_t n)
{
    struct am_json_edit e = {.each = each, .add_key = "add\"ed", .add_text = "3"};
    struct am_buf out;
    am_buf_init(&out, (size_t)1 << 20);
    if (am_json_edit(text, n, &e, &out) == 1) {
        json_t *made = json_loadb(out.data, out.len, JSON_DECODE_INT_AS_REAL, NULL);
        if (!json_is_object(made) || json_number_value(json_object_get(made, "add\"ed")) < 2)
            abort();
        json_decref(made);
    }
    am_buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_vocab((const char *)data, size);
    edit((const char *)data, size);
    return 0;
}
