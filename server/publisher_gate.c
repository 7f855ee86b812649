/*
 * publisher_gate.c - see publisher_gate.h. A decision is about one step, from the old side to the new one: a ref that
 * points elsewhere by now is not covered by it and stays.
 */
#include "server/publisher_gate.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/table/canon.h"
#include "server/json.h"
#include "storage/gates.h"
#include "storage/refs.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char *text_of(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

const char *am_gated_fault(const json_t *decision)
{
    const char *verdict = text_of(decision, "verdict");
    if (!json_is_object(decision) || !json_is_array(json_object_get(decision, "rules")))
        return "the decision that the worker left cannot be read";
    if (!am_streq(verdict, "promote") && !am_streq(verdict, "hold") && !am_streq(verdict, "inconclusive"))
        return "the decision that the worker left has no verdict";
    return NULL;
}

/* ---- the decision ---- */

static int take_row(void *ctx, const struct am_decision_row *row)
{
    *(int64_t *)ctx = row->id;
    return 0;
}

/* "default@3" -> the name, and the revision; false: a policy without a name. */
static bool split_gate(const struct am_gated *g, char name[AM_GATE_NAME_MAX + 1], int64_t *ret_revision)
{
    const char *gate = text_of(json_object_get(g->job->resolved, "gate"), "gate");
    const char *revision = gate ? am_rev_split(gate, name, AM_GATE_NAME_MAX + 1) : NULL;
    if (!revision)
        return false;
    *ret_revision = strtoll(revision, NULL, 10);
    return true;
}

int am_gated_decide(struct am_db *db, struct am_gated *g)
{
    char name[AM_GATE_NAME_MAX + 1], *body = am_canon(g->decision);
    int64_t revision = 0;
    bool named = split_gate(g, name, &revision);
    if (!body)
        return -AM_E_OUT_OF_MEMORY;
    am_id_new("gdc_", g->now, g->uid);
    snprintf(g->verdict, sizeof g->verdict, "%s", text_of(g->decision, "verdict"));
    const struct am_decision_new d = {.uid = g->uid,
                                      .gate = named ? name : NULL,
                                      .revision = named ? revision : 0,
                                      .old_version = g->old_version,
                                      .new_version = g->new_version,
                                      .old = g->old,
                                      .new = g->new,
                                      .report = g->report,
                                      .job = g->job->uid,
                                      .verdict = g->verdict,
                                      .body = body,
                                      .created_by = g->job->created_by,
                                      .now = g->now};
    int rc = am_decision_insert(db, &d);
    free(body);
    return rc < 0 ? rc : am_decision_get(db, g->uid, take_row, &g->row);
}

/* ---- the refs ---- */

struct target { /* the new side, and a ref of its model as it is now */
    char model[200], commit[41];
    int64_t row, files, deleted_at;
    char kind[16], from[41], gate[65];
    int64_t version; /* 0: there is no such ref */
    bool is_protected;
};

static int take_new(void *ctx, const struct am_version_row *v)
{
    struct target *t = ctx;
    snprintf(t->model, sizeof t->model, "%s", v->model_name);
    snprintf(t->commit, sizeof t->commit, "%s", v->commit);
    t->files = v->files;
    t->deleted_at = v->deleted_at;
    return 0;
}

static int take_ref(void *ctx, const struct am_ref_row *r)
{
    struct target *t = ctx;
    snprintf(t->kind, sizeof t->kind, "%s", r->kind);
    snprintf(t->from, sizeof t->from, "%s", r->commit);
    snprintf(t->gate, sizeof t->gate, "%s", r->gate ? r->gate : "");
    t->version = r->version;
    t->is_protected = r->is_protected;
    return 0;
}

static int stay(struct am_gated *g, const char *code, const char *fmt, ...) AM_PRINTF(3, 4);
static int stay(struct am_gated *g, const char *code, const char *fmt, ...)
{
    char text[500];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return am_claim_warn(g->job, code, text);
}

static int stale(struct am_gated *g, const char *ref, const char *why)
{
    g->detached = "gate_stale";
    return stay(g, "gate-stale", "%s stays where it is: %s", ref, why);
}

static int take_revision(void *ctx, const struct am_gate_row *row)
{
    *(int64_t *)ctx = row->revision;
    return 0;
}

/* Whether the decision of the job is one that the protected ref asks for: by its gate, as the gate is now. As above. */
static int is_covered(struct am_db *db, struct am_gated *g, const char *ref, const struct target *t)
{
    char name[AM_GATE_NAME_MAX + 1] = "";
    int64_t revision = 0, now = 0;
    if (!split_gate(g, name, &revision) || !am_streq(name, t->gate)) {
        g->detached = "gate_stale";
        return stay(g, "ref-stays", "%s stays where it is: its policy asks for a decision of the gate %s", ref,
                    t->gate);
    }
    int rc = am_gate_get(db, name, take_revision, &now);
    if (rc < 0 && rc != -AM_E_NOT_FOUND)
        return rc;
    return now == revision ? 1 : stale(g, ref, "its gate has another policy by now than the one that decided");
}

/* 1: it may move; 0: it stays, and that is said; or an error. */
static int may_move(struct am_db *db, struct am_gated *g, const char *ref, const struct target *t, bool on_promote)
{
    int rc = 1;
    if (t->deleted_at)
        rc = stay(g, "ref-stays", "%s stays where it is: the new version was deleted", ref);
    else if (!t->files)
        rc = stay(g, "ref-stays", "%s stays where it is: the new version is the empty commit", ref);
    else if (am_streq(t->kind, "tag"))
        rc = stay(g, "ref-stays", "%s stays where it is: it is a tag, and a tag does not move", ref);
    else if (on_promote && t->version && t->version != g->old_version)
        rc = stale(g, ref, "it points to another version by now than the one that was compared");
    else if (t->is_protected && !on_promote)
        rc =
            stay(g, "ref-stays", "%s stays where it is: it is protected, and moves only when a gate says promote", ref);
    else if (t->is_protected && t->gate[0])
        rc = is_covered(db, g, ref, t);
    return rc;
}

static int move_one(struct am_db *db, struct am_gated *g, const json_t *move)
{
    const char *ref = text_of(move, "ref");
    bool on_promote = !am_streq(text_of(move, "when"), "always");
    struct target t = {.row = 0};
    if (!ref || (on_promote && !am_streq(g->verdict, "promote")))
        return 0;
    AM_TRY(am_version_get(db, g->new_version, take_new, &t));
    AM_TRY(am_model_row(db, t.model, &t.row));
    int rc = am_ref_get(db, t.row, ref, take_ref, &t);
    if (rc < 0 || t.version == g->new_version)
        return rc < 0 ? rc : 0;
    rc = may_move(db, g, ref, &t, on_promote);
    if (rc <= 0)
        return rc;
    AM_TRY(
        am_ref_move(db, &(struct am_ref_move_new){.model = t.row,
                                                  .version = g->new_version,
                                                  .now = g->now,
                                                  .name = ref,
                                                  .kind = t.version ? t.kind : "alias",
                                                  .by = g->job->created_by,
                                                  .reason = on_promote ? "the gate says promote" : "asked by the job",
                                                  .job = g->job->uid,
                                                  .decision = g->row}));
    json_t *o = json_pack("{s:s, s:s?, s:s}", "ref", ref, "from", t.version ? t.from : NULL, "to", t.commit);
    return am_json_add(g->refs, o);
}

int am_gated_move(struct am_db *db, struct am_gated *g)
{
    const json_t *moves = json_object_get(g->job->publish, "move"), *move;
    size_t i;
    if (json_array_size(moves) && !g->new_version)
        return stay(g, "ref-stays", "no ref was moved: the new version is not here any more");
    json_array_foreach(moves, i, move) AM_TRY(move_one(db, g, move));
    return 0;
}

int am_gated_commit(struct am_db *db, struct am_gated *g, int64_t model, const char *branch)
{
    struct target t = {.row = model};
    int rc = am_ref_get(db, model, branch, take_ref, &t);
    if (rc < 0 || !t.is_protected || !t.gate[0])
        return rc < 0 ? rc : 1;
    if (!g->decision)
        return stale(g, branch, "it is protected by a gate since the job was submitted, and the job has none");
    if (t.version != g->old_version)
        return stale(g, branch, "what was compared is not the version that it points to now");
    return is_covered(db, g, branch, &t);
}
