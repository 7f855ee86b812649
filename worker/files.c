/*
 * files.c - see files.h.
 */
#include "worker/files.h"

#include "core/base/err.h"
#include "core/base/hash.h"
#include "core/base/sys.h"
#include "core/base/text.h"
#include "core/tensor/dtype.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LFS_ABOVE 5000000u
#define PART (1u << 20)

static const char *const lfs_names[] = {"*.safetensors", "*.bin", "*.pt",      "*.pth",   "*.gguf", "*.onnx",
                                        "*.npz",         "*.h5",  "*.msgpack", "*.model", "*.zip",  "*.tar*"};
static const char *const weight_names[] = {"*.safetensors",
                                           "*.bin",
                                           "*.pt",
                                           "*.pth",
                                           "*.ckpt",
                                           "*.h5",
                                           "*.msgpack",
                                           "*.gguf",
                                           "*.onnx",
                                           "*.npz",
                                           "*.safetensors.index.json",
                                           "*.bin.index.json"};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static bool name_matches(const char *path, const char *const *patterns, size_t n)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    for (size_t i = 0; i < n; i++)
        if (am_glob(patterns[i], name))
            return true;
    return false;
}

bool am_file_is_lfs(const char *path, uint64_t bytes, const void *head, size_t head_n)
{
    size_t look = head_n < 512 ? head_n : 512;
    if (bytes > LFS_ABOVE || name_matches(path, lfs_names, COUNT(lfs_names)))
        return true;
    return look && memchr(head, 0, look) != NULL;
}

bool am_file_is_weights(const char *path)
{
    return name_matches(path, weight_names, COUNT(weight_names));
}

struct target { /* a staged file that is being written */
    int fd;
    struct am_hash *sha256, *git;
};

static int target_hashes(struct target *t, const struct am_staged *s)
{
    t->sha256 = am_hash_new(AM_SHA256);
    t->git = s->lfs ? NULL : am_hash_new(AM_SHA1);
    if (!t->sha256 || (!s->lfs && !t->git))
        return -AM_E_OUT_OF_MEMORY;
    if (t->git) {
        char head[32];
        int n = snprintf(head, sizeof(head), "blob %llu", (unsigned long long)s->bytes);
        am_hash_put(t->git, head, (size_t)n + 1);
    }
    return 0;
}

static int target_open(struct target *t, struct am_staged *s, int dir, unsigned number)
{
    snprintf(s->name, sizeof(s->name), "f%u", number);
    AM_TRY(target_hashes(t, s));
    t->fd = am_sys_open(dir, s->name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    AM_TRY(t->fd);
    return s->bytes ? am_sys_fallocate(t->fd, s->bytes) : 0;
}

static int target_put(struct target *t, const void *bytes, size_t n)
{
    am_hash_put(t->sha256, bytes, n);
    if (t->git)
        am_hash_put(t->git, bytes, n);
    return t->fd < 0 ? 0 : am_sys_write(t->fd, bytes, n); /* what is there already is hashed only */
}

static void target_name(struct target *t, struct am_staged *s)
{
    am_hash_hex(t->sha256, s->sha256);
    if (t->git)
        am_hash_hex(t->git, s->git_sha1);
}

static int target_end(struct target *t, struct am_staged *s)
{
    AM_TRY(am_sys_fsync(t->fd));
    int fd = t->fd;
    t->fd = -1;
    AM_TRY(am_sys_close(fd));
    target_name(t, s);
    return 0;
}

static void target_done(struct target *t)
{
    am_sys_closep(&t->fd);
    am_hash_free(t->sha256);
    am_hash_free(t->git);
}

static int write_error(int rc)
{
    return rc == -AM_E_INTERNAL || rc == -AM_E_NOT_FOUND ? -AM_E_CANNOT_WRITE : rc;
}

/* The part at `off` is in `part` already for the first one. */
static int copy_parts(struct target *t, const struct am_copy *c, unsigned char *part, size_t have)
{
    for (uint64_t off = 0; off < c->bytes;) {
        size_t n = c->bytes - off < PART ? (size_t)(c->bytes - off) : PART;
        if (off > 0 || have < n)
            AM_TRY(am_sys_pread(c->fd, part, n, off));
        int rc = target_put(t, part, n);
        if (rc < 0)
            return write_error(rc);
        off += n;
        AM_TRY(c->step ? c->step(c->ctx, n) : 0);
    }
    return am_sys_pread(c->fd, part, 1, c->bytes) == 0 ? -AM_E_STORE_DAMAGED : 0; /* a byte more than there should be */
}

static bool same_time(const struct stat *a, const struct stat *b)
{
    return a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Bytes that somebody changes while they are hashed are not the file that is published. */
static int hash_in_place(struct am_staged *s, struct target *t, const struct am_copy *c, unsigned char *part,
                         size_t have)
{
    struct stat before, after;
    snprintf(s->name, sizeof(s->name), "%s", c->staged);
    AM_TRY(fstat(c->fd, &before) < 0 ? -AM_E_INTERNAL : 0);
    AM_TRY(target_hashes(t, s));
    AM_TRY(copy_parts(t, c, part, have));
    AM_TRY(write_error(am_sys_fsync(c->fd)));
    AM_TRY(fstat(c->fd, &after) < 0 ? -AM_E_INTERNAL : 0);
    target_name(t, s);
    return same_time(&before, &after) ? 0 : -AM_E_STORE_DAMAGED;
}

static int copy(struct am_staged *s, struct target *t, int dir, unsigned number, const struct am_copy *c,
                unsigned char *part)
{
    size_t have = c->bytes < PART ? (size_t)c->bytes : PART;
    AM_TRY(am_sys_pread(c->fd, part, have, 0));
    s->bytes = c->bytes;
    s->lfs = am_file_is_lfs(c->path, c->bytes, part, have);
    if (c->staged)
        return hash_in_place(s, t, c, part, have);
    int rc = target_open(t, s, dir, number);
    if (rc < 0)
        return write_error(rc);
    AM_TRY(copy_parts(t, c, part, have));
    rc = target_end(t, s);
    return write_error(rc);
}

int am_stage_copy(struct am_staged *ret, int dir, unsigned number, const struct am_copy *c)
{
    struct am_staged s = {.bytes = 0};
    struct target t = {.fd = -1};
    unsigned char *part = malloc(PART);
    int rc = part ? copy(&s, &t, dir, number, c, part) : -AM_E_OUT_OF_MEMORY;
    free(part);
    target_done(&t);
    if (rc == 0)
        *ret = s;
    return rc;
}

int am_stage_bytes(struct am_staged *ret, int dir, unsigned number, const char *path, const void *bytes, size_t n)
{
    struct am_staged s = {.bytes = n, .lfs = am_file_is_lfs(path, n, bytes, n)};
    struct target t = {.fd = -1};
    int rc = target_open(&t, &s, dir, number);
    if (rc == 0)
        rc = target_put(&t, bytes, n);
    if (rc == 0)
        rc = target_end(&t, &s);
    target_done(&t);
    if (rc == 0)
        *ret = s;
    return write_error(rc);
}

json_t *am_file_record(const char *path, const struct am_staged *s, bool weights)
{
    return json_pack("{s:s, s:s, s:s?, s:s, s:I, s:s, s:s?, s:b}", "record", "file", "path", path, "staged",
                     s->name[0] ? s->name : NULL, "class", s->lfs ? "lfs" : "regular", "bytes", (json_int_t)s->bytes,
                     "sha256", s->sha256, "git_sha1", s->lfs ? NULL : s->git_sha1, "weights", weights);
}

json_t *am_tensor_record(const char *name, uint8_t dtype, const uint64_t *shape, unsigned rank, uint64_t begin,
                         uint64_t end)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < rank; i++)
        json_array_append_new(list, json_integer((json_int_t)shape[i]));
    return json_pack("{s:s, s:s, s:s, s:o, s:I, s:I}", "record", "tensor", "name", name, "dtype",
                     am_dtype_name((enum am_dtype)dtype), "shape", list, "begin", (json_int_t)begin, "bytes",
                     (json_int_t)(end - begin));
}
