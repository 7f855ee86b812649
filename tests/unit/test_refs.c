/* test_refs.c - the stack of a ref against a replay of its history, and what ends in the middle of it. */
#include "tests/unit/store_fixture.h"

#include "core/base/text.h"
#include "storage/refs.h"

enum { VERSIONS = 6, STEPS = 400 };

struct act {
    enum { SET, BACK, END, PROTECT } what;
    int64_t model, version;
    struct am_ref_back back;
    const char *name;
    bool is_protected;
};

static int call_act(struct am_db *db, void *arg)
{
    struct act *a = arg;
    switch (a->what) {
    case SET:
        return am_ref_set(db, a->model, a->name, "alias", a->version, 5000, "ops", "r", NULL);
    case BACK:
        a->back.model = a->model;
        a->back.name = a->name;
        a->back.now = 6000;
        return am_ref_rollback(db, &a->back);
    case END:
        return am_ref_delete(db, a->model, a->name, 7000, "ops", "gone");
    default:
        return am_ref_protect(db, a->model, a->name, &(struct am_ref_policy){a->is_protected, NULL}, 1, "ci");
    }
}

static int act(struct fixture *f, struct act a)
{
    return am_store_write(f->s, call_act, &a);
}

static int set(struct fixture *f, int64_t model, const char *name, int64_t version)
{
    return act(f, (struct act){.what = SET, .model = model, .name = name, .version = version});
}

static int back(struct fixture *f, int64_t model, const char *name, int64_t steps, int64_t to)
{
    return act(f, (struct act){.what = BACK, .model = model, .name = name, .back = {.steps = steps, .to = to}});
}

static int64_t commit_on_main(struct fixture *f, int64_t model, int i)
{
    static const char sha[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    struct am_file_new file = {.path = "model.safetensors", .sha256 = sha, .bytes = 10, .weights = true};
    struct insert_call c = {.v = {.model = model,
                                  .created_by = "ci",
                                  .message = "m",
                                  .now = 2000 + i,
                                  .branch = "main",
                                  .file = &file,
                                  .files = 1}};
    assert_int_equal(am_store_write(f->s, call_insert, &c), 0);
    return c.id;
}

/* The whole history of a ref, oldest first, by SQL of this file's own. */
struct replay {
    int64_t stack[STEPS + 1], n, moves, rev;
};

/* The words of the specification: create and move push, rollback takes off, delete ends. */
static struct replay replay(struct fixture *f, const char *name)
{
    struct replay r = {.n = 0};
    AM_STMT st = am_db_bind(am_store_read(f->s),
                            "SELECT kind, ifnull(from_version, 0), ifnull(to_version, 0), ifnull(steps, 0), rev"
                            " FROM ref_move WHERE name = ?1 ORDER BY id",
                            "t", name);
    for (; am_db_row(st) > 0; r.moves++) {
        const char *kind = am_col_text(st, 0);
        int64_t from = sqlite3_column_int64(st, 1), to = sqlite3_column_int64(st, 2);
        assert_int_equal(from, r.n ? r.stack[r.n - 1] : 0);
        assert_int_equal(sqlite3_column_int64(st, 4), ++r.rev);
        if (strcmp(kind, "rollback") == 0) {
            r.n -= sqlite3_column_int64(st, 3);
            assert_true(r.n > 0);
            assert_int_equal(r.stack[r.n - 1], to);
        } else if (strcmp(kind, "delete") == 0) {
            r.n = 0;
        } else {
            assert_string_equal(kind, r.n ? "move" : "create");
            assert_true(r.n == 0 || r.stack[r.n - 1] != to);
            r.stack[r.n++] = to;
        }
    }
    return r;
}

static uint64_t draw(uint64_t *seed, uint64_t below)
{
    *seed ^= *seed << 13, *seed ^= *seed >> 7, *seed ^= *seed << 17;
    return *seed % below;
}

static int64_t place_of(const struct replay *r, int64_t version)
{
    int64_t i = r->n;
    while (i > 0 && r->stack[i - 1] != version)
        i--;
    return i;
}

/* One random step; `want` is what a person with the list in hand would do. */
static void step(struct fixture *f, int64_t m, const int64_t *version, uint64_t *seed, struct replay *want)
{
    int64_t v = version[draw(seed, VERSIONS)], k = 1 + (int64_t)draw(seed, 3), at = place_of(want, v);
    switch (draw(seed, 16)) {
    case 0:
        assert_int_equal(act(f, (struct act){.what = END, .model = m, .name = "prod"}), want->n ? 0 : -AM_E_NOT_FOUND);
        want->moves += want->n > 0;
        want->n = 0;
        return;
    case 1:
    case 2:
    case 3:
        assert_int_equal(back(f, m, "prod", k, 0), !want->n ? -AM_E_NOT_FOUND : k < want->n ? 0 : -AM_E_STACK_EMPTY);
        want->moves += k < want->n;
        want->n -= k < want->n ? k : 0;
        return;
    case 4:
    case 5:
        assert_int_equal(back(f, m, "prod", 0, v), !want->n ? -AM_E_NOT_FOUND : at ? 0 : -AM_E_STACK_EMPTY);
        want->moves += at && at != want->n;
        want->n = at ? at : want->n;
        return;
    default:
        assert_int_equal(set(f, m, "prod", v), 0);
        if (at && at == want->n)
            return;
        want->stack[want->n++] = v;
        want->moves++;
    }
}

static void stack_equals_a_replay(void **state)
{
    struct fixture *f = *state;
    int64_t m = make_model(f, "demo/base"), version[VERSIONS], now;
    uint64_t seed = 0x9e3779b97f4a7c15u;
    struct replay want = {.n = 0};
    for (int i = 0; i < VERSIONS; i++)
        version[i] = commit_on_main(f, m, i);
    for (int i = 0; i < STEPS; i++) {
        step(f, m, version, &seed, &want);
        assert_int_equal(am_ref_target(am_store_read(f->s), m, "prod", &now), 0);
        if (want.n)
            assert_int_equal(now, want.stack[want.n - 1]);
        if (i % 20 && i != STEPS - 1)
            continue;
        struct replay got = replay(f, "prod");
        assert_int_equal(got.n, want.n);
        assert_int_equal(got.moves, want.moves);
        assert_memory_equal(got.stack, want.stack, (size_t)want.n * sizeof *want.stack);
    }
    assert_true(want.moves > STEPS / 2);
}

static void k_back_after_k_moves(void **state)
{
    struct fixture *f = *state;
    int64_t m = make_model(f, "demo/base"), v[4], now;
    for (int i = 0; i < 4; i++)
        v[i] = commit_on_main(f, m, i);
    for (int i = 0; i < 4; i++)
        assert_int_equal(set(f, m, "prod", v[i]), 0);
    assert_int_equal(set(f, m, "prod", v[3]), 0); /* no move */
    for (int i = 2; i >= 0; i--) {
        assert_int_equal(back(f, m, "prod", 1, 0), 0);
        am_ref_target(am_store_read(f->s), m, "prod", &now);
        assert_int_equal(now, v[i]);
    }
    assert_int_equal(back(f, m, "prod", 1, 0), -AM_E_STACK_EMPTY);
    assert_int_equal(back(f, m, "prod", -1, 0), -AM_E_INVALID_REQUEST);
    assert_int_equal(back(f, m, "prod", AM_ROLLBACK_MAX + 1, 0), -AM_E_INVALID_REQUEST);
    /* main goes back too, down to the empty commit, and the next commit lies on that */
    assert_int_equal(back(f, m, "main", 4, 0), 0);
    assert_int_equal(back(f, m, "main", 1, 0), -AM_E_STACK_EMPTY);
    int64_t next = commit_on_main(f, m, 9);
    assert_int_equal(read_int(f, "SELECT number FROM version WHERE id = (SELECT max(id) FROM version)"), 5);
    assert_int_equal(back(f, m, "main", 1, 0), 0);
    am_ref_target(am_store_read(f->s), m, "main", &now);
    assert_int_equal(read_int(f, "SELECT number FROM version v JOIN ref r ON r.version = v.id WHERE r.name = 'main'"),
                     0);
    assert_true(next != now);
}

/* No version is deleted from the table by today's writer: taken away here behind its back. */
static int take_away(struct am_db *db, void *arg)
{
    (void)arg;
    AM_TRY(am_db_script(db, "PRAGMA foreign_keys=OFF"));
    int rc = am_db_script(db, "DELETE FROM version WHERE number = 2");
    AM_TRY(am_db_script(db, "PRAGMA foreign_keys=ON"));
    return rc;
}

static void a_version_that_is_gone(void **state)
{
    struct fixture *f = *state;
    int64_t m = make_model(f, "demo/base"), v[3], now;
    for (int i = 0; i < 3; i++) {
        v[i] = commit_on_main(f, m, i);
        assert_int_equal(set(f, m, "prod", v[i]), 0);
    }
    assert_int_equal(am_store_aside(f->s, take_away, NULL), 0);
    assert_int_equal(back(f, m, "prod", 1, 0), -AM_E_VERSION_GONE);
    assert_int_equal(back(f, m, "prod", 0, v[1]), -AM_E_VERSION_GONE);
    am_ref_target(am_store_read(f->s), m, "prod", &now);
    assert_int_equal(now, v[2]);
    assert_int_equal(back(f, m, "prod", 2, 0), 0); /* over it */
    am_ref_target(am_store_read(f->s), m, "prod", &now);
    assert_int_equal(now, v[0]);
}

static int take_row(void *ctx, const struct am_ref_row *r)
{
    *(struct am_ref_row *)ctx = *r; /* numbers only are looked at afterwards */
    return 0;
}

static void protection_is_a_revision_and_no_move(void **state)
{
    struct fixture *f = *state;
    int64_t m = make_model(f, "demo/base"), v = commit_on_main(f, m, 0);
    struct am_ref_row row;
    struct act on = {.what = PROTECT, .model = m, .name = "prod", .is_protected = true}, end = on;
    end.what = END;
    assert_int_equal(act(f, on), -AM_E_NOT_FOUND);
    assert_int_equal(set(f, m, "prod", v), 0);
    assert_int_equal(act(f, on), 0);
    assert_int_equal(act(f, on), 0);
    assert_int_equal(am_ref_get(am_store_read(f->s), m, "prod", take_row, &row), 1);
    assert_true(row.is_protected);
    assert_int_equal(row.revision, 2);
    assert_int_equal(read_int(f, "SELECT count(*) FROM ref_move WHERE name = 'prod'"), 1);
    assert_int_equal(act(f, end), 0);
    assert_int_equal(am_ref_get(am_store_read(f->s), m, "prod", take_row, &row), 0);
    assert_int_equal(set(f, m, "prod", v), 0);
    assert_int_equal(am_ref_get(am_store_read(f->s), m, "prod", take_row, &row), 1);
    assert_false(row.is_protected); /* that went with the old one */
    assert_int_equal(row.revision, 4);
    end.name = "main";
    assert_int_equal(act(f, end), -AM_E_CONFLICT);
}

static void names_of_numbers(void **state)
{
    struct fixture *f = *state;
    int64_t m = make_model(f, "demo/base"), v = commit_on_main(f, m, 0), n, found;
    assert_true(am_rev_is_number("v0", &n) && n == 0);
    assert_true(am_rev_is_number("v9223372036854775807", NULL));
    const char *none[] = {"v", "v01", "v-1", "V1", "v1x", "1", "v9223372036854775808", "v99999999999999999999"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_false(am_rev_is_number(none[i], NULL));
    struct am_db *db = am_store_read(f->s);
    assert_int_equal(am_version_any(db, m, "v1", &found), 1);
    assert_int_equal(found, v);
    assert_int_equal(am_version_any(db, m, "v2", &found), 0);
    assert_int_equal(am_version_any(db, m, "main", &found), 0);
    assert_int_equal(am_version_any(db, m, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", &found), 0);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_open, fixture_close)
    const struct CMUnitTest tests[] = {
        T(stack_equals_a_replay),  T(k_back_after_k_moves),
        T(a_version_that_is_gone), T(protection_is_a_revision_and_no_move),
        T(names_of_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
