"""Plans: what a plan refuses a submit refuses with the same list, what it announces is what happens (files to the byte,
memory within 1.25), nothing is stored, and it is made in well under a second."""

import json
import os
import random
import sqlite3
import threading
import time

import numpy as np
import pytest

import harness
import reference as ref
from harness import amend, merge, negation, problem, sparsify

MIB = 1 << 20


def write(folder, seed=0, dtype="F32", extra=None, **shapes):
    rng = np.random.default_rng(seed)
    tensors = {n: ref.store(dtype, rng.standard_normal(s, dtype=np.float32)) for n, s in shapes.items()}
    return ref.write(folder, {**tensors, **(extra or {})})


@pytest.fixture(scope="module")
def models(client, roots):
    count = {"steps": ref.tensor("I64", [3])}
    for i, name in enumerate(("a", "b", "c")):
        client.register(write(roots / name, i, w=(40, 30), b=(30,), extra=count), f"p/{name}")
    client.register(write(roots / "other", 9, w=(40, 31), b=(30,)), "p/other")
    client.register(write(roots / "half", 5, "BF16", w=(40, 30), b=(30,), extra=count), "p/half")
    return client


def plan(client, body):
    answer = client.post("/v1/plans", body)
    assert answer.status_code == 200, answer.text
    doc = answer.json()
    assert doc["object"] == "plan" and doc["cached"] is None and doc["ok"] == (doc["refusals"] == []), doc
    assert (doc["spec_sha256"] is None) == (doc["resolved"] is None) == (not doc["ok"])
    return doc


def rows(daemon):
    """How many rows each table has, and how many files there are, once nothing runs."""
    while any(daemon.client.ok("/v1/queue")["counts"][s] for s in ("queued", "running", "cancelling")):
        time.sleep(0.02)
    with sqlite3.connect(f"file:{daemon.data}/amendd.db?mode=ro", uri=True) as db:
        names = [r[0] for r in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        counts = {n: db.execute(f'SELECT count(*) FROM "{n}"').fetchone()[0] for n in names}
    db.close()
    return counts, len(list(daemon.data.joinpath("blobs").rglob("*"))), daemon.staging()


def test_the_plan_of_a_good_job(models, daemon):
    before = rows(daemon)
    body = merge("linear", [("p/a", {"weight": 0.5}), ("p/b", {"weight": 0.5})], "p/out")
    doc = plan(models, body)
    assert doc["ok"] and doc["tensors"] == 3 and doc["warnings"] == []
    assert doc["read_bytes"] == 2 * ((1200 + 30) * 4 + 8)
    assert doc["output"]["dtype"] == "F32" and doc["shared_bytes"] == 0
    assert [f["path"] for f in doc["output"]["files"]] == ["model.safetensors"]
    assert doc["write_bytes"] == doc["output"]["files"][0]["bytes"] < doc["disk_bytes"]
    assert doc["seconds_estimate"] == 1
    dry = models.post("/v1/jobs?dry_run=true", body)
    assert dry.status_code == 200 and dry.json() == doc
    assert rows(daemon) == before, "a plan stored something"
    job = models.wait(models.submit(body))
    assert job["resolved"] == doc["resolved"] and job["resolved"]["spec_sha256"] == doc["spec_sha256"]
    for name in job["plan"]:
        assert job["plan"][name] == doc[name]


def test_dry_run_takes_true_and_false(models):
    body = merge("linear", [("p/a", {"weight": 1})], "p/out")
    problem(models.post("/v1/jobs?dry_run=yes", body), 400, "invalid-request")
    assert models.post("/v1/jobs?dry_run=false", body).status_code == 202


def test_all_faults_at_once(models, daemon):
    """Seven: an unknown member, two bad parameters, an unknown version, a shape, a missing base, a bad option."""
    before = rows(daemon)
    body = {
        "type": "merge",
        "method": "task_arithmetic",
        "inputs": {"models": [{"version": "p/a", "params": {"weight": 1}}, "p/other", "p/nosuch"]},
        "params": {"weight": 0.5, "lambda": 1e9, "normalise": True},
        "options": {"threads": 0},
        "publish": {"model": "p/out"},
        "colour": "blue",
    }
    doc = plan(models, body)
    at = {(r["pointer"], r["code"]) for r in doc["refusals"]}
    assert at >= {
        ("#/colour", "unknown-member"),
        ("#/params/lambda", "invalid-params"),
        ("#/params/normalise", "unknown-member"),
        ("#/inputs/models/2", "not-found"),
        ("#/inputs/models/1", "shape-mismatch"),
        ("#/inputs/base", "missing-input"),
        ("#/options/threads", "invalid-params"),
    }, at
    answer = models.post("/v1/jobs", body)
    assert answer.json()["errors"] == doc["refusals"]
    assert rows(daemon) == before


def test_target_faults_come_with_the_others(models):
    body = merge("linear", [("p/a", {"weight": "x"})], "p/a")
    body["publish"]["if_head"] = "0" * 40
    assert {r["code"] for r in plan(models, body)["refusals"]} == {"invalid-params", "precondition-failed"}


def test_numbers_stand_beside_refusals_that_leave_a_plan(models):
    body = merge("linear", [("p/a", {"weight": 1})], "p/out", colour=1)
    doc = plan(models, body)
    assert not doc["ok"] and doc["tensors"] == 3 and doc["peak_memory_bytes"] > 0
    none = plan(models, merge("linear", [("p/nosuch", {"weight": 1})], "p/out"))
    assert none["tensors"] is None and none["output"] is None and none["seconds_estimate"] is None


def test_too_many_shards(models, roots):
    models.register(ref.write(roots / "many", {f"t{i}": ref.tensor("F32", [i]) for i in range(1001)}), "p/many")
    body = merge("linear", [("p/many", {"weight": 1})], "p/out", shard_bytes=1)
    (refusal,) = plan(models, body)["refusals"]
    assert refusal["pointer"] == "#/options/shard_bytes" and refusal["reason"] == "too-many-shards"
    body["options"]["shard_bytes"] = 8  # two in each
    doc = plan(models, body)
    assert doc["ok"] and len(doc["output"]["files"]) == 501


# ---- plan = submit -----------------------------------------------------------------------------------------------------


def random_body(rng):
    """Valid about half the time: one to three mistakes are put into the other half."""
    names = ["p/a", "p/b", "p/c", "p/half", "p/a@v1"]
    kind = rng.choice(["linear", "task_arithmetic", "negation", "sparsify"])
    if kind == "negation":
        body = negation("p/a", rng.choice(["p/b", "p/half"]), "p/c", rng.random(), "p/out")
    elif kind == "sparsify":
        params = {"sparsity": rng.random(), "scope": rng.choice(["tensor", "model"]), "include": [rng.choice(["*", "w"])]}
        body = sparsify(rng.choice(names), "p/out", params)
    else:
        picked = rng.sample(names[:4], rng.randint(1, 3))
        base = "p/c" if kind == "task_arithmetic" or rng.random() < 0.3 else None
        body = merge(kind, [(n, {"weight": rng.uniform(0.1, 1)}) for n in picked], "p/out", base=base)
    options = body["options"]
    if rng.random() < 0.3:
        options["threads"] = rng.randint(1, 8)
    if rng.random() < 0.2:
        options["out_dtype"] = rng.choice(["F32", "BF16", "F16"])
    if rng.random() < 0.2:
        options["shard_bytes"] = rng.choice([0, 100, 10000])
    if rng.random() < 0.2:
        body["publish"]["tags"] = ["stable"]  # there from the first job on that publishes it
    if rng.random() < 0.1:
        body["priority"] = rng.randint(0, 100)
    return spoil(body, rng) if rng.random() < 0.5 else body


def spoil(body, rng):
    def missing_base():
        body["inputs"].pop("base", None)

    def odd_input():
        inputs = body["inputs"]
        if "models" in inputs:
            inputs["models"].append(rng.choice(["p/other", "p/nosuch", "p/a@v9", 7, "no name"]))
        else:
            inputs["model"] = rng.choice(["p/other", "p/nosuch", "p/a@v9", 7])

    mistakes = [
        missing_base,
        odd_input,
        lambda: body.update(method=rng.choice(["liner", "slerp", 4])),
        lambda: body.update(type=rng.choice(["merg", "edit", "unlearn"])),
        lambda: body.update(surprise=1),
        lambda: body["params"].update(lambda_=2),
        lambda: body["params"].update(sparsity=rng.choice([2, "much", None])),
        lambda: body["options"].update(threads=rng.choice([0, 65, "two"])),
        lambda: body["options"].update(out_dtype="I8"),
        lambda: body["options"].update(shard_bytes=-1),
        lambda: body["publish"].update(model=rng.choice(["nothing", "p/../q", ""])),
        lambda: body["publish"].update(if_head="1" * 40),
        lambda: body["publish"].update(branch="-x"),
        lambda: body.update(priority=101),
        lambda: body.update(metadata={"k": 1}),
        lambda: body.pop("inputs"),
    ]
    for mistake in rng.sample(mistakes, rng.randint(1, 3)):
        try:
            mistake()
        except (KeyError, AttributeError):
            pass
    return body


def test_plan_is_submit(models, seed):
    rng = random.Random(seed)
    accepted = refused = 0
    for _ in range(200):
        body = random_body(rng)
        doc, answer = plan(models, body), models.post("/v1/jobs", body)
        if answer.status_code == 202:
            assert doc["ok"], (body, doc["refusals"])
            assert answer.json()["resolved"] == doc["resolved"]
            accepted += 1
            models.wait(answer.json()["id"])  # a head or a tag may have come into being
        else:
            assert not doc["ok"], (body, answer.text)
            assert answer.json()["errors"] == doc["refusals"], body
            refused += 1
    print(f"{accepted} accepted, {refused} refused, each as planned")
    assert accepted >= 20 and refused >= 50


# ---- what is announced is what happens -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shapes(client, roots):
    """A model in three files, with odd names, and one file of other dtypes."""
    folder = roots / "sharded"
    folder.mkdir()
    index = {}
    for k in range(3):
        rng = np.random.default_rng(k)
        tensors = {f'block.{k}."{i}"\\é': ref.store("BF16", rng.standard_normal((50, 7 + i))) for i in range(20)}
        tensors[f"count.{k}"] = ref.tensor("I64", [k])
        tensors[f"empty.{k}"] = ref.tensor("F32", np.zeros((0, 3)))
        part = ref.write(roots / f"part-{k}", tensors)
        name = f"model-{k + 1:05}-of-00003.safetensors"
        (part / "model.safetensors").rename(folder / name)
        index |= {n: name for n in tensors}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    client.register(folder, "s/sharded")
    mixed = {
        f"t{i}": ref.store(d, np.random.default_rng(i).standard_normal((30, 1 + i)))
        for i, d in enumerate(["F32", "F16", "BF16", "F64"] * 20)
    }
    mixed["ids"] = ref.tensor("I32", np.arange(100))
    client.register(ref.write(roots / "mixed", mixed), "s/mixed")
    return client


EXACT = {
    "whole": lambda: merge("linear", [("s/mixed", {"weight": 1.5})], "s/1", params={"normalize": False}),
    "whole to BF16": lambda: merge("linear", [("s/mixed", {"weight": 1})], "s/2", out_dtype="BF16"),
    "shards": lambda: merge("linear", [("s/mixed", {"weight": 1})], "s/3", shard_bytes=20000),
    "shards to F32": lambda: merge("linear", [("s/sharded", {"weight": 1})], "s/4", shard_bytes=9000, out_dtype="F32"),
    "joined": lambda: merge("linear", [("s/sharded", {"weight": 2})], "s/5", params={"normalize": False}),
    "one tensor": lambda: sparsify("s/mixed", "s/6", {"sparsity": 0.5, "include": ["t79"]}),
    "one file of three": lambda: sparsify("s/sharded", "s/7", {"sparsity": 0.5, "include": ["block.1.*"]}),
    "some of one file": lambda: sparsify("s/sharded", "s/8", {"sparsity": 0.5, "include": ["block.2.*1*"]}),
    "all but": lambda: sparsify("s/mixed", "s/9", {"sparsity": 0.9, "exclude": ["t7*"]}),
}


@pytest.mark.parametrize("name", EXACT)
def test_files_are_planned_to_the_byte(shapes, name):
    body = EXACT[name]()
    doc = plan(shapes, body)
    job = shapes.wait(shapes.submit(body))
    assert job["status"] == "succeeded", job["error"]
    version = f"{body['publish']['model']}@{job['result']['version']['commit']}"
    got = {p: f["bytes"] for p, f in shapes.files(version).items() if p.endswith(".safetensors")}
    assert {f["path"]: f["bytes"] for f in doc["output"]["files"]} == got
    # beside the weights only the card, the recipe and an index are written
    small = job["result"]["measured"]["write_bytes"] - doc["write_bytes"]
    texts = sum(f["bytes"] for p, f in shapes.files(version).items() if not p.endswith(".safetensors"))
    assert 0 < small <= texts, (small, texts)
    assert doc["shared_bytes"] + doc["write_bytes"] >= sum(got.values()) - 8192
    assert (doc["shared_bytes"] > 0) == (name in ("one tensor", "one file of three", "some of one file"))


def test_an_edit_of_an_edit(shapes):
    """The header is a blob already, so the second edit writes the changed tensors alone."""
    first = shapes.run(sparsify("s/mixed", "s/chain", {"sparsity": 0.5, "include": ["t79"]}))
    body = sparsify(first, "s/chain", {"sparsity": 0.6, "include": ["t75"]})
    doc, job = plan(shapes, body), shapes.wait(shapes.submit(body))
    assert doc["write_bytes"] < 30 * 76 * 8 + 400
    assert 0 < job["result"]["measured"]["write_bytes"] - doc["write_bytes"] < 4096


def test_a_base_that_only_names_is_not_charged(models):
    pair = [("p/b", {"weight": 1}), ("p/c", {"weight": 1})]
    alone, named = plan(models, merge("linear", pair, "p/out")), plan(models, merge("linear", pair, "p/out", base="p/a"))
    assert named["read_bytes"] == alone["read_bytes"] + 8  # its own integers, to compare and copy
    assert named["peak_memory_bytes"] - alone["peak_memory_bytes"] < 4096
    real = plan(models, merge("task_arithmetic", pair, "p/out", base="p/a"))
    assert real["read_bytes"] > named["read_bytes"] + 4000


# ---- memory --------------------------------------------------------------------------------------------------------

BIG_MIB = 64


@pytest.fixture(scope="module")
def big(client, roots):
    rng = np.random.default_rng(1)
    noise = rng.standard_normal(BIG_MIB * MIB // 2 // 16, dtype=np.float32)
    for k in range(3):
        layers = {f"layer.{i}.weight": ref.store("BF16", np.roll(noise, i + 16 * k).reshape(256, -1)) for i in range(16)}
        client.register(ref.write(roots / f"big-{k}", layers), f"m/big{k}")
        small = {
            f"model.layers.{i}.a.rather.usual.name.weight": ref.store("BF16", noise[i + k : i + k + 96].reshape(12, 8))
            for i in range(20000)
        }
        client.register(ref.write(roots / f"small-{k}", small), f"m/small{k}")
        client.register(ref.write(roots / f"tiny-{k}", {"w": ref.store("F32", noise[k : k + 500])}), f"m/tiny{k}")
    return client


def memory_bodies(kind, threads):
    m = [f"m/{kind}{k}" for k in range(3)]
    three = [(x, {"weight": 0.3}) for x in m]
    yield "linear", merge("linear", three[:2], "m/out", threads=threads)
    yield "task_arithmetic", merge("task_arithmetic", three, "m/out", base=m[0], threads=threads)
    yield "task_negation", negation(m[0], m[1], m[2], 0.5, "m/out", threads=threads)
    yield "sparsify tensor", sparsify(m[0], "m/out", {"sparsity": 0.5}, threads=threads)
    yield "sparsify model", sparsify(m[0], "m/out", {"sparsity": 0.5, "scope": "model"}, threads=threads)
    if kind == "small":
        yield "edit", sparsify(m[0], "m/out", {"sparsity": 0.5, "include": ["*5.a.*"]}, threads=threads)
        yield "edit half", sparsify(m[0], "m/spans", {"sparsity": 0.5, "include": ["*[13579].a.*"]}, threads=threads)
        yield "edit of spans", sparsify("m/spans", "m/out", {"sparsity": 0.6, "include": ["*4.a.*"]}, threads=threads)
        yield "shards", merge("linear", three[:2], "m/out", threads=threads, shard_bytes=1000000)


class Watch:
    """The highest VmHWM of any worker of the daemon, looked at from outside."""

    def __init__(self, daemon):
        self.daemon, self.peak, self.stop = daemon, 0, threading.Event()
        self.thread = threading.Thread(target=self.look)

    def look(self):
        while not self.stop.wait(0.002):
            for pid in self.daemon.workers():
                try:
                    with open(f"/proc/{pid}/status") as f:
                        text = f.read()
                except OSError:
                    continue
                if "\nVmHWM:" in text and text.startswith("Name:\tamend-worker\n"):  # not the daemon before its exec
                    self.peak = max(self.peak, int(text.split("VmHWM:")[1].split()[0]) * 1024)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


@pytest.mark.slow
@pytest.mark.weighed
@pytest.mark.parametrize("kind, threads", [("big", 1), ("big", 2), ("big", 5), ("small", 2), ("tiny", 1), ("tiny", 5)])
def test_memory_is_honest(big, daemon, kind, threads):
    """peak <= plan <= 1.25 x peak; the worker's own word is compared with what is seen from outside."""
    bad = []
    for name, body in memory_bodies(kind, threads):
        with Watch(daemon) as seen:
            job = big.wait(big.submit(body), 60)
        assert job["status"] == "succeeded", (name, job["error"])
        planned, measured = job["plan"]["peak_memory_bytes"], job["result"]["measured"]
        peak = measured["peak_memory_bytes"]
        print(f"{kind} {threads} {name}: plan {planned / MIB:.2f} MiB, peak {peak / MIB:.2f}, seen {seen.peak / MIB:.2f}, "
              f"{planned / peak:.2f}")
        assert seen.peak <= peak + MIB, (name, "the worker says less than it held")
        assert measured["cpu_seconds"] > 0
        if not peak <= planned <= 1.25 * peak:
            bad.append((name, planned, peak, planned / peak))
    assert not bad, bad


# ---- speed -----------------------------------------------------------------------------------------------------------


def cpu_of(daemon):
    """Seconds of processors that the daemon has used."""
    with open(f"/proc/{daemon.pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_three_models_of_200000_tensors_are_planned(launch, roots):
    """In bounded memory and within a second of a processor."""
    d = launch(name="huge")
    zero = ref.store("F32", np.zeros(1, np.float32))
    folder = ref.write(roots / "huge", {f"layers.{i}.weight": zero for i in range(200000)})
    models = ["h/a", "h/b", "h/c"]
    for name in models:
        d.client.register(folder, name)
    body = merge("task_arithmetic", [(m, {"weight": 0.5}) for m in models[1:]], "h/out", base=models[0])
    took, cpu = [], []
    for options in ({}, {"shard_bytes": 8000}):
        body["options"] = options
        began, before = time.monotonic(), cpu_of(d)
        doc = plan(d.client, body)
        took.append(time.monotonic() - began)
        cpu.append(cpu_of(d) - before)
        assert doc["ok"] and doc["tensors"] == 200000, doc["refusals"]
        assert len(doc["output"]["files"]) == (100 if options else 1)
    print("planned in", ", ".join(f"{t:.2f} s, {c:.2f} s of a processor" for t, c in zip(took, cpu)))
    # Not the clock on the wall: others may work here too. Shards take one more walk, in the order of places.
    assert (cpu[0] < 1 and cpu[1] < 1.5) or harness.SANITIZED, (cpu, took)
    assert d.status("VmHWM") < 64 * 1024 or harness.SANITIZED


# ---- the client ------------------------------------------------------------------------------------------------------


def test_dry_run_of_the_client(models, daemon, tmp_path):
    before = rows(daemon)
    args = ("merge", "linear", "p/a,weight=1", "p/b,weight=1", "--into", "p/out", "--dry-run")
    table = amend(models, *args)
    assert "memory" in table and "model.safetensors" in table
    doc = json.loads(amend(models, *args, "-o", "json"))
    assert doc["object"] == "plan" and doc["ok"]
    file = tmp_path / "job.json"
    file.write_text(json.dumps(merge("linear", [("p/a", {"weight": "x"}), ("p/nosuch", {"weight": 1})], "p/out")))
    done = amend(models, "job", "submit", "-f", file, "--dry-run", expect=None)
    assert done.returncode == 1 and not done.stdout
    assert "2" in done.stderr and "#/inputs/models/0/params/weight" in done.stderr and "p/nosuch" in done.stderr
    assert rows(daemon) == before
