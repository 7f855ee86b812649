/*
 * pack_header.c - the first line of a prediction set. See pack.h. Whether the version is here is the daemon's to say,
 * when it publishes.
 */
#include "worker/pack.h"

#include "core/base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 512, JUDGE_MAX = 100, PIECE_MAX = 1000 };

static const char *const tasks[] = {"classification", "multiple_choice", "multilabel", "generative", "retrieval"};
#define TASKS (sizeof tasks / sizeof *tasks)

int am_pack_bad(struct am_faults *f, uint64_t line, const char *member, const char *fmt, ...)
{
    char text[PIECE_MAX], pointer[200];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    snprintf(pointer, sizeof pointer, "#/%llu%s%.150s", (unsigned long long)line, member ? "/" : "",
             member ? member : "");
    return am_fault_add(f, AM_E_MALFORMED_PREDICTIONS, (struct am_where){.pointer = pointer}, "line %llu: %s",
                        (unsigned long long)line, text);
}

#define bad(f, member, ...) am_pack_bad(f, 1, member, __VA_ARGS__)

static void check_members(json_t *o, struct am_faults *f)
{
    static const char *const known[] = {"schema",           "version", "dataset", "split", "task",   "metric",
                                        "higher_is_better", "n",       "decode",  "seed",  "labels", "source"};
    const char *name;
    json_t *v;
    json_object_foreach(o, name, v)
    {
        size_t i = 0;
        while (i < sizeof known / sizeof *known && !am_streq(known[i], name))
            i++;
        if (i < sizeof known / sizeof *known)
            continue;
        const char *near = am_nearest(name, known, sizeof known / sizeof *known);
        bad(f, NULL, "the header has an unknown member %.100s%s%s%s", name, near ? "; did you mean " : "",
            near ? near : "", near ? "?" : "");
    }
}

static void check_text(json_t *o, const char *name, bool required, struct am_faults *f)
{
    json_t *v = json_object_get(o, name);
    if (!v && !required)
        json_object_set_new(o, name, json_null());
    if ((!v || json_is_null(v)) && !required)
        return;
    const char *text = json_string_value(v);
    if (!text || !*text || strlen(text) > TEXT_MAX)
        bad(f, name, "%s must be a text of 1 to %d bytes", name, TEXT_MAX);
}

/* {"external":"name","sha256"?} */
static void check_external(json_t *o, const char *name, struct am_faults *f)
{
    const char *text = json_string_value(json_object_get(o, "external")), *member;
    json_t *sha = json_object_get(o, "sha256"), *v;
    json_object_foreach(o, member, v)
    {
        if (!am_streq(member, "external") && !am_streq(member, "sha256"))
            bad(f, name, "%s has an unknown member %.100s; it takes external and sha256", name, member);
    }
    if (!text || !*text || strlen(text) > TEXT_MAX)
        bad(f, name, "external must be a text of 1 to %d bytes: the name of a %s that is kept elsewhere", TEXT_MAX,
            am_streq(name, "version") ? "model" : "dataset");
    if (sha && !json_is_null(sha) && (!json_is_string(sha) || !am_is_hex(json_string_value(sha), AM_SHA256_LEN)))
        bad(f, name, "sha256 must be 64 lower-case hex digits");
    if (!sha)
        json_object_set_new(o, "sha256", json_null());
}

/* namespace/name, with @rev or without. */
static void check_name(const char *text, const char *member, struct am_faults *f)
{
    char name[TEXT_MAX + 1];
    const char *rev = am_rev_split(text, name, sizeof name), *why = am_model_name_fault(name);
    if (why)
        bad(f, member, "%.200s: %s", name, why);
    else if (rev && !*rev)
        bad(f, member, "there is no revision behind the @ of %.200s", text);
}

static void check_version(json_t *o, struct am_faults *f)
{
    json_t *v = json_object_get(o, "version");
    const char *text = json_string_value(v);
    if (json_is_object(v)) {
        check_external(v, "version", f);
        return;
    }
    if (!text || strlen(text) > TEXT_MAX) {
        bad(f, "version",
            "version must be namespace/name@rev, or {\"external\":\"name\"} of a model that is not kept here");
        return;
    }
    check_name(text, "version", f);
}

/* One that is kept here has a name; which version of it that is, and whether it is there, the daemon says. */
static void check_dataset(json_t *o, struct am_faults *f)
{
    json_t *v = json_object_get(o, "dataset");
    const char *text = json_string_value(v);
    if (json_is_object(v)) {
        check_external(v, "dataset", f);
        return;
    }
    if (!text || strlen(text) > TEXT_MAX) {
        bad(f, "dataset",
            "dataset must be namespace/name@rev, or {\"external\":\"name\",\"sha256\"?} of one that is not kept here: "
            "what the samples are from");
        return;
    }
    check_name(text, "dataset", f);
}

static void check_task(json_t *o, struct am_pack_header *h, struct am_faults *f)
{
    json_t *v = json_object_get(o, "task");
    const char *text = json_is_string(v) ? json_string_value(v) : "";
    size_t i = 0;
    while (i < TASKS && !am_streq(tasks[i], text))
        i++;
    if (i == TASKS)
        bad(f, "task",
            "task must be classification, multiple_choice, multilabel, generative or retrieval (got "
            "\"%.100s\")",
            text);
    h->task = i == TASKS ? AM_TASK_CLASSIFICATION : (enum am_pack_task)i;
    check_text(o, "metric", h->task == AM_TASK_GENERATIVE, f);
    const char *metric = json_string_value(json_object_get(o, "metric"));
    if (metric && strlen(metric) > JUDGE_MAX)
        bad(f, "metric", "the name of a metric has at most %d bytes", JUDGE_MAX);
}

static void check_rest(json_t *o, struct am_pack_header *h, struct am_faults *f)
{
    json_t *n = json_object_get(o, "n"), *seed = json_object_get(o, "seed"), *decode = json_object_get(o, "decode"),
           *higher = json_object_get(o, "higher_is_better");
    if (!json_is_integer(n) || json_integer_value(n) < 1 || json_integer_value(n) > AM_PACK_ROWS_MAX)
        bad(f, "n", "n must be the number of lines that follow, from 1 to %d", AM_PACK_ROWS_MAX);
    else
        h->n = (uint64_t)json_integer_value(n);
    if (!seed)
        json_object_set_new(o, "seed", json_integer(0));
    else if (!json_is_integer(seed) || json_integer_value(seed) < 0)
        bad(f, "seed", "seed must be a whole number from 0");
    if (!decode)
        json_object_set_new(o, "decode", json_object());
    else if (!json_is_object(decode))
        bad(f, "decode", "decode must be an object: temperature, top_p, ...");
    if (!higher)
        json_object_set_new(o, "higher_is_better", json_true());
    else if (!json_is_boolean(higher))
        bad(f, "higher_is_better", "higher_is_better must be true or false");
    check_text(o, "split", false, f);
    check_text(o, "source", false, f);
}

static void check_labels(json_t *o, struct am_pack_header *h, struct am_faults *f)
{
    json_t *labels = json_object_get(o, "labels"), *v, *seen = json_object();
    size_t i, faults = 0;
    if (!labels || json_is_null(labels)) {
        if (h->task == AM_TASK_MULTILABEL)
            bad(f, "labels", "a multilabel set names its labels, because y and p are sets of them");
        json_object_set_new(o, "labels", json_null());
    } else if (!json_is_array(labels) || json_array_size(labels) < 1 || json_array_size(labels) > AM_PACK_LABELS_MAX)
        bad(f, "labels", "labels must be a list of 1 to %d names of classes", AM_PACK_LABELS_MAX);
    else {
        h->labels = json_array_size(labels);
        json_array_foreach(labels, i, v)
        {
            const char *name = json_string_value(v);
            bool twice = name && json_object_get(seen, name);
            if ((!name || twice) && faults++ < 10)
                bad(f, "labels", twice ? "the label %.100s is there twice" : "a label must be a text%.0s",
                    name ? name : "");
            else if (name)
                json_object_set_new(seen, name, json_true());
        }
    }
    json_decref(seen);
}

int am_pack_header_read(struct am_pack_header *ret, const char *line, size_t n, struct am_faults *f)
{
    struct am_pack_header h = {0};
    json_error_t e;
    size_t before = f->total;
    json_t *o = json_loadb(line, n, JSON_REJECT_DUPLICATES, &e);
    if (!o)
        return bad(f, NULL, "the header is not JSON: %s (column %d)", e.text, e.column);
    if (!json_is_object(o)) {
        json_decref(o);
        return bad(f, NULL, "the first line must be the header, an object with schema, version, dataset, task and n");
    }
    check_members(o, f);
    const char *schema = json_string_value(json_object_get(o, "schema"));
    if (!am_streq(schema, "amend.preds/1"))
        bad(f, "schema", "the first line is the header, and its schema must be \"amend.preds/1\"%s%.60s%s",
            schema ? " (got \"" : "", schema ? schema : "", schema ? "\")" : "");
    check_version(o, f);
    check_dataset(o, f);
    check_task(o, &h, f);
    check_rest(o, &h, f);
    check_labels(o, &h, f);
    if (f->total > before) {
        json_decref(o);
        return -AM_E_MALFORMED_PREDICTIONS;
    }
    h.json = o;
    *ret = h;
    return 0;
}

void am_pack_header_done(struct am_pack_header *h)
{
    json_decref(h->json);
    *h = (struct am_pack_header){0};
}
