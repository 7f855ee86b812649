/*
 * chain.c - several mergekit documents in one body (submit.h, core/recipe/chain.h): a job for each, those that take
 * what another makes wait for it. All of them are checked before one is stored, and they are stored in one transaction.
 */
#include "core/base/clock.h"
#include "core/base/text.h"
#include "server/api/api.h"
#include "server/api/idempotency.h"
#include "server/api/submit.h"
#include "server/reply.h"

#include <string.h>

struct link {                /* a document on its way to a job */
    struct am_recipe recipe; /* borrows from the chain */
    struct am_submit s;
    struct am_submit_row row;
    char uid[64];
};

struct am_chain_jobs {
    struct am_chain *chain;
    struct link *v; /* as the documents stand */
    json_t *said;   /* the warnings of all */
    struct am_faults faults;
    const struct am_idem *idem, *none; /* of the last one; of the others, which keep no answer */
};

const char *am_chain_model(const struct am_submit *s, const char *uid)
{
    size_t i = 0, n = s->chain ? s->chain->chain->n : 0;
    while (i < n && !am_streq(s->chain->v[i].uid, uid))
        i++;
    const json_t *body = i < n ? s->chain->chain->v[i].mergekit.body : NULL;
    const char *model = json_string_value(json_object_get(json_object_get(body, "publish"), "model"));
    return model || i == n ? model : ""; /* what is wrong with that one is told there */
}

/* What the query says is wrong in each of them, and told once. */
static bool is_told(const struct am_faults *f, const struct am_fault *one)
{
    for (size_t i = 0; i < f->n; i++)
        if (one->pointer[0] == '?' && am_streq(f->v[i].pointer, one->pointer) && am_streq(f->v[i].detail, one->detail))
            return true;
    return false;
}

static void gather_faults(struct am_faults *into, const struct am_faults *from)
{
    for (size_t i = 0; i < from->n; i++) {
        const struct am_fault *one = &from->v[i];
        if (is_told(into, one))
            continue;
        am_fault_add(into, one->code, (struct am_where){one->pointer, one->reason, one->tensor, one->file}, "%s",
                     one->detail);
        if (into->n == into->total)
            into->v[into->n - 1].line = one->line;
    }
}

static int gather_warnings(json_t *into, const json_t *from)
{
    json_t *w;
    size_t i;
    json_array_foreach(from, i, w) if (json_array_append(into, w) < 0) return -AM_E_OUT_OF_MEMORY;
    return 0;
}

/* A document that no body could be made of. */
static void tell_broken(struct am_chain_jobs *c, size_t i)
{
    struct am_chain_stage *st = &c->chain->v[i];
    am_mergekit_place(&st->mergekit, &st->faults);
    gather_faults(&c->faults, &st->faults);
}

static int prepare_one(struct am_chain_jobs *c, struct am_req *r, struct am_db *db, size_t i)
{
    struct am_chain_stage *st = &c->chain->v[i];
    struct link *l = &c->v[i];
    json_t *all = r->json;
    l->s = (struct am_submit){.r = r, .db = db, .recipe = &l->recipe, .chain = c};
    l->recipe = (struct am_recipe){.mergekit = st->mergekit, .faults = st->faults, .yaml = true};
    if (!st->mergekit.body) {
        tell_broken(c, i);
        return 0;
    }
    r->json = st->mergekit.body;
    int rc = am_submit_prepare(&l->s);
    r->json = all;
    AM_TRY(rc);
    gather_faults(&c->faults, &l->s.faults);
    return gather_warnings(c->said, l->s.warnings);
}

static int prepare(struct am_chain_jobs *c, struct am_req *r, struct am_db *db)
{
    const char *uid[AM_YAML_DOCUMENTS];
    for (size_t i = 0; i < c->chain->n; i++) {
        am_id_new("job_", am_now_ms(), c->v[i].uid);
        uid[i] = c->v[i].uid;
    }
    AM_TRY(am_chain_bind(c->chain, uid));
    for (size_t i = 0; i < c->chain->n; i++)
        AM_TRY(prepare_one(c, r, db, i));
    return 0;
}

static int make(struct am_chain_jobs *c, struct am_chain *chain)
{
    *c = (struct am_chain_jobs){.chain = chain, .v = calloc(chain->n, sizeof *c->v), .said = json_array()};
    return c->v && c->said ? 0 : -AM_E_OUT_OF_MEMORY;
}

static void done(struct am_chain_jobs *c)
{
    for (size_t i = 0; c->v && i < c->chain->n; i++) {
        am_submit_row_done(&c->v[i].row);
        am_submit_done(&c->v[i].s);
    }
    free(c->v);
    json_decref(c->said);
    am_faults_done(&c->faults);
}

/* On the writer. */
static int insert(struct am_db *db, void *arg)
{
    struct am_chain_jobs *c = arg;
    for (size_t k = 0; k < c->chain->n; k++)
        AM_TRY(am_submit_insert(db, &c->v[c->chain->order[k]].row));
    return 0;
}

static int make_rows(struct am_chain_jobs *c, struct am_req *r)
{
    json_t *all = r->json;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < c->chain->n; i++) {
        struct link *l = &c->v[i];
        memcpy(l->row.uid, l->uid, sizeof l->uid);
        l->row.idem = i == c->chain->last ? c->idem : c->none;
        r->json = c->chain->v[i].mergekit.body;
        rc = am_submit_row(&l->s, &l->row);
    }
    r->json = all;
    return rc;
}

static int store(struct am_chain_jobs *c, struct am_req *r)
{
    bool reuse = false;
    AM_TRY(make_rows(c, r));
    int rc = am_store_write(r->srv->store, insert, c);
    for (size_t i = 0; i < c->chain->n; i++) {
        reuse |= c->v[i].row.reuse;
        c->v[i].row.reuse = rc == 0 && c->v[i].row.reuse;
    }
    if (rc < 0 && reuse && rc != -AM_E_QUEUE_FULL) /* one could not be published as it is: compute */
        rc = am_store_write(r->srv->store, insert, c);
    return rc;
}

int am_chain_submit(struct am_req *r, struct am_db *db, const struct am_recipe *recipe, const struct am_idem *idem)
{
    struct am_chain_jobs c;
    struct am_idem none = {.r = r};
    int rc = make(&c, recipe->chain), queued;
    c.idem = idem;
    c.none = &none;
    if (rc == 0)
        rc = prepare(&c, r, db);
    if (rc == 0 && c.faults.n) {
        queued = am_reply_faults(r, &c.faults);
    } else {
        if (rc == 0)
            rc = store(&c, r);
        queued = rc < 0 ? am_submit_refuse(r, rc) : am_submit_answer(&c.v[c.chain->last].row);
    }
    done(&c);
    return queued;
}

/* That of the last, with what there is to say of all. */
int am_chain_plan(struct am_req *r, struct am_db *db, const struct am_recipe *recipe)
{
    struct am_chain_jobs c;
    int rc = make(&c, recipe->chain), queued;
    if (rc == 0)
        rc = prepare(&c, r, db);
    size_t last = rc == 0 && c.chain->last < c.chain->n ? c.chain->last : 0;
    if (rc == 0 && !c.chain->v[last].mergekit.body) {
        queued = am_reply_faults(r, &c.faults);
    } else if (rc < 0) {
        queued = am_reply_error(r, rc, "the jobs could not be planned");
    } else {
        struct am_submit *s = &c.v[last].s;
        am_faults_done(&s->faults);
        s->faults = c.faults;
        c.faults = (struct am_faults){0};
        json_decref(s->warnings);
        s->warnings = json_incref(c.said);
        queued = am_plan_answer(s);
    }
    done(&c);
    return queued;
}
