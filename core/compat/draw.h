/*
 * draw.h - random numbers of a resample: one stream a replicate, from the counter-based generator of
 * core/tensor/kernels.h. Word i of replicate r is word r * 2^32 + i of the key of (seed, "bootstrap"), so that a
 * replicate is the same whichever thread makes it. A stream of one replicate belongs to one thread.
 */
#ifndef AM_COMPAT_DRAW_H
#define AM_COMPAT_DRAW_H

#include <stddef.h>
#include <stdint.h>

/* Part of the recipe: another sampler gives other last digits. Rename it when a draw changes. */
#define AM_SAMPLER "philox4x32-10/btrs-inversion/1"

#define AM_SAMPLER_LIMIT "philox4x32-10/btrs-inversion/normal-limit/1" /* of very many units: boot_limit.h */

#define AM_DRAW_AHEAD 64

struct am_draw {
    uint32_t key[2];
    uint64_t next; /* number of the first word that is not in `words` yet */
    uint32_t words[AM_DRAW_AHEAD];
    unsigned left; /* of words, from the end */
};

/* -AM_E_OUT_OF_MEMORY. */
int am_draw_key(uint64_t seed, uint32_t ret_key[2]);
void am_draw_begin(struct am_draw *d, const uint32_t key[2], uint32_t replicate);

double am_draw_unit(struct am_draw *d);                /* uniform in (0, 1), 53 bits */
uint64_t am_draw_below(struct am_draw *d, uint64_t n); /* uniform in 0 .. n - 1, n >= 1, without bias (Lemire 2019) */

/*
 * Exact binomial: n trials (below 2^53) of probability p in [0, 1]. Inversion by sums of the probabilities when
 * n min(p, 1-p) < 10, else Hörmann's transformed rejection BTRS (The generation of binomial random variates, 1993).
 */
uint64_t am_draw_binomial(struct am_draw *d, uint64_t n, double p);
/* n trials over `cells` classes with the given shares (>= 0, any sum above 0): binomials one after the other. */
void am_draw_multinomial(struct am_draw *d, uint64_t n, const double *share, size_t cells, double *ret);

#endif
