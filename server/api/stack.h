/*
 * stack.h - the tensor table of an input that is a stack of layers: the tables of its parts, cut, renamed and sorted,
 * in memory. A stack is made for one plan.
 */
#ifndef AM_SERVER_API_STACK_H
#define AM_SERVER_API_STACK_H

#include "core/base/fault.h"
#include "core/table/plan.h"
#include "storage/models.h"

#define AM_STACK_TENSORS 50000 /* of one stack and of one version in it */

struct am_submit;

struct am_stack_row {
    char *name, *shape, *file; /* the file's name begins with the number of its part */
    const char *dtype;
    uint64_t begin, bytes;
    size_t order; /* of two with one name the earlier counts */
    bool added;   /* by another input than the one whose table it is */
    bool adapted; /* the adapter of its input changes it */
};

struct am_stack {
    struct am_stack_row *row;
    size_t n, at, cap; /* at: of the cursor */
};

/* The entry `head` of the body and its parts, all pinned. 0 also with faults (`ret` is empty then), or a storage error.
 */
int am_stack_make(struct am_stack *ret, struct am_submit *submit, size_t head);
/* All of an input that is no stack, by name. */
int am_stack_whole(struct am_stack *ret, struct am_submit *submit, size_t input);
/* One more tensor: what `as` is, under that name, in a file of that part. -AM_E_TOO_LARGE */
int am_stack_put(struct am_stack *s, const char *name, const struct am_stack_row *as, size_t part, bool added);
/* Among the first `n`, which are sorted by name. */
bool am_stack_has(const struct am_stack *s, size_t n, const char *name);
void am_stack_unique(struct am_stack *s);                   /* sorts by name and keeps the first of each */
bool am_stack_added(const void *stack);                     /* the tensor that the cursor gave last */
void am_stack_sort(struct am_stack *s, bool by_place);      /* and back to the beginning */
int am_stack_next(void *stack, struct am_plan_tensor *ret); /* a cursor of am_plan_input */
void am_stack_done(struct am_stack *s);
/* "002/model.safetensors" */
int am_stack_file(char *out, size_t cap, size_t part, const char *path);

#endif
