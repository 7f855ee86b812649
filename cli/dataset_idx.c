/*
 * dataset_idx.c - IDX files (MNIST and its kin): images, and labels in a file of their own, as tensors. See dataset.h.
 * The numbers of IDX are big-endian; those of safetensors are not.
 */
#include "cli/dataset.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PART = 65536, ROWS_MAX = 100000000 };

static const struct {
    unsigned code;
    const char *dtype;
    unsigned size;
} types[] = {{0x08, "U8", 1}, {0x09, "I8", 1}, {0x0b, "I16", 2}, {0x0c, "I32", 4}, {0x0d, "F32", 4}, {0x0e, "F64", 8}};

struct idx {
    struct am_source s;
    struct am_part part;
    unsigned size; /* of a number */
};

static int bad(const struct am_cli *c, const struct idx *x, const char *what)
{
    am_say_error(c, NULL, "%s is no IDX file of samples: %s", x->s.path, what);
    return AM_EXIT_ERROR;
}

/* 00 00, type, rank, then each dimension as 32 bits. */
static int read_head(const struct am_cli *c, struct idx *x)
{
    unsigned char head[4], dim[4];
    int rc = am_source_read(c, &x->s, head, sizeof head);
    if (rc)
        return rc;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].code == head[2]) {
            x->part.dtype = types[i].dtype;
            x->size = types[i].size;
        }
    x->part.rank = head[3];
    if (head[0] || head[1] || !x->size || head[3] < 1 || head[3] > 8)
        return bad(c, x, "its first four bytes say so");
    x->part.bytes = x->size;
    for (unsigned i = 0; i < x->part.rank; i++) {
        if ((rc = am_source_read(c, &x->s, dim, sizeof dim)))
            return rc;
        uint64_t n = (uint64_t)dim[0] << 24 | (uint64_t)dim[1] << 16 | (uint64_t)dim[2] << 8 | dim[3];
        x->part.shape[i] = n;
        if (n == 0 || __builtin_mul_overflow(x->part.bytes, n, &x->part.bytes) || x->part.bytes > INT64_MAX)
            return bad(c, x, "a dimension is 0, or all of them together are too large");
    }
    return x->part.shape[0] > ROWS_MAX ? bad(c, x, "it has more than 100 million rows") : 0;
}

static void turn(unsigned char *v, size_t n, unsigned size)
{
    for (size_t i = 0; size > 1 && i + size <= n; i += size)
        for (unsigned k = 0; k < size / 2; k++) {
            unsigned char t = v[i + k];
            v[i + k] = v[i + size - 1 - k];
            v[i + size - 1 - k] = t;
        }
}

static int copy(const struct am_cli *c, struct idx *x, FILE *out)
{
    unsigned char part[PART];
    for (uint64_t left = x->part.bytes; left > 0;) {
        size_t n = left < sizeof part ? (size_t)left : sizeof part;
        int rc = am_source_read(c, &x->s, part, n);
        if (rc)
            return rc;
        turn(part, n, x->size);
        if (fwrite(part, 1, n, out) != n) {
            am_say_error(c, NULL, "the temporary file cannot be written");
            return AM_EXIT_ERROR;
        }
        left -= n;
    }
    return getc(x->s.in) == EOF ? 0 : bad(c, x, "it goes on behind its last number");
}

static int convert(const struct am_cli *c, struct am_dataset_push *p, struct idx *images, struct idx *labels)
{
    struct am_part part[2];
    int rc = read_head(c, images);
    if (rc == 0 && labels->s.in)
        rc = read_head(c, labels);
    if (rc == 0 && images->part.rank == 1 && labels->part.rank > 1) { /* they came the other way round */
        struct idx t = *images;
        *images = *labels;
        *labels = t;
    }
    images->part.name = "inputs";
    labels->part.name = "labels";
    if (rc == 0 && labels->s.in && (labels->part.rank != 1 || labels->part.shape[0] != images->part.shape[0])) {
        am_say_error(c, NULL, "%s has %" PRIu64 " samples and %s %" PRIu64 " labels", images->s.path,
                     images->part.shape[0], labels->s.path, labels->part.shape[0]);
        return AM_EXIT_ERROR;
    }
    if (rc == 0)
        rc = (p->out = am_parts_begin(c)) ? copy(c, images, p->out) : AM_EXIT_ERROR;
    if (rc == 0 && labels->s.in)
        rc = copy(c, labels, p->out);
    part[0] = images->part;
    part[1] = labels->part;
    return rc ? rc : am_parts_end(c, p->out, part, labels->s.in ? 2 : 1);
}

int am_dataset_idx(const struct am_cli *c, struct am_dataset_push *p)
{
    struct idx images = {.size = 0}, labels = {.size = 0};
    const char *second = p->labels ? p->labels : p->file[1];
    if (p->files > 2 || (p->labels && p->files > 1))
        return am_say_usage(c, "IDX is a file of images and one of labels");
    int rc = am_source_open(c, p->file[0], &images.s);
    if (rc == 0 && second)
        rc = am_source_open(c, second, &labels.s);
    if (rc == 0)
        rc = convert(c, p, &images, &labels);
    am_source_done(&images.s);
    am_source_done(&labels.s);
    return rc;
}
