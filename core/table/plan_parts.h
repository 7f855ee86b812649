/*
 * plan_parts.h - private to core/table: what plan.c and plan_output.c share. Dtypes are known by name only, since the
 * daemon links this and nothing of core/tensor; a unit test holds the two together.
 */
#ifndef AM_TABLE_PLAN_PARTS_H
#define AM_TABLE_PLAN_PARTS_H

#include "core/table/plan.h"

#define AM_PLAN_WINDOW 262144u /* elements of one window of the worker */
#define AM_PLAN_CHUNK 32768u   /* elements read at a time */
#define AM_PLAN_TILE 4096u     /* elements of one tile */
#define AM_PLAN_APART 32u      /* AM_SYS_APART, of what is read and written */
#define AM_PLAN_SLOTS ((uint64_t)64 << 20)
#define AM_PLAN_AHEAD 10u
#define AM_PLAN_TURNS 4u
#define AM_PLAN_COPY (4u * AM_PLAN_WINDOW) /* bytes of a window that is copied */
#define AM_PLAN_SHARDS 1000                /* files of one result */
#define AM_PLAN_DTYPES 22
#define AM_PLAN_DISK_EXTRA ((uint64_t)1 << 20) /* the small files of a version */
/* Of OpenBLAS's own buffer; measured, with the library itself (plan.c). */
#define AM_PLAN_BLAS_TOUCHED ((uint64_t)7 << 18)

uint64_t am_plan_line(uint64_t bytes);         /* rounded up to 64 */
uint64_t am_plan_plus(uint64_t a, uint64_t b); /* saturate */
uint64_t am_plan_times(uint64_t a, uint64_t b);

static inline uint64_t am_plan_smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t am_plan_larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline void am_plan_grow(uint64_t *at, uint64_t value)
{
    *at = am_plan_larger(*at, value);
}

/* Bytes of an element of a dtype that methods compute with; 0 for all others. */
uint64_t am_plan_computed(const char *dtype);
/* Place of a dtype in the reference writer's order, from 0; negative: the format does not know it. */
int am_plan_dtype(const char *name);
const char *am_plan_name(int dtype);                                      /* of a place: lasts for ever */
const char *am_plan_out_dtype(const struct am_body *b);                   /* or NULL: as the donor */
uint64_t am_plan_out_bytes(const struct am_body *b, struct am_faults *f); /* of an element of it; 0: none */
/* ---- plan_some.c ---- */

struct am_plan_ways { /* what options.missing and options.extra say */
    bool missing, some, drop, keep;
};
struct am_plan_ways am_plan_ways_of(const struct am_body *b);
/* The fewest inputs that the method merges a tensor from, when others lack it; or, whole, when no others are asked for
   it. beside: a base is read. */
uint64_t am_plan_least(const struct am_body *b, bool beside, bool whole);
/* The tensor of that name is in a module that the input takes part in. */
bool am_plan_takes(const struct am_plan_input *in, const char *name);
struct am_plan_have {              /* who has a tensor */
    uint64_t inputs, asked, there; /* those that the method counts; that its module is of; that have it */
    uint64_t least[2];             /* am_plan_least(): when others lack it, and when no others are asked */
    bool based;                    /* the base has it, or there is none */
};
/* Whether it is passed on as the donor has it; the plan tells of it, and of what is merged from some. */
bool am_plan_too_few(struct am_plan *p, const struct am_body *b, const struct am_plan_have *h, const char *name);
bool am_plan_over_model(const struct am_body *b);
/* The first part of a tensor's name into the list of those that there are. */
void am_plan_note_module(char list[AM_LIST_TEXT], const char *name);
void am_plan_tell(struct am_plan_told *told, const char *name);
/* Remembers a tensor that is passed on; they come sorted. */
int am_plan_pass(struct am_plan *p, const char *name);
bool am_plan_passes(const struct am_plan *p, const char *name);
/* ---- plan_when.c ---- */

/* Whether a selected tensor of that dtype keeps the donor's bytes by construction: a parameter has the value that the
 * method declares for it, and out_dtype changes nothing. */
bool am_plan_keeps(const struct am_body *b, const char *tensor, const char *dtype);
/* Whether a selected tensor of the donor keeps its bytes: am_plan_keeps(), or the change that is carried spares it. */
bool am_plan_stays(const struct am_body *b, const struct am_plan_tensor *t);
struct am_plan_spans { /* elements: a window is whole chunks of whole tiles */
    uint64_t tile, chunk, window;
};
/* How a computed tensor is cut, as cut() of run.c; counts its rows, columns and masks where something is kept for them.
 */
struct am_plan_spans am_plan_cut(struct am_plan_need *need, const struct am_body *b, const char *tensor,
                                 const char *shape, uint64_t elements, uint64_t inputs);
/* What the method asks for, before the first tensor; and what that makes of acc and fixed, after the last. */
void am_plan_vectors_need(struct am_plan_need *need, const struct am_body *b);
void am_plan_vectors_add(struct am_plan_need *need);

/* Whether the method works on BF16 as it is stored, where all sources of a tensor are. */
bool am_plan_takes_bf16(const struct am_body *b);

/* An amount of the described needs: [fixed, per_input, per_pair]. */
uint64_t am_plan_amount(const json_t *needs, const char *name, uint64_t inputs);
/* Whether the lists `include` and `exclude` of the parameters let the name through. */
bool am_plan_included(const struct am_body *b, const char *name);
/* ---- plan_whole.c ---- */

/* Doubles that whole() works with (am_matrix_doubles() of core/methods/method.h; a unit test holds the two
   together). need: needs.matrix as described. */
uint64_t am_plan_whole_doubles(const json_t *need, bool matrix, uint64_t rows, uint64_t cols, uint64_t inputs);
/* A tensor that may be computed whole: what it takes, if it is. */
void am_plan_charge_whole(struct am_plan_need *n, const struct am_body *b, const struct am_plan_tensor *t,
                          uint64_t elements, uint64_t inputs);
uint64_t am_plan_svd_work(uint64_t rows, uint64_t cols);
/* ---- plan_patch.c ---- */

bool am_plan_is_adapter(const struct am_body *b);
/* A fault for each input of such a method that is no version as it is stored. */
void am_plan_adapter_inputs(const struct am_body *b, struct am_faults *f);
uint64_t am_plan_factors_work(bool full, uint64_t rows, uint64_t cols, uint64_t most);
/* One tensor of the base, which the two inputs have in so many bytes together, and the larger in `largest`: what the
   run takes and writes for it at the most. Whether it gets factors. */
bool am_plan_charge_adapter(struct am_plan *p, const struct am_body *b, const struct am_plan_tensor *t, uint64_t read,
                            uint64_t largest);
int am_plan_adapter_output(struct am_plan *p, const struct am_body *b, unsigned threads);
/* Windows of a tensor: those that are computed, or those that are copied. */
uint64_t am_plan_windows(uint64_t n, uint64_t span);

#endif
