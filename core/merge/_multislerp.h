/*
 * _multislerp.h - what multislerp.c shares with its arithmetic of compat "exact", _multislerp_exact.c (merge.md A12,
 * B18).
 */
#ifndef AM_MERGE_MULTISLERP_H
#define AM_MERGE_MULTISLERP_H

#include "core/merge/_exact.h"
#include "core/merge/_vectors.h"

struct am_multislerp { /* local */
    double weight[AM_MAX_INPUTS], eps;
    struct am_exact exact; /* compat */
};

/* With compat "exact" each sum over elements needs what the one before it gave: one round each. */
enum am_multislerp_stage { AM_MS_NORMS, AM_MS_MEAN, AM_MS_DOTS, AM_MS_TANGENT, AM_MS_DONE };

struct am_multislerp_exact {
    enum am_multislerp_stage stage;
    bool straight; /* two directions that cancel */
    bool zero;     /* all tensors are zero */
    double sum[AM_MAX_INPUTS];
    float unit[AM_MAX_INPUTS]; /* |v_i| + eps */
    float dot[AM_MAX_INPUTS];  /* <u_i, mu> */
    float mean, tangent, norm; /* |sum(W_i u_i)|; |q| + eps; sum(W_i |v_i|) */
};

struct am_multislerp_sums { /* accumulator */
    struct am_multislerp_exact exact;
    struct am_vectors g;
};

void am_multislerp_weights_exact(struct am_multislerp *w, size_t inputs, bool normalize);
/* The hooks stat, between and apply. */
void am_multislerp_stat_exact(const struct am_window *w, const struct am_multislerp_sums *sofar,
                              struct am_multislerp_sums *s);
int am_multislerp_between_exact(struct am_multislerp_sums *s, const struct am_scope_info *info,
                                const struct am_multislerp *w);
void am_multislerp_apply_exact(const struct am_window *w, const struct am_multislerp_sums *s);

#endif
