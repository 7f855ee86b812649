/*
 * report.c - see report.h. A tensor's numbers become text as soon as the next one comes, so memory holds one of them.
 */
#include "core/methods/report.h"

#include "core/base/err.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLAGS (JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17))

void am_report_open(struct am_report *r, const char *method, const char *const *label, size_t inputs)
{
    *r = (struct am_report){
        .method = method, .label = label, .inputs = inputs, .at = json_object(), .warnings = json_object()};
    am_buf_init(&r->tensors, AM_REPORT_MAX);
    if (!r->at || !r->warnings)
        r->rc = -AM_E_OUT_OF_MEMORY;
}

static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static void set(struct am_report *r, const char *name, json_t *stolen)
{
    if (json_object_set_new(r->at, name, stolen) < 0 && r->rc == 0)
        r->rc = -AM_E_OUT_OF_MEMORY;
}

void am_report_put(struct am_report *r, const char *name, double value)
{
    set(r, name, number(value));
}

void am_report_put_list(struct am_report *r, const char *name, const double *value, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < n; i++)
        json_array_append_new(list, number(value[i]));
    set(r, name, list);
    if (r->tensor || strcmp(name, "trust") != 0 || r->trust)
        return;
    r->trust = malloc((n ? n : 1) * sizeof(*r->trust));
    if (r->trust) {
        memcpy(r->trust, value, n * sizeof(*value));
        r->trusts = n;
    }
}

void am_report_warn(struct am_report *r, const char *code, const char *detail)
{
    json_t *w = json_object_get(r->warnings, code);
    if (!w && (w = json_object()) && json_object_set_new(r->warnings, code, w) == 0) {
        json_object_set_new(w, "n", json_integer(0));
        json_object_set_new(w, "tensor", r->tensor ? json_string(r->tensor) : json_null());
        json_object_set_new(w, "detail", json_string(detail));
    }
    json_integer_set(json_object_get(w, "n"), json_integer_value(json_object_get(w, "n")) + 1);
}

/* {"name":{...}} without its braces */
static int put_member(struct am_report *r)
{
    json_t *one = json_pack("{s:O}", r->tensor, r->at);
    char *text = one ? json_dumps(one, FLAGS) : NULL;
    int rc = text ? 0 : -AM_E_OUT_OF_MEMORY;
    if (rc == 0 && r->tensors.len)
        rc = am_buf_puts(&r->tensors, ",\n");
    if (rc == 0)
        rc = am_buf_put(&r->tensors, text + 1, strlen(text) - 2);
    free(text);
    json_decref(one);
    return rc;
}

void am_report_tensor(struct am_report *r, const char *name)
{
    if (r->tensor && json_object_size(r->at) > 0 && r->rc == 0)
        r->rc = put_member(r);
    json_object_clear(r->at);
    r->tensor = name;
}

static json_t *inputs(const struct am_report *r)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < r->inputs; i++)
        json_array_append_new(list, json_string(r->label[i]));
    return list;
}

char *am_report_text(struct am_report *r)
{
    struct am_buf b;
    if (r->rc == 0 && r->tensors.len == 0 && json_object_size(r->at) == 0)
        return NULL;
    am_buf_init(&b, AM_REPORT_MAX + (1u << 20));
    json_t *head = json_pack("{s:s, s:o, s:O}", "method", r->method, "inputs", inputs(r), "total", r->at);
    char *text = head ? json_dumps(head, FLAGS) : NULL;
    int rc = text ? am_buf_put(&b, text, strlen(text) - 1) : -AM_E_OUT_OF_MEMORY;
    if (rc == 0)
        rc = am_buf_puts(&b, ",\"tensors\":{");
    if (rc == 0 && r->rc == 0 && r->tensors.len)
        rc = am_buf_put(&b, r->tensors.data, r->tensors.len);
    if (rc == 0)
        rc = am_buf_puts(&b, "}}\n");
    free(text);
    json_decref(head);
    char *all = rc == 0 ? am_buf_take(&b) : NULL;
    am_buf_done(&b);
    return all;
}

void am_report_warnings(const struct am_report *r, void (*warning)(void *ctx, const char *code, const char *detail),
                        void *ctx)
{
    const char *code;
    json_t *w;
    json_object_foreach(r->warnings, code, w)
    {
        char text[900];
        const char *tensor = json_string_value(json_object_get(w, "tensor"));
        json_int_t n = json_integer_value(json_object_get(w, "n"));
        if (tensor)
            snprintf(text, sizeof(text), "%.500s (%lld tensor%s, first %.250s)",
                     json_string_value(json_object_get(w, "detail")), (long long)n, n == 1 ? "" : "s", tensor);
        else
            snprintf(text, sizeof(text), "%.800s", json_string_value(json_object_get(w, "detail")));
        warning(ctx, code, text);
    }
    if (r->rc < 0)
        warning(ctx, "report-cut", "the report of the tensors is too long and was left out; the totals are there");
}

void am_report_done(struct am_report *r)
{
    am_buf_done(&r->tensors);
    json_decref(r->at);
    json_decref(r->warnings);
    free(r->trust);
    *r = (struct am_report){0};
}
