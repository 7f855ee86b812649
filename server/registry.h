/*
 * registry.h - the description of the methods that the build embedded, and the proof that the worker on disk says the
 * same.
 */
#ifndef AM_SERVER_REGISTRY_H
#define AM_SERVER_REGISTRY_H

#include <stddef.h>

extern const unsigned char am_registry_json[]; /* made by tools/embed-bytes */
extern const size_t am_registry_json_len;

/* Path of the worker: `configured`, else amend-worker beside this program, else ../libexec/amend-worker. For free(). */
char *am_worker_path(const char *configured);
/* Runs `worker describe` and compares its SHA-256. 0, or a negative error with a sentence in `why`. Before any thread
 * starts. */
int am_registry_check(const char *worker, const char *want_sha256, char *why, size_t why_cap);
/* Runs `worker kernels`: the set that it computes with here, AMEND_KERNELS heeded. The same about errors. */
int am_registry_kernels(const char *worker, char *ret, size_t cap, char *why, size_t why_cap);
/* Runs `worker blas`: the library of linear algebra and its kernels; "" when there is none. */
int am_registry_blas(const char *worker, char *ret, size_t cap, char *why, size_t why_cap);

#endif
