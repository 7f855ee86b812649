/*
 * limits.h - what the worker does to itself before it touches anybody's bytes (the daemon's uv_spawn cannot do it).
 * Not the kernel's fences (confine.h).
 */
#ifndef AM_WORKER_LIMITS_H
#define AM_WORKER_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct am_limits {
    uint64_t memory_bytes; /* what the job was planned with; the worker adds what it needs itself */
    uint64_t file_bytes;   /* of each file it writes */
    uint64_t descriptors;  /* the highest number and one */
    uint64_t cpu_seconds;  /* 0: no limit */
};

/* Dies with the daemon, dumps no core, keeps subnormal numbers, takes SIGTERM as a request and a file that is too long
 * as an error (EFBIG). Before the first thread is started. */
int am_limits_begin(void);
/* The ceilings, for threads in the pool. 0, or -AM_E_INTERNAL when the kernel refuses one. */
int am_limits_set(const struct am_limits *l, unsigned threads);
uint64_t am_limits_memory(void); /* the bytes that may be held in all; 0: no limit */
/* The most memory that this process has held so far, of what is resident; 0: unknown. Works once: for the last words.
 */
uint64_t am_limits_peak(void);
/* The kernel takes this process before the daemon when memory runs out. false: it cannot be told here. */
bool am_limits_oom_first(void);
/* Nothing but 0..4, the descriptors of the spec and what this file keeps is open: 0, or -AM_E_INTERNAL with the number
 * of another in *ret_fd. Works once, and after am_limits_begin(). */
int am_limits_check_fds(const int *fd, size_t n, int *ret_fd);
bool am_cancelled(void); /* SIGTERM was received */

#endif
