/*
 * tokenizers.c - options.tokenizer of a merge: which tokenizer the result has. Inputs whose tokenizer.json is the same,
 * byte for byte, need no joining: union, base and any one of them are then the donor's, with its rows. Others are
 * refused here, since their rows would have to be joined token by token (merge.md B13).
 */
#include "core/base/text.h"
#include "server/api/submit.h"
#include "storage/models.h"

#include <string.h>

static int take_sha(void *ctx, const struct am_file_row *f)
{
    snprintf(ctx, 65, "%s", f->sha256);
    return 0;
}

static int sha_of(struct am_submit *s, size_t i, char out[65])
{
    out[0] = 0;
    int rc = am_file_get(s->db, s->in[i].version, "tokenizer.json", take_sha, out);
    return rc == -AM_E_NOT_FOUND ? 0 : rc;
}

int am_submit_tokenizers(struct am_submit *s)
{
    char donor[65], other[65];
    size_t d = s->body.donor;
    if (!json_object_get(s->body.options, "tokenizer") || s->in[d].version == 0)
        return 0;
    AM_TRY(sha_of(s, d, donor));
    for (size_t i = 0; i < s->body.inputs - s->body.adapters; i++) {
        if (i == d || s->in[i].version == 0)
            continue;
        AM_TRY(sha_of(s, i, other));
        if (!am_streq(donor, other))
            am_fault_add(
                &s->faults, AM_E_TOKENIZER,
                (struct am_where){.pointer = s->body.input[i].pointer, .reason = "tokenizer-differs"},
                "the tokenizer.json of %s is not that of %s; vocabularies are not joined by this version: merge "
                "models of one tokenizer, or leave tokenizer out to keep the donor's",
                s->in[i].label, s->in[d].label);
    }
    return 0;
}
