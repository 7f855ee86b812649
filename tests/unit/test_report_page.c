/* test_report_page.c - a report for people: every number of it is one of the JSON, names do no harm in either form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h wants the four above */
#include <cmocka.h>

#include "server/report_page.h"
#include "tests/unit/report_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
    json_t *report, *slices, *decision;
};

static struct fixture load(void)
{
    struct fixture f = {json_loads(report_text, 0, NULL), json_loads(slices_text, 0, NULL),
                        json_loads(decision_text, 0, NULL)};
    assert_non_null(f.report);
    assert_non_null(f.slices);
    assert_non_null(f.decision);
    return f;
}

static void unload(struct fixture *f)
{
    json_decref(f->report);
    json_decref(f->slices);
    json_decref(f->decision);
}

static char *page(const struct fixture *f, enum am_doc_form form)
{
    struct am_buf b;
    struct am_report_view v = {f->report, f->slices, f->decision};
    am_buf_init(&b, AM_REPORT_PAGE_MAX);
    assert_int_equal(am_report_page(&v, form, &b), 0);
    return am_buf_take(&b);
}

static size_t count(const char *text, const char *part)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, part)); p += strlen(part))
        n++;
    return n;
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' is not in:\n%s", part, text);
}

static void has_not(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("'%s' is in:\n%s", part, text);
}

static void the_page_says_what_the_report_holds(void **state)
{
    (void)state;
    static const char *const both[] = {"INCONCLUSIVE",
                                       "is inconclusive: in source=tiny there are too few",
                                       "default@1",
                                       "small",
                                       "4,711",
                                       "0.0625",
                                       "8,958",
                                       "294",
                                       "343",
                                       "306",
                                       "2.94 %",
                                       "2.63",
                                       "3.29",
                                       "1.20 %",
                                       "three seeds",
                                       "0.4546",
                                       "0.0523",
                                       "+0.49 points",
                                       "no difference shown",
                                       "from tomorrow",
                                       "2,000",
                                       "why: no predictions",
                                       "too small to rank",
                                       "15",
                                       "made at different times",
                                       "405"};
    struct fixture f = load();
    for (int form = AM_DOC_MD; form <= AM_DOC_HTML; form++) {
        char *text = page(&f, (enum am_doc_form)form);
        for (size_t i = 0; i < sizeof both / sizeof *both; i++)
            has(text, both[i]);
        has_not(text, "nan");
        has_not(text, "inf");
        free(text);
    }
    unload(&f);
}

/* Worst first; the small one is last though its harm is the largest. */
static void slices_stand_by_net_harm(void **state)
{
    (void)state;
    struct fixture f = load();
    char *text = page(&f, AM_DOC_MD);
    const char *worse = strstr(text, "label = 2"), *better = strstr(text, "label = 5");
    const char *small = strstr(strstr(text, "## Slices"), "source = tiny");
    assert_true(worse && better && small);
    assert_true(worse < better && better < small);
    free(text);
    text = page(&f, AM_DOC_HTML);
    assert_int_equal(count(text, "<svg"), 4); /* the rate and three slices */
    assert_int_equal(count(text, "class=\"worse\""), 2);
    assert_int_equal(count(text, "<tr class=\"small\">"), 1);
    free(text);
    unload(&f);
}

/* Adds 1/64 to the k-th number of `v`, or counts them down. True: done. */
static bool bump(json_t *v, int *k)
{
    const char *key;
    json_t *e;
    size_t i;
    if (json_is_object(v)) {
        json_object_foreach(v, key, e)
        {
            /* not printed: of weighted or clustered reports only, or told by its bounds */
            if (strcmp(key, "n_eff") == 0 || strcmp(key, "judge_noise") == 0 || strcmp(key, "a_diff") == 0 ||
                strcmp(key, "log10_p_mid") == 0 ||
                (json_object_get(v, "harm") && strstr("lower95 upper95 p_regression", key)))
                continue;
            if (bump(e, k))
                return true;
        }
    } else if (json_is_array(v)) {
        json_array_foreach(v, i, e) if (bump(e, k)) return true;
    } else if (json_is_number(v) && (*k)-- == 0) {
        if (json_is_integer(v))
            json_integer_set(v, json_integer_value(v) + 1);
        else
            json_real_set(v, json_real_value(v) + 1.0 / 64);
        return true;
    }
    return false;
}

/* One number is changed at a time, and the page with it: nothing on it comes from elsewhere. */
static void every_number_comes_from_the_json(void **state)
{
    (void)state;
    struct fixture plain = load();
    char *before = page(&plain, AM_DOC_HTML);
    unload(&plain);
    int changed = 0;
    for (int which = 0; which < 3; which++) {
        for (int k = 0;; k++, changed++) {
            int left = k;
            struct fixture f = load();
            bool found = bump(which == 0 ? f.report : which == 1 ? f.slices : f.decision, &left);
            char *after = page(&f, AM_DOC_HTML);
            if (found && strcmp(before, after) == 0)
                fail_msg("number %d of part %d changes nothing", k, which);
            free(after);
            unload(&f);
            if (!found)
                break;
        }
    }
    assert_in_range(changed, 60, 200);
    free(before);
}

static void an_undefined_value_says_why(void **state)
{
    (void)state;
    struct fixture f = load();
    json_t *v = json_object_get(json_object_get(f.report, "values"), "nfr");
    json_object_clear(v);
    json_object_set_new(v, "value", json_null());
    json_object_set_new(v, "reason", json_string("no_samples"));
    json_object_set_new(f.report, "noise_floor", json_pack("{s:n,s:s}", "nfr", "why", "no replicate runs"));
    for (int form = AM_DOC_MD; form <= AM_DOC_HTML; form++) {
        char *text = page(&f, (enum am_doc_form)form);
        has(text, "Negative flip rate: undefined: no samples");
        has(text, "unknown (no replicate runs)");
        has_not(text, "2.63");
        free(text);
    }
    unload(&f);
}

/* "رفض" turns the line round; U+202E turns what follows; U+200B shows nothing. */
#define NASTY                                                                                                          \
    "<script>alert(1)</script>\"'`|*_[x](http://e.example)&amp; "                                                      \
    "\xd8\xb1\xd9\x81\xd8\xb6 \xe2\x80\xae"                                                                            \
    "evil\xe2\x80\x8b\nline"

static void poison(json_t *v)
{
    const char *key;
    json_t *e;
    size_t i;
    if (json_is_object(v)) {
        json_object_foreach(v, key, e) poison(e);
    } else if (json_is_array(v)) {
        json_array_foreach(v, i, e) poison(e);
    } else if (json_is_string(v)) {
        json_string_set(v, NASTY);
    }
}

static void names_do_no_harm(void **state)
{
    (void)state;
    struct fixture f = load();
    poison(f.report);
    poison(f.slices);
    poison(json_object_get(f.decision, "rules"));
    json_object_set_new(f.decision, "gate", json_string(NASTY));
    char *text = page(&f, AM_DOC_HTML);
    has_not(text, "<script");
    has_not(text, "<a ");
    has_not(text, "\xe2\x80\xae");
    has_not(text, "\xe2\x80\x8b");
    has(text, "&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;");
    has(text, "U+202E");
    assert_int_equal(count(text, "<bdi>"), count(text, "</bdi>"));
    free(text);
    text = page(&f, AM_DOC_MD);
    has_not(text, "\n<script");
    has_not(text, " <script");
    has_not(text, "](http:");
    has(text, "\\<script\\>alert(1)\\</script\\>\"'\\`\\|\\*\\_\\[x\\](http\\://e.example)\\&amp; ");
    has_not(text, "\nline");
    free(text);
    unload(&f);
}

/* No table breaks when a name has 128 bytes, and none is cut. */
static void long_names_stay_whole(void **state)
{
    (void)state;
    char name[129];
    memset(name, 'x', 128);
    name[128] = 0;
    struct fixture f = load();
    json_object_set_new(json_array_get(f.slices, 0), "value", json_string(name));
    char *text = page(&f, AM_DOC_HTML);
    has(text, name);
    free(text);
    unload(&f);
}

static void nothing_is_asked_of_elsewhere(void **state)
{
    (void)state;
    static const char *const never[] = {"<script",  "src=",    "href=", "url(", "@import", "http://",
                                        "https://", "<iframe", "<link", "<img", " style="};
    struct fixture f = load();
    char *text = page(&f, AM_DOC_HTML);
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        has_not(text, never[i]);
    has(text, "default-src 'none'");
    has(text, "prefers-color-scheme:dark");
    has(text, "@media print");
    free(text);
    unload(&f);
}

static void a_report_of_little_is_a_page(void **state)
{
    (void)state;
    static const char *const odd[] = {"{}",
                                      "{\"cells\":1,\"values\":[],\"tests\":7,\"slices\":\"x\",\"exemplars\":null}",
                                      "{\"values\":{\"nfr\":{\"value\":0,\"interval\":[null,0.01]}}}",
                                      "{\"values\":{\"nfr\":{\"value\":1e300,\"interval\":[0,1e308]}}}"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        struct fixture f = {json_loads(odd[i], 0, NULL), json_loads("[1,{},{\"harm\":\"x\"}]", 0, NULL), json_null()};
        assert_non_null(f.report);
        char *text = page(&f, AM_DOC_HTML);
        has(text, "No gate was asked");
        has_not(text, "nan");
        free(text);
        free(page(&f, AM_DOC_MD));
        unload(&f);
    }
}

static void more_slices_than_a_page_has_are_counted(void **state)
{
    (void)state;
    struct fixture f = load();
    json_t *row = json_array_get(f.slices, 0);
    for (int i = 0; i < 500; i++)
        json_array_append_new(f.slices, json_deep_copy(row));
    json_object_set_new(f.report, "slices", json_integer(503));
    char *text = page(&f, AM_DOC_HTML);
    assert_int_equal(count(text, "<svg"), 1 + AM_REPORT_SLICES);
    has(text, "has 503 slices");
    free(text);
    struct am_buf b; /* a ceiling is an error, not half a page */
    struct am_report_view v = {f.report, f.slices, f.decision};
    am_buf_init(&b, 10000);
    assert_int_equal(am_report_page(&v, AM_DOC_HTML, &b), -AM_E_TOO_LARGE);
    am_buf_done(&b);
    unload(&f);
}

/* Of many slices the worst are kept, wherever they come. */
static void the_worst_slices_are_kept(void **state)
{
    (void)state;
    struct fixture f = load();
    json_t *list = json_array();
    for (int i = 0; i < 5000; i++) {
        char value[20];
        snprintf(value, sizeof value, "s%d", i);
        json_t *s = json_deep_copy(json_array_get(f.slices, 0));
        json_object_set_new(s, "value", json_string(value));
        json_object_set_new(s, "harm", json_real(i % 500 == 77 ? 0.5 + i / 1e5 : -0.3));
        assert_int_equal(am_report_slice_keep(list, s), 0);
        json_decref(s);
    }
    assert_in_range(json_array_size(list), AM_REPORT_SLICES, 2 * AM_REPORT_SLICES);
    json_decref(f.slices);
    f.slices = list;
    char *text = page(&f, AM_DOC_MD);
    const char *at = strstr(text, "label = s4577");
    for (int i = 4077; at && i > 0; i -= 500) {
        char value[24];
        snprintf(value, sizeof value, "label = s%d ", i);
        at = strstr(at, value);
    }
    assert_non_null(at);
    free(text);
    unload(&f);
}

static void groups_and_found_slices_are_shown(void **state)
{
    (void)state;
    static const char text[] =
        "{\"groups\":[{\"key\":\"a|<b>ge\",\"values\":{\"accuracy_gap\":{\"value\":0.123,\"interval\":[0.1,0.15]},"
        "\"tpr_gap\":{\"value\":null,\"reason\":\"no_classes\"}}}],\"found_slices\":{\"exploratory\":true,"
        "\"tried\":1177,\"cut\":true,\"rows\":[{\"where\":{\"city\":\"Ulm\",\"os\":\"bsd\"},\"n\":61,\"b\":17,\"c\":2,"
        "\"nfr\":0.2787,\"lower95\":0.1951,\"accuracy_old\":0.9,\"accuracy_new\":0.65,\"p_mid\":0.001,\"q\":0.031}]}}";
    struct fixture f = load();
    json_t *more = json_loads(text, 0, NULL);
    json_object_update(f.report, more);
    json_decref(more);
    static const char *const said[] = {"## Groups", "12.3", "no classes", "1,177", "Ulm", "27.87", "19.51", "0.031"};
    char *md = page(&f, AM_DOC_MD), *html = page(&f, AM_DOC_HTML);
    for (size_t i = 0; i < sizeof said / sizeof *said; i++)
        if (!strstr(md, said[i]))
            fail_msg("the page does not say %s", said[i]);
    assert_non_null(strstr(html, "Ulm"));
    assert_null(strstr(html, "<b>ge"));
    free(md);
    free(html);
    unload(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_page_says_what_the_report_holds),
                                       cmocka_unit_test(slices_stand_by_net_harm),
                                       cmocka_unit_test(groups_and_found_slices_are_shown),
                                       cmocka_unit_test(every_number_comes_from_the_json),
                                       cmocka_unit_test(an_undefined_value_says_why),
                                       cmocka_unit_test(names_do_no_harm),
                                       cmocka_unit_test(long_names_stay_whole),
                                       cmocka_unit_test(nothing_is_asked_of_elsewhere),
                                       cmocka_unit_test(a_report_of_little_is_a_page),
                                       cmocka_unit_test(more_slices_than_a_page_has_are_counted),
                                       cmocka_unit_test(the_worst_slices_are_kept)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
