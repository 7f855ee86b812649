/*
 * plan_output.c - the files of a result, from the donor's tensor table (plan.h). The donor is walked two or three
 * times: what changes in each file; where a shard ends, when there are several; how long the headers get. A "piece" is
 * a file that the worker writes: a shard, a whole file in the place of the donor's, or a change blob.
 */
#include "core/table/plan_parts.h"

#include "core/base/text.h"
#include "core/table/vocab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_MAX 100000000u
#define RECORD_BYTES 200 /* of a tensor in result.ndjson and in the index, without its name */
#define METADATA "\"__metadata__\":{\"format\":\"pt\"}"

struct piece {
    uint64_t at[AM_PLAN_DTYPES];  /* bytes of each dtype; then where its next tensor begins */
    uint64_t tensors, text, data; /* text: of the header, without commas and padding */
    bool has_metadata;
};

struct donor_file {
    uint64_t data, changed;
    uint64_t computed[AM_PLAN_DTYPES]; /* of `changed`, by dtype */
    uint64_t all[AM_PLAN_DTYPES];
    enum { WHOLE, CHANGED, KEPT } fate;
    size_t piece;
};

struct shard { /* its first tensor in the order of places */
    size_t file;
    uint64_t begin;
    char *name;
};

struct layout {
    struct am_plan *p;
    const struct am_body *b;
    const struct am_plan_donor *d;
    struct am_faults *faults;
    struct donor_file *file;
    struct piece *piece;
    size_t pieces;
    struct shard *shard;
    uint64_t shard_bytes, in_shard;
    struct piece whole; /* if the result is one file */
    uint64_t bytes;     /* of all tensors of the result */
    uint64_t records;   /* bytes of text that the run writes about its tensors */
    bool dtypes_change, planned;
    int out; /* dtype of computed tensors, or -1: each its own */
};

static size_t find_file(const struct layout *l, const char *path)
{
    size_t low = 0, high = l->d->files;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(l->d->file[mid].path, path);
        if (order == 0)
            return mid;
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return l->d->files;
}

struct look {                /* what becomes of a tensor */
    bool selected, computed; /* computed: and not kept as it is */
    int own, out;            /* dtypes */
    uint64_t bytes;          /* of the result's */
};

static struct look look_at(const struct layout *l, const struct am_plan_tensor *t)
{
    struct look k = {.own = am_plan_dtype(t->dtype), .bytes = t->bytes};
    uint64_t size = am_plan_computed(t->dtype);
    k.selected = size && am_plan_selects(l->b, t->name);
    bool passed = k.selected && am_plan_passes(l->p, t->name) && (l->out < 0 || l->out == k.own);
    bool changes = k.selected && !passed && !am_plan_stays(l->b, t);
    k.computed = changes || (size && t->adapted);
    k.out = changes && l->out >= 0 ? l->out : k.own;
    if (k.out != k.own)
        k.bytes = am_plan_times(t->bytes / size, am_plan_computed(am_plan_name(l->out)));
    return k;
}

/* "" is no name of a dtype: several. */
static void note_dtype(struct layout *l, const char *name)
{
    const char **at = &l->p->dtype;
    *at = !*at ? name : am_streq(*at, name) ? *at : "";
}

/* ---- what changes in each file ---- */

static int tally(void *arg, const struct am_plan_tensor *own)
{
    struct layout *l = arg;
    struct am_plan_tensor fitted;
    char shape[AM_SHAPE_TEXT];
    const struct am_plan_tensor *t = am_vocab_fit(l->p, own, &fitted, shape);
    size_t at = find_file(l, t->file);
    struct look k = look_at(l, t);
    if (at == l->d->files || k.own < 0)
        return -AM_E_STORE_DAMAGED;
    struct donor_file *f = &l->file[at];
    f->data = am_plan_plus(f->data, t->bytes);
    f->all[k.own] += t->bytes;
    l->records = am_plan_plus(l->records, 2 * strlen(t->name) + strlen(t->shape) + RECORD_BYTES);
    l->dtypes_change = l->dtypes_change || k.out != k.own;
    l->whole.at[k.out] = am_plan_plus(l->whole.at[k.out], k.bytes);
    l->bytes = am_plan_plus(l->bytes, k.bytes);
    if (k.computed) {
        f->changed += t->bytes;
        f->computed[k.own] += t->bytes;
    }
    if (k.selected)
        note_dtype(l, am_plan_name(k.out));
    return 0;
}

/* As settle_fates() of run_files.c. */
static bool settle_fates(struct layout *l)
{
    bool any = false;
    for (size_t i = 0; i < l->d->files; i++) {
        struct donor_file *f = &l->file[i];
        bool little = (double)f->changed <= l->d->assemble_fraction * (double)f->data;
        f->fate = f->changed == 0 ? KEPT : little ? CHANGED : WHOLE;
        any = any || f->fate != WHOLE;
    }
    return any;
}

/* ---- where tensors go ---- */

static int too_many(struct layout *l)
{
    return am_fault_add(
        l->faults, AM_E_INVALID_PARAMS,
        (struct am_where){.pointer = "#/options/shard_bytes", .reason = "too-many-shards"},
        "the result cannot be cut into shards of %llu bytes: a result has at most %d files, each with a "
        "header of at most 100 MB; give another options.shard_bytes, mostly a larger one",
        (unsigned long long)l->shard_bytes, AM_PLAN_SHARDS);
}

static int add_piece(struct layout *l, bool has_metadata)
{
    if (l->pieces == AM_PLAN_SHARDS)
        return too_many(l);
    l->piece[l->pieces++] = (struct piece){.has_metadata = has_metadata};
    return 0;
}

static int begin_shard(struct layout *l, const struct am_plan_tensor *t)
{
    AM_TRY(add_piece(l, true));
    struct shard *s = &l->shard[l->pieces - 1];
    *s = (struct shard){.file = find_file(l, t->file), .begin = t->begin, .name = strdup(t->name)};
    l->in_shard = 0;
    return s->name ? 0 : -AM_E_OUT_OF_MEMORY;
}

/* As count_shards() of output.c: a shard that holds nothing yet takes any tensor, however large. */
static int deal(void *arg, const struct am_plan_tensor *own)
{
    struct layout *l = arg;
    struct am_plan_tensor fitted;
    char shape[AM_SHAPE_TEXT];
    const struct am_plan_tensor *t = am_vocab_fit(l->p, own, &fitted, shape);
    struct look k = look_at(l, t);
    uint64_t room = l->shard_bytes - (l->in_shard < l->shard_bytes ? l->in_shard : l->shard_bytes);
    if (l->pieces == 0 || (l->in_shard && k.bytes > room))
        AM_TRY(begin_shard(l, t));
    l->in_shard = am_plan_plus(l->in_shard, k.bytes);
    l->piece[l->pieces - 1].at[k.out] += k.bytes;
    return 0;
}

static int by_shards(struct layout *l)
{
    bool one = l->shard_bytes == 0 || l->bytes <= l->shard_bytes;
    l->piece = calloc(one ? 1 : AM_PLAN_SHARDS, sizeof(*l->piece));
    l->shard = calloc(one ? 1 : AM_PLAN_SHARDS, sizeof(*l->shard));
    if (!l->piece || !l->shard)
        return -AM_E_OUT_OF_MEMORY;
    if (!one)
        return l->d->walk(l->d->ctx, true, deal, l);
    l->whole.has_metadata = true;
    l->piece[l->pieces++] = l->whole;
    return 0;
}

static int in_place(struct layout *l)
{
    l->piece = calloc(AM_PLAN_SHARDS, sizeof(*l->piece));
    if (!l->piece)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < l->d->files; i++) {
        struct donor_file *f = &l->file[i];
        if (f->fate == KEPT)
            continue;
        f->piece = l->pieces;
        AM_TRY(add_piece(l, f->fate == WHOLE));
        memcpy(l->piece[f->piece].at, f->fate == WHOLE ? f->all : f->computed, sizeof(f->all));
    }
    return 0;
}

static bool before(const struct shard *s, size_t file, const struct am_plan_tensor *t)
{
    if (s->file != file)
        return s->file < file;
    return s->begin != t->begin ? s->begin < t->begin : strcmp(s->name, t->name) <= 0;
}

/* The piece that a tensor is written to, or NULL. */
static struct piece *piece_of(const struct layout *l, const struct am_plan_tensor *t, bool computed)
{
    size_t file = find_file(l, t->file), low = 0, high = l->pieces;
    if (l->planned) {
        const struct donor_file *f = &l->file[file];
        bool stored = f->fate == WHOLE || (f->fate == CHANGED && computed);
        return stored ? &l->piece[f->piece] : NULL;
    }
    while (high - low > 1) { /* the last shard that begins before it */
        size_t mid = low + (high - low) / 2;
        if (before(&l->shard[mid], file, t))
            low = mid;
        else
            high = mid;
    }
    return &l->piece[low];
}

/* ---- headers: core/tensor/st_write.c without writing ---- */

/* From the bytes of each dtype to where the tensors of that dtype begin: the last one of the enum comes first. */
static void place_dtypes(struct piece *p)
{
    for (int i = AM_PLAN_DTYPES - 1; i >= 0; i--) {
        uint64_t bytes = p->at[i];
        p->at[i] = p->data;
        p->data = am_plan_plus(p->data, bytes);
    }
}

static uint64_t digits(uint64_t n)
{
    uint64_t d = 1;
    for (; n >= 10; n /= 10)
        d++;
    return d;
}

/* Of a text as am_st_put_string() writes it. */
static uint64_t quoted(const char *text)
{
    uint64_t n = 2;
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool short_escape = strchr("\"\\\b\f\n\r\t", c) != NULL;
        n += short_escape ? 2 : c >= 0x20 ? 1 : 6;
    }
    return n;
}

static uint64_t shape_text(const char *shape)
{
    uint64_t n = 0;
    for (; *shape; shape++)
        n += *shape != ' ';
    return n;
}

/* Tensors come by name, so those of one dtype come in the order of the file. */
static void write_entry(struct layout *l, struct piece *p, const struct am_plan_tensor *t, const struct look *k)
{
    static const char fixed[] = ":{\"dtype\":\"\",\"shape\":,\"data_offsets\":[,]}";
    uint64_t begin = p->at[k->out], end = am_plan_plus(begin, k->bytes);
    p->at[k->out] = end;
    p->tensors++;
    p->text += quoted(t->name) + sizeof(fixed) - 1 + strlen(am_plan_name(k->out)) + shape_text(t->shape) +
               digits(begin) + digits(end);
    l->p->need.out_entries++;
    l->p->need.out_text += strlen(t->name) + strlen(t->shape);
}

/* 8 + N of a piece. */
static uint64_t header_of(const struct piece *p)
{
    uint64_t parts = p->tensors + p->has_metadata;
    uint64_t n = 2 + p->text + (parts ? parts - 1 : 0) + (p->has_metadata ? sizeof(METADATA) - 1 : 0);
    return 8 + (n + 7) / 8 * 8;
}

static int check_headers(struct layout *l)
{
    for (size_t i = 0; i < l->pieces; i++)
        if (header_of(&l->piece[i]) > HEADER_MAX + 8)
            return too_many(l);
    return 0;
}

/* ---- the answer ---- */

static int add_file(struct am_plan *p, char *path, uint64_t bytes)
{
    p->file[p->files++] = (struct am_plan_file){.path = path, .bytes = bytes};
    return path ? 0 : -AM_E_OUT_OF_MEMORY;
}

static int list_shards(struct layout *l)
{
    struct am_plan *p = l->p;
    p->file = calloc(l->pieces + 1, sizeof(*p->file));
    if (!p->file)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < l->pieces; i++) {
        char path[64] = "model.safetensors";
        uint64_t bytes = am_plan_plus(header_of(&l->piece[i]), l->piece[i].data);
        if (l->pieces > 1)
            snprintf(path, sizeof(path), "model-%05zu-of-%05zu.safetensors", i + 1, l->pieces);
        AM_TRY(add_file(p, strdup(path), bytes));
        p->write_bytes = am_plan_plus(p->write_bytes, bytes);
    }
    return 0;
}

/* A changed file is read whole once more, to hash it; its header becomes a blob unless it is one. */
static int list_in_place(struct layout *l)
{
    struct am_plan *p = l->p;
    p->file = calloc(l->d->files + 1, sizeof(*p->file));
    if (!p->file)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < l->d->files; i++) {
        const struct donor_file *f = &l->file[i];
        const struct am_plan_file *was = &l->d->file[i];
        const struct piece *piece = &l->piece[f->piece];
        uint64_t made = f->fate == KEPT ? 0 : am_plan_plus(header_of(piece), piece->data);
        if (f->fate == CHANGED) {
            p->need.hashes = true;
            uint64_t header = was->assembled ? 0 : was->bytes - f->data;
            made = am_plan_plus(made, header);
            p->need.header = p->need.header > header ? p->need.header : header;
            p->read_bytes = am_plan_plus(p->read_bytes, was->bytes);
        }
        p->write_bytes = am_plan_plus(p->write_bytes, made);
        p->shared_bytes += f->fate == KEPT ? was->bytes : f->fate == CHANGED ? f->data - f->changed : 0;
        AM_TRY(add_file(p, strdup(was->path), f->fate == WHOLE ? made : was->bytes));
    }
    return 0;
}

/* What is copied is read, and takes windows as large as it is. */
static void note_copy(struct am_plan *p, const struct am_plan_tensor *t, bool compared)
{
    struct am_plan_need *need = &p->need;
    uint64_t window = t->bytes < AM_PLAN_COPY ? t->bytes : AM_PLAN_COPY;
    need->copies = am_plan_plus(need->copies, am_plan_windows(t->bytes, AM_PLAN_COPY));
    window = am_plan_line(window);
    need->out = need->out > window ? need->out : window;
    need->other = compared && need->other < window ? window : need->other;
    if (!compared) /* else it is charged already */
        p->read_bytes = am_plan_plus(p->read_bytes, t->bytes);
}

static int each_entry(void *arg, const struct am_plan_tensor *own)
{
    struct layout *l = arg;
    struct am_plan_tensor fitted;
    char shape[AM_SHAPE_TEXT];
    const struct am_plan_tensor *t = am_vocab_fit(l->p, own, &fitted, shape);
    struct look k = look_at(l, t);
    struct piece *p = piece_of(l, t, k.computed);
    bool compared = !am_plan_computed(t->dtype) && l->p->need.others;
    if (!k.computed && (p || compared))
        note_copy(l->p, t, compared);
    if (p)
        write_entry(l, p, t, &k);
    return 0;
}

static int lay_out(struct layout *l)
{
    AM_TRY(l->d->walk(l->d->ctx, false, tally, l));
    bool cut = l->shard_bytes != AM_SHARD_BYTES; /* anew: all is written */
    l->planned = !cut && l->d->assemble_fraction > 0 && !l->dtypes_change && settle_fates(l);
    AM_TRY(l->planned ? in_place(l) : by_shards(l));
    for (size_t i = 0; i < l->pieces; i++)
        place_dtypes(&l->piece[i]);
    AM_TRY(l->d->walk(l->d->ctx, false, each_entry, l));
    AM_TRY(check_headers(l));
    return l->planned ? list_in_place(l) : list_shards(l);
}

int am_plan_output(struct am_plan *p, const struct am_body *b, const struct am_plan_donor *donor, unsigned threads,
                   struct am_faults *faults)
{
    json_int_t shard = json_integer_value(json_object_get(b->options, "shard_bytes"));
    const char *out = am_plan_out_dtype(b);
    if (am_plan_is_adapter(b))
        return am_plan_adapter_output(p, b, threads);
    struct layout l = {.p = p, .b = b, .d = donor, .faults = faults, .out = out ? am_plan_dtype(out) : -1};
    l.shard_bytes = shard > 0 ? (uint64_t)shard : 0;
    l.file = calloc(donor->files + 1, sizeof(*l.file));
    p->write_bytes = p->shared_bytes = 0;
    int rc = l.file ? lay_out(&l) : -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; l.shard && i < l.pieces; i++)
        free(l.shard[i].name);
    free(l.shard);
    free(l.piece);
    free(l.file);
    p->dtype = p->dtype && !*p->dtype ? NULL : p->dtype;
    p->peak_memory_bytes = am_plan_memory(&p->need, threads);
    p->disk_bytes = am_plan_plus(am_plan_plus(p->write_bytes, l.records), AM_PLAN_DISK_EXTRA);
    return rc;
}

void am_plan_done(struct am_plan *p)
{
    for (size_t i = 0; i < p->files; i++)
        free(p->file[i].path);
    for (size_t i = 0; i < p->rows; i++)
        free(p->row[i].name);
    free(p->file);
    for (size_t i = 0; i < p->passed_n; i++)
        free(p->passed[i]);
    free(p->passed);
    p->file = NULL;
    p->passed = NULL;
    p->files = p->rows = p->passed_n = p->passed_cap = 0;
}
