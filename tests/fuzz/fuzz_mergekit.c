/*
 * fuzz_mergekit.c - libFuzzer over mergekit configurations: whatever bytes come, reading and translating them gives
 * faults or a body, and the check of that body ends too.
 */
#include "core/recipe/mergekit.h"
#include "core/table/body.h"
#include "tests/unit/table_fixture.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct am_table table;
    struct am_faults faults = {0};
    struct am_mergekit m = {0};
    struct am_body body = {0};
    json_t *ask = json_pack("{s:s}", "model", "d/o");
    if (!table.root && am_table_load(&table, registry, strlen(registry)) < 0)
        abort();
    int rc = am_mergekit_read(&m, (const char *)data, size, ask, &table, &faults);
    if ((rc == 0) != (faults.n == 0) || (rc == 0 && !m.body))
        abort();
    if (m.body)
        am_body_check(&body, m.body, &table, &faults);
    am_mergekit_place(&m, &faults);
    for (size_t i = 0; i < faults.n; i++)
        if (!faults.v[i].detail || !faults.v[i].pointer)
            abort();
    am_body_done(&body);
    am_mergekit_done(&m);
    am_faults_done(&faults);
    json_decref(ask);
    return 0;
}
