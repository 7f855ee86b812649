/*
 * report_values.c - the table of a report's values, and how they were computed (report_parts.h).
 */
#include "server/report_parts.h"

#include "core/base/text.h"

static void put_bound(struct am_doc *d, const json_t *v, const char *name, enum am_report_unit unit)
{
    double bound;
    am_doc_cell(d);
    if (am_number_of(v, name, &bound))
        am_put_number(d, unit, bound);
    else
        am_doc_put(d, "-");
}

static void put_row(struct am_doc *d, const struct am_report_name *n, const json_t *v)
{
    double value;
    bool known = am_number_of(v, "value", &value);
    am_doc_row(d, NULL);
    am_doc_cell(d);
    if (n->words)
        am_doc_put(d, n->words);
    else
        am_put_words(d, n->name);
    am_doc_cell(d);
    if (known)
        am_put_number(d, n->unit, value);
    else
        am_doc_put(d, "undefined");
    am_doc_cell(d);
    am_put_interval(d, n->unit, json_object_get(v, "interval"));
    put_bound(d, v, "lower95", n->unit);
    put_bound(d, v, "upper95", n->unit);
    am_doc_cell(d);
    if (known) {
        am_doc_text(d, am_text_of(v, "method", "-"));
    } else {
        am_doc_put(d, "why: ");
        am_put_words(d, am_text_of(v, "reason", "no reason given"));
    }
    am_doc_cell(d);
    am_doc_put(d, n->meaning ? n->meaning : "");
    am_doc_row_end(d);
}

void am_report_values(struct am_doc *d, const json_t *report)
{
    static const char *const heads[] = {"value",  ">estimate", ">95 % interval", ">one-sided 95 %: lower",
                                        ">upper", "procedure", "what it is",     NULL};
    const json_t *values = json_object_get(report, "values");
    size_t n;
    const struct am_report_name *names = am_report_names(&n);
    const char *name;
    json_t *v;
    if (!json_object_size(values))
        return;
    am_doc_heading(d, "Values");
    am_doc_table(d, "every value of the report; gates compare the one-sided bounds", heads);
    for (size_t i = 0; i < n; i++)
        if (json_is_object(json_object_get(values, names[i].name)))
            put_row(d, &names[i], json_object_get(values, names[i].name));
    json_object_foreach((json_t *)values, name, v)
    {
        struct am_report_name known = am_report_name(name);
        if (!known.words && json_is_object(v))
            put_row(d, &known, v);
    }
    am_doc_table_end(d);
}

static void put_scalar(struct am_doc *d, const json_t *v)
{
    if (json_is_string(v))
        am_doc_text(d, json_string_value(v));
    else if (json_is_integer(v))
        am_put_count(d, v);
    else if (json_is_real(v)) {
        char text[AM_F64_TEXT];
        am_f64_text(json_real_value(v), text);
        am_doc_put(d, text);
    } else
        am_doc_put(d, json_is_true(v) ? "yes" : json_is_false(v) ? "no" : "-");
}

void am_report_record(struct am_doc *d, const json_t *report)
{
    const json_t *record = json_object_get(report, "method_record");
    const char *name;
    json_t *v;
    if (!json_object_size(record))
        return;
    am_doc_heading(d, "How it was computed");
    am_doc_items(d, true);
    json_object_foreach((json_t *)record, name, v)
    {
        if (json_is_object(v) || json_is_array(v))
            continue;
        am_doc_item(d, NULL);
        am_put_words(d, name);
        am_doc_put(d, ": ");
        put_scalar(d, v);
        am_doc_item_end(d);
    }
    am_doc_items(d, false);
}
