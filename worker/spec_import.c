/*
 * spec_import.c - the spec of mode `import`.
 */
#include "core/base/text.h"
#include "worker/files.h"
#include "worker/spec_parts.h"

#include <stdlib.h>
#include <string.h>

static int take_file(struct am_spec_import *s, struct am_spec_import_file *file, json_t *o)
{
    file->path = am_spec_path(o);
    if (!file->path || am_spec_u64(o, "bytes", &file->bytes) < 0)
        return -AM_E_BAD_SPEC;
    json_t *staged = json_object_get(o, "staged");
    file->staged = json_string_value(staged);
    if (staged && (!file->staged || !am_plain_name_ok(file->staged) || strlen(file->staged) >= AM_STAGED_NAME))
        return -AM_E_BAD_SPEC;
    return am_spec_fd(&s->fds, json_object_get(o, "fd"), &file->fd);
}

static int take_all(struct am_spec_import *s, struct am_faults *f)
{
    json_t *list = json_object_get(s->root, "files"), *limits = json_object_get(s->root, "limits");
    size_t n = json_array_size(list);
    AM_TRY(am_spec_head(s->root, f));
    if (!json_is_array(list))
        return am_spec_bad(f, "#/files", "must be a list");
    if (am_spec_u64(limits, "header_bytes", &s->limits.header_bytes) < 0 ||
        am_spec_u64(limits, "tensors", &s->limits.tensors) < 0)
        return am_spec_bad(f, "#/limits", "must have header_bytes and tensors");
    s->file = calloc(n + 1, sizeof(*s->file));
    if (!s->file)
        return -AM_E_OUT_OF_MEMORY;
    for (; s->files < n; s->files++) {
        int rc = take_file(s, &s->file[s->files], json_array_get(list, s->files));
        if (rc == -AM_E_BAD_SPEC)
            return am_spec_bad(f, "#/files", "has an entry without path, bytes or fd");
        AM_TRY(rc);
    }
    return 0;
}

int am_spec_import(struct am_spec_import *ret, json_t *root, struct am_faults *faults)
{
    struct am_spec_import s = {.root = root};
    int rc = take_all(&s, faults);
    if (rc < 0)
        am_spec_import_done(&s);
    else
        *ret = s;
    return rc;
}

void am_spec_import_done(struct am_spec_import *s)
{
    free(s->file);
    free(s->fds.v);
    json_decref(s->root);
    *s = (struct am_spec_import){0};
}
