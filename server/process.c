/*
 * process.c - see process.h.
 */
#include "server/process.h"

#include "core/base/err.h"
#include "core/base/sys.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

int am_process_memory(struct am_process_memory *ret)
{
    char text[128];
    uint64_t pages = 0, resident = 0;
    long page = sysconf(_SC_PAGESIZE);
    int fd = am_sys_open(AT_FDCWD, "/proc/self/statm", O_RDONLY, 0);
    ssize_t n = fd < 0 ? fd : am_sys_read(fd, text, sizeof text - 1);
    am_sys_closep(&fd);
    if (n <= 0 || page <= 0)
        return -AM_E_INTERNAL;
    text[n] = 0;
    if (sscanf(text, "%" SCNu64 " %" SCNu64, &pages, &resident) != 2)
        return -AM_E_INTERNAL;
    *ret = (struct am_process_memory){pages * (uint64_t)page, resident * (uint64_t)page};
    return 0;
}

int am_process_descriptors(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return -AM_E_INTERNAL;
    for (const struct dirent *e; (e = readdir(dir));)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n - 1; /* without the one that looked */
}
