"""Merges with known results: vectors of eight numbers, and contributors of which one is faulty. test_merge_figures.py
has those of real fine-tunes.

Expected numbers stand here as they were published; the formulas of reference_merge.py are held to them as well.
"""

import numpy as np
import pytest

import reference as ref
import reference_masks as masks
import reference_merge as rm
import reference_tasks as multi
from harness import merge

ZERO = np.zeros(8, np.float32)
X = [
    np.array(v, np.float32) / 8
    for v in ([1, -2, 3, -4, 5, -6, 7, -8], [-3, -2, 1, 4, 6, -1, 0, 2], [2, 2, -2, 0, 1, -5, 3, -1])
]
W = (1, 0.5, 0.25)
ONES = (1, 1, 1)
CRUMBS = {"drop_low": 0.5, "drop_high": 0.125}


def over(weights, density=None):
    more = {} if density is None else {"density": density}
    return [(f"g/x{i + 1}", {"weight": w, **more}) for i, w in enumerate(weights)]


def plain():
    return [(f"g/x{i + 1}", None) for i in range(3)]


# name: (method, models, params, formula, result)
VECTORS = {
    "linear": (
        "linear",
        over(W),
        {},
        lambda: ref.linear(X, W),
        [0, -0.178571, 0.214286, -0.142857, 0.589286, -0.553571, 0.553571, -0.517857],
    ),
    "task_arithmetic": (
        "task_arithmetic",
        over(W),
        {},
        lambda: ref.task_arithmetic(ZERO, X, W),
        [0, -0.3125, 0.375, -0.25, 1.03125, -0.96875, 0.96875, -0.90625],
    ),
    "ties": (
        "ties",
        over(W, 0.5),
        {},
        lambda: rm.ties(ZERO, X, W, 0.5),
        [-0.375, -0.25, 0, 0.5, 0.666667, -0.725, 0.775, -1],
    ),
    "ties, one density for all": (
        "ties",
        over(W),
        {"density": 0.5},
        lambda: rm.ties(ZERO, X, W, 0.5),
        [-0.375, -0.25, 0, 0.5, 0.666667, -0.725, 0.775, -1],
    ),
    "ties, not normalised": (
        "ties",
        over(W, 0.5),
        {"normalize": False},
        lambda: rm.ties(ZERO, X, W, 0.5, normalize=False),
        [-0.1875, -0.125, 0, 0.25, 1, -0.90625, 0.96875, -1],
    ),
    "breadcrumbs": (
        "breadcrumbs",
        over(ONES),
        {**CRUMBS, "lambda": 0.5},
        lambda: rm.breadcrumbs(ZERO, X, ONES, lam=0.5, **CRUMBS),
        [-0.0625, 0, 0, 0.25, 0.3125, -0.375, 0.625, 0],
    ),
    "breadcrumbs, elected": (
        "breadcrumbs",
        over(ONES),
        {**CRUMBS, "consensus": "sum"},
        lambda: rm.breadcrumbs(ZERO, X, ONES, consensus="sum", **CRUMBS),
        [-0.375, 0.25, 0, 0.5, 0.625, -0.75, 1.25, 0],
    ),
    "ram": (
        "ram",
        plain(),
        {},
        lambda: rm.ram(ZERO, X),
        [0, -0.083333, 0.083333, 0, 0.5, -0.5, 0.625, -0.291667],
    ),
    "sce": (
        "sce",
        plain(),
        {},
        lambda: rm.sce(ZERO, X),
        [0.14881, -0.25, 0.310455, 0.5, 0.578173, -0.59404, 0.779762, -0.833333],
    ),
    "sce, half": (
        "sce",
        plain(),
        {"select_topk": 0.5},
        lambda: rm.sce(ZERO, X, 0.5),
        [0.137153, 0, 0, 0.5, 0, 0, 0.826389, -0.914931],
    ),
    "dare": (
        "dare_linear",
        [("g/x1", {"weight": 1})],
        {"density": 0.5},
        lambda: masks.dare("w", ZERO, X[:1], (1,), 0.5),
        [0, 0, 0, -1.058824, 1.323529, 0, 0, -2.117647],
    ),
    "emr": (
        "emr",
        plain(),
        {"task": 1},
        lambda: multi.emr({"w": ZERO}, [{"w": x} for x in X], 1)["w"],
        [0, -0.28125, 0.421875, 0, 0.84375, -0.84375, 0.984375, -1.125],
    ),
    "median": (
        "median",
        plain(),
        {},
        lambda: rm.median(ZERO, X),
        [0.125, -0.25, 0.125, 0, 0.625, -0.625, 0.375, -0.125],
    ),
}
SLERP = [-0.024824, -0.318432, 0.385628, -0.268784, 0.842091, -0.725246, 0.792442, -0.813628]
# Which of the eight each method keeps of x1, x2, x3.
TIES_MASKS = ("00001111", "11011000", "11000110")
CRUMBS_MASKS = ("00001110", "11010000", "11000010")


@pytest.fixture(scope="module")
def small(client, roots):
    x0 = np.where(np.arange(8) == 3, ZERO, X[0])
    for name, values in (("zero", ZERO), ("x0", x0), *((f"x{i + 1}", x) for i, x in enumerate(X))):
        client.register(ref.write(roots / f"g-{name}", {"w": ref.tensor("F32", values)}), f"g/{name}")
    return client


def result(client, body):
    return ref.load(client.weights(client.run(body))["w"])


def bits(mask):
    return "".join("1" if k else "0" for k in mask)


# ---- eight numbers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VECTORS)
def test_vector(small, name):
    method, models, params, formula, want = VECTORS[name]
    assert np.abs(formula() - want).max() < 6e-7, "the formula of the tests"
    base = None if method == "linear" else "g/zero"
    got = result(small, merge(method, models, "g/out", base=base, params=params))
    assert np.array_equal(got, formula()), f"{got}, wanted {formula()}"


def test_vector_slerp(small):
    assert abs(rm.cosine(X[0], X[1]) - 0.0664731) < 5e-8
    assert np.abs(rm.slerp(X[0], X[1], 0.25) - SLERP).max() < 6e-7
    body = merge("slerp", [("g/x2", None)], "g/out", base="g/x1", params={"t": 0.25})
    version = small.run(body)
    got = ref.load(small.weights(version)["w"])
    assert np.abs(got - np.float32(SLERP)).max() < 6e-7 and np.abs(got - rm.slerp(X[0], X[1], 0.25)).max() < 2e-7, got
    assert abs(small.report(version)["tensors"]["w"]["cosine"] - 0.0664731) < 5e-8


# name: (method, base, models, params, result); x0 is x1 with a zero in the fourth place
BESIDE = {
    "multislerp": (
        "multislerp",
        None,
        over(W),
        {},
        [-0.040318, -0.209879, 0.22189, -0.048043, 0.83506, -0.742412, 0.673224, -0.537271],
    ),
    "multislerp over zero": (
        "multislerp",
        "g/zero",
        over(W),
        {},
        [-0.040318, -0.209879, 0.22189, -0.048043, 0.83506, -0.742412, 0.673224, -0.537271],
    ),
    "karcher": (
        "karcher",
        None,
        plain(),
        {},
        [-0.016764, -0.062894, 0.027086, 0.14323, 0.751799, -0.754078, 0.545674, -0.260495],
    ),
    "model_stock": (
        "model_stock",
        "g/zero",
        plain(),
        {},
        [0, -0.034899, 0.034899, 0, 0.209395, -0.209395, 0.174496, -0.122147],
    ),
    "ramplus_tl": (
        "ramplus_tl",
        "g/zero",
        [("g/x0", None), ("g/x2", None), ("g/x3", None)],
        {},
        [0, -0.083333, 0.083333, 0.51, 0.5, -0.5, 0.625, -0.291667],
    ),
    "nearswap": (
        "nearswap",
        "g/x1",
        [("g/x2", None)],
        {"t": 0.25},
        [-0.125, -0.25, 0.125, -0.25, 0.75, -0.5, 0.625, -0.75],
    ),
    "arcee_fusion": ("arcee_fusion", "g/x1", [("g/x2", None)], {}, list(X[0])),
}


@pytest.mark.parametrize("name", BESIDE)
def test_vector_beside(small, name):
    method, base, models, params, want = BESIDE[name]
    version = small.run(merge(method, models, "g/out", base=base, params=params))
    got = ref.load(small.weights(version)["w"])
    assert np.abs(got - np.float32(want)).max() < 6e-7, got
    told = small.report(version)["tensors"]["w"]
    if name == "karcher":
        assert told["iterations"] == 5
    if name == "model_stock":
        assert abs(told["t"] - 0.418789) < 6e-7
        assert np.allclose(told["cosine"], [0.066473, 0.565916, -0.051389], atol=6e-7)
    if name == "ramplus_tl":
        assert np.allclose(told["factor"], 1.02)
    if name == "arcee_fusion":
        importance, threshold = rm.fusion(X[0], X[1])
        assert abs(threshold - 0.359109) < 6e-7 and abs(told["threshold"] - 0.359109) < 6e-7
        assert abs(importance[3] / abs(X[0][3] - X[1][3]) - 0.22099) < 6e-6


@pytest.mark.parametrize("method", ["ties", "breadcrumbs"])
def test_vector_masks(small, method):
    """One model alone with weight 1 over a base of zeros: what is not zero was kept."""
    params, masks = ({"density": 0.5}, TIES_MASKS) if method == "ties" else (CRUMBS, CRUMBS_MASKS)
    for i, want in enumerate(masks):
        keep = rm.keep_largest(X[i], 0.5) if method == "ties" else rm.keep_middle(X[i], **CRUMBS)
        assert bits(keep) == want
        got = result(small, merge(method, [(f"g/x{i + 1}", {"weight": 1})], "g/out", base="g/zero", params=params))
        assert np.array_equal(got, np.where(keep, X[i], ZERO)), (i, got)


# ---- faulty contributors, by calculation -----------------------------------------------------------------------------

SCALES = (0.8, 0.92, 1.0, 1.07, 1.2, -10.0)


@pytest.fixture(scope="module")
def attacked(client, roots):
    """Multiples of one change, a reversed one and a contributor that is noise in [0, 1)."""
    rng = np.random.default_rng(7)
    tau, base = rng.standard_normal((2, 30, 40)).astype(np.float32)
    changes = [ref.f32(s) * tau for s in SCALES] + [rng.random((30, 40), dtype=np.float32)]
    models = [{"w": base}] + [{"w": base + c} for c in changes]
    for i, m in enumerate(models):
        client.register(ref.write(roots / f"a-{i}", {"w": ref.tensor("F32", m["w"])}), f"a/{i}")
    return client, base, tau, [m["w"] for m in models[1:]]


def robust(attacked, method, **params):
    client, base, _, _ = attacked
    version = client.run(merge(method, [(f"a/{i + 1}", None) for i in range(7)], "a/out", base="a/0", params=params))
    return version, ref.load(client.weights(version)["w"])


def test_krum_returns_one_contributor(attacked):
    version, got = robust(attacked, "krum", f=2)
    assert np.array_equal(got, attacked[3][1]), "not the contributor of scale 0.92"
    total = attacked[0].report(version)["total"]
    assert total["coefficient"] == [0, 1, 0, 0, 0, 0, 0] and len(total["trust"]) == 7


def test_multi_krum_averages_the_best(attacked):
    version, got = robust(attacked, "multi_krum", f=2)
    _, base, tau, _ = attacked
    factor = float(np.vdot(got - base, tau) / np.vdot(tau, tau))
    assert abs(factor - 0.996667) < 2e-6, factor
    c = attacked[0].report(version)["total"]["coefficient"]
    assert np.allclose(c, [0, 1 / 3, 1 / 3, 1 / 3, 0, 0, 0], atol=1e-12)


@pytest.mark.parametrize("method, params", [("median", {}), ("trimmed_mean", {"f": 2}), ("geometric_median", {})])
def test_robust_rules_stay_near_the_honest(attacked, method, params):
    _, got = robust(attacked, method, **params)
    _, base, tau, xs = attacked
    honest = np.mean([x - base for x in xs[:5]], axis=0)
    mean = np.mean([x - base for x in xs], axis=0)
    off = float(np.linalg.norm(got - base - honest) / np.linalg.norm(honest))
    assert off < 0.35 < float(np.linalg.norm(mean - honest) / np.linalg.norm(honest)), off
