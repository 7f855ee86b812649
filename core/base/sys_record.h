/*
 * sys_record.h - test builds only (-DAM_RECORD): what goes through the door to the file system is written down, or made
 * to fail. storage/vfs_record.c does the same for SQLite. Not a tracer of reads.
 *
 * AMEND_RECORD: a folder. Each change of the file system is a record in its file <pid>.
 * AMEND_FAILPOINT_TRACE: a folder, too; only the passages of failpoints are recorded.
 * A record is a line "ns op inode a b name-bytes name-bytes data-bytes", then the names and the data. ns is
 * CLOCK_MONOTONIC when the call had returned, so that records of all processes can be put in order. The file is mapped
 * before main(): a worker has no descriptor to spare and may soon open nothing. Its first 8 bytes say how much of it is
 * in use. tests/faults/recording.py reads it.
 *
 * AMEND_INJECT: a file, a struct am_inject that the test changes while the programs run. The k-th call of a name,
 * counted over all processes from the moment it was armed, fails or kills.
 */
#ifndef AM_BASE_SYS_RECORD_H
#define AM_BASE_SYS_RECORD_H
#ifdef AM_RECORD

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define AM_INJECT_SHORT (-1) /* a write takes half of its bytes */
#define AM_INJECT_KILL (-2)  /* SIGKILL before the call */

struct am_inject { /* little-endian, no padding; tests/faults/recording.py has the same */
    int32_t armed, error;
    int64_t k, count, fired;
    char call[32]; /* "pwrite64"; the names are those of the system calls */
};

/* Counts a call: 0 = do it, else AM_INJECT_SHORT (only when `may_be_short`) or a positive errno to fail with. */
int am_inject_next(const char *call, bool may_be_short);

struct am_record_op {
    const char *op, *name, *other;
    uint64_t inode;
    int64_t a, b;
    const void *data;
    size_t data_n;
};
/* Between lock and unlock: one change and its record, so that records of a process are in the order of its changes. */
void am_record_lock(void);
void am_record_unlock(void);
void am_record_put(const struct am_record_op *op);
uint64_t am_record_inode(int fd);
void am_record_point(const char *name); /* the passage of a failpoint */
/* Maps `bytes` of the file, which is made when missing, into memory that all processes share; NULL: told on stderr. */
void *am_record_map(const char *path, size_t bytes);

#endif
#endif
