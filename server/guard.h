/*
 * guard.h - what every request must pass before routing, in every mode (api.md 10.1, engineering.md 6.5): unambiguous
 * framing, a Host that is ours, no request from another site.
 */
#ifndef AM_SERVER_GUARD_H
#define AM_SERVER_GUARD_H

#include "server/http.h"

/* 0 = pass; else a refusal was queued and *ret_queued holds the library's answer. `writes`: not GET, HEAD or OPTIONS.
 */
int am_guard(struct am_req *r, bool writes, int *ret_queued);

#endif
