/*
 * test_mergekit.c - YAML as JSON with lines (core/recipe/yaml.h), names of layers (core/table/layers.h), and values
 * that differ from tensor to tensor (core/table/settings.h). Whole configurations are tests/service's.
 */
#include "core/recipe/yaml.h"
#include "core/table/families.h"
#include "core/table/layers.h"
#include "core/table/settings.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void reads(const char *text, const char *json)
{
    struct am_yaml y = {0};
    struct am_faults f = {0};
    json_t *want = json_loads(json, JSON_DECODE_ANY, NULL);
    if (am_yaml_read(&y, text, strlen(text), &f) != 0)
        fail_msg("%s: %s", text, f.v[0].detail);
    if (!want || !json_equal(want, y.v[0].json))
        fail_msg("%s: %s", text, json_dumps(y.v[0].json, JSON_ENCODE_ANY));
    json_decref(want);
    am_yaml_done(&y);
    am_faults_done(&f);
}

static void scalars(void **state)
{
    (void)state;
    reads("[1, -2, 1e-4, +.5, 5., 0.1, 1e400x]", "[1, -2, 0.0001, 0.5, 5.0, 0.1, \"1e400x\"]");
    reads("[yes, No, on, off, True, FALSE, ~, null, '']", "[true,false,true,false,true,false,null,null,\"\"]");
    reads(
        "[., .., -., 1.., ..1, 1..5, .e3, +-1, -+1, 1e, e3, .5e1, 5.e1, -.5, 1.2.3]",
        "[\".\",\"..\",\"-.\",\"1..\",\"..1\",\"1..5\",\".e3\",\"+-1\",\"-+1\",\"1e\",\"e3\",5.0,50.0,-0.5,\"1.2.3\"]");
    reads("[0000000000000000000000000000000000000000000000000000000000000001]", "[1]");
    reads("['1', \"true\", .inf, 1_000, 0x10, 12:30]", "[\"1\",\"true\",\".inf\",1000,16,\"12:30\"]");
    reads("[010, 08, -0x1F, 0o17, 0, _1, 0x, 0xg, 1__0, 9007199254740993, '010']",
          "[8,8.0,-31,15,0,\"_1\",\"0x\",\"0xg\",10,9007199254740992.0,\"010\"]");
    reads("a: |\n  x\n  y\nb: >-\n  x\n  y\n", "{\"a\":\"x\\ny\\n\",\"b\":\"x y\"}");
}

static void aliases(void **state)
{
    (void)state;
    reads("a: &x {w: 1}\nb: *x\nc: {<<: *x, v: 2}\nd: {w: 3, <<: [*x, {v: 4}]}\n",
          "{\"a\":{\"w\":1},\"b\":{\"w\":1},\"c\":{\"v\":2,\"w\":1},\"d\":{\"w\":3,\"v\":4}}");
    reads("- &x 1\n- &x 2\n- *x\n", "[1,2,2]");
}

static void refused(const char *text, int code, const char *reason, const char *part)
{
    struct am_yaml y = {0};
    struct am_faults f = {0};
    assert_int_equal(am_yaml_read(&y, text, strlen(text), &f), -code);
    assert_int_equal(f.n, 1);
    assert_string_equal(f.v[0].reason, reason);
    if (!strstr(f.v[0].detail, part))
        fail_msg("%s: %s", text, f.v[0].detail);
    am_faults_done(&f);
}

/* Whether the two together are taken; if not, the depth is why. */
static bool nested(const char *first, const char *then)
{
    char text[300];
    struct am_yaml y = {0};
    struct am_faults f = {0};
    snprintf(text, sizeof text, "%s%s", first, then);
    int rc = am_yaml_read(&y, text, strlen(text), &f);
    if (rc < 0)
        assert_non_null(strstr(f.v[0].detail, "a depth of 32"));
    am_yaml_done(&y);
    am_faults_done(&f);
    return rc == 0;
}

static void refusals(void **state)
{
    (void)state;
    char *many = calloc(1, 100000);
    for (size_t i = 0; i < 24000; i++)
        memcpy(many + 4 * i, "- 1\n", 4);
    refused(many, AM_E_TOO_LARGE, "yaml-limit", "20000 values");
    free(many);
    refused("a: \xff\n", AM_E_INVALID_REQUEST, "yaml-syntax", "UTF-8");
    refused("a: \"x\\0\"\n", AM_E_INVALID_REQUEST, "yaml-syntax", "NUL");
    refused("a: \x01\n", AM_E_INVALID_REQUEST, "yaml-syntax", "control characters");
    refused("? [a]\n: b\n", AM_E_INVALID_REQUEST, "yaml-syntax", "a key is a plain text");
    refused("a: *b\n", AM_E_INVALID_REQUEST, "yaml-syntax", "without an anchor");
    refused("a: &b {c: *b}\n", AM_E_INVALID_REQUEST, "yaml-syntax", "without an anchor");
    /* an alias brings its height along: 31 lists and two aliases of them, one in the other, are 62 deep */
    char deep[200] = "a: &a ";
    memset(deep + 6, '[', 31);
    memset(deep + 37, ']', 31);
    assert_true(nested(deep, "\nb: *a\n"));
    assert_false(nested(deep, "\nb: [*a]\n"));
    assert_false(nested(deep, "\nb: {c: {d: *a}}\n"));
    assert_false(
        nested("a: &a [[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]\nb: &b [[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]\n", "c: [*b]\n"));
    assert_true(nested("a: &a [[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]\nb: &b [[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]\n",
                       "c: *b\nd: [*a]\n"));
    refused("a: 1\n\"a\": 2\n", AM_E_INVALID_REQUEST, "duplicate-key", "line 2, column 1: key a appears twice");
}

/* Each line is nine aliases of the one before: 9^8 values in some 500 bytes. */
static size_t write_bomb(char *to, bool mapping)
{
    char *at = to + snprintf(to, 64, "a: &a %s\n", mapping ? "{k: 1}" : "[1]");
    for (char c = 'b'; c <= 'i'; c++) {
        at += snprintf(at, 64, "%c: &%c %c", c, c, mapping ? '{' : '[');
        for (int i = 0; i < 9; i++)
            at += mapping ? snprintf(at, 64, "k%d: *%c, ", i, c - 1) : snprintf(at, 64, "*%c, ", c - 1);
        at += snprintf(at, 64, "%c\n", mapping ? '}' : ']');
    }
    return (size_t)(at - to);
}

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

#ifdef __SANITIZE_ADDRESS__
#define BOMB_MS 200 /* the sanitizers take their share */
#else
#define BOMB_MS 50
#endif

/* Size, depth, number of values and of aliases: refused in less than BOMB_MS of processor. */
static void bombs(void **state)
{
    (void)state;
    enum { ROOM = AM_YAML_BYTES + 8 };
    char *text = malloc(ROOM);
    for (int kind = 0; kind < 6; kind++) {
        struct am_yaml y = {0};
        struct am_faults f = {0};
        size_t n = AM_YAML_BYTES;
        memset(text, '[', ROOM);
        if (kind == 0)
            n++;
        for (size_t i = 0; kind == 2 && i + 2 <= n; i += 2)
            memcpy(text + i, "- ", 2);
        for (size_t i = 0; kind == 3 && i + 4 <= n; i += 4)
            memcpy(text + i, "- 1\n", 4);
        if (kind >= 4)
            n = write_bomb(text, kind == 5);
        double began = cpu_ms();
        assert_int_equal(am_yaml_read(&y, text, n, &f), -AM_E_TOO_LARGE);
        double took = cpu_ms() - began;
        assert_string_equal(f.v[0].reason, "yaml-limit");
        if (took > BOMB_MS)
            fail_msg("bomb %d: %g ms", kind, took);
        am_faults_done(&f);
    }
    free(text);
}

static void lines(void **state)
{
    (void)state;
    struct am_yaml y = {0};
    struct am_faults f = {0};
    static const char text[] = "a: 1\nb:\n- x: 2\n  y/z: 3\n- 4\n";
    assert_int_equal(am_yaml_read(&y, text, strlen(text), &f), 0);
    assert_int_equal(am_yaml_line(y.v, "#"), 1);
    assert_int_equal(am_yaml_line(y.v, "#/a"), 1);
    assert_int_equal(am_yaml_line(y.v, "#/b/0/y~1z"), 4);
    assert_int_equal(am_yaml_line(y.v, "#/b/1"), 5);
    assert_int_equal(am_yaml_line(y.v, "#/b/1/nothing/there"), 5);
    assert_int_equal(am_yaml_line(y.v, "?seed"), 0);
    am_yaml_done(&y);
}

static void layers(void **state)
{
    (void)state;
    static const char *const names[] = {"model.layers.0.a", "model.layers.3.b", "h.11.c", "encoder.block.1.layer.7.d"};
    struct am_layers l = {0};
    struct am_layer at;
    for (size_t i = 0; i < 4; i++)
        am_layers_add(&l, names[i]);
    assert_true(am_layer_of("encoder.block.1.layer.7.d", &at));
    assert_int_equal(at.index, 1);
    assert_false(am_layer_of("layers.0x.w", &at));
    assert_int_equal(am_layers_count(&l, "model.layers.", 13), 4);
    assert_true(am_layers_depth(&l, "model.layers.1.z", 0) == 1.0 / 3);
    assert_true(am_layers_depth(&l, "encoder.block.0.w", 0) == 0);
    assert_true(am_layers_depth(&l, "model.embed_tokens.weight", 1) == 0);
    assert_true(am_layers_depth(&l, "embed_out.weight", 0.5) == 0.5);
    assert_true(am_layers_depth(&l, "transformer.wte.weight", 1) == 0);
    struct am_layers one = {0};
    am_layers_add(&one, "layers.0.w");
    assert_true(am_layers_depth(&one, "layers.0.w", 0) == 1); /* the only layer */
}

/* What transformers calls the tensors of each family: which layer, or before or after them. */
static void families(void **state)
{
    (void)state;
    enum { BEFORE = -1, AFTER = -2 };
    static const struct {
        const char *name;
        int where;
    } rows[] = {
        {"model.embed_tokens.weight", BEFORE},
        {"model.layers.11.self_attn.q_norm.weight", 11},
        {"model.layers.2.block_sparse_moe.experts.7.w1.weight", 2},
        {"model.norm.weight", AFTER},
        {"lm_head.weight", AFTER},
        {"transformer.wpe.weight", BEFORE},
        {"h.0.attn.c_attn.weight", 0},
        {"transformer.ln_f.bias", AFTER},
        {"bert.embeddings.LayerNorm.weight", BEFORE},
        {"bert.encoder.layer.3.attention.self.query.weight", 3},
        {"bert.pooler.dense.weight", AFTER},
        {"roberta.encoder.layer.5.output.dense.bias", 5},
        {"vit.embeddings.cls_token", BEFORE},
        {"vit.encoder.layer.4.layernorm_before.weight", 4},
        {"vit.layernorm.weight", AFTER},
        {"shared.weight", BEFORE},
        {"encoder.block.0.layer.1.DenseReluDense.wi.weight", 0},
        {"decoder.block.5.layer.2.layer_norm.weight", 5},
        {"decoder.final_layer_norm.weight", AFTER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct am_layer at;
        bool in = am_layer_of(rows[i].name, &at);
        int where = in ? (int)at.index : am_layer_before(rows[i].name) ? BEFORE : AFTER;
        if (where != rows[i].where)
            print_error("%s\n", rows[i].name);
        assert_int_equal(where, rows[i].where);
    }
    assert_null(am_family_find("unheard-of"));
    assert_null(am_family_find(NULL));
    assert_string_equal(am_family_find("gpt2")->counts, "n_layer");
    assert_true(am_family_is_buffer("model.layers.0.self_attn.rotary_emb.inv_freq"));
    assert_false(am_family_is_buffer("inv_freq.weight"));
    assert_non_null(am_family_module("vision"));
    assert_null(am_family_module("visio"));
}

/* Two inputs have a head, of two shapes; two have an embedding, one of which fits the first. */
struct shapes {
    int n; /* told */
    size_t at[4];
};

static bool same_shape(void *ctx, size_t i, const char *a, size_t k, const char *b)
{
    static const char *const have[4][2] = {{"lm_head.weight", "[4]"},
                                           {"model.embed_tokens.weight", "[4]"},
                                           {"model.embed_tokens.weight", "[5]"},
                                           {"lm_head.weight", "[5]"}};
    (void)ctx;
    return strcmp(have[i][0], a) == 0 && strcmp(have[k][0], b) == 0 && strcmp(have[i][1], have[k][1]) == 0;
}

static int note_tied(void *ctx, size_t i, const char *head, const char *embedding)
{
    struct shapes *s = ctx;
    assert_string_equal(head, "lm_head.weight");
    assert_string_equal(embedding, "model.embed_tokens.weight");
    s->at[s->n++] = i;
    return 0;
}

static void ties(void **state)
{
    (void)state;
    struct shapes s = {0};
    struct am_ties t = {same_shape, note_tied, &s};
    assert_int_equal(am_family_ties(4, &t), 0);
    assert_int_equal(s.n, 1);
    assert_int_equal(s.at[0], 1);
    assert_int_equal(am_family_ties(1, &t), 0); /* nobody has it tied */
    assert_int_equal(s.n, 1);
}

static void cuts(void **state)
{
    (void)state;
    char out[64];
    struct am_cut c = {.from = 2, .to = 4, .offset = 10, .first = true};
    assert_true(am_cut_name(&c, "model.layers.3.mlp.w", out, sizeof out));
    assert_string_equal(out, "model.layers.11.mlp.w");
    assert_false(am_cut_name(&c, "model.layers.4.mlp.w", out, sizeof out));
    assert_true(am_cut_name(&c, "model.embed_tokens.weight", out, sizeof out));
    assert_false(am_cut_name(&c, "model.norm.weight", out, sizeof out));
    assert_false(am_cut_name(&c, "model.layers.3.mlp.w", out, 20)); /* no room */
}

static void chains(void **state)
{
    (void)state;
    json_t *own = json_loads("[{\"filter\":\"mlp\",\"value\":1.0},{\"slice\":1,\"value\":2.0}]", 0, NULL),
           *all = json_loads("[0.5,1.0]", 0, NULL);
    assert_false(am_setting_complete(own));
    assert_true(am_setting_complete(all));
    assert_true(am_setting_has_depth(all) && !am_setting_has_depth(own));
    assert_true(am_setting_covers(own, "x.mlp.y", 0) && am_setting_covers(own, "x", 1));
    assert_false(am_setting_covers(own, "x", 0));
    json_t *both = am_setting_chain(own, all);
    assert_true(am_setting_complete(both) && am_setting_has_depth(both) && json_array_size(both) == 3);
    json_decref(own);
    json_decref(all);
    json_decref(both);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars), cmocka_unit_test(aliases), cmocka_unit_test(refusals), cmocka_unit_test(bombs),
        cmocka_unit_test(lines),   cmocka_unit_test(layers),  cmocka_unit_test(families), cmocka_unit_test(ties),
        cmocka_unit_test(cuts),    cmocka_unit_test(chains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
