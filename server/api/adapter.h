/*
 * adapter.h - the LoRA adapters of a merge (core/table/adapter.h): read from the store, held to their bases, and seen
 * in the tensor tables that a plan joins.
 */
#ifndef AM_SERVER_API_ADAPTER_H
#define AM_SERVER_API_ADAPTER_H

#include "server/api/submit.h"

/* After all names were pinned: fills s->lora and adds the faults of all adapters, and of adapters that were named as
   models. What has a fault is no longer pinned. */
int am_submit_adapters(struct am_submit *s);
void am_submit_adapters_done(struct am_submit *s);
/* Of entry `i` of the body; NULL: it has none. */
const struct am_adapter *am_submit_adapter(const struct am_submit *s, size_t i);
/* Of a change that is nothing but an adapter (merge/port); NULL: the change is another. */
const struct am_adapter *am_submit_carried(const struct am_submit *s);

struct am_adapted { /* a cursor over another one, of am_plan_input: what adapters change is marked */
    int (*next)(void *cursor, struct am_plan_tensor *ret);
    void *cursor;
    const struct am_adapter *own, *carried; /* or NULL */
};
int am_adapted_next(void *adapted, struct am_plan_tensor *ret);

#endif
