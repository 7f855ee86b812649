/* test_purge.c - real removal, also when it is interrupted at any of its steps; what holds a version and for how long.
 */
#include "tests/unit/store_fixture.h"

#include "core/base/hash.h"
#include "storage/blobs.h"
#include "storage/life.h"
#include "storage/purge.h"

#include <sys/stat.h>

#define DAY INT64_C(86400000)
enum { PART = 1000, PARTS = 4 };

struct scene { /* a: a whole file; b: its parts but the second, and one of its own */
    struct fixture *f;
    int64_t model, a, b;
    char whole[PART * PARTS], own[PART], sha_whole[65], sha_own[65], sha_b[65];
};

static bool on_disk(struct fixture *f, const char *sha)
{
    struct stat st;
    char path[200];
    snprintf(path, sizeof path, "%s/blobs/%.2s/%s", f->dir, sha, sha);
    return stat(path, &st) == 0;
}

static void put_blob(struct fixture *f, const char *bytes, size_t n, char sha[65])
{
    char path[200];
    am_sha256_hex(bytes, n, sha);
    snprintf(path, sizeof path, "%s/blobs/%.2s", f->dir, sha);
    mkdir(path, 0750);
    snprintf(path, sizeof path, "%s/blobs/%.2s/%s", f->dir, sha, sha);
    FILE *out = fopen(path, "w");
    assert_int_equal(fwrite(bytes, 1, n, out), n);
    fclose(out);
}

static int64_t insert(struct fixture *f, int64_t model, const struct am_file_new *file, int64_t now)
{
    struct insert_call c = {
        .v = {.model = model, .created_by = "ci", .now = now, .branch = "main", .file = file, .files = 1}};
    assert_int_equal(am_store_write(f->s, call_insert, &c), 0);
    return c.id;
}

static void build(struct scene *s, struct fixture *f)
{
    char b[PART * PARTS];
    s->f = f;
    for (int i = 0; i < PART * PARTS; i++)
        s->whole[i] = (char)('a' + i / PART + i % 7);
    memset(s->own, '#', PART);
    memcpy(b, s->whole, sizeof b);
    memcpy(b + PART, s->own, PART);
    put_blob(f, s->whole, sizeof s->whole, s->sha_whole);
    put_blob(f, s->own, PART, s->sha_own);
    am_sha256_hex(b, sizeof b, s->sha_b);
    s->model = make_model(f, "t/one");
    const struct am_file_new whole = {.path = "w", .sha256 = s->sha_whole, .bytes = PART * PARTS};
    const struct am_span_new span[] = {
        {s->sha_whole, 0, PART, -1}, {s->sha_own, 0, PART, PART}, {s->sha_whole, 2 * PART, 2 * PART, -1}};
    const struct am_file_new parts = {.path = "w", .sha256 = s->sha_b, .bytes = PART * PARTS, .span = span, .spans = 3};
    s->a = insert(f, s->model, &whole, 2000);
    s->b = insert(f, s->model, &parts, 3000);
}

struct read_back {
    struct fixture *f;
    char bytes[PART * PARTS];
    int64_t at, layout;
    bool blob_of_old;
    const char *old;
};

static int read_span(void *ctx, int64_t at, const char *blob, int64_t offset, int64_t bytes)
{
    struct read_back *r = ctx;
    assert_int_equal(at, r->at);
    int fd = am_blob_open(r->f->s, blob);
    assert_true(fd >= 0);
    assert_int_equal(am_sys_pread(fd, r->bytes + at, (size_t)bytes, (uint64_t)offset), 0);
    am_sys_close(fd);
    r->blob_of_old |= strcmp(blob, r->old) == 0;
    r->at += bytes;
    return 0;
}

static int take_layout(void *ctx, const struct am_file_row *row)
{
    ((struct read_back *)ctx)->layout = row->layout;
    return 0;
}

/* The version's file through its spans, against its hash. */
static void check_file(struct scene *s, int64_t version, const char *sha, bool old_blob)
{
    struct read_back r = {.f = s->f, .old = s->sha_whole};
    char hex[65];
    struct am_db *db = am_store_read(s->f->s);
    assert_int_equal(am_file_get(db, version, "w", take_layout, &r), 0);
    assert_int_equal(am_span_list(db, r.layout, read_span, &r), 0);
    am_sha256_hex(r.bytes, (size_t)r.at, hex);
    assert_string_equal(hex, sha);
    assert_int_equal(r.blob_of_old, old_blob);
}

static int delete_it(struct am_db *db, void *arg)
{
    return am_version_delete(db, &(struct am_deletion){.id = *(int64_t *)arg, .now = 5000, .by = "ci"});
}

struct stopper {
    int left, asked;
};

static bool stop_at(void *arg)
{
    struct stopper *s = arg;
    s->asked++;
    return s->left-- == 0;
}

static int count_blob(void *ctx, struct am_db *db, const struct am_purge_blob *b)
{
    (void)db;
    (void)b;
    ++*(int *)ctx;
    return 0;
}

static int purge(struct scene *s, int stop, struct am_purged *ret, int *ret_asked)
{
    char why[300];
    int told = 0;
    struct stopper st = {.left = stop};
    const struct am_work work = {.stop = stop_at, .arg = &st};
    const struct am_purge in = {.model = s->model, .version = s->a, .now = 6000, .staging = "purge.1"};
    int rc = am_purge(s->f->s, &in, &work, count_blob, &told, ret, why, sizeof why);
    *ret_asked = st.asked;
    return rc;
}

static void what_others_read_is_kept(void **state)
{
    struct scene s;
    struct am_purged d = {0};
    int asked;
    build(&s, *state);
    assert_int_equal(am_store_write(s.f->s, delete_it, &s.a), 0);
    assert_int_equal(purge(&s, -1, &d, &asked), 0);
    assert_int_equal(d.versions, 1);
    assert_int_equal(d.removed, 1);
    assert_int_equal(d.packed, 1);
    assert_int_equal(d.packed_bytes, 3 * PART);
    assert_int_equal(d.removed_bytes, PART);
    assert_int_equal(d.held + d.shared, 0);
    assert_false(on_disk(s.f, s.sha_whole));
    check_file(&s, s.b, s.sha_b, false);
    assert_int_equal(read_int(s.f, "SELECT count(*) FROM doomed"), 0);
    assert_int_equal(read_int(s.f, "SELECT sum(named) FROM model_blob"), 4 * PART);
    assert_int_equal(read_int(s.f, "SELECT sum(bytes) FROM blob"), 4 * PART);
    int64_t physical = 0;
    assert_int_equal(am_model_physical(am_store_read(s.f->s), s.model, &physical), 0);
    assert_int_equal(physical, 4 * PART);
}

/* Stopped before each of its steps in turn, until it has no more, and then asked again. */
static void interrupted_anywhere(void **state)
{
    int rc = -AM_E_CANCELLED, stops = 0;
    (void)state;
    for (; rc == -AM_E_CANCELLED; stops++) {
        void *fixture = NULL;
        struct scene s;
        struct am_purged d = {0};
        int asked;
        assert_int_equal(fixture_open(&fixture), 0);
        build(&s, fixture);
        assert_int_equal(am_store_write(s.f->s, delete_it, &s.a), 0);
        rc = purge(&s, stops, &d, &asked);
        assert_true(rc == 0 || rc == -AM_E_CANCELLED);
        check_file(&s, s.b, s.sha_b, read_int(s.f, "SELECT count(*) FROM blob") == 2 && rc < 0);
        if (rc < 0)
            assert_int_equal(purge(&s, -1, &d, &asked), 0);
        assert_false(on_disk(s.f, s.sha_whole));
        check_file(&s, s.b, s.sha_b, false);
        assert_int_equal(read_int(s.f, "SELECT count(*) FROM doomed"), 0);
        fixture_close(&fixture);
    }
    assert_in_range(stops, 5, 20); /* pack, read, copy, compare, the version */
}

/* Killed after the versions lost their files and before the blobs were removed: the list stands in the database. */
static void killed_before_the_files(void **state)
{
    struct scene s;
    struct am_purged d = {0};
    char sql[1000];
    int asked;
    build(&s, *state);
    assert_int_equal(am_store_write(s.f->s, delete_it, &s.a), 0);
    snprintf(sql, sizeof sql,
             "INSERT INTO doomed VALUES (x'%s'); DELETE FROM file WHERE version = %lld; UPDATE version SET gone_at = 1"
             " WHERE id = %lld; UPDATE span SET blob = x'%s', offset = 0, bytes = min(bytes, 1) WHERE blob = x'%s';"
             " DELETE FROM model_blob WHERE blob = x'%s'; DELETE FROM blob WHERE sha256 = x'%s'",
             s.sha_whole, (long long)s.a, (long long)s.a, s.sha_own, s.sha_whole, s.sha_whole, s.sha_whole);
    assert_int_equal(write_sql(s.f, sql), 0);
    assert_true(on_disk(s.f, s.sha_whole));
    assert_int_equal(purge(&s, -1, &d, &asked), 0);
    assert_int_equal(d.removed, 1);
    assert_false(on_disk(s.f, s.sha_whole));
    assert_int_equal(read_int(s.f, "SELECT count(*) FROM doomed"), 0);
}

static void damage_is_not_copied(void **state)
{
    struct scene s;
    struct am_purged d = {0};
    char path[200];
    int asked;
    build(&s, *state);
    assert_int_equal(am_store_write(s.f->s, delete_it, &s.a), 0);
    snprintf(path, sizeof path, "%s/blobs/%.2s/%s", s.f->dir, s.sha_whole, s.sha_whole);
    FILE *out = fopen(path, "r+");
    fputc('!', out);
    fclose(out);
    assert_int_equal(purge(&s, -1, &d, &asked), 0);
    assert_int_equal(d.held, 1);
    assert_int_equal(d.packed, 0);
    assert_true(on_disk(s.f, s.sha_whole));
    assert_int_equal(read_int(s.f, "SELECT count(*) FROM blob"), 2);
}

/* ---- what holds a version ---- */

static int try_job(struct fixture *f, const char *uid, const char *model, const char *commit, const char *into)
{
    char sql[700];
    snprintf(sql, sizeof sql,
             "INSERT INTO job (uid, type, method, state, created_by, spec, spec_sha256, resolved, plan, publish,"
             " created_at) VALUES ('%s', 'merge', 'linear', 'queued', 'ci', '{}', zeroblob(32), json_object('inputs',"
             " json_array(json_object('model', '%s', 'commit', '%s'), 'odd', json_object('job', 'x'))), '{}',"
             " json_object('model', '%s'), 1)",
             uid, model, commit, into);
    return write_sql(f, sql);
}

static void jobs_hold_what_they_name(void **state)
{
    struct scene s;
    struct am_life l;
    build(&s, *state);
    struct am_db *db = am_store_read(s.f->s);
    assert_int_equal(am_life_of_version(db, s.a, &l), 0);
    assert_int_equal(try_job(s.f, "job_1", "t/one", l.commit, "t/new"), 0);
    assert_int_equal(am_store_write(s.f->s, delete_it, &s.a), -AM_E_VERSION_IN_USE);
    assert_int_equal(am_store_write(s.f->s, delete_it, &s.b), -AM_E_VERSION_IN_USE); /* main */
    assert_int_equal(write_sql(s.f, "UPDATE job SET state = 'running'"), 0);
    assert_int_equal(am_store_write(s.f->s, delete_it, &s.a), -AM_E_VERSION_IN_USE);
    assert_int_equal(write_sql(s.f, "UPDATE job SET state = 'succeeded'"), 0);
    assert_int_equal(am_store_write(s.f->s, delete_it, &s.a), 0);
    assert_int_equal(try_job(s.f, "job_2", "t/one", l.commit, "t/new"), -AM_E_CONFLICT);
    assert_int_equal(write_sql(s.f, "UPDATE model SET deleted_at = 1"), 0);
    assert_int_equal(try_job(s.f, "job_3", "t/other", l.commit, "t/one"), -AM_E_CONFLICT);
    assert_int_equal(write_sql(s.f, "UPDATE model SET gone_at = 1"), 0);
    assert_int_equal(try_job(s.f, "job_4", "t/other", l.commit, "t/one"), 0);
}

/* The time of retention against a replay of the ref's moves, in seven versions of one model. */
static void retention_counts_from_the_last_move(void **state)
{
    struct scene s;
    int64_t id[9], at = 0, now = 3000;
    build(&s, *state);
    for (int i = 0; i < 9; i++) {
        char text[20], sha[65];
        snprintf(text, sizeof text, "file %d", i);
        am_sha256_hex(text, strlen(text), sha);
        const struct am_file_new file = {.path = "w", .sha256 = sha, .bytes = (int64_t)strlen(text)};
        id[i] = insert(s.f, s.model, &file, now += 1000);
    }
    struct am_db *db = am_store_read(s.f->s);
    for (int i = 0; i < 9; i++) {
        assert_int_equal(am_version_expiry(db, id[i], 10, &at), 0);
        /* id[8] is main; it and the four before are the last five; the others lost main when the next one came */
        assert_int_equal(at, i >= 4 ? 0 : 4000 + 1000 * (i + 1) + 10 * DAY);
    }
    assert_int_equal(am_version_expiry(db, id[0], 0, &at), 0);
    assert_int_equal(at, 0);
    int64_t ids[20];
    int n = 0;
    assert_int_equal(am_expired(db, 5000 + 10 * DAY - 1, 10, s.b, 20, ids, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(am_expired(db, 6000 + 10 * DAY, 10, s.b, 20, ids, &n), 0);
    assert_int_equal(n, 2);
    assert_true(ids[0] == id[0] && ids[1] == id[1]);
}

int main(void)
{
#define T(x) cmocka_unit_test_setup_teardown(x, fixture_open, fixture_close)
    const struct CMUnitTest tests[] = {T(what_others_read_is_kept), cmocka_unit_test(interrupted_anywhere),
                                       T(killed_before_the_files),  T(damage_is_not_copied),
                                       T(jobs_hold_what_they_name), T(retention_counts_from_the_last_move)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
