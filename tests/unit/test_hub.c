/* test_hub.c - what the Hub's protocol reads of the database. */
#include "tests/unit/store_fixture.h"

#include "storage/hub.h"
#include "storage/life.h"

#define SHA "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static int64_t add_version(struct fixture *f, int64_t model, const char *message, int64_t now)
{
    static const struct am_file_new file = {.path = "model.safetensors", .sha256 = SHA, .bytes = 8};
    struct insert_call c = {.v = {.model = model,
                                  .created_by = "ci",
                                  .message = message,
                                  .now = now,
                                  .branch = "main",
                                  .file = &file,
                                  .files = 1}};
    assert_int_equal(am_store_write(f->s, call_insert, &c), 0);
    return c.id;
}

static int call_delete(struct am_db *db, void *arg)
{
    return am_version_delete(db, &(struct am_deletion){.id = *(int64_t *)arg, .now = 9000, .by = "ci"});
}

static int join(void *ctx, const struct am_hub_commit *c)
{
    size_t n = strlen(ctx);
    snprintf((char *)ctx + n, 64 - n, "%s ", c->message);
    return 0;
}

/* A page is as long as it was asked to be: one that ends early is taken for the last one. */
static void deleted_commits_make_no_page_shorter(void **state)
{
    struct fixture *f = *state;
    int64_t m = make_model(f, "demo/base"), id[5];
    const char *const names[] = {"a", "b", "c", "d", "e"};
    for (int i = 0; i < 5; i++)
        id[i] = add_version(f, m, names[i], 2000 + i);
    assert_int_equal(am_store_write(f->s, call_delete, &id[3]), 0);
    assert_int_equal(am_store_write(f->s, call_delete, &id[2]), 0);
    char text[64] = "", rest[64] = "";
    assert_int_equal(am_hub_commits(am_store_read(f->s), id[4], 2, join, text), 0);
    assert_string_equal(text, "e b ");
    assert_int_equal(am_hub_commits(am_store_read(f->s), id[1], 9, join, rest), 0);
    assert_memory_equal(rest, "b a ", 4); /* and the empty commit that every model begins with */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(deleted_commits_make_no_page_shorter, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
