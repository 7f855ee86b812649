/*
 * crew.h - a few threads that work off jobs in numbered slots, while the caller goes on. A job has two stages: its
 * WORK, begun in the order in which jobs are given, and what FOLLOWS, which is done for one job at a time in that
 * order, whichever thread does it. For pipelines: the caller fills a slot, gives its number, looks at its work in its
 * own time, and fills it again when all has followed. What follows goes first, since only one can be at it; so there
 * are as many threads that can run as the caller asked for, and never one more than processors. Ownership:
 * am_crew_new() gives an object for am_crew_free(), which waits for what was given. Only one thread, the caller, gives
 * and waits.
 */
#ifndef AM_BASE_CREW_H
#define AM_BASE_CREW_H

#include <stddef.h>

struct am_crew;
typedef void am_crew_task(void *arg, size_t job);
enum am_crew_stage { AM_CREW_GIVEN, AM_CREW_WORKED, AM_CREW_FOLLOWED };

/* Jobs are given in the order 0, 1, .. slots - 1, 0, .., each again only after it was waited for to the end. When no
   thread can be made they run inside am_crew_give(). follow may be NULL. NULL: out of memory. */
struct am_crew *am_crew_new(unsigned threads, size_t slots, am_crew_task *work, am_crew_task *follow, void *arg);
void am_crew_give(struct am_crew *c, size_t job);
/* In place of giving it: does its work in the calling thread, and what follows if its turn has come. For small jobs. */
void am_crew_do(struct am_crew *c, size_t job);
/* Waking the caller takes as long as a small job: who waits for the last of several jobs wakes once. */
void am_crew_wait(struct am_crew *c, size_t job, enum am_crew_stage stage);
void am_crew_free(struct am_crew *c);

#endif
