/*
 * st_check.c - see st_check.h. Sorting goes over small keys, not over the entries: names mostly differ in the 8 bytes
 * after what all of them begin with.
 */
#include "core/tensor/st_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct check {
    struct am_st_table *t;
    const char *file;
    struct am_faults *faults;
    size_t found;
};

void am_st_note_dtype(struct am_st_table *t, const char *text)
{
    if (t->unknown_n == AM_ST_FAULTS_MAX)
        return;
    t->unknown[t->unknown_n].entry = t->n;
    am_st_show(text, t->unknown[t->unknown_n++].text);
}

/* Counts a fault; true when there is still room for its words. */
static bool room(struct check *c)
{
    if (++c->found <= AM_ST_FAULTS_MAX)
        return true;
    c->faults->total++;
    return false;
}

static void add(struct check *c, const struct am_st_entry *e, const char *rule, const char *detail)
{
    char show[AM_ST_SHOW + 4];
    if (!room(c))
        return;
    struct am_where where = {NULL, rule, e ? e->name : NULL, c->file};
    if (e)
        am_fault_add(c->faults, AM_E_MALFORMED, where, "\"%s\" %s", am_st_show(e->name, show), detail);
    else
        am_fault_add(c->faults, AM_E_MALFORMED, where, "%s", detail);
}

/* "[2, 3]", cut after a dozen dimensions. */
static void shape_text(const struct am_st_entry *e, char out[320])
{
    size_t n = 0;
    n += (size_t)snprintf(out, 320, "[");
    for (unsigned i = 0; i < e->rank && i < 12; i++)
        n += (size_t)snprintf(out + n, 320 - n, "%s%llu", i ? ", " : "", (unsigned long long)e->shape[i]);
    snprintf(out + n, 320 - n, "%s]", e->rank > 12 ? ", ..." : "");
}

static void check_dtype(struct check *c, size_t i)
{
    char detail[AM_ST_SHOW + 64] = "has a dtype that the format does not know";
    for (size_t k = 0; k < c->t->unknown_n; k++)
        if (c->t->unknown[k].entry == i)
            snprintf(detail, sizeof(detail), "has the dtype \"%s\", which the format does not know",
                     c->t->unknown[k].text);
    add(c, &c->t->v[i], "unknown_dtype", detail);
}

static void check_size(struct check *c, size_t i)
{
    const struct am_st_entry *e = &c->t->v[i];
    enum am_dtype dtype = (enum am_dtype)(e->dtype & ~AM_ST_DUPLICATE);
    uint64_t elements = 0, bytes = 0;
    char shape[320], detail[600];
    if (dtype == AM_ST_UNKNOWN) {
        check_dtype(c, i);
        return;
    }
    int rc = am_dtype_bytes(dtype, e->shape, e->rank, &elements, &bytes);
    if (rc == 0 && (e->end < e->begin || e->end - e->begin == bytes))
        return; /* END below BEGIN was told by the walk */
    shape_text(e, shape);
    if (rc == -1) {
        snprintf(detail, sizeof(detail), "has the shape %s of %s, whose size in bits is above 2^64", shape,
                 am_dtype_name(dtype));
        add(c, e, "overflow", detail);
    } else if (rc == -2) {
        snprintf(detail, sizeof(detail), "has the shape %s of %s, which is not a whole number of bytes", shape,
                 am_dtype_name(dtype));
        add(c, e, "sub_byte", detail);
    } else {
        snprintf(detail, sizeof(detail), "holds %llu bytes at [%llu, %llu), its shape %s of %s needs %llu",
                 (unsigned long long)(e->end - e->begin), (unsigned long long)e->begin, (unsigned long long)e->end,
                 shape, am_dtype_name(dtype), (unsigned long long)bytes);
        add(c, e, "size", detail);
    }
}

static void misplaced(struct check *c, const struct am_st_entry *e, uint64_t start)
{
    char detail[300];
    if (e->end < e->begin)
        snprintf(detail, sizeof(detail), "ends at %llu, before it begins at %llu", (unsigned long long)e->end,
                 (unsigned long long)e->begin);
    else
        snprintf(detail, sizeof(detail), "begins at %llu, the tensors before it end at %llu: data must have no %s",
                 (unsigned long long)e->begin, (unsigned long long)start, e->begin > start ? "holes" : "overlaps");
    add(c, e, "offsets", detail);
}

/* The walk of step 6: `start` is where the data so far ends. Returns where it ends afterwards. */
static uint64_t walk(struct check *c, size_t i, uint64_t start)
{
    const struct am_st_entry *e = &c->t->v[i];
    if (e->dtype & AM_ST_DUPLICATE)
        add(c, e, "duplicate", "appears twice in the header");
    if (e->begin != start || e->end < e->begin)
        misplaced(c, e, start);
    check_size(c, i);
    return e->end > start ? e->end : start;
}

struct place {
    uint64_t begin, end;
    uint32_t i;
};

static int by_place(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return x->i < y->i ? -1 : x->i > y->i;
}

static bool placed(const struct am_st_table *t)
{
    for (size_t i = 1; i < t->n; i++)
        if (t->v[i].begin < t->v[i - 1].begin || (t->v[i].begin == t->v[i - 1].begin && t->v[i].end < t->v[i - 1].end))
            return false;
    return true;
}

static int check_data(struct check *c, uint64_t data_at, uint64_t file_bytes)
{
    struct am_st_table *t = c->t;
    struct place *order = NULL;
    uint64_t start = 0;
    if (!placed(t)) {
        order = malloc(t->n * sizeof(*order));
        if (!order)
            return -AM_E_OUT_OF_MEMORY;
        for (size_t i = 0; i < t->n; i++)
            order[i] = (struct place){t->v[i].begin, t->v[i].end, (uint32_t)i};
        qsort(order, t->n, sizeof(*order), by_place);
    }
    for (size_t i = 0; i < t->n; i++)
        start = walk(c, order ? order[i].i : i, start);
    free(order);
    uint64_t data = file_bytes - data_at;
    char detail[200];
    if (start == data)
        return 0;
    snprintf(detail, sizeof(detail), "the tensors end after %llu bytes of data, the file has %llu: %llu %s",
             (unsigned long long)start, (unsigned long long)data,
             (unsigned long long)(start > data ? start - data : data - start),
             start > data ? "are missing" : "too many");
    add(c, NULL, "file_size", detail);
    return 0;
}

struct name {
    uint64_t head; /* 8 bytes of the name as a big-endian number */
    const char *name;
    uint32_t i;
};

static int by_head(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    if (x->head != y->head)
        return x->head < y->head ? -1 : 1;
    return x->i < y->i ? -1 : x->i > y->i;
}

static uint64_t head_of(const char *s)
{
    uint64_t head = 0;
    for (int i = 0; i < 8; i++) {
        head = head << 8 | (unsigned char)*s;
        s += *s != '\0';
    }
    return head;
}

/* How many bytes all names have in common, of which `known` are known. */
static size_t common_of(const struct name *v, size_t n, size_t known)
{
    size_t common = known + strlen(v[0].name + known);
    for (size_t i = 1; i < n; i++) {
        size_t k = known;
        if (strncmp(v[i].name + known, v[0].name + known, common - known) == 0)
            continue; /* no shorter: v[0].name has no NUL in there */
        while (k < common && v[i].name[k] == v[0].name[k])
            k++;
        common = k;
    }
    return common;
}

/*
 * Sorts names that have their first `known` bytes in common: by the 8 bytes after what is common, then every run of
 * equal ones in turn. A level deeper needs a name that ends or parts from the others, and 8 more bytes in all of them:
 * at most 256 levels for names of tensors and a few thousand for the keys of the largest metadata.
 */
static void sort_names(struct name *v, size_t n, size_t known)
{
    bool sorted = true;
    size_t common = common_of(v, n, known);
    for (size_t i = 0; i < n; i++) {
        v[i].head = head_of(v[i].name + common);
        sorted = sorted && (i == 0 || by_head(&v[i - 1], &v[i]) < 0);
    }
    if (!sorted)
        qsort(v, n, sizeof(*v), by_head);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && v[end].head == v[i].head;)
            end++;
        if (end - i > 1 && (v[i].head & 0xff)) /* not ended within the 8 bytes */
            sort_names(v + i, end - i, common + 8);
    }
}

/* The names (the first member of things of `stride` bytes) with their indices, sorted. NULL: out of memory. */
static struct name *sorted_names(const void *first, size_t n, size_t stride)
{
    struct name *v = malloc((n ? n : 1) * sizeof(*v));
    for (size_t i = 0; v && i < n; i++) {
        memcpy(&v[i].name, (const char *)first + i * stride, sizeof(v[i].name));
        v[i].i = (uint32_t)i;
    }
    if (v && n)
        sort_names(v, n, 0);
    return v;
}

static int check_metadata(struct check *c)
{
    char show[AM_ST_SHOW + 4], detail[AM_ST_SHOW + 64];
    if (c->t->meta_n < 2)
        return 0;
    struct name *v = sorted_names(c->t->meta, c->t->meta_n, sizeof(*c->t->meta));
    if (!v)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 1; i < c->t->meta_n; i++) {
        if (strcmp(v[i].name, v[i - 1].name) != 0)
            continue;
        snprintf(detail, sizeof(detail), "the key \"%s\" appears twice in __metadata__", am_st_show(v[i].name, show));
        add(c, NULL, "duplicate", detail);
    }
    free(v);
    return 0;
}

/* Puts the entries into the order of `v`, with places in the file. */
static int settle(struct am_st_table *t, const struct name *v, uint64_t data_at)
{
    struct am_st_entry *sorted = malloc((t->n ? t->n : 1) * sizeof(*sorted));
    if (!sorted)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < t->n; i++) {
        sorted[i] = t->v[v[i].i];
        sorted[i].begin += data_at;
        sorted[i].end += data_at;
    }
    free(t->v);
    t->v = sorted;
    return 0;
}

int am_st_check(struct am_st_table *t, uint64_t data_at, uint64_t file_bytes, const char *file,
                struct am_faults *faults)
{
    struct check c = {t, file, faults, 0};
    AM_TRY(check_metadata(&c));
    struct name *v = sorted_names(t->v, t->n, sizeof(*t->v));
    if (!v)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 1; i < t->n; i++)
        if (v[i].head == v[i - 1].head && strcmp(v[i].name, v[i - 1].name) == 0)
            t->v[v[i].i].dtype |= AM_ST_DUPLICATE;
    int rc = check_data(&c, data_at, file_bytes);
    if (rc == 0)
        rc = c.found ? -AM_E_MALFORMED : settle(t, v, data_at);
    free(v);
    return rc;
}
