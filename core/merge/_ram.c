/*
 * _ram.c - the tally of ram and ramplus_tl, and its report (_ram.h).
 */
#include "core/merge/_ram.h"

void am_ram_apply(const struct am_window *w, const struct am_ram *how)
{
    struct am_ram_count c;
    am_ram_f32(how, w->out, w->base, w->x, w->n, &c);
    w->tally[AM_RAM_ELEMENTS] += (double)w->n;
    w->tally[AM_RAM_KEPT] += (double)c.kept;
    w->tally[AM_RAM_DROPPED] += (double)c.dropped;
    w->tally[AM_RAM_SHARED] += (double)c.shared;
}

void am_ram_report(const struct am_scope_info *s, const double *tally, struct am_report *r)
{
    double differences = tally[AM_RAM_KEPT] + tally[AM_RAM_DROPPED];
    double dropped = differences > 0 ? tally[AM_RAM_DROPPED] / differences : 0;
    am_report_put(r, "dropped", dropped);
    am_report_put(r, "shared", tally[AM_RAM_ELEMENTS] > 0 ? tally[AM_RAM_SHARED] / tally[AM_RAM_ELEMENTS] : 0);
    if (!s->tensor.name && dropped > 0.5)
        am_report_warn(r, "mostly-dropped",
                       "more than half of all differences from the base are no larger than epsilon and count as none; "
                       "set a smaller epsilon");
}
