/*
 * hub_cache.c - see hub_cache.h. The layout is that of huggingface_hub's documentation of its cache.
 */
#include "cli/hub_cache.h"

#include "cli/read.h"
#include "core/base/sys.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define SNAPSHOTS_MAX 100000
#define REF_DEPTH 4

static char *cache_root(void)
{
    static const struct {
        const char *env, *below;
    } from[] = {{"HF_HUB_CACHE", ""},
                {"HUGGINGFACE_HUB_CACHE", ""},
                {"HF_HOME", "/hub"},
                {"XDG_CACHE_HOME", "/huggingface/hub"},
                {"HOME", "/.cache/huggingface/hub"}};
    for (size_t i = 0; i < sizeof from / sizeof *from; i++) {
        const char *v = getenv(from[i].env), *home = getenv("HOME");
        if (v && v[0])
            return am_starts(v, "~/") && home ? am_xprintf("%s%s%s", home, v + 1, from[i].below)
                                              : am_xprintf("%s%s", v, from[i].below);
    }
    return am_xdup("/nonexistent");
}

static int visible(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

static int model_folder(const struct dirent *d)
{
    return am_starts(d->d_name, "models--") && d->d_name[8];
}

/* The names in a folder; a missing one has none. */
static int names_in(const struct am_cli *c, const char *dir, int (*want)(const struct dirent *), struct dirent ***ret)
{
    int n = scandir(dir, ret, want, alphasort);
    if (n >= 0)
        return n;
    *ret = NULL;
    if (errno == ENOENT || errno == ENOTDIR)
        return 0;
    am_say_error(c, "make it readable, or set HF_HUB_CACHE to another one", "cannot read %s: %s", dir, strerror(errno));
    return -1;
}

static void names_done(struct dirent **name, int n)
{
    for (int i = 0; i < n; i++)
        free(name[i]);
    free(name);
}

static void add_ref(struct am_cache *h, size_t from, const char *commit, const char *ref)
{
    for (size_t i = from; i < h->n; i++) {
        if (!am_streq(h->v[i].commit, commit))
            continue;
        char *longer = h->v[i].refs ? am_xprintf("%s, %s", h->v[i].refs, ref) : am_xdup(ref);
        free(h->v[i].refs);
        h->v[i].refs = longer;
    }
}

static bool is_folder(const char *path)
{
    AM_CLEANUP(am_sys_closep) int fd = am_sys_open(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
    return fd >= 0;
}

/* refs/main, refs/pr/1: each a file with a commit. */
static int read_refs(const struct am_cli *c, struct am_cache *h, size_t from, const char *dir, const char *prefix,
                     int depth)
{
    struct dirent **name;
    int n = depth > REF_DEPTH ? 0 : names_in(c, dir, visible, &name), rc = n < 0 ? AM_EXIT_ERROR : 0;
    if (depth > REF_DEPTH)
        return 0;
    for (int i = 0; rc == 0 && i < n; i++) {
        AM_CLEANUP(am_xfreep) char *path = am_xprintf("%s/%s", dir, name[i]->d_name);
        AM_CLEANUP(am_xfreep) char *ref = am_xprintf("%s%s%s", prefix, prefix[0] ? "/" : "", name[i]->d_name);
        AM_CLEANUP(am_xfreep) char *text = NULL;
        size_t len;
        if (is_folder(path)) {
            rc = read_refs(c, h, from, path, ref, depth + 1);
            continue;
        }
        rc = am_read_all(c, path, &text, &len);
        if (rc == 0) {
            text[strcspn(text, " \r\n")] = 0;
            add_ref(h, from, text, ref);
        }
    }
    names_done(name, n);
    return rc;
}

static int read_model(const struct am_cli *c, struct am_cache *h, const char *folder)
{
    struct dirent **name;
    size_t from = h->n;
    AM_CLEANUP(am_xfreep) char *dir = am_xprintf("%s/%s/snapshots", h->root, folder);
    AM_CLEANUP(am_xfreep) char *refs = am_xprintf("%s/%s/refs", h->root, folder);
    const char *org = folder + strlen("models--"), *cut = strstr(org, "--");
    int n = names_in(c, dir, visible, &name);
    if (n < 0)
        return AM_EXIT_ERROR;
    h->v = am_xgrow(h->v, (h->n + (size_t)n) * sizeof *h->v);
    for (int i = 0; i < n && h->n < SNAPSHOTS_MAX; i++) {
        char *path = am_xprintf("%s/%s", dir, name[i]->d_name);
        if (!is_folder(path)) {
            free(path);
            continue;
        }
        char *id = cut ? am_xprintf("%.*s/%s", (int)(cut - org), org, cut + 2) : am_xdup(org);
        h->v[h->n++] = (struct am_cached){.id = id, .commit = am_xdup(name[i]->d_name), .dir = path};
    }
    names_done(name, n);
    return h->n > from ? read_refs(c, h, from, refs, "", 0) : 0;
}

int am_cache_read(const struct am_cli *c, struct am_cache *ret)
{
    struct dirent **name;
    struct am_cache h = {.root = cache_root()};
    int n = names_in(c, h.root, model_folder, &name), rc = n < 0 ? AM_EXIT_ERROR : 0;
    for (int i = 0; rc == 0 && i < n; i++)
        rc = read_model(c, &h, name[i]->d_name);
    names_done(name, n);
    if (rc)
        am_cache_done(&h);
    else
        *ret = h;
    return rc;
}

void am_cache_done(struct am_cache *h)
{
    for (size_t i = 0; i < h->n; i++) {
        free(h->v[i].id);
        free(h->v[i].commit);
        free(h->v[i].refs);
        free(h->v[i].dir);
    }
    free(h->v);
    free(h->root);
    *h = (struct am_cache){0};
}

static bool has_ref(const struct am_cached *s, const char *rev)
{
    size_t n = strlen(rev);
    for (const char *p = s->refs; p && *p; p += strcspn(p, ","), p += *p ? 2 : 0)
        if (strcspn(p, ",") == n && strncmp(p, rev, n) == 0)
            return true;
    return false;
}

static int say_none(const struct am_cli *c, const struct am_cache *h, const char *id, const char *rev)
{
    AM_CLEANUP(am_xfreep) char *there = NULL;
    for (size_t i = 0; i < h->n; i++) {
        if (!am_streq(h->v[i].id, id))
            continue;
        char *longer = am_xprintf("%s%s%.12s", there ? there : "", there ? ", " : "", h->v[i].commit);
        free(there);
        there = longer;
    }
    if (there) {
        AM_CLEANUP(am_xfreep) char *fix = am_xprintf("name one that is there: %s@COMMIT of %s", id, there);
        am_say_error(c, fix, "%s has no revision '%s' in the cache %s, or several", id, rev, h->root);
    } else {
        AM_CLEANUP(am_xfreep)
        char *fix = am_xprintf("see what is there: amend model import --list; download it first "
                               "with: hf download %s",
                               id);
        am_say_error(c, fix, "%s is not in the cache %s", id, h->root);
    }
    return AM_EXIT_NOT_FOUND;
}

int am_cache_find(const struct am_cli *c, const struct am_cache *h, const char *text, const struct am_cached **ret)
{
    const char *at = strchr(text, '@'), *rev = at ? at + 1 : "main";
    AM_CLEANUP(am_xfreep) char *id = am_xprintf("%.*s", (int)(at ? at - text : (long)strlen(text)), text);
    const struct am_cached *hit = NULL, *only = NULL;
    size_t hits = 0, all = 0;
    for (size_t i = 0; i < h->n; i++) {
        const struct am_cached *s = &h->v[i];
        if (!am_streq(s->id, id))
            continue;
        all++;
        only = s;
        if (has_ref(s, rev) || (strlen(rev) >= 8 && am_starts(s->commit, rev))) {
            hits++;
            hit = s;
        }
    }
    if (!hits && !at && all == 1) { /* downloaded by its commit: there is no refs/main then */
        hit = only;
        hits = 1;
    }
    if (hits != 1)
        return say_none(c, h, id, rev);
    *ret = hit;
    return 0;
}
