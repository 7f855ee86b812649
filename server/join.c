/*
 * join.c - see join.h.
 */
#include "server/join.h"

#include "core/base/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NO_CLASS = INT32_MIN };

struct join {
    const struct am_join_set *set;
    struct am_data *s;
    struct am_faults *f;
    struct am_ids ids;
    struct am_column row, y, label;
    bool classes;  /* truths can be compared */
    int32_t *rank; /* of labels that are texts: y -> class of the dataset */
    size_t ranks;
    int64_t at; /* row of the set */
    int64_t unknown, other;
};

/* What y is, when classes have names: those of the header, as the dataset numbers them. */
static int map_labels(struct join *j, const json_t *names)
{
    size_t i;
    json_t *v;
    j->ranks = json_array_size(j->set->labels);
    j->classes = j->ranks > 0; /* without names nobody knows what a number means */
    j->rank = calloc(j->ranks + 1, sizeof *j->rank);
    if (!j->rank)
        return -AM_E_OUT_OF_MEMORY;
    json_array_foreach(j->set->labels, i, v)
    {
        int64_t rank = am_data_rank(names, json_string_value(v));
        j->rank[i] = rank < 0 ? NO_CLASS : (int32_t)rank;
    }
    return 0;
}

static int open_all(struct join *j)
{
    const struct am_join_set *t = j->set;
    AM_TRY(am_ids_open(&j->ids, t->ids_fd, t->ids_bytes, t->offsets_at, t->bytes_at, (uint64_t)t->ids));
    int rc = t->y_at < 0 ? -AM_E_NOT_FOUND : am_data_column(j->s, "label", &j->label);
    if (rc == -AM_E_NOT_FOUND)
        return 0;
    AM_TRY(rc);
    AM_TRY(am_column_open(&j->row, t->packed_fd, t->packed_bytes, t->row_at, 8, (uint64_t)t->rows));
    AM_TRY(am_column_open(&j->y, t->packed_fd, t->packed_bytes, t->y_at, 4, (uint64_t)t->rows));
    const json_t *names = json_object_get(j->s->about, "names");
    j->classes = true;
    return json_is_array(names) ? map_labels(j, names) : 0;
}

static void tell(struct join *j, int code, const char *fmt, ...) AM_PRINTF(3, 4);
static void tell(struct join *j, int code, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    am_fault_add(j->f, code, (struct am_where){.pointer = "#/1/dataset"}, "%s", text);
}

static void told_class(const struct join *j, int32_t number, char out[80])
{
    const char *name = json_string_value(json_array_get(json_object_get(j->s->about, "names"), (size_t)number));
    if (name)
        snprintf(out, 80, "%.70s", name);
    else
        snprintf(out, 80, "%" PRId32, number);
}

static int check_truth(struct join *j, uint64_t entry, const char *id, int32_t y)
{
    int32_t label, own = y;
    char want[80], got[80];
    AM_TRY(am_column_get(&j->label, entry, &label));
    if (j->rank)
        own = y >= 0 && (size_t)y < j->ranks ? j->rank[y] : NO_CLASS;
    if (label < 0 || own == label) /* below 0: the dataset does not know it */
        return 0;
    if (j->other++ >= AM_JOIN_TOLD)
        return 0;
    told_class(j, label, want);
    if (j->rank)
        snprintf(got, sizeof got, "%.70s", json_string_value(json_array_get(j->set->labels, (size_t)y)));
    else
        snprintf(got, sizeof got, "%" PRId32, y);
    tell(j, AM_E_DATASET_MISMATCH, "%s: y is %s, and the dataset says %s", id, got, want);
    return 0;
}

/* The rows of the set that are about its id i: several with replicates. */
static int check_truths(struct join *j, int64_t i, uint64_t entry, const char *id)
{
    for (; j->at < j->set->rows; j->at++) {
        int64_t row;
        int32_t y;
        AM_TRY(am_column_get(&j->row, (uint64_t)j->at, &row));
        if (row != i)
            break;
        AM_TRY(am_column_get(&j->y, (uint64_t)j->at, &y));
        if (entry < j->s->ids.n)
            AM_TRY(check_truth(j, entry, id, y));
    }
    return 0;
}

static int walk(struct join *j)
{
    char id[AM_SAMPLE_ID_MAX + 1];
    uint64_t at = 0;
    for (int64_t i = 0; i < j->set->ids; i++) {
        AM_TRY(am_ids_get(&j->ids, (uint64_t)i, id));
        int rc = am_ids_find(&j->s->ids, id, at, &at);
        AM_TRY(rc);
        if (rc == 0 && j->unknown++ < AM_JOIN_TOLD)
            tell(j, AM_E_SAMPLES_UNKNOWN, "%s is no sample of the dataset", id);
        if (j->classes)
            AM_TRY(check_truths(j, i, rc ? at : UINT64_MAX, id));
    }
    return 0;
}

static int verdict(const struct join *j, char *why, size_t why_cap)
{
    const struct am_data *s = j->s;
    if (j->unknown) {
        snprintf(why, why_cap,
                 "%" PRId64 " of %" PRId64 " ids are not in %s@v%" PRId64
                 "; `errors` has the first of them. Name the version that the samples are from",
                 j->unknown, j->set->ids, s->dataset, s->number);
        return -AM_E_SAMPLES_UNKNOWN;
    }
    if (j->other) {
        snprintf(why, why_cap,
                 "%" PRId64 " of %" PRId64 " rows have another y than %s@v%" PRId64
                 "; `errors` has the first of them. Name the version that the samples are from",
                 j->other, j->set->rows, s->dataset, s->number);
        return -AM_E_DATASET_MISMATCH;
    }
    return 0;
}

int am_join_check(const struct am_join_set *set, struct am_data *s, struct am_faults *f, char *why, size_t why_cap)
{
    struct join *j = calloc(1, sizeof *j);
    if (!j)
        return -AM_E_OUT_OF_MEMORY;
    j->set = set;
    j->s = s;
    j->f = f;
    int rc = open_all(j);
    if (rc == 0)
        rc = walk(j);
    if (rc == 0)
        rc = verdict(j, why, why_cap);
    free(j->rank);
    free(j);
    return rc;
}
