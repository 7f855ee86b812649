"""BF16 to BF16 goes the short way, a tile at once as it is stored: it must give what the steps give, bit for bit, and
notice what they notice. With out_dtype F32 the same job takes the steps."""

import json

import numpy as np
import pytest

import reference as ref
from harness import merge

WAYS = {
    "ties": {"density": 0.4},
    "ties, plain": {"density": 0.3, "normalize": False, "lambda": 0.7},
    "ties, nothing of one": {"density": 0.0},
    "breadcrumbs": {"density": 0.5, "gamma": 0.02, "lambda": 0.4},
    "breadcrumbs, mean": {"drop_low": 0.6, "drop_high": 0.01, "normalize": True},
    "breadcrumbs_ties": {"density": 0.5, "gamma": 0.02},
    "slerp": {"t": 0.3},
}
LARGE = float.fromhex("0x1.fep127")  # the largest of BF16
WEIGHTS = (-0.9, 1.0, 0.6, 0.3, 1.2)  # both signs: divisors near zero are counted, and zeros of both signs arise


@pytest.fixture(scope="module")
def tuned(client, roots):
    """Names of a base and five fine-tunes: more models than the short way takes at most."""
    rng = np.random.default_rng(20)
    base = {f"t{n}": rng.standard_normal(n, dtype=np.float32) for n in (1, 31, 4097, 90_001)}
    for x in base.values():
        x[::7] = -0.0
    names = []
    for i in range(6):
        model = {k: x + np.float32(0.03 * bool(i)) * rng.standard_normal(x.shape, dtype=np.float32) for k, x in base.items()}
        files = ref.write(roots / f"bf16-{i}", {k: ref.store("BF16", x) for k, x in model.items()})
        client.register(files, f"bf16/m{i}")
        names.append(f"bf16/m{i}")
    return names


def run(client, names, models, way, **options):
    params = dict(WAYS[way])
    beside = {k: params.pop(k) for k in ("density", "gamma", "drop_low", "drop_high") if k in params}
    weights = [{} if way == "slerp" else {"weight": w} for w in WEIGHTS]
    given = [(names[1 + i], {**weights[i], **beside}) for i in range(models)]
    if way.endswith("nothing of one"):
        given[0][1]["density"] = 0.5
    body = merge(way.split(",")[0], given, "bf16/out", base=names[0], params=params, **options)
    job = client.wait(client.submit(body))
    assert job["status"] == "succeeded", json.dumps(job["error"])
    version = f"{job['result']['version']['model']}@{job['result']['version']['commit']}"
    report = client.get(f"{client.at(version)}/files/amend%2Freport.json/content").json()
    return client.weights(version), report["tensors"], [w["code"] for w in job["warnings"]]


CASES = [(way, n) for way in WAYS for n in ((1,) if way == "slerp" else (1, 2, 3, 4, 5))]


@pytest.mark.parametrize("way, models", CASES)
def test_at_once_as_step_by_step(client, tuned, way, models):
    at_once, numbers, warnings = run(client, tuned, models, way)
    steps, same_numbers, same_warnings = run(client, tuned, models, way, out_dtype="F32")
    assert {t.dtype for t in at_once.values()} == {"BF16"} and {t.dtype for t in steps.values()} == {"F32"}
    for name, t in steps.items():
        assert at_once[name] == ref.store("BF16", ref.load(t)), name
    assert numbers == same_numbers and warnings == same_warnings


def spoiled(client, roots, name, value):
    base, model = (np.zeros(5000, np.float32) for _ in range(2))
    model[:] = np.linspace(-1, 1, 5000)
    model[4321] = value
    for role, x in ("base", base), ("model", model):
        client.register(ref.write(roots / f"{name}-{role}", {"w": ref.store("BF16", x)}), f"bf16/{name}-{role}")
    return f"bf16/{name}-base", f"bf16/{name}-model"


def test_what_would_be_dropped_is_noticed(client, roots):
    """An infinity is the largest entry, which breadcrumbs drops: the result would look fine."""
    base, model = spoiled(client, roots, "dropped", np.inf)
    body = merge("breadcrumbs", [(model, {"weight": 1, "density": 0.5, "gamma": 0.1})], "bf16/out", base=base)
    error = client.wait(client.submit(body))["error"]
    assert (error["code"], error["tensor"]) == ("non-finite", "w"), error
    assert "4321" in json.dumps(error) and model in json.dumps(error), error


@pytest.mark.parametrize("policy, value", [("refuse", None), ("clamp", LARGE), ("inf", np.inf)])
def test_too_large_for_bf16(client, roots, policy, value):
    base, model = spoiled(client, roots, f"large-{policy}", LARGE)
    given = [(model, {"weight": 1.003, "density": 0.5})]
    body = merge("ties", given, "bf16/out", base=base, params={"normalize": False, "overflow": policy})
    job = client.wait(client.submit(body))
    if policy == "refuse":
        error = job["error"]
        assert error["code"] == "non-finite" and "4321" in json.dumps(error), error
        return
    assert job["status"] == "succeeded", job["error"]
    version = f"{job['result']['version']['model']}@{job['result']['version']['commit']}"
    got = ref.load(client.weights(version)["w"])
    assert got[4321] == value
    assert got[0] == -1 and got[2500] == 0
