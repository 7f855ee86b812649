/*
 * plan_when.c - what of a plan depends on the values of parameters: tensors that stay as they are, and what a method
 * keeps for the rows and columns of a tensor (plan_parts.h).
 */
#include "core/table/plan_parts.h"

#include "core/base/text.h"
#include "core/table/json_util.h"

#include <stdlib.h>
#include <string.h>

bool am_plan_when(const struct am_body *b, const char *name)
{
    json_t *all = json_object_get(json_object_get(b->row, "needs"), name), *value;
    const char *param;
    bool any = false;
    json_object_foreach(all, param, value)
    {
        json_t *v = json_object_get(b->params, param);
        const char *text = json_is_boolean(v) ? (json_is_true(v) ? "true" : "false") : json_string_value(v);
        if (!am_streq(text ? text : "", json_string_value(value)))
            return false;
        any = true;
    }
    return any;
}

static bool equals(json_t *params, const char *name, json_t *value, bool *any)
{
    json_t *v = json_object_get(params, name);
    *any = *any || v;
    return !v || json_number_value(v) == json_number_value(value);
}

bool am_plan_keeps(const struct am_body *b, const char *dtype)
{
    json_t *all = json_object_get(json_object_get(b->row, "needs"), "unchanged_at"), *value;
    const char *param, *out = am_plan_out_dtype(b);
    bool any = false;
    if (out && !am_streq(out, dtype))
        return false;
    json_object_foreach(all, param, value)
    {
        if (!equals(b->params, param, value, &any))
            return false;
        for (size_t i = 0; i < b->inputs; i++)
            if (!equals(b->input[i].params, param, value, &any))
                return false;
    }
    return any;
}

void am_plan_vectors_need(struct am_plan_need *need, const struct am_body *b)
{
    json_int_t row = am_row_need_int(b->row, "row_doubles", 0), column = am_row_need_int(b->row, "column_bytes", 0);
    if (row > 0 && am_plan_when(b, "rows_when"))
        need->row_bytes = am_plan_times(sizeof(double), (uint64_t)row);
    if (column > 0 && am_plan_when(b, "columns_when"))
        need->column_bytes = (uint64_t)column;
}

void am_plan_vectors_count(struct am_plan_need *need, const char *shape, uint64_t elements)
{
    const char *last = strrchr(shape, ',');
    uint64_t height = strtoull(shape + 1, NULL, 10), row = last ? strtoull(last + 1, NULL, 10) : height;
    bool scalar = shape[1] == ']';
    uint64_t rows = scalar || !row ? 1 : elements / row, columns = scalar || !height ? 1 : elements / height;
    need->rows = rows > need->rows ? rows : need->rows;
    need->columns = columns > need->columns ? columns : need->columns;
}

void am_plan_vectors_add(struct am_plan_need *need)
{
    uint64_t columns = am_plan_line(am_plan_times(need->column_bytes, need->columns));
    need->acc = am_plan_plus(need->acc, columns);
    need->fixed = am_plan_plus(need->fixed, columns);
    need->acc = am_plan_plus(need->acc, am_plan_line(am_plan_times(need->row_bytes, need->rows)));
}
