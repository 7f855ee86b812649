/*
 * compare_run.c - the gate of a job that makes weights: mode `run` has them staged and hashed, and here the two
 * prediction sets that the job names are compared and decided about, by the code of mode `compare`. See compare.h.
 */
#include "core/base/text.h"
#include "core/compat/gate.h"
#include "worker/compare.h"
#include "worker/spec_parts.h"

#include <stdlib.h>
#include <string.h>

#define FOLDER "amend/gate/" /* which no file of a version is in: run.c keeps none of amend/ */

static json_t *weights_of(const struct am_comparing *c)
{
    return json_object_get(c->root, "weights");
}

int am_compare_run_open(struct am_comparing *c, struct am_session *s, json_t *spec, struct am_spec_fds *fds)
{
    if (!json_is_object(spec))
        return 0;
    *c = (struct am_comparing){.s = s,
                               .root = json_incref(spec),
                               .fds = fds,
                               .folder = FOLDER,
                               .alone = json_is_null(json_object_get(spec, "old")),
                               .gate = json_object_get(spec, "gate"),
                               .warnings = json_array(),
                               .groups = json_array(),
                               .gate_slices = json_array()};
    if (!json_is_object(c->gate) || !json_is_array(weights_of(c)))
        return am_spec_bad(&s->faults, "#/compare", "must have gate and weights");
    return c->alone ? am_compare_gate_spec(c) : am_compare_spec(c);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The texts of a list in order; NULL: out of memory. */
static const char **sorted(const json_t *list)
{
    size_t n = json_array_size(list);
    const char **v = calloc(n + 1, sizeof *v);
    for (size_t i = 0; v && i < n; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        v[i] = text ? text : "";
    }
    if (v && n)
        qsort(v, n, sizeof *v, by_text);
    return v;
}

/* Whether the new predictions are of these very weight files, by their SHA-256. */
static int same_bytes(const struct am_comparing *c, bool *ret)
{
    const json_t *made = c->s->result.weights, *told = weights_of(c);
    size_t n = json_array_size(made);
    const char **a = sorted(made), **b = sorted(told);
    int rc = a && b ? 0 : -AM_E_OUT_OF_MEMORY;
    bool same = rc == 0 && n == json_array_size(told);
    for (size_t i = 0; same && i < n; i++)
        same = am_streq(a[i], b[i]);
    free(a);
    free(b);
    if (rc == 0)
        *ret = same;
    return rc;
}

static int decide_alone(struct am_comparing *c)
{
    json_t *decision = NULL;
    int rc = am_compare_decide(c, NULL, &decision);
    if (rc == 0)
        rc = am_compare_put_json(c, 3, "decision.json", decision);
    json_decref(decision);
    return rc;
}

int am_compare_run_put(struct am_comparing *c, unsigned first, enum am_gate_check finite)
{
    bool same;
    if (!c->s)
        return 0;
    c->first = first;
    c->finite = finite;
    if (c->alone)
        return decide_alone(c);
    AM_TRY(same_bytes(c, &same));
    if (!same)
        c->doubt = AM_GATE_OTHER_BYTES;
    return am_compare_work(c);
}
