"""The same job again: rerun (the same bytes, or what differs), recipes that are posted as they are, retry, and reuse of
what was computed before. Whether bytes are the same is judged here by downloading them."""

import copy
import sqlite3
import time

import numpy as np
import pytest

import harness
import merge_feed
import reference as ref
from harness import amend, merge, negation, problem, sparsify
from test_merge_property import METHODS, World, supported, windows

KERNELS = ("generic", "avx2", "avx512")
LAYERS = {"w": ("F32", (70, 61)), "v": ("BF16", (300,)), "steps": ("I64", (2,))}
FEW = ("ties", "port")  # of make check; all methods are in make check-full


@pytest.fixture(scope="module")
def world(client, roots):
    return World(client, roots, "r", LAYERS)


@pytest.fixture(scope="module")
def models(world):
    for i in range(3):
        world.version(str(i))
    world.version("base")
    return world.client


def blend(into="r/out", weight=0.5, **options):
    """Three models merged; `weight` makes it another job."""
    given = [(f"r/{i}", {"weight": weight if i == 0 else 1.0}) for i in range(3)]
    return merge("linear", given, into, **options)


def done(client, body):
    job = client.wait(client.submit(body))
    assert job["status"] == "succeeded", job["error"]
    return job


def again(client, uid, verb, body=None, **kw):
    answer = client.post(f"/v1/jobs/{uid}/{verb}", body, **kw)
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == "/v1/jobs/" + answer.json()["id"]
    return client.wait(answer.json()["id"])


def rerun(client, uid, body=None):
    job = again(client, uid, "rerun", body)
    assert job["status"] == "succeeded", job["error"]
    return job


def name(job):
    v = job["result"]["version"]
    return f"{v['model']}@{v['commit']}"


def bytes_of(client, version):
    return {path: client.download(version, path) for path in client.files(version)}


def without_revs(job):
    """The recipe without how its inputs were called."""
    return {**job["resolved"], "inputs": [{**i, "rev": None} for i in job["resolved"]["inputs"]]}


def codes(job):
    return [w["code"] for w in job["warnings"]]


def counts(client, model="r/out"):
    return len(client.all(f"/v1/models/{model}/versions"))


# ---- rerun -----------------------------------------------------------------------------------------------------------


def test_rerun_publishes_nothing(models, daemon):
    first = done(models, blend())
    versions, blobs = counts(models), daemon.blobs()
    job = rerun(models, first["id"])
    r = job["result"]
    assert r["reproduced"] is True and r["version"] is None and r["published"] is False and r["refs"] == []
    assert job["rerun_of"] == first["id"] and job["retry_of"] is None
    about = r["reproduction"]
    assert about["job"] == first["id"] and about["version"]["commit"] == first["result"]["version"]["commit"]
    assert about["files"] == len(models.files(name(first))) >= 3 and about["differ"] == [] == about["left_out"]
    assert about["kernels"]["then"] == about["kernels"]["now"] == first["resolved"]["kernels"]
    assert without_revs(job) == without_revs(first) and r["measured"]["seconds"] > 0 and codes(job) == []
    assert counts(models) == versions and daemon.blobs() == blobs
    assert not daemon.staging()
    # of a rerun: of what that was compared with
    second = rerun(models, job["id"])
    assert second["rerun_of"] == first["id"] and second["result"]["reproduced"] is True
    # and a retry of a rerun is a rerun
    third = again(models, job["id"], "retry")
    assert third["retry_of"] == job["id"] and third["rerun_of"] == first["id"] and third["result"]["reproduced"] is True


def test_rerun_can_publish(models):
    first = done(models, blend(weight=0.25))
    other = rerun(models, first["id"], {"publish": {"model": "r/proof", "message": "again"}})
    assert other["result"]["reproduced"] is True and other["result"]["version"]["model"] == "r/proof"
    assert other["result"]["reproduction"]["left_out"] == []
    assert bytes_of(models, name(first)) == bytes_of(models, "r/proof@main")  # no file names the model it belongs to
    assert models.version("r/proof@main")["message"] == "again"
    same = rerun(models, first["id"], {"publish": {"model": "r/out"}})
    assert same["result"]["reproduction"]["left_out"] == [] and same["result"]["reproduced"] is True
    assert models.version("r/out@main")["commit"] == same["result"]["version"]["commit"]


@pytest.mark.slow
def test_rerun_after_restart_and_with_names_moved(launch, world, roots):
    d = launch()
    for m in ("base", "0", "1", "2"):
        world.version(m)
        d.client.register(roots / f"r-{m}", f"r/{m}")
    ids = [done(d.client, blend())["id"]]
    ids.append(done(d.client, negation("r/0", "r/1", "r/base", 0.5, "r/less"))["id"])
    ids.append(done(d.client, sparsify("r/0", "r/thin", {"sparsity": 0.5}))["id"])
    d.client.register(roots / "r-2", "r/0")  # the name is something else by now
    d.stop()
    c = d.start().client
    for uid in ids:
        job = rerun(c, uid)
        assert job["result"]["reproduced"] is True, job["result"]["reproduction"]
        assert [i["commit"] for i in job["resolved"]["inputs"]] == [i["commit"] for i in c.job(uid)["resolved"]["inputs"]]
    assert again(c, ids[0], "retry")["resolved"]["inputs"] != c.job(ids[0])["resolved"]["inputs"]
    recipe = c.ok(c.at(name(c.job(ids[1]))) + "/recipe")
    job = c.wait(c.submit(recipe))
    assert job["result"]["reproduced"] is True and job["rerun_of"] == ids[1]


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_are_the_recipe_s(models, threads):
    job = rerun(models, done(models, blend(weight=0.1, threads=threads))["id"])
    assert job["result"]["reproduced"] is True and job["resolved"]["threads"] == threads


def one_feed(method):
    """Every way in make check-full, the way with its numbers set in make check."""
    return [f for f in merge_feed.feeds(method) if f.label in ("probe", "defaults")][-1:]


@pytest.mark.parametrize("method", [pytest.param(m, marks=() if m in FEW else pytest.mark.slow) for m in METHODS])
def test_every_method(world, method, request):
    about = merge_feed.methods(world.client)[method]
    feeds = merge_feed.feeds(about) if method not in FEW else one_feed(about)
    for feed in feeds:
        job = done(world.client, world.body(feed))
        job = rerun(world.client, job["id"])
        assert job["result"]["reproduced"] is True, (feed, job["result"]["reproduction"])


@pytest.mark.slow
def test_every_other_method(world):
    """Of unlearn and edit: a job of each that there is (test_evaluate.py has the reports)."""
    c, known = world.client, {"unlearn/task_negation", "edit/sparsify"}
    listed = {m["id"] for m in c.all("/v1/methods") if m["type"] not in ("merge", "evaluate") and m["name"] != "debug"}
    assert listed == known, f"teach this test to feed {listed - known}"
    names = [world.version(m) for m in ("0", "1", "base")]
    for body in (negation(*names, 0.5, "r/less"), sparsify(names[0], "r/thin", {"sparsity": 0.3, "scope": "model"})):
        assert rerun(c, done(c, body)["id"])["result"]["reproduced"] is True


def kernels_of(client):
    return done(client, sparsify("r/0", "r/probe", {"sparsity": 0.5}))["resolved"]["kernels"]


def check_kernels(tmp_path, roots, world, sets, wide):
    """A job made under the first set, made again under each other: the same bytes, and a warning that names both."""
    world.version("0"), world.version("1"), world.version("2")
    folders = [roots / f"r-{i}" for i in range(3)]
    made = None
    for kernels in sets:
        d = harness.Daemon(tmp_path / "data", [roots], env={"AMEND_KERNELS": kernels}).start()
        try:
            c = d.client
            if made is None:
                for i, folder in enumerate(folders):
                    c.register(folder, f"r/{i}")
                made = [done(c, blend()), done(c, sparsify("r/0", "r/thin", {"sparsity": 0.5}))]
                assert {j["resolved"]["kernels"] for j in made} == {j["result"]["measured"]["kernels"] for j in made} == {kernels}
                continue
            for first in made[: None if wide else 1]:
                plan = c.post("/v1/plans", {**first["resolved"], "publish": {"model": "r/x"}}).json()
                job = rerun(c, first["id"])
                assert job["result"]["reproduced"] is True, job["result"]["reproduction"]
                assert job["result"]["reproduction"]["kernels"] == {"then": sets[0], "now": kernels}
                for warnings in (job["warnings"], plan["warnings"]):
                    assert [w["code"] for w in warnings] == ["kernels-differ"], warnings
                    assert sets[0] in warnings[0]["detail"] and kernels in warnings[0]["detail"]
        finally:
            d.stop()


def test_other_kernels_give_the_same_bytes(tmp_path, roots, world):
    if not supported("avx2"):
        pytest.skip("this processor has no avx2")
    check_kernels(tmp_path, roots, world, ("avx2", "generic"), wide=False)


@pytest.mark.slow
def test_all_kernels(tmp_path, roots, world):
    check_kernels(tmp_path, roots, world, [k for k in KERNELS if supported(k)], wide=True)


def flip(daemon, sha, at):
    """A bit in each of four bytes of a stored blob: of every part of a number, so that it cannot be rounded away."""
    path = daemon.data / "blobs" / sha[:2] / sha
    path.chmod(0o640)
    data = bytearray(path.read_bytes())
    for i in range(at - 3, at + 1):
        data[i] ^= 0x10
    path.write_bytes(data)
    path.chmod(0o440)


@pytest.mark.slow
def test_a_damaged_input_is_found(launch, roots, world):
    d = launch()
    c = d.client
    for i in range(3):
        world.version(str(i))  # writes the folder
        c.register(roots / f"r-{i}", f"r/{i}")
    first = done(c, blend())
    assert rerun(c, first["id"])["result"]["reproduced"] is True
    file = c.files("r/1@v1")["model.safetensors"]
    flip(d, file["sha256"], file["bytes"] - 5000)
    job = again(c, first["id"], "rerun")
    assert job["status"] == "failed" and job["error"]["code"] == "store-damaged", job
    assert "r/1@" in job["error"]["detail"] and job["result"] is None
    # it is known from now on, and refused before anything is computed
    problem(c.post(f"/v1/jobs/{first['id']}/rerun"), 500, "store-damaged")
    flip(d, file["sha256"], file["bytes"] - 5000)
    task = c.wait(c.post(f"/v1/models/r/1/versions/v1/verify").json()["id"])
    assert task["result"]["repaired"] == 1
    assert rerun(c, first["id"])["result"]["reproduced"] is True


@pytest.mark.slow
def test_other_bytes_are_told(launch, roots, world):
    """The stored result is made another (as a program with a bug would have made it): rerun says so, with the file."""
    d = launch()
    c = d.client
    for i in range(3):
        world.version(str(i))  # writes the folder
        c.register(roots / f"r-{i}", f"r/{i}")
    first, second = done(c, blend()), done(c, blend(weight=0.75))
    d.stop()
    with sqlite3.connect(d.data / "amendd.db") as db:
        layouts = [
            db.execute(
                "SELECT layout FROM file JOIN version v ON v.id = file.version WHERE v.job = ? AND path = ?",
                (j["id"], "model.safetensors"),
            ).fetchone()[0]
            for j in (first, second)
        ]
        db.execute("UPDATE file SET layout = ? WHERE layout = ?", layouts[::-1])
    c = d.start().client
    job = rerun(c, first["id"])
    assert job["result"]["reproduced"] is False and job["result"]["reproduction"]["differ"] == ["model.safetensors"]
    said = amend(c, "job", "rerun", first["id"], "--wait", expect=None)
    assert said.returncode == 1 and "other bytes" in said.stderr and "model.safetensors" in said.stderr


def test_what_cannot_be_made_again(models):
    nobody = "job_" + "0" * 32
    task = models.all("/v1/jobs?type=task")[0]["id"]
    for verb in ("retry", "rerun"):
        for uid in (nobody, task, "x"):
            problem(models.post(f"/v1/jobs/{uid}/{verb}"), 404, "not-found")
    later = models.submit(blend(not_before="2999-01-01T00:00:00Z"))
    for verb in ("retry", "rerun"):
        problem(models.post(f"/v1/jobs/{later}/{verb}"), 409, "conflict")
    models.post(f"/v1/jobs/{later}/cancel")
    problem(models.post(f"/v1/jobs/{later}/rerun"), 409, "conflict")
    first = done(models, blend())
    for body, pointer in (
        ({"publsh": {}}, "#/publsh"),
        ({"publish": "r/x"}, "#/publish"),
        ({"publish": {"model": "r/x", "tag": "a"}}, "#/publish/tag"),
    ):
        doc = models.post(f"/v1/jobs/{first['id']}/rerun", body).json()
        assert [e["pointer"] for e in doc["errors"]] == [pointer], doc
    assert models.post(f"/v1/jobs/{first['id']}/rerun", data="[1]").status_code == 415


def test_keys(models):
    first = done(models, blend())
    for verb in ("retry", "rerun"):
        one, two = (
            models.post(f"/v1/jobs/{first['id']}/{verb}", headers={"Idempotency-Key": f"k-{verb}"}) for _ in range(2)
        )
        assert one.json()["id"] == two.json()["id"] and two.headers["Idempotency-Replayed"] == "true"
        other = models.post(f"/v1/jobs/{one.json()['id']}/{verb}", headers={"Idempotency-Key": f"k-{verb}"})
        problem(other, 422, "idempotency-key-reused")


# ---- retry -----------------------------------------------------------------------------------------------------------


def test_retry(models):
    first = models.submit({**blend(not_before="2999-01-01T00:00:00Z", into="r/tried"), "metadata": {"k": "v"}})
    models.post(f"/v1/jobs/{first}/cancel")
    answer = models.post(f"/v1/jobs/{first}/retry").json()
    assert answer["spec"] == models.job(first)["spec"] and answer["retry_of"] == first and answer["id"] != first
    assert answer["metadata"] == {"k": "v"} and models.job(first)["status"] == "cancelled"
    models.post(f"/v1/jobs/{answer['id']}/cancel")
    ok = done(models, blend(into="r/tried"))
    job = again(models, ok["id"], "retry")
    assert job["result"]["version"]["number"] == ok["result"]["version"]["number"] + 1
    out = amend(models, "job", "retry", ok["id"], "--wait").strip()
    assert out.startswith("r/tried@v3")


# ---- recipes ---------------------------------------------------------------------------------------------------------


def test_a_recipe_as_it_is(models):
    first = done(models, blend(weight=0.3))
    recipe = models.ok(models.at(name(first)) + "/recipe")
    assert recipe == first["resolved"]
    versions = counts(models)
    job = models.wait(models.submit(recipe))
    assert job["rerun_of"] == first["id"] and job["result"]["reproduced"] is True and counts(models) == versions
    # published, it is a version like any other
    job = models.wait(models.submit({**recipe, "publish": {"model": "r/from"}, "metadata": {"a": "b"}}))
    assert job["result"]["reproduced"] is True and job["result"]["version"]["model"] == "r/from"
    assert job["metadata"] == {"a": "b"}
    # wishes that are not met are told
    old = {**recipe, "program": "amendd 0.0.1", "kernels": "neon"}
    plan = models.post("/v1/plans", old).json()
    assert plan["ok"] and [w["code"] for w in plan["warnings"]] == ["kernels-differ", "program-differs"], plan
    # changed, it is another job
    changed = copy.deepcopy(recipe)
    changed["inputs"][0]["params"]["weight"] = 0.31
    doc = problem(models.post("/v1/jobs", changed), 400, "invalid-request")
    assert [e["pointer"] for e in doc["errors"]] == ["#/spec_sha256"]
    job = models.wait(models.submit({**changed, "publish": {"model": "r/from"}}))
    assert job["status"] == "succeeded" and job["rerun_of"] is None and job["result"]["reproduced"] is None


def test_faults_of_a_recipe_point_into_it(models):
    recipe = done(models, blend(weight=0.3))["resolved"]
    bad = copy.deepcopy(recipe)
    bad["inputs"][1]["commit"] = "0" * 40
    bad["inputs"][2]["params"]["weight"] = "much"
    bad["inputs"][0]["role"] = "friend"
    bad["kernel"] = "avx2"
    doc = models.post("/v1/jobs", {**bad, "publish": {"model": "r/x"}}).json()
    pointers = {e["pointer"] for e in doc["errors"]}
    assert {"#/kernel", "#/inputs/0/role"} <= pointers, pointers
    del bad["kernel"]
    bad["inputs"][0]["role"] = "model"
    doc = models.post("/v1/jobs", {**bad, "publish": {"model": "r/x"}}).json()
    assert {e["pointer"] for e in doc["errors"]} == {"#/inputs/1/commit", "#/inputs/2/params/weight"}, doc["errors"]
    unknown = {**recipe, "spec_sha256": "0" * 64, "program": "amendd 0.0.1"}
    assert "#/publish" in {e["pointer"] for e in models.post("/v1/jobs", unknown).json()["errors"]}


# ---- reuse -----------------------------------------------------------------------------------------------------------


def wanted(into="r/kept", weight=0.6, **more):
    """A job that is content with what was computed before, as jobs are by default."""
    job = {**blend(into, weight), **more}
    del job["options"]["reuse"]
    return job


def test_reuse(models, daemon):
    first = done(models, wanted())
    assert first["result"]["reused_from"] is None
    plan = models.post("/v1/plans", wanted()).json()
    assert plan["cached"] == {"job": first["id"], "version": {k: first["result"]["version"][k] for k in ("model", "commit")}}
    # the branch stands there: that is the answer, and nothing moved
    answer = models.post("/v1/jobs", wanted()).json()
    assert answer["status"] == "succeeded" and answer["result"]["reused_from"] == first["id"]
    assert answer["result"]["version"] == first["result"]["version"] and answer["result"]["refs"] == []
    assert answer["result"]["published"] is True and answer["finished_at"] and counts(models, "r/kept") == 2  # and v0
    # with tags, they are set
    job = done(models, {**wanted(), "publish": {"model": "r/kept", "tags": ["good"]}})
    assert job["result"]["version"] == first["result"]["version"]
    assert models.version("r/kept@good")["commit"] == first["result"]["version"]["commit"]
    # something else is on the branch by now: the result lands on it all the same, as a commit that holds no new bytes
    done(models, wanted(weight=0.61))
    blobs = daemon.blobs()
    job = done(models, {**wanted(), "publish": {"model": "r/kept", "message": "back to it"}})
    v = job["result"]["version"]
    assert v["number"] == 3 and job["result"]["reused_from"] == first["id"] and job["result"]["new_bytes"] == 0
    assert job["result"]["refs"][0]["to"] == v["commit"] and daemon.blobs() == blobs
    head = models.version("r/kept@main")
    assert head["commit"] == v["commit"] and head["message"] == "back to it" and head["job"] == job["id"]
    assert bytes_of(models, "r/kept@v3") == bytes_of(models, "r/kept@v1")
    assert head["tensors"] == models.version("r/kept@v1")["tensors"]

    def edges(rev):
        doc = models.ok(f"/v1/models/r/kept/lineage?rev={rev}&depth=1&direction=up")
        here = [e for e in doc["edges"] if e["to"] == models.version(f"r/kept@{rev}")["commit"]]
        return {(e["role"], e["from"], e["weight"]) for e in here if e["role"] != "commit"}

    assert edges("v3") == edges("v1") != set()
    # another branch gets it, too
    job = done(models, {**wanted(), "publish": {"model": "r/kept", "branch": "side"}})
    assert job["result"]["reused_from"] and models.version("r/kept@side")["commit"] == job["result"]["version"]["commit"]
    # who asks for it gets it computed; so does another model, whose card is another
    job = done(models, {**wanted(), "options": {"reuse": False}})
    assert job["result"]["reused_from"] is None and job["result"]["measured"]["seconds"] > 0
    assert done(models, wanted(into="r/kept2"))["result"]["reused_from"] is None
    # what it gives can be rerun
    assert rerun(models, answer["id"])["result"]["reproduced"] is True


@pytest.mark.slow
def test_a_reused_merge_keeps_its_trust(models):
    job = merge("multi_krum", [(f"r/{i}", {}) for i in range(3)], "r/trust", base="r/base", params={"f": 0})
    del job["options"]["reuse"]
    done(models, job)
    done(models, wanted(into="r/trust"))
    again_ = done(models, job)
    assert again_["result"]["reused_from"] and again_["result"]["version"]["number"] == 3

    def trust(rev):
        doc = models.ok(f"/v1/models/r/trust/lineage?rev={rev}&depth=1&direction=up")
        here = [e for e in doc["edges"] if e["to"] == models.version(f"r/trust@{rev}")["commit"]]
        return {e["from"]: e["trust"] for e in here if e["role"] != "commit"}

    known = [t for t in trust("v1").values() if t is not None]  # the base has none
    assert trust("v3") == trust("v1") and len(known) == 3


@pytest.mark.slow
def test_ten_merges_land_on_the_branch(models):
    uids = [models.submit(wanted("r/ten", 0.5 + (i % 2) / 8)) for i in range(10)]
    jobs = [models.wait(u) for u in uids]
    assert {j["status"] for j in jobs} == {"succeeded"}
    commits = {v["commit"] for v in models.all("/v1/models/r/ten/versions")}
    assert {j["result"]["version"]["commit"] for j in jobs} <= commits
    last = max(jobs, key=lambda j: j["result"]["version"]["number"])
    assert models.version("r/ten@main")["commit"] == last["result"]["version"]["commit"]


@pytest.mark.slow
def test_damaged_results_are_not_reused(launch, roots, world):
    d = launch()
    c = d.client
    for i in range(3):
        world.version(str(i))  # writes the folder
        c.register(roots / f"r-{i}", f"r/{i}")
    first = done(c, wanted())
    assert done(c, wanted())["result"]["reused_from"] == first["id"]
    file = c.files("r/kept@v1")["model.safetensors"]
    flip(d, file["sha256"], file["bytes"] - 1)
    c.wait(c.post("/v1/models/r/kept/versions/v1/verify").json()["id"])
    job = done(c, wanted())
    assert job["result"]["reused_from"] is None  # and it has made the bytes whole again
    assert done(c, wanted())["result"]["reused_from"] in (first["id"], job["id"])


@pytest.mark.slow
def test_the_client(models):
    args = ["merge", "linear", "r/0,weight=0.9", "r/1,weight=0.4", "--into", "r/cli", "--wait"]
    one = amend(models, *args)
    two = amend(models, *args, expect=None)
    assert two.stdout == one and "nothing was computed" in two.stderr
    assert amend(models, *args, "--no-reuse").split("@")[1].startswith("v2")
    uid = models.all("/v1/jobs?model=r/cli")[0]["id"]
    said = amend(models, "job", "rerun", uid, "--wait", expect=None)
    assert said.returncode == 0 and said.stdout == "" and "the same bytes" in said.stderr, said.stderr
    assert amend(models, "job", "rerun", uid, "--into", "r/cli2", "--wait").startswith("r/cli2@v1")
    amend(models, "job", "rerun", "job_" + "0" * 32, expect=5)
    new = amend(models, "job", "retry", uid).strip()
    assert models.wait(new)["retry_of"] == uid
