/*
 * result.c - see result.h. Lines are gathered to 64 KiB before they are written.
 */
#include "worker/result.h"

#include "core/base/sys.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES (64u << 10)
#define FILE_MAX_BYTES (64u << 20)

int am_result_open(struct am_result *r, int dir)
{
    *r = (struct am_result){.hash = am_hash_new(AM_SHA256), .weights = json_array()};
    am_buf_init(&r->pending, 2 * LINE_MAX_BYTES);
    r->fd = r->hash ? am_sys_open(dir, "result.ndjson", O_WRONLY | O_CREAT | O_EXCL, 0600) : -AM_E_OUT_OF_MEMORY;
    r->open = r->fd >= 0;
    return r->fd < 0 ? r->fd : 0;
}

static int flush(struct am_result *r)
{
    AM_TRY(am_sys_write(r->fd, r->pending.data, r->pending.len));
    am_hash_put(r->hash, r->pending.data, r->pending.len);
    r->pending.len = 0;
    return 0;
}

static int put_line(struct am_result *r, const char *line)
{
    size_t n = strlen(line) + 1;
    if (n > LINE_MAX_BYTES || r->bytes + n > FILE_MAX_BYTES)
        return -AM_E_TOO_LARGE;
    if (r->pending.len + n > LINE_MAX_BYTES)
        AM_TRY(flush(r));
    AM_TRY(am_buf_printf(&r->pending, "%s\n", line));
    r->bytes += n;
    r->records++;
    return 0;
}

int am_result_put(struct am_result *r, json_t *record)
{
    char *line = record ? json_dumps(record, JSON_COMPACT) : NULL;
    int rc = line ? put_line(r, line) : -AM_E_OUT_OF_MEMORY;
    free(line);
    json_decref(record);
    return rc;
}

int am_result_weight(struct am_result *r, const char *sha256)
{
    return json_array_append_new(r->weights, json_string(sha256)) == 0 ? 0 : -AM_E_OUT_OF_MEMORY;
}

int am_result_end(struct am_result *r, char ret_sha256[65])
{
    AM_TRY(am_result_put(r, json_pack("{s:s, s:I}", "record", "end", "records", (json_int_t)r->records)));
    AM_TRY(flush(r));
    AM_TRY(am_sys_fsync(r->fd));
    r->open = false;
    AM_TRY(am_sys_close(r->fd));
    am_hash_hex(r->hash, ret_sha256);
    return 0;
}

void am_result_done(struct am_result *r)
{
    if (r->open)
        am_sys_close(r->fd);
    am_hash_free(r->hash);
    json_decref(r->weights);
    am_buf_done(&r->pending);
    *r = (struct am_result){0};
}
