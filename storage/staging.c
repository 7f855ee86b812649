/*
 * staging.c - the folders that workers write into, one for each attempt.
 */
#include "storage/blobs.h"
#include "storage/store_priv.h"

#include "core/base/sys.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>

int am_staging_make(struct am_store *s, const char *name)
{
    AM_TRY(am_staging_drop(s, name)); /* an attempt starts in an empty folder */
    AM_TRY(am_sys_mkdir(s->staging, name, 0750));
    return am_sys_open(s->staging, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
}

int am_staging_drop(struct am_store *s, const char *name)
{
    if (!am_plain_name_ok(name))
        return -AM_E_INVALID_REQUEST;
    return am_sys_rmtree(s->staging, name);
}

int am_staging_clear(struct am_store *s)
{
    int fd = am_sys_open(s->staging, ".", O_RDONLY | O_DIRECTORY, 0); /* a new position to read the folder from */
    if (fd < 0)
        return fd;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        int cause = errno;
        am_sys_close(fd);
        return am_err_from_errno(cause);
    }
    int rc = 0;
    for (struct dirent *e; rc == 0 && (e = readdir(dir));) {
        if (!am_streq(e->d_name, ".") && !am_streq(e->d_name, ".."))
            rc = am_sys_rmtree(s->staging, e->d_name);
    }
    closedir(dir);
    return rc;
}
