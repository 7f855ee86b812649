/*
 * service.c - what the service says of itself: health, version, methods, problems, OpenAPI, queue.
 */
#include "core/base/clock.h"
#include "core/base/sys.h"
#include "core/base/text.h"
#include "server/api/api.h"
#include "server/openapi.h"
#include "server/records.h"
#include "server/reply.h"
#include "server/space.h"

#include <microhttpd.h>
#include <string.h>
#include <uv.h>

int am_api_index(struct am_req *r)
{
    return am_reply_json(r, 200,
                         json_pack("{s:s, s:s, s:{s:s, s:s, s:s, s:s, s:s, s:s, s:s}}", "object", "index", "version",
                                   AM_VERSION, "links", "models", "/v1/models", "jobs", "/v1/jobs", "methods",
                                   "/v1/methods", "queue", "/v1/queue", "openapi", "/v1/openapi.json", "problems",
                                   "/v1/problems", "health", "/readyz"),
                         NULL);
}

int am_api_version(struct am_req *r)
{
    const struct am_config *c = r->srv->cfg;
    json_t *limits = json_pack("{s:I, s:I, s:I, s:I, s:I}", "body_bytes", (json_int_t)c->body_bytes, "queue",
                               (json_int_t)c->queue_max, "connections", (json_int_t)c->connections, "header_bytes",
                               (json_int_t)c->header_bytes, "tensors", (json_int_t)c->tensors);
    json_t *libraries = json_pack("{s:s, s:s, s:s, s:s}", "sqlite", am_store_sqlite_version(), "libmicrohttpd",
                                  MHD_get_version(), "libuv", uv_version_string(), "jansson", JANSSON_VERSION);
    return am_reply_json(r, 200,
                         json_pack("{s:s, s:s, s:s, s:[s], s:s, s:[], s:o, s:o, s:o}", "object", "version", "program",
                                   "amendd", "version", AM_VERSION, "api", "v1", "registry_sha256",
                                   r->srv->table.sha256, "features", "limits", limits, "libraries", libraries,
                                   "started_at", am_json_time(r->srv->started_at)),
                         NULL);
}

int am_api_livez(struct am_req *r)
{
    return am_reply_json(r, 200, json_pack("{s:s}", "status", "ok"), NULL);
}

static json_t *check(bool ok, const char *detail)
{
    return json_pack("{s:s, s:s}", "status", ok ? "ok" : "fail", "detail", detail);
}

/* What bounds workers, told by the last one: a site may want to know before it trusts a method with its files. */
static json_t *confinement_check(struct am_engine *engine)
{
    unsigned holds = 0;
    json_t *list = json_array();
    bool known = am_engine_confinement(engine, &holds), all = true;
    for (unsigned i = 0; am_holds_names[i]; i++) {
        if (holds >> i & 1)
            json_array_append_new(list, json_string(am_holds_names[i]));
        else
            all = false;
    }
    const char *detail = !known ? "no worker has run yet"
                         : all  ? "limits and fences hold; a worker sees only its inputs and its staging folder"
                                : "not all hold: the others are beyond this kernel, container or build";
    return json_pack("{s:s, s:s, s:o}", "status", known && !all ? "warn" : "ok", "detail", detail, "holds", list);
}

static json_t *workers_check(struct am_engine *engine, bool draining)
{
    char detail[160];
    bool choked;
    unsigned running = am_engine_running(engine), lost = am_engine_lost(engine, &choked);
    if (draining || !lost)
        snprintf(detail, sizeof detail, draining ? "draining" : "%u running", running);
    else
        snprintf(detail, sizeof detail, "%u running; %u were killed and do not end%s: look at the machine's disks",
                 running, lost, choked ? ", so no other is started" : "");
    return json_pack("{s:s, s:s}", "status", draining ? "fail" : lost ? "warn" : "ok", "detail", detail);
}

/* What the last check of the database found. */
static json_t *check_integrity(struct am_store *store, bool *ret_sound)
{
    char detail[400], at[AM_TIME_TEXT];
    int64_t when = 0;
    *ret_sound = am_store_is_sound(store, &when, detail, sizeof detail);
    if (*ret_sound && when) {
        am_time_text(when, at);
        snprintf(detail, sizeof detail, "checked at %s", at);
    } else if (*ret_sound) {
        snprintf(detail, sizeof detail, "not checked yet since the start");
    }
    return json_pack("{s:s, s:s, s:s?}", "status", *ret_sound ? "ok" : "fail", "detail", detail, "code",
                     *ret_sound ? NULL : am_err_slug(AM_E_STORE_DAMAGED));
}

int am_api_readyz(struct am_req *r)
{
    struct am_space space;
    char detail[200];
    bool writable = am_store_check(r->srv->store) == 0, draining = atomic_load(&r->srv->draining);
    bool room = am_space(r->srv, &space) == 0 && space.free > space.min_free;
    json_t *checks = json_object();
    json_object_set_new(checks, "database",
                        check(writable, writable ? "writable" : "the writer cannot commit; see the log"));
    bool sound;
    json_object_set_new(checks, "integrity", check_integrity(r->srv->store, &sound));
    snprintf(detail, sizeof detail, "%llu bytes free, %llu to be kept (store.min_free)", (unsigned long long)space.free,
             (unsigned long long)space.min_free);
    json_object_set_new(checks, "store", check(room, detail));
    json_object_set_new(checks, "workers", workers_check(r->srv->engine, draining));
    json_object_set_new(checks, "confinement", confinement_check(r->srv->engine));
    snprintf(detail, sizeof detail, "SQLite %s%s", am_store_sqlite_version(),
             am_store_sqlite_wal_reset_bug() ? " has the WAL-reset bug; harmless while amendd is the only writer: do "
                                               "not open amendd.db with other programs"
                                             : "");
    json_object_set_new(
        checks, "sqlite",
        json_pack("{s:s, s:s}", "status", am_store_sqlite_wal_reset_bug() ? "warn" : "ok", "detail", detail));
    bool ok = writable && room && sound && !draining;
    return am_reply_json(r, ok ? 200 : 503, json_pack("{s:s, s:o}", "status", ok ? "ok" : "fail", "checks", checks),
                         NULL);
}

int am_api_openapi(struct am_req *r)
{
    char *copy = am_openapi_copy(&r->srv->openapi, &r->srv->table);
    if (!copy)
        return MHD_NO;
    return am_reply_text(r, "application/json; charset=utf-8", copy, strlen(copy));
}

int am_api_schema(struct am_req *r)
{
    char *name = r->arg[0];
    bool json = am_ends(name, ".json");
    if (json)
        name[strlen(name) - strlen(".json")] = 0;
    json_t *schema = json ? am_openapi_schema(&r->srv->openapi, &r->srv->table, name) : NULL;
    if (!schema)
        return am_reply_problem(r, AM_E_NOT_FOUND,
                                "no schema %.80s; it is a name under components.schemas of GET /v1/openapi.json and "
                                ".json, for example /v1/schemas/Job.json",
                                name);
    return am_reply_json(r, 200, schema, NULL);
}

static json_t *problem_kind(int code)
{
    char type[80];
    int status = am_err_status(code);
    snprintf(type, sizeof type, "/v1/problems/%s", am_err_slug(code));
    return json_pack("{s:s, s:s, s:s, s:o, s:s, s:b, s:s}", "object", "problem_kind", "type", type, "code",
                     am_err_slug(code), "status", status ? json_integer(status) : json_null(), "title",
                     am_err_title(code), "retryable", am_err_retryable(code), "of", status ? "request" : "job");
}

int am_api_problems(struct am_req *r)
{
    json_t *data = json_array();
    for (int code = 1; code < AM_E_COUNT; code++)
        json_array_append_new(data, problem_kind(code));
    return am_reply_json(r, 200, am_json_list(data, NULL), NULL);
}

int am_api_problem(struct am_req *r)
{
    int code = am_err_from_slug(r->arg[0]);
    if (code <= 0)
        return am_reply_problem(r, AM_E_NOT_FOUND, "no problem called \"%.80s\"; GET /v1/problems lists them",
                                r->arg[0]);
    return am_reply_resource(r, problem_kind(code), AM_VERSION);
}

static json_t *method_json(json_t *row)
{
    char schema[200];
    json_t *m = json_copy(row);
    snprintf(schema, sizeof schema, "/v1/methods/%s/schema", json_string_value(json_object_get(row, "id")));
    json_object_set_new(m, "object", json_string("method"));
    json_object_set_new(m, "schema", json_string(schema));
    return m;
}

int am_api_methods(struct am_req *r)
{
    const char *type = am_req_query(r, "type");
    json_t *data = json_array(), *row;
    size_t i;
    json_array_foreach(json_object_get(r->srv->table.root, "methods"), i, row)
    {
        if (!type || am_streq(type, json_string_value(json_object_get(row, "type"))))
            json_array_append_new(data, method_json(row));
    }
    return am_reply_json(r, 200, am_json_list(data, NULL), NULL);
}

static json_t *find_method(struct am_req *r, int *ret_queued)
{
    json_t *row = am_table_find(&r->srv->table, r->arg[0], r->arg[1]);
    if (!row) {
        const char *near = am_table_nearest(&r->srv->table, r->arg[0], r->arg[1]);
        *ret_queued =
            am_reply_problem(r, AM_E_NOT_FOUND, "no method %.60s/%.60s%s%s%s; GET /v1/methods lists them", r->arg[0],
                             r->arg[1], near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    }
    return row;
}

int am_api_method(struct am_req *r)
{
    int queued = MHD_NO;
    json_t *row = find_method(r, &queued);
    return row ? am_reply_resource(r, method_json(row), r->srv->table.sha256) : queued;
}

int am_api_method_schema(struct am_req *r)
{
    int queued = MHD_NO;
    json_t *row = find_method(r, &queued);
    return row ? am_reply_json(r, 200, am_table_params_schema(row, 0), NULL) : queued;
}

int am_api_queue(struct am_req *r)
{
    int queued = MHD_NO;
    int64_t n[AM_STATES];
    struct am_space space = {0};
    struct am_db *db = am_reader(r, &queued);
    if (!db)
        return queued;
    int64_t logical = 0, physical = 0;
    int rc = am_job_counts(db, n);
    if (rc == 0)
        rc = am_store_bytes(db, &logical, &physical);
    if (rc < 0)
        return am_reply_error(r, rc, "the queue could not be counted");
    am_space(r->srv, &space);
    json_t *counts = json_object();
    for (int s = 0; s < AM_STATES; s++)
        json_object_set_new(counts, am_state_name((enum am_job_state)s), json_integer(n[s]));
    return am_reply_json(r, 200,
                         json_pack("{s:s, s:b, s:o, s:{s:I, s:i}, s:{s:I, s:I, s:I, s:I}}", "object", "queue", "paused",
                                   0, "counts", counts, "slots", "total", (json_int_t)r->srv->cfg->workers_count,
                                   "running", (int)am_engine_running(r->srv->engine), "store", "logical_bytes",
                                   (json_int_t)logical, "physical_bytes", (json_int_t)physical, "free_bytes",
                                   (json_int_t)space.free, "min_free_bytes", (json_int_t)space.min_free),
                         NULL);
}
