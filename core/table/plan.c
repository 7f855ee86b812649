/*
 * plan.c - the plan of a job (plan.h): one merge-join over the sorted tensor tables of all inputs. The files of the
 * result are plan_output.c.
 */
#include "core/table/plan.h"

#include "core/base/buf.h"
#include "core/base/text.h"
#include "core/table/json_util.h"
#include "core/table/plan_parts.h"
#include "core/table/settings.h"
#include "core/table/vocab.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NAMED 5   /* tensors given as examples */
#define LISTED 20 /* tensors told one by one for each input */
#define NAME_MAX_BYTES ((size_t)1 << 20)

/* Resident bytes of the worker, measured from outside and fitted; tests/service/test_plans.py holds peak <= plan
 * <= 1.25 x peak. Itself with its libraries; a tensor of an input, beside its name; of the donor, and of what is
 * written, to the end and while it is laid out; a span of an input, as the spec tells it; a changed tensor of an
 * assembled file. */
#define BASE_BYTES ((uint64_t)30 << 18)
#define ENTRY_BYTES 128
#define ITEM_BYTES 56
#define OUT_BYTES 64
#define WANT_BYTES 40
#define HEADER_BYTES 123
#define SPAN_BYTES 640
#define CHANGE_BYTES 88
#define HASH_BYTES ((uint64_t)1 << 20)

#define BLAS_BYTES ((uint64_t)3 << 20) /* OpenBLAS with its LAPACK, as loaded */

#define NUMBER_BYTES 26 /* of a number in the report, and of a tensor there beside its name */

#define ARGS_BYTES 48 /* of a tensor with parameters of its own, beside their values */

#define BYTES_A_SECOND 150e6 /* read, computed with, hashed and synced, by one slow core on a slow disk */

struct side {
    struct am_plan_input *in;
    struct am_plan_tensor head;
    bool live;                 /* head holds a tensor */
    bool empty;                /* had none at all */
    uint64_t window;           /* bytes of its largest chunk */
    size_t faults;             /* tensors of this input with a fault */
    char shape[AM_SHAPE_TEXT]; /* of the head, when it gets other rows */
};

struct join {
    struct side *side;
    size_t n, donor, listed;
    const struct am_body *body;
    uint64_t computed;       /* tensors, with those that are kept as they are */
    char some[AM_LIST_TEXT]; /* names of tensors that could be */
    size_t named, uncovered; /* uncovered: tensors without a value of some parameter */
    bool incomplete;         /* there is such a parameter */
    uint64_t inputs;         /* as the method counts them */
    uint64_t reads;          /* times that each computed tensor of each input is read */
    uint64_t out_bytes;      /* of an element of out_dtype; 0 = the donor's */
    struct am_plan plan;
    struct am_vocab_side *rows; /* of the tensor at hand; room for n */
    struct am_buf last;         /* name of the step before: tables must be sorted */
    struct am_faults *faults;
};

uint64_t am_plan_plus(uint64_t a, uint64_t b)
{
    uint64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

uint64_t am_plan_times(uint64_t a, uint64_t b)
{
    uint64_t product;
    return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

uint64_t am_plan_windows(uint64_t n, uint64_t span)
{
    return n / span + (n % span != 0);
}

uint64_t am_plan_line(uint64_t bytes)
{
    return am_plan_plus(bytes, 63) / 64 * 64;
}

static const char *const dtypes[AM_PLAN_DTYPES] = {
    "BOOL", "F4",  "F6_E2M3", "F6_E3M2", "U8",  "I8",  "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ",
    "I16",  "U16", "F16",     "BF16",    "I32", "U32", "F32",     "C64",     "F64",     "I64",         "U64",
};

int am_plan_dtype(const char *name)
{
    for (int i = 0; i < AM_PLAN_DTYPES; i++)
        if (dtypes[i][0] == name[0] && am_streq(dtypes[i], name))
            return i;
    return -AM_E_DTYPE_UNSUPPORTED;
}

const char *am_plan_name(int dtype)
{
    return dtypes[dtype];
}

uint64_t am_plan_computed(const char *dtype)
{
    if (am_streq(dtype, "F16") || am_streq(dtype, "BF16"))
        return 2;
    if (am_streq(dtype, "F32"))
        return 4;
    return am_streq(dtype, "F64") ? 8 : 0;
}

bool am_plan_names_only(const struct am_body *b, size_t i)
{
    return am_streq(b->input[i].role, "base") && am_streq(am_row_need(b->row, "base"), "donor");
}

bool am_plan_beside(const struct am_body *b, size_t i)
{
    const char *role = b->input[i].role;
    return am_streq(role, "base") || (am_streq(role, "old_base") && am_streq(b->type, "unlearn"));
}

bool am_plan_selects(const struct am_body *b, const char *name)
{
    if (!am_streq(am_row_need(b->row, "selects"), "patterns"))
        return true;
    return am_plan_included(b, name);
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
    bool computed = am_plan_computed(a->dtype) && am_plan_computed(b->dtype);
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

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void grow(uint64_t *at, uint64_t value)
{
    *at = value > *at ? value : *at;
}

/* The inputs of the tensor at hand: what is read, and what a slot holds of each. */
static void charge_sources(struct join *j, const char *name, uint64_t chunk)
{
    for (size_t i = 0; i < j->n; i++) {
        struct side *s = &j->side[i];
        if (!here(s, name) || s->in->names_only)
            continue;
        j->plan.read_bytes = am_plan_plus(j->plan.read_bytes, am_plan_times(s->head.bytes, j->reads));
        grow(&s->window, am_plan_line(chunk * am_plan_computed(s->head.dtype)));
    }
}

/* What the run reads, and holds at once, of the donor's tensor and its likes when it computes it. */
static void charge_computed(struct join *j, const char *name, uint64_t size)
{
    const struct am_plan_tensor *d = &j->side[j->donor].head;
    struct am_plan_need *need = &j->plan.need;
    uint64_t elements = d->bytes / size;
    struct am_plan_spans span = am_plan_cut(need, j->body, name, d->shape, elements);
    charge_sources(j, name, least(elements, span.chunk));
    grow(&need->tile, am_plan_line(least(elements, span.tile) * sizeof(float)));
    grow(&need->out, am_plan_line(least(elements, span.window) * (j->out_bytes ? j->out_bytes : size)));
    need->windows = am_plan_plus(need->windows, am_plan_windows(elements, span.window));
    grow(&need->elements, elements);
    am_plan_charge_whole(need, j->body, d, elements, j->inputs);
    if (need->report)
        need->text = am_plan_plus(need->text, am_plan_plus(need->report, strlen(name)));
}

/* A tensor that is not computed with is the donor's; those that others have are compared with it. */
static void charge_compared(struct join *j, const char *name)
{
    for (size_t i = 0; i < j->n; i++)
        if (j->plan.need.others && here(&j->side[i], name))
            j->plan.read_bytes = am_plan_plus(j->plan.read_bytes, j->side[i].head.bytes);
}

/* A computed tensor that no filter of a parameter meets, and that has no value of it otherwise. */
static void check_settings(struct join *j, const char *name)
{
    char shown[AM_SHOWN];
    size_t input = 0;
    const char *param = am_settings_missing(j->body, name, am_body_slice(j->body, name), &input);
    if (!param || j->uncovered++ >= LISTED)
        return;
    bool beside = input < j->body->inputs;
    am_fault_add(j->faults, AM_E_INVALID_PARAMS,
                 (struct am_where){.pointer = beside ? j->body->input[input].pointer : "#/params",
                                   .reason = "parameter-missing",
                                   .tensor = name},
                 "%s needs %s for tensor %s, and no filter meets it; end the list with an entry without filter",
                 j->body->method, param, am_shown(shown, name));
}

static void charge(struct join *j, const char *name)
{
    struct am_plan_need *need = &j->plan.need;
    uint64_t size = am_plan_computed(j->side[j->donor].head.dtype);
    for (size_t i = 0; i < j->n; i++) {
        const struct side *s = &j->side[i];
        if (!here(s, name))
            continue;
        need->entries++;
        need->text = am_plan_plus(need->text, strlen(s->head.name) + strlen(s->head.shape));
    }
    if (size && j->named < NAMED) {
        char shown[AM_SHOWN];
        am_list_put(j->some, am_shown(shown, name));
        j->named++;
    }
    bool selected = size && am_plan_selects(j->body, name);
    j->computed += selected;
    if (size && j->incomplete)
        check_settings(j, name);
    if (selected && !am_plan_keeps(j->body, name, j->side[j->donor].head.dtype))
        charge_computed(j, name, size);
    else if (!size)
        charge_compared(j, name);
    j->plan.tensors++;
    need->tensors++;
}

/* Tensors with a row for each token: their heads get the rows of the result. 1: the rows that differ were told. */
static int judge_rows(struct join *j, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < j->n; i++) {
        struct side *s = &j->side[i];
        if (here(s, name))
            j->rows[n++] =
                (struct am_vocab_side){.head = &s->head, .shape = s->shape, .in = s->in, .donor = i == j->donor};
    }
    return am_vocab_judge(&j->plan, j->body, j->rows, n, j->faults);
}

static int judge(struct join *j, const char *name)
{
    struct side *donor = &j->side[j->donor];
    bool in_donor = here(donor, name);
    int told = in_donor ? judge_rows(j, name) : 0;
    AM_TRY(told);
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
        else if (present && !told)
            compare(j, s);
    }
    if (in_donor)
        charge(j, name);
    return 0;
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
        AM_TRY(judge(j, j->last.data));
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

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* What stays to the end: every input's table, and the layout of the result. */
static uint64_t tables(const struct am_plan_need *need)
{
    uint64_t inputs = am_plan_plus(am_plan_times(need->entries, ENTRY_BYTES), need->text);
    uint64_t output =
        am_plan_plus(am_plan_times(need->tensors, ITEM_BYTES), am_plan_times(need->out_entries, OUT_BYTES));
    output = am_plan_plus(output, am_plan_times(need->tensors, need->varied));
    inputs = am_plan_plus(inputs, need->vocab);
    return am_plan_plus(am_plan_plus(inputs, output), am_plan_times(need->spans, SPAN_BYTES));
}

/* While the result is laid out: its tensors in order, and the header as text. */
static uint64_t header(const struct am_plan_need *need)
{
    uint64_t order = am_plan_plus(am_plan_times(need->tensors, WANT_BYTES), need->out_text);
    return am_plan_plus(order, am_plan_times(need->out_entries, HEADER_BYTES));
}

/* A list behind the accumulator of a scope: am_list_scope() of core/methods/method.h. */
static uint64_t list(uint64_t elements)
{
    double entries = 36 * sqrt((double)elements) + 1024;
    uint64_t n = entries < 196608 ? (uint64_t)entries / 8 * 8 : 196608;
    return am_plan_plus(8 * n, am_plan_times(4, elements / AM_PLAN_TILE / 16 * 16 + 64));
}

/* While windows are at work: the slots (core/methods/run_slots.c has as many), and what they share. */
static uint64_t slots(const struct am_plan_need *need, unsigned threads)
{
    uint64_t work = am_plan_plus(need->in, am_plan_times(need->tile, need->tiles));
    uint64_t slot = am_plan_plus(am_plan_plus(need->out, larger(work, need->other)), need->fixed);
    uint64_t fit = slot ? larger(AM_PLAN_SLOTS / slot, 1) : 1;
    uint64_t busy =
        least(least((threads ? threads : 1) + AM_PLAN_AHEAD, fit), am_plan_plus(need->windows, need->copies));
    uint64_t shared =
        am_plan_plus(am_plan_times(need->accs, need->acc), am_plan_times(need->lists, list(need->elements)));
    uint64_t whole = am_plan_plus(need->whole, need->whole_read);
    return am_plan_plus(am_plan_plus(am_plan_times(larger(busy, 1), slot), shared), whole);
}

/* While files are assembled: the spans of the result, and the donor's header or the buffer that hashes. */
static uint64_t spans(const struct am_plan_need *need)
{
    if (!need->hashes)
        return 0;
    return am_plan_plus(am_plan_times(need->out_entries, CHANGE_BYTES), larger(need->header, HASH_BYTES));
}

/* The phases come one after the other, and each gives back what it took. */
uint64_t am_plan_memory(const struct am_plan_need *need, unsigned threads)
{
    uint64_t work = larger(larger(header(need), slots(need, threads)), spans(need));
    uint64_t own = need->blas ? BASE_BYTES + BLAS_BYTES : BASE_BYTES;
    return am_plan_plus(own, am_plan_plus(tables(need), work));
}

double am_plan_seconds(const struct am_plan *p)
{
    return ((double)p->read_bytes + (double)p->write_bytes) / BYTES_A_SECOND;
}

const char *am_plan_out_dtype(const struct am_body *b)
{
    return json_string_value(json_object_get(b->options, "out_dtype"));
}

static uint64_t out_dtype_bytes(const struct am_body *b, struct am_faults *f)
{
    const char *name = am_plan_out_dtype(b);
    uint64_t size = name ? am_plan_computed(name) : 0;
    if (name && !size)
        am_fault_add(f, AM_E_DTYPE_UNSUPPORTED, (struct am_where){.pointer = "#/options/out_dtype", .reason = "dtype"},
                     "dtype %.20s cannot be stored; use F32, F16 or BF16", name);
    return size;
}

static bool over_model(const struct am_body *b)
{
    const char *scope = am_row_need(b->row, "scope");
    if (am_streq(scope, "param"))
        scope = json_string_value(json_object_get(b->params, "scope"));
    return am_streq(scope, "model");
}

/* As nothing_selected() of core/methods/run.c, which has the last word. */
static void fault_nothing(struct join *j)
{
    const struct side *d = &j->side[j->donor];
    if (j->named)
        am_fault_add(j->faults, AM_E_INVALID_PARAMS,
                     (struct am_where){.pointer = "#/params/include", .reason = "selection-empty"},
                     "no tensor is selected; the model has for example %s", j->some);
    else
        am_fault_add(j->faults, AM_E_INVALID_PARAMS, where(d, "selection-empty", NULL),
                     "%s has no tensor of F16, BF16, F32 or F64 to compute with", d->in->label);
}

/* What the method needs of each slot. A base beside the models is a source, but none of the inputs that it counts. */
static void take_needs(struct join *j, const struct am_body *b)
{
    struct am_plan_need *need = &j->plan.need;
    json_int_t passes = am_row_need_int(b->row, "passes", 0), local = am_row_need_int(b->row, "local_bytes", 0);
    const json_t *needs = json_object_get(b->row, "needs");
    uint64_t sources = 0, inputs = 0;
    for (size_t i = 0; i < j->n; i++) {
        const struct am_plan_input *in = j->side[i].in;
        sources += !in->names_only;
        inputs += !in->names_only && !in->beside;
        need->spans += in->spans;
    }
    j->inputs = inputs;
    j->reads = am_plan_plus(1, passes > 0 ? (uint64_t)passes : 0);
    need->by_tensor = passes > 0 && !over_model(b);
    am_plan_vectors_need(need, b);
    need->blas = json_is_object(json_object_get(needs, "matrix"));
    uint64_t numbers = am_plan_amount(needs, "report", inputs);
    need->report = numbers ? am_plan_times(am_plan_plus(numbers, 1), NUMBER_BYTES) : 0;
    need->others = j->n > 1;
    need->tiles = sources + 1 + am_plan_amount(needs, "scratch", inputs);
    uint64_t acc = am_plan_line(am_plan_amount(needs, "acc_bytes", inputs));
    need->acc = acc;
    need->lists = am_plan_amount(needs, "lists", inputs);
    need->accs = need->by_tensor ? 2 : 1;
    need->fixed = am_plan_plus(am_plan_line(am_plan_times(am_plan_amount(needs, "tally", inputs), sizeof(double))),
                               am_plan_line(local > 0 ? (uint64_t)local : 0));
    need->fixed = am_plan_plus(need->fixed, acc);
    size_t varied = am_settings_count(b);
    need->varied = varied ? ARGS_BYTES + varied * sizeof(double) : 0;
    j->incomplete = varied > 0;
}

static int make(struct join *j, const struct am_body *b)
{
    size_t faults = j->faults->total;
    j->out_bytes = out_dtype_bytes(b, j->faults);
    take_needs(j, b);
    AM_TRY(walk(j));
    am_plan_vectors_add(&j->plan.need);
    for (size_t i = 0; i < j->n; i++)
        j->plan.need.in = am_plan_plus(j->plan.need.in, j->side[i].window);
    sum_up(j);
    if (j->faults->total == faults && j->computed == 0)
        fault_nothing(j);
    return j->faults->total > faults ? am_faults_worst(j->faults) : 0;
}

int am_plan_make(struct am_plan *ret, const struct am_body *b, struct am_plan_input *in, size_t n, size_t donor,
                 unsigned threads, struct am_faults *faults)
{
    if (n == 0 || donor >= n)
        return -AM_E_INTERNAL;
    /* With many inputs fewer tensors are listed of each, so that every input has its say below AM_FAULTS_MAX. */
    size_t share = AM_FAULTS_MAX / n > 1 ? AM_FAULTS_MAX / n - 1 : 1;
    struct join j = {.n = n, .donor = donor, .listed = share < LISTED ? share : LISTED, .body = b, .faults = faults};
    j.side = calloc(n, sizeof(*j.side));
    j.rows = calloc(n, sizeof(*j.rows));
    for (size_t i = 0; j.side && i < n; i++)
        j.side[i].in = &in[i];
    am_buf_init(&j.last, NAME_MAX_BYTES);
    int rc = j.side && j.rows ? make(&j, b) : -AM_E_OUT_OF_MEMORY;
    am_buf_done(&j.last);
    free(j.side);
    free(j.rows);
    if (rc < 0) {
        am_plan_done(&j.plan);
        return rc;
    }
    j.plan.need.vocab = am_vocab_memory(b, in, n, &j.plan);
    *ret = j.plan;
    ret->peak_memory_bytes = am_plan_memory(&j.plan.need, threads);
    return 0;
}
