/*
 * plan_whole.c - what a tensor takes that a method computes whole (core/methods/run_matrix.c), and how the described
 * needs of methods are read.
 */
#include "core/base/text.h"
#include "core/table/plan_parts.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (AM_PLAN_CHUNK * sizeof(double)) /* as stored */

uint64_t am_plan_amount(const json_t *needs, const char *name, uint64_t inputs)
{
    json_t *list = json_object_get(needs, name);
    uint64_t v[3], pairs = inputs ? am_plan_times(inputs, inputs - 1) / 2 : 0;
    for (size_t i = 0; i < 3; i++) {
        json_int_t n = json_integer_value(json_array_get(list, i));
        v[i] = n > 0 ? (uint64_t)n : 0;
    }
    return am_plan_plus(v[0], am_plan_plus(am_plan_times(v[1], inputs), am_plan_times(v[2], pairs)));
}

static bool matches(const struct am_body *b, const char *list, const char *name)
{
    json_t *pattern;
    size_t i;
    json_array_foreach(json_object_get(b->params, list), i, pattern)
    {
        if (am_glob(json_string_value(pattern), name))
            return true;
    }
    return false;
}

bool am_plan_included(const struct am_body *b, const char *name)
{
    return matches(b, "include", name) && !matches(b, "exclude", name);
}

/* am_whole_is_matrix() of core/merge/_whole.c. */
static bool is_matrix(const struct am_body *b, const struct am_plan_tensor *t)
{
    const char *conv = json_string_value(json_object_get(b->params, "conv"));
    size_t axes = t->shape[1] != ']';
    for (const char *p = t->shape; *p; p++)
        axes += *p == ',';
    return (axes == 2 || (axes > 2 && am_streq(conv, "flatten"))) && am_plan_included(b, t->name);
}

/* am_svd_work() of core/tensor/linalg.c. */
uint64_t am_plan_svd_work(uint64_t rows, uint64_t cols)
{
    uint64_t k = am_plan_smaller(rows, cols), sides = am_plan_plus(rows, cols);
    uint64_t squares = sides - k >= am_plan_times(k, 11) / 6 ? 4 : 3;
    uint64_t n = am_plan_times(squares, am_plan_times(k, k));
    n = am_plan_plus(n, am_plan_times(203, k));
    return am_plan_plus(n, am_plan_plus(sides, 4232));
}

uint64_t am_plan_whole_doubles(const json_t *need, bool matrix, uint64_t rows, uint64_t cols, uint64_t inputs)
{
    bool joined = json_is_true(json_object_get(need, "joined"));
    uint64_t width = joined ? am_plan_times(inputs, cols) : cols, k = am_plan_smaller(rows, width);
    uint64_t edge = am_plan_plus(am_plan_plus(rows, width), 16);
    if (!matrix)
        return am_plan_plus(am_plan_times(am_plan_amount(need, "row", inputs), cols), 64);
    uint64_t n = am_plan_times(am_plan_amount(need, "full", inputs), am_plan_times(rows, cols));
    n = am_plan_plus(n, am_plan_times(am_plan_amount(need, "square", inputs), am_plan_times(k, k)));
    n = am_plan_plus(n, am_plan_times(am_plan_amount(need, "edge", inputs), edge));
    return am_plan_plus(n, am_plan_svd_work(rows, width));
}

void am_plan_charge_whole(struct am_plan_need *n, const struct am_body *b, const struct am_plan_tensor *t,
                          uint64_t elements, uint64_t inputs)
{
    const json_t *need = json_object_get(json_object_get(b->row, "needs"), "matrix");
    bool matrix = json_is_object(need) && is_matrix(b, t);
    if (elements == 0 || (!matrix && am_plan_amount(need, "row", inputs) == 0))
        return;
    uint64_t rows = matrix ? strtoull(t->shape + 1, NULL, 10) : 1, cols = rows ? elements / rows : 0;
    uint64_t work = am_plan_times(sizeof(double), am_plan_whole_doubles(need, matrix, rows, cols, inputs));
    am_plan_grow(&n->whole, am_plan_plus(work, matrix ? AM_PLAN_BLAS_TOUCHED + CHUNK_BYTES : CHUNK_BYTES));
    am_plan_grow(&n->whole_read, am_plan_times(2 * sizeof(float), elements));
}
