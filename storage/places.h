/*
 * places.h - where the bytes of tensors lie in the store: the spans of the weight files of some versions as numbers, so
 * that bytes can be told to be the same without being read. Not a reader of blobs. Each blob has one number, whichever
 * version names it; 24 bytes a span, at most AM_PLACES_SPANS of them.
 * Ownership: am_places_new() gives an object for am_places_free(), which is safe on NULL.
 */
#ifndef AM_STORAGE_PLACES_H
#define AM_STORAGE_PLACES_H

#include "storage/models.h"

#define AM_PLACES_SPANS 1000000

struct am_places;
struct am_place {
    uint32_t blob; /* its number here */
    int64_t offset;
};

struct am_places *am_places_new(void);
void am_places_free(struct am_places *p);
/* The weight files of one more version. -AM_E_TOO_LARGE beyond the ceiling. */
int am_places_add(struct am_places *p, struct am_db *db, int64_t version);
/* Where a tensor lies, which must be of an added version and inside one span (safetensors.md 5.6). false: it is not. */
bool am_places_find(const struct am_places *p, const struct am_tensor_row *t, struct am_place *ret);
/*
 * "ns/name@<commit>" of the version that brought the tensor's bytes: the oldest one with a file over the blob they lie
 * in, so the version that last wrote the tensor. (A version that consolidates, safetensors.md 5.3 rule 5, moves bytes
 * of its parents into its own blob and is named from then on.) Borrowed; NULL: an empty tensor lies nowhere.
 */
int am_places_origin(struct am_places *p, struct am_db *db, const struct am_tensor_row *t, const char **ret);

#endif
