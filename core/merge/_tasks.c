/*
 * _tasks.c - see _tasks.h.
 */
#include "core/merge/_tasks.h"

#include "core/tensor/kernels.h"

#define STRIDE 64 /* a constant length is what the compiler vectorises at -O2 */

const struct am_rule am_task_rules[] = {{AM_RULE_INPUTS_A, "task", ""}, {AM_RULE_END, NULL, NULL}};

void am_tasks_deltas(const struct am_window *w, float *sum)
{
    for (size_t i = 0; i < w->inputs; i++) {
        am_sub_f32(w->scratch[i], w->x[i], w->base, w->n);
        if (i == 0)
            am_copy_f32(sum, w->scratch[0], w->n);
        else
            am_add_f32(sum, sum, w->scratch[i], w->n);
    }
}

static inline float own_of(float d, float sum, float limit)
{
    return fabsf(d) > limit * fabsf(sum - d) ? 1.0f : 0.0f;
}

size_t am_task_own(const float *d, const float *sum, float limit, float *own, size_t n, bool add)
{
    float count[STRIDE] = {0}, keep = add ? 1.0f : 0.0f;
    size_t k = 0, total = 0;
    for (; k + STRIDE <= n; k += STRIDE) {
        for (size_t j = 0; j < STRIDE; j++) {
            float one = own_of(d[k + j], sum[k + j], limit);
            count[j] += one; /* tiles are short: the counts stay exact */
            own[k + j] = own[k + j] * keep + one;
        }
    }
    for (; k < n; k++) {
        float one = own_of(d[k], sum[k], limit);
        total += one > 0;
        own[k] = own[k] * keep + one;
    }
    for (size_t j = 0; j < STRIDE; j++)
        total += (size_t)count[j];
    return total;
}
