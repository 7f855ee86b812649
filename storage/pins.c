/*
 * pins.c - the set of digests that publications are about to name, and the only way to remove a file from blobs/.
 *
 * A publication pins its digests before it looks at the store and gives them back after its transaction. The collector
 * asks for pins and for the row of a blob, and unlinks, all under the mutex that pinning takes. So one of two things is
 * true of every removal: the publication pinned first, and the file stays; or it pins later, and then finds no file and
 * moves its own in. The row is asked for after the pins, because a publication commits before it gives its pins back.
 */
#include "storage/blobs.h"
#include "storage/store_priv.h"

#include "core/base/grow.h"
#include "core/base/sys.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void am_pins_init(struct am_pins *p)
{
    pthread_mutex_init(&p->mutex, NULL);
}

void am_pins_done(struct am_pins *p)
{
    free(p->v);
    pthread_mutex_destroy(&p->mutex);
}

int am_pins_add(struct am_pins *p, int owner, const char *sha256)
{
    struct am_pin pin = {.owner = owner};
    AM_TRY(am_unhex(sha256, sizeof pin.sha, pin.sha));
    pthread_mutex_lock(&p->mutex);
    int rc = am_grow(&p->v, p->n, &p->cap, sizeof *p->v);
    if (rc == 0)
        p->v[p->n++] = pin;
    pthread_mutex_unlock(&p->mutex);
    return rc;
}

void am_blobs_unpin(struct am_store *s, int staging_dir)
{
    struct am_pins *p = &s->pins;
    size_t kept = 0;
    pthread_mutex_lock(&p->mutex);
    for (size_t i = 0; i < p->n; i++) {
        if (p->v[i].owner != staging_dir)
            p->v[kept++] = p->v[i];
    }
    p->n = kept;
    pthread_mutex_unlock(&p->mutex);
}

static bool pinned(const struct am_pins *p, const unsigned char sha[32])
{
    for (size_t i = 0; i < p->n; i++) {
        if (memcmp(p->v[i].sha, sha, 32) == 0)
            return true;
    }
    return false;
}

int am_blob_remove(struct am_store *s, const char *sha256, int (*named)(void *ctx, const char *sha256), void *ctx)
{
    unsigned char sha[32];
    char path[3 + AM_SHA256_LEN + 1];
    if (!am_is_hex(sha256, AM_SHA256_LEN))
        return -AM_E_INVALID_REQUEST;
    AM_TRY(am_unhex(sha256, sizeof sha, sha));
    snprintf(path, sizeof path, "%.2s/%.64s", sha256, sha256);
    pthread_mutex_lock(&s->pins.mutex);
    int rc = pinned(&s->pins, sha) ? 1 : named(ctx, sha256);
    if (rc == 0) {
        rc = am_sys_unlink(s->blobs, path);
        rc = rc == 0 ? 1 : rc == -AM_E_NOT_FOUND ? 0 : rc;
    } else if (rc > 0) {
        rc = 0;
    }
    pthread_mutex_unlock(&s->pins.mutex);
    return rc;
}
