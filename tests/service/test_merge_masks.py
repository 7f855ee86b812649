"""Methods that keep entries by chance (dare_linear, dare_ties, della, della_linear): what the masks depend on, what they
do not, and whether they are as likely as they should be. Equal bits to the formulas: test_merge_property.py."""

import json
import os

import numpy as np
import pytest

import reference as ref
import reference_masks as masks
from harness import merge
from test_merge_mergekit import ABSENT as NO_GOLDENS
from test_merge_mergekit import GOLDENS, read

SEED = int(os.environ["AMEND_TEST_SEED"])
SHAPE = (150, 200)


@pytest.fixture(scope="module")
def models(client, roots):
    """A base of zeros and three fine-tunes whose entries are never zero: what is zero was dropped."""
    rng = np.random.default_rng(SEED)
    found = {"base": np.zeros(SHAPE, np.float32)}
    for name in "abc":
        d = rng.standard_normal(SHAPE, dtype=np.float32)
        found[name] = np.where(np.abs(d) < 1e-3, np.float32(1e-3), d)
    for name, w in found.items():
        one, vector = ref.tensor("F32", w), ref.tensor("F32", w[0])
        client.register(ref.write(roots / f"mask-{name}", {"w": one, "v": one, "row": vector}), f"mask/{name}")
    return found


def run(client, method, names, seed=0, model_params=None, **params):
    given = [(f"mask/{n}", {"weight": 1, **(model_params or {})}) for n in names]
    version = client.run(merge(method, given, "mask/out", base="mask/base", params=params, seed=seed))
    return {n: ref.load(t) for n, t in client.weights(version).items()}


def test_what_masks_depend_on(client, models):
    """Seed, place and tensor: yes; what other models there are: no."""
    first = run(client, "dare_linear", "a", density=0.3)
    other = run(client, "dare_linear", "a", density=0.3, seed=1)
    pair = run(client, "dare_linear", "ab", density=0.3)
    kept = first["w"] != 0
    assert not np.array_equal(kept, other["w"] != 0), "another seed gives the same mask"
    assert not np.array_equal(kept, first["v"] != 0), "another tensor gives the same mask"
    second = masks.dare_one(models["b"], "w", 1, 0.3)
    assert not np.array_equal(kept, second != 0), "another place gives the same mask"
    assert np.array_equal(pair["w"], first["w"] + second), "a second model changes what is kept of the first"
    again = run(client, "dare_linear", "a", density=0.3)
    assert np.array_equal(again["w"], first["w"])


@pytest.mark.parametrize("rescale", ["l1", "l2", "linf"])
def test_sizes_are_given_back(client, models, rescale):
    size = {"l1": lambda x: np.abs(x).sum(), "l2": np.linalg.norm, "linf": lambda x: np.abs(x).max()}[rescale]
    got = run(client, "dare_linear", "a", density=0.4, rescale=rescale)
    for name, d in (("w", models["a"]), ("row", models["a"][0])):
        assert abs(size(got[name].astype(np.float64)) / size(d.astype(np.float64)) - 1) < 1e-6, name


def test_counts_are_likely(client, models):
    """Of every tensor, within four standard errors."""
    for p in (0.1, 0.5, 0.9):
        for n, x in run(client, "dare_linear", "c", density=p, seed=7).items():
            kept = np.count_nonzero(x) / x.size
            assert abs(kept - p) < 4 * np.sqrt(p * (1 - p) / x.size), (p, n, kept)


def test_della_without_epsilon_is_dare(client, models):
    for della, dare in (("della_linear", "dare_linear"), ("della", "dare_ties")):
        one = run(client, della, "ab", density=0.3, epsilon=0.0, normalize=False)
        two = run(client, dare, "ab", density=0.3)
        assert all(np.array_equal(one[n], two[n]) for n in one), della


def test_large_entries_stay_more_often(client, models):
    """Kept fraction by decile of the rank follows the line from density - epsilon to density + epsilon."""
    rank, kept = masks.ranks(models["a"]), np.zeros((10, 0))
    per = []
    for seed in range(3):
        got = run(client, "della_linear", "a", density=0.5, epsilon=0.3, seed=seed)["w"] != 0
        per.append([got[(rank - 1) * 10 // SHAPE[1] == d].mean() for d in range(10)])
    kept = np.mean(per, axis=0)
    want = 0.2 + 0.6 * (np.arange(10) * 20 + 9.5) / (SHAPE[1] - 1)
    assert np.abs(kept - want).max() < 4 * np.sqrt(0.25 / (3 * models["a"].size / 10)), (kept, want)


@pytest.mark.parametrize(
    "density, epsilon, reason", [(0.9, 0.15, "epsilon-range"), (0.1, 0.1, "epsilon-range"), (0.5, 1.35, None), (1.0, 0.15, "")]
)
def test_room_for_epsilon(client, models, density, epsilon, reason):
    """Probabilities outside 0 and 1 are refused with what would do; density 1 looks at no epsilon."""
    params = {"density": density, "epsilon": epsilon}
    body = merge("della", [("mask/a", {"weight": 1, **params})], "mask/out", base="mask/base")
    answer = client.post("/v1/plans", body)
    if reason == "":
        assert answer.json()["ok"] is True, answer.text
        return
    text = json.dumps(answer.json())
    assert '"ok": true' not in text and "#/inputs/models/0/params/epsilon" in text, text
    if reason:
        assert f'"{reason}"' in text and "must be below 0.1" in text, text


@pytest.mark.parametrize("density", [[0.1, 0.1], [0.9, 0.9], [{"filter": "row", "value": 0.9}, {"value": 0.5}]])
def test_room_for_epsilon_in_each_tensor(client, models, density):
    """Values that differ from tensor to tensor are looked at where they meet: the tensor is named, nothing is made."""
    given = [("mask/b", {"weight": 1, "density": 0.5}), ("mask/a", {"weight": 1, "density": density})]
    error = client.fails(merge("della", given, "mask/out", base="mask/base"))
    assert error["code"] == "invalid-params" and error["retryable"] is False, error
    assert [(e["reason"], e["tensor"]) for e in error["errors"]] == [("epsilon-range", "row")], error
    assert "epsilon must be below 0.1" in error["errors"][0]["detail"], error


def test_sum_of_weights_in_each_tensor(client, models):
    """Weights that cancel in one tensor are told as such, not as a result beyond F32."""
    given = [("mask/a", {"weight": 1}), ("mask/b", {"weight": [{"filter": "row", "value": -1}, {"value": 1}]})]
    error = client.fails(merge("linear", given, "mask/out"))
    assert [(e["reason"], e["tensor"]) for e in error["errors"]] == [("weights-sum-zero", "row")], error
    client.run(merge("linear", given, "mask/out", params={"normalize": False}))


def test_what_keeps_nothing_is_told(client, models):
    given = [("mask/a", {"weight": 1, "density": 0}), ("mask/b", {"weight": 1, "density": 0.004})]
    job = client.wait(client.submit(merge("dare_linear", given, "mask/out", base="mask/base")))
    told = {w["code"] for w in job["warnings"]}
    assert {"density-zero", "few-survivors"} <= told, job["warnings"]


# ---- mergekit's statistics -------------------------------------------------------------------------------------------

CASES = {} if NO_GOLDENS else {c["name"]: c for c in json.loads((GOLDENS / "statistics.json").read_text())}
RUNS = 200


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(NO_GOLDENS, reason=f"no {GOLDENS}; set AMEND_DATA")
@pytest.mark.parametrize("name", CASES)
def test_statistics_of_mergekit(client, roots, name):
    """200 seeds on one tensor of 100,000 elements, within the tolerances that come with mergekit's own 200 runs."""
    from test_merge_mergekit import Recipe

    case = CASES[name]
    recipe, tol, key = Recipe(case), case["tolerance"], case["tensor"]
    for path in [recipe.base, *recipe.models]:
        folder = roots / f"{name}-{path.replace('/', '-')}"
        folder.mkdir()
        for f in (GOLDENS / path).iterdir():
            (folder / f.name).write_bytes(f.read_bytes())
        client.register(folder, "mk/" + path.removeprefix("inputs/").replace("/", "-"))
    base = ref.load(read(GOLDENS / recipe.base / "model.safetensors")[key])
    d = ref.load(read(GOLDENS / recipe.models[0] / "model.safetensors")[key]) - base
    total, changed, decile = np.zeros(base.shape), [], np.zeros(10)
    place = (masks.ranks(d) - 1) * 10 // d.shape[1]
    for seed in range(RUNS):
        body = recipe.job(f"mk/{name}")
        body["options"]["seed"] = seed
        got = ref.load(client.weights(client.run(body))[key])
        total += got
        changed.append(np.mean(got != base))
        decile += [np.mean((got != base)[place == k]) for k in range(10)]
    mean = case["changed_fraction"]["mean"]
    assert np.abs(np.array(changed) - mean).max() < tol["single_run_changed_fraction"], (min(changed), max(changed))
    assert abs(np.mean(changed) - mean) < tol["mean_changed_fraction"], np.mean(changed)
    off = total / RUNS - ref.load(read(GOLDENS / case["statistics"])["mean"]).astype(np.float64)
    rms = np.sqrt((off**2).mean())
    assert case["measured"]["two_sets_rms"] / 2 < rms < tol["mean_tensor_rms"], rms
    assert np.abs(off).max() < tol["mean_tensor_max"] and abs(off.mean()) < tol["mean_tensor_bias"], off.mean()
    if "kept_fraction_by_rank_decile" in case:
        wrong = decile / RUNS - case["kept_fraction_by_rank_decile"]
        assert np.abs(wrong).max() < tol["rank_decile"], wrong
