/*
 * dataset_resolve.c - POST D/versions/{rev}/resolve: what a selection means, in numbers that a job would store.
 */
#include "core/base/text.h"
#include "server/api/api.h"
#include "server/api/datasets.h"
#include "server/reply.h"
#include "server/selection.h"

#include <microhttpd.h>
#include <string.h>

/* A selection may name its dataset; it is the one of the path then. */
static bool is_ours(const char *text, const struct am_data *s)
{
    size_t n = strcspn(text, "@");
    return n == strlen(s->dataset) && strncmp(text, s->dataset, n) == 0;
}

static int reply(struct am_req *r, struct am_data *s, const struct am_selected *sel)
{
    char digest[65];
    int rc = am_selected_digest(sel, s, digest);
    if (rc < 0)
        return am_reply_error(r, rc, "the samples could not be read");
    json_t *o = json_pack("{s:s, s:s, s:I, s:s, s:I, s:I, s:s, s:O, s:I}", "object", "resolution", "dataset",
                          s->dataset, "number", (json_int_t)s->number, "sha256", s->sha256, "rows", (json_int_t)s->rows,
                          "count", (json_int_t)sel->count, "ids_sha256", digest, "unknown", sel->unknown,
                          "unknown_total", (json_int_t)sel->unknown_total);
    return am_reply_json(r, 200, o, NULL);
}

int am_api_dataset_resolve(struct am_req *r)
{
    int queued = MHD_NO;
    int64_t version;
    char why[300];
    struct am_data s;
    struct am_selected sel;
    struct am_faults f = {0};
    am_selection_check(r->json, &f);
    if (f.n)
        return am_reply_faults(r, &f);
    if (am_find_dataset_version(r, &version, &queued) < 0)
        return queued;
    int rc = am_data_open(&s, r->srv->store, version, why, sizeof why);
    if (rc < 0)
        return am_reply_error(r, rc, why);
    const json_t *dataset = json_object_get(r->json, "dataset");
    if (dataset && !(json_is_string(dataset) && is_ours(json_string_value(dataset), &s)))
        am_fault_add(&f, AM_E_INVALID_PARAMS, (struct am_where){.pointer = "#/dataset"},
                     "the path says %s; leave dataset out", s.dataset);
    rc = am_select(&sel, &s, r->json, &f);
    if (f.total)
        queued = am_reply_faults(r, &f);
    else
        queued = rc < 0 ? am_reply_error(r, rc, "the samples could not be read") : reply(r, &s, &sel);
    am_faults_done(&f);
    am_selected_done(&sel);
    am_data_done(&s);
    return queued;
}
