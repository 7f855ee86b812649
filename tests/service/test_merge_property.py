"""What must be true of every merge method, also of one that nobody thought of here: methods and parameters come from
GET /v1/methods (merge_feed.py makes the jobs), so that a new file in core/merge is tested when it is built."""

import json
import os
import re
import subprocess

import numpy as np
import pytest

import harness
import merge_feed
import reference as ref
import reference_masks as masks
import reference_merge as rm
import reference_tasks as tasks
import reference_whole as over
from harness import BUILD

MIB = 1 << 20
SHAPES = [(), (1,), (2,), (7,), (63,), (64,), (65,), (4095,), (4096,), (4097,), (128, 64), (10, 128), (3, 5, 7), (0, 3)]
DTYPES = ("F32", "BF16", "F16")
MODELS = 7
SEED = int(os.environ["AMEND_TEST_SEED"])  # of the whole run, told in its first lines

# Where equal models (all equal to the base, too) do not give that model: {(method, label): reason}.
NOT_IDEMPOTENT = {
    ("linear", "normalize False"): "a weighted sum, not a mean",
    ("passthrough", "probe"): "a multiple of one model",
}


def known_methods():
    """{name: needs} at collection time, from the worker itself: a test for each method that is built."""
    worker = BUILD / "amend-worker"
    if not worker.exists():
        return {}
    told = json.loads(subprocess.run([worker, "describe"], capture_output=True, check=True, timeout=20).stdout)
    return {m["name"]: m["needs"] for m in told["methods"] if m["type"] == "merge" and not m["needs"]["adapter"]}


NEEDS = known_methods()
METHODS = list(NEEDS)


# Feeds whose result is the bytes of a model by definition: nothing is read, so nothing is found in them.
COPIES = {("passthrough", "defaults")}
# Methods with a parameter that names a model by its place. Those that draw masks draw them by the place, too.
BY_PLACE = {"emr", "tall_masks"}


# Where the other methods run each way in make check, these, which share their code with them or among each other, do so
# in make check-full only; of windows, equal models, order, threads and kernels, make check asks the others.
LEAN = set("arcee_fusion breadcrumbs_ties bulyan consensus dare_linear dare_ties della della_linear emr karcher lines".split())
LEAN |= {"iso_c", "iso_cts", "knots", "soup", "tsv_m", "wise_ft"}
LEAN |= set("meamed model_stock multislerp nearswap nuslerp passthrough phocas ram ramplus_tl sce tall_masks".split())


def depths(names):
    """One way to run each method is in make check; each way, in make check-full."""
    for name in names:
        yield pytest.param(name, "one way", marks=[pytest.mark.slow] if name in LEAN else [])
        yield pytest.param(name, "each way", marks=pytest.mark.slow)


def ways(names):
    for name in names:
        if name in LEAN:
            yield pytest.param(name, "one way")
        yield pytest.param(name, "each way", marks=[pytest.mark.slow] if name in LEAN else [])


# ---- models ----------------------------------------------------------------------------------------------------------


def shapes():
    """{name: (dtype, shape)} of every shape in every computed dtype, and integers."""
    found = {f"{d.lower()}.{'x'.join(map(str, s)) or 'scalar'}": (d, s) for d in DTYPES for s in SHAPES}
    return {**found, "steps": ("I64", (2,))}


def windows():
    """Two tensors of more than one window and no round size, some small ones beside them."""
    return {
        "long.f32": ("F32", (37, 8101)),
        "long.bf16": ("BF16", (270001,)),
        "short.f16": ("F16", (4097,)),
        "shorter.f16": ("F16", (3, 21)),
        "one.f32": ("F32", ()),
        "steps": ("I64", (2,)),
    }


def family(rng, tensors, count):
    """Base, old base, and `count` models that share a change of the base beside their own."""
    base, old, models = {}, {}, [{} for _ in range(count)]
    for name, (dtype, shape) in tensors.items():
        if dtype not in ref.COMPUTED:
            for m in (base, old, *models):
                m[name] = ref.tensor(dtype, np.arange(np.prod(shape, dtype=int)).reshape(shape))
            continue
        values = rng.standard_normal(shape, dtype=np.float32)
        common = rng.standard_normal(shape, dtype=np.float32) * ref.f32(0.1)
        base[name] = ref.store(dtype, values)
        old[name] = ref.store(dtype, values + ref.f32(0.05) * rng.standard_normal(shape, dtype=np.float32))
        for m in models:
            m[name] = ref.store(dtype, values + common + ref.f32(0.1) * rng.standard_normal(shape, dtype=np.float32))
    return base, old, models


class World:
    """A family of models of one layout in one daemon, and the versions that were made of them."""

    def __init__(self, client, roots, prefix, tensors):
        self.client, self.folder, self.prefix = client, roots, prefix
        self.base, self.old, self.models = family(np.random.default_rng(SEED), tensors, MODELS)
        self.named = {"base": self.base, "old": self.old, **{str(i): m for i, m in enumerate(self.models)}}
        self.registered, self.made, self.read = {}, {}, {}

    def version(self, name, tensors=None):
        """Registered when first asked for."""
        if name not in self.registered:
            folder = ref.write(self.folder / f"{self.prefix}-{name}", tensors or self.named[name])
            self.client.register(folder, f"{self.prefix}/{name}")
            self.registered[name] = f"{self.prefix}/{name}@v1"
        return self.registered[name]

    def models_of(self, feed):
        return [self.version(str(i)) for i in range(feed.count)]

    def body(self, feed, **more):
        return feed.job(self.models_of(feed), f"{self.prefix}/out", self.version("base"), self.version("old"), **more)

    def run(self, feed, **more):
        """The version that this feed gives; made once."""
        key = (repr(feed), json.dumps(more, sort_keys=True))
        if key not in self.made:
            self.made[key] = run(self.client, feed, self.body(feed, **more))
        return self.made[key]

    def weights(self, feed):
        """What run(feed) gave, read once."""
        version = self.run(feed)
        if version not in self.read:
            self.read[version] = self.client.weights(version)
        return self.read[version]

    def run_copies(self, feed):
        """The first model in every place, each under its own name."""
        names = [self.version(f"copy-{i}", self.models[0]) for i in range(feed.count + 2)]
        return run(self.client, feed, feed.job(names[2:], f"{self.prefix}/out", names[0], names[1]))

    def terms(self, feed, name):
        """Magnitudes that may have been added for a tensor."""
        arrays = [ref.load(m[name]) for m in (self.base, self.old, *self.models[: feed.count])]
        return sum(np.abs(a).astype(np.float64) for a in arrays) * max(1, *map(abs, feed.weights()))


def run(client, feed, body):
    answer = client.post("/v1/jobs", body)
    assert answer.status_code == 202, f"{feed} was refused: {answer.text[:3000]}\n{json.dumps(body)}"
    job = client.wait(answer.json()["id"])
    assert job["status"] == "succeeded", f"{feed}: {json.dumps(job['error'])}\n{json.dumps(body)}"
    done = job["result"]["version"]
    return f"{done['model']}@{done['commit']}"


@pytest.fixture(scope="module")
def world(client, roots):
    return World(client, roots, "w", shapes())


@pytest.fixture(scope="module")
def wide(client, roots):
    return World(client, roots, "v", windows())


@pytest.fixture(scope="module")
def registry(client):
    found = merge_feed.methods(client)
    assert sorted(found) == sorted(METHODS), "the daemon lists other methods than its worker has"
    return found


def every(registry, name, depth="each way"):
    found = merge_feed.feeds(registry[name])
    return found if depth == "each way" else [f for f in found if f.label == "probe"] or found[:1]


# ---- shapes, names, dtypes, numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name, depth", [*ways(METHODS)])
def test_shapes_names_and_dtypes_are_kept(world, registry, name, depth):
    for feed in every(registry, name, depth):
        got = world.weights(feed)
        assert sorted(got) == sorted(world.base), feed
        for tensor, t in world.base.items():
            assert (got[tensor].dtype, got[tensor].shape) == (t.dtype, t.shape), (feed, tensor)
            if t.dtype not in ref.COMPUTED:
                assert got[tensor] == t, (feed, tensor)
            else:
                assert np.isfinite(ref.load(got[tensor])).all(), (feed, tensor)


def framed(feed):
    """Parameters of the frame in the reference's terms."""
    given = {k: v for k, v in feed.params.items() if k in ("normalize", "consensus", "granularity", "density", "gamma")}
    return {**given, "lam": feed.params.get("lambda", 1.0)}


def whole(rule):
    """A formula of one tensor as one of a model; empty tensors stay as they are."""
    return lambda b, xs, o: {n: rule(b[n], [x[n] for x in xs], o[n]) if b[n].size else b[n] for n in b}


def masked(rule):
    """Of methods in the frame that draw masks: they go by the tensor's name."""

    def of(f):
        more = {k: f.params[k] for k in ("rescale", "epsilon") if k in f.params}
        consensus = {} if "consensus" in f.params else {"consensus": DEFAULT_CONSENSUS.get(f.name, "none")}
        normalize = {} if "normalize" in f.params else {"normalize": f.name == "della"}
        return lambda b, xs, o: {
            n: rule(n, b[n], [x[n] for x in xs], f.weights(), **framed(f), **more, **consensus, **normalize) for n in b
        }

    return of


DEFAULT_CONSENSUS = {"dare_ties": "sum", "della": "sum", "breadcrumbs_ties": "sum"}

# Formulas of the methods that are known here: feed -> function of (base, models, old) as float32 arrays.
FORMULAS = {
    "linear": lambda f: whole(lambda b, x, o: ref.linear(x, f.weights(), f.params.get("normalize", True))),
    "soup": lambda f: whole(lambda b, x, o: ref.linear(x, [1] * len(x))),
    "wise_ft": lambda f: whole(lambda b, x, o: rm.wise_ft(b, x[0], f.params.get("alpha", 0.5))),
    "task_arithmetic": lambda f: whole(lambda b, x, o: ref.task_arithmetic(b, x, f.weights(), **framed(f))),
    "slerp": lambda f: whole(lambda b, x, o: rm.slerp(b, x[0], f.params["t"])),
    "ties": lambda f: whole(lambda b, x, o: rm.ties(b, x, f.weights(), **framed(f))),
    "breadcrumbs": lambda f: whole(lambda b, x, o: rm.breadcrumbs(b, x, f.weights(), **framed(f))),
    "breadcrumbs_ties": lambda f: whole(
        lambda b, x, o: rm.breadcrumbs(b, x, f.weights(), **{"consensus": "sum", **framed(f)})
    ),
    "port": lambda f: whole(lambda b, x, o: rm.port(b, x[0], o, f.params.get("scale", 1.0))),
    "median": lambda f: whole(lambda b, x, o: rm.median(b, x, f.params.get("alpha", 1.0))),
    "trimmed_mean": lambda f: whole(
        lambda b, x, o: rm.trimmed_mean(b, x, f.params["f"], f.params.get("alpha", 1.0)),
    ),
    "nuslerp": lambda f: whole(lambda b, x, o: rm.nuslerp(x, f.weights(), b, **f.params)),
    "multislerp": lambda f: whole(lambda b, x, o: rm.multislerp(x, f.weights(), b, **f.params)),
    "karcher": lambda f: whole(lambda b, x, o: rm.karcher(x, **f.params)[0]),
    "model_stock": lambda f: whole(lambda b, x, o: rm.model_stock(b, x, **f.params)),
    "sce": lambda f: whole(lambda b, x, o: rm.sce(b, x, **f.params)),
    "arcee_fusion": lambda f: whole(lambda b, x, o: rm.arcee_fusion(b, x[0])),
    "nearswap": lambda f: whole(lambda b, x, o: rm.nearswap(b, x[0], f.params["t"])),
    "ram": lambda f: whole(lambda b, x, o: rm.ram(b, x, **f.params)),
    "ramplus_tl": lambda f: whole(lambda b, x, o: rm.ramplus_tl(b, x, **f.params)),
    "passthrough": lambda f: whole(lambda b, x, o: rm.passthrough(x[0], f.params.get("scale", 1.0))),
    "lines": lambda f: lambda b, xs, o: tasks.lines(b, xs, f.weights(), [*b, "steps"], **f.params),
    "emr": lambda f: lambda b, xs, o: tasks.emr(b, xs, **f.params),
    "tall_masks": lambda f: whole(lambda b, x, o: tasks.tall_masks(b, x, **f.params)),
    "consensus": lambda f: whole(lambda b, x, o: tasks.consensus(b, x, **f.params)),
    "meamed": lambda f: whole(lambda b, x, o: rm.meamed(b, x, f.params["f"], f.params.get("alpha", 1.0))),
    "phocas": lambda f: whole(lambda b, x, o: rm.phocas(b, x, f.params["f"], f.params.get("alpha", 1.0))),
    "bulyan": lambda f: lambda b, xs, o: rm.bulyan(b, xs, **f.params),
    "dare_linear": masked(masks.dare),
    "dare_ties": masked(masks.dare),
    "della": masked(masks.della),
    "della_linear": masked(masks.della),
    **{g: lambda f: lambda b, xs, o: over.merge(f.name, b, xs, **f.params) for g in over.RULES},
    **{g: lambda f: lambda b, xs, o: rm.gram_rule(f.name, b, xs, **f.params) for g in rm.GRAM},
}
# Every rounding of these is fixed by the formula: equal bit for bit.
EXACT = {"linear", "task_arithmetic", "ties", "breadcrumbs", "port", "krum", "median", "dare_linear", "dare_ties", "breadcrumbs_ties", "della", "della_linear"}
EXACT |= {"lines", "emr", "tall_masks", "consensus", "soup", "wise_ft"}
EXACT |= {"nearswap", "ram", "ramplus_tl", "passthrough"}


def against_formula(world, feed, got):
    """Sentences about the tensors that are not what the formula gives."""
    base, old = rm.arrays(world.base), rm.arrays(world.old)
    models = [rm.arrays(m) for m in world.models[: feed.count]]
    for tensor, array in FORMULAS[feed.name](feed)(base, models, old).items():
        if feed.name in EXACT:
            stored = ref.store(got[tensor].dtype, array)
            problem = ref.difference({tensor: got[tensor]}, {tensor: stored})
        else:
            problem = rm.disagreement(got[tensor], array, world.terms(feed, tensor), feed.count)
        if problem:
            yield f"{feed}: {tensor}: {problem}"


@pytest.mark.parametrize("name, depth", [*ways(sorted(set(FORMULAS) & set(METHODS)))])
def test_formula(world, registry, name, depth):
    bad = [p for feed in every(registry, name, depth) for p in against_formula(world, feed, world.weights(feed))]
    assert not bad, "\n".join(bad[:10])


@pytest.mark.parametrize("name, depth", [*depths(sorted(set(FORMULAS) & set(METHODS)))])
def test_formula_over_windows(wide, registry, name, depth):
    """Statistics, and the choice among equal magnitudes, go across windows and tiles."""
    if depth == "one way" and not registry[name]["needs"]["passes"]:
        return
    for feed in every(registry, name, depth):
        bad = list(against_formula(wide, feed, wide.client.weights(wide.run(feed, threads=1))))
        assert not bad, "\n".join(bad[:10])


# ---- equal models ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, depth", [*depths(METHODS)])
def test_equal_models_give_that_model(world, registry, name, depth):
    for feed in every(registry, name, depth):
        if (name, feed.label) in NOT_IDEMPOTENT:
            continue
        got = world.client.weights(world.run_copies(feed))
        for tensor, t in world.models[0].items():
            if t.dtype in ref.COMPUTED:
                x = ref.load(t)
                slack = rm.disagreement(got[tensor], x, np.abs(x) * feed.count, feed.count)
                assert slack is None, f"{feed}: {tensor}: {slack}"


def test_exemptions_are_still_needed(world, registry):
    for name, label in NOT_IDEMPOTENT:
        (feed,) = [f for f in every(registry, name) if f.label == label]
        got, x = world.client.weights(world.run_copies(feed)), ref.load(world.models[0]["f32.64"])
        assert rm.disagreement(got["f32.64"], x, np.abs(x) * feed.count, feed.count), (name, label)


# ---- order of the models ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, depth", [*depths(METHODS)])
def test_order_of_the_models_does_not_matter(world, registry, name, depth):
    if not registry[name]["needs"]["symmetric"]:
        if registry[name]["needs"]["random"] or name in BY_PLACE:
            return
        several = registry[name]["needs"]["max_inputs"] != 1
        assert not several, f"{name} takes several models and is not symmetric: say why here"
        return
    for feed in every(registry, name, depth):
        there = world.weights(feed)
        back = world.client.weights(world.run(feed, order=[*range(1, feed.count), 0][::-1]))
        for tensor, t in there.items():
            if t.dtype in ref.COMPUTED:
                # two elements: a sum that is zero but for rounding may elect the other sign
                problem = rm.disagreement(back[tensor], ref.load(t), world.terms(feed, tensor), feed.count, allowed=2)
                assert problem is None, f"{feed}: {tensor}: {problem}"


# ---- values that are no numbers --------------------------------------------------------------------------------------

BAD = {"a": ("F32", (3, 5)), "b": ("BF16", (70,)), "c": ("F16", (9,)), "n": ("I64", (1,))}
# role: (tensor, index, value)
SPOILED = {"last": ("b", 66, np.nan), "first": ("a", 7, np.inf), "base": ("c", 4, -np.inf), "old": ("a", 11, np.nan)}


@pytest.fixture(scope="module")
def sound(client, roots):
    return World(client, roots, "bad", BAD)


def spoil(feed, sound, role):
    """The names of a job with one value that is no number in that role, and the name of the one that has it."""
    place = {"last": str(feed.count - 1), "first": "0"}.get(role, role)
    tensor, index, value = SPOILED[role]
    t = sound.named[place][tensor]
    array = ref.load(t).copy()
    array.reshape(-1)[index] = value
    culprit = sound.version(f"{role}-{place}", {**sound.named[place], tensor: ref.store(t.dtype, array)})
    models = sound.models_of(feed)
    if place.isdigit():
        models[int(place)] = culprit
    base, old = (culprit if role == k else sound.version(k) for k in ("base", "old"))
    return models, base, old, culprit


def roles(feed):
    return ["last", "first"] + ["base"] * feed.takes_base + ["old"] * feed.with_old_bases


@pytest.mark.parametrize("name, depth", [*ways(METHODS)])
def test_no_numbers_are_refused(sound, registry, name, depth):
    feed = next(f for f in every(registry, name) if (name, f.label) not in COPIES)
    for role in roles(feed) if depth == "each way" else ["last"]:
        models, base, old, culprit = spoil(feed, sound, role)
        tensor, index, _ = SPOILED[role]
        job = sound.client.wait(sound.client.submit(feed.job(models, "bad/never", base, old)))
        assert job["status"] == "failed", f"{feed}: a value that is no number in {role} went unnoticed"
        error = job["error"]
        assert error["code"] == "non-finite" and error["tensor"] == tensor, (feed, role, error)
        text = json.dumps(error)
        assert re.search(rf"\b{index}\b", text), f"{feed}, {role}: index {index} is not told: {text}"
        assert culprit.split("@")[0] in text, f"{feed}, {role}: input {culprit} is not told: {text}"
        assert error["retryable"] is False


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_no_numbers_are_never_silent(sound, registry, name):
    """Asked to compute with them: told in a warning, and tensors of their own are not touched."""
    feed = next(f for f in every(registry, name) if (name, f.label) not in COPIES)
    assert "nonfinite" in {p["name"] for p in registry[name]["params"]}, f"{name} lacks the common policies"
    want = sound.weights(feed)
    for role in roles(feed):
        models, base, old, culprit = spoil(feed, sound, role)
        body = feed.job(models, "bad/out", base, old, params={"nonfinite": "propagate"})
        job = sound.client.wait(sound.client.submit(body))
        if job["status"] == "failed" and role == "base":  # differences from it all are no numbers: nothing is left
            assert job["error"]["code"] == "non-finite" and registry[name]["needs"]["passes"], (
                feed,
                role,
                job["error"],
            )
            continue
        assert job["status"] == "succeeded", (feed, role, job["error"])
        told = json.dumps(job["warnings"])
        assert "nonfinite" in told or "non-finite" in told or "contributor-dropped" in told, f"{feed}, {role}: nothing is told: {told}"
        if registry[name]["needs"]["scope"] == "tensor":
            done = job["result"]["version"]
            got = sound.client.weights(f"{done['model']}@{done['commit']}")
            for tensor in set(BAD) - {SPOILED[role][0]}:
                assert got[tensor] == want[tensor], f"{feed}, {role}: {tensor} is touched"


# ---- the same bytes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, depth", [*depths(METHODS)])
def test_threads_do_not_change_a_byte(world, wide, registry, name, depth):
    for feed in every(registry, name, depth):
        for of in (wide,) if depth == "one way" else (wide, world):
            counts = (1, 5) if depth == "one way" else (1, 2, 5)
            seen = {n: of.client.etags(of.run(feed, threads=n)) for n in counts}
            assert all(e == seen[1] for e in seen.values()), f"{feed}: the bytes depend on the threads: {seen}"


def supported(kernels):
    with open("/proc/cpuinfo") as f:
        flags = set(next((line for line in f if line.startswith("flags")), "").split())
    wants = {"generic": set(), "avx2": {"avx2"}, "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl"}}
    return wants[kernels] <= flags


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "kernels, depth",
    [
        ("generic", "one way"),
        *(pytest.param(k, "each way", marks=pytest.mark.slow) for k in ("generic", "avx2", "avx512")),
    ],
)
def test_kernels_do_not_change_a_byte(world, wide, registry, roots, tmp_path, kernels, depth):
    if not supported(kernels):
        pytest.skip(f"this processor has no {kernels}")
    d = harness.Daemon(tmp_path / "data", [roots], args=["--log.level=debug"], env={"AMEND_KERNELS": kernels}).start()
    try:
        known, bad = set(), []
        for name in METHODS if depth == "each way" else sorted(set(METHODS) - LEAN):
            for feed in every(registry, name, depth):
                for of in (wide,) if depth == "one way" else (wide, world):
                    want, body = of.client.etags(of.run(feed, threads=5)), of.body(feed, threads=2)
                    for model in {f"{of.prefix}-{k}" for k in of.registered if k in of.named} - known:
                        d.client.register(roots / model, model.replace("-", "/", 1))
                        known.add(model)
                    if d.client.etags(run(d.client, feed, body)) != want:
                        bad.append(repr(feed))
        log = d.log()
    finally:
        d.stop()
    sets = set(re.findall(r"worker says hello .*?kernels=(\S+)", log))
    assert sets == {kernels}, f"{kernels} was asked for, the workers ran {sets}"
    assert not bad, f"other bytes than with the best set: {bad}"


# ---- memory ----------------------------------------------------------------------------------------------------------

BIG_MIB = 64


@pytest.fixture(scope="module")
def big(client, roots):
    """Base, old base and seven models of 64 MiB, bfloat16, sixteen layers."""
    noise = np.random.default_rng(1).standard_normal(BIG_MIB * MIB // 2 // 16, dtype=np.float32)
    for k in range(MODELS + 2):
        layers = {
            f"layer.{i}.weight": ref.store("BF16", np.roll(noise, i + 16 * k).reshape(256, -1)) for i in range(16)
        }
        client.register(ref.write(roots / f"big-{k}", layers), f"big/{k}")
    return [f"big/{k}@v1" for k in range(MODELS + 2)]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.weighed
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", METHODS)
def test_memory_is_as_planned(world, registry, big, name, threads):
    """peak <= plan <= 1.25 x peak, and no more than 256 MiB."""
    bad = []
    for feed in every(registry, name):
        body = feed.job(big[2:], "big/out", big[0], big[1], threads=threads)
        job = world.client.wait(world.client.submit(body), 120)
        assert job["status"] == "succeeded", (feed, job["error"])
        planned, peak = job["plan"]["peak_memory_bytes"], job["result"]["measured"]["peak_memory_bytes"]
        told = f"{feed}, threads {threads}: plan {planned / MIB:.2f} MiB, peak {peak / MIB:.2f}, {planned / peak:.2f}"
        print(told)
        if not peak <= planned <= 1.25 * peak or planned > 256 * MIB:
            bad.append(told)
    assert not bad, "\n".join(bad)
