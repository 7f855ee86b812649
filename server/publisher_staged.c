/*
 * publisher_staged.c - see publisher_staged.h.
 */
#include "server/publisher_staged.h"

#include "core/base/sys.h"
#include "core/base/text.h"

#include <fcntl.h>
#include <stdlib.h>

const struct am_result_file *am_staged_file(const struct am_result *r, const char *path)
{
    for (size_t i = 0; i < r->files; i++)
        if (am_streq(r->file[i].path, path) && r->file[i].staged)
            return &r->file[i];
    return NULL;
}

int64_t am_staged_metric(const struct am_result *r, const char *name)
{
    for (size_t i = 0; i < r->metrics; i++)
        if (am_streq(r->metric[i].name, name))
            return (int64_t)r->metric[i].value;
    return -1;
}

int am_staged_json(int staging, const struct am_result_file *file, int64_t max, json_t **ret, char **ret_text)
{
    if (file->bytes > max)
        return -AM_E_PUBLISH;
    int fd AM_CLEANUP(am_sys_closep) = am_sys_open(staging, file->staged, O_RDONLY | O_NOFOLLOW, 0);
    struct stat st;
    char *text = calloc(1, (size_t)file->bytes + 1);
    if (!text)
        return -AM_E_OUT_OF_MEMORY;
    bool good = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == file->bytes &&
                am_sys_pread(fd, text, (size_t)file->bytes, 0) == 0;
    json_t *o = good ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (!json_is_object(o)) {
        json_decref(o);
        free(text);
        return -AM_E_PUBLISH;
    }
    *ret = o;
    if (ret_text)
        *ret_text = text;
    else
        free(text);
    return 0;
}
