/*
 * evaluate.h - jobs of type evaluate among the others (submit.h): what they compare are prediction sets, not versions'
 * files, and what they make is a report. Private to the files that submit.h serves.
 */
#ifndef AM_SERVER_API_EVALUATE_H
#define AM_SERVER_API_EVALUATE_H

#include "server/api/submit.h"

bool am_submit_evaluates(const struct am_submit *s);
/* After the inputs that are versions were pinned: finds the two sets, and plans. Faults are added. */
int am_evaluate_look_up(struct am_submit *s);
void am_evaluate_done(struct am_submit *s);
/* The counterparts of am_submit_digest, am_submit_resolved and am_submit_publish. */
int am_evaluate_digest(struct am_submit *s);
json_t *am_evaluate_resolved(const struct am_submit *s);
json_t *am_evaluate_publish(const struct am_submit *s);
/* An earlier job that made the same report, which is still there. 1: *ret_job, *ret_report; 0: none, or this job does
   not want it. */
int am_evaluate_reuse(struct am_submit *s, struct am_db *db, char ret_job[64], char ret_report[64]);

#endif
