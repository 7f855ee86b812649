/*
 * _tasks.c - see _tasks.h.
 */
#include "core/merge/_tasks.h"

#include "core/tensor/kernels.h"

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
