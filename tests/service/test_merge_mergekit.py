"""mergekit's own results (AMEND_DATA/mergekit-goldens), reproduced over HTTP: a job is made of each configuration,
the new version compared with mergekit's output within the tolerances that come with it.

Two closed lists say where that ends: NOT_YET, what cannot be asked for yet, and DIFFERENCES, where amend differs on
purpose. A case in neither that cannot be translated is a failure, and so is an entry that no longer holds.
"""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors

import reference as ref
import reference_merge as rm
from harness import REPO, Tensor, merge

GOLDENS = Path(os.environ.get("AMEND_DATA", REPO.parent / "shared" / "data")) / "mergekit-goldens"
ABSENT = not (GOLDENS / "index.json").exists()
if ABSENT and os.environ.get("REQUIRE_DATA") == "1":
    raise RuntimeError(f"REQUIRE_DATA=1, but there is no {GOLDENS}; set AMEND_DATA")
pytestmark = pytest.mark.skipif(ABSENT, reason=f"no {GOLDENS}; set AMEND_DATA to the folder that has them")
CASES = {} if ABSENT else {c["name"]: c for c in json.loads((GOLDENS / "index.json").read_text())}

OTHER_YAML = "not in the part of YAML that is read here; test_mergekit_yaml.py submits it as it is"
# What cannot be written as a job yet, or not here. "method": that method does not exist; such an entry fails when it does.
NOT_YET = {
    "slerp-gradient-filters": OTHER_YAML,
    "tokenizer-union": "rows are joined by tokens; test_mergekit_yaml.py submits it, test_merge_tokens.py has the rules",
    "passthrough-stack": OTHER_YAML,
    "passthrough-scale-filter": OTHER_YAML,
    "lora-passthrough": "an adapter as a part of a model",
}

# case: (row of the list of deliberate differences, what). The tensors concerned must follow our own rule.
DIFFERENCES = {
    "breadcrumbs": (5, "mergekit removes the whole task vector where int(gamma * n) is 0"),
    "breadcrumbs-ties": (5, "mergekit removes the whole task vector where int(gamma * n) is 0"),
}

METHODS = {"linear", "slerp", "task_arithmetic", "ties", "breadcrumbs", "breadcrumbs_ties"} | {
    "arcee_fusion",
    "karcher",
    "model_stock",
    "multislerp",
    "nearswap",
    "nuslerp",
    "passthrough",
    "ram",
    "ramplus_tl",
    "sce",
}
MASKED = {"dare_linear": "none", "dare_ties": "sum", "della": "sum", "della_linear": "none"}  # their consensus
METHODS |= set(MASKED)
DTYPES = {"float32": "F32", "bfloat16": "BF16", "float16": "F16"}


# ---- the configurations ----------------------------------------------------------------------------------------------


def scalar(text):
    text = text.strip()
    if text.startswith("{"):
        assert text.endswith("}") and "[" not in text, text
        pairs = [p.partition(":") for p in text[1:-1].split(",")]
        return {k.strip(): scalar(v) for k, _, v in pairs}
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text)
    except ValueError:
        return text


def parse(text):
    """The part of YAML that the configurations with plain settings use: keys, one list of models, flow mappings."""
    doc = {}
    for line in text.splitlines():
        if line.startswith("- "):
            entry = scalar(line[2:]) if line[2:].startswith("{") else dict([read_pair(line[2:])])
            doc["models"].append(entry)
        elif line.startswith("  "):
            key, value = read_pair(line)
            doc["models"][-1][key] = value
        elif line.strip() == "models:":
            doc["models"] = []
        else:
            key, value = read_pair(line)
            doc[key] = value
    return doc


def read_pair(line):
    key, colon, value = line.partition(":")
    assert colon and value.strip(), f"not in the part of YAML that this test reads: {line!r}"
    return key.strip(), scalar(value)


class Recipe:
    """One configuration: method, base, models and parameters in amend's terms."""

    PER_MODEL = {"weight", "density", "gamma", "epsilon"}
    WHOLE = {"t", "lambda", "normalize", "nuslerp_flatten", "nuslerp_row_wise", "select_topk"}
    RULES = {"model_stock", "karcher", "sce"}  # whose own rule differs from mergekit's

    def __init__(self, case):
        doc = parse((GOLDENS / case["config"]).read_text())
        self.method, self.base = doc.pop("merge_method"), doc.pop("base_model", None)
        models, params = doc.pop("models"), doc.pop("parameters", {})
        self.out_dtype = DTYPES[doc.pop("out_dtype", doc.get("dtype"))]
        doc.pop("dtype", None)
        assert not doc, f"not translated: {doc}"
        models = [m for m in models if m["model"] != self.base]  # a base that is listed is the base
        self.models = [m["model"] for m in models]
        self.per_model = [m.get("parameters", {}) for m in models]
        self.params = params
        unknown = set().union(*self.per_model) - self.PER_MODEL | set(params) - self.WHOLE
        assert not unknown, f"not translated: {unknown}"
        if self.method in self.RULES:
            self.params["compat"] = "rules"

    def job(self, into):
        models = [(name_of(m), p) for m, p in zip(self.models, self.per_model)]
        base = self.base and name_of(self.base)
        return merge(self.method, models, into, base=base, params=self.params, out_dtype=self.out_dtype)

    def reference(self):
        """{tensor: float32 array} by the formulas."""
        base = self.base and rm.arrays(read(GOLDENS / self.base / "model.safetensors"))
        xs = [rm.arrays(read(GOLDENS / m / "model.safetensors")) for m in self.models]
        w = [p.get("weight") for p in self.per_model]
        lists = {k: [p[k] for p in self.per_model] for k in ("density", "gamma") if k in self.per_model[0]}
        more = {{"lambda": "lam"}.get(k, k): v for k, v in self.params.items() if k != "compat"}
        rule = {
            "linear": lambda b, a: ref.linear(a, w, **more),
            "slerp": lambda b, a: rm.slerp(b, a[0], **more),
            "task_arithmetic": lambda b, a: ref.task_arithmetic(b, a, w, **more),
            "ties": lambda b, a: rm.ties(b, a, w, **lists, **more),
            "nuslerp": lambda b, a: rm.nuslerp(a, w, b, **more),
            "multislerp": lambda b, a: rm.multislerp(a, w, b, **more),
            "karcher": lambda b, a: rm.karcher(a, **more, least=1e-5)[0],
            "model_stock": lambda b, a: rm.model_stock(b, a, rules=True),
            "sce": lambda b, a: rm.sce(b, a, **more, rules=True),
            "arcee_fusion": lambda b, a: rm.arcee_fusion(b, a[0]),
            "nearswap": lambda b, a: rm.nearswap(b, a[0], **more),
            "passthrough": lambda b, a: a[0],
            "ram": lambda b, a: rm.ram(b, a, **more),
            "ramplus_tl": lambda b, a: rm.ramplus_tl(b, a, **more),
            "breadcrumbs": lambda b, a: rm.breadcrumbs(b, a, w, **lists, **more),
            "breadcrumbs_ties": lambda b, a: rm.breadcrumbs(b, a, w, consensus="sum", **lists, **more),
            **{m: lambda b, a: self.unmasked(b, a, w, **more) for m in MASKED},
        }[self.method]
        return {n: rule(base and base[n], [x[n] for x in xs]) for n in xs[0]}

    def unmasked(self, b, xs, weights, **more):
        """Methods that draw masks, at density 1: nothing is drawn."""
        assert all(p["density"] == 1 for p in self.per_model)
        return rm.frame(b, xs, weights, consensus=MASKED[self.method], normalize=self.method == "della", **more)

    def densities(self):
        return [p["density"] for p in self.per_model if "density" in p]


def name_of(path):
    return "mk/" + path.removeprefix("inputs/").replace("/", "-")


def read(path):
    raw = path.read_bytes()
    raw = gzip.decompress(raw) if path.suffix == ".gz" else raw
    return {n: Tensor(t["dtype"], tuple(t["shape"]), bytes(t["data"])) for n, t in safetensors.deserialize(raw)}


def translated():
    return [n for n, c in CASES.items() if c["method"] in METHODS and n not in NOT_YET]


def compare(got, golden, case, without=()):
    """The rule that comes with the goldens: share of elements outside atol + rtol * |golden|, over all tensors."""
    assert sorted(got) == sorted(golden)
    tol, outside, total, worst = case["tolerance"], 0, 0, ("", 0.0)
    for name, want in golden.items():
        assert (got[name].dtype, got[name].shape) == (want.dtype, want.shape), name
        if name in without:
            continue
        a, b = ref.load(got[name]).astype(np.float64), ref.load(want).astype(np.float64)
        over = np.abs(a - b) - (tol["atol"] + tol["rtol"] * np.abs(b))
        outside, total = outside + int((~(over <= 0)).sum()), total + a.size
        if a.size and over.max() > worst[1]:
            worst = (name, float(over.max()))
    assert outside <= tol["fraction"] * total, f"{outside} of {total} elements outside the tolerance, worst {worst}"


# ---- tests -----------------------------------------------------------------------------------------------------------


def test_the_lists_are_complete(client):
    there = {m["name"] for m in client.all("/v1/methods?type=merge")}
    problems = []
    for name, case in CASES.items():
        reason = NOT_YET.get(name)
        if reason is None and case["method"] not in METHODS:
            problems.append(f"{name}: method {case['method']} is neither translated nor in NOT_YET")
        if reason == "method" and case["method"] in there:
            problems.append(f"{name}: method {case['method']} exists now: translate the case and take it off NOT_YET")
        if case.get("quirk") and reason is None and name not in DIFFERENCES:
            problems.append(f"{name}: has a quirk that is in no list")
    gone = (set(NOT_YET) | set(DIFFERENCES)) - set(CASES)
    assert not problems and not gone, (problems, gone)


@pytest.mark.slow
@pytest.mark.parametrize("name", translated())
def test_formulas_reproduce_mergekit(name):
    """The reference of these tests itself."""
    case = CASES[name]
    recipe, golden = Recipe(case), read(GOLDENS / case["output"])
    mine = {n: ref.store(recipe.out_dtype, a) for n, a in recipe.reference().items()}
    compare(mine, golden, case, case["quirk"]["tensors"] if name in DIFFERENCES else ())


@pytest.fixture(scope="module")
def registered(client):
    return set()


def register(client, roots, path):
    """A folder of the goldens, copied to where the daemon may read it."""
    folder = roots / path.replace("/", "-")
    folder.mkdir()
    for f in (GOLDENS / path).iterdir():
        (folder / f.name).write_bytes(f.read_bytes())
    client.register(folder, name_of(path))


@pytest.mark.parametrize("name", translated())
def test_mergekit(client, roots, registered, name):
    case = CASES[name]
    recipe, golden = Recipe(case), read(GOLDENS / case["output"])
    for path in filter(None, [recipe.base, *recipe.models]):
        if path not in registered:
            register(client, roots, path)
            registered.add(path)
    version = client.run(recipe.job(f"mk/out-{name}"))
    got = client.weights(version)
    special = set(case["quirk"]["tensors"]) if name in DIFFERENCES else set()
    compare(got, golden, case, special)
    want = recipe.reference()
    for tensor in special:
        n = want[tensor].size
        assert ref.difference({tensor: got[tensor]}, {tensor: ref.store(recipe.out_dtype, want[tensor])}) is None
        assert not np.array_equal(ref.load(got[tensor]), ref.load(golden[tensor])), f"{tensor}: no difference is left"
        assert all(int(p["gamma"] * n) == 0 for p in recipe.per_model)
    for density in recipe.densities():  # row 2, counts from fractions: no case of these tells the two rules apart
        for t in golden.values():
            n = ref.load(t).size
            assert rm.count(density, n) == max(1, int(density * n)), (density, n)
    config = json.loads(client.download(version, "config.json"))
    expected = case["config_expected"]
    assert {k: config.get(k) for k in expected} == expected
