/*
 * commit.c - a new version: its row, files and edges, its id, and the move of its branch; all inside the caller's
 * transaction.
 */
#include "storage/db.h"
#include "storage/events.h"
#include "storage/models_priv.h"

#include "core/base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 100000

struct commit {
    const struct am_version_new *v;
    char model[200], parent_hex[41];
    int64_t parent, parent_number; /* number 0: the empty commit */
    bool on_branch, branch_is_new, on_main;
    const struct am_file_new **file; /* sorted by path */
    int64_t *layout;                 /* of file[i] */
    int64_t bytes, new_bytes;
    struct am_record_out record;
};

static void commit_done(struct commit *c)
{
    free(c->file);
    free(c->layout);
    free(c->record.text);
}

static int by_path(const void *a, const void *b)
{
    const struct am_file_new *const *x = a, *const *y = b;
    return strcmp((*x)->path, (*y)->path);
}

static int check_file(const struct am_file_new *f)
{
    bool good = f->path && am_file_path_ok(f->path) && f->sha256 && am_is_hex(f->sha256, AM_SHA256_LEN) &&
                f->bytes >= 0 && (!f->git_sha1 || am_is_hex(f->git_sha1, 40));
    return good ? 0 : -AM_E_INVALID_REQUEST;
}

static int sort_files(struct commit *c)
{
    size_t n = c->v->files;
    if (n > FILES_MAX)
        return -AM_E_TOO_LARGE;
    c->file = calloc(n + 1, sizeof *c->file);
    c->layout = calloc(n + 1, sizeof *c->layout);
    if (!c->file || !c->layout)
        return -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; i < n; i++) {
        AM_TRY(check_file(&c->v->file[i]));
        c->file[i] = &c->v->file[i];
        if (__builtin_add_overflow(c->bytes, c->file[i]->bytes, &c->bytes))
            return -AM_E_TOO_LARGE;
    }
    qsort(c->file, n, sizeof *c->file, by_path);
    for (size_t i = 1; i < n; i++) {
        if (am_streq(c->file[i - 1]->path, c->file[i]->path))
            return -AM_E_INVALID_REQUEST;
    }
    return 0;
}

/* The version it is put on: head of the branch; of main when the branch is new or there is none. */
static int find_parent(struct am_db *db, struct commit *c)
{
    char kind[16] = "";
    if (c->v->branch) {
        AM_TRY(am_ref_look(db, c->v->model, c->v->branch, &c->parent, kind));
        if (c->parent && !am_streq(kind, "branch"))
            return -AM_E_CONFLICT;
        c->on_branch = true;
        c->branch_is_new = c->parent == 0;
        c->on_main = am_streq(c->v->branch, "main");
    }
    if (!c->parent)
        AM_TRY(am_ref_look(db, c->v->model, "main", &c->parent, kind));
    AM_STMT st = am_db_bind(
        db,
        "SELECT lower(hex(v.oid)), ifnull(v.number, -1), m.name FROM version v JOIN model m ON m.id = v.model"
        " WHERE v.id = ?1",
        "i", c->parent);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_NOT_FOUND;
    snprintf(c->parent_hex, sizeof c->parent_hex, "%s", am_col_text(st, 0));
    c->parent_number = sqlite3_column_int64(st, 1);
    snprintf(c->model, sizeof c->model, "%s", am_col_text(st, 2));
    return 0;
}

static int insert_row(struct am_db *db, const struct commit *c, int64_t number, int64_t *ret_id)
{
    const struct am_version_new *v = c->v;
    unsigned char oid[20], manifest[32];
    AM_TRY(am_unhex(c->record.commit, sizeof oid, oid));
    AM_TRY(am_unhex(c->record.manifest, sizeof manifest, manifest));
    AM_TRY(am_db_exec(
        db,
        "INSERT INTO version (model, oid, number, parent, created_at, created_by, message, job, type, method,"
        " manifest_sha256, recipe, warnings, architecture, record, files, bytes, new_bytes) VALUES (?1, ?2,"
        " iif(?3 < 0, NULL, ?3), nullif(?4, 0), ?5, ifnull(?6, '-'), ?7, ?8, ?9, ?10, ?11, ?12, ifnull(?13, '[]'),"
        " ?14, ?15, ?16, ?17, ?18)",
        "ibiiitttttbttttiii", v->model, oid, sizeof oid, number, c->parent, v->now, v->created_by,
        v->message ? v->message : "", v->job, v->type, v->method, manifest, sizeof manifest, v->recipe, v->warnings,
        v->architecture, c->record.text, (int64_t)v->files, c->bytes, c->new_bytes));
    *ret_id = am_db_last_id(db);
    return 0;
}

static int insert_files(struct am_db *db, const struct commit *c, int64_t id)
{
    for (size_t i = 0; i < c->v->files; i++) {
        const struct am_file_new *f = c->file[i];
        unsigned char sha1[20];
        if (f->git_sha1)
            AM_TRY(am_unhex(f->git_sha1, sizeof sha1, sha1));
        AM_TRY(am_db_exec(db, "INSERT INTO file (version, path, layout, git_sha1, weights) VALUES (?1, ?2, ?3, ?4, ?5)",
                          "itibi", id, f->path, c->layout[i], f->git_sha1 ? sha1 : NULL, sizeof sha1,
                          (int64_t)f->weights));
    }
    return 0;
}

/* One version may be an input twice (a model merged with itself): one edge with the sum of the weights. SQLite stores a
   NaN as NULL. */
static int insert_edge(struct am_db *db, int64_t child, const struct am_edge_new *e)
{
    return am_db_exec(db,
                      "INSERT INTO edge (child, parent, role, weight, trust) VALUES (?1, ?2, ?3, ?4, ?5)"
                      " ON CONFLICT DO UPDATE SET weight = weight + excluded.weight",
                      "iitrr", child, e->parent, e->role, e->weight, e->trust);
}

static int insert_edges(struct am_db *db, const struct commit *c, int64_t id)
{
    for (size_t i = 0; i < c->v->edges; i++)
        AM_TRY(insert_edge(db, id, &c->v->edge[i]));
    if (!c->on_branch || c->parent_number == 0)
        return 0;
    return insert_edge(db, id,
                       &(struct am_edge_new){.parent = c->parent, .role = "commit", .weight = NAN, .trust = NAN});
}

static int move_branch(struct am_db *db, const struct commit *c, int64_t id)
{
    const struct am_version_new *v = c->v;
    if (!c->on_branch)
        return 0;
    if (c->branch_is_new)
        return am_ref_set(db, v->model, v->branch, "branch", id, v->now, v->created_by, "commit", v->job);
    return am_ref_step(db, &(struct am_ref_step){.model = v->model,
                                                 .from = c->parent,
                                                 .to = id,
                                                 .now = v->now,
                                                 .name = v->branch,
                                                 .kind = "branch",
                                                 .by = v->created_by,
                                                 .reason = "commit",
                                                 .job = v->job});
}

/* The sum in the model's row, and what the model reads from each blob. */
static int count_in_model(struct am_db *db, const struct commit *c)
{
    int64_t model = c->v->model;
    for (size_t i = 0; i < c->v->files; i++)
        AM_TRY(am_db_exec(db,
                          "INSERT INTO model_blob (model, blob, named)"
                          " SELECT ?1, blob, sum(bytes) FROM span WHERE layout = ?2 GROUP BY blob"
                          " ON CONFLICT DO UPDATE SET named = excluded.named WHERE excluded.named > named",
                          "ii", model, c->layout[i]));
    return am_db_exec(
        db, "UPDATE model SET versions = versions + 1, logical_bytes = logical_bytes + ?2, rev = rev + 1 WHERE id = ?1",
        "ii", model, c->bytes);
}

static int put_event(struct am_db *db, const struct commit *c, int64_t number)
{
    const struct am_version_new *v = c->v;
    char subject[260];
    snprintf(subject, sizeof subject, "%s@%s", c->model, c->record.commit);
    AM_STMT st = am_db_bind(db, "SELECT json_object('commit', ?1, 'number', iif(?2 < 0, NULL, ?2), 'branch', ?3)",
                            "tit", c->record.commit, number, v->branch);
    int rc = am_db_row(st);
    if (rc <= 0)
        return rc < 0 ? rc : -AM_E_INTERNAL;
    return am_event_put(db, &(struct am_event_new){.at = v->now,
                                                   .type = "model.version_created",
                                                   .job = v->job,
                                                   .subject = subject,
                                                   .model = c->model,
                                                   .revision = 1,
                                                   .data = am_col_text(st, 0)});
}

static int run(struct am_db *db, struct commit *c, int64_t *ret_id)
{
    const struct am_version_new *v = c->v;
    AM_TRY(sort_files(c));
    AM_TRY(find_parent(db, c));
    for (size_t i = 0; i < v->files; i++)
        AM_TRY(am_layout_take(db, c->file[i], v->now, &c->layout[i], &c->new_bytes));
    struct am_record r = {.model = c->model,
                          .parent = c->parent_hex,
                          .author = v->created_by,
                          .job = v->job,
                          .message = v->message ? v->message : "",
                          .now = v->now,
                          .file = c->file,
                          .files = v->files};
    AM_TRY(am_record_make(&r, &c->record));
    int64_t id = 0, number = -1;
    if (c->on_main) /* not the head's plus one: main may have been moved back, and a number is never given twice */
        AM_TRY(am_db_int(db, &number, "SELECT max(number) + 1 FROM version WHERE model = ?1", "i", v->model));
    AM_TRY(insert_row(db, c, number, &id));
    if (v->job) /* its row is in the same database, so nobody has to carry the text here */
        AM_TRY(am_db_exec(db,
                          "UPDATE version SET metadata = ifnull((SELECT metadata FROM job WHERE uid = ?2), '{}')"
                          " WHERE id = ?1",
                          "it", id, v->job));
    AM_TRY(insert_files(db, c, id));
    AM_TRY(insert_edges(db, c, id));
    AM_TRY(put_event(db, c, number));
    AM_TRY(move_branch(db, c, id));
    AM_TRY(count_in_model(db, c));
    *ret_id = id;
    return 0;
}

int am_version_insert(struct am_db *db, const struct am_version_new *v, int64_t *ret_id, char *ret_commit)
{
    AM_CLEANUP(commit_done) struct commit c = {.v = v};
    AM_TRY(run(db, &c, ret_id));
    memcpy(ret_commit, c.record.commit, sizeof c.record.commit);
    return 0;
}

int am_version_empty(struct am_db *db, int64_t model, const char *name, const char *by, int64_t now, int64_t *ret)
{
    struct am_version_new v = {.model = model, .created_by = by, .message = "initial commit", .now = now};
    AM_CLEANUP(commit_done) struct commit c = {.v = &v};
    struct am_record r = {.model = name, .author = by, .message = v.message, .now = now};
    AM_TRY(am_record_make(&r, &c.record));
    return insert_row(db, &c, 0, ret);
}
