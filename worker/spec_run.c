/*
 * spec_run.c - the spec of mode `run`.
 */
#include "core/base/text.h"
#include "core/methods/method.h"
#include "worker/spec_parts.h"

#include <stdlib.h>

#define THREADS_MAX 64
#define BLOBS_MIN 4
#define BLOBS_MAX 1024

/* The spans must tile the file: that is what makes an assembled file read like a whole one. */
static int take_spans(struct am_file *file, struct am_spec_fds *fds, json_t *list)
{
    uint64_t at = 0;
    file->spans = json_array_size(list);
    file->span = calloc(file->spans + 1, sizeof(*file->span));
    if (!file->span)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < file->spans; i++) {
        struct am_span *s = &file->span[i];
        json_t *o = json_array_get(list, i);
        s->at = at;
        AM_TRY(am_spec_fd(fds, json_object_get(o, "fd"), &s->fd));
        AM_TRY(am_spec_u64(o, "offset", &s->offset));
        AM_TRY(am_spec_u64(o, "bytes", &s->bytes));
        if (__builtin_add_overflow(at, s->bytes, &at))
            return -AM_E_BAD_SPEC;
    }
    return at == file->bytes ? 0 : -AM_E_BAD_SPEC;
}

static int take_file(struct am_file *file, struct am_spec_fds *fds, json_t *o, bool *ret_readable)
{
    json_t *spans = json_object_get(o, "spans");
    file->path = am_spec_path(o);
    file->sha256 = json_string_value(json_object_get(o, "sha256"));
    if (!file->path || !file->sha256 || !am_is_hex(file->sha256, AM_SHA256_LEN) ||
        am_spec_u64(o, "bytes", &file->bytes) < 0)
        return -AM_E_BAD_SPEC;
    *ret_readable = json_is_array(spans);
    return *ret_readable ? take_spans(file, fds, spans) : 0;
}

static int take_modules(struct am_spec_input *in, json_t *list)
{
    json_t *one;
    size_t i;
    if (!list)
        return 0;
    in->module = calloc(json_array_size(list) + 1, sizeof(*in->module));
    if (!in->module)
        return -AM_E_OUT_OF_MEMORY;
    json_array_foreach(list, i, one) if (!(in->module[in->modules++] = json_string_value(one))) return -AM_E_BAD_SPEC;
    return in->modules ? 0 : -AM_E_BAD_SPEC;
}

/* All readable. */
static int take_texts(struct am_spec_input *in, struct am_spec_fds *fds, json_t *list)
{
    in->text = calloc(json_array_size(list) + 1, sizeof(*in->text));
    if (!in->text)
        return -AM_E_OUT_OF_MEMORY;
    while (in->texts < json_array_size(list)) {
        struct am_spec_other *o = &in->text[in->texts++];
        AM_TRY(take_file(&o->file, fds, json_array_get(list, in->texts - 1), &o->readable));
        if (!o->readable)
            return -AM_E_BAD_SPEC;
    }
    return 0;
}

static int take_input(struct am_spec_input *in, struct am_spec_fds *fds, json_t *o)
{
    json_t *files = json_object_get(o, "files"), *params = json_object_get(o, "params");
    in->role = json_string_value(json_object_get(o, "role"));
    in->label = json_string_value(json_object_get(o, "label"));
    in->params = json_is_object(params) ? params : NULL;
    json_t *layers = json_object_get(o, "layers");
    json_int_t from = json_integer_value(json_array_get(layers, 0)), to = json_integer_value(json_array_get(layers, 1));
    if (layers && (from < 0 || to <= from || to > 1000000))
        return -AM_E_BAD_SPEC;
    const char *use = json_string_value(json_object_get(o, "use"));
    in->none = use && am_streq(use, "none");
    in->no_ends = use != NULL;
    in->from = (uint32_t)from;
    in->to = (uint32_t)to;
    bool adapter = am_streq(in->role, "adapter"), readable = true;
    uint64_t of = 0;
    if (adapter && (am_spec_u64(o, "of", &of) < 0 ||
                    take_file(&in->config, fds, json_object_get(o, "config"), &readable) < 0 || !readable))
        return -AM_E_BAD_SPEC;
    in->of = (size_t)of;
    AM_TRY(take_modules(in, json_object_get(o, "modules")));
    size_t n = json_array_size(files);
    if (!in->role || !in->label || n == 0)
        return -AM_E_BAD_SPEC;
    in->file = calloc(n, sizeof(*in->file));
    if (!in->file)
        return -AM_E_OUT_OF_MEMORY;
    for (; in->files < n; in->files++) {
        struct am_file *file = &in->file[in->files];
        int rc = take_file(file, fds, json_array_get(files, in->files), &readable);
        if (rc < 0 || !readable) {
            free(file->span);
            return rc < 0 ? rc : -AM_E_BAD_SPEC;
        }
    }
    return take_texts(in, fds, json_object_get(o, "texts"));
}

static int take_inputs(struct am_spec_run *s, struct am_faults *f)
{
    json_t *list = json_object_get(s->root, "inputs");
    size_t n = json_array_size(list);
    uint64_t donor = 0;
    if (n == 0 || n > 3 * AM_MAX_INPUTS + 1) /* a base, models each with an old base, and adapters */
        return am_spec_bad(f, "#/inputs", "must be a list of 1 to 301 inputs");
    s->input = calloc(n, sizeof(*s->input));
    if (!s->input)
        return -AM_E_OUT_OF_MEMORY;
    while (s->inputs < n) {
        size_t i = s->inputs++;
        int rc = take_input(&s->input[i], &s->fds, json_array_get(list, i));
        if (rc == -AM_E_BAD_SPEC)
            return am_spec_bad(f, "#/inputs",
                               "has an entry without role, label or readable files whose spans tile them");
        AM_TRY(rc);
    }
    for (size_t i = 0; i < n; i++)
        if (s->input[i].of >= n || am_streq(s->input[s->input[i].of].role, "adapter"))
            return am_spec_bad(f, "#/inputs", "has an adapter of no model");
    if (am_spec_u64(s->root, "donor", &donor) < 0 || donor >= n)
        return am_spec_bad(f, "#/donor", "must be the number of an input");
    s->donor = (size_t)donor;
    return 0;
}

static int take_others(struct am_spec_run *s, struct am_faults *f)
{
    json_t *list = json_object_get(s->root, "donor_files");
    size_t n = json_array_size(list);
    if (!json_is_array(list))
        return am_spec_bad(f, "#/donor_files", "must be a list");
    s->other = calloc(n + 1, sizeof(*s->other));
    if (!s->other)
        return -AM_E_OUT_OF_MEMORY;
    while (s->others < n) {
        struct am_spec_other *o = &s->other[s->others++];
        int rc = take_file(&o->file, &s->fds, json_array_get(list, s->others - 1), &o->readable);
        if (rc == -AM_E_BAD_SPEC)
            return am_spec_bad(f, "#/donor_files", "has an entry without path, bytes or spans that tile it");
        AM_TRY(rc);
    }
    return 0;
}

static int take_options(struct am_spec_run *s, struct am_faults *f)
{
    json_t *o = json_object_get(s->root, "options"), *dtype = json_object_get(o, "out_dtype");
    uint64_t threads = 0;
    if (am_spec_u64(o, "threads", &threads) < 0 || threads < 1 || threads > THREADS_MAX)
        return am_spec_bad(f, "#/options/threads", "must be 1 to 64");
    json_t *after = json_object_get(o, "post_layers_t");
    s->post_layers_t = after ? json_number_value(after) : 1;
    if (!(s->post_layers_t >= 0 && s->post_layers_t <= 1))
        return am_spec_bad(f, "#/options/post_layers_t", "must be 0 to 1");
    if (am_spec_u64(o, "shard_bytes", &s->shard_bytes) < 0)
        return am_spec_bad(f, "#/options/shard_bytes", "must be a number of bytes");
    if (json_object_get(o, "seed") && am_spec_u64(o, "seed", &s->seed) < 0)
        return am_spec_bad(f, "#/options/seed", "must be a whole number from 0");
    s->missing = json_string_value(json_object_get(o, "missing"));
    s->extra = json_string_value(json_object_get(o, "extra"));
    s->threads = (unsigned)threads;
    json_t *tokenizer = json_object_get(o, "tokenizer");
    s->tokenizer = json_is_object(tokenizer) ? tokenizer : NULL;
    s->chat_template = json_string_value(json_object_get(o, "chat_template"));
    s->truncate = am_streq(json_string_value(json_object_get(o, "vocab")), "truncate");
    s->out_dtype = -1;
    if (!dtype || json_is_null(dtype))
        return 0;
    s->out_dtype = json_is_string(dtype) ? am_dtype_parse(json_string_value(dtype), json_string_length(dtype)) : -1;
    if (s->out_dtype < 0 || !am_dtype_computed((enum am_dtype)s->out_dtype))
        return am_spec_bad(f, "#/options/out_dtype", "must be null, F16, BF16, F32 or F64");
    return 0;
}

/* The names of the descriptors: what spans of the result go by. */
static int take_blobs(struct am_spec_run *s, struct am_faults *f)
{
    json_t *list = json_object_get(s->root, "blobs");
    s->blob = calloc(json_array_size(list) + 1, sizeof(*s->blob));
    if (!s->blob)
        return -AM_E_OUT_OF_MEMORY;
    for (; s->blobs < json_array_size(list); s->blobs++) {
        s->blob[s->blobs] = json_string_value(json_array_get(list, s->blobs));
        if (!s->blob[s->blobs] || !am_is_hex(s->blob[s->blobs], AM_SHA256_LEN))
            return am_spec_bad(f, "#/blobs", "must be a list of SHA-256");
    }
    for (size_t i = 0; i < s->fds.n; i++)
        if ((size_t)(s->fds.v[i] - AM_FD_FIRST) >= s->blobs)
            return am_spec_bad(f, "#/blobs", "must name every descriptor");
    return 0;
}

static int take_store(struct am_spec_run *s, struct am_faults *f)
{
    json_t *o = json_object_get(s->root, "store"), *fraction = json_object_get(o, "assemble_fraction");
    uint64_t most = 0;
    if (!json_is_number(fraction) || json_number_value(fraction) < 0 || json_number_value(fraction) > 1)
        return am_spec_bad(f, "#/store/assemble_fraction", "must be 0 to 1");
    if (am_spec_u64(o, "max_blobs_per_file", &most) < 0 || most < BLOBS_MIN || most > BLOBS_MAX)
        return am_spec_bad(f, "#/store/max_blobs_per_file", "must be 4 to 1024");
    s->assemble_fraction = json_number_value(fraction);
    s->max_blobs = (unsigned)most;
    return 0;
}

static int take_all(struct am_spec_run *s, struct am_faults *f)
{
    AM_TRY(am_spec_head(s->root, f));
    s->type = json_string_value(json_object_get(s->root, "type"));
    s->method = json_string_value(json_object_get(s->root, "method"));
    s->model = json_string_value(json_object_get(s->root, "model"));
    s->params = json_object_get(s->root, "params");
    s->recipe = json_object_get(s->root, "recipe");
    if (!s->type || !s->method || !s->model)
        return am_spec_bad(f, "#", "must name type, method and model");
    if (!json_is_object(s->params) || !json_is_object(s->recipe))
        return am_spec_bad(f, "#", "must have the objects params and recipe");
    AM_TRY(take_options(s, f));
    AM_TRY(take_store(s, f));
    AM_TRY(take_inputs(s, f));
    AM_TRY(take_others(s, f));
    return take_blobs(s, f);
}

int am_spec_run(struct am_spec_run *ret, json_t *root, struct am_faults *faults)
{
    struct am_spec_run s = {.root = root};
    int rc = take_all(&s, faults);
    if (rc < 0)
        am_spec_run_done(&s);
    else
        *ret = s;
    return rc;
}

void am_spec_run_done(struct am_spec_run *s)
{
    for (size_t i = 0; i < s->inputs; i++) {
        for (size_t j = 0; j < s->input[i].files; j++)
            free(s->input[i].file[j].span);
        free(s->input[i].file);
        free(s->input[i].config.span);
        free(s->input[i].module);
        for (size_t j = 0; j < s->input[i].texts; j++)
            free(s->input[i].text[j].file.span);
        free(s->input[i].text);
    }
    for (size_t i = 0; i < s->others; i++)
        free(s->other[i].file.span);
    free(s->input);
    free(s->other);
    free(s->blob);
    free(s->fds.v);
    json_decref(s->root);
    *s = (struct am_spec_run){0};
}
