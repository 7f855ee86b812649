/*
 * hash.c - see hash.h. libcrypto picks the SHA instructions of the processor by itself.
 * A digest that libcrypto could not compute reads as the empty text: it equals no hash that anybody stored.
 */
#include "core/base/hash.h"

#include "core/base/err.h"
#include "core/base/text.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct am_hash {
    EVP_MD_CTX *ctx;
    bool bad;
};

struct am_hash *am_hash_new(enum am_hash_kind kind)
{
    struct am_hash *h = calloc(1, sizeof(*h));
    if (!h)
        return NULL;
    h->ctx = EVP_MD_CTX_new();
    if (!h->ctx || EVP_DigestInit_ex(h->ctx, kind == AM_SHA1 ? EVP_sha1() : EVP_sha256(), NULL) != 1) {
        am_hash_free(h);
        return NULL;
    }
    return h;
}

void am_hash_put(struct am_hash *h, const void *bytes, size_t n)
{
    if (EVP_DigestUpdate(h->ctx, bytes, n) != 1)
        h->bad = true;
}

void am_hash_hex(struct am_hash *h, char *out)
{
    unsigned char md[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (h->bad || EVP_DigestFinal_ex(h->ctx, md, &n) != 1)
        n = 0;
    h->bad = true; /* the stream has ended; a second call gives the empty text */
    am_hex(md, n, out);
}

void am_hash_free(struct am_hash *h)
{
    if (!h)
        return;
    EVP_MD_CTX_free(h->ctx);
    free(h);
}

void am_hash_freep(struct am_hash **h)
{
    am_hash_free(*h);
    *h = NULL;
}

static void digest(enum am_hash_kind kind, const char *head, size_t head_n, const void *bytes, size_t n, char *out)
{
    AM_CLEANUP(am_hash_freep) struct am_hash *h = am_hash_new(kind);
    out[0] = '\0';
    if (!h)
        return;
    am_hash_put(h, head, head_n);
    am_hash_put(h, bytes, n);
    am_hash_hex(h, out);
}

void am_sha256_hex(const void *bytes, size_t n, char out[65])
{
    digest(AM_SHA256, "", 0, bytes, n, out);
}

void am_git_blob_hex(const void *bytes, size_t n, char out[41])
{
    char head[32];
    int len = snprintf(head, sizeof(head), "blob %zu", n);
    digest(AM_SHA1, head, (size_t)len + 1, bytes, n, out); /* the NUL is part of the head */
}

void am_lfs_pointer_hex(const char *sha256_hex, uint64_t size, char out[41])
{
    char text[192];
    int n = snprintf(text, sizeof(text), "version https://git-lfs.github.com/spec/v1\noid sha256:%.64s\nsize %llu\n",
                     sha256_hex, (unsigned long long)size);
    am_git_blob_hex(text, (size_t)n, out);
}
