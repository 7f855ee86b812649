/*
 * content.h - the bytes of a stored file as a response, whatever number of blobs they lie in. A range inside one blob
 * goes out by sendfile; one over several is read span by span in blocks of 256 KiB. Every blob is opened before the
 * response is queued: an open descriptor keeps its bytes whatever happens to the name.
 * Not the headers and not the range itself (api/files.c, range.h).
 */
#ifndef AM_SERVER_CONTENT_H
#define AM_SERVER_CONTENT_H

#include "server/range.h"
#include "storage/store.h"

#include <stddef.h>
#include <stdint.h>

struct MHD_Response;

/* Bytes [range.first, range.first + range.bytes) of a layout; range.bytes > 0. 0, or -AM_E_STORE_DAMAGED or another
   error with a sentence in `why`. A read that comes short later cuts the connection: no client takes it for complete.
 */
int am_content_open(struct MHD_Response **ret, struct am_store *store, int64_t layout, struct am_range range, char *why,
                    size_t why_cap);

#endif
