/*
 * crew.h - a few threads that work off numbered jobs, while the caller goes on. A job has two stages: its WORK, begun
 * in the order in which it is given, and what FOLLOWS, which is done for one job at a time in the order in which they
 * are passed on, whichever thread does it. For pipelines: the caller fills a slot, gives its number, takes it back in
 * its own order, passes it on, and takes it back again. What follows goes first, since only one can be at it; so there
 * are as many threads that can run as the caller asked for, and never one more than processors. Ownership:
 * am_crew_new() gives an object for am_crew_free(), which waits for what was given. Only one thread, the caller, gives,
 * passes on and waits.
 */
#ifndef AM_BASE_CREW_H
#define AM_BASE_CREW_H

#include <stdbool.h>
#include <stddef.h>

struct am_crew;
typedef void am_crew_task(void *arg, size_t job);

/* `slots`: job numbers are 0 .. slots - 1, each given or passed on again only after it was waited for. When no thread
   can be made the jobs run inside am_crew_give() and am_crew_pass(). NULL: out of memory. */
struct am_crew *am_crew_new(unsigned threads, size_t slots, am_crew_task *work, am_crew_task *follow, void *arg);
void am_crew_give(struct am_crew *c, size_t job);
/* Does its work in the calling thread, at once. */
void am_crew_do(struct am_crew *c, size_t job);
/* After its work was waited for: to what follows. `small`: at once, in the calling thread, if its turn has come. */
void am_crew_pass(struct am_crew *c, size_t job, bool small);
/* Whether the stage that a job was given to has ended; am_crew_wait() returns when it has. */
bool am_crew_ended(struct am_crew *c, size_t job);
void am_crew_wait(struct am_crew *c, size_t job);
void am_crew_free(struct am_crew *c);

#endif
