/*
 * crew.h - a few threads that work off numbered jobs in the order in which they were given, while the caller goes on.
 * For pipelines: the caller fills a slot, gives its number, and takes slots back in its own order. core/base/pool.h is
 * for a batch that is waited for as a whole. Ownership: am_crew_new() gives an object for am_crew_free(), which waits
 * for what was given. Only one thread, the caller, gives and waits.
 */
#ifndef AM_BASE_CREW_H
#define AM_BASE_CREW_H

#include <stdbool.h>
#include <stddef.h>

struct am_crew;

/* `slots`: job numbers are 0 .. slots - 1, each given again only after it was waited for. When no thread can be made
   the jobs run inside am_crew_give(). NULL: out of memory. */
struct am_crew *am_crew_new(unsigned threads, size_t slots, void (*work)(void *arg, size_t job), void *arg);
void am_crew_give(struct am_crew *c, size_t job);
/* Runs it in the calling thread, at once. */
void am_crew_do(struct am_crew *c, size_t job);
/* Whether a given job has ended; am_crew_wait() returns when it has. */
bool am_crew_ended(struct am_crew *c, size_t job);
void am_crew_wait(struct am_crew *c, size_t job);
void am_crew_free(struct am_crew *c);

#endif
