/*
 * openapi_params.c - the parameters of a route: names come from server/routes.c, what they may be stands here, once for
 * each name. A name that means something else on one route has a row with that route before its general one.
 */
#include "core/base/text.h"
#include "server/openapi_parts.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name, *where; /* where: end of a pattern, or NULL for any */
    const char *schema;       /* JSON */
    const char *example;      /* or NULL */
    const char *doc;
} known[] = {
    {"ns", "/v1/datasets/{ns}/{name}", "{\"type\":\"string\"}", "demo", "namespace of the dataset"},
    {"name", "/v1/datasets/{ns}/{name}", "{\"type\":\"string\"}", "base", "name of the dataset in its namespace"},
    {"rev", "/v1/datasets/{ns}/{name}/versions/{rev}", "{\"type\":\"string\"}", "v1",
     "v<N>, latest, a label, or eight digits or more of the SHA-256; one percent-encoded segment"},
    {"ns", NULL, "{\"type\":\"string\"}", "demo", "namespace of the model"},
    {"name", NULL, "{\"type\":\"string\"}", "base", "name of the model in its namespace"},
    {"rev", "/lineage", "{\"type\":\"string\",\"default\":\"main\"}", "main", "the version to begin with"},
    {"rev", NULL, "{\"type\":\"string\"}", "v1", "commit, branch, tag, alias or v<N>; one percent-encoded segment"},
    {"path", "/{path+}", "{\"type\":\"string\"}", "model.safetensors", "path of a file, with its slashes"},
    {"path", NULL, "{\"type\":\"string\"}", "model.safetensors",
     "path of a file as one percent-encoded segment: sub%2Fa.txt"},
    {"id", "/samples", "{\"type\":\"string\"}", "00000", "the id of a sample; repeated: several, in that order"},
    {"ids", NULL, "{\"enum\":[\"own\",\"row\"],\"default\":\"own\"}", "row",
     "row: samples without an id are named by the number of their row"},
    {"label", NULL, "{\"type\":\"string\",\"maxLength\":100}", "holdout-2026-11", "one more name of the version"},
    {"id", "/v1/predictions/{id}", "{\"type\":\"string\"}", "prd_01a2061700007000800000000000000a",
     "a prefix such as prd_ and 32 hex digits"},
    {"id", "/v1/decisions/{id}", "{\"type\":\"string\"}", "gdc_01a2061700007000800000000000000a",
     "a prefix such as gdc_ and 32 hex digits"},
    {"id", "/v1/predictions/{id}/content", "{\"type\":\"string\"}", "prd_01a2061700007000800000000000000a",
     "a prefix such as prd_ and 32 hex digits"},
    {"id", "/v1/reports/{id}", "{\"type\":\"string\"}", "rep_01a206170000700080000000000000aa",
     "a prefix such as rep_ and 32 hex digits"},
    {"id", "/v1/reports/{id}/slices", "{\"type\":\"string\"}", "rep_01a206170000700080000000000000aa",
     "a prefix such as rep_ and 32 hex digits"},
    {"id", "/v1/reports/{id}/samples", "{\"type\":\"string\"}", "rep_01a206170000700080000000000000aa",
     "a prefix such as rep_ and 32 hex digits"},
    {"id", NULL, "{\"type\":\"string\"}", "job_01a20616d80b7f0a9b1c2d3e4f506172",
     "a prefix such as job_ and 32 hex digits"},
    {"slug", NULL, "{\"type\":\"string\"}", "not-found", "an error code"},
    {"schema", NULL, "{\"type\":\"string\"}", "Job.json", "name of a schema of this document, followed by .json"},
    {"type", "/v1/methods", "{\"type\":\"string\"}", "merge", "only methods of this job type"},
    {"type", NULL, "{\"type\":\"string\"}", "merge", "job type: merge, unlearn, edit; in lists of jobs also task"},
    {"method", NULL, "{\"type\":\"string\"}", "ties", "name of a method"},
    {"kind", "/refs", "{\"type\":\"string\"}", "tag", "only refs of this kind: branch, tag or alias"},
    {"search", NULL, "{\"type\":\"string\"}", "base", "a part of the name"},
    {"after", "/versions", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":9223372036854775806}", NULL,
     "`next` of the page before"},
    {"after", "/samples", "{\"type\":\"integer\",\"minimum\":0}", NULL, "the row to go on behind: `next` of the page"},
    {"after", "/v1/predictions", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":9223372036854775806}", NULL,
     "`next` of the page before"},
    {"after", "/v1/reports", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":9223372036854775806}", NULL,
     "`next` of the page before"},
    {"after", "/slices", "{\"type\":\"integer\",\"minimum\":0,\"maximum\":9223372036854775806}", NULL,
     "`next` of the page before"},
    {"after", "/samples", "{\"type\":\"integer\",\"minimum\":0,\"maximum\":9223372036854775806}", NULL,
     "`next` of the page before"},
    {"limit", "/slices", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000,\"default\":100}", "100",
     "entries of a page"},
    {"limit", "/samples", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000,\"default\":100}", "100",
     "entries of a page"},
    {"cell", NULL, "{\"enum\":[\"both_right\",\"negative\",\"positive\",\"both_wrong\",\"changed\"]}", "negative",
     "only samples of this cell; changed: those whose answer is another one"},
    {"slice", NULL, "{\"type\":\"string\"}", "label=5", "only samples of this slice, key=value"},
    {"job", NULL, "{\"type\":\"string\"}", "job_01a20616d80b7f0a9b1c2d3e4f506172", "only what this job made"},
    {"method", "/v1/reports", "{\"type\":\"string\"}", "compare", "only reports of this method"},
    {"old", NULL, "{\"type\":\"string\"}", "demo/base@v1", "only reports with this old side"},
    {"new", NULL, "{\"type\":\"string\"}", "demo/base@v2", "only reports with this new side"},
    {"version", "/v1/reports", "{\"type\":\"string\"}", "demo/base@v1",
     "only reports with this version on either side; `external:NAME` of a model that is not here"},
    {"dataset", "/v1/reports", "{\"type\":\"string\"}", "holdout-5", "only reports about the dataset of this name"},
    {"gate", NULL, "{\"type\":\"string\"}", "default", "name of a gate"},
    {"ref", "/v1/decisions", "{\"type\":\"string\"}", "demo/base@prod",
     "only decisions against a version that the ref points to or has pointed to"},
    {"verdict", NULL, "{\"enum\":[\"promote\",\"inconclusive\",\"hold\"]}", "hold", "only with this verdict"},
    {"version", "/v1/decisions", "{\"type\":\"string\"}", "demo/base@v2", "only decisions about this new version"},
    {"after", "/v1/decisions", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":9223372036854775806}", NULL,
     "`next` of the page before"},
    {"after", "/revisions", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":9223372036854775806}", NULL,
     "`next` of the page before"},
    {"version", NULL, "{\"type\":\"string\"}", "demo/base@v1",
     "only sets of this version; `external:NAME` of a model that is not here"},
    {"dataset", NULL, "{\"type\":\"string\"}", "holdout-5",
     "only sets about this dataset: namespace/name, all its versions; namespace/name@rev, one; or the name of one that "
     "is not here"},
    {"after", NULL, "{\"type\":\"string\"}", NULL, "`next` of the page before"},
    {"limit", "/tensors", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":10000,\"default\":1000}", "1000",
     "entries of a page"},
    {"limit", NULL, "{\"type\":\"integer\",\"minimum\":1,\"maximum\":100,\"default\":20}", "20", "entries of a page"},
    {"layout", NULL, "{\"enum\":[\"true\",\"false\"],\"default\":\"false\"}", "true",
     "with the spans of stored blobs that a file is read from"},
    {"prefix", NULL, "{\"type\":\"string\"}", "model.layers.0.", "only tensors whose name begins so"},
    {"depth", NULL,
     "{\"anyOf\":[{\"type\":\"integer\",\"minimum\":1,\"maximum\":100},{\"const\":\"all\"}],\"default\":8}", "8",
     "steps from the version"},
    {"direction", NULL, "{\"enum\":[\"up\",\"down\",\"both\"],\"default\":\"up\"}", "both",
     "up: what it came from; down: what came from it"},
    {"format", NULL, "{\"enum\":[\"json\",\"mermaid\",\"dot\",\"openlineage\"],\"default\":\"json\"}", "json",
     "of the answer"},
    {"download", NULL, "{\"type\":\"string\"}", "true", "taken and ignored: clients of the Hub send it"},
    {"dry_run", NULL, "{\"enum\":[\"true\",\"false\"],\"default\":\"false\"}", "true",
     "true: answer with the plan, store nothing"},
    {"status", NULL, "{\"enum\":[\"queued\",\"running\",\"cancelling\",\"succeeded\",\"failed\",\"cancelled\"]}",
     "running", "only jobs in this state"},
    {"model", NULL, "{\"type\":\"string\"}", "demo/base",
     "the model that the result goes to; of a list, only the jobs that publish to it"},
    {"branch", NULL, "{\"type\":\"string\",\"default\":\"main\"}", "main", "the branch that the result goes to"},
    {"message", NULL, "{\"type\":\"string\"}", "ties of three tasks", "what the version says of itself"},
    {"tag", NULL, "{\"type\":\"string\"}", "cand-17", "a tag to set on the result; may be repeated"},
    {"on_conflict", NULL, "{\"enum\":[\"append\",\"detach\",\"fail\"],\"default\":\"append\"}", "append",
     "what to do when the branch has moved meanwhile"},
    {"seed", NULL, "{\"type\":\"integer\",\"minimum\":0,\"default\":0}", "42", "of random masks (--random-seed)"},
    {"shard_bytes", NULL, "{\"type\":\"string\"}", "5000000000",
     "largest file of weights (--out-shard-size): bytes, or with k, M, B, MiB, GiB; 0: one file"},
    {"priority", NULL, "{\"type\":\"integer\",\"minimum\":0,\"maximum\":100,\"default\":50}", "50", "lower runs first"},
    {"gate", NULL, "{\"type\":\"string\"}", "default", "policy of the gate that the result must pass"},
    {"against", NULL, "{\"type\":\"string\"}", "demo/base@prod", "with gate: the version to compare with"},
    {"data", NULL, "{\"type\":\"string\"}", "demo/holdout@v1", "with gate: what to compare on"},
    {"lenient", NULL, "{\"enum\":[\"true\",\"false\"],\"default\":\"false\"}", "true",
     "true: unknown keys and parameters are warnings, as in mergekit"},
    {"compat", NULL, "{\"enum\":[\"none\",\"rules\",\"exact\"],\"default\":\"rules\"}", "rules",
     "rules: mergekit's selection rules and divisors; exact: its rounding, too; none: amend's own"},
    {"nonfinite", NULL, "{\"enum\":[\"refuse\",\"propagate\"],\"default\":\"refuse\"}", "refuse",
     "NaN or infinity in an input"},
    {"overflow", NULL, "{\"enum\":[\"refuse\",\"clamp\",\"inf\"],\"default\":\"refuse\"}", "refuse",
     "a result too large for its dtype"},
    {"post_layers_t", NULL, "{\"type\":\"number\",\"minimum\":0,\"maximum\":1,\"default\":0}", "1",
     "depth of the tensors after the layers, for values over the depth; 0 as in mergekit"},
    {"allow_mixed_architectures", NULL, "{\"enum\":[\"true\",\"false\"],\"default\":\"false\"}", "true",
     "true: merge models of different architecture (--allow-crimes), if their tensors agree"},
    {"missing", NULL, "{\"enum\":[\"refuse\",\"present\",\"base\"],\"default\":\"present\"}", "present",
     "a tensor that not all models have: merged from those that have it, or as the base has it"},
    {"extra", NULL, "{\"enum\":[\"refuse\",\"keep\",\"drop\"],\"default\":\"drop\"}", "keep",
     "a tensor that the base (else the first model) lacks: part of the result, or left out"},
    {"attempt", NULL, "{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000}", "1",
     "which attempt's log; the last one without it"},
    {"namespace", NULL, "{\"type\":\"string\"}", "demo", "only models of this namespace"},
    {"label.*", NULL, "{\"type\":\"string\"}", "vision",
     "`label.NAME=VALUE`: only models with that label; the same label twice is any of both"},
    {"purge", NULL, "{\"enum\":[\"true\",\"false\"],\"default\":\"false\"}", "true",
     "true: a task removes the bytes now"},
    {"reason", NULL, "{\"type\":\"string\"}", "ticket 512", "why; kept with the change"},
    {"ref", "/versions", "{\"type\":\"string\"}", "main", "only versions on the line of this revision"},
    {"ref", NULL, "{\"type\":\"string\"}", "prod", "name of a branch, tag or alias; one percent-encoded segment"},
    {"state", NULL, "{\"enum\":[\"complete\",\"incomplete\"]}", "complete", "only versions in this state"},
    {"from", NULL, "{\"type\":\"string\"}", "v1",
     "the older version: a revision, or namespace/name@rev; without it the parent of `to`"},
    {"to", NULL, "{\"type\":\"string\"}", "main", "the newer version"},
    {"class", NULL, "{\"enum\":[\"added\",\"removed\",\"reshaped\",\"changed\",\"identical\"]}", "changed",
     "only tensors of this class"},
    {"force", NULL, "{\"enum\":[\"true\",\"false\"],\"default\":\"false\"}", "true",
     "true: also a protected ref; takes a reason"},
    {"at", NULL, "{\"type\":\"string\",\"format\":\"date-time\"}", "2026-11-23T02:00:00Z",
     "only the move that was in force then"},
    {"created_by", NULL, "{\"type\":\"string\"}", "local", "only jobs of this principal"},
    {"metadata.*", NULL, "{\"type\":\"string\"}", "nightly",
     "`metadata.KEY=VALUE`: a pair of the job; of a list, only jobs with it"},
    {"since", NULL, "{\"type\":\"string\",\"format\":\"date-time\"}", "2026-11-23T01:48:10Z",
     "only jobs submitted then or later"},
    {"archived", NULL, "{\"enum\":[\"true\",\"false\"],\"default\":\"false\"}", "true",
     "true: those that were put away"},
    {"offset", NULL, "{\"type\":\"integer\",\"minimum\":0}", "0", "leave out so many bytes"},
    {"follow", NULL, "{\"enum\":[\"true\",\"false\"],\"default\":\"false\"}", "true",
     "true: go on as the worker writes, until the job ends"},
    {"last_event_id", NULL, "{\"type\":\"integer\",\"minimum\":0}", NULL,
     "like the header Last-Event-ID: begin after this event"},
    {"topic", NULL, "{\"type\":\"string\"}", "jobs", "only events of this topic"},
    {"topics", NULL, "{\"type\":\"string\"}", "jobs,models", "only these topics, comma-separated"},
    {"author", NULL, "{\"type\":\"string\"}", "demo", "only models of this namespace"},
    {"filter", NULL, "{\"type\":\"string\"}", NULL, "only models with this tag"},
    {"pipeline_tag", NULL, "{\"type\":\"string\"}", NULL, "only models with this tag"},
    {"sort", NULL, "{\"type\":\"string\"}", NULL, "order of the list; see the Hub section"},
    {"full", NULL, "{\"type\":\"string\"}", NULL, "with all members"},
    {"config", NULL, "{\"type\":\"string\"}", NULL, "with the configuration"},
    {"cardData", NULL, "{\"type\":\"string\"}", NULL, "with the data of the card"},
    {"expand", NULL, "{\"type\":\"string\"}", NULL, "only or also these members"},
    {"cursor", NULL, "{\"type\":\"string\"}", NULL, "from the Link header of the page before"},
    {"blobs", NULL, "{\"type\":\"string\"}", NULL, "with sizes and hashes of the files"},
    {"recursive", NULL, "{\"type\":\"string\"}", NULL, "with what lies in folders"},
    {"include_prs", NULL, "{\"type\":\"string\"}", NULL, "taken and ignored: there are none"},
    {"Idempotency-Key", NULL, "{\"type\":\"string\",\"pattern\":\"^[!-~]{1,255}$\"}", "nightly-2026-11-23",
     "the same key with the same request gives the same answer and does nothing twice"},
    {"If-Match", NULL, "{\"type\":\"string\"}", "\"12\"", "the ETag of the state that the change is meant for"},
    {"If-None-Match", "/refs/{ref}", "{\"type\":\"string\"}", "\"12\"",
     "of a GET: an ETag that the caller has; 304 while it is true. Of a PUT: *, the ref must not be there"},
    {"If-None-Match", "/v1/gates/{gate}", "{\"type\":\"string\"}", "\"12\"",
     "of a GET: an ETag that the caller has; 304 while it is true. Of a PUT: *, the gate must not be there"},
    {"If-None-Match", NULL, "{\"type\":\"string\"}", "\"12\"", "an ETag that the caller has; 304 while it is true"},
    {"Range", NULL, "{\"type\":\"string\"}", "bytes=0-1023", "one range of bytes; 206"},
    {"If-Range", NULL, "{\"type\":\"string\"}", NULL, "the ETag under which the range is wanted; else all of it"},
    {"Prefer", "/refs/{ref}", "{\"type\":\"string\"}", "wait=10",
     "wait=N: seconds to wait for another revision before the answer, at most 60"},
    {"Prefer", NULL, "{\"type\":\"string\"}", "wait=10",
     "wait=N: seconds to wait for the end of the job before the answer, at most 60"},
    {"Last-Event-ID", NULL, "{\"type\":\"string\",\"pattern\":\"^[0-9]+$\"}", "918273",
     "begin after this event; clients of server-sent events send it when they come again"},
    {"traceparent", NULL, "{\"type\":\"string\"}", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
     "W3C trace context; kept with a job and handed to its worker"},
};

/* Request headers that a route honours, beside those that follow from its row. */
static const struct {
    const char *method, *where; /* where: end of the pattern */
    const char *name;
} headers[] = {
    {"GET", "/content", "Range"},
    {"GET", "/content", "If-Range"},
    {"GET", "/{path+}", "Range"},
    {"GET", "/{path+}", "If-Range"},
    {"GET", "/jobs/{id}", "Prefer"},
    {"GET", "/models/{ns}/{name}/refs/{ref}", "Prefer"},
    {"POST", "/{name}/versions", "Prefer"},
    {"POST", "/cancel", "Prefer"},
    {"POST", "/retry", "Prefer"},
    {"POST", "/rerun", "Prefer"},
    {"POST", "/export", "Prefer"},
    {"POST", "/verify", "Prefer"},
    {"POST", "/v1/jobs", "Prefer"},
    {"POST", "/v1/admin/tasks", "Prefer"},
    {"POST", "/v1/predictions", "Prefer"},
    {"DELETE", "/v1/models/{ns}/{name}", "Prefer"},
    {"DELETE", "/v1/models/{ns}/{name}/versions/{rev}", "Prefer"},
    {"PUT", "/v1/gates/{gate}", "If-Match"},
    {"PUT", "/v1/gates/{gate}", "If-None-Match"},
    {"PUT", "/refs/{ref}", "If-Match"},
    {"PUT", "/refs/{ref}", "If-None-Match"},
    {"POST", "/rollback", "If-Match"},
    {"GET", "/stream", "Last-Event-ID"},
};

bool am_openapi_waits(const struct am_route *row)
{
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        if (strcmp(headers[i].name, "Prefer") == 0 && strcmp(headers[i].method, row->method) == 0 &&
            am_ends(row->pattern, headers[i].where))
            return true;
    return false;
}

static json_t *parameter(const char *name, const char *in, bool required, const struct am_route *row)
{
    json_t *p = json_pack("{s:s, s:s, s:b}", "name", name, "in", in, "required", required);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(known[i].name, name) != 0 || (known[i].where && !am_ends(row->pattern, known[i].where)))
            continue;
        json_object_set_new(p, "schema", json_loads(known[i].schema, 0, NULL));
        json_object_set_new(p, "description", json_string(known[i].doc));
        if (known[i].example) {
            json_t *number = json_loads(known[i].example, JSON_DECODE_ANY, NULL);
            bool integer = json_is_integer(number) && !strstr(known[i].schema, "\"string\"");
            json_object_set_new(p, "example", integer ? json_incref(number) : json_string(known[i].example));
            json_decref(number);
        }
        return p;
    }
    json_object_set_new(p, "schema", json_pack("{s:s}", "type", "string"));
    return p;
}

static void header(json_t *list, const struct am_route *row, const char *name, bool required)
{
    json_array_append_new(list, parameter(name, "header", required, row));
}

json_t *am_openapi_parameters(const struct am_route *row)
{
    json_t *list = json_array();
    char pattern[200], name[64];
    am_openapi_pattern(row->pattern, pattern);
    for (const char *p = pattern; (p = strchr(p, '{')); p++) {
        snprintf(name, sizeof name, "%.*s", (int)strcspn(p + 1, "}"), p + 1);
        json_array_append_new(list, parameter(name, "path", true, row));
    }
    for (const char *p = row->query; *p; p += strspn(p, " ")) {
        size_t n = strcspn(p, " ");
        snprintf(name, sizeof name, "%.*s", (int)n, p);
        json_array_append_new(list, parameter(name, "query", false, row));
        p += n;
    }
    if (row->body & AM_IDEM)
        header(list, row, "Idempotency-Key", false);
    if (row->body & AM_IF_MATCH)
        header(list, row, "If-Match", true);
    if (am_openapi_has_etag(row))
        header(list, row, "If-None-Match", false);
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        if (strcmp(headers[i].method, row->method) == 0 && am_ends(row->pattern, headers[i].where))
            header(list, row, headers[i].name, false);
    header(list, row, "traceparent", false);
    return list;
}
