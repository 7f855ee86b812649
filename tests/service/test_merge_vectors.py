"""Edges of the methods that work on a tensor as one vector, and of those that look at each element against the base:
zero, equal, opposite and tiny differences, rows and columns, defects of others that must not come back."""

import itertools

import numpy as np
import pytest

import reference_merge as rm
from harness import merge, problem
from test_merge_edges import Store

F = np.float32


@pytest.fixture(scope="module")
def store(client, roots):
    return Store(client, roots)


@pytest.fixture(scope="module")
def pair(store):
    """A base and two models with a matrix, a cube, a long row, a vector and a scalar."""
    rng = np.random.default_rng(3)
    shapes = {"m": (6, 11), "cube": (3, 5, 7), "long": (12, 900), "v": (9,), "s": ()}
    all_ = [{n: rng.standard_normal(s).astype(F) for n, s in shapes.items()} for _ in range(3)]
    return [store.put(a) for a in all_], all_


@pytest.mark.slow
def test_nuslerp_in_eight_ways(store, pair):
    """Base or none, rows, columns or the whole, against the direct form in float64."""
    names, (base, a, b) = pair
    for with_base, flat, rows in itertools.product((False, True), repeat=3):
        how = {"nuslerp_flatten": flat, "nuslerp_row_wise": rows}
        got, _, _ = store.run("nuslerp", [(names[1], 0.3), (names[2], 0.9)], names[0] if with_base else None, **how)
        for n in base:
            want = rm.nuslerp([a[n], b[n]], (0.3, 0.9), base[n] if with_base else None, **how)
            assert np.abs(got[n] - want).max() < 3e-6, (with_base, how, n)


@pytest.mark.slow
def test_nuslerp_of_weights_that_cancel_is_half_way(store, pair):
    names, (_, a, b) = pair
    got, _, _ = store.run("nuslerp", [(names[1], -0.5), (names[2], 0.5)])
    for n in a:
        assert np.isfinite(got[n]).all() and np.abs(got[n] - rm.nuslerp([a[n], b[n]], (1, 1))).max() < 3e-6, n


def test_nuslerp_wants_a_base_apart(store, pair):
    names, _ = pair
    (fault,) = store.refused("nuslerp", [(names[0], 0.5), (names[1], 0.5)], names[0])
    assert (fault["reason"], fault["pointer"]) == ("base-among-models", "#/inputs/models/0/version"), fault


def test_multislerp_of_directions_that_cancel(store):
    x = np.arange(1, 9, dtype=F)
    y, z = np.roll(x, 1), np.roll(x, 2)
    plus, minus, up, down = (store.put({"w": a}) for a in (x, -x, y - z, z - y))
    got, _, _ = store.run("multislerp", [(plus, 1), (minus, 1)])
    assert not got["w"].any()  # two: the weighted sum
    job = store.client.wait(
        store.client.submit(store.job("multislerp", [(plus, 1), (minus, 1), (up, 1), (down, 1)]))
    )
    (fault,) = job["error"]["errors"]
    assert job["error"]["code"] == "bad-input" and fault["reason"] == "antipodal-inputs", job["error"]
    assert fault["tensor"] == "w"
    (fault,) = store.refused("multislerp", [(plus, 1), (up, -1)])
    assert fault["reason"] == "weights-sum-zero"
    base = store.put({"w": x})
    same = [store.put({"w": x}) for _ in range(3)]
    got, _, _ = store.run("multislerp", [(s, 1) for s in same], base)
    assert np.array_equal(got["w"], x)  # nothing changed: no direction, and no failure


@pytest.mark.slow
def test_karcher_of_odd_models(store):
    x = np.arange(1, 9, dtype=F)
    zero, plus, minus = (store.put({"w": a}) for a in (0 * x, x, -x))
    got, _, _ = store.run("karcher", [zero, plus])
    assert np.allclose(got["w"], x / 2, rtol=1e-6)  # no direction of its own, half the norm
    got, told, _ = store.run("karcher", [plus, minus])
    assert np.allclose(got["w"], x, rtol=1e-6) and "antipodal" in told
    got, _, _ = store.run("karcher", [zero, store.put({"w": 0 * x})])
    assert not got["w"].any()
    tiny = [store.put({"w": x * F(k)}) for k in (1e-8, 3e-8)]
    got, _, _ = store.run("karcher", tiny)
    assert np.allclose(got["w"], x * F(2e-8), rtol=1e-5)
    got, _, _ = store.run("karcher", tiny, compat="rules")
    assert not got["w"].any()  # an absolute threshold on norms


def stock(store, models, **params):
    """models: of each the difference from a base of zeros, by tensor; (result, t of each tensor)."""
    names = [store.put(m) for m in models]
    got, _, report = store.run("model_stock", names, store.put({n: 0 * a for n, a in models[0].items()}), **params)
    return got, {n: t["t"] for n, t in report["tensors"].items()}


E = np.eye(2, 4, dtype=F)
ACROSS, ALONG = E * F([[1], [0]]), E * F([[0], [1]])


def test_model_stock_ratios(store):
    tiny = ACROSS * F(1e-4)
    models = [{"orthogonal": ACROSS, "same": ACROSS, "tiny": tiny}, {"orthogonal": ALONG, "same": ACROSS, "tiny": tiny}]
    got, t = stock(store, models)
    assert t == {"orthogonal": 0, "same": 1, "tiny": 1} and not got["orthogonal"].any()
    assert np.array_equal(got["same"], ACROSS) and np.array_equal(got["tiny"], tiny)
    got, t = stock(store, models, compat="rules")
    assert 0.0198 < t["tiny"] < 0.0199 and t["same"] == 1  # c = 1e-8 / 1e-6


@pytest.mark.slow
def test_model_stock_ratios_below_zero_and_of_rows(store):
    opposite = [{"w": a} for a in (ACROSS, ALONG, -ACROSS)]
    got, t = stock(store, opposite)
    assert t["w"] == 0 and not got["w"].any()
    got, t = stock(store, opposite, clamp=False)
    assert abs(t["w"] + 3) < 1e-12  # c = -1/3, N = 3: -1 / (1 - 2/3)
    got, t = stock(store, [{"w": ACROSS + ALONG}, {"w": ACROSS - ALONG}], filter_wise=True)
    assert np.array_equal(got["w"], ACROSS) and t["w"] == 0.5  # the first row agrees, the second does not


def test_model_stock_wants_two(store):
    x = store.put({"w": np.ones(3, F)})
    (fault,) = store.refused("model_stock", [x], store.put({"w": np.zeros(3, F)}))
    assert fault["reason"] == "input-count"


def test_sce_edges(store):
    rng = np.random.default_rng(11)
    base = {"w": rng.standard_normal((40, 50)).astype(F), "n1": F([0.5])}
    ds = [{n: (rng.standard_normal(a.shape) * 1e-4).astype(F) for n, a in base.items()} for _ in range(2)]
    one = {n: base[n] + ds[0][n] for n in base}
    b, x, y = store.put(base), store.put(one), store.put({n: base[n] + ds[1][n] for n in base})
    got, _, report = store.run("sce", [x], b, select_topk=0.5)  # no variance over one model
    assert all(np.array_equal(got[n], base[n]) for n in base) and report["total"]["kept"] == 0
    got, _, _ = store.run("sce", [store.put(base)], b)  # nothing changed
    assert all(np.array_equal(got[n], base[n]) for n in base)
    _, _, report = store.run("sce", [x, y], b, select_topk=0.001)
    assert (report["tensors"]["w"]["kept"], report["tensors"]["n1"]["kept"]) == (2, 0)
    _, _, small = store.run("sce", [x, y], b)
    energy = [float(np.mean((a - base["w"]).astype(float) ** 2)) for a in (one["w"], base["w"] + ds[1]["w"])]
    assert np.allclose(small["tensors"]["w"]["weight"], np.array(energy) / sum(energy), rtol=1e-6)
    _, _, rules = store.run("sce", [x, y], b, compat="rules")
    assert rules["tensors"]["w"]["weight"] == [0.5, 0.5]  # the absolute floor


def test_arcee_fusion_takes_from_one_or_the_other(store, pair):
    names, (base, a, _) = pair
    got, _, report = store.run("arcee_fusion", [names[1]], names[0])
    for n in base:
        assert np.array_equal(got[n], rm.arcee_fusion(base[n], a[n])), n
    assert 0 < report["total"]["fused"] < 0.5
    got, _, _ = store.run("arcee_fusion", [store.put(base)], names[0])
    assert all(np.array_equal(got[n], base[n]) for n in base)
    job = store.job("arcee_fusion", [names[1]], names[0])
    job["options"]["out_dtype"] = "BF16"  # another's defect: float32 whatever was asked for
    version = store.client.run(job)
    assert {t.dtype for t in store.client.weights(version).values()} == {"BF16"}


def test_nearswap_moves_by_t_at_most(store, pair):
    names, (base, a, _) = pair
    got, _, _ = store.run("nearswap", [names[1]], names[0], t=0.5)
    for n in base:
        near = np.abs(base[n] - a[n]) <= F(0.5)
        assert np.array_equal(got[n][near], a[n][near]), n
        assert (np.abs(got[n] - base[n]) <= 0.5 + 1e-6).all(), n
    got, _, _ = store.run("nearswap", [names[1]], names[0], t=0)
    assert all(np.array_equal(got[n], base[n]) for n in base)


@pytest.mark.slow
def test_ram_tells_what_it_drops(store):
    base = np.zeros(8, F)
    a, b = F([1, 0, 1, 1e-6, 0, 0, 0, 0]), F([0, 2, 3, 1e-6, 1e-6, 1e-6, 1e-6, 0])
    names = [store.put({"w": x}) for x in (a, b)]
    zero = store.put({"w": base})
    got, told, report = store.run("ram", names, zero)
    assert np.array_equal(got["w"], F([1, 2, 2, 0, 0, 0, 0, 0]))
    assert abs(report["total"]["dropped"] - 5 / 9) < 1e-12 and "mostly-dropped" in told
    assert abs(report["total"]["shared"] - 1 / 8) < 1e-12
    _, told, report = store.run("ram", names, zero, epsilon=0)
    assert report["total"]["dropped"] == 0 and "mostly-dropped" not in told


def test_passthrough_plans_and_scales(store, pair):
    names, (base, _, _) = pair
    body = store.job("passthrough", [names[0]])
    plan = store.client.post("/v1/plans", body)
    assert plan.status_code == 200 and plan.json()["write_bytes"] == 0, plan.text
    body["options"]["out_dtype"] = "BF16"
    assert store.client.post("/v1/plans", body).json()["write_bytes"] > 0
    got, _, _ = store.run("passthrough", [names[0]], scale=-0.5)
    assert all(np.array_equal(got[n], F(-0.5) * base[n]) for n in base)
    answer = store.client.post("/v1/jobs", merge("passthrough", [(n, None) for n in names[:2]], "e/out"))
    (fault,) = problem(answer, 422, "invalid-params")["errors"]
    assert fault["reason"] == "input-count"
