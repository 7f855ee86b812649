/*
 * continual.h - jobs of evaluate/continual among those of type evaluate (evaluate.h): a line of versions and the
 * prediction sets of each on each task. Private to the files that submit.h serves.
 */
#ifndef AM_SERVER_API_CONTINUAL_H
#define AM_SERVER_API_CONTINUAL_H

#include "server/api/evaluate_priv.h"

#define AM_LINE_VERSIONS 16

struct am_line_version {
    int64_t row, memory; /* bytes that it adds to the version before it */
    char *version;       /* "ns/name@commit" */
    char label[420];
};

struct am_line_sets {
    size_t n; /* versions, and tasks */
    struct am_line_version version[AM_LINE_VERSIONS];
    struct am_side *side; /* [task * n + version]; uid empty: not measured */
};

bool am_submit_continues(const struct am_submit *s);
/* Finds versions and sets, and plans. Faults are added. */
int am_continual_look_up(struct am_submit *s);
void am_continual_done(struct am_submit *s);
/* The member `inputs` of the recipe. */
json_t *am_continual_inputs(const struct am_submit *s, bool for_digest);

#endif
