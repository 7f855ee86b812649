"""Merges of real fine-tunes (test_mnist.py): accuracies, norms and what reports tell, computed elsewhere.

Expected figures stand here as they were published; the formulas of reference_merge.py are held to them as well.
"""

import numpy as np
import pytest

import reference as ref
import reference_masks as masks
import reference_merge as rm
import reference_tasks as multi
from harness import Tensor, merge
from test_mnist import ABSENT, DATA, TASKS, TUNED, load_tasks

ONES = (1, 1, 1)
MODELS = [f"mnist/ft_{t}" for t in TUNED]


def tuned(**params):
    return [(m, params or None) for m in MODELS]


def wise(a):
    return merge("linear", [("mnist/base", {"weight": 1 - a}), ("mnist/ft_rot90", {"weight": a})], "mnist/out")


def wise_preset(a):
    return merge("wise_ft", [("mnist/ft_rot90", None)], "mnist/out", base="mnist/base", params={"alpha": a})


def over_base(method, **params):
    return merge(method, tuned(), "mnist/out", base="mnist/base", params=params)


def framed(method, lam, **params):
    return merge(method, tuned(weight=1), "mnist/out", base="mnist/base", params={"lambda": lam, **params})


def ported(scale):
    body = merge("port", [], "mnist/out", base="mnist/ft_fashion5", params={"scale": scale})
    body["inputs"]["models"] = [{"version": "mnist/ft_rot90", "base": "mnist/base"}]
    return body


def one(rule):
    return lambda b, ts: {n: rule(b[n], [t[n] for t in ts]) for n in b}


def ties_of(density, lam, normalize=True):
    return one(lambda b, x: rm.ties(b, x, ONES, density, normalize, lam))


def crumbs_of(low):
    return one(lambda b, x: rm.breadcrumbs(b, x, ONES, lam=0.3, drop_low=low, drop_high=0.01))


def by_chance(method, density, rescale="l1"):
    return merge(
        method,
        tuned(weight=1),
        "mnist/out",
        base="mnist/base",
        params={"lambda": 0.3, "density": density, "rescale": rescale},
        seed=42,
    )


def dare_of(density, rescale="l1", consensus="none"):
    return lambda b, ts: {
        n: masks.dare(n, b[n], [t[n] for t in ts], ONES, density, rescale, 42, lam=0.3, consensus=consensus) for n in b
    }


def lined(alpha, beta):
    return merge("lines", [(MODELS[1], None)], "mnist/out", base="mnist/base", params={"alpha": alpha, "beta": beta})


def for_task(method, task, **params):
    return merge(method, tuned(), "mnist/out", base="mnist/base", params={"task": task, **params})


# name: (job, formula over base and (fashion5, rot90, inverted), accuracies on TASKS, norm of the change of the base)
FIGURES = {
    "mean of three": (
        lambda: merge("linear", tuned(weight=1), "mnist/out"),
        one(lambda b, x: ref.linear(x, ONES)),
        (0.7086, 0.5214, 0.4124, 0.1012),
        3.9083,
    ),
    "mean of two": (
        lambda: merge("linear", [(m, {"weight": 0.5}) for m in MODELS[1:]], "mnist/out"),
        one(lambda b, x: ref.linear(x[1:], (0.5, 0.5))),
        (0.5619, 0.2124, 0.5810, 0.1262),
        4.9547,
    ),
    "wise_ft 0.25": (
        lambda: wise(0.25),
        one(lambda b, x: ref.linear([b, x[1]], (0.75, 0.25))),
        (0.9395, 0.2534, 0.2691, 0.0991),
        2.0003,
    ),
    "wise_ft 0.5": (
        lambda: wise(0.5),
        one(lambda b, x: ref.linear([b, x[1]], (0.5, 0.5))),
        (0.8716, 0.2932, 0.5867, 0.1007),
        4.0006,
    ),
    "wise_ft 0.75": (
        lambda: wise(0.75),
        one(lambda b, x: ref.linear([b, x[1]], (0.25, 0.75))),
        (0.6425, 0.3052, 0.8842, 0.1010),
        6.0009,
    ),
    "task_arithmetic 0.3": (
        lambda: framed("task_arithmetic", 0.3),
        one(lambda b, x: ref.task_arithmetic(b, x, ONES, 0.3)),
        (0.7735, 0.4700, 0.3647, 0.1012),
        3.5175,
    ),
    "task_arithmetic 0.5": (
        lambda: framed("task_arithmetic", 0.5),
        one(lambda b, x: ref.task_arithmetic(b, x, ONES, 0.5)),
        (0.3341, 0.7404, 0.5811, 0.1101),
        5.8624,
    ),
    "slerp 0.5": (
        lambda: merge("slerp", [("mnist/ft_inverted", None)], "mnist/out", base="mnist/ft_rot90", params={"t": 0.5}),
        one(lambda b, x: rm.slerp(x[1], x[2], 0.5)),
        (0.5619, 0.2126, 0.5803, 0.1261),
        5.0501,
    ),
    "ties .2": (
        lambda: framed("ties", 1, density=0.2),
        ties_of(0.2, 1),
        (0.3442, 0.4676, 0.5423, 0.1011),
        8.4191,
    ),
    "ties .5": (
        lambda: framed("ties", 1, density=0.5),
        ties_of(0.5, 1),
        (0.2831, 0.4506, 0.6558, 0.1010),
        8.3328,
    ),
    "ties .2, lambda .3": (
        lambda: framed("ties", 0.3, density=0.2),
        ties_of(0.2, 0.3),
        (0.9370, 0.2650, 0.2155, 0.0996),
        2.5257,
    ),
    "ties .2, lambda .3, not normalised": (
        lambda: framed("ties", 0.3, density=0.2, normalize=False),
        ties_of(0.2, 0.3, False),
        (0.9151, 0.2882, 0.2566, 0.1002),
        3.0727,
    ),
    "breadcrumbs .85 .01": (
        lambda: framed("breadcrumbs", 0.3, drop_low=0.85, drop_high=0.01),
        crumbs_of(0.85),
        (0.9368, 0.2648, 0.2017, 0.0995),
        2.3263,
    ),
    "breadcrumbs .5 .01": (
        lambda: framed("breadcrumbs", 0.3, drop_low=0.5, drop_high=0.01),
        crumbs_of(0.5),
        (0.8597, 0.3328, 0.3082, 0.1008),
        3.0262,
    ),
    "dare .5": (
        lambda: by_chance("dare_linear", 0.5),
        dare_of(0.5),
        (0.7817, 0.4888, 0.3665, 0.1012),
        4.7826,
    ),
    "dare .1": (
        lambda: by_chance("dare_linear", 0.1),
        dare_of(0.1),
        (0.7598, 0.4552, 0.3617, 0.1006),
        10.3160,
    ),
    "dare .1, not rescaled": (
        lambda: by_chance("dare_linear", 0.1, "none"),
        dare_of(0.1, "none"),
        (0.9491, 0.2222, 0.1511, 0.0976),
        1.0317,
    ),
    "dare_ties .5": (
        lambda: by_chance("dare_ties", 0.5),
        dare_of(0.5, consensus="sum"),
        (0.7766, 0.4800, 0.3953, 0.1010),
        5.0962,
    ),
    "lines .3 .7": (
        lambda: lined(0.3, 0.7),
        lambda b, ts: multi.lines(b, [ts[1]], (1,), list(b), 0.3, 0.7),
        (0.8872, 0.3016, 0.5086, 0.1010),
        3.1400,
    ),
    "lines .7 -.4": (
        lambda: lined(0.7, -0.4),
        lambda b, ts: multi.lines(b, [ts[1]], (1,), list(b), 0.7, -0.4),
        (0.7574, 0.2910, 0.7454, 0.0998),
        5.3370,
    ),
    "emr fashion5": (
        lambda: for_task("emr", 1),
        lambda b, ts: multi.emr(b, ts, 1),
        (0.3729, 0.8882, 0.3424, 0.1015),
        5.7754,
    ),
    "emr rot90": (
        lambda: for_task("emr", 2),
        lambda b, ts: multi.emr(b, ts, 2),
        (0.2431, 0.4448, 0.8904, 0.1010),
        8.3033,
    ),
    "emr inverted": (
        lambda: for_task("emr", 3),
        lambda b, ts: multi.emr(b, ts, 3),
        (0.5602, 0.2086, 0.2268, 0.2774),
        4.8230,
    ),
    "tall_masks fashion5": (
        lambda: for_task("tall_masks", 1, lambda_mask=0.4),
        one(lambda b, x: multi.tall_masks(b, x, 1)),
        (0.5315, 0.8704, 0.2360, 0.0817),
        7.3689,
    ),
    "tall_masks rot90": (
        lambda: for_task("tall_masks", 2),
        one(lambda b, x: multi.tall_masks(b, x, 2)),
        (0.0962, 0.4126, 0.6531, 0.1612),
        10.1144,
    ),
    "tall_masks inverted": (
        lambda: for_task("tall_masks", 3),
        one(lambda b, x: multi.tall_masks(b, x, 3)),
        (0.2527, 0.2504, 0.1980, 0.3086),
        7.0702,
    ),
    "consensus .4": (
        lambda: merge("consensus", tuned(), "mnist/out", base="mnist/base"),
        one(multi.consensus),
        (0.9288, 0.2872, 0.2178, 0.0987),
        2.4237,
    ),
    "soup": (
        lambda: merge("soup", tuned(), "mnist/out"),
        one(lambda b, x: ref.linear(x, ONES)),
        (0.7086, 0.5214, 0.4124, 0.1012),
        3.9083,
    ),
    **{
        f"wise_ft, the preset, {a}": (
            lambda a=a: wise_preset(a),
            one(lambda b, x, a=a: rm.wise_ft(b, x[1], a)),
            accuracies,
            norm,
        )
        for a, accuracies, norm in (
            (0.25, (0.9395, 0.2534, 0.2691, 0.0991), 2.0003),
            (0.5, (0.8716, 0.2932, 0.5867, 0.1007), 4.0006),
            (0.75, (0.6425, 0.3052, 0.8842, 0.1010), 6.0009),
        )
    },
    "nuslerp over the base": (
        lambda: merge("nuslerp", tuned(weight=0.5)[1:], "mnist/out", base="mnist/base"),
        one(lambda b, x: rm.nuslerp(x[1:], (0.5, 0.5), b)),
        (0.3029, 0.1834, 0.7770, 0.3092),
        6.7397,
    ),
    "multislerp over the base": (
        lambda: merge("multislerp", tuned(weight=1), "mnist/out", base="mnist/base"),
        one(lambda b, x: rm.multislerp(x, ONES, b)),
        (0.2329, 0.7200, 0.4113, 0.1448),
        6.0750,
    ),
    "karcher": (
        lambda: merge("karcher", tuned(), "mnist/out"),
        one(lambda b, x: rm.karcher(x)[0]),
        (0.7096, 0.5248, 0.4082, 0.1012),
        3.9857,
    ),
    "model_stock": (
        lambda: over_base("model_stock"),
        one(rm.model_stock),
        (0.9456, 0.2358, 0.1743, 0.0984),
        0.9756,
    ),
    "model_stock, not clamped": (
        lambda: over_base("model_stock", clamp=False),
        one(lambda b, x: rm.model_stock(b, x, clamp=False)),
        (0.9456, 0.2354, 0.1740, 0.0984),
        0.9762,
    ),
    "model_stock by rows, not clamped": (
        lambda: over_base("model_stock", clamp=False, filter_wise=True),
        one(lambda b, x: rm.model_stock(b, x, filter_wise=True, clamp=False)),
        (0.9322, 0.2336, 0.1703, 0.0974),
        1.7314,
    ),
    "sce": (
        lambda: over_base("sce"),
        one(rm.sce),
        (0.3480, 0.4600, 0.7040, 0.1010),
        7.7357,
    ),
    "sce .5": (
        lambda: over_base("sce", select_topk=0.5),
        one(lambda b, x: rm.sce(b, x, 0.5)),
        (0.5863, 0.3436, 0.6104, 0.1010),
        7.3448,
    ),
    "ram": (
        lambda: over_base("ram"),
        one(rm.ram),
        (0.6679, 0.5382, 0.4895, 0.1012),
        4.5234,
    ),
    "median": (
        lambda: merge("median", tuned(), "mnist/out", base="mnist/base"),
        one(rm.median),
        (0.7329, 0.6826, 0.2961, 0.0998),
        3.6336,
    ),
    "geometric_median": (
        lambda: merge("geometric_median", tuned(), "mnist/out", base="mnist/base"),
        lambda b, ts: rm.gram_rule("geometric_median", b, ts),
        (0.7192, 0.5946, 0.3120, 0.1016),
        3.6650,
    ),
    "flag m 2": (
        lambda: merge("flag", tuned(), "mnist/out", base="mnist/base", params={"m": 2, "norm": "median"}),
        lambda b, ts: rm.gram_rule("flag", b, ts, m=2),
        (0.8530, 0.1952, 0.2599, 0.0813),
        2.8207,
    ),
    "port 1": (
        lambda: ported(1),
        one(lambda b, x: rm.port(x[0], x[1], b, 1)),
        (0.0748, 0.6010, 0.4877, 0.1010),
        9.8621,
    ),
    "port .5": (
        lambda: ported(0.5),
        one(lambda b, x: rm.port(x[0], x[1], b, 0.5)),
        (0.2059, 0.9312, 0.3497, 0.1009),
        6.7304,
    ),
}
COSINES = {
    "fc1.weight": 0.89369,
    "fc1.bias": 0.94564,
    "fc2.weight": 0.91451,
    "fc2.bias": 0.95034,
    "fc3.weight": 0.94592,
    "fc3.bias": 0.96335,
}
STOCK_RATIOS = (0.26257, 0.25153, 0.19727, -0.37642, 0.1471, -1.36681)  # of the same tensors
SCE_WEIGHTS = {"fc1.weight": (0.1955, 0.6060, 0.1985), "fc3.weight": (0.2219, 0.1873, 0.5908)}
CRUMBS_KEPT = {
    "fc1.weight": 28099,
    "fc1.bias": 37,
    "fc2.weight": 4589,
    "fc2.bias": 19,
    "fc3.weight": 180,
    "fc3.bias": 2,
}
# |patch| / |old base|, |new base - old base| / |old base|, cosine of the two
PORTED = {
    "fc1.weight": (0.41992, 0.26168, 0.1010),
    "fc2.weight": (0.34762, 0.22192, 0.0878),
    "fc3.weight": (0.18979, 0.19974, 0.0666),
}
GRAM = [
    [25.343922, 3.949184, 3.017136],
    [3.949184, 64.01896, 3.346377],
    [3.017136, 3.346377, 27.484292],
]
MEDIAN_COEFFICIENTS = (0.394565, 0.233461, 0.371973)
FLAG_V = (0.021039, 1, 1)

real = pytest.mark.skipif(ABSENT, reason=f"no MNIST task vectors in {DATA}; set AMEND_DATA to the folder that has them")


def raw(name):
    import safetensors

    found = safetensors.deserialize((DATA / "mnist-taskvectors" / f"{name}.safetensors").read_bytes())
    return {n: Tensor(t["dtype"], tuple(t["shape"]), bytes(t["data"])) for n, t in found}


@pytest.fixture(scope="module")
def tasks():
    return load_tasks()


@pytest.fixture(scope="module")
def fine_tunes(client, roots):
    """(client, base, [fashion5, rot90, inverted]), the models as float32 arrays."""
    models = [raw(n) for n in ("base", *("ft_" + t for t in TUNED))]
    for name, m in zip(("base", *("ft_" + t for t in TUNED)), models):
        client.register(ref.write(roots / f"mnist-{name}", m), f"mnist/{name}")
    arrays = [rm.arrays(m) for m in models]
    return client, arrays[0], arrays[1:]


@pytest.fixture(scope="module")
def merged(fine_tunes):
    """Version by the name of the figure; each is computed once."""
    made = {}

    def get(name):
        if name not in made:
            made[name] = fine_tunes[0].run(FIGURES[name][0]())
        return made[name]

    return get


# Of each kind of figure one is in make check.
QUICK = {"dare .5", "emr rot90", "slerp 0.5", "ties .2", "breadcrumbs .85 .01", "median", "geometric_median", "flag m 2", "port 1"}


@real
@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in FIGURES])
def test_figures(fine_tunes, tasks, merged, name):
    client, base, xs = fine_tunes
    _, formula, accuracies, norm = FIGURES[name]
    got = client.weights(merged(name))
    values = rm.arrays(got)
    want = formula(base, xs)
    assert abs(rm.norm_of(want, base) / norm - 1) < 1e-4, "the formula of the tests"
    for n in base:
        terms = np.abs(base[n]) + sum(np.abs(x[n]) for x in xs) + sum(np.abs(x[n] - base[n]) for x in xs)
        bad = rm.disagreement(got[n], want[n], terms, 3)
        assert bad is None, f"{n}: {bad}"
    assert abs(rm.norm_of(values, base) / norm - 1) < 1e-4, rm.norm_of(values, base)
    for task, published in zip(TASKS, accuracies):
        accuracy = ref.accuracy(got, *tasks[task])
        assert abs(accuracy - published) <= 0.0003 + 1e-9, f"{task}: {accuracy}, published {published}"


@real
def test_report_of_slerp(fine_tunes, merged):
    told = fine_tunes[0].report(merged("slerp 0.5"))
    assert told["method"] == "merge/slerp"
    for name, c in COSINES.items():
        assert abs(told["tensors"][name]["cosine"] - c) < 6e-6, (name, told["tensors"][name])
        assert told["tensors"][name]["straight"] == 0
    assert told["total"]["straight"] == 0


@real
@pytest.mark.slow
def test_report_of_model_stock_and_sce(fine_tunes, merged):
    """The ratio of each tensor, and the weights of the models."""
    told = fine_tunes[0].report(merged("model_stock, not clamped"))["tensors"]
    for name, t in zip(COSINES, STOCK_RATIOS):
        assert abs(told[name]["t"] - t) < 6e-6, (name, told[name])
    told = fine_tunes[0].report(merged("sce .5"))["tensors"]
    for name, q in SCE_WEIGHTS.items():
        assert np.abs(np.array(told[name]["weight"]) - q).max() < 6e-5, (name, told[name])


@real
def test_report_of_breadcrumbs(fine_tunes, merged):
    client, base, xs = fine_tunes
    told = client.report(merged("breadcrumbs .85 .01"))
    for name, kept in CRUMBS_KEPT.items():
        assert told["tensors"][name]["kept"] == [kept] * 3, (name, told["tensors"][name])
    assert told["total"]["kept"] == [sum(CRUMBS_KEPT.values())] * 3


@real
def test_report_of_ties(fine_tunes, merged):
    client, base, xs = fine_tunes
    told = client.report(merged("ties .2"))
    for name, b in base.items():
        k = rm.count(0.2, b.size)
        row = told["tensors"][name]
        assert row["kept"] == [k] * 3, (name, row)
        for x, threshold in zip(xs, row["threshold"]):
            d = np.sort(np.abs((x[name] - b).reshape(-1)))[::-1]
            assert threshold == float(d[k - 1]), (name, threshold, d[k - 2 : k + 1])


# Of seed 42, density 0.5, counted elsewhere.
DARE_KEPT = {
    "fc1.weight": [100496, 100342, 100132],
    "fc1.bias": [126, 123, 136],
    "fc2.weight": [16360, 16279, 16267],
    "fc2.bias": [62, 63, 61],
    "fc3.weight": [626, 679, 621],
    "fc3.bias": [2, 5, 6],
}


@real
def test_report_of_dare(fine_tunes, merged):
    client, base, xs = fine_tunes
    told = client.report(merged("dare .5"))["tensors"]
    for name, kept in DARE_KEPT.items():
        assert told[name]["kept"] == kept, (name, told[name])
        for i, x in enumerate(xs):
            d = (x[name] - base[name]).reshape(-1)
            y = np.where(masks.below(d.size, masks.key_of(42, i, name), 0.5), d, 0)
            want = np.abs(d).astype(np.float64).sum() / np.abs(y).astype(np.float64).sum()
            assert abs(told[name]["rescale"][i] / want - 1) < 1e-12, (name, i, told[name])


@real
def test_report_of_emr(fine_tunes, merged):
    lam = fine_tunes[0].report(merged("emr rot90"))["total"]["lambda"]
    assert np.abs(np.subtract(lam, (0.75792, 0.94957, 0.67772))).max() < 6e-6, lam


@real
def test_report_of_port(fine_tunes, merged):
    told = fine_tunes[0].report(merged("port 1"))
    for name, (relative, drift, cosine) in PORTED.items():
        row = told["tensors"][name]
        assert abs(row["relative"] - relative) < 6e-6 and abs(row["drift"] - drift) < 6e-6, (name, row)
        assert abs(row["cosine"] - cosine) < 6e-5, (name, row)


@real
def test_report_of_the_geometric_median(fine_tunes, merged):
    total = fine_tunes[0].report(merged("geometric_median"))["total"]
    assert np.abs(np.subtract(total["coefficient"], MEDIAN_COEFFICIENTS)).max() < 1.1e-6, total
    assert abs(max(total["trust"]) - 1) < 1e-12 and np.argmax(total["trust"]) == 0
    far = [np.sqrt(GRAM[i][i] + GRAM[j][j] - 2 * GRAM[i][j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert np.allclose(total["distance"], far, rtol=1e-6), (total["distance"], far)


@real
def test_report_of_flag(fine_tunes, merged):
    total = fine_tunes[0].report(merged("flag m 2"))["total"]
    assert np.abs(np.subtract(total["trust"], FLAG_V)).max() < 1.1e-6, total
