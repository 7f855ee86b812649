/*
 * import_index.c - <prefix>.safetensors.index.json against the files beside it (safetensors.md 4).
 */
#include "core/base/text.h"
#include "worker/import.h"

#include <stdlib.h>
#include <string.h>

#define INDEX_MAX (32u << 20)

struct check {
    struct am_import *im;
    const char *path; /* of the index */
    json_t *map;      /* tensor -> file name */
    json_t *named;    /* file name -> its number in im->file, or -1 when it is not there or malformed */
    struct am_faults *f;
};

static int fault(const struct check *c, const char *reason, const char *tensor, const char *fmt, const char *a,
                 const char *b)
{
    struct am_where where = {.reason = reason, .tensor = tensor, .file = c->path};
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    return am_fault_add(c->f, AM_E_MALFORMED, where, fmt, a, b);
#pragma GCC diagnostic pop
}

/* The header of a file that the index names, or NULL. */
static const struct am_st *head_of(const struct check *c, const char *name)
{
    json_t *number = json_object_get(c->named, name);
    json_int_t i = number ? json_integer_value(number) : -1;
    return i >= 0 ? &c->im->file[i].head : NULL;
}

/* Looks a named file up once. */
static void name_file(struct check *c, const char *tensor, const char *name)
{
    if (json_object_get(c->named, name))
        return;
    json_int_t number = -1;
    struct am_import_file *file = NULL;
    if (!am_plain_name_ok(name) || !am_ends(name, ".safetensors"))
        fault(c, "index-file-name", tensor,
              "\"%.300s\" names the file \"%.300s\", which is no plain name of a .safetensors file", tensor, name);
    else if (!(file = am_import_find(c->im, c->path, name)))
        fault(c, "index-missing-file", tensor,
              "\"%.300s\" is said to be in \"%.300s\", which is not there; add it or drop the index", tensor, name);
    else if (file->parsed)
        number = file - c->im->file;
    json_object_set_new(c->named, name, json_integer(number));
}

static void check_map(struct check *c)
{
    const char *tensor;
    json_t *value;
    json_object_foreach(c->map, tensor, value)
    {
        const char *name = json_string_value(value);
        if (!name) {
            fault(c, "index-syntax", tensor, "\"%.300s\" has no text as its file%s", tensor, "");
            continue;
        }
        name_file(c, tensor, name);
        const struct am_st *head = head_of(c, name);
        if (head && !am_st_find(head, tensor))
            fault(c, "index-wrong-file", tensor, "\"%.300s\" is not in \"%.300s\", where the index says it is", tensor,
                  name);
    }
}

/* The other way round: what the files hold and the index does not say. Returns the bytes of all tensors. */
static uint64_t check_file(struct check *c, const char *name, const struct am_st *head)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < head->n; i++) {
        const char *tensor = head->v[i].name;
        const char *other = json_string_value(json_object_get(c->map, tensor));
        bytes += head->v[i].end - head->v[i].begin;
        if (!other)
            fault(c, "index-unlisted-tensor", tensor, "\"%.300s\" is in \"%.300s\" and not in the index", tensor, name);
        else if (strcmp(other, name) != 0 && head_of(c, other) && am_st_find(head_of(c, other), tensor))
            fault(c, "index-duplicate", tensor,
                  "\"%.300s\" is in \"%.300s\" and in the file that the index names for it", tensor, name);
    }
    return bytes;
}

static void check_total(struct check *c, json_t *root, uint64_t bytes)
{
    json_t *total = json_object_get(json_object_get(root, "metadata"), "total_size");
    if (!total || json_number_value(total) == (double)bytes)
        return;
    struct am_buf text;
    am_buf_init(&text, 4096);
    if (am_buf_printf(&text, "total_size of %s is not the sum of the tensors, %llu bytes", c->path,
                      (unsigned long long)bytes) == 0)
        am_session_warn(c->im->s, "index-total-size", text.data);
    am_buf_done(&text);
}

static void check_sound(struct check *c, json_t *root)
{
    const char *name;
    json_t *number;
    uint64_t bytes = 0;
    size_t before = c->f->total;
    check_map(c);
    json_object_foreach(c->named, name, number)
    {
        const struct am_st *head = head_of(c, name);
        bytes += head ? check_file(c, name, head) : 0;
    }
    if (c->f->total == before)
        check_total(c, root, bytes);
}

int am_import_check_index(struct am_import *im, struct am_import_file *index)
{
    struct check c = {.im = im, .path = index->spec->path, .f = &im->s->faults};
    char *text = NULL;
    json_error_t why = {.line = 0};
    int rc = am_import_read(index->spec, INDEX_MAX, &text);
    if (rc == -AM_E_TOO_LARGE)
        return fault(&c, "index-syntax", NULL, "\"%.300s\" is longer than 32 MiB%s", c.path, ""), 0;
    AM_TRY(rc);
    json_t *root = json_loadb(text, (size_t)index->spec->bytes, JSON_REJECT_DUPLICATES, &why);
    free(text);
    c.map = json_object_get(root, "weight_map");
    c.named = json_object();
    if (!root)
        fault(&c, "index-syntax", NULL, "\"%.300s\" is no JSON: %.100s", c.path, why.text);
    else if (!json_is_object(c.map))
        fault(&c, "index-syntax", NULL, "\"%.300s\" has no object weight_map%s", c.path, "");
    else
        check_sound(&c, root);
    if (json_is_object(c.map))
        index->named = json_incref(c.named);
    json_decref(c.named);
    json_decref(root);
    return 0;
}
