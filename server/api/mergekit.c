/*
 * mergekit.c - see mergekit.h. What the query says beside the configuration is gathered here; the translation is
 * core/recipe/mergekit.h.
 */
#include "server/api/mergekit.h"

#include "core/base/text.h"
#include "server/json.h"
#include "server/reply.h"

#include <stdlib.h>
#include <string.h>

#define TAGS_MAX 64

struct asked {
    json_t *by_name;
    const char *beside_json; /* a parameter that only YAML needs */
};

/* A parameter given twice: its last value, as everywhere; tags are gathered. */
static int take(void *ctx, const char *name, const char *value)
{
    struct asked *a = ctx;
    json_t *text = json_string(value ? value : ""), *tags;
    if (am_streq(name, "dry_run")) {
        json_decref(text);
        return 0;
    }
    a->beside_json = name;
    if (!am_streq(name, "tag"))
        return json_object_set_new(a->by_name, name, text) < 0 ? -AM_E_OUT_OF_MEMORY : 0;
    if (!(tags = json_object_get(a->by_name, "tag"))) {
        tags = json_array();
        json_object_set_new(a->by_name, "tag", tags);
    }
    if (json_array_size(tags) == TAGS_MAX) {
        json_decref(text);
        return 0;
    }
    return am_json_add(tags, text);
}

static int refuse_beside_json(struct am_req *r, const char *name)
{
    char pointer[80];
    snprintf(pointer, sizeof pointer, "?%.60s", name);
    return am_reply_fault(
        r, AM_E_INVALID_REQUEST, pointer,
        "%.60s goes with a mergekit configuration (Content-Type: application/yaml); a body in JSON has "
        "its own place for it",
        name);
}

static bool read_chain(struct am_recipe *c, struct am_req *r, json_t *ask, int *ret_queued)
{
    json_t *bodies = json_array();
    c->chain = calloc(1, sizeof *c->chain);
    int rc = bodies && c->chain
                 ? am_chain_read(c->chain, &c->mergekit.yaml, r->body.data, r->body.len, ask, &r->srv->table)
                 : -AM_E_OUT_OF_MEMORY;
    for (size_t i = 0; rc != -AM_E_OUT_OF_MEMORY && i < c->chain->n; i++) {
        json_t *body = c->chain->v[i].mergekit.body;
        json_array_append_new(bodies, body ? json_deep_copy(body) : json_null());
    }
    if (rc == -AM_E_OUT_OF_MEMORY) {
        json_decref(bodies);
        *ret_queued = am_reply_error(r, rc, "the configuration could not be read");
        return false;
    }
    r->json = bodies;
    return true;
}

static bool read_yaml(struct am_recipe *c, struct am_req *r, json_t *ask, int *ret_queued)
{
    c->yaml = true;
    int rc =
        am_mergekit_read(&c->mergekit, r->body.data ? r->body.data : "", r->body.len, ask, &r->srv->table, &c->faults);
    if (c->mergekit.yaml.n > 1)
        return read_chain(c, r, ask, ret_queued);
    if (c->mergekit.body) {
        r->json = json_incref(c->mergekit.body);
        return true;
    }
    if (c->faults.n) {
        am_mergekit_place(&c->mergekit, &c->faults);
        *ret_queued = am_reply_faults(r, &c->faults);
    } else {
        *ret_queued = am_reply_error(r, rc < 0 ? rc : -AM_E_INTERNAL, "the configuration could not be read");
    }
    return false;
}

bool am_recipe_take(struct am_recipe *ret, struct am_req *r, int *ret_queued)
{
    struct asked a = {.by_name = json_object()};
    *ret = (struct am_recipe){0};
    if (!a.by_name) {
        *ret_queued = am_reply_error(r, -AM_E_OUT_OF_MEMORY, "the request could not be read");
        return false;
    }
    am_req_query_each(r, take, &a);
    bool good = true;
    if (r->yaml)
        good = read_yaml(ret, r, a.by_name, ret_queued);
    else if (a.beside_json) {
        *ret_queued = refuse_beside_json(r, a.beside_json);
        good = false;
    }
    json_decref(a.by_name);
    return good;
}

void am_recipe_done(struct am_recipe *c)
{
    if (c->chain)
        am_chain_done(c->chain);
    free(c->chain);
    am_mergekit_done(&c->mergekit);
    am_faults_done(&c->faults);
}
