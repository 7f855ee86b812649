/*
 * hub_files.c - the files of a version as Hub clients see them (hub.h). Folders are not stored: they are what paths
 * have in common, found in the sorted list.
 */
#include "core/base/grow.h"
#include "core/base/hash.h"
#include "core/base/text.h"
#include "server/api/hub.h"

#include <stdlib.h>
#include <string.h>

bool am_hub_is_hidden(const char *path)
{
    return am_starts(path, "amend/state.");
}

static int add_file(void *ctx, const struct am_file_row *row)
{
    struct am_hub_files *f = ctx;
    if (am_hub_is_hidden(row->path))
        return 0;
    AM_TRY(am_grow(&f->v, f->n, &f->cap, sizeof *f->v));
    struct am_hub_file *file = &f->v[f->n];
    *file = (struct am_hub_file){.path = strdup(row->path), .bytes = row->bytes, .layout = row->layout};
    if (!file->path)
        return -AM_E_OUT_OF_MEMORY;
    file->lfs = !row->git_sha1;
    snprintf(file->sha256, sizeof file->sha256, "%s", row->sha256);
    if (file->lfs)
        am_lfs_pointer_hex(row->sha256, (uint64_t)row->bytes, file->oid);
    else
        snprintf(file->oid, sizeof file->oid, "%s", row->git_sha1);
    f->n++;
    return 0;
}

int am_hub_files_load(struct am_hub_files *f, struct am_db *db, int64_t version)
{
    *f = (struct am_hub_files){.n = 0};
    return am_file_list(db, version, add_file, f);
}

void am_hub_files_done(struct am_hub_files *f)
{
    for (size_t i = 0; i < f->n; i++)
        free(f->v[i].path);
    free(f->v);
    *f = (struct am_hub_files){.n = 0};
}

/* The first file whose path, cut to n bytes, is not before the first n bytes of `text`. */
static size_t lower(const struct am_hub_files *f, const char *text, size_t n)
{
    size_t low = 0, high = f->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strncmp(f->v[mid].path, text, n) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static size_t end_of(const struct am_hub_files *f, size_t lo, size_t hi, const char *text, size_t n)
{
    while (lo < hi && strncmp(f->v[lo].path, text, n) == 0)
        lo++;
    return lo;
}

void am_hub_files_below(const struct am_hub_files *f, const char *folder, size_t *lo, size_t *hi)
{
    char prefix[1100];
    size_t n = folder[0] ? (size_t)snprintf(prefix, sizeof prefix, "%s/", folder) : 0;
    *lo = *hi = 0;
    if (n >= sizeof prefix)
        return;
    *lo = n ? lower(f, prefix, n) : 0;
    *hi = n ? end_of(f, *lo, f->n, prefix, n) : f->n;
}

const struct am_hub_file *am_hub_files_find(const struct am_hub_files *f, const char *path)
{
    size_t i = lower(f, path, strlen(path) + 1);
    return i < f->n && am_streq(f->v[i].path, path) ? &f->v[i] : NULL;
}

json_t *am_hub_lfs(const struct am_hub_file *f, const char *hash_name)
{
    char pointer[200];
    int n = snprintf(pointer, sizeof pointer, "version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %lld\n",
                     f->sha256, (long long)f->bytes);
    return json_pack("{s:s, s:I, s:i}", hash_name, f->sha256, "size", (json_int_t)f->bytes, "pointerSize", n);
}

/* ---- ids of folders ---- */

struct lines {
    char **v;
    size_t n;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void hash_lines(struct lines *l, char ret[41])
{
    char hex[65];
    qsort(l->v, l->n, sizeof *l->v, by_text);
    struct am_hash *h = am_hash_new(AM_SHA256);
    for (size_t i = 0; h && i < l->n; i++)
        am_hash_put(h, l->v[i], strlen(l->v[i]));
    if (h) {
        am_hash_hex(h, hex);
        snprintf(ret, 41, "%.40s", hex);
    }
    am_hash_free(h);
}

/* One line for the file or folder that starts at i; *next: where the one after it does. */
static int add_line(const struct am_hub_files *f, size_t i, size_t hi, size_t prefix, struct lines *l, size_t *next)
{
    const char *name = f->v[i].path + prefix, *slash = strchr(name, '/');
    char oid[41] = "";
    int n = slash ? (int)(slash - name) : (int)strlen(name);
    *next = i + 1;
    if (slash) {
        size_t below = prefix + (size_t)n + 1;
        *next = end_of(f, i, hi, f->v[i].path, below);
        AM_TRY(am_hub_folder_oid(f, i, *next, below, oid));
    } else
        snprintf(oid, sizeof oid, "%s", f->v[i].oid);
    if (asprintf(&l->v[l->n], "%s %.*s\n", oid, n, name) < 0)
        return -AM_E_OUT_OF_MEMORY;
    l->n++;
    return 0;
}

int am_hub_folder_oid(const struct am_hub_files *f, size_t lo, size_t hi, size_t prefix, char ret[41])
{
    struct lines l = {.v = calloc(hi - lo + 1, sizeof *l.v)};
    int rc = l.v ? 0 : -AM_E_OUT_OF_MEMORY;
    for (size_t i = lo; rc == 0 && i < hi;)
        rc = add_line(f, i, hi, prefix, &l, &i);
    if (rc == 0)
        hash_lines(&l, ret);
    for (size_t i = 0; i < l.n; i++)
        free(l.v[i]);
    free(l.v);
    return rc;
}
