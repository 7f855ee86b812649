/*
 * schemas.c - see schemas.h. Written compactly: a resource is "name:type" words. Every member listed is always present
 * in an answer, and there are no others; "name?:type" may be absent.
 *
 * A type is text, time, int, real, bool, commit, sha256, object (open), list (open) or any; a|b|c one of these words;
 * @Name another row; [type] a list of it; {type} members of any name with it; @A/@B one of these rows. A "?" at the end
 * allows null.
 */
#include "server/schemas.h"

#include "core/base/text.h"
#include "server/schemas_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATUS "queued|running|cancelling|succeeded|failed|cancelled"

static const struct {
    const char *name, *object, *members;
} resources[] = {
    {"Health", NULL, "status:text"},
    {"Readiness", NULL, "status:ok|fail checks:{@Check}"},
    {"Check", NULL, "status:ok|warn|fail detail:text code?:text? holds?:[text]"},
    {"Index", "index", "version:text links:{text}"},
    {"ServiceVersion", "version",
     "program:text version:text api:[text] registry_sha256:sha256 features:[text] limits:{int} libraries:{text} "
     "started_at:time"},
    {"ProblemKind", "problem_kind", "type:text code:text status:int? title:text retryable:bool of:request|job"},
    {"Method", "method",
     "id:text type:text name:text since:text paper:text summary:text needs:object params:[@MethodParam] "
     "rules:[object] canonical:object? schema:text"},
    {"MethodParam", NULL,
     "name:text kind:text unit:text doc:text required:bool per_input:bool advanced:bool default?:any choices?:[text] "
     "min?:real max?:real open_min?:bool open_max?:bool"},
    {"Queue", "queue", "paused:bool counts:@QueueCounts slots:@QueueSlots store:@QueueStore"},
    {"QueueCounts", NULL, "queued:int running:int cancelling:int succeeded:int failed:int cancelled:int"},
    {"QueueSlots", NULL, "total:int running:int"},
    {"QueueStore", NULL, "logical_bytes:int physical_bytes:int free_bytes:int min_free_bytes:int"},
    {"Model", "model",
     "id:text description:text private:bool labels:{text} created_at:time created_by:text? head:@ModelHead "
     "refs:@ModelRefs "
     "versions:int "
     "logical_bytes:int physical_bytes:int retention:@Retention deleted_at:time? links:{text}"},
    {"Retention", NULL, "unreferenced_days:int own:bool"},
    {"Deletion", "deletion",
     "model:text commit:commit? number:int? deleted_at:time deleted_by:text reason:text? restorable_until:time "
     "descendants:[@VersionName] descendants_total:int links:{text}"},
    {"ModelHead", NULL, "commit:commit number:int"},
    {"ModelRefs", NULL, "branches:int tags:int aliases:int"},
    {"RefPolicy", NULL, "protected:bool gate:text?"},
    {"Ref", "ref",
     "model:text name:text kind:branch|tag|alias commit:commit number:int? revision:int policy:@RefPolicy "
     "moved_at:time "
     "moved_by:text? "
     "reason:text?"},
    {"RefMove", NULL,
     "seq:int kind:text from:text? from_number:int? to:text? to_number:int? steps:int? at:time by:text reason:text "
     "job:text? decision:text? forced:bool"},
    {"Version", "version",
     "model:text commit:commit number:int? state:text warnings:[@Warning] parent:commit? created_at:time "
     "created_by:text? "
     "message:text? job:text? "
     "type:text? method:text? refs:[text] manifest_sha256:sha256? files:int bytes:int new_bytes:int "
     "tensors:@VersionTensors "
     "inputs:[@VersionInput] metadata:{text} labels:{text} pinned:bool note:text? expires_at:time? deleted_at:time? "
     "compatibility?:[@ReportSummary]"},
    {"VersionTensors", NULL, "count:int parameters:{int}? architecture:text?"},
    {"VersionInput", NULL, "role:text? model:text? commit:commit? rev:text? weight?:real?"},
    {"Warning", NULL, "code:text detail:text pointer?:text"},
    {"File", "file",
     "path:text class:regular|lfs bytes:int etag:text sha256:sha256 git_sha1:text? storage:whole|assembled spans:int "
     "weights:bool "
     "content_url:text layout?:[@Span]"},
    {"Span", NULL, "at:int blob:sha256 offset:int length:int from_version:text"},
    {"Tensor", NULL, "name:text dtype:text shape:[int] bytes:int file:text begin:int from_version:text?"},
    {"Card", "card",
     "model:text commit:text path:text bytes:int sha256:text made_by_amend:bool front_matter:text? text:text"},
    {"VersionName", NULL, "model:text commit:commit number:int?"},
    {"Diff", "diff",
     "from:@VersionName to:@VersionName basis:spans| tensors:@DiffTensors? files:@DiffFiles? report:@DiffReport? "
     "data:[@DiffTensor] has_more:bool next:text?"},
    {"DiffCount", NULL, "count:int bytes:int"},
    {"DiffTensors", NULL,
     "added:@DiffCount removed:@DiffCount reshaped:@DiffCount changed:@DiffCount identical:@DiffCount"},
    {"DiffFiles", NULL, "added:@DiffCount removed:@DiffCount changed:@DiffCount identical:@DiffCount data:[@DiffFile]"},
    {"DiffReport", NULL, "path:text content_url:text"},
    {"DiffTensor", NULL,
     "name:text class:added|removed|reshaped|changed|identical from:@DiffTensorEnd? to:@DiffTensorEnd?"},
    {"DiffTensorEnd", NULL, "dtype:text shape:[int] bytes:int file:text"},
    {"DiffFile", NULL, "path:text class:added|removed|changed|identical from:@DiffFileEnd? to:@DiffFileEnd?"},
    {"DiffFileEnd", NULL, "sha256:sha256 bytes:int"},
    {"Lineage", "lineage",
     "root:commit direction:up|down|both depth:any truncated:bool nodes:[@LineageNode] edges:[@LineageEdge]"},
    {"LineageNode", NULL,
     "id:commit kind:text model:text number:int? refs:[text] state:text created_at:time job:text? type:text? "
     "method:text? verdict:text? deleted_at:time?"},
    {"LineageEdge", NULL,
     "from:commit to:commit role:text weight:real? trust:real? job:text? type:text? method:text? "
     "report:@ReportSummary?"},
    {"SpecRunFacet", NULL, "_producer:text _schemaURL:text spec_sha256:sha256 type:text method:text"},
    {"Job", "job",
     "id:text type:text method:text status:" STATUS " status_reason:@JobReason? created_at:time queued_at:time "
     "started_at:time? "
     "finished_at:time? "
     "queue_position:int? priority:int attempt:int max_attempts:int restarts:int executor:text progress:@Progress? "
     "spec:object resolved:object? "
     "plan:@JobPlan? "
     "result:@JobResult/@GcResult/@VerifyResult/@BackupResult/@CheckResult/@RetentionResult/@PurgeResult/"
     "@ExportResult/@PackResult/@IndexResult? error:@JobError? warnings:[@Warning] "
     "retry_of:text? rerun_of:text? archived:bool created_by:text metadata:{text} trace_id:text links:{text}"},
    {"JobReason", NULL, "code:text not_before?:time cause?:text detail?:text job?:text"},
    {"Progress", NULL,
     "phase:text done:int total:int unit:text bytes_done:int bytes_total:int bytes_per_second:int? eta_seconds:int? "
     "updated_at:time"},
    {"JobPlan", NULL,
     "tensors:int? read_bytes:int? write_bytes:int? shared_bytes:int? peak_memory_bytes:int? disk_bytes:int? "
     "seconds_estimate:int? output:@PlanOutput?"},
    {"PlanOutput", NULL, "files:[@PlanFile] dtype:text?"},
    {"PlanFile", NULL, "path:text bytes:int"},
    {"JobResult", NULL,
     "version:@ResultVersion? published:bool detached_reason:text? expires_at:time? refs:[@ResultRef] reports:[text] "
     "decision:@Verdict? dataset:object? state:@ResultState new_bytes:int reused_from:text? reproduced:bool? "
     "reproduction:@Reproduction? "
     "measured:@Measured"},
    {"Reproduction", NULL,
     "job:text? version:@ReproducedVersion report?:text? files:int differ:list differ_total:int left_out:list "
     "kernels:@ReproducedWith reason:text?"},
    {"ReproducedVersion", NULL, "model:text? commit:commit?"},
    {"ReproducedWith", NULL, "then:text? now:text?"},
    {"ResultVersion", NULL, "model:text commit:commit number:int?"},
    {"ResultRef", NULL, "ref:text from:commit? to:commit"},
    {"ResultState", NULL, "files:[text] rows:int"},
    {"Measured", NULL,
     "kernels:text? seconds:real cpu_seconds:real? peak_memory_bytes:int? read_bytes:int write_bytes:int"},
    {"GcResult", NULL,
     "kind:gc| versions:int blobs:int blob_bytes:int orphans:int orphan_bytes:int logs:int log_bytes:int staging:int "
     "grace_seconds:int keep_logs_seconds:int"},
    {"VerifyResult", NULL,
     "kind:verify|scrub scope:text blobs:int bytes:int assembled:int repaired:int damaged:[@Damage] "
     "damaged_total:int"},
    {"Damage", NULL, "blob?:sha256 content?:sha256 reason:text versions:[text] versions_total:int"},
    {"BackupResult", NULL, "kind:backup| target:text bytes:int committed_until:time removed:int"},
    {"CheckResult", NULL, "kind:check| tables:int findings:[text] findings_total:int"},
    {"RetentionResult", NULL, "kind:retention| deleted:[text] deleted_total:int unreferenced_days:int"},
    {"PurgeResult", NULL,
     "kind:purge| scope:text versions:int removed:[@PurgedBlob] removed_total:int removed_bytes:int packed_total:int "
     "packed_bytes:int shared:[@PurgedBlob] shared_total:int held:[@PurgedBlob] held_total:int"},
    {"PurgedBlob", NULL, "blob:sha256 bytes:int kept_bytes:int kept_by:[text] packed_into?:sha256 why?:text"},
    {"ExportResult", NULL, "kind:export| model:text commit:commit path:text files:int bytes:int replaced:bool"},
    {"JobError", NULL,
     "type:text title:text status?:int code:text detail:text phase?:text? tensor?:text? attempt?:int retryable:bool "
     "errors?:[@Fault] job?:text"},
    {"Plan", "plan",
     "ok:bool spec_sha256:sha256? resolved:@Recipe? tensors:int? read_bytes:int? write_bytes:int? shared_bytes:int? "
     "peak_memory_bytes:int? disk_bytes:int? seconds_estimate:int? cached:object? output:@PlanOutput? "
     "refusals:[@Fault] "
     "warnings:[@Warning]"},
    {"Recipe", NULL,
     "type:text method:text inputs:[@RecipeInput/@RecipeSide] donor?:int params:object options:@RecipeOptions seed:int "
     "program:text "
     "kernels:text? blas:text? threads:int spec_sha256:sha256 mergekit_config?:text gate?:@RecipeGate?"},
    {"RecipeGate", NULL,
     "gate:text? policy:@GatePolicy critical:[@RecipeCritical] old?:@RecipeSide? new?:@RecipeSide? params?:object "
     "weights?:[sha256] seed?:int"},
    {"RecipeCritical", NULL, "dataset:text old:@RecipeSide new:@RecipeSide"},
    {"RecipeInput", NULL,
     "role:text commit:commit model:text rev:text manifest_sha256:sha256 params?:object layers?:[int] use?:layers|none "
     "of?:int modules?:[text]"},
    {"RecipeSide", NULL,
     "role:old|new version:text? external:text? dataset:text predictions:text packed_sha256:sha256 ids_sha256:sha256"},
    {"RecipeOptions", NULL,
     "seed:int threads:int out_dtype?:text? shard_bytes?:int post_layers_t?:real "
     "allow_mixed_architectures?:bool tokenizer?:object missing?:text extra?:text vocab?:truncate| "
     "chat_template?:text"},
    {"Event", "event",
     "id:text? seq:int job_seq:int? created_at:time level:text topic:text type:text subject:text model:text? "
     "revision:int? message:text data:object"},
    {"PredictionSet", "prediction_set",
     "id:text version:text? external:@External? submitted_as:text dataset:@SetDataset split:text? "
     "task:classification|multiple_choice|multilabel|generative|retrieval metric:text? rows:int ids:int correct:int? "
     "accuracy:real? header:object upload:@StoredFile? packed:@StoredFile? dictionary:@StoredFile? "
     "source:upload|job created_by:text job:text? created_at:time links:{text}"},
    {"SetDataset", NULL, "external:text? name:text? number:int? sha256:sha256?"},
    {"External", NULL, "external:text sha256:sha256?"},
    {"StoredFile", NULL, "sha256:sha256 bytes:int"},
    {"PackResult", NULL, "kind:pack| prediction_set:text rows:int new_bytes:int measured:@Measured"},
    {"IndexResult", NULL,
     "kind:index| dataset:text number:int sha256:sha256 rows:int created:bool new_bytes:int measured:@Measured"},
    {"Dataset", "dataset",
     "id:text description:text labels:{text} versions:int latest:@DatasetHead? bytes:int created_by:text "
     "created_at:time links:{text}"},
    {"DatasetHead", NULL, "number:int sha256:sha256"},
    {"DatasetVersion", "dataset_version",
     "dataset:text number:int sha256:sha256 labels:[text] format:safetensors|jsonl rows:int classes:int? bytes:int "
     "fields:[@DatasetField] ids:own|row ids_sha256:sha256 ids_bytes:int created_by:text job:text? created_at:time "
     "links:{text}"},
    {"DatasetField", NULL, "name:text kind:text shape:[int]? rows:int values:int?"},
    {"Resolution", "resolution",
     "dataset:text number:int sha256:sha256 rows:int count:int ids_sha256:sha256 unknown:[text] unknown_total:int"},
    {"ReportSummary", "report_summary",
     "id:text type:text method:text job:text old:text new:text old_version:@VersionName? new_version:@VersionName? "
     "dataset:text n:int values:@ReportNumbers b:int? c:int? p_mid:real? decision:@Verdict? created_by:text "
     "created_at:time links:{text}"},
    {"Verdict", NULL, "id:text verdict:promote|inconclusive|hold"},
    {"ReportNumbers", NULL,
     "nfr:@ReportNumber pfr:@ReportNumber relative_nfr:@ReportNumber accuracy_old:@ReportNumber "
     "accuracy_new:@ReportNumber accuracy_delta:@ReportNumber"},
    {"ReportNumber", NULL, "value:real? interval?:[real]?"},
    {"ContinualReport", "report",
     "id:text type:text method:text job:text old:text new:text old_version:@VersionName? new_version:@VersionName? "
     "dataset:text versions:[@LineVersion] tasks:[@LineTask] matrix:[list] missing:[@LinePlace] updates:[@LineUpdate] "
     "n:int values:object method_record:object warnings:list sha256:sha256 decision:@Verdict? created_by:text "
     "created_at:time files:@ReportFiles links:{text}"},
    {"LineVersion", NULL, "commit:commit version:text memory_bytes:int"},
    {"LineTask", NULL, "name:text random:real? n:int weighted:bool unit:text?"},
    {"LinePlace", NULL, "version:int task:int"},
    {"LineUpdate", NULL, "version:int flips:real? samples:real? nfr:real?"},
    {"CompareReport", "report",
     "id:text type:text method:text job:text old:text new:text old_version:@VersionName? new_version:@VersionName? "
     "dataset:text old_predictions:text new_predictions:text n:int ids:object n_eff:real weighted:bool clusters:any "
     "judge_noise:any cells:object weighted_cells:object? values:object tests:object noise_floor:any slices:int "
     "confusion_flips:list exemplars:object method_record:object warnings:list groups?:list found_slices?:object? "
     "sha256:sha256 decision:@Verdict? created_by:text "
     "created_at:time files:@ReportFiles links:{text}"},
    {"ReportFiles", NULL, "slices:@StoredFile? samples:@StoredFile?"},
    {"ReportSlice", NULL,
     "row:int key:text value:text n:int accuracy_old:real? accuracy_new:real? b:int c:int nfr:real? interval:any "
     "lower95:real? upper95:real? harm:real? p_mid:real? q:real? p_regression:real? delta_lower95:real? "
     "delta_upper95:real? small:bool verdict:text?"},
    {"ReportSample", NULL,
     "row:int id:text cell:both_right|negative|positive|both_wrong changed:bool label:any before:any after:any "
     "lp_before:real? lp_after:real? score_before:real? score_after:real? d:real? k:int slices:{text}"},
    {"HubModel", NULL,
     "_id:text id:text modelId?:text author?:text sha?:text private?:bool gated?:bool disabled?:bool createdAt?:time "
     "lastModified?:time downloads?:int likes?:int tags?:list library_name?:text pipeline_tag?:text cardData?:object "
     "config?:object safetensors?:object usedStorage?:int siblings?:list baseModels?:object childrenModelCount?:int "
     "xetEnabled?:bool"},
    {"HubEntry", NULL, "type:text oid:text size:int path:text lfs?:object lastCommit?:object?"},
    {"HubRefs", NULL, "branches:list converts:list tags:list pullRequests?:list"},
    {"HubCommit", NULL, "id:text title:text message:text authors:list date:time"},
    {"HubUser", NULL, "type:text id:text name:text fullname:text orgs:list auth:object"},
    {"HubValidation", NULL, "errors:list warnings:list"},
    {"HubNothing", NULL, ""},
    {"HubCard", NULL, "content:text"},
    {"HubPaths", NULL, "paths:[text]"},
    {"Gate", "gate", "name:text revision:int policy:@GatePolicy created_at:time created_by:text"},
    {"GatePolicy", NULL, "description:text min_samples:int min_ids_matched:real protected:[@GateKey] rules:[object]"},
    {"GateKey", NULL, "key:text value:text"},
    {"Decision", "decision",
     "id:text gate:text? policy:@GatePolicy? old_model:text? old:text new_model:text? new:text report:text? job:text? "
     "rules:[@DecisionRule] verdict:promote|inconclusive|hold text:text created_at:time created_by:text"},
    {"DecisionRule", NULL,
     "id:text outcome:pass|fail|inconclusive|skipped measure:text? value:real? interval:[real]? bound:text? op:text? "
     "limit:any reason:text? slice:@DecisionSlice? adjusted_p:real? needed_n:int? text:text"},
    {"DecisionSlice", NULL, "key:text value:text n:int"},
    {"Problem", NULL,
     "type:text title:text status:int code:text detail:text instance:text request_id:text retryable:bool "
     "errors:[@Fault] "
     "message:text error:text job?:object decision?:@Decision"},
    {"Fault", NULL, "pointer:text code:text detail:text reason?:text tensor?:text file?:text line?:int"},
};

static const char *const lists[] = {"Problem:ProblemKind",
                                    "Method:Method",
                                    "Model:Model",
                                    "Ref:Ref",
                                    "Version:Version",
                                    "File:File",
                                    "Tensor:Tensor",
                                    "Job:Job",
                                    "RefMove:RefMove",
                                    "Event:Event",
                                    "PredictionSet:PredictionSet",
                                    "Dataset:Dataset",
                                    "DatasetVersion:DatasetVersion",
                                    "Sample:Sample",
                                    "ReportSummary:ReportSummary",
                                    "ReportSlice:ReportSlice",
                                    "ReportSample:ReportSample",
                                    "Gate:Gate",
                                    "Decision:Decision"};

static const char *const arrays[][2] = {
    {"HubModels", "HubModel"}, {"HubEntries", "HubEntry"}, {"HubCommits", "HubCommit"}};

static json_t *plain_type(const char *type, size_t n)
{
    static const char *const map[][2] = {
        {"text", "{\"type\":\"string\"}"},
        {"time", "{\"type\":\"string\",\"format\":\"date-time\"}"},
        {"int", "{\"type\":\"integer\"}"},
        {"real", "{\"type\":\"number\"}"},
        {"bool", "{\"type\":\"boolean\"}"},
        {"commit", "{\"type\":\"string\",\"pattern\":\"^[0-9a-f]{40}$\"}"},
        {"sha256", "{\"type\":\"string\",\"pattern\":\"^[0-9a-f]{64}$\"}"},
        {"object", "{\"type\":\"object\"}"},
        {"list", "{\"type\":\"array\"}"},
    };
    for (size_t i = 0; i < sizeof map / sizeof *map; i++)
        if (strlen(map[i][0]) == n && strncmp(map[i][0], type, n) == 0)
            return json_loads(map[i][1], 0, NULL);
    return json_object(); /* any */
}

/* The parts of `type` between `by`; an empty last one is left out. */
static json_t *each_part(const char *type, size_t n, char by, json_t *(*make)(const char *part, size_t n))
{
    json_t *list = json_array();
    for (size_t i = 0; i < n;) {
        const char *end = memchr(type + i, by, n - i);
        size_t k = end ? (size_t)(end - type) - i : n - i;
        json_array_append_new(list, make(type + i, k));
        i += k + 1;
    }
    return list;
}

static json_t *reference(const char *part, size_t n) /* "@Name" */
{
    char at[120];
    snprintf(at, sizeof at, "#/components/schemas/%.*s", (int)n - 1, part + 1);
    return json_pack("{s:s}", "$ref", at);
}

static json_t *type_schema(const char *type, size_t n)
{
    if (n && type[n - 1] == '?') {
        json_t *o = type_schema(type, n - 1), *kind = json_object_get(o, "type");
        if (json_object_get(o, "enum"))
            json_array_append_new(json_object_get(o, "enum"), json_null());
        if (kind)
            json_object_set_new(o, "type", json_pack("[O, s]", kind, "null"));
        else if (json_object_get(o, "anyOf"))
            json_array_append_new(json_object_get(o, "anyOf"), json_pack("{s:s}", "type", "null"));
        else
            o = json_pack("{s:[o, {s:s}]}", "anyOf", o, "type", "null");
        return o;
    }
    if (type[0] == '[')
        return json_pack("{s:s, s:o}", "type", "array", "items", type_schema(type + 1, n - 2));
    if (type[0] == '{')
        return json_pack("{s:s, s:o}", "type", "object", "additionalProperties", type_schema(type + 1, n - 2));
    if (type[0] == '@')
        return memchr(type, '/', n) ? json_pack("{s:o}", "anyOf", each_part(type, n, '/', reference))
                                    : reference(type, n);
    if (memchr(type, '|', n))
        return json_pack("{s:s, s:o}", "type", "string", "enum", each_part(type, n, '|', json_stringn));
    return plain_type(type, n);
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
        bool optional = k && p[k - 1] == '?';
        snprintf(name, sizeof name, "%.*s", (int)(k - optional), p);
        json_object_set_new(props, name, type_schema(p + k + 1, n - k - 1));
        if (!optional)
            json_array_append_new(required, json_string(name));
        p += n;
    }
    return json_pack("{s:s, s:o, s:o, s:b}", "type", "object", "properties", props, "required", required,
                     "additionalProperties", 0);
}

static json_t *list_schema(const char *of)
{
    char members[120];
    snprintf(members, sizeof members, "data:[@%.60s] has_more:bool next:text?", of);
    return object_schema("list", members);
}

static json_t *register_request(void)
{
    return json_loads("{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"from\"],\"properties\":{"
                      "\"from\":{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"path\"],"
                      "\"properties\":{\"path\":{\"type\":\"string\"}}},"
                      "\"mode\":{\"enum\":[\"copy\",\"move\"],\"default\":\"copy\"},\"branch\":{\"type\":\"string\","
                      "\"default\":\"main\"},\"message\":"
                      "{\"type\":\"string\"},"
                      "\"metadata\":{\"type\":\"object\"}}}",
                      0, NULL);
}

static json_t *export_request(void)
{
    return json_loads(
        "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"path\"],\"properties\":{"
        "\"path\":{\"type\":\"string\",\"description\":\"absolute; its last part is the folder that is made\"},"
        "\"overwrite\":{\"type\":\"boolean\",\"default\":false,\"description\":\"replace an earlier export\"}}}",
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

#define LABELS_PATCH                                                                                                   \
    "\"labels\":{\"type\":\"object\",\"maxProperties\":64,\"additionalProperties\":{\"type\":[\"string\",\"null\"],"   \
    "\"maxLength\":255}}"

static json_t *model_patch(void)
{
    return json_loads("{\"type\":\"object\",\"additionalProperties\":false,\"minProperties\":1,\"properties\":{"
                      "\"description\":{\"type\":\"string\",\"maxLength\":4096}," LABELS_PATCH ","
                      "\"private\":{\"type\":\"boolean\"},"
                      "\"retention\":{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
                      "\"unreferenced_days\":{\"type\":[\"integer\",\"null\"],\"minimum\":0,\"maximum\":36500}}}}}",
                      0, NULL);
}

static json_t *version_patch(void)
{
    return json_loads(
        "{\"type\":\"object\",\"additionalProperties\":false,\"minProperties\":1,\"properties\":{" LABELS_PATCH
        ",\"pinned\":{\"type\":\"boolean\"},"
        "\"note\":{\"type\":[\"string\",\"null\"],\"maxLength\":4096}}}",
        0, NULL);
}

static json_t *task_request(void)
{
    return json_loads("{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"kind\"],\"properties\":{"
                      "\"kind\":{\"enum\":[\"gc\",\"verify\",\"scrub\",\"backup\",\"check\",\"retention\"]},"
                      "\"target\":{\"type\":\"string\",\"description\":\"verify: namespace/name@rev; backup: absolute "
                      "path\"}}}",
                      0, NULL);
}

#define FROM_FORCE                                                                                                     \
    "\"from\":{\"type\":[\"string\",\"null\"],\"description\":\"the revision that the ref points to now; null: it "    \
    "must not "                                                                                                        \
    "exist\"},\"force\":{\"type\":\"boolean\",\"default\":false}"
static json_t *ref_request(void)
{
    return json_loads("{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"to\"],\"properties\":{"
                      "\"to\":{\"type\":\"string\",\"description\":\"a revision of the model\"},"
                      "\"kind\":{\"enum\":[\"branch\",\"tag\",\"alias\"],\"default\":\"alias\"},"
                      "\"reason\":{\"type\":\"string\",\"maxLength\":4096}," FROM_FORCE "}}",
                      0, NULL);
}

static json_t *ref_policy_request(void)
{
    return json_loads("{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"policy\"],\"properties\":{"
                      "\"policy\":{\"type\":\"object\",\"additionalProperties\":false,\"minProperties\":1,"
                      "\"properties\":{\"protected\":{\"type\":\"boolean\"},\"gate\":{\"type\":[\"string\","
                      "\"null\"],\"minLength\":1}}}}}",
                      0, NULL);
}

static json_t *rollback_request(void)
{
    return json_loads("{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"reason\"],\"properties\":{"
                      "\"steps\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":10000,\"default\":1},"
                      "\"to\":{\"type\":\"string\",\"description\":\"a revision that the ref was at; not with steps\"},"
                      "\"reason\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":4096}," FROM_FORCE "}}",
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
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        char of[100];
        snprintf(of, sizeof of, "#/components/schemas/%s", arrays[i][1]);
        json_object_set_new(all, arrays[i][0], json_pack("{s:s, s:{s:s}}", "type", "array", "items", "$ref", of));
    }
    json_object_set_new(all, "Report", type_schema("@CompareReport/@ContinualReport", 31));
    json_object_set_new(all, "OpenAPI", json_pack("{s:s}", "type", "object"));
    json_object_set_new(all, "JsonSchema", json_pack("{s:s}", "type", "object"));
    json_object_set_new(all, "RegisterRequest", register_request());
    json_object_set_new(all, "ExportRequest", export_request());
    json_object_set_new(all, "ModelRequest", model_request());
    json_object_set_new(all, "TaskRequest", task_request());
    json_object_set_new(all, "RefRequest", ref_request());
    json_object_set_new(all, "RefPolicyRequest", ref_policy_request());
    json_object_set_new(all, "RollbackRequest", rollback_request());
    json_object_set_new(all, "GateCheckRequest", am_schema_gate_check());
    json_object_set_new(all, "GatePolicyRequest", am_schema_gate_policy());
    json_object_set_new(all, "ModelPatch", model_patch());
    json_object_set_new(all, "VersionPatch", version_patch());
    json_object_set_new(all, "JobPatch", job_patch());
    json_object_set_new(all, "RerunRequest", rerun_request());
    am_schemas_datasets(all);
    return all;
}
