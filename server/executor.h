/*
 * executor.h - where workers run: an interface of six functions. `local` (executor_local.c) starts processes on this
 * machine. Not the engine (engine.h): an executor knows nothing of rows, publication or what a record means. All calls
 * and callbacks happen on the loop's thread.
 *
 * Ownership: start() gives a handle that is gone after on_exit has returned, or after forget(). The launch must live
 * until then.
 */
#ifndef AM_SERVER_EXECUTOR_H
#define AM_SERVER_EXECUTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct am_exec;

struct am_exec_launch {
    const char *worker; /* path of amend-worker */
    const char *mode;   /* "run", "import", "pack" or "index" */
    const char *spec;   /* what the worker reads on descriptor 0 */
    size_t spec_bytes;
    int staging;      /* becomes descriptor 4 */
    const int *input; /* become 5, 6, ...; the caller closes its copies after start() */
    size_t inputs;
    const char *trace; /* becomes TRACEPARENT in its environment */
};

/* on_exit comes last and once: after the process was reaped and the ends of records and log were seen. */
struct am_exec_events {
    void (*on_record)(void *arg, const char *bytes, size_t n); /* raw bytes of descriptor 3 */
    void (*on_log)(void *arg, const char *bytes, size_t n);    /* raw bytes of descriptor 2 */
    void (*on_exit)(void *arg, int64_t status, int signal);
    void *arg;
};

enum am_exec_state { AM_EXEC_RUNNING, AM_EXEC_EXITED, AM_EXEC_LOST };

struct am_exec_about {
    const char *name;   /* "local" */
    const char *limits; /* what bounds its workers: "rlimits" */
    int64_t id;         /* of this worker in the executor's own terms: the process id; 0 without a handle */
};

struct am_executor {
    /* 0, or a negative error with a sentence in `why`. Nothing is delivered before collect(). */
    int (*start)(uv_loop_t *loop, const struct am_exec_launch *launch, struct am_exec **ret, char *why, size_t why_cap);
    int (*signal)(struct am_exec *h, bool hard); /* soft: asked to stop; hard: killed with all its children */
    enum am_exec_state (*poll)(const struct am_exec *h);
    int (*collect)(struct am_exec *h,
                   const struct am_exec_events *events); /* begins to deliver records, log and the end */
    /* Gives up a worker that outlived its kill: nothing more is delivered and the loop does not wait for it. Should it
       end after all, it is reaped and `gone` is called. */
    void (*forget)(struct am_exec *h, void (*gone)(void *arg), void *arg);
    /* h may be NULL: then only what holds for every worker. */
    void (*describe)(const struct am_exec *h, struct am_exec_about *ret);
};

extern const struct am_executor am_executor_local;

#endif
