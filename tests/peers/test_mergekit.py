"""mergekit itself and amend, one YAML, the same bytes of input: every family that both know, and what comes out compared
tensor by tensor, then loaded by transformers and asked. A difference is a bug of amend until one of three closed lists
says why it is none."""

import re

import pytest
import torch

from families import FAMILIES, fused, loaded, logits, path, weights

MODELS = "models:\n- {model: peer/%(m)s-a, parameters: {%(a)s}}\n- {model: peer/%(m)s-b, parameters: {%(b)s}}\n"
BASE = "base_model: peer/%(m)s-base\n"


def recipe(method, a="weight: 0.7", b="weight: 0.3", base=False, more="", dtype="float32"):
    head = f"merge_method: {method}\ndtype: {dtype}\n"
    return lambda m: (head + (BASE if base else "") + MODELS + more) % {"m": m, "a": a, "b": b}


SLERP = "base_model: peer/%(m)s-a\nparameters:\n  t:\n  - {filter: attn, value: [0, 0.5, 1]}\n  - {filter: mlp, value: [1, 0.4, 0.2]}\n  - value: 0.5\n"
STACK = """merge_method: passthrough
dtype: float32
slices:
- sources: [{model: peer/%(m)s-a, layer_range: [0, 2]}]
- sources: [{model: peer/%(m)s-b, layer_range: [1, 3]}]
"""
TIES = {"a": "weight: 1, density: 0.5", "b": "weight: 0.6, density: 0.3", "base": True}
# name: (recipe, atol, rtol, elements that may differ); the last, because a sum of signs may be zero but for rounding.
F32 = {
    "linear": (recipe("linear"), 2e-7, 1e-6, 0),
    "slerp": (recipe("slerp", a="", b="", more=SLERP), 1e-6, 5e-6, 0),
    "task_arithmetic": (recipe("task_arithmetic", base=True, more="parameters: {lambda: 0.8}\n"), 2e-7, 1e-6, 0),
    "ties": (recipe("ties", **TIES), 2e-7, 1e-6, 2),
    "nuslerp": (recipe("nuslerp"), 1e-6, 5e-6, 0),
    "passthrough stack": (lambda m: STACK % {"m": m}, 0, 0, 0),
}
# Methods that one family is enough for: (recipe, query, bounds). breadcrumbs: 0.1.5 no longer drops the whole task vector
# where int(gamma * n) is 0, which compat=rules, the default for YAML, still does as the versions before.
MORE = {
    "nuslerp, base": (recipe("nuslerp", base=True), {}, 1e-6, 5e-6, 0),
    "nuslerp, rows": (recipe("nuslerp", more="parameters: {nuslerp_flatten: false, nuslerp_row_wise: true}\n"), {}, 1e-6, 5e-6, 0),
    "multislerp": (recipe("multislerp"), {}, 1e-6, 5e-6, 0),
    "karcher": (recipe("karcher", a="", b=""), {}, 1e-6, 5e-6, 0),
    "model_stock": (recipe("model_stock", a="", b="", base=True), {}, 1e-6, 5e-6, 0),
    "sce": (recipe("sce", a="", b="", base=True, more="parameters: {select_topk: 0.5}\n"), {}, 2e-7, 1e-6, 2),
    "breadcrumbs": (recipe("breadcrumbs", a="weight: 1, density: 0.9, gamma: 0.01", b="weight: 0.5, density: 0.8, gamma: 0.02", base=True), {"compat": "none"}, 2e-7, 1e-6, 2),
    "dare_ties, density 1": (recipe("dare_ties", a="weight: 1, density: 1", b="weight: 0.5, density: 1", base=True), {}, 2e-7, 1e-6, 2),
    "della_linear, density 1": (recipe("della_linear", a="weight: 1, density: 1, epsilon: 0", b="weight: 0.5, density: 1, epsilon: 0", base=True), {}, 2e-7, 1e-6, 2),
    "nearswap": (lambda m: f"merge_method: nearswap\ndtype: float32\nbase_model: peer/{m}-base\nmodels: [{{model: peer/{m}-a}}]\nparameters: {{t: 0.001}}\n", {}, 2e-7, 1e-6, 0),
    "arcee_fusion": (lambda m: f"merge_method: arcee_fusion\ndtype: float32\nbase_model: peer/{m}-base\nmodels: [{{model: peer/{m}-a}}]\n", {}, 2e-7, 1e-6, 300),
    "ram": (recipe("ram", a="", b="", base=True), {}, 2e-7, 1e-6, 0),
    "ramplus_tl": (recipe("ramplus_tl", a="", b="", base=True), {}, 2e-7, 1e-6, 0),
}  # fmt: skip
# In bfloat16, bit for bit. ties with all kept: which of equal magnitudes are kept is nobody's promise. linear, of
# bfloat16 files, as amend does it anyway: mergekit 0.1.5 rounds its inputs and computes in float32, while compat=exact rounds
# every step as the versions before did. Its weights are halves of halves: with 0.7 and 0.3 one sum in a thousand lies in the
# middle of two bfloat16 numbers but for float32's rounding, and either is right.
BF16 = {
    "linear": (lambda m: re.sub(r"-([ab])\b", r"-\g<1>16", recipe("linear", "weight: 0.75", "weight: 0.25", dtype="bfloat16")(m)), {}),
    "task_arithmetic": (recipe("task_arithmetic", base=True, dtype="bfloat16", more="parameters: {lambda: 0.75}\n"), {"compat": "exact"}),
    "ties": (recipe("ties", a="weight: 1, density: 1", b="weight: 0.6, density: 1", base=True, dtype="bfloat16"), {"compat": "exact"}),
    "passthrough stack": (lambda m: (STACK % {"m": m}).replace("float32", "bfloat16"), {"compat": "exact"}),
}

# ---- three closed lists: what is not compared, and why. An entry that no longer holds fails. -----------------------------

# What mergekit 0.1.5 cannot merge ("*": nothing of that family), by what it says or by how many tensors it loses. amend
# does, and is held to NumPy's or plain copying's result.
CANNOT = {
    ("bert-lm", "*"): "bert.pooler.dense.weight required but not present",  # its definition has the pooler, the model not
    ("t5-relu", "*"): "DenseReluDense.wi_0.weight required but not present",  # its definition is of the gated T5 1.1 alone
    ("resnet", "*"): "`get_input_embeddings` not auto",  # it guesses unknown models by their vocabulary
    ("vit", "*"): 48,  # it guesses the names in memory, which are not those in the file: the whole encoder is gone
    **{(m, "passthrough stack"): "must be equal to the number of `layer_types`" for m in ("qwen2", "qwen3", "gemma2", "gemma3")},
}
# mergekit takes the last norm from the first slice where it had to guess the layout; amend, as with models that both
# know, from the last one.
OTHER_SOURCE = {("opt", "passthrough stack"): {"model.decoder.final_layer_norm.weight", "model.decoder.final_layer_norm.bias"}}
# mergekit reads Mixtral's files of one tensor an expert as one tensor a layer. That is another merge wherever a rule
# looks at the whole tensor (angles, ranks), so there amend is compared on files that have one tensor a layer.
OTHER_SCOPE = {("mixtral", n) for n in ("slerp", "ties", "nuslerp")}


def known(model, name):
    return not {(model, "*"), (model, name)} & set(CANNOT) and (name != "passthrough stack" or FAMILIES[model].stacks)


CASES = [(m, n) for m in FAMILIES for n in F32 if known(m, n) and (m, n) not in OTHER_SCOPE]
BF16_CASES = [(m, n) for m in FAMILIES for n in BF16 if known(m, n)]


def inputs(peers, model):
    return [weights(peers.root / path(model, name)) for name in ("a", "b")]


def stacked(a, b):
    """Layers 0 and 1 of a, then 1 and 2 of b; what is before the layers from a, what is after them from b."""
    out = {}
    for source, layers in ((a, {0: 0, 1: 1}), (b, {1: 2, 2: 3})):
        for name, value in source.items():
            match = re.fullmatch(r"(.*\b(?:layers|h)\.)(\d+)(\..*)", name)
            if match and int(match[2]) in layers:
                out[f"{match[1]}{layers[int(match[2])]}{match[3]}"] = value
            elif not match and (source is a) == bool(re.search(r"embed(?!_out)|wte|wpe|shared", name)):
                out[name] = value
    return out


def compare(theirs, ours, atol, rtol, few, other=()):
    assert set(ours) == set(theirs)
    off, worst = 0, (0.0, "")
    for tensor in sorted(theirs):
        x, y = theirs[tensor], ours[tensor]
        assert (x.dtype, x.shape) == (y.dtype, y.shape), f"{tensor}: mergekit {x.dtype} {tuple(x.shape)}, amend {y.dtype} {tuple(y.shape)}"
        x, y = x.double(), y.double()
        gap = (x - y).abs()
        bad = int((~(gap <= atol + rtol * x.abs())).sum())
        if tensor in other:
            assert bad, f"{tensor} no longer differs"
            continue
        off += bad
        if bad and float(gap.max()) > worst[0]:
            worst = (float(gap.max()), f"{tensor}: {bad} of {x.numel()}")
    assert off <= few, f"{off} elements differ, worst by {worst[0]:.3g} in {worst[1]}"


def both(peers, model, name, text, label, bounds, **query):
    """Both programs' results compared; the folder of amend's."""
    theirs = weights(peers.mergekit(text, label))
    folder = peers.pull(peers.amend(text, label, **query))
    ours = weights(folder)
    compare(theirs, fused(ours) if model == "mixtral" else ours, *bounds, other=OTHER_SOURCE.get((model, name), ()))
    return folder


def speaks(folder, model, **more):
    assert torch.isfinite(logits(loaded(folder, model, **more), FAMILIES[model])).all()


@pytest.mark.parametrize("model, name", CASES)
def test_float32(peers, models, model, name):
    models(model)
    make, *bounds = F32[name]
    speaks(both(peers, model, name, make(model), name, bounds), model)


@pytest.mark.parametrize("model, name", BF16_CASES)
def test_bfloat16(peers, models, model, name):
    models(model)
    make, query = BF16[name]
    folder = both(peers, model, name, make(model), name + ", bfloat16", (0, 0, 0), **query)
    assert {t.dtype for t in weights(folder).values()} == {torch.bfloat16}
    speaks(folder, model, dtype=torch.bfloat16)


@pytest.mark.parametrize("name", MORE)
def test_other_methods(peers, models, name):
    models("llama")
    make, query, *bounds = MORE[name]
    both(peers, "llama", name, make("llama"), name, bounds, **query)


@pytest.mark.parametrize("model, name", CANNOT)
def test_what_mergekit_cannot(peers, models, model, name):
    """amend needs no definition of an architecture, and transformers loads what it makes."""
    models(model)
    says, name = CANNOT[model, name], "linear" if name == "*" else name
    text = F32[name][0](model)
    if isinstance(says, int):
        assert len(set(inputs(peers, model)[0]) - set(weights(peers.mergekit(text)))) == says
    else:
        with pytest.raises(Exception) as refused:
            peers.mergekit(text)
        assert says in str(refused.value)
    folder = peers.pull(peers.amend(text))
    a, b = inputs(peers, model)
    if name == "linear":
        expected = {t: v if not v.is_floating_point() else (0.7 * v.double() + 0.3 * b[t].double()).float() for t, v in a.items()}
    else:
        expected = stacked(a, b)
    compare(expected, weights(folder), *F32[name][1:])
    speaks(folder, model)


@pytest.mark.parametrize("model", [m for m, f in FAMILIES.items() if f.stacks])
def test_stacks_are_copies(peers, models, model):
    models(model)
    compare(stacked(*inputs(peers, model)), weights(peers.pull(peers.amend(STACK % {"m": model}))), 0, 0, 0)


@pytest.mark.parametrize("name", ["linear", "slerp", "ties"])
def test_seconds_of_a_larger_model(peers, models, name):
    """For the table: these must agree, too; how long either takes is for the reader."""
    models("llama-large")
    make, atol, rtol, few = F32[name]
    both(peers, "llama-large", name, make("llama-large"), f"{name}, 33 M parameters", (atol, rtol, few * 100))
