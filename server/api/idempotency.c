/*
 * idempotency.c - see idempotency.h. A request enters the list of those at work before it looks into the store and
 * leaves it after its commit, so a second one meets the first either here or there.
 */
#include "server/api/idempotency.h"

#include "core/base/clock.h"
#include "core/base/hash.h"
#include "core/base/text.h"
#include "core/table/canon.h"
#include "server/api/api.h"
#include "server/json.h"
#include "server/reply.h"
#include "server/routes.h"
#include "server/upload.h"
#include "storage/idempotency.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HEADER "Idempotency-Key"
#define PRINCIPAL "local"

struct given {
    const char *text;
    size_t n;
};

static enum MHD_Result count_key(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct given *g = arg;
    (void)kind;
    if (strcasecmp(name, HEADER) == 0) {
        g->text = value;
        g->n++;
    }
    return MHD_YES;
}

/* The key of `text`, bare or as the quoted string of RFC 9651. false: it is none. */
static bool take_key(const char *text, char out[AM_IDEM_KEY_MAX + 1])
{
    size_t n = 0, len = strlen(text);
    bool quoted = len >= 2 && text[0] == '"' && text[len - 1] == '"';
    const char *end = text + len - quoted;
    for (const char *p = text + quoted; p < end; p++) {
        if (quoted && *p == '"')
            return false;
        if (quoted && *p == '\\' && (++p == end || (*p != '"' && *p != '\\')))
            return false;
        if (*p <= ' ' || *p > '~' || n == AM_IDEM_KEY_MAX)
            return false;
        out[n++] = *p;
    }
    out[n] = 0;
    return n > 0;
}

static int refuse_key(struct am_req *r, const char *pointer, int *ret_queued)
{
    *ret_queued = am_reply_fault(r, AM_E_INVALID_REQUEST, pointer,
                                 "the key of a request is 1 to %d visible ASCII characters, bare or in \"quotes\"",
                                 AM_IDEM_KEY_MAX);
    return -AM_E_INVALID_REQUEST;
}

static int read_key(struct am_idem *i, int *ret_queued)
{
    char other[AM_IDEM_KEY_MAX + 1];
    struct given g = {0};
    MHD_get_connection_values(i->r->conn, MHD_HEADER_KIND, count_key, &g);
    if (g.n > 1 || (g.n && (!g.text || !take_key(g.text, i->key))))
        return refuse_key(i->r, HEADER, ret_queued);
    const json_t *token = json_object_get(i->r->json, "client_token");
    if (!json_is_string(token))
        return 0; /* any other kind is a fault of the body */
    if (!take_key(json_string_value(token), other))
        return refuse_key(i->r, "#/client_token", ret_queued);
    if (g.n && strcmp(other, i->key) != 0) {
        *ret_queued = am_reply_fault(i->r, AM_E_INVALID_REQUEST, "#/client_token",
                                     "client_token and the header " HEADER " differ; one of them is enough");
        return -AM_E_INVALID_REQUEST;
    }
    memcpy(i->key, other, sizeof other);
    return 0;
}

/* SHA-256 of method, path and the body's canonical JSON, if there is a body; the path as its pattern with the decoded
   arguments. */
static int fingerprint(struct am_idem *i)
{
    const struct am_req *r = i->r;
    AM_CLEANUP(am_hash_freep) struct am_hash *h = am_hash_new(AM_SHA256);
    char *body = r->json ? am_canon(r->json) : strdup("");
    if (h && body) {
        am_hash_put(h, r->route->method, strlen(r->route->method) + 1);
        am_hash_put(h, r->route->pattern, strlen(r->route->pattern) + 1);
        for (size_t k = 0; k < AM_ROUTE_ARGS && r->arg[k]; k++)
            am_hash_put(h, r->arg[k], strlen(r->arg[k]) + 1);
        am_hash_put(h, body, strlen(body));
        if (r->upload)
            am_hash_put(h, r->upload->sha256, sizeof r->upload->sha256);
        am_hash_hex(h, i->fingerprint);
    }
    int rc = h && body ? 0 : -AM_E_OUT_OF_MEMORY;
    free(body);
    return rc;
}

/* 0, or what another request with this key that is at work now makes of this one. */
static int enter(struct am_idem *i)
{
    struct am_flight *f = &i->r->srv->flight;
    int rc = 0;
    pthread_mutex_lock(&f->lock);
    for (const struct am_idem *o = f->first; o && rc == 0; o = o->next)
        if (strcmp(o->key, i->key) == 0)
            rc = strcmp(o->fingerprint, i->fingerprint) == 0 ? -AM_E_IN_PROGRESS : -AM_E_KEY_REUSED;
    if (rc == 0) {
        i->next = f->first;
        f->first = i;
        i->entered = true;
    }
    pthread_mutex_unlock(&f->lock);
    return rc;
}

static int64_t since(const struct am_req *r)
{
    return am_now_ms() - (int64_t)r->srv->cfg->idempotency_hours * 3600 * 1000;
}

static int take_stored(void *ctx, const struct am_idem_row *row)
{
    struct am_idem *i = ctx;
    i->status = row->status;
    i->stored = json_loads(row->body, 0, NULL);
    return i->stored ? 0 : -AM_E_STORE_DAMAGED;
}

static int refuse(struct am_idem *i, int rc, int *ret_queued)
{
    if (rc == -AM_E_IN_PROGRESS)
        *ret_queued = am_reply_problem(i->r, AM_E_IN_PROGRESS,
                                       "the first request with this " HEADER " is still at work; send it again");
    else if (rc == -AM_E_KEY_REUSED)
        *ret_queued = am_reply_problem(
            i->r, AM_E_KEY_REUSED, "the " HEADER " %s was used for another request; give each request its own", i->key);
    else
        *ret_queued = am_reply_error(i->r, rc, "the answers kept for " HEADER " could not be read");
    return rc;
}

int am_idem_begin(struct am_idem *i, struct am_req *r, int *ret_queued)
{
    *i = (struct am_idem){.r = r};
    AM_TRY(read_key(i, ret_queued));
    if (!i->key[0])
        return 0;
    struct am_db *db = am_reader(r, ret_queued);
    if (!db)
        return -AM_E_INTERNAL;
    int rc = fingerprint(i);
    if (rc == 0)
        rc = enter(i);
    if (rc == 0)
        rc = am_idem_get(db, PRINCIPAL, i->key, i->fingerprint, since(r), take_stored, i);
    if (rc < 0)
        return refuse(i, rc, ret_queued);
    r->replayed = rc == 1;
    return rc;
}

int am_idem_keep(struct am_db *db, const struct am_idem *i, int status, const json_t *body)
{
    if (!i->key[0])
        return 0;
    char *text = am_json_text(body);
    struct am_idem_row row = {.principal = PRINCIPAL,
                              .key = i->key,
                              .fingerprint = i->fingerprint,
                              .status = status,
                              .body = text,
                              .created_at = am_now_ms()};
    int rc = text ? am_idem_put(db, &row, since(i->r)) : -AM_E_OUT_OF_MEMORY;
    free(text);
    return rc;
}

int am_idem_keep_job(struct am_db *db, const struct am_idem *i, const char *uid, json_t **ret)
{
    AM_TRY(am_job_origin(db, uid, i->r->id, i->r->trace[0] ? i->r->trace : NULL));
    if (!i->key[0])
        return 0;
    json_decref(*ret);
    *ret = am_job_load(i->r, db, uid, NULL);
    return *ret ? am_idem_keep(db, i, 202, *ret) : -AM_E_INTERNAL;
}

void am_idem_end(struct am_idem *i)
{
    struct am_flight *f = &i->r->srv->flight;
    if (i->entered) {
        pthread_mutex_lock(&f->lock);
        struct am_idem **at = &f->first;
        while (*at != i)
            at = &(*at)->next;
        *at = i->next;
        pthread_mutex_unlock(&f->lock);
        i->entered = false;
    }
    json_decref(i->stored);
    i->stored = NULL;
}

int am_idem_once(struct am_req *r, int (*again)(struct am_req *r, json_t *stored),
                 int (*fresh)(struct am_req *r, const struct am_idem *idem))
{
    int queued = MHD_NO;
    struct am_idem idem;
    int rc = am_idem_begin(&idem, r, &queued);
    if (rc == 1)
        queued = again(r, json_incref(idem.stored));
    else if (rc == 0)
        queued = fresh(r, &idem);
    am_idem_end(&idem);
    return queued;
}
