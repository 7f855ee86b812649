/*
 * dataset_npy.c - arrays of NumPy (.npy) as tensors: samples, and labels in a file of their own. See dataset.h. The
 * header is a Python literal of three members; only the plain form that NumPy writes is read.
 */
#include "cli/dataset.h"

#include "core/base/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_MAX = 65536, PART = 65536 };

static const char *const types[][2] = {{"|u1", "U8"},  {"|i1", "I8"},  {"|b1", "BOOL"}, {"<u2", "U16"},
                                       {"<i2", "I16"}, {"<u4", "U32"}, {"<i4", "I32"},  {"<u8", "U64"},
                                       {"<i8", "I64"}, {"<f2", "F16"}, {"<f4", "F32"},  {"<f8", "F64"}};

struct npy {
    struct am_source s;
    struct am_part part;
};

static int bad(const struct am_cli *c, const struct npy *x, const char *what, const char *fix)
{
    am_say_error(c, fix, "%s: %s", x->s.path, what);
    return AM_EXIT_ERROR;
}

static int take_type(const struct am_cli *c, struct npy *x, const char *text)
{
    const char *at = strstr(text, "'descr': '");
    for (size_t i = 0; at && i < sizeof types / sizeof *types; i++)
        if (strncmp(at + strlen("'descr': '"), types[i][0], 3) == 0 && at[strlen("'descr': '") + 3] == '\'') {
            x->part.dtype = types[i][1];
            x->part.bytes = (uint64_t)(types[i][0][2] - '0');
        }
    return x->part.dtype ? 0
                         : bad(c, x, "the type of its numbers has no place in a dataset",
                               "save it as numbers of this machine's order: a.astype('<f4')");
}

static int take_shape(const struct am_cli *c, struct npy *x, const char *text)
{
    const char *p = strstr(text, "'shape': (");
    if (!p)
        return bad(c, x, "its header has no shape", NULL);
    for (p += strlen("'shape': ("); *p && *p != ')'; p += strspn(p, ", ")) {
        char digits[24];
        size_t n = strspn(p, "0123456789");
        uint64_t v = 0;
        snprintf(digits, sizeof digits, "%.*s", (int)(n < 20 ? n : 0), p);
        if (x->part.rank == 8 || am_parse_u64(digits, &v) < 0 || v == 0 ||
            __builtin_mul_overflow(x->part.bytes, v, &x->part.bytes) || x->part.bytes > INT64_MAX)
            return bad(c, x, "its shape has a 0, more than 8 dimensions, or is too large", NULL);
        x->part.shape[x->part.rank++] = v;
        p += n;
    }
    return x->part.rank ? 0 : bad(c, x, "it is a single number", NULL);
}

static int read_head(const struct am_cli *c, struct npy *x)
{
    unsigned char fixed[12];
    int rc = am_source_read(c, &x->s, fixed, 10);
    if (rc)
        return rc;
    if (memcmp(fixed, "\x93NUMPY", 6) != 0)
        return bad(c, x, "it is no .npy file", NULL);
    if (fixed[6] > 1 && (rc = am_source_read(c, &x->s, fixed + 10, 2)))
        return rc;
    size_t n = (size_t)fixed[8] | (size_t)fixed[9] << 8 |
               (fixed[6] > 1 ? (size_t)fixed[10] << 16 | (size_t)fixed[11] << 24 : 0);
    if (n > HEADER_MAX)
        return bad(c, x, "its header is too long", NULL);
    AM_CLEANUP(am_xfreep) char *text = am_xalloc(n + 1);
    if ((rc = am_source_read(c, &x->s, text, n)))
        return rc;
    text[n] = 0;
    if (!strstr(text, "'fortran_order': False"))
        return bad(c, x, "its numbers are in the order of Fortran", "numpy.ascontiguousarray(a)");
    rc = take_type(c, x, text);
    return rc ? rc : take_shape(c, x, text);
}

static int copy(const struct am_cli *c, struct npy *x, FILE *out)
{
    char part[PART];
    for (uint64_t left = x->part.bytes; left > 0;) {
        size_t n = left < sizeof part ? (size_t)left : sizeof part;
        int rc = am_source_read(c, &x->s, part, n);
        if (rc)
            return rc;
        if (fwrite(part, 1, n, out) != n)
            return bad(c, x, "the temporary file cannot be written", NULL);
        left -= n;
    }
    return 0;
}

static int convert(const struct am_cli *c, struct am_dataset_push *p, struct npy x[2], size_t n)
{
    const struct am_part *part[2] = {&x[0].part, &x[1].part};
    struct am_part out[2];
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = read_head(c, &x[i]);
    if (rc == 0 && n == 2 && part[0]->shape[0] != part[1]->shape[0]) {
        am_say_error(c, NULL, "%s has %" PRIu64 " rows and %s has %" PRIu64, x[0].s.path, part[0]->shape[0],
                     x[1].s.path, part[1]->shape[0]);
        return AM_EXIT_ERROR;
    }
    if (rc == 0)
        rc = (p->out = am_parts_begin(c)) ? 0 : AM_EXIT_ERROR;
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = copy(c, &x[i], p->out);
        out[i] = *part[i];
        out[i].name = i ? "labels" : "inputs";
    }
    return rc ? rc : am_parts_end(c, p->out, out, n);
}

int am_dataset_npy(const struct am_cli *c, struct am_dataset_push *p)
{
    struct npy x[2] = {0};
    const char *second = p->labels ? p->labels : p->file[1];
    if (p->files > 2 || (p->labels && p->files > 1))
        return am_say_usage(c, "one .npy of samples and one of labels");
    int rc = am_source_open(c, p->file[0], &x[0].s);
    if (rc == 0 && second)
        rc = am_source_open(c, second, &x[1].s);
    if (rc == 0)
        rc = convert(c, p, x, second ? 2 : 1);
    am_source_done(&x[0].s);
    am_source_done(&x[1].s);
    return rc;
}
