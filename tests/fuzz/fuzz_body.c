/*
 * fuzz_body.c - libFuzzer over the body of POST /v1/jobs: whatever JSON comes, the check gives faults or a complete
 * body.
 */
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
    struct am_body body = {0};
    json_t *json = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    if (!json)
        return 0;
    if (!table.root && am_table_load(&table, registry, strlen(registry)) < 0)
        abort();
    int rc = am_body_check(&body, json, &table, &faults);
    if ((rc == 0) != (faults.n == 0))
        abort();
    if (rc == 0 && (!body.row || !body.params || !body.options || body.inputs == 0 || body.donor >= body.inputs))
        abort();
    for (size_t i = 0; rc == 0 && i < body.inputs; i++)
        if (!body.input[i].ref || !body.input[i].role || !body.input[i].pointer)
            abort();
    am_body_done(&body);
    am_faults_done(&faults);
    json_decref(json);
    return 0;
}
