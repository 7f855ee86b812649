/*
 * report_groups.c - the gaps between groups of people, and what the search for slices found (report_parts.h). Both are
 * there only when the job asked for them.
 */
#include "server/report_parts.h"

enum { FOUND_SHOWN = 20 };

static void put_value(struct am_doc *d, const char *name, const json_t *v)
{
    const struct am_report_name known = am_report_name(name);
    double value;
    am_doc_cell(d);
    if (!am_number_of(v, "value", &value)) {
        am_doc_put(d, "undefined: ");
        am_put_words(d, am_text_of(v, "reason", "no reason given"));
        return;
    }
    am_put_number(d, known.unit, value);
    am_doc_put(d, " ");
    am_put_interval(d, known.unit, json_object_get(v, "interval"));
}

static void put_gaps(struct am_doc *d, const json_t *groups)
{
    static const char *const heads[] = {"key", "gap", ">value, 95 % interval", NULL};
    const json_t *one;
    size_t i;
    am_doc_heading(d, "Groups");
    am_doc_table(d, "how far the groups of a key lie apart; groups with too few samples to rank are left out", heads);
    json_array_foreach(groups, i, one)
    {
        json_t *values = json_object_get(one, "values"), *v;
        const char *name;
        json_object_foreach(values, name, v)
        {
            const struct am_report_name known = am_report_name(name);
            am_doc_row(d, NULL);
            am_doc_cell(d);
            am_doc_name(d, am_text_of(one, "key", "?"));
            am_doc_cell(d);
            if (known.words)
                am_doc_put(d, known.words);
            else
                am_put_words(d, name);
            put_value(d, name, v);
            am_doc_row_end(d);
        }
    }
    am_doc_table_end(d);
}

static void put_where(struct am_doc *d, json_t *where)
{
    const char *key, *between = "";
    json_t *value;
    json_object_foreach(where, key, value)
    {
        am_doc_put(d, between);
        am_doc_name(d, key);
        am_doc_put(d, " = ");
        am_doc_name(d, json_is_string(value) ? json_string_value(value) : "?");
        between = ", ";
    }
}

static void put_found_row(struct am_doc *d, const json_t *row)
{
    am_doc_row(d, NULL);
    am_doc_cell(d);
    put_where(d, json_object_get(row, "where"));
    am_doc_cell(d);
    am_put_count(d, json_object_get(row, "n"));
    am_doc_cell(d);
    am_put_count(d, json_object_get(row, "b"));
    am_doc_cell(d);
    am_put_count(d, json_object_get(row, "c"));
    am_doc_cell(d);
    am_put_share(d, row, "nfr");
    am_doc_put(d, ", at least ");
    am_put_share(d, row, "lower95");
    am_doc_cell(d);
    am_put_share(d, row, "accuracy_old");
    am_doc_put(d, " \xe2\x86\x92 ");
    am_put_share(d, row, "accuracy_new");
    am_doc_cell(d);
    am_put_p_of(d, row, "q");
    am_doc_row_end(d);
}

static void put_found(struct am_doc *d, const json_t *found)
{
    static const char *const heads[] = {
        "values", ">n", ">negative flips", ">positive flips", ">NFR, 95 % lower bound", ">accuracy", ">q", NULL};
    const json_t *rows = json_object_get(found, "rows");
    size_t n = json_array_size(rows);
    am_doc_heading(d, "Slices that a search found");
    am_doc_open(d, "soft");
    am_doc_put(d,
               "A search through values and pairs of values: a hint where to look, which no gate decides by. Tried: ");
    am_put_count(d, json_object_get(found, "tried"));
    if (json_is_true(json_object_get(found, "cut")))
        am_doc_put(d, ", then it stopped");
    am_doc_put(d, n > FOUND_SHOWN ? "; the first of them, the others are in the report's JSON." : ".");
    am_doc_close(d);
    if (n == 0)
        return;
    am_doc_table(d, "by the lower bound of their NFR; q: p with all that was tried in mind (Benjamini-Hochberg)",
                 heads);
    for (size_t i = 0; i < n && i < FOUND_SHOWN; i++)
        put_found_row(d, json_array_get(rows, i));
    am_doc_table_end(d);
}

void am_report_groups(struct am_doc *d, const json_t *report)
{
    const json_t *groups = json_object_get(report, "groups"), *found = json_object_get(report, "found_slices");
    if (json_array_size(groups))
        put_gaps(d, groups);
    if (json_is_object(found))
        put_found(d, found);
}
