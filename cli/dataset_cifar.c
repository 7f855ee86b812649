/*
 * dataset_cifar.c - the binary batches of CIFAR-10 and CIFAR-100 as tensors: images [N, 3, 32, 32], labels, and of
 * CIFAR-100 the coarse labels as groups. Several batches are one dataset. See dataset.h.
 */
#include "cli/dataset.h"

#include "core/base/buf.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGE = 3 * 32 * 32, ROWS_MAX = 100000000 };

struct batches {
    struct am_buf label[2]; /* the last one are the classes */
    uint64_t rows;
};

static int copy_batch(const struct am_cli *c, struct am_source *s, unsigned labels, struct batches *b, FILE *out)
{
    unsigned char record[IMAGE + 2];
    size_t n;
    while ((n = fread(record, 1, IMAGE + labels, s->in)) == IMAGE + labels) {
        for (unsigned i = 0; i < labels; i++)
            if (am_buf_put(&b->label[i], &record[i], 1) < 0) {
                am_say_error(c, NULL, "%s: more than 100 million images", s->path);
                return AM_EXIT_ERROR;
            }
        if (fwrite(record + labels, 1, IMAGE, out) != IMAGE) {
            am_say_error(c, NULL, "the temporary file cannot be written");
            return AM_EXIT_ERROR;
        }
        b->rows++;
    }
    if (n == 0 && !ferror(s->in))
        return 0;
    am_say_error(c, NULL, "%s is no batch of CIFAR-%s: its size is no multiple of %u bytes, a record", s->path,
                 labels == 1 ? "10" : "100", IMAGE + labels);
    return AM_EXIT_ERROR;
}

static int finish(const struct am_cli *c, struct am_dataset_push *p, unsigned labels, const struct batches *b)
{
    const struct am_buf *classes = &b->label[labels - 1];
    const struct am_part part[] = {
        {"inputs", "U8", {b->rows, 3, 32, 32}, b->rows * IMAGE, 4},
        {"labels", "U8", {b->rows}, b->rows, 1},
        {"groups", "U8", {b->rows}, b->rows, 1},
    };
    if (b->rows == 0) {
        am_say_error(c, NULL, "%s holds no image", p->file[0]);
        return AM_EXIT_ERROR;
    }
    fwrite(classes->data, 1, classes->len, p->out); /* a failure is seen at the end */
    if (labels == 2)
        fwrite(b->label[0].data, 1, b->label[0].len, p->out);
    return am_parts_end(c, p->out, part, labels + 1);
}

int am_dataset_cifar(const struct am_cli *c, struct am_dataset_push *p, unsigned labels)
{
    struct batches b = {.rows = 0};
    am_buf_init(&b.label[0], ROWS_MAX);
    am_buf_init(&b.label[1], ROWS_MAX);
    int rc = (p->out = am_parts_begin(c)) ? 0 : AM_EXIT_ERROR;
    for (size_t i = 0; i < p->files && rc == 0; i++) {
        struct am_source s;
        rc = am_source_open(c, p->file[i], &s);
        if (rc == 0)
            rc = copy_batch(c, &s, labels, &b, p->out);
        am_source_done(&s);
    }
    if (rc == 0)
        rc = finish(c, p, labels, &b);
    am_buf_done(&b.label[0]);
    am_buf_done(&b.label[1]);
    return rc;
}
