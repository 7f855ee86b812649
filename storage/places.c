/*
 * places.c - see places.h. Spans of one layout lie together and in order, layouts by their id, so that a tensor is
 * found by two binary searches.
 */
#include "storage/places.h"
#include "storage/db.h"

#include "core/base/grow.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHA = 32, HEADWAY = 4096 };

struct span {
    int64_t at, offset;
    uint32_t blob;
};

struct layout {
    int64_t id;
    size_t first, n;
};

struct blob {
    unsigned char sha[SHA];
    char *origin; /* asked for at most once */
};

struct am_places {
    struct span *span;
    struct layout *layout;
    struct blob *blob;
    uint32_t *slot; /* hash table over blob: number + 1, 0 = free; at most half full */
    size_t spans, span_cap, layouts, layout_cap, blobs, blob_cap, slots;
};

struct am_places *am_places_new(void)
{
    return calloc(1, sizeof(struct am_places));
}

void am_places_free(struct am_places *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->blobs; i++)
        free(p->blob[i].origin);
    free(p->blob);
    free(p->slot);
    free(p->layout);
    free(p->span);
    free(p);
}

static size_t home(const struct am_places *p, const unsigned char sha[SHA])
{
    uint64_t at;
    memcpy(&at, sha, sizeof at);
    return (size_t)(at & (p->slots - 1));
}

static void seat(struct am_places *p, size_t number)
{
    size_t at = home(p, p->blob[number].sha);
    while (p->slot[at])
        at = (at + 1) & (p->slots - 1);
    p->slot[at] = (uint32_t)number + 1;
}

static int grow_blobs(struct am_places *p)
{
    size_t cap = p->blob_cap ? 2 * p->blob_cap : 64;
    struct blob *blob = reallocarray(p->blob, cap, sizeof *blob);
    if (!blob)
        return -AM_E_OUT_OF_MEMORY;
    p->blob = blob;
    p->blob_cap = cap;
    uint32_t *slot = calloc(2 * cap, sizeof *slot);
    if (!slot)
        return -AM_E_OUT_OF_MEMORY;
    free(p->slot);
    p->slot = slot;
    p->slots = 2 * cap;
    for (size_t i = 0; i < p->blobs; i++)
        seat(p, i);
    return 0;
}

static int number_of(struct am_places *p, const unsigned char sha[SHA], uint32_t *ret)
{
    for (size_t at = p->slots ? home(p, sha) : 0; p->slots && p->slot[at]; at = (at + 1) & (p->slots - 1))
        if (memcmp(p->blob[p->slot[at] - 1].sha, sha, SHA) == 0) {
            *ret = p->slot[at] - 1;
            return 0;
        }
    if (p->blobs == p->blob_cap)
        AM_TRY(grow_blobs(p));
    memcpy(p->blob[p->blobs].sha, sha, SHA);
    p->blob[p->blobs].origin = NULL;
    seat(p, p->blobs);
    *ret = (uint32_t)p->blobs++;
    return 0;
}

static int put_span(struct am_places *p, const struct span *s)
{
    if (p->spans == AM_PLACES_SPANS)
        return -AM_E_TOO_LARGE;
    AM_TRY(am_grow(&p->span, p->spans, &p->span_cap, sizeof *p->span));
    p->span[p->spans++] = *s;
    return 0;
}

static int read_spans(struct am_places *p, struct am_db *db, struct layout *l)
{
    AM_STMT st = am_db_bind(db, "SELECT at, offset, blob FROM span WHERE layout = ?1 ORDER BY seq", "i", l->id);
    int rc;
    l->first = p->spans;
    while ((rc = am_db_row(st)) > 0) {
        struct span s = {.at = sqlite3_column_int64(st, 0), .offset = sqlite3_column_int64(st, 1)};
        if (sqlite3_column_bytes(st, 2) != SHA)
            return -AM_E_STORE_DAMAGED;
        AM_TRY(number_of(p, sqlite3_column_blob(st, 2), &s.blob));
        AM_TRY(put_span(p, &s));
        if (p->spans % HEADWAY == 0)
            am_db_headway(db);
    }
    l->n = p->spans - l->first;
    return rc;
}

static int put_layout(struct am_places *p, int64_t id)
{
    AM_TRY(am_grow(&p->layout, p->layouts, &p->layout_cap, sizeof *p->layout));
    p->layout[p->layouts++] = (struct layout){.id = id};
    return 0;
}

static int by_id(const void *a, const void *b)
{
    const struct layout *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static const struct layout *find_layout(const struct am_places *p, size_t n, int64_t id)
{
    const struct layout key = {.id = id};
    return n ? bsearch(&key, p->layout, n, sizeof key, by_id) : NULL;
}

int am_places_add(struct am_places *p, struct am_db *db, int64_t version)
{
    size_t before = p->layouts;
    {
        AM_STMT st =
            am_db_bind(db, "SELECT DISTINCT layout FROM file WHERE version = ?1 AND weights = 1", "i", version);
        int rc;
        while ((rc = am_db_row(st)) > 0) {
            int64_t id = sqlite3_column_int64(st, 0);
            if (!find_layout(p, before, id))
                AM_TRY(put_layout(p, id));
        }
        AM_TRY(rc);
    }
    for (size_t i = before; i < p->layouts; i++)
        AM_TRY(read_spans(p, db, &p->layout[i]));
    if (p->layouts)
        qsort(p->layout, p->layouts, sizeof *p->layout, by_id);
    return 0;
}

bool am_places_find(const struct am_places *p, const struct am_tensor_row *t, struct am_place *ret)
{
    const struct layout *l = find_layout(p, p->layouts, t->layout);
    if (!l || !l->n || t->bytes == 0)
        return false;
    const struct span *s = p->span + l->first;
    size_t low = 0, high = l->n;
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (s[mid].at <= t->begin)
            low = mid;
        else
            high = mid;
    }
    if (high < l->n && t->begin + t->bytes > s[high].at)
        return false; /* over two spans: the bytes lie in no one place */
    *ret = (struct am_place){s[low].blob, s[low].offset + (t->begin - s[low].at)};
    return true;
}

int am_places_origin(struct am_places *p, struct am_db *db, const struct am_tensor_row *t, const char **ret)
{
    struct am_place place;
    char hex[2 * SHA + 1], name[300];
    if (!am_places_find(p, t, &place)) {
        *ret = NULL;
        return 0;
    }
    struct blob *b = &p->blob[place.blob];
    if (!b->origin) {
        am_hex(b->sha, SHA, hex);
        AM_TRY(am_blob_origin(db, hex, name, sizeof name));
        if (!(b->origin = strdup(name)))
            return -AM_E_OUT_OF_MEMORY;
    }
    *ret = b->origin;
    return 0;
}
