/*
 * hub_tree.c - trees and paths-info: files and folders of a version, with their hashes and, when asked, the commit that
 * brought each. A page is a place in the listing of one commit, so no page shifts under the reader.
 */
#include "core/base/text.h"
#include "server/api/hub.h"
#include "server/reply.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 1000, PAGE_EXPANDED = 100 /* each entry asks for its history */, PATHS = 1000 /* of one question */ };

struct tree {
    struct am_db *db;
    int64_t version;
    struct am_hub_files files;
    json_t *out;
    size_t skip, room; /* entries to leave out before; entries that fit */
    bool recursive, expand, more;
};

static int take_change(void *ctx, const struct am_hub_commit *c)
{
    int title = (int)strcspn(c->message, "\n");
    json_t *commit =
        json_pack("{s:s, s:s%, s:o}", "id", c->commit, "title", c->message, (size_t)title, "date", am_json_time(c->at));
    return json_object_set_new(ctx, "lastCommit", commit) < 0 ? -AM_E_OUT_OF_MEMORY : 0;
}

/* A folder changed when the newest of its files did. A file is looked up once for all folders above it. */
static int add_change(struct tree *t, json_t *entry, size_t lo, size_t hi)
{
    int64_t newest = 0;
    for (size_t i = lo; i < hi; i++) {
        struct am_hub_file *f = &t->files.v[i];
        if (!f->changed)
            AM_TRY(am_hub_last_change(t->db, t->version, f->path, f->layout, &f->changed));
        newest = f->changed > newest ? f->changed : newest;
    }
    json_object_set_new(entry, "lastCommit", json_null());
    return am_hub_commit_get(t->db, newest, take_change, entry);
}

static int put(struct tree *t, json_t *entry /* stolen */, size_t lo, size_t hi)
{
    int rc = entry ? 0 : -AM_E_OUT_OF_MEMORY;
    if (rc == 0 && t->expand)
        rc = add_change(t, entry, lo, hi);
    return json_array_append_new(t->out, entry) < 0 ? -AM_E_OUT_OF_MEMORY : rc;
}

/* Whether the next entry of the listing belongs to this page. */
static bool wanted(struct tree *t)
{
    if (t->skip) {
        t->skip--;
        return false;
    }
    t->more = json_array_size(t->out) >= t->room;
    return !t->more;
}

static int put_file(struct tree *t, size_t i)
{
    const struct am_hub_file *f = &t->files.v[i];
    json_t *entry =
        json_pack("{s:s, s:s, s:I, s:s}", "type", "file", "oid", f->oid, "size", (json_int_t)f->bytes, "path", f->path);
    if (f->lfs)
        json_object_set_new(entry, "lfs", am_hub_lfs(f, "oid"));
    return put(t, entry, i, i + 1);
}

/* The files [lo, hi) lie in the folder whose path is the first n bytes of theirs. */
static int put_folder(struct tree *t, size_t lo, size_t hi, size_t n)
{
    char oid[41] = "";
    AM_TRY(am_hub_folder_oid(&t->files, lo, hi, n + 1, oid));
    return put(
        t,
        json_pack("{s:s, s:s, s:i, s:s%}", "type", "directory", "oid", oid, "size", 0, "path", t->files.v[lo].path, n),
        lo, hi);
}

/* Entries of the folder that ends after `prefix` bytes; its files are [lo, hi). */
static int walk(struct tree *t, size_t lo, size_t hi, size_t prefix)
{
    for (size_t i = lo, next; i < hi && !t->more; i = next) {
        const char *path = t->files.v[i].path, *slash = strchr(path + prefix, '/');
        next = i + 1;
        if (!slash) {
            if (wanted(t))
                AM_TRY(put_file(t, i));
            continue;
        }
        size_t n = (size_t)(slash - path);
        while (next < hi && strncmp(t->files.v[next].path, path, n + 1) == 0)
            next++;
        if (wanted(t))
            AM_TRY(put_folder(t, i, next, n));
        if (t->recursive)
            AM_TRY(walk(t, i, next, n + 1));
    }
    return 0;
}

/* The next page is asked of the commit, whatever the name that was given points to by then. */
static int reply_tree(struct am_req *r, struct tree *t, size_t shown)
{
    char commit[41], model[200], cursor[32], folder[3200] = "", path[4096];
    json_t *out = json_incref(t->out);
    int rc = t->more ? am_version_commit(t->db, t->version, commit) : 0;
    if (rc == 0 && t->more && r->arg[3])
        rc = am_url_encode(r->arg[3], true, folder, sizeof folder);
    if (rc < 0) {
        json_decref(out);
        return am_reply_error(r, rc, "the next page could not be named");
    }
    if (!t->more)
        return am_hub_reply_page(r, out, NULL, NULL);
    am_model_id(r, model);
    snprintf(path, sizeof path, "/api/models/%s/tree/%s%s%s", model, commit, folder[0] ? "/" : "", folder);
    snprintf(cursor, sizeof cursor, "%zu", shown + json_array_size(out));
    return am_hub_reply_page(r, out, path, cursor);
}

static int list(struct am_req *r, struct tree *t, size_t shown)
{
    char folder[1100];
    size_t lo, hi;
    snprintf(folder, sizeof folder, "%.1090s", r->arg[3] ? r->arg[3] : "");
    for (size_t n = strlen(folder); n && folder[n - 1] == '/'; n--)
        folder[n - 1] = 0;
    const struct am_hub_file *file = am_hub_files_find(&t->files, folder);
    am_hub_files_below(&t->files, folder, &lo, &hi);
    if (folder[0] && lo == hi && !file)
        return am_hub_reply_no_entry(r, t->db, t->version);
    int rc = file ? put_file(t, (size_t)(file - t->files.v)) : walk(t, lo, hi, folder[0] ? strlen(folder) + 1 : 0);
    return rc < 0 ? am_reply_error(r, rc, "the files could not be listed") : reply_tree(r, t, shown);
}

static int with_files(struct am_req *r, struct tree *t, int (*then)(struct am_req *, struct tree *, size_t),
                      size_t shown)
{
    t->db = am_store_read(r->srv->store);
    t->out = json_array();
    int rc = am_hub_files_load(&t->files, t->db, t->version);
    int queued = rc < 0 ? am_reply_error(r, rc, "the files could not be listed") : then(r, t, shown);
    am_hub_files_done(&t->files);
    json_decref(t->out);
    return queued;
}

int am_api_hub_tree(struct am_req *r)
{
    int queued = MHD_NO;
    int64_t cursor;
    struct tree t = {.expand = am_hub_flag(am_req_query(r, "expand")),
                     .recursive = am_hub_flag(am_req_query(r, "recursive"))};
    if (!am_req_int(r, "cursor", 0, INT32_MAX, 0, &cursor, &queued) || am_hub_find(r, &t.version, &queued) < 0)
        return queued;
    t.skip = (size_t)cursor;
    t.room = t.expand ? PAGE_EXPANDED : PAGE;
    return with_files(r, &t, list, t.skip);
}

/* ---- paths-info ---- */

static int put_path(struct tree *t, const char *path)
{
    char folder[1100];
    size_t lo, hi, n = strlen(path);
    while (n && path[n - 1] == '/')
        n--;
    if (n >= sizeof folder)
        return 0;
    snprintf(folder, sizeof folder, "%.*s", (int)n, path);
    const struct am_hub_file *file = am_hub_files_find(&t->files, folder);
    if (file)
        return put_file(t, (size_t)(file - t->files.v));
    am_hub_files_below(&t->files, folder, &lo, &hi);
    return n && lo < hi ? put_folder(t, lo, hi, n) : 0;
}

static int put_form(struct tree *t, char *form)
{
    for (char *p = form, *end; *p; p = end) {
        end = p + strcspn(p, "&");
        if (*end)
            *end++ = 0;
        char *value = strchr(p, '=');
        for (char *c = p; *c; c++)
            if (*c == '+')
                *c = ' ';
        if (!value || (*value = 0, am_url_decode(p)) < 0 || am_url_decode(value + 1) < 0)
            return -AM_E_INVALID_REQUEST;
        if (am_streq(p, "expand"))
            t->expand = am_hub_flag(value + 1);
        else if (am_streq(p, "paths") || am_streq(p, "paths[]"))
            json_array_append_new(t->out, json_string(value + 1));
    }
    return 0;
}

static int put_json(struct tree *t, const char *text, size_t bytes)
{
    json_t *body = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL), *path;
    json_t *paths = json_object_get(body, "paths");
    size_t i;
    int rc = json_is_array(paths) ? 0 : -AM_E_INVALID_REQUEST;
    t->expand = json_is_true(json_object_get(body, "expand"));
    json_array_foreach(paths, i, path)
    {
        if (json_is_string(path))
            json_array_append(t->out, path);
        else
            rc = -AM_E_INVALID_REQUEST;
    }
    json_decref(body);
    return rc;
}

static int answer_paths(struct am_req *r, struct tree *t, size_t shown)
{
    const char *type = am_req_header(r, "Content-Type");
    (void)shown;
    if (!r->body.data)
        return am_reply_problem(r, AM_E_INVALID_REQUEST, "the body names no paths: paths=a&paths=b&expand=false");
    int rc = type && am_starts(type, "application/json") ? put_json(t, r->body.data, r->body.len)
                                                         : put_form(t, r->body.data);
    if (rc < 0)
        return am_reply_problem(r, AM_E_INVALID_REQUEST,
                                "the body is neither the form paths=a&paths=b&expand=false nor {\"paths\": [...]}");
    json_t *paths = t->out, *path;
    size_t i;
    if (json_array_size(paths) > PATHS)
        return am_reply_problem(r, AM_E_TOO_LARGE, "%zu paths at once; ask for at most %d", json_array_size(paths),
                                PATHS);
    t->out = json_array();
    json_array_foreach(paths, i, path)
    {
        if (rc == 0)
            rc = put_path(t, json_string_value(path));
    }
    json_decref(paths);
    return rc < 0 ? am_reply_error(r, rc, "the files could not be read")
                  : am_hub_reply_page(r, json_incref(t->out), NULL, NULL);
}

int am_api_hub_paths_info(struct am_req *r)
{
    int queued = MHD_NO;
    struct tree t = {.room = SIZE_MAX};
    if (am_hub_find(r, &t.version, &queued) < 0)
        return queued;
    return with_files(r, &t, answer_paths, 0);
}
