/*
 * report_slices.c - the slices of a report, the most harmed first, and its flips one by one (report_parts.h). Owns the
 * order: slices with enough samples by net harm, then those that are too small to be ranked, as they came.
 */
#include "server/report_parts.h"

#include "core/base/text.h"

#include <math.h>
#include <stdlib.h>

struct row {
    const json_t *slice;
    double harm;
    bool small;
    size_t at;
};

static int by_harm(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->small != y->small)
        return x->small ? 1 : -1;
    if (!x->small && x->harm != y->harm)
        return x->harm > y->harm ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* harm is -(accuracy new - old), so the bounds change places. */
static struct am_draw_harm harm_of(const struct row *r)
{
    struct am_draw_harm h = {.value = r->harm};
    double low, high;
    h.bounded = am_number_of(r->slice, "delta_upper95", &high) && am_number_of(r->slice, "delta_lower95", &low);
    if (h.bounded) {
        h.low = -high;
        h.high = -low;
    }
    return h;
}

static double scale_of(const struct row *rows, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) {
        struct am_draw_harm h = harm_of(&rows[i]);
        double reach = fabs(h.value);
        if (h.bounded && !rows[i].small)
            reach = fmax(reach, fmax(fabs(h.low), fabs(h.high)));
        most = fmax(most, reach);
    }
    return most;
}

static void put_bounds(struct am_doc *d, const struct am_draw_harm *h)
{
    json_t *pair = h->bounded ? json_pack("[ff]", h->low, h->high) : NULL;
    if (pair) {
        am_doc_put(d, " ");
        am_put_interval(d, AM_UNIT_POINTS, pair);
    }
    json_decref(pair);
}

static void put_slice(struct am_doc *d, const struct row *r, double scale)
{
    static const char *const p[] = {"p_mid", "q"};
    const json_t *s = r->slice;
    struct am_draw_harm h = harm_of(r);
    am_doc_row(d, r->small ? "small" : NULL);
    am_doc_cell(d);
    am_doc_name(d, am_text_of(s, "key", "?"));
    am_doc_put(d, " = ");
    am_doc_name(d, am_text_of(s, "value", "?"));
    am_doc_cell(d);
    am_put_count(d, json_object_get(s, "n"));
    am_doc_cell(d);
    am_draw_harm(d, &h, scale);
    am_doc_cell(d);
    am_put_number(d, AM_UNIT_POINTS, r->harm);
    put_bounds(d, &h);
    am_doc_cell(d);
    am_put_count(d, json_object_get(s, "b"));
    am_doc_cell(d);
    am_put_count(d, json_object_get(s, "c"));
    am_doc_cell(d);
    am_put_share(d, s, "nfr");
    am_doc_put(d, " ");
    am_put_interval(d, AM_UNIT_SHARE, json_object_get(s, "interval"));
    am_doc_cell(d);
    am_put_share(d, s, "accuracy_old");
    am_doc_put(d, " \xe2\x86\x92 ");
    am_put_share(d, s, "accuracy_new");
    for (size_t i = 0; i < 2; i++) {
        am_doc_cell(d);
        am_put_p_of(d, s, p[i]);
    }
    am_doc_cell(d);
    am_put_words(d, r->small ? "too small to rank" : am_text_of(s, "verdict", "-"));
    am_doc_row_end(d);
}

static void put_table(struct am_doc *d, const struct row *rows, size_t n)
{
    static const char *const heads[] = {"slice",
                                        ">n",
                                        "|better \xe2\x86\x90 net harm \xe2\x86\x92 worse",
                                        ">net harm, its bounds",
                                        ">negative flips",
                                        ">positive flips",
                                        ">NFR, 95 % interval",
                                        ">accuracy",
                                        ">p (mid)",
                                        ">q",
                                        "verdict",
                                        NULL};
    am_doc_table(d,
                 "net harm: negative less positive flips, of the slice's samples; whiskers: one-sided 95 % bounds; q: "
                 "p with all slices of the key in mind (Benjamini-Hochberg)",
                 heads);
    double scale = scale_of(rows, n);
    for (size_t i = 0; i < n; i++)
        put_slice(d, &rows[i], scale);
    am_doc_table_end(d);
}

/* The rows of a list in their order, those without harm left out. NULL: no memory. For free(). */
static struct row *ordered(const json_t *slices, size_t *ret_n)
{
    size_t all = json_array_size(slices), n = 0;
    struct row *rows = calloc(all + 1, sizeof *rows);
    for (size_t i = 0; rows && i < all; i++) {
        const json_t *s = json_array_get(slices, i);
        struct row r = {.slice = s, .at = i, .small = json_is_true(json_object_get(s, "small"))};
        if (am_number_of(s, "harm", &r.harm))
            rows[n++] = r;
    }
    if (rows)
        qsort(rows, n, sizeof *rows, by_harm);
    *ret_n = n;
    return rows;
}

static int cut(json_t *list)
{
    size_t n;
    struct row *rows = ordered(list, &n);
    json_t *best = json_array();
    int rc = rows && best ? 0 : -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; rc == 0 && i < n && i < AM_REPORT_SLICES; i++)
        rc = json_array_append(best, (json_t *)rows[i].slice) < 0 ? -AM_E_OUT_OF_MEMORY : 0;
    if (rc == 0 && (json_array_clear(list) < 0 || json_array_extend(list, best) < 0))
        rc = -AM_E_OUT_OF_MEMORY;
    free(rows);
    json_decref(best);
    return rc;
}

int am_report_slice_keep(json_t *list, json_t *slice)
{
    if (json_array_append(list, slice) < 0)
        return -AM_E_OUT_OF_MEMORY;
    return json_array_size(list) < 2 * AM_REPORT_SLICES ? 0 : cut(list);
}

int am_report_slices(struct am_doc *d, const json_t *report, const json_t *slices)
{
    size_t n;
    if (!json_array_size(slices))
        return 0;
    struct row *rows = ordered(slices, &n);
    if (!rows)
        return -AM_E_OUT_OF_MEMORY;
    size_t shown = n < AM_REPORT_SLICES ? n : AM_REPORT_SLICES;
    am_doc_heading(d, "Slices");
    put_table(d, rows, shown);
    json_int_t total = json_integer_value(json_object_get(report, "slices"));
    if (total > (json_int_t)shown) {
        am_doc_open(d, "soft");
        am_doc_putf(d, "The report has %lld slices; GET /v1/reports/", (long long)total);
        am_doc_text(d, am_text_of(report, "id", "ID"));
        am_doc_put(d, "/slices lists all.");
        am_doc_close(d);
    }
    free(rows);
    return 0;
}

static void put_pairs(struct am_doc *d, const json_t *pairs)
{
    static const char *const heads[] = {"the old version said, rightly", "the new one says", ">samples", NULL};
    const json_t *pair;
    size_t i;
    if (!json_array_size(pairs))
        return;
    am_doc_heading(d, "Confusion flips");
    am_doc_table(d, "the pairs of classes that most negative flips go between", heads);
    json_array_foreach(pairs, i, pair)
    {
        am_doc_row(d, NULL);
        am_doc_cell(d);
        am_doc_name(d, am_text_of(pair, "from", "?"));
        am_doc_cell(d);
        am_doc_name(d, am_text_of(pair, "to", "?"));
        am_doc_cell(d);
        am_put_count(d, json_object_get(pair, "n"));
        am_doc_row_end(d);
    }
    am_doc_table_end(d);
}

void am_report_examples(struct am_doc *d, const json_t *report)
{
    const json_t *ids = json_object_get(json_object_get(report, "exemplars"), "negative_flips"), *id;
    size_t i;
    put_pairs(d, json_object_get(report, "confusion_flips"));
    if (!json_array_size(ids))
        return;
    am_doc_heading(d, "Negative flips to look at first");
    am_doc_open(d, NULL);
    am_doc_put(d, "Ids of samples that the old version had right and the new one has wrong: ");
    json_array_foreach(ids, i, id)
    {
        am_doc_put(d, i ? ", " : "");
        am_doc_name(d, json_is_string(id) ? json_string_value(id) : am_text_of(id, "id", "?"));
    }
    am_doc_close(d);
}
