/*
 * config_edit.h - the donor's config.json for the result: dtype, number of layers, head of its own, vocabulary.
 */
#ifndef AM_WORKER_CONFIG_EDIT_H
#define AM_WORKER_CONFIG_EDIT_H

#include "core/base/buf.h"
#include "core/tensor/model.h"
#include "worker/spec.h"
#include "worker/tokens.h"

struct am_config_edit {
    const struct am_spec_run *spec;
    const struct am_model *donor; /* as it is stored */
    size_t parts;                 /* of the stack that it is; 0: none */
    bool untie;                   /* the result has a head that the donor had tied */
    struct am_tokens *tokens;
    const char *text; /* n bytes */
    size_t n;
};

/* 1: text[0] is the edited one; 0: nothing changes; -AM_E_BAD_INPUT: it is no JSON object. text[1] is room. */
int am_config_edit(const struct am_config_edit *e, struct am_buf text[2]);

#endif
