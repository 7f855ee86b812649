/*
 * fuzz_mergekit.c - libFuzzer over mergekit configurations: whatever bytes come, reading and translating them gives
 * faults or a body, and the check of that body ends too.
 */
#include "core/recipe/chain.h"
#include "core/recipe/mergekit.h"
#include "core/table/body.h"
#include "tests/unit/table_fixture.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct am_mergekit *m, const struct am_table *t, struct am_faults *f)
{
    struct am_body body = {0};
    if (m->body)
        am_body_check(&body, m->body, t, f);
    am_mergekit_place(m, f);
    for (size_t i = 0; i < f->n; i++)
        if (!f->v[i].detail || !f->v[i].pointer)
            abort();
    am_body_done(&body);
}

/* Without a fault each document has a body, and the order has each after those that it needs. */
static void read_chain(const struct am_yaml *y, const char *text, size_t n, json_t *ask, const struct am_table *t)
{
    static struct am_chain c;
    static const char job[] = "job_0123456789abcdef0123456789abcdef";
    const char *uid[AM_YAML_DOCUMENTS];
    bool done[AM_YAML_DOCUMENTS] = {false};
    int rc = am_chain_read(&c, y, text, n, ask, t);
    for (size_t i = 0; i < c.n; i++)
        uid[i] = job;
    for (size_t k = 0; rc == 0 && k < c.n; k++) {
        const struct am_chain_stage *s = &c.v[c.order[k]];
        for (size_t i = 0; i < c.n; i++)
            if (s->needs[i] && !done[i])
                abort();
        if (!s->mergekit.body || done[c.order[k]])
            abort();
        done[c.order[k]] = true;
    }
    if (am_chain_bind(&c, uid) < 0)
        abort();
    for (size_t i = 0; i < c.n; i++)
        check(&c.v[i].mergekit, t, &c.v[i].faults);
    am_chain_done(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct am_table table;
    struct am_faults faults = {0};
    struct am_mergekit m = {0};
    json_t *ask = json_pack("{s:s}", "model", "d/o");
    if (!table.root && am_table_load(&table, registry, strlen(registry)) < 0)
        abort();
    int rc = am_mergekit_read(&m, (const char *)data, size, ask, &table, &faults);
    bool many = m.yaml.n > 1;
    if ((rc == 0) != (faults.n == 0) || (rc == 0 && !m.body && !many))
        abort();
    if (many)
        read_chain(&m.yaml, (const char *)data, size, ask, &table);
    check(&m, &table, &faults);
    am_mergekit_done(&m);
    am_faults_done(&faults);
    json_decref(ask);
    return 0;
}
