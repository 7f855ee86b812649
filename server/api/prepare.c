/*
 * prepare.c - from the body of a job to a plan (submit.h): names are pinned to commits, the tensor tables of the inputs
 * are joined, the target and the room are looked at. Everything that can be known now is told now.
 */
#include "core/base/grow.h"
#include "core/base/text.h"
#include "core/table/recipe.h"
#include "server/api/adapter.h"
#include "server/api/adding.h"
#include "server/api/api.h"
#include "server/api/evaluate.h"
#include "server/api/submit.h"
#include "server/space.h"
#include "storage/damage.h"

#include <stdlib.h>
#include <string.h>

static int take_version(void *ctx, const struct am_version_row *v)
{
    struct am_pinned *p = ctx;
    snprintf(p->commit, sizeof p->commit, "%s", v->commit);
    snprintf(p->manifest, sizeof p->manifest, "%s", v->manifest_sha256);
    snprintf(p->architecture, sizeof p->architecture, "%s", v->architecture ? v->architecture : "");
    if (v->number >= 0)
        snprintf(p->label, sizeof p->label, "%s@v%lld", v->model_name, (long long)v->number);
    else
        snprintf(p->label, sizeof p->label, "%s@%.12s", v->model_name, v->commit);
    return 0;
}

struct near {
    char text[100][200];
    const char *v[100];
    size_t n;
};

static int keep_name(struct near *k, const char *name)
{
    if (k->n < 100) {
        snprintf(k->text[k->n], sizeof k->text[0], "%s", name);
        k->v[k->n] = k->text[k->n];
        k->n++;
    }
    return 0;
}

static int keep_model(void *ctx, const struct am_model_row *m)
{
    return keep_name(ctx, m->name);
}

static int keep_rev(void *ctx, const char *name)
{
    return keep_name(ctx, name);
}

/* A fault for a reference that names nothing, with the nearest thing that exists. */
static void fault_unknown(struct am_submit *s, const struct am_body_input *in, const struct am_pinned *p, int rc)
{
    struct near *k = calloc(1, sizeof *k);
    struct am_where where = {.pointer = in->pointer, .reason = "ref-unknown"};
    if (!k)
        return;
    bool no_model = rc == -AM_E_NOT_FOUND;
    if (no_model)
        am_model_list(s->db, NULL, 100, NULL, keep_model, k);
    else
        am_rev_names(s->db, p->model, keep_rev, k);
    const char *near = am_nearest(no_model ? p->model : p->rev, k->v, k->n);
    if (no_model)
        am_fault_add(&s->faults, AM_E_NOT_FOUND, where, "no model %s in this store%s%s%s", p->model,
                     near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    else
        am_fault_add(&s->faults, AM_E_REVISION_NOT_FOUND, where, "%s has no revision %s%s%s%s", p->model, p->rev,
                     near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    free(k);
}

/* Names to commits, for every input that could be read. */
static int pin_inputs(struct am_submit *s)
{
    s->in = calloc(s->body.inputs ? s->body.inputs : 1, sizeof *s->in);
    if (!s->in)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < s->body.inputs; i++) {
        struct am_pinned *p = &s->in[i];
        const char *why;
        if (s->body.input[i].job) {
            AM_TRY(am_submit_input_job(s, &s->body.input[i], p));
            if (!p->model || !p->rev)
                continue;
        } else if (!s->body.input[i].ref || am_ref_split(s->body.input[i].ref, &p->model, &p->rev, &why) < 0)
            continue; /* the body check has said so */
        int rc = am_rev_resolve(s->db, p->model, p->rev, &p->version, NULL);
        if (rc == 0)
            rc = am_version_brief(s->db, p->version, take_version, p);
        if (rc == -AM_E_NOT_FOUND || rc == -AM_E_REVISION_NOT_FOUND)
            fault_unknown(s, &s->body.input[i], p, rc);
        else if (rc < 0)
            return rc;
        else if (!am_submit_evaluates(s)) /* which reads no file of a version */
            am_damage_check(s->db, p->version, (struct am_where){.pointer = s->body.input[i].pointer}, p->label,
                            &s->faults);
    }
    return 0;
}

size_t am_submit_parts(const struct am_submit *s, size_t i)
{
    return s->body.input[i].parts ? s->body.input[i].parts : 1;
}

bool am_submit_pinned(const struct am_submit *s, size_t i)
{
    for (size_t k = 0; k < am_submit_parts(s, i); k++)
        if (s->in[i + k].version == 0)
            return false;
    return true;
}

static bool has_donor(const struct am_submit *s)
{
    return s->body.inputs > 0 && am_submit_pinned(s, s->body.donor);
}

/* The input that the others are held to: the donor; when it could not be found, the first that could, so that its
   absence does not hide what is wrong with the rest. NULL: none, or the inputs have parts too different to say. */
static const struct am_pinned *yardstick(const struct am_submit *s)
{
    const struct am_pinned *first = NULL;
    if (has_donor(s))
        return &s->in[s->body.donor];
    for (size_t i = 0; i < s->body.inputs - s->body.adapters; i += am_submit_parts(s, i)) {
        if (!am_streq(s->body.input[i].role, "base") && !am_streq(s->body.input[i].role, "model"))
            return NULL;
        if (!first && am_submit_pinned(s, i))
            first = &s->in[i];
    }
    return first;
}

static void check_architectures(struct am_submit *s)
{
    const struct am_pinned *donor = yardstick(s);
    if (s->body.mixed_architectures)
        return;
    for (size_t i = 0; i < s->body.inputs - s->body.adapters; i++)
        if (donor->architecture[0] && s->in[i].architecture[0] &&
            strcmp(donor->architecture, s->in[i].architecture) != 0)
            am_fault_add(&s->faults, AM_E_ARCHITECTURE,
                         (struct am_where){.pointer = s->body.input[i].pointer, .reason = "architecture"},
                         "inputs differ: %s is %s and %s is %s; set options.allow_mixed_architectures to merge "
                         "anyway",
                         donor->label, donor->architecture, s->in[i].label, s->in[i].architecture);
}

static void fill(struct am_plan_tensor *ret, const struct am_tensor_row *t)
{
    *ret = (struct am_plan_tensor){.name = t->name,
                                   .dtype = t->dtype,
                                   .shape = t->shape,
                                   .file = t->file,
                                   .begin = (uint64_t)t->begin,
                                   .bytes = (uint64_t)t->bytes};
}

static int next_tensor(void *cursor, struct am_plan_tensor *ret)
{
    struct am_tensor_row t;
    int rc = am_tensor_next(cursor, &t);
    if (rc == 1)
        fill(ret, &t);
    return rc;
}

/* The cursor over an input's own table, or over that of a stack. */
static int open_input(struct am_submit *s, size_t i, struct am_plan_input *in, struct am_stack *stack,
                      struct am_adapted *adapted)
{
    *in = (struct am_plan_input){.next = next_tensor,
                                 .label = s->in[i].label,
                                 .pointer = s->body.input[i].pointer,
                                 .names_only = am_plan_names_only(&s->body, i),
                                 .beside = am_plan_beside(&s->body, i),
                                 .modules = am_plan_beside(&s->body, i) ? NULL : s->body.input[i].modules};
    in->tokenizer_bytes = (uint64_t)s->in[i].tokenizer_bytes;
    while (in->group < i && strcmp(s->in[in->group].tokenizer, s->in[i].tokenizer) != 0)
        in->group++;
    for (size_t k = 0; k < am_submit_parts(s, i); k++) {
        uint64_t spans = 0;
        AM_TRY(am_version_spans(s->db, s->in[i + k].version, &spans));
        in->spans += spans;
        const struct am_adapter *a = am_submit_adapter(s, i + k);
        in->held += a ? am_adapter_held(a) : 0;
    }
    if (am_adding_makes(s, i)) {
        in->next = am_stack_next;
        in->added = am_stack_added;
        in->cursor = stack;
        return am_adding_make(s, i, stack);
    }
    *adapted = (struct am_adapted){.next = next_tensor,
                                   .cursor = am_tensor_open(s->db, s->in[i].version),
                                   .own = am_submit_adapter(s, i),
                                   .carried = am_submit_carried(s)};
    in->next = am_adapted_next;
    in->cursor = adapted;
    return adapted->cursor ? 0 : -AM_E_INTERNAL;
}

/* Layers that do not go together are told; what their tensors lack follows from it. */
static bool has_crooked_stacks(const struct am_submit *s)
{
    for (size_t i = 0; i < s->faults.n; i++)
        if (am_streq(s->faults.v[i].reason, "slice-lengths") || am_streq(s->faults.v[i].reason, "layer-range"))
            return true;
    return false;
}

/* The tensors of all inputs that could be pinned, side by side; each is a cursor over its own table. */
static int join_tensors(struct am_submit *s)
{
    struct am_plan_input *in = calloc(s->body.inputs, sizeof *in);
    struct am_stack *stack = calloc(s->body.inputs, sizeof *stack);
    struct am_adapted *adapted = calloc(s->body.inputs, sizeof *adapted);
    size_t n = 0, donor = 0, before = s->faults.total;
    int rc = in && stack && adapted ? 0 : -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < s->body.inputs - s->body.adapters && rc == 0; i += am_submit_parts(s, i)) {
        if (!am_submit_pinned(s, i))
            continue;
        if (&s->in[i] == yardstick(s))
            donor = n;
        rc = open_input(s, i, &in[n], &stack[n], &adapted[n]);
        n++;
    }
    bool cut = s->faults.total == before && !has_crooked_stacks(s); /* else a stack is not what it asks to be */
    if (rc == 0 && cut)
        rc = am_plan_make(&s->plan, &s->body, in, n, donor, s->threads, &s->faults);
    else if (rc == 0)
        rc = am_faults_worst(&s->faults);
    for (size_t i = 0; i < n; i++) {
        am_tensor_close(adapted[i].cursor);
        am_stack_done(&stack[i]);
    }
    free(adapted);
    free(stack);
    free(in);
    return rc;
}

struct donor { /* its weight files by path, as the worker sees them */
    struct am_submit *s;
    struct am_plan_file *v;
    size_t n, cap, part;
    bool made; /* its table is: */
    struct am_stack stack;
};

static int add_file(void *ctx, const struct am_file_row *row)
{
    struct donor *d = ctx;
    if (!row->weights)
        return 0;
    AM_TRY(am_grow(&d->v, d->n, &d->cap, sizeof *d->v));
    char name[1200];
    snprintf(name, sizeof name, "%s", row->path);
    if (d->made)
        AM_TRY(am_stack_file(name, sizeof name, d->part, row->path));
    char *path = strdup(name);
    if (!path)
        return -AM_E_OUT_OF_MEMORY;
    d->v[d->n++] = (struct am_plan_file){.path = path, .bytes = (uint64_t)row->bytes, .assembled = row->spans > 1};
    return 0;
}

static int walk_stack(struct donor *d, bool by_place, int (*each)(void *arg, const struct am_plan_tensor *t), void *arg)
{
    struct am_plan_tensor t;
    int rc = 0;
    am_stack_sort(&d->stack, by_place);
    while (rc == 0 && am_stack_next(&d->stack, &t))
        rc = each(arg, &t);
    return rc;
}

static int walk_donor(void *ctx, bool by_place, int (*each)(void *arg, const struct am_plan_tensor *t), void *arg)
{
    struct donor *d = ctx;
    if (d->made)
        return walk_stack(d, by_place, each, arg);
    int64_t version = d->s->in[d->s->body.donor].version;
    struct am_tensor_cursor *c =
        by_place ? am_tensor_open_by_place(d->s->db, version) : am_tensor_open(d->s->db, version);
    struct am_adapted a = {.next = next_tensor,
                           .cursor = c,
                           .own = am_submit_adapter(d->s, d->s->body.donor),
                           .carried = am_submit_carried(d->s)};
    struct am_plan_tensor t;
    int rc = c ? 0 : -AM_E_INTERNAL;
    while (rc == 0 && (rc = am_adapted_next(&a, &t)) == 1)
        rc = each(arg, &t);
    am_tensor_close(c);
    return rc;
}

static int add_files(void *ctx, size_t number, int64_t version)
{
    struct donor *d = ctx;
    d->part = number;
    return am_file_list(d->s->db, version, add_file, d);
}

/* The files of the result. */
static int lay_out(struct am_submit *s)
{
    struct donor d = {.s = s, .made = am_adding_makes(s, s->body.donor)};
    int rc = d.made ? am_adding_make(s, s->body.donor, &d.stack) : 0;
    if (rc == 0)
        rc = am_adding_files(s, add_files, &d);
    bool anew = d.made || s->plan.rows > 0;
    struct am_plan_donor donor = {.file = d.v,
                                  .files = d.n,
                                  .walk = walk_donor,
                                  .ctx = &d,
                                  .assemble_fraction = anew ? 0 : s->r->srv->cfg->assemble_fraction};
    if (rc == 0)
        rc = am_plan_output(&s->plan, &s->body, &donor, s->threads, &s->faults);
    for (size_t i = 0; i < d.n; i++)
        free(d.v[i].path);
    free(d.v);
    am_stack_done(&d.stack);
    return rc;
}

static int tell(struct am_submit *s, const char *code, const struct am_plan_told *t, const char *what)
{
    return t->n ? am_submit_warn(s, code, "%s: %llu tensors (%s%s)", what, (unsigned long long)t->n, t->some,
                                 t->n > AM_PLAN_TOLD ? ", ..." : "")
                : 0;
}

/* What the plan did about tensors that not all inputs have. */
static int tell_missing(struct am_submit *s)
{
    AM_TRY(tell(s, "tensor-missing", &s->plan.from_some, "not in all inputs, and merged from those that have them"));
    AM_TRY(tell(s, "tensor-missing", &s->plan.kept,
                "in too few inputs to be merged, and passed on as the donor has them"));
    AM_TRY(
        tell(s, "vocab-truncated", &s->plan.cropped,
             "of more rows in an input than in the result, which leaves the last ones out; with a tokenizer rows are "
             "joined by their tokens"));
    AM_TRY(tell(s, "tensor-extra", &s->plan.dropped, "in an input but not in the donor, and left out"));
    return tell(s, "module-outside", &s->plan.outside,
                "in no module that is merged, and passed on as the donor has them");
}

/* Of stacks with parts that are not there: what the others ask for is told all the same. */
static int check_parts(struct am_submit *s)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < s->body.inputs - s->body.adapters; i += am_submit_parts(s, i)) {
        struct am_stack stack = {0};
        if (s->body.input[i].parts && !am_submit_pinned(s, i))
            rc = am_stack_make(&stack, s, i);
        am_stack_done(&stack);
    }
    return rc;
}

/* From the tensor tables alone. Faults of the tensors end it early: there is no plan then. */
static int make_plan(struct am_submit *s)
{
    size_t before = s->faults.total;
    check_architectures(s);
    AM_TRY(am_submit_configs(s));
    AM_TRY(am_adding_find(s));
    int rc = join_tensors(s);
    if (rc == 0 && has_donor(s))
        rc = lay_out(s);
    s->planned = rc == 0 && has_donor(s);
    if (rc == 0)
        rc = tell_missing(s);
    return rc < 0 && s->faults.total == before && !has_crooked_stacks(s) ? rc : 0;
}

static void check_room(struct am_submit *s)
{
    const struct am_config *cfg = s->r->srv->cfg;
    struct am_space space;
    if (s->plan.peak_memory_bytes > cfg->workers_memory_max)
        am_fault_add(&s->faults, AM_E_MEMORY, (struct am_where){.pointer = "#/options/threads", .reason = "memory"},
                     "needs %llu bytes, a job may use %llu (workers.memory_max); fewer threads need less",
                     (unsigned long long)s->plan.peak_memory_bytes, (unsigned long long)cfg->workers_memory_max);
    if (am_space(s->r->srv, &space) == 0 && space.free < space.min_free + s->plan.disk_bytes)
        am_fault_add(&s->faults, AM_E_DISK, (struct am_where){.pointer = "", .reason = "disk"},
                     "needs %llu bytes, %llu are free and store.min_free keeps %llu; make room, then try again",
                     (unsigned long long)s->plan.disk_bytes, (unsigned long long)space.free,
                     (unsigned long long)space.min_free);
}

/* Whether the result would move this ref: the branch, or one of publish.move when it is promoted. */
static bool is_target(const struct am_submit *s, const char *name, const char **ret_pointer)
{
    const json_t *move = s->body.move;
    *ret_pointer = am_streq(name, s->body.branch) ? "#/publish/branch" : "#/publish/move";
    for (size_t i = 0; i < json_array_size(move); i++)
        if (am_streq(name, json_string_value(json_object_get(json_array_get(move, i), "ref"))))
            return true;
    return am_streq(name, s->body.branch);
}

static void look_at_gate(struct am_submit *s, const struct am_ref_row *ref)
{
    const char *pointer;
    if (!is_target(s, ref->name, &pointer))
        return;
    s->has_old = s->has_old || ref->number != 0; /* v0 is the empty commit */
    if (ref->is_protected && ref->gate && !s->body.gate_name && !s->body.gate_policy)
        am_fault_add(
            &s->faults, AM_E_GATE_REQUIRED, (struct am_where){.pointer = pointer},
            "%s of %s is protected: it moves when its gate %s says promote, and the job has no gate; give "
            "\"gate\": {\"policy\": \"%s\", \"old_predictions\": ..., \"new_predictions\": ...}, or publish to "
            "another branch",
            ref->name, s->to_model, ref->gate, ref->gate);
}

static int take_head(void *ctx, const struct am_ref_row *ref)
{
    struct am_submit *s = ctx;
    look_at_gate(s, ref);
    if (am_streq(ref->name, s->body.branch) && am_streq(ref->kind, "branch"))
        snprintf(s->head, sizeof s->head, "%s", ref->commit);
    else if (am_streq(ref->name, s->body.branch))
        am_fault_add(&s->faults, AM_E_CONFLICT, (struct am_where){.pointer = "#/publish/branch"},
                     "%s is a %s of %s, not a branch", ref->name, ref->kind, s->to_model);
    json_t *tag;
    size_t i;
    json_array_foreach(s->body.tags, i, tag)
    {
        if (am_streq(ref->name, json_string_value(tag)))
            am_fault_add(&s->faults, AM_E_CONFLICT, (struct am_where){.pointer = "#/publish/tags"},
                         "%s has a %s called %s already", s->to_model, ref->kind, ref->name);
    }
    return 0;
}

static int check_target(struct am_submit *s)
{
    int rc = am_ref_list(s->db, s->to_model, take_head, s);
    if (rc < 0 && rc != -AM_E_NOT_FOUND)
        return rc;
    char hint[500] = "";
    if (rc == -AM_E_NOT_FOUND)
        am_model_deleted(s->r, s->db, s->to_model, hint, sizeof hint);
    if (hint[0])
        am_fault_add(&s->faults, AM_E_CONFLICT, (struct am_where){.pointer = "#/publish/model"}, "%s", hint);
    if (s->body.if_head && strcmp(s->body.if_head, s->head) != 0)
        am_fault_add(&s->faults, AM_E_PRECONDITION_FAILED, (struct am_where){.pointer = "#/publish/if_head"},
                     "%s of %s is at %s", s->body.branch, s->to_model, s->head[0] ? s->head : "no commit");
    return 0;
}

/* Where the result goes, when the body says that without a fault. */
static bool has_target(const struct am_submit *s)
{
    static const char *const parts[] = {"#/publish", "#/publish/model", "#/publish/branch"};
    for (size_t i = 0; i < s->faults.n; i++)
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++)
            if (am_streq(s->faults.v[i].pointer, parts[k]))
                return false;
    return s->to_model != NULL;
}

/* What the store has to say, as of one moment. */
static int look_up(struct am_submit *s)
{
    int64_t asked = json_integer_value(json_object_get(s->body.options, "threads"));
    s->threads = asked > 0 ? (unsigned)asked : (unsigned)s->r->srv->cfg->workers_threads;
    AM_TRY(pin_inputs(s));
    if (am_submit_evaluates(s))
        return am_evaluate_look_up(s);
    AM_TRY(am_submit_adapters(s));
    if (s->body.inputs && !s->waits)
        AM_TRY(am_submit_tokenizers(s));
    if (s->body.row)
        AM_TRY(am_submit_advise(s));
    if (s->body.row && !s->waits)
        AM_TRY(check_parts(s));
    if (s->body.row && !s->waits && yardstick(s))
        AM_TRY(make_plan(s));
    s->to_model = s->body.publish_model ? s->body.publish_model
                  : s->body.inputs > 0  ? s->in[s->body.donor].model
                                        : NULL;
    if (has_target(s) && !s->silent)
        AM_TRY(check_target(s));
    return am_made_gate(s);
}

/* Faults and warnings that a configuration has in itself come first. */
static int begin_yaml(struct am_submit *s)
{
    const struct am_faults *own = &s->recipe->faults;
    json_t *w;
    size_t i;
    for (i = 0; i < own->n; i++) {
        const struct am_fault *f = &own->v[i];
        am_fault_add(&s->faults, f->code, (struct am_where){f->pointer, f->reason, f->tensor, f->file}, "%s",
                     f->detail);
    }
    json_array_foreach(s->recipe->mergekit.warnings, i, w)
    {
        if (!s->warnings)
            s->warnings = json_array();
        if (!s->warnings || json_array_append(s->warnings, w) < 0)
            return -AM_E_OUT_OF_MEMORY;
    }
    return 0;
}

static int prepare(struct am_submit *s)
{
    if (s->recipe && s->recipe->yaml)
        AM_TRY(begin_yaml(s));
    else if (am_recipe_is(s->r->json))
        AM_TRY(am_recipe_begin(s));
    int rc = am_body_check(&s->body, s->from_recipe ? s->from_recipe : s->r->json, &s->r->srv->table, &s->faults);
    if (rc < 0 && s->faults.n == 0)
        return rc;
    AM_TRY(am_snapshot_begin(s->db));
    rc = look_up(s);
    am_snapshot_end(s->db);
    AM_TRY(rc);
    if (s->planned)
        check_room(s);
    if (s->from_recipe)
        am_recipe_pointers(&s->faults, &s->body);
    if (s->faults.n || s->waits)
        return 0;
    AM_TRY(am_submit_digest(s));
    return s->from_recipe ? am_recipe_compare(s) : 0;
}

int am_submit_prepare(struct am_submit *s)
{
    int rc = prepare(s);
    if (s->recipe && s->recipe->yaml)
        am_mergekit_place(&s->recipe->mergekit, &s->faults);
    return rc;
}

void am_submit_done(struct am_submit *s)
{
    for (size_t i = 0; s->in && i < s->body.inputs; i++) {
        free(s->in[i].model);
        free(s->in[i].rev);
    }
    free(s->in);
    free(s->tied);
    am_submit_adapters_done(s);
    am_evaluate_done(s);
    json_decref(s->warnings);
    json_decref(s->from_recipe);
    am_made_done(&s->original);
    am_plan_done(&s->plan);
    am_body_done(&s->body);
    am_faults_done(&s->faults);
}
