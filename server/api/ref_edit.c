/*
 * ref_edit.c - PATCH M/refs/{ref}: its policy; DELETE M/refs/{ref}: its end, the history stays.
 */
#include "server/api/refs.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/table/members.h"
#include "server/reply.h"

#include <microhttpd.h>
#include <string.h>

struct edit {
    struct am_ref_change c;
    const json_t *is_protected, *gate; /* of the body; NULL: as it is */
};

/* The ref as the caller has seen it, by If-Match alone. */
static int load_seen(struct am_db *db, struct am_ref_change *c)
{
    AM_TRY(am_ref_load(db, c));
    return c->now.revision ? am_ref_check_seen(db, c) : -AM_E_NOT_FOUND;
}

static int patch(struct am_db *db, void *arg)
{
    struct edit *e = arg;
    AM_TRY(load_seen(db, &e->c));
    const char *gate = e->gate ? json_string_value(e->gate) : e->c.now.gate;
    struct am_ref_policy policy = {e->is_protected ? json_is_true(e->is_protected) : e->c.now.is_protected,
                                   gate && gate[0] ? gate : NULL};
    int rc = am_ref_protect(db, e->c.model_row, e->c.name, &policy, am_now_ms(), "local");
    if (rc == -AM_E_NOT_FOUND && policy.gate)
        return am_ref_refuse(&e->c, AM_E_NOT_FOUND, "#/policy/gate",
                             "there is no gate \"%.100s\"; GET /v1/gates lists them", policy.gate);
    AM_TRY(rc);
    return am_ref_answer(db, &e->c);
}

int am_api_ref_patch(struct am_req *r)
{
    static const char *const known[] = {"policy", NULL}, *const known_policy[] = {"protected", "gate", NULL};
    struct edit e = {0};
    struct am_faults f = {0};
    am_ref_change_init(&e.c, r);
    am_members_known(r->json, "#", known, &f);
    json_t *policy = am_member_object(r->json, "#", "policy", true, &f);
    am_members_known(policy, "#/policy", known_policy, &f);
    e.is_protected = json_object_get(policy, "protected");
    e.gate = json_object_get(policy, "gate");
    if (policy && !e.is_protected && !e.gate)
        am_fault_add(&f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = "#/policy/protected"},
                     "required member is missing; give true or false, or a gate");
    am_member_bool(policy, "#/policy", "protected", false, &f);
    if (e.gate && !json_is_null(e.gate) && (!json_is_string(e.gate) || !json_string_length(e.gate)))
        am_fault_add(&f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = "#/policy/gate"},
                     "gate is the name of a gate, or null for none");
    if (f.n)
        return am_reply_faults(r, &f);
    int rc = am_store_write(r->srv->store, patch, &e);
    return rc < 0 ? am_ref_refused(&e.c, rc, "the policy could not be changed") : am_reply_ref(r, 200, e.c.answer);
}

static int end_ref(struct am_db *db, void *arg)
{
    struct edit *e = arg;
    struct am_ref_change *c = &e->c;
    AM_TRY(load_seen(db, c));
    if (am_streq(c->name, "main"))
        return am_ref_refuse(c, AM_E_CONFLICT, "{ref}", "every model has main; it can be moved but not deleted");
    if (c->now.is_protected && !(c->force && c->reason && c->reason[0]))
        return am_ref_refuse(c, AM_E_CONFLICT, "?force", "%s is protected; deleting it takes ?force=true&reason=...",
                             c->name);
    AM_TRY(am_ref_answer(db, c));
    return am_ref_delete(db, c->model_row, c->name, am_now_ms(), "local", c->reason);
}

int am_api_ref_delete(struct am_req *r)
{
    struct edit e = {0};
    const char *force = am_req_query(r, "force");
    am_ref_change_init(&e.c, r);
    e.c.force = am_streq(force, "true");
    e.c.reason = am_req_query(r, "reason");
    if (force && !e.c.force && !am_streq(force, "false"))
        return am_reply_fault(r, AM_E_INVALID_REQUEST, "?force", "force is true or false, not \"%.40s\"", force);
    if (e.c.reason && strlen(e.c.reason) > AM_REASON_MAX)
        return am_reply_fault(r, AM_E_INVALID_REQUEST, "?reason", "a reason has at most %d bytes", AM_REASON_MAX);
    int rc = am_store_write(r->srv->store, end_ref, &e);
    return rc < 0 ? am_ref_refused(&e.c, rc, "the ref could not be deleted") : am_reply_ref(r, 200, e.c.answer);
}
