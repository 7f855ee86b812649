/* test_versions.c - commits: ids, manifests, files, layouts, tensors, edges, sums. */
#include "tests/unit/store_fixture.h"

#include "core/base/hash.h"
#include "storage/models_priv.h"

#define SHA_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define SHA_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define SHA_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define GIT_EMPTY "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"

/* The example of hub.md 2.2. */
static void known_commit_id(void **state)
{
    (void)state;
    const struct am_file_new config = {.path = "config.json",
                                       .sha256 = SHA_A,
                                       .git_sha1 = "0972e95c1405cc1507c19dcbe784f7a36c930907",
                                       .bytes = 22},
                             weights = {.path = "model.safetensors",
                                        .sha256 = "31a12d3d5afd883b97ccf24e5cf2de6066a8fb58a6b543863cec7420217bc6ac",
                                        .bytes = 941152};
    const struct am_file_new *file[] = {&config, &weights};
    struct am_record r = {.model = "demo/mnist-mlp",
                          .parent = "1111111111111111111111111111111111111111",
                          .author = "ci",
                          .job = "job_01a20616d80b7f0a9b1c2d3e4f506172",
                          .message = "edit the head",
                          .now = 1795398490123, /* date -u -d 2026-11-23T01:48:10.123Z +%s%3N */
                          .file = file,
                          .files = 2};
    struct am_record_out out;
    assert_int_equal(am_record_make(&r, &out), 0);
    assert_non_null(strstr(out.text, "\ntime 2026-11-23T01:48:10.123Z\n"));
    assert_string_equal(out.commit, "ce339494f092b0e0cb7394b7007fdbeaefb6471b");
    free(out.text);
}

static int insert(struct fixture *f, struct insert_call *c)
{
    return am_store_write(f->s, call_insert, c);
}

static struct insert_call two_files(int64_t model, const char *branch, int64_t now)
{
    /* not in order of path: the record sorts */
    static const struct am_file_new file[] = {
        {.path = "model.safetensors", .sha256 = SHA_A, .bytes = 1000, .weights = true},
        {.path = "config.json", .sha256 = SHA_B, .git_sha1 = "0972e95c1405cc1507c19dcbe784f7a36c930907", .bytes = 22},
        {.path = "empty", .sha256 = SHA_EMPTY, .git_sha1 = GIT_EMPTY, .bytes = 0}};
    return (struct insert_call){.v = {.model = model,
                                      .created_by = "ci",
                                      .message = "m",
                                      .now = now,
                                      .branch = branch,
                                      .file = file,
                                      .files = 3}};
}

struct seen {
    int n;
    char commit[41], parent[41], manifest[65], refs[64], parameters[64];
    int64_t number, files, bytes, new_bytes, tensors;
};

static int see(void *ctx, const struct am_version_row *v)
{
    struct seen *s = ctx;
    int n = s->n + 1;
    *s = (struct seen){.n = n,
                       .number = v->number,
                       .files = v->files,
                       .bytes = v->bytes,
                       .new_bytes = v->new_bytes,
                       .tensors = v->tensors};
    snprintf(s->commit, sizeof s->commit, "%s", v->commit);
    snprintf(s->parent, sizeof s->parent, "%s", v->parent ? v->parent : "-");
    snprintf(s->manifest, sizeof s->manifest, "%s", v->manifest_sha256);
    snprintf(s->refs, sizeof s->refs, "%s", v->refs);
    snprintf(s->parameters, sizeof s->parameters, "%s", v->parameters);
    return 0;
}

static void commits_form_a_line(void **state)
{
    struct fixture *f = *state;
    int64_t m = make_model(f, "demo/base");
    struct insert_call a = two_files(m, "main", 2000), b = two_files(m, "main", 3000), c = two_files(m, NULL, 4000);
    assert_int_equal(insert(f, &a), 0);
    assert_int_equal(insert(f, &b), 0);
    assert_int_equal(insert(f, &c), 0);
    struct am_db *db = am_store_read(f->s);
    struct seen s = {0};
    assert_int_equal(am_version_get(db, a.id, see, &s), 0);
    assert_int_equal(s.number, 1);
    assert_string_equal(s.refs, "[]");
    assert_int_equal(s.files, 3);
    assert_int_equal(s.bytes, 1022);
    assert_int_equal(s.new_bytes, 1022);
    /* printf '%s 22 config.json\n%s 0 empty\n%s 1000 model.safetensors\n' $B $EMPTY $A | sha256sum */
    assert_string_equal(s.manifest, "453526fb8fe7c52590712dc58957e867653faa27a0a35ee655135c26d45db46f");
    assert_string_equal(s.commit, a.commit);
    assert_int_equal(am_version_get(db, b.id, see, &s), 0);
    assert_int_equal(s.number, 2);
    assert_string_equal(s.parent, a.commit);
    assert_string_equal(s.refs, "[\"main\"]");
    assert_int_equal(s.new_bytes, 0);
    assert_int_equal(am_version_get(db, c.id, see, &s), 0);
    assert_int_equal(s.number, -1);
    assert_string_equal(s.parent, b.commit);
    assert_string_equal(s.refs, "[]");
    assert_int_equal(read_int(f, "SELECT count(*) FROM edge"), 1); /* b on a; v0 and the detached one have none */
    assert_int_equal(read_int(f, "SELECT count(*) FROM edge WHERE role = 'commit' AND weight IS NULL"), 1);
    assert_int_equal(am_version_get(db, 999, see, &s), -AM_E_REVISION_NOT_FOUND);
    s.n = 0;
    assert_int_equal(am_version_list(db, "demo/base", c.id, 10, see, &s), 0);
    assert_int_equal(s.n, 3); /* b, a, v0 */
    assert_int_equal(s.number, 0);
    assert_string_equal(s.parent, "-");
    assert_int_equal(am_version_list(db, "demo/none", 0, 10, see, &s), -AM_E_NOT_FOUND);
}

static void stored_record_gives_the_id(void **state)
{
    struct fixture *f = *state;
    struct insert_call a = two_files(make_model(f, "demo/base"), "main", 2000);
    assert_int_equal(insert(f, &a), 0);
    AM_STMT st = am_db_bind(am_store_read(f->s), "SELECT record, lower(hex(oid)) FROM version", "");
    int n = 0;
    for (; am_db_row(st) > 0; n++) {
        char hex[65];
        am_sha256_hex(am_col_text(st, 0), strlen(am_col_text(st, 0)), hex);
        hex[40] = '\0';
        assert_string_equal(hex, am_col_text(st, 1));
    }
    assert_int_equal(n, 2);
}

static void sums_agree_with_a_count(void **state)
{
    struct fixture *f = *state;
    int64_t m = make_model(f, "demo/base"), other = make_model(f, "demo/other");
    struct insert_call c[] = {two_files(m, "main", 2000), two_files(m, "cand", 3000), two_files(other, "main", 4000)};
    const struct am_file_new more = {.path = "more.bin", .sha256 = GIT_EMPTY "000000000000000000000000", .bytes = 5};
    struct insert_call last = {
        .v = {.model = m, .message = "", .now = 5000, .branch = "main", .file = &more, .files = 1}};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(insert(f, &c[i]), 0);
    assert_int_equal(insert(f, &last), 0);
    assert_int_equal(read_int(f, "SELECT logical_bytes FROM model WHERE name = 'demo/base'"), 1022 + 1022 + 5);
    int64_t physical[2] = {0};
    assert_int_equal(am_model_physical(am_store_read(f->s), m, &physical[0]), 0);
    assert_int_equal(am_model_physical(am_store_read(f->s), other, &physical[1]), 0);
    assert_int_equal(physical[0], 1022 / 2 + 5);
    assert_int_equal(physical[1], 1022 / 2);
    assert_int_equal(read_int(f, "SELECT versions FROM model WHERE name = 'demo/base'"), 3);
    assert_int_equal(read_int(f, "SELECT sum(bytes) FROM blob"), 1027);
    assert_int_equal(read_int(f, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
}

static void number_is_never_given_twice(void **state)
{
    struct fixture *f = *state;
    int64_t m = make_model(f, "demo/base");
    struct insert_call a = two_files(m, "main", 2000), b = two_files(m, "main", 3000), c = two_files(m, "main", 4000);
    assert_int_equal(insert(f, &a), 0);
    assert_int_equal(insert(f, &b), 0);
    assert_int_equal(
        write_sql(f, "UPDATE ref SET version = (SELECT id FROM version WHERE number = 1) WHERE name = 'main'"), 0);
    assert_int_equal(insert(f, &c), 0);
    struct seen s = {0};
    assert_int_equal(am_version_get(am_store_read(f->s), c.id, see, &s), 0);
    assert_int_equal(s.number, 3);
    assert_string_equal(s.parent, a.commit);
}

static void wrong_files_write_nothing(void **state)
{
    struct fixture *f = *state;
    int64_t m = make_model(f, "demo/base");
    const struct am_file_new bad[] = {
        {.path = "../x", .sha256 = SHA_A},
        {.path = "a\nb", .sha256 = SHA_A},
        {.path = "", .sha256 = SHA_A},
        {.path = "x", .sha256 = "abc"},
        {.path = "x", .sha256 = NULL},
        {.path = "x", .sha256 = SHA_A, .bytes = -1},
        {.path = "x", .sha256 = SHA_A, .git_sha1 = "zz"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct insert_call c = {.v = {.model = m, .now = 1, .branch = "main", .file = &bad[i], .files = 1}};
        assert_int_equal(insert(f, &c), -AM_E_INVALID_REQUEST);
    }
    const struct am_file_new twice[] = {{.path = "x", .sha256 = SHA_A, .bytes = 1},
                                        {.path = "x", .sha256 = SHA_B, .bytes = 1}};
    struct insert_call c = {.v = {.model = m, .now = 1, .branch = "main", .file = twice, .files = 2}};
    assert_int_equal(insert(f, &c), -AM_E_INVALID_REQUEST);
    const struct am_file_new lengths[] = {{.path = "x", .sha256 = SHA_A, .bytes = 1},
                                          {.path = "y", .sha256 = SHA_A, .bytes = 2}};
    c.v.file = lengths;
    assert_int_equal(insert(f, &c), -AM_E_CONFLICT);
    assert_int_equal(read_int(f, "SELECT (SELECT count(*) FROM layout) + (SELECT count(*) FROM blob)"), 0);
    assert_int_equal(read_int(f, "SELECT count(*) FROM version"), 1);
    assert_int_equal(write_sql(f, "INSERT INTO ref (model, name, kind, version, moved_at, moved_by, reason)"
                                  " VALUES (1, 'prod', 'alias', 1, 1, '', '')"),
                     0);
    c = two_files(m, "prod", 1);
    assert_int_equal(insert(f, &c), -AM_E_CONFLICT); /* an alias takes no commits */
}

static void edges_and_their_weights(void **state)
{
    struct fixture *f = *state;
    int64_t m = make_model(f, "demo/base");
    struct insert_call a = two_files(m, "main", 2000), b = two_files(m, "main", 3000), c = two_files(m, "main", 4000);
    assert_int_equal(insert(f, &a), 0);
    const struct am_edge_new edge[] = {
        {a.id, "model", 0.25, NAN}, {a.id, "model", 0.5, NAN}, {a.id, "base", NAN, 0.75}};
    b.v.edge = edge;
    b.v.edges = 3;
    assert_int_equal(insert(f, &b), 0);
    assert_int_equal(read_int(f, "SELECT count(*) FROM edge"), 3);
    assert_int_equal(read_int(f, "SELECT weight = 0.75 FROM edge WHERE role = 'model'"), 1);
    assert_int_equal(read_int(f, "SELECT weight IS NULL FROM edge WHERE role = 'base'"), 1);
    const struct am_edge_new future = {b.id + 1, "model", NAN, NAN};
    c.v.edge = &future; /* itself: the schema lets no cycle in */
    c.v.edges = 1;
    assert_int_equal(insert(f, &c), -AM_E_CONFLICT);
}

struct tensors_call {
    const char *sha;
    const struct am_tensor_new *t;
    size_t n;
};
static int call_tensors(struct am_db *db, void *arg)
{
    struct tensors_call *c = arg;
    return am_tensors_insert(db, c->sha, c->t, c->n);
}

static int join_tensor(void *ctx, const struct am_tensor_row *t)
{
    size_t n = strlen(ctx);
    snprintf((char *)ctx + n, 512 - n, "%s %s %s %s %d+%d;", t->name, t->dtype, t->shape, t->file, (int)t->begin,
             (int)t->bytes);
    return 0;
}

static const struct am_tensor_new three[] = {
    {"b", "F32", "[2,3]", 100, 24}, {"a", "F32", "[]", 124, 4}, {"c", "BF16", "[0, 7]", 128, 0}};
#define THREE                                                                                                          \
    "a F32 [] model.safetensors 124+4;b F32 [2,3] model.safetensors 100+24;c BF16 [0, 7] model.safetensors 128+0;"

static void tensors_belong_to_contents(void **state)
{
    struct fixture *f = *state;
    struct insert_call a = two_files(make_model(f, "demo/base"), "main", 2000);
    struct tensors_call t = {SHA_A, three, 3};
    assert_int_equal(am_store_write(f->s, call_tensors, &t), -AM_E_NOT_FOUND);
    assert_int_equal(insert(f, &a), 0);
    assert_int_equal(am_store_write(f->s, call_tensors, &t), 0);
    assert_int_equal(am_store_write(f->s, call_tensors, &t), 0); /* known */
    assert_int_equal(read_int(f, "SELECT count(*) FROM tensor"), 3);
    struct am_db *db = am_store_read(f->s);
    struct seen s = {0};
    assert_int_equal(am_version_get(db, a.id, see, &s), 0);
    assert_int_equal(s.tensors, 3);
    assert_string_equal(s.parameters, "{\"BF16\":0,\"F32\":7}");
    char text[512] = "", again[512] = "";
    assert_int_equal(am_tensor_list(db, a.id, join_tensor, text), 0);
    assert_string_equal(text, THREE);
    struct am_tensor_cursor *x = am_tensor_open(db, a.id), *y = am_tensor_open(db, a.id);
    struct am_tensor_row row;
    assert_int_equal(am_tensor_next(y, &row), 1); /* two over one version do not disturb each other */
    while (am_tensor_next(x, &row) == 1)
        join_tensor(again, &row);
    assert_string_equal(again, THREE);
    assert_int_equal(am_tensor_next(y, &row), 1);
    assert_string_equal(row.name, "b");
    am_tensor_close(x);
    am_tensor_close(y);
    am_tensor_close(NULL);
}

static void wrong_tensors_write_nothing(void **state)
{
    struct fixture *f = *state;
    struct insert_call a = two_files(make_model(f, "demo/base"), "main", 2000);
    assert_int_equal(insert(f, &a), 0);
    const struct am_tensor_new bad[] = {{"x", "F32", "[1", 0, 4},    {"x", "F32", "[1,]x", 0, 4},
                                        {"x", "F32", "[-1]", 0, 4},  {"x", "F32", "[9999999999,9999999999]", 0, 4},
                                        {"x", "F32", "[1]", 998, 4}, {"x", "F\"2", "[1]", 0, 4},
                                        {"x", "F32", "[1]", -1, 4}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(am_store_write(f->s, call_tensors, &(struct tensors_call){SHA_A, &bad[i], 1}),
                         -AM_E_INVALID_REQUEST);
    const struct am_tensor_new twice[] = {{"x", "F32", "[1]", 0, 4}, {"x", "F32", "[1]", 4, 4}};
    assert_int_equal(am_store_write(f->s, call_tensors, &(struct tensors_call){SHA_A, twice, 2}), -AM_E_CONFLICT);
    assert_int_equal(read_int(f, "SELECT count(*) FROM tensor"), 0);
}

static int join_file(void *ctx, const struct am_file_row *r)
{
    size_t n = strlen(ctx);
    snprintf((char *)ctx + n, 512 - n, "%s %d spans %d%s%s%s;", r->path, (int)r->bytes, (int)r->spans,
             r->git_sha1 ? " git" : "", r->weights ? " weights" : "", r->blob ? " whole" : "");
    return 0;
}

static int join_span(void *ctx, int64_t at, const char *blob, int64_t offset, int64_t bytes)
{
    size_t n = strlen(ctx);
    snprintf((char *)ctx + n, 512 - n, "%d %.2s %d %d;", (int)at, blob, (int)offset, (int)bytes);
    return 0;
}

static void files_and_spans(void **state)
{
    struct fixture *f = *state;
    char text[512] = "";
    struct insert_call a = two_files(make_model(f, "demo/base"), "main", 2000);
    assert_int_equal(insert(f, &a), 0);
    struct am_db *db = am_store_read(f->s);
    assert_int_equal(am_file_list(db, a.id, join_file, text), 0);
    assert_string_equal(
        text, "config.json 22 spans 1 git whole;empty 0 spans 0 git;model.safetensors 1000 spans 1 weights whole;");
    text[0] = '\0';
    assert_int_equal(am_file_get(db, a.id, "empty", join_file, text), 0);
    assert_string_equal(text, "empty 0 spans 0 git;");
    assert_int_equal(am_file_get(db, a.id, "none", join_file, text), -AM_E_NOT_FOUND);
    /* an assembled file, and its layout used again */
    assert_int_equal(write_sql(f, "INSERT INTO layout (id, bytes, sha256) VALUES (50, 30, zeroblob(32));"
                                  "INSERT INTO span SELECT 50, 0, 0, sha256, 0, 10 FROM blob WHERE bytes = 22;"
                                  "INSERT INTO span SELECT 50, 1, 10, sha256, 100, 20 FROM blob WHERE bytes = 1000"),
                     0);
    struct am_file_new again = {.path = "m.safetensors",
                                .sha256 = "0000000000000000000000000000000000000000000000000000000000000000",
                                .bytes = 30,
                                .weights = true,
                                .layout = 50};
    struct insert_call b = {.v = {.model = 1, .now = 3000, .branch = "main", .file = &again, .files = 1}};
    assert_int_equal(insert(f, &b), 0);
    text[0] = '\0';
    assert_int_equal(am_file_list(db, b.id, join_file, text), 0);
    assert_string_equal(text, "m.safetensors 30 spans 2 weights;");
    text[0] = '\0';
    assert_int_equal(am_span_list(db, 50, join_span, text), 0);
    assert_string_equal(text, "0 bb 0 10;10 aa 100 20;");
    assert_int_equal(read_int(f, "SELECT new_bytes FROM version WHERE number = 2"), 0);
    again.layout = 1; /* another content than the hash says */
    assert_int_equal(insert(f, &b), -AM_E_CONFLICT);
    again.layout = 999;
    again.sha256 = GIT_EMPTY "000000000000000000000000";
    assert_int_equal(insert(f, &b), -AM_E_CONFLICT);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_open, fixture_close)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_commit_id), T(commits_form_a_line),
        T(stored_record_gives_the_id),     T(sums_agree_with_a_count),
        T(number_is_never_given_twice),    T(wrong_files_write_nothing),
        T(edges_and_their_weights),        T(tensors_belong_to_contents),
        T(wrong_tensors_write_nothing),    T(files_and_spans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
