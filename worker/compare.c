/*
 * compare.c - mode `compare`: two packed prediction sets, joined and counted, become report.json, slices.ndjson and
 * samples.safetensors in staging. See compare.h; the spec and the result are in contract.md.
 */
#include "worker/compare.h"

#include "core/base/text.h"
#include "core/table/canon.h"
#include "worker/files.h"
#include "worker/limits.h"
#include "worker/spec_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS = 4 };

void am_compare_warn(struct am_comparing *c, const char *code, const char *fmt, ...)
{
    char text[1000];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    json_array_append_new(c->warnings, json_pack("{s:s,s:s}", "code", code, "detail", text));
    am_session_warn(c->s, code, text);
}

static int step(struct am_comparing *c, const char *phase, uint64_t done)
{
    am_reporter_progress(&c->s->report, &(struct am_progress){.phase = phase,
                                                              .unit = "steps",
                                                              .done = done,
                                                              .total = STEPS,
                                                              .bytes_done = done * (c->set[0].bytes[0] / STEPS),
                                                              .bytes_total = c->set[0].bytes[0]});
    return am_session_alive(c->s);
}

/* ---- read and join ---- */

/* Sets over the same samples have the same dictionary, which is then read once. */
static int load_ids(struct am_comparing *c)
{
    const struct am_compare_set *s = c->set;
    struct am_faults *f = &c->s->faults;
    bool same = am_streq(s[0].plain.ids_sha256, s[1].plain.ids_sha256) && s[0].plain.ids == s[1].plain.ids;
    for (int i = 0; i < (same ? 1 : 2); i++)
        AM_TRY(am_ids_load(&c->ids[i], s[i].fd[1], s[i].bytes[1], i == AM_OLD ? "the ids of old" : "the ids of new",
                           s[i].plain.ids, f));
    return am_join_sets(&c->join, &c->set[0].packed, &c->ids[0], &c->set[1].packed, &c->ids[same ? 0 : 1],
                        json_is_true(json_object_get(c->params, "allow_partial")), f);
}

static void warn_of_sets(struct am_comparing *c)
{
    const struct am_join *j = &c->join;
    const float *w[2] = {am_packed_f32(j->set[0], AM_PACKED_W), am_packed_f32(j->set[1], AM_PACKED_W)};
    if (j->only[0] + j->only[1] > 0)
        am_compare_warn(
            c, "partial",
            "%llu samples are in the old set only and %llu in the new one; compared are the %zu that are in both",
            (unsigned long long)j->only[0], (unsigned long long)j->only[1], j->n);
    if (!json_equal(json_object_get(c->set[0].header, "decode"), json_object_get(c->set[1].header, "decode")))
        am_compare_warn(c, "decode-differs",
                        "the two sets were decoded with different settings (decode in their headers)");
    if (!j->labels_known)
        am_compare_warn(c, "labels-unchecked",
                        "a set has no y: that both answer the same questions is taken from the ids alone");
    if (w[0] && w[1] && memcmp(w[0], w[1], j->n * sizeof **w) != 0)
        am_compare_warn(c, "weights-differ", "the weights of the two sets differ; those of the old set are used");
    if (j->judge_noise)
        am_compare_warn(
            c, "judge-noise",
            "%llu samples have the same answer in both sets, once right and once wrong: the judge is not deterministic",
            (unsigned long long)j->judge_noise);
}

static int read_sets(struct am_comparing *c)
{
    struct am_faults *f = &c->s->faults;
    for (int i = 0; i < 2; i++)
        AM_TRY(am_compare_set_load(&c->set[i], f));
    AM_TRY(am_compare_sets_agree(c->set, f));
    AM_TRY(step(c, "join", 1));
    AM_TRY(load_ids(c));
    AM_TRY(am_join_agree(&c->join, f));
    warn_of_sets(c);
    return 0;
}

/* ---- count ---- */

static int compare(struct am_comparing *c)
{
    const struct am_packed *old = &c->set[0].packed, *new = &c->set[1].packed;
    const char *task = json_string_value(json_object_get(c->set[0].meta, "task"));
    bool known = old->correct && new->correct;
    c->how.texts = am_streq(task, "generative") && ((old->col[AM_PACKED_S] && new->col[AM_PACKED_S]) || !known);
    c->how.higher_is_better = json_is_true(json_object_get(c->set[0].meta, "higher_is_better"));
    c->how.micro = c->how.micro && am_streq(task, "multilabel");
    AM_TRY(am_grouping_of(&c->join, &c->grouping));
    AM_TRY(am_compare_keys(c));
    AM_TRY(am_compare(&c->join, &c->grouping, &c->how, &c->s->faults, &c->numbers));
    AM_TRY(am_compare_groups(c));
    return am_compare_find(c);
}

/* ---- write ---- */

json_t *am_compare_record(const struct am_comparing *c, const char *path, const struct am_staged *staged)
{
    char whole[64];
    snprintf(whole, sizeof whole, "%s%s", c->folder, path);
    return am_file_record(whole, staged, false);
}

int am_compare_put_json(struct am_comparing *c, unsigned number, const char *path, const json_t *body)
{
    struct am_staged staged;
    char *text = body ? am_canon(body) : NULL;
    int rc = text ? am_stage_bytes(&staged, c->s->staging, c->first + number, path, text, strlen(text))
                  : -AM_E_OUT_OF_MEMORY;
    free(text);
    return rc < 0 ? rc : am_result_put(&c->s->result, am_compare_record(c, path, &staged));
}

static int put_result(struct am_comparing *c)
{
    AM_TRY(am_compare_put_slices(c, 1));
    AM_TRY(am_compare_put_samples(c, 2));
    json_t *report = am_compare_report(c);
    json_t *decision = NULL;
    int rc = am_compare_put_json(c, 0, "report.json", report);
    if (rc == 0)
        rc = am_compare_decide(c, report, &decision);
    if (rc == 0 && decision)
        rc = am_compare_put_json(c, 3, "decision.json", decision);
    json_decref(decision);
    json_decref(report);
    return rc;
}

int am_compare_work(struct am_comparing *c)
{
    AM_TRY(step(c, "read", 0));
    AM_TRY(read_sets(c));
    AM_TRY(step(c, "count", 2));
    AM_TRY(compare(c));
    AM_TRY(step(c, "write", 3));
    return put_result(c);
}

void am_compare_done(struct am_comparing *c)
{
    am_compared_done(&c->numbers);
    am_grouping_done(&c->grouping);
    am_join_done(&c->join);
    for (int i = 0; i < 2; i++) {
        am_compare_set_done(&c->set[i]);
        am_ids_done(&c->ids[i]);
    }
    am_policy_done(&c->policy);
    json_decref(c->gate_slices);
    json_decref(c->warnings);
    json_decref(c->groups);
    json_decref(c->found);
    json_decref(c->root);
}

static int put_whole(struct am_comparing *c)
{
    AM_TRY(am_result_open(&c->s->result, c->s->staging));
    AM_TRY(am_result_put(&c->s->result, json_pack("{s:s,s:n}", "record", "model", "architecture")));
    AM_TRY(am_compare_work(c));
    return am_session_put_warnings(c->s);
}

int am_mode_compare(struct am_session *s, json_t *root)
{
    struct am_spec_fds fds = {.v = NULL};
    struct am_comparing c = {.s = s,
                             .root = root,
                             .fds = &fds,
                             .folder = "",
                             .finite = AM_GATE_NOTHING,
                             .warnings = json_array(),
                             .groups = json_array(),
                             .gate_slices = json_array()};
    int other = -1, rc = am_spec_head(root, &s->faults);
    if (rc == 0)
        rc = am_compare_spec(&c);
    if (rc == 0 && am_limits_check_fds(fds.v, fds.n, &other) < 0)
        rc = am_fault_add(&s->faults, AM_E_INTERNAL, (struct am_where){0}, "descriptor %d is open and not in the spec",
                          other);
    if (rc == 0)
        rc = put_whole(&c);
    am_compare_done(&c);
    free(fds.v);
    return rc;
}
