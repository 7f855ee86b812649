/*
 * test_spans.c - assembled files in the database: layouts of several spans, blobs shared by versions, the sums, and
 * what the publisher believes of a worker's spans.
 */
#include "tests/unit/store_fixture.h"

#include "server/publisher_spans.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define H "1111111111111111111111111111111111111111111111111111111111111111"
#define C "2222222222222222222222222222222222222222222222222222222222222222"
#define NEW "3333333333333333333333333333333333333333333333333333333333333333"
#define NOT_HERE "4444444444444444444444444444444444444444444444444444444444444444"

/* A version of one weight file; `span` NULL: whole. */
static int put(struct fixture *f, int64_t model, const char *sha256, int64_t bytes, const struct am_span_new *span,
               size_t spans, struct insert_call *ret)
{
    const struct am_file_new file = {
        .path = "model.safetensors", .sha256 = sha256, .bytes = bytes, .weights = true, .span = span, .spans = spans};
    *ret = (struct insert_call){
        .v = {.model = model, .created_by = "ci", .now = 2000, .branch = "main", .file = &file, .files = 1}};
    int rc = am_store_write(f->s, call_insert, ret);
    ret->v.file = NULL;
    return rc;
}

/* The file of 1000 bytes, its header of 100 as a blob of its own, 200 of the rest changed. */
static const struct am_span_new edited[] = {{H, 0, 100, 100}, {A, 100, 500, -1}, {C, 40, 200, 240}, {A, 800, 200, -1}};

static int take_logical(void *ctx, const struct am_model_row *m)
{
    *(int64_t *)ctx = m->logical_bytes;
    return 0;
}

static int64_t physical_of(struct am_db *db, int64_t model)
{
    int64_t n = -1;
    assert_int_equal(am_model_physical(db, model, &n), 0);
    return n;
}

static int take_span(void *ctx, int64_t at, const char *blob_hex, int64_t offset, int64_t bytes)
{
    int64_t *next = ctx;
    const struct am_span_new *want = &edited[next[0]++];
    assert_int_equal(at, next[1]);
    assert_string_equal(blob_hex, want->blob);
    assert_int_equal(offset, want->offset);
    assert_int_equal(bytes, want->bytes);
    next[1] += bytes;
    return 0;
}

static int take_file(void *ctx, const struct am_file_row *row)
{
    assert_null(row->blob);
    assert_int_equal(row->spans, 4);
    *(int64_t *)ctx = row->layout;
    return 0;
}

static int take_blob(void *ctx, const char *blob_hex, int64_t bytes)
{
    char *text = ctx;
    size_t n = strlen(text);
    snprintf(text + n, 200 - n, "%.1s:%lld ", blob_hex, (long long)bytes);
    return 0;
}

static void an_edit_adds_its_change(void **state)
{
    struct fixture *f = *state;
    int64_t model = make_model(f, "demo/a"), layout = 0, next[2] = {0}, logical = 0, physical = 0;
    struct insert_call whole, edit, again;
    int64_t sum = 0;
    char text[200] = "", origin[120];
    assert_int_equal(put(f, model, A, 1000, NULL, 0, &whole), 0);
    assert_int_equal(put(f, model, NEW, 1000, edited, 4, &edit), 0);
    struct am_db *db = am_store_read(f->s);
    assert_int_equal(am_file_get(db, edit.id, "model.safetensors", take_file, &layout), 0);
    assert_int_equal(am_span_list(db, layout, take_span, next), 0);
    assert_int_equal(next[0], 4);
    assert_int_equal(read_int(f, "SELECT new_bytes FROM version ORDER BY id DESC LIMIT 1"), 340);
    assert_int_equal(am_model_get(db, "demo/a", take_logical, &sum), 0);
    assert_int_equal(sum, 2000);
    assert_int_equal(physical_of(db, model), 1340);
    assert_int_equal(am_store_bytes(db, &logical, &physical), 0);
    assert_int_equal(logical, 2000);
    assert_int_equal(physical, 1340);
    assert_int_equal(am_version_blobs(db, edit.id, take_blob, text), 0);
    assert_string_equal(text, "1:100 2:240 a:1000 ");
    assert_int_equal(am_blob_origin(db, A, origin, sizeof origin), 0);
    assert_memory_equal(origin, "demo/a@", 7);
    assert_string_equal(origin + 7, whole.commit);
    assert_int_equal(am_blob_origin(db, C, origin, sizeof origin), 0);
    assert_string_equal(origin + 7, edit.commit);
    assert_int_equal(am_blob_origin(db, NOT_HERE, origin, sizeof origin), -AM_E_NOT_FOUND);
    /* in another model: shared by what each reads, the store holds it once. H and C: half each. A: the first has a file
       that is all of it, of the other's 700 are read, so 1000 : 700. */
    int64_t other = make_model(f, "demo/b");
    assert_int_equal(put(f, other, NEW, 1000, edited, 4, &again), 0);
    assert_int_equal(read_int(f, "SELECT new_bytes FROM version ORDER BY id DESC LIMIT 1"), 0);
    assert_int_equal(physical_of(db, model), 50 + 120 + 588);
    assert_int_equal(physical_of(db, other), 50 + 120 + 412);
    /* once more in the same model changes nothing; all of A makes the shares equal */
    assert_int_equal(put(f, other, NEW, 1000, edited, 4, &again), 0);
    assert_int_equal(physical_of(db, other), 50 + 120 + 412);
    assert_int_equal(put(f, other, A, 1000, NULL, 0, &again), 0);
    assert_int_equal(physical_of(db, model), 670);
    assert_int_equal(physical_of(db, other), 670);
    assert_int_equal(read_int(f, "SELECT sum(named) FROM blob"), 2 * (100 + 200 + 1000));
    assert_int_equal(am_store_bytes(db, &logical, &physical), 0);
    assert_int_equal(physical, 1340);
    assert_int_equal(read_int(f, "SELECT n FROM blob_count"), 3);
    assert_int_equal(read_int(f, "SELECT count(*) FROM span"), 5);
    assert_int_equal(write_sql(f, "DELETE FROM span; DELETE FROM model_blob; DELETE FROM blob WHERE bytes = 240"), 0);
    assert_int_equal(read_int(f, "SELECT bytes FROM blob_count"), 1100);
}

/* The same bytes made another way: the layout that is there. */
static void equal_content_has_one_layout(void **state)
{
    struct fixture *f = *state;
    int64_t model = make_model(f, "demo/a");
    struct insert_call v;
    const struct am_span_new other[] = {{C, 0, 1000, 1000}};
    assert_int_equal(put(f, model, A, 1000, NULL, 0, &v), 0);
    assert_int_equal(put(f, model, A, 1000, other, 1, &v), 0);
    assert_int_equal(read_int(f, "SELECT count(*) FROM layout"), 1);
    assert_int_equal(read_int(f, "SELECT count(*) FROM blob"), 1);
    assert_int_equal(put(f, model, A, 999, other, 1, &v), -AM_E_CONFLICT);
}

static void wrong_spans_write_nothing(void **state)
{
    struct fixture *f = *state;
    int64_t model = make_model(f, "demo/a");
    struct insert_call v;
    assert_int_equal(put(f, model, A, 1000, NULL, 0, &v), 0);
    static const struct {
        struct am_span_new span[2];
        int rc;
    } bad[] = {
        {{{H, 0, 100, 100}, {A, 100, 899, -1}}, -AM_E_INVALID_REQUEST}, /* ends too soon */
        {{{H, 0, 100, 100}, {A, 99, 901, -1}}, -AM_E_INVALID_REQUEST},  /* too late */
        {{{H, 0, 100, 100}, {A, 101, 900, -1}}, -AM_E_INVALID_REQUEST}, /* out of its blob */
        {{{H, 0, 100, 99}, {A, 100, 900, -1}}, -AM_E_INVALID_REQUEST},
        {{{H, -1, 100, 100}, {A, 100, 900, -1}}, -AM_E_INVALID_REQUEST},
        {{{H, 0, 0, 100}, {A, 0, 1000, -1}}, -AM_E_INVALID_REQUEST}, /* empty */
        {{{H, 0, 100, 100}, {A, INT64_MAX, 900, -1}}, -AM_E_INVALID_REQUEST},
        {{{H, 0, 100, -1}, {A, 100, 900, -1}}, -AM_E_NOT_FOUND},   /* no such blob */
        {{{H, 0, 100, 100}, {A, 100, 900, 1001}}, -AM_E_CONFLICT}, /* of another length */
        {{{"xyz", 0, 100, 100}, {A, 100, 900, -1}}, -AM_E_INVALID_REQUEST},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(put(f, model, NEW, 1000, bad[i].span, 2, &v), bad[i].rc);
    assert_int_equal(read_int(f, "SELECT count(*) FROM version WHERE number > 0"), 1);
    assert_int_equal(read_int(f, "SELECT count(*) FROM layout"), 1);
    assert_int_equal(read_int(f, "SELECT n FROM blob_count"), 1);
}

static void only_blobs_of_the_inputs_are_believed(void **state)
{
    struct fixture *f = *state;
    int64_t model = make_model(f, "demo/a"), other = make_model(f, "demo/b");
    struct insert_call v, foreign;
    assert_int_equal(put(f, model, A, 1000, NULL, 0, &v), 0);
    assert_int_equal(put(f, other, C, 500, NULL, 0, &foreign), 0);
    json_t *inputs = json_pack("[{s:s,s:s}]", "model", "demo/a", "commit", v.commit);
    struct am_db *db = am_store_read(f->s);
    struct am_result_span span[] = {{0, 0, 100}, {1, 100, 900}};
    struct am_result_blob blob[] = {{"f1", H, 100, 100, 1}, {NULL, A, -1, 1000, 1}};
    struct am_result r = {.blob = blob, .span = span, .blobs = 2, .spans = 2};
    struct am_span_new *out;
    char why[300] = "";
    assert_int_equal(am_publisher_spans(&out, db, inputs, &r, why, sizeof why), 0);
    assert_string_equal(out[0].blob, H);
    assert_int_equal(out[0].blob_bytes, 100);
    assert_int_equal(out[1].offset, 100);
    assert_int_equal(out[1].blob_bytes, -1);
    free(out);
    blob[1].end = 1001;
    assert_int_equal(am_publisher_spans(&out, db, inputs, &r, why, sizeof why), -AM_E_PUBLISH);
    assert_non_null(strstr(why, "beyond the end"));
    blob[1] = (struct am_result_blob){NULL, C, -1, 500, 1}; /* in the store, and not of this job */
    assert_int_equal(am_publisher_spans(&out, db, inputs, &r, why, sizeof why), -AM_E_PUBLISH);
    assert_non_null(strstr(why, "none of its inputs"));
    blob[1] = (struct am_result_blob){NULL, A, -1, 1000, 1};
    assert_int_equal(am_publisher_spans(&out, db, NULL, &r, why, sizeof why), -AM_E_PUBLISH); /* an import has none */
    r.spans = 0;
    assert_int_equal(am_publisher_spans(&out, db, inputs, &r, why, sizeof why), 0);
    assert_null(out);
    json_decref(inputs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_edit_adds_its_change, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(equal_content_has_one_layout, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(wrong_spans_write_nothing, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(only_blobs_of_the_inputs_are_believed, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
