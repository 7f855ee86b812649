/*
 * pack.c - mode `pack`: reads an uploaded prediction set, checks every line, and leaves its columns, the dictionary of
 * its ids and its header in staging. See pack.h; the spec and the result are in contract.md.
 */
#include "worker/pack.h"

#include "core/base/sys.h"
#include "core/base/text.h"
#include "worker/files.h"
#include "worker/limits.h"
#include "worker/session.h"
#include "worker/spec.h"
#include "worker/spec_parts.h"

#include <stdlib.h>
#include <string.h>

enum { STEP_ROWS = 4096 };

struct pack {
    struct am_session *s;
    int fd;
    bool gzip;
    uint64_t bytes, budget;
    struct am_spec_fds fds;
    struct am_pack_input *in;
    struct am_pack_header h;
    struct am_pack_cols c;
    uint64_t rows; /* lines after the first, good or bad */
};

static int read_spec(struct pack *p, json_t *root)
{
    struct am_faults *f = &p->s->faults;
    json_t *up = json_object_get(root, "upload"), *gzip = json_object_get(up, "gzip");
    AM_TRY(am_spec_head(root, f));
    if (am_spec_u64(up, "bytes", &p->bytes) < 0 || am_spec_fd(&p->fds, json_object_get(up, "fd"), &p->fd) < 0 ||
        !json_is_boolean(gzip))
        return am_spec_bad(f, "#/upload", "must have fd, bytes and gzip");
    p->gzip = json_is_true(gzip);
    if (am_spec_u64(json_object_get(root, "limits"), "memory_bytes", &p->budget) < 0)
        return am_spec_bad(f, "#/limits", "must have memory_bytes");
    return 0;
}

static ssize_t read_upload(void *ctx, void *buf, size_t n)
{
    return am_sys_read(((struct pack *)ctx)->fd, buf, n);
}

static int step(struct pack *p, const char *phase)
{
    am_reporter_progress(&p->s->report, &(struct am_progress){.phase = phase,
                                                              .unit = "rows",
                                                              .done = p->rows,
                                                              .total = p->h.n,
                                                              .bytes_done = am_pack_bytes_read(p->in),
                                                              .bytes_total = p->bytes});
    return am_session_alive(p->s);
}

/* What reading a line can end in, as a fault where it is the upload's. */
static int fault_of(struct pack *p, int rc)
{
    struct am_faults *f = &p->s->faults;
    uint64_t line = am_pack_line_number(p->in);
    if (rc == -AM_E_TOO_LARGE)
        return am_pack_bad(f, line, NULL, "longer than %d bytes", AM_PACK_LINE_MAX);
    if (rc == -AM_E_MALFORMED_PREDICTIONS)
        return am_pack_bad(f, line + 1, NULL, "the gzip stream is broken or cut off here; compress and send it again");
    return rc;
}

static int read_header(struct pack *p)
{
    const char *line;
    size_t n;
    int rc = am_pack_next(p->in, &line, &n);
    if (rc < 0)
        return fault_of(p, rc);
    if (rc == 0)
        return am_pack_bad(&p->s->faults, 1, NULL, "the body is empty; the first line is the header");
    rc = am_pack_header_read(&p->h, line, n, &p->s->faults);
    p->c = (struct am_pack_cols){.h = &p->h, .budget = p->budget};
    return rc;
}

/* A bad row costs a fault, not the reading of the others. */
static int take_row(struct pack *p, const char *line, size_t n)
{
    struct am_pack_row row;
    uint64_t number = am_pack_line_number(p->in);
    int rc = am_pack_row_read(&row, line, n, number, &p->h, &p->s->faults);
    if (rc < 0)
        return rc;
    rc = am_pack_cols_add(&p->c, &row, number, &p->s->faults);
    am_pack_row_done(&row);
    return rc;
}

static int read_rows(struct pack *p)
{
    const char *line;
    size_t n;
    int rc;
    while ((rc = am_pack_next(p->in, &line, &n)) != 0) {
        if (rc < 0 && rc != -AM_E_TOO_LARGE)
            return fault_of(p, rc); /* nothing more can be read */
        p->rows++;
        rc = rc > 0 ? take_row(p, line, n) : fault_of(p, rc);
        if (rc < 0 && rc != -AM_E_MALFORMED_PREDICTIONS)
            return rc;
        if (p->rows > AM_PACK_ROWS_MAX)
            return am_pack_bad(&p->s->faults, p->rows + 1, NULL, "a set has at most %d rows", AM_PACK_ROWS_MAX);
        if (p->rows % STEP_ROWS == 0)
            AM_TRY(step(p, "read"));
    }
    if (p->rows != p->h.n)
        am_pack_bad(&p->s->faults, 1, "n", "n says %llu, and %llu lines follow: the upload is not whole, or n is wrong",
                    (unsigned long long)p->h.n, (unsigned long long)p->rows);
    return p->s->faults.total ? -AM_E_MALFORMED_PREDICTIONS : 0;
}

static int put_metric(struct pack *p, const char *name, uint64_t value)
{
    return am_result_put(&p->s->result,
                         json_pack("{s:s,s:s,s:I}", "record", "metric", "name", name, "value", (json_int_t)value));
}

static int put_file(struct pack *p, const char *path, const struct am_staged *s)
{
    return am_result_put(&p->s->result, am_file_record(path, s, false));
}

static int put_header(struct pack *p)
{
    struct am_staged s;
    char *text = json_dumps(p->h.json, JSON_COMPACT | JSON_SORT_KEYS);
    int rc = text ? am_stage_bytes(&s, p->s->staging, 2, "header.json", text, strlen(text)) : -AM_E_OUT_OF_MEMORY;
    free(text);
    return rc < 0 ? rc : put_file(p, "header.json", &s);
}

static int put_result(struct pack *p, const uint32_t *order)
{
    struct am_staged file[2];
    struct am_pack_counts counts;
    AM_TRY(am_pack_write(&p->c, order, p->s->staging, 0, file, &counts));
    AM_TRY(am_result_open(&p->s->result, p->s->staging));
    AM_TRY(am_result_put(&p->s->result, json_pack("{s:s,s:n}", "record", "model", "architecture")));
    AM_TRY(put_file(p, "ids.safetensors", &file[0]));
    AM_TRY(put_file(p, "packed.safetensors", &file[1]));
    AM_TRY(put_header(p));
    AM_TRY(put_metric(p, "rows", p->c.n));
    AM_TRY(put_metric(p, "ids", counts.ids));
    AM_TRY(put_metric(p, "offsets_at", counts.offsets_at));
    AM_TRY(put_metric(p, "bytes_at", counts.bytes_at));
    AM_TRY(put_metric(p, "row_at", counts.row_at));
    AM_TRY(put_metric(p, "columns", counts.columns));
    if (counts.y_at)
        AM_TRY(put_metric(p, "y_at", counts.y_at));
    return counts.correct < 0 ? 0 : put_metric(p, "correct", (uint64_t)counts.correct);
}

/* Ids that are there twice are told beside the faults of single lines. */
static int pack(struct pack *p)
{
    int rc, twice = 0;
    AM_TRY(read_header(p));
    rc = read_rows(p);
    if (rc < 0 && rc != -AM_E_MALFORMED_PREDICTIONS)
        return rc;
    AM_TRY(step(p, "sort"));
    uint32_t *order = am_pack_order(&p->c, &p->s->faults, &twice);
    if (rc == 0)
        rc = twice;
    if (rc == 0)
        rc = step(p, "write");
    if (rc == 0)
        rc = put_result(p, order);
    free(order);
    return rc;
}

int am_mode_pack(struct am_session *s, json_t *root)
{
    struct pack p = {.s = s};
    int other = -1, rc = read_spec(&p, root);
    if (rc == 0 && am_limits_check_fds(p.fds.v, p.fds.n, &other) < 0)
        rc = am_fault_add(&s->faults, AM_E_INTERNAL, (struct am_where){0}, "descriptor %d is open and not in the spec",
                          other);
    if (rc == 0 && !(p.in = am_pack_input_new(read_upload, &p, p.gzip, AM_PACK_LINE_MAX)))
        rc = -AM_E_OUT_OF_MEMORY;
    if (rc == 0)
        rc = pack(&p);
    am_pack_input_free(p.in);
    am_pack_cols_done(&p.c);
    am_pack_header_done(&p.h);
    free(p.fds.v);
    json_decref(root);
    return rc;
}
