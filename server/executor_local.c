/*
 * executor_local.c - workers as child processes: uv_spawn with descriptors handed over, the spec written on 0, records
 * read from 3, log from 2. Each worker leads its own session and process group. Not a supervisor: when to stop a worker
 * is the engine's decision (engine_slot.c).
 *
 * Ownership: a handle owns its libuv handles and frees itself when the last of them has closed.
 */
#include "core/base/err.h"
#include "core/base/failpoint.h"
#include "server/executor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_INPUT = 5, DRAIN_MS = 2000 };

struct am_exec {
    uv_process_t process;
    uv_pipe_t spec, log, record;
    uv_timer_t drain;
    uv_write_t write;
    struct am_exec_events events;
    void (*gone)(void *arg); /* of one that was forgotten */
    void *gone_arg;
    bool spawned, exited, spec_closed, log_ended, record_ended, forgotten, closing;
    int handles; /* libuv handles still open */
    int64_t status;
    int signal;
    char buffer[16384];
};

static void closed(uv_handle_t *handle)
{
    struct am_exec *h = handle->data;
    if (--h->handles > 0)
        return;
    if (h->spawned && h->events.on_exit)
        h->events.on_exit(h->events.arg, h->status, h->signal);
    if (h->gone)
        h->gone(h->gone_arg);
    free(h);
}

static void close_spec(struct am_exec *h)
{
    if (!h->spec_closed)
        uv_close((uv_handle_t *)&h->spec, closed);
    h->spec_closed = true;
}

static void close_all(struct am_exec *h)
{
    if (h->closing)
        return;
    h->closing = true;
    close_spec(h);
    if (h->process.type != UV_UNKNOWN_HANDLE)
        uv_close((uv_handle_t *)&h->process, closed);
    else /* it never came to uv_spawn */
        h->handles--;
    if (!h->forgotten) {
        uv_close((uv_handle_t *)&h->log, closed);
        uv_close((uv_handle_t *)&h->record, closed);
    }
    uv_close((uv_handle_t *)&h->drain, closed);
}

/* The exit may be seen before the last bytes of the pipes: only all three together are the end. */
static void maybe_end(struct am_exec *h)
{
    if (h->exited && h->log_ended && h->record_ended)
        close_all(h);
}

static void on_drained(uv_timer_t *timer)
{
    close_all(timer->data); /* somebody who left the group holds a pipe open */
}

static void on_exit_status(uv_process_t *process, int64_t status, int signal)
{
    struct am_exec *h = process->data;
    h->exited = true;
    h->status = status;
    h->signal = signal;
    /* Its children must not outlive it, whether they hold a pipe or not. While one lives, the number of the group is
     * not given away; when none does, it was free for no longer than the way from waitpid to here. */
    kill(-process->pid, SIGKILL);
    /* What it started and left behind goes with it. The group still exists as long as a member of it lives, so its
     * number is not reused. */
    kill(-process->pid, SIGKILL);
    uv_timer_start(&h->drain, on_drained, DRAIN_MS, 0);
    maybe_end(h);
}

static void lend_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct am_exec *h = handle->data;
    (void)suggested;
    *ret = uv_buf_init(h->buffer, sizeof h->buffer);
}

static void on_record_bytes(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct am_exec *h = stream->data;
    if (n > 0)
        h->events.on_record(h->events.arg, buf->base, (size_t)n);
    if (n >= 0)
        return;
    uv_read_stop(stream);
    h->record_ended = true;
    maybe_end(h);
}

static void on_log_bytes(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct am_exec *h = stream->data;
    if (n > 0)
        h->events.on_log(h->events.arg, buf->base, (size_t)n);
    if (n >= 0)
        return;
    uv_read_stop(stream);
    h->log_ended = true;
    maybe_end(h);
}

static void on_spec_written(uv_write_t *write, int status)
{
    (void)status; /* a worker that died early is seen by its exit */
    close_spec(write->data);
}

static struct am_exec *handle_new(uv_loop_t *loop)
{
    struct am_exec *h = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    uv_pipe_init(loop, &h->spec, 0);
    uv_pipe_init(loop, &h->log, 0);
    uv_pipe_init(loop, &h->record, 0);
    uv_timer_init(loop, &h->drain);
    h->spec.data = h->log.data = h->record.data = h->drain.data = h->process.data = h->write.data = h;
    h->handles = 5;
    return h;
}

static int spawn(uv_loop_t *loop, struct am_exec *h, const struct am_exec_launch *l)
{
    char kernels[40], trace[80];
    const char *pinned = getenv("AMEND_KERNELS");
    char *argv[] = {"amend-worker", (char *)l->mode, NULL};
    char *env[16] = {"OPENBLAS_NUM_THREADS=1"};
    size_t n = FIRST_INPUT + l->inputs;
    uv_stdio_container_t *io = calloc(n, sizeof *io);
    if (!io)
        return UV_ENOMEM;
    snprintf(trace, sizeof trace, "TRACEPARENT=%.60s", l->trace);
    env[1] = trace;
    if (pinned) {
        snprintf(kernels, sizeof kernels, "AMEND_KERNELS=%.20s", pinned);
        env[2] = kernels;
    }
    am_failpoint_env(env, sizeof env / sizeof *env);
    io[0] = (uv_stdio_container_t){UV_CREATE_PIPE | UV_READABLE_PIPE, {.stream = (uv_stream_t *)&h->spec}};
    io[1].flags = UV_IGNORE; /* libuv opens /dev/null for it */
    io[2] = (uv_stdio_container_t){UV_CREATE_PIPE | UV_WRITABLE_PIPE, {.stream = (uv_stream_t *)&h->log}};
    io[3] = (uv_stdio_container_t){UV_CREATE_PIPE | UV_WRITABLE_PIPE, {.stream = (uv_stream_t *)&h->record}};
    io[4] = (uv_stdio_container_t){UV_INHERIT_FD, {.fd = l->staging}};
    for (size_t i = 0; i < l->inputs; i++)
        io[FIRST_INPUT + i] = (uv_stdio_container_t){UV_INHERIT_FD, {.fd = l->input[i]}};
    uv_process_options_t o = {
        .exit_cb = on_exit_status,
        .file = l->worker,
        .args = argv,
        .env = env,
        .flags = UV_PROCESS_DETACHED, /* its own session and process group, so that a kill reaches its children too */
        .stdio_count = (int)n,
        .stdio = io,
    };
    int rc = uv_spawn(loop, &h->process, &o);
    free(io);
    return rc;
}

static int local_start(uv_loop_t *loop, const struct am_exec_launch *l, struct am_exec **ret, char *why, size_t why_cap)
{
    struct am_exec *h = handle_new(loop);
    if (!h) {
        snprintf(why, why_cap, "out of memory while starting %s", l->worker);
        return -AM_E_OUT_OF_MEMORY;
    }
    int rc = spawn(loop, h, l);
    if (rc < 0) {
        snprintf(why, why_cap, "cannot start %s: %s", l->worker, uv_strerror(rc));
        close_all(h);
        return rc == UV_ENOMEM ? -AM_E_OUT_OF_MEMORY : -AM_E_INTERNAL;
    }
    h->spawned = true;
    uv_buf_t spec = uv_buf_init((char *)l->spec, (unsigned)l->spec_bytes);
    if (uv_write(&h->write, (uv_stream_t *)&h->spec, &spec, 1, on_spec_written) < 0)
        close_spec(h); /* the worker then fails on a short spec */
    *ret = h;
    return 0;
}

static int local_signal(struct am_exec *h, bool hard)
{
    if (h->exited) /* reaped: the number may belong to somebody else by now */
        return 0;
    return kill(-h->process.pid, hard ? SIGKILL : SIGTERM) < 0 && errno != ESRCH ? -AM_E_INTERNAL : 0;
}

static enum am_exec_state local_poll(const struct am_exec *h)
{
    return h->exited ? AM_EXEC_EXITED : AM_EXEC_RUNNING;
}

static int local_collect(struct am_exec *h, const struct am_exec_events *events)
{
    h->events = *events;
    if (uv_read_start((uv_stream_t *)&h->record, lend_buffer, on_record_bytes) < 0)
        h->record_ended = true;
    if (uv_read_start((uv_stream_t *)&h->log, lend_buffer, on_log_bytes) < 0)
        h->log_ended = true;
    return 0;
}

static void local_forget(struct am_exec *h, void (*gone)(void *arg), void *arg)
{
    h->events = (struct am_exec_events){0};
    h->gone = gone;
    h->gone_arg = arg;
    h->forgotten = h->log_ended = h->record_ended = true;
    close_spec(h);
    uv_close((uv_handle_t *)&h->log, closed);
    uv_close((uv_handle_t *)&h->record, closed);
    uv_unref((uv_handle_t *)&h->process);
}

static void local_describe(const struct am_exec *h, struct am_exec_about *ret)
{
    *ret = (struct am_exec_about){.name = "local", .limits = "rlimits", .id = h ? h->process.pid : 0};
}

const struct am_executor am_executor_local = {
    .start = local_start,
    .signal = local_signal,
    .poll = local_poll,
    .collect = local_collect,
    .forget = local_forget,
    .describe = local_describe,
};
