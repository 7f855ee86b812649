/*
 * reuse.c - options.reuse: the same job done before. Only versions of the model that is published to: the card in a
 * version's files names its model. See submit.h.
 */
#include "core/base/text.h"
#include "server/api/submit.h"
#include "storage/damage.h"
#include "storage/models.h"

#include <stdio.h>

enum { LOOK_AT = 20 };

struct search {
    struct am_db *db;
    const char *model;
    char uid[64];
    int64_t version;
};

/* 1: its version is there, and nothing of it is known to be broken. */
static int look(void *ctx, const struct am_job_row *j)
{
    struct search *s = ctx;
    struct am_made m = {0};
    struct am_faults faults = {0};
    int64_t version = 0;
    am_made_fill(&m, j);
    bool good = m.commit[0] && am_streq(m.model, s->model) &&
                am_rev_resolve(s->db, m.model, m.commit, &version, NULL) == 0 &&
                am_damage_check(s->db, version, (struct am_where){0}, m.uid, &faults) == 0;
    snprintf(s->uid, sizeof s->uid, "%s", m.reused_from[0] ? m.reused_from : m.uid);
    s->version = version;
    am_faults_done(&faults);
    am_made_done(&m);
    return good;
}

int am_reuse_find(struct am_submit *s, struct am_db *db, char ret_uid[64], int64_t *ret_version)
{
    struct search search = {.db = db, .model = s->to_model};
    if (!s->body.reuse || s->waits || s->from_recipe || !s->to_model || s->body.not_before || s->body.gate_name ||
        s->body.gate_policy)
        return 0; /* with a time of its own it is not to happen now, and a gate is not skipped */
    int rc = am_job_same(db, s->spec_sha256, s->to_model, LOOK_AT, look, &search);
    if (rc <= 0)
        return rc;
    snprintf(ret_uid, 64, "%s", search.uid);
    *ret_version = search.version;
    return 1;
}
