/*
 * text.h - small pure functions over text: locale-free numbers, nearest name, globs, ids, names of models, hex.
 * Nothing here allocates or looks at global state, except am_id_new() which asks the kernel for random bytes.
 */
#ifndef AM_BASE_TEXT_H
#define AM_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AM_ID_LEN 36     /* "job_" + 32 hex */
#define AM_COMMIT_LEN 40 /* hex digits of a commit id */
#define AM_SHA256_LEN 64 /* hex digits */

bool am_streq(const char *a, const char *b); /* NULL equals only NULL */
bool am_starts(const char *s, const char *prefix);
bool am_ends(const char *s, const char *suffix);
/* Bytes of a dotted NAME up to the end of its first part that ends in SUFFIX and is not the last one; 0: none does. */
size_t am_module_ending(const char *name, const char *suffix);

/* Whole string must be a plain decimal number. 0 or -AM_E_INVALID_REQUEST; *ret only set on success. */
int am_parse_u64(const char *s, uint64_t *ret);
int am_parse_f64(const char *s, double *ret); /* finite only, "C" locale whatever the process has */
/* "90", "90s", "15m", "72h", "30d" -> seconds */
int am_parse_seconds(const char *s, uint64_t *ret);
/* "20GiB", "64MiB", "4KiB", "5GB" (1000s), "123" -> bytes */
int am_parse_size(const char *s, uint64_t *ret);

/* Shortest decimal text that reads back to the same double (RFC 8785 / ECMAScript form: 0.3, 1e-7, 1e+21, 5, -0 -> 0).
   `out` has room for AM_F64_TEXT. */
#define AM_F64_TEXT 32
void am_f64_text(double v, char out[AM_F64_TEXT]);

/* The candidate closest to `name` (Levenshtein, at most 1/3 of its length and at least 1 edit allowed), or NULL. */
const char *am_nearest(const char *name, const char *const *candidates, size_t n);

/* Shell pattern over a tensor name: * ? [..] and backslash; '.' and '/' are ordinary characters. */
bool am_glob(const char *pattern, const char *name);

/* prefix (e.g. "job_") + 32 hex digits of a UUIDv7 for the time `now_ms`. `out` has room for 64 bytes. */
void am_id_new(const char *prefix, int64_t now_ms, char *out);

/* namespace/name by the Hub's rules (hub.md 2.1). NULL when good, else why not. Reserved namespaces are refused. */
const char *am_model_name_fault(const char *id);
/* "ns/name@rev" apart: what stands before the @ goes into `name` ("": there is no room), what follows is returned;
   NULL: there is no @. */
const char *am_rev_split(const char *text, char *name, size_t cap);
/* Whether `rev` is v<N>; *ret (may be NULL) is N. */
bool am_rev_is_number(const char *rev, int64_t *ret);
/* A path inside a version: relative, no empty, "." or ".." segment, no control character, at most 1,024 bytes. */
bool am_file_path_ok(const char *path);
/* A plain file name: no '/', not "." or "..", no control character, 1..255 bytes. */
bool am_plain_name_ok(const char *name);
bool am_utf8_ok(const void *bytes, size_t n);
/* In place: bytes that are no whole characters, such as a text has where it was cut, become one '?'; at the end they
   just go. */
void am_utf8_mend(char *text);

void am_hex(const void *bytes, size_t n, char *out);      /* 2n digits + NUL, lower case */
int am_unhex(const char *hex, size_t n_bytes, void *out); /* exactly 2n digits; 0 or -AM_E_INVALID_REQUEST */
bool am_is_hex(const char *s, size_t digits);             /* exactly that many lower-case digits */

/* Percent-decodes one URL segment in place. 0, or -AM_E_INVALID_REQUEST: bad hex, NUL, invalid UTF-8. */
int am_url_decode(char *segment);
/* Percent-encodes everything but unreserved characters; keeps '/' when keep_slash. -AM_E_TOO_LARGE when `out` is too
 * small. */
int am_url_encode(const char *s, bool keep_slash, char *out, size_t cap);

#endif
