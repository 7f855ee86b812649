/*
 * plan.c - the plan of a job (plan.h): one merge-join over the sorted tensor tables of all inputs. The files of the
 * result are plan_output.c.
 */
#include "core/table/plan.h"

#include "core/base/buf.h"
#include "core/base/text.h"
#include "core/table/families.h"
#include "core/table/json_util.h"
#include "core/table/plan_parts.h"
#include "core/table/settings.h"
#include "core/table/vocab.h"

#include <stdlib.h>
#include <string.h>

#define NAMED 5   /* tensors given as examples */
#define LISTED 20 /* tensors told one by one for each input */
#define NAME_MAX_BYTES ((size_t)1 << 20)

#define NUMBER_BYTES 26 /* of a number in the report, and of a tensor there beside its name */

#define ARGS_BYTES 48 /* of a tensor with parameters of its own, beside their values */

#define BYTES_A_SECOND 150e6 /* read, computed with, hashed and synced, by one slow core on a slow disk */

struct side {
    struct am_plan_input *in;
    struct am_plan_tensor head;
    bool live;                 /* head holds a tensor */
    bool empty;                /* had none at all */
    bool met;                  /* the donor has tensors of its modules */
    uint64_t window;           /* bytes of its largest chunk */
    size_t faults;             /* tensors of this input with a fault */
    char shape[AM_SHAPE_TEXT]; /* of the head, when it gets other rows */
};

struct join {
    struct side *side;
    size_t n, donor, listed;
    const struct am_body *body;
    uint64_t computed;          /* tensors, with those that are kept as they are */
    char some[AM_LIST_TEXT];    /* names of tensors that could be */
    bool merge;                 /* of type merge: buffers are the donor's */
    bool by_module;             /* some inputs take part in modules */
    char modules[AM_LIST_TEXT]; /* first parts of the donor's names */
    size_t named, uncovered;    /* uncovered: tensors without a value of some parameter */
    bool incomplete;            /* there is such a parameter */
    uint64_t inputs;            /* as the method counts them */
    uint64_t sources;           /* that values are read of */
    bool widened;               /* some of them into f32 tiles */
    struct am_plan_ways ways;
    const char *asked;  /* tensor */
    uint64_t least[2];  /* as am_plan_have.least */
    uint64_t reads;     /* times that each computed tensor of each input is read */
    uint64_t out_bytes; /* of an element of out_dtype; 0 = the donor's */
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
                     "tensor %s is in %s but not in %s; choose options.missing: present or base", am_shown(shown, name),
                     j->side[j->donor].in->label, s->in->label);
}

static void fault_extra(struct join *j, struct side *s)
{
    char shown[AM_SHOWN];
    if (listed(j, s))
        am_fault_add(j->faults, AM_E_SHAPE_MISMATCH, where(s, "tensor-extra", s->head.name),
                     "tensor %s is in %s but not in %s; choose options.extra: keep or drop",
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

/* ... and it takes part in it. */
static bool gives(const struct side *s, const char *name)
{
    return here(s, name) && am_plan_takes(s->in, name);
}

/* The inputs of the tensor at hand: what is read, and what a slot holds of each. */
static void charge_sources(struct join *j, const char *name, uint64_t chunk)
{
    for (size_t i = 0; i < j->n; i++) {
        struct side *s = &j->side[i];
        if (!gives(s, name) || s->in->names_only)
            continue;
        j->plan.read_bytes = am_plan_plus(j->plan.read_bytes, am_plan_times(s->head.bytes, j->reads));
        j->widened = j->widened || s->head.adapted || !am_streq(s->head.dtype, "BF16");
        uint64_t size = am_plan_computed(s->head.dtype); /* what an adapter puts in its place is mostly F32 */
        uint64_t each = s->head.adapted ? am_plan_larger(size, sizeof(float)) : size;
        am_plan_grow(&s->window, am_plan_line(chunk * each + AM_PLAN_APART));
    }
}

/* What the run reads, and holds at once, of the donor's tensor and its likes when it computes it. */
static void charge_computed(struct join *j, const char *name, uint64_t size)
{
    const struct am_plan_tensor *d = &j->side[j->donor].head;
    struct am_plan_need *need = &j->plan.need;
    uint64_t elements = d->bytes / size;
    struct am_plan_spans span = am_plan_cut(need, j->body, name, d->shape, elements, j->inputs);
    charge_sources(j, name, am_plan_smaller(elements, span.chunk));
    am_plan_grow(&need->tile, am_plan_line(am_plan_smaller(elements, span.tile) * sizeof(float)));
    am_plan_grow(
        &need->out,
        am_plan_line(am_plan_smaller(elements, span.window) * (j->out_bytes ? j->out_bytes : size) + AM_PLAN_APART));
    need->windows = am_plan_plus(need->windows, am_plan_windows(elements, span.window));
    am_plan_grow(&need->elements, elements);
    am_plan_charge_whole(need, j->body, d, elements, j->inputs);
    if (need->report)
        need->text = am_plan_plus(need->text, am_plan_plus(need->report, strlen(name)));
}

/* The tensor at hand of both inputs. */
static void charge_adapter(struct join *j, const char *name)
{
    uint64_t read = 0, largest = 0;
    for (size_t i = 0; i < j->n; i++) {
        const struct side *s = &j->side[i];
        read = here(s, name) ? am_plan_plus(read, s->head.bytes) : read;
        largest = here(s, name) && s->head.bytes > largest ? s->head.bytes : largest;
    }
    j->computed += am_plan_charge_adapter(&j->plan, j->body, &j->side[j->donor].head, read, largest);
    j->plan.tensors++;
    j->plan.need.tensors++;
}

/* A tensor that is not computed with is the donor's; those that others have are compared with it. */
static void charge_compared(struct join *j, const char *name)
{
    for (size_t i = 0; i < j->n; i++)
        if (j->plan.need.others && gives(&j->side[i], name))
            j->plan.read_bytes = am_plan_plus(j->plan.read_bytes, j->side[i].head.bytes);
}

/* Whether that input of the body takes part in the tensor that is asked about. */
static bool has_asked(void *ctx, size_t input)
{
    const struct join *j = ctx;
    for (size_t i = 0; i < j->n; i++)
        if (am_streq(j->side[i].in->pointer, j->body->input[input].pointer))
            return gives(&j->side[i], j->asked);
    return false;
}

/* A computed tensor that no filter of a parameter meets, and that has no value of it otherwise. */
static void check_settings(struct join *j, const char *name)
{
    char shown[AM_SHOWN];
    size_t input = 0;
    j->asked = name;
    const char *param = am_settings_missing(j->body, name, am_body_slice(j->body, name), has_asked, j, &input);
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

/* A tensor that is passed on, in another dtype or as the donor's adapter makes it. */
static void charge_converted(struct join *j, uint64_t size)
{
    struct side *d = &j->side[j->donor];
    struct am_plan_need *need = &j->plan.need;
    uint64_t elements = d->head.bytes / size, read = d->head.adapted ? am_plan_larger(size, sizeof(float)) : size;
    j->plan.read_bytes = am_plan_plus(j->plan.read_bytes, d->head.bytes);
    am_plan_grow(&d->window, am_plan_line(am_plan_smaller(elements, AM_PLAN_CHUNK) * read + AM_PLAN_APART));
    am_plan_grow(&need->tile, am_plan_line(am_plan_smaller(elements, AM_PLAN_TILE) * sizeof(float)));
    am_plan_grow(
        &need->out,
        am_plan_line(am_plan_smaller(elements, AM_PLAN_WINDOW) * (j->out_bytes ? j->out_bytes : size) + AM_PLAN_APART));
    need->windows = am_plan_plus(need->windows, am_plan_windows(elements, AM_PLAN_WINDOW));
}

/* Whether the inputs that have it are too few to merge it, or lack their base. */
static bool passes(struct join *j, const char *name)
{
    struct am_plan_have have = {.inputs = j->inputs, .least = {j->least[0], j->least[1]}, .based = true};
    for (size_t i = 0; i < j->n; i++) {
        const struct side *s = &j->side[i];
        if (s->in->beside && !s->in->names_only)
            have.based = have.based && here(s, name);
        else if (!s->in->names_only && am_plan_takes(s->in, name)) {
            have.asked++;
            have.there += here(s, name);
        }
    }
    return am_plan_too_few(&j->plan, j->body, &have, name);
}

static int charge(struct join *j, const char *name, bool buffer)
{
    struct am_plan_need *need = &j->plan.need;
    const char *own = j->side[j->donor].head.dtype, *out = am_plan_out_dtype(j->body);
    uint64_t size = am_plan_computed(own);
    for (size_t i = 0; i < j->n; i++) {
        const struct side *s = &j->side[i];
        if (!here(s, name))
            continue;
        need->entries += s->in->held ? 2 : 1;
        need->text = am_plan_plus(need->text, strlen(s->head.name) + strlen(s->head.shape));
    }
    if (size && j->named < NAMED) {
        char shown[AM_SHOWN];
        am_list_put(j->some, am_shown(shown, name));
        j->named++;
    }
    if (am_plan_is_adapter(j->body)) {
        if (size && j->incomplete)
            check_settings(j, name);
        charge_adapter(j, name);
        return 0;
    }
    bool selected = size && am_plan_selects(j->body, name), pass = size && (buffer || passes(j, name));
    j->computed += selected;
    if (size && j->incomplete && !pass)
        check_settings(j, name);
    const struct am_plan_tensor *d = &j->side[j->donor].head;
    if (pass && (selected || d->adapted)) {
        AM_TRY(am_plan_pass(&j->plan, name));
        if (d->adapted || (out && !am_streq(out, own)))
            charge_converted(j, size);
    } else if (size && (d->adapted || (selected && !am_plan_stays(j->body, d))))
        charge_computed(j, name, size);
    else if (!size)
        charge_compared(j, name);
    j->plan.tensors++;
    need->tensors++;
    return 0;
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

static void note_module(struct join *j, const char *name)
{
    for (size_t i = 0; i < j->n; i++)
        j->side[i].met = j->side[i].met || am_plan_takes(j->side[i].in, name);
    am_plan_note_module(j->modules, name);
}

static bool is_added(const struct side *donor)
{
    return donor->in->added && donor->in->added(donor->in->cursor);
}

static int judge(struct join *j, const char *name)
{
    struct side *donor = &j->side[j->donor];
    bool in_donor = here(donor, name), buffer = j->merge && am_family_is_buffer(name);
    int told = in_donor ? judge_rows(j, name) : 0;
    AM_TRY(told);
    for (size_t i = 0; i < j->n; i++) {
        struct side *s = &j->side[i];
        bool present = here(s, name);
        if (!am_plan_takes(s->in, name) && s != donor)
            continue;
        if (present && quantised(&s->head))
            fault_quantised(j, s);
        if (s == donor || !compared(j, s))
            continue;
        if (in_donor && !present && !j->ways.missing && !is_added(donor) && !buffer)
            fault_missing(j, s, name);
        else if (present && !in_donor && !j->ways.drop && !buffer)
            fault_extra(j, s);
        else if (present && in_donor && !told)
            compare(j, s);
    }
    if (in_donor && j->by_module)
        note_module(j, name);
    if (!in_donor && j->ways.drop && !buffer)
        am_plan_tell(&j->plan.dropped, name);
    return in_donor ? charge(j, name, buffer) : 0;
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
        if (s->in->modules && !s->empty && !s->met && !j->side[j->donor].empty)
            am_fault_add(j->faults, AM_E_INVALID_PARAMS, where(s, "module-unknown", NULL),
                         "no tensor starts with %s; present: %s", json_string_value(json_array_get(s->in->modules, 0)),
                         j->modules);
        if (s->faults > j->listed)
            am_fault_add(j->faults, AM_E_SHAPE_MISMATCH, where(s, "more-tensors", NULL), "and %zu more tensors of %s",
                         s->faults - j->listed, s->in->label);
    }
}

double am_plan_seconds(const struct am_plan *p)
{
    return ((double)p->read_bytes + (double)p->write_bytes) / BYTES_A_SECOND;
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
    uint64_t inputs = 0;
    bool beside = false;
    for (size_t i = 0; i < j->n; i++) {
        const struct am_plan_input *in = j->side[i].in;
        j->sources += !in->names_only;
        inputs += !in->names_only && !in->beside;
        beside = beside || (in->beside && !in->names_only);
        need->spans += in->spans;
        need->held = am_plan_plus(need->held, in->held);
    }
    j->inputs = inputs;
    j->ways = am_plan_ways_of(b);
    j->merge = am_streq(b->type, "merge");
    j->least[0] = am_plan_least(b, beside, false);
    j->least[1] = am_plan_least(b, beside, true);
    j->reads = am_plan_plus(1, passes > 0 ? (uint64_t)passes : 0);
    need->by_tensor = passes > 0 && !am_plan_over_model(b);
    am_plan_vectors_need(need, b);
    need->blas = json_is_object(json_object_get(needs, "matrix")) || am_plan_is_adapter(b);
    uint64_t numbers = am_plan_amount(needs, "report", inputs);
    need->report = numbers ? am_plan_times(am_plan_plus(numbers, 1), NUMBER_BYTES) : 0;
    need->others = j->n > 1;
    need->tiles = j->sources + 1 + am_plan_amount(needs, "scratch", inputs);
    uint64_t acc = am_plan_line(am_plan_amount(needs, "acc_bytes", inputs));
    need->acc = acc;
    need->lists = am_plan_amount(needs, "lists", inputs);
    need->accs = need->by_tensor ? AM_PLAN_TURNS : 1;
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
    j->out_bytes = am_plan_out_bytes(b, j->faults);
    take_needs(j, b);
    am_plan_adapter_inputs(b, j->faults);
    for (size_t i = 0; i < j->n; i++)
        j->by_module = j->by_module || j->side[i].in->modules;
    for (size_t i = 0; i < j->n; i++)
        if (j->side[i].in->modules && (am_plan_over_model(b) || am_plan_is_adapter(b)))
            am_fault_add(j->faults, AM_E_INVALID_PARAMS, where(&j->side[i], "module-unknown", NULL),
                         "%s looks at all tensors of a model together; leave modules out", am_row_text(b->row, "name"));
    AM_TRY(walk(j));
    am_plan_vectors_add(&j->plan.need);
    if (!j->widened && am_plan_takes_bf16(j->body))
        j->plan.need.idle = j->sources;
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
