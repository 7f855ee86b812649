/*
 * schemas.c - see schemas.h. Written compactly: "name:type" words, where a type is text, int, real, bool, time, object,
 * list or any; "?" allows null. Every member listed is
 * always present in an answer.
 */
#include "server/schemas.h"

#include "core/base/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *object, *members;
} resources[] = {
    {"Health", NULL, "status:text"},
    {"Readiness", NULL, "status:text checks:object"},
    {"Index", "index", "version:text links:object"},
    {"ServiceVersion", "version",
     "program:text version:text api:list registry_sha256:text features:list limits:object libraries:object "
     "started_at:time"},
    {"ProblemKind", "problem_kind", "type:text code:text status:int? title:text retryable:bool of:text"},
    {"Method", "method",
     "id:text type:text name:text since:text paper:text summary:text needs:object params:list rules:list "
     "canonical:object? schema:text"},
    {"Queue", "queue", "paused:bool counts:object slots:object store:object"},
    {"Model", "model",
     "id:text description:text private:bool labels:object created_at:time created_by:text? head:object refs:object "
     "versions:int "
     "logical_bytes:int physical_bytes:int deleted_at:time? links:object"},
    {"Ref", "ref",
     "model:text name:text kind:text commit:text number:int? revision:int policy:object? moved_at:time moved_by:text? "
     "reason:text?"},
    {"Version", "version",
     "model:text commit:text number:int? state:text warnings:list parent:text? created_at:time created_by:text? "
     "message:text? job:text? "
     "type:text? method:text? refs:list manifest_sha256:text? files:int bytes:int new_bytes:int tensors:object "
     "inputs:list"},
    {"File", "file",
     "path:text class:text bytes:int etag:text sha256:text git_sha1:text? storage:text spans:int weights:bool "
     "content_url:text"},
    {"Tensor", NULL, "name:text dtype:text shape:list bytes:int file:text begin:int"},
    {"Lineage", "lineage", "root:text direction:text depth:any truncated:bool nodes:list edges:list"},
    {"Job", "job",
     "id:text type:text method:text status:text status_reason:object? created_at:time queued_at:time started_at:time? "
     "finished_at:time? "
     "queue_position:int? priority:int attempt:int max_attempts:int restarts:int executor:text progress:object? "
     "spec:object resolved:object? "
     "plan:object? result:object? error:object? warnings:list retry_of:text? rerun_of:text? archived:bool "
     "created_by:text metadata:object "
     "links:object"},
    {"Plan", "plan",
     "ok:bool spec_sha256:text? resolved:object? tensors:int? read_bytes:int? write_bytes:int? shared_bytes:int? "
     "peak_memory_bytes:int? disk_bytes:int? seconds_estimate:int? cached:object? output:object? refusals:list "
     "warnings:list"},
    {"Recipe", NULL,
     "type:text method:text inputs:list donor:int params:object options:object seed:int program:text kernels:text? "
     "blas:text? threads:int spec_sha256:text"},
    {"Problem", NULL,
     "type:text title:text status:int code:text detail:text instance:text request_id:text retryable:bool errors:list "
     "message:text error:text"},
};

static const char *const lists[] = {"Problem:ProblemKind", "Method:Method", "Model:Model",   "Ref:Ref",
                                    "Version:Version",     "File:File",     "Tensor:Tensor", "Job:Job"};

static json_t *type_schema(const char *type, size_t n)
{
    static const char *const map[][2] = {{"text", "string"}, {"time", "string"},  {"int", "integer"},
                                         {"real", "number"}, {"bool", "boolean"}, {"object", "object"},
                                         {"list", "array"}};
    bool nullable = n && type[n - 1] == '?';
    n -= nullable;
    for (size_t i = 0; i < sizeof map / sizeof *map; i++)
        if (strlen(map[i][0]) == n && strncmp(map[i][0], type, n) == 0) {
            json_t *o =
                nullable ? json_pack("{s:[s, s]}", "type", map[i][1], "null") : json_pack("{s:s}", "type", map[i][1]);
            if (n == 4 && strncmp(type, "time", 4) == 0)
                json_object_set_new(o, "format", json_string("date-time"));
            return o;
        }
    return json_object(); /* any */
}

static json_t *object_schema(const char *object, const char *members)
{
    json_t *props = json_object(), *required = json_array();
    char name[64];
    if (object) {
        json_object_set_new(props, "object", json_pack("{s:s}", "const", object));
        json_array_append_new(required, json_string("object"));
    }
    for (const char *p = members; *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, " "), k = strcspn(p, ":");
        snprintf(name, sizeof name, "%.*s", (int)k, p);
        json_object_set_new(props, name, type_schema(p + k + 1, n - k - 1));
        json_array_append_new(required, json_string(name));
        p += n;
    }
    return json_pack("{s:s, s:o, s:o}", "type", "object", "properties", props, "required", required);
}

static json_t *list_schema(const char *of)
{
    char ref[100];
    snprintf(ref, sizeof ref, "#/components/schemas/%s", of);
    return json_pack("{s:s, s:{s:{s:s}, s:{s:s, s:{s:s}}, s:{s:s}, s:{s:[s, s]}}, s:[s, s, s, s]}", "type", "object",
                     "properties", "object", "const", "list", "data", "type", "array", "items", "$ref", ref, "has_more",
                     "type", "boolean", "next", "type", "string", "null", "required", "object", "data", "has_more",
                     "next");
}

static json_t *register_request(void)
{
    return json_loads("{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"from\"],\"properties\":{"
                      "\"from\":{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"path\"],"
                      "\"properties\":{\"path\":{\"type\":\"string\"}}},"
                      "\"mode\":{\"const\":\"copy\"},\"branch\":{\"type\":\"string\",\"default\":\"main\"},\"message\":"
                      "{\"type\":\"string\"},"
                      "\"metadata\":{\"type\":\"object\"}}}",
                      0, NULL);
}

static json_t *model_request(void)
{
    return json_loads(
        "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"id\"],\"properties\":{"
        "\"id\":{\"type\":\"string\",\"description\":\"namespace/name\"},\"description\":{\"type\":\"string\"},"
        "\"private\":{\"type\":\"boolean\",\"default\":false},"
        "\"labels\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}}}",
        0, NULL);
}

static json_t *task_request(void)
{
    return json_loads("{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"kind\"],\"properties\":{"
                      "\"kind\":{\"enum\":[\"gc\",\"verify\",\"backup\",\"check\"]},"
                      "\"target\":{\"type\":\"string\",\"description\":\"verify: namespace/name@rev; backup: absolute "
                      "path\"}}}",
                      0, NULL);
}

static json_t *job_patch(void)
{
    return json_loads("{\"type\":\"object\",\"additionalProperties\":false,\"minProperties\":1,\"properties\":{"
                      "\"priority\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":100},"
                      "\"metadata\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}},"
                      "\"archived\":{\"type\":\"boolean\"}}}",
                      0, NULL);
}

static const char publish_schema[] =
    "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
    "\"model\":{\"type\":\"string\"},\"branch\":{\"type\":\"string\",\"default\":\"main\"},\"message\":{\"type\":"
    "\"string\"},"
    "\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},\"if_head\":{\"type\":\"string\"},"
    "\"on_conflict\":{\"enum\":[\"append\",\"detach\",\"fail\"]}}}";

static json_t *rerun_request(void)
{
    return json_pack("{s:s, s:b, s:{s:o}}", "type", "object", "additionalProperties", 0, "properties", "publish",
                     json_loads(publish_schema, 0, NULL));
}

json_t *am_schemas(void)
{
    json_t *all = json_object();
    for (size_t i = 0; i < sizeof resources / sizeof *resources; i++)
        json_object_set_new(all, resources[i].name, object_schema(resources[i].object, resources[i].members));
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        char name[80];
        size_t n = strcspn(lists[i], ":");
        snprintf(name, sizeof name, "%.*sList", (int)n, lists[i]);
        json_object_set_new(all, name, list_schema(lists[i] + n + 1));
    }
    json_object_set_new(all, "OpenAPI", json_pack("{s:s}", "type", "object"));
    json_object_set_new(all, "JsonSchema", json_pack("{s:s}", "type", "object"));
    json_object_set_new(all, "RegisterRequest", register_request());
    json_object_set_new(all, "ModelRequest", model_request());
    json_object_set_new(all, "TaskRequest", task_request());
    json_object_set_new(all, "JobPatch", job_patch());
    json_object_set_new(all, "RerunRequest", rerun_request());
    return all;
}

#define MADE                                                                                                           \
    "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"job\"],\"properties\":{\"job\":{\"type\":"    \
    "\"string\",\"pattern\":\"^job_[0-9a-f]{32}$\"}},\"description\":\"what that job makes\"}"
#define VERSION "{\"oneOf\":[{\"type\":\"string\",\"description\":\"namespace/name@rev\"}," MADE "]}"
#define OLD_BASE                                                                                                       \
    "{\"oneOf\":[{\"type\":\"string\",\"description\":\"namespace/name@rev; port: the base that this model was tuned " \
    "from\"}," MADE "]}"
static const char *inputs_of(const char *type)
{
    if (am_streq(type, "merge"))
        return "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"models\"],\"properties\":{"
               "\"base\":" VERSION ",\"models\":{\"type\":\"array\",\"minItems\":1,\"items\":{\"oneOf\":["
               "{\"type\":\"string\",\"description\":\"namespace/name@rev\"}," MADE
               ",{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"version\"],\"properties\":{"
               "\"version\":" VERSION ",\"base\":" OLD_BASE ",\"params\":{\"type\":\"object\"}}}]}}}}";
    if (am_streq(type, "unlearn"))
        return "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"model\"],\"properties\":{"
               "\"model\":" VERSION ",\"task\":{\"type\":\"object\",\"additionalProperties\":false,\"required\":["
               "\"version\"],\"properties\":{\"version\":" VERSION ",\"base\":" VERSION "}}}}";
    return "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"model\"],\"properties\":{"
           "\"model\":" VERSION "}}";
}

static const char common[] =
    "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"type\",\"method\",\"inputs\"],\"properties\":{"
    "\"options\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
    "\"seed\":{\"type\":\"integer\",\"minimum\":0,\"default\":0},\"threads\":{\"type\":\"integer\",\"minimum\":1,"
    "\"maximum\":64},"
    "\"out_dtype\":{\"type\":\"string\"},\"shard_bytes\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":50000000000,"
    "\"default\":5000000000},"
    "\"max_attempts\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":10},"
    "\"time_limit_seconds\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":31622400},"
    "\"not_before\":{\"type\":\"string\",\"format\":\"date-time\"},\"reuse\":{\"type\":\"boolean\"}}},"
    "\"publish\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
    "\"model\":{\"type\":\"string\"},\"branch\":{\"type\":\"string\",\"default\":\"main\"},\"message\":{\"type\":"
    "\"string\"},"
    "\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},\"if_head\":{\"type\":\"string\"},"
    "\"on_conflict\":{\"enum\":[\"append\",\"detach\",\"fail\"]}}},"
    "\"metadata\":{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}},"
    "\"client_token\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":255,\"description\":\"the same as the "
    "header Idempotency-Key\"},"
    "\"priority\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":100,\"default\":50}}}";

json_t *am_schema_job_body(const char *type)
{
    json_t *body = json_loads(common, 0, NULL);
    json_object_set_new(json_object_get(body, "properties"), "inputs", json_loads(inputs_of(type), 0, NULL));
    return body;
}
