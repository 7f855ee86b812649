"""The merges of mergekit's own test suite as YAML with numbers in place of "no NaN" (merge.md E6), and defects of others
under their names (E9): bare_filter_mapping, gradient_empty, linear_unlisted_base and donor_order are rows of recipes.py,
multi_stage_stale is in test_chain.py."""

import json

import numpy as np
import pytest

import reference as ref
import reference_masks as masks
import reference_merge as rm
import reference_tasks as rt
from harness import Tensor

pytestmark = pytest.mark.slow  # what every check holds these methods to is in the tests of the methods
F = np.float32
LAYER = {"self_attn.q_proj": (32, 32), "self_attn.o_proj": (32, 32), "mlp.up_proj": (48, 32), "mlp.down_proj": (32, 48), "input_layernorm": (32,)}


def llama(seed, shift=0.0):
    """mergekit's fixture: vocabulary 64, hidden 32, inner 48, two layers. Fine-tunes are a step away from one base."""
    rng = np.random.default_rng(7)
    shapes = {"model.embed_tokens.weight": (64, 32), "model.norm.weight": (32,), "lm_head.weight": (64, 32)}
    shapes |= {f"model.layers.{i}.{part}.weight": s for i in range(2) for part, s in LAYER.items()}
    made = {n: rng.standard_normal(s).astype(F) for n, s in shapes.items()}
    step = np.random.default_rng(seed)
    return {n: a + (step.standard_normal(a.shape) * shift).astype(F) for n, a in made.items()}


class Store:
    def __init__(self, client, roots):
        self.client, self.roots, self.n = client, roots, 0

    def put(self, arrays, dtype="F32", config=None):
        self.n += 1
        folder = self.roots / f"n{self.n}"
        ref.write(folder, {n: a if isinstance(a, Tensor) else ref.store(dtype, a) for n, a in arrays.items()}, config=config)
        self.client.register(folder, f"n/m{self.n}")
        return f"n/m{self.n}"

    def post(self, text, **query):
        return self.client.request("POST", "/v1/jobs", data=text.encode(), params={"model": "n/out", **query}, headers={"Content-Type": "application/yaml"})

    def run(self, text, **query):
        """(tensors, warnings, version) of what a configuration makes."""
        answer = self.post(text, **query)
        assert answer.status_code == 202, answer.text
        job = self.client.wait(answer.json()["id"])
        assert job["status"] == "succeeded", job["error"]
        version = "{model}@{commit}".format(**job["result"]["version"])
        return self.client.weights(version), {w["code"] for w in job["warnings"]}, version

    def arrays(self, text, **query):
        got, told, _ = self.run(text, **query)
        return {n: ref.load(t) for n, t in got.items()}, told


@pytest.fixture(scope="module")
def store(client, roots):
    return Store(client, roots)


@pytest.fixture(scope="module")
def tunes(store):
    """A base and two fine-tunes, with their names."""
    made = {"base": llama(0), "a": llama(1, 0.02), "b": llama(2, 0.02)}
    return made, {who: store.put(m, config={"num_hidden_layers": 2}) for who, m in made.items()}


def recipe(method, names, models=("a", "b"), base="base", **params):
    text = f"merge_method: {method}\n" + (f"base_model: {names[base]}\n" if base else "")
    return text + "models:\n" + "".join(f"- {{model: {names[m]}}}\n" for m in models) + f"parameters: {json.dumps(params)}\n"


# ---- E6: basic merges ----------------------------------------------------------------------------------------------------

# name: (method, models, base, parameters, of one tensor: f(name, base, xs)), within 3e-6 of the formula
BASIC = {
    "linear": ("linear", ("a", "b"), None, {"weight": 0.5}, lambda n, b, x: (x[0] + x[1]) / 2),
    "slerp .5": ("slerp", ("a",), "base", {"t": 0.5}, lambda n, b, x: rm.slerp(b, x[0], 0.5)),
    "slerp .35": ("slerp", ("a",), "base", {"t": 0.35}, lambda n, b, x: rm.slerp(b, x[0], 0.35)),
    "task_arithmetic": ("task_arithmetic", ("a", "b"), "base", {"weight": 0.5}, lambda n, b, x: b + F(0.5) * (x[0] - b) + F(0.5) * (x[1] - b)),
    "ties .3": ("ties", ("a", "b"), "base", {"weight": 1, "density": 0.3}, lambda n, b, x: rm.ties(b, x, (1, 1), 0.3)),
    "sce .5": ("sce", ("a", "b"), "base", {"select_topk": 0.5}, lambda n, b, x: rm.sce(b, x, 0.5, rules=True)),
    "ram": ("ram", ("a", "b"), "base", {}, lambda n, b, x: rm.ram(b, x)),
    "ramplus_tl": ("ramplus_tl", ("a", "b"), "base", {"r": 0.05, "alpha": 1.0}, lambda n, b, x: rm.ramplus_tl(b, x, r=0.05, alpha=1.0)),
    "nuslerp": ("nuslerp", ("a", "b"), None, {"weight": 0.5}, lambda n, b, x: rm.nuslerp(x, (0.5, 0.5))),
    "nuslerp by rows of a base": ("nuslerp", ("a", "b"), "base", {"weight": 0.5, "nuslerp_flatten": False, "nuslerp_row_wise": True},
                                  lambda n, b, x: rm.nuslerp(x, (0.5, 0.5), b, False, True)),
    "multislerp with a base": ("multislerp", ("a", "b"), "base", {"weight": 0.5}, lambda n, b, x: rm.multislerp(x, (0.5, 0.5), b)),
    "dare_ties .66": ("dare_ties", ("a", "b"), "base", {"weight": 0.5, "density": 0.66}, lambda n, b, x: masks.dare(n, b, x, (0.5, 0.5), 0.66, consensus="sum")),
    "della .66 .05 .5": ("della", ("a", "b"), "base", {"weight": 0.5, "density": 0.66, "epsilon": 0.05, "lambda": 0.5},
                         lambda n, b, x: masks.della(n, b, x, (0.5, 0.5), 0.66, 0.05, consensus="sum", normalize=True, lam=0.5)),
    "model_stock": ("model_stock", ("a", "b"), "base", {}, lambda n, b, x: rm.model_stock(b, x, rules=True)),
    "model_stock by rows": ("model_stock", ("a", "b"), "base", {"filter_wise": True}, lambda n, b, x: rm.model_stock(b, x, filter_wise=True, rules=True)),
    "arcee_fusion": ("arcee_fusion", ("a",), "base", {}, lambda n, b, x: rm.arcee_fusion(b, x[0])),
    "nearswap": ("nearswap", ("a",), "base", {"t": 1e-4}, lambda n, b, x: rm.nearswap(b, x[0], 1e-4)),
    "karcher": ("karcher", ("a", "b"), None, {"max_iter": 5}, lambda n, b, x: rm.karcher(x, 5)[0]),
}


@pytest.mark.parametrize("name", BASIC)
def test_basic_merges(store, tunes, name):
    method, models, base, params, formula = BASIC[name]
    made, names = tunes
    got, _ = store.arrays(recipe(method, names, models, base, **params))
    for n, b in made["base"].items():
        want = formula(n, b, [made[m][n] for m in models])
        off = np.abs(got[n] - want) > 3e-6
        assert got[n].shape == b.shape and off.sum() <= (2 if method in ("arcee_fusion", "sce", "ties") else 0), (n, np.abs(got[n] - want).max())


def test_breadcrumbs_defaults_are_task_arithmetic(store, tunes):
    """mergekit's default density 1 removes nothing, and that is told."""
    made, names = tunes
    got, told = store.arrays(recipe("breadcrumbs", names, weight=0.5))
    plain, _ = store.arrays(recipe("task_arithmetic", names, weight=0.5))
    assert "breadcrumbs-noop" in told and all(np.array_equal(got[n], plain[n]) for n in plain)


def test_stack_of_a_gpt2_layout(store):
    """12 + 12 layers of names like h.5.attn are 24, each a copy of its own."""
    rng = np.random.default_rng(5)
    made = {"wte.weight": rng.standard_normal((10, 4)).astype(F), "ln_f.weight": rng.standard_normal(4).astype(F)}
    made |= {f"h.{i}.attn.c_attn.weight": rng.standard_normal((4, 12)).astype(F) for i in range(12)}
    name = store.put(made, config={"n_layer": 12, "model_type": "gpt2"})
    got, _, version = store.run("merge_method: passthrough\nslices:\n" + f"- sources: [{{model: {name}, layer_range: [0, 12]}}]\n" * 2)
    assert json.loads(store.client.download(version, "config.json"))["n_layer"] == 24
    assert len(got) == 26
    for i in range(24):
        assert np.array_equal(ref.load(got[f"h.{i}.attn.c_attn.weight"]), made[f"h.{i % 12}.attn.c_attn.weight"])


def test_passthrough_and_scale_with_a_filter(store, tunes):
    made, names = tunes
    got, _ = store.arrays(recipe("passthrough", names, ("a",), None))
    assert all(np.array_equal(got[n], made["a"][n]) for n in made["a"])
    got, _ = store.arrays(recipe("passthrough", names, ("a",), None, scale=[{"filter": "o_proj", "value": 0}, {"value": 1}]))
    for n, a in made["a"].items():
        assert np.array_equal(got[n], a * 0 if "o_proj" in n else a), n


# ---- E6: the writer ------------------------------------------------------------------------------------------------------


def test_a_shard_of_one_byte_holds_one_tensor(store, tunes):
    """Names of five digits, an index that has every tensor and the sum, and each in its own file."""
    made, names = tunes
    got, _, version = store.run(recipe("linear", names, base=None, weight=1), shard_bytes="1", model="n/shards")
    n = len(made["base"])
    files = sorted(p for p, f in store.client.files(version).items() if f["weights"])
    assert files == [f"model-{i:05d}-of-{n:05d}.safetensors" for i in range(1, n + 1)]
    index = json.loads(store.client.download(version, "model.safetensors.index.json"))
    assert sorted(index["weight_map"]) == sorted(made["base"]) and sorted(index["weight_map"].values()) == files
    assert index["metadata"]["total_size"] == sum(4 * a.size for a in made["base"].values())
    assert sorted(got) == sorted(made["base"])


def test_one_tensor_under_two_names(store):
    """What the file shares stays equal under both names."""
    w = np.arange(12, dtype=F).reshape(3, 4)
    a, b = store.put({"lm_head.weight": w, "model.embed_tokens.weight": w}), store.put({"lm_head.weight": w + 1, "model.embed_tokens.weight": w + 1})
    got, _ = store.arrays(f"merge_method: linear\nmodels: [{{model: {a}}}, {{model: {b}}}]\nparameters: {{weight: 1}}\n")
    assert np.array_equal(got["lm_head.weight"], w + F(0.5)) and np.array_equal(got["lm_head.weight"], got["model.embed_tokens.weight"])


# ---- E9: named regressions -----------------------------------------------------------------------------------------------


def small(*shape, scale=1.0, seed=0):
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(F)


def test_breadcrumbs_top_zero(store):
    """gamma of less than an entry: the middle is kept. mergekit's rules zero the whole difference, and say where."""
    b, x = small(64, seed=1), small(64, seed=1) + small(64, scale=0.1, seed=2)
    names = {"base": store.put({"w": b}), "a": store.put({"w": x})}
    text = recipe("breadcrumbs", names, ("a",), weight=1, density=0.9, gamma=0.01)
    got, told = store.arrays(text, compat="none")
    want = rm.breadcrumbs(b, [x], (1,), density=0.9, gamma=0.01)
    np.testing.assert_allclose(got["w"], want, atol=1e-6)
    assert 57 <= (got["w"] != b).sum() <= 58 and "compat-effects" not in told
    got, told = store.arrays(text)
    assert np.array_equal(got["w"], b) and "compat-effects" in told


def test_ties_single_element(store):
    """A density of less than an entry keeps one."""
    names = {"base": store.put({"w": F([1]), "m": small(3, 3)}), "a": store.put({"w": F([3]), "m": small(3, 3) + F(1)})}
    got, _ = store.arrays(recipe("ties", names, ("a",), weight=1, density=1e-9))
    assert got["w"] == [3] and (got["m"] != small(3, 3)).sum() == 1


def test_sce_k_zero(store):
    """Nothing selected is the base, in its own shape."""
    b = small(4, 5)
    names = {"base": store.put({"w": b}), "a": store.put({"w": b + F(1)}), "b": store.put({"w": b + F(1)})}
    got, _ = store.arrays(recipe("sce", names, select_topk=0.5))
    assert got["w"].shape == (4, 5) and np.array_equal(got["w"], b)


def test_sce_absolute_floor(store):
    """Weights follow the energies of the differences however small they are; mergekit's floor makes them equal."""
    b, d1, d2 = np.zeros((8, 8), F), np.abs(small(8, 8, seed=1)) * F(1e-4), np.abs(small(8, 8, seed=2)) * F(4e-4)
    names = {"base": store.put({"w": b}), "a": store.put({"w": d1}), "b": store.put({"w": d2})}
    got, _ = store.arrays(recipe("sce", names, select_topk=1.0), compat="none")
    q = np.array([np.mean(d.astype(float) ** 2) for d in (d1, d2)])
    np.testing.assert_allclose(got["w"], (q[0] * d1 + q[1] * d2) / q.sum(), rtol=1e-5)
    got, _ = store.arrays(recipe("sce", names, select_topk=1.0))
    np.testing.assert_allclose(got["w"], (d1 + d2) / 2, rtol=1e-5)


def test_model_stock_identical_small(store):
    """Two equal small differences agree: t is 1, and the result is the model."""
    b = small(16, 16)
    x = b + small(16, 16, scale=1e-5, seed=3)
    names = {"base": store.put({"w": b}), "a": store.put({"w": x}), "b": store.put({"w": x})}
    got, told = store.arrays(recipe("model_stock", names), compat="none")
    np.testing.assert_allclose(got["w"], x, atol=3e-7)
    assert "identical-inputs" in told and np.abs(x - b).max() > 1e-5


def test_della_row_of_one(store):
    """Rows of one entry have the probability `density`; a number alone is such a row."""
    shapes = {"column": (400, 1), "one": (1,), "alone": ()}
    b = {n: np.zeros(s, F) for n, s in shapes.items()}
    x = {n: np.ones(s, F) for n, s in shapes.items()}
    names = {"base": store.put(b), "a": store.put(x)}
    got, _ = store.arrays(recipe("della", names, ("a",), weight=1, density=0.5, epsilon=0.1, rescale=False, normalize=False))
    assert all(got[n].shape == s and np.isin(got[n], (0, 1)).all() for n, s in shapes.items())
    assert 140 < got["column"].sum() < 260  # 200 and six standard errors


def test_slerp_scalar(store):
    """Numbers without a direction lie on a straight line."""
    names = {"base": store.put({"s": F(1), "one": F([-2])}), "a": store.put({"s": F(3), "one": F([4])})}
    got, _ = store.arrays(recipe("slerp", names, ("a",), t=0.25))
    assert got["s"].shape == () and got["s"] == 1.5 and got["one"] == [-0.5]


def test_silent_skip_shape(store):
    """A model whose tensor has another shape is no input that may be left out without a word."""
    names = {"base": store.put({"w": small(3, 4)}), "a": store.put({"w": small(3, 4, seed=1)}), "b": store.put({"w": small(4, 3)})}
    answer = store.post(recipe("task_arithmetic", names, weight=1), compat="none")
    assert answer.status_code == 422 and [(e["code"], e["reason"]) for e in answer.json()["errors"]] == [("shape-mismatch", "shape")], answer.text


def test_arcee_float32_output(store):
    """Every tensor has the dtype that the configuration says."""
    names = {who: store.put({"w": small(6, 8, seed=s), "v": small(5, seed=s)}, dtype="BF16") for s, who in enumerate(("base", "a"))}
    for text in (recipe("arcee_fusion", names, ("a",)) + "dtype: bfloat16\n", recipe("ramplus_tl", names, ("a",))):
        got, _, _ = store.run(text)
        assert {t.dtype for t in got.values()} == {"BF16"}


def contributors(p, good):
    """p vectors of which `good` says that they tell two rules apart."""
    rng = np.random.default_rng(2)
    for _ in range(10000):
        xs = list((rng.standard_normal((p, 3)) * rng.uniform(0.2, 3, (p, 1))).astype(F))
        if good(rm.gram([[x] for x in xs])):
            return xs
    raise AssertionError("no such vectors")


def robust(store, method, xs, **params):
    names = {"base": store.put({"w": np.zeros(3, F)}), **{f"x{i}": store.put({"w": x}) for i, x in enumerate(xs)}}
    got, _ = store.arrays(recipe(method, names, [f"x{i}" for i in range(len(xs))], **params))
    return got["w"]


def test_krum_unsquared(store):
    """Distances are squared, and to as many neighbours as the paper says."""
    def other(K, f=1):
        D = np.sqrt(rm.distances(K))
        return int(np.argmin([sum(sorted(np.delete(D[i], i))[: len(K) - f - 1]) for i in range(len(K))]))

    xs = contributors(5, lambda K: int(np.argmin(rm.krum_scores(K, 1))) != other(K))
    want = xs[int(np.argmin(rm.krum_scores(rm.gram([[x] for x in xs]), 1)))]
    assert np.array_equal(robust(store, "krum", xs, f=1), want)


def test_bulyan_never_rescored(store):
    """Scores are taken anew after each one that is chosen."""
    def once(K, f=1):
        return sorted(int(i) for i in np.argsort(rm.krum_scores(K, f), kind="stable")[: len(K) - 2 * f])

    xs = contributors(7, lambda K: rm.bulyan_chosen(K, 1) != once(K))
    zero = {"w": np.zeros(3, F)}
    want = rm.bulyan(zero, [{"w": x} for x in xs], 1)["w"]
    np.testing.assert_allclose(robust(store, "bulyan", xs, f=1), want, atol=1e-6)


def test_flag_scale_lost(store):
    """Contributors that agree give what they say, in its size."""
    d = F([30, -4, 5])
    np.testing.assert_allclose(robust(store, "flag", [d * F(k) for k in (0.9, 1, 1.1)]), d, rtol=1e-5)


def test_emr_tensor_means(store):
    """The scale of a task is over elements, so that a small tensor weighs little."""
    b = {"big": np.zeros((40, 40), F), "tiny": np.zeros(1, F)}
    xs = [{"big": small(40, 40, seed=s), "tiny": F([s * 5])} for s in (1, 2)]
    names = {"base": store.put(b), "a": store.put(xs[0]), "b": store.put(xs[1])}
    got, _ = store.arrays(recipe("emr", names, task=1))
    want = rt.emr(b, xs, 1)
    assert all(np.abs(got[n] - want[n]).max() < 1e-5 for n in b)
    assert np.abs(want["big"] - rt.emr(b, xs, 1, reference_scaling=True)["big"]).max() > 1e-3


# ---- B20: warnings that only numbers give -------------------------------------------------------------------------------


def test_warnings_of_values(store):
    """Each by a merge that earns it, and none by one that does not."""
    big, one = small(10, 10), F([1])
    given = {
        "base": {"w": big, "s": one, "n": Tensor("I32", (1,), (1).to_bytes(4, "little"))},
        "a": {"w": big + small(10, 10, seed=1), "s": one + F(1), "n": Tensor("I32", (1,), (1).to_bytes(4, "little"))},
        "b": {"w": big + small(10, 10, seed=2), "s": one + F(2), "n": Tensor("I32", (1,), (2).to_bytes(4, "little"))},
        "minus": {"w": -big, "s": -one, "n": Tensor("I32", (1,), (1).to_bytes(4, "little"))},
        "inf": {"w": np.where(big > 2, F(np.inf), big), "s": F([np.inf]), "n": Tensor("I32", (1,), (1).to_bytes(4, "little"))},
    }
    names = {who: store.put({n: t if isinstance(t, Tensor) else ref.tensor("F32", t) for n, t in m.items()}) for who, m in given.items()}
    for told, text, query in (
        (set(), recipe("ties", names, ("a",), weight=1, density=0.5), {}),
        ({"density-zero"}, recipe("ties", names, ("a",), weight=1, density=0), {}),
        ({"breadcrumbs-noop"}, recipe("breadcrumbs", names, ("a",), weight=1), {}),
        ({"empty-mask", "few-survivors"}, recipe("dare_linear", names, ("a",), weight=1, density=0.02), {}),
        ({"antiparallel"}, recipe("slerp", names, ("minus",), t=0.5), {}),
        ({"integer-differs"}, recipe("linear", names, ("a", "b"), None, weight=1), {}),
        ({"nonfinite-propagated"}, recipe("linear", names, ("a", "inf"), None, weight=1), {"nonfinite": "propagate"}),
        ({"small-divisor", "integer-differs"}, recipe("ties", names, (), weight=1).replace(
            "models:\n", f"models:\n- {{model: {names['a']}, parameters: {{weight: 1}}}}\n- {{model: {names['b']}, parameters: {{weight: -0.9995}}}}\n"), {}),
        ({"t-outside-unit"}, recipe("slerp", names, ("a",), t=1.5), {}),
    ):
        _, got, _ = store.run(text, **query)
        assert got == told, (text, got)


def test_each_slice_has_its_base(store):
    """The difference of a slice is that from its own base, and so is what stands before and after the layers."""
    made = [{n: small(3, 2, seed=s * 10 + i) for i, n in enumerate(("embed.weight", "layers.0.w", "layers.1.w", "norm.weight"))} for s in range(3)]
    b1, b2, x = (store.put(m) for m in made)
    text = f"""merge_method: task_arithmetic
base_model: {b1}
slices:
- sources: [{{model: {b1}, layer_range: [0, 1]}}, {{model: {x}, layer_range: [1, 2]}}]
- base_model: {b2}
  sources: [{{model: {x}, layer_range: [0, 1]}}, {{model: {b2}, layer_range: [1, 2]}}]
parameters: {{weight: 0.25}}
"""
    got, _ = store.arrays(text)
    for name, base, other in (("embed.weight", (0, "embed.weight"), "embed.weight"), ("layers.0.w", (0, "layers.0.w"), "layers.1.w"),
                              ("layers.1.w", (1, "layers.1.w"), "layers.0.w"), ("norm.weight", (1, "norm.weight"), "norm.weight")):
        b = made[base[0]][base[1]]
        np.testing.assert_allclose(got[name], b + F(0.25) * (made[2][other] - b), atol=1e-6, err_msg=name)
