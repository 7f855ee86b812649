"""merge/extract_patch: a fine-tune minus its base as an adapter, held against NumPy's decomposition and against what
PEFT makes of the adapter (reference_peft.py)."""

import json

import numpy as np
import pytest

import reference as ref
import reference_peft as peft
from harness import merge

SHAPES = {
    "layers.0.q.weight": (24, 16),
    "layers.0.q.bias": (24,),
    "layers.0.up.weight": (16, 40),
    "layers.0.norm.weight": (16,),
    "layers.0.norm.bias": (16,),
    "conv.weight": (6, 4, 3, 3),
    "conv.bias": (6,),
    "embed.weight": (30, 16),
    "head.weight": (30, 16),
}
CONFIG = {"architectures": ["ToyForCausalLM"], "model_type": "toy"}


def low_rank(rng, shape, rank, noise=0.0):
    """With singular values about 1, 1/2, 1/3, ..."""
    rows, cols = shape[0], int(np.prod(shape[1:]))
    u, v = (np.linalg.qr(rng.standard_normal((n, rank)))[0] for n in (rows, cols))
    d = u / np.arange(1, rank + 1) @ v.T + noise * rng.standard_normal((rows, cols))
    return d.reshape(shape)


class Pair:
    """A base, a fine-tune, and their registered versions."""

    def __init__(self, client, folder, name, base, tuned, dtype="F32", config=CONFIG):
        self.client, self.name = client, name
        self.base, self.tuned = ({n: np.asarray(v, "<f4") for n, v in m.items()} for m in (base, tuned))
        for part, m in (("base", self.base), ("tuned", self.tuned)):
            kind = dtype if isinstance(dtype, str) else dtype[part]
            where = ref.write(folder / f"{name}-{part}", {n: ref.tensor(kind, v) for n, v in m.items()})
            (where / "config.json").write_text(json.dumps(config))
            client.register(where, f"{name}/{part}")

    def body(self, params=None, into="patch", **options):
        return merge("extract_patch", [(f"{self.name}/tuned", {})], f"{self.name}/{into}", f"{self.name}/base", params,
                     **options)

    def extract(self, params=None, **options):
        version = self.client.run(self.body(params, **options))
        config, report = (json.loads(self.client.download(version, p)) for p in ("adapter_config.json", "amend/report.json"))
        return self.client.weights(version), config, report, version


@pytest.fixture(scope="module")
def toy(client, roots):
    rng = np.random.default_rng(36)
    base = {n: rng.standard_normal(s) for n, s in SHAPES.items()}
    tuned = {n: v + (0.1 * rng.standard_normal(v.shape) if n != "head.weight" else 0) for n, v in base.items()}
    return Pair(client, roots, "toy", base, tuned)


@pytest.fixture(scope="module")
def exact(client, roots):
    """Known LoRAs of ranks 3 and 5 on values that f32 holds exactly, so that the difference has that rank."""
    rng = np.random.default_rng(37)
    whole = lambda *shape: rng.integers(-4, 5, shape).astype(float)
    base = {n: whole(*s) for n, s in {"a.weight": (40, 30), "b.weight": (20, 64), "c.weight": (7, 9)}.items()}
    tuned = dict(base)
    tuned["a.weight"] = base["a.weight"] + whole(40, 3) @ whole(3, 30) / 8
    tuned["b.weight"] = base["b.weight"] + whole(20, 5) @ whole(5, 64) / 8
    return Pair(client, roots, "exact", base, tuned)


def close(pair, made, config, tolerance=1e-5, conv1d=()):
    got = peft.apply(pair.base, made, config, conv1d)
    for n, want in pair.tuned.items():
        off = np.linalg.norm(got[n] - want)
        assert off <= tolerance * max(1, np.linalg.norm(want - pair.base[n])), (n, off)


@pytest.mark.parametrize("params", [{}, pytest.param({"solver": "full", "distribute_scale": False}, marks=pytest.mark.slow),
                                    {"exclude": [], "in_out": ["*.up.*"], "distribute_scale": False}])
def test_all_ranks_give_the_fine_tune(toy, params):
    made, config, report, version = toy.extract(params)
    assert warnings_of(toy.client, version) == ["tied-embeddings"]  # there is no lm_head.weight beside embed.weight
    close(toy, made, config, conv1d=["layers.0.up"] if "in_out" in params else [])
    assert sorted(toy.client.files(version)) == ["README.md", "adapter_config.json", "adapter_model.safetensors",
                                                 "amend.json", "amend/report.json"]
    changed = {"layers.0.q", "layers.0.up", "conv"} | ({"embed"} if params.get("exclude") == [] else set())
    assert set(config["target_modules"]) == changed and "head.weight" in toy.base
    assert set(config["modules_to_save"]) == {"layers.0.norm"} | ({"embed"} - changed)
    assert config["bias"] == "all" and config["task_type"] == "CAUSAL_LM" and config["lora_alpha"] == config["r"] == 16
    assert config["base_model_name_or_path"] == "toy/base"
    assert config["revision"] == toy.client.version("toy/base")["commit"]
    assert report["tensors"]["head.weight"] == {"rank": 0, "norm_delta": 0, "residual": 0, "energy": 1, "sigma_first": None,
                                                "sigma_last": None, "sigma_next": None}
    roles = {(i["role"], i["model"]) for i in toy.client.version(version)["inputs"]}
    assert roles == {("base", "toy/base"), ("model", "toy/tuned")}


def test_a_known_lora_is_found(exact):
    for solver in ("randomised", "full"):
        made, config, report, _ = exact.extract({"max_rank": 10, "solver": solver})
        ranks = {n: report["tensors"][n]["rank"] for n in exact.base}
        assert ranks == {"a.weight": 3, "b.weight": 5, "c.weight": 0}, solver
        assert max(report["tensors"][n]["residual"] for n in ranks) < 1e-6
        assert config["r"] == 5 and config["rank_pattern"] == config["alpha_pattern"] == {"a": 3, "b": 5}
        assert config["modules_to_save"] is None and config["bias"] == "none"
        assert made["base_model.model.a.lora_A.weight"].shape == (3, 30)
        close(exact, made, config, 1e-6)


@pytest.fixture(scope="module")
def steep(client, roots):
    rng = np.random.default_rng(38)
    base = {n: rng.standard_normal(s) for n, s in {"x.weight": (120, 90), "y.weight": (90, 200)}.items()}
    tuned = {n: v + low_rank(rng, v.shape, 60) for n, v in base.items()}
    return Pair(client, roots, "steep", base, tuned)


def numpy_rank(d, energy, max_rank):
    s = np.linalg.svd(d, compute_uv=False)
    held = np.cumsum(s**2) / np.sum(s**2)
    return min(int(np.searchsorted(held, energy)) + 1, max_rank), s


@pytest.mark.parametrize("energy, max_rank, solver", [({"x": 0.9, "y": 0.8}, 60, "full"), pytest.param(0.95, 40, "randomised", marks=pytest.mark.slow), (0.999, 12, "randomised")])
def test_energy_picks_the_rank_that_numpy_picks(steep, energy, max_rank, solver):
    by_tensor = energy if isinstance(energy, dict) else {"x": energy, "y": energy}
    given = [{"filter": "x.", "value": energy["x"]}, {"value": energy["y"]}] if by_tensor is energy else energy
    made, config, report, _ = steep.extract({"energy": given, "max_rank": max_rank, "solver": solver})
    got = peft.apply(steep.base, made, config)
    for n, base in steep.base.items():
        d = steep.tuned[n].astype(float) - base
        rank, s = numpy_rank(d, by_tensor[n[0]], max_rank)
        told = report["tensors"][n]
        assert told["rank"] == rank == made[f"base_model.model.{n[:-7]}.lora_A.weight"].shape[0], n
        best = np.sqrt(np.sum(s[rank:] ** 2) / np.sum(s**2))
        off = np.linalg.norm(steep.tuned[n] - got[n]) / np.linalg.norm(d)
        assert best * (1 - 1e-6) <= off <= best * 1.01 and abs(told["residual"] - off) < 1e-6, (n, best, off)
        assert np.allclose([told["sigma_first"], told["sigma_last"], told["sigma_next"]], s[[0, rank - 1, rank]], rtol=1e-2)
        # the largest entry of each left vector is positive
        b = ref.load(made[f"base_model.model.{n[:-7]}.lora_B.weight"])
        assert (b[np.abs(b).argmax(axis=0), range(rank)] > 0).all()


def test_same_bytes_again_and_others_by_seed(steep):
    one, two, other = (steep.extract({"max_rank": 4}, threads=t, seed=s)[0] for t, s in ((1, 7), (2, 7), (1, 8)))
    assert one == two and one != other
    again = steep.client.post(f"/v1/jobs/{steep.client.version('steep/patch')['job']}/rerun", {})
    assert steep.client.wait(again.json()["id"])["result"]["reproduced"] is True


def warnings_of(client, version):
    return sorted((w["code"] for w in client.version(version)["warnings"]), reverse=True)


def test_half_precision_and_dropped_changes(toy):
    made, config, report, version = toy.extract({"max_rank": 4, "others": "drop"}, out_dtype="BF16")
    assert {t.dtype for t in made.values()} == {"BF16"} and config["modules_to_save"] is None and config["bias"] == "none"
    got = peft.apply(toy.base, made, config)
    assert (got["layers.0.norm.weight"] == toy.base["layers.0.norm.weight"]).all()
    d = toy.tuned["conv.weight"] - toy.base["conv.weight"]
    off = np.linalg.norm(toy.tuned["conv.weight"] - got["conv.weight"]) / np.linalg.norm(d)
    assert abs(report["tensors"]["conv.weight"]["residual"] - off) < 1e-6
    assert report["total"]["dropped"] == 5
    assert warnings_of(toy.client, version) == ["change-dropped"]


@pytest.mark.parametrize("kind, head", [("TokenClassification", "pre_classifier"), pytest.param("QuestionAnswering", "qa_outputs", marks=pytest.mark.slow)])
def test_heads_that_peft_wants_whole(client, roots, kind, head):
    """For some tasks PEFT adds names to modules_to_save and fails without all of their tensors, changed or not."""
    shapes = {"body.fc.weight": (6, 6), "shared.weight": (9, 6), "rel.relative_attention_bias.weight": (8, 2)}
    shapes |= {f"{head}.dense.weight": (6, 6), f"{head}.dense.bias": (6,), f"{head}.out.weight": (3, 6), "score.weight": (3, 6)}
    rng = np.random.default_rng(5)
    base = {n: rng.standard_normal(s) for n, s in shapes.items()}
    tuned = {n: v + (not n.endswith(".bias")) * rng.standard_normal(v.shape) for n, v in base.items()}
    pair = Pair(client, roots, f"head-{head[0]}", base, tuned, config={"architectures": ["ToyFor" + kind]})
    for others, kept in (("save", tuned), ("drop", base)):
        made, config, _, version = pair.extract({"others": others})
        got = peft.apply(pair.base, made, config)
        whole = {n for n in shapes if n.startswith(head) or (n == "score.weight" and head != "qa_outputs")}
        for n in shapes:
            factors = n == "body.fc.weight" or n == "score.weight" and n not in whole
            assert np.allclose(got[n], (tuned if n in whole or factors else kept)[n], atol=1e-5), n
        assert warnings_of(client, version) == (["tied-embeddings"] if others == "save" else ["change-dropped"])
        assert head in config["modules_to_save"] and config["fan_in_fan_out"] is False
        (file,) = client.wait(client.submit(pair.body({"others": others})))["plan"]["output"]["files"]
        assert client.files(version)[file["path"]]["bytes"] <= file["bytes"]


def test_experts_and_their_router_have_one_rank(client, roots):
    """PEFT stacks the factors of experts and cannot name the router in rank_pattern: zeros fill them up."""
    ranks = {"l.q": 5, "l.k": 1, "l.moe.gate": 3, "l.moe.experts.0.w1": 2, "l.moe.experts.1.w1": 0, "l.moe.experts.1.w2": 4}
    shapes = {n: (3, 12) if n.endswith("gate") else (16, 12) for n in ranks}
    rng = np.random.default_rng(8)
    base = {f"{n}.weight": rng.integers(-4, 5, s) for n, s in shapes.items()}
    tuned = {f"{n}.weight": base[f"{n}.weight"] + rng.integers(-4, 5, (s[0], ranks[n])) @ rng.integers(-4, 5, (ranks[n], s[1])) / 8 for n, s in shapes.items()}
    moe = Pair(client, roots, "moe", base, tuned)
    made, config, report, version = moe.extract({"max_rank": 7})
    got = {n: made[f"base_model.model.{n}.lora_A.weight"].shape[0] for n in ranks}
    assert got == {n: 5 if ".moe." in n else r for n, r in ranks.items()} and config["r"] == 5
    assert {n: report["tensors"][f"{n}.weight"]["rank"] for n in ranks} == ranks
    close(moe, made, config, 1e-6)
    (file,) = client.wait(client.submit(moe.body({"max_rank": 7})))["plan"]["output"]["files"]
    assert client.files(version)["adapter_model.safetensors"]["bytes"] <= file["bytes"]


def test_dtypes_that_differ(client, roots):
    """What is equal in value is no difference; what is saved has the fine-tune's dtype."""
    base = {"fc.weight": np.eye(6), "same.bias": np.arange(3), "norm.weight": np.arange(9000), "last.weight": np.arange(5)}
    tuned = {**base, "fc.weight": np.eye(6) * 2, "last.weight": np.arange(5) + 2.0**-20}
    tuned["norm.weight"] = base["norm.weight"] + (np.arange(9000) == 8999) / 2
    mixed = Pair(client, roots, "mixed", base, tuned, dtype={"base": "F64", "tuned": "F32"})
    made, config, report, version = mixed.extract()
    assert config["modules_to_save"] == ["last", "norm"] and config["target_modules"] == ["fc"]
    assert {t.dtype for t in made.values()} == {"F32"} and warnings_of(client, version) == ["f64-computed-in-f32"]
    close(mixed, made, config)


def test_refusals(client, roots, toy):
    def codes(body):
        answer = client.post("/v1/jobs", body)
        assert answer.status_code == 422, answer.text
        return {(e["code"], e.get("reason")) for e in answer.json()["errors"]}

    body = toy.body()
    assert ("missing-input", "base-required") in codes({**body, "inputs": {"models": ["toy/tuned"]}})
    assert ("invalid-params", "base-among-models") in codes({**body, "inputs": {"models": ["toy/base"], "base": "toy/base"}})
    assert ("invalid-params", "input-count") in codes({**body, "inputs": {"models": ["toy/tuned"] * 2, "base": "toy/base"}})
    assert ("invalid-params", "selection-empty") in codes(toy.body({"include": ["nothing*"]}))
    stack = {"stack": [{"version": "toy/tuned", "layers": [0, 1]}]}
    assert ("invalid-params", "input-count") in codes({**body, "inputs": {"models": [stack], "base": "toy/base"}})
    flat = Pair(client, roots, "flat", {"v.weight": [1, 2, 3]}, {"v.weight": [1, 2, 4]})
    assert ("invalid-params", "selection-empty") in codes(flat.body())
    other = Pair(client, roots, "other", {"v.weight": np.ones((2, 3))}, {"v.weight": np.ones((3, 2))})
    assert ("shape-mismatch", "shape") in codes(other.body())


def test_what_an_adapter_cannot_hold(client, roots):
    base = {"token": np.ones((1, 4)), "fc.weight": np.ones((4, 4)), "deep.x": np.ones(3), "deep.fc.weight": np.ones((4, 4))}
    tuned = {n: v + (n in ("token", "deep.x", "fc.weight")) for n, v in base.items()}
    loose = Pair(client, roots, "loose", base, tuned, config={"model_type": "gpt2"})
    failed = client.fails(loose.body())
    assert failed["code"] == "bad-input", failed
    assert {(e["reason"], e["tensor"]) for e in failed["errors"]} == {("not-adaptable", "token"), ("not-adaptable", "deep.x")}
    made, config, report, version = loose.extract({"others": "drop"})
    assert config["target_modules"] == ["fc"] and len(made) == 2
    assert warnings_of(client, version) == ["in-out-expected", "change-dropped"]
    same = Pair(client, roots, "same", base, {**base, "fc.weight": base["fc.weight"]})
    assert client.fails(same.body())["errors"][0]["reason"] == "no-difference"
    bad = Pair(client, roots, "bad", base, {**base, "fc.weight": np.full((4, 4), np.nan)})
    assert client.fails(bad.body())["code"] == "non-finite"


@pytest.mark.slow
@pytest.mark.weighed
@pytest.mark.parametrize("shape, params", [((1500, 900), {"max_rank": 32}), ((700, 900), {"solver": "full"}), ((900, 3000), {})])
def test_memory_and_disk_are_planned(client, roots, shape, params):
    rng = np.random.default_rng(6)
    name = f"big{shape[0]}-{shape[1]}"
    base = {"w.weight": rng.standard_normal(shape, np.float32)}
    pair = Pair(client, roots, name, base, {"w.weight": base["w.weight"] + rng.standard_normal(shape, np.float32)})
    plan = client.post("/v1/plans", pair.body(params, threads=1)).json()
    done = client.wait(client.submit(pair.body(params, threads=1)))
    peak, planned = done["result"]["measured"]["peak_memory_bytes"], plan["peak_memory_bytes"]
    assert peak <= planned <= 1.25 * peak, (peak, planned)
    (file,) = plan["output"]["files"]
    size = client.files("{model}@{commit}".format(**done["result"]["version"]))[file["path"]]["bytes"]
    assert file["path"] == "adapter_model.safetensors" and size <= file["bytes"] <= size + 2000
