/*
 * _ram.h - what ram and ramplus_tl share (merge.md A25): the tally of one pass and its report. The rule itself is a
 * kernel, am_ram_f32.
 */
#ifndef AM_MERGE_RAM_H
#define AM_MERGE_RAM_H

#include "core/merge/_exact.h"
#include "core/methods/method.h"
#include "core/methods/report.h"
#include "core/tensor/kernels.h"

enum am_ram_tally { AM_RAM_ELEMENTS, AM_RAM_KEPT, AM_RAM_DROPPED, AM_RAM_SHARED, AM_RAM_TALLY };

#define AM_RAM_EPSILON                                                                                                 \
    {                                                                                                                  \
        .name = "epsilon", .kind = AM_REAL, .min = 0, .max = 1e6, .def = "1e-05", .unit = "none",                      \
        .doc = "differences from the base of this size and below count as none; absolute"                              \
    }

/* w->out and the tally. With compat "exact" (merge.md B18) d_k = R(x_k - b), shared ones R(d_k / c); `factors`: the
   unique ones have factors in f32, which keeps all that follows in f32, as mergekit has it; else R(sum), R(b + sum). */
void am_ram_apply(const struct am_window *w, const struct am_ram *how, const struct am_exact *e, bool factors);
/* am_ram_count, by those differences. */
void am_ram_count_exact(const struct am_window *w, const struct am_ram *how, const struct am_exact *e, uint64_t *kept,
                        uint64_t *unique);
/* dropped (share of the differences), shared (share of the elements), and a warning when most is dropped. */
void am_ram_report(const struct am_scope_info *s, const double *tally, struct am_report *r);

#endif
