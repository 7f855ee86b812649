/*
 * evaluate.c - see evaluate.h. A side is named by its prediction set, or by a version whose newest set on the data is
 * taken; amend makes no predictions by itself.
 */
#include "server/api/continual.h"

#include "core/base/text.h"
#include "core/table/canon.h"
#include "core/table/plan_compare.h"
#include "server/api/api.h"
#include "storage/datasets.h"
#include "storage/predictions.h"
#include "storage/reports.h"

#include <stdlib.h>
#include <string.h>

static const char *const sides[] = {"old", "new"};

bool am_submit_evaluates(const struct am_submit *s)
{
    return am_streq(s->body.type, "evaluate");
}

void am_side_done(struct am_side *side)
{
    free(side->version);
    free(side->external);
    free(side->dataset);
    json_decref(side->header);
    *side = (struct am_side){0};
}

void am_evaluate_done(struct am_submit *s)
{
    for (size_t i = 0; s->side && i < 2; i++)
        am_side_done(&s->side[i]);
    free(s->side);
    s->side = NULL;
    am_continual_done(s);
    json_decref(s->gate);
    s->gate = NULL;
}

static void copy(char *out, size_t cap, const char *text)
{
    snprintf(out, cap, "%s", text ? text : "");
}

/* The newest of a walk that gives newest first. */
static int take_set(void *ctx, const struct am_prediction_row *p)
{
    struct am_side *side = ctx;
    if (side->uid[0])
        return 0;
    copy(side->uid, sizeof side->uid, p->uid);
    copy(side->packed, sizeof side->packed, p->packed_sha256);
    copy(side->ids, sizeof side->ids, p->ids_sha256);
    copy(side->dataset_sha256, sizeof side->dataset_sha256, p->dataset_sha256);
    copy(side->task, sizeof side->task, p->task);
    side->packed_bytes = p->packed_bytes;
    side->ids_bytes = p->ids_bytes;
    side->rows = p->n;
    side->distinct = p->ids;
    side->correct = p->correct;
    side->columns = p->columns;
    side->dataset = strdup(p->dataset);
    side->header = am_json_stored(p->header);
    if (!p->commit)
        side->external = strdup(p->model);
    else if (asprintf(&side->version, "%s@%s", p->model_name, p->commit) < 0)
        side->version = NULL;
    return side->dataset && (side->external || side->version) ? 0 : -AM_E_OUT_OF_MEMORY;
}

/* The version of a dataset that is kept here, by "ns/name" (the newest) or "ns/name@rev"; 0: it is kept elsewhere. */
static int64_t kept_here(struct am_db *db, const char *dataset)
{
    char name[200];
    int64_t version = 0;
    const char *rev = am_rev_split(dataset, name, sizeof name);
    return am_dataset_resolve(db, name, rev, &version) < 0 ? 0 : version;
}

int am_side_newest(struct am_db *db, int64_t version, const char *external, const char *dataset, struct am_side *ret)
{
    const struct am_prediction_filter f = {.version = version,
                                           .external = version ? NULL : external,
                                           .dataset = dataset,
                                           .dataset_version = kept_here(db, dataset),
                                           .limit = 1};
    return version || external ? am_prediction_list(db, &f, take_set, ret) : 0;
}

int am_side_get(struct am_db *db, const char *uid, struct am_side *ret)
{
    return am_prediction_get(db, uid, take_set, ret);
}

int am_side_row(struct am_db *db, struct am_side *side)
{
    char model[200];
    if (!side->version)
        return 0;
    const char *rev = am_rev_split(side->version, model, sizeof model);
    int rc = am_rev_resolve_any(db, model, rev, &side->version_row);
    return rc == -AM_E_NOT_FOUND || rc == -AM_E_REVISION_NOT_FOUND ? 0 : rc;
}

static int find_named(struct am_submit *s, size_t i)
{
    const struct am_body_input *in = &s->body.input[i];
    int rc = am_side_get(s->db, in->set, &s->side[i]);
    if (rc == -AM_E_NOT_FOUND)
        am_fault_add(&s->faults, AM_E_NOT_FOUND, (struct am_where){.pointer = in->pointer},
                     "no prediction set %s; GET /v1/predictions lists what is here", in->set);
    return rc == -AM_E_NOT_FOUND ? 0 : rc;
}

static int find_newest(struct am_submit *s, size_t i)
{
    const struct am_body_input *in = &s->body.input[i];
    const struct am_pinned *p = &s->in[i];
    if (!p->version || !s->body.data)
        return 0; /* there is a fault already, or the version is still to be made */
    AM_TRY(am_side_newest(s->db, p->version, NULL, s->body.data, &s->side[i]));
    bool here = kept_here(s->db, s->body.data) > 0;
    if (!s->side[i].uid[0])
        am_fault_add(
            &s->faults, AM_E_PREDICTIONS_MISSING, (struct am_where){.pointer = in->pointer, .reason = "predictions"},
            "there are no predictions of %s on %s, and amend makes none by itself: upload what it says about "
            "the samples, POST /v1/predictions with \"version\": \"%s@%s\" and \"dataset\": %s\"%s\"%s in "
            "the first line, then submit again",
            p->label, s->body.data, p->model, p->commit, here ? "" : "{\"external\": ", s->body.data, here ? "" : "}");
    return 0;
}

/* Both said something about the same samples: by the hash of the dataset where both know it, else by its name. */
void am_sides_check(struct am_submit *s, const char *pointer)
{
    const struct am_side *a = &s->side[0], *b = &s->side[1];
    bool hashed = a->dataset_sha256[0] && b->dataset_sha256[0];
    struct am_where w = {.pointer = pointer, .reason = "dataset"};
    if (hashed ? !am_streq(a->dataset_sha256, b->dataset_sha256) : !am_streq(a->dataset, b->dataset))
        am_fault_add(&s->faults, AM_E_DATASET_MISMATCH, w,
                     "the sets are about different data: %s is on %s%s%.12s, %s on %s%s%.12s; compare what both said "
                     "about the same samples",
                     a->uid, a->dataset, hashed ? " " : "", hashed ? a->dataset_sha256 : "", b->uid, b->dataset,
                     hashed ? " " : "", hashed ? b->dataset_sha256 : "");
    w.reason = "task";
    if (!am_streq(a->task, b->task))
        am_fault_add(&s->faults, AM_E_INVALID_PARAMS, w, "%s is of the task %s, %s of %s: their answers do not compare",
                     a->uid, a->task, b->uid, b->task);
}

static void check_moves(struct am_submit *s)
{
    if (json_array_size(s->body.move) && s->side[1].external)
        am_fault_add(&s->faults, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/publish/move"},
                     "the new side is %s, a model that is not here: no ref can point to it", s->side[1].external);
}

#define REST ((uint64_t)8 << 20) /* for the body and the slices */

/* Of the table that is written, beside the columns of both sides: an id, its place, a cell and a difference a row. */
static uint64_t row_bytes(const struct am_side *side)
{
    uint64_t each = (uint64_t)((side->rows + side->distinct - 1) / side->distinct);
    return each * (uint64_t)side->ids_bytes + 16 * (uint64_t)side->rows;
}

/* A set that was packed before its columns were kept may have any of them. */
static uint32_t columns_of(const struct am_side *side)
{
    int64_t most = side->packed_bytes / (4 * side->rows);
    return side->columns >= 0 ? (uint32_t)side->columns
                              : AM_HAS_LOADED | AM_HAS_TOP | (uint32_t)(most < 32 ? most : 32) * AM_HAS_SLICE;
}

/* What old has right and new has wrong, at most. */
static uint64_t flips_at_most(const struct am_side *old, const struct am_side *new)
{
    int64_t wrong = new->rows - new->correct;
    return (uint64_t)(old->correct < 0 || new->correct < 0 ? old->rows : old->correct < wrong ? old->correct : wrong);
}

void am_sides_plan(struct am_submit *s, uint64_t replicates)
{
    const json_t *params = am_streq(s->body.type, "evaluate") ? s->body.params : NULL; /* else those of a gate: none */
    struct am_plan *p = &s->plan;
    struct am_compare_size size = {.replicates = replicates,
                                   .flips = flips_at_most(&s->side[0], &s->side[1]),
                                   .threads = s->threads,
                                   .groups = json_array_size(json_object_get(params, "groups")) > 0,
                                   .finds = json_is_true(json_object_get(params, "find_slices")),
                                   .same_ids = am_streq(s->side[0].ids, s->side[1].ids),
                                   .sets = am_streq(s->side[0].task, "multilabel"),
                                   .texts = am_streq(s->side[0].task, "generative")};
    uint64_t old = row_bytes(&s->side[0]), new = row_bytes(&s->side[1]);
    uint64_t writes = REST + (old > new ? old : new);
    for (size_t i = 0; i < 2; i++) {
        const struct am_side *side = &s->side[i];
        size.rows[i] = (uint64_t)side->rows;
        size.ids[i] = (uint64_t)side->distinct;
        size.columns[i] = columns_of(side);
        size.ids_bytes[i] = (uint64_t)side->ids_bytes;
        size.classes = am_larger(size.classes, json_array_size(json_object_get(side->header, "labels")));
        p->read_bytes += (uint64_t)side->packed_bytes + size.ids_bytes[i];
        writes += (uint64_t)side->packed_bytes;
    }
    if (size.same_ids) /* a file is opened once */
        p->read_bytes -= size.ids_bytes[1];
    if (am_streq(s->side[0].packed, s->side[1].packed))
        p->read_bytes -= (uint64_t)s->side[1].packed_bytes;
    p->write_bytes += writes;
    p->disk_bytes += writes;
    p->peak_memory_bytes += am_compare_memory(&size);
}

/* A recipe is that of these bytes. */
static int check_recipe(struct am_submit *s)
{
    const json_t *in = json_object_get(s->r->json, "inputs");
    for (size_t i = 0; s->from_recipe && i < 2; i++) {
        const char *packed = json_string_value(json_object_get(json_array_get(in, i), "packed_sha256"));
        if (packed && s->side[i].uid[0] && !am_streq(packed, s->side[i].packed))
            am_fault_add(&s->faults, AM_E_CONFLICT, (struct am_where){.pointer = s->body.input[i].pointer},
                         "%s has other contents than the recipe says", s->side[i].uid);
    }
    return 0;
}

int am_evaluate_look_up(struct am_submit *s)
{
    if (am_submit_continues(s))
        return am_continual_look_up(s);
    if (s->body.inputs != 2)
        return am_evaluate_gate(s);
    s->side = calloc(2, sizeof *s->side);
    if (!s->side)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < 2; i++)
        AM_TRY(s->body.input[i].set ? find_named(s, i) : find_newest(s, i));
    for (size_t i = 0; i < 2; i++)
        AM_TRY(am_side_row(s->db, &s->side[i]));
    AM_TRY(check_recipe(s));
    check_moves(s);
    if (s->side[0].uid[0] && s->side[1].uid[0]) {
        am_sides_check(s, s->body.input[1].pointer);
        am_sides_plan(s, (uint64_t)json_integer_value(json_object_get(s->body.params, "bootstrap")));
        s->planned = true;
    }
    return am_evaluate_gate(s);
}

/* ---- as JSON ---- */

json_t *am_side_json(const struct am_side *side, const char *role)
{
    return json_pack("{s:s, s:s?, s:s?, s:s, s:s, s:s, s:s}", "role", role, "version", side->version, "external",
                     side->external, "dataset", side->dataset, "predictions", side->uid, "packed_sha256", side->packed,
                     "ids_sha256", side->ids);
}

static json_t *inputs_json(const struct am_submit *s, bool for_digest)
{
    if (am_submit_continues(s))
        return am_continual_inputs(s, for_digest);
    json_t *list = json_array();
    for (size_t i = 0; s->side && i < 2; i++) {
        json_t *o = am_side_json(&s->side[i], sides[i]);
        if (for_digest)
            json_object_set(o, "header", s->side[i].header);
        json_array_append_new(list, o);
    }
    return list;
}

int am_evaluate_digest(struct am_submit *s)
{
    json_auto_t *o = json_pack("{s:s, s:s, s:o, s:O, s:O, s:s}", "type", s->body.type, "method", s->body.method,
                               "inputs", inputs_json(s, true), "params", s->body.params, "seed",
                               json_object_get(s->body.options, "seed"), "program", AM_VERSION);
    return o ? am_canon_sha256(o, s->spec_sha256) : -AM_E_OUT_OF_MEMORY;
}

json_t *am_evaluate_resolved(const struct am_submit *s)
{
    json_t *options = json_copy(s->body.options);
    json_object_set_new(options, "threads", json_integer(s->threads));
    return json_pack("{s:s, s:s, s:o, s:O, s:o, s:O, s:s, s:s?, s:n, s:i, s:s, s:O?}", "type", s->body.type, "method",
                     s->body.method, "inputs", inputs_json(s, false), "params", s->body.params, "options", options,
                     "seed", json_object_get(s->body.options, "seed"), "program", "amendd " AM_VERSION, "kernels",
                     s->r->srv->kernels[0] ? s->r->srv->kernels : NULL, "blas", "threads", (int)s->threads,
                     "spec_sha256", s->spec_sha256, "gate", s->gate);
}

json_t *am_evaluate_publish(const struct am_submit *s)
{
    json_t *o = json_pack("{s:n, s:O}", "model", "move", s->body.move);
    if (o && s->original.uid[0])
        json_object_set_new(o, "compare",
                            json_pack("{s:s, s:s, s:s?, s:b}", "job", s->original.uid, "report", s->original.report,
                                      "kernels", s->original.kernels[0] ? s->original.kernels : NULL, "silent",
                                      s->silent));
    return o;
}

/* ---- made before ---- */

struct search {
    struct am_db *db;
    char job[64], report[64];
};

static int there(void *ctx, const struct am_report_row *row)
{
    (void)ctx;
    (void)row;
    return 0;
}

static int look(void *ctx, const struct am_job_row *j)
{
    struct search *s = ctx;
    struct am_made m = {0};
    am_made_fill(&m, j);
    bool good = m.report[0] && am_report_get(s->db, m.report, there, NULL) == 0;
    copy(s->job, sizeof s->job, m.reused_from[0] ? m.reused_from : m.uid);
    copy(s->report, sizeof s->report, m.report);
    am_made_done(&m);
    return good;
}

/* A job with a gate makes a decision of its own, and one that moves refs has work to do. */
int am_evaluate_reuse(struct am_submit *s, struct am_db *db, char ret_job[64], char ret_report[64])
{
    struct search search = {.db = db};
    if (!am_submit_evaluates(s) || !s->body.reuse || s->waits || s->from_recipe || s->body.not_before ||
        s->body.gate_name || s->body.gate_policy || json_array_size(s->body.move))
        return 0;
    int rc = am_job_same(db, s->spec_sha256, NULL, 20, look, &search);
    if (rc <= 0)
        return rc;
    copy(ret_job, 64, search.job);
    copy(ret_report, 64, search.report);
    return 1;
}
