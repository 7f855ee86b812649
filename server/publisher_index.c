/*
 * publisher_index.c - see publisher_index.h.
 */
#include "server/publisher_index.h"

#include "core/base/clock.h"
#include "core/base/failpoint.h"
#include "core/base/text.h"
#include "server/log.h"
#include "server/publisher_end.h"
#include "server/publisher_staged.h"
#include "storage/blobs.h"
#include "storage/datasets.h"
#include "storage/predictions.h"

#include <stdio.h>
#include <stdlib.h>

enum { ABOUT_MAX = 16 << 20 };

struct indexing {
    const struct am_publication *in;
    struct am_result result;
    const struct am_result_file *content, *ids, *rows; /* content NULL: the upload is the content */
    const char *sha256;                                /* of the content */
    int64_t bytes;
    json_t *about;
    char *about_text, *fields;
    int64_t new_bytes, now;
    /* of the transaction */
    int64_t version, number;
    bool created;
    char *why;
    size_t why_cap;
};

static const char *recipe(const struct indexing *p, const char *name)
{
    return json_string_value(json_object_get(p->in->job->resolved, name));
}

static int find_parts(struct indexing *p)
{
    const struct am_result_file *about = am_staged_file(&p->result, "about.json");
    json_t *resolved = p->in->job->resolved;
    bool gzip = json_is_true(json_object_get(resolved, "gzip"));
    p->content = am_staged_file(&p->result, "content");
    p->ids = am_staged_file(&p->result, "ids.safetensors");
    p->rows = am_staged_file(&p->result, "rows.safetensors");
    if (!p->ids || !p->rows || !about || gzip != (p->content != NULL)) {
        snprintf(p->why, p->why_cap, "the worker left no whole dataset");
        return -AM_E_PUBLISH;
    }
    p->sha256 = gzip ? p->content->sha256 : recipe(p, "sha256");
    p->bytes = gzip ? p->content->bytes : (int64_t)json_integer_value(json_object_get(resolved, "bytes"));
    int rc = am_staged_json(p->in->staging, about, ABOUT_MAX, &p->about, &p->about_text);
    if (rc == -AM_E_PUBLISH)
        snprintf(p->why, p->why_cap, "what the worker left about the dataset cannot be read");
    AM_TRY(rc);
    p->fields = json_dumps(json_object_get(p->about, "fields"), JSON_COMPACT | JSON_ENCODE_ANY);
    return p->fields ? 0 : -AM_E_OUT_OF_MEMORY;
}

/* ---- the transaction ---- */

static int hold_files(struct indexing *p, struct am_db *db, const char *uid)
{
    AM_TRY(am_dataset_hold(db, uid, "content", p->sha256, p->bytes, p->now));
    AM_TRY(am_dataset_hold(db, uid, "ids", p->ids->sha256, p->ids->bytes, p->now));
    return am_dataset_hold(db, uid, "rows", p->rows->sha256, p->rows->bytes, p->now);
}

static int insert_version(struct indexing *p, struct am_db *db, const char *dataset)
{
    const json_t *a = p->about;
    const struct am_dataset_version_new v = {
        .uid = recipe(p, "dataset_version"),
        .dataset = dataset,
        .sha256 = p->sha256,
        .ids_sha256 = p->ids->sha256,
        .format = json_string_value(json_object_get(a, "format")),
        .ids = json_string_value(json_object_get(a, "ids")),
        .rows = json_integer_value(json_object_get(a, "rows")),
        .classes = json_integer_value(json_object_get(a, "classes")),
        .bytes = p->bytes,
        .fields = p->fields,
        .about = p->about_text,
        .created_by = p->in->job->created_by,
        .job = p->in->job->uid,
        .now = p->now,
    };
    if (!v.uid || !v.format || !v.ids || v.rows < 1)
        return -AM_E_PUBLISH;
    int rc = am_dataset_version_insert(db, &v, &p->version);
    if (rc == -AM_E_NOT_FOUND)
        snprintf(p->why, p->why_cap, "the dataset %s was deleted meanwhile", dataset);
    AM_TRY(rc);
    return hold_files(p, db, v.uid);
}

static int name_version(struct indexing *p, struct am_db *db, const char *dataset)
{
    const char *label = recipe(p, "label");
    int rc = label ? am_dataset_version_name(db, p->version, label) : 0;
    if (rc == -AM_E_CONFLICT)
        snprintf(p->why, p->why_cap, "another version of %s has the label %s; choose another one", dataset, label);
    return rc;
}

static int take_number(void *ctx, const struct am_dataset_version_row *v)
{
    ((struct indexing *)ctx)->number = v->number;
    return 0;
}

static int finish_task(struct indexing *p, struct am_db *db, const char *dataset)
{
    json_t *result =
        json_pack("{s:s,s:s,s:I,s:s,s:I,s:b,s:I,s:o}", "kind", "index", "dataset", dataset, "number",
                  (json_int_t)p->number, "sha256", p->sha256, "rows",
                  (json_int_t)json_integer_value(json_object_get(p->about, "rows")), "created", p->created, "new_bytes",
                  (json_int_t)p->new_bytes, "measured", am_publisher_measured(p->in, p->ids->bytes + p->rows->bytes));
    return am_publisher_finish(db, p->in->job->uid, p->in->job, p->now, result);
}

static int write_all(struct am_db *db, void *arg)
{
    struct indexing *p = arg;
    const char *dataset = recipe(p, "dataset");
    p->now = am_now_ms();
    if (!dataset)
        return -AM_E_PUBLISH;
    int rc = am_dataset_version_find(db, dataset, p->sha256, &p->version);
    AM_TRY(rc);
    p->created = rc == 0;
    if (p->created)
        AM_TRY(insert_version(p, db, dataset));
    AM_TRY(name_version(p, db, dataset));
    AM_TRY(am_dataset_version_get(db, p->version, take_number, p));
    return finish_task(p, db, dataset);
}

static int move_files(struct indexing *p)
{
    const struct am_result_file *file[] = {p->ids, p->rows, p->content};
    struct am_blob_move move[3];
    size_t n = p->content ? 3 : 2;
    for (size_t i = 0; i < n; i++)
        move[i] = (struct am_blob_move){.staged = file[i]->staged, .sha256 = file[i]->sha256, .bytes = file[i]->bytes};
    AM_TRY(am_blobs_publish(p->in->store, p->in->staging, move, n, p->why, p->why_cap));
    for (size_t i = 0; i < n; i++) {
        p->new_bytes += move[i].was_there ? 0 : move[i].bytes;
        if (p->in->written)
            atomic_fetch_add(p->in->written, (uint64_t)move[i].bytes);
    }
    return 0;
}

static int publish(struct indexing *p)
{
    AM_TRY(find_parts(p));
    AM_TRY(move_files(p));
    p->why[0] = 0;
    am_failpoint("publish.before_row");
    return am_publisher_write(p->in->store, write_all, p);
}

/* Those that nobody names after all; what is named stays. */
static void forget_files(const struct indexing *p, int rc)
{
    const struct am_result_file *file[] = {p->ids, p->rows, p->content};
    for (size_t i = 0; i < 3 && (rc < 0 || !p->created); i++)
        if (file[i])
            am_prediction_forget(p->in->store, file[i]->sha256);
    const char *upload = recipe(p, "sha256");
    if (rc == 0 && upload && p->content) /* it was let go of with the task's end; failures: engine_finish.c */
        am_prediction_forget(p->in->store, upload);
}

int am_publish_index(const struct am_publication *in, char *why, size_t why_cap)
{
    struct indexing p = {.in = in, .why = why, .why_cap = why_cap};
    why[0] = 0;
    int rc = am_result_read(&p.result, in->staging, in->done, why, why_cap);
    if (rc == 0)
        rc = publish(&p);
    am_blobs_unpin(in->store, in->staging);
    forget_files(&p, rc);
    if (rc < 0 && !why[0])
        snprintf(why, why_cap, "the dataset could not be recorded: %s", am_err_title(rc));
    free(p.about_text);
    free(p.fields);
    json_decref(p.about);
    am_result_done(&p.result);
    bool known =
        rc == 0 || rc == -AM_E_NOT_FOUND || rc == -AM_E_CONFLICT || rc == -AM_E_DISK || rc == -AM_E_STORE_DAMAGED;
    return known ? rc : -AM_E_PUBLISH;
}
