/*
 * compat_cli.c - the statistics of core/compat as a filter, for tests/service/test_compat_reference.py, which holds
 * them to formulas written in another language. Not a product.
 *
 *   compat_cli pairs          every ordered pair of versions: one JSON object a line
 *   compat_cli detail I J     the pair I -> J by class, with its flips
 *   compat_cli mcnemar B C
 *
 * pairs and detail read from stdin, native 32-bit integers: samples n, versions k, n labels, k times n predictions.
 */
#include "core/compat/cells.h"
#include "core/compat/intervals.h"
#include "core/compat/metrics.h"
#include "core/compat/normal.h"
#include "core/compat/slices.h"
#include "core/compat/tests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct data {
    int32_t n, k, *label, *said; /* said[version * n + sample] */
    uint64_t *ok, *diff;         /* ok[version * words + word] */
    size_t words;
};

static bool take(void *to, size_t items)
{
    return fread(to, sizeof(int32_t), items, stdin) == items;
}

static bool read_data(struct data *d)
{
    if (!take(&d->n, 1) || !take(&d->k, 1) || d->n < 1 || d->k < 1 || d->n > 10000000 || d->k > 1000)
        return false;
    size_t n = (size_t)d->n, k = (size_t)d->k;
    d->words = AM_BIT_WORDS(n);
    d->label = calloc(n, sizeof(int32_t));
    d->said = calloc(n * k, sizeof(int32_t));
    d->ok = calloc(d->words * k, sizeof(uint64_t));
    d->diff = calloc(d->words, sizeof(uint64_t));
    if (!d->label || !d->said || !d->ok || !d->diff || !take(d->label, n) || !take(d->said, n * k))
        return false;
    for (size_t v = 0; v < k; v++) /* right is what does not differ from the label; bits behind the last are dirty */
        am_diff_classes(d->said + v * n, d->label, n, d->ok + v * d->words);
    for (size_t i = 0; i < d->words * k; i++)
        d->ok[i] = ~d->ok[i];
    return true;
}

static void put_p(const char *name, struct am_p p)
{
    printf(",\"%s\":[%.17g,%.17g]", name, p.p, p.log10_p);
}

static void put_interval(const char *name, struct am_interval i)
{
    printf(",\"%s\":[%.17g,%.17g]", name, i.lower, i.upper);
}

static void put_mcnemar(uint64_t b, uint64_t c)
{
    struct am_mcnemar m = am_mcnemar_of(b, c);
    put_p("exact", m.exact);
    put_p("mid", m.mid);
    put_p("regression", m.regression);
}

static void put_pair(const struct data *d, size_t i, size_t j)
{
    struct am_cells c;
    double v[AM_CELLS];
    size_t n = (size_t)d->n;
    const uint64_t *o = d->ok + i * d->words, *w = d->ok + j * d->words;
    am_diff_classes(d->said + i * n, d->said + j * n, n, d->diff);
    am_cells_count(o, w, d->diff, n, &c);
    am_cells_vector(&c, v);
    bool sound = am_cells_check(&c, n, am_bits_count(o, n), am_bits_count(w, n)) == 0;
    printf("{\"old\":%zu,\"new\":%zu,\"sound\":%s,\"cells\":[%ju,%ju,%ju,%ju,%ju,%ju]", i, j, sound ? "true" : "false",
           (uintmax_t)c.a, (uintmax_t)c.a_diff, (uintmax_t)c.b, (uintmax_t)c.c, (uintmax_t)c.d_same,
           (uintmax_t)c.d_diff);
    for (int id = 0; id < AM_METRICS; id++) {
        struct am_metric m = am_metric_of((enum am_metric_id)id, v, c.compared);
        if (m.ratio.known)
            printf(",\"%s\":%.17g", am_metric_name((enum am_metric_id)id), m.ratio.value);
        else
            printf(",\"%s\":null", am_metric_name((enum am_metric_id)id));
    }
    double b = (double)c.b, up = (double)c.c, all = (double)n;
    put_interval("wilson_two", am_wilson(b, all, AM_Z_TWO_SIDED));
    put_interval("wilson_one", am_wilson(b, all, AM_Z_ONE_SIDED));
    put_interval("tango_two", am_tango(b, up, all, AM_Z_TWO_SIDED));
    put_interval("tango_one", am_tango(b, up, all, AM_Z_ONE_SIDED));
    put_interval("newcombe", am_newcombe((double)c.a, b, up, (double)(c.d_same + c.d_diff), AM_Z_TWO_SIDED));
    put_mcnemar(c.b, c.c);
    printf("}\n");
}

static int put_detail(const struct data *d, size_t i, size_t j)
{
    enum { CLASSES = 1000, SHOWN = 10 };
    struct am_slice_counts counts[CLASSES];
    struct am_slice rows[CLASSES];
    struct am_flip_pair pairs[AM_FLIP_PAIRS];
    size_t classes = 0, n = (size_t)d->n, n_pairs, shown[SHOWN], n_shown;
    const uint64_t *o = d->ok + i * d->words, *w = d->ok + j * d->words;
    for (size_t s = 0; s < n; s++)
        if ((size_t)d->label[s] >= classes)
            classes = (size_t)d->label[s] + 1;
    if (classes > CLASSES || am_slices_count(o, w, d->label, n, classes, counts) < 0 ||
        am_slices_of(counts, classes, rows) < 0 ||
        am_flip_pairs(o, w, d->label, d->said + j * n, n, AM_FLIP_PAIRS, pairs, &n_pairs) < 0 ||
        am_exemplars(o, w, NULL, NULL, NULL, n, SHOWN, shown, &n_shown) < 0)
        return 1;
    printf("{\"slices\":[");
    for (size_t k = 0; k < classes; k++)
        printf("%s[%ju,%ju,%ju,%ju,%ju,%.17g,%.17g,%.17g,%.17g]", k ? "," : "", (uintmax_t)counts[k].n,
               (uintmax_t)counts[k].right_old, (uintmax_t)counts[k].right_new, (uintmax_t)counts[k].b,
               (uintmax_t)counts[k].c, rows[k].test.mid.p, rows[k].q, rows[k].test.regression.p,
               rows[k].one_sided.upper);
    printf("],\"pairs\":[");
    for (size_t k = 0; k < n_pairs; k++)
        printf("%s[%d,%d,%ju]", k ? "," : "", pairs[k].from, pairs[k].to, (uintmax_t)pairs[k].n);
    printf("],\"shown\":[");
    for (size_t k = 0; k < n_shown; k++)
        printf("%s%zu", k ? "," : "", shown[k]);
    printf("]}\n");
    return 0;
}

static int usage(void)
{
    fprintf(stderr, "usage: compat_cli pairs | detail I J | mcnemar B C\n");
    return 2;
}

int main(int argc, char **argv)
{
    struct data d = {0};
    if (argc == 4 && strcmp(argv[1], "mcnemar") == 0) {
        printf("{\"b\":%s", argv[2]);
        put_mcnemar(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
        printf("}\n");
        return 0;
    }
    bool pairs = argc == 2 && strcmp(argv[1], "pairs") == 0, detail = argc == 4 && strcmp(argv[1], "detail") == 0;
    if (!pairs && !detail)
        return usage();
    if (!read_data(&d)) {
        fprintf(stderr, "compat_cli: stdin ends before the predictions do\n");
        return 1;
    }
    size_t i = detail ? strtoul(argv[2], NULL, 10) : 0, j = detail ? strtoul(argv[3], NULL, 10) : 0;
    int rc = i < (size_t)d.k && j < (size_t)d.k && detail ? put_detail(&d, i, j) : 0;
    for (i = 0; pairs && i < (size_t)d.k; i++)
        for (j = 0; j < (size_t)d.k; j++)
            if (i != j)
                put_pair(&d, i, j);
    free(d.label);
    free(d.said);
    free(d.ok);
    free(d.diff);
    return rc;
}
