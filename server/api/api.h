/*
 * api.h - the handlers, one file a resource; server/routes.c names them. Each answers its request by reply.h.
 */
#ifndef AM_SERVER_API_API_H
#define AM_SERVER_API_API_H

#include "core/base/fault.h"
#include "server/http.h"
#include "server/json.h"
#include "storage/jobs.h"
#include "storage/models.h"

/* service.c */
int am_api_index(struct am_req *r);
int am_api_version(struct am_req *r);
int am_api_livez(struct am_req *r);
int am_api_readyz(struct am_req *r);
int am_api_openapi(struct am_req *r);
int am_api_schema(struct am_req *r);
int am_api_problems(struct am_req *r);
int am_api_problem(struct am_req *r);
int am_api_methods(struct am_req *r);
int am_api_method(struct am_req *r);
int am_api_method_schema(struct am_req *r);
int am_api_queue(struct am_req *r);
/* metrics.c */
int am_api_metrics(struct am_req *r);
/* models.c */
int am_api_models(struct am_req *r);
int am_api_model_create(struct am_req *r);
int am_api_model(struct am_req *r);
/* refs.c, ref_put.c, ref_edit.c, ref_back.c */
int am_api_refs(struct am_req *r);
int am_api_ref(struct am_req *r);
int am_api_ref_history(struct am_req *r);
int am_api_ref_put(struct am_req *r);
int am_api_ref_patch(struct am_req *r);
int am_api_ref_delete(struct am_req *r);
int am_api_ref_rollback(struct am_req *r);
/* versions.c */
int am_api_versions(struct am_req *r);
int am_api_version_get(struct am_req *r);
int am_api_recipe(struct am_req *r);
int am_api_tensors(struct am_req *r);
/* diff.c */
int am_api_diff(struct am_req *r);
/* export.c */
int am_api_export(struct am_req *r);
/* card.c */
int am_api_card(struct am_req *r);
/* patch.c */
int am_api_model_patch(struct am_req *r);
int am_api_version_patch(struct am_req *r);
/* life.c */
int am_api_model_delete(struct am_req *r);
int am_api_model_restore(struct am_req *r);
int am_api_version_delete(struct am_req *r);
int am_api_version_restore(struct am_req *r);
/* register.c */
int am_api_register(struct am_req *r);
/* files.c */
int am_api_files(struct am_req *r);
int am_api_file(struct am_req *r);
int am_api_content(struct am_req *r);
int am_api_resolve(struct am_req *r);
/* hub.c, hub_model.c, hub_tree.c, hub_refs.c, files.c: the Hugging Face Hub's protocol */
int am_api_hub_raw(struct am_req *r);
int am_api_hub_models(struct am_req *r);
int am_api_hub_model(struct am_req *r);
int am_api_hub_tree(struct am_req *r);
int am_api_hub_paths_info(struct am_req *r);
int am_api_hub_refs(struct am_req *r);
int am_api_hub_commits(struct am_req *r);
int am_api_hub_auth_check(struct am_req *r);
int am_api_hub_whoami(struct am_req *r);
int am_api_hub_validate(struct am_req *r);
/* A path without a route that a Hub client may ask for: queues its 404 with the code that the client needs. */
bool am_api_hub_missing(struct am_req *r, const char *path, int *ret_queued);
/* lineage.c */
int am_api_lineage(struct am_req *r);
/* openlineage.c: the graph as run events; by_id: commit -> node. */
int am_reply_openlineage(struct am_req *r, struct am_db *db, json_t *nodes, json_t *edges, json_t *by_id);
/* events.c */
int am_api_events(struct am_req *r);
int am_api_job_events(struct am_req *r);
int am_api_events_stream(struct am_req *r);
int am_api_job_events_stream(struct am_req *r);
/* jobs.c, job_log.c, submit.c */
int am_api_jobs(struct am_req *r);
int am_api_job(struct am_req *r);
int am_api_job_cancel(struct am_req *r);
int am_api_job_log(struct am_req *r);
int am_api_job_submit(struct am_req *r);
/* job_filter.c: the query of a list of jobs. false: an answer was queued. `f` borrows from the request. */
bool am_job_filter_read(struct am_req *r, struct am_job_filter *f, int *ret_queued);
/* job_patch.c */
int am_api_job_patch(struct am_req *r);
/* again.c */
int am_api_job_retry(struct am_req *r);
int am_api_job_rerun(struct am_req *r);
/* plans.c */
int am_api_plan(struct am_req *r);

/* predictions.c, predictions_push.c, predictions_content.c */
int am_api_predictions(struct am_req *r);
int am_api_prediction(struct am_req *r);
int am_api_prediction_delete(struct am_req *r);
int am_api_prediction_push(struct am_req *r);
int am_api_prediction_content(struct am_req *r);

/* reports.c, report_rows.c */
int am_api_reports(struct am_req *r);
int am_api_report(struct am_req *r);
int am_api_report_delete(struct am_req *r);
int am_api_report_slices(struct am_req *r);
int am_api_report_samples(struct am_req *r);

/* datasets.c, dataset_edit.c, dataset_versions.c, dataset_push.c, dataset_samples.c, dataset_resolve.c */
int am_api_datasets(struct am_req *r);
int am_api_dataset_create(struct am_req *r);
int am_api_dataset(struct am_req *r);
int am_api_dataset_patch(struct am_req *r);
int am_api_dataset_delete(struct am_req *r);
int am_api_dataset_versions(struct am_req *r);
int am_api_dataset_push(struct am_req *r);
int am_api_dataset_version(struct am_req *r);
int am_api_dataset_version_delete(struct am_req *r);
int am_api_dataset_content(struct am_req *r);
int am_api_dataset_samples(struct am_req *r);
int am_api_dataset_resolve(struct am_req *r);

/* gates.c, gate_check.c */
int am_api_gates(struct am_req *r);
int am_api_gate(struct am_req *r);
int am_api_gate_put(struct am_req *r);
int am_api_gate_delete(struct am_req *r);
int am_api_gate_revisions(struct am_req *r);
int am_api_gate_check(struct am_req *r);
/* decisions.c */
int am_api_decisions(struct am_req *r);
int am_api_decision(struct am_req *r);

/* admin.c */
int am_api_task_create(struct am_req *r);
int am_api_version_verify(struct am_req *r);

/* ---- shared by the handlers ---- */

json_t *am_json_list(json_t *data /* stolen */, const char *next /* cursor or NULL */);
/* A page of a list is asked for: ?limit=, at most 100, and ?after=, a number (0: not given; ret_after NULL: the handler
   reads it). The connection to read it from; NULL: a problem was queued. */
struct am_db *am_page_reader(struct am_req *r, int64_t *ret_limit, int64_t *ret_after, int *ret_queued);
/* 200 with a page: `data` (stolen) has at most `limit` + 1 entries, and one too many says that there is more. The
   cursor is member `key` of the last one shown, a text or a number. For rc < 0 the error: `what`, a plural, could not
   be listed. */
int am_reply_page(struct am_req *r, int rc, json_t *data, int64_t limit, const char *key, const char *what);
/* The same for rows, newest first, whose ids the entries do not show: the cursor names the ids below it. */
struct am_rows {
    json_t *data;
    int64_t last; /* id of the row of the last entry */
};
int am_rows_add(struct am_rows *rows, int64_t id, json_t *entry /* stolen; NULL: memory is short */);
int am_reply_rows(struct am_req *r, int rc, struct am_rows *rows /* data is stolen */, int64_t limit, const char *what);
/* 404, which says of a model that is deleted what can be done. */
int am_reply_no_model(struct am_req *r, const char *name);
/* For the negative error of reading the job arg[0]: there is none, or the database failed. */
int am_reply_no_job(struct am_req *r, int rc);

/* "ns/name" of the first two arguments of the route into `out` (room for 200). */
void am_model_id(const struct am_req *r, char out[200]);
/* Finds the version that arg[2] names in that model. 0, or a problem was queued in *ret_queued. */
int am_find_version(struct am_req *r, int64_t *ret_version, bool *ret_fixed, int *ret_queued);
/* A read connection of this thread; NULL: a problem was queued. */
struct am_db *am_reader(struct am_req *r, int *ret_queued);
/* false: the database is known to be damaged, so nothing new is accepted, and a problem was queued. */
bool am_accepts_jobs(struct am_req *r, int *ret_queued);

json_t *am_model_json(const struct am_config *cfg, struct am_db *db, const struct am_model_row *m);
/* Their ETags, without quotes; `out` has room for AM_ETAG. */
#define AM_ETAG 80
void am_version_etag(const struct am_config *cfg, const struct am_version_row *v, char out[AM_ETAG]);
void am_model_etag(const struct am_model_row *m, char out[AM_ETAG]);
/* A version as its own route shows it: what a list says of it, and what it was compared with. A new reference. */
int am_version_read(const struct am_config *cfg, struct am_db *db, int64_t version, json_t **ret, char etag[AM_ETAG]);
/* One of them, read now, with its ETag: 200. */
int am_reply_version(struct am_req *r, int64_t version);
int am_reply_model(struct am_req *r, const char *name);

/* What the body that makes a model or a dataset says of either, judged; borrowed from it. */
struct am_about {
    const char *id, *description;
    json_t *labels; /* NULL: none */
};
struct am_about am_about_read(json_t *body, struct am_faults *f); /* patch.c */
void am_description_check(const char *text, struct am_faults *f); /* patch.c; text may be NULL */

/* labels.c: faults at "#/labels/<name>"; may_remove: a label may be null. */
void am_labels_check(json_t *labels, bool may_remove, struct am_faults *f);
/* Stored labels with the changes of a PATCH, for free(). -AM_E_TOO_LARGE: too many. */
int am_labels_merge(const char *stored, json_t *changes, char **ret);
/* ?label.k=v of the request as am_model_filter wants them (NULL: none), for free(); false: a fault, and an answer was
   queued. */
bool am_labels_wanted(struct am_req *r, char **ret, int *ret_queued);

/* life.c: a sentence about a model that is deleted and not gone, with what can be done; "" when it is not. */
void am_model_deleted(struct am_req *r, struct am_db *db, const char *name, char *out, size_t cap);
/* The same for a version, or its model. */
void am_version_deleted(struct am_req *r, struct am_db *db, const char *model, const char *rev, char *out, size_t cap);
/* The job as an object, or NULL. *ret_etag (room for 64) for conditional requests. */
json_t *am_job_load(struct am_req *r, struct am_db *db, const char *uid, char *ret_etag);
json_t *am_progress_json(const struct am_progress *p); /* jobs.c */
/* 202 with a job that was queued just now, or then; after its end where Prefer: wait=n asks for that. The last call of
   a handler. */
int am_reply_accepted(struct am_req *r, json_t *job /* stolen */);

/* Class of a stored file and its ETag: git SHA-1 for regular files, SHA-256 for class lfs. */
const char *am_file_etag(const struct am_file_row *f);

#endif
