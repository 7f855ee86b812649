/*
 * launch_compare.c - the specs of modes `compare` and `continual` (worker/contract.md): prediction sets as open
 * descriptors, each stored file once. A set is found by its id, and must still be what the recipe says.
 */
#include "server/launch_parts.h"

#include "core/base/sys.h"
#include "core/base/text.h"
#include "server/json.h"
#include "storage/blobs.h"
#include "storage/predictions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CPU_SLACK_SECONDS = 60, FILES = 4, CRITICAL_MAX = 20, LINE_MAX = 16 };
enum { OPEN_MAX_HERE = LINE_MAX * (LINE_MAX + 1) }; /* of a line; a comparison has 4 (CRITICAL_MAX + 1) at most */

struct set { /* of one side, as its row says */
    char packed[65], ids[65];
    int64_t packed_bytes, ids_bytes;
    json_t *header;
    char about[600]; /* commit, or its name elsewhere */
    char dataset[600];
};

struct sets {
    struct am_launch *l;
    struct am_store *store;
    struct am_db *db;
    struct am_faults *faults;
    char (*sha)[65]; /* by descriptor */
    size_t most;     /* room in it */
};

static const char *text_of(const json_t *o, const char *name)
{
    const char *text = json_string_value(json_object_get(o, name));
    return text ? text : "";
}

static int take_row(void *ctx, const struct am_prediction_row *p)
{
    struct set *s = ctx;
    snprintf(s->packed, sizeof s->packed, "%s", p->packed_sha256 ? p->packed_sha256 : "");
    snprintf(s->ids, sizeof s->ids, "%s", p->ids_sha256 ? p->ids_sha256 : "");
    snprintf(s->about, sizeof s->about, "%s", p->commit ? p->commit : p->model);
    snprintf(s->dataset, sizeof s->dataset, "%s", p->dataset);
    s->packed_bytes = p->packed_bytes;
    s->ids_bytes = p->ids_bytes;
    s->header = am_json_stored(p->header);
    return s->header ? 0 : -AM_E_OUT_OF_MEMORY;
}

static int find_set(struct sets *b, const json_t *input, struct set *ret)
{
    const char *uid = text_of(input, "predictions");
    int rc = am_prediction_get(b->db, uid, take_row, ret);
    if (rc == -AM_E_NOT_FOUND)
        return am_fault_add(b->faults, AM_E_MISSING_INPUT, (struct am_where){0},
                            "the prediction set %s was deleted since the job was submitted", uid);
    AM_TRY(rc);
    if (!am_streq(ret->packed, text_of(input, "packed_sha256")) || !am_streq(ret->ids, text_of(input, "ids_sha256")))
        return am_fault_add(b->faults, AM_E_STORE_DAMAGED, (struct am_where){0},
                            "the prediction set %s is not what it was when the job was submitted; verify the store",
                            uid);
    return 0;
}

/* {"fd","bytes"}; a file that both sides have is opened once. */
static json_t *put_blob(struct sets *b, const char *sha, int64_t bytes)
{
    struct stat st;
    size_t i = 0;
    while (i < b->l->inputs && !am_streq(b->sha[i], sha))
        i++;
    if (i == b->l->inputs) {
        int fd = i < b->most ? am_blob_open(b->store, sha) : -1;
        if (fd < 0 || fstat(fd, &st) < 0 || st.st_size != bytes || am_launch_add(b->l, fd) < 0) {
            am_sys_closep(&fd);
            am_fault_add(b->faults, AM_E_STORE_DAMAGED, (struct am_where){0},
                         "the stored file %s of a prediction set cannot be opened or has another length; verify the "
                         "store",
                         sha);
            return NULL;
        }
        snprintf(b->sha[i], sizeof b->sha[i], "%s", sha);
        b->l->read_bytes += (uint64_t)bytes;
    }
    return json_pack("{s:i,s:I}", "fd", (int)(AM_LAUNCH_FIRST_INPUT + i), "bytes", (json_int_t)bytes);
}

static json_t *put_set(struct sets *b, const struct set *s)
{
    json_t *packed = put_blob(b, s->packed, s->packed_bytes), *ids = packed ? put_blob(b, s->ids, s->ids_bytes) : NULL;
    json_t *o = ids ? json_pack("{s:O,s:O,s:O}", "packed", packed, "ids", ids, "header", s->header) : NULL;
    json_decref(packed);
    json_decref(ids);
    return o;
}

/* The set of an input of the recipe, opened; NULL: *ret_rc. */
static json_t *open_set(struct sets *b, const json_t *input, int *ret_rc)
{
    struct set set = {.header = NULL};
    *ret_rc = find_set(b, input, &set);
    json_t *o = *ret_rc == 0 ? put_set(b, &set) : NULL;
    if (*ret_rc == 0 && !o)
        *ret_rc = b->faults->n ? am_faults_worst(b->faults) : -AM_E_OUT_OF_MEMORY;
    json_decref(set.header);
    return o;
}

/* The gate of the recipe, with the sets of critical samples as descriptors in place of their names. null: none. */
static int put_gate(struct sets *b, const json_t *gate, json_t **ret)
{
    json_t *critical = json_array(), *entry;
    size_t i;
    int rc = 0;
    if (json_array_size(json_object_get(gate, "critical")) > CRITICAL_MAX)
        rc = -AM_E_BAD_SPEC;
    json_array_foreach(json_object_get(gate, "critical"), i, entry)
    {
        json_t *old = rc == 0 ? open_set(b, json_object_get(entry, "old"), &rc) : NULL,
               *new = rc == 0 ? open_set(b, json_object_get(entry, "new"), &rc) : NULL;
        if (rc == 0 &&
            json_array_append_new(critical, json_pack("{s:O, s:O, s:O}", "dataset", json_object_get(entry, "dataset"),
                                                      "old", old, "new", new)) < 0)
            rc = -AM_E_OUT_OF_MEMORY;
        json_decref(old);
        json_decref(new);
    }
    if (rc == 0)
        *ret = json_is_object(gate) ? json_pack("{s:O, s:O, s:O}", "gate", json_object_get(gate, "gate"), "policy",
                                                json_object_get(gate, "policy"), "critical", critical)
                                    : json_null();
    json_decref(critical);
    return rc == 0 && !*ret ? -AM_E_OUT_OF_MEMORY : rc;
}

static json_t *limits_of(const struct am_launch *l, const struct am_claim *job)
{
    const json_t *peak = json_object_get(job->plan, "peak_memory_bytes"),
                 *write = json_object_get(job->plan, "write_bytes");
    if (!json_is_integer(peak) || !json_is_integer(write))
        return NULL;
    json_t *limits =
        am_launch_limits(l, (uint64_t)json_integer_value(peak), (uint64_t)json_integer_value(write), FILES);
    if (limits && job->time_limit > 0)
        json_object_set_new(limits, "cpu_seconds",
                            json_integer((json_int_t)l->threads * (job->time_limit + CPU_SLACK_SECONDS)));
    return limits;
}

static int put_spec(struct sets *b, const struct am_claim *job, const struct set *set)
{
    const json_t *r = job->resolved, *inputs = json_object_get(r, "inputs");
    const json_t *threads = json_object_get(r, "threads"), *options = json_object_get(r, "options");
    if (!json_is_integer(threads) || json_integer_value(threads) < 1 || json_integer_value(threads) > 1024)
        return -AM_E_BAD_SPEC;
    b->l->threads = (unsigned)json_integer_value(threads);
    json_auto_t *old = put_set(b, &set[0]), *new = old ? put_set(b, &set[1]) : NULL;
    if (!new)
        return b->faults->n ? am_faults_worst(b->faults) : -AM_E_OUT_OF_MEMORY;
    json_auto_t *gate = NULL;
    AM_TRY(put_gate(b, json_object_get(r, "gate"), &gate));
    json_auto_t *limits = limits_of(b->l, job);
    json_auto_t *spec = json_pack("{s:i,s:s,s:i,s:i,s:O?,s:s,s:O?,s:{s:O?,s:O?},s:O,s:O,s:{s:s,s:s,s:s,s:s,s:s},s:O}",
                                  "proto", 1, "job", job->uid, "attempt", job->attempt, "staging", 4, "limits", limits,
                                  "method", job->method, "params", json_object_get(r, "params"), "options", "threads",
                                  threads, "seed", json_object_get(options, "seed"), "old", old, "new", new, "about",
                                  "old", set[0].about, "new", set[1].about, "dataset", set[0].dataset,
                                  "old_predictions", text_of(json_array_get(inputs, 0), "predictions"),
                                  "new_predictions", text_of(json_array_get(inputs, 1), "predictions"), "gate", gate);
    return limits && spec ? am_launch_dump(b->l, spec) : -AM_E_BAD_SPEC;
}

/* ---- a line: continual ---- */

/* A set of a task of the recipe, or null. */
static json_t *open_cell(struct sets *b, const json_t *task, size_t i, int *ret_rc)
{
    static const char *const names[] = {"predictions", "packed_sha256", "ids_sha256"};
    json_auto_t *input = json_object();
    for (size_t k = 0; k < 3; k++)
        json_object_set(input, names[k], json_array_get(json_object_get(task, names[k]), i));
    *ret_rc = 0;
    return json_is_string(json_object_get(input, "predictions")) ? open_set(b, input, ret_rc) : json_null();
}

static int put_task(struct sets *b, const json_t *task, size_t versions, json_t *tasks)
{
    json_t *sets = json_array();
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < versions; i++) {
        json_t *set = open_cell(b, task, i, &rc);
        if (set)
            json_array_append_new(sets, set);
    }
    json_t *o =
        json_pack("{s:O?, s:O?, s:O?, s:o}", "name", json_object_get(task, "dataset"), "random",
                  json_object_get(task, "random"), "predictions", json_object_get(task, "predictions"), "sets", sets);
    return rc < 0 ? (json_decref(o), rc) : am_json_add(tasks, o);
}

/* The commit of "ns/name@commit". */
static const char *commit_of(const json_t *version)
{
    const char *at = strchr(text_of(version, "version"), '@');
    return at ? at + 1 : "";
}

/* What the report tells of the line: old is its first version and new its last. */
static json_t *about_line(const json_t *inputs, size_t versions)
{
    json_t *list = json_array();
    char data[2000] = "";
    size_t n = 0;
    for (size_t i = 0; i < versions; i++) {
        const json_t *v = json_array_get(inputs, i);
        int more = snprintf(data + n, sizeof data - n, "%s%s", i ? "," : "",
                            text_of(json_array_get(inputs, versions + i), "dataset"));
        n = more > 0 && n + (size_t)more < sizeof data ? n + (size_t)more : n;
        data[n] = 0;
        json_array_append_new(list, json_pack("{s:s, s:O?, s:O?}", "commit", commit_of(v), "version",
                                              json_object_get(v, "version"), "memory_bytes",
                                              json_object_get(v, "memory_bytes")));
    }
    return json_pack("{s:s, s:s, s:s, s:o}", "old", commit_of(json_array_get(inputs, 0)), "new",
                     commit_of(json_array_get(inputs, versions - 1)), "dataset", data, "versions", list);
}

int am_launch_continual(struct am_launch *l, struct am_store *store, const struct am_claim *job,
                        struct am_faults *faults)
{
    char sha[OPEN_MAX_HERE][65];
    struct sets b = {
        .l = l, .store = store, .db = am_store_read(store), .faults = faults, .sha = sha, .most = OPEN_MAX_HERE};
    const json_t *r = job->resolved, *inputs = json_object_get(r, "inputs"), *threads = json_object_get(r, "threads");
    size_t versions = json_array_size(inputs) / 2;
    json_auto_t *tasks = json_array();
    int rc = b.db && versions >= 1 && versions <= LINE_MAX && json_is_integer(threads) ? 0 : -AM_E_BAD_SPEC;
    l->threads = rc == 0 ? (unsigned)json_integer_value(threads) : 1;
    for (size_t j = 0; rc == 0 && j < versions; j++)
        rc = put_task(&b, json_array_get(inputs, versions + j), versions, tasks);
    AM_TRY(rc);
    json_auto_t *limits = limits_of(l, job);
    json_auto_t *spec = json_pack("{s:i,s:s,s:i,s:i,s:O?,s:s,s:O?,s:{s:O?,s:O?},s:O,s:o}", "proto", 1, "job", job->uid,
                                  "attempt", job->attempt, "staging", 4, "limits", limits, "method", job->method,
                                  "params", json_object_get(r, "params"), "options", "threads", threads, "seed",
                                  json_object_get(json_object_get(r, "options"), "seed"), "tasks", tasks, "about",
                                  about_line(inputs, versions));
    return limits && spec ? am_launch_dump(l, spec) : -AM_E_BAD_SPEC;
}

int am_launch_compare(struct am_launch *l, struct am_store *store, const struct am_config *cfg,
                      const struct am_claim *job, struct am_faults *faults)
{
    char sha[OPEN_MAX_HERE][65];
    struct sets b = {
        .l = l, .store = store, .db = am_store_read(store), .faults = faults, .sha = sha, .most = OPEN_MAX_HERE};
    struct set set[2] = {{.header = NULL}, {.header = NULL}};
    const json_t *inputs = json_object_get(job->resolved, "inputs");
    (void)cfg;
    int rc = b.db ? find_set(&b, json_array_get(inputs, 0), &set[0]) : -AM_E_INTERNAL;
    if (rc == 0)
        rc = find_set(&b, json_array_get(inputs, 1), &set[1]);
    if (rc == 0)
        rc = put_spec(&b, job, set);
    json_decref(set[0].header);
    json_decref(set[1].header);
    return rc;
}

/* ---- of a job that makes a version ---- */

static json_t *about_of(const json_t *gate, const struct set set[2])
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s}", "old", set[0].about, "new", set[1].about, "dataset", set[0].dataset,
                     "old_predictions", text_of(json_object_get(gate, "old"), "predictions"), "new_predictions",
                     text_of(json_object_get(gate, "new"), "predictions"));
}

/* With nothing to compare with: the gate alone. */
static int put_sides(struct sets *b, const json_t *gate, json_t *spec)
{
    static const char *const names[] = {"old", "new"};
    struct set set[2] = {{.header = NULL}, {.header = NULL}};
    int rc = 0;
    for (size_t i = 0; i < 2 && rc == 0; i++) {
        const json_t *side = json_object_get(gate, names[i]);
        json_t *o = json_null();
        if (json_is_object(side))
            rc = find_set(b, side, &set[i]);
        if (rc == 0 && json_is_object(side))
            o = put_set(b, &set[i]);
        if (rc == 0 && !o)
            rc = b->faults->n ? am_faults_worst(b->faults) : -AM_E_OUT_OF_MEMORY;
        if (rc == 0)
            json_object_set_new(spec, names[i], o);
    }
    if (rc == 0)
        json_object_set_new(spec, "about", set[0].header ? about_of(gate, set) : json_null());
    json_decref(set[0].header);
    json_decref(set[1].header);
    return rc;
}

int am_launch_gate(struct am_launch *l, struct am_store *store, char (*sha)[65], const struct am_claim *job,
                   struct am_faults *faults, json_t **ret)
{
    const json_t *gate = json_object_get(job->resolved, "gate");
    struct sets b = {
        .l = l, .store = store, .db = am_store_read(store), .faults = faults, .sha = sha, .most = AM_LAUNCH_INPUTS_MAX};
    json_t *decides = NULL, *spec = NULL;
    if (!json_is_object(gate)) {
        *ret = json_null();
        return 0;
    }
    int rc = b.db ? put_gate(&b, gate, &decides) : -AM_E_INTERNAL;
    if (rc == 0) {
        spec = json_pack("{s:s,s:O?,s:{s:O?,s:O?},s:o,s:O?}", "method", "compare", "params",
                         json_object_get(gate, "params"), "options", "threads",
                         json_object_get(job->resolved, "threads"), "seed", json_object_get(gate, "seed"), "gate",
                         decides, "weights", json_object_get(gate, "weights"));
        rc = spec ? put_sides(&b, gate, spec) : -AM_E_OUT_OF_MEMORY;
    }
    if (rc == 0)
        *ret = spec;
    else
        json_decref(spec);
    return rc;
}
