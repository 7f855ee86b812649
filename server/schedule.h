/*
 * schedule.h - what the daemon does for the store by itself, at its time: scrubs (store.scrub_days), backups
 * (database.backup_hours), and once a day retention and then a gc. It only queues tasks (tasks.h); when the last one
 * was is read from their rows, so a restart forgets nothing and repeats nothing.
 */
#ifndef AM_SERVER_SCHEDULE_H
#define AM_SERVER_SCHEDULE_H

#include "server/config.h"
#include "server/engine.h"
#include "storage/store.h"

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

struct am_schedule {
    uv_timer_t timer;
    uv_work_t work;
    struct am_store *store;
    const struct am_config *cfg;
    struct am_engine *engine;
    bool busy, stopped; /* of the loop's thread */
    bool queued;        /* by the look at work: the engine is to be woken */
};

/* `s` lives until the loop has ended. */
void am_schedule_start(struct am_schedule *s, uv_loop_t *loop, struct am_store *store, const struct am_config *cfg,
                       struct am_engine *engine);
void am_schedule_stop(struct am_schedule *s);

/*
 * The recipe of a scrub: {"before","budget_bytes"}. Due is what was not read for half of store.scrub_days, and one
 * scrub reads what the time since the last one is to the other half, so all is read in time and never all at once. 1:
 * something is due, 0: nothing is (a scrub then ends at once), -AM_E_INVALID_PARAMS: store.scrub_days is 0.
 */
int am_schedule_scrub(struct am_db *db, const struct am_config *cfg, int64_t now, json_t **ret);

#endif
