/*
 * hash.h - SHA-256 and git's blob SHA-1, over OpenSSL libcrypto.
 * Ownership: am_hash_new() gives an object for am_hash_free(); NULL is accepted there. AM_CLEANUP(am_hash_freep).
 */
#ifndef AM_BASE_HASH_H
#define AM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct am_hash;
enum am_hash_kind { AM_SHA256, AM_SHA1 };

struct am_hash *am_hash_new(enum am_hash_kind kind); /* NULL: out of memory */
void am_hash_put(struct am_hash *h, const void *bytes, size_t n);
void am_hash_hex(struct am_hash *h, char *out); /* ends the stream: 64 or 40 lower-case hex digits + NUL */
void am_hash_free(struct am_hash *h);
void am_hash_freep(struct am_hash **h);

void am_sha256_hex(const void *bytes, size_t n, char out[65]);
/* git blob id: sha1("blob <n>\0" + bytes) */
void am_git_blob_hex(const void *bytes, size_t n, char out[41]);
/* git blob id of the LFS pointer text of a file (hub.md 2.3): the `oid` in listings of class lfs */
void am_lfs_pointer_hex(const char *sha256_hex, uint64_t size, char out[41]);

#endif
