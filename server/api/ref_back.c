/*
 * ref_back.c - POST M/refs/{ref}/rollback: back down the stack of what the ref pointed to (storage/refs.h).
 */
#include "server/api/refs.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/table/members.h"
#include "server/api/idempotency.h"
#include "server/reply.h"

#include <microhttpd.h>

struct back {
    struct am_ref_change c;
    const char *to; /* or NULL */
    int64_t steps;
    const struct am_idem *idem;
};

static int explain(struct back *b, int rc)
{
    struct am_ref_change *c = &b->c;
    if (rc == -AM_E_VERSION_GONE)
        return am_ref_refuse(c, AM_E_VERSION_GONE, b->to ? "#/to" : "#/steps",
                             "the version there was deleted; GET /v1/models/%s/refs/%s/history shows where else it "
                             "can go back to",
                             c->model, c->name);
    if (rc != -AM_E_STACK_EMPTY)
        return rc;
    if (b->to)
        return am_ref_refuse(c, AM_E_STACK_EMPTY, "#/to",
                             "%s has not been at %.100s, or has gone back behind it since; its history shows where it "
                             "has been, PUT moves it anywhere",
                             c->name, b->to);
    return am_ref_refuse(c, AM_E_STACK_EMPTY, "#/steps",
                         "there are not %lld targets of %s to go back on; its history shows them, PUT moves it "
                         "anywhere",
                         (long long)b->steps, c->name);
}

/* What the ref was at may be deleted meanwhile; then no revision names it, and to say that it never was would be false.
 */
static int find_target(struct am_db *db, struct back *b, int64_t *ret)
{
    int rc = am_ref_find(db, &b->c, "#/to", b->to, ret);
    if (rc != -AM_E_REVISION_NOT_FOUND)
        return rc;
    int any = am_version_any(db, b->c.model_row, b->to, ret);
    return any < 0 ? any : any > 0 ? 0 : rc;
}

static int run(struct am_db *db, void *arg)
{
    struct back *b = arg;
    struct am_ref_change *c = &b->c;
    AM_TRY(am_ref_load(db, c));
    if (!c->now.revision)
        return -AM_E_NOT_FOUND;
    AM_TRY(am_ref_check_seen(db, c));
    if (am_streq(c->now.kind, "tag") && !c->force)
        return am_ref_refuse(c, AM_E_CONFLICT, "#/force",
                             "%s is a tag, and a tag does not move; moving it takes \"force\": true", c->name);
    struct am_ref_back back = {.model = c->model_row,
                               .now = am_now_ms(),
                               .name = c->name,
                               .by = "local",
                               .reason = c->reason,
                               .steps = b->steps};
    int rc = b->to ? find_target(db, b, &back.to) : 0;
    rc = rc < 0 ? rc : am_ref_rollback(db, &back);
    if (rc < 0)
        return explain(b, rc);
    AM_TRY(am_ref_answer(db, c));
    return am_idem_keep(db, b->idem, 200, c->answer);
}

static int roll_back(struct am_req *r, const struct am_idem *idem)
{
    static const char *const known[] = {"steps", "to", "from", "reason", "force", NULL};
    struct back b = {.idem = idem};
    struct am_faults f = {0};
    am_ref_change_init(&b.c, r);
    am_members_known(r->json, "#", known, &f);
    b.to = am_member_text(r->json, "#", "to", false, NULL, &f);
    b.steps = am_member_int(r->json, "#", "steps", 1, AM_ROLLBACK_MAX, 1, &f);
    am_ref_change_read(&b.c, true, &f);
    if (json_object_get(r->json, "to") && json_object_get(r->json, "steps"))
        am_fault_add(&f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = "#/steps"}, "give steps or to, not both");
    if (f.n)
        return am_reply_faults(r, &f);
    if (b.to)
        b.steps = 0;
    int rc = am_store_write(r->srv->store, run, &b);
    return rc < 0 ? am_ref_refused(&b.c, rc, "the ref could not be rolled back") : am_reply_ref(r, 200, b.c.answer);
}

static int reply_again(struct am_req *r, json_t *stored)
{
    return am_reply_ref(r, 200, stored);
}

int am_api_ref_rollback(struct am_req *r)
{
    return am_idem_once(r, reply_again, roll_back);
}
