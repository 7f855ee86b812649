/*
 * run.c - mode `run`: opens the inputs, runs the method over them, writes the files beside the weights and the result's
 * records.
 */
#include "core/methods/patch.h"

#include "core/base/failpoint.h"
#include "core/base/sys.h"
#include "core/base/text.h"
#include "core/methods/args_json.h"
#include "core/table/card_mark.h"
#include "core/table/layers.h"
#include "worker/adding.h"
#include "worker/card.h"
#include "worker/compare.h"
#include "worker/config_edit.h"
#include "worker/files.h"
#include "worker/limits.h"
#include "worker/patch.h"
#include "worker/session.h"
#include "worker/spans.h"
#include "worker/spec.h"
#include "worker/stack.h"
#include "worker/tokens.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX (64u << 20)
#define CONFIG_MAX (1u << 20)

struct job {
    struct am_session *s;
    struct am_spec_run spec;
    const struct am_method *method;
    struct am_args args;
    struct am_model *model;     /* one for each input */
    struct am_lora *lora;       /* of those that have an adapter */
    struct am_stack_view *view; /* of those that are stacks of layers, or have an adapter */
    struct am_run_input *in;    /* as the method sees them */
    struct am_adding adding;
    struct am_tokens tokens; /* whose rows may be rebuilt in the models */
    struct am_output out;
    struct am_patch patch; /* of a method that makes an adapter */
    struct am_report report;
    struct am_comparing gate;                 /* of what is made; .s NULL: none */
    bool let_through;                         /* NaN or infinity */
    char id[80];                              /* "merge/ties" */
    const char *label[2 * AM_MAX_INPUTS + 1]; /* of the report's inputs */
    size_t number[2 * AM_MAX_INPUTS + 1];     /* of them, in the spec */
    unsigned staged;                          /* number of the next staged file */
    char *config, *readme;                    /* the donor's config.json and README.md, or NULL */
    size_t config_n, readme_n;
};

static bool is_part(const struct am_spec_input *in)
{
    return am_streq(in->role, "part");
}

static bool is_adapter(const struct am_spec_input *in)
{
    return am_streq(in->role, "adapter");
}

static bool is_base(const struct am_spec_input *in)
{
    return am_streq(in->role, "base") || am_streq(in->role, "old_base");
}

/* A merge's old base comes right after its model and is among what is merged (needs.task). */
static bool is_old_base_of_model(const struct job *j, size_t i)
{
    return j->method->type == AM_MERGE && am_streq(j->spec.input[i].role, "old_base");
}

static int find_method(struct job *j)
{
    j->method = am_method_find(j->spec.type, j->spec.method);
    if (j->method)
        return 0;
    return am_fault_add(&j->s->faults, AM_E_UNSUPPORTED, (struct am_where){.pointer = "#/method"},
                        "this worker has no method %.100s/%.100s; daemon and worker are of different builds",
                        j->spec.type, j->spec.method);
}

static int take_args(struct job *j)
{
    json_t *params[2 * AM_MAX_INPUTS + 1];
    const char *what = "";
    size_t n = 0;
    for (size_t i = 0; i < j->spec.inputs; i++)
        if (!is_base(&j->spec.input[i]) && !is_part(&j->spec.input[i]) && !is_adapter(&j->spec.input[i]))
            params[n++] = j->spec.input[i].params;
    int rc = am_args_from_json(&j->args, j->method, j->spec.params, params, n, &what);
    if (rc != -AM_E_BAD_SPEC)
        return rc;
    return am_fault_add(&j->s->faults, AM_E_BAD_SPEC, (struct am_where){.pointer = "#/params"},
                        "parameter %s is missing, or not of its kind and range", what);
}

static int open_models(struct job *j)
{
    j->model = calloc(j->spec.inputs, sizeof(*j->model));
    if (!j->model)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < j->spec.inputs; i++) {
        const struct am_spec_input *in = &j->spec.input[i];
        int rc = am_model_open(&j->model[i], in->file, in->files, AM_ST_LIMITS_DEFAULT, &j->s->faults);
        if (rc == -AM_E_OUT_OF_MEMORY)
            return rc;
        if (rc < 0) {
            snprintf(j->s->detail, sizeof(j->s->detail), "the weights of %.200s cannot be read: %.200s", in->label,
                     j->s->faults.n ? j->s->faults.v[0].detail : am_err_title(rc));
            return -AM_E_BAD_INPUT;
        }
        AM_TRY(am_session_alive(j->s));
    }
    return 0;
}

static int on_progress(void *ctx, uint64_t bytes_done, uint64_t bytes_total, size_t tensors_done, size_t tensors_total)
{
    struct job *j = ctx;
    am_reporter_progress(&j->s->report, &(struct am_progress){.phase = j->spec.type,
                                                              .unit = "tensors",
                                                              .done = tensors_done,
                                                              .total = tensors_total,
                                                              .bytes_done = bytes_done,
                                                              .bytes_total = bytes_total});
    return am_session_alive(j->s);
}

static void on_warning(void *ctx, const char *code, const char *detail)
{
    struct job *j = ctx;
    if (am_streq(code, "nonfinite-propagated") || am_streq(code, "values-infinite"))
        j->let_through = true;
    am_session_warn(j->s, code, detail);
}

static enum am_overflow overflow_policy(const struct am_args *args)
{
    const char *name = am_arg_text(args, "overflow");
    if (am_streq(name, "clamp"))
        return AM_OVERFLOW_CLAMP;
    return am_streq(name, "inf") ? AM_OVERFLOW_INF : AM_OVERFLOW_REFUSE;
}

/* An input as the method sees it. */
static struct am_run_input input_of(const struct job *j, size_t i)
{
    const struct am_stack_view *v = &j->view[i];
    if (!v->model.tensor)
        return (struct am_run_input){.model = &j->model[i], .label = j->spec.input[i].label};
    struct am_run_input in = {.model = &v->model, .label = v->label, .own = v->parts ? v->own : NULL};
    in.delta = (const struct am_delta *const *)v->delta;
    if (v->delta)
        in.plain = v->parts ? &v->plain : &j->model[i];
    return in;
}

static bool same_files(const struct am_spec_input *a, const struct am_spec_input *b)
{
    for (size_t i = 0; i < a->files && a->files == b->files; i++)
        if (!am_streq(a->file[i].sha256, b->file[i].sha256))
            return false;
    return a->files == b->files;
}

/* What is carried over is nothing but an adapter: the model is its old base with it. */
static bool is_change_only(const struct job *j, const struct am_run *r)
{
    if (j->method->type != AM_MERGE || j->method->needs.task != AM_YES || r->inputs != 2 || !r->x[0].delta)
        return false;
    return !r->x[1].delta && same_files(&j->spec.input[j->number[0]], &j->spec.input[j->number[1]]);
}

static int open_views(struct job *j)
{
    j->view = calloc(j->spec.inputs, sizeof(*j->view));
    j->lora = calloc(j->spec.inputs, sizeof(*j->lora));
    if (!j->view || !j->lora)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < j->spec.inputs; i++) {
        AM_TRY(am_lora_open(&j->lora[i], &j->spec, j->model, i, &j->s->faults));
        AM_TRY(am_session_alive(j->s));
    }
    for (size_t i = 0; i < j->spec.inputs; i++)
        if ((j->spec.input[i].to || j->lora[i].a.parts) && !is_part(&j->spec.input[i]))
            AM_TRY(am_stack_view(&j->view[i], &j->spec, j->model, j->lora, i, &j->s->faults));
    return 0;
}

/* Inputs that hold more than their versions do. */
static int open_inputs(struct job *j)
{
    bool merge = j->method->type == AM_MERGE;
    j->in = calloc(j->spec.inputs + 1, sizeof(*j->in));
    if (!j->in)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < j->spec.inputs; i++)
        if (!is_part(&j->spec.input[i]) && !is_adapter(&j->spec.input[i]))
            j->in[i] = input_of(j, i);
    j->adding = (struct am_adding){.spec = &j->spec,
                                   .in = j->in,
                                   .inputs = j->spec.inputs,
                                   .donor = j->spec.donor,
                                   .keep = am_streq(j->spec.extra, "keep")};
    return merge ? am_adding_open(&j->adding) : 0;
}

/* What gives the result its tensors, and whether that is more than a version holds. */
static const struct am_model *donor_of(const struct job *j, bool *ret_more)
{
    const struct am_run_input *in = &j->in[j->spec.donor];
    const struct am_model *m = in->plain ? in->plain : in->model;
    if (j->adding.real)
        m = &j->adding.view[2 * j->spec.donor + 1].model;
    *ret_more = m != &j->model[j->spec.donor];
    return m;
}

static int compute(struct job *j)
{
    bool more;
    const struct am_model *donor = donor_of(j, &more);
    struct am_run_input x[2 * AM_MAX_INPUTS + 1];
    struct am_run r = {
        .method = j->method,
        .args = &j->args,
        .post_layers_t = j->spec.post_layers_t,
        .x = x,
        .donor = donor,
        .real = j->adding.real,
        .slice = j->view[j->spec.donor].layers,
        .slices = j->view[j->spec.donor].parts,
        .stacked = j->spec.input[j->spec.donor].module,
        .stacked_n = j->spec.input[j->spec.donor].modules,
        .missing = j->spec.missing != NULL,
        .some = am_streq(j->spec.missing, "present"),
        .drop = am_streq(j->spec.extra, "drop"),
        .out_dtype = j->spec.out_dtype,
        .shard_bytes = j->spec.shard_bytes,
        .seed = j->spec.seed,
        .assemble_fraction = more || j->tokens.rows ? 0 : j->spec.assemble_fraction,
        .max_blobs = j->spec.max_blobs,
        .threads = j->spec.threads,
        .staging = j->s->staging,
        .whole = am_patch_heads(j->config, j->config_n),
        .propagate_nonfinite = am_streq(am_arg_text(&j->args, "nonfinite"), "propagate"),
        .overflow = overflow_policy(&j->args),
        .report = &j->report,
        .progress = on_progress,
        .warning = on_warning,
        .ctx = j,
    };
    for (size_t i = 0; i < j->spec.inputs; i++) {
        struct am_run_input in = j->in[i];
        if (is_part(&j->spec.input[i]) || is_adapter(&j->spec.input[i]))
            continue;
        if (!is_base(&j->spec.input[i]) || is_old_base_of_model(j, i)) {
            in.module = j->spec.input[i].module;
            in.modules = j->spec.input[i].modules;
            j->label[r.inputs] = in.label;
            j->number[r.inputs] = i;
            x[r.inputs++] = in;
        } else if (j->method->needs.base != AM_DONOR)
            r.base = in;
    }
    r.change_only = is_change_only(j, &r);
    r.round_adapted = am_arg_has(&j->args, "compat") && am_streq(am_arg_text(&j->args, "compat"), "exact");
    snprintf(j->id, sizeof(j->id), "%s/%s", j->spec.type, j->method->name);
    am_report_open(&j->report, j->id, j->label, r.inputs);
    AM_TRY(j->method->factors ? am_run_patch(&r, &j->out, &j->patch, &j->s->faults)
                              : am_run(&r, &j->out, &j->s->faults));
    am_report_warnings(&j->report, on_warning, j);
    j->staged = (unsigned)j->out.files;
    return 0;
}

static const struct am_spec_other *find_other(const struct job *j, const char *path)
{
    for (size_t i = 0; i < j->spec.others; i++)
        if (am_streq(j->spec.other[i].file.path, path))
            return &j->spec.other[i];
    return NULL;
}

/* A small text of the donor; nothing when it has none, or one that is not small. */
static int read_other(struct job *j, const char *path, char **ret, size_t *ret_n)
{
    const struct am_spec_other *o = find_other(j, path);
    if (!o || !o->readable || o->file.bytes > CONFIG_MAX)
        return 0;
    *ret_n = (size_t)o->file.bytes;
    *ret = calloc(*ret_n + 1, 1);
    return *ret ? am_file_read(&o->file, *ret, *ret_n, 0) : -AM_E_OUT_OF_MEMORY;
}

static int read_texts(struct job *j)
{
    AM_TRY(read_other(j, "config.json", &j->config, &j->config_n));
    AM_TRY(read_other(j, "README.md", &j->readme, &j->readme_n));
    if (find_other(j, "README.md") && !j->readme)
        am_session_warn(j->s, "card-not-kept", "README.md of the donor is longer than 1 MiB and is not carried on");
    return 0;
}

static int put_text(struct job *j, const char *path, const char *text, size_t n)
{
    struct am_staged staged;
    AM_TRY(am_stage_bytes(&staged, j->s->staging, j->staged, path, text, n));
    j->staged++;
    return am_result_put(&j->s->result, am_file_record(path, &staged, false));
}

static int put_index(struct job *j)
{
    if (j->out.planned || j->out.files < 2)
        return 0; /* the same tensors in the same files as in the donor: its index is kept */
    char *text = am_output_index_json(&j->out);
    int rc = text ? put_text(j, "model.safetensors.index.json", text, strlen(text)) : -AM_E_OUT_OF_MEMORY;
    free(text);
    return rc;
}

static int put_weights(struct job *j)
{
    if (j->out.planned && !j->method->factors) {
        struct am_spans spans = {
            .s = j->s, .spec = &j->spec, .donor = &j->model[j->spec.donor], .out = &j->out, .staged = j->staged};
        int rc = am_spans_put(&spans);
        j->staged = spans.staged;
        return rc;
    }
    for (size_t i = 0; i < j->out.files; i++)
        AM_TRY(am_weights_put(j->s, &j->out, &j->out.file[i]));
    return 0;
}

static int put_recipe(struct job *j)
{
    struct am_buf text;
    am_buf_init(&text, TEXT_MAX);
    int rc = am_card_recipe(&j->spec, &text);
    if (rc == 0)
        rc = put_text(j, "amend.json", text.data, text.len);
    am_buf_done(&text);
    return rc;
}

static bool is_transformers(const struct job *j)
{
    json_t *config = j->config ? json_loadb(j->config, j->config_n, 0, NULL) : NULL;
    bool is = json_is_string(json_object_get(config, "model_type")) &&
              json_is_array(json_object_get(config, "architectures"));
    json_decref(config);
    return is;
}

/* The donor's card, when a person wrote it or changed it since: it moves aside for the result's own. */
static bool keeps_readme(const struct job *j)
{
    return j->readme && !j->method->factors && !am_card_is_sealed(j->readme, j->readme_n);
}

static int put_card(struct job *j)
{
    struct am_card_base base = {.readme = j->readme,
                                .readme_n = j->readme_n,
                                .transformers = is_transformers(j),
                                .adapter = j->method->factors != NULL,
                                .original =
                                    keeps_readme(j) || (!j->method->factors && find_other(j, AM_CARD_ORIGINAL))};
    struct am_buf text;
    am_buf_init(&text, TEXT_MAX);
    int rc = am_card_readme(&j->spec, &base, &text);
    if (rc == 0)
        rc = put_text(j, "README.md", text.data, text.len);
    am_buf_done(&text);
    if (rc == 0 && keeps_readme(j))
        rc = put_text(j, AM_CARD_ORIGINAL, j->readme, j->readme_n);
    return rc;
}

/* The configuration that the job was made of, as it was sent. */
static int put_mergekit(struct job *j)
{
    const char *text = json_string_value(json_object_get(j->spec.recipe, "mergekit_config"));
    return text ? put_text(j, "mergekit_config.yml", text, strlen(text)) : 0;
}

static int put_one(void *ctx, const char *path, const char *text, size_t n)
{
    return put_text(ctx, path, text, n);
}

/* The method's numbers; and the trust in each input once more, for the lineage. */
static int put_report(struct job *j)
{
    char *text = am_report_text(&j->report);
    int rc = text ? put_text(j, "amend/report.json", text, strlen(text)) : 0;
    free(text);
    for (size_t i = 0; rc == 0 && i < j->report.trusts; i++)
        rc = am_result_put(&j->s->result, json_pack("{s:s, s:s, s:I, s:f}", "record", "metric", "name", "trust",
                                                    "input", (json_int_t)j->number[i], "value", j->report.trust[i]));
    return rc;
}

/* What stands beside the factors of an adapter. */
static int put_patch_config(struct job *j)
{
    struct am_patch_about about = {
        .patch = &j->patch, .base = &j->model[j->spec.donor], .config = j->config, .config_n = j->config_n};
    struct am_buf text;
    am_buf_init(&text, TEXT_MAX);
    am_patch_warn(j->s, &about);
    int rc = am_patch_config(&j->spec, &about, &text);
    if (rc == 0)
        rc = put_text(j, "adapter_config.json", text.data, text.len);
    am_buf_done(&text);
    return rc;
}

/* 1: config.json was written anew, because it names another dtype or number of layers than the weights now have. */
static int put_config(struct job *j)
{
    struct am_buf text[2];
    if (j->method->factors)
        return put_patch_config(j);
    if (!j->config)
        return 0;
    am_buf_init(&text[0], 2 * CONFIG_MAX);
    am_buf_init(&text[1], 2 * CONFIG_MAX);
    struct am_config_edit e = {.spec = &j->spec,
                               .donor = &j->model[j->spec.donor],
                               .parts = j->view[j->spec.donor].parts,
                               .untie = j->adding.tied || j->view[j->spec.donor].untied,
                               .tokens = &j->tokens,
                               .text = j->config,
                               .n = j->config_n};
    int rc = am_config_edit(&e, text);
    if (rc == 1) {
        int put = put_text(j, "config.json", text[0].data, text[0].len);
        rc = put < 0 ? put : 1;
    } else if (rc == -AM_E_BAD_INPUT) {
        am_session_warn(j->s, "config-syntax", "config.json of the donor is no JSON object and is kept as it is");
        rc = 0;
    }
    am_buf_done(&text[0]);
    am_buf_done(&text[1]);
    return rc;
}

static bool kept(const struct job *j, const char *path)
{
    static const char *const made[] = {"README.md", "amend.json", "mergekit_config.yml"};
    if (j->method->factors) /* an adapter is no model */
        return false;
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++)
        if (am_streq(path, made[i]))
            return false;
    if (!am_tokens_keeps(&j->tokens, path))
        return false;
    if (am_streq(path, AM_CARD_ORIGINAL))
        return !keeps_readme(j);
    if (j->out.planned && am_ends(path, ".safetensors.index.json"))
        return true;
    return !am_starts(path, "amend/") && !am_file_is_weights(path);
}

static int put_kept(struct job *j, bool config_written)
{
    for (size_t i = 0; i < j->spec.others; i++) {
        const char *path = j->spec.other[i].file.path;
        if (!kept(j, path) || (config_written && am_streq(path, "config.json")))
            continue;
        AM_TRY(am_result_put(&j->s->result, json_pack("{s:s, s:s}", "record", "keep", "path", path)));
    }
    return 0;
}

/* With `propagate` results are not looked at, so only what was seen to come through is known. */
static enum am_gate_check look_finite(const struct job *j)
{
    if (j->let_through)
        return AM_GATE_DIRTY;
    return am_streq(am_arg_text(&j->args, "nonfinite"), "propagate") ? AM_GATE_UNCHECKED : AM_GATE_CLEAN;
}

static int put_result(struct job *j)
{
    struct am_result *result = &j->s->result;
    AM_TRY(am_result_open(result, j->s->staging));
    bool model = j->config && !j->method->factors;
    json_t *architecture = am_architecture(model ? j->config : "", model ? j->config_n : 0);
    AM_TRY(am_result_put(result, json_pack("{s:s, s:o}", "record", "model", "architecture", architecture)));
    AM_TRY(put_weights(j));
    AM_TRY(put_index(j));
    AM_TRY(put_card(j));
    AM_TRY(put_recipe(j));
    AM_TRY(put_mergekit(j));
    AM_TRY(put_report(j));
    AM_TRY(am_tokens_put(&j->tokens, put_one, j));
    int config = put_config(j);
    AM_TRY(config);
    AM_TRY(put_kept(j, config == 1));
    AM_TRY(am_compare_run_put(&j->gate, j->staged, look_finite(j)));
    return am_session_put_warnings(j->s);
}

static int work(struct job *j)
{
    int other = -1;
    struct am_spec_fds *fds = &j->spec.fds;
    AM_TRY(am_compare_run_open(&j->gate, j->s, json_object_get(j->spec.root, "compare"), fds));
    if (am_limits_check_fds(fds->v, fds->n, &other) < 0)
        return am_fault_add(&j->s->faults, AM_E_INTERNAL, (struct am_where){0},
                            "descriptor %d is open and not in the spec", other);
    AM_TRY(find_method(j));
    AM_TRY(take_args(j));
    AM_TRY(open_models(j));
    AM_TRY(am_tokens_open(&j->tokens, j->s, &j->spec, j->model, j->method->needs.base == AM_YES));
    AM_TRY(open_views(j));
    AM_TRY(open_inputs(j));
    AM_TRY(read_texts(j));
    am_failpoint("worker.compute");
    AM_TRY(compute(j));
    int rc = put_result(j);
    return rc == -AM_E_INTERNAL ? -AM_E_CANNOT_WRITE : rc;
}

int am_mode_run(struct am_session *s, json_t *root)
{
    struct job j = {.s = s};
    int rc = am_spec_run(&j.spec, root, &s->faults);
    if (rc == 0)
        rc = work(&j);
    am_output_done(&j.out);
    am_patch_done(&j.patch);
    am_report_done(&j.report);
    for (size_t i = 0; j.view && i < j.spec.inputs; i++)
        am_stack_view_done(&j.view[i]);
    for (size_t i = 0; j.lora && i < j.spec.inputs; i++)
        am_lora_done(&j.lora[i]);
    free(j.lora);
    free(j.view);
    am_adding_done(&j.adding);
    free(j.in);
    for (size_t i = 0; j.model && i < j.spec.inputs; i++)
        am_model_done(&j.model[i]);
    free(j.model);
    am_tokens_done(&j.tokens);
    free(j.config);
    free(j.readme);
    am_args_done(&j.args);
    am_compare_done(&j.gate);
    am_spec_run_done(&j.spec);
    return rc;
}
