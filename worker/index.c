/*
 * index.c - mode `index`: reads an uploaded dataset, checks every row, and leaves in staging the dictionary of its ids,
 * the columns that rows are found and chosen by, and what the daemon keeps of it; and the content, when the upload came
 * as gzip. See index.h; the spec and the result are in contract.md.
 */
#include "worker/index.h"

#include "core/base/sys.h"
#include "core/base/text.h"
#include "worker/files.h"
#include "worker/limits.h"
#include "worker/session.h"
#include "worker/spec.h"
#include "worker/spec_parts.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

struct indexing {
    struct am_session *s;
    int upload, content; /* content: the upload itself, or what came out of it */
    bool gzip;
    uint64_t upload_bytes, content_bytes, content_max;
    char content_sha256[65];
    const char *phase;
    struct am_spec_fds fds;
    struct am_index x;
};

static int read_spec(struct indexing *p, json_t *root)
{
    struct am_faults *f = &p->s->faults;
    json_t *up = json_object_get(root, "upload"), *gzip = json_object_get(up, "gzip");
    const char *format = json_string_value(json_object_get(root, "format")),
               *ids = json_string_value(json_object_get(root, "ids"));
    AM_TRY(am_spec_head(root, f));
    if (am_spec_u64(up, "bytes", &p->upload_bytes) < 0 ||
        am_spec_fd(&p->fds, json_object_get(up, "fd"), &p->upload) < 0 || !json_is_boolean(gzip))
        return am_spec_bad(f, "#/upload", "must have fd, bytes and gzip");
    if (!am_streq(format, "safetensors") && !am_streq(format, "jsonl"))
        return am_spec_bad(f, "#/format", "must be safetensors or jsonl");
    if (!am_streq(ids, "own") && !am_streq(ids, "row"))
        return am_spec_bad(f, "#/ids", "must be own or row");
    if (am_spec_u64(json_object_get(root, "limits"), "content_bytes", &p->content_max) < 0)
        return am_spec_bad(f, "#/limits", "must have content_bytes");
    p->gzip = json_is_true(gzip);
    p->x.format = am_streq(format, "jsonl") ? AM_INDEX_JSONL : AM_INDEX_SAFETENSORS;
    p->x.row_ids = am_streq(ids, "row");
    p->x.f = f;
    return 0;
}

static int step(void *ctx, uint64_t rows, uint64_t bytes)
{
    struct indexing *p = ctx;
    am_reporter_progress(&p->s->report,
                         &(struct am_progress){.phase = p->phase,
                                               .unit = "rows",
                                               .done = rows,
                                               .bytes_done = bytes,
                                               .bytes_total = p->content_bytes ? p->content_bytes : p->upload_bytes});
    return am_session_alive(p->s);
}

static int read_content(void *ctx, void *buf, size_t n, uint64_t off)
{
    return am_sys_pread(((struct indexing *)ctx)->content, buf, n, off);
}

static int unpack(struct indexing *p)
{
    p->phase = "unpack";
    p->content = am_sys_open(p->s->staging, "f0", O_RDWR | O_CREAT | O_EXCL, 0600);
    AM_TRY(p->content);
    int rc = am_index_unpack(p->upload, p->content, p->content_max, step, p, &p->content_bytes, p->content_sha256);
    if (rc == -AM_E_TOO_LARGE)
        return am_fault_add(&p->s->faults, AM_E_TOO_LARGE, (struct am_where){.pointer = "#"},
                            "the upload unpacks to more than %llu bytes (limits.upload_bytes)",
                            (unsigned long long)p->content_max);
    return rc == -AM_E_MALFORMED_DATASET
               ? am_index_bad(&p->x, -1, NULL, "the gzip stream is broken or cut off; compress and send it again")
               : rc;
}

static int read_rows(struct indexing *p)
{
    const struct am_index_source src = {read_content, p, p->content_bytes, step};
    p->phase = "read";
    return p->x.format == AM_INDEX_JSONL ? am_index_lines(&p->x, &src) : am_index_tensors(&p->x, &src);
}

static int put_file(struct indexing *p, const char *path, const struct am_staged *s)
{
    return am_result_put(&p->s->result, am_file_record(path, s, false));
}

static int put_ids(struct indexing *p, const uint32_t *order, struct am_staged *ret, struct am_pack_counts *counts)
{
    struct am_pack_cols c = p->x.ids;
    c.n = p->x.n;
    AM_TRY(am_pack_write_ids(&c, order, p->s->staging, 1, ret, counts));
    return put_file(p, "ids.safetensors", ret);
}

static int put_rows(struct indexing *p, const uint32_t *order, const char *ids_sha256, json_t **ret_columns)
{
    struct am_staged s;
    AM_CLEANUP(am_buf_done) struct am_buf text;
    am_buf_init(&text, SIZE_MAX / 2);
    json_t *columns = NULL;
    AM_TRY(am_index_write_rows(&p->x, order, ids_sha256, &text, &columns));
    int rc = am_stage_bytes(&s, p->s->staging, 2, "rows.safetensors", text.data, text.len);
    if (rc == 0)
        rc = put_file(p, "rows.safetensors", &s);
    if (rc < 0)
        json_decref(columns);
    else
        *ret_columns = columns;
    return rc;
}

static int put_about(struct indexing *p, const json_t *columns, const struct am_pack_counts *ids)
{
    struct am_staged s;
    json_auto_t *about = am_index_about(&p->x, columns, ids);
    char *text = about ? json_dumps(about, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    size_t n = text ? strlen(text) : 0;
    int rc = !text ? -AM_E_OUT_OF_MEMORY
             : n > AM_INDEX_ABOUT_MAX
                 ? am_index_bad(&p->x, -1, NULL, "the names and values of its members are too long")
                 : am_stage_bytes(&s, p->s->staging, 3, "about.json", text, n);
    free(text);
    return rc < 0 ? rc : put_file(p, "about.json", &s);
}

static int put_content(struct indexing *p)
{
    struct am_staged s = {.name = "f0", .lfs = true, .bytes = p->content_bytes};
    memcpy(s.sha256, p->content_sha256, sizeof s.sha256);
    return p->gzip ? put_file(p, "content", &s) : 0;
}

static int put_result(struct indexing *p, const uint32_t *order)
{
    struct am_staged ids;
    struct am_pack_counts counts = {.ids = 0};
    json_auto_t *columns = NULL;
    p->phase = "write";
    AM_TRY(step(p, p->x.n, p->content_bytes));
    AM_TRY(am_index_fields_end(&p->x));
    AM_TRY(am_result_open(&p->s->result, p->s->staging));
    AM_TRY(am_result_put(&p->s->result, json_pack("{s:s,s:n}", "record", "model", "architecture")));
    AM_TRY(put_content(p));
    AM_TRY(put_ids(p, order, &ids, &counts));
    AM_TRY(put_rows(p, order, ids.sha256, &columns));
    return put_about(p, columns, &counts);
}

/* Ids that are there twice are told beside the faults of single rows. */
static int work(struct indexing *p)
{
    int twice = 0;
    p->content = p->upload;
    p->content_bytes = p->gzip ? 0 : p->upload_bytes;
    if (p->gzip)
        AM_TRY(unpack(p));
    int rc = read_rows(p);
    if (rc < 0 && (rc != -AM_E_MALFORMED_DATASET || p->x.n == 0))
        return rc;
    uint32_t *order = am_index_order(&p->x, &twice);
    if (rc == 0)
        rc = twice;
    if (rc == 0)
        rc = put_result(p, order);
    free(order);
    return rc;
}

int am_mode_index(struct am_session *s, json_t *root)
{
    struct indexing *p = calloc(1, sizeof *p);
    int other = -1, rc = p ? 0 : -AM_E_OUT_OF_MEMORY;
    if (rc == 0) {
        p->s = s;
        rc = read_spec(p, root);
    }
    if (rc == 0 && am_limits_check_fds(p->fds.v, p->fds.n, &other) < 0)
        rc = am_fault_add(&s->faults, AM_E_INTERNAL, (struct am_where){0}, "descriptor %d is open and not in the spec",
                          other);
    if (rc == 0)
        rc = work(p);
    if (p) {
        if (p->gzip)
            am_sys_closep(&p->content);
        am_index_done(&p->x);
        free(p->fds.v);
    }
    free(p);
    json_decref(root);
    return rc;
}
