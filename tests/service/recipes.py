"""A corpus of mergekit recipes with what each must come to, as merge.md B1 to B20 say it: data, which test_recipes.py posts.

ACCEPTED: name -> (text, query, inputs, params, options, warnings). An input is (role, "model" or "model@rev", layers or
None, the parameters beside it or None). Of params and options only what is named is compared; of warnings the code and
the pointer, all of them. REFUSED: name -> (text, query, faults), and a fault is (code, reason, pointer, line, a part of
its sentence): these and no other.

The models: r/base, r/a, r/b, r/c of four layers (embedding, q_proj and up_proj each, norm, head), 2 x 2, F32; r/copy with
the files of r/a; r/more and r/less with a tensor more and one less; r/wide, whose norm has another shape; r/two, with
layers under two names; r/quant with a quantised tensor; r/other, with the tensors of r/a in another architecture."""

A, B, C, BASE = "r/a", "r/b", "r/c", "r/base"


def models(*entries):
    return "models:\n" + "".join(f"- {{model: {e[0]}, parameters: {{{e[1]}}}}}\n" if isinstance(e, tuple) else f"- {{model: {e}}}\n" for e in entries)


def model(name, **params):
    return ("model", name, None, params or None)


def base(name=BASE):
    return ("base", name, None, None)


LINEAR = "merge_method: linear\n" + models((A, "weight: 1"), (B, "weight: 2"))
LINEAR_IN = [model(A, weight=1), model(B, weight=2)]
TWO = models(A, B)  # lines 2 to 4 after a line with the method
FRAME = "base_model: r/base\n" + TWO


def linear(weight, rest=""):
    """One model with that weight beside it, another with 1."""
    return f"merge_method: linear\nmodels:\n- model: r/a\n  parameters:\n    weight: {weight}\n- model: r/b\n  parameters: {{weight: 1}}\n{rest}"


def weighed(value):
    return [model(A, weight=value), model(B, weight=1)]


ACCEPTED = {}


def ok(name, text, inputs, params={}, options={}, warnings=(), **query):
    assert name not in ACCEPTED
    ACCEPTED[name] = (text, query, inputs, params, options, list(warnings))


# ---- B2: the lines of the grammar -------------------------------------------------------------------------------------

ok("models", LINEAR, LINEAR_IN, {"normalize": True, "compat": "rules"}, {"seed": 0, "out_dtype": None, "shard_bytes": 5000000000})
ok("models without parameters", "merge_method: karcher\n" + TWO, [model(A), model(B)])
ok("dtype", LINEAR + "dtype: float16\n", LINEAR_IN, options={"out_dtype": "F16"})
ok("dtype: empty", LINEAR + "dtype: ''\n", LINEAR_IN, options={"out_dtype": None})
ok("a mark of UTF-8", "\ufeff" + LINEAR, LINEAR_IN)
ok("dtype of torch", LINEAR + "dtype: torch.bfloat16\n", LINEAR_IN, options={"out_dtype": "BF16"})
ok("out_dtype", LINEAR + "out_dtype: bfloat16\n", LINEAR_IN, options={"out_dtype": "BF16"})
ok("both dtypes", LINEAR + "dtype: float32\nout_dtype: float16\n", LINEAR_IN, options={"out_dtype": "F16"})
ok("nothings", LINEAR + "dtype: null\nbase_model: ~\ntokenizer: \nchat_template: null\nslices: ~\n", LINEAR_IN, options={"out_dtype": None})
ok("base_model", "merge_method: ties\n" + FRAME + "parameters: {weight: 1}\n", [base(), model(A, weight=1, density=1), model(B, weight=1, density=1)], {"normalize": True, "lambda": 1.0})
ok("base_model as donor", LINEAR + "base_model: r/c\n", [base(C), *LINEAR_IN])
ok("slices", "merge_method: passthrough\nslices:\n- sources: [{model: r/a, layer_range: [0, 3]}]\n- sources: [{model: r/b, layer_range: [1, 4]}]\n",
   [("model", A, [0, 3], {"scale": 1.0}), ("part", B, [1, 4], None)])
ok("residual_weight", "merge_method: passthrough\nslices:\n- sources: [{model: r/a, layer_range: [0, 3]}]\n  residual_weight: 0.5\n",
   [("model", A, [0, 3], {"scale": 1.0})], warnings=[("residual-weight-ignored", "#/slices/0/residual_weight")])
ok("modules: default", "merge_method: linear\nmodules:\n  default:\n    models: [{model: r/a}, {model: r/b}]\n    parameters: {weight: 2}\nparameters: {weight: 1, normalize: false}\n",
   [model(A, weight=2), model(B, weight=2)], {"normalize": False}, warnings=[("weights-sum-not-one", "#/modules/default/models")])
ok("modules: slices", "merge_method: linear\nmodules:\n  default:\n    slices:\n    - sources: [{model: r/a, layer_range: [0, 2]}]\nparameters: {weight: 1}\n", [("model", A, [0, 2], {"weight": 1})])
ok("flow style", '{"merge_method": "linear", "models": [{"model": "r/a", "parameters": {"weight": 1}}, {"model": "r/b", "parameters": {"weight": 2}}]}', LINEAR_IN)
ok("anchors", "merge_method: linear\nmodels:\n- {model: r/a, parameters: &p {weight: 3}}\n- {model: r/b, parameters: {<<: *p}}\n", [model(A, weight=3), model(B, weight=3)])
ok("comments and blocks", "# a\nmerge_method: >-\n  linear\nmodels: # b\n- model: |-\n    r/a\n  parameters: {weight: 1}\n- {model: 'r/b', parameters: {weight: 2}}\n", LINEAR_IN)
ok("int8_mask", LINEAR + "parameters: {int8_mask: true}\n", LINEAR_IN, warnings=[("int8-mask-ignored", "#/parameters/int8_mask")])
ok("density of task_arithmetic", "merge_method: task_arithmetic\n" + FRAME + "parameters: {weight: 1, density: 0.5}\n", [base(), model(A, weight=1), model(B, weight=1)],
   warnings=[("density-ignored", "#/parameters/density")])
ok("lenient", LINEAR + "foo: 1\nparameters: {wieght: 3}\n", LINEAR_IN, warnings=[("unknown-key", "#/foo"), ("unknown-parameter", "#/parameters/wieght")], lenient="true")

# ---- B3: every form of a setting --------------------------------------------------------------------------------------

for spelled, value in (("1", 1), ("-2", -2), ("+1.5", 1.5), (".5", 0.5), ("5.", 5), ("1e-4", 1e-4), ("1E+2", 100), ("'0.25'", 0.25), ('"1e-3"', 1e-3), ("yes", 1), ("off", 0), ("true", 1)):
    ok(f"number {spelled}", linear(spelled), weighed(value))
for spelled, value in (("0x10", 16), ("010", 8), ("0o17", 15), ("1_000", 1000), ("-0", 0)):
    ok(f"whole number {spelled}", linear(spelled), weighed(value))
ok("gradient", linear("[0.25, 1, 2]"), weighed([0.25, 1, 2]), warnings=[("gradient-edge", "#/models/0/parameters/weight")])
ok("gradient of one", linear("[3]"), weighed(3))
ok("filters", linear("[{filter: mlp, value: 2}, {filter: '*', value: 3}]"), weighed([{"filter": "mlp", "value": 2}, {"value": 3}]))
ok("filter with a gradient", linear("[{filter: self_attn, value: [0, 1]}, {value: 3}]"), weighed([{"filter": "self_attn", "value": [0, 1]}, {"value": 3}]))
ok("gradient for all", linear("[{filter: self_attn, value: 2}, {value: [1, 2]}]"), weighed([{"filter": "self_attn", "value": 2}, {"value": [1, 2]}]),
   warnings=[("gradient-edge", "#/models/0/parameters/weight/1")])
ok("bare_filter_mapping", linear("{filter: mlp, value: 2}", "parameters: {weight: 7}\n"), weighed([{"filter": "mlp", "value": 2}, {"value": 7}]))
ok("truth of flags", LINEAR + "parameters: {normalize: [{filter: mlp, value: 0}, {value: 1}]}\n", LINEAR_IN, {"normalize": [{"filter": "mlp", "value": False}, {"value": True}]})
ok("rescale as truth", "merge_method: dare_ties\n" + FRAME + "parameters: {weight: 1, rescale: false}\n", [base(), model(A, weight=1, density=1), model(B, weight=1, density=1)], {"rescale": "none"})
ok("post_layers_t", linear("[0.25, 1]"), weighed([0.25, 1]), options={"post_layers_t": 1.0}, post_layers_t="1")

# ---- B5: where a value comes from -------------------------------------------------------------------------------------

LEVELS = """merge_method: linear
modules:
  default:
    slices:
    - sources:
      - {model: r/a, layer_range: [0, 2], parameters: {weight: 1}}
      - {model: r/b, layer_range: [0, 2]}
      parameters: {weight: 2}
    - sources:
      - {model: r/a, layer_range: [2, 4]}
      - {model: r/b, layer_range: [2, 4]}
    parameters: {weight: %s}
parameters: {weight: 4, normalize: false}
"""


def levels(*of_a, of_b):
    def stack(name, entries):
        return [("model", name, [0, 2], {"weight": entries}), ("part", name, [2, 4], None)]

    return [*stack(A, list(of_a)), *stack(B, of_b)]


ok("five levels", LEVELS % 3, levels({"slice": 0, "value": 1}, {"slice": 0, "value": 2}, {"value": 3}, of_b=[{"slice": 0, "value": 2}, {"value": 3}]), {"normalize": False})
ok("a level that does not match", LEVELS % "{filter: mlp, value: 3}",
   levels({"slice": 0, "value": 1}, {"slice": 0, "value": 2}, {"filter": "mlp", "value": 3}, {"value": 4}, of_b=[{"slice": 0, "value": 2}, {"filter": "mlp", "value": 3}, {"value": 4}]))
ok("global for all", "merge_method: linear\n" + TWO + "parameters: {weight: 4}\n", [model(A, weight=4), model(B, weight=4)])
ok("global behind a model", "merge_method: linear\n" + models((A, "weight: 1"), B) + "parameters: {weight: 4}\n", [model(A, weight=1), model(B, weight=4)])
ok("global method parameter by slice", "merge_method: slerp\nbase_model: r/base\nslices:\n- sources: [{model: r/base, layer_range: [0, 2]}, {model: r/a, layer_range: [0, 2]}]\n  parameters: {t: 0.5}\n"
   "- sources: [{model: r/a, layer_range: [2, 4]}, {model: r/base, layer_range: [2, 4]}]\nparameters: {t: 0.1}\n",
   [("base", BASE, [0, 2], None), ("part", BASE, [2, 4], None), ("model", A, [0, 2], {}), ("part", A, [2, 4], None)], {"t": [{"slice": 0, "value": 0.5}, {"value": 0.1}]})
ok("defaults", "merge_method: della\n" + FRAME + "parameters: {weight: 1}\n", [base(), model(A, weight=1, density=1, epsilon=0.15), model(B, weight=1, density=1, epsilon=0.15)])

# ---- B6: references ---------------------------------------------------------------------------------------------------

for spelled, name in (("r/a@main", A), ("r/a@v1", "r/a@v1"), ("{model: {path: r/a}}", A), ("{model: {path: r/a, revision: v1}}", "r/a@v1"), ("{model: r/a@v1, lora: null}", "r/a@v1")):
    ok(f"reference {spelled}", "merge_method: linear\n" + models((spelled, "weight: 1"), (B, "weight: 2")), [model(name, weight=1), model(B, weight=2)])
ok("override_architecture", "merge_method: linear\n" + models(("{model: {path: r/a}, override_architecture: X}", "weight: 1"), (B, "weight: 2")), LINEAR_IN,
   warnings=[("override-architecture-ignored", "#/models/0/model/override_architecture")])
ok("a revision beside one that the path names", "merge_method: linear\n" + models(("{model: {path: r/a@v1, revision: main}}", "weight: 1"), (B, "weight: 2")), [model("r/a@v1", weight=1), model(B, weight=2)],
   warnings=[("revision-ignored", "#/models/0/model/model/revision")])

# ---- B8: slices -------------------------------------------------------------------------------------------------------

ok("a gradient in the first slice", "merge_method: slerp\nbase_model: r/base\n" + "slices:\n" + "".join(f"- sources: [{{model: r/base, layer_range: [{i}, {i + 2}]}}, {{model: r/a, layer_range: [{i}, {i + 2}]}}]\n  parameters: {{t: {t}}}\n" for i, t in ((0, [0, 1]), (2, 0.5))),
   [("base", BASE, [0, 2], None), ("part", BASE, [2, 4], None), ("model", A, [0, 2], {}), ("part", A, [2, 4], None)])
ok("a model in two modules", "merge_method: linear\nmodules:\n  model.embed_tokens: {models: [{model: r/a}]}\n  lm_head: {models: [{model: r/a}]}\nparameters: {weight: 1}\n", [model(A, weight=1), model(A, weight=1)],
   warnings=[("module-outside", None)])
ok("three sources", "merge_method: linear\nslices:\n- sources:\n" + "".join(f"  - {{model: {m}, layer_range: [{k}, {k + 2}]}}\n" for k, m in enumerate((A, B, C))) + "parameters: {weight: 1}\n",
   [("model", m, [k, k + 2], {"weight": 1}) for k, m in enumerate((A, B, C))])
ok("overlapping and repeated", "merge_method: passthrough\nslices:\n" + "".join(f"- sources: [{{model: r/a, layer_range: {r}}}]\n" for r in ([0, 3], [1, 4], [1, 4], [3, 4])),
   [("model", A, [0, 3], {"scale": 1.0})] + [("part", A, r, None) for r in ([1, 4], [1, 4], [3, 4])])
ok("base among the sources", "merge_method: ties\nbase_model: r/base\nslices:\n- sources: [{model: r/a, layer_range: [0, 2]}, {model: r/base, layer_range: [0, 2]}]\nparameters: {weight: 1}\n",
   [("base", BASE, [0, 2], None), ("model", A, [0, 2], {"weight": 1, "density": 1})])
ok("a base of each slice", "merge_method: ties\nslices:\n- base_model: r/base\n  sources: [{model: r/base, layer_range: [0, 2]}, {model: r/a, layer_range: [0, 2]}]\n"
   "- base_model: r/c\n  sources: [{model: r/a, layer_range: [2, 4]}, {model: r/c, layer_range: [1, 3]}]\nparameters: {weight: 1}\n",
   [("base", BASE, [0, 2], None), ("part", C, [1, 3], None), ("model", A, [0, 2], {"weight": 1, "density": 1}), ("part", A, [2, 4], None)])
ok("a base of one slice", "merge_method: ties\nbase_model: r/base\nslices:\n- sources: [{model: r/base, layer_range: [0, 2]}, {model: r/a, layer_range: [0, 2]}]\n"
   "- base_model: r/c\n  sources: [{model: r/a, layer_range: [2, 4]}, {model: r/c, layer_range: [1, 3]}]\nparameters: {weight: 1}\n",
   [("base", BASE, [0, 2], None), ("part", C, [1, 3], None), ("model", A, [0, 2], {"weight": 1, "density": 1}), ("part", A, [2, 4], None)])
ok("parameters beside the base of a slice", "merge_method: ties\nbase_model: r/base\nslices:\n- sources: [{model: r/a, layer_range: [0, 2]}, {model: r/base, layer_range: [0, 2], parameters: {weight: 3}}]\nparameters: {weight: 1}\n",
   [("base", BASE, [0, 2], None), ("model", A, [0, 2], {"weight": 1, "density": 1})], warnings=[("base-listed-as-input", "#/slices/0/sources/1/parameters")])
ok("twice in a slice", "merge_method: linear\nslices:\n- sources:\n  - {model: r/a, layer_range: [0, 2], parameters: {weight: 1}}\n  - {model: r/b, layer_range: [0, 2], parameters: {weight: 2}}\n"
   "  - {model: r/a, layer_range: [2, 4], parameters: {weight: 3}}\n", [("model", A, [2, 4], {"weight": [{"slice": 0, "value": 1}]}), ("model", B, [0, 2], {"weight": [{"slice": 0, "value": 2}]})],
   warnings=[("compat-effects", "#/slices/0/sources/2")])
ok("donor that no slice has", "merge_method: passthrough\nbase_model: r/base\nslices:\n- sources: [{model: r/a, layer_range: [0, 3]}]\n",
   [("model", A, [0, 3], {"scale": 1.0})], warnings=[("base-not-in-slice", "#/base_model")])

# ---- B10: base and donor ----------------------------------------------------------------------------------------------

ok("donor_order", "merge_method: linear\n" + models((B, "weight: 1"), (A, "weight: 2")), [model(B, weight=1), model(A, weight=2)])
ok("base listed", "merge_method: slerp\nbase_model: r/base\n" + models(BASE, A) + "parameters: {t: 0.5}\n", [base(), model(A)], {"t": 0.5})
ok("base listed with a weight", "merge_method: ties\nbase_model: r/base\n" + models((BASE, "weight: 3"), (A, "weight: 1")), [base(), model(A, weight=1, density=1)],
   warnings=[("base-listed-as-input", "#/models/0/parameters")])
ok("base of karcher", "merge_method: karcher\nbase_model: r/base\n" + TWO, [model(BASE), model(A), model(B)])
ok("linear_unlisted_base", LINEAR + "base_model: r/base\n", [base(), *LINEAR_IN])

# ---- B17: compat, and the same version twice --------------------------------------------------------------------------

ok("compat none", LINEAR, LINEAR_IN, {"compat": "none"}, compat="none")
ok("compat exact", LINEAR + "dtype: bfloat16\n", LINEAR_IN, {"compat": "exact", "compat_dtype": "bfloat16"}, compat="exact")
ok("compat where there is one way", "merge_method: passthrough\n" + models(A), [model(A, scale=1.0)], warnings=[("compat-ignored", "?compat")], compat="exact")
ok("twice", LINEAR + "- {model: r/a@main, parameters: {weight: 9}}\n", LINEAR_IN, warnings=[("compat-effects", "#/models/2")])
ok("weights that cancel in the frame", "merge_method: ties\nbase_model: r/base\n" + models((A, "weight: 1"), (B, "weight: -1")), [base(), model(A, weight=1, density=1), model(B, weight=-1, density=1)])

# ---- B20: warnings of plans (those of values are in tests of the methods) ---------------------------------------------

ok("t outside", "merge_method: slerp\nbase_model: r/base\n" + models(A) + "parameters: {t: [{filter: mlp, value: 1.5}, {value: 0}]}\n", [base(), model(A)], warnings=[("t-outside-unit", "#/parameters/t")])
ok("weights do not sum to one", LINEAR + "parameters: {normalize: no}\n", LINEAR_IN, {"normalize": False}, warnings=[("weights-sum-not-one", "#/models")])
ok("weights nearly cancel", "merge_method: linear\n" + models((A, "weight: 1"), (B, "weight: -1.01")), [model(A, weight=1), model(B, weight=-1.01)], warnings=[("small-divisor", "#/models")])
ok("identical inputs", "merge_method: karcher\n" + models(A, "r/copy"), [model(A), model("r/copy")], warnings=[("identical-inputs", "#/models/1/model")])
ok("input equals base", "merge_method: ties\nbase_model: r/copy\n" + models((B, "weight: 1"), (A, "weight: 1")), [base("r/copy"), model(B, weight=1, density=1), model(A, weight=1, density=1)],
   warnings=[("input-equals-base", "#/models/1/model")])

# ---- the query (B1, B16) ----------------------------------------------------------------------------------------------

ok("seed and shards", LINEAR, LINEAR_IN, options={"seed": 42, "shard_bytes": 2000000}, seed="42", shard_bytes="2M")
ok("policies", LINEAR, LINEAR_IN, {"nonfinite": "propagate", "overflow": "clamp"}, nonfinite="propagate", overflow="clamp")
ok("architectures mixed", "merge_method: linear\n" + models((A, "weight: 1"), ("r/other", "weight: 1")), [model(A, weight=1), model("r/other", weight=1)], allow_mixed_architectures="true")

# ---- the examples of mergekit, with our names -------------------------------------------------------------------------

ok("example: slerp", "slices:\n- sources:\n  - {model: r/base, layer_range: [0, 4]}\n  - {model: r/a, layer_range: [0, 4]}\nmerge_method: slerp\nbase_model: r/base\nparameters:\n  t:\n  - filter: self_attn\n    value: [0, 0.5, 0.3, 0.7, 1]\n"
   "  - filter: mlp\n    value: [1, 0.5, 0.7, 0.3, 0]\n  - value: 0.5\ndtype: float16\n",
   [("base", BASE, [0, 4], None), ("model", A, [0, 4], {})], {"t": [{"filter": "self_attn", "value": [0, 0.5, 0.3, 0.7, 1]}, {"filter": "mlp", "value": [1, 0.5, 0.7, 0.3, 0]}, {"value": 0.5}]}, {"out_dtype": "F16"})
ok("example: ties", "models:\n- model: r/a\n  parameters:\n    density: [1, 0.7, 0.1]\n    weight: 1.0\n- model: r/b\n  parameters:\n    density: 0.5\n    weight: [0, 0.3, 0.7, 1]\n- model: r/c\n  parameters:\n    density: 0.33\n    weight:\n"
   "    - filter: mlp\n      value: 0.5\n    - value: 0\nmerge_method: ties\nbase_model: r/base\nparameters:\n  normalize: true\n  int8_mask: true\ndtype: float16\n",
   [base(), model(A, density=[1, 0.7, 0.1], weight=1), model(B, density=0.5, weight=[0, 0.3, 0.7, 1]), model(C, density=0.33, weight=[{"filter": "mlp", "value": 0.5}, {"value": 0}])],
   {"normalize": True}, warnings=[("int8-mask-ignored", "#/parameters/int8_mask"), ("gradient-edge", "#/models/0/parameters/density"), ("gradient-edge", "#/models/1/parameters/weight")])
for example, extra, per, params in (
    ("dare_ties", "density: 0.53, weight: 0.4", {"density": 0.53, "weight": 0.4}, {"rescale": "l1", "consensus": "sum"}),
    ("dare_linear", "density: 0.53, weight: 0.4", {"density": 0.53, "weight": 0.4}, {"consensus": "none"}),
    ("della", "density: 0.66, weight: 0.4, epsilon: 0.05, lambda: 0.5", {"density": 0.66, "weight": 0.4, "epsilon": 0.05}, {"lambda": 0.5}),
    ("della_linear", "density: 0.66, weight: 0.4, epsilon: 0.05", {"density": 0.66, "weight": 0.4, "epsilon": 0.05}, {"consensus": "none"}),
    ("breadcrumbs", "density: 0.9, gamma: 0.01, weight: 0.5", {"density": 0.9, "gamma": 0.01, "weight": 0.5}, {}),
    ("breadcrumbs_ties", "density: 0.9, gamma: 0.01, weight: 0.5", {"density": 0.9, "gamma": 0.01, "weight": 0.5}, {"consensus": "sum"}),
    ("model_stock", "filter_wise: true", {}, {"filter_wise": True}),
    ("sce", "select_topk: 0.5", {}, {"select_topk": 0.5}),
    ("nuslerp", "weight: 0.5, nuslerp_row_wise: true", {"weight": 0.5}, {"nuslerp_row_wise": True}),
    ("multislerp", "weight: 0.5, eps: 1e-6", {"weight": 0.5}, {"eps": 1e-6}),
    ("ram", "epsilon: 1e-5", {}, {"epsilon": 1e-5}),
    ("ramplus_tl", "r: 0.05, alpha: 1.0", {}, {"r": 0.05, "alpha": 1.0}),
    ("task_arithmetic", "weight: 0.3", {"weight": 0.3}, {}),
):
    ok(f"example: {example}", f"merge_method: {example}\n" + FRAME + f"parameters: {{{extra}}}\n", [base(), model(A, **per), model(B, **per)], params)
ok("example: nearswap", "merge_method: nearswap\nbase_model: r/base\n" + models(A) + "parameters: {t: 0.0001}\n", [base(), model(A)], {"t": 0.0001})
ok("example: arcee_fusion", "merge_method: arcee_fusion\nbase_model: r/base\n" + models(A), [base(), model(A)])
ok("example: karcher", "merge_method: karcher\n" + TWO + "parameters: {max_iter: 5, tol: 1e-5}\n", [model(A), model(B)], {"max_iter": 5, "tol": 1e-5})
ok("example: frankenmerge with scale", "merge_method: passthrough\nslices:\n- sources: [{model: r/a, layer_range: [0, 2]}]\n- sources:\n  - model: r/b\n    layer_range: [1, 4]\n    parameters: {scale: [{filter: q_proj, value: 0.5}, {value: 1.0}]}\n",
   [("model", A, [0, 2], {"scale": [{"filter": "q_proj", "slice": 1, "value": 0.5}, {"slice": 1, "value": 1.0}, {"value": 1.0}]}), ("part", B, [1, 4], None)])

REFUSED = {}


def no(name, text, *faults, **query):
    assert name not in REFUSED
    REFUSED[name] = (text, query, list(faults))


# ---- B19: every reason that a configuration can give ------------------------------------------------------------------

no("yaml-syntax", "a: [1", ("invalid-request", "yaml-syntax", "#", None, "line 2, column 1"))
no("yaml-syntax: empty", "# nothing\n", ("invalid-request", "yaml-syntax", "#", None, "empty"))
no("yaml-syntax: tag", "merge_method: !!python/name:os.system x\n", ("invalid-request", "yaml-syntax", "#", None, "tags are not taken"))
no("yaml-syntax: alias", "a: &x [*x]\n", ("invalid-request", "yaml-syntax", "#", None, "alias"))
no("yaml-syntax: merge key", "<<: 3\n", ("invalid-request", "yaml-syntax", "#", None, "<< takes a mapping"))
no("yaml-syntax: control", "a: \x01\n", ("invalid-request", "yaml-syntax", "#", None, "control characters"))
no("yaml-limit: depth", "[" * 33 + "]" * 33, ("payload-too-large", "yaml-limit", "#", None, "depth of 32"))
no("yaml-limit: values", "- 1\n" * 20001, ("payload-too-large", "yaml-limit", "#", None, "20000 values"))
no("yaml-limit: documents", "--- 1\n" * 33, ("payload-too-large", "yaml-limit", "#", None, "32 documents"))
no("duplicate-key", "a: 1\nb: 2\na: 3\n", ("invalid-request", "duplicate-key", "#", None, "line 3, column 1: key a appears twice"))
no("unknown-key", LINEAR + "foo: 1\ndtypee: float16\n", ("unknown-member", "unknown-key", "#/foo", 5, "unknown key foo"), ("unknown-member", "unknown-key", "#/dtypee", 6, "did you mean dtype?"))
no("unknown-key: of every level", "merge_method: linear\nslices:\n- sources:\n  - {model: r/a, layer_rang: [0, 2], layer_range: [0, 2]}\n  - model: {model: {path: r/b, revison: v1}, lra: 1}\n    layer_range: [0, 2]\n  parametres: {}\nparameters: {weight: 1}\n",
   ("unknown-member", "unknown-key", "#/slices/0/sources/0/layer_rang", 4, "did you mean layer_range?"),
   ("unknown-member", "unknown-key", "#/slices/0/sources/1/model/model/revison", 5, "did you mean revision?"),
   ("unknown-member", "unknown-key", "#/slices/0/sources/1/model/lra", 5, "unknown key lra"),
   ("unknown-member", "unknown-key", "#/slices/0/parametres", 7, "did you mean parameters?"))
no("unknown-key: params", LINEAR + "params: {weight: 1}\n", ("unknown-member", "unknown-key", "#/params", 5, "unknown key params"))
no("unknown-key: of a setting", linear("[{filer: mlp, value: 2}, {value: 1, slice: 0}]"), ("unknown-member", "unknown-key", "#/models/0/parameters/weight/0/filer", 5, "did you mean filter?"),
   ("unknown-member", "unknown-key", "#/models/0/parameters/weight/1/slice", 5, "unknown key slice"))
no("unknown-key: no letter of ASCII", LINEAR + "größe: 1\n", ("unknown-member", "unknown-key", "#/gr%C3%B6%C3%9Fe", 5, "unknown key größe"))
no("unknown-key: a parameter", "merge_method: karcher\n" + TWO + "max_iter: 3\n", ("unknown-member", "unknown-key", "#/max_iter", 5, "put it below parameters"))
no("unknown-key: of a slice", "merge_method: passthrough\nslices:\n- models: [{model: r/a, layer_range: [0, 2]}]\n- sources: {model: r/a}\n", ("unknown-member", "unknown-key", "#/slices/0/models", 3, "unknown key models"),
   ("invalid-request", None, "#/slices/0", 3, "the key sources"), ("invalid-request", None, "#/slices/1/sources", 4, "a list of"), ("invalid-params", "input-count", "#/slices", 3, "got 0"))
no("unknown-key: a name without a chain", LINEAR + "name: x\n", ("unknown-member", "unknown-key", "#/name", 5, "unknown key name"))
no("modules: {default: models}", "merge_method: linear\nmodules: {default: models}\n", ("invalid-request", "one-of", "#/modules/default", 2, "exactly one of models and slices"))
for text in ("modules: {}", "modules: [1]"):
    no(text, "merge_method: linear\n" + text + "\n", ("invalid-request", None, "#/modules", 2, "{default: {models: ...}}"))
no("modules: empty", "merge_method: linear\nmodules: {default: {}}\n", ("invalid-request", "one-of", "#/modules/default", 2, "found: none"))
no("modules: both", "merge_method: linear\nmodules: {default: {models: [], slices: []}}\n", ("invalid-request", "one-of", "#/modules/default", 2, "found: models, slices"))
no("unknown-method", LINEAR.replace("linear", "lineer"), ("unknown-method", "unknown-method", "#/merge_method", 1, "did you mean linear?"))
no("merge_method missing", TWO, ("invalid-request", None, "#", 1, "merge_method is missing"))
no("merge_method no name", "merge_method: [linear]\n" + TWO, ("invalid-request", None, "#/merge_method", 1, "the name of a method"))
no("no mapping", "just text", ("invalid-request", None, "#", 1, "expected a configuration"))
no("one-of: none", "merge_method: linear\n", ("invalid-request", "one-of", "#", 1, "found: none"))
no("one-of: several", LINEAR + "slices: []\nmodules: {}\n", ("invalid-request", "one-of", "#", 1, "found: models, slices, modules"))
no("tokenizer-twice", LINEAR + "tokenizer: {source: union}\ntokenizer_source: union\n", ("invalid-request", "tokenizer-twice", "#/tokenizer", 5, "not both"),
   ("tokenizer-mismatch", "tokenizer-missing", "#/models/0/model", 3, "tokenizer.json"), ("tokenizer-mismatch", "tokenizer-missing", "#/models/1/model", 4, "tokenizer.json"))
no("unknown-parameter", LINEAR + "parameters: {wieght: 3, density: 1}\n", ("unknown-member", "unknown-parameter", "#/parameters/wieght", 5, "did you mean weight?"),
   ("unknown-member", "unknown-parameter", "#/parameters/density", 5, "linear has no parameter density; it takes: "))
no("template-unknown", LINEAR + "chat_template: chatlm\n", ("invalid-params", "template-unknown", "#/chat_template", 5, "did you mean chatml?"))
no("mergekit-moe", "base_model: r/a\ngate_mode: hidden\nexperts:\n- {source_model: r/b, positive_prompts: [x]}\n", ("invalid-request", "not-supported", "#", 1, "mergekit-moe"))
no("mergekit-evolve", "genome: {models: [r/a]}\ntasks: []\n", ("invalid-request", "not-supported", "#", 1, "mergekit-evolve"))
no("unknown-parameter: beside a model", "merge_method: linear\n" + models((A, "weight: 1, wight: 2"), (B, "weight: 1")), ("unknown-member", "unknown-parameter", "#/models/0/parameters/wight", 3, "did you mean weight?"))
no("parameter-missing", "merge_method: linear\n" + models((A, "weight: 1"), B),
   ("invalid-params", "parameter-missing", "#/models/1", 4, "set it at #/models/1/parameters/weight or once for all at #/parameters/weight"))
no("parameter-missing: of the method", "merge_method: slerp\nbase_model: r/base\n" + models(A), ("invalid-params", "parameter-missing", "#/parameters/t", 1, "slerp needs t; set it at #/parameters/t"))
no("parameter-missing: no filter matches", linear("{filter: mlp, value: 1}"),
   *[("invalid-params", "parameter-missing", "#/models/0/model", 3, f"weight for tensor {t}")
     for t in ("lm_head.weight", "model.embed_tokens.weight", "model.norm.weight", *(f"model.layers.{i}.self_attn.q_proj.weight" for i in range(4)))])
no("parameter-range", "merge_method: ties\n" + FRAME + "parameters: {weight: 1, density: 1.5}\n", ("invalid-params", "parameter-range", "#/parameters/density", 6, "density = 1.5 is outside [0, 1]"))
no("parameter-range: in a gradient", "merge_method: ties\n" + FRAME + "parameters: {weight: 1, density: [0.5, [1]]}\n", ("invalid-params", "setting-shape", "#/parameters/density/1", 6, "a list of numbers"))
no("parameter-range: in a filter", "merge_method: ties\n" + FRAME + "parameters: {weight: 1, density: [{filter: mlp, value: [1, 2]}, {value: 1}]}\n", ("invalid-params", "parameter-range", "#/parameters/density/0/value/1", 6, "density = 2 is outside [0, 1]"))
no("parameter-range: whole numbers", "merge_method: karcher\n" + TWO + "parameters: {max_iter: 1.5}\n", ("invalid-params", "parameter-range", "#/parameters/max_iter", 5, "whole number"))
no("setting-shape: text", linear("much"), ("invalid-params", "setting-shape", "#/models/0/parameters/weight", 5, "weight: expected a number, got a text"))
no("gradient_empty", linear("[]"), ("invalid-params", "setting-shape", "#/models/0/parameters/weight", 5, "a list of numbers"))
no("setting-shape: no value", linear("{filter: mlp}"), ("invalid-params", "setting-shape", "#/models/0/parameters/weight", 5, "value"))
no("setting-shape: parameters", "merge_method: karcher\n" + TWO + "parameters: [1]\n", ("invalid-request", "setting-shape", "#/parameters", 5, "parameters by name"))
no("base-required", "merge_method: ties\n" + TWO + "parameters: {weight: 1}\n", ("missing-input", "base-required", "#/base_model", 1, "ties needs base"))
no("base-required: of some slices", "merge_method: ties\nslices:\n- base_model: r/base\n  sources: [{model: r/base, layer_range: [0, 2]}, {model: r/a, layer_range: [0, 2]}]\n- sources: [{model: r/a, layer_range: [2, 4]}]\nparameters: {weight: 1}\n",
   ("missing-input", "base-required", "#/slices", 3, "1 of 2 slices have a base_model"))
no("base-forbidden", "merge_method: nuslerp\nbase_model: r/a\n" + TWO + "parameters: {weight: 1}\n", ("invalid-params", "base-forbidden", "#/base_model", 2, "must not be one of the merged models"))
no("input-count", "merge_method: nuslerp\n" + models(A, B, C) + "parameters: {weight: 1}\n", ("invalid-params", "input-count", "#/models", 3, "nuslerp takes exactly 2 models, got 3"))
no("input-count: none", "merge_method: linear\nmodels: []\n", ("invalid-params", "input-count", "#/models", 2, "at least 1 models, got 0"))
for bad in ("a/b@v1@v2", "@@@@@", "a/b+c/d+e/f", "a+b+c@d+e@f@g", "r/a@", "@v1"):
    no(f"ref-syntax: {bad}", "merge_method: linear\n" + models((f'"{bad}"', "weight: 1"), (B, "weight: 1")), ("invalid-params", "ref-syntax", "#/models/0/model", 3, f"{bad}: at most one '+' and one '@'"))
no("ref-syntax: no text", "merge_method: linear\nbase_model: {model: 3}\n" + models((A, "weight: 1"), ("[1]", "weight: 1")), ("invalid-request", "ref-syntax", "#/base_model", 2, "{model: {path, revision}"),
   ("invalid-request", "ref-syntax", "#/models/1/model", 5, "got a list"))
no("ref-syntax: a revision of digits", "merge_method: linear\n" + models(("{model: {path: r/a, revision: 1234567}}", "weight: 1"), (B, "weight: 1")), ("invalid-request", "ref-syntax", "#/models/0/model", 3, "in quotes"))
no("ref-syntax: empty", LINEAR + "base_model: ''\n", ("invalid-params", "ref-syntax", "#/base_model", 5, "names no model"))
no("ref-unknown", "merge_method: linear\n" + models(("r/aa", "weight: 1"), ("r/b@v9", "weight: 1")), ("not-found", "ref-unknown", "#/models/0/model", 3, "no model r/aa"), ("revision-not-found", "ref-unknown", "#/models/1/model", 4, "no revision v9"))
no("ref-unknown: of a later slice", "merge_method: passthrough\nslices:\n- sources: [{model: r/a, layer_range: [0, 9]}]\n- sources: [{model: r/nope, layer_range: [0, 2]}]\n",
   ("invalid-params", "layer-range", "#/slices/0/sources/0/model", 3, "layers 0..3, asked [0, 9)"), ("not-found", "ref-unknown", "#/slices/1/sources/0/model", 4, "no model r/nope"))
no("base of passthrough", "merge_method: passthrough\nbase_model: r/base\n" + models(A), ("invalid-params", "base-forbidden", "#/base_model", 2, "passthrough takes one model"))
for bad in ("./a", "/a/b", "~/a", "a", "a/b/c"):
    no(f"ref-not-a-model: {bad}", "merge_method: linear\n" + models((bad, "weight: 1"), (B, "weight: 1")), ("invalid-params", "ref-not-a-model", "#/models/0/model", 3, "amend merge FILE.yml"))
no("duplicate-input", LINEAR + "- {model: r/a@main, parameters: {weight: 9}}\n", ("invalid-params", "duplicate-input", "#/models/2/model", 5, "listed twice"), compat="none")
STACK = "merge_method: slerp\nbase_model: r/base\nslices:\n- sources: [{model: r/base, layer_range: [0, 2]}, {model: r/a, layer_range: %s}]\nparameters: {t: 0}\n"
no("layer-range", STACK % "[3, 5]", ("invalid-params", "layer-range", "#/slices/0/sources/1/model", 4, "r/a@v1 has layers 0..3, asked [3, 5)"))
no("layer-range: form", STACK % "[3]", ("invalid-params", "layer-range", "#/slices/0/sources/1/layer_range", 4, "two whole numbers"), ("invalid-params", "slice-lengths", "#/slices/0/sources/1/model", 4, "the same number of layers"))
no("slice-lengths: of whole models", "merge_method: linear\n" + models((A, "weight: 1"), ("r/five", "weight: 1")), ("invalid-params", "slice-lengths", "#/models/1/model", 4, "r/a@v1 has 4, r/five@v1 has 5"))
no("base-not-in-slice", (STACK % "[0, 2]").replace("base_model: r/base", "base_model: r/c"),
   ("invalid-params", "base-not-in-slice", "#/slices/0", 4, "slice 0 uses slerp but base_model r/c is not among its sources; add it with a layer_range"),
   ("invalid-params", "input-count", "#/slices", 4, "slerp takes exactly 1 models, got 2"))
no("slice-lengths", STACK % "[0, 3]", ("invalid-params", "slice-lengths", "#/slices/0/sources/1/model", 4, "the same number of layers"))
no("slices: forms", "merge_method: linear\nslices:\n- 3\n- sources: []\n- sources: [{model: r/a}]\n- sources: [{layer_range: [0, 1]}]\nparameters: {weight: 1}\n",
   ("invalid-request", None, "#/slices/0", 3, "the key sources"), ("invalid-request", None, "#/slices/1", 4, "the key sources"), ("invalid-request", None, "#/slices/2/sources/0/layer_range", 5, "layer_range is missing"),
   ("invalid-request", None, "#/slices/3/sources/0", 6, "model and layer_range"))
no("models: forms", "merge_method: linear\nmodels:\n- r/a\n- {parameters: {weight: 1}}\nparameters: {weight: 1}\n", ("invalid-request", None, "#/models/0", 3, "expected {model, parameters}"),
   ("invalid-request", None, "#/models/1", 4, "needs the key model"))
PARTS = "slices:\n" + "".join(f"- sources:\n  - {{model: r/base, layer_range: [{i}, {i + 2}]}}\n  - {{model: r/a, layer_range: [{i}, {i + 2}]}}\n  - {{model: r/b, layer_range: [{i}, {i + 2}]}}\n  parameters: {{%s}}\n" for i in (0, 2))
no("of which slice a value is", "merge_method: ties\nbase_model: r/base\n" + PARTS % ("density: 5, lambda: [{filter: mlp, value: x}, {value: 1}]", "lambda: 1, densty: 1") + "parameters: {weight: 1, lambda: [1, y], densty: 2}\n",
   ("invalid-params", "parameter-range", "#/slices/0/parameters/density", 8, "density = 5"), ("invalid-params", "setting-shape", "#/slices/0/parameters/lambda/0/value", 8, "got a text"),
   ("unknown-member", "unknown-parameter", "#/slices/1/parameters/densty", 13, "did you mean density?"), ("unknown-member", "unknown-parameter", "#/parameters/densty", 14, "did you mean density?"),
   ("invalid-params", "setting-shape", "#/parameters/lambda/1", 14, "got a text"))
no("of which module a value is", "merge_method: slerp\nbase_model: r/base\nmodules:\n  model.embed_tokens:\n    models: [{model: r/a}]\n    parameters: {t: [{filter: x, value: q}]}\n  model.norm:\n    models: [{model: r/b}]\n    parameters: {t: 0.5}\nparameters: {t: z}\n",
   ("invalid-params", "setting-shape", "#/modules/model.embed_tokens/parameters/t/0/value", 6, "got a text"), ("invalid-params", "setting-shape", "#/parameters/t", 10, "got a text"))
no("of which model a value is", "merge_method: karcher\nbase_model: r/base\n" + models(A, "r/nope"), ("not-found", "ref-unknown", "#/models/1/model", 5, "no model r/nope"))
no("one value for all, by slice", "merge_method: dare_ties\nbase_model: r/base\nslices:\n- sources: [{model: r/base, layer_range: [0, 2]}, {model: r/a, layer_range: [0, 2]}]\n  parameters: {rescale: false}\nparameters: {weight: 1}\n",
   ("invalid-params", "setting-shape", "#/slices/0/parameters/rescale", 5, "one value for all slices"))
no("architecture", "merge_method: linear\n" + models((A, "weight: 1"), ("r/other", "weight: 1")), ("architecture-mismatch", "architecture", "#/models/1/model", 4, "allow_mixed_architectures"))
for reason, other, tensor, part in (("tensor-extra", "r/more", "extra.weight", "but not in r/a@v1"), ("tensor-missing", "r/less", "model.norm.weight", "but not in r/less@v1"),
                                    ("shape", "r/wide", "model.norm.weight", "[3]")):
    no(reason, "merge_method: linear\n" + models((A, "weight: 1"), (other, "weight: 1")), ("shape-mismatch", reason, "#/models/1/model", 4, part), compat="none")
no("slices-need-modules", "merge_method: passthrough\nslices:\n- sources: [{model: r/two, layer_range: [0, 1]}]\n", ("invalid-params", "slices-need-modules", "#/slices/0/sources/0/model", 3, "modules"))
no("quantised-tensor", "merge_method: linear\n" + models((A, "weight: 1"), ("r/quant", "weight: 1")), ("dtype-unsupported", "quantised-tensor", "#/models/1/model", 4, "model.norm.weight"))
no("dtype", LINEAR + "dtype: int64\n", ("dtype-unsupported", "dtype", "#/dtype", 5, "dtype int64 cannot be merged"))
no("dtype: no text", LINEAR + "out_dtype: 3\n", ("invalid-request", "dtype", "#/out_dtype", 5, "got a number"))
no("weights-sum-zero", "merge_method: linear\n" + models((A, "weight: 1"), (B, "weight: -1")), ("invalid-params", "weights-sum-zero", "#/models", 3, "sum to zero"))
no("weights-sum-zero: compat none", "merge_method: ties\nbase_model: r/base\n" + models((A, "weight: 1"), (B, "weight: -1")), ("invalid-params", "weights-sum-zero", "#/models", 4, "sum to zero"), compat="none")
no("epsilon-range", "merge_method: della\n" + FRAME + "parameters: {weight: 1, density: 0.9, epsilon: 0.15}\n", *[("invalid-params", "epsilon-range", f"#/models/{i}/parameters/epsilon", 4 + i, "must be below 0.1") for i in (0, 1)])
no("della epsilon 1.35 refused", "merge_method: della\n" + FRAME + "parameters: {weight: 1, density: 0.66, epsilon: 1.35}\n", ("invalid-params", "parameter-range", "#/parameters/epsilon", 6, "epsilon = 1.35"))
no("robust-requirement", "merge_method: krum\nbase_model: r/base\n" + models(A, B, C) + "parameters: {f: 1}\n", ("invalid-params", "robust-requirement", "#/parameters/f", 7, "krum with f = 1 needs at least"))
no("several at once", "merge_method: ties\nmodels:\n- {model: r/aa, parameters: {weight: x}}\n- {model: ./b}\ndtype: int8\nfoo: 1\nparameters: {density: 2}\n",
   ("not-found", "ref-unknown", "#/models/0/model", 3, "no model r/aa"), ("invalid-params", "setting-shape", "#/models/0/parameters/weight", 3, "expected a number"),
   ("invalid-params", "ref-not-a-model", "#/models/1/model", 4, "is a path"), ("invalid-params", "parameter-missing", "#/models/1", 4, "weight"), ("dtype-unsupported", "dtype", "#/dtype", 5, "int8"),
   ("unknown-member", "unknown-key", "#/foo", 6, "unknown key foo"), ("invalid-params", "parameter-range", "#/parameters/density", 7, "density = 2"), ("missing-input", "base-required", "#/base_model", 1, "ties needs base"))
no("query: lenient", LINEAR, ("invalid-request", None, "?lenient", None, "true or false"), lenient="yes")
no("query", LINEAR, *[("invalid-request", None, f"?{name}", None, "") for name in ("compat",)], compat="some")
no("compat exact without a dtype", LINEAR, ("invalid-params", None, "?compat", None, "give dtype"), compat="exact")
