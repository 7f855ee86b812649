/*
 * cmd_verify.c - amend verify: of a directory here without a daemon, or of a version by the daemon.
 */
#include "cli/commands.h"
#include "cli/conf.h"
#include "cli/http.h"
#include "cli/job.h"
#include "cli/opt.h"
#include "cli/out.h"
#include "cli/verify.h"
#include "core/base/clock.h"
#include "core/base/sys.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static json_t *file_json(const struct am_verify_file *f)
{
    json_t *faults = json_array();
    for (size_t i = 0; i < f->faults.n; i++) {
        const struct am_fault *e = &f->faults.v[i];
        json_array_append_new(
            faults, json_pack("{s:s?,s:s?,s:s}", "rule", e->reason, "tensor", e->tensor, "detail", e->detail));
    }
    return json_pack("{s:s,s:s,s:I,s:s?,s:o}", "path", f->path, "status", f->faults.total ? "fail" : "ok", "bytes",
                     (json_int_t)f->bytes, "checked", f->said, "faults", faults);
}

static void put_row(struct am_grid *g, const json_t *e)
{
    size_t n = json_array_size(am_js(e, "faults"));
    const json_t *first = json_array_get(am_js(e, "faults"), 0);
    am_grid_put(g, am_js_text(e, "path", "?"));
    am_grid_put(g, am_js_text(e, "status", "?"));
    am_grid_bytes(g, am_js_int(e, "bytes", -1));
    if (n > 1)
        am_grid_putf(g, "%s (and %zu more)", am_js_text(first, "detail", "?"), n - 1);
    else
        am_grid_put(g, n ? am_js_text(first, "detail", "?")
                         : am_js_text(e, "checked", "is there; nothing to compare it with"));
}

static void say_faults(const struct am_verify_file *f)
{
    for (size_t i = 0; i < f->faults.n; i++) {
        const struct am_fault *e = &f->faults.v[i];
        fputs("  at ", stderr);
        am_put_clean(stderr, f->path);
        fputs(": ", stderr);
        am_put_clean(stderr, e->detail);
        if (e->reason)
            fprintf(stderr, " [rule %s]", e->reason);
        fputc('\n', stderr);
    }
    if (f->faults.total > f->faults.n)
        fprintf(stderr, "  and %zu more\n", f->faults.total - f->faults.n);
}

static int report(struct am_cli *c, struct am_verify *v)
{
    static const char *const head[] = {"FILE", "STATUS", "SIZE", "WHAT", NULL};
    AM_CLEANUP(am_jsonp) json_t *data = json_array();
    size_t bad = 0, hashed = 0;
    for (size_t i = 0; i < v->n; i++) {
        json_array_append_new(data, file_json(&v->file[i]));
        bad += v->file[i].faults.total > 0;
        hashed += v->file[i].listed;
    }
    AM_CLEANUP(am_jsonp)
    json_t *list = json_pack("{s:s,s:O,s:b,s:n}", "object", "list", "data", data, "has_more", false, "next");
    am_print_list(c, list, head, 1u << 2, put_row, "no files");
    if (v->left_out)
        am_say_note(c, "left out: %zu (temporary files, folders behind links, no plain files)", v->left_out);
    if (!bad) {
        am_say_note(c, "%zu files, no fault; hashes were known for %zu of them", v->n, hashed);
        return 0;
    }
    am_say_error(c, "download or write the named files again", "%s: %zu of %zu files have faults", v->dir, bad, v->n);
    for (size_t i = 0; i < v->n; i++)
        say_faults(&v->file[i]);
    return AM_EXIT_ERROR;
}

static int check_all(struct am_verify *v)
{
    int rc = am_verify_walk(v);
    if (rc == 0)
        rc = am_verify_manifest(v);
    for (size_t i = 0; i < v->n; i++)
        v->total += v->file[i].want ? v->file[i].bytes : 0;
    for (size_t i = 0; rc == 0 && i < v->n; i++)
        rc = am_verify_file(v, &v->file[i]);
    for (size_t i = 0; rc == 0 && i < v->n; i++)
        if (v->file[i].index)
            rc = am_verify_index(v, &v->file[i]);
    return rc;
}

static int verify_directory(struct am_cli *c, const char *dir)
{
    AM_CLEANUP(am_verify_done) struct am_verify v = {.c = c, .dir = dir, .start = am_mono_ms()};
    am_interrupt_watch();
    int rc = check_all(&v);
    if (rc == AM_EXIT_INTERRUPTED)
        am_say_error(c, NULL, "interrupted; nothing was changed");
    if (rc == 0 && !v.n) {
        am_say_error(c, "name the directory that holds the model's files", "%s holds no files", dir);
        return AM_EXIT_ERROR;
    }
    return rc ? rc : report(c, &v);
}

static int report_task(struct am_cli *c, const struct am_ref *m, const json_t *job)
{
    const json_t *damaged = am_js(job, "result.damaged"), *e;
    size_t i;
    if (c->out == AM_OUT_JSON)
        am_print_json(c, job);
    else
        printf("%s@%s\t%lld files\t%lld bytes\t%lld damaged\n", m->model, m->rev,
               (long long)am_js_int(job, "result.blobs", 0), (long long)am_js_int(job, "result.bytes", 0),
               (long long)am_js_int(job, "result.damaged_total", 0));
    if (am_js_int(job, "result.damaged_total", 0) == 0)
        return 0;
    am_say_error(c, "restore the daemon's data_dir from a backup, or register the files again",
                 "%s@%s: stored files are damaged", m->model, m->rev);
    json_array_foreach(damaged, i, e)
    {
        AM_CLEANUP(am_xfreep) char *text = am_js_dump(e, false);
        fputs("  at ", stderr);
        am_put_clean(stderr, text);
        fputc('\n', stderr);
    }
    return AM_EXIT_ERROR;
}

static int verify_version(struct am_cli *c, const char *word)
{
    struct am_ref m;
    int rc = am_rev_parse(c, word, &m);
    if (rc)
        return rc;
    AM_CLEANUP(am_xfreep) char *path = am_url_model(m.model, "versions", m.rev, "verify", NULL);
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    if ((rc = am_http_post(c, path, NULL, NULL, &r)))
        return rc;
    AM_CLEANUP(am_xfreep) char *id = am_xdup(am_js_text(r.json, "id", "?"));
    AM_CLEANUP(am_jsonp) json_t *job = NULL;
    rc = am_job_wait(c, id, &job);
    return rc ? rc : report_task(c, &m, job);
}

/* A path that begins with / or . is a directory; a word with @ a version; else whatever is there. */
static bool is_directory(const char *word)
{
    AM_CLEANUP(am_sys_closep) int fd = am_sys_open(AT_FDCWD, word, O_RDONLY | O_DIRECTORY, 0);
    return word[0] == '/' || word[0] == '.' || (!strchr(word, '@') && (fd >= 0 || errno == EACCES));
}

int am_cmd_verify(struct am_cli *c, int argc, char **argv)
{
    const char *word;
    bool wait = false;
    const struct am_opt opts[] = {{"wait", 0, NULL, &wait}, {0}}; /* it always waits; the word is what people expect */
    int rc = am_opt_parse(c, opts, argc, argv, 1, 1, &word);
    if (rc)
        return rc;
    if (!is_directory(word))
        return (rc = am_context_apply(c)) ? rc : verify_version(c, word);
    return verify_directory(c, word);
}
