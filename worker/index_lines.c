/*
 * index_lines.c - a dataset in JSON Lines: one object a line with `id` and free members. See index.h. A member `label`
 * that is a whole number or a text is the class of the row.
 */
#include "worker/index.h"

#include "core/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { STEP_ROWS = 4096 };

struct lines {
    struct am_index *x;
    const struct am_index_source *s;
    uint64_t at;
};

static ssize_t read_source(void *ctx, void *buf, size_t n)
{
    struct lines *l = ctx;
    uint64_t left = l->s->bytes - l->at;
    size_t k = left < n ? (size_t)left : n;
    AM_TRY(k ? l->s->read(l->s->ctx, buf, k, l->at) : 0);
    l->at += k;
    return (ssize_t)k;
}

static int take_label(struct am_index *x, const json_t *v)
{
    enum am_index_labels kind = json_is_integer(v)  ? AM_LABELS_NUMBER
                                : json_is_string(v) ? AM_LABELS_TEXT
                                                    : AM_LABELS_OTHER;
    json_int_t number = json_integer_value(v);
    uint32_t name;
    if (x->labels == AM_LABELS_OTHER || json_is_null(v))
        return 0;
    if (x->labels && x->labels != kind)
        return am_index_bad(x, (int64_t)x->n, "label",
                            "label is %s here and %s in row %" PRIu64 "; give all of them as one kind",
                            kind == AM_LABELS_NUMBER ? "a whole number"
                            : kind == AM_LABELS_TEXT ? "a text"
                                                     : "no class",
                            x->labels == AM_LABELS_NUMBER ? "a whole number" : "a text", x->labels_row);
    if (!x->labels)
        x->labels_row = x->n;
    x->labels = kind;
    if (kind == AM_LABELS_NUMBER) {
        if (number < -1 || number > INT32_MAX)
            return am_index_bad(x, (int64_t)x->n, "label", "a class is a number from -1 to %d (got %lld)", INT32_MAX,
                                (long long)number);
        x->label[x->n] = (int32_t)number;
    } else if (kind == AM_LABELS_TEXT) {
        int rc = am_pack_dict_take(&x->names, json_string_value(v), AM_INDEX_CLASSES_MAX, &name);
        if (rc == -AM_E_TOO_LARGE || x->names.bytes > 4 * AM_INDEX_VALUES_BYTES)
            x->labels = AM_LABELS_OTHER; /* so many texts are no classes */
        else if (rc < 0)
            return rc;
        else
            x->label[x->n] = (int32_t)name;
    }
    return 0;
}

static int take_member(struct am_index *x, const char *name, const json_t *v)
{
    static const char *const kinds[] = {"object", "list", "text", "int", "real", "bool", "bool", "null"};
    char number[32];
    const char *text = json_string_value(v);
    struct am_index_field *f;
    AM_TRY(am_index_field(x, name, &f));
    if (json_is_integer(v)) {
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        text = number;
    } else if (json_is_boolean(v))
        text = json_is_true(v) ? "true" : "false";
    AM_TRY(am_index_field_put(x, f, kinds[json_typeof(v)], text));
    return am_streq(name, "label") ? take_label(x, v) : 0;
}

static int take_id(struct am_index *x, const json_t *id)
{
    if (id && !json_is_string(id))
        return am_index_bad(x, (int64_t)x->n, "id", "id must be a text of 1 to %d bytes", AM_PACK_ID_MAX);
    if (id && (x->n == 0 || x->own_ids)) {
        x->own_ids = true;
        return am_index_put_id(x, json_string_value(id), json_string_length(id));
    }
    if (id)
        return am_index_bad(x, (int64_t)x->n, "id", "this row has an id and row 0 has none");
    if (x->own_ids)
        return am_index_bad(x, (int64_t)x->n, "id", "id is missing, and row 0 has one");
    if (!x->row_ids)
        return am_index_bad(x, (int64_t)x->n, "id",
                            "id is missing: what names this sample for good; ids=row numbers the rows instead");
    return am_index_put_row_id(x);
}

/* A bad row takes its place, so that the numbers of those after it are right. */
static int take_row(struct am_index *x, const char *line, size_t n)
{
    json_error_t e;
    const char *name;
    json_t *v;
    if (n == 0)
        return am_index_bad(x, (int64_t)x->n, NULL, "the line is empty; each line is one sample");
    json_auto_t *o = json_loadb(line, n, JSON_REJECT_DUPLICATES, &e);
    if (!o)
        return am_index_bad(x, (int64_t)x->n, NULL, "not JSON: %s (column %d)", e.text, e.column);
    if (!json_is_object(o))
        return am_index_bad(x, (int64_t)x->n, NULL, "a sample is an object such as {\"id\":\"7\",\"text\":\"...\"}");
    int rc = take_id(x, json_object_get(o, "id"));
    json_object_foreach(o, name, v)
    {
        int one = am_streq(name, "id") ? 0 : take_member(x, name, v);
        rc = one < 0 && rc == 0 ? one : rc;
        if (rc < 0 && rc != -AM_E_MALFORMED_DATASET)
            return rc;
    }
    return rc;
}

static int read_rows(struct lines *l, struct am_pack_input *in)
{
    struct am_index *x = l->x;
    uint64_t at = 0;
    const char *line;
    size_t n;
    int rc;
    while ((rc = am_pack_next(in, &line, &n)) != 0) {
        if (rc < 0 && rc != -AM_E_TOO_LARGE)
            return rc;
        if (x->n == AM_INDEX_ROWS_MAX)
            return am_index_bad(x, (int64_t)x->n, NULL, "a dataset has at most %d rows", AM_INDEX_ROWS_MAX);
        AM_TRY(am_index_grow(x));
        x->label[x->n] = AM_INDEX_NO_LABEL;
        x->ids.id_at[x->n + 1] = x->ids.id_at[x->n];
        x->line[x->n] = at;
        if (rc < 0)
            am_index_bad(x, (int64_t)x->n, NULL, "the line is longer than %u bytes", AM_INDEX_LINE_MAX);
        else if ((rc = take_row(x, line, n)) < 0 && rc != -AM_E_MALFORMED_DATASET)
            return rc;
        at += rc < 0 ? 0 : n + 1;
        x->n++;
        if (x->n % STEP_ROWS == 0 && l->s->step)
            AM_TRY(l->s->step(l->s->ctx, x->n, l->at));
    }
    if (x->n == 0)
        return am_index_bad(x, -1, NULL, "the body is empty; each line is one sample");
    x->line[x->n] = at < l->s->bytes ? at : l->s->bytes; /* the last line may have no end */
    return x->f->total ? -AM_E_MALFORMED_DATASET : 0;
}

int am_index_lines(struct am_index *x, const struct am_index_source *s)
{
    struct lines l = {.x = x, .s = s};
    size_t longest = s->bytes < AM_INDEX_LINE_MAX ? (size_t)s->bytes : AM_INDEX_LINE_MAX;
    struct am_pack_input *in = am_pack_input_new(read_source, &l, false, longest);
    int rc = in ? read_rows(&l, in) : -AM_E_OUT_OF_MEMORY;
    am_pack_input_free(in);
    return rc;
}
