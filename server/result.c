/*
 * result.c - result.ndjson read and checked. See result.h.
 * The worker is not trusted: one bad line refuses the whole result.
 */
#include "server/result_parts.h"

#include "core/base/grow.h"
#include "core/base/hash.h"
#include "core/base/sys.h"
#include "core/base/text.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_CHUNK = 65536, METRICS_MAX = 1000, RANK_MAX = 64 };

struct am_result_chunk {
    struct am_result_chunk *next;
    size_t used, cap;
    char bytes[];
};

int am_result_refuse(struct am_result_reader *p, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    snprintf(p->why, p->why_cap, AM_RESULT_NAME " line %llu: %s", (unsigned long long)p->lines + 1, text);
    return -AM_E_PUBLISH;
}

const char *am_result_text(struct am_result_reader *p, const char *s)
{
    size_t n = strlen(s) + 1;
    struct am_result_chunk *c = p->arena;
    if (!c || c->cap - c->used < n) {
        size_t cap = n > ARENA_CHUNK ? n : ARENA_CHUNK;
        c = malloc(sizeof *c + cap);
        if (!c)
            return NULL;
        *c = (struct am_result_chunk){.next = p->arena, .cap = cap};
        p->arena = c;
        p->r->arena = c;
    }
    char *out = c->bytes + c->used;
    memcpy(out, s, n);
    c->used += n;
    return out;
}

const char *am_result_text_of(json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

bool am_result_count_of(json_t *o, const char *name, int64_t *ret)
{
    json_t *v = json_object_get(o, name);
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return false;
    *ret = json_integer_value(v);
    return true;
}

static int take_model(struct am_result_reader *p, json_t *o)
{
    json_t *a = json_object_get(o, "architecture");
    if (p->lines > 0)
        return am_result_refuse(p, "\"model\" is not the first line");
    if (!a || json_is_null(a))
        return 0;
    if (!json_is_string(a) || strlen(json_string_value(a)) > 200)
        return am_result_refuse(p, "the architecture is no short text");
    p->r->architecture = am_result_text(p, json_string_value(a));
    return p->r->architecture ? 0 : -AM_E_OUT_OF_MEMORY;
}

static int check_file(struct am_result_reader *p, json_t *o, int64_t *ret_bytes)
{
    const char *path = am_result_text_of(o, "path"), *staged = am_result_text_of(o, "staged"),
               *class = am_result_text_of(o, "class");
    const char *sha = am_result_text_of(o, "sha256");
    json_t *git = json_object_get(o, "git_sha1");
    if (!path || !am_file_path_ok(path))
        return am_result_refuse(p, "the path of a file cannot be used");
    if (!json_is_null(json_object_get(o, "staged")) &&
        (!staged || !am_plain_name_ok(staged) || am_streq(staged, AM_RESULT_NAME)))
        return am_result_refuse(p, "%s: the staged name is not a plain name", path);
    if (!class || (!am_streq(class, "lfs") && !am_streq(class, "regular")))
        return am_result_refuse(p, "%s: the class is neither lfs nor regular", path);
    if (!sha || !am_is_hex(sha, AM_SHA256_LEN))
        return am_result_refuse(p, "%s: the sha256 is not 64 hex digits", path);
    if (am_streq(class, "lfs") ? git && !json_is_null(git)
                               : !json_is_string(git) || !am_is_hex(json_string_value(git), 40))
        return am_result_refuse(p, "%s: the git_sha1 does not fit the class %s", path, class);
    if (!staged && am_streq(class, "regular"))
        return am_result_refuse(p, "%s: a file of class regular cannot be assembled", path);
    if (!am_result_count_of(o, "bytes", ret_bytes) || !json_is_boolean(json_object_get(o, "weights")))
        return am_result_refuse(p, "%s: \"bytes\" or \"weights\" is missing or of the wrong kind", path);
    return 0;
}

static int take_file(struct am_result_reader *p, json_t *o)
{
    struct am_result *r = p->r;
    struct am_result_file f = {.weights = json_is_true(json_object_get(o, "weights")), .first = r->tensors};
    AM_TRY(check_file(p, o, &f.bytes));
    if (r->files + r->keeps >= AM_RESULT_FILES_MAX)
        return am_result_refuse(p, "more than %d files", AM_RESULT_FILES_MAX);
    f.path = am_result_text(p, am_result_text_of(o, "path"));
    const char *staged = am_result_text_of(o, "staged");
    if (staged)
        f.staged = am_result_text(p, staged);
    f.sha256 = am_result_text(p, am_result_text_of(o, "sha256"));
    const char *git = am_result_text_of(o, "git_sha1");
    if (git)
        f.git_sha1 = am_result_text(p, git);
    if (!f.path || (staged && !f.staged) || !f.sha256 || (git && !f.git_sha1))
        return -AM_E_OUT_OF_MEMORY;
    AM_TRY(am_grow(&r->file, r->files, &p->file_cap, sizeof *r->file));
    r->file[r->files++] = f;
    return 0;
}

static int check_shape(struct am_result_reader *p, json_t *shape, const char *name)
{
    size_t i;
    json_t *v;
    if (!json_is_array(shape) || json_array_size(shape) > RANK_MAX)
        return am_result_refuse(p, "%.200s: the shape is no list of at most %d numbers", name, RANK_MAX);
    json_array_foreach(shape, i, v)
    {
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return am_result_refuse(p, "%.200s: the shape holds something else than counts", name);
    }
    return 0;
}

static int check_tensor(struct am_result_reader *p, json_t *o, struct am_tensor_new *t)
{
    const char *name = am_result_text_of(o, "name"), *dtype = am_result_text_of(o, "dtype");
    if (p->r->files == 0)
        return am_result_refuse(p, "a tensor before the first file");
    const struct am_result_file *f = &p->r->file[p->r->files - 1];
    if (!name)
        return am_result_refuse(p, "a tensor without a name");
    if (!dtype || strlen(dtype) > 15 || strspn(dtype, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != strlen(dtype))
        return am_result_refuse(p, "%.200s: the dtype is no name of one", name);
    AM_TRY(check_shape(p, json_object_get(o, "shape"), name));
    if (!am_result_count_of(o, "begin", &t->begin) || !am_result_count_of(o, "bytes", &t->bytes) ||
        t->begin > f->bytes || t->bytes > f->bytes - t->begin)
        return am_result_refuse(p, "%.200s does not lie inside %.100s", name, f->path);
    return 0;
}

static int take_tensor(struct am_result_reader *p, json_t *o)
{
    struct am_result *r = p->r;
    struct am_tensor_new t = {0};
    AM_TRY(check_tensor(p, o, &t));
    char *shape = json_dumps(json_object_get(o, "shape"), JSON_COMPACT);
    if (!shape)
        return -AM_E_OUT_OF_MEMORY;
    t.shape = am_result_text(p, shape);
    free(shape);
    t.name = am_result_text(p, am_result_text_of(o, "name"));
    t.dtype = am_result_text(p, am_result_text_of(o, "dtype"));
    if (!t.shape || !t.name || !t.dtype)
        return -AM_E_OUT_OF_MEMORY;
    AM_TRY(am_grow(&r->tensor, r->tensors, &p->tensor_cap, sizeof *r->tensor));
    r->tensor[r->tensors++] = t;
    r->file[r->files - 1].tensors++;
    return 0;
}

static int take_keep(struct am_result_reader *p, json_t *o)
{
    struct am_result *r = p->r;
    const char *path = am_result_text_of(o, "path");
    if (!path || !am_file_path_ok(path))
        return am_result_refuse(p, "the path of a kept file cannot be used");
    if (r->files + r->keeps >= AM_RESULT_FILES_MAX)
        return am_result_refuse(p, "more than %d files", AM_RESULT_FILES_MAX);
    AM_TRY(am_grow(&r->keep, r->keeps, &p->keep_cap, sizeof *r->keep));
    const char *copy = am_result_text(p, path);
    if (!copy)
        return -AM_E_OUT_OF_MEMORY;
    r->keep[r->keeps++] = copy;
    return 0;
}

static int take_warning(struct am_result_reader *p, json_t *o)
{
    struct am_result *r = p->r;
    const char *code = am_result_text_of(o, "code"), *detail = am_result_text_of(o, "detail");
    if (!code || !detail)
        return am_result_refuse(p, "a warning without code or detail");
    if (r->warnings_total++ >= AM_RESULT_WARNINGS_MAX)
        return 0;
    AM_TRY(am_grow(&r->warning, r->warnings, &p->warning_cap, sizeof *r->warning));
    struct am_result_note w = {am_result_text(p, code), am_result_text(p, detail)};
    if (!w.code || !w.detail)
        return -AM_E_OUT_OF_MEMORY;
    r->warning[r->warnings++] = w;
    return 0;
}

static int take_metric(struct am_result_reader *p, json_t *o)
{
    struct am_result *r = p->r;
    const char *name = am_result_text_of(o, "name");
    json_t *value = json_object_get(o, "value");
    if (!name || !json_is_number(value))
        return am_result_refuse(p, "a metric without name or number");
    json_t *input = json_object_get(o, "input");
    if (input && (!json_is_integer(input) || json_integer_value(input) < 0))
        return am_result_refuse(p, "the input of a metric is no number of an input");
    if (r->metrics >= METRICS_MAX)
        return am_result_refuse(p, "more than %d metrics", METRICS_MAX);
    AM_TRY(am_grow(&r->metric, r->metrics, &p->metric_cap, sizeof *r->metric));
    struct am_result_metric m = {am_result_text(p, name), input ? json_integer_value(input) : -1,
                                 json_number_value(value)};
    if (!m.name)
        return -AM_E_OUT_OF_MEMORY;
    r->metric[r->metrics++] = m;
    return 0;
}

static int take_end(struct am_result_reader *p, json_t *o)
{
    int64_t n;
    if (!am_result_count_of(o, "records", &n) || (uint64_t)n != p->lines)
        return am_result_refuse(p, "\"end\" does not count the %llu lines before it", (unsigned long long)p->lines);
    p->ended = true;
    return 0;
}

static const struct {
    const char *name;
    int (*take)(struct am_result_reader *p, json_t *o);
} kinds[] = {
    {"blob", am_result_take_blob}, {"span", am_result_take_span}, {"model", take_model}, {"file", take_file},
    {"tensor", take_tensor},       {"keep", take_keep},           {"end", take_end},     {"warning", take_warning},
    {"metric", take_metric},
};

static int take_line(struct am_result_reader *p, const char *line, size_t n)
{
    if (p->ended)
        return am_result_refuse(p, "comes after \"end\"");
    json_auto_t *o = json_loadb(line, n, JSON_REJECT_DUPLICATES, NULL);
    const char *name = am_result_text_of(o, "record");
    if (!name)
        return am_result_refuse(p, "is no record");
    if (p->lines == 0 && !am_streq(name, "model"))
        return am_result_refuse(p, "\"model\" must be the first record");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (am_streq(kinds[i].name, name)) {
            AM_TRY(kinds[i].take(p, o));
            p->lines++;
            return 0;
        }
    return am_result_refuse(p, "unknown record \"%.40s\"", name);
}

static int read_lines(struct am_result_reader *p, int fd, uint64_t bytes, struct am_hash *hash, char *buf)
{
    uint64_t off = 0;
    size_t have = 0;
    while (off < bytes) {
        size_t room = AM_RESULT_LINE + 1 - have, n = bytes - off < room ? (size_t)(bytes - off) : room;
        if (n == 0)
            return am_result_refuse(p, "is longer than %d bytes", AM_RESULT_LINE);
        AM_TRY(am_sys_pread(fd, buf + have, n, off));
        am_hash_put(hash, buf + have, n);
        off += n;
        have += n;
        char *line = buf, *end;
        while ((end = memchr(line, '\n', have - (size_t)(line - buf)))) {
            AM_TRY(take_line(p, line, (size_t)(end - line)));
            line = end + 1;
        }
        have -= (size_t)(line - buf);
        memmove(buf, line, have);
    }
    return have ? am_result_refuse(p, "has no line feed") : 0;
}

static int check_whole(struct am_result_reader *p, const struct am_record_done *done, struct am_hash *hash)
{
    char sha[65];
    am_hash_hex(hash, sha);
    if (!am_streq(sha, done->sha256))
        return am_result_refuse(p, "the SHA-256 of the file is not the one that the worker named");
    if (!p->ended)
        return am_result_refuse(p, "\"end\" is missing");
    if (done->records != p->lines)
        return am_result_refuse(p, "the worker named %llu records", (unsigned long long)done->records);
    if (p->r->files + p->r->keeps == 0)
        return am_result_refuse(p, "there is no file in the result");
    return am_result_check(p);
}

static int read_open(struct am_result_reader *p, int fd, const struct am_record_done *done)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size != done->bytes ||
        done->bytes > AM_RESULT_BYTES) {
        snprintf(p->why, p->why_cap,
                 AM_RESULT_NAME " is not a file of the %llu bytes (at most %d) that the worker named",
                 (unsigned long long)done->bytes, AM_RESULT_BYTES);
        return -AM_E_PUBLISH;
    }
    struct am_hash *hash AM_CLEANUP(am_hash_freep) = am_hash_new(AM_SHA256);
    char *buf = malloc(AM_RESULT_LINE + 1);
    int rc = hash && buf ? read_lines(p, fd, done->bytes, hash, buf) : -AM_E_OUT_OF_MEMORY;
    free(buf);
    return rc < 0 ? rc : check_whole(p, done, hash);
}

int am_result_read(struct am_result *ret, int staging, const struct am_record_done *done, char *why, size_t why_cap)
{
    struct am_result r = {0};
    struct am_result_reader p = {.r = &r, .why = why, .why_cap = why_cap};
    int fd AM_CLEANUP(am_sys_closep) = am_sys_open(staging, AM_RESULT_NAME, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    snprintf(why, why_cap, AM_RESULT_NAME " cannot be read");
    int rc = fd < 0 ? -AM_E_PUBLISH : read_open(&p, fd, done);
    if (rc < 0) {
        am_result_done(&r);
        return rc;
    }
    *ret = r;
    return 0;
}

void am_result_done(struct am_result *r)
{
    for (struct am_result_chunk *c = r->arena, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    free(r->file);
    free(r->tensor);
    free(r->keep);
    free(r->blob);
    free(r->span);
    free(r->warning);
    free(r->metric);
    memset(r, 0, sizeof *r);
}
