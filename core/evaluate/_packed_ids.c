/*
 * _packed_ids.c - see _packed.h: the dictionary of ids.
 */
#include "core/base/sys.h"
#include "core/base/text.h"
#include "core/evaluate/_packed.h"

#include <stdlib.h>
#include <string.h>

int am_id_compare(const struct am_ids *a, size_t i, const struct am_ids *b, size_t k)
{
    size_t x = am_id_len(a, i), y = am_id_len(b, k);
    int d = memcmp(a->bytes + a->at[i], b->bytes + b->at[k], x < y ? x : y);
    return d ? d : (x > y) - (x < y);
}

static int read_tensor(const struct am_packed *file, const char *name, uint8_t dtype, struct am_faults *f, void *ret,
                       uint64_t *ret_n)
{
    const struct am_st_entry *e = am_st_find(&file->head, name);
    if (!e || e->dtype != dtype || e->rank != 1)
        return am_packed_bad(f, file->name, name, "is not there, or of another dtype or shape");
    void *v = malloc((size_t)(e->end - e->begin) + 1);
    if (!v)
        return -AM_E_OUT_OF_MEMORY;
    memcpy(ret, &v, sizeof v);
    *ret_n = e->shape[0];
    if (am_sys_pread(file->fd, v, (size_t)(e->end - e->begin), e->begin) < 0)
        return am_packed_bad(f, file->name, name, "cannot be read");
    return 0;
}

static bool places_ok(const struct am_ids *ids, uint64_t bytes)
{
    if (ids->at[0] != 0 || ids->at[ids->n] != bytes)
        return false;
    for (size_t i = 0; i < ids->n; i++)
        if (ids->at[i + 1] <= ids->at[i] || ids->at[i + 1] - ids->at[i] > AM_PACKED_ID_MAX || ids->at[i + 1] > bytes)
            return false;
    return true;
}

static int check(const struct am_ids *ids, const char *name, uint64_t bytes, struct am_faults *f)
{
    if (!places_ok(ids, bytes))
        return am_packed_bad(f, name, "offsets", "does not fit the ids");
    for (size_t i = 0; i < ids->n; i++) {
        if (i > 0 && am_id_compare(ids, i - 1, ids, i) >= 0)
            return am_packed_bad(f, name, "bytes", "is not in the order of the ids");
        if (!am_utf8_ok(ids->bytes + ids->at[i], am_id_len(ids, i)))
            return am_packed_bad(f, name, "bytes", "has an id that is no text");
    }
    return 0;
}

int am_ids_load(struct am_ids *ret, int fd, uint64_t bytes, const char *name, uint64_t n, struct am_faults *f)
{
    struct am_packed file;
    struct am_ids ids = {0};
    uint64_t places = 0, length = 0;
    AM_TRY(am_packed_open(&file, fd, bytes, name, f));
    int rc = read_tensor(&file, "offsets", AM_U64, f, &ids.at, &places);
    if (rc == 0)
        rc = read_tensor(&file, "bytes", AM_U8, f, &ids.bytes, &length);
    if (rc == 0 && (n > AM_PACKED_ROWS_MAX || places != n + 1))
        rc = am_packed_bad(f, name, "offsets", "has another number of ids than the set");
    ids.n = (size_t)n;
    if (rc == 0)
        rc = check(&ids, name, length, f);
    am_packed_done(&file);
    if (rc < 0)
        am_ids_done(&ids);
    else
        *ret = ids;
    return rc;
}

void am_ids_done(struct am_ids *ids)
{
    free(ids->at);
    free(ids->bytes);
    *ids = (struct am_ids){0};
}
