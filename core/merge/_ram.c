/*
 * _ram.c - the tally of ram and ramplus_tl, and its report (_ram.h).
 */
#include "core/merge/_ram.h"

#include <string.h>

static bool counts(float d, float epsilon)
{
    return !(fabsf(d) <= epsilon); /* NaN, too */
}

/* d: the differences of input i; by: how many inputs count in each element. */
static void differences(const struct am_window *w, const struct am_exact *e, size_t i, float *d)
{
    am_exact_delta(e, d, w->x[i], w->base, w->n);
}

static void count_all(const struct am_window *w, const struct am_ram *how, const struct am_exact *e, float *by)
{
    float d[AM_TILE], epsilon = am_exact_scalar(e, how->epsilon);
    memset(by, 0, w->n * sizeof(*by));
    for (size_t i = 0; i < w->inputs; i++) {
        differences(w, e, i, d);
        for (size_t k = 0; k < w->n; k++)
            by[k] += counts(d[k], epsilon);
    }
}

void am_ram_count_exact(const struct am_window *w, const struct am_ram *how, const struct am_exact *e, uint64_t *kept,
                        uint64_t *unique)
{
    float d[AM_TILE], by[AM_TILE], epsilon = am_exact_scalar(e, how->epsilon);
    count_all(w, how, e, by);
    for (size_t i = 0; i < w->inputs; i++) {
        differences(w, e, i, d);
        for (size_t k = 0; k < w->n; k++) {
            bool mine = counts(d[k], epsilon);
            kept[i] += mine;
            unique[i] += mine && by[k] == 1;
        }
    }
}

static void add_exact(const struct am_window *w, const struct am_ram *how, const struct am_exact *e, const float *by,
                      struct am_ram_count *c)
{
    float d[AM_TILE], shared[AM_TILE], epsilon = am_exact_scalar(e, how->epsilon);
    memset(w->out, 0, w->n * sizeof(*w->out));
    for (size_t i = 0; i < w->inputs; i++) {
        differences(w, e, i, d);
        for (size_t k = 0; k < w->n; k++)
            shared[k] = by[k] > 1 ? d[k] / by[k] : 0;
        am_exact_round(e, shared, w->n);
        for (size_t k = 0; k < w->n; k++) {
            bool mine = counts(d[k], epsilon);
            c->kept += mine;
            c->dropped += !mine && d[k] != 0;
            w->out[k] += !mine ? 0 : by[k] > 1 ? shared[k] : how->unique[i] * d[k];
        }
    }
}

static void apply_exact(const struct am_window *w, const struct am_ram *how, const struct am_exact *e, bool factors,
                        struct am_ram_count *c)
{
    float by[AM_TILE], base[AM_TILE];
    count_all(w, how, e, by);
    add_exact(w, how, e, by, c);
    for (size_t k = 0; k < w->n; k++)
        c->shared += by[k] > 1;
    am_exact_copy(e, base, w->base, w->n);
    if (factors) {
        am_add_f32(w->out, base, w->out, w->n);
        return;
    }
    am_exact_round(e, w->out, w->n);
    am_exact_add(e, w->out, base, w->out, w->n);
}

void am_ram_apply(const struct am_window *w, const struct am_ram *how, const struct am_exact *e, bool factors)
{
    struct am_ram_count c = {0};
    if (e->on)
        apply_exact(w, how, e, factors, &c);
    else
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
