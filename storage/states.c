/*
 * states.c - the states of a job and the one table of allowed moves between them.
 */
#include "storage/jobs.h"

#include "core/base/text.h"

static const char *const names[AM_STATES] = {
    [AM_QUEUED] = "queued",       [AM_RUNNING] = "running", [AM_CANCELLING] = "cancelling",
    [AM_SUCCEEDED] = "succeeded", [AM_FAILED] = "failed",   [AM_CANCELLED_] = "cancelled",
};

static const bool may[AM_STATES][AM_STATES] = {
    /* failed: what it waited for did */
    [AM_QUEUED] = {[AM_RUNNING] = true, [AM_CANCELLED_] = true, [AM_FAILED] = true},
    [AM_RUNNING] = {[AM_SUCCEEDED] = true, [AM_FAILED] = true, [AM_QUEUED] = true, [AM_CANCELLING] = true},
    [AM_CANCELLING] = {[AM_CANCELLED_] = true, [AM_FAILED] = true},
};

static bool known(enum am_job_state s)
{
    return (unsigned)s < AM_STATES;
}

const char *am_state_name(enum am_job_state s)
{
    return known(s) ? names[s] : "unknown";
}

int am_state_parse(const char *name)
{
    for (int s = 0; s < AM_STATES; s++) {
        if (am_streq(names[s], name))
            return s;
    }
    return -1;
}

bool am_state_terminal(enum am_job_state s)
{
    return s == AM_SUCCEEDED || s == AM_FAILED || s == AM_CANCELLED_;
}

bool am_state_may(enum am_job_state from, enum am_job_state to)
{
    return known(from) && known(to) && may[from][to];
}
