/*
 * limits.h - what the worker does to itself before it touches anybody's bytes.
 */
#ifndef AM_WORKER_LIMITS_H
#define AM_WORKER_LIMITS_H

#include <stdbool.h>
#include <stddef.h>

/* Dies with the daemon, dumps no core, keeps subnormal numbers, takes SIGTERM as a request. Before the first thread is
 * started. */
int am_limits_begin(void);
/* Nothing but 0..4 and the descriptors of the spec is open: 0, or -AM_E_INTERNAL with the number of another in *ret_fd.
 */
int am_limits_check_fds(const int *fd, size_t n, int *ret_fd);
/* At most so many descriptors from here on: those of the spec and the few that a worker opens. */
int am_limits_files(const int *fd, size_t n);
bool am_cancelled(void); /* SIGTERM was received */

#endif
