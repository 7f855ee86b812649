/*
 * report_files.c - see report_files.h. The worker made the files and they are immutable; still every offset is held to
 * the file's size, for a damaged disk is no reason to read elsewhere.
 */
#include "server/report_files.h"

#include "core/base/grow.h"
#include "core/base/sys.h"
#include "core/base/text.h"
#include "storage/blobs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 65536, BLOCK = 65536, ID_MAX = 4096, SLICES_MAX = 64 };
#define HEADER_MAX ((uint64_t)32 << 20)

/* ---- slices ---- */

struct walk {
    int64_t number, first;
    int (*row)(void *ctx, int64_t number, json_t *slice);
    void *ctx;
};

static int give_line(struct walk *w, const char *line, size_t n)
{
    if (w->number++ < w->first)
        return 0;
    json_auto_t *slice = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
    return json_is_object(slice) ? w->row(w->ctx, w->number - 1, slice) : -AM_E_STORE_DAMAGED;
}

static int walk_lines(struct walk *w, int fd, uint64_t bytes, char *buf)
{
    size_t have = 0;
    for (uint64_t off = 0; off < bytes;) {
        size_t room = LINE_MAX_BYTES - have, n = bytes - off < room ? (size_t)(bytes - off) : room;
        if (n == 0)
            return -AM_E_STORE_DAMAGED;
        AM_TRY(am_sys_pread(fd, buf + have, n, off));
        off += n;
        have += n;
        char *line = buf, *end;
        while ((end = memchr(line, '\n', have - (size_t)(line - buf)))) {
            int rc = give_line(w, line, (size_t)(end - line));
            if (rc != 0)
                return rc < 0 ? rc : 0;
            line = end + 1;
        }
        have -= (size_t)(line - buf);
        memmove(buf, line, have);
    }
    return have ? -AM_E_STORE_DAMAGED : 0;
}

int am_slices_walk(struct am_store *store, const char *sha256, int64_t first,
                   int (*row)(void *ctx, int64_t number, json_t *slice), void *ctx)
{
    struct walk w = {.first = first, .row = row, .ctx = ctx};
    struct stat st;
    int fd AM_CLEANUP(am_sys_closep) = am_blob_open(store, sha256);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -AM_E_STORE_DAMAGED;
    char *buf = malloc(LINE_MAX_BYTES);
    int rc = buf ? walk_lines(&w, fd, (uint64_t)st.st_size, buf) : -AM_E_OUT_OF_MEMORY;
    free(buf);
    return rc;
}

/* ---- the table of samples ---- */

static const struct {
    const char *name, *dtype;
    unsigned width;
} columns[AM_SAMPLE_COLUMNS] = {
    [AM_SAMPLE_OFFSETS] = {"offsets", "U64", 8},
    [AM_SAMPLE_BYTES] = {"bytes", "U8", 1},
    [AM_SAMPLE_CELL] = {"cell", "U8", 1},
    [AM_SAMPLE_Y] = {"y", "I32", 4},
    [AM_SAMPLE_OLD_P] = {"old_p", "I32", 4},
    [AM_SAMPLE_NEW_P] = {"new_p", "I32", 4},
    [AM_SAMPLE_OLD_LP] = {"old_lp", "F32", 4},
    [AM_SAMPLE_NEW_LP] = {"new_lp", "F32", 4},
    [AM_SAMPLE_OLD_S] = {"old_s", "F32", 4},
    [AM_SAMPLE_NEW_S] = {"new_s", "F32", 4},
    [AM_SAMPLE_D] = {"d", "F32", 4},
    [AM_SAMPLE_K] = {"k", "I32", 4},
};

struct extent {
    uint64_t at, bytes;
};

/* Where a tensor lies; false: it is not there, or not as it should be. */
static bool find(const json_t *header, uint64_t data, uint64_t file, const char *name, const char *dtype,
                 struct extent *ret)
{
    const json_t *o = json_object_get(header, name), *place = json_object_get(o, "data_offsets");
    json_int_t from = json_integer_value(json_array_get(place, 0)), to = json_integer_value(json_array_get(place, 1));
    if (!am_streq(json_string_value(json_object_get(o, "dtype")), dtype) || json_array_size(place) != 2 || from < 0 ||
        to < from || (uint64_t)to > file - data)
        return false;
    *ret = (struct extent){data + (uint64_t)from, (uint64_t)(to - from)};
    return true;
}

static int find_columns(struct am_samples *s, uint64_t data, uint64_t file)
{
    struct extent e;
    if (!find(s->header, data, file, "cell", "U8", &e))
        return -AM_E_STORE_DAMAGED;
    s->n = e.bytes;
    for (size_t i = 0; i < AM_SAMPLE_COLUMNS; i++) {
        if (!json_object_get(s->header, columns[i].name))
            continue;
        if (!find(s->header, data, file, columns[i].name, columns[i].dtype, &e))
            return -AM_E_STORE_DAMAGED;
        uint64_t want = i == AM_SAMPLE_OFFSETS ? (s->n + 1) * 8 : s->n * columns[i].width;
        if (i == AM_SAMPLE_BYTES)
            s->id_bytes = e.bytes;
        else if (e.bytes != want)
            return -AM_E_STORE_DAMAGED;
        s->at[i] = e.at;
    }
    return s->at[AM_SAMPLE_OFFSETS] && s->at[AM_SAMPLE_BYTES] ? 0 : -AM_E_STORE_DAMAGED;
}

static int find_slices(struct am_samples *s, uint64_t data, uint64_t file)
{
    json_t *all = json_object_get(s->meta, "slices"), *o;
    const char *key;
    struct extent e;
    if (json_object_size(all) > SLICES_MAX)
        return -AM_E_STORE_DAMAGED;
    s->slice = calloc(json_object_size(all) + 1, sizeof *s->slice);
    if (!s->slice)
        return -AM_E_OUT_OF_MEMORY;
    json_object_foreach(all, key, o)
    {
        const char *tensor = json_string_value(json_object_get(o, "tensor"));
        if (!tensor || !find(s->header, data, file, tensor, "I32", &e) || e.bytes != s->n * 4)
            return -AM_E_STORE_DAMAGED;
        s->slice[s->slices++] =
            (struct am_sample_slice){.key = key, .values = json_object_get(o, "values"), .at = e.at};
    }
    return 0;
}

static int read_header(struct am_samples *s)
{
    struct stat st;
    unsigned char size[8];
    uint64_t n = 0;
    if (fstat(s->fd, &st) < 0 || st.st_size < 8)
        return -AM_E_STORE_DAMAGED;
    AM_TRY(am_sys_pread(s->fd, size, sizeof size, 0));
    for (size_t i = 8; i > 0; i--)
        n = n << 8 | size[i - 1];
    if (n > HEADER_MAX || n > (uint64_t)st.st_size - 8)
        return -AM_E_STORE_DAMAGED;
    char *text = malloc((size_t)n + 1);
    int rc = text ? am_sys_pread(s->fd, text, (size_t)n, 8) : -AM_E_OUT_OF_MEMORY;
    if (rc == 0)
        s->header = json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    AM_TRY(rc);
    const char *meta = json_string_value(json_object_get(json_object_get(s->header, "__metadata__"), "amend"));
    s->meta = meta ? json_loads(meta, JSON_REJECT_DUPLICATES, NULL) : NULL;
    AM_TRY(find_columns(s, 8 + n, (uint64_t)st.st_size));
    return find_slices(s, 8 + n, (uint64_t)st.st_size);
}

int am_samples_open(struct am_samples *ret, struct am_store *store, const char *sha256)
{
    struct am_samples s = {.fd = am_blob_open(store, sha256)};
    int rc = s.fd < 0 ? -AM_E_STORE_DAMAGED : read_header(&s);
    if (rc < 0) {
        am_samples_close(&s);
        return rc;
    }
    *ret = s;
    return 0;
}

void am_samples_close(struct am_samples *s)
{
    am_sys_closep(&s->fd);
    json_decref(s->header);
    json_decref(s->meta);
    free(s->slice);
    *s = (struct am_samples){.fd = -1};
}

/* ---- which rows ---- */

/* The place of `text` in a list of texts; -1: it is not there. */
static int32_t place_of(const json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (am_streq(json_string_value(json_array_get(list, i)), text))
            return (int32_t)i;
    return -1;
}

static bool by_label(const struct am_samples *s, const char *value, struct am_sample_filter *ret)
{
    char *end;
    int32_t named = place_of(json_object_get(s->meta, "labels"), value);
    long long number = named >= 0 ? named : strtoll(value, &end, 10);
    if (!s->at[AM_SAMPLE_Y] || (named < 0 && (!value[0] || *end || number < 0 || number > INT32_MAX)))
        return false;
    ret->by = AM_BY_LABEL;
    ret->at = s->at[AM_SAMPLE_Y];
    ret->value = (int32_t)number;
    return true;
}

bool am_samples_slice(const struct am_samples *s, const char *text, struct am_sample_filter *ret)
{
    const char *equals = strchr(text, '=');
    if (!equals)
        return false;
    for (size_t i = 0; i < s->slices; i++) {
        size_t n = strlen(s->slice[i].key);
        if (strncmp(text, s->slice[i].key, n) != 0 || text[n] != '=')
            continue;
        int32_t value = place_of(s->slice[i].values, text + n + 1);
        if (value < 0)
            continue;
        ret->by = AM_BY_SLICE;
        ret->at = s->slice[i].at;
        ret->value = value;
        return true;
    }
    return am_starts(text, "label=") && by_label(s, equals + 1, ret);
}

static size_t scan(const struct am_sample_filter *f, const unsigned char *cell, const int32_t *value, size_t n,
                   uint64_t first, uint64_t *ret, size_t max)
{
    size_t found = 0;
    for (size_t i = 0; i < n && found < max; i++)
        if (cell[i] < 6 && (f->cells >> cell[i] & 1) && (f->by == AM_ANY_SLICE || value[i] == f->value))
            ret[found++] = first + i;
    return found;
}

int64_t am_samples_find(const struct am_samples *s, const struct am_sample_filter *f, uint64_t first, uint64_t *ret,
                        size_t max)
{
    unsigned char *cell = malloc(BLOCK);
    int32_t *value = malloc(BLOCK * sizeof *value);
    size_t found = 0;
    int rc = cell && value ? 0 : -AM_E_OUT_OF_MEMORY;
    while (rc == 0 && first < s->n && found < max) {
        size_t n = s->n - first < BLOCK ? (size_t)(s->n - first) : BLOCK;
        rc = am_sys_pread(s->fd, cell, n, s->at[AM_SAMPLE_CELL] + first);
        if (rc == 0 && f->by != AM_ANY_SLICE)
            rc = am_sys_pread(s->fd, value, n * sizeof *value, f->at + first * sizeof *value);
        if (rc == 0)
            found += scan(f, cell, value, n, first, ret + found, max - found);
        first += n;
    }
    free(cell);
    free(value);
    return rc < 0 ? rc : (int64_t)found;
}

/* ---- one row ---- */

static int read_id(const struct am_samples *s, uint64_t row, json_t **ret)
{
    uint64_t at[2];
    char id[ID_MAX];
    AM_TRY(am_sys_pread(s->fd, at, sizeof at, s->at[AM_SAMPLE_OFFSETS] + row * 8));
    if (at[1] < at[0] || at[1] > s->id_bytes || at[1] - at[0] > sizeof id)
        return -AM_E_STORE_DAMAGED;
    AM_TRY(am_sys_pread(s->fd, id, (size_t)(at[1] - at[0]), s->at[AM_SAMPLE_BYTES] + at[0]));
    *ret = json_stringn(id, (size_t)(at[1] - at[0]));
    return *ret ? 0 : -AM_E_STORE_DAMAGED;
}

/* A class; null: none was given, or it could not be read. */
static int put_class(const struct am_samples *s, enum am_sample_column c, uint64_t row, json_t *o, const char *name)
{
    int32_t v = -1;
    if (s->at[c])
        AM_TRY(am_sys_pread(s->fd, &v, sizeof v, s->at[c] + row * sizeof v));
    json_object_set_new(o, name, v < 0 ? json_null() : json_integer(v));
    return 0;
}

static int put_real(const struct am_samples *s, enum am_sample_column c, uint64_t row, json_t *o, const char *name)
{
    float v = NAN;
    if (s->at[c])
        AM_TRY(am_sys_pread(s->fd, &v, sizeof v, s->at[c] + row * sizeof v));
    json_object_set_new(o, name, isfinite(v) ? json_real((double)v) : json_null());
    return 0;
}

static int put_cell(const struct am_samples *s, uint64_t row, json_t *o)
{
    static const struct {
        const char *name;
        bool changed;
    } cells[] = {{"both_right", false}, {"both_right", true},  {"negative", true},
                 {"positive", true},    {"both_wrong", false}, {"both_wrong", true}};
    unsigned char cell;
    AM_TRY(am_sys_pread(s->fd, &cell, 1, s->at[AM_SAMPLE_CELL] + row));
    if (cell >= 6)
        return -AM_E_STORE_DAMAGED;
    json_object_set_new(o, "cell", json_string(cells[cell].name));
    json_object_set_new(o, "changed", json_boolean(cells[cell].changed));
    return 0;
}

static int put_slices(const struct am_samples *s, uint64_t row, json_t *o)
{
    json_t *slices = json_object();
    json_object_set_new(o, "slices", slices);
    for (size_t i = 0; i < s->slices; i++) {
        int32_t v;
        AM_TRY(am_sys_pread(s->fd, &v, sizeof v, s->slice[i].at + row * sizeof v));
        if (v >= 0)
            json_object_set(slices, s->slice[i].key, json_array_get(s->slice[i].values, (size_t)v));
    }
    return 0;
}

static int put_row(const struct am_samples *s, uint64_t row, json_t *o)
{
    json_t *id = NULL;
    int32_t k = 0;
    AM_TRY(read_id(s, row, &id));
    json_object_set_new(o, "row", json_integer((json_int_t)row));
    json_object_set_new(o, "id", id);
    AM_TRY(put_cell(s, row, o));
    AM_TRY(put_class(s, AM_SAMPLE_Y, row, o, "label"));
    AM_TRY(put_class(s, AM_SAMPLE_OLD_P, row, o, "before"));
    AM_TRY(put_class(s, AM_SAMPLE_NEW_P, row, o, "after"));
    AM_TRY(put_real(s, AM_SAMPLE_OLD_LP, row, o, "lp_before"));
    AM_TRY(put_real(s, AM_SAMPLE_NEW_LP, row, o, "lp_after"));
    AM_TRY(put_real(s, AM_SAMPLE_OLD_S, row, o, "score_before"));
    AM_TRY(put_real(s, AM_SAMPLE_NEW_S, row, o, "score_after"));
    AM_TRY(put_real(s, AM_SAMPLE_D, row, o, "d"));
    if (s->at[AM_SAMPLE_K])
        AM_TRY(am_sys_pread(s->fd, &k, sizeof k, s->at[AM_SAMPLE_K] + row * sizeof k));
    json_object_set_new(o, "k", json_integer(k));
    return put_slices(s, row, o);
}

json_t *am_samples_row(const struct am_samples *s, uint64_t row, int *ret_rc)
{
    json_t *o = json_object();
    *ret_rc = o ? put_row(s, row, o) : -AM_E_OUT_OF_MEMORY;
    if (*ret_rc == 0)
        return o;
    json_decref(o);
    return NULL;
}
