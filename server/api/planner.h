/*
 * planner.h - the plan of a job that waited for others, made when it is claimed: only now its inputs are known.
 */
#ifndef AM_SERVER_API_PLANNER_H
#define AM_SERVER_API_PLANNER_H

#include "server/engine.h"

/* An am_planner; arg: struct am_server. */
int am_plan_waited(void *arg, struct am_claim *job, struct am_faults *faults, char *why, size_t why_cap);

#endif
