/*
 * fuzz_predictions.c - libFuzzer over the reader of prediction sets: any bytes, plain and as gzip, give rows or faults
 * with line numbers, the same whichever way they are cut into reads; and what is accepted keeps what the packing relies
 * on.
 */
#include "core/base/text.h"
#include "worker/pack.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct source {
    const uint8_t *data;
    size_t size, piece;
};

struct seen {
    uint64_t lines, good;
    size_t faults;
    int end;
};

static void require(bool truth)
{
    if (!truth)
        abort();
}

static ssize_t read_source(void *ctx, void *buf, size_t n)
{
    struct source *s = ctx;
    size_t k = s->size < s->piece ? s->size : s->piece;
    k = k < n ? k : n;
    memcpy(buf, s->data, k);
    s->data += k;
    s->size -= k;
    return (ssize_t)k;
}

static void check_row(const struct am_pack_row *r, const struct am_pack_header *h)
{
    require(r->id && *r->id && strlen(r->id) <= AM_PACK_ID_MAX && r->w > 0 && r->k >= 0);
    require(r->top <= AM_PACK_TOP_MAX && r->ok >= -1 && r->ok <= 1);
    if (r->y.kind == AM_PACK_INT)
        require(r->y.number >= 0 && (!h->labels || (size_t)r->y.number < h->labels));
    if (r->p.kind == AM_PACK_INT)
        require(r->p.number >= -1 && (!h->labels || r->p.number < (int64_t)h->labels));
    require(!r->y.kind || !r->p.kind || r->y.kind == r->p.kind);
}

static void check_order(const struct am_pack_cols *c, struct am_faults *f)
{
    int rc = 0;
    uint32_t *order = am_pack_order(c, f, &rc);
    require(order || (rc < 0 && f->total > 0));
    for (size_t i = 1; order && i < c->n; i++)
        require(c->col[AM_COL_K] || !am_pack_same_id(c, order[i - 1], order[i]));
    free(order);
}

static void take_lines(struct am_pack_input *in, const struct am_pack_header *h, struct am_faults *f, struct seen *ret)
{
    struct am_pack_cols c = {.h = h, .budget = 64 << 20};
    const char *line;
    size_t n;
    int rc;
    while ((rc = am_pack_next(in, &line, &n)) != 0 && (rc > 0 || rc == -AM_E_TOO_LARGE)) {
        struct am_pack_row row;
        size_t before = f->total;
        ret->lines++;
        require(am_pack_line_number(in) == ret->lines + 1);
        if (rc < 0)
            continue;
        require(n <= AM_PACK_LINE_MAX);
        if (am_pack_row_read(&row, line, n, am_pack_line_number(in), h, f) < 0) {
            require(f->total > before);
            continue;
        }
        check_row(&row, h);
        ret->good += am_pack_cols_add(&c, &row, am_pack_line_number(in), f) == 0;
        am_pack_row_done(&row);
    }
    ret->end = rc;
    require(c.n == ret->good);
    check_order(&c, f);
    am_pack_cols_done(&c);
}

static struct seen run(const uint8_t *data, size_t size, size_t piece, bool gzip)
{
    struct source s = {data, size, piece};
    struct am_pack_header h = {0};
    struct am_faults f = {0};
    struct seen seen = {0};
    const char *line;
    size_t n;
    struct am_pack_input *in = am_pack_input_new(read_source, &s, gzip, AM_PACK_LINE_MAX);
    require(in);
    seen.end = am_pack_next(in, &line, &n);
    if (seen.end > 0 && am_pack_header_read(&h, line, n, &f) == 0)
        take_lines(in, &h, &f, &seen);
    seen.faults = f.total;
    am_pack_header_done(&h);
    am_faults_done(&f);
    am_pack_input_free(in);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int gzip = 0; gzip < 2; gzip++) {
        struct seen whole = run(data, size, size ? size : 1, gzip), pieces = run(data, size, 7, gzip);
        require(whole.lines == pieces.lines && whole.good == pieces.good && whole.faults == pieces.faults &&
                whole.end == pieces.end);
    }
    return 0;
}
