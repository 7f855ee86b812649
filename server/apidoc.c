/*
 * apidoc.c - see apidoc.h.
 */
#include "server/apidoc.h"

#include "core/base/err.h"
#include "core/base/text.h"
#include "core/table/table.h"
#include "server/config.h"
#include "server/registry.h"
#include "server/routes.h"

#include <stdlib.h>
#include <string.h>

static void begin(FILE *out, const char *block)
{
    fprintf(out, "<!-- begin %s: made by `amendd --dump-apidoc`, do not edit -->\n", block);
}

static void end(FILE *out, const char *block)
{
    fprintf(out, "<!-- end %s -->\n", block);
}

static void cell(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void routes(FILE *out)
{
    const char *group = "";
    begin(out, "routes");
    for (const struct am_route *row = am_routes; row->method; row++) {
        if (strcmp(group, row->group) != 0) {
            group = row->group;
            fprintf(out, "\n### %s\n\n| route | query | answer | idem | what |\n|---|---|---|---|---|\n", group);
        }
        fprintf(out, "| %s `%s` | %s | %d%s%s | %s | ", row->method, row->pattern, row->query, row->status,
                row->schema ? " " : "", row->schema ? row->schema : "", row->body & AM_IDEM ? "yes" : "");
        cell(out, row->doc);
        fprintf(out, " |\n");
    }
    fputc('\n', out);
    end(out, "routes");
}

static void range_text(FILE *out, json_t *p)
{
    json_t *min = json_object_get(p, "min"), *max = json_object_get(p, "max"), *choice;
    char text[AM_F64_TEXT];
    size_t i;
    json_array_foreach(json_object_get(p, "choices"), i, choice)
        fprintf(out, "%s`%s`", i ? ", " : "", json_string_value(choice));
    if (min) {
        am_f64_text(json_number_value(min), text);
        fprintf(out, "%s%s", json_is_true(json_object_get(p, "open_min")) ? "> " : "", text);
    }
    if (max) {
        am_f64_text(json_number_value(max), text);
        fprintf(out, " … %s%s", json_is_true(json_object_get(p, "open_max")) ? "< " : "", text);
    }
}

static void parameter(FILE *out, json_t *p)
{
    json_t *def = json_object_get(p, "default");
    char *text = def ? json_dumps(def, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    fprintf(out, "| `%s`%s | %s | %s%s%s | ", json_string_value(json_object_get(p, "name")),
            json_is_true(json_object_get(p, "per_input")) ? " (per model)" : "",
            json_string_value(json_object_get(p, "kind")), text ? "`" : "", text ? text : "required", text ? "`" : "");
    range_text(out, p);
    fprintf(out, " | %s | ", json_string_value(json_object_get(p, "unit")));
    cell(out, json_string_value(json_object_get(p, "doc")));
    fprintf(out, " |\n");
    free(text);
}

static void methods(FILE *out, const struct am_table *t)
{
    json_t *m, *p;
    size_t i, k;
    begin(out, "methods");
    json_array_foreach(json_object_get(t->root, "methods"), i, m)
    {
        const char *paper = json_string_value(json_object_get(m, "paper"));
        fprintf(out,
                "\n### %s\n\n%s%s%s%s\n\n| parameter | kind | default | range | unit | meaning "
                "|\n|---|---|---|---|---|---|\n",
                json_string_value(json_object_get(m, "id")), json_string_value(json_object_get(m, "summary")),
                paper && *paper ? " (" : "", paper ? paper : "", paper && *paper ? ")" : "");
        json_array_foreach(json_object_get(m, "params"), k, p) parameter(out, p);
    }
    fputc('\n', out);
    end(out, "methods");
}

static void errors(FILE *out)
{
    begin(out, "errors");
    fprintf(out, "| code | status | title | retry |\n|---|---|---|---|\n");
    for (int code = 1; code < AM_E_COUNT; code++) {
        char status[16] = "job";
        if (am_err_status(code))
            snprintf(status, sizeof status, "%d", am_err_status(code));
        fprintf(out, "| `%s` | %s | %s | %s |\n", am_err_slug(code), status, am_err_title(code),
                am_err_retryable(code) ? "yes" : "no");
    }
    end(out, "errors");
}

int am_apidoc(FILE *out)
{
    struct am_table t;
    if (am_table_load(&t, (const char *)am_registry_json, am_registry_json_len) < 0)
        return 1;
    routes(out);
    methods(out, &t);
    errors(out);
    begin(out, "settings");
    am_config_markdown(out);
    end(out, "settings");
    am_table_done(&t);
    return 0;
}
