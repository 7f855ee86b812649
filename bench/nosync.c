/*
 * nosync.c - a library for LD_PRELOAD: every sync succeeds and does nothing. For measuring what computing costs without
 * the disk, and only on folders that are thrown away afterwards.
 */
#include <fcntl.h>
#include <unistd.h>

int fsync(int fd)
{
    (void)fd;
    return 0;
}

int fdatasync(int fd)
{
    (void)fd;
    return 0;
}

int syncfs(int fd)
{
    (void)fd;
    return 0;
}

int sync_file_range(int fd, off64_t from, off64_t bytes, unsigned flags)
{
    (void)fd;
    (void)from;
    (void)bytes;
    (void)flags;
    return 0;
}
