/*
 * compare_set.c - the metadata of a packed set, which is JSON, as plain data; and whether two sets are of one kind. See
 * compare.h.
 */
#include "core/base/text.h"
#include "worker/compare.h"

#include <stdlib.h>

static const json_t *member(const struct am_compare_set *set, const char *name)
{
    return json_object_get(set->meta, name);
}

static bool is_count(const json_t *v, uint64_t *ret)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *ret = (uint64_t)json_integer_value(v);
    return true;
}

/* How many texts `plain` will point to. */
static size_t count_texts(const struct am_compare_set *set)
{
    size_t n = json_array_size(member(set, "labels"));
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)member(set, "slices"), key, v) n +=
        json_array_size(json_object_get(v, "values"));
    return n;
}

/* The texts of a list, behind those that are there. NULL: not a list of texts. */
static const char *const *take_texts(struct am_compare_set *set, size_t *at, const json_t *list)
{
    const char **first = set->text + *at;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!(set->text[(*at)++] = json_string_value(json_array_get(list, i))))
            return NULL;
    return first;
}

static bool take_keys(struct am_compare_set *set, size_t *at)
{
    const char *key;
    json_t *v, *slices = (json_t *)(uintptr_t)member(set, "slices");
    if (!json_is_object(slices) || json_object_size(slices) > AM_PACKED_KEYS_MAX)
        return false;
    json_object_foreach(slices, key, v)
    {
        const json_t *values = json_object_get(v, "values");
        struct am_packed_key k = {key, json_string_value(json_object_get(v, "tensor")), take_texts(set, at, values),
                                  json_array_size(values)};
        if (!k.tensor || !am_starts(k.tensor, "slice.") || !k.values)
            return false;
        set->plain.key[set->plain.keys++] = k;
    }
    return true;
}

static bool take_meta(struct am_compare_set *set)
{
    struct am_packed_meta *p = &set->plain;
    const json_t *labels = member(set, "labels");
    size_t at = 0;
    p->ids_sha256 = json_string_value(member(set, "ids_sha256"));
    p->labels_n = json_array_size(labels);
    p->labels = take_texts(set, &at, labels);
    return am_streq(json_string_value(member(set, "schema")), "amend.packed/1") &&
           is_count(member(set, "rows"), &p->rows) && is_count(member(set, "ids"), &p->ids) &&
           is_count(member(set, "clusters"), &p->clusters) && p->clusters <= AM_PACKED_ROWS_MAX && p->ids_sha256 &&
           json_is_string(member(set, "task")) && json_is_boolean(member(set, "higher_is_better")) &&
           (json_is_array(labels) || json_is_null(labels)) && p->labels && take_keys(set, &at);
}

static int read_meta(struct am_compare_set *set, struct am_faults *f)
{
    const char *text = NULL;
    for (size_t i = 0; i < set->packed.head.meta_n; i++)
        if (am_streq(set->packed.head.meta[i].key, "amend"))
            text = set->packed.head.meta[i].value;
    set->meta = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (!json_is_object(set->meta))
        return am_packed_bad(f, set->name, "its metadata", "is not what this program writes");
    set->text = calloc(count_texts(set) + 1, sizeof *set->text);
    if (!set->text)
        return -AM_E_OUT_OF_MEMORY;
    return take_meta(set) ? 0 : am_packed_bad(f, set->name, "its metadata", "is not what this program writes");
}

int am_compare_set_load(struct am_compare_set *set, struct am_faults *f)
{
    AM_TRY(am_packed_open(&set->packed, set->fd[0], set->bytes[0], set->name, f));
    AM_TRY(read_meta(set, f));
    return am_packed_load(&set->packed, &set->plain, f);
}

static void must_equal(const struct am_compare_set set[2], const char *name, struct am_faults *f)
{
    const json_t *a = member(&set[0], name), *b = member(&set[1], name);
    if (json_equal(a, b))
        return;
    char *x = json_dumps(a, JSON_COMPACT | JSON_ENCODE_ANY), *y = json_dumps(b, JSON_COMPACT | JSON_ENCODE_ANY);
    am_fault_add(f, AM_E_DATASET_MISMATCH, (struct am_where){.reason = name},
                 "%s of the old set is %.200s, that of the new one %.200s; only sets that were asked the same can be "
                 "compared",
                 name, x ? x : "", y ? y : "");
    free(x);
    free(y);
}

int am_compare_sets_agree(const struct am_compare_set set[2], struct am_faults *f)
{
    size_t before = f->total;
    must_equal(set, "task", f);
    must_equal(set, "metric", f);
    must_equal(set, "higher_is_better", f);
    if (set[0].plain.labels_n && set[1].plain.labels_n)
        must_equal(set, "labels", f);
    return f->total > before ? -AM_E_DATASET_MISMATCH : 0;
}

void am_compare_set_done(struct am_compare_set *set)
{
    am_packed_done(&set->packed);
    json_decref(set->meta);
    free(set->text);
    set->meta = NULL;
    set->text = NULL;
}
