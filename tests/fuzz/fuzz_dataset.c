/*
 * fuzz_dataset.c - libFuzzer over the readers of datasets (worker/index.h): any bytes, as JSON Lines and as
 * safetensors, with ids of their own and with row numbers, give rows or faults; and what is accepted keeps what the
 * columns rely on.
 */
#include "core/base/text.h"
#include "worker/index.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct source {
    const uint8_t *data;
    size_t size;
};

static void require(bool truth)
{
    if (!truth)
        abort();
}

static int read_source(void *ctx, void *buf, size_t n, uint64_t off)
{
    const struct source *s = ctx;
    if (off > s->size || n > s->size - off)
        return -AM_E_STORE_DAMAGED;
    memcpy(buf, s->data + off, n);
    return 0;
}

static void check_rows(const struct am_index *x, const uint32_t *order)
{
    struct am_pack_cols c = x->ids;
    c.n = x->n;
    require(x->n > 0 && x->f->total == 0);
    for (size_t i = 0; i < x->n; i++) {
        uint64_t n = c.id_at[i + 1] - c.id_at[i];
        require(n >= 1 && n <= AM_PACK_ID_MAX && am_utf8_ok(c.ids + c.id_at[i], (size_t)n));
        require(i == 0 || !am_pack_same_id(&c, order[i - 1], order[i]));
        require(x->label[i] == AM_INDEX_NO_LABEL || x->label[i] >= -1);
        require(x->format != AM_INDEX_JSONL || x->line[i] < x->line[i + 1]);
    }
}

static void check_columns(struct am_index *x, const uint32_t *order)
{
    struct am_buf out;
    json_t *columns = NULL;
    struct am_pack_counts counts = {.ids = x->n};
    struct am_st st = {0};
    struct am_faults f = {0};
    am_buf_init(&out, 64 << 20);
    require(am_index_fields_end(x) == 0);
    require(am_index_write_rows(x, order, "00", &out, &columns) == 0);
    struct source s = {(const uint8_t *)out.data, out.len};
    require(am_st_read(&st, read_source, &s, out.len, AM_ST_LIMITS_DEFAULT, "", &f) == 0);
    require(st.n == json_object_size(columns));
    json_t *about = am_index_about(x, columns, &counts);
    require(about && json_array_size(json_object_get(about, "fields")) == x->fields);
    json_decref(about);
    json_decref(columns);
    am_st_done(&st);
    am_faults_done(&f);
    am_buf_done(&out);
}

static void run(const uint8_t *data, size_t size, enum am_index_format format, bool row_ids)
{
    struct source src = {data, size};
    const struct am_index_source s = {.read = read_source, .ctx = &src, .bytes = size};
    struct am_faults f = {0};
    struct am_index *x = calloc(1, sizeof *x);
    int twice = 0;
    require(x);
    x->format = format;
    x->row_ids = row_ids;
    x->f = &f;
    int rc = format == AM_INDEX_JSONL ? am_index_lines(x, &s) : am_index_tensors(x, &s);
    require(rc == 0 || f.total > 0);
    uint32_t *order = x->n && (rc == 0 || rc == -AM_E_MALFORMED_DATASET) ? am_index_order(x, &twice) : NULL;
    require(rc < 0 || order || twice < 0);
    if (rc == 0 && order) {
        check_rows(x, order);
        check_columns(x, order);
    }
    free(order);
    am_index_done(x);
    free(x);
    am_faults_done(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int row_ids = 0; row_ids < 2; row_ids++) {
        run(data, size, AM_INDEX_JSONL, row_ids);
        run(data, size, AM_INDEX_SAFETENSORS, row_ids);
    }
    return 0;
}
