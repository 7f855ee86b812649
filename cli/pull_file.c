/*
 * pull_file.c - one file of a download (pull.h). It is hashed while it arrives, written under a temporary name in its
 * own folder and renamed only when size and hash are right: a file with its final name is always whole.
 */
#include "cli/pull.h"

#include "cli/out.h"
#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/sys.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRIES 4
#define CHUNK (1u << 20)

struct file {
    struct am_pull *p;
    const char *path, *want; /* want: the hash in hex, or NULL when the daemon gave none */
    enum am_hash_kind kind;
    uint64_t bytes, got;
    int fd;
    int failed_errno;
    bool too_long;
    struct am_hash *hash;
};

static struct am_hash *hash_start(enum am_hash_kind kind, uint64_t bytes)
{
    struct am_hash *h = am_hash_new(kind);
    if (h && kind == AM_SHA1) { /* git names a blob by its header and bytes */
        char head[40];
        int n = snprintf(head, sizeof head, "blob %llu", (unsigned long long)bytes);
        am_hash_put(h, head, (size_t)n + 1);
    }
    return h;
}

static void draw(struct am_pull *p, const struct file *f)
{
    int64_t now = am_mono_ms();
    if (now - p->drawn < 100)
        return;
    p->drawn = now;
    double seconds = (double)(now - p->start) / 1000, done = (double)(p->done + f->got);
    double rate = seconds > 0.2 ? done / seconds : 0;
    struct am_live live = {.phase = f->path,
                           .fraction = p->total ? done / (double)p->total : 1,
                           .bytes_done = (int64_t)(p->done + f->got),
                           .bytes_total = (int64_t)p->total,
                           .bytes_per_second = rate,
                           .eta_seconds = rate > 0 ? (int64_t)(((double)p->total - done) / rate) : -1};
    am_live_draw(p->c, &live);
}

static int on_bytes(void *arg, const void *bytes, size_t n)
{
    struct file *f = arg;
    f->too_long = n > f->bytes - f->got;
    if (f->too_long)
        return -AM_E_TOO_LARGE;
    int rc = am_sys_write(f->fd, bytes, n);
    if (rc < 0) {
        f->failed_errno = errno;
        return rc;
    }
    am_hash_put(f->hash, bytes, n);
    f->got += n;
    draw(f->p, f);
    return 0;
}

static bool hash_is(struct am_hash *h, const struct file *f)
{
    char hex[65];
    am_hash_hex(h, hex);
    return !f->want || am_streq(hex, f->want);
}

/* Whether the file is there already, with the right size and hash. Without a hash nothing is taken on trust. */
static bool is_there(const struct file *f, const char *target)
{
    struct stat st;
    if (!f->want || am_sys_stat(AT_FDCWD, target, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != f->bytes)
        return false;
    AM_CLEANUP(am_sys_closep) int fd = am_sys_open(AT_FDCWD, target, O_RDONLY | O_NOFOLLOW, 0);
    AM_CLEANUP(am_hash_freep) struct am_hash *h = hash_start(f->kind, f->bytes);
    AM_CLEANUP(am_xfreep) char *chunk = am_xalloc(CHUNK);
    if (fd < 0 || !h)
        return false;
    ssize_t n;
    while ((n = am_sys_read(fd, chunk, CHUNK)) > 0 && !am_interrupted())
        am_hash_put(h, chunk, (size_t)n);
    return n == 0 && hash_is(h, f);
}

int am_pull_folders(const struct am_cli *c, const char *target)
{
    AM_CLEANUP(am_xfreep) char *path = am_xdup(target);
    for (char *p = path + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = 0;
        if (am_sys_mkdir(AT_FDCWD, path, 0777) < 0) {
            am_say_error(c, "name a directory that you may write to", "cannot make the folder %s: %s", path,
                         strerror(errno));
            return AM_EXIT_ERROR;
        }
        *p = '/';
    }
    return 0;
}

static int say_broken(const struct file *f, const char *temp)
{
    const struct am_cli *c = f->p->c;
    if (am_interrupted()) {
        am_say_error(c, NULL,
                     "interrupted; the files that are complete stay, run the same command again for the others");
        return AM_EXIT_INTERRUPTED;
    }
    if (f->failed_errno)
        am_say_error(c, "free some space or choose another directory, then run the same command again",
                     "cannot write %s: %s", temp, strerror(f->failed_errno));
    else
        am_say_error(c, "run the same command again; if it happens again ask: amend doctor",
                     "%s came with more bytes than the %llu of the version", f->path, (unsigned long long)f->bytes);
    return AM_EXIT_ERROR;
}

/* One transfer into the open temporary file. 0, an exit code, or -1: lost on the way, worth another try. */
static int transfer(struct file *f, const char *temp)
{
    struct am_pull *p = f->p;
    AM_CLEANUP(am_xfreep)
    char *url = am_url_model(p->ref.model, "versions", p->ref.rev, "files", f->path, "content", NULL);
    struct am_request q = {.verb = "GET", .path = url, .sink = on_bytes, .arg = f};
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    char why[300];
    switch (am_http_try(p->c, &q, &r, why)) {
    case AM_HTTP_ANSWERED:
        break;
    case AM_HTTP_STOPPED:
        return say_broken(f, temp);
    default:
        am_say_note(p->c, "%s: %s", f->path, why);
        return -1;
    }
    if (r.status == 502 || r.status == 503 || r.status == 504)
        return -1;
    if (r.status != 200)
        return am_problem_say(p->c, &r);
    return f->got == f->bytes ? 0 : -1;
}

static int attempt(struct file *f, const char *temp, const char *target)
{
    const struct am_cli *c = f->p->c;
    AM_CLEANUP(am_hash_freep) struct am_hash *h = hash_start(f->kind, f->bytes);
    AM_CLEANUP(am_sys_closep) int fd = am_sys_open(AT_FDCWD, temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0666);
    if (fd < 0 || !h) {
        am_say_error(c, "name a directory that you may write to", "cannot make %s: %s", temp,
                     strerror(h ? errno : ENOMEM));
        return AM_EXIT_ERROR;
    }
    f->fd = fd;
    f->hash = h;
    f->got = 0;
    int rc = transfer(f, temp);
    if (rc)
        return rc;
    if (!hash_is(h, f)) {
        am_say_error(c, "run the same command again; if it happens again verify the daemon's store",
                     "%s arrived damaged: its hash is not %s", f->path, f->want);
        return AM_EXIT_ERROR;
    }
    if (am_sys_fsync(fd) < 0 || am_sys_rename(AT_FDCWD, temp, AT_FDCWD, target) < 0) {
        am_say_error(c, "free some space or choose another directory", "cannot finish %s: %s", target, strerror(errno));
        return AM_EXIT_ERROR;
    }
    return 0;
}

static int fetch(struct file *f, const char *target)
{
    struct am_pull *p = f->p;
    int rc = am_pull_folders(p->c, target);
    if (rc)
        return rc;
    const char *slash = strrchr(target, '/');
    AM_CLEANUP(am_xfreep)
    char *temp = am_xprintf("%.*s/.amend-pull-%ld.part", (int)(slash - target), target, (long)getpid());
    rc = -1;
    for (int tries = 0; rc == -1 && tries < TRIES && !am_interrupted(); tries++) {
        am_nap(tries * 300);
        rc = attempt(f, temp, target);
    }
    if (rc)
        am_sys_unlink(AT_FDCWD, temp);
    if (rc != -1)
        return rc;
    if (am_interrupted())
        return say_broken(f, temp);
    return am_say_unreachable(p->c, "the download broke off again and again");
}

int am_pull_take(struct am_pull *p, const json_t *entry)
{
    struct file f = {.p = p, .path = am_js_text(entry, "path", ""), .kind = AM_SHA256, .fd = -1};
    int64_t bytes = am_js_int(entry, "bytes", -1);
    if (!am_file_path_ok(f.path) || bytes < 0) {
        am_say_error(p->c, "is the endpoint the right one?",
                     "the daemon names a file that cannot be written here: '%s'", f.path);
        return AM_EXIT_ERROR;
    }
    f.bytes = (uint64_t)bytes;
    f.want = am_js_text(entry, "sha256", NULL);
    if (!f.want) {
        f.want = am_js_text(entry, "git_sha1", NULL);
        f.kind = AM_SHA1;
    }
    AM_CLEANUP(am_xfreep) char *target = am_xprintf("%s/%s", p->dir, f.path);
    bool there = is_there(&f, target);
    if (am_interrupted())
        return say_broken(&f, target);
    if (!there) {
        int rc = fetch(&f, target);
        if (rc)
            return rc;
    }
    *(there ? &p->skipped : &p->fetched) += 1;
    p->done += f.bytes;
    if (!p->c->err_tty)
        am_say_note(p->c, "%s %s (%llu bytes)", there ? "have" : "got", f.path, (unsigned long long)f.bytes);
    return 0;
}
