/*
 * process.h - what the kernel says of this process, from /proc/self.
 */
#ifndef AM_SERVER_PROCESS_H
#define AM_SERVER_PROCESS_H

#include <stdint.h>

struct am_process_memory {
    uint64_t virtual_bytes, resident_bytes;
};
int am_process_memory(struct am_process_memory *ret); /* 0 or a negative error */
int am_process_descriptors(void);                     /* how many are open, or a negative error */

#endif
