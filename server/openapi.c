/*
 * openapi.c - see openapi.h. Paths come from server/routes.c, bodies of jobs from the described methods; the schemas of
 * resources stand in server/schemas.c.
 */
#include "server/openapi.h"

#include "core/base/err.h"
#include "core/base/text.h"
#include "server/routes.h"
#include "server/schemas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *ref(const char *name)
{
    char text[200];
    snprintf(text, sizeof text, "#/components/schemas/%s", name);
    return json_pack("{s:s}", "$ref", text);
}

static json_t *parameter(const char *name, const char *in)
{
    return json_pack("{s:s, s:s, s:b, s:{s:s}}", "name", name, "in", in, "required",
                     strcmp(in, "path") == 0 || strcmp(name, "If-Match") == 0, "schema", "type", "string");
}

/* "{path+}" is "{path}" in OpenAPI. */
static void plain_pattern(const char *pattern, char out[200])
{
    size_t n = 0;
    for (; *pattern && n < 199; pattern++)
        if (*pattern != '+')
            out[n++] = *pattern;
    out[n] = 0;
}

static json_t *parameters(const struct am_route *row)
{
    json_t *list = json_array();
    char pattern[200], name[64];
    plain_pattern(row->pattern, pattern);
    for (const char *p = pattern; (p = strchr(p, '{')); p++) {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(p + 1, "}"), p + 1);
        json_array_append_new(list, parameter(name, "path"));
    }
    for (const char *p = row->query; *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");
        snprintf(name, sizeof name, "%.*s", (int)n, p);
        json_array_append_new(list, parameter(name, "query"));
        p += n;
    }
    if (row->body & AM_IDEM)
        json_array_append_new(list, parameter("Idempotency-Key", "header"));
    if (row->body & AM_IF_MATCH)
        json_array_append_new(list, parameter("If-Match", "header"));
    return list;
}

static json_t *answer(const struct am_route *row)
{
    if (!row->schema)
        return json_pack("{s:s, s:{s:{}}}", "description", row->doc, "content", "*/*");
    return json_pack("{s:s, s:{s:{s:o}}}", "description", row->doc, "content", "application/json", "schema",
                     ref(row->schema));
}

/* Good answers beside the one in the route table. */
static const struct {
    const char *pattern; /* its end */
    const char *method;
    int status;
    const char *type, *schema, *doc;
} further[] = {
    {"/versions", "POST", 202, "application/json", "Job", "not ready yet: the task that goes on"},
    {"/v1/jobs", "POST", 200, "application/json", "Plan", "with dry_run=true: the plan"},
    {"/readyz", "GET", 503, "application/json", "Readiness", "not usable: checks say why"},
    {"/healthz", "GET", 503, "application/json", "Readiness", "not usable: checks say why"},
    {"/lineage", "GET", 200, "text/vnd.mermaid", NULL, NULL},
    {"/lineage", "GET", 200, "text/vnd.graphviz", NULL, NULL},
    {"/content", "GET", 206, "*/*", NULL, "the range that was asked for"},
    {"/{path+}", "GET", 206, "*/*", NULL, "the range that was asked for"},
};

static void add_further(const struct am_route *row, json_t *responses)
{
    for (size_t i = 0; i < sizeof further / sizeof *further; i++) {
        char status[8];
        if (strcmp(row->method, further[i].method) != 0 || !am_ends(row->pattern, further[i].pattern))
            continue;
        snprintf(status, sizeof status, "%d", further[i].status);
        json_t *a = json_object_get(responses, status);
        if (!a) {
            a = json_pack("{s:s, s:{}}", "description", further[i].doc, "content");
            json_object_set_new(responses, status, a);
        }
        json_object_set_new(json_object_get(a, "content"), further[i].type,
                            further[i].schema ? json_pack("{s:o}", "schema", ref(further[i].schema)) : json_object());
    }
}

static json_t *operation(const struct am_route *row)
{
    char status[8];
    snprintf(status, sizeof status, "%d", row->status);
    json_t *problem = json_pack("{s:s, s:{s:{s:o}}}", "description", "a problem document (RFC 9457)", "content",
                                "application/problem+json", "schema", ref("Problem"));
    json_t *o = json_pack("{s:s, s:[s], s:o, s:{s:o, s:o}}", "summary", row->doc, "tags", row->group, "parameters",
                          parameters(row), "responses", status, answer(row), "default", problem);
    add_further(row, json_object_get(o, "responses"));
    if (row->body & (AM_BODY_JSON | AM_BODY_MAYBE))
        json_object_set_new(o, "requestBody",
                            json_pack("{s:b, s:{s:{s:o}}}", "required", (row->body & AM_BODY_JSON) != 0, "content",
                                      "application/json", "schema", ref(row->request)));
    return o;
}

static json_t *paths(void)
{
    json_t *all = json_object();
    for (const struct am_route *row = am_routes; row->method; row++) {
        char pattern[200], method[16];
        size_t n = 0;
        plain_pattern(row->pattern, pattern);
        for (; row->method[n] && n + 1 < sizeof method; n++)
            method[n] = (char)(row->method[n] | 0x20);
        method[n] = 0;
        json_t *path = json_object_get(all, pattern);
        if (!path) {
            path = json_object();
            json_object_set_new(all, pattern, path);
        }
        json_object_set_new(path, method, operation(row));
    }
    return all;
}

/* One schema a method: its type and name fixed, its parameters as declared; together the oneOf of JobRequest. */
static void add_methods(json_t *schemas, const struct am_table *t)
{
    json_t *one_of = json_array(), *row;
    size_t i;
    json_array_foreach(json_object_get(t->root, "methods"), i, row)
    {
        const char *type = json_string_value(json_object_get(row, "type")),
                   *name = json_string_value(json_object_get(row, "name"));
        char id[120];
        snprintf(id, sizeof id, "%s.%s", type, name);
        json_t *names = json_pack("[s, O]", name, json_object_get(row, "id"));
        json_t *body = am_schema_job_body(type);
        json_t *props = json_object_get(body, "properties");
        json_object_set_new(props, "type", json_pack("{s:s}", "const", type));
        json_object_set_new(props, "method", json_pack("{s:o}", "enum", names));
        json_object_set_new(props, "params", am_table_params_schema(row, 0));
        json_object_set(body, "description", json_object_get(row, "summary"));
        json_object_set_new(schemas, id, body);
        json_array_append_new(one_of, ref(id));
    }
    json_array_append_new(one_of, ref("Recipe"));
    json_object_set_new(schemas, "JobRequest", json_pack("{s:o}", "oneOf", one_of));
}

static json_t *problem_codes(void)
{
    json_t *codes = json_array();
    for (int code = 1; code < AM_E_COUNT; code++)
        json_array_append_new(codes, json_string(am_err_slug(code)));
    return codes;
}

char *am_openapi(const struct am_table *t)
{
    json_t *schemas = am_schemas();
    if (!schemas)
        return NULL;
    json_object_set_new(json_object_get(json_object_get(json_object_get(schemas, "Problem"), "properties"), "code"),
                        "enum", problem_codes());
    add_methods(schemas, t);
    json_t *doc = json_pack(
        "{s:s, s:{s:s, s:s, s:s, s:{s:s, s:s}}, s:o, s:{s:o}}", "openapi", "3.1.0", "info", "title", "amend", "version",
        AM_VERSION, "summary", "keeps machine-learning models up to date: merge, unlearn, edit", "license", "name",
        "Apache-2.0", "identifier", "Apache-2.0", "paths", paths(), "components", "schemas", schemas);
    char *text = doc ? json_dumps(doc, JSON_INDENT(1)) : NULL;
    json_decref(doc);
    return text;
}
