/*
 * pool.h - run N independent tasks on libuv's thread pool and wait for all. The one file of core that knows uv.h is
 * pool.c. The number of threads is UV_THREADPOOL_SIZE, set in the worker's environment before it starts.
 */
#ifndef AM_BASE_POOL_H
#define AM_BASE_POOL_H

#include <stddef.h>

/* Calls task(arg, i) for i = 0..n-1, in any order, on any thread. Returns 0, or the error of the task with the lowest
   index that failed (so that the answer does not depend on timing). All tasks have ended when it returns. */
int am_pool_run(size_t n, int (*task)(void *arg, size_t i), void *arg);

#endif
