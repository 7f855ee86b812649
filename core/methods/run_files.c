/*
 * run_files.c - which files a run writes: the donor's laid out anew, or, when a weight file changes little, only what
 * changes in it (safetensors.md 5.3). Tensors that are not computed keep their bytes, so a file without any computed
 * one stays as it is.
 */
#include "core/base/err.h"
#include "core/methods/run_parts.h"

#include <stdlib.h>
#include <string.h>

enum fate { WHOLE, CHANGED, KEPT };

struct live { /* what of a blob a file would still be read from */
    int fd;
    uint64_t bytes;
};

struct placing {
    struct am_run_state *s;
    uint64_t *changed; /* bytes that are computed, of each file of the donor */
    enum fate *fate;
    uint32_t *place; /* of each file of the donor: its file in the output */
};

static bool dtypes_change(const struct am_run_state *s)
{
    for (size_t i = 0; i < s->items; i++)
        if (s->item[i].out_dtype != s->item[i].donor->dtype)
            return true;
    return false;
}

/* false: all files change too much, and the result is laid out as if the donor had none. */
static bool settle_fates(struct placing *p)
{
    const struct am_run *r = p->s->r;
    bool any = false;
    for (size_t i = 0; i < p->s->items; i++)
        p->changed[p->s->item[i].donor->file] += p->s->item[i].selected ? p->s->item[i].donor->bytes : 0;
    for (size_t i = 0; i < r->donor->files; i++) {
        uint64_t data = r->donor->file[i].bytes - 8 - r->donor->head[i].header_bytes;
        bool little = (double)p->changed[i] <= r->assemble_fraction * (double)data;
        p->fate[i] = p->changed[i] == 0 ? KEPT : little ? CHANGED : WHOLE;
        any = any || p->fate[i] != WHOLE;
    }
    return any;
}

static int by_fd(const void *a, const void *b)
{
    const struct live *x = a, *y = b;
    return x->fd < y->fd ? -1 : x->fd > y->fd;
}

static int by_bytes(const void *a, const void *b)
{
    const struct live *x = a, *y = b;
    return x->bytes != y->bytes ? (x->bytes < y->bytes ? -1 : 1) : by_fd(a, b);
}

static int blob_of(const struct am_run_state *s, const struct am_run_item *item)
{
    const struct am_span *span = am_file_span(&s->r->donor->file[item->donor->file], item->donor->begin);
    return span ? span->fd : -1;
}

static bool stays(const struct am_run_item *item, uint32_t file)
{
    return item->donor->file == file && !item->selected && item->donor->bytes > 0;
}

/* The distinct blobs that the unchanged tensors of a file lie in, with the bytes still in use; for v[s->items]. */
static size_t list_live(const struct am_run_state *s, uint32_t file, struct live *v)
{
    size_t n = 0, distinct = 0;
    for (size_t i = 0; i < s->items; i++)
        if (stays(&s->item[i], file))
            v[n++] = (struct live){blob_of(s, &s->item[i]), s->item[i].donor->bytes};
    qsort(v, n, sizeof(*v), by_fd);
    for (size_t i = 0; i < n; i++) {
        if (distinct && v[distinct - 1].fd == v[i].fd)
            v[distinct - 1].bytes += v[i].bytes;
        else
            v[distinct++] = v[i];
    }
    return distinct;
}

static bool among(const struct live *v, size_t n, int fd)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].fd == fd)
            return true;
    return false;
}

/* A file over too many blobs: the change takes in what the smallest half of them still holds, so that the next
 * consolidation is far away. Content and layout stay as they are. */
static int consolidate(struct am_run_state *s, uint32_t file)
{
    struct live *v = calloc(s->items + 1, sizeof(*v));
    if (!v)
        return -AM_E_OUT_OF_MEMORY;
    size_t n = list_live(s, file, v), most = s->r->max_blobs, with = n + 2; /* header and change */
    if (with > most) {
        size_t take = with - most > most / 2 ? with - most : most / 2;
        take = take < n ? take : n;
        qsort(v, n, sizeof(*v), by_bytes);
        for (size_t i = 0; i < s->items; i++)
            if (stays(&s->item[i], file) && among(v, take, blob_of(s, &s->item[i])))
                s->item[i].stored = true;
    }
    free(v);
    return 0;
}

static int mark(struct placing *p)
{
    for (size_t i = 0; i < p->s->items; i++) {
        struct am_run_item *item = &p->s->item[i];
        enum fate fate = p->fate[item->donor->file];
        item->stored = fate == WHOLE || (fate == CHANGED && item->selected);
    }
    for (uint32_t i = 0; i < p->s->r->donor->files; i++)
        if (p->fate[i] == CHANGED)
            AM_TRY(consolidate(p->s, i));
    return 0;
}

static size_t list_places(struct placing *p, struct am_out_place *place)
{
    size_t n = 0;
    for (uint32_t i = 0; i < p->s->r->donor->files; i++) {
        if (p->fate[i] == KEPT)
            continue;
        p->place[i] = (uint32_t)n;
        place[n++] = (struct am_out_place){p->fate[i] == WHOLE ? p->s->r->donor->file[i].path : NULL, i};
    }
    return n;
}

static size_t list_wanted(const struct am_run_state *s, struct am_out_want *want, uint32_t *of, const uint32_t *place)
{
    size_t n = 0;
    for (size_t i = 0; i < s->items; i++) {
        struct am_run_item *item = &s->item[i];
        const struct am_tensor *t = item->donor;
        if (!item->stored)
            continue;
        if (of)
            of[n] = place[t->file];
        want[n++] = (struct am_out_want){
            .name = t->name, .shape = t->shape, .dtype = item->out_dtype, .rank = t->rank, .user = item};
    }
    return n;
}

static int open_planned(struct placing *p, struct am_out_want *want)
{
    struct am_run_state *s = p->s;
    struct am_out_place *place = calloc(s->r->donor->files + 1, sizeof(*place));
    uint32_t *of = calloc(s->items + 1, sizeof(*of));
    int rc = place && of ? mark(p) : -AM_E_OUT_OF_MEMORY;
    if (rc == 0) {
        struct am_out_plan plan = {.place = place, .of = of, .files = list_places(p, place)};
        size_t n = list_wanted(s, want, of, p->place);
        rc = am_output_open_as(&s->out, s->r->staging, s->r->first_number, want, n, &plan);
    }
    free(place);
    free(of);
    return rc;
}

static int open_whole(struct am_run_state *s, struct am_out_want *want)
{
    for (size_t i = 0; i < s->items; i++)
        s->item[i].stored = true;
    size_t n = list_wanted(s, want, NULL, NULL);
    return am_output_open(&s->out, s->r->staging, s->r->first_number, want, n, s->r->shard_bytes);
}

int am_run_files(struct am_run_state *s)
{
    size_t files = s->r->donor->files;
    struct placing p = {.s = s};
    struct am_out_want *want = calloc(s->items + 1, sizeof(*want));
    p.changed = calloc(files + 1, sizeof(*p.changed));
    p.fate = calloc(files + 1, sizeof(*p.fate));
    p.place = calloc(files + 1, sizeof(*p.place));
    int rc = -AM_E_OUT_OF_MEMORY;
    if (want && p.changed && p.fate && p.place) {
        bool little = s->r->assemble_fraction > 0 && !dtypes_change(s) && settle_fates(&p);
        rc = little ? open_planned(&p, want) : open_whole(s, want);
    }
    free(want);
    free(p.changed);
    free(p.fate);
    free(p.place);
    return rc;
}
