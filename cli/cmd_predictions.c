/*
 * cmd_predictions.c - amend predictions push, list, show, rm.
 */
#include "cli/change.h"
#include "cli/commands.h"
#include "cli/http.h"
#include "cli/job.h"
#include "cli/opt.h"
#include "cli/out.h"
#include "cli/predictions.h"
#include "core/base/text.h"

#include <stdio.h>
#include <stdlib.h>

/* "demo/m@v3", or "external:NAME". */
static char *model_of(const json_t *set)
{
    const char *version = am_js_text(set, "version", NULL);
    return version ? am_xdup(am_js_text(set, "submitted_as", version))
                   : am_xprintf("external:%s", am_js_text(set, "external.external", "?"));
}

/* "demo/holdout@v5", or the name of one elsewhere. */
static char *dataset_of(const json_t *set)
{
    const char *name = am_js_text(set, "dataset.name", NULL);
    return name ? am_xprintf("%s@v%lld", name, (long long)am_js_int(set, "dataset.number", 0))
                : am_xdup(am_js_text(set, "dataset.external", "?"));
}

static void put_accuracy(struct am_grid *g, const json_t *set)
{
    if (json_is_number(am_js(set, "accuracy")))
        am_grid_putf(g, "%.4f", am_js_real(set, "accuracy", 0));
    else
        am_grid_put(g, NULL);
}

static int print_set(struct am_cli *c, const json_t *set)
{
    AM_CLEANUP(am_xfreep) char *model = model_of(set);
    AM_CLEANUP(am_xfreep) char *dataset = dataset_of(set);
    if (c->out == AM_OUT_JSON)
        am_print_json(c, set);
    else if (c->out == AM_OUT_NAME)
        puts(am_js_text(set, "id", "?"));
    else {
        am_put_clean(stdout, am_js_text(set, "id", "?"));
        printf(" %lld rows", (long long)am_js_int(set, "rows", 0));
        if (am_js_int(set, "correct", -1) >= 0)
            printf(", %lld correct", (long long)am_js_int(set, "correct", -1));
        fputs(": ", stdout);
        am_put_clean(stdout, model);
        am_put_clean(stdout, " on ");
        am_put_clean(stdout, dataset);
        putchar('\n');
    }
    return 0;
}

/* ---- push ---- */

static int print_made(struct am_cli *c, const char *id)
{
    AM_CLEANUP(am_xfreep) char *path = am_url("/v1/predictions", id, NULL);
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    int rc = am_http_get(c, path, &r);
    return rc ? rc : print_set(c, r.json);
}

static int follow(struct am_cli *c, const char *task)
{
    AM_CLEANUP(am_jsonp) json_t *job = NULL;
    int rc = am_job_wait(c, task, &job);
    return rc ? rc : print_made(c, am_js_text(job, "result.prediction_set", ""));
}

int am_cmd_predictions_push(struct am_cli *c, int argc, char **argv)
{
    struct am_push p = {0};
    const struct am_opt opts[] = {
        {"version", 0, &p.version, NULL}, {"dataset", 0, &p.dataset, NULL}, {"id", 0, &p.id, NULL},
        {"label", 0, &p.label, NULL},     {"pred", 0, &p.pred, NULL},       {"task", 0, &p.task, NULL},
        {"split", 0, &p.split, NULL},     {"labels", 0, &p.labels, NULL},   {0}};
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    int rc = am_opt_parse(c, opts, argc, argv, 1, 1, &p.path);
    if (rc == 0)
        rc = am_push_open(c, &p);
    if (rc == 0)
        rc = am_send_file(c, "/v1/predictions", &(struct am_sent_file){p.file, p.gzip, "application/x-ndjson"}, &r);
    am_push_done(&p);
    if (rc)
        return rc;
    return r.status == 202 ? follow(c, am_js_text(r.json, "id", "")) : print_set(c, r.json);
}

/* ---- list, show, rm ---- */

static void put_set(struct am_grid *g, const json_t *set)
{
    AM_CLEANUP(am_xfreep) char *model = model_of(set);
    AM_CLEANUP(am_xfreep) char *dataset = dataset_of(set);
    am_grid_put(g, am_js_text(set, "id", "?"));
    am_grid_put(g, model);
    am_grid_put(g, dataset);
    am_grid_put(g, am_js_text(set, "task", "?"));
    am_grid_putf(g, "%lld", (long long)am_js_int(set, "rows", 0));
    put_accuracy(g, set);
    am_grid_time(g, am_js_text(set, "created_at", NULL));
    am_grid_bytes(g, am_js_int(set, "packed.bytes", -1));
}

int am_cmd_predictions_list(struct am_cli *c, int argc, char **argv)
{
    static const char *const head[] = {"ID",       "VERSION", "DATASET", "TASK", "ROWS",
                                       "ACCURACY", "CREATED", "+PACKED", NULL};
    const char *version = NULL, *dataset = NULL, *limit = NULL;
    const struct am_opt opts[] = {
        {"version", 0, &version, NULL}, {"dataset", 0, &dataset, NULL}, {"limit", 0, &limit, NULL}, {0}};
    uint64_t want = 100;
    int rc = am_opt_parse(c, opts, argc, argv, 0, 0, NULL);
    if (rc || (limit && (rc = am_opt_number(c, "--limit", limit, 1, 100000, &want))))
        return rc;
    AM_CLEANUP(am_xfreep) char *v = version ? am_url_encoded(version) : NULL;
    AM_CLEANUP(am_xfreep) char *d = dataset ? am_url_encoded(dataset) : NULL;
    AM_CLEANUP(am_xfreep)
    char *path = am_xprintf("/v1/predictions%s%s%s%s%s", v || d ? "?" : "", v ? "version=" : "", v ? v : "",
                            d ? (v ? "&dataset=" : "dataset=") : "", d ? d : "");
    AM_CLEANUP(am_jsonp) json_t *list = NULL;
    if ((rc = am_http_list(c, path, (size_t)want, true, &list)))
        return rc;
    return am_print_list(c, list, head, 3u << 4, put_set,
                         "no prediction sets; upload one with: amend predictions push FILE");
}

static void show_set(const struct am_cli *c, const json_t *set)
{
    static const char *const rows[][2] = {{"id", "id"},
                                          {"version", "version"},
                                          {"submitted as", "submitted_as"},
                                          {"task", "task"},
                                          {"metric", "metric"},
                                          {"split", "split"},
                                          {"rows", "rows"},
                                          {"ids", "ids"},
                                          {"correct", "correct"},
                                          {"accuracy", "accuracy"},
                                          {"created", "created_at"},
                                          {"by", "created_by"},
                                          {"packed", "packed.sha256"},
                                          {"dictionary", "dictionary.sha256"}};
    struct am_grid g;
    am_grid_init(&g, c, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const json_t *v = am_js(set, rows[i][1]);
        AM_CLEANUP(am_xfreep) char *text = v && !json_is_null(v) ? am_js_plain(v) : NULL;
        am_grid_pair(&g, rows[i][0], text);
    }
    AM_CLEANUP(am_xfreep) char *dataset = dataset_of(set);
    am_grid_pair(&g, "dataset", dataset);
    am_grid_print(&g);
    am_grid_done(&g);
}

static int write_lines(void *arg, const void *bytes, size_t n)
{
    (void)arg;
    return fwrite(bytes, 1, n, stdout) == n ? 0 : -1;
}

static int print_lines(struct am_cli *c, const char *id)
{
    AM_CLEANUP(am_xfreep) char *path = am_url("/v1/predictions", id, "content", NULL);
    AM_CLEANUP(am_reply_done) struct am_reply r = {0};
    struct am_request q = {.verb = "GET", .path = path, .sink = write_lines, .once = true};
    int rc = am_http_send(c, &q, &r);
    return rc ? rc : r.status >= 400 ? am_problem_say(c, &r) : 0;
}

int am_cmd_predictions_show(struct am_cli *c, int argc, char **argv)
{
    const char *id;
    bool lines = false;
    const struct am_opt opts[] = {{"lines", 0, NULL, &lines}, {0}};
    int rc = am_opt_parse(c, opts, argc, argv, 1, 1, &id);
    if (rc || lines)
        return rc ? rc : print_lines(c, id);
    AM_CLEANUP(am_xfreep) char *path = am_url("/v1/predictions", id, NULL);
    return am_http_show(c, path, show_set);
}

int am_cmd_predictions_rm(struct am_cli *c, int argc, char **argv)
{
    return am_remove_named(c, argc, argv, "the prediction set", "/v1/predictions");
}
