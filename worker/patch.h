/*
 * patch.h - adapter_config.json of a result that is a LoRA adapter: what PEFT reads beside adapter_model.safetensors.
 */
#ifndef AM_WORKER_PATCH_H
#define AM_WORKER_PATCH_H

#include "core/base/buf.h"
#include "core/methods/patch.h"
#include "worker/session.h"
#include "worker/spec.h"

struct am_patch_about {
    const struct am_patch *patch;
    const struct am_model *base;
    const char *config; /* config.json of the base, for the kind of task; NULL: it has none */
    size_t config_n;
};

/* What PEFT would not make the fine-tune of, as far as config.json tells: matrices that lie the other way, embeddings
   that two modules share. */
void am_patch_warn(struct am_session *s, const struct am_patch_about *about);
/* am_run.whole: what PEFT trains and saves whole for the kind of task that config.json (or NULL) names. */
const char *const *am_patch_heads(const char *config, size_t n);
int am_patch_config(const struct am_spec_run *s, const struct am_patch_about *about, struct am_buf *out);

#endif
