/*
 * report_page.c - GET /v1/reports/{id} for people: the report as Markdown or as one HTML page, when Accept names that
 * before JSON. Not what stands on it: server/report_page.h.
 */
#include "server/report_page.h"

#include "core/base/text.h"
#include "server/api/api.h"
#include "server/api/decisions.h"
#include "server/api/reports.h"
#include "server/doc_style.h"
#include "server/reply.h"
#include "server/report_files.h"

#include <microhttpd.h>
#include <stdio.h>
#include <string.h>

/* Which form the client wants: the first that it names of those there are; who takes anything gets JSON. */
enum am_report_form am_report_form(struct am_req *r)
{
    static const struct {
        const char *type;
        enum am_report_form form;
    } forms[] = {{"application/json", AM_REPORT_JSON}, {"text/markdown", AM_REPORT_MD}, {"text/html", AM_REPORT_HTML}};
    const char *accept = am_req_header(r, MHD_HTTP_HEADER_ACCEPT), *first = NULL;
    enum am_report_form form = AM_REPORT_JSON;
    for (size_t i = 0; accept && i < sizeof forms / sizeof *forms; i++) {
        const char *at = strcasestr(accept, forms[i].type);
        if (at && (!first || at < first)) {
            first = at;
            form = forms[i].form;
        }
    }
    return form;
}

static int keep(void *ctx, int64_t row, json_t *slice)
{
    (void)row;
    return am_report_slice_keep(ctx, slice);
}

static int read_slices(struct am_req *r, const json_t *report, json_t *ret)
{
    const json_t *file = json_object_get(json_object_get(report, "files"), "slices");
    const char *sha256 = json_string_value(json_object_get(file, "sha256"));
    return sha256 ? am_slices_walk(r->srv->store, sha256, 0, keep, ret) : 0;
}

static const char *decision_id(const json_t *report)
{
    return json_string_value(json_object_get(json_object_get(report, "decision"), "id"));
}

/* What a page is made of does not change but for the newest decision about it and this program. */
static void etag_of(const struct am_req *r, const json_t *report, enum am_report_form form, char out[260])
{
    const char *decision = decision_id(report);
    snprintf(out, 260, "%.80s-%.80s-%s-%.60s", r->arg[0], decision ? decision : "",
             form == AM_REPORT_MD ? "md" : "html", AM_VERSION);
}

/* `page` is taken; NULL: the client has it already. */
static int reply(struct am_req *r, enum am_report_form form, const char *etag, struct am_buf *page)
{
    char quoted[264];
    snprintf(quoted, sizeof quoted, "\"%s\"", etag);
    const char *const headers[] = {MHD_HTTP_HEADER_CONTENT_TYPE,
                                   form == AM_REPORT_MD ? "text/markdown; charset=utf-8" : "text/html; charset=utf-8",
                                   MHD_HTTP_HEADER_ETAG,
                                   quoted,
                                   MHD_HTTP_HEADER_VARY,
                                   MHD_HTTP_HEADER_ACCEPT,
                                   "Content-Security-Policy",
                                   AM_DOC_CSP,
                                   NULL};
    if (!page)
        return am_reply_queue(r, MHD_HTTP_NOT_MODIFIED,
                              MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT), headers);
    size_t n = page->len;
    char *text = am_buf_take(page);
    return am_reply_queue(r, 200, MHD_create_response_from_buffer(n, text, MHD_RESPMEM_MUST_FREE), headers);
}

/* With its rules; NULL: no gate was asked. */
static int read_decision(struct am_req *r, const json_t *report, json_t **ret)
{
    const char *uid = decision_id(report);
    int rc = uid ? am_decision_get(am_store_read(r->srv->store), uid, am_decision_take, ret) : 0;
    return rc == -AM_E_NOT_FOUND ? 0 : rc;
}

static int make(struct am_req *r, const json_t *report, enum am_report_form form, struct am_buf *ret)
{
    json_t *slices = json_array(), *decision = NULL;
    int rc = slices ? read_slices(r, report, slices) : -AM_E_OUT_OF_MEMORY;
    if (rc == 0)
        rc = read_decision(r, report, &decision);
    struct am_report_view v = {report, slices, decision};
    if (rc == 0)
        rc = am_report_page(&v, form == AM_REPORT_MD ? AM_DOC_MD : AM_DOC_HTML, ret);
    json_decref(slices);
    json_decref(decision);
    return rc;
}

int am_report_reply_page(struct am_req *r, json_t *report, enum am_report_form form)
{
    struct am_buf page;
    char etag[260];
    etag_of(r, report, form, etag);
    if (am_etag_matches(r, MHD_HTTP_HEADER_IF_NONE_MATCH, etag)) {
        json_decref(report);
        return reply(r, form, etag, NULL);
    }
    am_buf_init(&page, AM_REPORT_PAGE_MAX);
    int rc = make(r, report, form, &page);
    json_decref(report);
    if (rc == 0)
        return reply(r, form, etag, &page);
    am_buf_done(&page);
    return rc == -AM_E_STORE_DAMAGED
               ? am_reply_problem(r, AM_E_STORE_DAMAGED,
                                  "the stored slices of the report cannot be read; verify the store: POST "
                                  "/v1/admin/tasks {\"kind\":\"verify\"}")
               : am_reply_error(r, rc, "the page of the report could not be made");
}
