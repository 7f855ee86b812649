/*
 * stages.c - waiting for a chain of jobs from its first one on (job.h). The jobs are found in the specs: an input that
 * is {"job": id}.
 */
#include "cli/http.h"
#include "cli/job.h"
#include "cli/out.h"
#include "core/base/text.h"

#include <stdlib.h>

struct walk {
    struct am_cli *c;
    json_t *seen; /* by id */
    int rc;
};

static void take(struct walk *w, const json_t *v);

static void say(const struct am_cli *c, const char *id, const json_t *job)
{
    const json_t *version = am_js(job, "result.version");
    AM_CLEANUP(am_xfreep) char *name = am_version_name(version);
    if (json_is_object(version))
        am_say_note(c, "%s made %s", id, name);
}

static void wait_one(struct walk *w, const char *id)
{
    AM_CLEANUP(am_xfreep) char *path = am_url("/v1/jobs", id, NULL);
    AM_CLEANUP(am_jsonp) json_t *ended = NULL;
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    if (json_object_get(w->seen, id) || json_object_set_new(w->seen, id, json_true()) < 0)
        return;
    w->rc = am_http_poll(w->c, path, &r);
    take(w, am_js(r.json, "spec.inputs"));
    if (w->rc == 0)
        w->rc = am_job_wait(w->c, id, &ended);
    if (w->rc == 0)
        say(w->c, id, ended);
}

/* As deep as jobs may wait in a row, times the depth of a body. */
static void take(struct walk *w, const json_t *v)
{
    const char *id = am_js_text(v, "job", NULL), *key;
    const json_t *one;
    json_t *member;
    size_t i;
    if (id && w->rc == 0)
        wait_one(w, id);
    if (json_is_array(v))
        json_array_foreach(v, i, one) take(w, one);
    if (json_is_object(v))
        json_object_foreach((json_t *)v, key, member) take(w, member);
}

int am_stages_wait(struct am_cli *c, const json_t *job)
{
    AM_CLEANUP(am_jsonp) json_t *seen = json_object();
    struct walk w = {.c = c, .seen = seen};
    take(&w, am_js(job, "spec.inputs"));
    return w.rc;
}
