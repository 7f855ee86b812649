/*
 * spans.c - see spans.h. The content of an assembled file is hashed here, before anything is published: the last phase
 * of a job.
 */
#include "worker/spans.h"

#include "core/base/sys.h"
#include "core/base/text.h"
#include "core/tensor/assemble.h"
#include "worker/files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct putter {
    struct am_spans *j;
    int64_t *number; /* of the record `blob` of each input blob; -1: none yet */
    int64_t blobs;   /* records `blob` so far */
    uint64_t files, files_done, bytes, bytes_done;
};

static int progress(struct putter *p)
{
    am_reporter_progress(&p->j->s->report, &(struct am_progress){.phase = "hash",
                                                                 .unit = "files",
                                                                 .done = p->files_done,
                                                                 .total = p->files,
                                                                 .bytes_done = p->bytes_done,
                                                                 .bytes_total = p->bytes});
    return am_session_alive(p->j->s);
}

static int on_hashed(void *ctx, uint64_t bytes)
{
    struct putter *p = ctx;
    p->bytes_done += bytes;
    return progress(p);
}

/* The donor's file in the output, or NULL: it is unchanged. */
static const struct am_out_file *made_of(const struct am_output *out, uint32_t donor)
{
    for (size_t i = 0; i < out->files; i++)
        if (out->file[i].donor == donor)
            return &out->file[i];
    return NULL;
}

static int put_keep(const struct am_spans *j, const struct am_file *file)
{
    AM_TRY(am_result_weight(&j->s->result, file->sha256));
    return am_result_put(&j->s->result, json_pack("{s:s, s:s}", "record", "keep", "path", file->path));
}

static int put_staged_blob(struct putter *p, const char *staged, uint64_t bytes, const char *sha256)
{
    p->blobs++;
    return am_result_put(&p->j->s->result, json_pack("{s:s, s:s, s:I, s:s}", "record", "blob", "staged", staged,
                                                     "bytes", (json_int_t)bytes, "sha256", sha256));
}

static int put_input_blob(struct putter *p, size_t i)
{
    if (p->number[i] >= 0)
        return 0;
    p->number[i] = p->blobs++;
    return am_result_put(&p->j->s->result,
                         json_pack("{s:s, s:n, s:s}", "record", "blob", "staged", "sha256", p->j->spec->blob[i]));
}

static int put_span(struct putter *p, const struct am_span *s, int64_t blob)
{
    return am_result_put(&p->j->s->result,
                         json_pack("{s:s, s:I, s:I, s:I, s:I}", "record", "span", "at", (json_int_t)s->at, "blob",
                                   (json_int_t)blob, "offset", (json_int_t)s->offset, "bytes", (json_int_t)s->bytes));
}

static int put_tensors(const struct am_spans *j, uint32_t donor)
{
    const struct am_st *head = &j->donor->head[donor];
    for (size_t i = 0; i < head->n; i++) {
        const struct am_st_entry *e = &head->v[i];
        AM_TRY(am_result_put(&j->s->result, am_tensor_record(e->name, e->dtype, e->shape, e->rank, e->begin, e->end)));
    }
    return 0;
}

static int put_assembled(struct putter *p, uint32_t donor, const struct am_assembled *a,
                         const struct am_out_file *change)
{
    struct am_spans *j = p->j;
    struct am_staged file = {.lfs = true, .bytes = a->file.bytes};
    snprintf(file.sha256, sizeof(file.sha256), "%s", a->sha256);
    int64_t header = p->blobs;
    if (a->header >= 0)
        AM_TRY(put_staged_blob(p, a->header_staged, a->header_bytes, a->header_sha256));
    int64_t changed = p->blobs;
    AM_TRY(put_staged_blob(p, change->staged, change->bytes, change->sha256));
    for (size_t i = 0; i < a->file.spans; i++)
        if (a->file.span[i].fd != a->header && a->file.span[i].fd != a->change)
            AM_TRY(put_input_blob(p, (size_t)(a->file.span[i].fd - AM_FD_FIRST)));
    AM_TRY(am_result_put(&j->s->result, am_file_record(a->file.path, &file, true)));
    AM_TRY(am_result_weight(&j->s->result, a->sha256));
    for (size_t i = 0; i < a->file.spans; i++) {
        const struct am_span *s = &a->file.span[i];
        int64_t blob = s->fd == a->change ? changed : s->fd == a->header ? header : p->number[s->fd - AM_FD_FIRST];
        AM_TRY(put_span(p, s, blob));
    }
    return put_tensors(j, donor);
}

/* The bytes came out as they were: what was staged for them is of no use. */
static int forget(const struct am_spans *j, const struct am_assembled *a, const struct am_out_file *change)
{
    AM_TRY(am_sys_unlink(j->out->dir, change->staged));
    return a->header >= 0 ? am_sys_unlink(j->out->dir, a->header_staged) : 0;
}

static int put_changed(struct putter *p, uint32_t donor, const struct am_out_file *change)
{
    struct am_spans *j = p->j;
    const struct am_file *was = &j->donor->file[donor];
    struct am_assembled a;
    AM_TRY(am_assemble(&a, j->donor, donor, j->out, change, j->staged));
    j->staged += a.header >= 0;
    int rc = am_assembled_hash(&a, on_hashed, p);
    if (rc == 0 && am_streq(a.sha256, was->sha256)) {
        rc = forget(j, &a, change);
        rc = rc == 0 ? put_keep(j, was) : rc;
    } else if (rc == 0) {
        rc = put_assembled(p, donor, &a, change);
    }
    am_assembled_done(&a);
    p->files_done++;
    return rc == 0 ? progress(p) : rc;
}

static int put_file(struct putter *p, uint32_t donor)
{
    const struct am_out_file *f = made_of(p->j->out, donor);
    if (!f)
        return put_keep(p->j, &p->j->donor->file[donor]);
    return f->path ? am_weights_put(p->j->s, p->j->out, f) : put_changed(p, donor, f);
}

int am_weights_put(struct am_session *s, const struct am_output *out, const struct am_out_file *file)
{
    struct am_staged staged = {.lfs = true, .bytes = file->bytes};
    snprintf(staged.name, sizeof(staged.name), "%s", file->staged);
    snprintf(staged.sha256, sizeof(staged.sha256), "%s", file->sha256);
    AM_TRY(am_result_put(&s->result, am_file_record(file->path, &staged, true)));
    AM_TRY(am_result_weight(&s->result, file->sha256));
    for (size_t i = file->first; i < file->first + file->n; i++) {
        const struct am_st_out *t = &out->t[i].st;
        AM_TRY(am_result_put(&s->result, am_tensor_record(t->name, t->dtype, t->shape, t->rank, t->begin, t->end)));
    }
    return 0;
}

int am_spans_put(struct am_spans *j)
{
    struct putter p = {.j = j, .number = malloc((j->spec->blobs + 1) * sizeof(*p.number))};
    int rc = p.number ? 0 : -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; p.number && i < j->spec->blobs; i++)
        p.number[i] = -1;
    for (size_t i = 0; i < j->out->files; i++)
        if (!j->out->file[i].path) {
            p.files++;
            p.bytes += j->donor->file[j->out->file[i].donor].bytes;
        }
    for (uint32_t i = 0; rc == 0 && i < j->donor->files; i++)
        rc = put_file(&p, i);
    free(p.number);
    return rc;
}
