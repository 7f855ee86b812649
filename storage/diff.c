/*
 * diff.c - see diff.h. Both sides come sorted by name, so each is walked once.
 */
#include "storage/diff.h"
#include "storage/places.h"
#include "storage/store.h"

#include "core/base/grow.h"
#include "core/base/text.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[AM_DIFF_CLASSES] = {"added", "removed", "reshaped", "changed", "identical"};

const char *am_diff_name(enum am_diff_class c)
{
    return names[c];
}

int am_diff_parse(const char *name, size_t n)
{
    for (int i = 0; i < AM_DIFF_CLASSES; i++)
        if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0)
            return i;
    return -1;
}

/* ---- tensors ---- */

static bool same_bytes(const struct am_places *p, const struct am_tensor_row *a, const struct am_tensor_row *b)
{
    struct am_place x, y;
    if (a->bytes != b->bytes)
        return false;
    if (a->bytes == 0 || (a->layout == b->layout && a->begin == b->begin))
        return true;
    return am_places_find(p, a, &x) && am_places_find(p, b, &y) && x.blob == y.blob && x.offset == y.offset;
}

static enum am_diff_class classify(const struct am_places *p, const struct am_tensor_row *a,
                                   const struct am_tensor_row *b)
{
    if (!am_streq(a->dtype, b->dtype) || !am_streq(a->shape, b->shape))
        return AM_DIFF_RESHAPED;
    return same_bytes(p, a, b) ? AM_DIFF_IDENTICAL : AM_DIFF_CHANGED;
}

struct side {
    struct am_tensor_cursor *cursor;
    struct am_tensor_row row;
    int have; /* 1: row is the next one, 0: none left */
};

static int step(struct side *s)
{
    s->have = am_tensor_next(s->cursor, &s->row);
    return s->have < 0 ? s->have : 0;
}

static int walk(const struct am_places *p, struct side *a, struct side *b,
                int (*row)(void *ctx, const struct am_tensor_diff *d), void *ctx)
{
    AM_TRY(step(a));
    AM_TRY(step(b));
    while (a->have || b->have) {
        int order = !a->have ? 1 : !b->have ? -1 : strcmp(a->row.name, b->row.name);
        struct am_tensor_diff d = {.from = order <= 0 ? &a->row : NULL, .to = order >= 0 ? &b->row : NULL};
        d.is = order < 0 ? AM_DIFF_REMOVED : order > 0 ? AM_DIFF_ADDED : classify(p, &a->row, &b->row);
        int rc = row(ctx, &d);
        if (rc != 0)
            return rc < 0 ? rc : 0;
        if (d.from)
            AM_TRY(step(a));
        if (d.to)
            AM_TRY(step(b));
    }
    return 0;
}

int am_diff_tensors(struct am_db *db, int64_t from, int64_t to, const char *after,
                    int (*row)(void *ctx, const struct am_tensor_diff *d), void *ctx)
{
    struct am_places *p = am_places_new();
    int rc = p ? am_places_add(p, db, from) : -AM_E_OUT_OF_MEMORY;
    if (rc == 0)
        rc = am_places_add(p, db, to);
    if (rc == 0) {
        struct side a = {.cursor = am_tensor_open_after(db, from, after)},
                    b = {.cursor = am_tensor_open_after(db, to, after)};
        rc = a.cursor && b.cursor ? walk(p, &a, &b, row, ctx) : -AM_E_INTERNAL;
        am_tensor_close(a.cursor);
        am_tensor_close(b.cursor);
    }
    am_places_free(p);
    return rc;
}

/* ---- files ---- */

struct kept_file {
    char *path, *sha256;
    int64_t bytes;
};

struct kept {
    struct kept_file *v;
    size_t n, cap, at; /* at: the next one to tell */
    int (*row)(void *ctx, const struct am_file_diff *d);
    void *ctx;
};

static int keep(void *ctx, const struct am_file_row *f)
{
    struct kept *k = ctx;
    AM_TRY(am_grow(&k->v, k->n, &k->cap, sizeof *k->v));
    struct kept_file *one = &k->v[k->n++];
    *one = (struct kept_file){strdup(f->path), strdup(f->sha256), f->bytes};
    return one->path && one->sha256 ? 0 : -AM_E_OUT_OF_MEMORY;
}

/* The kept files before `path`, which the other side does not have; all that are left when it is NULL. */
static int tell_removed(struct kept *k, const char *path)
{
    for (; k->at < k->n && (!path || strcmp(k->v[k->at].path, path) < 0); k->at++) {
        const struct kept_file *f = &k->v[k->at];
        const struct am_file_row from = {.path = f->path, .sha256 = f->sha256, .bytes = f->bytes};
        AM_TRY(k->row(k->ctx, &(struct am_file_diff){.is = AM_DIFF_REMOVED, .path = f->path, .from = &from}));
    }
    return 0;
}

static int tell(void *ctx, const struct am_file_row *to)
{
    struct kept *k = ctx;
    AM_TRY(tell_removed(k, to->path));
    if (k->at == k->n || strcmp(k->v[k->at].path, to->path) != 0)
        return k->row(k->ctx, &(struct am_file_diff){.is = AM_DIFF_ADDED, .path = to->path, .to = to});
    const struct kept_file *f = &k->v[k->at++];
    const struct am_file_row from = {.path = f->path, .sha256 = f->sha256, .bytes = f->bytes};
    bool same = am_streq(f->sha256, to->sha256);
    return k->row(k->ctx,
                  &(struct am_file_diff){
                      .is = same ? AM_DIFF_IDENTICAL : AM_DIFF_CHANGED, .path = to->path, .from = &from, .to = to});
}

int am_diff_files(struct am_db *db, int64_t from, int64_t to, int (*row)(void *ctx, const struct am_file_diff *d),
                  void *ctx)
{
    struct kept k = {.row = row, .ctx = ctx};
    int rc = am_file_list(db, from, keep, &k);
    if (rc == 0)
        rc = am_file_list(db, to, tell, &k);
    if (rc == 0)
        rc = tell_removed(&k, NULL);
    for (size_t i = 0; i < k.n; i++) {
        free(k.v[i].path);
        free(k.v[i].sha256);
    }
    free(k.v);
    return rc;
}
