/*
 * ref_put.c - PUT M/refs/{ref}: makes a ref or moves it, if it is as the caller has seen it.
 */
#include "server/api/refs.h"

#include "core/base/clock.h"
#include "core/base/text.h"
#include "core/table/body.h"
#include "core/table/members.h"
#include "server/reply.h"

#include <microhttpd.h>
#include <stdio.h>

struct put {
    struct am_ref_change c;
    const char *to, *asked /* kind, or NULL: as it is, an alias when it is new */, *kind;
    int64_t version, decision;
    bool made, forced;
};

static int check_kind(struct put *p)
{
    struct am_ref_change *c = &p->c;
    if (!c->now.revision) {
        const char *why = am_ref_name_fault(c->name);
        if (why)
            return am_ref_refuse(c, AM_E_INVALID_REQUEST, "{ref}", "\"%.100s\" cannot be the name of a ref: %s",
                                 c->name, why);
        p->kind = p->asked ? p->asked : "alias";
        return 0;
    }
    p->kind = c->now.kind;
    if (p->asked && !am_streq(p->asked, p->kind))
        return am_ref_refuse(c, AM_E_CONFLICT, "#/kind",
                             "%s is a %s; a ref keeps its kind: leave \"kind\" out, or choose another name", c->name,
                             p->kind);
    return 0;
}

/* v<N> names the N-th commit of main. A ref of that name comes first, so it may only say the same (hub.md 2.4). */
static int check_shadow(struct am_db *db, struct put *p)
{
    struct am_ref_change *c = &p->c;
    const char *name = c->name;
    if (!am_rev_is_number(name, NULL))
        return 0;
    if (am_streq(p->kind, "branch"))
        return am_ref_refuse(c, AM_E_REF_SHADOWS, "{ref}",
                             "%s names commit number %s of main, and a branch moves on; choose another name", name,
                             name + 1);
    int64_t numbered = 0;
    int rc = am_version_any(db, c->model_row, name, &numbered);
    if (rc < 0 || (rc > 0 && numbered == p->version))
        return rc < 0 ? rc : 0;
    return am_ref_refuse(c, AM_E_REF_SHADOWS, "{ref}",
                         "%s names commit number %s of main; a ref of that name would hide it. Choose another name",
                         name, name + 1);
}

static int take_files(void *ctx, const struct am_version_row *v)
{
    *(int64_t *)ctx = v->files;
    return 0;
}

/* A branch may stand anywhere; what is promoted must be whole. */
static int check_target(struct am_db *db, struct put *p)
{
    int64_t files = 0;
    if (am_streq(p->kind, "branch"))
        return 0;
    AM_TRY(am_version_get(db, p->version, take_files, &files));
    return files ? 0
                 : am_ref_refuse(&p->c, AM_E_VERSION_INCOMPLETE, "#/to",
                                 "%.100s is the empty commit; a%s %s points to a complete version", p->to,
                                 am_streq(p->kind, "alias") ? "n" : "", p->kind);
}

/* A gate that lets it pass, or force and why. */
static int check_force(struct am_db *db, struct put *p)
{
    struct am_ref_change *c = &p->c;
    bool tag = am_streq(c->now.kind, "tag");
    if (!c->now.revision || (!tag && !c->now.is_protected))
        return 0;
    p->forced = c->force && c->reason;
    if (p->forced)
        return 0;
    if (c->now.gate[0] && !tag && !c->force)
        return am_ref_pass_gate(db, c, p->version, &p->decision);
    return am_ref_refuse(c, AM_E_CONFLICT, c->force ? "#/reason" : "#/force",
                         "%s is %s; moving it takes \"force\": "
                         "true and a \"reason\"",
                         c->name, tag ? "a tag, and a tag does not move" : "protected");
}

static int run(struct am_db *db, void *arg)
{
    struct put *p = arg;
    struct am_ref_change *c = &p->c;
    AM_TRY(am_ref_load(db, c));
    AM_TRY(am_ref_check_seen(db, c));
    AM_TRY(am_ref_find(db, c, "#/to", p->to, &p->version));
    AM_TRY(check_kind(p));
    p->made = !c->now.revision;
    if (p->version != c->now.version) {
        AM_TRY(check_shadow(db, p));
        AM_TRY(check_target(db, p));
        AM_TRY(check_force(db, p));
        AM_TRY(am_ref_move(db, &(struct am_ref_move_new){.model = c->model_row,
                                                         .version = p->version,
                                                         .now = am_now_ms(),
                                                         .name = c->name,
                                                         .kind = p->kind,
                                                         .by = "local",
                                                         .reason = c->reason,
                                                         .decision = p->decision,
                                                         .forced = p->forced}));
    }
    return am_ref_answer(db, c);
}

int am_api_ref_put(struct am_req *r)
{
    static const char *const known[] = {"to", "from", "kind", "reason", "force", NULL};
    struct put p = {0};
    struct am_faults f = {0};
    am_ref_change_init(&p.c, r);
    am_members_known(r->json, "#", known, &f);
    p.to = am_member_text(r->json, "#", "to", true, NULL, &f);
    p.asked = am_member_text(r->json, "#", "kind", false, NULL, &f);
    if (p.asked && !am_streq(p.asked, "branch") && !am_streq(p.asked, "tag") && !am_streq(p.asked, "alias"))
        am_fault_add(&f, AM_E_INVALID_REQUEST, (struct am_where){.pointer = "#/kind"},
                     "kind is branch, tag or alias, not \"%.40s\"", p.asked);
    am_ref_change_read(&p.c, false, &f);
    if (f.n)
        return am_reply_faults(r, &f);
    int rc = am_store_write(r->srv->store, run, &p);
    return rc < 0 ? am_ref_refused(&p.c, rc, "the ref could not be moved")
                  : am_reply_ref(r, p.made ? 201 : 200, p.c.answer);
}
