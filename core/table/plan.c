/*
 * plan.c - the plan of a job (plan.h): one merge-join over the sorted tensor tables of all inputs.
 * Knows dtypes by name only, since the daemon links this and nothing of core/tensor; a unit test holds the two
 * together.
 */
#include "core/table/plan.h"

#include "core/base/buf.h"
#include "core/base/text.h"
#include "core/table/json_util.h"

#include <stdlib.h>
#include <string.h>

#define LISTED 20 /* tensors told one by one for each input */
#define NAME_MAX_BYTES ((size_t)1 << 20)
#define BASE_BYTES ((uint64_t)24 << 20)
#define WINDOW 262144u /* elements of one window of the worker */
#define DISK_EXTRA ((uint64_t)1 << 20)

struct side {
    struct am_plan_input *in;
    struct am_plan_tensor head;
    bool live;     /* head holds a tensor */
    bool empty;    /* had none at all */
    size_t faults; /* tensors of this input with a fault */
};

struct join {
    struct side *side;
    size_t n, donor, listed;
    uint64_t reads;     /* times that each computed tensor of each input is read */
    uint64_t out_bytes; /* of an element of out_dtype; 0 = the donor's */
    struct am_plan plan;
    struct am_buf last; /* name of the step before: tables must be sorted */
    struct am_faults *faults;
};

static uint64_t plus(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

static uint64_t times(uint64_t a, uint64_t b)
{
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

/* Bytes of an element of a dtype that methods compute with; 0 for all others. */
static uint64_t computed_bytes(const char *dtype)
{
    if (am_streq(dtype, "F16") || am_streq(dtype, "BF16"))
        return 2;
    if (am_streq(dtype, "F32"))
        return 4;
    return am_streq(dtype, "F64") ? 8 : 0;
}

/* Quantised weights: narrow floats that need their scales, and tensors that only quantisation schemes write. */
static bool quantised(const struct am_plan_tensor *t)
{
    if (am_streq(t->dtype, "F4") || am_starts(t->dtype, "F6_") || am_starts(t->dtype, "F8_"))
        return true;
    return am_ends(t->name, ".absmax") || am_ends(t->name, ".qweight") || am_ends(t->name, "_scale_inv");
}

static int advance(struct side *s)
{
    int rc = s->in->next(s->in->cursor, &s->head);
    s->live = rc == 1;
    return rc < 0 ? rc : 0;
}

/* Whether this fault is still listed one by one for the input. */
static bool listed(struct join *j, struct side *s)
{
    return s->faults++ < j->listed;
}

static struct am_where where(const struct side *s, const char *reason, const char *tensor)
{
    return (struct am_where){.pointer = s->in->pointer, .reason = reason, .tensor = tensor};
}

static void fault_missing(struct join *j, struct side *s, const char *name)
{
    char shown[AM_SHOWN];
    if (listed(j, s))
        am_fault_add(j->faults, AM_E_SHAPE_MISMATCH, where(s, "tensor-missing", name),
                     "tensor %s is in %s but not in %s; all inputs need the same tensors", am_shown(shown, name),
                     j->side[j->donor].in->label, s->in->label);
}

static void fault_extra(struct join *j, struct side *s)
{
    char shown[AM_SHOWN];
    if (listed(j, s))
        am_fault_add(j->faults, AM_E_SHAPE_MISMATCH, where(s, "tensor-extra", s->head.name),
                     "tensor %s is in %s but not in %s; all inputs need the same tensors",
                     am_shown(shown, s->head.name), s->in->label, j->side[j->donor].in->label);
}

static void fault_quantised(struct join *j, struct side *s)
{
    char shown[AM_SHOWN];
    if (listed(j, s))
        am_fault_add(j->faults, AM_E_DTYPE_UNSUPPORTED, where(s, "quantised-tensor", s->head.name),
                     "%s in %s is %s of a quantised model; dequantise it first", am_shown(shown, s->head.name),
                     s->in->label, s->head.dtype);
}

/* One input's tensor against the donor's of the same name: shape first, then dtype. */
static void compare(struct join *j, struct side *s)
{
    char shown[AM_SHOWN];
    const struct side *d = &j->side[j->donor];
    const struct am_plan_tensor *a = &s->head, *b = &d->head;
    if (strcmp(a->shape, b->shape) != 0) {
        if (listed(j, s))
            am_fault_add(j->faults, AM_E_SHAPE_MISMATCH, where(s, "shape", a->name),
                         "tensor %s: %s has %.200s, %s has %.200s", am_shown(shown, a->name), s->in->label, a->shape,
                         d->in->label, b->shape);
        return;
    }
    bool computed = computed_bytes(a->dtype) && computed_bytes(b->dtype);
    if (strcmp(a->dtype, b->dtype) != 0 && !computed && !quantised(a) && !quantised(b) && listed(j, s))
        am_fault_add(j->faults, AM_E_DTYPE_UNSUPPORTED, where(s, "dtype", a->name),
                     "tensor %s: %s has %s, %s has %s; only F16, BF16, F32 and F64 may differ between inputs",
                     am_shown(shown, a->name), s->in->label, a->dtype, d->in->label, b->dtype);
}

/* Takes part in comparisons: an input without any tensor has one fault of its own instead. */
static bool compared(const struct join *j, const struct side *s)
{
    return !s->empty && !j->side[j->donor].empty;
}

static bool here(const struct side *s, const char *name)
{
    return s->live && strcmp(s->head.name, name) == 0;
}

/* What the run will read and write for the donor's tensor and its likes. */
static void charge(struct join *j, const char *name)
{
    const struct am_plan_tensor *d = &j->side[j->donor].head;
    uint64_t size = computed_bytes(d->dtype);
    for (size_t i = 0; i < j->n; i++) {
        if (here(&j->side[i], name))
            j->plan.read_bytes = plus(j->plan.read_bytes, times(j->side[i].head.bytes, size ? j->reads : 1));
    }
    uint64_t write = size && j->out_bytes ? times(d->bytes / size, j->out_bytes) : d->bytes;
    j->plan.write_bytes = plus(j->plan.write_bytes, write);
    j->plan.tensors++;
}

static void judge(struct join *j, const char *name)
{
    struct side *donor = &j->side[j->donor];
    bool in_donor = here(donor, name);
    for (size_t i = 0; i < j->n; i++) {
        struct side *s = &j->side[i];
        bool present = here(s, name);
        if (present && quantised(&s->head))
            fault_quantised(j, s);
        if (s == donor || !compared(j, s))
            continue;
        if (in_donor && !present)
            fault_missing(j, s, name);
        else if (present && !in_donor)
            fault_extra(j, s);
        else if (present)
            compare(j, s);
    }
    if (in_donor)
        charge(j, name);
}

/* The smallest name of all heads, or NULL at the end. */
static const char *smallest(const struct join *j)
{
    const char *min = NULL;
    for (size_t i = 0; i < j->n; i++) {
        const struct side *s = &j->side[i];
        if (s->live && (!min || strcmp(s->head.name, min) < 0))
            min = s->head.name;
    }
    return min;
}

/* Copies the name of this step; -AM_E_STORE_DAMAGED when it does not come after the one before. */
static int remember(struct join *j, const char *name)
{
    if (j->last.len > 0 && strcmp(name, j->last.data) <= 0)
        return -AM_E_STORE_DAMAGED;
    j->last.len = 0;
    return am_buf_put(&j->last, name, strlen(name) + 1);
}

static int walk(struct join *j)
{
    for (size_t i = 0; i < j->n; i++) {
        AM_TRY(advance(&j->side[i]));
        j->side[i].empty = !j->side[i].live;
    }
    for (const char *min; (min = smallest(j));) {
        AM_TRY(remember(j, min));
        judge(j, j->last.data);
        for (size_t i = 0; i < j->n; i++) {
            if (here(&j->side[i], j->last.data))
                AM_TRY(advance(&j->side[i]));
        }
    }
    return 0;
}

/* What is told once for each input, after the walk. */
static void sum_up(struct join *j)
{
    for (size_t i = 0; i < j->n; i++) {
        const struct side *s = &j->side[i];
        if (s->empty)
            am_fault_add(j->faults, AM_E_UNSUPPORTED_FORMAT, where(s, NULL, NULL),
                         "%s has no tensors: no safetensors file with weights", s->in->label);
        if (s->faults > j->listed)
            am_fault_add(j->faults, AM_E_SHAPE_MISMATCH, where(s, "more-tensors", NULL), "and %zu more tensors of %s",
                         s->faults - j->listed, s->in->label);
    }
}

uint64_t am_plan_memory(size_t inputs, unsigned threads, uint64_t acc_bytes)
{
    uint64_t window = times(inputs + 1 + 2, WINDOW * sizeof(float)) + WINDOW * (uint64_t)8;
    uint64_t windows = times(window, threads), accumulators = times((uint64_t)threads + 3, acc_bytes);
    return plus(BASE_BYTES, plus(windows, accumulators));
}

/* The inputs that a window holds beside the base. */
static size_t window_inputs(const struct am_body *b)
{
    size_t n = 0;
    for (size_t i = 0; i < b->inputs; i++)
        n += !am_streq(b->input[i].role, "base") && !am_streq(b->input[i].role, "old_base");
    return n;
}

static uint64_t out_dtype_bytes(const struct am_body *b, struct am_faults *f)
{
    const char *name = json_string_value(json_object_get(b->options, "out_dtype"));
    uint64_t size = name ? computed_bytes(name) : 0;
    if (name && !size)
        am_fault_add(f, AM_E_DTYPE_UNSUPPORTED, (struct am_where){.pointer = "#/options/out_dtype", .reason = "dtype"},
                     "dtype %.20s cannot be stored; use F32, F16 or BF16", name);
    return size;
}

static int make(struct join *j, const struct am_body *b, unsigned threads)
{
    json_int_t passes = am_row_need_int(b->row, "passes", 0), acc = am_row_need_int(b->row, "acc_bytes", 0);
    j->reads = plus(1, passes > 0 ? (uint64_t)passes : 0);
    j->out_bytes = out_dtype_bytes(b, j->faults);
    AM_TRY(walk(j));
    sum_up(j);
    AM_TRY(am_faults_worst(j->faults));
    j->plan.peak_memory_bytes = am_plan_memory(window_inputs(b), threads ? threads : 1, acc > 0 ? (uint64_t)acc : 0);
    j->plan.disk_bytes = plus(j->plan.write_bytes, DISK_EXTRA);
    return 0;
}

int am_plan_make(struct am_plan *ret, const struct am_body *b, struct am_plan_input *in, size_t n, size_t donor,
                 unsigned threads, struct am_faults *faults)
{
    if (n == 0 || donor >= n)
        return -AM_E_INTERNAL;
    /* With many inputs fewer tensors are listed of each, so that every input has its say below AM_FAULTS_MAX. */
    size_t share = AM_FAULTS_MAX / n > 1 ? AM_FAULTS_MAX / n - 1 : 1;
    struct join j = {.n = n, .donor = donor, .listed = share < LISTED ? share : LISTED, .faults = faults};
    j.side = calloc(n, sizeof(*j.side));
    if (!j.side)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < n; i++)
        j.side[i].in = &in[i];
    am_buf_init(&j.last, NAME_MAX_BYTES);
    int rc = make(&j, b, threads);
    am_buf_done(&j.last);
    free(j.side);
    if (rc == 0)
        *ret = j.plan;
    return rc;
}
