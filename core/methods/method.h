/*
 * method.h - the contract of a method: one `const struct am_method` in one file of core/merge, core/unlearn or
 * core/edit.
 *
 * A method declares its parameters and needs as data; validation, GET /v1/methods, the JSON Schema, the tables of
 * api.md, `amend methods` and the fuzz dictionary are derived from them. It computes on TILES: AM_TILE neighbouring
 * elements of one tensor (fewer at its end), the same elements of every input, converted to f32. A tile fits the
 * processor's nearest cache. WINDOWS of whole tiles are what is read, computed by one thread, and written at a time. A
 * method never sees files, JSON or threads. Names of files and methods agree: core/merge/linear.c exports
 * am_method_merge_linear. tools/gen-methods finds it by name; there is no list to add it to.
 *
 * Ownership: everything a method is given is borrowed for the call. A method keeps no state outside its accumulator.
 */
#ifndef AM_METHODS_METHOD_H
#define AM_METHODS_METHOD_H

#include "core/methods/args.h"
#include "core/tensor/linalg.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AM_METHOD_ABI 1
#define AM_TILE 4096     /* elements; also the block of deterministic sums (kernels.h) */
#define AM_WINDOW 262144 /* elements: 64 tiles; the same boundaries for any number of threads */
#define AM_MAX_INPUTS 100

/* Methods of AM_EVALUATE compare samples and make a report: of what follows they declare parameters and needs alone. */
enum am_type { AM_MERGE, AM_UNLEARN, AM_EDIT, AM_EVALUATE, AM_TYPES };
extern const char *const am_type_names[AM_TYPES]; /* "merge", "unlearn", "edit", "evaluate" */

enum am_kind { AM_BOOL, AM_INT, AM_REAL, AM_TEXT, AM_CHOICE, AM_LIST }; /* AM_LIST: a list of text */

enum {                   /* am_param.flags */
       AM_REQUIRED = 1,  /* no default: must be given */
       AM_PER_INPUT = 2, /* one value for each model of a merge, given beside the model or once for all */
       AM_OPEN_MIN = 4,  /* min itself is not allowed */
       AM_OPEN_MAX = 8,
       AM_ADVANCED = 16, /* forms and --help show it last */
};

struct am_param {
    const char *name; /* [a-z][a-z0-9_]*; an empty entry ends the array */
    enum am_kind kind;
    double min, max;            /* AM_INT, AM_REAL: bounds hold when min < max; NaN and infinities are always refused */
    const char *def;            /* the default as JSON text; NULL exactly when AM_REQUIRED */
    const char *const *choices; /* AM_CHOICE: NULL-terminated */
    const char *unit;           /* "factor", "fraction", "none", ... */
    const char *doc;            /* one line */
    unsigned flags;
};

/* Rules over parameters, as data: the daemon checks them at submit, and the worker those over reals for each tensor
   where values or inputs differ between tensors. */
enum am_rule_kind {
    AM_RULE_END,
    AM_RULE_SUM_NOT_ZERO, /* |sum over the inputs of per-input real `a`| >= 1e-8 whenever bool `b` is true (reason
                             weights-sum-zero) */
    /* As many models as integer `a` asks for: at least a, 2a + 1, 2a + 3, 4a + 3 (reason robust-requirement). `b` is
       "". */
    AM_RULE_INPUTS_A,
    AM_RULE_INPUTS_2A_1,
    AM_RULE_INPUTS_2A_3,
    AM_RULE_INPUTS_4A_3,
    /* Both per-input reals: where 0 < a < 1, also 0 < a - b and a + b < 1 (reason margin). */
    AM_RULE_MARGIN,
    AM_RULE_BASE_APART, /* the base, where there is one, is none of the models. `a` and `b` are "" */
};
struct am_rule {
    enum am_rule_kind kind;
    const char *a, *b;
};

/* Several ways to write two per-input reals. The daemon rewrites the pair that is given for a model
   (core/table/forms.c) to the canonical two: to[k] = to[k][0] + to[k][1] * first + to[k][2] * second, rounded to 12
   decimals. All of them are declared with the default "null", which is how "not given" is told: NaN in am_args. */
struct am_form {
    const char *name[2]; /* an empty entry ends the array */
    double def[2];       /* NaN: must be given when the other one is. The first form holds when nothing is given */
    double to[2][3];
    bool stays;          /* both are kept beside the canonical two, for they say more */
    bool shrinks;        /* a first canonical value below 0 is taken from the second; otherwise that is a fault, as is a
                            sum of 1 or more */
    const char *sets[2]; /* a choice parameter and the value that this form gives it, or NULL */
};
struct am_canonical {
    const char *to[2];
    const struct am_form *form;
};

enum am_need {
    AM_NO,
    AM_OPTIONAL,
    AM_YES,
    AM_DONOR, /* optional, and only for its names, dtypes, config and tokenizer: its numbers are never read */
};

enum am_scope {
    AM_SCOPE_TENSOR,   /* an accumulator lives for one tensor */
    AM_SCOPE_MODEL,    /* for all selected tensors: apply starts after the last window of the last tensor */
    AM_SCOPE_BY_PARAM, /* the method's choice parameter `scope` ("tensor" or "model") says which */
};

/* How much for each run: fixed + per_input * models + per_pair * models * (models - 1) / 2. Here `models` counts
   am_window.inputs. */
struct am_amount {
    size_t fixed, per_input, per_pair;
};

/* A parameter's value at which no selected tensor changes; of a per-input one, every model's. */
struct am_fixed {
    const char *param; /* NULL: there is none */
    double value;
};

/* Holds when every named parameter has that value: a choice's text, "true" or "false" of a bool. Unnamed entries do not
   count; with none named it never holds. */
struct am_when {
    const char *param, *value;
};
#define AM_WHEN 2

/* Memory of whole(): doubles of am_matrix.work for one tensor of `models` inputs, rows x cols, of which matrices
   rows x width are decomposed, k = min(rows, width). */
struct am_matrix_need {
    struct am_amount full;   /* times rows * cols */
    struct am_amount square; /* times k * k, beside what the decomposition itself needs (am_svd_work()) */
    struct am_amount edge;   /* times rows + width + 16 */
    bool joined;             /* width is models * cols: all differences side by side. Else it is cols */
    struct am_amount row;    /* tensors that are no matrices are given to whole(), too, as one row, with this times
                                their elements (and 64); 0: they go through apply() */
};

struct am_needs {
    /* merge: how many `models`; 0 = no upper bound (but AM_MAX_INPUTS). unlearn and edit have exactly one `model`. */
    unsigned min_inputs, max_inputs;
    enum am_need base; /* merge: `base` */
    enum am_need task; /* unlearn: `task` = {"version": fine-tune, "base": what it was tuned from};
                          merge: every model is given with the base it was tuned from (x is then model, its base) */
    enum am_scope scope;
    unsigned passes;      /* 0..2 statistics passes over the tiles before apply */
    struct am_amount acc; /* bytes of one accumulator, zeroed at birth; 0 exactly when passes is 0 */
    /* Lists for the statistics: am_window.list and scope_list, of am_list_scope(elements of the tensor) bytes each. */
    struct am_amount lists;
    struct am_amount tally;       /* doubles of am_window.tally */
    struct am_amount report;      /* numbers that report() tells of a tensor: their memory is planned */
    bool bf16;                    /* am_window.x16 in place of x, where it can be */
    bool masks;                   /* am_window.mask, from the statistics of a tensor to its apply() */
    struct am_amount scratch;     /* arrays of am_window.scratch, each as long as a tile */
    size_t local_bytes;           /* of am_window.local; 0: none. At most 64 KiB */
    struct am_matrix_need matrix; /* of whole() */
    bool by_row;  /* with the method's choice parameter `granularity` at "row", tiles are rows (along the last axis;
                     a tensor of rank 0 or 1 is one row), windows whole rows */
    bool by_slab; /* tiles are slabs, always: all elements with the same first index (a tensor of rank 0 or 1 is one
                     slab; a matrix has its rows) */
    struct am_fixed unchanged_at; /* what unchanged() goes by, for plans; without it a plan charges for all of them */
    struct am_when rows_when[AM_WHEN]; /* tiles are rows as well when this holds */
    /* Then am_window.row has so many doubles for each row, zeroed, which last through all rounds of a tensor's scope.
     */
    size_t row_doubles;
    /* When columns_when holds, an accumulator ends in column_bytes for each column of its tensor: element i is in
       column i % (elements / shape[0]). Tensor's scope only. */
    struct am_when columns_when[AM_WHEN];
    size_t column_bytes;
    bool adapter;   /* the result is a LoRA adapter, made by factors() */
    bool random;    /* uses options.seed */
    bool symmetric; /* the order of equally weighted models does not matter (beyond rounding) */
};

/* One tile. All arrays have n elements and are aligned to 64 bytes, except that inputs may be unaligned. */
struct am_window {
    size_t n;
    uint64_t first;    /* flat index of element 0 in its tensor */
    uint64_t index;    /* number of its window in the accumulator's scope, from 0 */
    unsigned tile;     /* number of this tile in its window, from 0 */
    const float *base; /* merge: the base; unlearn with task: the task's old base; NULL when there is none */
    const float *const
        *x; /* merge: the models in the order of the request; unlearn: model, then the task's fine-tune; edit: model */
    size_t inputs;
    bool change; /* with needs.task: x[0] is not the fine-tune, but what it is more than x[1] */
    /* needs.bf16: where all sources are BF16, and finite where that is looked at, base16 and x16 may be given as they
       are stored, and base and x are NULL then. Never with compat "exact". */
    const uint16_t *base16, *const *x16;
    float *out;            /* apply only */
    float *const *scratch; /* needs.scratch arrays, their contents undefined */
    double *tally;         /* apply only: what apply() counts for the report; see below */
    double *row;           /* needs.row_doubles of this tile's row; apply may read them */
    /* needs.masks: one bit for each element, of input i from mask[i * mask_words] on; what stat() writes there apply()
       reads. NULL where those of the tensor would take more than AM_MASKS_BYTES (am_masks_bytes()). */
    uint32_t *mask;
    size_t mask_words;
    const void *local; /* what prepare() made of the parameters */
    /* stat only, contents undefined at first: memory of the window for its lists, all together (borrowed from the
       result, so there may be less than wished for), and of the scope for needs.lists of them. merge() may read the one
       and write the other; between() may read it. */
    void *list, *scope_list;
    size_t list_bytes;
};

struct am_tensor_info { /* what a selection may look at */
    const char *name;
    unsigned rank;
    const uint64_t *shape;
};

/* What a method may know of the tensor at hand: the parameters as they are for this tensor, and its size. */
struct am_scope_info {
    const struct am_args *args;
    struct am_tensor_info
        tensor; /* .name NULL: all selected tensors together (between and report of a model's scope) */
    uint64_t elements;
    size_t inputs;
    uint64_t seed;          /* options.seed, for methods that are `random` */
    uint64_t layer, layers; /* of the tensor (depth.h; layer AM_NO_LAYER: outside), and of the model */
};

/* One tensor, whole, for methods that need dense linear algebra (core/tensor/linalg.h). A tensor of more than two axes
   is [first axis, all others]. */
struct am_matrix {
    struct am_scope_info scope;
    bool matrix; /* false: a tensor that is none, as one row (needs.matrix.row) */
    size_t rows, cols;
    const float *base;
    float *out;   /* the result. read() may write to the same memory */
    double *work; /* `doubles` of them, as needs.matrix says; contents undefined */
    size_t doubles;
    double *tally; /* as am_window.tally: to be added to */
    /* Gives input i as f32 (the same memory each time), checked for values that are no numbers. */
    int (*read)(void *ctx, size_t i, const float **ret);
    void *ctx;
};

/* The difference of a fine-tune and its base in one matrix, as a method takes it apart whose result is an adapter
   (needs.adapter; patch.h): delta = left * right, about. */
#define AM_SKETCH 8 /* columns of a random sketch beyond the largest rank */
struct am_factors {
    struct am_scope_info scope;
    size_t rows, cols;
    size_t most;   /* the largest rank there may be, at most the shorter side */
    bool full;     /* all singular values, not a sketch */
    bool turned;   /* lora_A is made of `left`, not of `right` */
    double *delta; /* rows x cols; may be overwritten */
    double *work;  /* am_factors_work() doubles; contents undefined */
    size_t doubles;
    /* For the method to say: */
    struct am_mat left, right; /* rows x rank, rank x cols; they lie in `work` */
    double squares;            /* of delta, their sum */
    double first, last, next;  /* singular values: the largest, the smallest kept, the largest left out; NaN: none */
};

struct am_report; /* report.h */

#define AM_AGAIN 1

struct am_method {
    int abi; /* AM_METHOD_ABI */
    enum am_type type;
    const char *name, *since, *paper, *summary; /* paper: "arXiv:2203.05482" or "" */
    struct am_needs needs;
    const struct am_param *params; /* the method's own */
    const struct am_param
        *common; /* am_policies (core/merge/_policies.h): what core/methods/run.c does for every method */
    const struct am_rule *rules;          /* or NULL */
    const struct am_canonical *canonical; /* or NULL */

    /* What it means when between() or apply() returns -AM_E_BAD_INPUT. */
    struct am_refusal {
        const char *reason, *text; /* "antipodal-inputs"; a sentence with what to do */
    } refusal;

    /* Which float tensors the method changes; NULL = all. The others are passed through byte for byte. A method with
       the list parameters `include` and `exclude` takes those whose name matches (am_glob) one of the first and none of
       the second: the daemon plans by them. */
    bool (*selects)(const struct am_args *args, const struct am_tensor_info *t);
    /* Of those: whose result is, by construction, the bytes that the donor has (the base, else the first model). They
       are not read, take no part in statistics, and are not stored again. NULL = none. */
    bool (*unchanged)(const struct am_args *args, const struct am_tensor_info *t);

    /* Turns the parameters into `local` (needs.local_bytes, zeroed) once for each window, so that tiles look no names
       up. NULL exactly when local_bytes is 0. */
    void (*prepare)(const struct am_scope_info *s, void *local);

    /* Which neighbouring elements of this tile (w->n, index, tile, local are set) the round needs: their number, from
       *ret_first on. stat() then gets those only, as a shorter tile that begins there; with 0 it is not called. For
       samples. NULL: all of them. */
    size_t (*look)(const struct am_window *w, const void *sofar, unsigned pass, size_t *ret_first);
    /* Statistics (needs.passes > 0). stat() touches its tile and its window's own accumulator only; a window's tiles
       come one after the other, windows on any thread in any order. merge() folds windows' accumulators in window
       order. between() runs after the last window: 0 = next pass, AM_AGAIN = the same pass once more (the accumulator
       is kept, stat() gets fresh zeroed ones plus the finished one as `sofar`), negative = error. `sofar` is NULL in
       the very first round only. */
    int (*stat)(const struct am_window *w, const void *sofar, void *acc, unsigned pass);
    int (*merge)(void *into, const void *from, unsigned pass);
    int (*between)(void *acc, const struct am_scope_info *s, const void *local, unsigned pass, unsigned round);

    /* Writes w->out. `acc` is the finished accumulator of the scope, read only; NULL without passes. w->tally is zeroed
       for each window, handed to its tiles in order, and added up element by element in window order. */
    int (*apply)(const struct am_window *w, const void *acc);
    /* needs.bf16, and the result is BF16, too: a tile at once, as it is stored. base16 and x16 are given; nobody has
       looked for NaN and infinity in them. False: an input or the result is not finite, or not in this tile; then
       w->tally is untouched, and apply() is called. NULL: always apply(). */
    bool (*apply_bf16)(const struct am_window *w, const void *acc, uint16_t *out);

    /* Methods with whole-tensor linear algebra: which of the selected tensors are matrices, and the result of one of
       them, one tensor at a time; the others go through apply(). A method of this kind has the list parameters
       `include` and `exclude` and the choice `conv` (core/merge/_whole.h), by which the daemon plans, and no statistics
       passes. Its bytes are the same for one set of kernels and one BLAS. NULL: none are. */
    bool (*is_matrix)(const struct am_args *args, const struct am_tensor_info *t);
    int (*whole)(struct am_matrix *m);

    /* Methods whose result is an adapter (patch.h) have this alone, and no apply(): the factors of one matrix. Rank 0
       is no difference. Such a method has one model and a base, and the parameters by which the daemon plans and
       patch.h works (core/merge/_patch.h). Its bytes are as those of whole(). */
    int (*factors)(struct am_factors *f);

    /* Writes the numbers of one computed tensor (s->tensor.name set; acc: of a tensor's scope, else NULL), and at the
       end those of the whole run (name NULL; tally: the sum over all tensors; acc: of a model's scope, else NULL).
       NULL = no report. */
    void (*report)(const struct am_scope_info *s, const void *acc, const double *tally, struct am_report *r);
};

/* `when` under these parameters (registry.c). */
bool am_when_holds(const struct am_method *m, const struct am_when *when, const struct am_args *args);

/* The registry, written by tools/gen-methods: NULL-terminated, sorted by type and name. */
extern const struct am_method *const am_methods[];
const struct am_method *am_method_find(const char *type, const char *name);

/* 8 bytes for each of 36 * sqrt(elements) + 1024 entries, but not more than 196,608, and 4 for each tile; a multiple of
   64. core/table/plan.c counts the same. */
static inline size_t am_list_entries(uint64_t elements)
{
    double entries = 36 * sqrt((double)elements) + 1024;
    return entries < 196608 ? (size_t)entries / 8 * 8 : 196608;
}

static inline size_t am_list_scope(uint64_t elements)
{
    return 8 * am_list_entries(elements) + 4 * (size_t)(elements / AM_TILE / 16 * 16 + 64);
}

/* What am_window.mask takes of a tensor in tiles of so many elements; core/table/plan_when.c counts the same. */
#define AM_MASKS_BYTES ((uint64_t)16 << 20)
static inline uint64_t am_masks_bytes(uint64_t elements, uint64_t tile, size_t inputs)
{
    uint64_t bytes = (elements + tile - 1) / tile * ((tile + 31) / 32 * sizeof(uint32_t) * inputs);
    return elements / 8 <= AM_MASKS_BYTES && bytes <= AM_MASKS_BYTES ? bytes : 0;
}

static inline size_t am_amount(struct am_amount a, size_t inputs)
{
    return a.fixed + a.per_input * inputs + a.per_pair * (inputs * (inputs - 1) / 2);
}

/* am_matrix.doubles; core/table/plan_whole.c counts the same. */
static inline size_t am_matrix_doubles(const struct am_matrix_need *n, bool matrix, size_t rows, size_t cols,
                                       size_t inputs)
{
    size_t width = n->joined ? inputs * cols : cols, k = rows < width ? rows : width;
    if (!matrix)
        return am_amount(n->row, inputs) * cols + 64;
    return am_amount(n->full, inputs) * rows * cols + am_amount(n->square, inputs) * k * k +
           am_amount(n->edge, inputs) * (rows + width + 16) + am_svd_work(rows, width);
}

/* Columns that factors() decomposes: of a sketch, or all. */
static inline size_t am_factors_width(bool full, size_t rows, size_t cols, size_t most)
{
    size_t k = rows < cols ? rows : cols;
    return full || k < AM_SKETCH || most >= k - AM_SKETCH ? k : most + AM_SKETCH;
}

/* am_factors.doubles; core/table/plan_patch.c counts the same. */
static inline size_t am_factors_work(bool full, size_t rows, size_t cols, size_t most)
{
    size_t k = rows < cols ? rows : cols, width = am_factors_width(full, rows, cols, most);
    if (width == k)
        return (rows + cols + 1) * k + am_svd_work(rows, cols) + 64;
    return 2 * (rows + cols) * width + (width + 1) * width + am_svd_work(width, cols) + 64;
}

#endif
