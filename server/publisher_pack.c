/*
 * publisher_pack.c - see publisher_pack.h. The header is judged here a second time where it names what only the
 * database knows: the version, and a dataset that is kept here, which the rows are joined with.
 */
#include "server/publisher_pack.h"

#include "core/base/clock.h"
#include "core/base/failpoint.h"
#include "core/base/sys.h"
#include "core/base/text.h"
#include "server/join.h"
#include "server/log.h"
#include "server/publisher_end.h"
#include "server/publisher_staged.h"
#include "server/result.h"
#include "storage/blobs.h"
#include "storage/datasets.h"
#include "storage/predictions.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEADER_MAX = 1 << 20 };

struct packing {
    const struct am_publication *in;
    struct am_result result;
    const struct am_result_file *ids, *packed, *head;
    json_t *header;
    char *header_text;
    int64_t rows, distinct, correct, new_bytes, now;
    char dataset[260]; /* "ns/name@v5" of one that is kept here, with its version and SHA-256 */
    char dataset_sha256[65];
    int64_t dataset_version;
    char *why;
    size_t why_cap;
};

static const char *recipe(const struct packing *p, const char *name)
{
    return json_string_value(json_object_get(p->in->job->resolved, name));
}

static int find_parts(struct packing *p)
{
    const struct am_result *r = &p->result;
    p->ids = am_staged_file(r, "ids.safetensors");
    p->packed = am_staged_file(r, "packed.safetensors");
    p->head = am_staged_file(r, "header.json");
    p->rows = am_staged_metric(r, "rows");
    p->distinct = am_staged_metric(r, "ids");
    p->correct = am_staged_metric(r, "correct");
    if (p->ids && p->packed && p->head && p->rows > 0 && p->distinct > 0 && p->head->bytes <= HEADER_MAX)
        return 0;
    snprintf(p->why, p->why_cap, "the worker left no whole prediction set");
    return -AM_E_PUBLISH;
}

static int read_header(struct packing *p)
{
    int rc = am_staged_json(p->in->staging, p->head, HEADER_MAX, &p->header, &p->header_text);
    if (rc != -AM_E_PUBLISH)
        return rc;
    snprintf(p->why, p->why_cap, "the header that the worker left cannot be read");
    return -AM_E_PUBLISH;
}

/* ---- the dataset, when it is kept here ---- */

/* `what` is a model or a dataset; returns rc. */
static int not_here(struct packing *p, int rc, const char *what, const char *text, const char *name, const char *rev)
{
    bool model = am_streq(what, "model");
    if (rc == -AM_E_NOT_FOUND)
        snprintf(p->why, p->why_cap,
                 "line 1: there is no %s %s here; %s it, or name it as one that is elsewhere: {\"external\":\"%s\"}",
                 what, name, model ? "register" : "upload", text);
    else if (rc == -AM_E_REVISION_NOT_FOUND)
        snprintf(p->why, p->why_cap, "line 1: %s has no %s %s; GET /v1/%ss/%s/versions lists them", name,
                 model ? "revision" : "version", rev, what, name);
    return rc;
}

static int find_dataset(struct packing *p, struct am_db *db, const char *text)
{
    char name[520];
    const char *rev = am_rev_split(text, name, sizeof name);
    int rc = am_dataset_resolve(db, name, rev, &p->dataset_version);
    return not_here(p, rc, "dataset", text, name, rev ? rev : "yet");
}

static int open_staged(const struct packing *p, const struct am_result_file *file)
{
    int fd = am_sys_open(p->in->staging, file->staged, O_RDONLY | O_NOFOLLOW, 0);
    return fd < 0 ? -AM_E_PUBLISH : fd;
}

static int join(struct packing *p, struct am_data *s)
{
    int ids_fd AM_CLEANUP(am_sys_closep) = open_staged(p, p->ids);
    int packed_fd AM_CLEANUP(am_sys_closep) = open_staged(p, p->packed);
    const struct am_result *r = &p->result;
    const struct am_join_set set = {.ids_fd = ids_fd,
                                    .packed_fd = packed_fd,
                                    .ids_bytes = (uint64_t)p->ids->bytes,
                                    .packed_bytes = (uint64_t)p->packed->bytes,
                                    .ids = p->distinct,
                                    .rows = p->rows,
                                    .offsets_at = am_staged_metric(r, "offsets_at"),
                                    .bytes_at = am_staged_metric(r, "bytes_at"),
                                    .row_at = am_staged_metric(r, "row_at"),
                                    .y_at = am_staged_metric(r, "y_at"),
                                    .labels = json_object_get(p->header, "labels")};
    if (ids_fd < 0 || packed_fd < 0)
        return -AM_E_PUBLISH;
    return am_join_check(&set, s, p->in->faults, p->why, p->why_cap);
}

static int check_dataset(struct packing *p)
{
    const char *name = json_string_value(json_object_get(p->header, "dataset"));
    struct am_db *db = am_store_read(p->in->store);
    struct am_data s;
    if (!name)
        return 0;
    AM_TRY(db ? find_dataset(p, db, name) : -AM_E_INTERNAL);
    AM_TRY(am_data_open(&s, p->in->store, p->dataset_version, p->why, p->why_cap));
    snprintf(p->dataset, sizeof p->dataset, "%s@v%lld", s.dataset, (long long)s.number);
    snprintf(p->dataset_sha256, sizeof p->dataset_sha256, "%s", s.sha256);
    int rc = join(p, &s);
    am_data_done(&s);
    return rc;
}

/* ---- the transaction ---- */

static int still_there(void *ctx, const struct am_dataset_version_row *v)
{
    (void)v;
    (void)ctx;
    return 0;
}

static int find_version(struct packing *p, struct am_db *db, const char *text, int64_t *ret)
{
    char name[520];
    const char *at = am_rev_split(text, name, sizeof name), *rev = at ? at : "main";
    return not_here(p, am_rev_resolve(db, name, rev, ret, NULL), "model", text, name, rev);
}

static const char *member(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

static int insert_set(struct packing *p, struct am_db *db)
{
    const json_t *h = p->header, *version = json_object_get(h, "version"), *dataset = json_object_get(h, "dataset");
    const char *external = member(version, "external"), *name = external ? external : json_string_value(version);
    struct am_prediction_new row = {.uid = recipe(p, "prediction_set"),
                                    .model = name,
                                    .model_sha256 = member(version, "sha256"),
                                    .dataset = p->dataset_version ? p->dataset : member(dataset, "external"),
                                    .dataset_sha256 =
                                        p->dataset_version ? p->dataset_sha256 : member(dataset, "sha256"),
                                    .dataset_version = p->dataset_version,
                                    .split = member(h, "split"),
                                    .task = member(h, "task"),
                                    .metric = member(h, "metric"),
                                    .n = p->rows,
                                    .ids = p->distinct,
                                    .correct = p->correct,
                                    .columns = am_staged_metric(&p->result, "columns"),
                                    .header = p->header_text,
                                    .job = p->in->job->uid,
                                    .created_by = p->in->job->created_by,
                                    .now = p->now};
    if (!row.uid || !name || !row.dataset || !row.task)
        return -AM_E_PUBLISH;
    if (!external)
        AM_TRY(find_version(p, db, name, &row.version));
    if (p->dataset_version && am_dataset_version_get(db, p->dataset_version, still_there, NULL) < 0) {
        snprintf(p->why, p->why_cap, "%s was deleted meanwhile", p->dataset);
        return -AM_E_NOT_FOUND;
    }
    const struct am_prediction_file packed = {"packed", p->packed->sha256, p->packed->bytes, false},
                                    ids = {"ids", p->ids->sha256, p->ids->bytes, false};
    AM_TRY(am_prediction_hold(db, row.uid, &packed, p->now));
    AM_TRY(am_prediction_hold(db, row.uid, &ids, p->now));
    return am_prediction_insert(db, &row);
}

static int write_all(struct am_db *db, void *arg)
{
    struct packing *p = arg;
    p->now = am_now_ms();
    AM_TRY(insert_set(p, db));
    json_t *result = json_pack("{s:s,s:s,s:I,s:I,s:o}", "kind", "pack", "prediction_set", recipe(p, "prediction_set"),
                               "rows", (json_int_t)p->rows, "new_bytes", (json_int_t)p->new_bytes, "measured",
                               am_publisher_measured(p->in, p->ids->bytes + p->packed->bytes));
    return am_publisher_finish(db, p->in->job->uid, p->in->job, p->now, result);
}

static int move_files(struct packing *p)
{
    struct am_blob_move move[] = {
        {.staged = p->ids->staged, .sha256 = p->ids->sha256, .bytes = p->ids->bytes},
        {.staged = p->packed->staged, .sha256 = p->packed->sha256, .bytes = p->packed->bytes}};
    AM_TRY(am_blobs_publish(p->in->store, p->in->staging, move, 2, p->why, p->why_cap));
    for (size_t i = 0; i < 2; i++)
        p->new_bytes += move[i].was_there ? 0 : move[i].bytes;
    if (p->in->written)
        atomic_fetch_add(p->in->written, (uint64_t)(p->ids->bytes + p->packed->bytes));
    return 0;
}

static int publish(struct packing *p)
{
    AM_TRY(find_parts(p));
    AM_TRY(read_header(p));
    AM_TRY(check_dataset(p));
    AM_TRY(move_files(p));
    p->why[0] = 0;
    am_failpoint("publish.before_row");
    return am_publisher_write(p->in->store, write_all, p);
}

/* What the two files are called, when nobody names them after all. */
static void forget_files(const struct packing *p)
{
    if (p->packed && p->new_bytes > 0) {
        am_prediction_forget(p->in->store, p->packed->sha256);
        am_prediction_forget(p->in->store, p->ids->sha256);
    }
}

int am_publish_pack(const struct am_publication *in, char *why, size_t why_cap)
{
    struct packing p = {.in = in, .why = why, .why_cap = why_cap};
    why[0] = 0;
    int rc = am_result_read(&p.result, in->staging, in->done, why, why_cap);
    if (rc == 0)
        rc = publish(&p);
    am_blobs_unpin(in->store, in->staging);
    if (rc < 0)
        forget_files(&p);
    if (rc < 0 && !why[0])
        snprintf(why, why_cap, "the prediction set could not be recorded: %s", am_err_title(rc));
    free(p.header_text);
    json_decref(p.header);
    am_result_done(&p.result);
    bool known = rc == 0 || rc == -AM_E_NOT_FOUND || rc == -AM_E_REVISION_NOT_FOUND || rc == -AM_E_DISK ||
                 rc == -AM_E_SAMPLES_UNKNOWN || rc == -AM_E_DATASET_MISMATCH || rc == -AM_E_STORE_DAMAGED;
    return known ? rc : -AM_E_PUBLISH;
}

void am_pack_forget(struct am_store *store, const struct am_claim *job)
{
    const char *sha = json_string_value(json_object_get(job->resolved, "sha256"));
    int rc = sha ? am_prediction_forget(store, sha) : 0;
    if (rc < 0) /* the next gc does it */
        am_log(AM_LOG_WARN, "the upload of a failed task could not be removed: job=%s: %s", job->uid, am_err_title(rc));
}
