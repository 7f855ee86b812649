/*
 * st_index.c - see st_index.h.
 */
#include "core/tensor/st_index.h"

#include "core/base/grow.h"
#include "core/base/text.h"

#include <jansson.h>
#include <stdlib.h>

struct check {
    const struct am_st_index *x;
    const json_t *map; /* tensor -> name of a file */
    json_t *named;     /* name of a file -> its place in `head` */
    const struct am_st **head;
    size_t n, cap;
    struct am_faults *f;
};

static void fault(const struct check *c, const char *reason, const char *tensor, const char *fmt, const char *a,
                  const char *b)
{
    struct am_where where = {.reason = reason, .tensor = tensor, .file = c->x->path};
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    am_fault_add(c->f, AM_E_MALFORMED, where, fmt, a, b);
#pragma GCC diagnostic pop
}

/* The header of a file that the index names, or NULL. */
static const struct am_st *head_of(const struct check *c, const char *name)
{
    const json_t *place = json_object_get(c->named, name);
    return place ? c->head[json_integer_value(place)] : NULL;
}

/* Looks a named file up once. */
static int name_file(struct check *c, const char *tensor, const char *name)
{
    const struct am_st *head = NULL;
    bool there = false;
    if (json_object_get(c->named, name))
        return 0;
    if (!am_plain_name_ok(name) || !am_ends(name, ".safetensors"))
        fault(c, "index-file-name", tensor,
              "\"%.300s\" names the file \"%.300s\", which is no plain name of a .safetensors file", tensor, name);
    else if (!(head = c->x->head(c->x->ctx, name, &there)) && !there)
        fault(c, "index-missing-file", tensor,
              "\"%.300s\" is said to be in \"%.300s\", which is not there; add it or drop the index", tensor, name);
    AM_TRY(am_grow(&c->head, c->n, &c->cap, sizeof(struct am_st *)));
    c->head[c->n] = head;
    return json_object_set_new(c->named, name, json_integer((json_int_t)c->n++)) < 0 ? -AM_E_OUT_OF_MEMORY : 0;
}

static int check_map(struct check *c)
{
    const char *tensor;
    json_t *value;
    json_object_foreach((json_t *)c->map, tensor, value)
    {
        const char *name = json_string_value(value);
        if (!name) {
            fault(c, "index-syntax", tensor, "\"%.300s\" has no text as its file%s", tensor, "");
            continue;
        }
        AM_TRY(name_file(c, tensor, name));
        const struct am_st *head = head_of(c, name);
        if (head && !am_st_find(head, tensor))
            fault(c, "index-wrong-file", tensor, "\"%.300s\" is not in \"%.300s\", where the index says it is", tensor,
                  name);
    }
    return 0;
}

/* The other way round: what the files hold and the index does not say. Returns the bytes of all tensors. */
static uint64_t check_file(const struct check *c, const char *name, const struct am_st *head)
{
    uint64_t bytes = 0;
    for (size_t i = 0; head && i < head->n; i++) {
        const char *tensor = head->v[i].name, *other = json_string_value(json_object_get(c->map, tensor));
        const struct am_st *there = other ? head_of(c, other) : NULL;
        bytes += head->v[i].end - head->v[i].begin;
        if (!other)
            fault(c, "index-unlisted-tensor", tensor, "\"%.300s\" is in \"%.300s\" and not in the index", tensor, name);
        else if (!am_streq(other, name) && there && am_st_find(there, tensor))
            fault(c, "index-duplicate", tensor,
                  "\"%.300s\" is in \"%.300s\" and in the file that the index names for it", tensor, name);
    }
    return bytes;
}

static int check_all(struct check *c, const json_t *root, struct am_st_index_sum *ret)
{
    struct am_st_index_sum sum = {.tensors = json_object_size(c->map)};
    size_t before = c->f->total;
    const char *name;
    json_t *place;
    AM_TRY(check_map(c));
    json_object_foreach(c->named, name, place) sum.bytes += check_file(c, name, head_of(c, name));
    const json_t *total = json_object_get(json_object_get(root, "metadata"), "total_size");
    sum.files = c->n;
    sum.sound = c->f->total == before;
    sum.differs = total && json_number_value(total) != (double)sum.bytes;
    *ret = sum;
    return 0;
}

int am_st_index_check(const struct am_st_index *x, const char *text, size_t bytes, struct am_faults *f,
                      struct am_st_index_sum *ret)
{
    json_error_t why = {.line = 0};
    json_auto_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &why), *named = json_object();
    struct check c = {.x = x, .map = json_object_get(root, "weight_map"), .named = named, .f = f};
    int rc = named ? 0 : -AM_E_OUT_OF_MEMORY;
    *ret = (struct am_st_index_sum){.tensors = 0};
    if (!root)
        fault(&c, "index-syntax", NULL, "\"%.300s\" is no JSON: %.100s", x->path, why.text);
    else if (!json_is_object(c.map))
        fault(&c, "index-syntax", NULL, "\"%.300s\" has no object weight_map%s", x->path, "");
    else if (rc == 0)
        rc = check_all(&c, root, ret);
    free(c.head);
    return rc;
}
