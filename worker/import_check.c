/*
 * import_check.c - everything about a folder that can be known from headers and indexes, before a byte is copied.
 */
#include "core/base/sys.h"
#include "core/base/text.h"
#include "worker/import.h"

#include <stdlib.h>
#include <string.h>

static const char index_suffix[] = ".safetensors.index.json";

static bool same_path(const char *path, const char *folder, size_t folder_n, const char *name)
{
    return strncmp(path, folder, folder_n) == 0 && strcmp(path + folder_n, name) == 0;
}

struct am_import_file *am_import_find(struct am_import *im, const char *folder_of, const char *name)
{
    const char *slash = folder_of ? strrchr(folder_of, '/') : NULL;
    size_t folder_n = slash ? (size_t)(slash - folder_of) + 1 : 0;
    for (size_t i = 0; i < im->files; i++)
        if (same_path(im->file[i].spec->path, folder_n ? folder_of : "", folder_n, name))
            return &im->file[i];
    return NULL;
}

int am_import_read(const struct am_spec_import_file *f, uint64_t max, char **ret)
{
    if (f->bytes > max)
        return -AM_E_TOO_LARGE;
    char *text = malloc((size_t)f->bytes + 1);
    if (!text)
        return -AM_E_OUT_OF_MEMORY;
    int rc = am_sys_pread(f->fd, text, (size_t)f->bytes, 0);
    if (rc < 0) {
        free(text);
        return rc;
    }
    text[f->bytes] = '\0';
    *ret = text;
    return 0;
}

static int read_at(void *ctx, void *buf, size_t n, uint64_t off)
{
    const struct am_spec_import_file *f = ctx;
    return am_sys_pread(f->fd, buf, n, off);
}

static int check_heads(struct am_import *im)
{
    for (size_t i = 0; i < im->files; i++) {
        struct am_import_file *file = &im->file[i];
        struct am_spec_import_file f = *file->spec;
        if (!file->safetensors)
            continue;
        int rc = am_st_read(&file->head, read_at, &f, f.bytes, im->spec.limits, f.path, &im->s->faults);
        file->parsed = rc == 0;
        if (rc == -AM_E_STORE_DAMAGED)
            am_fault_add(&im->s->faults, AM_E_BAD_INPUT, (struct am_where){.reason = "file-changed", .file = f.path},
                         "%.500s is shorter than it was a moment ago; register the folder when nobody writes to it",
                         f.path);
        else if (rc < 0 && rc != -AM_E_MALFORMED)
            return am_fault_add(&im->s->faults, -rc, (struct am_where){.file = f.path}, "%.500s cannot be read: %s",
                                f.path, am_err_title(rc));
        AM_TRY(am_session_alive(im->s));
    }
    return 0;
}

/* model.safetensors beside model.safetensors.index.json: loaders take the single file, and so do we. */
static bool shadowed(struct am_import *im, const struct am_import_file *index)
{
    char *single = strdup(index->spec->path);
    if (!single)
        return false;
    single[strlen(single) - strlen(".index.json")] = '\0';
    bool hit = am_import_find(im, NULL, single) != NULL;
    free(single);
    return hit;
}

static int check_indexes(struct am_import *im)
{
    for (size_t i = 0; i < im->files; i++) {
        struct am_import_file *file = &im->file[i];
        if (!file->index)
            continue;
        if (shadowed(im, file))
            am_session_warn(
                im->s, "ambiguous_weights",
                "a .safetensors file and an index of the same name are both there; the single file is used");
        else
            AM_TRY(am_import_check_index(im, file));
    }
    return 0;
}

static void take_index(struct am_import *im, const struct am_import_file *index)
{
    const char *name;
    json_t *number;
    json_object_foreach(index->named, name, number) im->file[json_integer_value(number)].weights = true;
}

/* The only file at the root that is of the kind, or NULL. */
static struct am_import_file *only_one(struct am_import *im, bool index)
{
    struct am_import_file *hit = NULL;
    for (size_t i = 0; i < im->files; i++) {
        struct am_import_file *file = &im->file[i];
        if ((index ? file->index : file->safetensors) && !strchr(file->spec->path, '/')) {
            if (hit)
                return NULL;
            hit = file;
        }
    }
    return hit;
}

static void choose_weights(struct am_import *im)
{
    struct am_import_file *single = am_import_find(im, NULL, "model.safetensors");
    struct am_import_file *index = am_import_find(im, NULL, "model.safetensors.index.json");
    if (!single && !index)
        single = only_one(im, false);
    if (!single && !index)
        index = only_one(im, true);
    if (!single && !(index && index->named))
        single = am_import_find(im, NULL, "adapter_model.safetensors");
    if (single)
        single->weights = true;
    else if (index && index->named)
        take_index(im, index);
    else
        am_session_warn(
            im->s, "no-weights",
            "neither model.safetensors, nor an index, nor a single .safetensors file at the root: jobs cannot use "
            "this version");
}

static int look_at_names(struct am_import *im)
{
    im->file = calloc(im->spec.files + 1, sizeof(*im->file));
    if (!im->file)
        return -AM_E_OUT_OF_MEMORY;
    for (; im->files < im->spec.files; im->files++) {
        struct am_import_file *file = &im->file[im->files];
        file->spec = &im->spec.file[im->files];
        file->index = am_ends(file->spec->path, index_suffix) && strlen(file->spec->path) > strlen(index_suffix);
        file->safetensors = am_ends(file->spec->path, ".safetensors");
        im->bytes_total += file->spec->bytes;
    }
    return 0;
}

int am_import_check(struct am_import *im)
{
    AM_TRY(look_at_names(im));
    AM_TRY(check_heads(im));
    AM_TRY(check_indexes(im));
    if (im->s->faults.total)
        return am_faults_worst(&im->s->faults);
    choose_weights(im);
    return 0;
}
