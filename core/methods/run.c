/*
 * run.c - drives one method: check, choose tensors, lay out, pass over the windows, write. The order of everything that
 * can be seen in the result (merging of accumulators, hashing, warnings, the report) is the order of the output file,
 * never that of the threads. run_ring.c keeps that order, run_window.c is the work of one window.
 */
#include "core/methods/run.h"

#include "core/base/err.h"
#include "core/methods/run_check.h"
#include "core/methods/run_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int by_place(const void *a, const void *b)
{
    const struct am_tensor *x = ((const struct am_run_item *)a)->donor, *y = ((const struct am_run_item *)b)->donor;
    if (x->file != y->file)
        return x->file < y->file ? -1 : 1;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return strcmp(x->name, y->name);
}

static uint64_t spans(uint64_t n, uint64_t span)
{
    return n / span + (n % span != 0);
}

/* Tiles and windows of one tensor: whole rows, or the usual ones. */
static void cut(const struct am_run_state *s, struct am_run_item *item)
{
    const struct am_tensor *t = item->donor;
    item->tile = AM_TILE;
    item->chunk = AM_CHUNK;
    item->window = AM_WINDOW;
    const struct am_method *m = s->r->method;
    const struct am_args *args = am_run_args(s, item);
    bool by_slab = m->needs.by_slab, rows_when = am_when_holds(m, m->needs.rows_when, args);
    item->rows_kept = rows_when && m->needs.row_doubles;
    if (by_slab || rows_when || (m->needs.by_row && strcmp(am_arg_text(args, "granularity"), "row") == 0)) {
        uint64_t row = t->rank ? t->shape[t->rank - 1] : 1;
        if (by_slab && t->rank > 1)
            row = t->shape[0] ? t->elements / t->shape[0] : 1;
        item->tile = row ? row : 1;
        item->chunk = item->tile < AM_CHUNK ? AM_CHUNK / item->tile * item->tile : item->tile;
        item->window = item->chunk < AM_WINDOW ? AM_WINDOW / item->chunk * item->chunk : item->chunk;
    }
    item->windows = item->selected ? spans(t->elements, item->window) : spans(t->bytes, AM_COPY_BYTES);
}

const struct am_delta *am_run_delta(const struct am_run_input *in, const char *tensor)
{
    const struct am_tensor *t = in->delta ? am_model_find(in->model, tensor) : NULL;
    return t ? in->delta[t - in->model->tensor] : NULL;
}

void am_run_round(const struct am_run_state *s, const struct am_run_input *in, const char *tensor, void *raw, float *x,
                  size_t n)
{
    const struct am_tensor *t = s->r->round_adapted ? am_model_find(in->plain, tensor) : NULL;
    size_t first;
    if (!t || (t->dtype != AM_F16 && t->dtype != AM_BF16))
        return;
    am_store_f32(t->dtype, x, raw, n, AM_OVERFLOW_INF, &first, NULL);
    am_load_f32(t->dtype, raw, x, n);
}

bool am_run_is_donor(const struct am_run_state *s, const struct am_run_input *in)
{
    return in->model && (in->model == s->r->donor || in->plain == s->r->donor);
}

const struct am_run_input *am_run_adapted(const struct am_run_state *s, const char *tensor)
{
    const struct am_run *r = s->r;
    const struct am_run_input *donor = am_run_is_donor(s, &r->base) ? &r->base : NULL;
    for (size_t i = 0; !donor && i < r->inputs; i++)
        donor = am_run_is_donor(s, &r->x[i]) ? &r->x[i] : NULL;
    return donor && am_run_delta(donor, tensor) ? donor : NULL;
}

const struct am_tensor *am_run_passed(const struct am_run_state *s, const struct am_run_item *item)
{
    const struct am_run_input *donor = am_run_adapted(s, item->donor->name);
    return donor ? am_model_find(donor->model, item->donor->name) : item->donor;
}

/* By construction the donor's value: the method says so, or the change that is carried leaves the tensor alone. */
static bool stays(const struct am_run *r, const struct am_args *args, const struct am_tensor_info *info)
{
    return (r->change_only && !am_run_delta(&r->x[0], info->name)) ||
           (r->method->unchanged && am_run_from_donor(r, info->name) && r->method->unchanged(args, info));
}

/* Fills the items in the order of names, which is the order of windows in a scope over the whole model. */
static void choose(struct am_run_state *s)
{
    const struct am_run *r = s->r;
    uint64_t windows = 0;
    for (size_t i = 0; i < s->items; i++) {
        struct am_run_item *item = &s->item[i];
        const struct am_tensor *t = &r->donor->tensor[i];
        struct am_tensor_info info = {.name = t->name, .rank = t->rank, .shape = t->shape};
        item->donor = t;
        item->turn = &s->turn[0];
        const struct am_args *args = am_run_args(s, item);
        item->selected = am_dtype_computed(t->dtype) && (!r->method->selects || r->method->selects(args, &info));
        item->out_dtype = item->selected && r->out_dtype >= 0 ? (uint8_t)r->out_dtype : t->dtype;
        s->selected += item->selected;
        if (item->out_dtype == t->dtype && stays(r, args, &info))
            item->selected = false;
        bool adapted = am_run_adapted(s, t->name);
        item->pass = item->selected ? am_run_passes(s, t) : adapted;
        if (item->pass && item->out_dtype == t->dtype && !adapted)
            item->pass = item->selected = false;
        am_run_matrix_choose(s, item);
        item->selected |= item->pass;
        cut(s, item);
        item->first_window = windows;
        windows += item->selected && !item->pass ? item->windows : 0;
        s->stat_bytes += item->selected && !item->pass ? t->bytes : 0;
        s->tensors_done += item->windows == 0;
    }
}

static int nothing_selected(const struct am_run_state *s)
{
    struct am_buf names;
    am_buf_init(&names, 2048);
    size_t told = 0;
    for (size_t i = 0; i < s->items && told < 5; i++)
        if (am_dtype_computed(s->item[i].donor->dtype))
            am_buf_printf(&names, "%s%.200s", told++ ? ", " : "", s->item[i].donor->name);
    int rc =
        am_fault_add(s->faults, AM_E_BAD_SPEC, (struct am_where){.pointer = "#/params", .reason = "selection-empty"},
                     told ? "no tensor is selected; the model has for example %s"
                          : "the model has no tensor of F16, BF16, F32 or F64 to compute with%s",
                     told && names.data ? names.data : "");
    am_buf_done(&names);
    return rc;
}

static int tell_lay_out(const struct am_run_state *s, int rc, int errno_value)
{
    struct am_where none = {0};
    if (rc == -AM_E_DISK)
        return am_fault_add(s->faults, AM_E_DISK, none,
                            "the disk has no room for the result; make room and retry the job");
    if (rc == -AM_E_TOO_LARGE || (rc == -AM_E_INTERNAL && errno_value == EMFILE))
        return am_fault_add(
            s->faults, AM_E_INVALID_PARAMS,
            (struct am_where){.pointer = "#/options/shard_bytes", .reason = "too-many-shards"},
            "the result cannot be cut into shards of %llu bytes: a result has at most %d files, each with "
            "a header of at most 100 MB; give another options.shard_bytes, mostly a larger one",
            (unsigned long long)s->r->shard_bytes, AM_SHARDS_MAX);
    if (rc == -AM_E_INTERNAL || rc == -AM_E_NOT_FOUND || rc == -AM_E_CANNOT_WRITE)
        return am_fault_add(s->faults, AM_E_CANNOT_WRITE, none, "the result cannot be created: %s",
                            strerror(errno_value));
    return rc;
}

bool am_run_compares(const struct am_run_state *s, const struct am_run_item *item)
{
    const struct am_run *r = s->r;
    bool others = r->base.model && !am_run_is_donor(s, &r->base);
    for (size_t i = 0; !others && i < r->inputs; i++)
        others = !am_run_is_donor(s, &r->x[i]);
    return others && !am_dtype_computed(item->donor->dtype);
}

/* Not written, and read only to look for differences. */
static bool to_compare(const struct am_run_state *s, const struct am_run_item *item)
{
    return !item->stored && am_run_compares(s, item);
}

static int lay_out(struct am_run_state *s)
{
    const struct am_run *r = s->r;
    int rc = am_run_files(s), why = errno;
    AM_TRY(rc < 0 ? tell_lay_out(s, rc, why) : 0);
    s->bytes_total = s->out.data_bytes + r->method->needs.passes * s->stat_bytes;
    for (size_t i = 0; i < s->items; i++) {
        bool compared = to_compare(s, &s->item[i]);
        s->bytes_total += compared ? s->item[i].donor->bytes : 0;
        s->tensors_done += !s->item[i].stored && !compared && s->item[i].windows > 0;
    }
    return 0;
}

static bool over_model(const struct am_run *r)
{
    enum am_scope scope = r->method->needs.scope;
    if (scope == AM_SCOPE_BY_PARAM)
        return strcmp(am_arg_text(r->args, "scope"), "model") == 0;
    return scope == AM_SCOPE_MODEL;
}

static struct am_run_item **in_order_of_names(const struct am_run_state *s)
{
    struct am_run_item **list = calloc(s->items + 1, sizeof(*list));
    for (size_t i = 0; list && i < s->items;
         i++) /* the donor's table is sorted by name, and the items know their place in it */
        list[s->item[i].donor - s->r->donor->tensor] = &s->item[i];
    return list;
}

static int stats_of_model(struct am_run_state *s)
{
    struct am_run_item **list = in_order_of_names(s);
    int rc = list ? am_run_stats(s, list, s->items) : -AM_E_OUT_OF_MEMORY;
    free(list);
    return rc;
}

/* A tensor without elements has numbers, too. */
static void report_empty(struct am_run_state *s, const struct am_run_item *item)
{
    struct am_scope_info scope = am_run_scope(s, item);
    if (!s->r->report || !s->r->method->report)
        return;
    am_report_tensor(s->r->report, item->donor->name);
    s->r->method->report(&scope, s->model_scope ? NULL : am_run_acc(s), s->tally, s->r->report);
}

static int write_tensor(struct am_run_state *s, const struct am_out_tensor *target)
{
    struct am_run_item *item = target->user;
    bool counted = item->selected && !item->pass && s->r->method->needs.passes && !s->model_scope; /* so not whole */
    if (counted)
        AM_TRY(am_run_stats(s, &item, 1));
    if (counted && item->windows > 0) {
        am_later_add(s, target);
        return 0;
    }
    AM_TRY(am_later_but(s, 0));
    if (item->whole)
        AM_TRY(am_run_matrix(s, item));
    for (uint64_t w = 0; w < item->windows; w++)
        AM_TRY(am_ring_give(s, item->selected ? AM_SLOT_APPLY : AM_SLOT_COPY, item, target, w));
    if (item->selected && !item->pass && item->windows == 0) {
        AM_TRY(am_ring_settle(s, s->given));
        report_empty(s, item);
    }
    return 0;
}

static int compare_rest(struct am_run_state *s)
{
    for (size_t i = 0; i < s->items; i++)
        for (uint64_t w = 0; to_compare(s, &s->item[i]) && w < s->item[i].windows; w++)
            AM_TRY(am_ring_give(s, AM_SLOT_COMPARE, &s->item[i], NULL, w));
    return am_ring_settle(s, s->given);
}

static void report_total(const struct am_run_state *s)
{
    struct am_scope_info scope = am_run_scope(s, NULL);
    for (size_t i = 0; i < s->items; i++)
        scope.elements += s->item[i].selected && !s->item[i].pass ? s->item[i].donor->elements : 0;
    if (!s->r->report || !s->r->method->report)
        return;
    am_report_tensor(s->r->report, NULL);
    s->r->method->report(&scope, s->model_scope ? s->turn[0].acc : NULL, s->total, s->r->report);
}

static bool reads_f64(const struct am_run_state *s, const struct am_model *m)
{
    for (size_t i = 0; m && i < s->items; i++) {
        const struct am_tensor *t = s->item[i].selected ? am_model_find(m, s->item[i].donor->name) : NULL;
        if (t && t->dtype == AM_F64)
            return true;
    }
    return false;
}

static void warn(const struct am_run_state *s, const char *code, const char *fmt, uint64_t count)
{
    struct am_buf text;
    am_buf_init(&text, 512);
    if (s->r->warning && am_buf_puts(&text, fmt) == 0 &&
        (!count || am_buf_printf(&text, ": %llu", (unsigned long long)count) == 0))
        s->r->warning(s->r->ctx, code, text.data);
    am_buf_done(&text);
}

static void warn_f64(const struct am_run_state *s)
{
    bool hit = reads_f64(s, s->r->base.model);
    for (size_t i = 0; !hit && i < s->r->inputs; i++)
        hit = reads_f64(s, s->r->x[i].model);
    if (hit)
        warn(s, "f64-computed-in-f32", "F64 tensors were rounded to F32 for the computation", 0);
}

static int finish(struct am_run_state *s)
{
    int rc = am_output_finish(&s->out);
    if (rc == 0)
        return 0;
    return am_fault_add(s->faults, rc == -AM_E_DISK ? AM_E_DISK : AM_E_CANNOT_WRITE, (struct am_where){0},
                        "the result could not be brought to the disk (%s); look at the disk, then retry the job",
                        strerror(errno));
}

static int work(struct am_run_state *s)
{
    s->model_scope = over_model(s->r);
    s->depth = am_depth_of(s->r->donor);
    AM_TRY(am_run_some(s));
    AM_TRY(am_run_vary(s));
    choose(s);
    if (s->selected == 0)
        return nothing_selected(s);
    warn_f64(s);
    qsort(s->item, s->items, sizeof(*s->item), by_place);
    AM_TRY(lay_out(s));
    AM_TRY(am_slots_open(s));
    if (s->model_scope && s->r->method->needs.passes)
        AM_TRY(stats_of_model(s));
    for (size_t i = 0; i < s->out.tensors; i++)
        AM_TRY(write_tensor(s, &s->out.t[i]));
    AM_TRY(am_later_but(s, 0));
    AM_TRY(compare_rest(s));
    AM_TRY(am_ring_written(s));
    report_total(s);
    if (s->nonfinite)
        warn(s, "nonfinite-propagated", "values that are NaN or infinite were computed with", s->nonfinite);
    if (s->clamped)
        warn(s, s->r->overflow == AM_OVERFLOW_CLAMP ? "values-clamped" : "values-infinite",
             "results were too large for their dtype", s->clamped);
    return finish(s);
}

int am_run(const struct am_run *r, struct am_output *ret_out, struct am_faults *faults)
{
    AM_TRY(am_run_check(r, faults));
    struct am_run_state s = {.r = r, .faults = faults, .items = r->donor->tensors};
    s.item = calloc(s.items + 1, sizeof(*s.item));
    int rc = s.item ? work(&s) : -AM_E_OUT_OF_MEMORY;
    am_slots_done(&s);
    if (rc < 0) {
        if (rc != -AM_E_CANCELLED && faults->total == 0)
            am_fault_add(faults, -rc, (struct am_where){0}, "%s", am_err_title(rc));
        am_output_done(&s.out);
    } else {
        for (size_t i = 0; i < s.out.tensors; i++)
            s.out.t[i].user = NULL;
        *ret_out = s.out;
    }
    am_run_some_done(&s);
    free(s.item);
    free(s.args);
    free(s.rows);
    return rc;
}
