/*
 * gate_fixture.h - policies that are good, for the tests of gates. Include it after cmocka.h.
 */
#ifndef AM_TESTS_GATE_FIXTURE_H
#define AM_TESTS_GATE_FIXTURE_H

#include "core/gate/policy.h"

#include <stdio.h>

static const char *text_of(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

static struct am_policy read_good(const char *text)
{
    struct am_policy p;
    struct am_faults f = {0};
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    int rc = am_policy_read(&p, json, "#", &f);
    for (size_t i = 0; i < f.n; i++)
        printf("%s: %s\n", f.v[i].pointer, f.v[i].detail);
    assert_int_equal(rc, 0);
    json_decref(json);
    am_faults_done(&f);
    return p;
}

#endif
