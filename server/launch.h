/*
 * launch.h - everything a worker of one job is started with: its spec, its staging folder, its inputs as open
 * descriptors. Runs on a pool thread. Starts nothing (executor.h does). Ownership: am_launch owns spec and descriptors
 * until am_launch_done(); safe on a zeroed struct when staging is -1.
 */
#ifndef AM_SERVER_LAUNCH_H
#define AM_SERVER_LAUNCH_H

#include "core/base/fault.h"
#include "server/config.h"
#include "server/engine_claim.h"
#include "storage/store.h"

#include <stddef.h>
#include <stdint.h>

#define AM_LAUNCH_INPUTS_MAX 4096
#define AM_LAUNCH_SPEC_MAX 67108864

struct am_launch {
    const char *mode; /* "run", "import", "pack", "index", "compare" or "continual" */
    char *spec;
    size_t spec_bytes;
    int staging;
    int *input;
    size_t inputs;
    unsigned threads;
    uint64_t read_bytes; /* of the files handed over */
};

/* `job` is parsed; what an import leaves out is added to its warnings. On failure a negative code, with faults where
   they say more; a staging folder that was made is left for am_staging_drop(). */
int am_launch_make(struct am_launch *ret, struct am_store *store, const struct am_config *cfg, struct am_claim *job,
                   struct am_faults *faults);
void am_launch_close_inputs(struct am_launch *l); /* after the worker has its own */
void am_launch_done(struct am_launch *l);

#endif
