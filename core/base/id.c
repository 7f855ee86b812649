/*
 * id.c - ids of text.h: UUID version 7 (RFC 9562), so that ids sort by the time they were made.
 */
#include "core/base/text.h"

#include <string.h>
#include <sys/random.h>

void am_id_new(const char *prefix, int64_t now_ms, char *out)
{
    unsigned char u[16];
    /* 16 bytes come whole once the kernel is seeded; only a signal before that ends the wait early. */
    while (getrandom(u, sizeof(u), 0) != (ssize_t)sizeof(u))
        ;
    uint64_t t = (uint64_t)now_ms;
    for (int i = 0; i < 6; i++)
        u[i] = (unsigned char)(t >> (40 - 8 * i));
    u[6] = (unsigned char)(0x70 | (u[6] & 0x0f));
    u[8] = (unsigned char)(0x80 | (u[8] & 0x3f));
    size_t n = strnlen(prefix, 64 - 33);
    memcpy(out, prefix, n);
    am_hex(u, sizeof(u), out + n);
}
