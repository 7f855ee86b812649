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


@pytest.mark.parametrize("threads", [1, 3])
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
    assert client.wait(client.submit({**body, "method": "ties", "params": {}}))["status"] == "succeeded"


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
    recipe = client.version(version)["recipe"] if "recipe" in client.version(version) else None
    assert recipe is None or recipe["options"]["extra"] == "drop"
