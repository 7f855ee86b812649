/*
 * ref_change.c - what every change of a ref shares (refs.h): what the caller has seen of it against what it is, on the
 * writer, so that of two at once the second one is told.
 */
#include "server/api/refs.h"

#include "core/base/text.h"
#include "core/table/members.h"
#include "server/reply.h"
#include "server/routes.h"

#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void am_ref_change_init(struct am_ref_change *c, struct am_req *r)
{
    *c = (struct am_ref_change){.r = r, .name = r->arg[2]};
    am_model_id(r, c->model);
}

void am_ref_change_read(struct am_ref_change *c, bool reason_required, struct am_faults *f)
{
    json_t *body = c->r->json;
    c->from = json_object_get(body, "from");
    c->reason = am_member_text(body, "#", "reason", reason_required, NULL, f);
    c->force = am_member_bool(body, "#", "force", false, f);
    if (c->from && !json_is_null(c->from) && !json_is_string(c->from))
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = "#/from"},
                     "from is the revision that the ref points to, or null for a ref that is not there");
    if (c->reason && strlen(c->reason) > AM_REASON_MAX)
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = "#/reason"}, "a reason has at most %d bytes",
                     AM_REASON_MAX);
    if (c->reason && !c->reason[0] && (reason_required || c->force))
        am_fault_add(f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = "#/reason"},
                     "say why; the history keeps it");
}

int am_ref_refuse(struct am_ref_change *c, int code, const char *pointer, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(c->detail, sizeof c->detail, fmt, ap);
    va_end(ap);
    c->code = code;
    c->pointer = pointer;
    return -code;
}

int am_ref_refused(struct am_ref_change *c, int rc, const char *what)
{
    json_t *extra = c->extra;
    json_decref(c->answer);
    c->answer = c->extra = NULL;
    if (extra)
        return am_reply_problem_extra(c->r, c->code, c->detail, extra);
    if (rc == -AM_E_NOT_FOUND && c->model_row && !c->code)
        return am_reply_no_ref(c->r, c->model, c->name);
    if (rc == -AM_E_NOT_FOUND && !c->code)
        return am_reply_no_model(c->r, c->model);
    if (rc != -c->code)
        return am_reply_error(c->r, rc, what);
    return c->pointer[0] ? am_reply_fault(c->r, c->code, c->pointer, "%s", c->detail)
                         : am_reply_problem(c->r, c->code, "%s", c->detail);
}

static int take_state(void *ctx, const struct am_ref_row *row)
{
    struct am_ref_state *s = ctx;
    s->version = row->version;
    s->number = row->number;
    s->revision = row->revision;
    s->is_protected = row->is_protected;
    snprintf(s->gate, sizeof s->gate, "%s", row->gate ? row->gate : "");
    snprintf(s->kind, sizeof s->kind, "%s", row->kind);
    snprintf(s->commit, sizeof s->commit, "%s", row->commit);
    return 0;
}

int am_ref_load(struct am_db *db, struct am_ref_change *c)
{
    c->now = (struct am_ref_state){0};
    json_decref(c->extra); /* a transaction may be run again */
    c->extra = NULL;
    AM_TRY(am_model_row(db, c->model, &c->model_row));
    int rc = am_ref_get(db, c->model_row, c->name, take_state, &c->now);
    return rc < 0 ? rc : 0;
}

int am_ref_find(struct am_db *db, struct am_ref_change *c, const char *pointer, const char *rev, int64_t *ret)
{
    int rc = am_rev_resolve(db, c->model, rev, ret, NULL);
    if (rc == -AM_E_REVISION_NOT_FOUND)
        return am_ref_refuse(c, AM_E_REVISION_NOT_FOUND, pointer,
                             "%s has no revision \"%.100s\"; GET /v1/models/%s/versions lists its versions", c->model,
                             rev, c->model);
    return rc;
}

/* "v3 (57e70880e72f)", or "nothing" */
static const char *where(const struct am_ref_change *c, char out[64])
{
    if (!c->now.revision)
        snprintf(out, 64, "nothing");
    else if (c->now.number >= 0)
        snprintf(out, 64, "v%lld (%.12s)", (long long)c->now.number, c->now.commit);
    else
        snprintf(out, 64, "%s", c->now.commit);
    return out;
}

static int check_from(struct am_db *db, struct am_ref_change *c)
{
    char at[64];
    int64_t from = 0;
    const char *rev = json_string_value(c->from);
    if (rev)
        AM_TRY(am_ref_find(db, c, "#/from", rev, &from));
    if (from == c->now.version)
        return 0;
    return am_ref_refuse(c, AM_E_PRECONDITION_FAILED, "#/from",
                         "somebody was first: %s points to %s and not to %.100s; read it again, then decide", c->name,
                         where(c, at), rev ? rev : "nothing");
}

static int check_etag(struct am_ref_change *c)
{
    char etag[40], at[64];
    snprintf(etag, sizeof etag, "%lld", (long long)c->now.revision);
    if (c->now.revision && am_etag_matches(c->r, MHD_HTTP_HEADER_IF_MATCH, etag))
        return 0;
    if (!c->now.revision)
        return am_ref_refuse(c, AM_E_PRECONDITION_FAILED, "If-Match",
                             "%s has no ref %s to move; to create it send If-None-Match: * instead", c->model, c->name);
    return am_ref_refuse(c, AM_E_PRECONDITION_FAILED, "If-Match",
                         "somebody was first: %s is at revision \"%s\" and points to %s, you have seen %.60s; read it "
                         "again, then decide",
                         c->name, etag, where(c, at), am_req_header(c->r, MHD_HTTP_HEADER_IF_MATCH));
}

static int missing(struct am_ref_change *c)
{
    if (c->r->route->body & AM_IF_MATCH)
        return am_ref_refuse(c, AM_E_PRECONDITION_REQUIRED, "",
                             "say what you have seen, so that nobody's change is lost: If-Match: \"%lld\"",
                             (long long)c->now.revision);
    if (!c->now.revision)
        return am_ref_refuse(c, AM_E_PRECONDITION_REQUIRED, "",
                             "%s is not there: to create it send If-None-Match: *, or \"from\": null in the body",
                             c->name);
    return am_ref_refuse(c, AM_E_PRECONDITION_REQUIRED, "",
                         "say what you have seen, so that nobody's move is lost: If-Match: \"%lld\", or \"from\": "
                         "\"%s\" in the body",
                         (long long)c->now.revision, c->now.commit);
}

int am_ref_check_seen(struct am_db *db, struct am_ref_change *c)
{
    char at[64];
    const char *none = am_req_header(c->r, MHD_HTTP_HEADER_IF_NONE_MATCH);
    bool create = none && am_streq(none, "*"), match = am_req_header(c->r, MHD_HTTP_HEADER_IF_MATCH) != NULL;
    if (!create && !match && !c->from)
        return missing(c);
    if (create && c->now.revision)
        return am_ref_refuse(c, AM_E_PRECONDITION_FAILED, "If-None-Match",
                             "%s is there already: a %s at %s; to move it send If-Match: \"%lld\"", c->name,
                             c->now.kind, where(c, at), (long long)c->now.revision);
    if (match)
        AM_TRY(check_etag(c));
    return c->from ? check_from(db, c) : 0;
}

static int take_answer(void *ctx, const struct am_ref_row *row)
{
    struct am_ref_change *c = ctx;
    json_decref(c->answer);
    c->answer = am_ref_json(c->model, row);
    return c->answer ? 0 : -AM_E_OUT_OF_MEMORY;
}

int am_ref_answer(struct am_db *db, struct am_ref_change *c)
{
    int rc = am_ref_get(db, c->model_row, c->name, take_answer, c);
    return rc < 0 ? rc : rc > 0 ? 0 : -AM_E_INTERNAL;
}
