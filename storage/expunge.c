/*
 * expunge.c - the second phase of deleting (life.h): a version loses its files. A content that no file has any more
 * goes with its spans and tensors; the blobs themselves are for the collector.
 */
#include "storage/db.h"
#include "storage/events_priv.h"
#include "storage/life.h"
#include "storage/models_priv.h"

#include "core/base/grow.h"

#include <stdlib.h>
#include <string.h>

#define SHA 32

struct hashes {
    unsigned char (*v)[SHA];
    size_t n, cap;
};

static void hashes_done(struct hashes *h)
{
    free(h->v);
}

static int blobs_of(struct am_db *db, int64_t version, struct hashes *h)
{
    AM_STMT st = am_db_bind(
        db, "SELECT DISTINCT s.blob FROM file f JOIN span s ON s.layout = f.layout WHERE f.version = ?1", "i", version);
    int rc;
    while ((rc = am_db_row(st)) > 0) {
        AM_TRY(am_grow(&h->v, h->n, &h->cap, sizeof *h->v));
        memcpy(h->v[h->n++], sqlite3_column_blob(st, 0), SHA);
    }
    return rc;
}

int am_blob_recount(struct am_db *db, const void *sha, int64_t model)
{
    size_t n = SHA;
    AM_TRY(am_db_exec(db, "DELETE FROM model_blob WHERE blob = ?1 AND (?2 = 0 OR model = ?2)", "bi", sha, n, model));
    return am_db_exec(
        db,
        "INSERT INTO model_blob (model, blob, named) SELECT model, ?1, max(n) FROM (SELECT v.model AS model,"
        " sum(s.bytes) AS n FROM span s JOIN file f ON f.layout = s.layout JOIN version v ON v.id ="
        " f.version WHERE s.blob = ?1 AND (?2 = 0 OR v.model = ?2) GROUP BY f.version, f.path)"
        " GROUP BY model",
        "bi", sha, n, model);
}

/* Contents without a file: one statement a table, over the layouts that this version had. */
static int drop_layouts(struct am_db *db, int64_t version)
{
    static const char *const sql[] = {
        "CREATE TEMP TABLE IF NOT EXISTS dropped (layout INTEGER PRIMARY KEY) STRICT",
        "DELETE FROM temp.dropped",
    };
    for (size_t i = 0; i < sizeof sql / sizeof *sql; i++)
        AM_TRY(am_db_exec(db, sql[i], ""));
    AM_TRY(am_db_exec(db,
                      "INSERT INTO temp.dropped SELECT DISTINCT layout FROM file f WHERE version = ?1 AND NOT EXISTS"
                      " (SELECT 1 FROM file o WHERE o.layout = f.layout AND o.version <> ?1)"
                      " AND NOT EXISTS (SELECT 1 FROM prediction_file p WHERE p.layout = f.layout)"
                      " AND NOT EXISTS (SELECT 1 FROM dataset_file d WHERE d.layout = f.layout)"
                      " AND NOT EXISTS (SELECT 1 FROM report_file p WHERE p.layout = f.layout)",
                      "i", version));
    AM_TRY(am_db_exec(db, "DELETE FROM file WHERE version = ?1", "i", version));
    AM_TRY(am_db_exec(db, "DELETE FROM tensor WHERE layout IN (SELECT layout FROM temp.dropped)", ""));
    AM_TRY(am_db_exec(db, "DELETE FROM span WHERE layout IN (SELECT layout FROM temp.dropped)", ""));
    return am_db_exec(db, "DELETE FROM layout WHERE id IN (SELECT layout FROM temp.dropped)", "");
}

int am_version_expunge(struct am_db *db, int64_t version, int64_t now)
{
    AM_CLEANUP(hashes_done) struct hashes h = {0};
    int64_t model = 0;
    int rc = am_db_int(db, &model,
                       "SELECT v.model FROM version v JOIN model m ON m.id = v.model WHERE v.id = ?1 AND v.gone_at IS"
                       " NULL AND (v.deleted_at IS NOT NULL OR m.deleted_at IS NOT NULL)",
                       "i", version);
    if (rc <= 0)
        return rc;
    AM_TRY(blobs_of(db, version, &h));
    AM_TRY(drop_layouts(db, version));
    for (size_t i = 0; i < h.n; i++)
        AM_TRY(am_blob_recount(db, h.v[i], model));
    /* what was deleted by itself counts no more in its model already */
    AM_TRY(am_db_exec(db,
                      "UPDATE model SET rev = rev + 1, versions = versions - 1, logical_bytes = logical_bytes -"
                      " (SELECT bytes FROM version WHERE id = ?1) WHERE id = ?2 AND EXISTS (SELECT 1 FROM version"
                      " WHERE id = ?1 AND deleted_at IS NULL AND number IS NOT 0)",
                      "ii", version, model));
    AM_TRY(am_db_exec(db,
                      "UPDATE version AS v SET gone_at = ?2, rev = v.rev + 1, deleted_at = ifnull(v.deleted_at,"
                      " m.deleted_at), deleted_by = ifnull(v.deleted_by, m.deleted_by), deleted_reason ="
                      " ifnull(v.deleted_reason, m.deleted_reason) FROM model m WHERE v.id = ?1 AND m.id = v.model",
                      "ii", version, now));
    return am_event_life(db, &(struct am_life_event){.at = now, .version = version, .type = "model.purged"});
}

int am_model_expunge(struct am_db *db, int64_t model, int64_t now)
{
    int64_t empty = 0;
    int rc = am_db_int(db, &empty,
                       "SELECT v.id FROM model m JOIN version v ON v.model = m.id AND v.number = 0 WHERE m.id = ?1 AND"
                       " m.deleted_at IS NOT NULL AND m.gone_at IS NULL AND NOT EXISTS (SELECT 1 FROM version o WHERE"
                       " o.model = m.id AND o.gone_at IS NULL AND o.number IS NOT 0)",
                       "i", model);
    if (rc <= 0)
        return rc;
    /* with their revisions: a ref made anew under a freed name goes on from there. The stack of main starts over */
    AM_TRY(
        am_db_exec(db,
                   "INSERT INTO ref_move (model, name, kind, from_version, to_version, at, actor, reason, rev)"
                   " SELECT model, name, iif(name = 'main', 'move', 'delete'), version, iif(name = 'main', ?2, NULL),"
                   " ?3, 'housekeeping', 'the model was deleted', rev + 1 FROM ref WHERE model = ?1 AND (name <> "
                   "'main' OR version <> ?2)",
                   "iii", model, empty, now));
    AM_TRY(am_db_exec(db, "DELETE FROM ref WHERE model = ?1 AND name <> 'main'", "i", model));
    AM_TRY(am_db_exec(db,
                      "UPDATE ref SET version = ?2, rev = rev + 1, moved_at = ?3, moved_by = 'housekeeping',"
                      " reason = 'the model was deleted' WHERE model = ?1 AND version <> ?2",
                      "iii", model, empty, now));
    AM_TRY(am_db_exec(db, "UPDATE model SET gone_at = ?2, rev = rev + 1 WHERE id = ?1", "ii", model, now));
    AM_TRY(am_event_life(db, &(struct am_life_event){.at = now, .model = model, .type = "model.purged"}));
    return 1;
}

static int take_ids(sqlite3_stmt *bound, int64_t *ret_ids, int *ret_n)
{
    AM_STMT st = bound;
    int rc, n = 0;
    while ((rc = am_db_row(st)) > 0)
        ret_ids[n++] = sqlite3_column_int64(st, 0);
    if (rc == 0)
        *ret_n = n;
    return rc;
}

int am_expunge_due(struct am_db *db, int64_t before, int64_t after, int limit, int64_t *ret_ids, int *ret_n)
{
    return take_ids(am_db_bind(db,
                               "SELECT id FROM version INDEXED BY version_deleted WHERE deleted_at <= ?1 AND gone_at "
                               "IS NULL AND id > ?2 UNION"
                               " SELECT v.id FROM model m INDEXED BY model_deleted CROSS JOIN version v ON v.model = "
                               "m.id WHERE m.deleted_at <= ?1"
                               " AND m.gone_at IS NULL AND v.gone_at IS NULL AND v.number IS NOT 0 AND v.id > ?2"
                               " ORDER BY 1 LIMIT ?3",
                               "iii", before, after, (int64_t)limit),
                    ret_ids, ret_n);
}

int am_models_due(struct am_db *db, int64_t before, int limit, int64_t *ret_ids, int *ret_n)
{
    return take_ids(am_db_bind(db,
                               "SELECT m.id FROM model m WHERE m.deleted_at <= ?1 AND m.gone_at IS NULL AND NOT EXISTS"
                               " (SELECT 1 FROM version v WHERE v.model = m.id AND v.gone_at IS NULL AND v.number IS"
                               " NOT 0) LIMIT ?2",
                               "ii", before, (int64_t)limit),
                    ret_ids, ret_n);
}
