/*
 * plan_patch.c - the plan of a method whose result is an adapter (core/methods/patch.h). Which ranks there will be, and
 * which tensors differ, is not known before: the largest ranks and all tensors are planned, so the result is at most as
 * large as is said here.
 */
#include "core/base/text.h"
#include "core/table/json_util.h"
#include "core/table/plan_parts.h"

#include <stdlib.h>
#include <string.h>

#define SKETCH 8u                       /* AM_SKETCH */
#define AXES_MAX 5u                     /* AM_PATCH_AXES */
#define STRIP_BYTES ((uint64_t)1 << 20) /* that OpenBLAS copies of a product's left side */
#define CHUNK_BYTES (AM_PLAN_CHUNK * (sizeof(double) + sizeof(float)))
#define ENTRY_TEXT 160 /* of a tensor in the header, beside its own name: what surrounds it, shape and offsets */
#define ITEM_BYTES 300 /* of a tensor that is written, in the lists of the run */
#define NAME_TEXT 48   /* that PEFT puts around a name */

bool am_plan_is_adapter(const struct am_body *b)
{
    return am_row_makes_adapter(b->row);
}

void am_plan_adapter_inputs(const struct am_body *b, struct am_faults *f)
{
    for (size_t i = 0; am_plan_is_adapter(b) && i < b->inputs; i++)
        if (!am_streq(b->input[i].role, "base") && !am_streq(b->input[i].role, "model"))
            am_fault_add(f, AM_E_INVALID_PARAMS,
                         (struct am_where){.pointer = b->input[i].pointer, .reason = "input-count"},
                         "%s takes a base and one model, both as they are stored; make a version of this input first, "
                         "with passthrough",
                         b->method);
}

static const char *text_param(const struct am_body *b, const char *name)
{
    return json_string_value(json_object_get(b->params, name));
}

static uint64_t axes_of(const char *shape)
{
    uint64_t axes = shape[1] != ']';
    for (; *shape; shape++)
        axes += *shape == ',';
    return axes;
}

/* gets_factors() of core/methods/patch_choose.c. */
static bool gets_factors(const struct am_body *b, const struct am_plan_tensor *t)
{
    uint64_t axes = axes_of(t->shape), most = am_streq(text_param(b, "conv"), "flatten") ? AXES_MAX : 2;
    return am_plan_computed(t->dtype) && t->bytes && axes >= 2 && axes <= most && am_ends(t->name, ".weight") &&
           am_plan_included(b, t->name);
}

/* am_factors_work() of core/methods/method.h; a unit test holds the two together. */
uint64_t am_plan_factors_work(bool full, uint64_t rows, uint64_t cols, uint64_t most)
{
    uint64_t k = am_plan_smaller(rows, cols), sides = am_plan_plus(rows, cols);
    uint64_t width = full || k < SKETCH || most >= k - SKETCH ? k : most + SKETCH;
    if (width == k)
        return am_plan_plus(am_plan_times(am_plan_plus(sides, 1), k), am_plan_plus(am_plan_svd_work(rows, cols), 64));
    uint64_t n = am_plan_times(am_plan_times(2, sides), width);
    n = am_plan_plus(n, am_plan_times(width + 1, width));
    return am_plan_plus(n, am_plan_plus(am_plan_svd_work(width, cols), 64));
}

static void count_entry(struct am_plan *p, const struct am_plan_tensor *t, uint64_t bytes)
{
    uint64_t text = am_plan_plus(strlen(t->name), strlen(t->shape));
    p->write_bytes = am_plan_plus(p->write_bytes, am_plan_plus(bytes, am_plan_plus(text, ENTRY_TEXT)));
    p->need.out_entries++;
    p->need.out_text = am_plan_plus(p->need.out_text, am_plan_plus(text, NAME_TEXT));
    p->need.text = am_plan_plus(p->need.text, am_plan_plus(text, ITEM_BYTES));
}

/* Heads that some kinds of task save whole: am_patch_heads() of worker/patch.c. Which kind it is, is not known here. */
static bool may_be_head(const char *name)
{
    return am_module_ending(name, "classifier") || am_module_ending(name, "score") ||
           am_module_ending(name, "qa_outputs");
}

/* widen() of core/methods/patch_write.c: experts and routers may get the largest rank of all. */
static bool is_filled(const char *name)
{
    return strstr(name, ".experts.") || am_ends(name, ".gate.weight");
}

static void charge_factors(struct am_plan *p, const struct am_body *b, const struct am_plan_tensor *t, uint64_t read)
{
    const char *out = am_plan_out_dtype(b);
    json_int_t rank = json_integer_value(json_object_get(b->params, "max_rank"));
    bool full = am_streq(text_param(b, "solver"), "full");
    uint64_t elements = t->bytes / am_plan_computed(t->dtype), rows = strtoull(t->shape + 1, NULL, 10);
    uint64_t cols = rows ? elements / rows : 0, k = am_plan_smaller(rows, cols),
             most = rank > 0 ? am_plan_smaller((uint64_t)rank, k) : k;
    uint64_t doubles = am_plan_plus(elements, am_plan_factors_work(full, rows, cols, most));
    uint64_t whole =
        am_plan_plus(am_plan_times(sizeof(double), doubles), AM_PLAN_BLAS_TOUCHED + STRIP_BYTES + CHUNK_BYTES);
    uint64_t size = out ? am_plan_computed(out) : sizeof(float);
    p->read_bytes = am_plan_plus(p->read_bytes, am_plan_times(2, read)); /* once more to measure what is left */
    p->need.whole = p->need.whole > whole ? p->need.whole : whole;
    uint64_t ranks = is_filled(t->name) ? 0 : most; /* or counted at the end */
    count_entry(p, t, am_plan_times(size, am_plan_times(rows, ranks)));
    count_entry(p, t, am_plan_times(size, am_plan_times(cols, ranks)));
    p->need.most = p->need.most > most ? p->need.most : most;
    if (ranks != most)
        p->need.filled = am_plan_plus(p->need.filled, am_plan_times(size, am_plan_plus(rows, cols)));
    if (p->need.report)
        p->need.text = am_plan_plus(p->need.text, am_plan_plus(p->need.report, strlen(t->name)));
}

bool am_plan_charge_adapter(struct am_plan *p, const struct am_body *b, const struct am_plan_tensor *t, uint64_t read,
                            uint64_t largest)
{
    if (gets_factors(b, t)) {
        charge_factors(p, b, t, read);
        if (may_be_head(t->name))
            count_entry(p, t, largest);
        return true;
    }
    p->read_bytes = am_plan_plus(p->read_bytes, read);
    if (am_streq(text_param(b, "others"), "drop") && !may_be_head(t->name))
        return false;
    p->read_bytes = am_plan_plus(p->read_bytes, largest);
    count_entry(p, t, largest);
    return false;
}

/* The factors lie in staging twice until the end. */
int am_plan_adapter_output(struct am_plan *p, const struct am_body *b, unsigned threads)
{
    const char *out = am_plan_out_dtype(b);
    p->file = calloc(1, sizeof(*p->file));
    char *path = strdup("adapter_model.safetensors");
    if (!p->file || !path) {
        free(path);
        return -AM_E_OUT_OF_MEMORY;
    }
    p->write_bytes = am_plan_plus(p->write_bytes, am_plan_plus(128, am_plan_times(p->need.filled, p->need.most)));
    p->file[p->files++] = (struct am_plan_file){.path = path, .bytes = p->write_bytes};
    p->shared_bytes = 0;
    p->dtype = am_plan_name(am_plan_dtype(out ? out : "F32"));
    p->peak_memory_bytes = am_plan_memory(&p->need, threads);
    p->disk_bytes = am_plan_plus(am_plan_times(2, p->write_bytes), AM_PLAN_DISK_EXTRA);
    return 0;
}
