/*
 * dataset_samples.c - GET D/versions/{rev}/samples: rows by id, or in order. Lines of JSON go out as they were
 * uploaded; of tensors what the index knows: id, row, label, shape.
 */
#include "core/base/sys.h"
#include "core/base/text.h"
#include "server/api/api.h"
#include "server/api/datasets.h"
#include "server/data.h"
#include "server/reply.h"
#include "storage/blobs.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 100, PAGE_BYTES = 4 << 20, LINE_MAX_ = 1 << 20 };

struct page {
    struct am_data s;
    struct am_column line, label;
    bool has_label;
    int content; /* of lines */
    struct am_buf out;
    size_t rows;
};

static void page_done(struct page *p)
{
    am_data_done(&p->s);
    am_sys_closep(&p->content);
    am_buf_done(&p->out);
}

static int put_line(struct page *p, uint64_t row)
{
    uint64_t from, to;
    AM_TRY(am_column_get(&p->line, row, &from));
    AM_TRY(am_column_get(&p->line, row + 1, &to));
    if (to < from || to - from > LINE_MAX_ + 1)
        return -AM_E_STORE_DAMAGED;
    char *text = malloc((size_t)(to - from) + 1);
    int rc = text ? am_sys_pread(p->content, text, (size_t)(to - from), from) : -AM_E_OUT_OF_MEMORY;
    size_t n = (size_t)(to - from);
    while (rc == 0 && n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    if (rc == 0)
        rc = am_buf_put(&p->out, text, n);
    free(text);
    return rc;
}

/* The shape of one sample. */
static json_t *shape_of(const struct am_data *s)
{
    json_t *fields = json_object_get(s->about, "fields"), *f, *v, *shape = json_array();
    size_t i, k;
    json_array_foreach(fields, i, f)
    {
        if (!am_streq(json_string_value(json_object_get(f, "name")), "inputs"))
            continue;
        json_array_foreach(json_object_get(f, "shape"), k, v)
        {
            if (k)
                json_array_append(shape, v);
        }
    }
    return shape;
}

static int put_tensor_row(struct page *p, uint64_t row)
{
    char id[AM_SAMPLE_ID_MAX + 1];
    uint32_t entry;
    int32_t label = AM_SAMPLE_NO_LABEL;
    AM_TRY(am_column_get(&p->s.entry, row, &entry));
    AM_TRY(am_ids_get(&p->s.ids, entry, id));
    if (p->has_label)
        AM_TRY(am_column_get(&p->label, entry, &label));
    json_auto_t *o =
        json_pack("{s:s, s:I, s:o, s:o}", "id", id, "row", (json_int_t)row, "label",
                  label == AM_SAMPLE_NO_LABEL ? json_null() : json_integer(label), "shape", shape_of(&p->s));
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    int rc = text ? am_buf_puts(&p->out, text) : -AM_E_OUT_OF_MEMORY;
    free(text);
    return rc;
}

static int put_row(struct page *p, uint64_t row)
{
    if (p->rows++)
        AM_TRY(am_buf_puts(&p->out, ","));
    return p->s.lines ? put_line(p, row) : put_tensor_row(p, row);
}

static int open_content(struct page *p, struct am_req *r)
{
    int rc = am_data_column(&p->s, "label", &p->label);
    p->has_label = rc == 0;
    if (rc < 0 && rc != -AM_E_NOT_FOUND)
        return rc;
    if (!p->s.lines)
        return 0;
    AM_TRY(am_data_column(&p->s, "line", &p->line));
    p->content = am_blob_open(r->srv->store, p->s.sha256);
    return p->content < 0 ? -AM_E_STORE_DAMAGED : 0;
}

/* ---- by id ---- */

struct wanted {
    struct page *p;
    struct am_faults f;
    size_t n;
    int rc;
};

static int want(void *ctx, const char *name, const char *value)
{
    struct wanted *w = ctx;
    uint64_t entry;
    uint32_t row;
    if (!am_streq(name, "id") || w->rc < 0)
        return 0;
    if (w->n++ >= ROWS_MAX)
        return 0;
    w->rc = am_ids_find(&w->p->s.ids, value, 0, &entry);
    if (w->rc == 0)
        am_fault_add(&w->f, AM_E_NOT_FOUND, (struct am_where){.pointer = "?id"}, "there is no sample %.128s", value);
    if (w->rc <= 0)
        return 0;
    w->rc = w->p->out.len < PAGE_BYTES ? am_column_get(&w->p->s.row, entry, &row) : -AM_E_TOO_LARGE;
    if (w->rc == 0)
        w->rc = put_row(w->p, row);
    return 0;
}

static int finish(struct am_req *r, struct page *p, int rc, int64_t next)
{
    char cursor[32] = "null";
    if (next >= 0)
        snprintf(cursor, sizeof cursor, "\"%" PRId64 "\"", next);
    if (rc == 0)
        rc = am_buf_printf(&p->out, "],\"has_more\":%s,\"next\":%s}", next >= 0 ? "true" : "false", cursor);
    size_t n = p->out.len;
    return rc < 0 ? am_reply_error(r, rc, "the samples could not be read")
                  : am_reply_text(r, "application/json", am_buf_take(&p->out), n);
}

static int reply_by_id(struct am_req *r, struct page *p)
{
    struct wanted w = {.p = p};
    am_req_query_each(r, want, &w);
    if (w.n > ROWS_MAX) {
        am_faults_done(&w.f);
        return am_reply_fault(r, AM_E_INVALID_REQUEST, "?id", "at most %d ids in one request", ROWS_MAX);
    }
    if (w.f.total)
        return am_reply_faults(r, &w.f);
    if (w.rc == -AM_E_TOO_LARGE)
        return am_reply_fault(r, AM_E_TOO_LARGE, "?id",
                              "the samples of these ids are longer than %d MiB; ask for fewer", PAGE_BYTES >> 20);
    return finish(r, p, w.rc < 0 ? w.rc : 0, -1);
}

/* ---- in order ---- */

/* A page ends at its number of rows, or when its text is long. */
static int reply_in_order(struct am_req *r, struct page *p, int64_t after, int64_t limit)
{
    int64_t row = after + 1;
    int rc = 0;
    for (; rc == 0 && row < p->s.rows && row <= after + limit && p->out.len < PAGE_BYTES; row++)
        rc = put_row(p, (uint64_t)row);
    return finish(r, p, rc, row < p->s.rows ? row - 1 : -1);
}

int am_api_dataset_samples(struct am_req *r)
{
    int queued = MHD_NO;
    int64_t version, limit, after;
    char why[300];
    if (!am_req_int(r, "limit", 1, ROWS_MAX, 20, &limit, &queued) ||
        !am_req_int(r, "after", 0, INT64_MAX - 1000, -1, &after, &queued) ||
        am_find_dataset_version(r, &version, &queued) < 0)
        return queued;
    AM_CLEANUP(page_done) struct page p = {.content = -1};
    am_buf_init(&p.out, PAGE_BYTES + 2 * (size_t)LINE_MAX_);
    int rc = am_data_open(&p.s, r->srv->store, version, why, sizeof why);
    if (rc < 0)
        return am_reply_error(r, rc, why);
    rc = open_content(&p, r);
    if (rc == 0)
        rc = am_buf_puts(&p.out, "{\"object\":\"list\",\"data\":[");
    if (rc < 0)
        return am_reply_error(r, rc, "the samples could not be read");
    return am_req_query(r, "id") ? reply_by_id(r, &p) : reply_in_order(r, &p, after, limit);
}
