/*
 * publisher_verify.h - the second look at what a worker wrote, before anything is moved: publish.verify=full.
 */
#ifndef AM_SERVER_PUBLISHER_VERIFY_H
#define AM_SERVER_PUBLISHER_VERIFY_H

#include "server/result.h"
#include "storage/store.h"

/*
 * Reads every staged file and blob and compares SHA-256 (and git's SHA-1 where it is given) with what the result says;
 * then reads assembled files through their spans. 0; -AM_E_PUBLISH when one differs, or another error, and a sentence.
 */
int am_publisher_verify(struct am_store *store, int staging, const struct am_result *r, char *why, size_t why_cap);

#endif
