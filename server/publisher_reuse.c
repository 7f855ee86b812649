/*
 * publisher_reuse.c - a result that is there already: the same job was done before, so its files are published again
 * and nothing is computed.
 */
#include "server/publisher_parts.h"

#include "core/base/clock.h"
#include "server/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int take_reused(void *ctx, const struct am_file_row *row)
{
    struct publication *p = ctx;
    struct kept *k = reallocarray(p->kept, p->kepts + 1, sizeof *k);
    if (!k)
        return -AM_E_OUT_OF_MEMORY;
    p->kept = k;
    p->kept[p->kepts] = (struct kept){.path = strdup(row->path)};
    return p->kept[p->kepts].path ? am_publication_keep(&p->kept[p->kepts++], row) : -AM_E_OUT_OF_MEMORY;
}

static int take_version(void *ctx, const struct am_version_row *row)
{
    struct publication *p = ctx;
    json_auto_t *warnings = am_json_stored(row->warnings);
    snprintf(p->architecture, sizeof p->architecture, "%s", row->architecture ? row->architecture : "");
    snprintf(p->commit, sizeof p->commit, "%s", row->commit);
    json_array_extend(p->in->job->warnings, warnings);
    return 0;
}

int am_publication_reuse(struct publication *p)
{
    AM_TRY(am_version_get(p->db, p->in->reuse, take_version, p));
    p->as_it_is = p->head == p->in->reuse && !p->detached;
    if (p->as_it_is) {
        p->version = p->in->reuse;
        return 0;
    }
    AM_TRY(am_file_list(p->db, p->in->reuse, take_reused, p));
    p->file = calloc(p->kepts + 1, sizeof *p->file);
    if (!p->file)
        return -AM_E_OUT_OF_MEMORY;
    for (p->files = 0; p->files < p->kepts; p->files++)
        p->file[p->files] = am_publication_kept(&p->kept[p->files], p->kept[p->files].path);
    return 0;
}

static int copy_claim(void *ctx, const struct am_job_row *row)
{
    return am_claim_copy(ctx, row);
}

int am_publish_reused(struct am_db *db, const char *uid, const char *reused_from, int64_t version, char *why,
                      size_t why_cap)
{
    static const struct am_record_done nothing = {.cpu_seconds = -1, .peak_memory_bytes = -1};
    struct am_claim job = {0};
    struct am_publication in = {.job = &job, .done = &nothing, .reuse = version, .reused_from = reused_from};
    struct publication p = {.in = &in, .why = why, .why_cap = why_cap};
    enum am_job_state state;
    why[0] = 0;
    AM_TRY(am_job_state_get(db, uid, &state));
    if (state == AM_QUEUED)
        AM_TRY(am_job_finish(db, uid, AM_RUNNING, am_now_ms(), NULL, NULL, NULL));
    int rc = am_job_get(db, uid, copy_claim, &job);
    if (rc == 0)
        rc = am_claim_parse(&job, why, why_cap);
    if (rc == 0)
        rc = am_publication_run(db, &p);
    am_claim_done(&job);
    return rc;
}
