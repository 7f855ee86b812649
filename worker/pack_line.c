/*
 * pack_line.c - one sample of a prediction set, as a line. See pack.h. What a line alone can be wrong in; what it can
 * be wrong in beside the others is pack_cols.c and pack_sort.c.
 */
#include "worker/pack.h"

#include "core/base/text.h"

#include <math.h>
#include <string.h>

enum { SLICE_TEXT_MAX = 256 };

static bool is_slice_text(const char *text)
{
    return text && *text && strlen(text) <= SLICE_TEXT_MAX;
}

struct line {
    struct am_pack_row *r;
    const struct am_pack_header *h;
    struct am_faults *f;
    uint64_t number;
};

#define bad(l, member, ...) am_pack_bad((l)->f, (l)->number, member, __VA_ARGS__)

/* The lowest number that y or p may be, and one above the highest. */
static int64_t top_of(const struct line *l)
{
    return l->h->labels ? (int64_t)l->h->labels : (int64_t)INT32_MAX;
}

static int take_number(struct line *l, const char *name, json_int_t v, json_int_t low, struct am_pack_value *ret)
{
    if (v < low || v >= top_of(l))
        return bad(l, name, "%s must be a class from %d to %lld (got %lld)", name, (int)low, (long long)top_of(l) - 1,
                   (long long)v);
    ret->kind = AM_PACK_INT;
    ret->number = (int32_t)v;
    return 0;
}

static int take_set(struct line *l, const char *name, const json_t *list, struct am_pack_value *ret)
{
    json_t *v;
    size_t i;
    json_array_foreach(list, i, v)
    {
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= top_of(l))
            return bad(l, name, "%s must list labels from 0 to %lld", name, (long long)top_of(l) - 1);
    }
    ret->kind = AM_PACK_SET;
    ret->set = list;
    return 0;
}

static int take_hash(struct line *l, const char *name, const char *text, struct am_pack_value *ret)
{
    if (!am_is_hex(text, AM_SHA256_LEN) || am_unhex(text, sizeof ret->hash, ret->hash) < 0)
        return bad(l, name, "%s must be the SHA-256 of the text, 64 lower-case hex digits", name);
    ret->kind = AM_PACK_HASH;
    return 0;
}

/* low: the lowest class. */
static void take_value(struct line *l, const char *name, const json_t *v, json_int_t low, struct am_pack_value *ret)
{
    enum am_pack_task task = l->h->task;
    bool number = task != AM_TASK_MULTILABEL && task != AM_TASK_GENERATIVE;
    bool hash = task == AM_TASK_GENERATIVE || task == AM_TASK_RETRIEVAL;
    if (json_is_integer(v) && number)
        take_number(l, name, json_integer_value(v), low, ret);
    else if (json_is_array(v) && task == AM_TASK_MULTILABEL)
        take_set(l, name, v, ret);
    else if (json_is_string(v) && hash)
        take_hash(l, name, json_string_value(v), ret);
    else
        bad(l, name, "%s must be %s", name,
            task == AM_TASK_MULTILABEL  ? "a list of labels"
            : task == AM_TASK_RETRIEVAL ? "a number, or a SHA-256 as 64 hex digits"
            : hash                      ? "a SHA-256 as 64 hex digits"
                                        : "a whole number, the class");
}

static bool take_real(struct line *l, const char *name, const json_t *v, double *ret)
{
    double d = json_is_number(v) ? json_number_value(v) : NAN;
    if (!isfinite(d) || !isfinite((float)d)) {
        bad(l, name, "%s must be a number that fits 32 bits", name);
        return false;
    }
    *ret = d;
    return true;
}

static void take_id(struct line *l, const json_t *v)
{
    const char *text = json_string_value(v);
    if (!text || !*text || strlen(text) > AM_PACK_ID_MAX)
        bad(l, "id", "id must be a text of 1 to %d bytes", AM_PACK_ID_MAX);
    else
        l->r->id = text;
}

static void take_cluster(struct line *l, const json_t *v)
{
    const char *text = json_string_value(v);
    if (!text || !*text || strlen(text) > AM_PACK_ID_MAX)
        bad(l, "c", "c must be a text of 1 to %d bytes: the user or document that samples belong to", AM_PACK_ID_MAX);
    else
        l->r->cluster = text;
}

static void take_weight(struct line *l, const json_t *v)
{
    double w;
    if (!take_real(l, "w", v, &w))
        return;
    if (w > 0 && (float)w > 0)
        l->r->w = w;
    else
        bad(l, "w", "w must be above 0 (got %g)", w);
}

static void take_ok(struct line *l, const json_t *v)
{
    if (json_is_integer(v) && (json_integer_value(v) == 0 || json_integer_value(v) == 1))
        l->r->ok = (int)json_integer_value(v);
    else
        bad(l, "ok", "ok must be 0 or 1");
}

static void take_k(struct line *l, const json_t *v)
{
    if (json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) <= INT32_MAX)
        l->r->k = (int32_t)json_integer_value(v);
    else
        bad(l, "k", "k must be a whole number from 0: which of several answers it is");
}

static int take_pair(struct line *l, const json_t *pair, size_t i)
{
    struct am_pack_row *r = l->r;
    json_t *class = json_array_get(pair, 0), *logit = json_array_get(pair, 1);
    double v = json_is_number(logit) ? json_number_value(logit) : NAN;
    if (json_array_size(pair) != 2 || !json_is_integer(class) || json_integer_value(class) < 0 ||
        json_integer_value(class) >= top_of(l) || !isfinite(v) || !isfinite((float)v))
        return bad(l, "top", "top must list pairs [class, logit]; entry %zu is none", i + 1);
    for (size_t k = 0; k < i; k++)
        if (r->top_class[k] == json_integer_value(class))
            return bad(l, "top", "top names the class %lld twice", (long long)json_integer_value(class));
    r->top_class[i] = (int32_t)json_integer_value(class);
    r->top_logit[i] = (float)v;
    return 0;
}

static void take_top(struct line *l, const json_t *v)
{
    size_t n = json_array_size(v);
    if (!json_is_array(v) || n == 0 || n > AM_PACK_TOP_MAX) {
        bad(l, "top", "top must be a list of 1 to %d pairs [class, logit]", AM_PACK_TOP_MAX);
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (take_pair(l, json_array_get(v, i), i) < 0)
            return;
    l->r->top = n;
}

static void take_slices(struct line *l, json_t *v)
{
    const char *key;
    json_t *value;
    if (!json_is_object(v) || json_object_size(v) > AM_PACK_SLICES_MAX) {
        bad(l, "g", "g must be an object of at most %d slices", AM_PACK_SLICES_MAX);
        return;
    }
    json_object_foreach(v, key, value)
    {
        if (!is_slice_text(key) || !is_slice_text(json_string_value(value))) {
            bad(l, "g", "g must be an object of texts of 1 to %d bytes: \"%.60s\" is none", SLICE_TEXT_MAX, key);
            return;
        }
    }
    l->r->slices = v;
}

static void take_member(struct line *l, const char *name, json_t *v)
{
    static const char *const known[] = {"id", "y", "p", "ok", "s", "lp", "top", "g", "c", "w", "k"};
    struct am_pack_row *r = l->r;
    size_t i = 0;
    while (i < sizeof known / sizeof *known && !am_streq(known[i], name))
        i++;
    switch (i) {
    case 0:
        take_id(l, v);
        break;
    case 1:
        take_value(l, "y", v, 0, &r->y);
        break;
    case 2:
        take_value(l, "p", v, -1, &r->p);
        break;
    case 3:
        take_ok(l, v);
        break;
    case 4:
        r->has_s = take_real(l, "s", v, &r->s);
        break;
    case 5:
        r->has_lp = take_real(l, "lp", v, &r->lp);
        break;
    case 6:
        take_top(l, v);
        break;
    case 7:
        take_slices(l, v);
        break;
    case 8:
        take_cluster(l, v);
        break;
    case 9:
        take_weight(l, v);
        break;
    case 10:
        take_k(l, v);
        break;
    default:
        bad(l, NULL, "unknown member %.60s; a line takes id, y, p, ok, s, lp, top, g, c, w and k", name);
    }
}

static void check_present(struct line *l, const json_t *o)
{
    bool free_text = l->h->task == AM_TASK_GENERATIVE;
    if (!json_object_get(o, "id"))
        bad(l, "id", "id is missing: what joins this sample with that of another set");
    if (!json_object_get(o, "y") && !free_text)
        bad(l, "y", "y is missing: the true class");
    if (json_object_get(o, "s") && !free_text)
        bad(l, "s", "s, a score, belongs to the task generative");
    if (!json_object_get(o, "p") && !json_object_get(o, "ok") && !json_object_get(o, "s"))
        bad(l, "p", "p is missing: what the model said; give it, or ok when only that is known");
    if (l->r->p.kind && l->r->y.kind && l->r->p.kind != l->r->y.kind)
        bad(l, "p", "p and y must be of the same kind, both numbers or both hashes");
}

int am_pack_row_read(struct am_pack_row *ret, const char *line, size_t n, uint64_t number,
                     const struct am_pack_header *h, struct am_faults *f)
{
    struct am_pack_row r = {.ok = -1, .w = 1};
    struct line l = {.r = &r, .h = h, .f = f, .number = number};
    size_t before = f->total;
    json_error_t e;
    const char *name;
    json_t *v;
    if (n == 0)
        return bad(&l, NULL, "the line is empty; each line after the first is one sample");
    r.json = json_loadb(line, n, JSON_REJECT_DUPLICATES, &e);
    if (!r.json)
        return bad(&l, NULL, "not JSON: %s (column %d)", e.text, e.column);
    if (!json_is_object(r.json))
        bad(&l, NULL, "a sample is an object such as {\"id\":\"7\",\"y\":1,\"p\":0}");
    else {
        json_object_foreach(r.json, name, v) take_member(&l, name, v);
        check_present(&l, r.json);
    }
    if (f->total > before) {
        json_decref(r.json);
        return -AM_E_MALFORMED_PREDICTIONS;
    }
    *ret = r;
    return 0;
}

void am_pack_row_done(struct am_pack_row *r)
{
    json_decref(r->json);
    r->json = NULL;
}
