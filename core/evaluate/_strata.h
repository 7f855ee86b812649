/*
 * _strata.h - resamples of very many samples for _redraw.h. Samples that add to the same slots are a stratum: how many
 * of each a resample draws is exact, and what they add is drawn from the normal distribution that their sum tends to.
 * Samples whose weight stands out in their stratum, and those of small strata, are drawn one by one. Not for groups of
 * samples that belong together. Ownership: am_strata_of() gives what am_strata_done() frees.
 */
#ifndef AM_EVALUATE_STRATA_H
#define AM_EVALUATE_STRATA_H

#include "core/compat/draw.h"
#include "core/evaluate/_redraw.h"

struct am_stratum;
struct am_strata {
    const struct am_redraw *r; /* borrowed */
    struct am_stratum *stratum;
    size_t strata;
    double *members; /* of each that the limit stands for; then how many are drawn one by one */
    uint32_t *apart; /* these */
};

/* 1: there would be too many strata. -AM_E_OUT_OF_MEMORY. */
int am_strata_of(const struct am_redraw *r, struct am_strata *ret);
void am_strata_done(struct am_strata *s);
/* The sums of one resample; `drawn` has room for strata + 1. Only reads `s`. */
void am_strata_draw(const struct am_strata *s, struct am_draw *d, double *drawn, double *sums);

#endif
