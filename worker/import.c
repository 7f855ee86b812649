/*
 * import.c - mode `import`: checks a folder, copies its files into staging while hashing them, and describes them.
 */
#include "worker/import.h"

#include "core/base/text.h"
#include "worker/files.h"
#include "worker/limits.h"

#include <stdlib.h>

#define CONFIG_MAX (1u << 20)

static int on_bytes(void *ctx, uint64_t bytes)
{
    struct am_import *im = ctx;
    im->bytes_done += bytes;
    am_reporter_progress(&im->s->report, &(struct am_progress){.phase = "import",
                                                               .unit = "files",
                                                               .done = im->files_done,
                                                               .total = im->files,
                                                               .bytes_done = im->bytes_done,
                                                               .bytes_total = im->bytes_total});
    return am_session_alive(im->s);
}

static int put_tensors(struct am_import *im, const struct am_import_file *file)
{
    for (size_t i = 0; i < file->head.n; i++) {
        const struct am_st_entry *t = &file->head.v[i];
        int rc =
            am_result_put(&im->s->result, am_tensor_record(t->name, t->dtype, t->shape, t->rank, t->begin, t->end));
        if (rc == -AM_E_TOO_LARGE)
            return am_fault_add(
                &im->s->faults, AM_E_TOO_LARGE, (struct am_where){.file = file->spec->path},
                "the files have more tensors than a version can list; the list is full at tensor %zu of %.500s", i,
                file->spec->path);
        AM_TRY(rc);
    }
    return 0;
}

static int copy_one(struct am_import *im, const struct am_import_file *file)
{
    struct am_staged staged;
    const struct am_spec_import_file *f = file->spec;
    struct am_copy copy = {
        .fd = f->fd, .path = f->path, .bytes = f->bytes, .staged = f->staged, .step = on_bytes, .ctx = im};
    int rc = am_stage_copy(&staged, im->s->staging, (unsigned)im->files_done, &copy);
    if (rc == -AM_E_STORE_DAMAGED)
        return am_fault_add(&im->s->faults, AM_E_BAD_INPUT,
                            (struct am_where){.reason = "file-changed", .file = f->path},
                            "%.500s changed while it was read; register the folder when nobody writes to it", f->path);
    if (rc == -AM_E_DISK)
        return am_fault_add(&im->s->faults, AM_E_DISK, (struct am_where){.file = f->path},
                            "the disk became full at %.500s; make room in the data folder and try again", f->path);
    if (rc < 0 && rc != -AM_E_CANCELLED)
        return am_fault_add(&im->s->faults, -rc, (struct am_where){.file = f->path}, "%.500s cannot be copied: %s",
                            f->path, am_err_title(rc));
    AM_TRY(rc);
    im->files_done++;
    AM_TRY(am_result_put(&im->s->result, am_file_record(f->path, &staged, file->weights)));
    return file->parsed ? put_tensors(im, file) : 0;
}

static int put_model(struct am_import *im)
{
    const struct am_import_file *file = am_import_find(im, NULL, "config.json");
    char *text = NULL;
    json_t *architecture = NULL;
    if (file && file->spec->bytes <= CONFIG_MAX && am_import_read(file->spec, CONFIG_MAX, &text) == 0)
        architecture = am_architecture(text, (size_t)file->spec->bytes);
    free(text);
    return am_result_put(&im->s->result, json_pack("{s:s, s:o}", "record", "model", "architecture",
                                                   architecture ? architecture : json_null()));
}

static int work(struct am_import *im)
{
    int other = -1;
    struct am_spec_fds *fds = &im->spec.fds;
    if (am_limits_check_fds(fds->v, fds->n, &other) < 0)
        return am_fault_add(&im->s->faults, AM_E_INTERNAL, (struct am_where){0},
                            "descriptor %d is open and not in the spec", other);
    AM_TRY(am_import_check(im));
    AM_TRY(am_result_open(&im->s->result, im->s->staging));
    AM_TRY(put_model(im));
    for (size_t i = 0; i < im->files; i++)
        AM_TRY(copy_one(im, &im->file[i]));
    AM_TRY(on_bytes(im, 0));
    return am_session_put_warnings(im->s);
}

int am_mode_import(struct am_session *s, json_t *root)
{
    struct am_import im = {.s = s};
    int rc = am_spec_import(&im.spec, root, &s->faults);
    if (rc == 0)
        rc = work(&im);
    for (size_t i = 0; i < im.files; i++) {
        if (im.file[i].parsed)
            am_st_done(&im.file[i].head);
        json_decref(im.file[i].named);
    }
    free(im.file);
    am_spec_import_done(&im.spec);
    return rc;
}
