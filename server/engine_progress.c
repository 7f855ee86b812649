/*
 * engine_progress.c - from the counters of a worker to speed and time left.
 */
#include "server/engine_priv.h"

#include "core/base/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { WINDOW_MS = 5000, SHORTEST_MS = 200 };

void am_speed_reset(struct am_speed *s)
{
    memset(s, 0, sizeof *s);
}

/* Bytes a second since the oldest sample of the window; 0 while that says nothing yet. */
static double speed_add(struct am_speed *s, int64_t now, uint64_t bytes)
{
    s->v[s->next].at = now;
    s->v[s->next].bytes = bytes;
    s->next = (s->next + 1) % AM_SPEED_SAMPLES;
    s->n += s->n < AM_SPEED_SAMPLES;
    for (unsigned k = s->n; k > 1; k--) { /* from the oldest on */
        unsigned i = (s->next + AM_SPEED_SAMPLES - k) % AM_SPEED_SAMPLES;
        int64_t span = now - s->v[i].at;
        if (span <= WINDOW_MS && span >= SHORTEST_MS && bytes >= s->v[i].bytes)
            return (double)(bytes - s->v[i].bytes) * 1000.0 / (double)span;
    }
    return 0;
}

void am_progress_take(struct am_progress *p, struct am_speed *s, const struct am_record_progress *r, int64_t now,
                      int64_t wall)
{
    if (!am_streq(p->phase, r->phase) || r->bytes_done < p->bytes_done)
        am_speed_reset(s); /* another phase counts other bytes */
    snprintf(p->phase, sizeof p->phase, "%s", r->phase);
    snprintf(p->unit, sizeof p->unit, "%s", r->unit);
    p->done = r->done;
    p->total = r->total;
    p->bytes_done = r->bytes_done;
    p->bytes_total = r->bytes_total;
    p->updated_at = wall;
    p->bytes_per_second = speed_add(s, now, r->bytes_done);
    uint64_t left = r->bytes_total > r->bytes_done ? r->bytes_total - r->bytes_done : 0;
    double eta = p->bytes_per_second > 0 ? ceil((double)left / p->bytes_per_second) : -1;
    p->eta_seconds = eta >= 0 && eta < 1e9 ? (int64_t)eta : -1;
}
