/*
 * report_page.c - the page of a report from its head to its foot (report_page.h). The parts are in files of their own.
 */
#include "server/report_parts.h"

#include <stdio.h>

/* "demo/net@v3", or the name of what is elsewhere. */
static void side_name(const json_t *r, const char *side, const char *version, char *out, size_t n)
{
    const json_t *v = json_object_get(r, version), *number = json_object_get(v, "number");
    const char *model = am_text_of(v, "model", NULL);
    if (model && json_is_integer(number))
        snprintf(out, n, "%.200s@v%lld", model, (long long)json_integer_value(number));
    else if (model)
        snprintf(out, n, "%.200s@%.12s", model, am_text_of(v, "commit", "?"));
    else
        snprintf(out, n, "%.230s", am_text_of(r, side, "?"));
}

static void make_title(const json_t *r, char *out, size_t n)
{
    char old[240], new[240];
    side_name(r, "old", "old_version", old, sizeof old);
    side_name(r, "new", "new_version", new, sizeof new);
    snprintf(out, n, "%s \xe2\x86\x92 %s", old, new);
}

static void put_pair(struct am_doc *d, const char *label, const char *value)
{
    if (!value)
        return;
    am_doc_item(d, NULL);
    am_doc_putf(d, "%s: ", label);
    am_doc_name(d, value);
    am_doc_item_end(d);
}

static void put_samples(struct am_doc *d, const json_t *r)
{
    const json_t *ids = json_object_get(r, "ids");
    am_doc_item(d, NULL);
    am_doc_put(d, "samples compared: ");
    am_put_count(d, json_object_get(r, "n"));
    if (ids) {
        am_doc_put(d, "; ids of both ");
        am_put_count(d, json_object_get(ids, "both"));
        am_doc_put(d, ", only of the old ");
        am_put_count(d, json_object_get(ids, "old_only"));
        am_doc_put(d, ", only of the new ");
        am_put_count(d, json_object_get(ids, "new_only"));
    }
    if (json_is_true(json_object_get(r, "weighted"))) {
        am_doc_put(d, "; weighted, as much as ");
        am_put_count(d, json_object_get(r, "n_eff"));
        am_doc_put(d, " equal samples tell");
    }
    if (json_is_integer(json_object_get(r, "clusters"))) {
        am_doc_put(d, "; clusters ");
        am_put_count(d, json_object_get(r, "clusters"));
    }
    am_doc_item_end(d);
}

static void put_head(struct am_doc *d, const json_t *r)
{
    am_doc_items(d, true);
    put_pair(d, "old version", am_text_of(r, "old", NULL));
    put_pair(d, "new version", am_text_of(r, "new", NULL));
    put_pair(d, "dataset", am_text_of(r, "dataset", NULL));
    put_samples(d, r);
    put_pair(d, "report", am_text_of(r, "id", NULL));
    put_pair(d, "made", am_text_of(r, "created_at", NULL));
    am_doc_items(d, false);
}

static void put_warnings(struct am_doc *d, const json_t *r)
{
    const json_t *list = json_object_get(r, "warnings"), *w;
    size_t i;
    if (!json_array_size(list))
        return;
    am_doc_heading(d, "Warnings");
    am_doc_items(d, true);
    json_array_foreach(list, i, w)
    {
        am_doc_item(d, NULL);
        am_doc_text(d, json_is_string(w) ? json_string_value(w) : am_text_of(w, "detail", am_text_of(w, "code", "?")));
        am_doc_item_end(d);
    }
    am_doc_items(d, false);
}

int am_report_page(const struct am_report_view *v, enum am_doc_form form, struct am_buf *ret)
{
    struct am_doc d;
    char title[512];
    make_title(v->report, title, sizeof title);
    am_doc_begin(&d, form, ret, title);
    am_report_verdict(&d, v);
    put_head(&d, v->report);
    put_warnings(&d, v->report);
    am_report_matrix(&d, v->report);
    am_report_line(&d, v->report);
    am_report_flips(&d, v->report);
    am_report_tests(&d, v->report);
    am_report_rules(&d, v->decision);
    am_report_values(&d, v->report);
    int rc = am_report_slices(&d, v->report, v->slices);
    am_report_groups(&d, v->report);
    am_report_examples(&d, v->report);
    am_report_record(&d, v->report);
    int written = am_doc_end(&d);
    return rc < 0 ? rc : written;
}
