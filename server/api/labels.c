/*
 * labels.c - labels of models and versions: what they may be, and how a PATCH changes them.
 */
#include "core/base/text.h"
#include "server/api/api.h"
#include "server/reply.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

enum { LABELS_MAX = 64, KEY_MAX = 63, VALUE_MAX = 255 };

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

static bool key_ok(const char *key)
{
    size_t n = strlen(key);
    return n > 0 && n <= KEY_MAX && strspn(key, ALNUM) > 0 && strspn(key, ALNUM "._/-") == n;
}

/* As a JSON Pointer: a key may have a slash. What is no key at all is cut to what a person recognizes. */
static void pointer_to(const char *key, char out[160])
{
    size_t n = (size_t)snprintf(out, 160, "#/labels/");
    for (; *key && n < 150; key++) {
        if (*key == '/' || *key == '~')
            n += (size_t)snprintf(out + n, 160 - n, "~%d", *key == '/');
        else
            out[n++] = *key;
    }
    while (*key && n > 0 && ((unsigned char)out[n - 1] & 0xc0) == 0x80) /* cut: not the half of a letter */
        n--;
    if (*key && n > 0 && (unsigned char)out[n - 1] >= 0xc0)
        n--;
    out[n] = 0;
}

static void check_one(const char *key, const json_t *value, bool may_remove, struct am_faults *f)
{
    char pointer[160];
    pointer_to(key, pointer);
    struct am_where where = {.pointer = pointer};
    if (!key_ok(key))
        am_fault_add(f, AM_E_INVALID_REQUEST, where,
                     "the name of a label is 1 to %d letters, digits and . _ / -, and begins with a letter or digit",
                     KEY_MAX);
    if (json_is_string(value) ? json_string_length(value) > VALUE_MAX : !(may_remove && json_is_null(value)))
        am_fault_add(f, AM_E_INVALID_REQUEST, where, "the value of a label is a text of at most %d bytes%s", VALUE_MAX,
                     may_remove ? ", or null to remove it" : "");
}

void am_labels_check(json_t *labels, bool may_remove, struct am_faults *f)
{
    const char *key;
    json_t *value;
    json_object_foreach(labels, key, value)
    {
        check_one(key, value, may_remove, f);
    }
    if (json_object_size(labels) > LABELS_MAX)
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = "#/labels"}, "at most %d labels (got %zu)",
                     LABELS_MAX, json_object_size(labels));
}

int am_labels_merge(const char *stored, json_t *changes, char **ret)
{
    json_auto_t *all = am_json_stored(stored);
    const char *key;
    json_t *value;
    if (!json_is_object(all))
        return -AM_E_STORE_DAMAGED;
    json_object_foreach(changes, key, value)
    {
        if (json_is_null(value))
            json_object_del(all, key);
        else if (json_object_set(all, key, value) < 0)
            return -AM_E_OUT_OF_MEMORY;
    }
    if (json_object_size(all) > LABELS_MAX)
        return -AM_E_TOO_LARGE;
    *ret = json_dumps(all, JSON_COMPACT | JSON_SORT_KEYS);
    return *ret ? 0 : -AM_E_OUT_OF_MEMORY;
}

/* ---- ?label.team=vision ---- */

struct wanted {
    json_t *all; /* {"team":["vision"]} */
    struct am_faults *faults;
};

static int want(void *ctx, const char *name, const char *value)
{
    struct wanted *w = ctx;
    if (!am_starts(name, "label."))
        return 0;
    const char *key = name + strlen("label.");
    if (!key_ok(key)) {
        am_fault_add(w->faults, AM_E_INVALID_REQUEST, (struct am_where){.pointer = "?label"},
                     "label.%.80s: the name of a label is letters, digits and . _ / -", key);
        return 0;
    }
    json_t *list = json_object_get(w->all, key);
    if (!list) {
        list = json_array();
        json_object_set_new(w->all, key, list);
    }
    return am_json_add(list, json_string(value));
}

bool am_labels_wanted(struct am_req *r, char **ret, int *ret_queued)
{
    struct am_faults f = {0};
    json_auto_t *all = json_object();
    struct wanted w = {all, &f};
    am_req_query_each(r, want, &w);
    *ret = json_object_size(all) && !f.n ? json_dumps(all, JSON_COMPACT) : NULL;
    bool bad = f.n > 0;
    if (bad)
        *ret_queued = am_reply_faults(r, &f);
    else
        am_faults_done(&f);
    return !bad;
}
