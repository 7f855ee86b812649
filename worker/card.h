/*
 * card.h - the texts that go beside the weights: README.md (a model card) and amend.json (the recipe). They depend on
 * the recipe and nothing else, so that the same recipe gives the same bytes.
 */
#ifndef AM_WORKER_CARD_H
#define AM_WORKER_CARD_H

#include "core/base/buf.h"
#include "worker/spec.h"

int am_card_readme(const struct am_spec_run *s, struct am_buf *out);
int am_card_recipe(const struct am_spec_run *s, struct am_buf *out);

#endif
