/*
 * verify_file.c - one file: its safetensors header by the rules of the reader, its JSON, its hash when one is known.
 */
#include "cli/verify.h"

#include "cli/out.h"
#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/sys.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK (1u << 20)
#define JSON_MAX (64u << 20)

void am_verify_say(struct am_verify_file *f, const char *fmt, ...)
{
    char text[200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    char *longer = f->said ? am_xprintf("%s, %s", f->said, text) : am_xdup(text);
    free(f->said);
    f->said = longer;
}

static int read_at(void *ctx, void *buf, size_t n, uint64_t off)
{
    return am_sys_pread(*(int *)ctx, buf, n, off);
}

static int unread(struct am_verify_file *f)
{
    am_fault_add(&f->faults, AM_E_BAD_INPUT, (struct am_where){.file = f->path, .reason = "unreadable"},
                 "it cannot be read: %s", strerror(errno));
    return 0;
}

static int check_head(struct am_verify_file *f, int fd)
{
    size_t before = f->faults.total;
    int rc = am_st_read(&f->head, read_at, &fd, f->bytes, AM_ST_LIMITS_DEFAULT, f->path, &f->faults);
    f->parsed = rc == 0;
    if (rc == 0)
        am_verify_say(f, "%zu tensors", f->head.n);
    return rc < 0 && f->faults.total == before ? unread(f) : 0;
}

static int check_json(struct am_verify_file *f, int fd)
{
    if (f->bytes > JSON_MAX) {
        am_verify_say(f, "too large to be read as JSON");
        return 0;
    }
    json_error_t e;
    AM_CLEANUP(am_xfreep) char *text = am_xalloc((size_t)f->bytes + 1);
    if (am_sys_pread(fd, text, (size_t)f->bytes, 0) < 0)
        return unread(f);
    AM_CLEANUP(am_jsonp) json_t *v = json_loadb(text, (size_t)f->bytes, JSON_DECODE_ANY, &e);
    if (v)
        am_verify_say(f, "JSON");
    else
        am_fault_add(&f->faults, AM_E_BAD_INPUT, (struct am_where){.file = f->path, .reason = "json"},
                     "it is no JSON: line %d, column %d: %s", e.line, e.column, e.text);
    return 0;
}

static void draw(struct am_verify *v, const struct am_verify_file *f)
{
    int64_t now = am_mono_ms();
    if (now - v->drawn < 100)
        return;
    v->drawn = now;
    double seconds = (double)(now - v->start) / 1000, rate = seconds > 0.2 ? (double)v->done / seconds : 0;
    struct am_live live = {.phase = f->path,
                           .fraction = v->total ? (double)v->done / (double)v->total : 1,
                           .bytes_done = (int64_t)v->done,
                           .bytes_total = (int64_t)v->total,
                           .bytes_per_second = rate,
                           .eta_seconds = rate > 0 ? (int64_t)((double)(v->total - v->done) / rate) : -1};
    am_live_draw(v->c, &live);
}

static int check_hash(struct am_verify *v, struct am_verify_file *f, int fd)
{
    bool git = strlen(f->want) == AM_COMMIT_LEN;
    char hex[65], head[40];
    AM_CLEANUP(am_hash_freep) struct am_hash *h = am_hash_new(git ? AM_SHA1 : AM_SHA256);
    AM_CLEANUP(am_xfreep) char *chunk = am_xalloc(CHUNK);
    if (!h) {
        am_say_error(v->c, NULL, "out of memory");
        return AM_EXIT_ERROR;
    }
    if (git) { /* git names a blob by its header and bytes */
        int n = snprintf(head, sizeof head, "blob %llu", (unsigned long long)f->bytes);
        am_hash_put(h, head, (size_t)n + 1);
    }
    ssize_t n;
    while ((n = am_sys_read(fd, chunk, CHUNK)) > 0) {
        if (am_interrupted())
            return AM_EXIT_INTERRUPTED;
        am_hash_put(h, chunk, (size_t)n);
        v->done += (uint64_t)n;
        draw(v, f);
    }
    am_live_clear();
    if (n < 0)
        return unread(f);
    am_hash_hex(h, hex);
    if (am_streq(hex, f->want))
        am_verify_say(f, "%s as in %s", git ? "git hash" : "SHA-256", f->want_from);
    else
        am_fault_add(&f->faults, AM_E_BAD_INPUT, (struct am_where){.file = f->path, .reason = "hash"},
                     "its hash is %s; by %s it is %s: download it again", hex, f->want_from, f->want);
    return 0;
}

int am_verify_file(struct am_verify *v, struct am_verify_file *f)
{
    if (f->faults.total && !f->bytes) /* a link that leads nowhere */
        return 0;
    AM_CLEANUP(am_xfreep) char *full = am_xprintf("%s/%s", v->dir, f->path);
    AM_CLEANUP(am_sys_closep) int fd = am_sys_open(AT_FDCWD, full, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0)
        return unread(f);
    int rc = f->safetensors ? check_head(f, fd) : am_ends(f->path, ".json") ? check_json(f, fd) : 0;
    if (rc == 0 && f->want)
        rc = check_hash(v, f, fd);
    return rc;
}
