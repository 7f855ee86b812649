/*
 * body_fixture.h - checks a body against the registry of table_fixture.h and compares the faults, for the tests of
 * am_body_check().
 */
#ifndef AM_TESTS_BODY_FIXTURE_H
#define AM_TESTS_BODY_FIXTURE_H

#include "core/base/text.h"
#include "core/table/body.h"
#include "tests/unit/table_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct am_table table;
static json_t *body;
static struct am_faults faults;
static struct am_body checked;

static int setup(void **state)
{
    (void)state;
    return am_table_load(&table, registry, strlen(registry));
}

static int teardown(void **state)
{
    (void)state;
    am_table_done(&table);
    return 0;
}

static void done(void)
{
    am_body_done(&checked);
    am_faults_done(&faults);
    faults = (struct am_faults){0};
    json_decref(body);
    body = NULL;
}

static int check(const char *text)
{
    json_error_t e;
    done();
    body = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
    if (!body)
        fail_msg("test body: %s at %d in %s", e.text, e.position, text);
    return am_body_check(&checked, body, &table, &faults);
}

static void accept(const char *text)
{
    int rc = check(text);
    if (rc != 0 || faults.n != 0)
        fail_msg("%s: rc %d, %s: %s", text, rc, faults.n ? faults.v[0].pointer : "",
                 faults.n ? faults.v[0].detail : "");
}

struct want {
    const char *code, *pointer, *reason, *detail; /* detail: a part of it, or NULL */
};

static void refuse(const char *text, const struct want *want, size_t n)
{
    int rc = check(text);
    for (size_t i = 0; i < faults.n && i < n; i++) {
        const struct am_fault *f = &faults.v[i];
        if (strcmp(am_err_slug(f->code), want[i].code) != 0 || strcmp(f->pointer, want[i].pointer) != 0 ||
            !am_streq(f->reason, want[i].reason) || (want[i].detail && !strstr(f->detail, want[i].detail)))
            fail_msg("%s\nfault %zu is %s %s %s: %s", text, i, am_err_slug(f->code), f->pointer,
                     f->reason ? f->reason : "-", f->detail);
    }
    if (faults.n != n)
        fail_msg("%s\n%zu faults instead of %zu; the next: %s %s", text, faults.n, n,
                 faults.n > n ? faults.v[n].pointer : "", faults.n > n ? faults.v[n].detail : "");
    assert_int_equal(rc, am_faults_worst(&faults));
    assert_true(rc < 0);
}

static void refuse1(const char *text, const char *code, const char *pointer, const char *reason, const char *detail)
{
    struct want w = {code, pointer, reason, detail};
    refuse(text, &w, 1);
}

#define MERGE(inputs, rest)                                                                                            \
    "{\"type\":\"merge\",\"method\":\"linear\",\"inputs\":" inputs                                                     \
    ",\"params\":{\"weight\":1},\"publish\":{\"model\":\"d/o\"}" rest "}"

#endif
