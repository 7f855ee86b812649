/*
 * random.c - keys of the counter-based generator: SHA-256 of a text that names what the numbers are for.
 */
#include "core/base/err.h"
#include "core/base/hash.h"
#include "core/tensor/kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Four bytes of a digest in hex, little-endian. */
static uint32_t word_of(const char *hex)
{
    uint32_t word = 0;
    for (int i = 3; i >= 0; i--) {
        char two[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        word = word << 8 | (uint32_t)strtoul(two, NULL, 16);
    }
    return word;
}

int am_random_key(const char *purpose, uint64_t seed, unsigned ordinal, const char *tensor, uint32_t ret_key[2])
{
    char head[128], hex[65] = "";
    int n = snprintf(head, sizeof(head), "amend:%.40s:1\n%llu\n%u\n", purpose, (unsigned long long)seed, ordinal);
    struct am_hash *h = am_hash_new(AM_SHA256);
    if (!h)
        return -AM_E_OUT_OF_MEMORY;
    am_hash_put(h, head, (size_t)n);
    am_hash_put(h, tensor, strlen(tensor));
    am_hash_hex(h, hex);
    am_hash_free(h);
    ret_key[0] = word_of(hex);
    ret_key[1] = word_of(hex + 8);
    return 0;
}
