/*
 * data.c - see data.h.
 */
#include "server/data.h"

#include "core/base/sys.h"
#include "core/base/text.h"
#include "server/json.h"
#include "storage/blobs.h"
#include "storage/datasets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int am_column_open(struct am_column *ret, int fd, uint64_t bytes, int64_t at, unsigned size, uint64_t n)
{
    if (at < 0 || (uint64_t)at > bytes || n > (bytes - (uint64_t)at) / size)
        return -AM_E_STORE_DAMAGED;
    ret->fd = fd;
    ret->at = (uint64_t)at;
    ret->n = n;
    ret->size = size;
    ret->first = ret->have = 0;
    return 0;
}

int am_column_get(struct am_column *c, uint64_t i, void *ret)
{
    if (i >= c->n)
        return -AM_E_STORE_DAMAGED;
    if (i < c->first || i >= c->first + c->have) {
        uint64_t room = sizeof c->window / c->size, n = c->n - i < room ? c->n - i : room;
        c->have = 0;
        AM_TRY(am_sys_pread(c->fd, c->window, (size_t)n * c->size, c->at + i * c->size));
        c->first = i;
        c->have = n;
    }
    memcpy(ret, c->window + (i - c->first) * c->size, c->size);
    return 0;
}

/* ---- ids ---- */

int am_ids_open(struct am_ids *ret, int fd, uint64_t file_bytes, int64_t offsets_at, int64_t bytes_at, uint64_t n)
{
    uint64_t end = 0;
    AM_TRY(am_column_open(&ret->offset, fd, file_bytes, offsets_at, 8, n + 1));
    AM_TRY(am_column_get(&ret->offset, n, &end));
    AM_TRY(am_column_open(&ret->bytes, fd, file_bytes, bytes_at, 1, end));
    ret->n = n;
    return 0;
}

int am_ids_get(struct am_ids *d, uint64_t i, char ret[AM_SAMPLE_ID_MAX + 1])
{
    uint64_t from, to;
    AM_TRY(am_column_get(&d->offset, i, &from));
    AM_TRY(am_column_get(&d->offset, i + 1, &to));
    if (to < from || to - from > AM_SAMPLE_ID_MAX)
        return -AM_E_STORE_DAMAGED;
    for (uint64_t k = from; k < to; k++)
        AM_TRY(am_column_get(&d->bytes, k, &ret[k - from]));
    ret[to - from] = 0;
    return 0;
}

static int compare(struct am_ids *d, uint64_t i, const char *id, int *ret)
{
    char text[AM_SAMPLE_ID_MAX + 1];
    AM_TRY(am_ids_get(d, i, text));
    *ret = strcmp(text, id);
    return 0;
}

/* Steps that double, then halves: the next one of a sorted list is a step away. */
int am_ids_find(struct am_ids *d, const char *id, uint64_t from, uint64_t *ret)
{
    uint64_t low = from, high = from, step = 1;
    int c = -1;
    while (high < d->n) { /* all before `low` are below */
        AM_TRY(compare(d, high, id, &c));
        if (c >= 0)
            break;
        low = high + 1;
        high = d->n - high > step ? high + step : d->n;
        step *= 2;
    }
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        AM_TRY(compare(d, mid, id, &c));
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *ret = low;
    if (low >= d->n)
        return 0;
    AM_TRY(compare(d, low, id, &c));
    return c == 0;
}

/* ---- a version ---- */

struct files {
    struct am_data *s;
    char rows_sha256[65];
    int64_t ids_bytes;
};

static int take_version(void *ctx, const struct am_dataset_version_row *v)
{
    struct files *f = ctx;
    struct am_data *s = f->s;
    s->version = v->id;
    s->number = v->number;
    s->rows = v->rows;
    s->layout = v->layout;
    s->lines = am_streq(v->format, "jsonl");
    s->rows_bytes = (uint64_t)v->rows_bytes;
    f->ids_bytes = v->ids_bytes;
    snprintf(s->dataset, sizeof s->dataset, "%s", v->dataset);
    snprintf(s->sha256, sizeof s->sha256, "%s", v->sha256);
    snprintf(s->ids_sha256, sizeof s->ids_sha256, "%s", v->ids_sha256);
    snprintf(f->rows_sha256, sizeof f->rows_sha256, "%s", v->rows_sha256 ? v->rows_sha256 : "");
    return 0;
}

static int64_t place_of(const struct am_data *s, const char *name)
{
    const json_t *at = json_object_get(json_object_get(s->about, "columns"), name);
    return json_is_integer(at) ? (int64_t)json_integer_value(at) : -1;
}

static int open_columns(struct am_data *s, uint64_t ids_bytes)
{
    uint64_t n = (uint64_t)s->rows;
    AM_TRY(am_ids_open(&s->ids, s->ids_fd, ids_bytes, place_of(s, "ids.offsets"), place_of(s, "ids.bytes"), n));
    AM_TRY(am_column_open(&s->row, s->rows_fd, s->rows_bytes, place_of(s, "row"), 4, n));
    return am_column_open(&s->entry, s->rows_fd, s->rows_bytes, place_of(s, "entry"), 4, n);
}

static int open_files(struct am_data *s, struct am_store *store, int64_t version, char *why, size_t why_cap)
{
    struct am_db *db = am_store_read(store);
    struct files f = {.s = s};
    char *about = NULL;
    if (!db)
        return -AM_E_INTERNAL;
    AM_TRY(am_dataset_version_get(db, version, take_version, &f));
    AM_TRY(am_dataset_about(db, version, &about));
    s->about = am_json_stored(about);
    free(about);
    s->ids_fd = am_blob_open(store, s->ids_sha256);
    s->rows_fd = am_blob_open(store, f.rows_sha256);
    int rc = s->ids_fd < 0 || s->rows_fd < 0 ? -AM_E_STORE_DAMAGED : open_columns(s, (uint64_t)f.ids_bytes);
    if (rc == -AM_E_STORE_DAMAGED)
        snprintf(why, why_cap, "the index of %s@v%lld is missing or broken; restore it from a backup", s->dataset,
                 (long long)s->number);
    return rc;
}

int am_data_open(struct am_data *ret, struct am_store *store, int64_t version, char *why, size_t why_cap)
{
    *ret = (struct am_data){.ids_fd = -1, .rows_fd = -1};
    snprintf(why, why_cap, "the samples could not be read");
    int rc = open_files(ret, store, version, why, why_cap);
    if (rc < 0)
        am_data_done(ret);
    return rc;
}

int am_data_column(const struct am_data *s, const char *name, struct am_column *ret)
{
    int64_t at = place_of(s, name);
    bool line = am_streq(name, "line");
    if (at < 0)
        return -AM_E_NOT_FOUND;
    return am_column_open(ret, s->rows_fd, s->rows_bytes, at, line ? 8 : 4, (uint64_t)s->rows + line);
}

int64_t am_data_rank(const json_t *texts, const char *text)
{
    size_t low = 0, high = json_array_size(texts);
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int d = strcmp(json_string_value(json_array_get(texts, mid)), text);
        if (d == 0)
            return (int64_t)mid;
        if (d < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return -1;
}

void am_data_done(struct am_data *s)
{
    am_sys_closep(&s->ids_fd);
    am_sys_closep(&s->rows_fd);
    json_decref(s->about);
    s->about = NULL;
}
