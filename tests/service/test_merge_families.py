"""Merges of models that are not alike: tensors that some lack, tied heads, modules, layers of known families. Expected
values are NumPy's, from the definitions (reference.py)."""

import json

import numpy as np
import pytest

import reference as ref
from harness import merge, problem
from test_mergekit_yaml import post, run as run_yaml

COUNT = iter(range(1000))


@pytest.fixture(scope="module")
def made(client, roots):
    """made({name: numbers}, config=...) registers a model of F32 tensors and gives its name and the tensors."""

    def make(tensors, dtype="F32", config=None, **kw):
        name = f"f/m{next(COUNT)}"
        packed = {n: v if hasattr(v, "dtype") and isinstance(getattr(v, "data", None), bytes) else ref.tensor(dtype, v) for n, v in tensors.items()}
        client.register(ref.write(roots / name.replace("/", "-"), packed, config=config, **kw), name)
        return name

    return make


def draw(seed, names, shape=(6, 5)):
    rng = np.random.default_rng(seed)
    return {n: rng.standard_normal(shape).astype(np.float32) for n in names}


def numbers(client, version):
    return {n: ref.load(t) for n, t in client.weights(version).items()}


def warnings(client, body):
    answer = client.post("/v1/plans", body)
    assert answer.status_code == 200, answer.text
    return {w["code"]: w["detail"] for w in answer.json()["warnings"]}


# ---- tensors that not all have ----------------------------------------------------------------------------------------

ALL, SOME, ONE = "layers.0.w.weight", "layers.0.bias.weight", "layers.1.extra.weight"


@pytest.fixture(scope="module")
def uneven(made):
    """Three models and a base: the second model lacks SOME and ONE, the third lacks ONE."""
    base, a, b, c = (draw(i, [ALL, SOME, ONE]) for i in range(4))
    b = {ALL: b[ALL]}
    c = {n: c[n] for n in (ALL, SOME)}
    return [(made(m), m) for m in (base, a, b, c)]


def test_missing_is_refused_by_default(client, uneven):
    (_, _), (a, _), (b, _), (c, _) = uneven
    answer = client.post("/v1/jobs", merge("linear", [(a, {"weight": 1}), (b, {"weight": 1}), (c, {"weight": 1})], "f/no"))
    errors = problem(answer, 422, "shape-mismatch")["errors"]
    assert [(e["pointer"], e["reason"], e["tensor"]) for e in errors] == [
        ("#/inputs/models/1/version", "tensor-missing", SOME),
        ("#/inputs/models/1/version", "tensor-missing", ONE),
        ("#/inputs/models/2/version", "tensor-missing", ONE),
    ]
    assert all(e["detail"].endswith("choose options.missing: present or base") for e in errors)


@pytest.mark.parametrize("threads", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_present_merges_what_is_there(client, uneven, threads):
    """Each with its own weight, also when that comes from a filter."""
    _, (a, x), (b, y), (c, z) = uneven
    weights = [0.5, 2.0, {"filter": "bias", "value": 3.0}]
    body = merge("linear", [(v, {"weight": [w, {"value": 1.5}] if isinstance(w, dict) else w}) for v, w in zip((a, b, c), weights)], "f/out", missing="present", threads=threads)
    told = warnings(client, body)
    assert SOME in told["tensor-missing"] or ONE in told["tensor-missing"]
    got = numbers(client, client.run(body))
    want = {
        ALL: ref.linear([x[ALL], y[ALL], z[ALL]], [0.5, 2.0, 1.5]),
        SOME: ref.linear([x[SOME], z[SOME]], [0.5, 3.0]),
        ONE: x[ONE],
    }
    assert got.keys() == want.keys()
    for n, v in want.items():
        np.testing.assert_array_equal(got[n], v, n)


def test_present_beside_a_base(client, uneven):
    """One model is enough where a base is beside it, and the report says which."""
    (base, p), (a, x), (b, y), (c, z) = uneven
    body = merge("task_arithmetic", [(v, {"weight": w}) for v, w in zip((a, b, c), (0.5, 2.0, 0.25))], "f/out", base, {"lambda": 0.5}, missing="present")
    version = client.run(body)
    got = numbers(client, version)
    np.testing.assert_array_equal(got[ALL], ref.task_arithmetic(p[ALL], [x[ALL], y[ALL], z[ALL]], [0.5, 2.0, 0.25], 0.5))
    np.testing.assert_array_equal(got[SOME], ref.task_arithmetic(p[SOME], [x[SOME], z[SOME]], [0.5, 0.25], 0.5))
    np.testing.assert_array_equal(got[ONE], ref.task_arithmetic(p[ONE], [x[ONE]], [0.5], 0.5))
    version = client.run({**body, "method": "ties", "params": {}})
    np.testing.assert_allclose(numbers(client, version)[ONE], x[ONE], rtol=1e-5, atol=1e-6)
    report = client.report(version)["tensors"]
    assert report[SOME]["merged_from"] == [0, 2] and len(report[SOME]["kept"]) == 2
    assert "merged_from" not in report[ALL] and len(report[ALL]["kept"]) == 3


@pytest.mark.slow
def test_missing_base_passes_on(client, uneven):
    (base, p), (a, x), (b, y), (c, z) = uneven
    got = numbers(client, client.run(merge("task_arithmetic", [(v, {"weight": 0.5}) for v in (a, b, c)], "f/out", base, missing="base")))
    np.testing.assert_array_equal(got[ALL], ref.task_arithmetic(p[ALL], [x[ALL], y[ALL], z[ALL]], [0.5] * 3))
    for n in (SOME, ONE):
        np.testing.assert_array_equal(got[n], p[n], n)


def test_passed_on_in_the_dtype_of_the_result(client, uneven):
    _, (a, x), (b, y), _ = uneven
    got = client.weights(client.run(merge("slerp", [(b, None)], "f/out", a, {"t": 0.5}, missing="present", out_dtype="BF16")))
    assert {t.dtype for t in got.values()} == {"BF16"}
    for n in (SOME, ONE):
        assert got[n] == ref.store("BF16", x[n]), n


@pytest.mark.slow
def test_what_a_method_cannot_do_with_few_is_passed_on(client, uneven):
    """trimmed_mean with f = 1 takes three; consensus speaks of tasks by their number."""
    (base, p), (a, x), (b, y), (c, z) = uneven
    models = [(v, None) for v in (a, b, c)]
    got = numbers(client, client.run(merge("trimmed_mean", models, "f/out", base, {"f": 1}, missing="present")))
    np.testing.assert_allclose(got[ALL], np.median([x[ALL], y[ALL], z[ALL]], axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(got[SOME], p[SOME])
    got = numbers(client, client.run(merge("emr", models, "f/out", base, {"task": 2}, missing="present")))
    np.testing.assert_array_equal(got[SOME], p[SOME])


def test_extra_tensor_dropped(client, uneven):
    """What the donor lacks: refused, or left out and told (E9)."""
    _, (a, x), (b, y), _ = uneven
    body = merge("linear", [(b, {"weight": 1}), (a, {"weight": 3})], "f/out")
    errors = problem(client.post("/v1/jobs", body), 422, "shape-mismatch")["errors"]
    assert [(e["reason"], e["tensor"]) for e in errors] == [("tensor-extra", SOME), ("tensor-extra", ONE)]
    assert errors[0]["detail"].endswith("choose options.extra: keep or drop")
    body["options"]["extra"] = "drop"
    told = warnings(client, body)
    assert SOME in told["tensor-extra"] and ONE in told["tensor-extra"]
    version = client.run(body)
    assert numbers(client, version).keys() == {ALL}
    assert json.loads(client.download(version, "amend.json"))["options"]["extra"] == "drop"


def test_extra_keep(client, uneven):
    """What the donor lacks is merged from those that have it, or passed on from the first that does."""
    _, (a, x), (b, y), (c, z) = uneven
    models = [(v, {"weight": w}) for v, w in zip((b, a, c), (1.0, 2.0, 0.5))]
    got = numbers(client, client.run(merge("linear", models, "f/out", extra="keep")))
    assert got.keys() == {ALL, SOME, ONE}
    np.testing.assert_array_equal(got[ALL], ref.linear([y[ALL], x[ALL], z[ALL]], [1.0, 2.0, 0.5]))
    for n in (SOME, ONE):
        np.testing.assert_array_equal(got[n], x[n])
    got = numbers(client, client.run(merge("linear", models, "f/out", extra="keep", missing="present")))
    np.testing.assert_array_equal(got[SOME], ref.linear([x[SOME], z[SOME]], [2.0, 0.5]))
    np.testing.assert_array_equal(got[ONE], x[ONE])


@pytest.mark.slow
def test_extra_keep_in_shards(client, made):
    """The result is laid out as it was planned, whoever gave its tensors."""
    names = [f"layers.{i}.w.weight" for i in range(4)]
    x, y = draw(11, names[:2], (40, 30)), draw(12, names, (40, 30))
    body = merge("linear", [(made(x), {"weight": 1}), (made(y, shards=2), {"weight": 1})], "f/out", extra="keep", shard_bytes=10000)
    answer = client.post("/v1/plans", body).json()
    version = client.run(body)
    files = {p: f for p, f in client.files(version).items() if p.endswith(".safetensors")}
    assert {f["path"]: f["bytes"] for f in answer["output"]["files"]} == {p: f["size"] if "size" in f else f["bytes"] for p, f in files.items()}
    got = numbers(client, version)
    assert set(got) == set(names)
    np.testing.assert_array_equal(got[names[3]], y[names[3]])
    np.testing.assert_array_equal(got[names[0]], ref.linear([x[names[0]], y[names[0]]], [1, 1]))


# ---- tied heads -------------------------------------------------------------------------------------------------------

EMBED, HEAD, LAYER = "model.embed_tokens.weight", "lm_head.weight", "model.layers.0.w.weight"
TIED = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "tie_word_embeddings": True, "num_hidden_layers": 1}


@pytest.mark.parametrize("first, yaml", [("tied", False), *[pytest.param(*p, marks=pytest.mark.slow) for p in (("own", False), ("tied", True), ("own", True))]])
def test_tied_head_flag(client, made, first, yaml):
    """The embedding of a tied model is merged as its head, and the config of the result says that there is one (E9)."""
    x, y = draw(21, [EMBED, LAYER]), draw(22, [EMBED, LAYER, HEAD])
    tied, own = made(x, config=TIED), made(y, config={**TIED, "tie_word_embeddings": False})
    order = [(tied, x), (own, y)] if first == "tied" else [(own, y), (tied, x)]
    want = {n: ref.linear([m.get(n, x[EMBED]) for _, m in order], [1, 3]) for n in (EMBED, LAYER, HEAD)}
    if yaml:
        text = "merge_method: linear\nmodels:\n" + "".join(f"- {{model: {v}, parameters: {{weight: {w}}}}}\n" for (v, _), w in zip(order, (1, 3)))
        job, version = run_yaml(client, text, model="f/out")
    else:
        body = merge("linear", [(v, {"weight": w}) for (v, _), w in zip(order, (1, 3))], "f/out")
        assert tied.split("/")[1] in warnings(client, body)["tied-head"]
        version = client.run(body)
    got = numbers(client, version)
    assert got.keys() == want.keys()
    for n in want:
        np.testing.assert_array_equal(got[n], want[n], n)
    assert json.loads(client.download(version, "config.json")) == {**TIED, "tie_word_embeddings": False}


@pytest.mark.slow
def test_tied_everywhere_stays_tied(client, made):
    x, y = draw(23, [EMBED, LAYER]), draw(24, [EMBED, LAYER])
    version = client.run(merge("linear", [(made(x, config=TIED), {"weight": 1}), (made(y, config=TIED), {"weight": 1})], "f/out"))
    assert numbers(client, version).keys() == {EMBED, LAYER}
    assert json.loads(client.download(version, "config.json")) == TIED


@pytest.mark.slow
def test_the_flag_is_written_where_there_is_none(client, made):
    """GPT-2's config does not say that its head is tied."""
    names = ["transformer.wte.weight", "transformer.h.0.ln_1.weight"]
    x, y = draw(25, names), draw(26, names + [HEAD])
    config = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_layer": 1}
    version = client.run(merge("linear", [(made(x, config=config), {"weight": 1}), (made(y, config=config), {"weight": 1})], "f/out"))
    np.testing.assert_array_equal(numbers(client, version)[HEAD], ref.linear([x[names[0]], y[HEAD]], [1, 1]))
    assert json.loads(client.download(version, "config.json")) == {**config, "tie_word_embeddings": False}


def test_buffers_are_the_donors(client, made):
    """What is computed anew is copied, and may be missing."""
    rope = "model.layers.0.self_attn.rotary_emb.inv_freq"
    x, y = draw(27, [LAYER, rope]), draw(28, [LAYER, rope])
    z = draw(29, [LAYER])
    models = [(made(m), {"weight": 1}) for m in (x, y, z)]
    got = numbers(client, client.run(merge("linear", models, "f/out")))
    np.testing.assert_array_equal(got[rope], x[rope])
    got = numbers(client, client.run(merge("linear", models[::-1], "f/out")))
    assert got.keys() == {LAYER}


# ---- modules ----------------------------------------------------------------------------------------------------------

VISION = [f"vision_tower.vision_model.encoder.layers.{i}.w.weight" for i in range(2)]
TEXT = [f"language_model.model.layers.{i}.w.weight" for i in range(3)] + ["language_model.model.norm.weight"]
OTHER = "multi_modal_projector.linear.weight"
VLM = {"model_type": "llava", "architectures": ["LlavaForConditionalGeneration"], "text_config": {"num_hidden_layers": 3, "layer_types": ["a", "b", "c"]}, "vision_config": {"num_hidden_layers": 2}}


@pytest.fixture(scope="module")
def vlm(made):
    models = [draw(40 + i, VISION + TEXT + [OTHER]) for i in range(3)]
    return [(made(m, config=VLM), m) for m in models]


def test_modules(client, vlm):
    """Each module has models and parameters of its own; what is in none is passed on, and told."""
    (a, x), (b, y), (c, z) = vlm
    text = (
        f"merge_method: linear\nbase_model: {a}\nmodules:\n"
        f"  vision:\n    models:\n    - {{model: {a}, parameters: {{weight: 1}}}}\n    - {{model: {b}}}\n    parameters: {{weight: 3}}\n"
        f"  language_model:\n    models:\n    - {{model: {c}, parameters: {{weight: [{{filter: norm, value: 4}}, {{value: 2}}]}}}}\n    - {{model: {a}, parameters: {{weight: 1}}}}\n    parameters: {{normalize: false}}\n"
        "parameters: {normalize: true}\n"
    )
    job, version = run_yaml(client, text, model="f/vlm")
    told = {w["code"]: w["detail"] for w in job["warnings"]}
    assert OTHER in told["module-outside"]
    got = numbers(client, version)
    for n in VISION:
        np.testing.assert_array_equal(got[n], ref.linear([x[n], y[n]], [1, 3]), n)
    for n in TEXT:
        np.testing.assert_array_equal(got[n], ref.linear([z[n], x[n]], [4 if "norm" in n else 2, 1], normalize=False), n)
    np.testing.assert_array_equal(got[OTHER], x[OTHER])
    assert "tensor-missing" not in told
    again = client.wait(client.ok(f"/v1/jobs/{job['id']}") and client.post(f"/v1/jobs/{job['id']}/rerun").json()["id"])
    assert again["status"] == "succeeded", again["error"]


@pytest.mark.slow
def test_modules_in_json(client, vlm):
    (a, x), (b, y), (c, z) = vlm
    body = merge("slerp", [], "f/vlm", a, {"t": [{"module": ["vision_tower."], "value": 0}, {"value": 1}]})
    body["inputs"]["models"] = [{"version": b, "modules": ["vision_tower."]}, {"version": c, "modules": ["language_model."]}]
    got = numbers(client, client.run(body))
    for n in VISION:
        np.testing.assert_allclose(got[n], x[n], rtol=1e-5, atol=1e-6)
    for n in TEXT:
        np.testing.assert_allclose(got[n], z[n], rtol=1e-5, atol=1e-6)


def test_slices_in_a_module(client, vlm):
    """Layers are stacked in the language model alone; its own object of the config counts them."""
    (a, x), (b, y), (c, z) = vlm
    text = (
        "merge_method: passthrough\nmodules:\n"
        f"  vision:\n    models:\n    - model: {b}\n"
        f"  text:\n    slices:\n    - sources: [{{model: {a}, layer_range: [0, 2]}}]\n    - sources: [{{model: {c}, layer_range: [1, 3]}}]\n"
    )
    job, version = run_yaml(client, text, model="f/vlm")
    got = numbers(client, version)
    layer = "language_model.model.layers.{}.w.weight".format
    want = {layer(0): x[layer(0)], layer(1): x[layer(1)], layer(2): z[layer(1)], layer(3): z[layer(2)], TEXT[3]: z[TEXT[3]], OTHER: x[OTHER], **{n: y[n] for n in VISION}}
    assert got.keys() == want.keys()
    for n in want:
        np.testing.assert_array_equal(got[n], want[n], n)
    config = json.loads(client.download(version, "config.json"))
    assert config == {**VLM, "text_config": {"num_hidden_layers": 4, "layer_types": ["a", "b", "b", "c"]}}


def test_modules_refused(client, vlm):
    (a, _), (b, _), _ = vlm
    models = f"models: [{{model: {a}, parameters: {{weight: 1}}}}, {{model: {b}, parameters: {{weight: 1}}}}]"
    answer = post(client, f"merge_method: linear\nmodules:\n  audio: {{{models}}}\n")
    errors = problem(answer, 422, "invalid-params")["errors"]
    assert {(e["pointer"], e["reason"]) for e in errors} == {(f"#/modules/audio/models/{i}/model", "module-unknown") for i in (0, 1)}
    assert "no tensor starts with audio.; present: language_model., multi_modal_projector., vision_tower." in errors[0]["detail"]
    answer = post(client, f"merge_method: passthrough\nslices:\n- sources: [{{model: {a}, layer_range: [0, 1]}}]\n")
    assert problem(answer, 422, "invalid-params")["errors"][0]["reason"] == "slices-need-modules"
    part = {"version": a, "layers": [0, 1]}
    body = merge("linear", [], "f/vlm", params={"weight": 1}, missing="present")
    body["inputs"]["models"] = [{"stack": [part, {**part, "use": "none"}], "modules": ["language_model."]}, {"stack": [{**part, "use": "some"}, part], "modules": ["language_model."]}]
    errors = problem(client.post("/v1/jobs", body), 422, "invalid-params")["errors"]
    assert {(e["pointer"], e.get("reason")) for e in errors} >= {("#/inputs/models/0/stack/1/version", "slice-lengths"), ("#/inputs/models/1/stack/0/use", None)}
    answer = post(client, "merge_method: linear\nmodules:\n  vision: {parameters: {}}\n  text: 3\n")
    errors = problem(answer, 400, "invalid-request")["errors"]
    assert [(e["pointer"], e["reason"]) for e in errors if e["code"] == "invalid-request"][:2] == [("#/modules/vision", "one-of"), ("#/modules/text", "one-of")]
    answer = post(client, f"merge_method: slerp\nbase_model: {a}\nparameters: {{t: 0.5}}\nmodules:\n  vision: {{models: [{{model: {a}}}, {{model: {b}}}, {{model: f/none}}]}}\n")
    assert "input-count" in {e.get("reason") for e in problem(answer, 422, "invalid-params")["errors"]}


# ---- config.json of the inputs ----------------------------------------------------------------------------------------


def test_config_differs(client, made):
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "rope_theta": 10000.0, "hidden_size": 8, "_name_or_path": "a", "torch_dtype": "float32", "temperature": 1}
    x = draw(60, [LAYER])
    a = made(x, config=config)
    b = made(x, config={**config, "_name_or_path": "b", "torch_dtype": "bfloat16", "temperature": 0.5, "extra": 1, "rope_theta": 10000})
    c = made(x, config={**config, "hidden_act": "gelu", "rope_theta": 500000.0, "rope_scaling": {"type": "linear"}})
    d = made(x, config={**config, "model_type": "mistral"})
    pair = lambda *v, **o: merge("linear", [(i, {"weight": 1}) for i in v], "f/out", **o)
    assert "config-differs" not in warnings(client, pair(a, b))
    detail = warnings(client, pair(a, c))["config-differs"]
    assert a.split("/")[1] in detail and c.split("/")[1] in detail and detail.endswith("in: hidden_act, rope_theta, rope_scaling")
    errors = problem(client.post("/v1/jobs", pair(a, d)), 422, "architecture-mismatch")["errors"]
    assert [(e["pointer"], e["reason"]) for e in errors] == [("#/inputs/models/1/version", "architecture")]
    assert client.post("/v1/plans", pair(a, d, allow_mixed_architectures=True)).json()["ok"]


# ---- families ---------------------------------------------------------------------------------------------------------

# name: (config, prefix of the layers, the key that counts them, other tensors before and after, a tensor in a layer)
FAMILIES = {
    "llama": ("num_hidden_layers", "model.layers", ["model.embed_tokens.weight"], ["model.norm.weight", "lm_head.weight"], "self_attn.q_proj.weight", []),
    "mistral": ("num_hidden_layers", "model.layers", ["model.embed_tokens.weight"], ["model.norm.weight", "lm_head.weight"], "mlp.up_proj.weight", []),
    "qwen2": ("num_hidden_layers", "model.layers", ["model.embed_tokens.weight"], ["model.norm.weight"], "mlp.up_proj.weight", ["layer_types"]),
    "qwen3": ("num_hidden_layers", "model.layers", ["model.embed_tokens.weight"], ["model.norm.weight"], "self_attn.q_norm.weight", ["layer_types"]),
    "gemma2": ("num_hidden_layers", "model.layers", ["model.embed_tokens.weight"], ["model.norm.weight"], "post_feedforward_layernorm.weight", ["layer_types"]),
    "gemma3_text": ("num_hidden_layers", "model.layers", ["model.embed_tokens.weight"], ["model.norm.weight"], "mlp.up_proj.weight", ["layer_types"]),
    "phi3": ("num_hidden_layers", "model.layers", ["model.embed_tokens.weight"], ["model.norm.weight", "lm_head.weight"], "self_attn.qkv_proj.weight", []),
    "mixtral": ("num_hidden_layers", "model.layers", ["model.embed_tokens.weight"], ["model.norm.weight", "lm_head.weight"], "block_sparse_moe.experts.1.w1.weight", []),
    "gpt2": ("n_layer", "transformer.h", ["transformer.wte.weight", "transformer.wpe.weight"], ["transformer.ln_f.weight"], "attn.c_attn.weight", []),
    "bert": ("num_hidden_layers", "bert.encoder.layer", ["bert.embeddings.word_embeddings.weight", "bert.embeddings.LayerNorm.weight"], ["bert.pooler.dense.weight"], "attention.self.query.weight", []),
    "roberta": ("num_hidden_layers", "roberta.encoder.layer", ["roberta.embeddings.word_embeddings.weight"], ["lm_head.dense.weight"], "output.dense.weight", []),
    "vit": ("num_hidden_layers", "vit.encoder.layer", ["vit.embeddings.cls_token"], ["vit.layernorm.weight", "classifier.weight"], "attention.attention.query.weight", []),
    "t5": ("num_layers", "encoder.block", ["shared.weight", "encoder.embed_tokens.weight"], ["encoder.final_layer_norm.weight"], "layer.1.DenseReluDense.wi.weight", []),
}


@pytest.mark.parametrize("family", [f if f in ("gpt2", "t5") else pytest.param(f, marks=pytest.mark.slow) for f in FAMILIES])
def test_families(client, made, family):
    """A stack of layers 0, 1, 1, 2 with a value over the depth: names, numbers of the config, what lies before and after."""
    count, path, before, after, part, lists = FAMILIES[family]
    layer = lambda i: f"{path}.{i}.{part}"
    names = before + after + [layer(i) for i in range(3)]
    x, y = draw(70, names), draw(71, names)
    config = {"model_type": family, "vocab_size": 3, "eos_token_id": [1, 2, 3], count: 3, **{k: ["p", "q", "r"] for k in lists}}
    if family == "t5":
        config["num_decoder_layers"] = 7
    a, b = made(x, config=config), made(y, config=config)
    text = (
        f"merge_method: linear\nslices:\n"
        f"- sources:\n  - {{model: {a}, layer_range: [0, 2], parameters: {{weight: 1}}}}\n  - {{model: {b}, layer_range: [0, 2], parameters: {{weight: [0, 2]}}}}\n"
        f"- sources:\n  - {{model: {a}, layer_range: [1, 3], parameters: {{weight: 1}}}}\n  - {{model: {b}, layer_range: [1, 3], parameters: {{weight: [4, 6]}}}}\n"
        "parameters: {normalize: false}\n"
    )
    job, version = run_yaml(client, text, model="f/out")
    got = numbers(client, version)
    weight = [0, 2, 4, 6]  # of the second model, in the four layers; 0 before and 4 after them (t = 0 in their slices)
    want = {layer(i): ref.linear([x[layer(k)], y[layer(k)]], [1, weight[i]], normalize=False) for i, k in enumerate([0, 1, 1, 2])}
    want |= {n: ref.linear([x[n], y[n]], [1, 0], normalize=False) for n in before}
    want |= {n: ref.linear([x[n], y[n]], [1, 4], normalize=False) for n in after}
    assert got.keys() == want.keys()
    for n in want:
        np.testing.assert_array_equal(got[n], want[n], n)
    assert json.loads(client.download(version, "config.json")) == {**config, count: 4, **{k: ["p", "q", "q", "r"] for k in lists}}


def test_donor_order(client, made):
    """Without a base the first model gives config and other files (E9); with one, the base does."""
    x = draw(80, [LAYER])
    a, b = (made(x, config={"model_type": "llama", "who": w}, files={"note.txt": w.encode()}) for w in "ab")
    for order in ((a, b), (b, a)):
        text = "merge_method: linear\nmodels:\n" + "".join(f"- {{model: {v}, parameters: {{weight: 1}}}}\n" for v in order)
        _, version = run_yaml(client, text, model="f/out", seed=str(len(order[0]) + (order[0] == b)))
        assert client.download(version, "note.txt") == (b"a" if order[0] == a else b"b")
    doc = post(client, text + f"base_model: {a}\n", "/v1/plans").json()
    assert doc["ok"] and [i["model"] for i in doc["resolved"]["inputs"]][doc["resolved"]["donor"]] == a


@pytest.mark.parametrize("compat", ["rules", pytest.param("none", marks=pytest.mark.slow)])
def test_last_slice_longer(client, made, compat):
    """A slice may have more sources than another (E9). mergekit leaves the surplus of the last one out of what comes after
    the layers, which is told; without its rules all of them count."""
    layer = "model.layers.{}.w.weight".format
    ends = ["model.embed_tokens.weight", "model.norm.weight"]
    models = [draw(90 + i, ends + [layer(0), layer(1)]) for i in range(3)]
    (a, x), (b, y), (c, z) = [(made(m, config={"num_hidden_layers": 2}), m) for m in models]
    source = lambda v, i, w: f"  - {{model: {v}, layer_range: [{i}, {i + 1}], parameters: {{weight: {w}}}}}\n"
    text = "merge_method: linear\nslices:\n- sources:\n" + source(a, 0, 1) + source(b, 0, 2) + "- sources:\n" + source(a, 1, 1) + source(b, 0, 2) + source(c, 1, 5)
    job, version = run_yaml(client, text, model="f/out", compat=compat)
    told = [w["detail"] for w in job["warnings"] if w["code"] == "compat-effects"]
    assert (len(told) == 1 and f"without {c}" in told[0]) if compat == "rules" else not told
    got = numbers(client, version)
    np.testing.assert_array_equal(got[layer(0)], ref.linear([x[layer(0)], y[layer(0)]], [1, 2]))
    np.testing.assert_array_equal(got[layer(1)], ref.linear([x[layer(1)], y[layer(0)], z[layer(1)]], [1, 2, 5]))
    np.testing.assert_array_equal(got[ends[0]], ref.linear([x[ends[0]], y[ends[0]]], [1, 2]))
    after = [x[ends[1]], y[ends[1]], z[ends[1]]]
    np.testing.assert_array_equal(got[ends[1]], ref.linear(after[:2], [1, 2]) if compat == "rules" else ref.linear(after, [1, 2, 5]))
    again = client.wait(client.post(f"/v1/jobs/{job['id']}/rerun").json()["id"])
    assert again["status"] == "succeeded", again["error"]


NORM = "model.norm.weight"


def test_heads_of_stacks(client, made):
    """What comes after the layers is the last slice's, its head too when that is tied; an input that is in no last slice
    gives no head, though it has an embedding; and the config says that there is a head where there is one."""
    own = [draw(100 + i, [EMBED, LAYER, NORM, HEAD]) for i in range(2)]
    tie = draw(102, [EMBED, LAYER, NORM])
    (a, x), (b, y) = [(made(m, config={**TIED, "tie_word_embeddings": False}), m) for m in own]
    t, z = made(tie, config=TIED), tie
    slices = lambda *rows: "".join("- sources:\n" + "".join(f"  - {{model: {v}, layer_range: [0, 1]}}\n" for v in row) for row in rows)
    z_head = z[EMBED]
    for rows, embed, head, norm in (
        ([[a], [t]], x[EMBED], z_head, z[NORM]),
        ([[t], [a]], z[EMBED], x[HEAD], x[NORM]),
        ([[a, b], [a]], ref.linear([x[EMBED], y[EMBED]], [1, 1]), x[HEAD], x[NORM]),
        ([[a, b], [a, t]], ref.linear([x[EMBED], y[EMBED]], [1, 1]), ref.linear([x[HEAD], z_head], [1, 1]), ref.linear([x[NORM], z[NORM]], [1, 1])),
    ):
        text = "merge_method: linear\nslices:\n" + slices(*rows) + "parameters: {weight: 1}\n"
        _, version = run_yaml(client, text, model="f/heads")
        got = numbers(client, version)
        for n, want in ((EMBED, embed), (HEAD, head), (NORM, norm)):
            np.testing.assert_array_equal(got[n], want, f"{n} of {rows}")
        assert json.loads(client.download(version, "config.json"))["tie_word_embeddings"] is False
    two = made(draw(103, [EMBED, LAYER, NORM]), config=TIED)
    refused = post(client, "merge_method: linear\nslices:\n" + slices([t, a], [two, a]) + "parameters: {weight: 1}\n", "/v1/plans").json()["refusals"]
    assert [(e["code"], e["reason"], e["pointer"], e["tensor"]) for e in refused] == [("shape-mismatch", "tied-head", "#/slices/1/sources/0/model", HEAD)]
