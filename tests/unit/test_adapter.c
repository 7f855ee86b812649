/*
 * test_adapter.c - core/table/adapter.h: the names that PEFT gives tensors, factors, and how parts fit a base.
 */
#include "core/table/adapter.h"

#include "core/base/text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define P "base_model.model."
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct am_adapter_about about = {"d/lora@v1", "d/base@v1", "#/inputs/models/0"};
static struct am_faults faults;

static struct am_adapter read_with(const char *config, const struct am_adapter_tensor *t, size_t n)
{
    struct am_adapter a = {0};
    am_faults_done(&faults);
    faults = (struct am_faults){0};
    assert_int_equal(am_adapter_read(&a, config, strlen(config), t, n, &about, &faults), 0);
    return a;
}

static bool told(const char *reason, const char *part)
{
    for (size_t i = 0; i < faults.n; i++)
        if (am_streq(faults.v[i].reason, reason) && strstr(faults.v[i].detail, part))
            return true;
    return false;
}

#define PLAIN "\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":8"

static const struct am_adapter_tensor several[] = {
    {P "m.0.q.lora_A.weight", "F32", 2, {2, 4}},
    {P "m.0.q.lora_B.weight", "F32", 2, {6, 2}},
    {P "m.0.q.lora_B.bias", "F32", 1, {6}},
    {P "m.1.q.lora_A.default.weight", "BF16", 2, {2, 4}},
    {P "m.1.q.lora_B.default.weight", "BF16", 2, {6, 2}},
    {P "emb.lora_embedding_A", "F32", 2, {2, 10}},
    {P "emb.lora_embedding_B", "F32", 2, {4, 2}},
    {P "head.modules_to_save.default.weight", "F32", 2, {3, 4}},
    {P "m.1.q.base_layer.bias", "F32", 1, {6}},
    {P "norm.weight", "F32", 1, {4}},
};

static void names(void **state)
{
    (void)state;
    static const char *const targets[] = {"emb.weight", "head.weight",  "m.0.q.bias", "m.0.q.weight",
                                          "m.1.q.bias", "m.1.q.weight", "norm.weight"};
    struct am_adapter a = read_with("{" PLAIN ",\"base_model_name_or_path\":\"d/base\"}", several, COUNT(several));
    assert_int_equal(faults.total, 0);
    assert_int_equal(a.parts, COUNT(targets));
    for (size_t i = 0; i < a.parts; i++)
        assert_string_equal(a.part[i].target, targets[i]);
    const struct am_adapter_part *q = am_adapter_find(&a, "m.0.q.weight"), *e = am_adapter_find(&a, "emb.weight");
    assert_true(q->a == 0 && q->b == 1 && q->whole == AM_ADAPTER_NONE && !q->swapped);
    assert_true(e->a == 5 && e->b == 6 && e->swapped);
    assert_int_equal(am_adapter_find(&a, "m.0.q.bias")->bias, 2);
    assert_int_equal(am_adapter_find(&a, "m.1.q.bias")->whole, 8);
    assert_true(q->scale - 4 == 0.0);
    assert_int_equal(a.bytes, 4 * (2 * 20 + 6 + 28));
    assert_null(am_adapter_find(&a, "m.0.q"));
    assert_false(am_adapter_base_differs(&a, "d/base"));
    assert_true(am_adapter_base_differs(&a, "e/base"));
    am_adapter_done(&a);
}

/* A matrix for each expert, as Mixtral and Qwen2-MoE have them; patterns meet them by what their names end in. */
static void experts(void **state)
{
    (void)state;
    static const struct am_adapter_tensor t[] = {
        {P "model.layers.0.block_sparse_moe.experts.11.w1.lora_A.weight", "F32", 2, {2, 4}},
        {P "model.layers.0.block_sparse_moe.experts.11.w1.lora_B.weight", "F32", 2, {6, 2}},
        {P "model.layers.0.block_sparse_moe.gate.modules_to_save.default.weight", "F32", 2, {8, 4}},
        {P "model.layers.3.mlp.experts.7.gate_proj.lora_A.weight", "F32", 2, {2, 4}},
        {P "model.layers.3.mlp.experts.7.gate_proj.lora_B.weight", "F32", 2, {6, 2}},
        {P "model.layers.3.mlp.shared_expert_gate.lora_A.default.weight", "F32", 2, {2, 4}},
        {P "model.layers.3.mlp.shared_expert_gate.lora_B.default.weight", "F32", 2, {1, 2}},
    };
    static const char *const targets[] = {
        "model.layers.0.block_sparse_moe.experts.11.w1.weight", "model.layers.0.block_sparse_moe.gate.weight",
        "model.layers.3.mlp.experts.7.gate_proj.weight", "model.layers.3.mlp.shared_expert_gate.weight"};
    struct am_adapter a = read_with("{" PLAIN ",\"alpha_pattern\":{\"experts.7.gate_proj\":16}}", t, COUNT(t));
    assert_int_equal(faults.total, 0);
    assert_int_equal(a.parts, COUNT(targets));
    for (size_t i = 0; i < a.parts; i++)
        assert_string_equal(a.part[i].target, targets[i]);
    assert_true(a.part[0].scale - 4 == 0.0 && a.part[2].scale - 8 == 0.0);
    am_adapter_done(&a);
}

static double scale_of(const char *more)
{
    char config[500];
    snprintf(config, sizeof config, "{" PLAIN "%s}", more);
    struct am_adapter a = read_with(config, several + 3, 2);
    assert_int_equal(faults.total, 0);
    double s = a.part[0].scale;
    am_adapter_done(&a);
    return s;
}

/* As PEFT: the first key that the module's name is, or ends in. */
static void factors(void **state)
{
    (void)state;
    static const struct {
        const char *config;
        double scale;
    } rows[] = {{"", 4},
                {",\"use_rslora\":true", 8 / 1.4142135623730951},
                {",\"alpha_pattern\":{\"q\":3,\"1.q\":5}", 1.5},
                {",\"alpha_pattern\":{\"1\\\\.q\":5,\"q\":3}", 2.5},
                {",\"alpha_pattern\":{\"^q\":3,\"^m.1.q\":6}", 3},
                {",\"alpha_pattern\":{\".q\":3,\"0.q\":3,\"kq\":3}", 4}};
    for (size_t i = 0; i < COUNT(rows); i++)
        if (fabs(scale_of(rows[i].config) - rows[i].scale) > 1e-12)
            fail_msg("%s", rows[i].config);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *config, *reason, *part;
    } rows[] = {
        {"[]", "adapter-config", "no JSON object"},
        {"{\"peft_type\":\"LOHA\",\"r\":2,\"lora_alpha\":8}", "adapter-kind", "LOHA adapters are not supported"},
        {"{" PLAIN ",\"use_dora\":true}", "adapter-kind", "DoRA"},
        {"{" PLAIN ",\"init_lora_weights\":\"olora\"}", "adapter-kind", "olora-initialised"},
        {"{" PLAIN ",\"layer_replication\":[[0,4]]}", "adapter-kind", "layer-replicating"},
        {"{" PLAIN ",\"init_lora_weights\":\"lora_ga\"}", "adapter-kind", "lora_ga-initialised"},
        {"{" PLAIN ",\"target_parameters\":[\"mlp.experts.gate_up_proj\"]}", "adapter-kind", "fused experts"},
        {"{" PLAIN ",\"kasa_config\":{\"beta\":1}}", "adapter-kind", "KaSA"},
        {"{" PLAIN ",\"use_bdlora\":{\"nblocks\":2}}", "adapter-kind", "BD-LoRA"},
        {"{\"peft_type\":\"LORA\",\"r\":2}", "adapter-config", "lora_alpha must be a number"},
        {"{\"peft_type\":\"LORA\",\"lora_alpha\":2,\"r\":0}", "adapter-config", "r must be a whole number"},
        {"{" PLAIN ",\"alpha_pattern\":{\"q|v\":3}}", "adapter-config", "is a regular expression"},
        {"{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8}", "adapter-mismatch",
         "has rank 2, adapter_config.json says 4"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct am_adapter a = read_with(rows[i].config, several + 3, 2);
        assert_int_equal(a.parts, 0);
        if (!told(rows[i].reason, rows[i].part))
            fail_msg("%s: %s", rows[i].config, faults.n ? faults.v[0].detail : "no fault");
    }
    static const struct am_adapter_tensor twice[] = {{P "q.lora_A.weight", "F32", 2, {2, 4}},
                                                     {P "q.lora_A.other.weight", "F32", 2, {2, 4}},
                                                     {P "q.lora_B.weight", "I8", 2, {6, 2}},
                                                     {P "k.lora_magnitude_vector", "F32", 1, {6}}};
    read_with("{" PLAIN "}", twice, COUNT(twice));
    assert_true(told("adapter-mismatch", "one adapter at a time"));
    assert_true(told("adapter-mismatch", "is I8"));
    assert_true(told("adapter-kind", "DoRA"));
}

static void fits(void **state)
{
    (void)state;
    static const struct am_adapter_tensor base[] = {
        {"emb.weight", "F32", 2, {10, 4}},  {"head.weight", "F32", 2, {3, 4}}, {"m.0.q.bias", "F32", 1, {6}},
        {"m.0.q.weight", "F16", 2, {4, 7}}, {"m.1.q.bias", "F32", 1, {6}},     {"m.1.q.weight", "I8", 2, {6, 4}},
        {"other", "I64", 1, {1}},
    };
    struct am_adapter a = read_with("{" PLAIN "}", several, COUNT(several));
    struct am_adapter_fit fit = {.a = &a, .t = several, .about = &about, .f = &faults};
    for (size_t i = 0; i < COUNT(base); i++)
        am_adapter_meet(&fit, &base[i]);
    am_adapter_missed(&fit);
    assert_int_equal(faults.total, 3);
    assert_true(told("adapter-mismatch", "m.0.q.weight has [6,4] for [4,7] of d/base@v1"));
    assert_true(told("adapter-mismatch", "m.1.q.weight is I8 in d/base@v1"));
    assert_true(told("adapter-mismatch", "norm.weight is not in d/base@v1"));
    am_adapter_done(&a);
}

/* PEFT knows by the module which way a matrix lies; here shapes tell, and of squares what is known of others. */
static void sides(void **state)
{
    (void)state;
    static const struct am_adapter_tensor own[] = {
        {P "a.proj.lora_A.weight", "F32", 2, {2, 4}},     {P "a.proj.lora_B.weight", "F32", 2, {4, 2}},
        {P "b.fc.lora_A.weight", "F32", 2, {2, 4}},       {P "b.fc.lora_B.weight", "F32", 2, {6, 2}},
        {P "b.proj.lora_A.weight", "F32", 2, {2, 6}},     {P "b.proj.lora_B.weight", "F32", 2, {4, 2}},
        {P "conv.lora_A.weight", "F32", 4, {2, 4, 3, 3}}, {P "conv.lora_B.weight", "F32", 4, {4, 2, 1, 1}},
        {P "emb.lora_embedding_A", "F32", 2, {2, 4}},     {P "emb.lora_embedding_B", "F32", 2, {4, 2}},
        {P "other.lora_A.weight", "F32", 2, {2, 4}},      {P "other.lora_B.weight", "F32", 2, {4, 2}}};
    static const struct {
        const char *fan;
        uint64_t fc[2], proj[2]; /* of the base */
        bool square;             /* how a.proj lies */
        const char *fault;
    } rows[] = {
        {"false", {6, 4}, {4, 6}, false, NULL},
        {"true", {4, 6}, {6, 4}, true, NULL},
        {"false", {6, 4}, {6, 4}, true, "other.weight is square"}, /* proj tells of proj, and of nothing else */
        {"true", {4, 6}, {4, 6}, false, "other.weight is square"},
        {"false", {4, 6}, {5, 6}, false, "a.proj.weight is square"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char config[200];
        snprintf(config, sizeof config, "{" PLAIN ",\"fan_in_fan_out\":%s}", rows[i].fan);
        struct am_adapter a = read_with(config, own, COUNT(own));
        struct am_adapter_fit fit = {.a = &a, .t = own, .about = &about, .f = &faults};
        struct am_adapter_tensor base[] = {{"a.proj.weight", "F32", 2, {4, 4}},
                                           {"b.fc.weight", "F32", 2, {rows[i].fc[0], rows[i].fc[1]}},
                                           {"b.proj.weight", "F32", 2, {rows[i].proj[0], rows[i].proj[1]}},
                                           {"conv.weight", "F32", 4, {4, 4, 3, 3}},
                                           {"emb.weight", "F32", 2, {4, 4}},
                                           {"other.weight", "F32", 2, {4, 4}}};
        for (size_t k = 0; k < COUNT(base); k++)
            am_adapter_meet(&fit, &base[k]);
        am_adapter_missed(&fit);
        assert_int_equal(faults.total > 0, rows[i].fault != NULL);
        if (rows[i].fault && !told("adapter-mismatch", rows[i].fault))
            fail_msg("row %zu: %s", i, faults.v[0].detail);
        assert_int_equal(am_adapter_find(&a, "a.proj.weight")->swapped, rows[i].square);
        assert_int_equal(am_adapter_find(&a, "b.fc.weight")->swapped, rows[i].fc[0] == 4);
        assert_true(!am_adapter_find(&a, "conv.weight")->swapped && am_adapter_find(&a, "emb.weight")->swapped);
        am_adapter_done(&a);
    }
}

static void shapes(void **state)
{
    (void)state;
    struct am_adapter_tensor t = {0};
    am_adapter_shape(&t, "[10, 128]");
    assert_true(t.rank == 2 && t.shape[0] == 10 && t.shape[1] == 128);
    am_adapter_shape(&t, "[]");
    assert_int_equal(t.rank, 0);
    am_adapter_shape(&t, "[1,2,3,4,5,6,7,8,9]");
    assert_int_equal(t.rank, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names),   cmocka_unit_test(experts), cmocka_unit_test(factors),
                                       cmocka_unit_test(refused), cmocka_unit_test(fits),    cmocka_unit_test(sides),
                                       cmocka_unit_test(shapes)};
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    am_faults_done(&faults);
    return rc;
}
