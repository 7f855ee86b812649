/*
 * The numbers of answers: the fewest digits that read back to the same double, strings and whole numbers untouched.
 */
#include "server/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void is(const char *json, const char *want)
{
    json_t *v = json_loads(json, JSON_DECODE_ANY, NULL);
    char *text = am_json_text(v);
    assert_string_equal(text, want);
    free(text);
    json_decref(v);
}

static void short_numbers(void **state)
{
    (void)state;
    is("[-0.005, 0.1, 1.0, 2.0e30, 1e-7, 9007199254740993, 0.30000000000000004]",
       "[-0.005,0.1,1.0,2e30,1e-7,9007199254740993,0.30000000000000004]");
    is("{\"a \\\" -0.0050000000000000001 \\\\\":[0.95],\"b\":\"0.10000000000000001\"}",
       "{\"a \\\" -0.0050000000000000001 \\\\\":[0.95],\"b\":\"0.10000000000000001\"}");
    is("[]", "[]");
    assert_null(am_json_text(NULL));
}

static void same_double(void **state)
{
    (void)state;
    uint64_t bits = 1;
    for (int i = 0; i < 20000; i++) {
        bits = bits * 6364136223846793005u + 1442695040888963407u;
        double v, back;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v))
            continue;
        json_t *list = json_pack("[f]", v);
        char *text = am_json_text(list);
        json_t *read = json_loads(text, 0, NULL);
        assert_true(json_is_real(json_array_get(read, 0)));
        back = json_real_value(json_array_get(read, 0));
        assert_memory_equal(&back, &v, sizeof v);
        free(text);
        json_decref(list);
        json_decref(read);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(short_numbers), cmocka_unit_test(same_double)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
