/*
 * report_rows.c - the slices and the samples of a report, a page at a time, out of its stored files.
 */
#include "core/base/text.h"
#include "server/api/api.h"
#include "server/api/reports.h"
#include "server/reply.h"
#include "server/report_files.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_MAX = 1000, PAGE = 100 };

struct found {
    char slices[65], samples[65];
};

static int take_files(void *ctx, const struct am_report_row *p)
{
    struct found *f = ctx;
    snprintf(f->slices, sizeof f->slices, "%s", p->slices_sha256 ? p->slices_sha256 : "");
    snprintf(f->samples, sizeof f->samples, "%s", p->samples_sha256 ? p->samples_sha256 : "");
    return 0;
}

/* The page that is asked for (rows from *ret_first on), and the report's files. false: an answer was queued. */
static bool begin(struct am_req *r, int64_t *ret_limit, int64_t *ret_first, struct found *ret, int *ret_queued)
{
    int64_t after;
    struct am_db *db;
    if (!am_req_int(r, "limit", 1, PAGE_MAX, PAGE, ret_limit, ret_queued) ||
        !am_req_int(r, "after", 0, INT64_MAX - 1, -1, &after, ret_queued) || !(db = am_reader(r, ret_queued)))
        return false;
    *ret_first = after + 1;
    int rc = am_report_get(db, r->arg[0], take_files, ret);
    if (rc < 0)
        *ret_queued = am_reply_no_report(r, rc, r->arg[0]);
    return rc == 0;
}

static int refuse(struct am_req *r, int rc, json_t *data, const char *what)
{
    json_decref(data);
    return rc == -AM_E_STORE_DAMAGED
               ? am_reply_problem(r, AM_E_STORE_DAMAGED,
                                  "the stored %s of the report cannot be read; verify the store: POST /v1/admin/tasks "
                                  "{\"kind\":\"verify\"}",
                                  what)
               : am_reply_error(r, rc, "the report could not be read");
}

/* ---- slices ---- */

struct page {
    json_t *data;
    size_t limit;
};

static int add_slice(void *ctx, int64_t row, json_t *slice)
{
    struct page *p = ctx;
    json_object_set_new(slice, "row", json_integer(row));
    if (json_array_append(p->data, slice) < 0)
        return -AM_E_OUT_OF_MEMORY;
    return json_array_size(p->data) > p->limit; /* one too many says that there is more */
}

int am_api_report_slices(struct am_req *r)
{
    int queued = MHD_NO;
    int64_t limit, first;
    struct found f;
    if (!begin(r, &limit, &first, &f, &queued))
        return queued;
    struct page p = {.data = json_array(), .limit = (size_t)limit};
    int rc = f.slices[0] ? am_slices_walk(r->srv->store, f.slices, first, add_slice, &p) : 0; /* of a line: none */
    return rc < 0 ? refuse(r, rc, p.data, "slices") : am_reply_page(r, 0, p.data, limit, "row", "slices");
}

/* ---- samples ---- */

static bool read_cell(struct am_req *r, unsigned *ret, int *ret_queued)
{
    static const struct {
        const char *name;
        unsigned cells; /* bits in the order of core/compat/cells.h */
    } known[] = {{"both_right", 3}, {"negative", 4}, {"positive", 8}, {"both_wrong", 48}, {"changed", 2 | 4 | 8 | 32}};
    const char *cell = am_req_query(r, "cell");
    *ret = AM_CELLS_ALL;
    if (!cell)
        return true;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (am_streq(cell, known[i].name)) {
            *ret = known[i].cells;
            return true;
        }
    *ret_queued = am_reply_fault(r, AM_E_INVALID_REQUEST, "?cell",
                                 "cell must be both_right, negative, positive, both_wrong or changed");
    return false;
}

static int add_rows(const struct am_samples *s, const struct am_sample_filter *f, int64_t first, size_t max,
                    json_t *data)
{
    uint64_t *row = calloc(max, sizeof *row);
    int64_t n = row ? am_samples_find(s, f, (uint64_t)first, row, max) : -AM_E_OUT_OF_MEMORY;
    int rc = n < 0 ? (int)n : 0;
    for (int64_t i = 0; rc == 0 && i < n; i++) {
        json_t *o = am_samples_row(s, row[i], &rc);
        if (o && json_array_append_new(data, o) < 0)
            rc = -AM_E_OUT_OF_MEMORY;
    }
    free(row);
    return rc;
}

int am_api_report_samples(struct am_req *r)
{
    int queued = MHD_NO;
    int64_t limit, first;
    struct found found;
    struct am_sample_filter f = {.by = AM_ANY_SLICE};
    struct am_samples s = {.fd = -1};
    const char *slice = am_req_query(r, "slice");
    if (!read_cell(r, &f.cells, &queued) || !begin(r, &limit, &first, &found, &queued))
        return queued;
    if (!found.samples[0]) /* of a line: none */
        return am_reply_page(r, 0, json_array(), limit, "row", "samples");
    int rc = am_samples_open(&s, r->srv->store, found.samples);
    if (rc < 0)
        return refuse(r, rc, NULL, "samples");
    if (slice && !am_samples_slice(&s, slice, &f)) {
        am_samples_close(&s);
        return am_reply_fault(r, AM_E_INVALID_REQUEST, "?slice",
                              "the report has no slice %.200s; slice is key=value, and GET /v1/reports/%s/slices lists "
                              "them",
                              slice, r->arg[0]);
    }
    json_t *data = json_array();
    rc = add_rows(&s, &f, first, (size_t)limit + 1, data);
    am_samples_close(&s);
    return rc < 0 ? refuse(r, rc, data, "samples") : am_reply_page(r, 0, data, limit, "row", "samples");
}
