"""Edges of the merge methods: how many entries are kept, short tensors, equal magnitudes, requirements not met,
tensors that are zero, equal or opposite, values too large for a dtype."""

import itertools
import json

import numpy as np
import pytest

import reference as ref
import reference_merge as rm
from harness import merge, problem

counter = itertools.count()
LENGTHS = (1, 2, 7, 50, 63, 64, 65, 99, 100, 101, 1000, 4095, 4096, 4097)


def distinct(rng, n):
    """n numbers of which no two have the same magnitude, in any order and with any sign."""
    return ((1 + rng.permutation(n)) / 8192 * rng.choice([-1, 1], n)).astype(np.float32)


class Store:
    """Registers {name: array} models under names of their own."""

    def __init__(self, client, roots):
        self.client, self.roots = client, roots

    def put(self, arrays, dtype="F32"):
        name = f"e{next(counter)}"
        self.client.register(
            ref.write(self.roots / name, {n: ref.store(dtype, a) for n, a in arrays.items()}), f"e/{name}"
        )
        return f"e/{name}@v1"

    def job(self, method, models, base=None, **params):
        """models: names, or (name, weight)."""
        given = [(m, None) if isinstance(m, str) else (m[0], {"weight": m[1]}) for m in models]
        return merge(method, given, "e/out", base=base, params=params)

    def run(self, *args, **params):
        """(arrays, warnings, report) of the new version."""
        job = self.client.wait(self.client.submit(self.job(*args, **params)))
        assert job["status"] == "succeeded", json.dumps(job["error"])
        version = f"{job['result']['version']['model']}@{job['result']['version']['commit']}"
        path = f"{self.client.at(version)}/files/amend%2Freport.json/content"
        return (
            rm.arrays(self.client.weights(version)),
            {w["code"] for w in job["warnings"]},
            self.client.get(path).json(),
        )

    def refused(self, *args, **params):
        return problem(self.client.post("/v1/jobs", self.job(*args, **params)), 422, "invalid-params")["errors"]


@pytest.fixture(scope="module")
def store(client, roots):
    return Store(client, roots)


# ---- how many are kept -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lengths(store):
    """A base of zeros and one model without equal magnitudes, a tensor of each length and two of more axes."""
    rng = np.random.default_rng(5)
    model = {f"n{n}": distinct(rng, n) for n in LENGTHS}
    model["rows"] = distinct(rng, 1280).reshape(10, 128)
    model["cube"] = distinct(rng, 105).reshape(3, 5, 7)
    model["scalar"] = distinct(rng, 1).reshape(())
    model["half"] = distinct(rng, 8192).reshape(128, 64)
    zero = {n: np.zeros_like(a) for n, a in model.items()}
    return store.put(zero), store.put(model), model


def kept(store, lengths, method, **params):
    """{tensor: mask of what is not the base's} and the report; what is kept must be the model's own number."""
    base, name, model = lengths
    got, told, report = store.run(method, [(name, 1)], base, **params)
    for n, a in model.items():
        assert np.array_equal(got[n], np.where(got[n] != 0, a, 0)), f"{n}: a kept entry is not the model's"
        assert report["tensors"][n]["kept"] == [np.count_nonzero(got[n])], (n, report["tensors"][n])
    return {n: got[n] != 0 for n in model}, told


@pytest.mark.parametrize("density", [0.29, 1e-9, *(pytest.param(d, marks=pytest.mark.slow) for d in (0.5, 0.2, 1.0))])
def test_ties_keeps_exactly_as_many_as_asked(store, lengths, density):
    masks, _ = kept(store, lengths, "ties", density=density)
    for n, a in lengths[2].items():
        assert int(masks[n].sum()) == rm.count(density, a.size), (n, density)
        assert np.array_equal(masks[n], rm.keep_largest(a, density)), n
    # by hand, not by the formula
    want = {0.5: ("half", 4096), 0.29: ("n100", 29), 0.2: ("n4096", 819), 1e-9: ("n4097", 1), 1.0: ("n4095", 4095)}
    assert int(masks[want[density][0]].sum()) == want[density][1]


def test_ties_with_density_zero_is_the_base(store, lengths):
    masks, told = kept(store, lengths, "ties", density=0)
    assert not any(m.any() for m in masks.values()) and "density-zero" in told, told


# parameters: (kept of 100, kept of 4096 or None) by hand
CRUMBS = {
    "density .9": ({"density": 0.9}, (90, 3686)),  # gamma .01 by default
    "density .9, gamma 0": ({"density": 0.9, "gamma": 0}, (90, 3686)),
    "density .9, gamma .1": ({"density": 0.9, "gamma": 0.1}, (90, 3686)),
    "density .5, gamma .25": ({"density": 0.5, "gamma": 0.25}, (50, 2048)),
    "drop .85 .01": ({"drop_low": 0.85, "drop_high": 0.01}, (14, 4096 - 3481 - 40)),
    "drop .5 0": ({"drop_low": 0.5, "drop_high": 0}, (50, 2048)),
    "paper .75 .875": ({"beta": 0.75, "gamma_paper": 0.875}, (100 - 75 - 12, 512)),
}


def crumbs_by(params):
    return rm.canonical_crumbs(**params) if "beta" in params or "top_k_keep" in params else params


QUICK = {"density .9", "density .9, gamma 0", "drop .85 .01"}


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in CRUMBS])
def test_breadcrumbs_keeps_exactly_as_many_as_asked(store, lengths, name):
    params, (of_100, of_4096) = CRUMBS[name]
    masks, _ = kept(store, lengths, "breadcrumbs", **params)
    assert (int(masks["n100"].sum()), int(masks["n4096"].sum())) == (of_100, of_4096)
    for n, a in lengths[2].items():
        assert np.array_equal(masks[n], rm.keep_middle(a, **crumbs_by(params))), n
    if params.get("gamma", 1) == 0:  # another's defect: without anything to drop at the top it dropped everything
        assert all(m.any() for m in masks.values())


def test_breadcrumbs_by_rows(store, lengths):
    """The form of the authors' code: ranks (g, g + k] from the top in each row along the last axis."""
    masks, _ = kept(store, lengths, "breadcrumbs", top_k_keep=0.25, top_k_remove=0.125)
    assert (masks["rows"].sum(axis=-1) == 32).all() and (masks["half"].sum(axis=-1) == 16).all()
    for n, a in lengths[2].items():
        assert np.array_equal(masks[n], rm.keep_middle(a, granularity="row", drop_low=0.625, drop_high=0.125)), n
    again, _ = kept(store, lengths, "breadcrumbs", granularity="row", drop_low=0.625, drop_high=0.125)
    assert all(np.array_equal(masks[n], again[n]) for n in masks)


def test_breadcrumbs_forms_that_mean_the_same_are_the_same_job(store, lengths):
    """The resolved recipe holds drop_low, drop_high and granularity; given back it means itself."""

    def plan(own=None, **params):
        body = store.job("breadcrumbs", [(lengths[1], 1)], lengths[0], **params)
        body["inputs"]["models"][0]["params"].update(own or {})
        answer = store.client.post("/v1/plans", body)
        doc = answer.json()
        assert answer.status_code == 200 and doc["ok"], (params, own, doc.get("refusals", doc))
        (model,) = [i for i in doc["resolved"]["inputs"] if i["role"] == "model"]
        return doc["spec_sha256"], model["params"], doc["resolved"]["params"]

    pair = {"drop_low": 0.75, "drop_high": 0.125}
    spec, own, params = plan(**pair)
    assert (own["drop_low"], own["drop_high"], params["granularity"]) == (0.75, 0.125, "tensor")
    assert plan(beta=0.75, gamma_paper=0.875)[0] == spec == plan(pair)[0]
    rows = plan(top_k_keep=0.125, top_k_remove=0.125)
    assert rows[2]["granularity"] == "row" and rows[0] == plan(**pair, granularity="row")[0] != spec
    for form in ({"density": 0.9}, {}, pair, {"beta": 0.85, "gamma_paper": 0.99}):
        spec, own, params = plan(**form)
        assert plan(own, **params)[0] == spec, (form, own, params)


@pytest.mark.slow
def test_breadcrumbs_that_drop_nothing_are_task_arithmetic(store):
    rng = np.random.default_rng(8)
    arrays = [{"w": rng.standard_normal((40, 30), dtype=np.float32)} for _ in range(3)]
    base, *models = [store.put(a) for a in arrays]
    given = list(zip(models, (0.7, -0.4)))
    plain, _, _ = store.run("task_arithmetic", given, base)
    for params in ({}, {"drop_low": 0, "drop_high": 0}, {"density": 1.0, "gamma": 0.5}):
        got, told, _ = store.run("breadcrumbs", given, base, **params)
        assert np.array_equal(got["w"], plain["w"]), params
        assert "breadcrumbs-noop" in told, (params, told)


@pytest.mark.parametrize(
    "params",
    [
        {"density": 0.5, "drop_low": 0.2, "drop_high": 0.1},
        {"beta": 0.5, "gamma_paper": 0.9, "drop_low": 0.2},
        {"top_k_keep": 0.5, "top_k_remove": 0.1, "beta": 0.5, "gamma_paper": 0.9},
        {"beta": 0.5},
        {"drop_low": 0.7, "drop_high": 0.4},
        {"top_k_keep": 0.8, "top_k_remove": 0.3},
        {"drop_low": 1.0, "drop_high": 0},
    ],
    ids=lambda p: " ".join(f"{k}={v}" for k, v in p.items()),
)
def test_breadcrumbs_in_two_forms_or_out_of_range_are_refused(store, lengths, params):
    errors = store.refused("breadcrumbs", [(lengths[1], 1)], lengths[0], **params)
    reasons = {"parameter-conflict", "parameter-missing", "parameter-range"}
    assert any(
        e.get("reason") in reasons and set(params) & set(e["detail"].replace("/", " ").split()) for e in errors
    ), errors


def test_equal_magnitudes_keep_the_lowest_index(store):
    """All equal, two values, and the coarse grid of a bfloat16 difference."""
    rng = np.random.default_rng(9)
    arrays = {
        "equal": np.where(rng.random(300) < 0.5, 1, -1).astype(np.float32),
        "two": rng.choice([0.5, -0.5, 0.25], (70, 5)).astype(np.float32),
        "grid": (rng.integers(-6, 7, 6000) / 8).astype(np.float32),
        "zero": np.zeros(40, np.float32),
    }
    base, model = store.put({n: np.zeros_like(a) for n, a in arrays.items()}), store.put(arrays)
    for method, keep, params in (
        ("ties", lambda a: rm.keep_largest(a, 0.3), {"density": 0.3}),
        ("breadcrumbs", lambda a: rm.keep_middle(a, drop_low=0.4, drop_high=0.2), {"drop_low": 0.4, "drop_high": 0.2}),
    ):
        got, _, _ = store.run(method, [(model, 1)], base, **params)
        for n, a in arrays.items():
            assert np.array_equal(got[n], np.where(keep(a), a, 0)), (method, n)


# ---- weights ---------------------------------------------------------------------------------------------------------


def test_weights_that_cancel(store):
    rng = np.random.default_rng(10)
    arrays = [{"w": rng.standard_normal(50, dtype=np.float32)} for _ in range(3)]
    base, *models = [store.put(a) for a in arrays]
    given = list(zip(models, (1, -1)))
    for method, params in (
        ("linear", {}),
        ("task_arithmetic", {"normalize": True}),
        ("ties", {}),
        ("breadcrumbs", {"normalize": True, "drop_low": 0.2, "drop_high": 0}),
    ):
        errors = store.refused(method, given, None if method == "linear" else base, **params)
        assert any(e.get("reason") == "weights-sum-zero" for e in errors), (method, errors)
    b, x, y = (a["w"] for a in arrays)
    got, _, _ = store.run("linear", given, normalize=False)
    assert np.array_equal(got["w"], x - y)
    got, _, _ = store.run("task_arithmetic", given, base)
    assert np.array_equal(got["w"], b + ((x - b) + ref.f32(-1) * (y - b)))
    got, _, _ = store.run("ties", given, base, normalize=False)
    assert np.array_equal(got["w"], rm.ties(b, [x, y], (1, -1), normalize=False))
    near = list(zip(models, (1, -0.999)))  # the divisor of those that take part is small, never the weights' own sum
    got, _, _ = store.run("ties", near, base)
    assert np.array_equal(got["w"], rm.ties(b, [x, y], (1, -0.999)))


def test_identities_of_the_frame(store):
    """lambda 0 is the base, one model with weight 1 over a base of few bits is the model, bit for bit."""
    rng = np.random.default_rng(11)
    arrays = [{"w": rng.standard_normal((30, 20), dtype=np.float32)} for _ in range(2)]
    base, model = (store.put(a, "BF16") for a in arrays)
    b, x = (ref.load(ref.store("BF16", a["w"])) for a in arrays)
    for method in ("task_arithmetic", "ties", "breadcrumbs"):
        assert np.array_equal(store.run(method, [(model, 1)], base)[0]["w"], x), method
        assert np.array_equal(store.run(method, [(model, 1)], base, **{"lambda": 0})[0]["w"], b), method


@pytest.mark.slow
def test_scaling_the_changes_by_a_power_of_two_scales_the_result(store):
    rng = np.random.default_rng(12)
    changes = [rng.standard_normal((40, 11), dtype=np.float32) for _ in range(3)]
    zero = store.put({"w": np.zeros_like(changes[0])})
    small, large = ([store.put({"w": c * ref.f32(s)}) for c in changes] for s in (1, 8))
    for method, params in (("ties", {"density": 0.3}), ("breadcrumbs", {"drop_low": 0.5, "drop_high": 0.1})):
        one, eight = (store.run(method, [(m, 0.7) for m in of], zero, **params)[0]["w"] for of in (small, large))
        assert np.array_equal(one * ref.f32(8), eight), method


# ---- slerp -----------------------------------------------------------------------------------------------------------


def test_slerp_of_odd_pairs(store):
    """Zero, equal, opposite, right-angled, one number, nearly zero."""
    u = np.array([3, 4, 0, 0], np.float32)
    pairs = {
        "equal": (u, u),
        "opposite": (u, -u),
        "nearly": (u, -np.array([3, 4, 0.02, 0], np.float32)),
        "right": (u, np.array([0, 0, 5, 12], np.float32)),
        "zero": (np.zeros(4, np.float32), u),
        "both": (np.zeros(4, np.float32), np.zeros(4, np.float32)),
        "one": (np.array([2], np.float32), np.array([6], np.float32)),
        "scalar": (np.array(2, np.float32), np.array(-6, np.float32)),
        "tiny": (u * ref.f32(1e-12), u),
        "empty": (np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32)),
    }
    v0, v1 = (store.put({n: p[i] for n, p in pairs.items()}) for i in range(2))
    got, told, report = store.run("slerp", [v1], v0, t=0.5)
    root = np.float32(np.sqrt(0.5))
    want = {
        "equal": u,
        "opposite": u * 0,
        "nearly": [0, 0, -0.01, 0],
        "right": (u + pairs["right"][1]) * root,
        "zero": u * root,
        "both": u * 0,
        "one": [4],
        "scalar": -2,
        "empty": pairs["empty"][0],
    }
    for n, w in want.items():
        assert got[n].shape == pairs[n][0].shape and np.allclose(got[n], w, rtol=3e-7, atol=0), (n, got[n], w)
    assert np.allclose(got["tiny"], rm.slerp(*pairs["tiny"], 0.5), rtol=3e-7)
    assert "antiparallel" in told, told
    rows = report["tensors"]
    assert [rows[n]["straight"] for n in ("equal", "opposite", "nearly", "one", "scalar")] == [1] * 5
    assert [rows[n]["straight"] for n in ("right", "zero")] == [0, 0]
    assert (rows["equal"]["cosine"], rows["opposite"]["cosine"], rows["right"]["cosine"]) == (1, -1, 0)


def test_slerp_ends_and_beyond(store):
    rng = np.random.default_rng(13)
    arrays = [{"w": rng.standard_normal((30, 20), dtype=np.float32)} for _ in range(2)]
    v0, v1 = map(store.put, arrays)
    a, b = (x["w"] for x in arrays)
    for t, want in ((0, a), (1, b)):
        got, told, _ = store.run("slerp", [v1], v0, t=t)
        assert np.array_equal(got["w"], want) and "t-outside-unit" not in told
    for t in (-0.5, 1.25):
        got, told, _ = store.run("slerp", [v1], v0, t=t)
        assert np.allclose(got["w"], rm.slerp(a, b, t), rtol=0, atol=2e-6) and "t-outside-unit" in told, told
    there, back = store.run("slerp", [v1], v0, t=0.25)[0]["w"], store.run("slerp", [v0], v1, t=0.75)[0]["w"]
    assert (np.abs(there - back) <= 2 * np.spacing(np.abs(a) + np.abs(b))).all()
    straight, _, _ = store.run("slerp", [v1], v0, t=0.25, dot_threshold=0)
    assert np.array_equal(straight["w"], ref.f32(0.75) * a + ref.f32(0.25) * b)


def test_slerp_takes_one_model_beside_the_base(store):
    name = store.put({"w": np.ones(4, np.float32)})
    others = [store.put({"w": np.full(4, i, np.float32)}) for i in range(2)]
    for models, base in ((others, name), ([], name), (others[:1], None)):
        answer = store.client.post("/v1/jobs", store.job("slerp", models, base, t=0.5))
        assert answer.status_code in (400, 422) and answer.json()["code"] != "unknown-method", answer.text
    assert store.client.post("/v1/jobs", store.job("slerp", others[:1], name)).status_code == 422  # no t


# ---- port ------------------------------------------------------------------------------------------------------------


def ported(store, base, tuned, old, **params):
    body = merge("port", [], "e/out", base=base, params=params)
    body["inputs"]["models"] = [{"version": tuned, "base": old}]
    return body


def test_port_identities(store):
    rng = np.random.default_rng(14)
    make = lambda: {n: rng.standard_normal((16, 8), dtype=np.float32) for n in ("a.weight", "b.weight")}
    new, tuned, old = (make() for _ in range(3))
    names = [store.put(m, "BF16") for m in (new, tuned, old)]
    values = [{n: ref.load(ref.store("BF16", a)) for n, a in m.items()} for m in (new, tuned, old)]

    def run(*args, **params):
        job = store.client.wait(store.client.submit(ported(store, *args, **params)))
        assert job["status"] == "succeeded", job["error"]
        done = job["result"]["version"]
        return f"{done['model']}@{done['commit']}"

    load = lambda v: rm.arrays(store.client.weights(v))
    unmoved = load(run(names[2], names[1], names[2]))
    assert all(np.array_equal(unmoved[n], values[1][n]) for n in new), "a base that did not move gives the fine-tune"
    still = load(run(names[0], names[1], names[2], scale=0))
    assert all(np.array_equal(still[n], values[0][n]) for n in new)
    some = run(names[0], names[1], names[2], include=["a.*"])
    got = load(some)
    assert np.array_equal(got["b.weight"], values[0]["b.weight"])
    want = ref.store("BF16", rm.port(*(v["a.weight"] for v in values)))
    assert np.array_equal(got["a.weight"], ref.load(want))
    parents = {name: store.client.version(name)["commit"] for name in names}
    recipe = json.dumps(store.client.ok(store.client.at(some) + "/recipe")["inputs"])
    assert all(commit in recipe for commit in parents.values()), "all three are pinned in the recipe"


def test_port_there_and_back(store):
    rng = np.random.default_rng(15)
    new, tuned, old = ({"w": rng.standard_normal(500, dtype=np.float32)} for _ in range(3))
    names = [store.put(m) for m in (new, tuned, old)]
    there = store.client.run(ported(store, *names))
    back = rm.arrays(store.client.weights(store.client.run(ported(store, there, *names[1:], scale=-1))))
    top = np.abs(new["w"]) + np.abs(tuned["w"] - old["w"])
    assert (np.abs(back["w"] - new["w"]) <= np.spacing(top)).all()


def test_port_in_the_wrong_form_is_refused(store):
    names = [store.put({"w": np.full(4, i, np.float32)}) for i in range(3)]
    without = ported(store, *names)
    without["inputs"]["models"] = [names[1]]
    missing = ported(store, *names)
    del missing["inputs"]["base"]
    foreign = store.job("linear", [(names[0], 1)])
    foreign["inputs"]["models"][0]["base"] = names[1]
    for body in (without, missing, foreign):
        answer = store.client.post("/v1/jobs", body)
        assert answer.status_code in (400, 422), (body, answer.text)
        assert any("base" in json.dumps(e) for e in answer.json()["errors"]), answer.text


def test_port_warns_where_base_and_patch_pull_apart(store):
    rng = np.random.default_rng(16)
    old = rng.standard_normal(300, dtype=np.float32)
    change = rng.standard_normal(300, dtype=np.float32)
    base, tuned, before = (
        store.put({"torn": old - 3 * change, "calm": old}),
        store.put({"torn": old + change, "calm": old + change}),
        store.put({"torn": old, "calm": old}),
    )
    job = store.client.wait(store.client.submit(ported(store, base, tuned, before)))
    (told,) = [w for w in job["warnings"] if w["code"] == "drift-conflict"]
    assert "torn" in json.dumps(told) and "calm" not in json.dumps(told), told


# ---- faulty contributors ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def crowd(store):
    """A base and seven contributors with something in common."""
    rng = np.random.default_rng(17)
    base, common = rng.standard_normal((2, 20, 9)).astype(np.float32)
    xs = [base + common + ref.f32(0.3) * rng.standard_normal((20, 9), dtype=np.float32) for _ in range(7)]
    return store.put({"w": base}), [store.put({"w": x}) for x in xs], base, xs


@pytest.fixture(scope="module")
def moved(store, crowd):
    """The same seven, all shifted: (names, shift)."""
    shift = np.random.default_rng(18).standard_normal(crowd[2].shape).astype(np.float32)
    return [store.put({"w": x + shift}) for x in crowd[3]], shift


@pytest.fixture(scope="module")
def idle(store, crowd):
    """The base under four more names."""
    return [store.put({"w": crowd[2]}) for _ in range(4)]


@pytest.fixture(scope="module")
def same(store, crowd):
    """The first one under five names."""
    return [store.put({"w": crowd[3][0]}) for _ in range(5)]


# method: for f faults at least so many contributors are needed
NEEDED = {"trimmed_mean": lambda f: 2 * f + 1, "krum": lambda f: 2 * f + 3, "multi_krum": lambda f: 2 * f + 3}
ROBUST = {
    "median": {},
    "trimmed_mean": {"f": 1},
    "krum": {"f": 1},
    "multi_krum": {"f": 1},
    "geometric_median": {},
    "flag": {},
}


@pytest.mark.parametrize("method", NEEDED)
def test_too_few_contributors_are_refused_with_the_largest_f(store, crowd, method):
    for p in (5, 7):
        largest = max(f for f in range(p) if NEEDED[method](f) <= p)
        store.run(method, crowd[1][:p], crowd[0], f=largest)
        errors = store.refused(method, crowd[1][:p], crowd[0], f=largest + 1)
        (error,) = [e for e in errors if e.get("reason") == "robust-requirement"]
        assert str(NEEDED[method](largest + 1)) in error["detail"] and str(largest) in error["detail"], error
    assert store.refused(method, crowd[1], crowd[0]), "f is required"


@pytest.mark.parametrize("method", ROBUST)
def test_identical_contributors(store, crowd, same, method):
    """All the same: every rule returns that one, and says that they are the same; so it does of two among others."""
    got, told, report = store.run(method, same, crowd[0], **ROBUST[method])
    x = crowd[3][0]
    slack = 11 * 2.0**-24 * (np.abs(crowd[2]) + 2 * np.abs(x - crowd[2]))
    assert (np.abs(got["w"] - x) <= slack).all(), method
    assert len(report["total"]["trust"]) == 5
    if method in rm.GRAM:
        assert "identical-contributors" in told, (method, told)
        _, told, _ = store.run(method, same[:2] + crowd[1][1:6], crowd[0], **ROBUST[method])
        assert "identical-contributors" in told, (method, told)
        _, told, _ = store.run(method, crowd[1], crowd[0], **ROBUST[method])
        assert "identical-contributors" not in told, (method, told)


@pytest.mark.parametrize("method", [m for m in ROBUST if m != "flag"])
def test_shifting_all_shifts_the_result(store, crowd, moved, method):
    names, shift = moved
    plain, _, _ = store.run(method, crowd[1], crowd[0], **ROBUST[method])
    got, _, _ = store.run(method, names, crowd[0], **ROBUST[method])
    assert np.allclose(got["w"] - shift, plain["w"], rtol=0, atol=2e-5 if method == "geometric_median" else 3e-6)


@pytest.mark.parametrize(
    "method, params",
    [
        ("median", {}),
        ("trimmed_mean", {"f": 3}),
        ("krum", {"f": 2}),
        ("multi_krum", {"f": 2}),
        ("geometric_median", {}),
    ],
)
def test_a_majority_that_changed_nothing_wins(store, crowd, idle, method, params):
    """Four of seven are the base; their differences, and with geometric_median the median of their norms, are zero."""
    got, _, _ = store.run(method, idle + crowd[1][:3], crowd[0], **params)
    assert np.allclose(got["w"], crowd[2], rtol=0, atol=1e-5 if method == "geometric_median" else 0), method


def test_krum_takes_the_lower_index_among_equals(store):
    """Five changes at right angles and of one length: every score is the same."""
    base, units = store.put({"w": np.zeros(5, np.float32)}), np.eye(5, dtype=np.float32)
    names = [store.put({"w": u}) for u in units]
    for order in ([0, 1, 2, 3, 4], [3, 1, 4, 0, 2]):
        given = [names[i] for i in order]
        assert np.array_equal(store.run("krum", given, base, f=1)[0]["w"], units[order[0]]), order
        both = store.run("multi_krum", given, base, f=1)[0]["w"]
        assert np.array_equal(both, (units[order[0]] + units[order[1]]) / 2), order


@pytest.mark.parametrize("method", sorted(rm.GRAM))
def test_a_contributor_that_is_no_number_is_left_out_when_asked(store, crowd, method):
    base, names, b, xs = crowd
    bad = xs[3].copy()
    bad[4, 4] = np.nan
    given = [*names[:3], store.put({"w": bad}), *names[4:]]
    job = store.client.wait(store.client.submit(store.job(method, given, base, **ROBUST[method])))
    assert job["status"] == "failed" and job["error"]["code"] == "non-finite", job
    got, told, report = store.run(method, given, base, nonfinite="propagate", **ROBUST[method])
    assert np.isfinite(got["w"]).all() and "contributor-dropped" in told, told
    total = report["total"]
    assert total["coefficient"][3] == 0 and total["trust"][3] == 0 and total["dropped"] == [0, 0, 0, 1, 0, 0, 0], total


@pytest.mark.slow
def test_alpha_scales_the_change(store, crowd):
    for method, params in ROBUST.items():
        got, _, _ = store.run(method, crowd[1], crowd[0], alpha=0, **params)
        assert np.array_equal(got["w"], crowd[2]), method


# ---- too large for the dtype -----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "method, params", [("ties", {"lambda": 8}), ("breadcrumbs", {"lambda": 8}), ("median", {"alpha": 8})]
)
def test_overflow_of_f16(store, method, params):
    base, model = np.zeros(9, np.float32), np.zeros(9, np.float32)
    model[4], model[6] = 30000, -30000
    names = [store.put({"w": a}, "F16") for a in (base, model)]
    given = [names[1]] if method == "median" else [(names[1], 1)]
    job = store.client.wait(store.client.submit(store.job(method, given, names[0], **params)))
    assert job["status"] == "failed" and job["error"]["code"] == "non-finite" and job["error"]["tensor"] == "w", job
    assert "f16-overflow" in json.dumps(job["error"])
    for policy, value in (("clamp", 65504.0), ("inf", np.inf)):
        got, told, _ = store.run(method, given, names[0], overflow=policy, **params)
        assert (got["w"][4], got["w"][6], np.count_nonzero(got["w"])) == (value, -value, 2) and told, (
            policy,
            got,
            told,
        )
