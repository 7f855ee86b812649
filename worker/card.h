/*
 * card.h - the texts that go beside the weights: README.md (a model card) and amend.json (the recipe). They depend on
 * the recipe, the donor's files and nothing else, so that the same recipe gives the same bytes.
 */
#ifndef AM_WORKER_CARD_H
#define AM_WORKER_CARD_H

#include "core/base/buf.h"
#include "worker/spec.h"

struct am_card_base {   /* what the donor's own texts say */
    const char *readme; /* NUL-terminated, or NULL */
    size_t readme_n;
    bool transformers; /* its config.json is one of that library */
    bool adapter;      /* the result is a LoRA adapter of the base */
    bool original;     /* the result keeps a card that a person wrote (core/table/card_mark.h) */
};
int am_card_readme(const struct am_spec_run *s, const struct am_card_base *base, struct am_buf *out);
int am_card_recipe(const struct am_spec_run *s, struct am_buf *out);

#endif
