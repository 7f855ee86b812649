/*
 * files.c - the files of a version and their bytes. The content route and the Hub's resolve route are one handler: same
 * bytes, same headers, ranges and 304 (hub.md 4). Nothing is hashed here; every hash was fixed before the version
 * existed.
 */
#include "core/base/text.h"
#include "server/api/bytes.h"
#include "server/api/hub.h"
#include "server/content.h"
#include "server/reply.h"
#include "storage/damage.h"
#include "storage/models.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

const char *am_file_etag(const struct am_file_row *f)
{
    return f->git_sha1 ? f->git_sha1 : f->sha256;
}

struct files {
    struct am_db *db;
    bool layout; /* with the spans */
    json_t *data;
    char base[700]; /* "/v1/models/ns/name/versions/<rev>/files/" */
};

struct layout {
    struct am_db *db;
    json_t *spans, *origin; /* origin: blob -> the version that brought it */
};

static int add_span(void *ctx, int64_t at, const char *blob_hex, int64_t offset, int64_t bytes)
{
    struct layout *l = ctx;
    char from[300];
    if (!json_object_get(l->origin, blob_hex)) {
        AM_TRY(am_blob_origin(l->db, blob_hex, from, sizeof from));
        json_object_set_new(l->origin, blob_hex, json_string(from));
    }
    json_t *o =
        json_pack("{s:I, s:s, s:I, s:I, s:O}", "at", (json_int_t)at, "blob", blob_hex, "offset", (json_int_t)offset,
                  "length", (json_int_t)bytes, "from_version", json_object_get(l->origin, blob_hex));
    return am_json_add(l->spans, o);
}

static int add_layout(const struct files *c, json_t *file, int64_t layout)
{
    json_auto_t *origin = json_object();
    struct layout l = {.db = c->db, .spans = json_array(), .origin = origin};
    int rc = am_span_list(c->db, layout, add_span, &l);
    if (json_object_set_new(file, "layout", l.spans) < 0 && rc == 0)
        rc = -AM_E_OUT_OF_MEMORY;
    return rc;
}

static int add_file(void *ctx, const struct am_file_row *f)
{
    struct files *c = ctx;
    char encoded[3200], url[4100];
    if (am_url_encode(f->path, false, encoded, sizeof encoded) < 0)
        return -AM_E_INTERNAL;
    snprintf(url, sizeof url, "%s%s/content", c->base, encoded);
    json_t *o = json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:s?, s:s, s:I, s:b, s:s}", "object", "file", "path", f->path,
                          "class", f->git_sha1 ? "regular" : "lfs", "bytes", (json_int_t)f->bytes, "etag",
                          am_file_etag(f), "sha256", f->sha256, "git_sha1", f->git_sha1, "storage",
                          f->blob || f->bytes == 0 ? "whole" : "assembled", "spans", (json_int_t)f->spans, "weights",
                          f->weights, "content_url", url);
    int rc = o && c->layout ? add_layout(c, o, f->layout) : 0;
    if (json_array_append_new(c->data, o) < 0)
        return -AM_E_OUT_OF_MEMORY;
    return rc;
}

/* false: there is no such version, or ?layout is neither true nor false, and an answer was queued. */
static bool files_open(struct am_req *r, struct files *c, int64_t *ret_version, int *ret_queued)
{
    char rev[400];
    bool layout;
    if (am_find_version(r, ret_version, NULL, ret_queued) < 0 || !am_req_flag(r, "layout", &layout, ret_queued))
        return false;
    *c = (struct files){.db = am_store_read(r->srv->store), .layout = layout, .data = json_array()};
    if (am_url_encode(r->arg[2], false, rev, sizeof rev) < 0)
        rev[0] = 0;
    snprintf(c->base, sizeof c->base, "/v1/models/%.96s/%.96s/versions/%s/files/", r->arg[0], r->arg[1], rev);
    return true;
}

int am_api_files(struct am_req *r)
{
    int queued = MHD_NO;
    int64_t version;
    struct files c;
    if (!files_open(r, &c, &version, &queued))
        return queued;
    int rc = am_file_list(c.db, version, add_file, &c);
    if (rc < 0) {
        json_decref(c.data);
        return am_reply_error(r, rc, "the files could not be listed");
    }
    return am_reply_json(r, 200, am_json_list(c.data, NULL), NULL);
}

int am_api_file(struct am_req *r)
{
    int queued = MHD_NO;
    int64_t version;
    struct files c;
    if (!files_open(r, &c, &version, &queued))
        return queued;
    int rc = am_file_get(c.db, version, r->arg[3], add_file, &c);
    json_t *f = json_incref(json_array_get(c.data, 0));
    json_decref(c.data);
    if (rc < 0)
        return rc == -AM_E_NOT_FOUND ? am_reply_problem(r, AM_E_NOT_FOUND,
                                                        "no file \"%.200s\" in this version; see its /files", r->arg[3])
                                     : am_reply_error(r, rc, "the file could not be read");
    return am_reply_resource(r, f, json_string_value(json_object_get(f, "etag")));
}

/* ---- bytes ---- */

static int take_file(void *ctx, const struct am_file_row *f)
{
    struct am_bytes *c = ctx;
    snprintf(c->path, sizeof c->path, "%s", f->path);
    snprintf(c->etag, sizeof c->etag, "%s", am_file_etag(f));
    c->bytes = f->bytes;
    c->layout = f->layout;
    return 0;
}

static int take_commit(void *ctx, const struct am_version_row *v)
{
    struct am_bytes *c = ctx;
    snprintf(c->commit, sizeof c->commit, "%s", v->commit);
    c->is_private = v->is_private;
    return 0;
}

static const char *content_type(const char *path)
{
    if (am_ends(path, ".json"))
        return "application/json";
    if (am_ends(path, ".md") || am_ends(path, ".txt"))
        return "text/plain; charset=utf-8";
    return "application/octet-stream";
}

/* The whole file, the wanted range of it, or the news that the client has it already. */
int am_reply_bytes(struct am_req *r, const struct am_bytes *c)
{
    char quoted[80], where[100], disposition[1300];
    snprintf(quoted, sizeof quoted, "\"%s\"", c->etag);
    const char *name = strrchr(c->path, '/') ? strrchr(c->path, '/') + 1 : c->path;
    snprintf(disposition, sizeof disposition, "inline; filename=\"%s\"", name);
    for (char *p = disposition + strlen("inline; filename=\""); p[0] && p[1]; p++)
        if (*p == '"' || *p == '\\' || (unsigned char)*p < 0x20)
            *p = '_';
    const char *headers[] = {MHD_HTTP_HEADER_ETAG,
                             quoted,
                             MHD_HTTP_HEADER_ACCEPT_RANGES,
                             "bytes",
                             MHD_HTTP_HEADER_CONTENT_TYPE,
                             c->type ? c->type : content_type(c->path),
                             MHD_HTTP_HEADER_CONTENT_DISPOSITION,
                             disposition,
                             MHD_HTTP_HEADER_CACHE_CONTROL,
                             !c->fixed       ? "no-cache"
                             : c->is_private ? "private, max-age=31536000, immutable"
                                             : "public, max-age=31536000, immutable",
                             NULL,
                             NULL,
                             NULL,
                             NULL,
                             NULL};
    size_t n = 10;
    if (c->commit[0]) {
        headers[n++] = "X-Repo-Commit";
        headers[n++] = c->commit;
    }
    if (am_etag_matches(r, MHD_HTTP_HEADER_IF_NONE_MATCH, c->etag))
        return am_reply_queue(r, MHD_HTTP_NOT_MODIFIED,
                              MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT), headers);
    struct am_range range;
    const char *if_range = am_req_header(r, MHD_HTTP_HEADER_IF_RANGE);
    bool part = !r->head && (!if_range || am_streq(if_range, quoted)); /* HEAD has no ranges: RFC 9110, 14.2 */
    const char *wanted = part ? am_req_header(r, MHD_HTTP_HEADER_RANGE) : NULL;
    enum am_range_kind kind = am_range_parse(wanted, (uint64_t)c->bytes, &range);
    if (kind == AM_RANGE_BEYOND) {
        snprintf(where, sizeof where, "bytes */%" PRId64, c->bytes);
        const char *more[] = {MHD_HTTP_HEADER_CONTENT_RANGE, where, MHD_HTTP_HEADER_ETAG, quoted, NULL};
        return am_reply_problem_full(r, AM_E_RANGE, "the range lies beyond the end of the file", NULL, more);
    }
    if (kind == AM_RANGE_PART) {
        snprintf(where, sizeof where, "bytes %" PRIu64 "-%" PRIu64 "/%" PRId64, range.first,
                 range.first + range.bytes - 1, c->bytes);
        headers[n++] = MHD_HTTP_HEADER_CONTENT_RANGE;
        headers[n++] = where;
    }
    if (c->bytes == 0)
        return am_reply_queue(r, MHD_HTTP_OK, MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT),
                              headers);
    char why[400];
    struct MHD_Response *response = NULL;
    int rc = am_damage_of_layout(am_store_read(r->srv->store), c->layout, why, sizeof why);
    if (rc < 0)
        return am_reply_error(r, rc, rc == -AM_E_STORE_DAMAGED ? why : "the file could not be read");
    rc = am_content_open(&response, r->srv->store, c->layout, range, why, sizeof why);
    if (rc < 0)
        return am_reply_error(r, rc, why);
    return am_reply_queue(r, kind == AM_RANGE_PART ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK, response, headers);
}

/* What git holds of a large file. */
static int send_pointer(struct am_req *r, const struct am_bytes *c)
{
    char *text = NULL;
    int n = asprintf(&text, "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %" PRId64 "\n", c->etag,
                     c->bytes);
    return n < 0 ? am_reply_error(r, -AM_E_OUT_OF_MEMORY, "no memory")
                 : am_reply_text(r, "text/plain; charset=utf-8", text, (size_t)n);
}

enum door { OWN, RESOLVE, RAW };

static int reply_content(struct am_req *r, enum door door)
{
    int queued = MHD_NO;
    int64_t version;
    struct am_bytes c = {.bytes = 0};
    if (am_find_version(r, &version, &c.fixed, &queued) < 0)
        return queued;
    struct am_db *db = am_store_read(r->srv->store);
    int rc = am_version_brief(db, version, take_commit, &c);
    if (rc == 0)
        rc = am_file_get(db, version, r->arg[3], take_file, &c);
    /* a method's state holds samples: the Hub's route never serves it (hub.md 6.5) */
    if (rc == 0 && door != OWN && am_hub_is_hidden(r->arg[3]))
        rc = -AM_E_NOT_FOUND;
    if (rc == -AM_E_NOT_FOUND) {
        const char *headers[] = {"X-Error-Code", "EntryNotFound", "X-Repo-Commit", c.commit, NULL};
        return am_reply_problem_full(
            r, AM_E_NOT_FOUND, "no such file in this version; GET .../versions/{rev}/files lists them", NULL, headers);
    }
    if (rc < 0)
        return am_reply_error(r, rc, "the file could not be read");
    return door == RAW && strlen(c.etag) == AM_SHA256_LEN ? send_pointer(r, &c) : am_reply_bytes(r, &c);
}

int am_api_content(struct am_req *r)
{
    return reply_content(r, OWN);
}

int am_api_resolve(struct am_req *r)
{
    return reply_content(r, RESOLVE);
}

int am_api_hub_raw(struct am_req *r)
{
    return reply_content(r, RAW);
}
