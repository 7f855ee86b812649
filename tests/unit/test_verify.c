/* test_verify.c - the scrub over every kind of damage, its marks and their end; assembled files; the database check. */
#include "tests/unit/store_fixture.h"

#include "core/base/hash.h"
#include "storage/check.h"
#include "storage/verify.h"

#include <sys/stat.h>
#include <unistd.h>

static const struct am_work quiet;

struct file {
    char sha[65], path[240];
};

/* A blob of `text` with its row, and a file on disk. */
static struct file put(struct fixture *f, const char *text)
{
    struct file b;
    char sql[300], folder[160];
    am_sha256_hex(text, strlen(text), b.sha);
    snprintf(sql, sizeof sql, "INSERT INTO blob (sha256, bytes, created_at) VALUES (x'%s', %zu, 1)", b.sha,
             strlen(text));
    assert_int_equal(write_sql(f, sql), 0);
    snprintf(folder, sizeof folder, "%s/blobs/%.2s", f->dir, b.sha);
    mkdir(folder, 0750);
    snprintf(b.path, sizeof b.path, "%s/%s", folder, b.sha);
    FILE *out = fopen(b.path, "w");
    fputs(text, out);
    fclose(out);
    return b;
}

static void rewrite(const struct file *b, const char *text)
{
    FILE *out = fopen(b->path, "w");
    fputs(text, out);
    fclose(out);
}

/* A version m/<name>@v<n> with one file of that layout. */
static int64_t name_it(struct fixture *f, int64_t model, const struct file *b, int64_t bytes)
{
    struct am_file_new file = {.path = "w", .sha256 = b->sha, .bytes = bytes, .weights = true};
    struct insert_call c = {.v = {.model = model,
                                  .created_by = "ci",
                                  .message = "m",
                                  .warnings = "[]",
                                  .now = 2000,
                                  .branch = "main",
                                  .file = &file,
                                  .files = 1}};
    assert_int_equal(am_store_write(f->s, call_insert, &c), 0);
    return c.id;
}

struct seen {
    int n;
    char text[8][200];
};

static int add_name(void *ctx, const char *model, const char *commit)
{
    char *text = ctx;
    assert_int_equal(strlen(commit), 40);
    snprintf(text + strlen(text), 200 - strlen(text), " %s", model);
    return 0;
}

static int on_damage(void *ctx, struct am_db *db, const struct am_damage *d)
{
    struct seen *s = ctx;
    int64_t total = 0;
    assert_true(s->n < 8);
    snprintf(s->text[s->n], 200, "%.4s %s", d->sha256, d->reason);
    assert_int_equal(am_damage_versions(db, d, 10, add_name, s->text[s->n], &total), 0);
    s->n++;
    return 0;
}

static struct am_verified scrub(struct fixture *f, int64_t version, struct seen *s)
{
    struct am_verified v = {0};
    char why[512] = "";
    memset(s, 0, sizeof *s);
    int rc = am_verify(f->s, &(struct am_verify_scope){.version = version}, &quiet, on_damage, s, &v, why, sizeof why);
    if (rc < 0)
        print_error("%s\n", why);
    assert_int_equal(rc, 0);
    return v;
}

static void sound_store(void **state)
{
    struct fixture *f = *state;
    struct seen s;
    put(f, "one");
    put(f, "three");
    struct am_verified v = scrub(f, 0, &s);
    assert_int_equal(v.blobs, 2);
    assert_int_equal(v.bytes, 8);
    assert_int_equal(v.damaged, 0);
    assert_int_equal(s.n, 0);
}

/* More than one page of rows, and blobs larger than a block. */
static void many_and_large(void **state)
{
    struct fixture *f = *state;
    struct seen s;
    char *large = malloc(3 << 20);
    memset(large, 'l', 3 << 20);
    large[(3 << 20) - 1] = 0;
    struct file big = put(f, large);
    for (int i = 0; i < 300; i++) {
        char text[20];
        snprintf(text, sizeof text, "blob %d", i);
        put(f, text);
    }
    assert_int_equal(scrub(f, 0, &s).blobs, 301);
    assert_int_equal(s.n, 0);
    large[2 << 20] = 'x';
    rewrite(&big, large);
    assert_int_equal(scrub(f, 0, &s).damaged, 1);
    assert_non_null(strstr(s.text[0], "sha256"));
    free(large);
}

static void every_kind_is_named_and_marked(void **state)
{
    struct fixture *f = *state;
    struct seen s;
    struct file flipped = put(f, "flipped"), gone = put(f, "gone"), cut = put(f, "cut short"), good = put(f, "good");
    int64_t a = make_model(f, "m/a"), b = make_model(f, "m/b");
    name_it(f, a, &flipped, 7);
    name_it(f, b, &flipped, 7);
    int64_t ok = name_it(f, a, &good, 4);
    int64_t bad = name_it(f, a, &gone, 4);
    rewrite(&flipped, "flippee");
    unlink(gone.path);
    rewrite(&cut, "cut");
    struct am_verified v = scrub(f, 0, &s);
    assert_int_equal(v.damaged, 3);
    for (int i = 0; i < 3; i++) {
        if (strncmp(s.text[i], flipped.sha, 4) == 0)
            assert_string_equal(s.text[i] + 4, " sha256 m/a m/b");
        else if (strncmp(s.text[i], gone.sha, 4) == 0)
            assert_string_equal(s.text[i] + 4, " missing m/a");
        else
            assert_string_equal(s.text[i] + 4, " size");
    }
    assert_int_equal(read_int(f, "SELECT count(*) FROM blob WHERE damage IS NOT NULL AND damaged_at > 0"), 3);
    struct am_faults faults = {0};
    struct am_db *db = am_store_read(f->s);
    assert_int_equal(am_damage_check(db, ok, (struct am_where){.pointer = "#/inputs"}, "m/a@v2", &faults), 0);
    assert_int_equal(am_damage_check(db, bad, (struct am_where){.pointer = "#/inputs"}, "m/a@v3", &faults),
                     -AM_E_STORE_DAMAGED);
    assert_string_equal(faults.v[0].file, "w");
    assert_non_null(strstr(faults.v[0].detail, "missing"));
    am_faults_done(&faults);
    /* brought back: the marks go */
    put(f, "other");
    rewrite(&flipped, "flipped");
    rewrite(&gone, "gone");
    v = scrub(f, 0, &s);
    assert_int_equal(v.damaged, 1);
    assert_int_equal(v.repaired, 2);
    assert_int_equal(read_int(f, "SELECT count(*) FROM blob WHERE damage IS NOT NULL OR damaged_at IS NOT NULL"), 1);
    assert_int_equal(am_damage_check(db, bad, (struct am_where){.pointer = ""}, "m/a@v3", &faults), 0);
}

static void one_version_reads_its_own(void **state)
{
    struct fixture *f = *state;
    struct seen s;
    struct file mine = put(f, "mine"), other = put(f, "other");
    int64_t a = make_model(f, "m/a"), id = name_it(f, a, &mine, 4);
    name_it(f, a, &other, 5);
    rewrite(&other, "OTHER");
    struct am_verified v = scrub(f, id, &s);
    assert_int_equal(v.blobs, 1);
    assert_int_equal(v.damaged, 0);
    assert_int_equal(scrub(f, 0, &s).damaged, 1);
}

/* Two spans over two blobs; the content's hash is that of "headTAIL". */
static int64_t assemble(struct fixture *f, const struct file *head, const struct file *tail, const char *content)
{
    char sha[65], sql[700];
    am_sha256_hex(content, strlen(content), sha);
    snprintf(sql, sizeof sql,
             "INSERT INTO layout (bytes, sha256) VALUES (8, x'%s');"
             "INSERT INTO span (layout, seq, at, blob, offset, bytes) SELECT max(id), 0, 0, x'%s', 0, 4 FROM layout;"
             "INSERT INTO span (layout, seq, at, blob, offset, bytes) SELECT max(id), 1, 4, x'%s', 2, 4 FROM layout",
             sha, head->sha, tail->sha);
    assert_int_equal(write_sql(f, sql), 0);
    return read_int(f, "SELECT max(id) FROM layout");
}

static void assembled_files(void **state)
{
    struct fixture *f = *state;
    struct seen s;
    char why[400];
    struct file head = put(f, "head"), tail = put(f, "..TAIL..");
    int64_t layout = assemble(f, &head, &tail, "headTAIL");
    struct am_verified v = scrub(f, 0, &s);
    assert_int_equal(v.assembled, 1);
    assert_int_equal(v.damaged, 0);
    /* whole blobs, but put together wrongly */
    assert_int_equal(write_sql(f, "UPDATE span SET offset = 1 WHERE seq = 1"), 0);
    v = scrub(f, 0, &s);
    assert_int_equal(v.damaged, 1);
    assert_int_equal(am_damage_of_layout(am_store_read(f->s), layout, why, sizeof why), -AM_E_STORE_DAMAGED);
    assert_int_equal(write_sql(f, "UPDATE span SET offset = 2 WHERE seq = 1"), 0);
    v = scrub(f, 0, &s);
    assert_int_equal(v.damaged, 0);
    assert_int_equal(v.repaired, 1);
    assert_int_equal(am_damage_of_layout(am_store_read(f->s), layout, why, sizeof why), 0);
    /* a broken blob behind it is one finding, not two */
    rewrite(&tail, "..TAIM..");
    v = scrub(f, 0, &s);
    assert_int_equal(v.damaged, 1);
    assert_int_equal(v.assembled, 0);
    assert_int_equal(am_damage_of_layout(am_store_read(f->s), layout, why, sizeof why), -AM_E_STORE_DAMAGED);
    assert_non_null(strstr(why, tail.sha));
}

static bool stop_now(void *arg)
{
    (void)arg;
    return true;
}

static void stops_when_told(void **state)
{
    struct fixture *f = *state;
    struct seen s = {0};
    struct am_verified v = {0};
    struct am_work work = {.stop = stop_now};
    char why[512];
    put(f, "one");
    assert_int_equal(am_verify(f->s, &(struct am_verify_scope){0}, &work, on_damage, &s, &v, why, sizeof why),
                     -AM_E_CANCELLED);
    assert_int_equal(read_int(f, "SELECT count(*) FROM blob WHERE damage IS NOT NULL"), 0);
}

/* ---- a part at a time ---- */

static struct am_verified scrub_part(struct fixture *f, int64_t before, int64_t budget, struct seen *s)
{
    struct am_verified v = {0};
    char why[512] = "";
    memset(s, 0, sizeof *s);
    struct am_verify_scope scope = {.before = before, .budget = budget};
    assert_int_equal(am_verify(f->s, &scope, &quiet, on_damage, s, &v, why, sizeof why), 0);
    return v;
}

static int64_t was_read(struct fixture *f, const struct file *b)
{
    char sql[200];
    snprintf(sql, sizeof sql, "SELECT verified_at > 1700000000000 FROM blob WHERE sha256 = x'%s'", b->sha);
    int64_t v = 0;
    assert_true(am_db_int(am_store_read(f->s), &v, sql, "") >= 0);
    return v;
}

static void a_scrub_reads_what_was_not_read_for_longest(void **state)
{
    struct fixture *f = *state;
    struct seen s;
    struct file b[] = {put(f, "one"), put(f, "three"), put(f, "seventh"), put(f, "four")};
    assert_int_equal(write_sql(f, "UPDATE blob SET created_at = CASE bytes WHEN 3 THEN 20 WHEN 5 THEN 10 WHEN 7 THEN 30"
                                  " ELSE 5 END, verified_at = iif(bytes = 4, 40, NULL)"),
                     0);
    struct am_db *db = am_store_read(f->s);
    assert_int_equal(am_verify_due(db, 9), 0);
    assert_int_equal(am_verify_due(db, 10), 1);
    struct am_verified v = scrub_part(f, 25, 1, &s); /* the budget ends it after the first */
    assert_int_equal(v.blobs, 1);
    assert_int_equal(v.bytes, 5);
    assert_int_equal(was_read(f, &b[1]), 1);
    assert_int_equal(was_read(f, &b[0]) + was_read(f, &b[2]) + was_read(f, &b[3]), 0);
    v = scrub_part(f, 25, 100, &s); /* goes on where the last one ended, and no further than `before` */
    assert_int_equal(v.blobs, 1);
    assert_int_equal(v.bytes, 3);
    assert_int_equal(am_verify_due(db, 25), 0);
    rewrite(&b[2], "seventy");
    v = scrub_part(f, 40, 100, &s);
    assert_int_equal(v.blobs, 2);
    assert_int_equal(v.damaged, 1);
    assert_memory_equal(s.text[0], b[2].sha, 4);
    assert_int_equal(was_read(f, &b[2]), 1); /* a broken one does not hold up the others */
    v = scrub_part(f, 40, 100, &s);
    assert_int_equal(v.blobs + v.bytes + v.damaged, 0);
    assert_int_equal(read_int(f, "SELECT count(*) FROM blob WHERE damage IS NOT NULL"), 1);
}

static bool stop_later(void *arg)
{
    return --*(int *)arg < 0;
}

static void what_was_read_stays_read(void **state)
{
    struct fixture *f = *state;
    struct seen s = {0};
    struct am_verified v;
    int steps = 300;
    const struct am_work work = {.stop = stop_later, .arg = &steps};
    const struct am_verify_scope scope = {.before = 25, .budget = 1 << 20};
    char why[512], text[32];
    for (int i = 0; i < 600; i++) {
        snprintf(text, sizeof text, "blob %d", i);
        put(f, text);
    }
    assert_int_equal(am_verify(f->s, &scope, &work, on_damage, &s, &v, why, sizeof why), -AM_E_CANCELLED);
    assert_int_equal(read_int(f, "SELECT count(*) FROM blob WHERE verified_at > 1"), 300);
    assert_int_equal(scrub_part(f, 25, 1 << 20, &s).blobs, 300);
    assert_int_equal(read_int(f, "SELECT count(*) FROM blob WHERE verified_at IS NULL"), 0);
    assert_int_equal(write_sql(f, "UPDATE blob SET verified_at = NULL"), 0);
    assert_int_equal(scrub(f, 0, &s).blobs, 600); /* a whole verify counts too */
    assert_int_equal(am_verify_due(am_store_read(f->s), 25), 0);
}

/* ---- the database itself ---- */

static void a_sound_database(void **state)
{
    struct fixture *f = *state;
    struct am_checked c = {0};
    int64_t at = -1;
    char why[512];
    assert_true(am_store_is_sound(f->s, &at, why, sizeof why));
    assert_int_equal(at, 0);
    assert_int_equal(am_check(f->s, &quiet, &c, why, sizeof why), 0);
    assert_true(c.tables >= 15);
    assert_int_equal(c.findings, 0);
    assert_true(am_store_is_sound(f->s, &at, why, sizeof why));
    assert_true(at > 0);
}

static void a_reference_to_nothing(void **state)
{
    struct fixture *f = *state;
    struct am_checked c = {0};
    char path[100], why[512];
    make_model(f, "m/a");
    snprintf(path, sizeof path, "%s/amendd.db", f->dir);
    struct am_db *db = am_db_open(path, true, why, sizeof why); /* behind the store's back */
    assert_int_equal(
        am_db_script(db, "PRAGMA foreign_keys=OFF; INSERT INTO edge (child, parent, role) VALUES (99, 98, 'base')"), 0);
    am_db_close(db);
    assert_int_equal(am_check(f->s, &quiet, &c, why, sizeof why), 0);
    assert_int_equal(c.findings, 2); /* child and parent */
    assert_non_null(strstr(c.finding[0], "edge"));
    assert_false(am_store_is_sound(f->s, NULL, why, sizeof why));
    assert_non_null(strstr(why, "amendd restore"));
    assert_int_equal(write_sql(f, "DELETE FROM edge"), 0);
    assert_int_equal(am_check(f->s, &quiet, &c, why, sizeof why), 0);
    assert_true(am_store_is_sound(f->s, NULL, why, sizeof why));
}

static void a_broken_page(void **state)
{
    struct fixture *f = *state;
    struct am_checked c = {0};
    char path[100], why[512];
    for (int i = 0; i < 50; i++) {
        char name[40];
        snprintf(name, sizeof name, "m/model-%d", i);
        make_model(f, name);
    }
    int64_t page = read_int(f, "SELECT rootpage FROM sqlite_schema WHERE name = 'version_model'");
    am_store_close(f->s); /* empties the log, so that the file is what is read */
    snprintf(path, sizeof path, "%s/amendd.db", f->dir);
    FILE *out = fopen(path, "r+");
    fseek(out, (page - 1) * 4096 + 8, SEEK_SET);
    for (int i = 0; i < 2000; i++)
        fputc(0xff, out);
    fclose(out);
    f->s = am_store_open(f->dir, why, sizeof why);
    assert_non_null(f->s);
    assert_int_equal(am_check(f->s, &quiet, &c, why, sizeof why), 0);
    assert_true(c.findings > 0);
    assert_false(am_store_is_sound(f->s, NULL, why, sizeof why));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_open, fixture_close)
    const struct CMUnitTest tests[] = {
        T(sound_store),
        T(many_and_large),
        T(every_kind_is_named_and_marked),
        T(one_version_reads_its_own),
        T(assembled_files),
        T(stops_when_told),
        T(a_scrub_reads_what_was_not_read_for_longest),
        T(what_was_read_stays_read),
        T(a_sound_database),
        T(a_reference_to_nothing),
        T(a_broken_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
