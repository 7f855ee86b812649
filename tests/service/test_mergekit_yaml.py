"""mergekit configurations as bodies of jobs (Content-Type application/yaml), as they are: mergekit's own results within
their tolerances, settings against what they mean, and every fault at once with its line."""

import json
import re

import numpy as np
import pytest

import reference as ref
from harness import amend, problem
from test_merge_mergekit import ABSENT, CASES, GOLDENS, compare, name_of, read, register


def post(client, text, path="/v1/jobs", **query):
    return client.request("POST", path, data=text.encode(), params={"model": "mk/out", **query}, headers={"Content-Type": "application/yaml"})


def plan(client, text, **query):
    answer = post(client, text, "/v1/plans", **query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def run(client, text, **query):
    answer = post(client, text, **query)
    assert answer.status_code == 202, answer.text
    job = client.wait(answer.json()["id"])
    assert job["status"] == "succeeded", job["error"]
    return job, "{model}@{commit}".format(**job["result"]["version"])


@pytest.fixture(scope="module")
def there(client):
    return {m["name"] for m in client.all("/v1/methods?type=merge")}


@pytest.fixture(scope="module")
def models(client, roots):
    """Registers what a configuration names and gives it back with the names that it has here."""
    known = set()

    def named(text):
        for path in sorted(set(re.findall(r"inputs/[\w/-]+", text)), key=len, reverse=True):
            if path not in known:
                register(client, roots, path)
                known.add(path)
            text = re.sub(re.escape(path) + r"(?![\w/-])", name_of(path), text)
        return text

    return named


# Run by every check; the others are in the slow tier (test_merge_mergekit.py asks for the same results in JSON).
QUICK = {"slerp-gradient-filters", "breadcrumbs", "passthrough-stack", "tokenizer-union"}


@pytest.mark.skipif(ABSENT, reason=f"no {GOLDENS}; set AMEND_DATA")
@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in sorted(CASES)])
def test_goldens(client, there, models, name):
    case = CASES[name]
    if case["method"] not in there:
        pytest.skip(f"waits for {case['method']}")
    text = models((GOLDENS / case["config"]).read_text())
    job, version = run(client, text, model=f"mk/{name}")
    compare(client.weights(version), read(GOLDENS / case["output"]), case)
    config = json.loads(client.download(version, "config.json"))
    assert {k: config.get(k) for k in case["config_expected"]} == case["config_expected"]
    assert client.download(version, "mergekit_config.yml").decode() == text
    if "added_tokens_expected" in case:
        added = json.loads(client.download(version, "tokenizer.json"))["added_tokens"]
        assert {t["content"]: t["id"] for t in added} == case["added_tokens_expected"]


# ---- what is refused, and what is only said ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def llama(client, roots):
    """Two tiny models of three layers each, and their weights; y/other has one tensor more."""
    rng = np.random.default_rng(7)
    names = ["model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"]
    names += [f"model.layers.{i}.{part}.weight" for i in range(3) for part in ("self_attn.q_proj", "mlp.up_proj")]
    made = {}
    for who in ("base", "a", "b"):
        made[who] = {n: rng.standard_normal((4, 5)).astype(np.float32) for n in names}
        folder = roots / f"y-{who}"
        folder.mkdir()
        ref.write(folder, {n: ref.tensor("F32", v) for n, v in made[who].items()}, config={"num_hidden_layers": 3})
        client.register(folder, f"y/{who}")
    return made


LINEAR = "merge_method: linear\nmodels:\n- {model: y/a, parameters: {weight: 1}}\n- {model: y/b, parameters: {weight: 2}}\n"
TIES = "merge_method: ties\nbase_model: y/base\nmodels:\n- {model: y/a, parameters: {weight: 1}}\n- {model: y/b}\n"

# text: [(code, pointer, line, reason, part of the detail)], every one and no other
REFUSED = {
    "": [("invalid-request", "#", None, "yaml-syntax", "empty")],
    "a: [1": [("invalid-request", "#", None, "yaml-syntax", "line 2, column 1")],
    "a: 1\nb: 2\na: 3\n": [("invalid-request", "#", None, "duplicate-key", "line 3, column 1: key a appears twice")],
    "a: !!python/object:os.system x\n": [("invalid-request", "#", None, "yaml-syntax", "tags are not taken")],
    "a: &x [*x]\n": [("invalid-request", "#", None, "yaml-syntax", "alias")],
    "<<: 3\n": [("invalid-request", "#", None, "yaml-syntax", "<< takes a mapping")],
    "[" * 40 + "]" * 40: [("payload-too-large", "#", None, "yaml-limit", "depth of 32")],
    "just text": [("invalid-request", "#", 1, None, "expected a configuration")],
    LINEAR + "---\n" + LINEAR: [("invalid-params", "#/0/name", 1, "stage-unused", "document 2 has no name either")],
    "models: []\n": [("invalid-request", "#", 1, None, "merge_method is missing")],
    "merge_method: linear\n": [("invalid-request", "#", 1, "one-of", "found: none")],
    LINEAR + "slices: []\nmodules: {}\n": [("invalid-request", "#", 1, "one-of", "models, slices, modules")],
    LINEAR + "foo: 1\nparameters: {wieght: 3}\n": [
        ("unknown-member", "#/foo", 5, "unknown-key", "unknown key foo"),
        ("unknown-member", "#/parameters/wieght", 6, "unknown-parameter", "did you mean weight?"),
    ],
    LINEAR.replace("linear", "lineer"): [("unknown-method", "#/merge_method", 1, "unknown-method", "did you mean linear?")],
    TIES + "parameters: {density: 1.5}\n": [
        ("invalid-params", "#/models/1", 5, "parameter-missing", "set it at #/models/1/parameters/weight or once for all at #/parameters/weight"),
        ("invalid-params", "#/parameters/density", 6, "parameter-range", "density = 1.5"),
    ],
    TIES.replace("base_model: y/base\n", "").replace("y/b}", "y/b, parameters: {weight: []}}"): [
        ("missing-input", "#/base_model", 1, "base-required", "ties needs base"),
        ("invalid-params", "#/models/1/parameters/weight", 4, "setting-shape", "a list of numbers"),
    ],
    LINEAR.replace("y/a", "./a").replace("y/b", "y/b@v1@v2"): [
        ("invalid-params", "#/models/0/model", 3, "ref-not-a-model", "amend merge FILE.yml"),
        ("invalid-params", "#/models/1/model", 4, "ref-syntax", "at most one '+'"),
    ],
    LINEAR.replace("y/a", "y/aa").replace("y/b", "y/b@v9"): [
        ("not-found", "#/models/0/model", 3, "ref-unknown", "no model y/aa"),
        ("revision-not-found", "#/models/1/model", 4, "ref-unknown", "no revision v9"),
    ],
    LINEAR.replace("y/a", "y/a+y/lora"): [("not-found", "#/models/0/model", 3, "ref-unknown", "no model y/lora")],
    LINEAR.replace("y/a", "y/a+y/b"): [("unsupported-format", "#/models/0/model", 3, "adapter-config", "has no adapter_config.json")],
    LINEAR.replace("y/a", "y/a+./lora").replace("y/b", "y/b+y/a+y/a"): [
        ("invalid-params", "#/models/0/model", 3, "ref-not-a-model", "amend merge FILE.yml"),
        ("invalid-params", "#/models/1/model", 4, "ref-syntax", "at most one '+'"),
    ],
    LINEAR + "dtype: int64\n": [("dtype-unsupported", "#/dtype", 5, "dtype", "int64")],
    LINEAR.replace("1}", "-2}"): [("invalid-params", "#/models", 3, "weights-sum-zero", "sum to zero")],
    LINEAR.replace("weight: 1}", "weight: [{filter: mlp, value: 1}]}"): [
        ("invalid-params", "#/models/0/model", 3, "parameter-missing", f"linear needs weight for tensor {t}")
        for t in ("lm_head.weight", "model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight",
                  "model.layers.1.self_attn.q_proj.weight", "model.layers.2.self_attn.q_proj.weight", "model.norm.weight")
    ],
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda t: repr(t[:40]))
def test_refusals(client, llama, text):
    """Told by a submit, with the lines of the text; a plan that can be made tells the same."""
    want = sorted((c, p, r) for c, p, _, r, _ in REFUSED[text])
    answer = post(client, text)
    got = answer.json()["errors"]
    assert sorted((e["code"], e["pointer"], e.get("reason")) for e in got) == want, got
    for code, pointer, line, _, part in REFUSED[text]:
        mine = [e for e in got if (e["code"], e["pointer"]) == (code, pointer) and part in e["detail"]]
        assert mine and (line is None or mine[0]["line"] == line), (part, got)
    planned = post(client, text, "/v1/plans")
    assert planned.status_code in (200, answer.status_code)
    if planned.status_code == 200:
        assert planned.json()["refusals"] == got


def test_limits_are_found_fast(client):
    import time

    bombs = ["a: b\n" * 200_000, "[" * 900_000, "a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{c}: &{c} [" + ",".join(["*" + p] * 9) + "]\n" for p, c in zip("abcdefgh", "bcdefghi"))]
    for text in bombs:
        began = time.monotonic()
        answer = post(client, text)
        took = time.monotonic() - began
        problem(answer, answer.status_code, answer.json()["code"])
        assert answer.json()["errors"][0]["reason"] in ("yaml-limit", "duplicate-key") and took < 0.5, (took, answer.text[:300])


@pytest.mark.parametrize(
    "text, query, code, pointer",
    [
        (LINEAR + "parameters: {int8_mask: true}\n", {}, "int8-mask-ignored", "#/parameters/int8_mask"),
        (TIES.replace("ties", "task_arithmetic") + "parameters: {density: 0.5, weight: 1}\n", {}, "density-ignored", "#/parameters/density"),
        (TIES + "- {model: y/base, parameters: {weight: 3}}\nparameters: {weight: 1}\n", {}, "base-listed-as-input", "#/models/2/parameters"),
        (LINEAR + "- {model: y/a@main, parameters: {weight: 3}}\n", {}, "compat-effects", "#/models/2"),
        (LINEAR + "foo: 1\n", {"lenient": "true"}, "unknown-key", "#/foo"),
        (LINEAR + "parameters: {wieght: 1}\n", {"lenient": "true"}, "unknown-parameter", "#/parameters/wieght"),
        (LINEAR.replace("weight: 2", "weight: [1, 2]"), {}, "gradient-edge", "#/models/1/parameters/weight"),
    ],
)
def test_warnings(client, llama, text, query, code, pointer):
    p = plan(client, text, **query)
    assert p["ok"], p["refusals"]
    assert [(w["code"], w.get("pointer")) for w in p["warnings"]] == [(code, pointer)]


def test_query_goes_with_yaml(client, llama):
    body = {"type": "merge", "method": "linear", "inputs": {"models": [{"version": "y/a", "params": {"weight": 1}}]}, "publish": {"model": "y/o"}}
    e = problem(client.post("/v1/jobs?seed=3", body), 400, "invalid-request")
    assert e["errors"][0]["pointer"] == "?seed"
    for name, value, pointer in [("seed", "x", "?seed"), ("priority", "101", "?priority"), ("model", "nonsense", "?model"),
                                 ("compat", "some", "?compat"), ("overflow", "wrap", "?overflow"), ("post_layers_t", "2", "?post_layers_t")]:
        text = LINEAR.replace("weight: 2", "weight: [1, 2]")
        faults = post(client, text, **{name: value}).json()["errors"]
        assert [f["pointer"] for f in faults] == [pointer], faults
    answer = client.request("POST", "/v1/jobs", data=LINEAR.encode(), headers={"Content-Type": "application/yaml"})
    assert [f["pointer"] for f in answer.json()["errors"]] == ["?model"]


# ---- what values mean -------------------------------------------------------------------------------------------------


def gradient(values, t):
    at = t * (len(values) - 1)
    i = min(int(at), len(values) - 1)
    return (1 - (at - i)) * values[i] + (at - i) * values[min(i + 1, len(values) - 1)]


def depth(name, post):
    m = re.search(r"layers\.(\d+)\.", name)
    return int(m[1]) / 2 if m else 0.0 if "embed" in name else post


@pytest.mark.parametrize("after", [None, pytest.param("1", marks=pytest.mark.slow)])
def test_values_by_layer_and_name(client, llama, after):
    text = """
merge_method: linear
models:
- model: y/a
  parameters:
    weight:
    - filter: mlp
      value: [0.25, 1, 3]
- model: {model: {path: y/b, revision: v1}}
  parameters: {weight: [{filter: "*", value: "2e0"}]}
- model: y/base
parameters:
  weight:
  - {filter: q_proj, value: .5}
  - value: [1, 5]
  normalize: {filter: self_attn, value: no}
dtype: float32
"""
    job, version = run(client, text, **({"post_layers_t": after} if after else {}), seed="5", branch="main", tag="t" + str(after), message="m", priority="7", **{"metadata.k": "v"})
    assert (job["priority"], job["metadata"], job["spec"]["options"]["seed"]) == (7, {"k": "v"}, 5)
    want = {}
    for name, a in llama["a"].items():
        t = depth(name, float(after or 0))
        other = 0.5 if "q_proj" in name else gradient([1, 5], t)
        w = [gradient([0.25, 1, 3], t) if "mlp" in name else other, 2.0, other]
        xs = [m[name].astype(np.float64) for m in (llama["a"], llama["b"], llama["base"])]
        total = sum(x * k for x, k in zip(xs, w))
        want[name] = total if "self_attn" in name else total / sum(w)
    got = client.weights(version)
    for name in want:
        np.testing.assert_allclose(ref.load(got[name]), want[name], rtol=3e-6, atol=1e-6, err_msg=name)
    # the recipe makes the same bytes again
    again = client.wait(client.post(f"/v1/jobs/{job['id']}/rerun").json()["id"])
    assert again["result"]["reproduced"] is True


# ---- stacks of layers -------------------------------------------------------------------------------------------------


def stack(models, parts):
    """{name in the stack: (name in its version, version, depth in its part, part)}"""
    out, offset = {}, 0
    for p, (who, a, b) in enumerate(parts):
        for name in models[who]:
            m = re.search(r"layers\.(\d+)\.", name)
            if m and a <= int(m[1]) < b:
                k = int(m[1]) - a
                out[name.replace(m[0], f"layers.{offset + k}.")] = (name, who, k / (b - a - 1) if b - a > 1 else 1.0, p)
            elif not m and p == (0 if "embed" in name else len(parts) - 1):
                out[name] = (name, who, 0.0, p)
        offset += b - a
    return out


def test_stack_of_layers(client, llama):
    """Two models, layers of which are used twice, merged per part with values of their own; and the same as JSON."""
    text = """
merge_method: linear
slices:
- sources:
  - {model: y/a, layer_range: [0, 2], parameters: {weight: [1, 3]}}
  - {model: y/b, layer_range: [1, 3], parameters: {weight: {filter: layers.2., value: 4}}}
- sources:
  - {model: y/base, layer_range: [1, 3]}
  - {model: y/a, layer_range: [0, 2]}
  parameters: {weight: 0.5, normalize: false}
- sources:
  - {model: y/b, layer_range: [2, 3]}
  - {model: y/base, layer_range: [0, 1]}
parameters: {weight: [2, 6]}
"""
    first = stack(llama, [("a", 0, 2), ("base", 1, 3), ("b", 2, 3)])
    second = stack(llama, [("b", 1, 3), ("a", 0, 2), ("base", 0, 1)])
    want = {}
    for name, (own, who, t, part) in first.items():
        other, whose, _, _ = second[name]
        all_t = gradient([2, 6], t)
        w = [gradient([1, 3], t), 4.0 if "layers.2." in other else all_t] if part == 0 else [0.5, 0.5] if part == 1 else [all_t] * 2
        x = llama[who][own].astype(np.float64) * w[0] + llama[whose][other].astype(np.float64) * w[1]
        want[name] = x if part == 1 else x / sum(w)
    job, version = run(client, text, model="y/stacked", shard_bytes="300")
    got = client.weights(version)
    assert sorted(got) == sorted(want)
    for name in want:
        np.testing.assert_allclose(ref.load(got[name]), want[name], rtol=3e-6, atol=1e-6, err_msg=name)
    files = {p: f["bytes"] for p, f in client.files(version).items() if f["weights"]}
    assert files == {f["path"]: f["bytes"] for f in job["plan"]["output"]["files"]} and len(files) > 3
    assert json.loads(client.download(version, "config.json"))["num_hidden_layers"] == 5
    again = client.wait(client.post(f"/v1/jobs/{job['id']}/rerun").json()["id"])
    assert again["result"]["reproduced"] is True
    ups = client.ok("/v1/models/y/stacked/lineage?depth=1")["edges"]
    assert {e["role"] for e in ups} >= {"model", "part"}


@pytest.mark.slow
@pytest.mark.skipif(ABSENT, reason=f"no {GOLDENS}; set AMEND_DATA")
def test_stack_golden(client, models):
    """mergekit's own stack: one model with weight 1 is a copy."""
    case = CASES["passthrough-stack"]
    text = models((GOLDENS / case["config"]).read_text()).replace("passthrough", "linear") + "parameters: {weight: 1}\n"
    _, version = run(client, text, model="mk/stack")
    compare(client.weights(version), read(GOLDENS / case["output"]), case)
    assert json.loads(client.download(version, "config.json"))["num_hidden_layers"] == 6


def test_slerp_of_slices(client, llama):
    text = """
merge_method: slerp
base_model: y/base
slices:
- sources: [{model: y/base, layer_range: [0, 2]}, {model: y/a, layer_range: [0, 2]}]
  parameters: {t: [0, 1]}
- sources: [{model: y/b, layer_range: [2, 3]}, {model: y/base, layer_range: [0, 1]}]
parameters: {t: 0}
"""
    _, version = run(client, text, model="y/slerped")
    got = {n: ref.load(t) for n, t in client.weights(version).items()}
    base = stack(llama, [("base", 0, 2), ("base", 0, 1)])
    for name, (own, who, t, part) in base.items():
        want = llama["a"][own] if part == 0 and t == 1 else llama["base"][own]
        assert np.array_equal(got[name], want), name


@pytest.mark.parametrize(
    "change, faults",
    [
        (("[0, 2]}, {model: y/a", "[0, 9]}, {model: y/a"), [("layer-range", "#/slices/0/sources/0"), ("slice-lengths", "#/slices/0/sources/1")]),
        (("{model: y/base, layer_range: [0, 1]}", "{model: y/a, layer_range: [0, 1]}"), [("base-not-in-slice", "#/slices/1")]),
        (("layer_range: [2, 3]", "layer_range: [2]"), [("layer-range", "#/slices/1/sources/0/layer_range")]),
        (("layer_range: [2, 3]", "layer_range: [2, 5]"), [("layer-range", "#/slices/1/sources/0"), ("slice-lengths", "#/slices/1/sources/0")]),
    ],
)
def test_stacks_that_do_not_fit(client, llama, change, faults):
    text = """merge_method: slerp
base_model: y/base
slices:
- sources: [{model: y/base, layer_range: [0, 2]}, {model: y/a, layer_range: [0, 2]}]
- sources: [{model: y/b, layer_range: [2, 3]}, {model: y/base, layer_range: [0, 1]}]
parameters: {t: 0}
"""
    assert change[0] in text
    answer = post(client, text.replace(*change))
    got = answer.json()["errors"]
    assert {(r, p) for r, p in faults} <= {(e.get("reason"), e["pointer"].removesuffix("/model")) for e in got}, got


# ---- the client -------------------------------------------------------------------------------------------------------


def test_client_makes_files_run_as_they_are(client, daemon, llama, roots, tmp_path):
    """A directory beside the file, a model of the cache and one of the daemon; the second time nothing is registered."""
    own = {n: v + 1 for n, v in llama["a"].items()}
    ref.write(roots / "recipes" / "ft a", {n: ref.tensor("F32", v) for n, v in own.items()}, config={"num_hidden_layers": 3})
    snapshot = roots / "cache" / "models--hub--ft" / "snapshots" / ("ab" * 20)
    ref.write(snapshot, {n: ref.tensor("F32", v * 2) for n, v in own.items()}, config={"num_hidden_layers": 3})
    (roots / "cache" / "models--hub--ft" / "refs").mkdir()
    (roots / "cache" / "models--hub--ft" / "refs" / "main").write_text("ab" * 20)
    text = """# größer
merge_method: linear
models:
- model: "./ft a"   # beside this file
  parameters: {weight: 1}
- {model: hub/ft, parameters: {weight: 3}}
- model: y/b
  parameters: {weight: 4}
parameters: {normalize: false}
"""
    file = roots / "recipes" / "recipe.yml"
    file.write_text(text)
    env = {"HF_HUB_CACHE": str(roots / "cache")}
    done = amend(client.url, "merge", file, "--into", "y/client", "--metadata", "k=v", "--wait", env=env)
    version = done.split()[0]
    got = client.weights(version)
    for name, v in own.items():
        np.testing.assert_allclose(ref.load(got[name]), v + 6 * v.astype(np.float64) + 4 * llama["b"][name], rtol=3e-6, atol=1e-5)
    kept = client.download(version, "mergekit_config.yml").decode()
    assert kept.startswith("# größer") and "# beside this file" in kept and "local/recipes-ft-a@" in kept and "hub/ft@" in kept
    assert kept.splitlines()[-3:] == text.splitlines()[-3:]
    again = amend(client.url, "job", "submit", "-f", file, "--into", "y/client", "--dry-run", env=env, expect=None)
    assert again.returncode == 0 and "registered already" in again.stderr and client.ok("/v1/models/local/recipes-ft-a")["versions"] == 1
    file.write_text(text.replace("y/b", "y/nothing").replace("weight: 3", "weight: x"))
    bad = amend(client.url, "merge", file, "--into", "y/client", env=env, expect=None)
    assert bad.returncode != 0 and "line 7" in bad.stderr and "#/models/1/parameters/weight" in bad.stderr, bad.stderr
    # an anchor stays for those that refer to it, a block keeps its end, and the mark of UTF-8 is none of the text
    file.write_text("\ufeffmerge_method: linear\nbase_model: &b ./ft a\nmodels:\n- {model: *b, parameters: {weight: 1}}\n- model: >-\n    ./ft a\n  parameters: {weight: 1}\n")
    told = amend(client.url, "merge", file, "--into", "y/client", "--missing", "base", "--dry-run", env=env, expect=None)
    assert told.returncode == 0, told.stderr
    # a directory has no revisions; mergekit looks at none of it
    file.write_text("merge_method: linear\nmodels:\n- {model: {model: {path: ./ft a, revision: main}}, parameters: {weight: 1}}\n- {model: y/b, parameters: {weight: 1}}\n")
    told = amend(client.url, "merge", file, "--into", "y/client", "--dry-run", env=env, expect=None)
    assert told.returncode == 0, told.stderr
    theirs = amend(client.url, "merge", file, "--into", "y/client", "--random-seed", "3", env=env, expect=None)
    assert theirs.returncode == 2 and "--seed here" in theirs.stderr
    file.write_text("merge_method: linear\nmodels: [\n")
    assert f"{file}, line 3" in amend(client.url, "merge", file, "--into", "y/client", env=env, expect=None).stderr


def test_tokenizers(client, llama, roots):
    """Keys of the tokenizer; what they do is in test_merge_tokens.py. Only reading tells whether tokenizers go together."""
    for who, tokens in (("t1", b'{"a":1}'), ("t2", b'{"a":2}')):
        ref.write(roots / who, {n: ref.tensor("F32", v) for n, v in llama["a"].items()}, files={"tokenizer.json": tokens})
        client.register(roots / who, f"y/{who}")
    text = LINEAR.replace("y/a", "y/t1").replace("y/b", "y/t2")
    for extra in ("tokenizer_source: union\n", "tokenizer: {source: base}\n", "tokenizer: {tokens: {x: {source: y/t1}}}\nchat_template: chatml\n"):
        assert plan(client, text + extra)["ok"]
    more = "tokenizer: {source: union, token: {}}\ntokenizer_source: base\nchat_template: 3\n"
    assert {e["pointer"] for e in plan(client, text + more)["refusals"]} == {"#/tokenizer", "#/tokenizer/token", "#/chat_template"}


# ---- compat -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(ABSENT, reason=f"no {GOLDENS}; set AMEND_DATA")
@pytest.mark.parametrize("name, share", [("linear-bf16", 0), ("ties-bf16", CASES.get("ties-bf16", {"tolerance": {"fraction": 0}})["tolerance"]["fraction"])])
def test_exact_rounds_as_mergekit(client, models, name, share):
    """Bit for bit, but for the choice among equal magnitudes; with f32 arithmetic many more elements differ."""
    text, golden = models((GOLDENS / CASES[name]["config"]).read_text()), read(GOLDENS / CASES[name]["output"])
    differing = {}
    for compat in ("exact", "rules"):
        _, version = run(client, text, model=f"mk/{compat}", compat=compat)
        got = client.weights(version)
        pairs = [(ref.load(got[n]), ref.load(t)) for n, t in golden.items()]
        differing[compat] = sum(int((a != b).sum()) for a, b in pairs) / sum(a.size for a, _ in pairs)
    assert differing["exact"] <= share < differing["rules"], differing


def test_compat(client, llama):
    """Weights that cancel, and counts that fractions make: none, rules and exact."""
    text = TIES.replace("weight: 1}", "weight: 1, density: 0.29}").replace("y/b}", "y/b, parameters: {weight: -1, density: 0.29}}") + "dtype: float32\n"
    refused = plan(client, text, compat="none")["refusals"]
    assert [e["reason"] for e in refused] == ["weights-sum-zero"]
    _, rules = run(client, text, model="y/rules")
    _, exact = run(client, text, model="y/exact", compat="exact")
    a, b = client.weights(rules), client.weights(exact)
    for n in a:
        np.testing.assert_allclose(ref.load(a[n]), ref.load(b[n]), rtol=1e-6)
    assert plan(client, text.replace("dtype: float32\n", ""), compat="exact")["refusals"][0]["pointer"] == "?compat"
