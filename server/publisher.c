/*
 * publisher.c - files first, then one transaction with version, edges, tags and the job's end (publisher_commit.c). See
 * publisher.h.
 */
#include "server/publisher_parts.h"

#include "core/base/failpoint.h"
#include "core/base/text.h"
#include "server/log.h"
#include "server/move.h"
#include "server/publisher_compare.h"
#include "server/publisher_end.h"
#include "server/publisher_spans.h"
#include "server/publisher_verify.h"
#include "storage/blobs.h"
#include "storage/damage.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- files ---- */

/* Of what a gate found, report and decision are rows, not files. */
static bool is_row(const struct publication *p, const struct am_result_file *f)
{
    return p->gate && am_starts(f->path, AM_GATE_FOLDER) && !am_reporting_stores(f);
}

static size_t list_moves(const struct publication *p, struct am_blob_move *move)
{
    const struct am_result *r = &p->result;
    size_t n = 0;
    for (size_t i = 0; i < r->files; i++)
        if (r->file[i].staged && !is_row(p, &r->file[i]))
            move[n++] = (struct am_blob_move){
                .staged = r->file[i].staged, .sha256 = r->file[i].sha256, .bytes = r->file[i].bytes};
    for (size_t i = 0; i < r->blobs; i++)
        if (r->blob[i].staged)
            move[n++] = (struct am_blob_move){
                .staged = r->blob[i].staged, .sha256 = r->blob[i].sha256, .bytes = r->blob[i].bytes};
    return n;
}

/* The same bytes as a blob that a verify found damaged come as its cure. */
static int see_broken(struct publication *p, struct am_db *db)
{
    for (size_t i = 0; i < p->moves; i++) {
        int rc = am_damage_of_blob(db, p->move[i].sha256);
        AM_TRY(rc);
        p->move[i].broken = rc > 0;
    }
    return 0;
}

static int move_files(struct publication *p, struct am_db *db)
{
    struct am_result *r = &p->result;
    p->move = calloc(r->files + r->blobs + 1, sizeof *p->move);
    if (!p->move)
        return -AM_E_OUT_OF_MEMORY;
    p->moves = list_moves(p, p->move);
    AM_TRY(see_broken(p, db));
    if (p->moves)
        AM_TRY(am_blobs_publish(p->in->store, p->in->staging, p->move, p->moves, p->why, p->why_cap));
    for (size_t i = 0; i < p->moves; i++) {
        p->write_bytes += p->move[i].bytes;
        p->new_bytes += p->move[i].was_there ? 0 : p->move[i].bytes;
    }
    if (p->in->written)
        atomic_fetch_add(p->in->written, (uint64_t)p->write_bytes);
    return 0;
}

/* ---- all of it ---- */

/* A result that is to be the same and is not may come from inputs that are not the same any more. */
static int look_at_inputs(struct publication *p, struct am_db *db)
{
    int rc = am_publication_differs(p, db);
    return rc > 0
               ? am_publisher_doubt(p->in->store, json_object_get(p->in->job->resolved, "inputs"), p->why, p->why_cap)
               : rc;
}

static int publish_result(struct publication *p)
{
    struct am_db *db = am_store_read(p->in->store);
    if (!db)
        return -AM_E_INTERNAL;
    AM_TRY(am_publisher_spans(&p->span, db, json_object_get(p->in->job->resolved, "inputs"), &p->result, p->why,
                              p->why_cap));
    if (json_is_object(json_object_get(p->in->job->resolved, "gate")))
        AM_TRY(am_reporting_read(&p->gate, p->in, &p->result, p->why, p->why_cap));
    if (p->in->verify)
        AM_TRY(am_publisher_verify(p->in->store, p->in->staging, &p->result, p->why, p->why_cap));
    AM_TRY(look_at_inputs(p, db));
    if (!am_publication_is_silent(p))
        AM_TRY(move_files(p, db));
    AM_TRY(am_publisher_warn(p->in->job, &p->result));
    p->why[0] = 0;
    am_failpoint("publish.before_row");
    int rc = am_publisher_write(p->in->store, am_publication_run, p);
    am_failpoint("publish.after_row");
    return rc;
}

/* What a person reads when no step said more. */
static int named(struct publication *p, int rc)
{
    if (rc == 0 || rc == -AM_E_PRECONDITION_FAILED || rc == -AM_E_CONFLICT || rc == -AM_E_NAME_TAKEN ||
        rc == -AM_E_PUBLISH || (rc == -AM_E_STORE_DAMAGED && p->why[0]))
        return rc;
    if (rc == -AM_E_DISK) {
        am_publication_say(p, AM_E_DISK,
                           "the disk filled up while the result was published; free some space and submit again");
        return rc;
    }
    if (!p->why[0])
        am_publication_say(p, AM_E_PUBLISH, "the result could not be recorded: %s", am_err_title(rc));
    return -AM_E_PUBLISH;
}

int am_publish(const struct am_publication *in, char *why, size_t why_cap)
{
    struct publication p = {.in = in, .why = why, .why_cap = why_cap};
    why[0] = 0;
    int rc = am_result_read(&p.result, in->staging, in->done, why, why_cap);
    if (rc == 0)
        rc = publish_result(&p);
    if (in->job->moving && rc < 0)
        am_move_undo(in->job);
    size_t stay = in->job->moving && rc == 0 ? am_move_finish(in->job) : 0;
    if (stay)
        am_log(AM_LOG_WARN,
               "files that were moved into the store could not be removed, or have changed: job=%s files=%zu",
               in->job->uid, stay);
    am_blobs_unpin(in->store, in->staging); /* whatever came of it: the row stands, or nobody names the files */
    free(p.move);
    free(p.span);
    am_reporting_free(p.gate);
    am_result_done(&p.result);
    return named(&p, rc);
}
