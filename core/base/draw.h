/*
 * draw.h - a seeded draw of `want` out of `of` things without replacement, asked thing by thing in their order
 * (selection sampling: Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S). The same numbers draw the same
 * things on every machine; memory does not grow. Numbers come from SplitMix64.
 */
#ifndef AM_BASE_DRAW_H
#define AM_BASE_DRAW_H

#include <stdbool.h>
#include <stdint.h>

struct am_draw {
    uint64_t state, want, left;
};
static inline struct am_draw am_draw_begin(uint64_t seed, uint64_t want, uint64_t of)
{
    return (struct am_draw){seed, want, of};
}

/* Whether the next of them is drawn. After `of` calls exactly `want` were (all, when there are fewer). */
static inline bool am_draw_next(struct am_draw *d)
{
    uint64_t z = d->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    /* z / 2^64 < want / left */
    bool take = d->left && (uint64_t)(((unsigned __int128)z * d->left) >> 64) < d->want;
    d->left -= d->left > 0;
    d->want -= take;
    return take;
}

#endif
