/*
 * plan_when.c - what of a plan depends on the values of parameters, which may differ from tensor to tensor: tensors
 * that stay as they are, tiles, and what a method keeps for the rows, columns and elements of a tensor (plan_parts.h).
 */
#include "core/table/plan_parts.h"

#include "core/base/text.h"
#include "core/table/json_util.h"
#include "core/table/settings.h"

#include <stdlib.h>
#include <string.h>

#define MASKS ((uint64_t)16 << 20) /* AM_MASKS_BYTES of core/methods/method.h */

/* Whether that condition of the described needs (am_when of core/methods/method.h) holds for a tensor. */
static bool holds(const struct am_body *b, const char *condition, const char *tensor)
{
    json_t *all = json_object_get(json_object_get(b->row, "needs"), condition), *value;
    const char *param;
    bool any = false;
    json_object_foreach(all, param, value)
    {
        json_t *v = am_setting_at(json_object_get(b->params, param), tensor, am_body_slice(b, tensor));
        const char *text = json_is_boolean(v) ? (json_is_true(v) ? "true" : "false") : json_string_value(v);
        if (!am_streq(text ? text : "", json_string_value(value)))
            return false;
        any = true;
    }
    return any;
}

static bool param_is(const struct am_body *b, const char *name, const char *value)
{
    const char *text = json_string_value(json_object_get(b->params, name));
    return text && strcmp(text, value) == 0;
}

bool am_plan_takes_bf16(const struct am_body *b)
{
    return json_is_true(json_object_get(json_object_get(b->row, "needs"), "bf16")) && !param_is(b, "compat", "exact") &&
           !param_is(b, "nonfinite", "propagate");
}

static bool is_stack(const struct am_body *b)
{
    for (size_t i = 0; i < b->inputs; i++)
        if (b->input[i].parts)
            return true;
    return false;
}

static bool is_number(const json_t *v, double wanted)
{
    double off = json_number_value(v) - wanted;
    return json_is_number(v) && !(off < 0) && !(off > 0);
}

/* Over the depth: only when it is that number everywhere. In a stack an input's filter sees the input's own name of the
   tensor, which is not at hand here. */
static bool equals(const struct am_body *b, json_t *params, const char *name, const json_t *value, const char *tensor,
                   bool *any)
{
    json_t *v = json_object_get(params, name), *one;
    size_t i;
    *any = *any || v;
    if (am_setting_varies(v) && is_stack(b))
        return false;
    if (v && !json_is_array(v = am_setting_at(v, tensor, 0)))
        return is_number(v, json_number_value(value));
    json_array_foreach(v, i, one) if (!is_number(one, json_number_value(value))) return false;
    return true;
}

/* As am_run_from_donor() of core/methods/run_some.c. */
static bool from_donor(const struct am_body *b, const char *tensor)
{
    size_t i = 0;
    while (i < b->inputs && !am_prefix_of(b->input[i].modules, tensor))
        i++;
    return i == 0 || i == b->inputs || am_streq(b->input[0].role, "base");
}

bool am_plan_keeps(const struct am_body *b, const char *tensor, const char *dtype)
{
    json_t *all = json_object_get(json_object_get(b->row, "needs"), "unchanged_at"), *value;
    const char *param, *out = am_plan_out_dtype(b);
    bool any = false;
    if ((out && !am_streq(out, dtype)) || !from_donor(b, tensor))
        return false;
    json_object_foreach(all, param, value)
    {
        if (!equals(b, b->params, param, value, tensor, &any))
            return false;
        for (size_t i = 0; i < b->inputs; i++)
            if (!equals(b, b->input[i].params, param, value, tensor, &any))
                return false;
    }
    return any;
}

bool am_plan_stays(const struct am_body *b, const struct am_plan_tensor *t)
{
    const char *out = am_plan_out_dtype(b);
    return (t->still && (!out || am_streq(out, t->dtype))) || am_plan_keeps(b, t->name, t->dtype);
}

void am_plan_vectors_need(struct am_plan_need *need, const struct am_body *b)
{
    json_int_t row = am_row_need_int(b->row, "row_doubles", 0), column = am_row_need_int(b->row, "column_bytes", 0);
    const char *rows = am_row_need(b->row, "rows");
    need->row_bytes = row > 0 ? am_plan_times(sizeof(double), (uint64_t)row) : 0;
    need->column_bytes = column > 0 ? (uint64_t)column : 0;
    need->masked = json_is_true(json_object_get(json_object_get(b->row, "needs"), "masks"));
    need->by_slab = am_streq(rows, "slabs");
    need->by_row =
        am_streq(rows, "granularity") && am_streq(json_string_value(json_object_get(b->params, "granularity")), "row");
}

/* The last number of a shape "[10,128]"; of a scalar 1. */
static uint64_t row_of(const char *shape)
{
    const char *p = strrchr(shape, ',');
    uint64_t row = strtoull(p ? p + 1 : shape + 1, NULL, 10);
    return shape[1] == ']' || row == 0 ? 1 : row;
}

/* Elements with the same first index, of a shape "[10,3,5]"; of one axis all of them. */
static uint64_t slab_of(const char *shape, uint64_t elements)
{
    uint64_t first = strtoull(shape + 1, NULL, 10), slab = first && strchr(shape, ',') ? elements / first : elements;
    return slab ? slab : 1;
}

static void count_vectors(struct am_plan_need *need, const char *shape, uint64_t elements, bool by_row, bool by_column)
{
    uint64_t height = strtoull(shape + 1, NULL, 10), row = row_of(shape);
    bool scalar = shape[1] == ']';
    uint64_t rows = elements / row, columns = scalar || !height ? 1 : elements / height;
    if (by_row && rows > need->rows)
        need->rows = rows;
    if (by_column && columns > need->columns)
        need->columns = columns;
}

/* am_masks_bytes() of core/methods/method.h. */
static void count_masks(struct am_plan_need *need, uint64_t elements, uint64_t tile, uint64_t inputs)
{
    uint64_t bytes = am_plan_times(am_plan_windows(elements, tile), (tile + 31) / 32 * sizeof(uint32_t) * inputs);
    if (need->masked && elements / 8 <= MASKS && bytes <= MASKS && bytes > need->masks)
        need->masks = bytes;
}

struct am_plan_spans am_plan_cut(struct am_plan_need *need, const struct am_body *b, const char *tensor,
                                 const char *shape, uint64_t elements, uint64_t inputs)
{
    struct am_plan_spans s = {AM_PLAN_TILE, AM_PLAN_CHUNK, AM_PLAN_WINDOW};
    bool by_row = holds(b, "rows_when", tensor), by_column = holds(b, "columns_when", tensor);
    count_vectors(need, shape, elements, by_row, by_column);
    if (need->by_slab || need->by_row || by_row) {
        s.tile = need->by_slab ? slab_of(shape, elements) : row_of(shape);
        s.chunk = s.tile < AM_PLAN_CHUNK ? AM_PLAN_CHUNK / s.tile * s.tile : s.tile;
        s.window = s.chunk < AM_PLAN_WINDOW ? AM_PLAN_WINDOW / s.chunk * s.chunk : s.chunk;
    }
    count_masks(need, elements, s.tile, inputs);
    return s;
}

void am_plan_vectors_add(struct am_plan_need *need)
{
    uint64_t columns = am_plan_line(am_plan_times(need->column_bytes, need->columns));
    uint64_t rows = am_plan_line(am_plan_times(need->row_bytes, need->rows)), masks = am_plan_line(need->masks);
    need->acc = am_plan_plus(need->acc, columns);
    need->fixed = am_plan_plus(need->fixed, columns);
    need->acc = am_plan_plus(need->acc, am_plan_plus(rows, masks));
    if ((rows || masks) && need->accs > 2) /* they may be large: the runner has two of them */
        need->accs = 2;
}
