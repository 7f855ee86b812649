"""Every method against the NumPy reference: random tensors in, the result downloaded over HTTP, opened with the
safetensors
library and compared bit for bit. The formulas fix every rounding, so nothing is left to tolerance, in no dtype."""

import itertools
import json

import numpy as np
import pytest

import reference as ref
from harness import computed, merge, negation, sparsify

counter = itertools.count()
DTYPES = [["F32"], ["F16"], ["BF16"], ["F32", "F16", "BF16"]]
IDS = ["f32", "f16", "bf16", "mixed"]


class Inputs:
    """`count` random models of one layout, registered."""

    def __init__(self, client, roots, seed, dtypes, count, big=False, shards=1, mixed=False, scale=1.0):
        rng = np.random.default_rng(seed)
        self.prefix = f"t/m{next(counter)}-{seed % 1000}"
        shapes = ref.layout(rng, dtypes, big=big)
        self.models, self.names = [], []
        for i in range(count):
            first = self.models[0] if self.models else None
            tensors = ref.fill(rng, shapes, fixed=first, dtypes=dtypes if mixed and i else None, scale=scale)
            name = f"{self.prefix}-{i}"
            folder = ref.write(roots / name.replace("/", "_"), tensors, shards=shards)
            client.register(folder, name)
            self.models.append(tensors)
            self.names.append(name + "@v1")
        self.rng = rng
        self.out = self.prefix + "-out"

    def weights(self, n):
        return [float(w) for w in self.rng.uniform(-1.5, 2.0, size=n)]


def check(client, version, want):
    problem = ref.difference(client.weights(version), want)
    assert problem is None, problem


def weighted(names, weights):
    return [(n, {"weight": w}) for n, w in zip(names, weights)]


# ---- the formulas --------------------------------------------------------------------------------


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("dtypes", DTYPES, ids=IDS)
def test_linear(client, roots, seed, dtypes, normalize):
    x = Inputs(client, roots, seed, dtypes, 3, mixed=len(dtypes) > 1)
    w = [abs(v) + 0.1 for v in x.weights(3)]
    version = client.run(merge("linear", weighted(x.names, w), x.out, params={"normalize": normalize}))
    check(client, version, ref.apply(lambda a: ref.linear(a, w, normalize), x.models[0], x.models))


def test_linear_weights_once_for_all_and_default(client, roots, seed):
    """A per-input parameter may be given once in `params`; normalize is true when it is not given."""
    x = Inputs(client, roots, seed, ["F32"], 4)
    body = merge("linear", [(n, None) for n in x.names], x.out, params={"weight": 0.25})
    check(client, client.run(body), ref.apply(lambda a: ref.linear(a, [0.25] * 4), x.models[0], x.models))


def test_linear_of_one_and_of_copies(client, roots, seed):
    x = Inputs(client, roots, seed, ["F32", "BF16"], 2)
    check(
        client,
        client.run(merge("linear", weighted(x.names, (1.0, 0.0)), x.out)),
        ref.apply(lambda a: ref.linear(a, [1.0, 0.0]), x.models[0], x.models),
    )
    check(client, client.run(merge("linear", weighted(x.names[:1], (1.0,)), x.out)), x.models[0])


@pytest.mark.parametrize("dtypes", DTYPES, ids=IDS)
def test_task_arithmetic(client, roots, seed, dtypes):
    x = Inputs(client, roots, seed, dtypes, 4, mixed=len(dtypes) > 1)
    w, lam = x.weights(3), float(x.rng.uniform(0.1, 1.9))
    version = client.run(
        merge("task_arithmetic", weighted(x.names[1:], w), x.out, base=x.names[0], params={"lambda": lam})
    )
    check(client, version, ref.apply(lambda a: ref.task_arithmetic(a[0], a[1:], w, lam), x.models[0], x.models))


def test_task_arithmetic_normalized_and_default_lambda(client, roots, seed):
    x = Inputs(client, roots, seed, ["F32"], 3)
    w = [0.7, 0.9]
    version = client.run(
        merge("task_arithmetic", weighted(x.names[1:], w), x.out, base=x.names[0], params={"normalize": True})
    )
    check(client, version, ref.apply(lambda a: ref.task_arithmetic(a[0], a[1:], w, 1.0, True), x.models[0], x.models))


@pytest.mark.parametrize("dtypes", DTYPES, ids=IDS)
def test_task_negation(client, roots, seed, dtypes):
    x = Inputs(client, roots, seed, dtypes, 3, mixed=len(dtypes) > 1)
    lam = float(x.rng.uniform(0.05, 1.0))
    version = client.run(negation(x.names[0], x.names[1], x.names[2], lam, x.out))
    check(client, version, ref.apply(lambda a: ref.task_negation(*a, lam), x.models[0], x.models))


def test_task_negation_base_defaults_to_the_model(client, roots, seed):
    x = Inputs(client, roots, seed, ["F32"], 2)
    body = negation(x.names[0], x.names[1], None, 0.375, x.out)
    del body["inputs"]["task"]["base"]
    check(
        client, client.run(body), ref.apply(lambda a: ref.task_negation(a[0], a[1], a[0], 0.375), x.models[0], x.models)
    )


def test_negating_a_fine_tune_wholly_gives_its_base(client, roots, seed):
    """lambda 1 applied to the fine-tune itself is the base to one unit in the last place of the larger of the two."""
    x = Inputs(client, roots, seed, ["F32"], 2)
    version = client.run(negation(x.names[1], x.names[1], x.names[0], 1.0, x.out))
    got = client.weights(version)
    for name, t in x.models[0].items():
        if t.dtype == "F32":
            a, b, ft = ref.load(got[name]), ref.load(t), ref.load(x.models[1][name])
            assert (np.abs(a - b) <= np.spacing(np.maximum(np.abs(b), np.abs(ft)))).all(), name


@pytest.mark.parametrize("scope", ["tensor", "model"])
@pytest.mark.parametrize("dtypes", DTYPES, ids=IDS)
def test_sparsify(client, roots, seed, dtypes, scope):
    x = Inputs(client, roots, seed, dtypes, 1)
    s = float(x.rng.uniform(0.05, 0.95))
    version = client.run(sparsify(x.names[0], x.out, {"sparsity": s, "scope": scope}))
    check(client, version, ref.apply_sparsify(x.models[0], sparsity=s, scope=scope))


@pytest.mark.parametrize("scope", ["tensor", "model"])
def test_sparsify_ties_and_patterns(client, roots, seed, scope):
    """Few distinct magnitudes: nearly everything is a tie. The first elements go, signs do not matter, zero is +0."""
    rng = np.random.default_rng(seed)
    tensors = {
        n: ref.tensor("F32", rng.choice([-2, -1, -0.0, 0.0, 1, 2], size=shape))
        for n, shape in (
            ("b.weight", (41, 7)),
            ("a.weight", (300,)),
            ("a.bias", (50,)),
            ("c.other", (60,)),
            ("z.weight", (9, 9)),
        )
    }
    name = f"t/ties-{scope}-{seed}"
    client.register(ref.write(roots / f"ties-{scope}", tensors), name)
    params = {"sparsity": 0.29, "scope": scope, "include": ["*.weight", "a.*"], "exclude": ["z*"]}
    want = ref.apply_sparsify(tensors, **params)
    assert want["c.other"] == tensors["c.other"] and want["a.bias"] != tensors["a.bias"]
    check(client, client.run(sparsify(name, name, params)), want)


@pytest.mark.parametrize("sparsity,count", [(0, 0), (0.29, 29), (0.07, 7), (1, 100)])
def test_sparsify_counts(client, roots, sparsity, count):
    """0.29 of 100 is 29, though 0.29 * 100 is a little below it in binary."""
    values = np.arange(1, 101, dtype=np.float32)
    name = f"t/count-{count}"
    client.register(ref.write(roots / f"count-{count}", {"w": ref.tensor("F32", values)}), name)
    got = ref.load(client.weights(client.run(sparsify(name, name, {"sparsity": sparsity})))["w"])
    assert np.array_equal(got, np.where(values <= count, 0, values))


# ---- bytes ---------------------------------------------------------------------------------------


def bodies(x, into):
    """One body of each method over the same inputs."""
    return {
        "linear": merge("linear", weighted(x.names, (0.3, 0.5, 0.9)), into),
        "task_arithmetic": merge(
            "task_arithmetic", weighted(x.names[1:], (0.3, -0.5)), into, base=x.names[0], params={"lambda": 0.7}
        ),
        "task_negation": negation(x.names[0], x.names[1], x.names[2], 0.6, into),
        "sparsify": sparsify(x.names[0], into, {"sparsity": 0.4}),
        "sparsify-model": sparsify(x.names[0], into, {"sparsity": 0.4, "scope": "model"}),
    }


def test_more_than_one_window_and_any_number_of_threads(client, roots, seed):
    """A tensor of 525,400 elements (two windows and a rest) equals the reference; 1, 2 and 5 threads give the same
    bytes."""
    x = Inputs(client, roots, seed, ["F32", "BF16", "F16"], 3, big=True)
    wants = {
        "linear": ref.apply(lambda a: ref.linear(a, [0.3, 0.5, 0.9]), x.models[0], x.models),
        "task_arithmetic": ref.apply(
            lambda a: ref.task_arithmetic(a[0], a[1:], [0.3, -0.5], 0.7), x.models[0], x.models
        ),
        "task_negation": ref.apply(lambda a: ref.task_negation(*a, 0.6), x.models[0], x.models),
        "sparsify": ref.apply_sparsify(x.models[0], sparsity=0.4),
        "sparsify-model": ref.apply_sparsify(x.models[0], sparsity=0.4, scope="model"),
    }
    for method, want in wants.items():
        found = []
        for threads in (1, 2, 5):
            body = bodies(x, f"{x.out}-{method}-{threads}")[method]
            body["options"] = computed({"threads": threads})
            version = client.run(body)
            found.append(client.etags(version))
            if threads == 2:
                check(client, version, want)
        assert found[0] == found[1] == found[2], method


def test_same_recipe_same_bytes(client, roots, seed):
    """Every file of the two results is equal, the model card and the recipe file too: nothing in them tells the runs
    apart."""
    x = Inputs(client, roots, seed, ["F32"], 3)
    for method, body in bodies(x, x.out).items():
        first, second = client.run(body), client.run(body)
        assert {p: f["etag"] for p, f in client.files(first).items()} == {
            p: f["etag"] for p, f in client.files(second).items()
        }
        a, b = (client.version(v) for v in (first, second))
        assert a["manifest_sha256"] == b["manifest_sha256"] and a["commit"] != b["commit"], method
        assert b["new_bytes"] == 0, "equal bytes are stored once"


def signed_zeros(rng, shape):
    values = rng.standard_normal(shape, dtype=np.float32)
    values.flat[::3] = -0.0
    values.flat[1::5] = 0.0
    return values


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
def test_lambda_zero_changes_nothing(client, roots, seed, dtype):
    """The very bytes of the start, negative zeros and subnormals included."""
    rng = np.random.default_rng(seed)
    start = {"tiny": ref.tensor(dtype, [1e-40, -1e-41, 6e-8, -0.0]), "w": ref.tensor(dtype, signed_zeros(rng, (33, 9)))}
    other = {  # no zeros here: the differences to the zeros of the start have both signs
        "tiny": ref.tensor(dtype, [-1, 1, -2, -3]),
        "w": ref.tensor(dtype, rng.standard_normal((33, 9))),
    }
    a, b = f"t/zero-{dtype}-a".lower(), f"t/zero-{dtype}-b".lower()
    client.register(ref.write(roots / a.replace("/", "_"), start), a)
    client.register(ref.write(roots / b.replace("/", "_"), other), b)
    for body in (
        merge("task_arithmetic", [(b, {"weight": 1.0})], a + "-out", base=a, params={"lambda": 0}),
        negation(a + "@v1", b, a + "@v1", 0, a),
    ):
        version = client.run(body)
        check(client, version, start)
        assert client.etags(version) == client.etags(a + "@v1"), "the file itself is the same"


def test_subnormals_are_kept(client, roots):
    x = {"w": ref.tensor("F32", [1e-40, -2e-42, 1.4e-45, 3e-39])}
    client.register(ref.write(roots / "subnormal", x), "t/subnormal")
    version = client.run(
        merge("linear", [("t/subnormal", {"weight": 3.0})], "t/subnormal-out", params={"normalize": False})
    )
    check(client, version, {"w": ref.store("F32", np.float32(3.0) * ref.load(x["w"]))})


# ---- layout --------------------------------------------------------------------------------------


@pytest.mark.parametrize("out_dtype", ["F16", "BF16", "F32"])
def test_out_dtype(client, roots, seed, out_dtype):
    x = Inputs(client, roots, seed, ["F32", "BF16"], 2)
    version = client.run(merge("linear", weighted(x.names, (0.5, 0.25)), x.out, out_dtype=out_dtype))
    check(client, version, ref.apply(lambda a: ref.linear(a, [0.5, 0.25]), x.models[0], x.models, out_dtype))
    config = json.loads(client.download(version, "config.json"))
    assert config["torch_dtype"] == {"F16": "float16", "BF16": "bfloat16", "F32": "float32"}[out_dtype]
    assert config["model_type"] == "test"


def test_sharded_inputs(client, roots, seed):
    """Shards in, one file out when the result is cut anew; a sharded and a whole copy of the same tensors give the same
    bytes."""
    rng = np.random.default_rng(seed)
    shapes = ref.layout(rng, ["F32", "F16"], count=9)
    one = ref.fill(rng, shapes)
    two = ref.fill(rng, shapes, fixed=one)
    for shards in (1, 3):
        for name, tensors in (("one", one), ("two", two)):
            client.register(
                ref.write(roots / f"shard-{name}-{shards}", tensors, shards=shards), f"t/shard-{name}-{shards}"
            )
    versions = {
        s: client.run(
            merge(
                "linear",
                [(f"t/shard-{n}-{s}", {"weight": 0.5}) for n in ("one", "two")],
                f"t/shard-out-{s}",
                shard_bytes=4_000_000_000,
            )
        )
        for s in (1, 3)
    }
    want = ref.apply(lambda a: ref.linear(a, [0.5, 0.5]), one, [one, two])
    for s in (1, 3):
        check(client, versions[s], want)
        assert [p for p in client.files(versions[s]) if p.endswith(".safetensors")] == ["model.safetensors"]
    assert client.etags(versions[1]) == client.etags(versions[3])


def test_sharded_output(client, roots, seed):
    x = Inputs(client, roots, seed, ["F32"], 2, big=True)
    limit = 1_000_000
    version = client.run(merge("linear", weighted(x.names, (0.5, 0.5)), x.out, shard_bytes=limit))
    want = ref.apply(lambda a: ref.linear(a, [0.5, 0.5]), x.models[0], x.models)
    check(client, version, want)
    files = client.files(version)
    index = json.loads(client.download(version, "model.safetensors.index.json"))
    shards = sorted(p for p in files if p.endswith(".safetensors"))
    assert (
        shards == [f"model-{i + 1:05d}-of-{len(shards):05d}.safetensors" for i in range(len(shards))]
        and len(shards) > 1
    )
    assert index["metadata"]["total_size"] == sum(len(t.data) for t in want.values())
    assert sorted(index["weight_map"]) == sorted(want) and sorted(set(index["weight_map"].values())) == shards
    for path in shards:
        held = [n for n, p in index["weight_map"].items() if p == path]
        assert len(held) == 1 or sum(len(want[n].data) for n in held) <= limit
    # a sharded result is an input like any other
    again = client.run(sparsify(version, x.out, {"sparsity": 0}))
    check(client, again, want)


def test_output_file_is_laid_out_as_the_reference_writer_does(client, roots, seed):
    """Descending dtype, then name by bytes; no holes; header a multiple of 8; metadata is format=pt and nothing
    else."""
    x = Inputs(client, roots, seed, ["F32", "F16", "BF16"], 2)
    version = client.run(merge("linear", weighted(x.names, (0.5, 0.5)), x.out))
    raw = client.download(version, "model.safetensors")
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    assert size % 8 == 0 and raw[8:9] == b"{"
    assert header.pop("__metadata__") == {"format": "pt"}
    rank = {d: i for i, d in enumerate(("I64", "F32", "BF16", "F16", "U8", "BOOL"))}
    names = list(header)
    assert names == sorted(names, key=lambda n: (rank[header[n]["dtype"]], n.encode()))
    at = 0
    for n in names:
        assert header[n]["data_offsets"][0] == at
        at = header[n]["data_offsets"][1]
    assert 8 + size + at == len(raw)
    # the tensors route tells the same story
    rows = {t["name"]: t for t in client.all(client.at(version) + "/tensors")}
    assert sorted(rows) == sorted(names)
    for n in names:
        assert (rows[n]["dtype"], rows[n]["shape"]) == (header[n]["dtype"], header[n]["shape"])
        assert rows[n]["file"] == "model.safetensors"


def test_other_files_come_from_the_donor(client, roots, seed):
    rng = np.random.default_rng(seed)
    shapes = {"w": ("F32", (4, 4))}
    extra = {"tokenizer.json": b'{"version":"1.0"}', "generation_config.json": b"{}", "sub/notes.txt": b"kept"}
    for name in ("donor", "other"):
        client.register(
            ref.write(
                roots / f"side-{name}",
                ref.fill(rng, shapes),
                config={"model_type": "test", "who": name},
                files=extra if name == "donor" else {"other.txt": b"not kept"},
            ),
            f"t/side-{name}",
        )
    version = client.run(
        merge("task_arithmetic", [("t/side-other", {"weight": 1.0})], "t/side-out", base="t/side-donor")
    )
    for path, data in extra.items():
        assert client.download(version, path) == data
    assert json.loads(client.download(version, "config.json"))["who"] == "donor"
    files = client.files(version)
    assert "other.txt" not in files and {"README.md", "amend.json"} <= set(files)
    recipe = json.loads(client.download(version, "amend.json"))
    served = client.ok(client.at(version) + "/recipe")
    assert (recipe["type"], recipe["method"]) == ("merge", "task_arithmetic") == (served["type"], served["method"])
    card = client.download(version, "README.md").decode()
    assert card.startswith("---\n") and "t/side-donor" in card and "task_arithmetic" in card


def test_integers_that_differ_are_the_donors_with_a_warning(client, roots, seed):
    rng = np.random.default_rng(seed)
    models = [
        {"w": ref.tensor("F32", rng.standard_normal(8)), "position_ids": ref.tensor("I64", [i, i + 1])}
        for i in range(2)
    ]
    for i, m in enumerate(models):
        client.register(ref.write(roots / f"ids-{i}", m), f"t/ids-{i}")
    job = client.wait(client.submit(merge("linear", [(f"t/ids-{i}", {"weight": 0.5}) for i in range(2)], "t/ids-out")))
    assert job["status"] == "succeeded", job
    done = job["result"]["version"]
    check(
        client, f"{done['model']}@{done['commit']}", ref.apply(lambda a: ref.linear(a, [0.5, 0.5]), models[0], models)
    )
    told = [w for w in job["warnings"] if w["code"] == "integer-differs"]
    assert told and "position_ids" in json.dumps(told), job["warnings"]


def test_a_result_is_an_input(client, roots, seed):
    """A chain: merge, negate, sparsify; each link equals the reference run over the links before it."""
    x = Inputs(client, roots, seed, ["F32", "BF16"], 3)
    one = client.run(merge("task_arithmetic", weighted(x.names[1:], (0.4, 0.6)), x.out, base=x.names[0]))
    want = ref.apply(lambda a: ref.task_arithmetic(a[0], a[1:], [0.4, 0.6]), x.models[0], x.models)
    two = client.run(negation(one, x.names[1], x.names[0], 0.5, x.out))
    want = ref.apply(lambda a: ref.task_negation(*a, 0.5), want, [want, x.models[1], x.models[0]])
    three = client.run(sparsify(two, x.out, {"sparsity": 0.5}))
    check(client, three, ref.apply_sparsify(want, sparsity=0.5))
    assert [client.version(v)["number"] for v in (one, two, three)] == [1, 2, 3]


def test_recipe_says_what_was_computed(client, roots, seed):
    x = Inputs(client, roots, seed, ["F32"], 2)
    first = client.run(merge("linear", weighted(x.names, (0.5, 0.25)), x.out))
    recipe = client.ok(client.at(first) + "/recipe")
    assert recipe["params"]["normalize"] is True, "defaults are filled in"
    for name in x.names:
        assert client.version(name)["commit"] in json.dumps(recipe["inputs"]), "commits instead of names"
    job = client.job(client.version(first)["job"])
    assert len(job["resolved"]["spec_sha256"]) == 64 and job["resolved"]["params"] == recipe["params"]
