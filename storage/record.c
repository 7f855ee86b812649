/*
 * record.c - the text a commit id is the hash of, and the hash of a manifest. Pure: no SQL.
 */
#include "storage/models_priv.h"

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/hash.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RECORD_MAX (32u << 20)

static const char *or_dash(const char *s)
{
    return s && *s ? s : "-";
}

static int head(struct am_buf *b, const struct am_record *r)
{
    char time[AM_TIME_TEXT], message[65];
    am_time_text(r->now, time);
    am_sha256_hex(r->message, strlen(r->message), message);
    AM_TRY(am_buf_printf(b, "am-commit/1\nmodel %s\n", r->model));
    if (r->parent)
        AM_TRY(am_buf_printf(b, "parent %s\n", r->parent));
    return am_buf_printf(b, "time %s\nauthor %s\njob %s\nmessage %s\n", time, or_dash(r->author), or_dash(r->job),
                         message);
}

static int body(struct am_buf *record, struct am_buf *manifest, const struct am_record *r)
{
    for (size_t i = 0; i < r->files; i++) {
        const struct am_file_new *f = r->file[i];
        const char *etag = f->git_sha1 ? f->git_sha1 : f->sha256;
        AM_TRY(am_buf_printf(record, "file %s %" PRId64 " %s\n", etag, f->bytes, f->path));
        AM_TRY(am_buf_printf(manifest, "%s %" PRId64 " %s\n", f->sha256, f->bytes, f->path));
    }
    return 0;
}

int am_record_make(const struct am_record *r, struct am_record_out *ret)
{
    AM_CLEANUP(am_buf_done) struct am_buf record, manifest;
    am_buf_init(&record, RECORD_MAX);
    am_buf_init(&manifest, RECORD_MAX);
    AM_TRY(head(&record, r));
    AM_TRY(body(&record, &manifest, r));
    struct am_record_out out;
    char full[65];
    am_sha256_hex(record.data, record.len, full);
    memcpy(out.commit, full, 40);
    out.commit[40] = '\0';
    am_sha256_hex(manifest.len ? manifest.data : "", manifest.len, out.manifest);
    out.text = am_buf_take(&record);
    if (!out.text)
        return -AM_E_OUT_OF_MEMORY;
    *ret = out;
    return 0;
}
