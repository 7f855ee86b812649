/*
 * launch.c - from the row of a job to the spec of worker/contract.md. See launch.h.
 * Inputs are found by commit, never by ref: the row was resolved when the job was accepted.
 */
#include "server/launch_parts.h"

#include "core/base/grow.h"
#include "core/base/sys.h"
#include "core/base/text.h"
#include "core/table/adapter.h"
#include "core/table/body.h"
#include "server/import.h"
#include "server/json.h"
#include "server/move.h"
#include "server/result.h"
#include "storage/blobs.h"
#include "storage/damage.h"
#include "storage/models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_INPUT = AM_LAUNCH_FIRST_INPUT, SLOTS = 2 * AM_LAUNCH_INPUTS_MAX, FILES_MAX = 100000 };
enum { OWN_DESCRIPTORS = 64, CPU_SLACK_SECONDS = 60 };
#define FILE_SLACK ((uint64_t)1 << 20) /* over what is planned */
#define IMPORT_MEMORY ((uint64_t)256 << 20)
#define PACK_MEMORY ((uint64_t)128 << 20)

struct file {
    char *path, sha256[AM_SHA256_LEN + 1];
    int64_t bytes, layout;
    bool weights;
};

struct files {
    struct file *v;
    size_t n, cap;
};

struct builder {
    struct am_launch *l;
    const struct am_config *cfg;
    struct am_store *store;
    struct am_db *db;
    struct am_faults *faults;
    const char *label;              /* of the input at hand */
    char (*sha)[AM_SHA256_LEN + 1]; /* by descriptor: what it is */
    uint16_t *slot;                 /* hash table over sha: index + 1, 0 = free */
    json_t *spans;                  /* of the file at hand */
    bool texts;                     /* the small files about tokenizers go with every input */
};

static void files_done(struct files *f)
{
    for (size_t i = 0; i < f->n; i++)
        free(f->v[i].path);
    free(f->v);
}

static int add_file(void *ctx, const struct am_file_row *row)
{
    struct files *f = ctx;
    if (f->n == FILES_MAX)
        return -AM_E_OUT_OF_MEMORY;
    AM_TRY(am_grow(&f->v, f->n, &f->cap, sizeof *f->v));
    char *path = strdup(row->path);
    if (!path)
        return -AM_E_OUT_OF_MEMORY;
    struct file *file = &f->v[f->n++];
    *file = (struct file){.path = path, .bytes = row->bytes, .layout = row->layout, .weights = row->weights};
    snprintf(file->sha256, sizeof file->sha256, "%s", row->sha256);
    return 0;
}

int am_launch_add(struct am_launch *l, int fd)
{
    if (!l->input && !(l->input = calloc(AM_LAUNCH_INPUTS_MAX, sizeof *l->input)))
        return -AM_E_OUT_OF_MEMORY;
    l->input[l->inputs++] = fd;
    return 0;
}

/* The place of a blob among the descriptors, opened at most once. */
static int blob_index(struct builder *b, const char *sha, size_t *ret)
{
    unsigned char bytes[AM_SHA256_LEN / 2];
    uint64_t at;
    if (am_unhex(sha, sizeof bytes, bytes) < 0)
        return -AM_E_STORE_DAMAGED;
    memcpy(&at, bytes, sizeof at);
    for (at %= SLOTS; b->slot[at]; at = (at + 1) % SLOTS)
        if (am_streq(b->sha[b->slot[at] - 1], sha)) {
            *ret = b->slot[at] - 1u;
            return 0;
        }
    if (b->l->inputs >= AM_LAUNCH_INPUTS_MAX)
        return am_fault_add(
            b->faults, AM_E_UNSUPPORTED, (struct am_where){0},
            "the inputs are spread over more than %d stored files; purge old versions first, which puts them together",
            AM_LAUNCH_INPUTS_MAX);
    int fd = am_blob_open(b->store, sha);
    if (fd < 0)
        return am_fault_add(b->faults, AM_E_STORE_DAMAGED, (struct am_where){0},
                            "%s: the stored file %s cannot be opened", b->label, sha);
    if (am_launch_add(b->l, fd) < 0) {
        am_sys_close(fd);
        return -AM_E_OUT_OF_MEMORY;
    }
    *ret = b->l->inputs - 1;
    snprintf(b->sha[*ret], sizeof b->sha[*ret], "%s", sha);
    b->slot[at] = (uint16_t)b->l->inputs;
    return 0;
}

static int add_span(void *ctx, int64_t at, const char *blob_hex, int64_t offset, int64_t bytes)
{
    struct builder *b = ctx;
    size_t i = 0;
    (void)at; /* spans come in order and without gaps */
    struct stat st;
    AM_TRY(blob_index(b, blob_hex, &i));
    if (fstat(b->l->input[i], &st) < 0 || st.st_size < offset + bytes)
        return am_fault_add(b->faults, AM_E_STORE_DAMAGED, (struct am_where){0},
                            "%s: the stored file %s is shorter than its row says; verify the store", b->label,
                            blob_hex);
    json_t *span = json_pack("{s:i,s:I,s:I}", "fd", (int)(FIRST_INPUT + i), "offset", (json_int_t)offset, "bytes",
                             (json_int_t)bytes);
    return am_json_add(b->spans, span);
}

/* Appends {"path","bytes","sha256","spans"} to `list`; spans null when the file is only named. */
static int put_file(struct builder *b, json_t *list, const struct file *f, bool readable)
{
    json_auto_t *spans = readable ? json_array() : json_null();
    b->spans = spans;
    if (readable)
        AM_TRY(am_span_list(b->db, f->layout, add_span, b));
    json_t *o = json_pack("{s:s,s:I,s:s,s:O}", "path", f->path, "bytes", (json_int_t)f->bytes, "sha256", f->sha256,
                          "spans", spans);
    return am_json_add(list, o);
}

static int put_weights(struct builder *b, json_t *list, const struct files *f)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->v[i].weights) {
            AM_TRY(put_file(b, list, &f->v[i], true));
            b->l->read_bytes += (uint64_t)f->v[i].bytes;
        }
    if (json_array_size(list) == 0)
        return am_fault_add(b->faults, AM_E_BAD_INPUT, (struct am_where){0},
                            "%s has no weight files that a job could read", b->label);
    return 0;
}

static int put_others(struct builder *b, json_t *list, const struct files *f)
{
    for (size_t i = 0; i < f->n; i++)
        if (!f->v[i].weights)
            AM_TRY(put_file(b, list, &f->v[i],
                            am_streq(f->v[i].path, "config.json") || am_streq(f->v[i].path, "README.md")));
    return 0;
}

static int put_texts(struct builder *b, json_t *list, const struct files *f)
{
    for (size_t i = 0; b->texts && i < f->n; i++)
        if (!f->v[i].weights && am_launch_is_text(f->v[i].path))
            AM_TRY(put_file(b, list, &f->v[i], true));
    return 0;
}

#define LABEL_MAX 320

/* "digits/base@v2": what it is called, whatever name the request gave it. */
static int take_label(void *ctx, const struct am_version_row *v)
{
    if (v->number >= 0)
        snprintf(ctx, LABEL_MAX, "%s@v%lld", v->model_name, (long long)v->number);
    return 0;
}

/* The configuration of an adapter, which the worker reads. */
static int put_config(struct builder *b, const struct files *f, json_t **ret)
{
    json_auto_t *list = json_array();
    for (size_t i = 0; i < f->n; i++)
        if (am_streq(f->v[i].path, AM_ADAPTER_CONFIG))
            AM_TRY(put_file(b, list, &f->v[i], true));
    *ret = json_incref(json_array_get(list, 0));
    return *ret ? 0 : -AM_E_STORE_DAMAGED; /* it was read when the job was planned */
}

static int put_input(struct builder *b, json_t *in, json_t *inputs, json_t *donor_files)
{
    const char *model = json_string_value(json_object_get(in, "model")),
               *commit = json_string_value(json_object_get(in, "commit"));
    const char *role = json_string_value(json_object_get(in, "role"));
    char label[LABEL_MAX];
    int64_t version;
    if (!model || !commit || !role)
        return -AM_E_BAD_SPEC;
    snprintf(label, sizeof label, "%s@%.12s", model, commit);
    b->label = label;
    if (am_rev_resolve(b->db, model, commit, &version, NULL) < 0)
        return am_fault_add(b->faults, AM_E_MISSING_INPUT, (struct am_where){0},
                            "%s (commit %s) is no longer in the store", label, commit);
    AM_TRY(am_version_brief(b->db, version, take_label, label));
    AM_TRY(am_damage_check(b->db, version, (struct am_where){0}, label, b->faults)); /* found since the submit */
    struct files files = {0};
    json_t *params = json_object_get(in, "params");
    json_auto_t *list = json_array(), *texts = json_array();
    int rc = am_file_list(b->db, version, add_file, &files);
    if (rc == 0)
        rc = put_weights(b, list, &files);
    if (rc == 0)
        rc = put_texts(b, texts, &files);
    if (rc == 0 && donor_files)
        rc = put_others(b, donor_files, &files);
    json_auto_t *config = NULL;
    if (rc == 0 && am_streq(role, "adapter"))
        rc = put_config(b, &files, &config);
    files_done(&files);
    AM_TRY(rc);
    json_t *o = json_pack("{s:s,s:s,s:O,s:O,s:O*,s:O*,s:O*,s:O*,s:O*}", "role", role, "label", label, "params",
                          params ? params : json_null(), "files", list, "layers", json_object_get(in, "layers"), "of",
                          json_object_get(in, "of"), "config", config, "modules", json_object_get(in, "modules"), "use",
                          json_object_get(in, "use"));
    if (o && b->texts)
        json_object_set(o, "texts", texts);
    return am_json_add(inputs, o);
}

/* What amend.json says of the result: the recipe without what does not determine bytes. */
static json_t *recipe_of(const json_t *resolved)
{
    json_t *r = json_deep_copy(resolved), *in;
    size_t i;
    json_object_del(r, "threads");
    json_object_del(r, "donor");
    json_object_del(r, "gate");
    if (json_is_null(json_object_get(r, "blas")))
        json_object_set_new(r, "kernels", json_null()); /* every set gives the same bytes */
    json_object_del(json_object_get(r, "options"), "threads");
    json_array_foreach(json_object_get(r, "inputs"), i, in)
    {
        json_object_del(in, "rev");
    }
    return r;
}

/* What bounds the worker (worker/limits.c). result.ndjson may be longer than the weights. */
json_t *am_launch_limits(const struct am_launch *l, uint64_t memory, uint64_t longest_file, uint64_t files)
{
    uint64_t file = longest_file > AM_RESULT_BYTES ? longest_file : AM_RESULT_BYTES;
    return json_pack("{s:I,s:I,s:I}", "memory_bytes", (json_int_t)memory, "file_bytes", (json_int_t)(file + FILE_SLACK),
                     "descriptors", (json_int_t)(FIRST_INPUT + l->inputs + files + OWN_DESCRIPTORS));
}

static json_t *run_limits(const struct builder *b, const struct am_claim *job, const json_t *options)
{
    const struct am_launch *l = b->l;
    const json_t *peak = json_object_get(job->plan, "peak_memory_bytes"),
                 *write = json_object_get(job->plan, "write_bytes");
    uint64_t shard = (uint64_t)json_integer_value(json_object_get(options, "shard_bytes"));
    if (!json_is_integer(peak) || !json_is_integer(write))
        return NULL;
    /* what is shared may be written after all: when a file is consolidated, or the settings are others by now */
    uint64_t bytes =
        (uint64_t)json_integer_value(write) + (uint64_t)json_integer_value(json_object_get(job->plan, "shared_bytes"));
    /* two shards in a row hold more than shard_bytes, or they would be one; in place of the donor's files, each has one
     */
    uint64_t shards = shard ? 2 * (bytes / shard) + 1 : 1,
             files = json_array_size(json_object_get(json_object_get(job->plan, "output"), "files"));
    json_t *limits = am_launch_limits(l, (uint64_t)json_integer_value(peak), bytes + b->cfg->header_bytes,
                                      shards > files ? shards : files);
    if (limits && job->time_limit > 0) /* behind the engine's own clock */
        json_object_set_new(limits, "cpu_seconds",
                            json_integer((json_int_t)l->threads * (job->time_limit + CPU_SLACK_SECONDS)));
    return limits;
}

int am_launch_dump(struct am_launch *l, json_t *spec)
{
    l->spec = spec ? json_dumps(spec, JSON_COMPACT) : NULL;
    if (!l->spec)
        return -AM_E_OUT_OF_MEMORY;
    l->spec_bytes = strlen(l->spec);
    return l->spec_bytes <= AM_LAUNCH_SPEC_MAX ? 0 : -AM_E_TOO_LARGE;
}

/* What each descriptor is, from the first on: the names that the spans of a result go by. */
static json_t *blobs_of(const struct builder *b)
{
    json_t *list = json_array();
    for (size_t i = 0; i < b->l->inputs; i++)
        json_array_append_new(list, json_string(b->sha[i]));
    return list;
}

static int put_run(struct builder *b, const struct am_claim *job)
{
    json_t *r = job->resolved, *in, *threads = json_object_get(r, "threads");
    json_int_t donor = json_integer_value(json_object_get(r, "donor"));
    json_auto_t *inputs = json_array(), *donor_files = json_array(), *recipe = recipe_of(r);
    json_auto_t *options = json_deep_copy(json_object_get(r, "options"));
    const char *to = json_string_value(json_object_get(job->publish, "model")),
               *model = to ? to : json_string_value(json_object_get(job->publish, "card")); /* it publishes nothing */
    size_t i;
    if (!json_is_integer(threads) || json_integer_value(threads) < 1 || json_integer_value(threads) > 1024 ||
        !options || !model)
        return -AM_E_BAD_SPEC;
    b->l->threads = (unsigned)json_integer_value(threads);
    b->texts = am_launch_reads_texts(options);
    json_object_set(options, "threads", threads);
    json_array_foreach(json_object_get(r, "inputs"), i, in)
    {
        AM_TRY(put_input(b, in, inputs, (json_int_t)i == donor ? donor_files : NULL));
    }
    json_auto_t *compare = NULL;
    AM_TRY(am_launch_gate(b->l, b->store, b->sha, job, b->faults, &compare));
    json_auto_t *limits = run_limits(b, job, options), *blobs = blobs_of(b);
    bool cut =
        json_integer_value(json_object_get(options, "shard_bytes")) != AM_SHARD_BYTES || /* anew: all is written */
        json_object_get(options, "tokenizer") || json_object_get(options, "vocab") ||
        json_object_get(json_array_get(json_object_get(r, "inputs"), (size_t)donor), "layers");
    json_auto_t *store = json_pack("{s:f,s:I}", "assemble_fraction", cut ? 0 : b->cfg->assemble_fraction,
                                   "max_blobs_per_file", (json_int_t)b->cfg->max_blobs_per_file);
    json_auto_t *spec = json_pack("{s:i,s:s,s:i,s:i,s:O?,s:s,s:s,s:O,s:O,s:O,s:I,s:O,s:O,s:O,s:O,s:s,s:O}", "proto", 1,
                                  "job", job->uid, "attempt", job->attempt, "staging", 4, "limits", limits, "type",
                                  job->type, "method", job->method, "params", json_object_get(r, "params"), "options",
                                  options, "inputs", inputs, "donor", donor, "donor_files", donor_files, "blobs", blobs,
                                  "store", store, "recipe", recipe, "model", model, "compare", compare);
    return spec && limits ? am_launch_dump(b->l, spec) : -AM_E_BAD_SPEC;
}

static int make_run(struct am_launch *l, struct am_store *store, const struct am_config *cfg,
                    const struct am_claim *job, struct am_faults *faults)
{
    struct builder b = {.l = l, .cfg = cfg, .store = store, .faults = faults, .db = am_store_read(store)};
    if (!b.db)
        return -AM_E_INTERNAL;
    b.sha = calloc(AM_LAUNCH_INPUTS_MAX, sizeof *b.sha);
    b.slot = calloc(SLOTS, sizeof *b.slot);
    int rc = b.sha && b.slot ? put_run(&b, job) : -AM_E_OUT_OF_MEMORY;
    free(b.sha);
    free(b.slot);
    return rc;
}

static int take_import(struct am_launch *l, struct am_import *im, struct am_claim *job, json_t *files,
                       uint64_t *ret_longest)
{
    for (size_t i = 0; i < im->files; i++) {
        struct am_import_file *f = &im->file[i];
        char staged[AM_MOVE_NAME];
        snprintf(staged, sizeof staged, "f%zu", i); /* the name that a copy of it would get */
        int linked = job->moving ? am_move_take(job, l->staging, f, staged) : 0;
        AM_TRY(linked);
        json_t *o = json_pack("{s:s,s:I,s:i,s:s*}", "path", f->path, "bytes", (json_int_t)f->bytes, "fd",
                              (int)(FIRST_INPUT + i), "staged", linked ? staged : NULL);
        if (!o || json_array_append_new(files, o) < 0)
            return -AM_E_OUT_OF_MEMORY;
        AM_TRY(am_launch_add(l, f->fd));
        f->fd = -1; /* it is the launch's now */
        l->read_bytes += f->bytes;
        *ret_longest = f->bytes > *ret_longest ? f->bytes : *ret_longest;
    }
    for (size_t i = 0; i < im->left_outs; i++)
        AM_TRY(am_claim_warn(job, "file-left-out", im->left_out[i]));
    if (im->left_outs_total > im->left_outs) {
        char more[80];
        snprintf(more, sizeof more, "and %zu more", im->left_outs_total - im->left_outs);
        AM_TRY(am_claim_warn(job, "file-left-out", more));
    }
    return 0;
}

static int make_import(struct am_launch *l, const struct am_config *cfg, struct am_claim *job, struct am_faults *faults)
{
    const char *path = json_string_value(json_object_get(job->resolved, "path"));
    struct am_import im = {0};
    json_auto_t *files = json_array();
    if (!path || !files)
        return -AM_E_BAD_SPEC;
    if (am_move_asked(job) && !job->moving && !(job->moving = json_array()))
        return -AM_E_OUT_OF_MEMORY;
    AM_TRY(am_import_walk(&im, cfg, path, faults));
    uint64_t longest = 0;
    int rc = take_import(l, &im, job, files, &longest);
    am_import_done(&im);
    AM_TRY(rc);
    l->threads = 1;
    json_auto_t *limits = am_launch_limits(l, IMPORT_MEMORY, longest, 0);
    if (!limits || json_object_set_new(limits, "header_bytes", json_integer((json_int_t)cfg->header_bytes)) < 0 ||
        json_object_set_new(limits, "tensors", json_integer((json_int_t)cfg->tensors)) < 0)
        return -AM_E_OUT_OF_MEMORY;
    json_auto_t *spec = json_pack("{s:i,s:s,s:i,s:i,s:O,s:O}", "proto", 1, "job", job->uid, "attempt", job->attempt,
                                  "staging", 4, "limits", limits, "files", files);
    return am_launch_dump(l, spec);
}

/* What the columns take is not known before the upload is read, least of all when it is gzip. The worker keeps to it
   and says so when it does not fit. */
static uint64_t pack_memory(const struct am_config *cfg, uint64_t bytes, bool gzip)
{
    uint64_t want = PACK_MEMORY + bytes * (gzip ? 80 : 6);
    return want < cfg->workers_memory_max ? want : cfg->workers_memory_max;
}

/* The upload of a prediction set or of a dataset. */
static int make_pack(struct am_launch *l, struct am_store *store, const struct am_config *cfg,
                     const struct am_claim *job, struct am_faults *faults)
{
    const char *sha = json_string_value(json_object_get(job->resolved, "sha256"));
    json_t *bytes = json_object_get(job->resolved, "bytes"), *gzip = json_object_get(job->resolved, "gzip");
    if (!sha || !json_is_integer(bytes) || !json_is_boolean(gzip))
        return -AM_E_BAD_SPEC;
    int fd = am_blob_open(store, sha);
    if (fd < 0)
        return am_fault_add(faults, AM_E_STORE_DAMAGED, (struct am_where){0}, "the upload %s cannot be opened", sha);
    if (am_launch_add(l, fd) < 0) {
        am_sys_close(fd);
        return -AM_E_OUT_OF_MEMORY;
    }
    l->threads = 1;
    l->read_bytes = (uint64_t)json_integer_value(bytes);
    uint64_t memory = pack_memory(cfg, l->read_bytes, json_is_true(gzip)); /* what it writes was in memory */
    bool indexes = am_claim_indexes(job);
    json_auto_t *limits = am_launch_limits(l, memory, indexes ? memory + cfg->upload_bytes : memory, 0);
    if (limits && indexes)
        json_object_set_new(limits, "content_bytes", json_integer((json_int_t)cfg->upload_bytes));
    json_auto_t *spec = json_pack("{s:i,s:s,s:i,s:i,s:O,s:{s:i,s:O,s:O},s:O*,s:O*}", "proto", 1, "job", job->uid,
                                  "attempt", job->attempt, "staging", 4, "limits", limits, "upload", "fd", FIRST_INPUT,
                                  "bytes", bytes, "gzip", gzip, "format", json_object_get(job->resolved, "format"),
                                  "ids", json_object_get(job->resolved, "ids"));
    return limits ? am_launch_dump(l, spec) : -AM_E_OUT_OF_MEMORY;
}

int am_launch_make(struct am_launch *ret, struct am_store *store, const struct am_config *cfg, struct am_claim *job,
                   struct am_faults *faults)
{
    bool imports = am_claim_imports(job), packs = am_claim_packs(job), indexes = am_claim_indexes(job),
         compares = am_claim_compares(job), continues = am_claim_continues(job);
    struct am_launch l = {.mode = imports     ? "import"
                                  : packs     ? "pack"
                                  : indexes   ? "index"
                                  : continues ? "continual"
                                  : compares  ? "compare"
                                              : "run",
                          .staging = -1};
    int rc = imports            ? 0
             : packs || indexes ? make_pack(&l, store, cfg, job, faults)
             : continues        ? am_launch_continual(&l, store, job, faults)
             : compares         ? am_launch_compare(&l, store, cfg, job, faults)
                                : make_run(&l, store, cfg, job, faults);
    if (rc == 0) {
        l.staging = am_staging_make(store, job->staging);
        rc = l.staging < 0 ? l.staging : 0;
    }
    if (rc == 0 && imports) /* which may put files there already */
        rc = make_import(&l, cfg, job, faults);
    if (rc < 0) {
        am_launch_done(&l);
        return rc;
    }
    *ret = l;
    return 0;
}

void am_launch_close_inputs(struct am_launch *l)
{
    for (size_t i = 0; i < l->inputs; i++)
        am_sys_closep(&l->input[i]);
    free(l->input);
    l->input = NULL;
    l->inputs = 0;
}

void am_launch_done(struct am_launch *l)
{
    am_launch_close_inputs(l);
    am_sys_closep(&l->staging);
    free(l->spec);
    *l = (struct am_launch){.staging = -1};
}
