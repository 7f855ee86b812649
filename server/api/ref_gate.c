/*
 * ref_gate.c - whether a protected ref may move: what its gate has decided of exactly this step (refs.h). It looks for
 * a decision and makes none.
 */
#include "server/api/refs.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "server/api/decisions.h"
#include "storage/predictions.h"

#include <stdio.h>
#include <string.h>

struct found {
    int64_t id;
    bool promote;
    json_t *json;
};

static int take(void *ctx, const struct am_decision_row *d)
{
    struct found *f = ctx;
    f->id = d->id;
    f->promote = am_streq(d->verdict, "promote");
    f->json = f->promote ? NULL : am_decision_json(d);
    return f->promote || f->json ? 0 : -AM_E_OUT_OF_MEMORY;
}

static int take_revision(void *ctx, const struct am_gate_row *g)
{
    *(int64_t *)ctx = g->revision;
    return 0;
}

static int take_commit(void *ctx, const struct am_version_row *v)
{
    snprintf(ctx, 41, "%s", v->commit);
    return 0;
}

/* The job that would make the decision, ready to be submitted where the predictions of both are here. */
static int require(struct am_db *db, struct am_ref_change *c, int64_t target, int64_t revision)
{
    char old[300], new[300], commit[41], dataset[512];
    AM_TRY(am_version_get(db, target, take_commit, commit));
    snprintf(old, sizeof old, "%s@%s", c->model, c->now.commit);
    snprintf(new, sizeof new, "%s@%s", c->model, commit);
    int rc = am_prediction_common(db, c->now.version, target, dataset, sizeof dataset);
    AM_TRY(rc);
    json_t *data = rc > 0 ? json_pack("{s:s}", "external", dataset) : json_null();
    c->extra = json_pack("{s:{s:s, s:s, s:{s:s, s:s, s:o}, s:s, s:{s:[{s:s, s:s, s:s}]}}}", "job", "type", "evaluate",
                         "method", "compare", "inputs", "old", old, "new", new, "data", data, "gate", c->now.gate,
                         "publish", "move", "ref", c->name, "to", "new", "when", "promote");
    return am_ref_refuse(c, AM_E_GATE_REQUIRED, "",
                         "%s is protected: a move takes a decision of its gate %s@%lld about %.12s -> %.12s, and there "
                         "is none of the last %llu seconds. %s",
                         c->name, c->now.gate, (long long)revision, c->now.commit, commit,
                         (unsigned long long)c->r->srv->cfg->decision_ttl_seconds,
                         rc > 0 ? "Submit `job` of this answer; it moves the ref when the gate says promote"
                                : "Upload predictions of both on one dataset (POST /v1/predictions), name it in `job` "
                                  "of this answer, and submit that");
}

/* The ids of the rules that stand in the way; of them the answer keeps the sentences. */
static void keep_bad(json_t *decision, char ids[256])
{
    json_t *rules = json_object_get(decision, "rules"), *rule, *bad = json_array();
    size_t i;
    ids[0] = '\0';
    json_array_foreach(rules, i, rule)
    {
        const char *outcome = json_string_value(json_object_get(rule, "outcome"));
        if (!am_streq(outcome, "fail") && !am_streq(outcome, "inconclusive"))
            continue;
        size_t n = strlen(ids);
        snprintf(ids + n, 256 - n, "%s%s", n ? ", " : "", json_string_value(json_object_get(rule, "id")));
        json_array_append(bad, rule);
    }
    json_object_set_new(decision, "rules", bad);
}

int am_ref_pass_gate(struct am_db *db, struct am_ref_change *c, int64_t target, int64_t *ret_decision)
{
    int64_t revision = 0, ttl = (int64_t)c->r->srv->cfg->decision_ttl_seconds * 1000;
    struct found f = {.id = 0};
    char ids[256];
    AM_TRY(am_gate_get(db, c->now.gate, take_revision, &revision));
    int rc = am_decision_find(db, c->now.gate, revision, c->now.version, target, am_now_ms() - ttl, take, &f);
    if (rc <= 0)
        return rc < 0 ? rc : require(db, c, target, revision);
    if (f.promote) {
        *ret_decision = f.id;
        return 0;
    }
    keep_bad(f.json, ids);
    c->extra = json_pack("{s:o}", "decision", f.json);
    return am_ref_refuse(c, AM_E_GATE_REFUSED, "",
                         "the gate %s@%lld says %s: %s. `decision` of this answer says why, rule by rule; \"force\": "
                         "true with a \"reason\" moves it all the same and stays in the history",
                         c->now.gate, (long long)revision, json_string_value(json_object_get(f.json, "verdict")), ids);
}
