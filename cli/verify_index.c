/*
 * verify_index.c - <prefix>.safetensors.index.json against the files beside it (safetensors.md 4), by the same rules as
 * a registration on the daemon.
 */
#include "cli/verify.h"

#include "cli/out.h"
#include "cli/read.h"
#include "core/base/text.h"

#include <stdlib.h>
#include <string.h>

static void fault(struct am_verify_file *f, const char *reason, const char *tensor, const char *what, const char *file)
{
    am_fault_add(&f->faults, AM_E_MALFORMED, (struct am_where){.reason = reason, .tensor = tensor, .file = f->path},
                 "%.300s %s%s%.300s%s", tensor ? tensor : f->path, what, file ? " '" : "", file ? file : "",
                 file ? "'" : "");
}

static struct am_verify_file *beside(const struct am_verify *v, const struct am_verify_file *index, const char *name)
{
    const char *slash = strrchr(index->path, '/');
    AM_CLEANUP(am_xfreep)
    char *path = am_xprintf("%.*s%s", slash ? (int)(slash - index->path) + 1 : 0, index->path, name);
    return am_verify_find(v, path);
}

/* Looks a named file up once. */
static void name_file(const struct am_verify *v, struct am_verify_file *f, json_t *named, const char *tensor,
                      const char *name)
{
    if (json_object_get(named, name))
        return;
    struct am_verify_file *file = NULL;
    if (!am_plain_name_ok(name) || !am_ends(name, ".safetensors"))
        fault(f, "index-file-name", tensor, "names a file that is no plain name of a .safetensors file:", name);
    else if (!(file = beside(v, f, name)))
        fault(f, "index-missing-file", tensor, "is said to be in a file that is not there:", name);
    json_object_set_new(named, name, json_integer(file && file->parsed ? file - v->file : -1));
}

static const struct am_st *head_of(const struct am_verify *v, const json_t *named, const char *name)
{
    const json_t *number = json_object_get(named, name);
    return json_is_integer(number) && json_integer_value(number) >= 0 ? &v->file[json_integer_value(number)].head
                                                                      : NULL;
}

static void check_map(const struct am_verify *v, struct am_verify_file *f, const json_t *map, json_t *named)
{
    const char *tensor;
    json_t *value;
    json_object_foreach((json_t *)map, tensor, value)
    {
        const char *name = json_string_value(value);
        if (!name) {
            fault(f, "index-syntax", tensor, "has no text as its file", NULL);
            continue;
        }
        name_file(v, f, named, tensor, name);
        const struct am_st *head = head_of(v, named, name);
        if (head && !am_st_find(head, tensor))
            fault(f, "index-wrong-file", tensor, "is not where the index says it is:", name);
    }
}

/* The other way round: what the files hold and the index does not say. Returns the bytes of all tensors. */
static uint64_t check_file(const struct am_verify *v, struct am_verify_file *f, const json_t *map, const json_t *named,
                           const char *name)
{
    const struct am_st *head = head_of(v, named, name);
    uint64_t bytes = 0;
    for (size_t i = 0; head && i < head->n; i++) {
        const char *tensor = head->v[i].name, *other = json_string_value(json_object_get(map, tensor));
        bytes += head->v[i].end - head->v[i].begin;
        const struct am_st *there = other ? head_of(v, named, other) : NULL;
        if (!other)
            fault(f, "index-unlisted-tensor", tensor, "is not in the index and is in the file", name);
        else if (!am_streq(other, name) && there && am_st_find(there, tensor))
            fault(f, "index-duplicate", tensor, "is in the file that the index names and also in", name);
    }
    return bytes;
}

int am_verify_index(struct am_verify *v, struct am_verify_file *f)
{
    AM_CLEANUP(am_xfreep) char *full = am_xprintf("%s/%s", v->dir, f->path);
    AM_CLEANUP(am_xfreep) char *text = NULL;
    size_t n;
    if (f->faults.total) /* no JSON, told already */
        return 0;
    int rc = am_read_all(v->c, full, &text, &n);
    if (rc)
        return rc;
    AM_CLEANUP(am_jsonp) json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
    AM_CLEANUP(am_jsonp) json_t *named = json_object();
    const json_t *map = am_js(root, "weight_map");
    if (!json_is_object(map)) {
        fault(f, "index-syntax", NULL, root ? "has no object weight_map" : "names a tensor twice", NULL);
        return 0;
    }
    check_map(v, f, map, named);
    const char *name;
    json_t *number;
    uint64_t bytes = 0;
    json_object_foreach(named, name, number) bytes += check_file(v, f, map, named, name);
    const json_t *total = am_js(root, "metadata.total_size");
    if (!f->faults.total)
        am_verify_say(f, "%zu tensors in %zu files as listed", json_object_size(map), json_object_size(named));
    if (!f->faults.total && json_is_number(total) && json_number_value(total) != (double)bytes)
        am_verify_say(f, "note: total_size is not the sum of the tensors (%llu bytes)", (unsigned long long)bytes);
    return 0;
}
