/*
 * card.c - GET V/card: the model card of a version, which is its README.md. As Markdown, or taken apart for programs.
 */
#include "core/base/sys.h"
#include "core/base/text.h"
#include "core/table/card_mark.h"
#include "server/api/api.h"
#include "server/reply.h"
#include "storage/blobs.h"
#include "storage/damage.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#define CARD_MAX (4 << 20)
#define PATH "README.md"

struct card {
    struct am_req *r;
    struct am_db *db;
    int64_t version, bytes, layout;
    char model[200], commit[41], sha256[AM_SHA256_LEN + 1], etag[AM_SHA256_LEN + 1];
    char *text;
};

static int take_file(void *ctx, const struct am_file_row *f)
{
    struct card *c = ctx;
    c->bytes = f->bytes;
    c->layout = f->layout;
    snprintf(c->sha256, sizeof c->sha256, "%s", f->sha256);
    snprintf(c->etag, sizeof c->etag, "%s", am_file_etag(f));
    return 0;
}

static int take_version(void *ctx, const struct am_version_row *v)
{
    struct card *c = ctx;
    snprintf(c->model, sizeof c->model, "%s", v->model_name);
    snprintf(c->commit, sizeof c->commit, "%s", v->commit);
    return 0;
}

static int read_span(void *ctx, int64_t at, const char *blob_hex, int64_t offset, int64_t bytes)
{
    struct card *c = ctx;
    AM_CLEANUP(am_sys_closep) int fd = am_blob_open(c->r->srv->store, blob_hex);
    if (fd < 0 || at < 0 || bytes < 0 || at + bytes > c->bytes)
        return -AM_E_STORE_DAMAGED;
    return am_sys_pread(fd, c->text + at, (size_t)bytes, (uint64_t)offset);
}

/* Does the client read JSON rather than Markdown? The first of the two that it names decides, and who takes anything
   gets the card as it is. */
static bool wants_json(struct am_req *r)
{
    const char *accept = am_req_header(r, MHD_HTTP_HEADER_ACCEPT);
    const char *json = accept ? strcasestr(accept, "application/json") : NULL;
    const char *text = accept ? strcasestr(accept, "text/markdown") : NULL;
    return json && (!text || json < text);
}

static int reply_json(struct card *c)
{
    char *body = c->text, *end = NULL;
    size_t n = 0;
    if (am_starts(c->text, "---\n") && (end = strstr(c->text + 3, "\n---\n"))) {
        n = (size_t)(end - c->text) - 3; /* with the last line's end, without both fences */
        body = end + 5;
        body += strspn(body, "\n");
    }
    char etag[sizeof c->etag + 5]; /* another form of the same card is another thing to a cache */
    snprintf(etag, sizeof etag, "%s-json", c->etag);
    json_t *front = end ? json_stringn(c->text + 4, n) : json_null();
    json_t *text = json_string(body);
    if (!front || !text) {
        json_decref(front);
        json_decref(text);
        return am_reply_problem(c->r, AM_E_UNSUPPORTED_FORMAT,
                                PATH " of this version is not UTF-8; GET .../files/" PATH "/content gives its bytes");
    }
    return am_reply_resource(
        c->r,
        json_pack("{s:s, s:s, s:s, s:s, s:I, s:s, s:b, s:o, s:o}", "object", "card", "model", c->model, "commit",
                  c->commit, "path", PATH, "bytes", (json_int_t)c->bytes, "sha256", c->sha256, "made_by_amend",
                  am_card_is_sealed(c->text, (size_t)c->bytes), "front_matter", front, "text", text),
        etag);
}

static int reply_card(struct card *c)
{
    char quoted[AM_SHA256_LEN + 3];
    if (wants_json(c->r))
        return reply_json(c);
    snprintf(quoted, sizeof quoted, "\"%s\"", c->etag);
    const char *headers[] = {MHD_HTTP_HEADER_CONTENT_TYPE,
                             "text/markdown; charset=utf-8",
                             MHD_HTTP_HEADER_ETAG,
                             quoted,
                             MHD_HTTP_HEADER_VARY,
                             MHD_HTTP_HEADER_ACCEPT,
                             "X-Repo-Commit",
                             c->commit,
                             NULL};
    if (am_etag_matches(c->r, MHD_HTTP_HEADER_IF_NONE_MATCH, c->etag))
        return am_reply_queue(c->r, MHD_HTTP_NOT_MODIFIED,
                              MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT), headers);
    return am_reply_queue(c->r, 200, MHD_create_response_from_buffer((size_t)c->bytes, c->text, MHD_RESPMEM_MUST_COPY),
                          headers);
}

static int read_card(struct card *c)
{
    char why[400];
    int rc = am_damage_of_layout(c->db, c->layout, why, sizeof why);
    if (rc < 0)
        return am_reply_problem(c->r, -rc, "%s", why);
    if (c->bytes > CARD_MAX)
        return am_reply_problem(c->r, AM_E_TOO_LARGE,
                                PATH " of this version has %lld bytes; GET .../files/" PATH
                                     "/content gives it in parts",
                                (long long)c->bytes);
    c->text = calloc((size_t)c->bytes + 1, 1);
    if (!c->text)
        return am_reply_error(c->r, -AM_E_OUT_OF_MEMORY, "the card could not be read");
    rc = am_span_list(c->db, c->layout, read_span, c);
    return rc < 0 ? am_reply_error(c->r, rc, "the card could not be read") : reply_card(c);
}

int am_api_card(struct am_req *r)
{
    int queued = MHD_NO;
    struct card c = {.r = r};
    if (am_find_version(r, &c.version, NULL, &queued) < 0)
        return queued;
    c.db = am_store_read(r->srv->store);
    int rc = am_version_brief(c.db, c.version, take_version, &c);
    if (rc == 0)
        rc = am_file_get(c.db, c.version, PATH, take_file, &c);
    if (rc == -AM_E_NOT_FOUND)
        return am_reply_problem(r, AM_E_NOT_FOUND,
                                "this version has no " PATH "; GET .../versions/{rev} tells what is known of it");
    queued = rc < 0 ? am_reply_error(r, rc, "the version could not be read") : read_card(&c);
    free(c.text);
    return queued;
}
