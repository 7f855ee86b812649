/*
 * verify_manifest.c - the hashes that a directory tells of its own files: SHA256SUMS (as sha256sum writes it) and the
 * member `files` of amend.json, an object of path to hash or a list of {path, sha256}.
 */
#include "cli/verify.h"

#include "cli/out.h"
#include "cli/read.h"
#include "core/base/text.h"

#include <stdlib.h>
#include <string.h>

static void expect(struct am_verify *v, struct am_verify_file *by, const char *path, const char *hash)
{
    struct am_where where = {.file = by->path, .reason = "manifest"};
    while (am_starts(path, "./"))
        path += 2;
    struct am_verify_file *f = am_verify_find(v, path);
    if (!am_file_path_ok(path) || !am_is_hex(hash, AM_SHA256_LEN))
        am_fault_add(&by->faults, AM_E_BAD_INPUT, where, "'%.200s' is listed without a SHA-256 or with a bad name",
                     path);
    else if (!f)
        am_fault_add(&by->faults, AM_E_BAD_INPUT, where, "'%.200s' is listed and is not there; download it again",
                     path);
    else if (f->want && strlen(f->want) == AM_SHA256_LEN && !am_streq(f->want, hash))
        am_fault_add(&by->faults, AM_E_BAD_INPUT, where, "'%.200s' has another SHA-256 by %s", path, f->want_from);
    else {
        free(f->want);
        free(f->want_from);
        f->want = am_xdup(hash);
        f->want_from = am_xdup(by->path);
        f->listed = true;
    }
}

static int read_text(struct am_verify *v, const struct am_verify_file *f, char **ret, size_t *n)
{
    AM_CLEANUP(am_xfreep) char *full = am_xprintf("%s/%s", v->dir, f->path);
    return am_read_all(v->c, full, ret, n);
}

/* "<64 hex>  path" or "<64 hex> *path", one a line. */
static int take_sums(struct am_verify *v, struct am_verify_file *f)
{
    AM_CLEANUP(am_xfreep) char *text = NULL;
    size_t n, entries = 0;
    int rc = read_text(v, f, &text, &n);
    for (char *line = text, *next; rc == 0 && line && *line; line = next) {
        next = line + strcspn(line, "\n");
        next += *next ? (*next = 0, 1) : 0;
        size_t len = strlen(line);
        if (!len || line[0] == '#')
            continue;
        if (line[len - 1] == '\r')
            line[len - 1] = 0;
        if (len < AM_SHA256_LEN + 3 || line[AM_SHA256_LEN] != ' ') {
            am_fault_add(&f->faults, AM_E_BAD_INPUT, (struct am_where){.file = f->path, .reason = "manifest"},
                         "the line '%.80s' is not of the form HASH  PATH", line);
            continue;
        }
        line[AM_SHA256_LEN] = 0;
        expect(v, f, line + AM_SHA256_LEN + 2, line);
        entries++;
    }
    am_verify_say(f, "%zu hashes", entries);
    return rc;
}

/* Another kind of list is no fault: only what names a path and a hash is taken for one. */
static size_t take_entry(struct am_verify *v, struct am_verify_file *f, const char *path, const char *hash)
{
    if (path && hash)
        expect(v, f, path, hash);
    return path && hash;
}

static int take_card(struct am_verify *v, struct am_verify_file *f)
{
    AM_CLEANUP(am_xfreep) char *text = NULL;
    size_t n, i;
    int rc = read_text(v, f, &text, &n);
    if (rc)
        return rc;
    AM_CLEANUP(am_jsonp) json_t *doc = json_loadb(text, n, 0, NULL); /* a mistake in it is told with the file */
    const json_t *files = am_js(doc, "files");
    const char *path;
    json_t *e;
    size_t entries = 0;
    json_object_foreach((json_t *)files, path, e) entries +=
        take_entry(v, f, path, json_is_string(e) ? json_string_value(e) : am_js_text(e, "sha256", NULL));
    json_array_foreach(files, i, e) entries +=
        take_entry(v, f, am_js_text(e, "path", NULL), am_js_text(e, "sha256", NULL));
    if (entries)
        am_verify_say(f, "%zu hashes", entries);
    return 0;
}

int am_verify_manifest(struct am_verify *v)
{
    static const char *const sums[] = {"SHA256SUMS", "SHA256SUMS.txt", "sha256sums.txt"};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof sums / sizeof *sums; i++) {
        struct am_verify_file *f = am_verify_find(v, sums[i]);
        rc = f ? take_sums(v, f) : 0;
    }
    struct am_verify_file *card = am_verify_find(v, "amend.json");
    return rc || !card ? rc : take_card(v, card);
}
