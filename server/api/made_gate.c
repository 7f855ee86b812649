/*
 * made_gate.c - the gate of a job that makes a version (submit.h): two prediction sets, the new one of the very bytes
 * that the job will make, which the worker checks when it has made them. Without anything to compare with the sets are
 * left out, and the gate decides about the rest.
 */
#include "server/api/evaluate_priv.h"

#include "core/base/text.h"
#include "server/api/api.h"
#include "storage/models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const pointers[] = {"#/gate/old_predictions", "#/gate/new_predictions"};
static const char *const roles[] = {"old", "new"};

static bool has_gate(const struct am_submit *s)
{
    return s->body.gate_name || s->body.gate_policy;
}

/* Nothing to compare with is the first version of a model, and a recipe that was that once. */
static int check_named(struct am_submit *s)
{
    const char *const *set = (const char *const *)s->body.gate_set;
    if (!set[0] && !set[1] && (s->body.gate_against || (s->has_old && !s->from_recipe)))
        return am_fault_add(
            &s->faults, AM_E_MISSING_INPUT, (struct am_where){.pointer = "#/gate", .reason = "predictions"},
            "a gate compares predictions, and amend makes none by itself: give \"old_predictions\", what the version "
            "to "
            "compare with says about the samples, and \"new_predictions\", what the bytes say that this job will make. "
            "Run the job on another branch first to have them (POST /v1/predictions takes the sets)");
    for (size_t i = 0; i < 2; i++)
        if (!set[i] && set[!i])
            return am_fault_add(&s->faults, AM_E_MISSING_INPUT,
                                (struct am_where){.pointer = pointers[i], .reason = "predictions"},
                                "a comparison takes both sets; %s_predictions is missing", roles[i]);
    return 0;
}

static int find_sets(struct am_submit *s)
{
    s->side = calloc(2, sizeof *s->side);
    if (!s->side)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < 2; i++) {
        int rc = am_side_get(s->db, s->body.gate_set[i], &s->side[i]);
        if (rc == -AM_E_NOT_FOUND)
            am_fault_add(&s->faults, AM_E_NOT_FOUND, (struct am_where){.pointer = pointers[i]},
                         "no prediction set %s; GET /v1/predictions lists what is here", s->body.gate_set[i]);
        else if (rc < 0)
            return rc;
        AM_TRY(am_side_row(s->db, &s->side[i]));
    }
    return 0;
}

/* `against` is what old_predictions speaks of. */
static int check_against(struct am_submit *s)
{
    char *model, *rev;
    const char *why;
    int64_t version = 0;
    const struct am_side *old = &s->side[0];
    if (!s->body.gate_against || !old->uid[0])
        return 0;
    AM_TRY(am_ref_split(s->body.gate_against, &model, &rev, &why));
    int rc = am_rev_resolve(s->db, model, rev, &version, NULL);
    free(model);
    free(rev);
    struct am_where w = {.pointer = "#/gate/against"};
    if (rc == -AM_E_NOT_FOUND || rc == -AM_E_REVISION_NOT_FOUND) {
        am_fault_add(&s->faults, -rc, w, "%s is not in this store", s->body.gate_against);
        return 0;
    }
    if (rc == 0 && version != old->version_row)
        am_fault_add(&s->faults, AM_E_INVALID_PARAMS, w,
                     "%s speaks of %s, and that is not what %s is now; give the predictions of the version to compare "
                     "with",
                     old->uid, old->version ? old->version : old->external, s->body.gate_against);
    return rc;
}

static int add_weights(void *ctx, const struct am_file_row *f)
{
    return !f->weights || json_array_append_new(ctx, json_string(f->sha256)) == 0 ? 0 : -AM_E_OUT_OF_MEMORY;
}

/* The weight files that the new predictions are of. */
static int list_weights(struct am_submit *s, json_t *list)
{
    const struct am_side *new = &s->side[1];
    const char *sha = json_string_value(json_object_get(json_object_get(new->header, "version"), "sha256"));
    if (new->version_row)
        AM_TRY(am_file_list(s->db, new->version_row, add_weights, list));
    else if (new->external && sha &&json_array_append_new(list, json_string(sha)) < 0)
        return -AM_E_OUT_OF_MEMORY;
    if (json_array_size(list))
        return 0;
    return am_submit_warn(s, "other-bytes",
                          "%s does not say which weight files %s has, so it cannot be told whether they are those that "
                          "the job makes, and the gate will not promote; name a version that is here, or give the "
                          "sha256 of the weights beside external",
                          new->uid, new->external ? new->external : new->version);
}

/* What the worker needs beside the policy. */
static int complete(struct am_submit *s)
{
    const char *const members[] = {"old", "new"};
    json_t *params = NULL, *weights = json_array(), *seed = json_object_get(s->body.options, "seed");
    int rc = am_params_default(am_table_find(&s->r->srv->table, "evaluate", "compare"), &params);
    if (rc == 0 && s->side)
        rc = list_weights(s, weights);
    for (size_t i = 0; rc == 0 && i < 2; i++)
        json_object_set_new(s->gate, members[i], s->side ? am_side_json(&s->side[i], roles[i]) : json_null());
    if (rc == 0 && s->side)
        am_sides_plan(s, (uint64_t)json_integer_value(json_object_get(params, "bootstrap")));
    json_object_set_new(s->gate, "params", params);
    json_object_set_new(s->gate, "weights", weights);
    json_object_set(s->gate, "seed", seed);
    return rc;
}

int am_made_gate(struct am_submit *s)
{
    if (!has_gate(s))
        return 0;
    if (check_named(s) < 0)
        return 0;
    if (s->body.gate_set[0])
        AM_TRY(find_sets(s));
    if (s->side) {
        AM_TRY(check_against(s));
        if (s->side[0].uid[0] && s->side[1].uid[0])
            am_sides_check(s, pointers[1]);
    }
    AM_TRY(am_evaluate_gate(s));
    return s->gate ? complete(s) : 0;
}
