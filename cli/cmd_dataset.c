/*
 * cmd_dataset.c - amend dataset push, list, show, samples, get, rm.
 */
#include "cli/change.h"
#include "cli/commands.h"
#include "cli/dataset.h"
#include "cli/http.h"
#include "cli/job.h"
#include "cli/opt.h"
#include "cli/out.h"
#include "core/base/sys.h"
#include "core/base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "ns/name@rev" -> /v1/datasets/ns/name, and with a rev its version. For free(). */
static char *path_of(const struct am_ref *ref, const char *more)
{
    AM_CLEANUP(am_xfreep) char *rev = ref->rev[0] ? am_url_encoded(ref->rev) : NULL;
    return am_xprintf("/v1/datasets/%s%s%s%s", ref->model, rev || more[0] ? "/versions/" : "",
                      rev       ? rev
                      : more[0] ? "latest"
                                : "",
                      more);
}

static int print_version(struct am_cli *c, const json_t *v)
{
    if (c->out == AM_OUT_JSON)
        am_print_json(c, v);
    else {
        am_put_clean(stdout, am_js_text(v, "dataset", "?"));
        printf("@v%lld", (long long)am_js_int(v, "number", 0));
        if (c->out != AM_OUT_NAME)
            printf(" %lld rows, sha256 %.12s", (long long)am_js_int(v, "rows", 0), am_js_text(v, "sha256", "?"));
        putchar('\n');
    }
    return 0;
}

/* ---- push ---- */

/* One that is there already is fine. */
static int make_line(struct am_cli *c, const char *name, const char *description)
{
    AM_CLEANUP(am_reply_done) struct am_reply seen = {0}, r = {0};
    AM_CLEANUP(am_xfreep) char *path = am_xprintf("/v1/datasets/%s", name);
    struct am_request look = {.verb = "GET", .path = path};
    int rc = am_http_send(c, &look, &seen);
    if (rc || seen.status == 200)
        return rc;
    AM_CLEANUP(am_jsonp)
    json_t *body = json_pack("{s:s,s:s*}", "id", name, "description", description);
    AM_CLEANUP(am_xfreep) char *text = am_js_dump(body, false);
    struct am_request make = {.verb = "POST", .path = "/v1/datasets", .body = text, .body_len = strlen(text)};
    if ((rc = am_http_send(c, &make, &r)))
        return rc;
    return r.status == 201 || (r.status == 409 && am_streq(am_js_text(r.json, "code", ""), "conflict"))
               ? 0
               : am_problem_say(c, &r);
}

static int send_file(struct am_cli *c, const struct am_ref *ref, const struct am_dataset_push *p, const char *label,
                     struct am_reply *ret)
{
    AM_CLEANUP(am_xfreep) char *named = label ? am_url_encoded(label) : NULL;
    AM_CLEANUP(am_xfreep)
    char *path = am_xprintf("/v1/datasets/%s/versions?ids=%s%s%s", ref->model, p->row_ids ? "row" : "own",
                            named ? "&label=" : "", named ? named : "");
    const char *type = p->lines ? "application/jsonl" : "application/vnd.safetensors";
    return am_send_file(c, path, &(struct am_sent_file){p->out, p->gzip, type}, ret);
}

static int follow(struct am_cli *c, const char *task)
{
    AM_CLEANUP(am_jsonp) json_t *job = NULL;
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    int rc = am_job_wait(c, task, &job);
    if (rc)
        return rc;
    AM_CLEANUP(am_xfreep)
    char *path = am_xprintf("/v1/datasets/%s/versions/v%lld", am_js_text(job, "result.dataset", "?"),
                            (long long)am_js_int(job, "result.number", 0));
    rc = am_http_get(c, path, &r);
    return rc ? rc : print_version(c, r.json);
}

static int print_file(const struct am_cli *c, FILE *f)
{
    char part[65536];
    size_t n;
    rewind(f);
    while ((n = fread(part, 1, sizeof part, f)) > 0)
        if (fwrite(part, 1, n, stdout) != n)
            break;
    if (!ferror(f) && fflush(stdout) == 0)
        return 0;
    am_say_error(c, NULL, "it cannot be written: %s", strerror(errno));
    return AM_EXIT_ERROR;
}

static int push(struct am_cli *c, const struct am_ref *ref, struct am_dataset_push *p, const char *label,
                const char *description)
{
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    int rc = make_line(c, ref->model, description);
    if (rc == 0)
        rc = send_file(c, ref, p, label, &r);
    if (rc)
        return rc;
    if (r.status == 202)
        return follow(c, am_js_text(r.json, "id", ""));
    if (r.status == 200)
        am_say_note(c, "these bytes are there already");
    return print_version(c, r.json);
}

int am_cmd_dataset_push(struct am_cli *c, int argc, char **argv)
{
    struct am_dataset_push p = {0};
    const char *label = NULL, *description = NULL, *word[AM_DATASET_FILES_MAX + 2];
    struct am_ref ref = {0};
    bool print = false;
    const struct am_opt opts[] = {{"format", 0, &p.format, NULL}, {"labels", 0, &p.labels, NULL},
                                  {"ids", 0, &p.ids, NULL},       {"class", 0, &p.class, NULL},
                                  {"label", 0, &label, NULL},     {"description", 0, &description, NULL},
                                  {"print", 0, NULL, &print},     {0}};
    int rc = am_opt_parse(c, opts, argc, argv, 2, AM_DATASET_FILES_MAX + 1, word);
    if (rc || (rc = am_model_parse(c, word[0], &ref)))
        return rc;
    for (int i = 1; i <= AM_DATASET_FILES_MAX && word[i]; i++)
        p.file[p.files++] = word[i];
    rc = am_dataset_open(c, &p);
    if (rc == 0)
        rc = print ? print_file(c, p.out) : push(c, &ref, &p, label, description);
    am_dataset_push_done(&p);
    return rc;
}

/* ---- list, show ---- */

static void put_dataset(struct am_grid *g, const json_t *d)
{
    bool any = json_is_object(am_js(d, "latest"));
    am_grid_put(g, am_js_text(d, "id", "?"));
    am_grid_putf(g, "%lld", (long long)am_js_int(d, "versions", 0));
    if (any)
        am_grid_putf(g, "v%lld", (long long)am_js_int(d, "latest.number", 0));
    else
        am_grid_put(g, NULL);
    am_grid_bytes(g, am_js_int(d, "bytes", -1));
    am_grid_time(g, am_js_text(d, "created_at", NULL));
    am_grid_put(g, am_js_text(d, "description", ""));
}

static void put_version(struct am_grid *g, const json_t *v)
{
    AM_CLEANUP(am_xfreep) char *labels = am_js_plain(am_js(v, "labels"));
    am_grid_putf(g, "v%lld", (long long)am_js_int(v, "number", 0));
    am_grid_putf(g, "%lld", (long long)am_js_int(v, "rows", 0));
    if (am_js_int(v, "classes", -1) > 0)
        am_grid_putf(g, "%lld", (long long)am_js_int(v, "classes", 0));
    else
        am_grid_put(g, NULL);
    am_grid_put(g, am_js_text(v, "format", "?"));
    am_grid_bytes(g, am_js_int(v, "bytes", -1));
    am_grid_time(g, am_js_text(v, "created_at", NULL));
    am_grid_put(g, labels);
    am_grid_put(g, am_js_text(v, "sha256", "?"));
}

int am_cmd_dataset_list(struct am_cli *c, int argc, char **argv)
{
    static const char *const head[] = {"DATASET", "VERSIONS", "LATEST", "SIZE", "CREATED", "+DESCRIPTION", NULL},
                             *const version_head[] = {"VERSION", "ROWS",   "CLASSES", "FORMAT", "SIZE",
                                                      "CREATED", "LABELS", "+SHA256", NULL};
    const char *limit = NULL, *name = NULL;
    const struct am_opt opts[] = {{"limit", 0, &limit, NULL}, {0}};
    uint64_t want = 100;
    struct am_ref ref = {0};
    int rc = am_opt_parse(c, opts, argc, argv, 0, 1, &name);
    if (rc || (limit && (rc = am_opt_number(c, "--limit", limit, 1, 100000, &want))) ||
        (name && (rc = am_model_parse(c, name, &ref))))
        return rc;
    AM_CLEANUP(am_xfreep)
    char *path = name ? am_xprintf("/v1/datasets/%s/versions", ref.model) : am_xdup("/v1/datasets");
    AM_CLEANUP(am_jsonp) json_t *list = NULL;
    if ((rc = am_http_list(c, path, (size_t)want, true, &list)))
        return rc;
    return am_print_list(c, list, name ? version_head : head, name ? 1u << 1 | 1u << 2 | 1u << 4 : 1u << 1 | 1u << 3,
                         name ? put_version : put_dataset,
                         name ? "no versions yet" : "no datasets; upload one with: amend dataset push NAME FILE");
}

static void show(const struct am_cli *c, const json_t *o)
{
    static const char *const rows[][2] = {{"dataset", "id"},
                                          {"dataset", "dataset"},
                                          {"version", "number"},
                                          {"description", "description"},
                                          {"labels", "labels"},
                                          {"format", "format"},
                                          {"rows", "rows"},
                                          {"classes", "classes"},
                                          {"bytes", "bytes"},
                                          {"versions", "versions"},
                                          {"latest", "latest.number"},
                                          {"sha256", "sha256"},
                                          {"ids", "ids"},
                                          {"ids sha256", "ids_sha256"},
                                          {"created", "created_at"},
                                          {"by", "created_by"}};
    const json_t *f;
    size_t i;
    struct am_grid g;
    am_grid_init(&g, c, NULL);
    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        const json_t *v = am_js(o, rows[i][1]);
        AM_CLEANUP(am_xfreep) char *text = v && !json_is_null(v) && !json_is_object(v) ? am_js_plain(v) : NULL;
        if (v && !json_is_object(v))
            am_grid_pair(&g, rows[i][0], text);
    }
    json_array_foreach(am_js(o, "fields"), i, f)
    {
        AM_CLEANUP(am_xfreep) char *shape = json_is_array(am_js(f, "shape")) ? am_js_plain(am_js(f, "shape")) : NULL;
        AM_CLEANUP(am_xfreep)
        char *text = am_xprintf("%s%s%s%s%s", am_js_text(f, "name", "?"), " ", am_js_text(f, "kind", "?"),
                                shape ? " of " : "", shape ? shape : "");
        am_grid_pair(&g, i ? "" : "fields", text);
    }
    am_grid_print(&g);
    am_grid_done(&g);
}

int am_cmd_dataset_show(struct am_cli *c, int argc, char **argv)
{
    const char *name;
    struct am_ref ref = {0};
    const struct am_opt opts[] = {{0}};
    int rc = am_opt_parse(c, opts, argc, argv, 1, 1, &name);
    if (rc || (rc = am_ref_parse(c, name, &ref)))
        return rc;
    AM_CLEANUP(am_xfreep) char *path = path_of(&ref, "");
    return am_http_show(c, path, show);
}

/* ---- samples, get ---- */

/* One row a line, whatever the form: they are JSON. */
int am_cmd_dataset_samples(struct am_cli *c, int argc, char **argv)
{
    const char *name, *id = NULL, *limit = NULL;
    struct am_ref ref = {0};
    const struct am_opt opts[] = {{"id", 0, &id, NULL}, {"limit", 0, &limit, NULL}, {0}};
    uint64_t want = 20;
    int rc = am_opt_parse(c, opts, argc, argv, 1, 1, &name);
    if (rc || (limit && (rc = am_opt_number(c, "--limit", limit, 1, 100000, &want))) ||
        (rc = am_ref_parse(c, name, &ref)))
        return rc;
    AM_CLEANUP(am_xfreep) char *e = id ? am_url_encoded(id) : NULL;
    AM_CLEANUP(am_xfreep) char *more = am_xprintf("/samples%s%s", e ? "?id=" : "", e ? e : "");
    AM_CLEANUP(am_xfreep) char *path = path_of(&ref, more);
    AM_CLEANUP(am_jsonp) json_t *list = NULL;
    if ((rc = am_http_list(c, path, (size_t)want, !id, &list)))
        return rc;
    if (c->out == AM_OUT_JSON) {
        am_print_json(c, list);
        return 0;
    }
    const json_t *row;
    size_t i;
    json_array_foreach(am_js(list, "data"), i, row)
    {
        AM_CLEANUP(am_xfreep) char *text = am_js_dump(row, false);
        am_put_clean(stdout, text);
        putchar('\n');
    }
    return 0;
}

static int write_bytes(void *arg, const void *bytes, size_t n)
{
    return fwrite(bytes, 1, n, arg) == n ? 0 : -1;
}

static int download(struct am_cli *c, const char *path, FILE *out)
{
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    struct am_request q = {.verb = "GET", .path = path, .sink = write_bytes, .arg = out, .once = true};
    int rc = am_http_send(c, &q, &r);
    return rc ? rc : r.status >= 400 ? am_problem_say(c, &r) : fflush(out) == 0 ? 0 : AM_EXIT_ERROR;
}

int am_cmd_dataset_get(struct am_cli *c, int argc, char **argv)
{
    const char *word[2];
    struct am_ref ref = {0};
    const struct am_opt opts[] = {{0}};
    int rc = am_opt_parse(c, opts, argc, argv, 1, 2, word);
    if (rc || (rc = am_ref_parse(c, word[0], &ref)))
        return rc;
    AM_CLEANUP(am_xfreep) char *path = path_of(&ref, "/content");
    if (!word[1] || am_streq(word[1], "-"))
        return download(c, path, stdout);
    int fd = am_sys_open(AT_FDCWD, word[1], O_WRONLY | O_CREAT | O_EXCL, 0644);
    FILE *out = fd < 0 ? NULL : fdopen(fd, "wb");
    if (!out) {
        am_say_error(c, NULL, "cannot make %s: %s", word[1], strerror(errno));
        return AM_EXIT_ERROR;
    }
    rc = download(c, path, out);
    if (fclose(out) != 0 && rc == 0) {
        am_say_error(c, NULL, "%s could not be written: %s", word[1], strerror(errno));
        rc = AM_EXIT_ERROR;
    }
    if (rc)
        am_sys_unlink(AT_FDCWD, word[1]); /* what is not whole does not stay */
    return rc;
}

/* ---- rm ---- */

int am_cmd_dataset_rm(struct am_cli *c, int argc, char **argv)
{
    const char *name;
    bool yes = false;
    struct am_ref ref = {0};
    const struct am_opt opts[] = {{"yes", 'y', NULL, &yes}, {0}};
    int rc = am_opt_parse(c, opts, argc, argv, 1, 1, &name);
    if (rc || (rc = am_ref_parse(c, name, &ref)))
        return rc;
    AM_CLEANUP(am_xfreep) char *path = path_of(&ref, "");
    return am_remove(c, "the dataset", name, path, yes);
}
