/*
 * store_fixture.h - a store in a folder of its own for the tests of storage/. Each test program includes it once.
 */
#ifndef AM_TESTS_STORE_FIXTURE_H
#define AM_TESTS_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the four above */
#include <cmocka.h>

#include "core/base/sys.h"
#include "storage/db.h"
#include "storage/events.h"
#include "storage/jobs.h"
#include "storage/models.h"
#include "storage/store.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
    char dir[64];
    struct am_store *s;
};

static inline int fixture_open(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char why[512];
    const char *below =
        getenv("TMPDIR"); /* tools/check names a RAM disk: whether syncs come in order is tests/faults' */
    if (!f)
        return -1;
    snprintf(f->dir, sizeof f->dir, "%s/amend-test-XXXXXX", below ? below : "/tmp");
    if (!mkdtemp(f->dir))
        return -1;
    f->s = am_store_open(f->dir, why, sizeof why);
    if (!f->s)
        print_error("%s\n", why);
    *state = f;
    return f->s ? 0 : -1;
}

static inline int fixture_close(void **state)
{
    struct fixture *f = *state;
    am_store_close(f->s);
    am_sys_rmtree(AT_FDCWD, f->dir);
    free(f);
    return 0;
}

static inline int run_sql(struct am_db *db, void *arg)
{
    return am_db_script(db, arg);
}

/* Runs SQL on the writer. */
static inline int write_sql(struct fixture *f, const char *sql)
{
    char *text = strdup(sql);
    int rc = am_store_write(f->s, run_sql, text);
    free(text);
    return rc;
}

static inline int64_t read_int(struct fixture *f, const char *sql)
{
    int64_t v = INT64_MIN;
    assert_true(am_db_int(am_store_read(f->s), &v, sql, "") >= 0);
    return v;
}

struct create_call {
    struct am_model_new m;
    int64_t id;
    char other[200];
};
static inline int call_create(struct am_db *db, void *arg)
{
    struct create_call *c = arg;
    return am_model_create(db, &c->m, &c->id, c->other);
}

static inline int64_t make_model(struct fixture *f, const char *name)
{
    struct create_call c = {.m = {.name = name, .created_by = "ci", .now = 1000}};
    assert_int_equal(am_store_write(f->s, call_create, &c), 0);
    return c.id;
}

struct insert_call {
    struct am_version_new v;
    int64_t id;
    char commit[41];
};
static inline int call_insert(struct am_db *db, void *arg)
{
    struct insert_call *c = arg;
    return am_version_insert(db, &c->v, &c->id, c->commit);
}

#endif
