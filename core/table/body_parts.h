/*
 * body_parts.h - private to core/table: the parts of a job's body, each checked in its own file and gathered by body.c.
 * Each adds faults and returns 0 or -AM_E_OUT_OF_MEMORY; what was good is in `b` even when there are faults.
 */
#ifndef AM_TABLE_BODY_PARTS_H
#define AM_TABLE_BODY_PARTS_H

#include "core/table/body.h"

/* inputs.c: fills b->input, b->inputs, b->donor. `type` is known; b->row may be NULL (unknown method: counts and needs
 * are not checked). */
int am_inputs_check(struct am_body *b, json_t *inputs, const char *type, struct am_faults *f);

/* inputs.c: adds the version that member `name` of `obj` ("#/inputs") names, as text or as a job's. */
int am_input_version(struct am_body *b, const char *role, json_t *obj, const char *name, struct am_faults *f);

/* inputs.c: the same of an entry of a list, which is a text. */
int am_input_listed(struct am_body *b, const char *role, const char *ref, const char *pointer, struct am_faults *f);
/* line.c: the inputs of evaluate/continual. */
int am_inputs_line(struct am_body *b, json_t *inputs, struct am_faults *f);

/* evaluate.c: the members that only such jobs have. */
int am_inputs_evaluate(struct am_body *b, json_t *inputs, struct am_faults *f);
/* gate.c: also of other jobs. */
int am_gate_check(struct am_body *b, json_t *body, bool evaluates, struct am_faults *f);
/* `publish.move` into b->move; the gate was looked at. */
int am_moves_check(struct am_body *b, json_t *publish, struct am_faults *f);
int am_publish_evaluate(struct am_body *b, json_t *publish, struct am_faults *f);

/* evaluate.c: "prd_" and 32 hex digits. */
bool am_prediction_uid_ok(const char *uid);
/* stacks.c: the layers of a part, and that the stacks of a body go together. */
int am_stack_layers(struct am_body_input *in, json_t *part, const char *at, struct am_faults *f);
void am_stacks_check(const struct am_body *b, struct am_faults *f);

/* modules.c: the `modules` beside a model, into entry `index`. */
void am_modules_take(struct am_body *b, size_t index, json_t *entry, const char *at, struct am_faults *f);
bool am_modules_apart(const json_t *a, const json_t *b);
/* How many models the method sees in the modules of model `index`; first: nobody before it has the same ones. */
size_t am_modules_count(const json_t *models, size_t index, bool *ret_first);

/* tokenizer.c: options.tokenizer, vocab and chat_template into b->options. */
int am_tokenizer_check(struct am_body *b, json_t *options, struct am_faults *f);

/* publish.c; `publish` may be NULL. `type` may be NULL (unknown). */
int am_publish_check(struct am_body *b, json_t *publish, const char *type, struct am_faults *f);

#endif
