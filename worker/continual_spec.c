/*
 * continual_spec.c - the spec of mode `continual`. See continual.h.
 */
#include "core/base/text.h"
#include "worker/continual.h"
#include "worker/spec_parts.h"

#include <stdio.h>

enum { THREADS_MAX = 1024 };

static int take_task(struct am_continuing *c, json_t *o, size_t at)
{
    struct am_faults *f = &c->s->faults;
    struct am_continual_task *t = &c->task[at];
    const json_t *random = json_object_get(o, "random");
    t->name = json_string_value(json_object_get(o, "name"));
    t->sets = json_object_get(o, "sets");
    t->predictions = json_object_get(o, "predictions");
    t->first.packed.fd = -1;
    if (!t->name || json_array_size(t->sets) != c->line.tasks || json_array_size(t->predictions) != c->line.tasks)
        return am_spec_bad(f, "#/tasks", "must each have name, and sets and predictions of every version");
    if (json_is_number(random))
        c->line.task[at].random = am_known(json_number_value(random));
    json_t *set;
    size_t i;
    json_array_foreach(t->sets, i, set)
    {
        struct am_compare_set one; /* read for its descriptors; it is opened when its turn has come */
        if (!json_is_null(set))
            AM_TRY(am_compare_spec_set(&c->spec, set, t->name, "#/tasks", &one));
    }
    return 0;
}

static int take_tasks(struct am_continuing *c)
{
    json_t *list = json_object_get(c->root, "tasks"), *o;
    size_t i;
    c->line.tasks = json_array_size(list);
    if (c->line.tasks < 1 || c->line.tasks > AM_LINE_MAX)
        return am_spec_bad(&c->s->faults, "#/tasks", "must be 1 to 16 tasks");
    json_array_foreach(list, i, o) AM_TRY(take_task(c, o, i));
    return 0;
}

int am_continual_spec(struct am_continuing *c)
{
    struct am_faults *f = &c->s->faults;
    json_t *options = json_object_get(c->root, "options");
    uint64_t threads = 0, replicates = 0, seed = 0;
    AM_TRY(am_spec_head(c->root, f));
    c->params = json_object_get(c->root, "params");
    c->about = json_object_get(c->root, "about");
    if (!am_streq(json_string_value(json_object_get(c->root, "method")), "continual"))
        return am_spec_bad(f, "#/method", "must be continual");
    if (!json_is_object(c->params) || !json_is_object(c->about))
        return am_spec_bad(f, "#/params", "and #/about must be objects");
    if (am_spec_u64(options, "threads", &threads) < 0 || threads < 1 || threads > THREADS_MAX ||
        am_spec_u64(options, "seed", &seed) < 0)
        return am_spec_bad(f, "#/options", "must have threads from 1 to 1024, and seed");
    if (am_spec_u64(json_object_get(c->root, "params"), "bootstrap", &replicates) < 0 || replicates < AM_BOOT_MIN ||
        replicates > AM_BOOT_MAX)
        return am_spec_bad(f, "#/params/bootstrap", "must be from 200 to 100000");
    c->boot = (struct am_boot){.replicates = (uint32_t)replicates, .seed = seed, .threads = (unsigned)threads};
    return take_tasks(c);
}
