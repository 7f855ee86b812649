/*
 * pool.c - see pool.h. A private loop for each call: the pool's threads are shared by the process, the waiting is not.
 * A task must not call am_pool_run itself: it would wait for the thread it sits on.
 */
#include "core/base/pool.h"

#include <stdlib.h>
#include <uv.h>

struct one {
    uv_work_t req; /* first: libuv hands back its address */
    int (*task)(void *arg, size_t i);
    void *arg;
    size_t i;
    int rc;
};

static void work(uv_work_t *req)
{
    struct one *w = (struct one *)req;
    w->rc = w->task(w->arg, w->i);
}

static void after(uv_work_t *req, int status)
{
    (void)req;
    (void)status;
}

/* Without a loop or memory for it the tasks still run, one after the other, with the same answer. */
static int run_here(size_t n, int (*task)(void *arg, size_t i), void *arg)
{
    int first = 0;
    for (size_t i = 0; i < n; i++) {
        int rc = task(arg, i);
        if (rc < 0 && first == 0)
            first = rc;
    }
    return first;
}

int am_pool_run(size_t n, int (*task)(void *arg, size_t i), void *arg)
{
    uv_loop_t loop;
    struct one *w = n > 1 ? calloc(n, sizeof(*w)) : NULL;
    if (!w || uv_loop_init(&loop) != 0) {
        free(w);
        return run_here(n, task, arg);
    }
    for (size_t i = 0; i < n; i++) {
        w[i] = (struct one){.task = task, .arg = arg, .i = i};
        if (uv_queue_work(&loop, &w[i].req, work, after) != 0)
            w[i].rc = task(arg, i);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    int first = 0;
    for (size_t i = 0; i < n && first == 0; i++)
        if (w[i].rc < 0)
            first = w[i].rc;
    free(w);
    return first;
}
