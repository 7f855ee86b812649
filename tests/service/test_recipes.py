"""The corpus of recipes (recipes.py): what each becomes, or every fault that it has; and what values mean where they stand."""

import json
import re

import numpy as np
import pytest

import reference as ref
from harness import Tensor
from recipes import ACCEPTED, REFUSED


def post(client, text, path="/v1/plans", **query):
    headers = {"Content-Type": "application/yaml"}
    return client.request("POST", path, data=text.encode(), params={"model": "r/out", **query}, headers=headers)


def names(layers):
    inner = [f"model.layers.{i}.{part}.weight" for i in range(layers) for part in ("self_attn.q_proj", "mlp.up_proj")]
    return ["model.embed_tokens.weight", *inner, "model.norm.weight", "lm_head.weight"]


def register(client, roots, name, layers=4, seed=None, value=None, more={}, drop=(), **config):
    rng = np.random.default_rng(seed)
    shape = (2, 2)
    made = {n: np.full(shape, value, np.float32) if value is not None else rng.standard_normal(shape).astype(np.float32) for n in names(layers) if n not in drop}
    folder = roots / name.replace("/", "-")
    ref.write(folder, {**{n: ref.tensor("F32", v) for n, v in made.items()}, **more}, config={"num_hidden_layers": layers, **config})
    client.register(folder, name)
    return made


@pytest.fixture(scope="module")
def there(client, roots):
    for i, who in enumerate(("base", "a", "b", "c")):
        register(client, roots, f"r/{who}", seed=i, architectures=["One"], model_type="one")
    register(client, roots, "r/copy", seed=1, architectures=["One"], model_type="one")
    register(client, roots, "r/five", layers=5, seed=5)
    register(client, roots, "r/other", seed=1, architectures=["Other"], model_type="other")
    norm = "model.norm.weight"
    one = ref.tensor("F32", np.ones(3, np.float32))
    register(client, roots, "r/more", seed=4, more={"extra.weight": one})
    register(client, roots, "r/less", seed=4, drop=[norm])
    register(client, roots, "r/wide", seed=4, drop=[norm], more={norm: one})
    register(client, roots, "r/two", seed=4, more={"vision.layers.0.weight": one, "vision.layers.1.weight": one})
    register(client, roots, "r/quant", seed=4, drop=[norm], more={norm: Tensor("F8_E4M3", (2, 2), bytes(4))}, architectures=["One"], model_type="one")


def shown(inputs):
    return [(i["role"], i["model"] + ("" if i["rev"] == "main" else "@" + i["rev"]), i.get("layers"), i.get("params") or None) for i in inputs]


def given(got, want):
    """Of the parameters beside a model those that the corpus names."""
    return [(r, m, la, {k: v for k, v in (p or {}).items() if k in (w or {})} or None) for (r, m, la, p), (_, _, _, w) in zip(got, want)]


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(client, there, name):
    text, query, inputs, params, options, warnings = ACCEPTED[name]
    answer = post(client, text, **query)
    assert answer.status_code == 200, answer.text
    plan = answer.json()
    assert plan["ok"], plan["refusals"]
    assert [(w["code"], w.get("pointer")) for w in plan["warnings"]] == warnings
    got = plan["resolved"]
    want = [(r, m, la, p or None) for r, m, la, p in inputs]
    assert len(got["inputs"]) == len(want) and given(shown(got["inputs"]), want) == want, got["inputs"]
    assert {k: got["params"].get(k) for k in params} == params
    assert {k: got["options"].get(k) for k in options} == options


@pytest.mark.parametrize("name", REFUSED)
def test_refused(client, there, name):
    text, query, faults = REFUSED[name]
    answer = post(client, text, **query)
    got = answer.json()["refusals" if answer.status_code == 200 else "errors"]
    key = [(e["code"], e.get("reason"), e["pointer"]) for e in got]
    assert sorted(key, key=str) == sorted((f[:3] for f in faults), key=str), got
    left = list(got)
    for code, reason, pointer, line, part in faults:
        mine = [e for e in left if (e["code"], e.get("reason"), e["pointer"]) == (code, reason, pointer) and part in e["detail"]]
        assert mine and (line is None or mine[0].get("line") == line), (part, line, got)
        left.remove(mine[0])


def test_the_corpus_is_whole():
    """As many as merge.md E5 asks for, and each reason of B19 that YAML alone can give."""
    assert len(ACCEPTED) + len(REFUSED) >= 60
    reasons = {f[1] for _, _, faults in REFUSED.values() for f in faults}
    assert reasons >= {
        "yaml-syntax", "yaml-limit", "duplicate-key", "unknown-key", "unknown-method", "one-of", "tokenizer-twice", "unknown-parameter", "parameter-missing", "parameter-range",
        "setting-shape", "base-required", "base-forbidden", "input-count", "ref-syntax", "ref-unknown", "ref-not-a-model", "duplicate-input", "layer-range", "base-not-in-slice",
        "slice-lengths", "slices-need-modules", "tensor-missing", "tensor-extra", "shape", "architecture", "quantised-tensor", "dtype", "weights-sum-zero", "epsilon-range", "robust-requirement"}
    said = {w[0] for row in ACCEPTED.values() for w in row[5]}
    assert said >= {
        "gradient-edge", "density-ignored", "residual-weight-ignored", "int8-mask-ignored", "t-outside-unit", "weights-sum-not-one", "base-listed-as-input", "identical-inputs",
        "input-equals-base", "small-divisor", "compat-effects"}


def test_a_submit_says_the_same(client, there):
    """The whole answer of a refused one: status and code of the worst, all faults; and nothing is there afterwards."""
    text, query, faults = REFUSED["several at once"]
    answer = post(client, text, "/v1/jobs", **query)
    assert answer.status_code == 422 and len(answer.json()["errors"]) == len(faults)
    assert answer.json()["errors"] == post(client, text, **query).json()["refusals"]
    assert client.ok("/v1/jobs")["data"] == []


# ---- what values mean -------------------------------------------------------------------------------------------------


def value_at(setting, name, t):
    """merge.md B3, with t by B4."""
    if isinstance(setting, dict):
        setting = [setting]
    if isinstance(setting, list) and isinstance(setting[0], dict):
        for entry in setting:
            f = entry.get("filter")
            if f is None or f == "*" or f in name:
                return value_at(entry["value"], name, t)
        return None
    if isinstance(setting, list):
        at = t * (len(setting) - 1)
        i = int(at)
        return setting[i] + (at - i) * (setting[min(i + 1, len(setting) - 1)] - setting[i])
    return setting


def depth(name, layers):
    m = re.search(r"layers\.(\d+)\.", name)
    return 0.0 if not m else 1.0 if layers == 1 else int(m[1]) / (layers - 1)


SETTINGS = {
    "gradient": [1, 2, 4],
    "filters": [{"filter": "mlp", "value": [0, 1]}, {"filter": "layers.0.", "value": 5}, {"filter": "*", "value": 7}],
}


@pytest.mark.parametrize("layers", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow), pytest.param(32, marks=pytest.mark.slow)])
@pytest.mark.parametrize("setting", [s if s == "gradient" else pytest.param(s, marks=pytest.mark.slow) for s in SETTINGS])
def test_values_over_the_depth(client, there, roots, layers, setting):
    """A model of ones, times its weight, is the value of the weight for each tensor."""
    name = f"r/ones{layers}"
    if client.get(f"/v1/models/{name}").status_code != 200:
        register(client, roots, name, layers=layers, value=1)
    text = f"merge_method: linear\nmodels: [{{model: {name}}}]\nparameters: {{weight: {json.dumps(SETTINGS[setting])}, normalize: false}}\n"
    job = client.wait(post(client, text, "/v1/jobs", model=name + setting).json()["id"])
    assert job["status"] == "succeeded", job
    got = client.weights("{model}@{commit}".format(**job["result"]["version"]))
    for n in names(layers):
        want = np.float32(value_at(SETTINGS[setting], n, depth(n, layers)))
        np.testing.assert_allclose(ref.load(got[n]), want, rtol=1e-6, err_msg=n)
