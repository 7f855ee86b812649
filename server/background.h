/*
 * background.h - the check of the database that every start runs beside its work: after READY, on a pool thread, never
 * in anybody's way. What it finds the store keeps (am_store_is_sound) and /readyz tells.
 */
#ifndef AM_SERVER_BACKGROUND_H
#define AM_SERVER_BACKGROUND_H

#include "storage/store.h"

#include <stdatomic.h>
#include <uv.h>

struct am_background {
    uv_work_t work;
    struct am_store *store;
    atomic_bool stop;
};

/* `b` lives until the loop has ended. */
void am_background_start(struct am_background *b, uv_loop_t *loop, struct am_store *store);
void am_background_stop(struct am_background *b); /* it ends soon after */

#endif
