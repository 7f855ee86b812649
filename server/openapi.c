/*
 * openapi.c - see openapi.h. Paths come from server/routes.c, bodies of jobs from the described methods; the schemas of
 * resources stand in server/schemas.c, parameters in openapi_params.c, answers in openapi_answers.c.
 */
#include "server/openapi.h"

#include "core/base/err.h"
#include "core/base/text.h"
#include "server/openapi_parts.h"
#include "server/routes.h"
#include "server/schemas.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIALECT "https://json-schema.org/draft/2020-12/schema"

static const char about[] =
    "Every answer carries X-Request-Id. HEAD is served wherever GET is, with the same headers and no body; OPTIONS is "
    "answered with 204 and Allow; a method that a path does not take with 405 `method-not-allowed` and Allow. Unknown "
    "query parameters and unknown members of a body are refused with 400 `unknown-member`. A bad answer is a problem "
    "document (RFC 9457) that lists all faults at once; only a request that the HTTP library cannot read (bad framing, "
    "headers of more than 32 KiB) gets that library's short HTML page, with status 400, 413, 414 or 431.";

static json_t *ref(const char *name)
{
    return am_openapi_ref("schemas", name);
}

void am_openapi_pattern(const char *pattern, char out[200])
{
    size_t n = 0;
    for (; *pattern && n < 199; pattern++)
        if (*pattern != '+')
            out[n++] = *pattern;
    out[n] = 0;
}

/* "POST", "/v1/models/{ns}/{name}/versions" -> "postModelsVersions": unique, and steady for generated clients. */
static void operation_id(const struct am_route *row, char out[160])
{
    size_t n = 0;
    bool up = false;
    for (const char *p = row->method; *p && n < 150; p++)
        out[n++] = (char)(*p | 0x20);
    for (const char *p = row->pattern; *p && n < 150; p++) {
        bool name = isalnum((unsigned char)*p) != 0;
        if (name)
            out[n++] = up ? (char)toupper((unsigned char)*p) : *p;
        up = !name;
    }
    out[n] = 0;
}

/* Good answers beside the one in the route table. */
static const struct {
    const char *pattern; /* its end */
    const char *method;
    int status;
    const char *type, *schema, *doc; /* type NULL: an answer without a body */
} further[] = {
    {"/versions", "POST", 202, "application/json", "Job", "not ready yet: the task that goes on"},
    {"/v1/predictions", "POST", 202, "application/json", "Job", "not ready yet: the task that goes on"},
    {"/v1/datasets/{ns}/{name}/versions", "POST", 200, "application/json", "DatasetVersion",
     "these bytes are a version already"},
    {"/refs/{ref}", "PUT", 201, "application/json", "Ref", "it was made"},
    {"/v1/models/{ns}/{name}", "DELETE", 202, "application/json", "Job", "with purge=true: the task"},
    {"/v1/models/{ns}/{name}/versions/{rev}", "DELETE", 202, "application/json", "Job", "with purge=true: the task"},
    {"/v1/gates/{gate}", "PUT", 201, "application/json", "Gate", "it was made"},
    {"/v1/jobs", "POST", 200, "application/json", "Plan", "with dry_run=true: the plan"},
    {"/readyz", "GET", 503, "application/json", "Readiness", "not usable: checks say why"},
    {"/healthz", "GET", 503, "application/json", "Readiness", "not usable: checks say why"},
    {"/card", "GET", 200, "text/markdown", NULL, NULL},
    {"/v1/reports/{id}", "GET", 200, "text/markdown", NULL, NULL},
    {"/v1/reports/{id}", "GET", 200, "text/html", NULL, NULL},
    {"/lineage", "GET", 200, "text/vnd.mermaid", NULL, NULL},
    {"/lineage", "GET", 200, "text/vnd.graphviz", NULL, NULL},
    {"/lineage", "GET", 200, "application/x-ndjson", NULL, NULL},
    {"/stream", "GET", 200, "text/event-stream", NULL, NULL},
    {"/stream", "GET", 200, "application/x-ndjson", NULL, NULL},
    {"/jobs/{id}/events/stream", "GET", 204, NULL, NULL,
     "the job has ended and Last-Event-ID is its last event: do not come again"},
    {"/content", "GET", 206, "*/*", NULL, "the range that was asked for"},
    {"/resolve/{rev}/{path+}", "GET", 206, "*/*", NULL, "the range that was asked for"},
    {"/raw/{rev}/{path+}", "GET", 206, "*/*", NULL, "the range that was asked for"},
    {"/validate-yaml", "POST", 400, "application/json", "HubValidation", "the card is not well-formed"},
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
            a = json_pack("{s:s}", "description", further[i].doc);
            if (further[i].type)
                json_object_set_new(a, "content", json_object());
            json_object_set_new(responses, status, a);
            am_openapi_describe(row, further[i].status, a);
        }
        if (further[i].type)
            json_object_set_new(json_object_get(a, "content"), further[i].type,
                                further[i].schema ? json_pack("{s:o}", "schema", ref(further[i].schema))
                                                  : json_object());
    }
}

static json_t *operation(const struct am_route *row)
{
    char id[160];
    operation_id(row, id);
    json_t *answers = am_openapi_good(row);
    add_further(row, answers);
    am_openapi_refusals(row, answers);
    json_t *o = json_pack("{s:s, s:s, s:[s], s:o, s:o}", "operationId", id, "summary", row->doc, "tags", row->group,
                          "parameters", am_openapi_parameters(row), "responses", answers);
    if (row->body & (AM_BODY_JSON | AM_BODY_MAYBE)) {
        json_object_set_new(o, "requestBody",
                            json_pack("{s:b, s:{s:{s:o}}}", "required", (row->body & AM_BODY_JSON) != 0, "content",
                                      "application/json", "schema", ref(row->request)));
        if (row->body & AM_BODY_YAML)
            json_object_set_new(json_object_get(json_object_get(o, "requestBody"), "content"), "application/yaml",
                                json_pack("{s:{s:s, s:s}}", "schema", "type", "string", "description",
                                          "a mergekit configuration as it is; the query says what it cannot"));
    }
    if (row->body & AM_BODY_DATASET)
        json_object_set_new(o, "requestBody",
                            json_pack("{s:b, s:{s:{s:{s:s}}, s:{}, s:{}}}", "required", 1, "content",
                                      "application/jsonl", "schema", "type", "string", "application/vnd.safetensors",
                                      "application/octet-stream"));
    else if (row->body & AM_BODY_LINES)
        json_object_set_new(o, "requestBody",
                            json_pack("{s:b, s:{s:{s:{s:s}}}}", "required", 1, "content", "application/x-ndjson",
                                      "schema", "type", "string"));
    if (row->body & AM_BODY_FORM) {
        json_t *schema = ref("HubPaths");
        json_object_set_new(o, "requestBody",
                            json_pack("{s:b, s:{s:{s:o}, s:{s:O}}}", "required", 1, "content",
                                      "application/x-www-form-urlencoded", "schema", schema, "application/json",
                                      "schema", schema));
    }
    return o;
}

static json_t *paths(void)
{
    json_t *all = json_object();
    for (const struct am_route *row = am_routes; row->method; row++) {
        char pattern[200], method[16];
        size_t n = 0;
        am_openapi_pattern(row->pattern, pattern);
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

/* Without "$schema": inside a document that says it once. */
static json_t *params_of(json_t *row, bool per_input)
{
    json_t *params = am_table_params_schema(row, per_input);
    json_object_del(params, "$schema");
    return params;
}

/* What a method's own row says of the inputs of its type. */
static void narrow_inputs(json_t *body, json_t *row)
{
    json_t *needs = json_object_get(row, "needs"),
           *inputs = json_object_get(json_object_get(body, "properties"), "inputs"),
           *props = json_object_get(inputs, "properties"), *models = json_object_get(props, "models");
    const char *base = json_string_value(json_object_get(needs, "base"));
    if (!models)
        return;
    json_t *item, *forms = json_object_get(json_object_get(models, "items"), "oneOf");
    size_t i;
    json_array_foreach(forms, i, item) if (json_object_get(json_object_get(item, "properties"), "params"))
        json_object_set_new(json_object_get(item, "properties"), "params", params_of(row, true));
    json_object_set(models, "minItems", json_object_get(needs, "min_inputs"));
    if (json_is_integer(json_object_get(needs, "max_inputs")))
        json_object_set(models, "maxItems", json_object_get(needs, "max_inputs"));
    if (am_streq(base, "required"))
        json_array_append_new(json_object_get(inputs, "required"), json_string("base"));
    else if (am_streq(base, "none"))
        json_object_del(props, "base");
}

static json_t *method_body(json_t *row, const char *type, const char *name)
{
    json_t *names = json_pack("[s, O]", name, json_object_get(row, "id"));
    json_t *body = am_schema_job_body(type), *props = json_object_get(body, "properties");
    json_object_set_new(props, "type", json_pack("{s:s}", "const", type));
    json_object_set_new(props, "method", json_pack("{s:o}", "enum", names));
    json_object_set_new(props, "params", params_of(row, false));
    json_object_set(body, "description", json_object_get(row, "summary"));
    narrow_inputs(body, row);
    if (am_streq(type, "evaluate"))
        am_schema_evaluate_inputs(body, name);
    return body;
}

/* {"oneOf": [], "discriminator": {"propertyName": word, "mapping": {}}} */
static json_t *choice(const char *word)
{
    return json_pack("{s:[], s:{s:s, s:{}}}", "oneOf", "discriminator", "propertyName", word, "mapping");
}

static void choose(json_t *choice, const char *value, const char *schema)
{
    char at[200];
    json_t *list = json_object_get(choice, "oneOf"),
           *mapping = json_object_get(json_object_get(choice, "discriminator"), "mapping");
    snprintf(at, sizeof at, "#/components/schemas/%s", schema);
    json_t *last = json_array_get(list, json_array_size(list) - 1);
    if (!am_streq(json_string_value(json_object_get(last, "$ref")), at))
        json_array_append_new(list, ref(schema));
    json_object_set_new(mapping, value, json_string(at));
}

/* One schema a method: its type and name fixed, its parameters as declared. JobRequest is one of the types, told by
   `type`; a type is one of its methods, told by `method`. The registry is sorted by type. */
static void add_methods(json_t *schemas, const struct am_table *t)
{
    json_t *jobs = choice("type"), *row;
    size_t i;
    json_array_foreach(json_object_get(t->root, "methods"), i, row)
    {
        const char *type = json_string_value(json_object_get(row, "type")),
                   *name = json_string_value(json_object_get(row, "name")),
                   *id = json_string_value(json_object_get(row, "id"));
        char schema[120], of_type[80];
        snprintf(schema, sizeof schema, "%s.%s", type, name);
        snprintf(of_type, sizeof of_type, "%sJob", type);
        of_type[0] = (char)toupper((unsigned char)of_type[0]);
        if (!json_object_get(schemas, of_type)) {
            json_object_set_new(schemas, of_type, choice("method"));
            choose(jobs, type, of_type);
        }
        choose(json_object_get(schemas, of_type), name, schema);
        choose(json_object_get(schemas, of_type), id, schema);
        json_object_set_new(schemas, schema, method_body(row, type, name));
    }
    json_object_set_new(schemas, "JobRequest", jobs);
}

static json_t *problem_codes(void)
{
    json_t *codes = json_array();
    for (int code = 1; code < AM_E_COUNT; code++)
        json_array_append_new(codes, json_string(am_err_slug(code)));
    return codes;
}

/* All schemas by name; NULL when out of memory. */
static json_t *all_schemas(const struct am_table *t)
{
    json_t *schemas = am_schemas();
    static const char *const coded[] = {"Problem", "Fault", "JobError", "ProblemKind"};
    for (size_t i = 0; schemas && i < sizeof coded / sizeof *coded; i++)
        json_object_set_new(json_object_get(json_object_get(json_object_get(schemas, coded[i]), "properties"), "code"),
                            "enum", problem_codes());
    if (schemas)
        add_methods(schemas, t);
    return schemas;
}

char *am_openapi(const struct am_table *t)
{
    json_t *schemas = all_schemas(t);
    if (!schemas)
        return NULL;
    json_t *info = json_pack("{s:s, s:s, s:s, s:s, s:{s:s, s:s}}", "title", "amend", "version", AM_VERSION, "summary",
                             "keeps machine-learning models up to date: merge, unlearn, edit", "description", about,
                             "license", "name", "Apache-2.0", "identifier", "Apache-2.0");
    json_t *doc = json_pack("{s:s, s:o, s:s, s:o, s:{s:o, s:o, s:o}}", "openapi", "3.1.0", "info", info,
                            "jsonSchemaDialect", DIALECT, "paths", paths(), "components", "schemas", schemas,
                            "responses", am_openapi_problems(), "headers", am_openapi_headers());
    char *text = doc ? json_dumps(doc, JSON_COMPACT) : NULL;
    json_decref(doc);
    return text;
}

/* Copies `name` and whatever it refers to, references rewritten. */
static void collect(json_t *all, const char *name, json_t *defs);

static void rewrite(json_t *all, json_t *at, json_t *defs)
{
    static const char prefix[] = "#/components/schemas/";
    const char *key, *text;
    char local[200];
    json_t *v;
    size_t i;
    json_object_del(at, "discriminator"); /* a word of OpenAPI only */
    json_object_foreach(at, key, v)
    {
        text = strcmp(key, "$ref") == 0 ? json_string_value(v) : NULL;
        if (!text || !am_starts(text, prefix)) {
            rewrite(all, v, defs);
            continue;
        }
        collect(all, text + sizeof prefix - 1, defs);
        snprintf(local, sizeof local, "#/$defs/%s", text + sizeof prefix - 1);
        json_string_set(v, local);
    }
    json_array_foreach(at, i, v) rewrite(all, v, defs);
}

static void collect(json_t *all, const char *name, json_t *defs)
{
    json_t *schema = json_object_get(all, name);
    if (!schema || json_object_get(defs, name))
        return;
    json_t *copy = json_deep_copy(schema);
    json_object_set_new(defs, name, copy);
    rewrite(all, copy, defs);
}

char *am_openapi_copy(struct am_openapi_kept *k, const struct am_table *t)
{
    pthread_mutex_lock(&k->lock);
    if (!k->text)
        k->text = am_openapi(t);
    char *copy = k->text ? strdup(k->text) : NULL;
    pthread_mutex_unlock(&k->lock);
    return copy;
}

json_t *am_openapi_schema(struct am_openapi_kept *k, const struct am_table *t, const char *name)
{
    json_t *defs = json_object(), *ret = NULL;
    char id[200], at[200];
    snprintf(id, sizeof id, "/v1/schemas/%s.json", name);
    snprintf(at, sizeof at, "#/$defs/%s", name);
    pthread_mutex_lock(&k->lock);
    if (!k->schemas)
        k->schemas = all_schemas(t);
    collect(k->schemas, name, defs);
    pthread_mutex_unlock(&k->lock);
    if (json_object_get(defs, name))
        ret = json_pack("{s:s, s:s, s:s, s:O}", "$schema", DIALECT, "$id", id, "$ref", at, "$defs", defs);
    json_decref(defs);
    return ret;
}

void am_openapi_forget(struct am_openapi_kept *k)
{
    free(k->text);
    json_decref(k->schemas);
    k->text = NULL;
    k->schemas = NULL;
}
