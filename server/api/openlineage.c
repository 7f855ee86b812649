/*
 * openlineage.c - a graph of lineage.c as run events of OpenLineage 2-0-2, one a line, ready to be posted to a
 * collector: one COMPLETE for each version that a job made, with what it was made of. The edge from the head before
 * (role commit) is none: nothing of it is read. Not the sending of events.
 */
#include "core/base/text.h"
#include "server/api/api.h"
#include "server/api/decisions.h"
#include "server/reply.h"
#include "storage/jobs.h"
#include "storage/models.h"

#include <ctype.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRODUCER "urn:amend:amendd:" AM_VERSION
#define SPEC "https://openlineage.io/spec/"
enum { ANSWER_MAX = 64 << 20 };

struct story {
    struct am_db *db;
    char space[300];      /* amend://HOST */
    char base[300];       /* http://HOST */
    json_t *by_id, *into; /* commit -> node; commit -> the edges that lead to it */
};

static const char *text_of(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

/* What every facet has, and `more` (stolen). */
static json_t *facet(const char *schema, json_t *more)
{
    json_t *o = json_pack("{s:s, s:s}", "_producer", PRODUCER, "_schemaURL", schema);
    json_object_update(o, more);
    json_decref(more);
    return o;
}

/* The digits of a job's id are those of a UUID. */
static json_t *run_id(const char *uid)
{
    char text[40];
    const char *h = am_starts(uid, "job_") ? uid + 4 : uid;
    snprintf(text, sizeof text, "%.8s-%.4s-%.4s-%.4s-%.12s", h, h + 8, h + 12, h + 16, h + 20);
    return json_string(text);
}

static json_t *dataset(const struct story *s, const json_t *node)
{
    return json_pack(
        "{s:s, s:s, s:{s:o, s:o}}", "namespace", s->space, "name", text_of(node, "model"), "facets", "version",
        facet(SPEC "facets/1-0-1/DatasetVersionDatasetFacet.json",
              json_pack("{s:s}", "datasetVersion", text_of(node, "id"))),
        "datasetType",
        facet(SPEC "facets/1-0-1/DatasetTypeDatasetFacet.json", json_pack("{s:s}", "datasetType", "MODEL")));
}

static json_t *inputs(const struct story *s, const json_t *node)
{
    json_t *list = json_array(), *edge;
    json_auto_t *seen = json_object();
    size_t i;
    json_array_foreach(json_object_get(s->into, text_of(node, "id")), i, edge)
    {
        const char *from = text_of(edge, "from");
        json_t *parent = json_object_get(s->by_id, from);
        if (!parent || am_streq(text_of(edge, "role"), "commit") || json_object_get(seen, from))
            continue;
        json_object_set_new(seen, from, json_true());
        json_array_append_new(list, dataset(s, parent));
    }
    return list;
}

static int take_size(void *ctx, const struct am_version_row *v)
{
    *(json_t **)ctx = json_pack("{s:I, s:I}", "size", (json_int_t)v->bytes, "fileCount", (json_int_t)v->files);
    return 0;
}

static json_t *output(const struct story *s, const json_t *node)
{
    int64_t version;
    json_t *o = dataset(s, node), *size = NULL;
    if (am_rev_resolve_any(s->db, text_of(node, "model"), text_of(node, "id"), &version) == 0)
        am_version_get(s->db, version, take_size, &size);
    if (size)
        json_object_set_new(o, "outputFacets",
                            json_pack("{s:o}", "outputStatistics",
                                      facet(SPEC "facets/1-0-2/OutputStatisticsOutputDatasetFacet.json", size)));
    return o;
}

static json_t *job_json(const struct story *s, const json_t *node, const char *type)
{
    char name[300];
    snprintf(name, sizeof name, "%s.%s", type, text_of(node, "model"));
    return json_pack("{s:s, s:s}", "namespace", s->space, "name", name);
}

struct run {
    const struct story *s;
    json_t *job, *facets;
};

/* The facets that the job's own row tells. */
static int add_job(void *ctx, const struct am_job_row *j)
{
    struct run *r = ctx;
    const char *of = j->retry_of ? j->retry_of : j->rerun_of;
    char schema[400];
    snprintf(schema, sizeof schema, "%s/v1/schemas/SpecRunFacet.json", r->s->base);
    json_object_set_new(r->facets, "amend_spec",
                        facet(schema, json_pack("{s:s, s:s, s:s}", "spec_sha256", j->spec_sha256, "type", j->type,
                                                "method", j->method)));
    if (of)
        json_object_set_new(r->facets, "parent",
                            facet(SPEC "facets/1-0-1/ParentRunFacet.json",
                                  json_pack("{s:{s:o}, s:O}", "run", "runId", run_id(of), "job", r->job)));
    return 0;
}

static int take_tests(void *ctx, const struct am_decision_row *d)
{
    return am_json_take(ctx, am_decision_tests(d));
}

/* What the newest decision about the version says, rule by rule. */
static void add_tests(const struct story *s, const json_t *node, json_t *facets)
{
    struct am_decision_filter f = {.limit = 1};
    json_t *tests = NULL;
    if (am_rev_resolve_any(s->db, text_of(node, "model"), text_of(node, "id"), &f.version) == 0)
        am_decision_list(s->db, &f, take_tests, &tests);
    if (tests)
        json_object_set_new(facets, "test",
                            facet(SPEC "facets/1-0-1/TestRunFacet.json", json_pack("{s:o}", "tests", tests)));
}

static json_t *event(const struct story *s, const json_t *node)
{
    const char *type = text_of(node, "type")[0] ? text_of(node, "type") : "import";
    char upper[32] = "";
    for (size_t i = 0; type[i] && i + 1 < sizeof upper; i++)
        upper[i] = (char)toupper((unsigned char)type[i]);
    json_t *job = job_json(s, node, type);
    struct run r = {s, job, json_object()};
    json_object_set_new(r.facets, "processing_engine",
                        facet(SPEC "facets/1-1-1/ProcessingEngineRunFacet.json",
                              json_pack("{s:s, s:s}", "name", "amendd", "version", AM_VERSION)));
    am_job_get(s->db, text_of(node, "job"), add_job, &r);
    add_tests(s, node, r.facets);
    json_t *with_type = json_copy(job);
    json_object_set_new(with_type, "facets",
                        json_pack("{s:o}", "jobType",
                                  facet(SPEC "facets/2-0-4/JobTypeJobFacet.json",
                                        json_pack("{s:s, s:s, s:s}", "processingType", "BATCH", "integration", "AMEND",
                                                  "jobType", upper))));
    json_decref(job);
    return json_pack("{s:s, s:s, s:s, s:s, s:{s:o, s:o}, s:o, s:o, s:[o]}", "eventType", "COMPLETE", "eventTime",
                     text_of(node, "created_at"), "producer", PRODUCER, "schemaURL",
                     SPEC "2-0-2/OpenLineage.json#/$defs/RunEvent", "run", "runId", run_id(text_of(node, "job")),
                     "facets", r.facets, "job", with_type, "inputs", inputs(s, node), "outputs", output(s, node));
}

static json_t *group_by_child(json_t *edges)
{
    json_t *into = json_object(), *edge;
    size_t i;
    json_array_foreach(edges, i, edge)
    {
        json_t *list = json_object_get(into, text_of(edge, "to"));
        if (!list) {
            list = json_array();
            json_object_set_new(into, text_of(edge, "to"), list);
        }
        json_array_append(list, edge);
    }
    return into;
}

static void name_host(const struct am_req *r, struct story *s)
{
    const char *url = r->srv->cfg->public_url, *host = strstr(url, "://");
    host = host ? host + 3 : url;
    int n = (int)strcspn(host, "/");
    if (!n) {
        host = r->srv->url + strlen("http://");
        n = (int)strlen(host);
    }
    snprintf(s->space, sizeof s->space, "amend://%.*s", n, host);
    snprintf(s->base, sizeof s->base, "%s://%.*s", am_starts(url, "https:") ? "https" : "http", n, host);
}

int am_reply_openlineage(struct am_req *r, struct am_db *db, json_t *nodes, json_t *edges, json_t *by_id)
{
    struct story s = {.db = db, .by_id = by_id, .into = group_by_child(edges)};
    struct am_buf b;
    json_t *node;
    size_t i;
    int rc = 0;
    name_host(r, &s);
    am_buf_init(&b, ANSWER_MAX);
    json_array_foreach(nodes, i, node)
    {
        if (rc < 0 || !text_of(node, "job")[0])
            continue;
        json_auto_t *o = event(&s, node);
        char *line = o ? json_dumps(o, JSON_COMPACT) : NULL;
        rc = line ? am_buf_printf(&b, "%s\n", line) : -AM_E_OUT_OF_MEMORY;
        free(line);
    }
    json_decref(s.into);
    if (rc < 0) {
        am_buf_done(&b);
        return am_reply_error(r, rc, "the events could not be written; ask for fewer with depth");
    }
    size_t n = b.len;
    return am_reply_text(r, "application/x-ndjson", n ? am_buf_take(&b) : strdup(""), n);
}
