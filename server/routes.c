/*
 * routes.c - THE table (see routes.h).
 */
#include "server/routes.h"

#include "core/base/text.h"
#include "server/api/api.h"

#include <stdlib.h>
#include <string.h>

/* What a mergekit configuration cannot say (api/mergekit.h). */
#define BESIDE_YAML                                                                                                    \
    "model branch message tag on_conflict seed shard_bytes priority metadata.* gate against data lenient compat "      \
    "nonfinite overflow post_layers_t allow_mixed_architectures "                                                      \
    "missing extra"
#define M "/v1/models/{ns}/{name}"
#define V M "/versions/{rev}"
#define H "/api/models/{ns}/{name}"
#define HUB "Hugging Face Hub"
#define D "/v1/datasets/{ns}/{name}"
#define DV D "/versions/{rev}"

const struct am_route am_routes[] = {
    {"GET", "/livez", am_api_livez, AM_BODY_NONE, "", 200, "Health", "Service", "the process answers", NULL},
    {"GET", "/readyz", am_api_readyz, AM_BODY_NONE, "", 200, "Readiness", "Service",
     "database, store and disk are usable; 503 when not", NULL},
    {"GET", "/healthz", am_api_readyz, AM_BODY_NONE, "", 200, "Readiness", "Service", "the same as `/readyz`", NULL},
    {"GET", "/metrics", am_api_metrics, AM_BODY_NONE, "", 200, NULL, "Service",
     "counters and gauges as Prometheus text (`metrics.public`)", NULL},
    {"GET", "/v1", am_api_index, AM_BODY_NONE, "", 200, "Index", "Service", "the entry points", NULL},
    {"GET", "/v1/version", am_api_version, AM_BODY_NONE, "", 200, "ServiceVersion", "Service",
     "versions of program, API and libraries; limits", NULL},
    {"GET", "/v1/openapi.json", am_api_openapi, AM_BODY_NONE, "", 200, "OpenAPI", "Service", "this API as OpenAPI 3.1",
     NULL},
    {"GET", "/v1/schemas/{schema}", am_api_schema, AM_BODY_NONE, "", 200, "JsonSchema", "Service",
     "a schema of that document alone, as JSON Schema 2020-12: `/v1/schemas/Job.json`", NULL},
    {"GET", "/v1/problems", am_api_problems, AM_BODY_NONE, "", 200, "ProblemList", "Service",
     "every error code with its status", NULL},
    {"GET", "/v1/problems/{slug}", am_api_problem, AM_BODY_NONE, "", 200, "ProblemKind", "Service", "one of them",
     NULL},
    {"GET", "/v1/methods", am_api_methods, AM_BODY_NONE, "type", 200, "MethodList", "Service",
     "the methods with their parameters", NULL},
    {"GET", "/v1/methods/{type}/{method}", am_api_method, AM_BODY_NONE, "", 200, "Method", "Service", "one method",
     NULL},
    {"GET", "/v1/methods/{type}/{method}/schema", am_api_method_schema, AM_BODY_NONE, "", 200, "JsonSchema", "Service",
     "JSON Schema of its parameters", NULL},
    {"GET", "/v1/queue", am_api_queue, AM_BODY_NONE, "", 200, "Queue", "Service",
     "how many jobs are in which state; bytes stored and free", NULL},

    {"GET", "/v1/models", am_api_models, AM_BODY_NONE, "search namespace label.* after limit", 200, "ModelList",
     "Models, versions, files",
     "models by name; `search` is a part of the name; `label.team=vision` (repeated: any of)", NULL},
    {"POST", "/v1/models", am_api_model_create, AM_BODY_JSON | AM_IDEM, "", 201, "Model", "Models, versions, files",
     "create: `{\"id\",\"description\"?,\"private\"?,\"labels\"?}`; makes `main` at the empty v0", "ModelRequest"},
    {"GET", M, am_api_model, AM_CACHED, "", 200, "Model", "Models, versions, files", "one model", NULL},
    {"PATCH", M, am_api_model_patch, AM_BODY_JSON | AM_IF_MATCH, "", 200, "Model", "Models, versions, files",
     "`{\"description\"?,\"labels\"?,\"private\"?,\"retention\"?}`; a label that is null goes", "ModelPatch"},
    {"DELETE", M, am_api_model_delete, AM_BODY_NONE | AM_IF_MATCH, "purge reason", 200, "Deletion",
     "Models, versions, files",
     "delete, until restored; the answer lists what others made of it; `purge=true`: a task "
     "removes the bytes now",
     NULL},
    {"POST", M "/restore", am_api_model_restore, AM_BODY_NONE, "", 200, "Model", "Models, versions, files",
     "take its deletion back", NULL},
    {"GET", M "/versions", am_api_versions, AM_BODY_NONE, "ref state after limit", 200, "VersionList",
     "Models, versions, files", "newest first; `ref`: those on the line of that branch", NULL},
    {"POST", M "/versions", am_api_register, AM_BODY_JSON | AM_IDEM, "", 201, "Version", "Models, versions, files",
     "register a folder of this machine: "
     "`{\"from\":{\"path\"},\"mode\":\"copy|move\"?,\"branch\"?,\"message\"?,\"metadata\"?}`; 202 with a task when it "
     "takes "
     "longer",
     "RegisterRequest"},
    {"GET", V, am_api_version_get, AM_CACHED, "", 200, "Version", "Models, versions, files", "one version", NULL},
    {"PATCH", V, am_api_version_patch, AM_BODY_JSON | AM_IF_MATCH, "", 200, "Version", "Models, versions, files",
     "`{\"labels\"?,\"pinned\"?,\"note\"?}`; a label that is null goes", "VersionPatch"},
    {"DELETE", V, am_api_version_delete, AM_BODY_NONE | AM_IF_MATCH, "purge reason", 200, "Deletion",
     "Models, versions, files",
     "delete, until restored; 409 `version-in-use` while a ref or a job names it; "
     "`purge=true`: a task removes the bytes now",
     NULL},
    {"POST", V "/restore", am_api_version_restore, AM_BODY_NONE, "", 200, "Version", "Models, versions, files",
     "take its deletion back", NULL},
    {"GET", V "/files", am_api_files, AM_BODY_NONE, "layout", 200, "FileList", "Models, versions, files", "its files",
     NULL},
    {"GET", V "/files/{path}", am_api_file, AM_BODY_NONE, "layout", 200, "File", "Models, versions, files",
     "one file; the path is one encoded segment; `layout=true` lists the spans it is read from", NULL},
    {"GET", V "/files/{path}/content", am_api_content, AM_BODY_NONE, "", 200, NULL, "Models, versions, files",
     "the bytes, with ETag, ranges and 304", NULL},
    {"GET", V "/tensors", am_api_tensors, AM_BODY_NONE, "prefix after limit", 200, "TensorList",
     "Models, versions, files", "name, dtype, shape, bytes and file of each tensor, and the version that last wrote it",
     NULL},
    {"GET", M "/diff", am_api_diff, AM_BODY_NONE, "from to class after limit", 200, "Diff", "Models, versions, files",
     "tensors and files added, removed, reshaped, changed and identical between two versions, from headers and spans "
     "alone; `to` is main and `from` its parent without a word, `from=ns/other@rev` compares across models",
     NULL},
    {"POST", V "/export", am_api_export, AM_BODY_JSON | AM_IDEM, "", 202, "Job", "Models, versions, files",
     "write it into a folder of this machine: `{\"path\",\"overwrite\"?}`; a task", "ExportRequest"},
    {"GET", V "/card", am_api_card, AM_BODY_NONE, "", 200, "Card", "Models, versions, files",
     "its model card (README.md): `text/markdown`, or JSON for who accepts only that", NULL},
    {"POST", V "/verify", am_api_version_verify, AM_BODY_NONE | AM_IDEM, "", 202, "Job", "Models, versions, files",
     "read its files again and compare them with their hashes: a task", NULL},
    {"GET", V "/recipe", am_api_recipe, AM_BODY_NONE, "", 200, "Recipe", "Models, versions, files",
     "the resolved spec of the job that made it", NULL},
    {"GET", M "/lineage", am_api_lineage, AM_BODY_NONE, "rev depth direction format", 200, "Lineage",
     "Models, versions, files",
     "where a version came from: `depth` 1..100 or `all`, `direction` up, down or both, `format` json, mermaid, dot or "
     "openlineage",
     NULL},
    {"GET", M "/refs", am_api_refs, AM_BODY_NONE, "kind after limit", 200, "RefList", "Refs",
     "branches, tags and aliases by name", NULL},
    {"GET", M "/refs/{ref}", am_api_ref, AM_CACHED, "", 200, "Ref", "Refs", "one ref; its ETag is its revision", NULL},
    {"PUT", M "/refs/{ref}", am_api_ref_put, AM_BODY_JSON, "", 200, "Ref", "Refs",
     "create (201; `If-None-Match: *` or `\"from\":null`) or move (`If-Match` or `\"from\":\"<rev>\"`): "
     "`{\"to\",\"from\"?,\"kind\"?,\"reason\"?,\"force\"?}`",
     "RefRequest"},
    {"PATCH", M "/refs/{ref}", am_api_ref_patch, AM_BODY_JSON | AM_IF_MATCH, "", 200, "Ref", "Refs",
     "`{\"policy\":{\"protected\":true,\"gate\":\"default\"}}`: then moving it takes a decision `promote` of the gate "
     "(without a "
     "gate: `force` and a reason), and deleting it by hand `force` and a reason",
     "RefPolicyRequest"},
    {"DELETE", M "/refs/{ref}", am_api_ref_delete, AM_BODY_NONE | AM_IF_MATCH, "force reason", 200, "Ref", "Refs",
     "delete it, answering with the ref as it was; its history stays; not `main`", NULL},
    {"GET", M "/refs/{ref}/history", am_api_ref_history, AM_BODY_NONE, "at after limit", 200, "RefMoveList", "Refs",
     "every move, newest first, also of a deleted ref; `at` a time: only the entry that was in force then, none when "
     "the ref was not there",
     NULL},
    {"POST", M "/refs/{ref}/rollback", am_api_ref_rollback, AM_BODY_JSON | AM_IDEM, "", 200, "Ref", "Refs",
     "back down the stack of its targets: `{\"steps\"?,\"to\"?,\"from\"?,\"reason\",\"force\"?}` with `If-Match` or "
     "`from`",
     "RollbackRequest"},

    {"POST", "/v1/jobs", am_api_job_submit, AM_BODY_JSON | AM_BODY_YAML | AM_IDEM, "dry_run " BESIDE_YAML, 202, "Job",
     "Jobs", "submit; the answer is durable", "JobRequest"},
    {"POST", "/v1/plans", am_api_plan, AM_BODY_JSON | AM_BODY_YAML, BESIDE_YAML, 200, "Plan", "Jobs",
     "what a job would read, write and need, and every reason to refuse it; stores nothing", "JobRequest"},
    {"GET", "/v1/jobs", am_api_jobs, AM_BODY_NONE,
     "status type method model created_by metadata.* since archived after limit", 200, "JobList", "Jobs",
     "newest first; `status` may be repeated; `metadata.k=v`; `archived=true` shows those put away; `type=task` the "
     "store's own tasks",
     NULL},
    {"GET", "/v1/jobs/{id}", am_api_job, AM_CACHED, "", 200, "Job", "Jobs", "one job with progress, result or error",
     NULL},
    {"PATCH", "/v1/jobs/{id}", am_api_job_patch, AM_BODY_JSON | AM_IF_MATCH, "", 200, "Job", "Jobs",
     "`priority` and `metadata` while it is queued; `archived` when it has ended", "JobPatch"},
    {"POST", "/v1/jobs/{id}/retry", am_api_job_retry, AM_BODY_NONE | AM_IDEM, "", 202, "Job", "Jobs",
     "the same again as a new job, with names resolved anew", NULL},
    {"POST", "/v1/jobs/{id}/rerun", am_api_job_rerun, AM_BODY_MAYBE | AM_IDEM, "", 202, "Job", "Jobs",
     "compute it again from its recipe and compare every file: `result.reproduced`; publishes only with "
     "`{\"publish\":{…}}`",
     "RerunRequest"},
    {"POST", "/v1/jobs/{id}/cancel", am_api_job_cancel, AM_BODY_NONE, "", 202, "Job", "Jobs",
     "ask it to stop; 409 `job-terminal` after the end", NULL},
    {"GET", "/v1/jobs/{id}/log", am_api_job_log, AM_BODY_NONE, "attempt offset follow", 200, NULL, "Jobs",
     "what its worker wrote on standard error; `follow=true` goes on until the job ends", NULL},
    {"GET", "/v1/jobs/{id}/events", am_api_job_events, AM_BODY_NONE, "after limit", 200, "EventList", "Jobs",
     "what happened to it, oldest first", NULL},
    {"GET", "/v1/jobs/{id}/events/stream", am_api_job_events_stream, AM_BODY_NONE, "last_event_id", 200, NULL, "Jobs",
     "the same from the start and then live, until the job ends (server-sent events, or lines by Accept: "
     "application/x-ndjson)",
     NULL},
    {"GET", "/v1/events", am_api_events, AM_BODY_NONE, "after topic model limit", 200, "EventList", "Events",
     "what happened, oldest first; `topic` jobs, models, reports, datasets, queue or tasks", NULL},
    {"GET", "/v1/events/stream", am_api_events_stream, AM_BODY_NONE, "topics model last_event_id", 200, NULL, "Events",
     "what happens from now on, or after `last_event_id`; one stream for all topics, or for some of them", NULL},
    {"GET", "/v1/datasets", am_api_datasets, AM_BODY_NONE, "search namespace label.* after limit", 200, "DatasetList",
     "Datasets", "datasets by name; `search` is a part of the name; `label.team=vision` (repeated: any of)", NULL},
    {"POST", "/v1/datasets", am_api_dataset_create, AM_BODY_JSON | AM_IDEM, "", 201, "Dataset", "Datasets",
     "create: `{\"id\",\"description\"?,\"labels\"?}`", "DatasetRequest"},
    {"GET", D, am_api_dataset, AM_BODY_NONE, "", 200, "Dataset", "Datasets", "one dataset", NULL},
    {"PATCH", D, am_api_dataset_patch, AM_BODY_JSON | AM_IF_MATCH, "", 200, "Dataset", "Datasets",
     "`{\"description\"?,\"labels\"?}`; a label that is null goes", "DatasetPatch"},
    {"DELETE", D, am_api_dataset_delete, AM_BODY_NONE | AM_IF_MATCH, "", 200, "Dataset", "Datasets",
     "delete it with its versions, answering with the dataset as it was; 409 while prediction sets are about it", NULL},
    {"GET", D "/versions", am_api_dataset_versions, AM_BODY_NONE, "after limit", 200, "DatasetVersionList", "Datasets",
     "newest first", NULL},
    {"POST", D "/versions", am_api_dataset_push, AM_BODY_LINES | AM_BODY_DATASET | AM_IDEM, "ids label", 201,
     "DatasetVersion", "Datasets",
     "upload: JSON Lines or safetensors, gzip allowed; 200 when these bytes are there already; 202 with a task when it "
     "takes longer",
     NULL},
    {"GET", DV, am_api_dataset_version, AM_BODY_NONE, "", 200, "DatasetVersion", "Datasets",
     "one version: v<N>, latest, a label, or eight digits or more of its SHA-256", NULL},
    {"DELETE", DV, am_api_dataset_version_delete, AM_BODY_NONE | AM_IF_MATCH, "", 200, "DatasetVersion", "Datasets",
     "delete it, answering with the version as it was; 409 while prediction sets are about it; its files go with the "
     "next gc",
     NULL},
    {"GET", DV "/content", am_api_dataset_content, AM_BODY_NONE, "", 200, NULL, "Datasets",
     "the file, unpacked, with ETag, ranges and 304", NULL},
    {"GET", DV "/samples", am_api_dataset_samples, AM_BODY_NONE, "id after limit", 200, "SampleList", "Datasets",
     "rows by `id` (repeated: several), or in order: lines as they are; of tensors id, row, label and shape", NULL},
    {"POST", DV "/resolve", am_api_dataset_resolve, AM_BODY_JSON, "", 200, "Resolution", "Datasets",
     "what a selection means: how many samples, the digest of their ids, ids that are unknown", "Selection"},
    {"GET", "/v1/predictions", am_api_predictions, AM_BODY_NONE, "version dataset after limit", 200,
     "PredictionSetList", "Prediction sets", "what versions said about the samples of datasets, newest first", NULL},
    {"POST", "/v1/predictions", am_api_prediction_push, AM_BODY_LINES | AM_IDEM, "", 201, "PredictionSet",
     "Prediction sets",
     "upload a set: lines of JSON (`application/x-ndjson`, gzip allowed), the first one its header; 202 with a task "
     "when it takes longer",
     NULL},
    {"GET", "/v1/predictions/{id}", am_api_prediction, AM_BODY_NONE, "", 200, "PredictionSet", "Prediction sets",
     "one set", NULL},
    {"GET", "/v1/predictions/{id}/content", am_api_prediction_content, AM_BODY_NONE, "", 200, NULL, "Prediction sets",
     "its lines, as they were uploaded", NULL},
    {"DELETE", "/v1/predictions/{id}", am_api_prediction_delete, AM_BODY_NONE | AM_IF_MATCH, "", 200, "PredictionSet",
     "Prediction sets", "delete it, answering with the set as it was; its files go with the next gc", NULL},
    {"GET", "/v1/reports", am_api_reports, AM_BODY_NONE, "version old new dataset method job after limit", 200,
     "ReportSummaryList", "Reports",
     "what comparisons found, newest first; `version` on either side, `old` and `new` on theirs", NULL},
    {"GET", "/v1/reports/{id}", am_api_report, AM_BODY_NONE, "", 200, "Report", "Reports", "one report", NULL},
    {"GET", "/v1/reports/{id}/slices", am_api_report_slices, AM_BODY_NONE, "after limit", 200, "ReportSliceList",
     "Reports", "the same numbers for each slice, by key and value", NULL},
    {"GET", "/v1/reports/{id}/samples", am_api_report_samples, AM_BODY_NONE, "cell slice after limit", 200,
     "ReportSampleList", "Reports",
     "the samples by id, with what both versions said: of one `cell`, of one `slice` (`key=value`)", NULL},
    {"DELETE", "/v1/reports/{id}", am_api_report_delete, AM_BODY_NONE | AM_IF_MATCH, "", 200, "Report", "Reports",
     "delete it, answering with the report as it was; 409 while a decision names it; its files go with the next gc",
     NULL},
    {"GET", "/v1/gates", am_api_gates, AM_BODY_NONE, "after limit", 200, "GateList", "Gates", "gate policies by name",
     NULL},
    {"GET", "/v1/gates/{gate}", am_api_gate, AM_BODY_NONE, "", 200, "Gate", "Gates",
     "one, at its newest revision, which is its ETag", NULL},
    {"PUT", "/v1/gates/{gate}", am_api_gate_put, AM_BODY_JSON, "", 200, "Gate", "Gates",
     "make it (201) or give it a new revision (`If-Match`); the body is the policy", "GatePolicyRequest"},
    {"DELETE", "/v1/gates/{gate}", am_api_gate_delete, AM_BODY_NONE | AM_IF_MATCH, "", 200, "Gate", "Gates",
     "delete it, answering with the gate as it was; not while the policy of a ref names it; its revisions stay", NULL},
    {"GET", "/v1/gates/{gate}/revisions", am_api_gate_revisions, AM_BODY_NONE, "after limit", 200, "GateList", "Gates",
     "every revision, newest first; also of a gate that is no more", NULL},
    {"POST", "/v1/gates/{gate}/check", am_api_gate_check, AM_BODY_JSON | AM_IDEM, "", 201, "Decision", "Gates",
     "decide about a report that is here: `{\"report\"}`, or `{\"old\",\"new\",\"dataset\"?}` for the newest one of "
     "the "
     "two; 409 `report-missing`",
     "GateCheckRequest"},
    {"GET", "/v1/decisions", am_api_decisions, AM_BODY_NONE, "version ref verdict after limit", 200, "DecisionList",
     "Gates",
     "decisions of gates, newest first; `version`: about that new version; `ref=ns/name@ref`: against a version that "
     "the ref points to or has pointed to",
     NULL},
    {"GET", "/v1/decisions/{id}", am_api_decision, AM_BODY_NONE, "", 200, "Decision", "Gates", "one decision", NULL},
    {"POST", "/v1/admin/tasks", am_api_task_create, AM_BODY_JSON | AM_IDEM, "", 202, "Job", "Admin",
     "work of the store: `{\"kind\":\"gc|verify|scrub|backup|check|retention\",\"target\"?}`; the target of a verify "
     "is a "
     "version (all "
     "without one), of a backup the absolute path of a new file (`<time>.db` in `database.backup_dir` without one); a "
     "scrub "
     "reads its share of what was not read for longest",
     "TaskRequest"},

    {"GET", "/{ns}/{name}/resolve/{rev}/{path+}", am_api_resolve, AM_HUB, "", 200, NULL, HUB,
     "the bytes of a file, with ETag, ranges, 304 and X-Repo-Commit", NULL},
    {"GET", "/{ns}/{name}/raw/{rev}/{path+}", am_api_hub_raw, AM_HUB, "", 200, NULL, HUB,
     "the same for small files; of a large one the pointer that git would hold", NULL},
    {"GET", "/api/models", am_api_hub_models, AM_HUB,
     "search author filter pipeline_tag sort limit full config cardData expand cursor", 200, "HubModels", HUB,
     "the models, by name or newest first; the next page is in `Link`", NULL},
    {"GET", H, am_api_hub_model, AM_HUB, "blobs expand", 200, "HubModel", HUB, "one model, as `main` is now", NULL},
    {"GET", H "/revision/{rev}", am_api_hub_model, AM_HUB, "blobs expand", 200, "HubModel", HUB,
     "the same of another revision", NULL},
    {"GET", H "/tree/{rev}", am_api_hub_tree, AM_HUB, "recursive expand cursor", 200, "HubEntries", HUB,
     "files and folders; the next page is in `Link`", NULL},
    {"GET", H "/tree/{rev}/{path+}", am_api_hub_tree, AM_HUB, "recursive expand cursor", 200, "HubEntries", HUB,
     "those of a folder", NULL},
    {"POST", H "/paths-info/{rev}", am_api_hub_paths_info, AM_HUB | AM_BODY_FORM, "", 200, "HubEntries", HUB,
     "those of the given paths that exist: `paths=a&paths=b&expand=false`, or the same as JSON", NULL},
    {"GET", H "/refs", am_api_hub_refs, AM_HUB, "include_prs", 200, "HubRefs", HUB,
     "branches and tags; an alias is a tag `refs/aliases/x`", NULL},
    {"GET", H "/commits/{rev}", am_api_hub_commits, AM_HUB, "", 200, "HubCommits", HUB,
     "a version and those before it, newest first; the next page is in `Link`", NULL},
    {"GET", H "/auth-check", am_api_hub_auth_check, AM_HUB, "", 200, "HubNothing", HUB, "whether it may be read", NULL},
    {"GET", H "/auth-check/write", am_api_hub_auth_check, AM_HUB, "", 200, "HubNothing", HUB,
     "whether it may be written", NULL},
    {"GET", "/api/whoami-v2", am_api_hub_whoami, AM_HUB, "", 200, "HubUser", HUB, "who is asking", NULL},
    {"POST", "/api/validate-yaml", am_api_hub_validate, AM_HUB | AM_BODY_JSON, "", 200, "HubValidation", HUB,
     "looks at the front matter of a model card", "HubCard"},
    {.method = NULL},
};

/* Cuts `path` at its slashes, in place. Returns the number of segments; max + 1: there are more than `max`. */
static size_t split(char *path, char **seg, size_t max)
{
    size_t n = 0;
    for (char *p = path; *p == '/';) {
        if (n == max)
            return max + 1;
        *p++ = 0;
        seg[n++] = p;
        p += strcspn(p, "/");
    }
    return n;
}

#define SEGMENTS 64

/* Whether the segments of a path fit a pattern; a last {path+} takes one or more. */
static bool matches(const char *pattern, char *const *seg, size_t n)
{
    size_t i = 0;
    for (const char *p = pattern; *p == '/'; i++) {
        if (i == n)
            return false;
        const char *s = seg[i];
        if (*++p == '{') {
            p += strcspn(p, "/");
            if (!*p && p[-2] == '+')
                return true;
            continue;
        }
        for (; *p && *p != '/' && *p == *s; p++)
            s++;
        if ((*p && *p != '/') || *s)
            return false;
    }
    return i == n;
}

/* Decodes the segments under {…} into r->arg. The rest of a {path+} keeps its slashes. */
static int take_args(struct am_req *r, const char *pattern, char *const *seg, size_t n)
{
    size_t i = 0, k = 0;
    for (const char *p = pattern; *p == '/' && k < AM_ROUTE_ARGS; i++) {
        size_t len = strcspn(++p, "/");
        bool is_arg = *p == '{', rest = !p[len] && p[len - 2] == '+';
        p += len;
        if (!is_arg)
            continue;
        struct am_buf b;
        am_buf_init(&b, 8192);
        for (size_t j = i; j < (rest ? n : i + 1); j++) {
            int rc = am_url_decode(seg[j]);
            if (rc == 0)
                rc = am_buf_printf(&b, "%s%s", j > i ? "/" : "", seg[j]);
            if (rc < 0) {
                am_buf_done(&b);
                return -AM_E_INVALID_REQUEST;
            }
        }
        r->arg[k] = b.data ? am_buf_take(&b) : strdup("");
        if (!r->arg[k++])
            return -AM_E_OUT_OF_MEMORY;
    }
    return 0;
}

static void add_allow(char *allow, size_t cap, const char *method)
{
    size_t n = strlen(allow);
    if (!strstr(allow, method))
        snprintf(allow + n, cap - n, "%s%s%s", n ? ", " : "", method, strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

int am_route_find(struct am_req *r, const char *method, const char *path, char *allow, size_t allow_cap)
{
    char *seg[SEGMENTS];
    const char *as = strcmp(method, "HEAD") == 0 ? "GET" : method;
    if (strlen(path) > 8000)
        return -AM_E_NOT_FOUND;
    r->path = strdup(path);
    if (!r->path)
        return -AM_E_OUT_OF_MEMORY;
    size_t n = split(r->path, seg, SEGMENTS);
    if (n > SEGMENTS)
        return -AM_E_NOT_FOUND;
    for (const struct am_route *row = am_routes; row->method; row++) {
        if (!matches(row->pattern, seg, n))
            continue;
        if (strcmp(row->method, as) == 0) {
            r->route = row;
            return take_args(r, row->pattern, seg, n);
        }
        add_allow(allow, allow_cap, row->method);
    }
    if (!allow[0])
        return -AM_E_NOT_FOUND;
    size_t used = strlen(allow);
    snprintf(allow + used, allow_cap - used, ", OPTIONS");
    return -AM_E_METHOD_NOT_ALLOWED;
}
