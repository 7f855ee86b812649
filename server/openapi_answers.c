/*
 * openapi_answers.c - every answer of a route, good and bad. The good one comes from server/routes.c, with further[]
 * for those beside it. What may be refused follows from what the route takes, and from refusals[]; a route that is not
 * there may give every code of the statuses that its kind of route has.
 */
#include "core/base/err.h"
#include "core/base/text.h"
#include "server/openapi_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the handler of a route refuses, beside what every route of its kind does. "job-errors": those of a failed job.
 */
#define PLAN                                                                                                           \
    "not-found revision-not-found conflict precondition-failed invalid-params unknown-method shape-mismatch "          \
    "dtype-unsupported architecture-mismatch tokenizer-mismatch missing-input insufficient-memory unsupported-format " \
    "malformed-safetensors store-damaged insufficient-disk dependency-failed version-gone ref-shadows-version "        \
    "dataset-mismatch predictions-missing gate-required"
static const struct {
    const char *method, *pattern; /* its end */
    const char *codes;
} refusals[] = {
    {"GET", "/metrics", "forbidden"},
    {"POST", "/v1/models", "conflict name-taken queue-full"},
    {"POST", "/v1/datasets", "conflict name-taken queue-full"},
    {"PATCH", "/v1/datasets/{ns}/{name}", "not-found invalid-params"},
    {"DELETE", "/v1/datasets/{ns}/{name}", "not-found conflict"},
    {"DELETE", "/v1/datasets/{ns}/{name}/versions/{rev}", "not-found revision-not-found conflict"},
    {"POST", "/v1/datasets/{ns}/{name}/versions",
     "not-found conflict malformed-dataset payload-too-large queue-full insufficient-disk job-errors"},
    {"POST", "/resolve", "not-found revision-not-found invalid-params"},
    {"POST", "/versions",
     "not-found conflict name-taken precondition-failed invalid-params path-not-allowed unsupported-format "
     "malformed-safetensors missing-input payload-too-large queue-full insufficient-disk ref-shadows-version "
     "job-errors"},
    {"POST", "/verify", "not-found revision-not-found queue-full"},
    {"POST", "/v1/jobs", PLAN " queue-full"},
    {"POST", "/v1/plans", PLAN " queue-full"},
    {"POST", "/retry", PLAN " queue-full"},
    {"POST", "/rerun", PLAN " queue-full"},
    {"PATCH", "/v1/jobs/{id}", "not-found conflict invalid-params precondition-failed precondition-required"},
    {"GET", "/versions", "not-found revision-not-found"},
    {"GET", "/api/models", "not-found"},
    {"GET", "/diff", "not-found revision-not-found payload-too-large"},
    {"GET", "/stream", "not-acceptable too-many-streams not-found"},
    {"GET", "/log", "not-found too-many-streams"},
    {"GET", "/card", "not-found revision-not-found not-acceptable payload-too-large unsupported-format"},
    {"PUT", "/refs/{ref}",
     "not-found revision-not-found conflict version-incomplete ref-shadows-version precondition-failed "
     "precondition-required gate-required gate-refused"},
    {"PATCH", "/refs/{ref}", "not-found"},
    {"PUT", "/v1/gates/{gate}", "invalid-params precondition-failed precondition-required"},
    {"DELETE", "/v1/gates/{gate}", "not-found conflict"},
    {"POST", "/v1/gates/{gate}/check", "not-found revision-not-found report-missing"},
    {"GET", "/v1/decisions", "not-found revision-not-found"},
    {"POST", "/rollback",
     "not-found revision-not-found conflict invalid-params stack-empty version-gone precondition-failed "
     "precondition-required queue-full"},
    {"DELETE", "{name}", "not-found version-in-use conflict"},
    {"DELETE", "/versions/{rev}", "not-found revision-not-found version-in-use version-gone conflict"},
    {"POST", "/restore", "not-found revision-not-found version-gone conflict"},
    {"POST", "/cancel", "not-found job-terminal queue-full"},
    {"POST", "/v1/admin/tasks",
     "not-found revision-not-found conflict invalid-params path-not-allowed queue-full "
     "insufficient-disk"},
    {"POST", "/v1/predictions",
     "not-found revision-not-found dataset-mismatch malformed-predictions samples-unknown payload-too-large queue-full "
     "insufficient-disk job-errors"},
    {"GET", "/v1/predictions", "not-found revision-not-found"},
    {"DELETE", "/v1/predictions/{id}", "not-found"},
    {"GET", "/v1/predictions/{id}/content", "not-found"},
    {"GET", "/v1/reports", "not-found revision-not-found"},
    {"DELETE", "/v1/reports/{id}", "not-found conflict"},
    {"GET", "/samples", "not-found payload-too-large store-damaged"},
    {"GET", "/slices", "not-found store-damaged"},
    {"GET", "/content", "not-found revision-not-found range-not-satisfiable"},
    {"GET", "/{path+}", "not-found revision-not-found range-not-satisfiable"},
};
#define EVERY "invalid-request unknown-member origin-refused host-refused payload-too-large internal store-damaged"
#define WRITES " unsupported-media-type shutting-down queue-full insufficient-disk"

json_t *am_openapi_ref(const char *kind, const char *name)
{
    char text[200];
    snprintf(text, sizeof text, "#/components/%s/%s", kind, name);
    return json_pack("{s:s}", "$ref", text);
}

static bool has_word(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = words; (p = strstr(p, word)); p += n)
        if ((p == words || p[-1] == ' ') && (p[n] == 0 || p[n] == ' '))
            return true;
    return false;
}

static bool reads(const struct am_route *row)
{
    return strcmp(row->method, "GET") == 0;
}

bool am_openapi_has_etag(const struct am_route *row)
{
    bool hub = row->body & AM_HUB && !am_ends(row->pattern, "/resolve/{rev}/{path+}");
    if (!reads(row) || row->status != 200 || !strchr(row->pattern, '{') || hub)
        return false;
    if (!row->schema)
        return am_ends(row->pattern, "/content") || am_ends(row->pattern, "/{path+}");
    return !am_ends(row->schema, "List") && !am_streq(row->schema, "Lineage") && !am_streq(row->schema, "Diff") &&
           !am_streq(row->schema, "JsonSchema");
}

/* ---- headers ---- */

static const struct {
    const char *name, *schema, *doc;
} headers[] = {
    {"X-Request-Id", "{\"type\":\"string\",\"pattern\":\"^[0-9a-f]{32}$\"}", "names the request in the service's log"},
    {"Cache-Control", "{\"type\":\"string\"}", "no-store unless the resource may be kept"},
    {"traceresponse", "{\"type\":\"string\"}", "W3C trace context: the trace that the request belongs to"},
    {"ETag", "{\"type\":\"string\"}", "of this state of the resource, for If-None-Match and If-Match"},
    {"Location", "{\"type\":\"string\"}", "path of the resource"},
    {"Retry-After", "{\"type\":\"string\",\"pattern\":\"^[0-9]+$\"}", "seconds to wait before asking again"},
    {"Idempotency-Replayed", "{\"const\":\"true\"}", "the answer is that of an earlier request with the same key"},
    {"Preference-Applied", "{\"type\":\"string\",\"pattern\":\"^wait=[0-9]+$\"}",
     "how long the request was ready to wait"},
    {"X-Error-Message", "{\"type\":\"string\"}", "`detail` as one line, for clients of the Hugging Face Hub"},
    {"Content-Range", "{\"type\":\"string\"}", "which bytes these are"},
    {"Accept-Ranges", "{\"const\":\"bytes\"}", "ranges are served"},
};

json_t *am_openapi_headers(void)
{
    json_t *all = json_object();
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        json_object_set_new(
            all, headers[i].name,
            json_pack("{s:s, s:o}", "description", headers[i].doc, "schema", json_loads(headers[i].schema, 0, NULL)));
    return all;
}

static void add_headers(json_t *answer, const char *words)
{
    json_t *all = json_object_get(answer, "headers");
    if (!all) {
        all = json_object();
        json_object_set_new(answer, "headers", all);
    }
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        if (has_word(words, headers[i].name))
            json_object_set_new(all, headers[i].name, am_openapi_ref("headers", headers[i].name));
}

/* ---- problems ---- */

static void describe_codes(json_t *codes, struct am_buf *b)
{
    json_t *code;
    size_t i;
    json_array_foreach(codes, i, code) am_buf_printf(b, "%s`%s`", i ? ", " : "", json_string_value(code));
}

static json_t *problem(int status, json_t *codes /* stolen */)
{
    struct am_buf b;
    am_buf_init(&b, 8192);
    describe_codes(codes, &b);
    json_t *narrow =
        json_pack("{s:{s:{s:i}, s:{s:o}}}", "properties", "status", "const", status, "code", "enum", codes);
    json_t *o = json_pack("{s:s, s:{s:{s:{s:[o, o]}}}}", "description", b.data ? b.data : "", "content",
                          "application/problem+json", "schema", "allOf", am_openapi_ref("schemas", "Problem"), narrow);
    am_buf_done(&b);
    add_headers(o, "X-Request-Id Cache-Control traceresponse X-Error-Message");
    if (status == 503 || status == 507)
        add_headers(o, "Retry-After");
    /* a request that the HTTP library cannot read gets the library's own page */
    if (status == 400 || status == 413)
        json_object_set_new(json_object_get(o, "content"), "text/html",
                            json_pack("{s:{s:s}}", "schema", "type", "string"));
    return o;
}

/* The codes of a status, in the order of err.def: those in `words`, or all. */
static json_t *codes_of(int status, const char *words)
{
    json_t *codes = json_array();
    for (int code = 1; code < AM_E_COUNT; code++) {
        int have = am_err_status(code);
        bool job = have == 0 && status == 422 && words && has_word(words, "job-errors");
        if (job || (have == status && (!words || has_word(words, am_err_slug(code)))))
            json_array_append_new(codes, json_string(am_err_slug(code)));
    }
    return codes;
}

json_t *am_openapi_problems(void)
{
    json_t *all = json_object();
    for (int status = 400; status < 600; status++) {
        char name[32];
        json_t *codes = codes_of(status, NULL);
        snprintf(name, sizeof name, "Problem%d", status);
        if (json_array_size(codes))
            json_object_set_new(all, name, problem(status, codes));
        else
            json_decref(codes);
    }
    json_object_set_new(all, "Unreadable",
                        json_pack("{s:s, s:{s:{s:{s:s}}}}", "description",
                                  "the HTTP library's own short page: the request line or its headers are too long",
                                  "content", "text/html", "schema", "type", "string"));
    return all;
}

static const char *refused_by(const struct am_route *row)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (strcmp(refusals[i].method, row->method) == 0 && am_ends(row->pattern, refusals[i].pattern))
            return refusals[i].codes;
    return NULL;
}

/* Every code that this route may refuse with; NULL in *ret_open: only those, else the statuses with all their codes. */
static void words_of(const struct am_route *row, struct am_buf *b, const int **ret_open)
{
    static const int open_writes[] = {404, 409, 412, 422, 428, 429, 503, 507, 0}, none[] = {0};
    const char *own = refused_by(row);
    bool writes = !reads(row);
    am_buf_puts(b, EVERY);
    am_buf_printf(b, "%s %s", writes ? WRITES : "", own ? own : "");
    if (strchr(row->pattern, '{') && (!own || reads(row)))
        am_buf_printf(b, " not-found%s",
                      strstr(row->pattern, "{rev}") || has_word(row->query, "rev") ? " revision-not-found" : "");
    if (row->body & AM_IDEM)
        am_buf_puts(b, " idempotency-in-progress idempotency-key-reused");
    if (row->body & AM_IF_MATCH)
        am_buf_puts(b, " precondition-failed precondition-required");
    *ret_open = writes && !own ? open_writes : none;
}

static bool is_open(const int *open, int status)
{
    for (; *open; open++)
        if (*open == status)
            return true;
    return false;
}

void am_openapi_refusals(const struct am_route *row, json_t *answers)
{
    struct am_buf b;
    const int *open;
    am_buf_init(&b, 8192);
    words_of(row, &b, &open);
    for (int status = 400; status < 600; status++) {
        char name[32], text[16];
        snprintf(name, sizeof name, "Problem%d", status);
        snprintf(text, sizeof text, "%d", status);
        json_t *all = codes_of(status, NULL), *codes = codes_of(status, b.data ? b.data : "");
        json_t *there = json_object_get(answers, text);
        bool whole = is_open(open, status) || json_array_size(codes) == json_array_size(all);
        if (json_array_size(all) == 0 || (json_array_size(codes) == 0 && !is_open(open, status)))
            json_decref(codes);
        else if (whole && !there) {
            json_object_set_new(answers, text, am_openapi_ref("responses", name));
            json_decref(codes);
        } else if (!there)
            json_object_set_new(answers, text, problem(status, codes));
        else { /* a good answer of this status is there: both are possible */
            json_t *p = problem(status, codes);
            json_object_update(json_object_get(there, "content"), json_object_get(p, "content"));
            json_object_update_missing(json_object_get(there, "headers"), json_object_get(p, "headers"));
            json_decref(p);
        }
        json_decref(all);
    }
    json_object_set_new(answers, "414", am_openapi_ref("responses", "Unreadable"));
    json_object_set_new(answers, "431", am_openapi_ref("responses", "Unreadable"));
    am_buf_done(&b);
}

/* ---- good answers ---- */

static json_t *content(const char *type, const char *schema)
{
    json_t *o = json_object();
    json_object_set_new(o, type,
                        schema ? json_pack("{s:o}", "schema", am_openapi_ref("schemas", schema)) : json_object());
    return o;
}

void am_openapi_describe(const struct am_route *row, int status, json_t *answer)
{
    add_headers(answer, "X-Request-Id Cache-Control traceresponse");
    if (am_openapi_has_etag(row))
        add_headers(answer, "ETag");
    if (status == 201)
        add_headers(answer, "Location");
    if (status == 202)
        add_headers(answer, "Location Retry-After");
    if (status == 206)
        add_headers(answer, "Content-Range Accept-Ranges");
    if (row->body & AM_IDEM)
        add_headers(answer, "Idempotency-Replayed");
    if (am_openapi_waits(row))
        add_headers(answer, "Preference-Applied");
}

json_t *am_openapi_good(const struct am_route *row)
{
    char text[16];
    json_t *answers = json_object(), *good = json_pack("{s:s}", "description", row->doc);
    snprintf(text, sizeof text, "%d", row->status);
    json_object_set_new(answers, text, good);
    am_openapi_describe(row, row->status, good);
    if (row->status != 204)
        json_object_set_new(good, "content", content(row->schema ? "application/json" : "*/*", row->schema));
    if (am_openapi_has_etag(row)) {
        json_t *same = json_pack("{s:s}", "description", "unchanged since the ETag in If-None-Match");
        json_object_set_new(answers, "304", same);
        am_openapi_describe(row, 304, same);
    }
    return answers;
}
