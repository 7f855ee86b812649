/*
 * dataset_file.c - the file that amend dataset push sends (dataset.h): as it is, or made of another format, which its
 * name or its first bytes tell.
 */
#include "cli/dataset.h"

#include "core/base/buf.h"
#include "core/base/sys.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { GZIP_FIRST = 0x1f, PART = 65536 };

static const char *const formats[] = {"safetensors", "jsonl", "idx", "cifar10", "cifar100", "csv", "npy"};
enum format { SAFETENSORS, JSONL, IDX, CIFAR10, CIFAR100, CSV, NPY, FORMATS };

/* ---- inputs ---- */

static FILE *temporary(const struct am_cli *c)
{
    FILE *f = tmpfile();
    if (!f)
        am_say_error(c, NULL, "cannot make a temporary file: %s", strerror(errno));
    return f;
}

static int unpack(const struct am_cli *c, struct am_source *s)
{
    char part[PART];
    int n, fd = dup(fileno(s->in)), broken = 0;
    FILE *out = temporary(c);
    gzFile gz = out && fd >= 0 && lseek(fd, 0, SEEK_SET) == 0 ? gzdopen(fd, "rb") : NULL;
    if (!gz) {
        if (fd >= 0)
            am_sys_close(fd);
        if (out)
            fclose(out);
        am_say_error(c, "give a file, not a pipe", "%s cannot be unpacked", s->path);
        return AM_EXIT_ERROR;
    }
    while ((n = gzread(gz, part, sizeof part)) > 0)
        broken |= fwrite(part, 1, (size_t)n, out) != (size_t)n;
    broken |= n < 0;
    broken |= gzclose(gz) != Z_OK; /* says Z_BUF_ERROR of a stream that is cut off */
    fclose(s->in);
    s->in = out;
    if (broken || fflush(out) != 0) {
        am_say_error(c, NULL, "%s is broken or cut off gzip, or there is no room for what it unpacks to", s->path);
        return AM_EXIT_ERROR;
    }
    rewind(out);
    return 0;
}

static int open_raw(const struct am_cli *c, const char *path, struct am_source *ret)
{
    bool std = am_streq(path, "-");
    int fd = std ? dup(STDIN_FILENO) : am_sys_open(AT_FDCWD, path, O_RDONLY, 0);
    *ret = (struct am_source){.path = std ? "standard input" : path, .in = fd < 0 ? NULL : fdopen(fd, "rb")};
    if (ret->in)
        return 0;
    am_say_error(c, NULL, "cannot read %s: %s", ret->path, strerror(errno));
    return AM_EXIT_ERROR;
}

static bool is_gzip(FILE *in)
{
    int first = getc(in);
    ungetc(first, in);
    return first == GZIP_FIRST;
}

int am_source_open(const struct am_cli *c, const char *path, struct am_source *ret)
{
    int rc = open_raw(c, path, ret);
    return rc ? rc : is_gzip(ret->in) ? unpack(c, ret) : 0;
}

void am_source_done(struct am_source *s)
{
    if (s->in)
        fclose(s->in);
    s->in = NULL;
}

int am_source_read(const struct am_cli *c, struct am_source *s, void *buf, size_t n)
{
    if (fread(buf, 1, n, s->in) == n)
        return 0;
    am_say_error(c, NULL, "%s ends too early: it is not whole, or of another format", s->path);
    return AM_EXIT_ERROR;
}

/* ---- tensors in the making ---- */

FILE *am_parts_begin(const struct am_cli *c)
{
    FILE *out = temporary(c);
    char room[AM_PARTS_AT];
    memset(room, ' ', sizeof room);
    if (out && fwrite(room, 1, sizeof room, out) != sizeof room) {
        am_say_error(c, NULL, "the temporary file cannot be written: %s", strerror(errno));
        fclose(out);
        return NULL;
    }
    return out;
}

static int put_part(struct am_buf *b, const struct am_part *p, uint64_t at)
{
    AM_TRY(am_buf_printf(b, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", b->len > 1 ? "," : "", p->name, p->dtype));
    for (unsigned i = 0; i < p->rank; i++)
        AM_TRY(am_buf_printf(b, "%s%" PRIu64, i ? "," : "", p->shape[i]));
    return am_buf_printf(b, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", at, at + p->bytes);
}

int am_parts_end(const struct am_cli *c, FILE *out, const struct am_part *part, size_t n)
{
    struct am_buf b;
    uint64_t at = 0;
    const uint64_t head = AM_PARTS_AT - 8;
    am_buf_init(&b, AM_PARTS_AT - 8);
    int rc = am_buf_puts(&b, "{");
    for (size_t i = 0; i < n && rc == 0; at += part[i].bytes, i++)
        rc = put_part(&b, &part[i], at);
    if (rc == 0)
        rc = am_buf_puts(&b, "}");
    rewind(out);
    bool good = rc == 0 && fwrite(&head, 1, sizeof head, out) == sizeof head &&
                fwrite(b.data, 1, b.len, out) == b.len && fflush(out) == 0 && !ferror(out);
    am_buf_done(&b);
    if (good)
        return 0;
    am_say_error(c, NULL, "the temporary file cannot be written: %s", strerror(errno));
    return AM_EXIT_ERROR;
}

/* ---- which format ---- */

static bool named(const char *path, const char *end)
{
    AM_CLEANUP(am_xfreep) char *zipped = am_xprintf("%s.gz", end);
    return am_ends(path, end) || am_ends(path, zipped);
}

static enum format by_content(const unsigned char *first, size_t n)
{
    static const unsigned char npy[] = "\x93NUMPY";
    if (n >= 4 && first[0] == 0 && first[1] == 0 && first[2] >= 8 && first[2] <= 14 && first[3] >= 1 && first[3] <= 8)
        return IDX;
    if (n >= 6 && memcmp(first, npy, 6) == 0)
        return NPY;
    if (n >= 9 && first[8] == '{')
        return SAFETENSORS;
    return n >= 1 && first[0] == '{' ? JSONL : FORMATS;
}

static int find_format(const struct am_cli *c, const struct am_dataset_push *p, enum format *ret)
{
    static const char *const ends[] = {".safetensors", ".jsonl", NULL, NULL, NULL, ".csv", ".npy"};
    const char *path = p->file[0];
    if (p->format) {
        for (unsigned i = 0; i < FORMATS; i++)
            if (am_streq(formats[i], p->format)) {
                *ret = (enum format)i;
                return 0;
            }
        return am_say_unknown(c, "format", p->format, formats, FORMATS);
    }
    if (am_ends(path, ".npz") || am_ends(path, ".zip"))
        return am_say_usage(
            c, "an archive is not read: unzip %s, then push the .npy files: INPUTS.npy --labels LABELS.npy", path);
    for (unsigned i = 0; i < FORMATS; i++)
        if (ends[i] && named(path, ends[i])) {
            *ret = (enum format)i;
            return 0;
        }
    if (named(path, ".ndjson") || am_streq(path, "-")) {
        *ret = JSONL;
        return 0;
    }
    struct am_source s;
    unsigned char first[16];
    int rc = am_source_open(c, path, &s);
    *ret = rc ? FORMATS : by_content(first, fread(first, 1, sizeof first, s.in));
    am_source_done(&s);
    if (rc || *ret != FORMATS)
        return rc;
    return am_say_usage(c, "what is in %s? say --format safetensors, jsonl, idx, cifar10, cifar100, csv or npy", path);
}

/* ---- all of it ---- */

static int as_it_is(const struct am_cli *c, struct am_dataset_push *p, bool lines)
{
    struct am_source s;
    if (p->files > 1)
        return am_say_usage(c, "one file of this format at a time");
    int rc = open_raw(c, p->file[0], &s);
    if (rc)
        return rc;
    p->lines = lines;
    p->out = s.in;
    p->gzip = is_gzip(s.in);
    return 0;
}

static int make(const struct am_cli *c, struct am_dataset_push *p, enum format format)
{
    p->row_ids = am_streq(p->ids, "row") || (!p->ids && format != SAFETENSORS && format != JSONL && format != CSV);
    if (p->ids && !p->row_ids && format != CSV)
        return am_say_usage(c, "--ids COLUMN is of a table; of other formats it is row: number the samples");
    if (p->labels && format != IDX && format != NPY)
        return am_say_usage(c, "--labels FILE is of idx and npy; the others have their labels inside");
    switch (format) {
    case IDX:
        return am_dataset_idx(c, p);
    case CIFAR10:
        return am_dataset_cifar(c, p, 1);
    case CIFAR100:
        return am_dataset_cifar(c, p, 2);
    case NPY:
        return am_dataset_npy(c, p);
    case CSV:
        return am_dataset_csv(c, p);
    default:
        return as_it_is(c, p, format == JSONL);
    }
}

int am_dataset_open(const struct am_cli *c, struct am_dataset_push *p)
{
    enum format format = FORMATS;
    int rc = find_format(c, p, &format);
    if (rc == 0)
        rc = make(c, p, format);
    return rc;
}

void am_dataset_push_done(struct am_dataset_push *p)
{
    if (p->out)
        fclose(p->out);
    p->out = NULL;
}
