/*
 * result_spans.c - the records `blob` and `span`: what an assembled file is read from. Spans name blobs by their place
 * in the result, so each is looked at once.
 */
#include "core/base/grow.h"
#include "core/base/text.h"
#include "server/result_parts.h"

static int check_blob(struct am_result_reader *p, json_t *o, struct am_result_blob *b)
{
    const char *sha = am_result_text_of(o, "sha256"), *staged = am_result_text_of(o, "staged");
    json_t *name = json_object_get(o, "staged");
    b->bytes = -1;
    if (!sha || !am_is_hex(sha, AM_SHA256_LEN))
        return am_result_refuse(p, "the sha256 of a blob is not 64 hex digits");
    if (json_is_null(name))
        return 0;
    if (!staged || !am_plain_name_ok(staged) || am_streq(staged, AM_RESULT_NAME))
        return am_result_refuse(p, "the staged name of a blob is not a plain name");
    if (!am_result_count_of(o, "bytes", &b->bytes))
        return am_result_refuse(p, "\"bytes\" of the blob %.100s is missing or no count", staged);
    return 0;
}

int am_result_take_blob(struct am_result_reader *p, json_t *o)
{
    struct am_result *r = p->r;
    struct am_result_blob b = {.staged = NULL};
    AM_TRY(check_blob(p, o, &b));
    if (r->blobs >= AM_RESULT_BLOBS_MAX)
        return am_result_refuse(p, "more than %d blobs", AM_RESULT_BLOBS_MAX);
    b.sha256 = am_result_text(p, am_result_text_of(o, "sha256"));
    if (b.bytes >= 0)
        b.staged = am_result_text(p, am_result_text_of(o, "staged"));
    if (!b.sha256 || (b.bytes >= 0 && !b.staged))
        return -AM_E_OUT_OF_MEMORY;
    AM_TRY(am_grow(&r->blob, r->blobs, &p->blob_cap, sizeof *r->blob));
    r->blob[r->blobs++] = b;
    return 0;
}

static int check_span(struct am_result_reader *p, json_t *o, struct am_result_span *s, int64_t *ret_end)
{
    struct am_result *r = p->r;
    struct am_result_file *f = r->files ? &r->file[r->files - 1] : NULL;
    int64_t at = 0, blob = 0, end = 0;
    if (!f || f->staged)
        return am_result_refuse(p, "a span that belongs to no assembled file");
    if (!am_result_count_of(o, "at", &at) || !am_result_count_of(o, "blob", &blob) ||
        !am_result_count_of(o, "offset", &s->offset) || !am_result_count_of(o, "bytes", &s->bytes))
        return am_result_refuse(p, "a span of %.200s without at, blob, offset and bytes", f->path);
    if ((size_t)blob >= r->blobs)
        return am_result_refuse(p, "a span of %.200s is of blob %lld, and %zu are named", f->path, (long long)blob,
                                r->blobs);
    s->blob = (size_t)blob;
    const struct am_result_blob *b = &r->blob[s->blob];
    if (at != f->filled || s->bytes == 0 || s->bytes > f->bytes - at)
        return am_result_refuse(p, "the spans of %.200s do not tile it: one begins at %lld", f->path, (long long)at);
    if (__builtin_add_overflow(s->offset, s->bytes, &end) || (b->staged && end > b->bytes))
        return am_result_refuse(p, "a span of %.200s reaches beyond its blob", f->path);
    *ret_end = end;
    return 0;
}

/* One more blob behind the last file, unless it was one before. */
static int count_behind(struct am_result_reader *p, struct am_result_blob *b)
{
    struct am_result *r = p->r;
    struct am_result_file *f = &r->file[r->files - 1];
    if (b->file == r->files)
        return 0;
    b->file = r->files;
    if (++f->behind > AM_RESULT_BEHIND_MAX)
        return am_result_refuse(p, "%.200s is made of more than %d blobs", f->path, AM_RESULT_BEHIND_MAX);
    return 0;
}

int am_result_take_span(struct am_result_reader *p, json_t *o)
{
    struct am_result *r = p->r;
    struct am_result_span s = {0};
    int64_t end = 0;
    AM_TRY(check_span(p, o, &s, &end));
    struct am_result_blob *b = &r->blob[s.blob];
    AM_TRY(count_behind(p, b));
    if (r->spans >= AM_RESULT_SPANS_MAX)
        return am_result_refuse(p, "more than %d spans", AM_RESULT_SPANS_MAX);
    AM_TRY(am_grow(&r->span, r->spans, &p->span_cap, sizeof *r->span));
    struct am_result_file *f = &r->file[r->files - 1];
    if (f->spans++ == 0)
        f->first_span = r->spans;
    f->filled += s.bytes;
    b->end = end > b->end ? end : b->end;
    r->span[r->spans++] = s;
    return 0;
}
