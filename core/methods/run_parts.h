/*
 * run_parts.h - what the files of am_run() share. Private to core/methods.
 *
 * A SLOT is one window in flight with its buffers. Slots form a ring: windows are given in order, worked on by the
 * threads of a crew in any order, SETTLED in order by the calling thread, which merges accumulators and adds tallies,
 * and hashed in order by whichever thread is free; when both are done the slot is free. So nothing that can be seen
 * depends on threads. Every round of a method's statistics reads its tensor again: what was read a moment ago is in the
 * system's page cache, and holding it here as well was no faster and took four times the memory.
 */
#ifndef AM_METHODS_RUN_PARTS_H
#define AM_METHODS_RUN_PARTS_H

#include "core/base/crew.h"
#include "core/methods/depth.h"
#include "core/methods/run.h"

#define AM_COPY_BYTES (AM_WINDOW * sizeof(float)) /* span of a tensor that is copied */

/* Elements that are read, computed and written at a time, so that they are in the nearest caches meanwhile. */
#define AM_CHUNK 32768

/* core/table/plan.c counts with the same numbers. */
#define AM_SLOTS_BYTES ((uint64_t)64 << 20) /* all slots, unless one alone takes more */
#define AM_SLOTS_AHEAD 10                   /* slots beside those that threads are at work on */
#define AM_TURNS 4                          /* accumulators that scopes of tensors take turns at */

#define AM_SOMES_MAX 256 /* different sets of inputs that tensors of one run are merged from */

struct am_run_some { /* inputs that have a tensor, when not all of them do */
    bool keep[2 * AM_MAX_INPUTS + 2];
    size_t inputs;
    struct am_args args; /* for them alone */
};

struct am_run_item { /* one tensor of the output */
    const struct am_tensor *donor;
    bool selected; /* computed; else the donor's bytes */
    bool stored;   /* goes into the output; else the result refers to the donor's bytes */
    bool whole;    /* whole() computes it, at once */
    bool matrix;   /* ... and as a matrix */
    bool pass;     /* selected, but without the method: the donor's value in another dtype, or with its adapter */
    bool differs;  /* copied, and another input holds other bytes */
    uint8_t out_dtype;
    bool rows_kept;                 /* am_window.row */
    size_t mask_words;              /* am_window.mask_words; 0: no mask */
    uint64_t tile, chunk, window;   /* elements: whole tiles, whole chunks */
    uint64_t windows, first_window; /* number of its first window in a scope over the whole model */
    struct am_run_turn *turn;       /* at which it was counted */
};

enum am_slot_work {
    AM_SLOT_STAT,
    AM_SLOT_APPLY,
    AM_SLOT_COPY,
    AM_SLOT_COMPARE /* a copy that is not written: do the inputs differ? */
};

struct am_slot_fault { /* why a window failed; told when it is settled */
    int rc, errno_value;
    const char *reason; /* or NULL */
    const char *label;  /* input, or NULL: the result */
    bool f64;           /* that input has the tensor in F64 */
    uint64_t first, count;
};

struct am_slot { /* one window in flight, with its buffers */
    enum am_slot_work work;
    struct am_run_item *item;
    const struct am_out_tensor *target; /* NULL for STAT and COMPARE */
    uint64_t first;                     /* element; byte for copies */
    size_t n;                           /* elements; bytes for copies */
    uint64_t index;                     /* window number in the accumulator's scope */
    size_t bytes;                       /* of the result, in `out` */
    bool differs;                       /* a copy: another input has other bytes here */
    uint64_t nonfinite, clamped;        /* let through by the policies */
    struct am_slot_fault fault;
    int hashed; /* 0, or why not: its hash cannot be taken */
    unsigned char *memory;
    unsigned char *out;   /* the result as stored, or a copy; like `in` at a multiple of 64 or am_sys_apart behind */
    unsigned char *other; /* the copy of another input: lies where the next ones do */
    unsigned char **in;   /* a chunk of each source as stored */
    float **value;        /* each source's tile, then the result's, then scratch: f32 */
    const float **x;
    const uint16_t **x16;
    void *acc, *local;
    double *tally;
};

struct am_run_sizes {    /* of one slot, in bytes, each a multiple of 64 */
    uint64_t out, other; /* largest windows */
    uint64_t *in;        /* of each source */
    uint64_t tile;       /* one f32 tile */
    size_t tiles;        /* how many of them */
    uint64_t acc, tally, local;
    uint64_t lists; /* of the scope */
    uint64_t rows;  /* what am_window.row points into */
    uint64_t masks; /* what am_window.mask points into */
};

/* What one scope has. Scopes take turns at them, so that some may still be computed and reported while the next one is
   counted. */
struct am_run_turn {
    void *acc;
    bool stale;      /* acc is still another scope's */
    double *row;     /* of all rows of the tensor */
    uint32_t *mask;  /* of all its tiles */
    uint64_t needed; /* until that many windows are settled */
};

/* A tensor that is counted, and of whose result windows are still to be given. */
struct am_run_later {
    const struct am_out_tensor *target;
    uint64_t next; /* window */
};

struct am_run_whole { /* of the largest tensor that is computed whole */
    float *base, *x;  /* x: an input, then the result */
    double *work;
    unsigned char *raw; /* a chunk as stored */
};

struct am_run_state {
    const struct am_run *r;
    struct am_faults *faults;
    struct am_output out;
    struct am_run_item *item; /* in the donor's order */
    struct am_depth depth;
    size_t items, selected; /* selected: before `unchanged` */
    uint16_t
        *some_at; /* of each of the donor's tensors: 0: all inputs have it; 1: it is passed on; n + 2: some[n] do */
    struct am_run_some *some;
    size_t somes, some_cap;
    struct am_args *args; /* of each of the donor's tensors; NULL: the same for all */
    double *rows;         /* what they point into */
    const struct am_run_input *
        *source; /* the base if there is one, then the models: what is read of a computed tensor */
    size_t sources;
    struct am_run_sizes size;
    struct am_crew *crew;
    struct am_slot *slot;
    size_t slots;
    uint64_t given, settled, freed; /* windows since the start; window i is in slot i % slots */
    bool model_scope;
    struct am_run_turn turn[AM_TURNS], *now;
    size_t turns;                        /* in use */
    struct am_run_later later[AM_TURNS]; /* in the order of the file */
    size_t laters;
    struct am_run_whole whole;
    void *lists;       /* of the scope that is counted */
    const void *sofar; /* what stat() may see: NULL in the very first round */
    unsigned pass, round;
    double *tally, *total; /* of the tensor at hand, and of the run */
    uint64_t bytes_done, bytes_total, stat_bytes;
    uint64_t behind; /* written, and not yet on its way to the disk; of what is hashed */
    size_t tensors_done;
    uint64_t nonfinite, clamped;
};

/* Not computed with and in several inputs, of which others may hold other bytes. */
bool am_run_compares(const struct am_run_state *s, const struct am_run_item *item);
/* What an input's adapter does to its tensor of that name; NULL: nothing. */
const struct am_delta *am_run_delta(const struct am_run_input *in, const char *tensor);
/* x with an adapter to the dtype without it, if that is wanted; raw: room for its bytes. */
void am_run_round(const struct am_run_state *s, const struct am_run_input *in, const char *tensor, void *raw, float *x,
                  size_t n);
/* The input whose tensors are the donor's. */
bool am_run_is_donor(const struct am_run_state *s, const struct am_run_input *in);
/* The same, when its adapter makes the tensor another one than its file holds; else NULL. */
const struct am_run_input *am_run_adapted(const struct am_run_state *s, const char *tensor);
/* What a tensor that is passed on is read from. */
const struct am_tensor *am_run_passed(const struct am_run_state *s, const struct am_run_item *item);
/* The parameters of a tensor; item NULL: of the run. */
const struct am_args *am_run_args(const struct am_run_state *s, const struct am_run_item *item);
int am_run_vary(struct am_run_state *s); /* makes them */
/* ---- run_some.c: which inputs take part in which tensor ---- */
int am_run_some(struct am_run_state *s); /* finds it out */
void am_run_some_done(struct am_run_state *s);
/* The tensor of that name is in a module that the input takes part in. */
bool am_run_takes(const struct am_run_input *in, const char *name);
/* What begins from the first input of a tensor begins from the donor: false where that input is in no module of it. */
bool am_run_from_donor(const struct am_run *r, const char *name);
bool am_run_passes(const struct am_run_state *s, const struct am_tensor *donor);
/* NULL: all of them. */
const struct am_run_some *am_run_some_of(const struct am_run_state *s, const struct am_tensor *donor);
/* The tensor in source k; NULL: it takes no part. */
const struct am_tensor *am_run_source(const struct am_run_state *s, size_t k, const struct am_run_item *item);
/* Decides which files are written and opens the output; errno is the cause of an error. */
int am_run_files(struct am_run_state *s);

/* Measures the slots, and makes them with the crew. */
int am_slots_open(struct am_run_state *s);
void am_slots_done(struct am_run_state *s);
struct am_scope_info am_run_scope(const struct am_run_state *s, const struct am_run_item *item);

/* Gives one window to the crew; settles older ones when all slots are taken. */
int am_ring_give(struct am_run_state *s, enum am_slot_work work, struct am_run_item *item,
                 const struct am_out_tensor *target, uint64_t number);
/* Until `windows` of all that were given are settled. */
int am_ring_settle(struct am_run_state *s, uint64_t windows);
/* Until all of them are written and hashed, too. */
int am_ring_written(struct am_run_state *s);
void am_ring_drop(struct am_run_state *s); /* after an error: waits for the crew */

/* ---- run_later.c: results whose windows wait, so that the crew has work while the next tensor is counted ---- */
/* After am_run_stats(): the tensor's result is to be given. */
void am_later_add(struct am_run_state *s, const struct am_out_tensor *target);
/* Gives half of what waits: before the windows of a round are waited for. */
int am_later_half(struct am_run_state *s);
/* Gives all that waits but so many tensors, the last ones. */
int am_later_but(struct am_run_state *s, size_t tensors);

/* Takes a window's result into its file's hash: what follows its work. */
void am_slot_hash(struct am_run_state *s, struct am_slot *slot);
/* The work of one window, on any thread. */
void am_slot_run(const struct am_run_state *s, struct am_slot *slot);
/* The accumulator of the scope that is counted; zeroed when it is first asked for. By then all windows of the scope
   that had it before must be settled, as they are when a window of this scope is. */
void *am_run_acc(struct am_run_state *s);
/* All passes and rounds over the selected of `items` tensors, in that order. The finished accumulator is
   am_run_acc(). */
int am_run_stats(struct am_run_state *s, struct am_run_item *const *item, size_t items);
/* The method refuses the tensor (am_method.refusal). Returns -AM_E_BAD_INPUT. */
int am_run_refuse(const struct am_run_state *s, const char *tensor);
/* Tensors that are computed whole (run_matrix.c): which, their memory, and one of them. */
void am_run_matrix_choose(const struct am_run_state *s, struct am_run_item *item);
int am_run_matrix_open(struct am_run_state *s);
int am_run_matrix(struct am_run_state *s, struct am_run_item *item);
void am_run_matrix_done(struct am_run_state *s);

/* Adds the fault of a failed window. */
int am_slot_tell(const struct am_run_state *s, const struct am_slot *slot);

#endif
