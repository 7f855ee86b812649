/*
 * publisher_spans.c - see publisher_spans.h.
 */
#include "server/publisher_spans.h"

#include "core/base/grow.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KNOWN_MAX = 1 << 20 };

struct known {
    char sha256[AM_SHA256_LEN + 1];
    int64_t bytes;
};

struct list {
    struct known *v;
    size_t n, cap;
};

static int add(void *ctx, const char *blob_hex, int64_t bytes)
{
    struct list *l = ctx;
    if (l->n == KNOWN_MAX)
        return -AM_E_OUT_OF_MEMORY;
    AM_TRY(am_grow(&l->v, l->n, &l->cap, sizeof *l->v));
    struct known *k = &l->v[l->n++];
    snprintf(k->sha256, sizeof k->sha256, "%s", blob_hex);
    k->bytes = bytes;
    return 0;
}

static int by_hash(const void *a, const void *b)
{
    return strcmp(((const struct known *)a)->sha256, ((const struct known *)b)->sha256);
}

static int list_blobs(struct list *l, struct am_db *db, const json_t *inputs)
{
    size_t i;
    const json_t *in;
    json_array_foreach(inputs, i, in)
    {
        const char *model = json_string_value(json_object_get(in, "model"));
        const char *commit = json_string_value(json_object_get(in, "commit"));
        int64_t version;
        if (model && commit && am_rev_resolve(db, model, commit, &version, NULL) == 0)
            AM_TRY(am_version_blobs(db, version, add, l));
    }
    if (l->n)
        qsort(l->v, l->n, sizeof *l->v, by_hash);
    return 0;
}

static int check(const struct list *l, const struct am_result *r, char *why, size_t why_cap)
{
    for (size_t i = 0; i < r->blobs; i++) {
        const struct am_result_blob *b = &r->blob[i];
        struct known key = {.bytes = 0};
        if (b->staged)
            continue;
        snprintf(key.sha256, sizeof key.sha256, "%s", b->sha256);
        const struct known *k = l->n ? bsearch(&key, l->v, l->n, sizeof key, by_hash) : NULL;
        if (!k || b->end > k->bytes) {
            snprintf(why, why_cap,
                     k ? "the worker read beyond the end of the blob %s of its inputs"
                       : "the worker built a file on the blob %s, which is none of its inputs",
                     b->sha256);
            return -AM_E_PUBLISH;
        }
    }
    return 0;
}

static int copy(struct am_span_new **ret, const struct am_result *r)
{
    struct am_span_new *v = calloc(r->spans + 1, sizeof *v);
    if (!v)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < r->spans; i++) {
        const struct am_result_blob *b = &r->blob[r->span[i].blob];
        v[i] = (struct am_span_new){b->sha256, r->span[i].offset, r->span[i].bytes, b->bytes};
    }
    *ret = v;
    return 0;
}

int am_publisher_spans(struct am_span_new **ret, struct am_db *db, const json_t *inputs, const struct am_result *r,
                       char *why, size_t why_cap)
{
    struct list l = {0};
    *ret = NULL;
    if (r->spans == 0)
        return 0;
    int rc = list_blobs(&l, db, inputs);
    if (rc == 0)
        rc = check(&l, r, why, why_cap);
    free(l.v);
    return rc < 0 ? rc : copy(ret, r);
}
