/* test_models.c - models, refs and revision strings. */
#include "tests/unit/store_fixture.h"

#include "core/base/text.h"

#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static int64_t commit_on(struct fixture *f, int64_t model, const char *branch, int64_t now, char commit[41])
{
    struct am_file_new file = {.path = "model.safetensors", .sha256 = SHA_A, .bytes = 10, .weights = true};
    struct insert_call c = {.v = {.model = model,
                                  .created_by = "ci",
                                  .message = "m",
                                  .now = now,
                                  .branch = branch,
                                  .file = &file,
                                  .files = 1}};
    assert_int_equal(am_store_write(f->s, call_insert, &c), 0);
    if (commit)
        memcpy(commit, c.commit, 41);
    return c.id;
}

struct ref_call {
    int64_t model, version;
    const char *name, *kind;
};
static int call_ref(struct am_db *db, void *arg)
{
    struct ref_call *c = arg;
    return am_ref_set(db, c->model, c->name, c->kind, c->version, 5000, "ops", "ticket 512", NULL);
}
static int set_ref(struct fixture *f, int64_t model, const char *name, const char *kind, int64_t version)
{
    return am_store_write(f->s, call_ref, &(struct ref_call){model, version, name, kind});
}

static int copy_model(void *ctx, const struct am_model_row *m)
{
    *(struct am_model_row *)ctx = *m; /* numbers only are looked at afterwards */
    return 0;
}

static int check_new_model(void *ctx, const struct am_model_row *m)
{
    assert_int_equal(m->id, *(int64_t *)ctx);
    assert_string_equal(m->name, "demo/base");
    assert_string_equal(m->description, "");
    assert_string_equal(m->labels, "{}");
    assert_string_equal(m->created_by, "ci");
    assert_false(m->is_private);
    assert_int_equal(m->created_at, 1000);
    assert_int_equal(m->head_number, 0);
    assert_int_equal(m->versions, 0);
    assert_int_equal(m->branches, 1);
    assert_int_equal(m->tags + m->aliases, 0);
    assert_int_equal(m->logical_bytes, 0);
    assert_true(am_is_hex(m->head_commit, 40));
    return 7; /* positive is not an error */
}

static void new_model_has_main_at_v0(void **state)
{
    struct fixture *f = *state;
    int64_t id = make_model(f, "demo/base"), v0 = 0;
    struct am_db *db = am_store_read(f->s);
    assert_int_equal(am_model_get(db, "demo/base", check_new_model, &id), 0);
    assert_int_equal(am_rev_resolve(db, "demo/base", "v0", &v0, NULL), 0);
    assert_int_equal(read_int(f, "SELECT count(*) FROM file"), 0);
    assert_int_equal(read_int(f, "SELECT count(*) FROM version WHERE message = 'initial commit' AND parent IS NULL"),
                     1);
    assert_int_equal(am_model_get(db, "demo/none", check_new_model, &id), -AM_E_NOT_FOUND);
}

static void names_are_guarded(void **state)
{
    struct fixture *f = *state;
    make_model(f, "Demo/Base");
    struct create_call c = {.m = {.name = "Demo/Base", .created_by = "ci"}};
    assert_int_equal(am_store_write(f->s, call_create, &c), -AM_E_CONFLICT);
    c.m.name = "demo/bASE";
    assert_int_equal(am_store_write(f->s, call_create, &c), -AM_E_NAME_TAKEN);
    assert_string_equal(c.other, "Demo/Base");
    const char *bad[] = {"one", "api/x", "a/b/c", "a/..", "a/x.git", ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        c.m.name = bad[i];
        assert_int_equal(am_store_write(f->s, call_create, &c), -AM_E_INVALID_REQUEST);
    }
    assert_int_equal(read_int(f, "SELECT count(*) FROM model"), 1);
    assert_int_equal(read_int(f, "SELECT count(*) FROM version"), 1);
}

static int join_names(void *ctx, const struct am_model_row *m)
{
    size_t n = strlen(ctx);
    snprintf((char *)ctx + n, 256 - n, "%s ", m->name);
    return 0;
}

static void lists_page_and_search(void **state)
{
    struct fixture *f = *state;
    const char *names[] = {"b/two", "a/one", "c/Three"};
    for (size_t i = 0; i < 3; i++)
        make_model(f, names[i]);
    struct am_db *db = am_store_read(f->s);
    char text[256] = "";
    assert_int_equal(am_model_list(db, NULL, 2, NULL, join_names, text), 0);
    assert_string_equal(text, "a/one b/two ");
    text[0] = '\0';
    assert_int_equal(am_model_list(db, "b/two", 2, NULL, join_names, text), 0);
    assert_string_equal(text, "c/Three ");
    text[0] = '\0';
    assert_int_equal(am_model_list(db, NULL, 9, "thr", join_names, text), 0);
    assert_string_equal(text, "c/Three ");
}

static void refs_move_with_history(void **state)
{
    struct fixture *f = *state;
    int64_t m = make_model(f, "demo/base"), other = make_model(f, "demo/other"), target = 0;
    int64_t v1 = commit_on(f, m, "main", 2000, NULL), v2 = commit_on(f, m, "main", 3000, NULL);
    int64_t foreign = commit_on(f, other, "main", 2000, NULL);
    struct am_model_row before = {0}, after = {0};
    am_model_get(am_store_read(f->s), "demo/base", copy_model, &before);
    assert_int_equal(set_ref(f, m, "prod", "alias", v1), 0);
    assert_int_equal(set_ref(f, m, "prod", "alias", v2), 0);
    assert_int_equal(set_ref(f, m, "prod", "alias", v2), 0); /* no move */
    assert_int_equal(set_ref(f, m, "prod", "tag", v2), -AM_E_CONFLICT);
    assert_int_equal(set_ref(f, m, "prod", "alias", foreign), -AM_E_REVISION_NOT_FOUND);
    assert_int_equal(set_ref(f, m, "refs/heads/x", "branch", v2), -AM_E_INVALID_REQUEST);
    assert_int_equal(set_ref(f, m, "1111111111111111111111111111111111111111", "tag", v2), -AM_E_INVALID_REQUEST);
    assert_int_equal(set_ref(f, m, "", "tag", v2), -AM_E_INVALID_REQUEST);
    am_model_get(am_store_read(f->s), "demo/base", copy_model, &after);
    assert_int_equal(after.rev, before.rev + 2);
    assert_int_equal(after.aliases, 1);
    assert_int_equal(am_ref_target(am_store_read(f->s), m, "prod", &target), 0);
    assert_int_equal(target, v2);
    assert_int_equal(am_ref_target(am_store_read(f->s), m, "none", &target), 0);
    assert_int_equal(target, 0);
    assert_int_equal(read_int(f, "SELECT rev FROM ref WHERE name = 'prod'"), 2);
    assert_int_equal(read_int(f, "SELECT count(*) FROM ref_move WHERE name = 'prod'"), 2);
    assert_int_equal(
        read_int(f, "SELECT count(*) FROM ref_move WHERE name = 'prod' AND kind = 'move' AND reason = 'ticket 512'"
                    " AND from_version IS NOT NULL AND actor = 'ops'"),
        1);
    assert_int_equal(read_int(f, "SELECT count(*) FROM ref_move WHERE name = 'main' AND model = 1"), 3);
}

static void revisions_resolve_in_order(void **state)
{
    struct fixture *f = *state;
    char c1[41], c2[41], prefix[9];
    int64_t m = make_model(f, "demo/base"), v = 0;
    int64_t v1 = commit_on(f, m, "main", 2000, c1), v2 = commit_on(f, m, "main", 3000, c2);
    int64_t cand = commit_on(f, m, "cand/1", 4000, NULL);
    snprintf(prefix, sizeof prefix, "%.8s", c1);
    assert_int_equal(set_ref(f, m, "v2", "tag", v1), 0);
    assert_int_equal(set_ref(f, m, "prod", "alias", v1), 0);
    struct am_db *db = am_store_read(f->s);
    const struct {
        const char *rev;
        int64_t want;
        bool fixed;
    } good[] = {{c1, v1, true},
                {c2, v2, true},
                {"main", v2, false},
                {"refs/heads/main", v2, false},
                {"cand/1", cand, false},
                {"refs/heads/cand/1", cand, false},
                {"refs/tags/v2", v1, false},
                {"refs/aliases/prod", v1, false},
                {"prod", v1, false},
                {"v1", v1, false},
                {"v2", v1, false}, /* a ref hides a number */
                {prefix, v1, false}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        bool fixed = !good[i].fixed;
        assert_int_equal(am_rev_resolve(db, "demo/base", good[i].rev, &v, &fixed), 0);
        assert_int_equal(v, good[i].want);
        assert_int_equal(fixed, good[i].fixed);
    }
    const char *bad[] = {"",
                         "v3",
                         "v01",
                         "v",
                         "refs/tags/main",
                         "refs/heads/prod",
                         "1111111111111111111111111111111111111111",
                         "MAIN",
                         "v18446744073709551615"};
    v = -5;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(am_rev_resolve(db, "demo/base", bad[i], &v, NULL), -AM_E_REVISION_NOT_FOUND);
    prefix[7] = '\0'; /* too short */
    assert_int_equal(am_rev_resolve(db, "demo/base", prefix, &v, NULL), -AM_E_REVISION_NOT_FOUND);
    assert_int_equal(am_rev_resolve(db, "demo/none", "main", &v, NULL), -AM_E_NOT_FOUND);
    assert_int_equal(v, -5);
}

static void ambiguous_prefix_is_no_revision(void **state)
{
    struct fixture *f = *state;
    int64_t m = make_model(f, "demo/base"), v = 0;
    commit_on(f, m, "main", 2000, NULL);
    commit_on(f, m, "main", 3000, NULL);
    assert_int_equal(write_sql(f,
                               "UPDATE version SET oid = x'abcdef0123000000000000000000000000000001' WHERE number = 1;"
                               "UPDATE version SET oid = x'abcdef0123000000000000000000000000000002' WHERE number = 2"),
                     0);
    struct am_db *db = am_store_read(f->s);
    assert_int_equal(am_rev_resolve(db, "demo/base", "abcdef012", &v, NULL), -AM_E_REVISION_NOT_FOUND);
    assert_int_equal(am_rev_resolve(db, "demo/base", "abcdef0123000000000000000000000000000002", &v, NULL), 0);
    assert_int_equal(am_rev_resolve(db, "demo/base", "abcdef012300000000000000000000000000000", &v, NULL),
                     -AM_E_REVISION_NOT_FOUND);
}

static int join(void *ctx, const char *name)
{
    size_t n = strlen(ctx);
    snprintf((char *)ctx + n, 256 - n, "%s ", name);
    return 0;
}

static void names_of_revisions(void **state)
{
    struct fixture *f = *state;
    char text[256] = "";
    int64_t m = make_model(f, "demo/base");
    for (int i = 0; i < 11; i++)
        commit_on(f, m, "main", 2000 + i, NULL);
    assert_int_equal(set_ref(f, m, "prod", "alias", 3), 0);
    assert_int_equal(am_rev_names(am_store_read(f->s), "demo/base", join, text), 0);
    assert_string_equal(text, "main prod v11 v10 v9 v8 v7 v6 v5 v4 v3 v2 ");
}

static int check_ref(void *ctx, const struct am_ref_row *r)
{
    int *n = ctx;
    assert_string_equal(r->name, *n == 0 ? "main" : "prod");
    assert_string_equal(r->kind, *n == 0 ? "branch" : "alias");
    assert_int_equal(r->number, 1);
    assert_int_equal(r->revision, *n == 0 ? 2 : 1);
    assert_int_equal(r->moved_at, *n == 0 ? 2000 : 5000);
    assert_string_equal(r->moved_by, *n == 0 ? "ci" : "ops");
    return (*n)++ ? -AM_E_CANCELLED : 0; /* and a callback may end the walk */
}

static void refs_are_listed(void **state)
{
    struct fixture *f = *state;
    int n = 0;
    int64_t m = make_model(f, "demo/base");
    assert_int_equal(set_ref(f, m, "prod", "alias", commit_on(f, m, "main", 2000, NULL)), 0);
    assert_int_equal(am_ref_list(am_store_read(f->s), "demo/base", check_ref, &n), -AM_E_CANCELLED);
    assert_int_equal(n, 2);
    assert_int_equal(am_ref_list(am_store_read(f->s), "demo/none", check_ref, &n), -AM_E_NOT_FOUND);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_open, fixture_close)
    const struct CMUnitTest tests[] = {
        T(new_model_has_main_at_v0),   T(names_are_guarded),
        T(lists_page_and_search),      T(refs_move_with_history),
        T(revisions_resolve_in_order), T(ambiguous_prefix_is_no_revision),
        T(names_of_revisions),         T(refs_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
